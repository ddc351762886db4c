/* SPDX-License-Identifier: GPL-3.0-or-later */
/* admin.Events and admin.vm.Stats: the call stays open; the server sends what the subscriber gets (core/txn.c). */
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
