/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/net/iptext.h"

#include "agent/net/nfttext.h"
#include "base/str.h"

/* Under its own name and group before it is up, so that no packet meets a rule for another one. */
static void name_it(struct wr *w, const char *old_name, const char *name, int group, const char *mac)
{
	if (!nft_ifname_ok(old_name) || !nft_ifname_ok(name) || (mac && !netport_mac_ok(mac))) {
		wr_fail(w);
		return;
	}
	wr_printf(w, "link set dev %s down\n", old_name);
	if (!streq(old_name, name))
		wr_printf(w, "link set dev %s name %s\n", old_name, name);
	wr_printf(w, "link set dev %s group %d", name, group);
	if (mac)
		wr_printf(w, " address %s", mac);
	wr_printf(w, "\n");
}

static bool addr(struct wr *w, const char *s, bool v6)
{
	if (!s[0])
		return false;
	if (!nft_addr_ok(s, v6))
		wr_fail(w);
	return true;
}

void ip_client_name(char out[16], uint32_t qid)
{
	if (str_printf(out, 16, "vif%u.0", qid) < 0)
		abort(); /* a qid has at most 7 digits */
}

void ip_uplink(struct wr *w, const char *old_name, const char *name, const struct ip_own *own)
{
	const struct {
		const char *ip, *gateway, *bits, *family;
		bool v6;
	} f[] = { { own->ip, own->gateway, "/32", "-4", false }, { own->ip6, own->gateway6, "/128", "-6", true } };

	name_it(w, old_name, name, IP_GROUP_UP, own->mac[0] ? own->mac : NULL);
	for (size_t i = 0; i < ARRAY_SIZE(f); i++)
		if (addr(w, f[i].ip, f[i].v6))
			wr_printf(w, "address replace %s%s dev %s%s\n", f[i].ip, f[i].bits, name, f[i].v6 ? " nodad" : "");
	wr_printf(w, "link set dev %s up\n", name);
	for (size_t i = 0; i < ARRAY_SIZE(f); i++) {
		if (!f[i].ip[0] || !addr(w, f[i].gateway, f[i].v6))
			continue;
		wr_printf(w, "neighbour replace %s lladdr " IP_MAC_PROVIDER " dev %s nud permanent\n", f[i].gateway, name);
		wr_printf(w, "route replace %s dev %s%s\n", f[i].gateway, name, f[i].v6 ? "" : " scope link");
		if (!own->no_default_route)
			wr_printf(w, "route replace default via %s dev %s onlink\n", f[i].gateway, name);
	}
}

void ip_client(struct wr *w, const char *old_name, const char *name, const struct netport *p, const struct ip_own *own)
{
	const struct {
		const char *ip, *gateway, *bits;
		bool v6;
	} f[] = { { p->ip, own->gateway, "/32", false }, { p->ip6, own->gateway6, "/128", true } };
	unsigned metric = p->qid < 32752 ? 32752 - p->qid : 1;

	name_it(w, old_name, name, IP_GROUP_DOWN, IP_MAC_PROVIDER);
	for (size_t i = 0; i < ARRAY_SIZE(f); i++)
		if (addr(w, f[i].ip, f[i].v6) && addr(w, f[i].gateway, f[i].v6))
			wr_printf(w, "address replace %s%s dev %s%s\n", f[i].gateway, f[i].bits, name, f[i].v6 ? " nodad" : "");
	wr_printf(w, "link set dev %s up\n", name);
	for (size_t i = 0; i < ARRAY_SIZE(f); i++) {
		if (!f[i].ip[0])
			continue;
		wr_printf(w, "neighbour replace %s lladdr %s dev %s nud permanent\n", f[i].ip, p->mac, name);
		wr_printf(w, "route replace %s%s dev %s metric %u\n", f[i].ip, f[i].bits, name, metric);
	}
}

void ip_external(struct wr *w, const char *old_name, const char *name, const struct netport *p)
{
	name_it(w, old_name, name, IP_GROUP_UP, NULL);
	if (p->ip[0])
		wr_printf(w, "address replace %s/%u dev %s\n", p->ip, p->prefix, name);
	wr_printf(w, "link set dev %s up\n", name);
	if (p->ip[0] && addr(w, p->gateway, false))
		wr_printf(w, "route replace default via %s dev %s onlink\n", p->gateway, name);
}
