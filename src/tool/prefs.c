/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Properties: list, get, set, reset, explain. */
#include "tool/prefs.h"

#include "tool/colour.h"

static const char *method(char out[64], const char *qube, const char *verb)
{
	return str_printf(out, 64, "admin.%sproperty.%s", qube ? "vm." : "", verb) < 0 ? "" : out;
}

static const char *dest_of(const char *qube)
{
	return qube ? qube : "dom0";
}

/* Properties whose value is a qube take "none" as "no qube". */
static bool takes_none(const char *prop)
{
	static const char *const names[] = { "default_dispvm", "netvm", "template", "guivm", "audiovm", "management_dispvm",
					     "default_netvm", "default_template", "default_guivm", "default_audiovm",
					     "updatevm", "clockvm" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (streq(names[i], prop))
			return true;
	return false;
}

int prop_set(const char *qube, const char *prop, const char *value, struct err *e)
{
	char m[64];

	if (!value)
		return adm_void(dest_of(qube), method(m, qube, "Reset"), prop, NULL, e);
	if (takes_none(prop) && (streq(value, "none") || streq(value, "None")))
		value = "";
	return adm_void(dest_of(qube), method(m, qube, "Set"), prop, value, e);
}

static int cmp_props(const void *a, const void *b)
{
	const struct adm_prop *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* What is shown for an empty value: nothing for a text, None where an object could be. */
static const char *shown(const struct adm_prop *p)
{
	return !*p->value && (streq(p->type, "vm") || streq(p->type, "label")) ? "None" : p->value;
}

static bool undefined(const struct adm_prop *p)
{
	return !*p->value && (streq(p->type, "int") || streq(p->type, "bool"));
}

static void print_json(const struct adm_props *props, bool hide)
{
	struct json j = { 0 };

	json_open(&j, NULL, '{');
	for (size_t i = 0; i < props->n; i++) {
		const struct adm_prop *p = &props->v[i];
		int64_t n;

		if (hide && p->is_default)
			continue;
		json_open(&j, p->name, '{');
		if (!*p->value && !streq(p->type, "str"))
			json_str(&j, "value", NULL);
		else if (streq(p->type, "int") && str_i64(p->value, INT64_MIN, INT64_MAX, &n) == 0)
			json_int(&j, "value", n);
		else if (streq(p->type, "bool"))
			json_bool(&j, "value", streq(p->value, "True"));
		else
			json_str(&j, "value", p->value);
		json_bool(&j, "default", p->is_default);
		json_str(&j, "type", p->type);
		json_close(&j, '}');
	}
	json_close(&j, '}');
}

static int list(struct tool *t, const char *qube)
{
	bool hide = opt_has(t, KEY_HIDE_DEFAULT);
	struct adm_props props;
	struct err e = { 0 };
	int width = 0, r = adm_props_get(&props, dest_of(qube), !qube, &e);

	if (r < 0)
		return tool_api(t, r, &e);
	qsort(props.v, props.n, sizeof *props.v, cmp_props);
	for (size_t i = 0; i < props.n; i++)
		width = MAX(width, (int)strlen(props.v[i].name));
	if (opt_has(t, KEY_JSON))
		print_json(&props, hide);
	for (size_t i = 0; i < props.n && !opt_has(t, KEY_JSON); i++) {
		const struct adm_prop *p = &props.v[i];

		if (hide && (p->is_default || undefined(p)))
			continue;
		if (undefined(p)) {
			printf("%-*s  U\n", width, p->name);
			continue;
		}
		printf("%-*s  %c  ", width, p->name, p->is_default ? 'D' : '-');
		if (streq(p->type, "vm") && *p->value)
			put_qube(stdout, t, p->value);
		else
			out_text(t, shown(p));
		(void)putchar('\n');
	}
	adm_props_fini(&props);
	return 0;
}

/* A property that does not exist is wrong usage, whatever the daemon calls it. */
static int prop_fail(struct tool *t, int r, const struct err *e, const char *qube, const char *prop)
{
	if (r == -ADM_EXC_NO_PROP || (r == -EINVAL && !str_chars(prop, "_")))
		return tool_usage(t, "no such property: '%s'; '%s%s%s' lists them", prop, t->verb->name, qube ? " " : "", qube ? qube : "");
	return tool_api(t, r, e);
}

static int get(struct tool *t, const char *qube, const char *prop)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct adm_prop p = { 0 };
	struct err e = { 0 };
	char m[64];
	int r = adm_text(&rep, dest_of(qube), method(m, qube, "Get"), prop, NULL, &e);

	if (r >= 0)
		r = adm_prop_parse(&p, rep.data, &e);
	if (r < 0)
		return prop_fail(t, r, &e, qube, prop);
	if (opt_has(t, KEY_JSON)) {
		struct json j = { 0 };

		json_open(&j, NULL, '{');
		json_str(&j, "value", *p.value || streq(p.type, "str") ? p.value : NULL);
		json_bool(&j, "default", p.is_default);
		json_str(&j, "type", p.type);
		json_close(&j, '}');
		return 0;
	}
	out_text(t, shown(&p));
	(void)putchar('\n');
	return 0;
}

static int explain(struct tool *t, const char *qube)
{
	_cleanup_(table_freep) struct table *tb = table_new(2);
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct bulk_call *calls;
	struct err e = { 0 };
	char m[64], mh[64], *text, *line;
	size_t n = 0, cap = 0;
	int r = adm_text(&rep, dest_of(qube), method(m, qube, "List"), NULL, NULL, &e);

	if (r < 0)
		return tool_api(t, r, &e);
	for (const char *p = rep.data; *p; p++)
		cap += *p == '\n';
	calls = xcalloc(cap + 1, sizeof *calls);
	text = rep.data;
	while (n < cap && (line = adm_line(&text)))
		calls[n++] = (struct bulk_call){ .dest = dest_of(qube), .method = method(mh, qube, "Help"), .arg = line };
	calls_run(calls, n, NULL, NULL);
	table_add(tb, "PROPERTY");
	table_add(tb, "DESCRIPTION");
	for (size_t i = 0; i < n; i++) {
		table_add(tb, calls[i].arg);
		table_add(tb, calls[i].r < 0 ? NULL : calls[i].rep.data);
	}
	table_print(tb, t, true);
	calls_fini(calls, n);
	free(calls);
	return 0;
}

int prefs_run(struct tool *t, const char *qube, int argc, char **argv)
{
	struct err e = { 0 };
	int r;

	if (opt_has(t, KEY_HELP_PROPS))
		return explain(t, qube);
	if (opt_has(t, 'D')) {
		if (argc != 1)
			return tool_usage(t, "--default needs exactly one property");
		r = prop_set(qube, argv[0], NULL, &e);
		return r < 0 ? prop_fail(t, r, &e, qube, argv[0]) : 0;
	}
	if (argc == 0)
		return list(t, qube);
	if (argc == 1)
		return get(t, qube, argv[0]);
	r = prop_set(qube, argv[0], argv[1], &e);
	return r < 0 ? prop_fail(t, r, &e, qube, argv[0]) : 0;
}
