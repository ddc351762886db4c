/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Filters, sorting tree of qvm-ls. */
#include "tool/ls.h"

/* True when v is one of the comma-separated items of any of the option's arguments. */
static bool among(const struct tool *t, int key, const char *v)
{
	const char *list;

	for (size_t i = 0; (list = opt_nth(t, key, i)); i++)
		while (*list) {
			size_t n = strcspn(list, ",");

			if (strlen(v) == n && strncmp(list, v, n) == 0)
				return true;
			list += n + (list[n] == ',');
		}
	return false;
}

static const char *prop(const struct ls_row *row, const char *name)
{
	const struct adm_prop *p = adm_props_find(&row->props, name);

	return p ? p->value : "";
}

/* --prefs NAME=VALUE; "" and None are the same. */
static bool pref_is(const struct ls_row *row, const char *kv)
{
	const char *eq = strchr(kv, '=');
	const struct adm_prop *p = NULL;
	char name[100];

	if (!eq || str_printf(name, sizeof name, "%.*s", (int)(eq - kv), kv) < 0)
		return false;
	p = adm_props_find(&row->props, name);
	if (p && !*p->value && (streq(eq + 1, "None") || streq(eq + 1, "none")))
		return true;
	return p && streq(p->value, eq + 1);
}

static bool filter_state(const struct tool *t, const struct adm_qube *q)
{
	bool any = opt_has(t, KEY_RUNNING) || opt_has(t, KEY_PAUSED) || opt_has(t, KEY_HALTED);

	return !any || (opt_has(t, KEY_RUNNING) && streq(q->state, "Running")) ||
	       (opt_has(t, KEY_PAUSED) && streq(q->state, "Paused")) || (opt_has(t, KEY_HALTED) && streq(q->state, "Halted"));
}

static bool filter_props(const struct tool *t, const struct ls_row *row)
{
	const char *kv;

	if (opt_has(t, KEY_LABEL) && !among(t, KEY_LABEL, prop(row, "label")))
		return false;
	if (opt_has(t, KEY_TEMPLATE_SOURCE) && !among(t, KEY_TEMPLATE_SOURCE, prop(row, "template")))
		return false;
	if (opt_has(t, KEY_NETVM_IS)) {
		const char *netvm = prop(row, "netvm");

		if (!among(t, KEY_NETVM_IS, *netvm ? netvm : "none") && !(!*netvm && among(t, KEY_NETVM_IS, "None")))
			return false;
	}
	for (size_t i = 0; (kv = opt_nth(t, KEY_PREFS, i)); i++)
		if (!pref_is(row, kv))
			return false;
	return true;
}

static bool needs_filter_props(const struct tool *t)
{
	return opt_has(t, KEY_LABEL) || opt_has(t, KEY_TEMPLATE_SOURCE) || opt_has(t, KEY_NETVM_IS) || opt_has(t, KEY_PREFS);
}

static void fetch_props(struct ls *ls)
{
	struct bulk_call *calls = xcalloc(ls->n + 1, sizeof *calls);
	size_t n = 0;

	for (size_t i = 0; i < ls->n; i++)
		if (ls->rows[i].shown && !ls->rows[i].props.n)
			calls[n++] = (struct bulk_call){ .dest = ls->rows[i].q->name, .method = "admin.vm.property.GetAll", .user = &ls->rows[i] };
	calls_run(calls, n, NULL, NULL);
	for (size_t i = 0; i < n; i++) {
		struct ls_row *row = calls[i].user;

		if (calls[i].r < 0)
			continue;
		row->props.rep = calls[i].rep;
		calls[i].rep.data = NULL;
		if (adm_props_parse(&row->props, NULL) < 0)
			adm_props_fini(&row->props);
	}
	calls_fini(calls, n);
	free(calls);
}

/* One question to every row that is still shown; keep() decides by the answer. */
static void ask_rows(struct ls *ls, const char *method, const char *arg, bool (*keep)(const struct bulk_call *c, const char *want),
		     const char *wanted)
{
	struct bulk_call *calls = xcalloc(ls->n + 1, sizeof *calls);
	size_t n = 0;

	for (size_t i = 0; i < ls->n; i++)
		if (ls->rows[i].shown)
			calls[n++] = (struct bulk_call){ .dest = ls->rows[i].q->name, .method = method, .arg = arg, .user = &ls->rows[i] };
	calls_run(calls, n, NULL, NULL);
	for (size_t i = 0; i < n; i++) {
		struct ls_row *row = calls[i].user;

		row->shown = keep(&calls[i], wanted);
	}
	calls_fini(calls, n);
	free(calls);
}

static bool feature_is(const struct bulk_call *c, const char *want)
{
	return c->r >= 0 && streq(c->rep.data, want);
}

/* want "y" or "n": a feature that is set and not empty. */
static bool feature_on(const struct bulk_call *c, const char *want)
{
	bool on = c->r >= 0 && c->rep.len > 0;

	return on == (want[0] == 'y');
}

static bool has_line(const char *text, const char *line, size_t n)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		if (len == n && strncmp(text, line, n) == 0)
			return true;
		text += len + (text[len] == '\n');
	}
	return false;
}

/* want: tags joined by commas; any of them is enough. */
static bool has_tag(const struct bulk_call *c, const char *want)
{
	while (c->r >= 0 && *want) {
		size_t n = strcspn(want, ",");

		if (has_line(c->rep.data, want, n))
			return true;
		want += n + (want[n] == ',');
	}
	return false;
}

static bool lacks_tag(const struct bulk_call *c, const char *want)
{
	return !has_tag(c, want);
}

static int yes_no(const struct ls *ls, int key, const char *name, const char **ret)
{
	const char *v = opt_str(ls->t, key);
	bool b;

	*ret = NULL;
	if (!v)
		return 0;
	if (streq(v, "y") || streq(v, "n"))
		*ret = v;
	else if (str_bool(v, &b) == 0)
		*ret = b ? "y" : "n";
	else
		return tool_usage(ls->t, "--%s takes y or n, not '%s'", name, v);
	return 0;
}

static int filter_features(struct ls *ls)
{
	const char *kv, *internal, *servicevm;
	char name[200];
	int r = yes_no(ls, KEY_INTERNAL, "internal", &internal);

	r = r ? r : yes_no(ls, KEY_SERVICEVM, "servicevm", &servicevm);
	if (r)
		return r;
	if (internal)
		ask_rows(ls, "admin.vm.feature.Get", "internal", feature_on, internal);
	if (servicevm)
		ask_rows(ls, "admin.vm.feature.Get", "servicevm", feature_on, servicevm);
	if (opt_has(ls->t, KEY_PENDING))
		ask_rows(ls, "admin.vm.feature.Get", "updates-available", feature_on, "y");
	for (size_t i = 0; (kv = opt_nth(ls->t, KEY_FEATURES, i)); i++) {
		const char *eq = strchr(kv, '=');

		if (!eq || str_printf(name, sizeof name, "%.*s", (int)(eq - kv), kv) < 0)
			return tool_usage(ls->t, "--features takes NAME=VALUE, not '%s'", kv);
		ask_rows(ls, "admin.vm.feature.Get", name, feature_is, eq + 1);
	}
	return 0;
}

int ls_filter(struct ls *ls)
{
	const struct tool *t = ls->t;
	const char *v;

	for (size_t i = 0; (v = opt_nth(t, KEY_PREFS, i)); i++)
		if (!strchr(v, '='))
			return tool_usage(t, "--prefs takes NAME=VALUE, not '%s'", v);
	for (size_t i = 0; i < ls->n; i++) {
		struct ls_row *row = &ls->rows[i];

		row->shown = row->shown && filter_state(t, row->q) && (!opt_has(t, KEY_CLASS) || among(t, KEY_CLASS, row->q->cls));
	}
	if (needs_filter_props(t)) {
		fetch_props(ls);
		for (size_t i = 0; i < ls->n; i++)
			ls->rows[i].shown = ls->rows[i].shown && filter_props(t, &ls->rows[i]);
	}
	for (size_t i = 0; (v = opt_nth(t, KEY_TAGS, i)); i++)
		ask_rows(ls, "admin.vm.tag.List", NULL, has_tag, v);
	for (size_t i = 0; (v = opt_nth(t, KEY_EXCLUDE_TAGS, i)); i++)
		ask_rows(ls, "admin.vm.tag.List", NULL, lacks_tag, v);
	return filter_features(ls);
}

/* The row that row hangs under: its NetVM, when that is shown too. */
static struct ls_row *parent_of(struct ls_row **order, size_t n, const struct ls_row *row)
{
	const char *netvm = prop(row, "netvm");

	for (size_t i = 0; *netvm && i < n; i++)
		if (streq(order[i]->q->name, netvm))
			return order[i];
	return NULL;
}

void ls_tree(struct ls *ls, struct ls_row **order, size_t n)
{
	_cleanup_free_ struct ls_row **out = xcalloc(n + 1, sizeof *out);
	_cleanup_free_ struct ls_row **up = xcalloc(n + 1, sizeof *up);
	_cleanup_free_ bool *placed = xcalloc(n + 1, sizeof *placed);
	size_t done = 0;

	(void)ls;
	for (size_t i = 0; i < n; i++)
		up[i] = parent_of(order, n, order[i]);
	for (size_t i = 0; i < n; i++)
		if (!up[i]) {
			out[done++] = order[i];
			placed[i] = true;
		}
	/* Each row of the output draws its children in behind itself; the daemon allows no loops, and one would only be left out. */
	for (size_t at = 0; at < done; at++) {
		size_t kids = 0;

		for (size_t i = 0; i < n; i++)
			kids += !placed[i] && up[i] == out[at];
		memmove(&out[at + 1 + kids], &out[at + 1], (done - at - 1) * sizeof *out);
		done += kids;
		kids = 0;
		for (size_t i = 0; i < n; i++)
			if (!placed[i] && up[i] == out[at]) {
				out[at + 1 + kids++] = order[i];
				order[i]->depth = out[at]->depth + 1;
				placed[i] = true;
			}
	}
	for (size_t i = 0; i < n; i++)
		if (!placed[i])
			out[done++] = order[i];
	memcpy(order, out, n * sizeof *out);
}
