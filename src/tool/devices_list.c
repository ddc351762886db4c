/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Devices of all qubes and who has them: collected by many calls at once, shown as a table or JSON. */
#include "tool/devices.h"

enum { ASK_AVAILABLE, ASK_ASSIGNED, ASK_ATTACHED, ASK_N };
static const char *const asks[ASK_N] = { "Available", "Assigned", "Attached" };

static void method_of(char out[64], enum dev_class cls, const char *what)
{
	if (str_printf(out, 64, "admin.vm.device.%s.%s", dev_class_name(cls), what) < 0)
		abort(); /* both are from tables */
}

/* The serialised part of an answer's line, behind the name. */
static struct rd serialised(const char *line)
{
	const char *blank = strchrnul(line, ' ');

	return rd_mem(blank + (*blank != '\0'), strlen(blank + (*blank != '\0')));
}

static int malformed(struct err *e)
{
	return err_set(e, ADM_BAD_ANSWER, "the answer of qubesd about devices is malformed");
}

static struct dev_line *new_line(struct dev_table *dt)
{
	dt->v = xreallocarray(dt->v, dt->n + 1, sizeof *dt->v);
	memset(&dt->v[dt->n], 0, sizeof *dt->v);
	return &dt->v[dt->n++];
}

static int add_devices(struct dev_table *dt, char *text, struct err *e)
{
	char *line;

	while ((line = adm_line(&text))) {
		struct dev_line *l = new_line(dt);

		l->here = true;
		if (dev_info_parse(&l->d, serialised(line), NULL) < 0)
			return malformed(e);
	}
	return 0;
}

static void add_use(struct dev_line *l, const char *qube, const struct dev_assignment *a)
{
	for (size_t i = 0; i < l->n_uses; i++) {
		struct dev_use *u = &l->uses[i];

		if (!streq(u->qube, qube) || (u->a.mode == DEV_MANUAL) != (a->mode == DEV_MANUAL))
			continue;
		/* Several assignments of a qube mean this device: the most specific one is in force. */
		if (dev_name_rank(&a->dev) > dev_name_rank(&u->a.dev))
			u->a = *a;
		return;
	}
	l->uses = xreallocarray(l->uses, l->n_uses + 1, sizeof *l->uses);
	l->uses[l->n_uses++] = (struct dev_use){ .qube = qube, .a = *a };
}

static int add_uses(struct dev_table *dt, const char *qube, char *text, bool attached, enum dev_class cls, struct err *e)
{
	char *line;

	while ((line = adm_line(&text))) {
		struct dev_assignment a;
		bool found = false;

		if (dev_assignment_parse(&a, serialised(line), NULL) < 0)
			return malformed(e);
		a.mode = attached ? DEV_MANUAL : a.mode;
		for (size_t i = 0; i < dt->n; i++) {
			struct dev_line *l = &dt->v[i];

			if (!dev_name_matches(&a.dev, &l->d.dev) && !(!l->here && streq(a.dev.backend, l->d.dev.backend) &&
								     streq(a.dev.port, l->d.dev.port) && streq(a.dev.id, l->d.dev.id)))
				continue;
			add_use(l, qube, &a);
			found = found || l->here || !dev_name_exact(&a.dev);
		}
		if (!found) {
			struct dev_line *l = new_line(dt);

			l->d = (struct dev_info){ .dev = a.dev, .cls = cls };
			add_use(l, qube, &a);
		}
	}
	return 0;
}

static int cmp_line(const void *x, const void *y)
{
	const struct dev_name *a = &((const struct dev_line *)x)->d.dev, *b = &((const struct dev_line *)y)->d.dev;
	int r = strcmp(a->backend, b->backend);

	if (r == 0)
		r = strcmp(a->port, b->port);
	return r ? r : strcmp(a->id, b->id);
}

/* A qube that is not up offers nothing and has nothing attached; dom0 always is. */
static bool offers(const struct adm_qube *q)
{
	return (streq(q->state, "Running") || streq(q->state, "Paused") || streq(q->state, "Suspended")) && !streq(q->cls, "RemoteVM");
}

static int collect(struct dev_table *dt, enum dev_class cls, struct bulk_call *calls, struct err *e)
{
	size_t n = dt->qubes.n;
	int r = 0;

	for (size_t i = 0; i < ASK_N * n && r == 0; i++) {
		struct bulk_call *c = &calls[i];

		if (!c->dest)
			continue;
		if (c->r < 0) {
			/* A qube that has gone, or has stopped, since it was listed has no devices. */
			if (c->r == -ADM_EXC_NOT_FOUND || adm_is_not_started(c->r))
				continue;
			*e = c->e;
			return c->r;
		}
		r = i < n ? add_devices(dt, c->rep.data, e) : add_uses(dt, c->dest, c->rep.data, i >= 2 * n, cls, e);
	}
	if (r == 0 && dt->n)
		qsort(dt->v, dt->n, sizeof *dt->v, cmp_line);
	return r;
}

int dev_table_get(struct dev_table *ret, enum dev_class cls, struct err *e)
{
	char methods[ASK_N][64];
	struct bulk_call *calls, *at;
	size_t n, k = 0;
	int r;

	*ret = (struct dev_table){ .n = 0 };
	r = adm_qubes_get(&ret->qubes, "dom0", e);
	if (r < 0)
		return r;
	n = ret->qubes.n;
	calls = xcalloc(ASK_N * n + 1, sizeof *calls);
	at = xcalloc(ASK_N * n + 1, sizeof *at);
	for (size_t a = 0; a < ASK_N; a++) {
		method_of(methods[a], cls, asks[a]);
		for (size_t i = 0; i < n; i++)
			if (a == ASK_ASSIGNED || offers(&ret->qubes.v[i]))
				at[k++] = (struct bulk_call){ .dest = ret->qubes.v[i].name, .method = methods[a], .user = &calls[a * n + i] };
	}
	calls_run(at, k, NULL, NULL);
	for (size_t i = 0; i < k; i++)
		*(struct bulk_call *)at[i].user = at[i];
	r = collect(ret, cls, calls, e);
	calls_fini(at, k);
	free(at);
	free(calls);
	if (r < 0)
		dev_table_fini(ret);
	return r;
}

void dev_table_fini(struct dev_table *dt)
{
	for (size_t i = 0; i < dt->n; i++)
		free(dt->v[i].uses);
	free(dt->v);
	adm_qubes_fini(&dt->qubes);
	*dt = (struct dev_table){ .n = 0 };
}

/* "work (attached: read-only=no)", "*work (required)". */
static void put_use(struct wr *w, const struct dev_use *u)
{
	bool attached = u->a.mode == DEV_MANUAL;

	wr_printf(w, "%s%s%s (%s", w->len ? ", " : "", attached ? "" : "*", u->qube, attached ? "attached" : dev_mode_name(u->a.mode));
	for (size_t i = 0; i < u->a.opts.n; i++)
		wr_printf(w, "%s%s=%s", i ? ", " : ": ", u->a.opts.v[i].key, u->a.opts.v[i].value);
	wr_u8(w, ')');
}

static bool concerns(const struct dev_line *l, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		if (streq(l->d.dev.backend, argv[i]))
			return true;
		for (size_t k = 0; k < l->n_uses; k++)
			if (streq(l->uses[k].qube, argv[i]))
				return true;
	}
	return argc == 0;
}

static void json_uses(struct json *j, const char *key, const struct dev_line *l, bool attached)
{
	json_open(j, key, '[');
	for (size_t i = 0; i < l->n_uses; i++) {
		const struct dev_use *u = &l->uses[i];

		if ((u->a.mode == DEV_MANUAL) != attached)
			continue;
		json_open(j, NULL, '{');
		json_str(j, "qube", u->qube);
		if (!attached)
			json_str(j, "mode", dev_mode_name(u->a.mode));
		json_open(j, "options", '{');
		for (size_t k = 0; k < u->a.opts.n; k++)
			json_str(j, u->a.opts.v[k].key, u->a.opts.v[k].value);
		json_close(j, '}');
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void json_line(struct json *j, const struct dev_line *l)
{
	char text[400];

	dev_info_text(&l->d, text, sizeof text);
	json_open(j, NULL, '{');
	json_str(j, "backend", l->d.dev.backend);
	json_str(j, "port", l->d.dev.port);
	json_str(j, "device_id", l->d.dev.id);
	json_str(j, "class", dev_class_name(l->d.cls));
	json_bool(j, "present", l->here);
	json_str(j, "description", l->here ? text : NULL);
	json_open(j, "interfaces", '[');
	for (size_t i = 0; l->d.ifaces[i]; i += DEV_IFACE_LEN) {
		char code[DEV_IFACE_LEN + 1] = "";

		memcpy(code, l->d.ifaces + i, DEV_IFACE_LEN);
		json_str(j, NULL, code);
	}
	json_close(j, ']');
	json_open(j, "extra", '{');
	for (size_t i = 0; i < l->d.extra.n; i++)
		json_str(j, l->d.extra.v[i].key, l->d.extra.v[i].value);
	json_close(j, '}');
	json_uses(j, "attached", l, true);
	json_uses(j, "assigned", l, false);
	json_close(j, '}');
}

static void table_line(struct table *tb, const struct tool *t, const struct dev_line *l)
{
	_cleanup_wr_ struct wr uses = wr_grow(1u << 20);
	const char *sbdf = dev_option_get(&l->d.extra, "sbdf");
	char text[400] = "not there";

	if (l->here)
		dev_info_text(&l->d, text, sizeof text);
	for (size_t i = 0; i < l->n_uses; i++)
		if (l->uses[i].a.mode == DEV_MANUAL || opt_has(t, 's'))
			put_use(&uses, &l->uses[i]);
	wr_u8(&uses, '\0');
	/* A pattern, or a device that has no port of its own, is shown with its id. */
	if (streq(l->d.dev.port, "*"))
		table_addf(tb, "%s:%s:%s", l->d.dev.backend, l->d.dev.port, l->d.dev.id);
	else
		table_addf(tb, "%s:%s", l->d.dev.backend, l->d.dev.port);
	if (opt_has(t, KEY_SBDF))
		table_add(tb, sbdf);
	table_add(tb, text);
	table_add(tb, wr_ok(&uses) ? (const char *)uses.buf : NULL);
}

int devices_list(struct tool *t, enum dev_class cls, int argc, char **argv)
{
	_cleanup_(table_freep) struct table *tb = table_new(opt_has(t, KEY_SBDF) ? 4 : 3);
	struct dev_table dt;
	struct json j = { 0 };
	struct err e = { 0 };
	int r = dev_table_get(&dt, cls, &e);

	if (r < 0)
		return tool_api(t, r, &e);
	for (int i = 0; i < argc && r == 0; i++)
		if (!adm_qubes_find(&dt.qubes, argv[i]))
			r = tool_usage(t, "no such qube: '%s'", argv[i]);
	table_add(tb, "BACKEND:DEVID");
	if (opt_has(t, KEY_SBDF))
		table_add(tb, "SBDF");
	table_add(tb, "DESCRIPTION");
	table_add(tb, "USED BY");
	if (r == 0 && opt_has(t, KEY_JSON))
		json_open(&j, NULL, '[');
	for (size_t i = 0; i < dt.n && r == 0; i++) {
		if (!concerns(&dt.v[i], argc, argv))
			continue;
		if (opt_has(t, KEY_JSON))
			json_line(&j, &dt.v[i]);
		else if (dt.v[i].here || opt_has(t, 's'))
			table_line(tb, t, &dt.v[i]);
	}
	if (r == 0 && opt_has(t, KEY_JSON))
		json_close(&j, ']');
	else if (r == 0)
		table_print(tb, t, t->tty);
	dev_table_fini(&dt);
	return r;
}

int devices_lookup(enum dev_class cls, const struct dev_name *name, struct dev_info *ret, struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	char method[64], *text, *line;
	int r;

	method_of(method, cls, "Available");
	r = adm_text(&rep, name->backend, method, name->port, NULL, e);
	if (r < 0)
		return r;
	text = rep.data;
	while ((line = adm_line(&text))) {
		if (dev_info_parse(ret, serialised(line), NULL) < 0)
			return malformed(e);
		if (dev_name_matches(name, &ret->dev))
			return 1;
	}
	return 0;
}

int devices_assigned(const char *qube, enum dev_class cls, struct dev_assignment **ret, size_t *ret_n, struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	_cleanup_free_ struct dev_assignment *v = NULL;
	char method[64], *text, *line;
	size_t n = 0;
	int r;

	method_of(method, cls, "Assigned");
	r = adm_text(&rep, qube, method, NULL, NULL, e);
	if (r < 0)
		return r;
	text = rep.data;
	while ((line = adm_line(&text))) {
		v = xreallocarray(v, n + 1, sizeof *v);
		if (dev_assignment_parse(&v[n++], serialised(line), NULL) < 0)
			return malformed(e);
	}
	*ret = STEAL_PTR(v);
	*ret_n = n;
	return 0;
}

static void print_info(const struct dev_info *d)
{
	const struct {
		const char *key, *value;
	} rows[] = {
		{ "device", d->dev.port },	{ "id", d->dev.id },	       { "backend", d->dev.backend }, { "class", dev_class_name(d->cls) },
		{ "vendor", d->vendor },	{ "manufacturer", d->manufacturer }, { "product", d->product }, { "name", d->name },
		{ "serial", d->serial },	{ "parent", d->parent_port },  { "attached to", d->attachment },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].value[0])
			printf("%s: %s\n", rows[i].key, rows[i].value);
	for (size_t i = 0; d->ifaces[i]; i += DEV_IFACE_LEN)
		printf("interface: %.7s %s\n", d->ifaces + i, dev_iface_text(d->ifaces + i));
	for (size_t i = 0; i < d->extra.n; i++)
		printf("%s: %s\n", d->extra.v[i].key, d->extra.v[i].value);
}

int devices_info(struct tool *t, enum dev_class cls, int argc, char **argv)
{
	struct json j = { 0 };

	if (opt_has(t, KEY_JSON))
		json_open(&j, NULL, '[');
	for (int i = 0; i < argc; i++) {
		struct dev_line l = { .here = true };
		struct dev_name name;
		struct err e = { 0 };
		int r;

		if (dev_name_parse(&name, argv[i], &e) < 0)
			return tool_usage(t, "%s", e.msg);
		r = devices_lookup(cls, &name, &l.d, &e);
		if (r < 0)
			return tool_api(t, r, &e);
		if (r == 0)
			return tool_fail(t, "there is no %s device %s; '%s list' shows what there is", dev_class_name(cls), argv[i], t->verb->name);
		if (opt_has(t, KEY_JSON)) {
			json_line(&j, &l);
			continue;
		}
		if (i > 0)
			(void)putchar('\n');
		print_info(&l.d);
	}
	if (opt_has(t, KEY_JSON))
		json_close(&j, ']');
	return 0;
}
