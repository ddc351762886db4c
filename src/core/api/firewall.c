/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Firewall rules of a qube. Kept in normal form; what has expired is left out when it is read and goes with the next change. */
#include <time.h>

#include "core/api/api.h"
#include "proto/firewall.h"

#define FW_DEFAULT "action=accept\n"

int api_firewall_get(struct call *c)
{
	const char *text = c->dest->firewall ? c->dest->firewall : FW_DEFAULT;

	if (c->dest->klass == K_REMOTE)
		return err_set(&c->err, AE_PROTOCOL, "'%s' has no firewall here", c->dest->name.s);
	return fw_normalize(&c->out, rd_mem(text, strlen(text)), (uint64_t)time(NULL), &c->err);
}

int api_firewall_set(struct call *c)
{
	_cleanup_wr_ struct wr w = wr_grow(ADMIN_REQUEST_MAX * 2);
	int r;

	if (c->dest->klass == K_REMOTE)
		return err_set(&c->err, AE_PROTOCOL, "'%s' has no firewall here", c->dest->name.s);
	r = fw_normalize(&w, rd_mem(c->body, c->body_len), (uint64_t)time(NULL), &c->err);
	if (r < 0)
		return err_set(&c->err, AE_VALUE, "%s", err_text(&c->err, r));
	wr_u8(&w, 0);
	if (!wr_ok(&w))
		return err_set(&c->err, AE_VALUE, "the rules are too long");
	txn_firewall(c->core, c->dest, (const char *)w.buf);
	event(c->core, c->dest, "firewall-changed", NULL);
	return 0;
}

int api_firewall_reload(struct call *c)
{
	event(c->core, c->dest, "firewall-changed", NULL);
	return 0;
}
