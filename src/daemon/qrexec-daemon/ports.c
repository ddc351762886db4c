/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Data ports. */
#include "ports.h"

static uint32_t take(struct ports *p, uint32_t peer, void *owner, bool stale)
{
	unsigned first = peer && peer > p->own ? 1 : 0, step = peer ? 2 : 1;

	for (unsigned i = first; i < MIN(p->limit, (unsigned)QX_PORT_N); i += step) {
		if (p->slot[i].used && !(stale && p->slot[i].stale))
			continue;
		p->slot[i].used = true;
		p->slot[i].stale = false;
		p->slot[i].peer = peer;
		p->slot[i].owner = owner;
		return QX_PORT_FIRST + i;
	}
	return 0;
}

uint32_t ports_alloc(struct ports *p, uint32_t peer, void *owner)
{
	uint32_t port = take(p, peer, owner, false);

	return port ? port : take(p, peer, owner, true);
}

bool ports_free(struct ports *p, uint32_t peer, uint32_t port, void **ret_owner)
{
	uint32_t i = port - QX_PORT_FIRST;

	if (port < QX_PORT_FIRST || i >= QX_PORT_N || !p->slot[i].used || p->slot[i].peer != peer)
		return false;
	*ret_owner = p->slot[i].owner;
	p->slot[i].used = p->slot[i].stale = false;
	p->slot[i].owner = NULL;
	return true;
}

void ports_forget(struct ports *p, const void *owner)
{
	for (unsigned i = 0; i < QX_PORT_N; i++)
		if (p->slot[i].owner == owner)
			p->slot[i].owner = NULL;
}

void ports_stale(struct ports *p)
{
	for (unsigned i = 0; i < QX_PORT_N; i++)
		p->slot[i].stale = p->slot[i].used;
}
