/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What running qubes use: statistics of admin.vm.Stats joined with the list, properties and volumes. */
#include "tool/top.h"

#include <time.h>

#include "base/io.h"
#include "tool/net.h"

#define NET_SLOW_US 1000000

static const char *const sort_names[TOP_SORTS] = {
	[TOP_CPU] = "cpu", [TOP_MEM] = "memory", [TOP_DISK] = "disk", [TOP_NET] = "net", [TOP_TIME] = "time", [TOP_START] = "start", [TOP_NAME] = "name",
};

enum top_sort top_sort_named(const char *name)
{
	unsigned i = 0;

	while (i < TOP_SORTS && !streq(sort_names[i], name))
		i++;
	return (enum top_sort)i;
}

static struct top_stat *stat_of(const struct top *top, const char *name)
{
	for (size_t i = 0; i < top->n_stats; i++)
		if (streq(top->stats[i].name, name))
			return &top->stats[i];
	return NULL;
}

static void number(const struct adm_event *ev, const char *key, uint64_t *ret)
{
	const char *v = adm_event_arg(ev, key);
	uint64_t n;

	if (v && str_u64(v, UINT64_MAX, &n) == 0)
		*ret = n;
}

void top_take(struct top *top, const struct adm_event *ev)
{
	struct top_stat *s = stat_of(top, ev->subject);

	if (!streq(ev->name, "vm-stats") || strlen(ev->subject) >= sizeof s->name)
		return;
	if (!s) {
		if (top->n_stats == top->cap_stats) {
			top->cap_stats = top->cap_stats ? top->cap_stats * 2 : 32;
			top->stats = xreallocarray(top->stats, top->cap_stats, sizeof *top->stats);
		}
		s = &top->stats[top->n_stats++];
		*s = (struct top_stat){ .samples = 0 };
		(void)!str_copy(s->name, sizeof s->name, ev->subject);
	}
	s->samples++;
	number(ev, "cpu_usage", &s->cpu);
	number(ev, "online_vcpus", &s->vcpus);
	number(ev, "cpu_time", &s->cpu_ms);
	number(ev, "memory_kb", &s->mem_kib);
	number(ev, "memory_assigned_total", &s->assigned_kib);
}

static const struct top_net *net_of(const struct top *top, const char *name)
{
	for (size_t i = 0; i < top->n_nets; i++)
		if (streq(top->nets[i].name, name))
			return &top->nets[i];
	return NULL;
}

static void net_take(struct top_net *ret, const struct net_qube *q, const struct top_net *old, uint64_t now)
{
	const struct net_count *c = &q->count;

	*ret = (struct top_net){ .sent = c->sent_bytes, .got = c->got_bytes, .at_us = now };
	memcpy(ret->name, q->name, sizeof ret->name);
	/* less than before: the link is a new one */
	if (!old || now <= old->at_us || c->sent_bytes < old->sent || c->got_bytes < old->got)
		return;
	ret->rate = true;
	ret->sent_rate = (uint64_t)((double)(c->sent_bytes - old->sent) * 1e6 / (double)(now - old->at_us));
	ret->got_rate = (uint64_t)((double)(c->got_bytes - old->got) * 1e6 / (double)(now - old->at_us));
}

/* Counters are the NetVMs' words: one that does not give them holds nobody up twice. */
static void net_refresh(struct top *top)
{
	uint64_t now = now_us(), after;
	struct top_net *v;
	struct net net;
	size_t n = 0;

	if (top->net_off || now < top->net_next_us)
		return;
	if (net_get(&net, top->t, true, NULL) < 0)
		return;
	after = now_us();
	top->net_next_us = after + top->net_gap_us;
	top->net_off = after - now > NET_SLOW_US;
	v = xcalloc(net.n + 1, sizeof *v);
	for (size_t i = 0; i < net.n; i++)
		if (net.v[i].count.known && net_runs(&net.v[i]))
			net_take(&v[n++], &net.v[i], net_of(top, net.v[i].name), after);
	free(top->nets);
	top->nets = v;
	top->n_nets = n;
	net_fini(&net);
}

int top_refresh(struct top *top)
{
	static const char cols[][64] = { "NAME", "STATE", "LABEL", "START_TIME", "DISK" };
	struct ls *ls = &top->ls;
	size_t keep = 0;
	int r;

	ls_fini(ls);
	*ls = (struct ls){ .t = top->t, .n_cols = ARRAY_SIZE(cols) };
	ls->cols = xcalloc(ARRAY_SIZE(cols), sizeof *ls->cols);
	memcpy(ls->cols, cols, sizeof cols);
	r = ls_load(ls, true);
	if (r)
		return r;
	for (size_t i = 0; i < ls->n; i++) {
		const struct adm_qube *q = ls->rows[i].q;

		ls->rows[i].shown = !streq(q->state, "Halted") && !streq(q->cls, "RemoteVM");
		if (streq(q->cls, "AdminVM")) /* a daemon that does not measure it has nothing to say of it */
			ls->rows[i].shown = stat_of(top, q->name) != NULL;
	}
	(void)ls_table(ls);
	ls_fetch(ls);
	/* A qube that ended begins anew when it is started again. */
	for (size_t i = 0; i < top->n_stats; i++)
		for (size_t k = 0; k < ls->n; k++)
			if (ls->rows[k].shown && streq(ls->rows[k].q->name, top->stats[i].name)) {
				top->stats[keep++] = top->stats[i];
				break;
			}
	top->n_stats = keep;
	net_refresh(top);
	return 0;
}

bool top_complete(const struct top *top, unsigned n)
{
	for (size_t i = 0; i < top->ls.n; i++) {
		const struct adm_qube *q = top->ls.rows[i].q;
		const struct top_stat *s = stat_of(top, q->name);
		bool awaited = top->ls.rows[i].shown && (streq(q->state, "Running") || streq(q->state, "Transient"));

		if (streq(q->cls, "AdminVM")) /* once it has begun */
			awaited = s != NULL;
		if (awaited && (!s || s->samples < n))
			return false;
	}
	return true;
}

/* Row with its numbers, for sorting and printing. */
struct line {
	struct ls_row *row;
	const struct top_stat *s; /* NULL = nothing was said yet */
	const struct top_net *net; /* NULL = nobody counts */
	uint64_t disk, start;
	bool outdated;
};

static uint64_t key_of(const struct line *l, enum top_sort by)
{
	static const struct top_stat none;
	const struct top_stat *s = l->s ? l->s : &none;

	switch (by) {
	case TOP_CPU:
		return s->cpu * (s->vcpus ? s->vcpus : 1);
	case TOP_MEM:
		return s->mem_kib;
	case TOP_DISK:
		return l->disk;
	case TOP_NET:
		return l->net ? l->net->sent_rate + l->net->got_rate : 0;
	case TOP_TIME:
		return s->cpu_ms;
	case TOP_START:
		return l->start;
	case TOP_NAME:
	case TOP_SORTS:
		break;
	}
	return 0;
}

/* The greatest first, names from a to z; equal ones by name. */
static int cmp_lines(const void *a, const void *b, void *arg)
{
	const struct line *x = a, *y = b;
	const struct top *top = arg;
	uint64_t kx = key_of(x, top->sort), ky = key_of(y, top->sort);
	int r = (kx < ky) - (kx > ky);

	if (r == 0)
		r = strcmp(x->row->q->name, y->row->q->name);
	return top->reverse ? -r : r;
}

static struct line *lines_of(struct top *top, size_t *ret_n)
{
	struct line *v = xcalloc(top->ls.n + 1, sizeof *v);
	size_t n = 0;

	for (size_t i = 0; i < top->ls.n; i++) {
		struct ls_row *row = &top->ls.rows[i];
		const struct adm_prop *start = adm_props_find(&row->props, "start_time");
		char buf[64];
		const char *disk;

		if (!row->shown)
			continue;
		v[n] = (struct line){ .row = row, .s = stat_of(top, row->q->name), .net = net_of(top, row->q->name) };
		disk = ls_cell(&top->ls, row, "DISK", buf, sizeof buf);
		if (!disk || str_u64(disk, UINT64_MAX, &v[n].disk) < 0)
			v[n].disk = 0;
		if (start)
			v[n].start = strtoull(start->value, NULL, 10); /* seconds, with a fraction behind */
		v[n].outdated = row->root.data && adm_kv(row->root.data, "is_outdated", buf, sizeof buf) == 0 && streq(buf, "True");
		n++;
	}
	qsort_r(v, n, sizeof *v, cmp_lines, top);
	*ret_n = n;
	return v;
}

static void span_text(char out[32], uint64_t seconds)
{
	unsigned long long s = seconds;
	int r = s >= 86400 ? str_printf(out, 32, "%llud%02lluh", s / 86400, s / 3600 % 24) :
		s >= 3600  ? str_printf(out, 32, "%lluh%02llum", s / 3600, s / 60 % 60) :
			     str_printf(out, 32, "%llum%02llus", s / 60, s % 60);

	if (r < 0)
		out[0] = '\0';
}

static void add_line(const struct top *top, struct table *tb, const struct line *l)
{
	const struct adm_prop *label = adm_props_find(&l->row->props, "label");
	uint64_t now = (uint64_t)time(NULL);
	char text[32];
	uint32_t rgb;

	table_add(tb, l->row->q->name);
	if (top->t->colour && label && label_rgb(label->value, &rgb) == 0)
		table_colour(tb, rgb);
	table_add(tb, l->row->q->state);
	if (l->s && l->s->samples > 1)
		table_addf(tb, "%llu%%", (unsigned long long)l->s->cpu);
	else
		table_add(tb, NULL);
	if (l->s) {
		table_addf(tb, "%llu", (unsigned long long)l->s->vcpus);
		span_text(text, l->s->cpu_ms / 1000);
		table_add(tb, text);
		table_addf(tb, "%llu", (unsigned long long)(l->s->mem_kib >> 10));
		table_addf(tb, "%llu", (unsigned long long)(l->s->assigned_kib >> 10));
	} else {
		for (int i = 0; i < 4; i++)
			table_add(tb, NULL);
	}
	table_addf(tb, "%llu", (unsigned long long)l->disk);
	net_bytes(tb, l->net && l->net->rate, l->net ? l->net->sent_rate : 0);
	net_bytes(tb, l->net && l->net->rate, l->net ? l->net->got_rate : 0);
	span_text(text, l->start && now > l->start ? now - l->start : 0);
	table_add(tb, l->start ? text : NULL);
	table_add(tb, l->outdated ? "restart" : NULL);
}

void top_print(struct top *top, size_t rows)
{
	static const char *const head[] = { "NAME", "STATE", "CPU", "VCPUS", "CPU-TIME", "MEM-MIB", "OF-MIB", "DISK-MIB", "SENT/S", "GOT/S", "UP", "OUTDATED" };
	_cleanup_(table_freep) struct table *tb = table_new(ARRAY_SIZE(head));
	_cleanup_free_ struct line *v = NULL;
	size_t n;

	v = lines_of(top, &n);
	for (size_t i = 0; i < ARRAY_SIZE(head); i++) {
		table_add(tb, head[i]);
		if (i >= 2 && i <= 10)
			table_right(tb, i);
	}
	for (size_t i = 0; i < n && (!rows || i < rows); i++)
		add_line(top, tb, &v[i]);
	table_print(tb, top->t, true);
}

void top_json(struct top *top)
{
	_cleanup_free_ struct line *v = NULL;
	struct json j = { 0 };
	size_t n;

	v = lines_of(top, &n);
	json_open(&j, NULL, '[');
	for (size_t i = 0; i < n; i++) {
		const struct line *l = &v[i];

		json_open(&j, NULL, '{');
		json_str(&j, "name", l->row->q->name);
		json_str(&j, "state", l->row->q->state);
		if (l->s) {
			if (l->s->samples > 1)
				json_int(&j, "cpu_usage", (int64_t)l->s->cpu);
			json_int(&j, "vcpus", (int64_t)l->s->vcpus);
			json_int(&j, "cpu_time_ms", (int64_t)l->s->cpu_ms);
			json_int(&j, "memory_kib", (int64_t)l->s->mem_kib);
			json_int(&j, "assigned_kib", (int64_t)l->s->assigned_kib);
		}
		json_int(&j, "disk_mib", (int64_t)l->disk);
		if (l->net) {
			json_int(&j, "sent_bytes", (int64_t)(l->net->sent & INT64_MAX));
			json_int(&j, "received_bytes", (int64_t)(l->net->got & INT64_MAX));
		}
		if (l->net && l->net->rate) {
			json_int(&j, "sent_per_second", (int64_t)l->net->sent_rate);
			json_int(&j, "received_per_second", (int64_t)l->net->got_rate);
		}
		if (l->start)
			json_int(&j, "start_time", (int64_t)l->start);
		json_bool(&j, "outdated", l->outdated);
		json_close(&j, '}');
	}
	json_close(&j, ']');
}

void top_fini(struct top *top)
{
	ls_fini(&top->ls);
	free(top->stats);
	free(top->nets);
}
