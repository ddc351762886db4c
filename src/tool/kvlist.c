/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Key=value answers and sub-commands. */
#include "tool/kvlist.h"

/* Cuts the next pair off *text; NULL at the end. Lines without '=' are passed over. */
static char *next_pair(char **text, char **ret_value)
{
	char *line;

	while ((line = adm_line(text))) {
		char *eq = strchr(line, '=');

		if (!eq)
			continue;
		*eq = '\0';
		*ret_value = eq + 1;
		return line;
	}
	return NULL;
}

void kv_print(const struct tool *t, char *text)
{
	_cleanup_(table_freep) struct table *tb = table_new(2);
	char *key, *value;

	while ((key = next_pair(&text, &value))) {
		table_add(tb, key);
		table_add(tb, value);
	}
	table_print(tb, t, true);
}

void kv_json(struct json *j, char *text)
{
	char *key, *value;

	while ((key = next_pair(&text, &value)))
		json_str(j, key, value);
}

int kv_set(const char *dest, const char *base, const char *const *keys, const char *key, const char *arg, const char *value, struct err *e)
{
	char method[96];

	for (; *keys; keys++)
		if (streq(*keys, key) && str_printf(method, sizeof method, "%s.%s", base, key) == 0)
			return adm_void(dest, method, arg, value, e);
	return err_set(e, EINVAL, "'%s' cannot be changed", key);
}

int sub_usage(const struct tool *t, const char *cmd)
{
	_cleanup_wr_ struct wr w = wr_grow(1024);
	const struct tool_sub *s = t->verb->subs;

	for (; s->name; s++) {
		if (streq(s->name, cmd))
			return tool_usage(t, "usage: %s %s %s", t->verb->name, cmd, s->args);
		wr_printf(&w, "%s%s", w.len ? ", " : "", s->name);
	}
	wr_u8(&w, 0);
	return tool_usage(t, "no such command: '%s'; there are %s", cmd, wr_ok(&w) ? (const char *)w.buf : "some");
}

int sub_find(const struct tool *t, int argc, char **argv)
{
	const struct tool_sub *s = t->verb->subs;

	for (int i = 0; s[i].name; i++) {
		if (!streq(s[i].name, argv[0]) && (!s[i].other || !streq(s[i].other, argv[0])))
			continue;
		if (argc - 1 >= s[i].min && (s[i].max == SUB_MANY || argc - 1 <= s[i].max))
			return i;
		(void)sub_usage(t, s[i].name);
		return -1;
	}
	(void)sub_usage(t, argv[0]);
	return -1;
}
