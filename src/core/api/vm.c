/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of qubes and classes. */
#include "base/str.h"
#include "core/api/api.h"

int api_vmclass_list(struct call *c)
{
	for (unsigned k = 0; k < K_N; k++)
		wr_printf(&c->out, "%s\n", klass_name((enum klass)k));
	return 0;
}

int api_deviceclass_list(struct call *c)
{
	wr_str(&c->out, "block\nmic\npci\nusb\n");
	return 0;
}

static bool visible(const struct call *c, const struct qube *q)
{
	/* A call about one qube was allowed by policy as it is; a list shows what single calls would be allowed for. */
	if (streq(c->src_name, "dom0") || c->dest != c->core->dom0)
		return true;
	return c->core->ops->policy_allows &&
	       c->core->ops->policy_allows(c->core->ops_ctx, c->src_name, "admin.vm.List", "", q->name.s);
}

static void put_vm(struct call *c, const struct qube *q)
{
	struct wr *w = &c->out;

	wr_str(w, q->name.s);
	wr_str(w, " class=");
	wr_str(w, klass_name(q->klass));
	wr_str(w, " state=");
	wr_str(w, life_name(q->state));
	wr_str(w, " uuid=");
	wr_str(w, q->uuid.s);
	wr_u8(w, '\n');
}

int api_vm_list(struct call *c)
{
	if (c->dest != c->core->dom0) {
		put_vm(c, c->dest);
		return 0;
	}
	for (size_t i = 0; i < c->core->n_sorted; i++)
		if (visible(c, c->core->sorted[i]))
			put_vm(c, c->core->sorted[i]);
	return 0;
}
