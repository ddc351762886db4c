/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The qubes as the daemon tells them: read once, then again one by one when an event says that something of it changed. */
#include "gui/manager/manager.h"

#include <glib-unix.h>

#include "client/answers.h"

#define QUBES_MAX 4096
#define LABELS_MAX 64
#define SOON_MS 60     /* events come in bursts */
#define AGAIN_MS 1000  /* next try to reach the daemon */

static struct {
	struct mg_qube *v;
	size_t n, cap;
	struct mg_label labels[LABELS_MAX];
	size_t n_labels;
	struct adm_events events, stats;
	guint events_src, stats_src, soon, again;
	bool connected, all; /* all: the list is to be read again */
	GHashTable *dirty;
	model_fn fn;
} st = { .events = { .fd = -1 }, .stats = { .fd = -1 } };

bool model_connected(void)
{
	return st.connected;
}

size_t model_count(void)
{
	return st.n;
}

const struct mg_qube *model_at(size_t i)
{
	return i < st.n ? &st.v[i] : NULL;
}

static struct mg_qube *find(const char *name)
{
	for (size_t i = 0; i < st.n; i++)
		if (streq(st.v[i].name, name))
			return &st.v[i];
	return NULL;
}

const struct mg_qube *model_find(const char *name)
{
	return name ? find(name) : NULL;
}

size_t model_labels(const struct mg_label **ret)
{
	*ret = st.labels;
	return st.n_labels;
}

bool model_running(const struct mg_qube *q)
{
	return !streq(q->state, "Halted") && !streq(q->state, "NA");
}

/* Texts of the daemon that are too long for us stay empty. */
static void set(char *out, size_t cap, const char *s)
{
	if (!s || str_copy(out, cap, s) < 0)
		out[0] = '\0';
}

static uint32_t colour_of(const char *label)
{
	for (size_t i = 0; i < st.n_labels; i++)
		if (streq(st.labels[i].name, label))
			return st.labels[i].colour;
	return 0x808080;
}

static void read_labels(void)
{
	_cleanup_reply_ struct adm_reply list = { 0 };
	struct err e = { 0 };
	char *rest, *line;

	st.n_labels = 0;
	if (adm_text(&list, "dom0", "admin.label.List", NULL, NULL, &e) < 0)
		return;
	rest = list.data;
	while ((line = adm_line(&rest)) && st.n_labels < LABELS_MAX) {
		_cleanup_reply_ struct adm_reply one = { 0 };
		struct mg_label *l = &st.labels[st.n_labels];

		if (str_copy(l->name, sizeof l->name, line) < 0 || adm_text(&one, "dom0", "admin.label.Get", line, NULL, &e) < 0)
			continue;
		l->colour = (uint32_t)g_ascii_strtoull(one.data, NULL, 16);
		st.n_labels++;
	}
}

static bool yes(const struct adm_props *p, const char *name)
{
	const struct adm_prop *v = adm_props_find(p, name);

	return v && streq(v->value, "True");
}

static const char *text(const struct adm_props *p, const char *name)
{
	const struct adm_prop *v = adm_props_find(p, name);

	return v ? v->value : "";
}

static bool volume_outdated(const char *qube, const char *volume)
{
	_cleanup_reply_ struct adm_reply info = { 0 };
	struct err e = { 0 };
	char v[8];

	return adm_text(&info, qube, "admin.vm.volume.Info", volume, NULL, &e) == 0 && adm_kv(info.data, "is_outdated", v, sizeof v) == 0 && streq(v, "True");
}

static bool feature(const char *qube, const char *name)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct err e = { 0 };

	return adm_text(&rep, qube, "admin.vm.feature.Get", name, NULL, &e) == 0 && rep.len > 0 && !streq(rep.data, "0");
}

static bool has_microphone(const char *qube)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct err e = { 0 };

	return adm_text(&rep, qube, "admin.vm.device.mic.Attached", NULL, NULL, &e) == 0 && rep.len > 0;
}

static void read_qube(struct mg_qube *q)
{
	struct adm_props p = { 0 };
	const struct adm_prop *netvm;
	struct err e = { 0 };

	if (adm_props_get(&p, q->name, false, &e) < 0)
		return;
	netvm = adm_props_find(&p, "netvm");
	set(q->label, sizeof q->label, text(&p, "label"));
	set(q->tmpl, sizeof q->tmpl, text(&p, "template"));
	set(q->netvm, sizeof q->netvm, netvm ? netvm->value : "");
	q->netvm_default = netvm && netvm->is_default;
	q->autostart = yes(&p, "autostart");
	q->provides_network = yes(&p, "provides_network");
	q->template_for_dispvms = yes(&p, "template_for_dispvms");
	q->colour = colour_of(q->label);
	q->internal = feature(q->name, "internal");
	q->updates = streq(q->cls, "TemplateVM") && feature(q->name, "updates-available");
	q->outdated = model_running(q) && q->tmpl[0] && (volume_outdated(q->name, "root") || volume_outdated(q->name, "private"));
	q->mic = model_running(q) && has_microphone(q->name);
	if (!model_running(q)) {
		q->memory_kib = 0;
		q->cpu = 0;
	}
	adm_props_fini(&p);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct mg_qube *)a)->name, ((const struct mg_qube *)b)->name);
}

static bool read_list(void)
{
	struct adm_qubes list = { 0 };
	struct err e = { 0 };
	size_t keep = 0;

	if (adm_qubes_get(&list, "dom0", &e) < 0)
		return false;
	for (size_t i = 0; i < st.n; i++)
		st.v[i].seen = false;
	for (size_t i = 0; i < list.n && st.n < QUBES_MAX; i++) {
		struct mg_qube *q;

		if (streq(list.v[i].cls, "AdminVM"))
			continue;
		q = find(list.v[i].name);
		if (!q) {
			if (st.n == st.cap) {
				st.cap = st.cap ? st.cap * 2 : 64;
				st.v = xreallocarray(st.v, st.cap, sizeof *st.v);
			}
			q = &st.v[st.n++];
			*q = (struct mg_qube){ .colour = 0 };
			set(q->name, sizeof q->name, list.v[i].name);
			g_hash_table_add(st.dirty, g_strdup(q->name));
		}
		set(q->cls, sizeof q->cls, list.v[i].cls);
		set(q->state, sizeof q->state, list.v[i].state);
		set(q->uuid, sizeof q->uuid, list.v[i].uuid);
		q->seen = true;
	}
	for (size_t i = 0; i < st.n; i++)
		if (st.v[i].seen)
			st.v[keep++] = st.v[i];
	st.n = keep;
	if (st.n)
		qsort(st.v, st.n, sizeof *st.v, by_name);
	adm_qubes_fini(&list);
	return true;
}

static gboolean on_soon(gpointer arg)
{
	bool all = st.all;
	GHashTableIter it;
	gpointer name;

	st.soon = 0;
	/* States come with the list, so it is read every time: one call. */
	st.all = false;
	if (st.connected)
		(void)read_list();
	g_hash_table_iter_init(&it, st.dirty);
	while (g_hash_table_iter_next(&it, &name, NULL)) {
		struct mg_qube *q = find(name);

		if (q)
			read_qube(q);
		if (!all)
			st.fn(name);
	}
	g_hash_table_remove_all(st.dirty);
	if (all)
		st.fn(NULL);
	return G_SOURCE_REMOVE;
}

static void soon(const char *name, bool all)
{
	if (name)
		g_hash_table_add(st.dirty, g_strdup(name));
	st.all |= all;
	if (!st.soon)
		st.soon = g_timeout_add(SOON_MS, on_soon, NULL);
}

/* Is q made from what `base` keeps, directly or by way of another qube? */
static bool made_from(const struct mg_qube *q, const char *base)
{
	for (int i = 0; q && i < 4; i++, q = find(q->tmpl))
		if (streq(q->tmpl, base))
			return true;
	return false;
}

/* A template that has stopped may have left something newer for those that run. */
static void base_stopped(const char *base)
{
	for (size_t i = 0; i < st.n; i++)
		if (model_running(&st.v[i]) && made_from(&st.v[i], base))
			soon(st.v[i].name, false);
}

static void lost(void);

/* 1 = one was taken, 0 = no more now. */
static int take(struct adm_events *s, bool stats)
{
	struct adm_event ev;
	struct err e = { 0 };
	int r = adm_events_next(s, 0, &ev, &e);

	if (r == -ETIMEDOUT)
		return 0;
	if (r != 1) {
		lost();
		return 0;
	}
	if (stats) {
		struct mg_qube *q = find(ev.subject);
		const char *kib = adm_event_arg(&ev, "memory_kb"), *cpu = adm_event_arg(&ev, "cpu_usage");
		uint64_t v;

		if (!q)
			return 1;
		if (kib && str_u64(kib, UINT64_MAX, &v) == 0)
			q->memory_kib = v;
		if (cpu && str_u64(cpu, 1000, &v) == 0)
			q->cpu = (unsigned)v;
		st.fn(q->name);
		return 1;
	}
	if (streq(ev.name, "domain-shutdown") || streq(ev.name, "domain-stopped"))
		base_stopped(ev.subject);
	if (ev.subject[0])
		soon(ev.subject, streq(ev.name, "domain-add") || streq(ev.name, "domain-delete"));
	else
		soon(adm_event_arg(&ev, "vm"), true);
	return 1;
}

static gboolean on_events(gint fd, GIOCondition cond, gpointer arg)
{
	bool stats = arg != NULL;
	struct adm_events *s = stats ? &st.stats : &st.events;

	while (s->fd >= 0 && take(s, stats) == 1)
		;
	return s->fd >= 0 ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static gboolean connect_all(gpointer arg)
{
	struct err e = { 0 };

	st.again = 0;
	if (adm_events_open(&st.events, "dom0", "admin.Events", &e) < 0) {
		st.again = g_timeout_add(AGAIN_MS, connect_all, NULL);
		return G_SOURCE_REMOVE;
	}
	st.events_src = g_unix_fd_add(st.events.fd, G_IO_IN | G_IO_HUP, on_events, NULL);
	if (adm_events_open(&st.stats, "dom0", "admin.vm.Stats", &e) == 0)
		st.stats_src = g_unix_fd_add(st.stats.fd, G_IO_IN | G_IO_HUP, on_events, &st);
	st.connected = true;
	read_labels();
	(void)read_list();
	for (size_t i = 0; i < st.n; i++)
		g_hash_table_add(st.dirty, g_strdup(st.v[i].name));
	st.all = true;
	(void)on_soon(NULL);
	return G_SOURCE_REMOVE;
}

static void stop(guint *src)
{
	if (*src)
		g_source_remove(*src);
	*src = 0;
}

static void lost(void)
{
	stop(&st.events_src);
	stop(&st.stats_src);
	adm_events_close(&st.events);
	adm_events_close(&st.stats);
	if (st.connected) {
		st.connected = false;
		st.again = g_timeout_add(AGAIN_MS, connect_all, NULL);
		st.fn(NULL);
	}
}

void model_start(model_fn fn)
{
	st.fn = fn;
	st.dirty = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	(void)connect_all(NULL);
}
