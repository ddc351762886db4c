/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "core/netplug.h"

#include "base/str.h"
#include "proto/firewall.h"
#include "proto/qdb.h"

void net_slot(char out[8], uint32_t port)
{
	if (str_printf(out, 8, "%02x.%u", 0x10 + port / 8 % 16, port % 8) < 0)
		abort(); /* two digits, a dot, one digit */
}

uint32_t net_ports(const struct core *c, const struct qube *q)
{
	return prop_bool(c, q, P_provides_network) ? NET_PORTS_MAX : NET_PORTS;
}

static const char *text(const struct core *c, const struct qube *q, enum prop_id id, struct pval *v)
{
	const char *s = prop_text(c, q, id, v);

	return s ? s : "";
}

int net_client_port(const struct core *c, const struct qube *q, struct netport *ret, struct err *e)
{
	struct netport p = { .role = NETPORT_CLIENT, .qid = q->qid };
	struct pval ip, seen, gateway, own_gateway, ip6, mac;
	const struct qube *n = prop_vm(c, q, P_netvm);

	if (!text(c, q, P_ip, &ip)[0])
		return err_set(e, ENOTSUP, "'%s' has no address", q->name.s);
	if (str_copy(p.ip, sizeof p.ip, ip.s) < 0 || str_copy(p.mac, sizeof p.mac, text(c, q, P_mac, &mac)) < 0 ||
	    str_copy(p.ip6, sizeof p.ip6, text(c, q, P_ip6, &ip6)) < 0 || !netport_mac_ok(p.mac))
		return err_set(e, ENOTSUP, "'%s' has an address that cannot be used", q->name.s);
	/* Hidden (net.fake-*): the NetVM translates, and what it is told must be whole. */
	(void)text(c, q, P_visible_ip, &seen);
	(void)text(c, q, P_visible_gateway, &gateway);
	if (n && (!streq(ip.s, seen.s) || !streq(gateway.s, text(c, n, P_gateway, &own_gateway)))) {
		_cleanup_wr_ struct wr w = wr_grow(512);

		if (str_copy(p.seen_ip, sizeof p.seen_ip, seen.s) < 0 || str_copy(p.seen_gateway, sizeof p.seen_gateway, gateway.s) < 0)
			return err_set(e, ENOTSUP, "'%s' has an address that cannot be used (net.fake-ip, net.fake-gateway)", q->name.s);
		netport_format(&w, &p);
		wr_u8(&w, 0);
		if (!wr_ok(&w) || netport_parse(&p, (const char *)w.buf, NULL) < 0)
			return err_set(e, ENOTSUP, "'%s': net.fake-ip and net.fake-gateway are IPv4 addresses", q->name.s);
	}
	*ret = p;
	return 0;
}

static size_t addresses(const struct core *c, const struct qube *q, struct pval v[2], const char *out[2])
{
	static const enum prop_id ids[] = { P_ip, P_ip6 };
	size_t n = 0;

	for (size_t i = 0; i < 2; i++)
		if (text(c, q, ids[i], &v[i])[0])
			out[n++] = v[i].s;
	return n;
}

/* A rule as the guest gets it: neither expiry nor comment. */
static bool put_rule(const char *prefix, unsigned number, const struct fw_rule *full, net_put_fn put, void *arg)
{
	struct fw_rule f = *full;
	char key[QDB_KEY_CAP], value[QDB_VALUE_MAX];
	struct wr w = wr_mem(value, sizeof value - 1);

	f.has_expire = false;
	f.comment[0] = '\0';
	fw_format(&w, &f);
	if (!wr_ok(&w) || str_printf(key, sizeof key, "%s/%04u", prefix, number) < 0)
		return false;
	value[w.len] = '\0';
	put(arg, key, value);
	return true;
}

uint64_t net_rules(const struct core *c, const struct qube *q, uint64_t now, net_put_fn put, void *arg)
{
	const char *all = q->firewall ? q->firewall : "action=accept\n", *addr[2];
	struct pval v[2];
	uint64_t next = 0;
	size_t n = addresses(c, q, v, addr);

	for (size_t i = 0; i < n; i++) {
		struct rd rd = rd_mem(all, strlen(all)), line;
		char prefix[QDB_KEY_CAP], key[QDB_KEY_CAP];
		unsigned number = 0;
		bool whole = true;

		if (str_printf(prefix, sizeof prefix, "/qubes-firewall/%s", addr[i]) < 0 || str_printf(key, sizeof key, "%s/policy", prefix) < 0)
			continue;
		while (rd_line(&rd, &line)) {
			struct fw_rule f;

			if (rd_left(&line) == 0)
				continue;
			if (fw_parse(&f, line, NULL) < 0) {
				whole = false;
				continue;
			}
			if (f.has_expire && f.expire <= now)
				continue;
			if (f.has_expire && (!next || f.expire < next))
				next = f.expire;
			whole &= put_rule(prefix, number++, &f, put, arg);
		}
		/* Without a policy the NetVM lets nothing pass: so does a rule that could not be written. */
		if (whole)
			put(arg, key, "drop");
		put(arg, prefix, "");
	}
	return next;
}

void net_rules_prefixes(const struct core *c, const struct qube *q, net_put_fn put, void *arg)
{
	struct pval v[2];
	const char *addr[2];
	size_t n = addresses(c, q, v, addr);

	for (size_t i = 0; i < n; i++) {
		char key[QDB_KEY_CAP];

		if (str_printf(key, sizeof key, "/qubes-firewall/%s/", addr[i]) == 0)
			put(arg, key, NULL);
	}
}
