/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calls that stay open: admin.Events and admin.vm.Stats, whose subscribers get what core/txn.c sends, and internal.vm.Hold, which says nothing
 * more: the disposable lives as long as somebody holds it.
 */
#include "base/str.h"
#include "core/api/api.h"

static int subscribe(struct call *c, struct subscriber **list)
{
	struct subscriber *s = c->sub;

	if (!s)
		return err_set(&c->err, AE_PROTOCOL, "events need a connection that stays");
	memcpy(s->src, c->src_name, sizeof s->src);
	if (c->dest != c->core->dom0)
		memcpy(s->only, c->dest->name.s, sizeof s->only);
	s->id = ++c->core->n_subs;
	s->next = *list;
	*list = s;
	c->keep_open = true;
	admin_put_event(&c->out, "", "connection-established");
	admin_put_event_end(&c->out);
	return 0;
}

int api_events(struct call *c)
{
	return subscribe(c, &c->core->subs);
}

int api_stats(struct call *c)
{
	int r = subscribe(c, &c->core->stat_subs);

	if (r == 0 && c->core->ops->stats)
		c->core->ops->stats(c->core->ops_ctx);
	return r;
}

int api_hold(struct call *c)
{
	int r;

	if (c->dest->klass != K_DISP || !prop_bool(c->core, c->dest, P_auto_cleanup))
		return err_set(&c->err, AE_VALUE, "'%s' is not a disposable that ends by itself", c->dest->name.s);
	r = subscribe(c, &c->core->holds);
	if (r == 0) {
		c->dest->held = true;
		if (c->core->ops->hold)
			c->core->ops->hold(c->core->ops_ctx);
	}
	return r;
}
