/* SPDX-License-Identifier: GPL-3.0-or-later */
/* admin.Events: the call stays open; the server sends what the subscriber gets (core/txn.c). */
#include "base/str.h"
#include "core/api/api.h"

int api_events(struct call *c)
{
	struct subscriber *s = c->sub;

	if (!s)
		return err_set(&c->err, AE_PROTOCOL, "events need a connection that stays");
	memcpy(s->src, c->src_name, sizeof s->src);
	if (c->dest != c->core->dom0)
		memcpy(s->only, c->dest->name.s, sizeof s->only);
	s->next = c->core->subs;
	c->core->subs = s;
	c->keep_open = true;
	admin_put_event(&c->out, "", "connection-established");
	admin_put_event_end(&c->out);
	return 0;
}
