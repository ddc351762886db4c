/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tags. */
#include "base/str.h"
#include "core/anon.h"
#include "core/api/api.h"

/* Policy trusts created-by-* tags, so only dom0 may give or take them. */
static int may_change(struct call *c)
{
	if (str_starts(c->arg, "created-by-") && !streq(c->src_name, "dom0"))
		return err_set(&c->err, AE_PERMISSION, "only dom0 may change tag '%s'", c->arg);
	return 0;
}

int api_tag_list(struct call *c)
{
	for (size_t i = 0; i < c->dest->tags.n; i++)
		wr_printf(&c->out, "%s\n", c->dest->tags.v[i].key);
	return 0;
}

int api_tag_get(struct call *c)
{
	wr_str(&c->out, kv_get(&c->dest->tags, c->arg) ? "1" : "0");
	return 0;
}

int api_tag_set(struct call *c)
{
	int r = may_change(c);

	if (r < 0 || kv_get(&c->dest->tags, c->arg))
		return r;
	txn_tag(c->core, c->dest, c->arg, true);
	eventf(c->core, c->dest, "domain-tag-add:", c->arg, "tag", c->arg, NULL);
	return 0;
}

int api_tag_remove(struct call *c)
{
	int r = may_change(c);

	if (r < 0)
		return r;
	if (!kv_get(&c->dest->tags, c->arg))
		return err_set(&c->err, AE_TAG_NOT_FOUND, "'%s' has no tag '%s'", c->dest->name.s, c->arg);
	if (anon_keeps_tag(c->core, c->dest, c->arg))
		return err_set(&c->err, AE_PERMISSION, "tag '%s' of '%s' follows from the features of its template", c->arg, c->dest->name.s);
	txn_tag(c->core, c->dest, c->arg, false);
	eventf(c->core, c->dest, "domain-tag-delete:", c->arg, "tag", c->arg, NULL);
	return 0;
}
