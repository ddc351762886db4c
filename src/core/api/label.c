/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Labels. */
#include "base/str.h"
#include "core/api/api.h"

#define FIRST_CUSTOM 9

int api_label_list(struct call *c)
{
	for (const struct label *l = c->core->labels; l; l = l->next)
		wr_printf(&c->out, "%s\n", l->name);
	return 0;
}

int api_label_get(struct call *c)
{
	wr_str(&c->out, c->label->value);
	return 0;
}

int api_label_index(struct call *c)
{
	wr_printf(&c->out, "%u", c->label->index);
	return 0;
}

static bool colour_ok(const char *s)
{
	if (strlen(s) != 8 || !str_starts(s, "0x"))
		return false;
	for (s += 2; *s; s++)
		if (!ch_digit(*s) && !(*s >= 'a' && *s <= 'f') && !(*s >= 'A' && *s <= 'F'))
			return false;
	return true;
}

int api_label_create(struct call *c)
{
	uint32_t index = FIRST_CUSTOM;
	struct label *l;

	if (!label_ok(c->arg))
		return err_set(&c->err, AE_LABEL_INVALID, "a label may have letters, digits, '-', '_' and '.', not digits only");
	if (label_find(c->core, c->arg))
		return err_set(&c->err, AE_VALUE, "label '%s' exists already", c->arg);
	if (!colour_ok(c->body))
		return err_set(&c->err, AE_LABEL_VALUE, "a colour is written 0xRRGGBB");
	for (const struct label *x = c->core->labels; x; x = x->next)
		index = MAX(index, x->index + 1);
	l = xcalloc(1, sizeof *l);
	l->index = index;
	if (str_copy(l->name, sizeof l->name, c->arg) < 0 || str_copy(l->value, sizeof l->value, c->body) < 0) {
		free(l);
		return err_set(&c->err, AE_LABEL_INVALID, "the name of the label is too long");
	}
	txn_label_add(c->core, l);
	return 0;
}

int api_label_remove(struct call *c)
{
	if (c->label->index < FIRST_CUSTOM)
		return err_set(&c->err, AE_LABEL_IN_USE, "label '%s' belongs to the system", c->label->name);
	for (size_t i = 0; i < c->core->n_sorted; i++) {
		const char *s = c->core->sorted[i]->props[P_label];

		if (s && streq(s, c->label->name))
			return err_set(&c->err, AE_LABEL_IN_USE, "label '%s' is that of '%s'", s, c->core->sorted[i]->name.s);
	}
	txn_label_del(c->core, c->label);
	return 0;
}
