/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * internal.vm.Table: values of every qube by one call, for lists (qvm-ls, managers). The payload names the columns, one a line:
 * a property, feature.NAME, or pause_reason (why it was paused unasked). The answer has a line for each qube: its name, then for each column a tab and either "-" (the qube has no such
 * property or feature) or "=" and the value, in which backslash, newline and tab are \\, \n, \t.
 */
#include "base/str.h"
#include "core/api/api.h"

#define COLUMNS_MAX 64
#define FEATURE "feature."

static void put_escaped(struct wr *w, const char *s)
{
	for (; *s; s++) {
		if (*s == '\\' || *s == '\n' || *s == '\t') {
			wr_u8(w, '\\');
			wr_u8(w, *s == '\\' ? '\\' : *s == '\n' ? 'n' : 't');
		} else {
			wr_u8(w, (uint8_t)*s);
		}
	}
}

static void put_cell(struct call *c, const struct qube *q, const char *column)
{
	const struct prop *p;
	const char *value = NULL;
	struct pval v;

	if (str_starts(column, FEATURE)) {
		value = kv_get(&q->features, column + strlen(FEATURE));
	} else if (streq(column, "pause_reason")) {
		value = q->pause_reason;
	} else if ((p = prop_find(q, column))) {
		(void)prop_get(c->core, q, prop_id(p), &v);
		value = v.has && !v.null ? v.s : "";
	}
	wr_u8(&c->out, '\t');
	wr_u8(&c->out, value ? '=' : '-');
	if (value)
		put_escaped(&c->out, value);
}

int api_vm_table(struct call *c)
{
	const char *columns[COLUMNS_MAX];
	size_t n = 0;

	for (char *s = c->body; *s;) {
		char *end = strchrnul(s, '\n');

		if (n == COLUMNS_MAX)
			return err_set(&c->err, AE_PROTOCOL, "more than %d columns", COLUMNS_MAX);
		columns[n++] = s;
		if (!*end)
			break;
		*end = '\0';
		s = end + 1;
	}
	for (size_t i = 0; i < c->core->n_sorted; i++) {
		const struct qube *q = c->core->sorted[i];

		wr_str(&c->out, q->name.s);
		for (size_t k = 0; k < n; k++)
			put_cell(c, q, columns[k]);
		wr_u8(&c->out, '\n');
	}
	return 0;
}
