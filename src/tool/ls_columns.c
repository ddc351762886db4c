/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Columns and formats of qvm-ls. */
#include "tool/ls.h"

enum source { S_LIST, S_PROPS, S_DISK, S_FLAGS };

static const struct column {
	const char *name;
	enum source source;
	const char *prop; /* S_PROPS: the property */
	const char *help;
} columns[] = {
	{ "NAME", S_LIST, NULL, "name" },
	{ "STATE", S_LIST, NULL, "run state" },
	{ "CLASS", S_LIST, NULL, "class" },
	{ "UUID", S_LIST, NULL, "identity that no other qube ever had" },
	{ "LABEL", S_PROPS, "label", "label" },
	{ "TEMPLATE", S_PROPS, "template", "template" },
	{ "NETVM", S_PROPS, "netvm", "NetVM" },
	{ "QID", S_PROPS, "qid", "number of the qube" },
	{ "XID", S_PROPS, "xid", "number of the running domain" },
	{ "IP", S_PROPS, "ip", "address" },
	{ "IPBACK", S_PROPS, "visible_gateway", "gateway that the qube sees" },
	{ "GATEWAY", S_PROPS, "gateway", "address that the qube has as a gateway for others" },
	{ "KERNEL", S_PROPS, "kernel", "kernel" },
	{ "KERNELOPTS", S_PROPS, "kernelopts", "kernel options" },
	{ "FLAGS", S_FLAGS, NULL, "eight letters: type, state, Updateable, Network, RPM, internal, Debug, Autostart" },
	{ "DISK", S_DISK, NULL, "MiB used by all volumes" },
	{ "PRIV-CURR", S_DISK, NULL, "MiB used by the private volume" },
	{ "PRIV-MAX", S_DISK, NULL, "MiB the private volume may have" },
	{ "PRIV-USED", S_DISK, NULL, "the same in percent" },
	{ "ROOT-CURR", S_DISK, NULL, "MiB used by the root volume" },
	{ "ROOT-MAX", S_DISK, NULL, "MiB the root volume may have" },
	{ "ROOT-USED", S_DISK, NULL, "the same in percent" },
	{ "OUTDATED", S_DISK, NULL, "yes: it runs on an older state of its template until its next start" },
};

static const struct {
	const char *name, *cols;
} formats[] = {
	{ "simple", "NAME,STATE,CLASS,LABEL,TEMPLATE,NETVM" },
	{ "network", "NAME,STATE,NETVM,IP,IPBACK,GATEWAY" },
	{ "full", "NAME,STATE,CLASS,LABEL,QID,XID,UUID" },
	{ "kernel", "NAME,STATE,CLASS,TEMPLATE,KERNEL,KERNELOPTS" },
	{ "prefs", "NAME,LABEL,TEMPLATE,NETVM,VCPUS,MEMORY,MAXMEM,VIRT_MODE,KERNEL,AUTOSTART,DEFAULT_DISPVM" },
	{ "disk", "NAME,STATE,DISK,PRIV-CURR,PRIV-MAX,PRIV-USED,ROOT-CURR,ROOT-MAX,ROOT-USED" },
};

static const struct column *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		if (streq(columns[i].name, name))
			return &columns[i];
	return NULL;
}

int ls_load(struct ls *ls, bool shown)
{
	struct err e = { 0 };
	int r = adm_qubes_get(&ls->all, "dom0", &e);

	if (r < 0)
		return tool_api(ls->t, r, &e);
	ls->n = ls->all.n;
	ls->rows = xcalloc(ls->n + 1, sizeof *ls->rows);
	for (size_t i = 0; i < ls->n; i++)
		ls->rows[i] = (struct ls_row){ .q = &ls->all.v[i], .shown = shown };
	return 0;
}

void ls_fini(struct ls *ls)
{
	for (size_t i = 0; i < ls->n && ls->rows; i++) {
		adm_props_fini(&ls->rows[i].props);
		adm_reply_fini(&ls->rows[i].root);
		adm_reply_fini(&ls->rows[i].priv);
		adm_reply_fini(&ls->rows[i].internal);
	}
	free(ls->rows);
	free(ls->cols);
	adm_reply_fini(&ls->table);
	adm_qubes_fini(&ls->all);
}

const char *ls_format(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (streq(formats[i].name, name))
			return formats[i].cols;
	return NULL;
}

const char *ls_format_at(size_t i)
{
	return i < ARRAY_SIZE(formats) ? formats[i].name : NULL;
}

const char *ls_column_at(size_t i)
{
	return i < ARRAY_SIZE(columns) ? columns[i].name : NULL;
}

bool ls_known_column(const char *col)
{
	return find(col) != NULL;
}

void ls_print_columns(const struct tool *t)
{
	_cleanup_(table_freep) struct table *tb = table_new(2);

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		table_add(tb, columns[i].name);
		table_add(tb, columns[i].help);
	}
	table_add(tb, "any property");
	table_add(tb, "'qvm-prefs --help-properties QUBE' explains them");
	table_print(tb, t, true);
}

void ls_print_formats(const struct tool *t)
{
	_cleanup_(table_freep) struct table *tb = table_new(2);

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		table_add(tb, formats[i].name);
		table_add(tb, formats[i].cols);
	}
	table_print(tb, t, true);
}

bool ls_needs_props(const struct ls *ls)
{
	if (opt_has(ls->t, KEY_LABEL) || opt_has(ls->t, KEY_TEMPLATE_SOURCE) || opt_has(ls->t, KEY_NETVM_IS) || opt_has(ls->t, KEY_PREFS))
		return true;
	for (size_t i = 0; i < ls->n_cols; i++) {
		const struct column *c = find(ls->cols[i]);

		if (!c || c->source == S_PROPS || c->source == S_FLAGS)
			return true;
	}
	return ls->t->colour || opt_has(ls->t, 't');
}

static bool needs(const struct ls *ls, enum source s)
{
	for (size_t i = 0; i < ls->n_cols; i++) {
		const struct column *c = find(ls->cols[i]);

		if (c && c->source == s)
			return true;
	}
	return false;
}

/* The property behind a column: "KERNEL-OPTS" is kernel_opts. */
static void prop_name(char out[64], const char *col)
{
	const struct column *c = find(col);
	size_t i;

	if (c && c->prop)
		col = c->prop;
	for (i = 0; col[i] && i + 1 < 64; i++)
		out[i] = col[i] == '-' ? '_' : (char)(col[i] >= 'A' && col[i] <= 'Z' ? col[i] - 'A' + 'a' : col[i]);
	out[i] = '\0';
}

#define TABLE_COLS 64

/* Names of what the columns and filters need, each once. Gives their number, or 0 when there are too many for one call. */
static size_t table_names(const struct ls *ls, char names[TABLE_COLS][64])
{
	static const char *const flag_props[] = { "virt_mode", "updateable", "provides_network", "installed_by_rpm", "debug", "autostart",
						  "feature.internal" };
	static const char *const always[] = { "label", "template", "netvm", "pause_reason" }; /* colours, filters, --tree, notes */
	size_t n = 0;
	const char *kv;

	for (size_t i = 0; i < ARRAY_SIZE(always); i++)
		(void)!str_copy(names[n++], 64, always[i]);
	for (size_t i = 0; i < ls->n_cols && n < TABLE_COLS - 8; i++) {
		const struct column *c = find(ls->cols[i]);

		if (c && c->source == S_FLAGS)
			for (size_t k = 0; k < ARRAY_SIZE(flag_props); k++)
				(void)!str_copy(names[n++], 64, flag_props[k]);
		else if (!c || c->source == S_PROPS)
			prop_name(names[n++], ls->cols[i]);
	}
	for (size_t i = 0; (kv = opt_nth(ls->t, KEY_PREFS, i)) && n < TABLE_COLS; i++)
		if (str_printf(names[n++], 64, "%.*s", (int)strcspn(kv, "=\n"), kv) < 0)
			return 0;
	return n >= TABLE_COLS - 8 ? 0 : n;
}

static struct ls_row *row_named(struct ls *ls, const char *name, size_t hint)
{
	if (hint < ls->n && streq(ls->rows[hint].q->name, name))
		return &ls->rows[hint];
	for (size_t i = 0; i < ls->n; i++)
		if (streq(ls->rows[i].q->name, name))
			return &ls->rows[i];
	return NULL;
}

static void take_row(struct ls *ls, char *line, char names[TABLE_COLS][64], size_t n, size_t hint)
{
	char *name = adm_field(&line), *v;
	struct ls_row *row = name ? row_named(ls, name, hint) : NULL;

	if (!row || row->props.n)
		return;
	row->have_internal = true;
	row->props.v = xcalloc(n, sizeof *row->props.v);
	for (size_t i = 0; i < n && (v = adm_field(&line)); i++) {
		if (v[0] != '=')
			continue;
		if (streq(names[i], "feature.internal"))
			row->internal.len = strlen(v + 1);
		else
			row->props.v[row->props.n++] = (struct adm_prop){ .name = names[i], .type = v, .value = v + 1 };
	}
}

int ls_table(struct ls *ls)
{
	/* static: the rows keep pointers to the names */
	static char names[TABLE_COLS][64];
	_cleanup_wr_ struct wr w = wr_grow(8192);
	size_t n = table_names(ls, names), i = 0;
	char *text, *line;
	int r;

	if (n == 0)
		return -E2BIG;
	for (size_t k = 0; k < n; k++)
		wr_printf(&w, "%s%s", k ? "\n" : "", names[k]);
	wr_u8(&w, 0);
	if (!wr_ok(&w))
		return -E2BIG;
	r = adm_internal(&ls->table, "dom0", "internal.vm.Table", NULL, (const char *)w.buf, NULL);
	if (r < 0)
		return r;
	text = ls->table.data;
	while ((line = adm_line(&text)))
		take_row(ls, line, names, n, i++);
	return 0;
}

struct fetch {
	struct bulk_call *calls;
	size_t n;
};

static void want(struct fetch *f, struct ls_row *row, const char *method, const char *arg)
{
	f->calls[f->n++] = (struct bulk_call){ .dest = row->q->name, .method = method, .arg = arg, .user = row };
}

static void got(struct bulk_call *c, void *arg)
{
	struct ls_row *row = c->user;
	struct adm_reply *to = NULL;

	/* A qube may be gone by now, dom0 has no volumes: the cell stays empty. */
	if (c->r < 0)
		return;
	if (str_ends(c->method, ".GetAll")) {
		row->props.rep = c->rep;
		c->rep.data = NULL;
		if (adm_props_parse(&row->props, NULL) < 0)
			adm_props_fini(&row->props);
		return;
	}
	if (str_ends(c->method, "feature.Get"))
		to = &row->internal;
	else
		to = streq(c->arg, "root") ? &row->root : &row->priv;
	*to = c->rep;
	c->rep.data = NULL;
}

/* Only what runs on a template can be outdated. */
static bool may_be_outdated(const struct ls_row *row)
{
	const char *cls = row->q->cls, *state = row->q->state;

	return (streq(cls, "AppVM") || streq(cls, "DispVM")) && (streq(state, "Running") || streq(state, "Paused"));
}

static bool outdated_volume(const struct adm_reply *info)
{
	char v[8];

	return info->data && adm_kv(info->data, "is_outdated", v, sizeof v) == 0 && streq(v, "True");
}

bool ls_outdated(const struct ls_row *row)
{
	return may_be_outdated(row) && (outdated_volume(&row->root) || outdated_volume(&row->priv));
}

void ls_fetch(struct ls *ls)
{
	bool disk = needs(ls, S_DISK), internal = needs(ls, S_FLAGS), props = ls_needs_props(ls);
	struct fetch f = { .calls = xcalloc(ls->n * 4 + 1, sizeof *f.calls) };

	for (size_t i = 0; i < ls->n; i++) {
		struct ls_row *row = &ls->rows[i];

		if (!row->shown)
			continue;
		if (props && !row->props.n)
			want(&f, row, "admin.vm.property.GetAll", NULL);
		if (internal && !row->internal.data && !row->have_internal)
			want(&f, row, "admin.vm.feature.Get", "internal");
		if ((disk && !streq(row->q->cls, "AdminVM")) || (ls->marks && may_be_outdated(row))) {
			want(&f, row, "admin.vm.volume.Info", "root");
			want(&f, row, "admin.vm.volume.Info", "private");
		}
	}
	calls_run(f.calls, f.n, got, NULL);
	calls_fini(f.calls, f.n);
	free(f.calls);
}

static const char *prop(const struct ls_row *row, const char *name)
{
	const struct adm_prop *p = adm_props_find(&row->props, name);

	return p && *p->value ? p->value : NULL;
}

static bool flag(const struct ls_row *row, const char *name)
{
	const char *v = prop(row, name);

	return v && streq(v, "True");
}

static const char *flags(const struct ls_row *row, char *buf, size_t cap)
{
	static const struct {
		const char *state;
		char letter;
	} states[] = { { "Running", 'r' }, { "Transient", 't' }, { "Paused", 'p' }, { "Suspended", 's' },
		       { "Halting", 'h' }, { "Dying", 'd' },	 { "Crashed", 'c' }, { "Halted", '-' } };
	const char *cls = row->q->cls, *mode = prop(row, "virt_mode");
	char f[9] = "?---?---", type = '-';

	if (cap < sizeof f)
		return NULL;
	type = streq(cls, "AdminVM") ? '0' : streq(cls, "TemplateVM") ? 't' : streq(cls, "AppVM") ? 'a' :
	       streq(cls, "StandaloneVM") ? 's' : streq(cls, "DispVM") ? 'd' : '-';
	if (mode && streq(mode, "hvm") && type >= 'a')
		type = (char)(type - 'a' + 'A');
	f[0] = type;
	f[1] = '?';
	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (streq(states[i].state, row->q->state))
			f[1] = states[i].letter;
	f[2] = flag(row, "updateable") ? 'U' : '-';
	f[3] = flag(row, "provides_network") ? 'N' : '-';
	f[4] = flag(row, "installed_by_rpm") ? 'R' : '-';
	f[5] = row->internal.len ? 'i' : '-';
	f[6] = flag(row, "debug") ? 'D' : '-';
	f[7] = flag(row, "autostart") ? 'A' : '-';
	memcpy(buf, f, sizeof f);
	return buf;
}

/* A number of a volume.Info; false when it is not there. */
static bool volume_number(const struct adm_reply *info, const char *key, uint64_t *ret)
{
	char v[32];

	return info->data && adm_kv(info->data, key, v, sizeof v) == 0 && str_u64(v, UINT64_MAX, ret) == 0;
}

static const char *disk(const struct ls_row *row, const char *col, char *buf, size_t cap)
{
	const struct adm_reply *info = str_starts(col, "ROOT") ? &row->root : &row->priv;
	uint64_t use = 0, size = 0, other = 0;
	bool have = volume_number(info, "usage", &use) && volume_number(info, "size", &size);
	int r;

	if (streq(col, "OUTDATED"))
		return ls_outdated(row) ? "yes" : NULL;
	if (streq(col, "DISK")) {
		have = volume_number(&row->root, "usage", &use);
		have = volume_number(&row->priv, "usage", &other) || have;
		r = str_printf(buf, cap, "%llu", (unsigned long long)((use + other) >> 20));
	} else if (str_ends(col, "-CURR")) {
		r = str_printf(buf, cap, "%llu", (unsigned long long)(use >> 20));
	} else if (str_ends(col, "-MAX")) {
		r = str_printf(buf, cap, "%llu", (unsigned long long)(size >> 20));
	} else {
		r = str_printf(buf, cap, "%llu%%", (unsigned long long)(size ? use / (size / 100 + 1) : 0));
	}
	return have && r == 0 ? buf : NULL;
}

const char *ls_cell(const struct ls *ls, const struct ls_row *row, const char *col, char *buf, size_t cap)
{
	const struct column *c = find(col);
	char name[64];

	if (c && c->source == S_LIST)
		return streq(col, "NAME") ? row->q->name : streq(col, "STATE") ? row->q->state :
		       streq(col, "CLASS") ? row->q->cls : row->q->uuid;
	if (c && c->source == S_FLAGS)
		return flags(row, buf, cap);
	if (c && c->source == S_DISK)
		return disk(row, col, buf, cap);
	if (c)
		return prop(row, c->prop);
	prop_name(name, col);
	return streq(name, "klass") ? row->q->cls : prop(row, name);
}
