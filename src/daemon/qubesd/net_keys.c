/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the qubes at both ends of a link read in their QubesDB. */
#include <time.h>

#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesd/net.h"

/* passt's own small network; nothing of the host's addresses is in it. */
#define EXTERNAL_VALUE "external 10.0.2.15/24 10.0.2.2 10.0.2.3"

static void port_key(char key[32], uint32_t port)
{
	char slot[8];

	net_slot(slot, port);
	if (str_printf(key, 32, NETPORT_KEY "%s", slot) < 0)
		abort(); /* both are short */
}

static void put(void *arg, const char *key, const char *value)
{
	run_qdb_change(arg, key, value);
}

void net_tell_client(struct run *r, uint32_t port, bool on)
{
	static const struct {
		const char *key;
		enum prop_id id;
	} own[] = {
		{ "/qubes-mac", P_mac }, { "/qubes-ip", P_visible_ip }, { "/qubes-netmask", P_visible_netmask }, { "/qubes-gateway", P_visible_gateway },
		{ "/qubes-ip6", P_visible_ip6 }, { "/qubes-gateway6", P_visible_gateway6 },
	};
	static const char *const dns[] = { "/qubes-primary-dns", "10.139.1.1", "/qubes-secondary-dns", "10.139.1.2" };
	char key[32];
	struct pval v;

	port_key(key, port);
	if (!on) {
		run_qdb_change(r, key, NULL);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		const char *s = prop_text(r->d->core, r->q, own[i].id, &v);

		if (s[0])
			run_qdb_change(r, own[i].key, s);
	}
	for (size_t i = 0; i < ARRAY_SIZE(dns); i += 2)
		run_qdb_change(r, dns[i], dns[i + 1]);
	run_qdb_change(r, key, "uplink");
}

/* Addresses of all clients of p, in the order of ports. */
static void connected(struct run *p)
{
	_cleanup_wr_ struct wr four = wr_grow(QDB_VALUE_MAX), six = wr_grow(QDB_VALUE_MAX);

	for (uint32_t i = 0; i < NET_PORTS_MAX; i++) {
		struct run *c = p->net.port[i].use == NET_CLIENT ? run_find(p->d, p->net.port[i].peer) : NULL;
		struct netport n;

		if (!c || net_client_port(p->d->core, c->q, &n, NULL) < 0)
			continue;
		wr_printf(&four, "%s%s", four.len ? " " : "", n.ip);
		if (n.ip6[0])
			wr_printf(&six, "%s%s", six.len ? " " : "", n.ip6);
	}
	wr_u8(&four, 0);
	wr_u8(&six, 0);
	if (wr_ok(&four) && wr_ok(&six)) {
		run_qdb_change(p, "/connected-ips", (const char *)four.buf);
		run_qdb_change(p, "/connected-ips6", (const char *)six.buf);
	}
}

static void on_expiry(struct ev_timer *t, void *arg)
{
	struct run *r = arg, *p = run_find(r->d, r->net.provider);

	if (p)
		net_tell_rules(p, r);
}

#define EXPIRY_MAX_MS 3600000ull /* looked at again each hour, since the clock may be set */

void net_tell_rules(struct run *p, struct run *client)
{
	uint64_t now = (uint64_t)time(NULL), next;

	net_rules_prefixes(p->d->core, client->q, put, p);
	next = net_rules(p->d->core, client->q, now, put, p);
	if (!client->net.expiry)
		client->net.expiry = ev_timer_new(p->d->loop, on_expiry, client);
	if (next)
		ev_timer_start(client->net.expiry, MIN((next - now) * 1000 + 1, EXPIRY_MAX_MS));
	else
		ev_timer_stop(client->net.expiry);
}

/* Rules first, then the bare key, by which the NetVM sees that nothing is left. */
static void forget_rules(struct run *p, const char *addr)
{
	char key[QDB_KEY_CAP];

	if (!addr[0])
		return;
	if (str_printf(key, sizeof key, "/qubes-firewall/%s/", addr) == 0)
		run_qdb_change(p, key, NULL);
	if (str_printf(key, sizeof key, "/qubes-firewall/%s", addr) == 0)
		run_qdb_change(p, key, NULL);
}

void net_tell_provider(struct run *p, struct run *client, uint32_t port, bool on)
{
	_cleanup_wr_ struct wr w = wr_grow(512);
	struct netport n;
	char key[32];

	port_key(key, port);
	connected(p);
	if (!on) {
		forget_rules(p, client->net.ip);
		forget_rules(p, client->net.ip6);
		client->net.ip[0] = client->net.ip6[0] = '\0';
		run_qdb_change(p, key, NULL);
		return;
	}
	if (net_client_port(p->d->core, client->q, &n, NULL) < 0)
		return;
	memcpy(client->net.ip, n.ip, sizeof n.ip);
	memcpy(client->net.ip6, n.ip6, sizeof n.ip6);
	net_tell_rules(p, client);
	netport_format(&w, &n);
	wr_u8(&w, 0);
	if (wr_ok(&w))
		run_qdb_change(p, key, (const char *)w.buf);
}

void net_tell_external(struct run *r, uint32_t port)
{
	char key[32];

	port_key(key, port);
	run_qdb_change(r, key, EXTERNAL_VALUE);
}
