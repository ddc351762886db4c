/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lists of devices: what a qube offers, what is assigned to one, what is attached to it (the microphone only, as long as there is no driver
 * for another class), and the interfaces that may not be attached to it.
 */
#include "base/str.h"
#include "core/api/api.h"
#include "core/api/device.h"

#define CODE_LEN DEV_IFACE_LEN

/* A listing of a guest's devices under way; kept in call.state. */
struct listing {
	enum dev_class cls;
	char backend[QNAME_MAX + 1];
	bool block_next; /* this reading is of USB devices, the parents of the block devices that come next */
	struct dev_list usb;
	devices_fn next;
};

static void on_entries(struct call *c, int k, const struct kvmap *map);

/* A qube that starts or ends offers nothing: its QubesDB may not be there. */
static bool up(const struct qube *q)
{
	return q->state == LIFE_RUNNING || q->state == LIFE_PAUSED || q->state == LIFE_SUSPENDED;
}

static int read_guest(struct call *c, struct listing *l)
{
	struct qube *q = qube_find(c->core, l->backend);

	if (!q || !up(q))
		return err_set(&c->err, AE_VM_NOT_RUNNING, "'%s' is not running any more", l->backend);
	return c->core->ops->report(c->core->ops_ctx, q, l->cls == DEV_USB || l->block_next ? "/qubes-usb-devices/" : "/qubes-block-devices/",
				    c, on_entries);
}

static void on_entries(struct call *c, int k, const struct kvmap *map)
{
	struct listing *l = c->state;
	_cleanup_devices_ struct dev_list out = { 0 };

	if (k >= 0 && l->block_next) {
		l->block_next = false;
		device_guest_list(DEV_USB, l->backend, map, NULL, &l->usb);
		k = read_guest(c, l);
		if (k == CALL_PENDING)
			return;
	} else if (k >= 0) {
		device_guest_list(l->cls, l->backend, map, &l->usb, &out);
		k = l->next(c, &out);
	}
	dev_list_fini(&l->usb);
	call_finish(c, k);
}

int devices_of(struct call *c, const struct qube *backend, enum dev_class cls, devices_fn next)
{
	_cleanup_devices_ struct dev_list l = { 0 };
	struct listing *g;

	if (backend->klass == K_ADMIN)
		device_host_list(c->core, cls, &l);
	if (backend->klass == K_ADMIN || backend->klass == K_REMOTE || (cls != DEV_BLOCK && cls != DEV_USB) || !up(backend) ||
	    c->core->no_vms || !c->core->ops->report)
		return next(c, &l);
	g = xcalloc(1, sizeof *g);
	*g = (struct listing){ .cls = cls, .block_next = cls == DEV_BLOCK, .next = next };
	memcpy(g->backend, backend->name.s, sizeof g->backend);
	free(c->state);
	c->state = g;
	return read_guest(c, g);
}

/* Lines of an answer, which are sorted as a whole. */
struct lines {
	char **v;
	size_t n;
};

static void add_line(struct lines *l, struct wr *w)
{
	char *s = wr_take(w, NULL);

	if (!s)
		return; /* fields are bounded: this is memory, and xrealloc would have ended us */
	l->v = xreallocarray(l->v, l->n + 1, sizeof *l->v);
	l->v[l->n++] = s;
}

static int cmp_line(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void put_lines(struct call *c, struct lines *l)
{
	if (l->n)
		qsort(l->v, l->n, sizeof *l->v, cmp_line);
	for (size_t i = 0; i < l->n; i++) {
		wr_printf(&c->out, "%s\n", l->v[i]);
		free(l->v[i]);
	}
	free(l->v);
}

static int put_available(struct call *c, const struct dev_list *l)
{
	struct lines lines = { 0 };

	for (size_t i = 0; i < l->n; i++) {
		_cleanup_wr_ struct wr w = wr_grow(16384);

		if (c->arg[0] && !streq(c->arg, l->v[i].dev.port))
			continue;
		wr_printf(&w, "%s:%s ", l->v[i].dev.port, l->v[i].dev.id);
		dev_info_put(&w, &l->v[i]);
		add_line(&lines, &w);
	}
	put_lines(c, &lines);
	return 0;
}

int api_device_available(struct call *c)
{
	if (c->arg[0] && !dev_port_ok(c->arg))
		return err_set(&c->err, AE_PROTOCOL, "the argument is not a port");
	return devices_of(c, c->dest, (enum dev_class)c->m->param, put_available);
}

/* The argument of Assigned and Attached: nothing, or what is looked for. */
static int parse_filter(struct call *c, struct dev_name *ret)
{
	if (!c->arg[0]) {
		*ret = (struct dev_name){ "*", "*", "*" };
		return 0;
	}
	return dev_name_parse_arg(ret, c->arg, &c->err) < 0 ? err_set(&c->err, AE_PROTOCOL, "the argument is not BACKEND+PORT") : 0;
}

int api_device_assigned(struct call *c)
{
	struct lines lines = { 0 };
	struct dev_assignment a;
	struct dev_name want;
	int r = parse_filter(c, &want);

	for (size_t i = 0; r == 0 && device_next(c->dest, (enum dev_class)c->m->param, &i, &a);) {
		_cleanup_wr_ struct wr w = wr_grow(16384);

		if (!dev_name_matches(&want, &a.dev))
			continue;
		wr_printf(&w, "%s+%s:%s ", a.dev.backend, a.dev.port, a.dev.id);
		dev_assignment_put(&w, &a);
		add_line(&lines, &w);
	}
	put_lines(c, &lines);
	return r;
}

int api_device_attached(struct call *c)
{
	struct dev_assignment a = { .dev = { "dom0", "mic", DEV_MIC_ID }, .cls = DEV_MIC, .mode = DEV_MANUAL };
	struct dev_name want;
	int r = parse_filter(c, &want);

	if (r < 0 || c->m->param != DEV_MIC || !device_mic_attached(c->dest) || !dev_name_matches(&want, &a.dev))
		return r;
	memcpy(a.frontend, c->dest->name.s, sizeof a.frontend);
	wr_printf(&c->out, "dom0+mic:%s ", a.dev.id);
	dev_assignment_put(&c->out, &a);
	wr_str(&c->out, "\n");
	return 0;
}

int api_denied_list(struct call *c)
{
	struct pval v;
	const char *s = prop_text(c->core, c->dest, P_devices_denied, &v);

	for (size_t i = 0; s[i]; i += CODE_LEN)
		wr_printf(&c->out, "%s%.*s", i ? "\n" : "", CODE_LEN, s + i);
	return 0;
}

/* The payload is codes one after the other, the form of the property. */
static int check_codes(struct call *c, const char *codes)
{
	char out[PV_BUF];
	bool null;
	size_t n = strlen(codes);
	int r = n < PV_BUF ? prop_parse(c->core, c->dest, &props[P_devices_denied], codes, out, &null, &c->err) : -AE_VALUE;

	if (r < 0)
		return err_set(&c->err, AE_VALUE, "not a list of interface codes");
	if (strlen(out) != n)
		return err_set(&c->err, AE_VALUE, "an interface code is given twice");
	return 0;
}

static int store(struct call *c, const char *codes)
{
	return prop_set(c->core, c->dest, &props[P_devices_denied], codes, &c->err);
}

int api_denied_add(struct call *c)
{
	char all[2 * PV_BUF];
	struct pval v;
	int r = check_codes(c, c->body);

	if (r < 0 || !c->body_len)
		return r;
	if (str_printf(all, sizeof all, "%s%s", prop_text(c->core, c->dest, P_devices_denied, &v), c->body) < 0)
		return err_set(&c->err, AE_VALUE, "too many interface codes");
	return store(c, all);
}

int api_denied_remove(struct call *c)
{
	char rest[PV_BUF] = "";
	struct pval v;
	const char *s = prop_text(c->core, c->dest, P_devices_denied, &v);
	size_t o = 0;
	int r;

	if (streq(c->body, "all"))
		return store(c, "");
	r = check_codes(c, c->body);
	if (r < 0 || !c->body_len)
		return r;
	for (size_t i = 0; s[i]; i += CODE_LEN) {
		bool gone = false;

		for (size_t k = 0; c->body[k]; k += CODE_LEN)
			gone |= memcmp(s + i, c->body + k, CODE_LEN) == 0;
		if (!gone) {
			memcpy(rest + o, s + i, CODE_LEN);
			o += CODE_LEN;
		}
	}
	rest[o] = '\0';
	return store(c, rest);
}
