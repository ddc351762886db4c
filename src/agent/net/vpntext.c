/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/net/vpntext.h"

#include "base/str.h"

#define T "inet bulkhead-vpn "

void vpn_nft_wall(struct wr *w)
{
	static const char *const chains[] = { "forward", "output" };

	wr_printf(w, "add table " T "\n");
	wr_printf(w, "add set " T "ends4 { type ipv4_addr . inet_proto . inet_service; }\nadd set " T "ends6 { type ipv6_addr . inet_proto . inet_service; }\n");
	wr_printf(w, "add set " T "ask4 { type ipv4_addr; }\nadd set " T "ask6 { type ipv6_addr; }\n");
	for (size_t i = 0; i < ARRAY_SIZE(chains); i++)
		wr_printf(w, "add chain " T "%s { type filter hook %s priority -10; policy drop; }\nflush chain " T "%s\n", chains[i], chains[i], chains[i]);
	wr_printf(w, "add rule " T "forward iifgroup 2 oifname \"" VPN_IF "\" counter accept\n");
	wr_printf(w, "add rule " T "forward iifname \"" VPN_IF "\" oifgroup 2 ct state established,related accept\n");
	wr_printf(w, "add rule " T "forward iifgroup 2 counter reject with icmpx type admin-prohibited\n");
	wr_printf(w, "add rule " T "forward counter drop\n");
	wr_printf(w, "add rule " T "output oifname { \"lo\", \"" VPN_IF "\" } accept\nadd rule " T "output oifgroup 2 accept\n");
	wr_printf(w, "add rule " T "output meta mark %u ip daddr . meta l4proto . th dport @ends4 accept\n", VPN_MARK);
	wr_printf(w, "add rule " T "output meta mark %u ip6 daddr . meta l4proto . th dport @ends6 accept\n", VPN_MARK);
	wr_printf(w, "add rule " T "output meta mark %u ip daddr @ask4 udp dport 53 accept\nadd rule " T "output meta mark %u ip6 daddr @ask6 udp dport 53 accept\n",
		  VPN_MARK, VPN_MARK);
	wr_printf(w, "add rule " T "output counter drop\n");
}

void vpn_nft_sets(struct wr *w, const struct vpn_target *t, size_t n, const char ask[][VPN_ADDR_CAP], size_t n_ask)
{
	static const char *const sets[] = { "ends4", "ends6", "ask4", "ask6" };

	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		wr_printf(w, "flush set " T "%s\n", sets[i]);
	for (size_t i = 0; i < n; i++) {
		if (!nft_addr_ok(t[i].addr, t[i].v6)) {
			wr_fail(w);
			return;
		}
		wr_printf(w, "add element " T "ends%d { %s . %u . %u }\n", t[i].v6 ? 6 : 4, t[i].addr, t[i].tcp ? NFT_PROTO_TCP : NFT_PROTO_UDP, t[i].port);
	}
	for (size_t i = 0; i < n_ask; i++) {
		bool v6 = strchr(ask[i], ':') != NULL;

		if (!nft_addr_ok(ask[i], v6)) {
			wr_fail(w);
			return;
		}
		wr_printf(w, "add element " T "ask%d { %s }\n", v6 ? 6 : 4, ask[i]);
	}
}

void vpn_ip_rules(struct wr *w)
{
	/* The main table's own networks first, such as the clients'; not its default route. */
	wr_printf(w, "rule add pref 4246 lookup main suppress_prefixlength 0\n");
	wr_printf(w, "rule add pref 4247 not fwmark %u lookup %u\n", VPN_MARK, VPN_TABLE);
	wr_printf(w, "route replace unreachable default table %u metric 4000000000\n", VPN_TABLE);
}

void vpn_ip_device(struct wr *w, const struct vpn_given *g, const struct vpn_net *nets, size_t n)
{
	bool has[2] = { false, false };

	if (g->mtu)
		wr_printf(w, "link set dev " VPN_IF " mtu %u\n", g->mtu);
	for (size_t i = 0; i < g->n_addr; i++) {
		if (!nft_addr_ok(g->addr[i], g->addr_v6[i])) {
			wr_fail(w);
			return;
		}
		has[g->addr_v6[i]] = true;
		wr_printf(w, "address replace %s/%d dev " VPN_IF "%s\n", g->addr[i], g->addr_v6[i] ? 128 : 32, g->addr_v6[i] ? " nodad" : "");
	}
	wr_printf(w, "link set dev " VPN_IF " up\n");
	for (size_t i = 0; i < n; i++)
		if (has[nets[i].v6])
			wr_printf(w, "route replace %s/%u dev " VPN_IF " table %u\n", nets[i].addr, nets[i].bits, VPN_TABLE);
	for (int v6 = 0; !nets && v6 < 2; v6++)
		if (has[v6])
			wr_printf(w, "route replace %s/0 dev " VPN_IF " table %u\n", v6 ? "::" : "0.0.0.0", VPN_TABLE);
}

void vpn_wg_text(struct wr *w, const struct vpn_conf *c, const struct vpn_target *t, size_t n)
{
	wr_printf(w, "[Interface]\nPrivateKey = %s\nFwMark = %u\n", c->private_key, VPN_MARK);
	if (c->listen_port)
		wr_printf(w, "ListenPort = %u\n", c->listen_port);
	for (size_t i = 0; i < c->n_peers; i++) {
		const struct vpn_peer *p = &c->peer[i];

		wr_printf(w, "[Peer]\nPublicKey = %s\n", p->public_key);
		if (p->preshared_key[0])
			wr_printf(w, "PresharedKey = %s\n", p->preshared_key);
		for (size_t k = 0; k < p->n_nets; k++)
			wr_printf(w, "AllowedIPs = %s/%u\n", c->allowed[p->first_net + k].addr, c->allowed[p->first_net + k].bits);
		for (size_t k = 0; k < n; k++) {
			if (t[k].of != i)
				continue;
			wr_printf(w, t[k].v6 ? "Endpoint = [%s]:%u\n" : "Endpoint = %s:%u\n", t[k].addr, t[k].port);
			break;
		}
		if (p->keepalive)
			wr_printf(w, "PersistentKeepalive = %u\n", p->keepalive);
	}
}

void vpn_ovpn_text(struct wr *w, const struct vpn_conf *c, const struct vpn_target *t, size_t n, const char *up, const char *auth)
{
	wr_bytes(w, c->lines.buf, c->lines.len);
	for (size_t i = 0; i < n; i++)
		wr_printf(w, "remote %s %u %s%c%s\n", t[i].addr, t[i].port, t[i].tcp ? "tcp" : "udp", t[i].v6 ? '6' : '4', t[i].tcp ? "-client" : "");
	if (c->mtu)
		wr_printf(w, "tun-mtu %u\n", c->mtu);
	wr_printf(w, "dev " VPN_IF "\ndev-type tun\nnobind\npersist-key\nmark %u\nroute-noexec\nifconfig-noexec\nresolv-retry 0\nauth-retry nointeract\n", VPN_MARK);
	wr_printf(w, "connect-retry 1 15\nscript-security 2\nup-restart\nup \"%s\"\nverb 1\n", up);
	for (size_t i = 0; i < c->n_files; i++) {
		const struct vpn_file *f = &c->file[i];

		if (streq(f->what, VPN_AUTH)) {
			if (auth)
				wr_printf(w, VPN_AUTH " \"%s\"\n", auth);
			continue;
		}
		wr_printf(w, "<%s>\n", f->what);
		wr_bytes(w, f->data ? f->data : "", f->len);
		wr_printf(w, "\n</%s>\n", f->what);
	}
}

void vpn_given_line(struct vpn_given *g, const char *line)
{
	char addr[VPN_ADDR_CAP];
	uint64_t n;
	bool v6;

	if (str_starts(line, "mtu ") && str_u64(line + 4, 65535, &n) == 0 && n >= 576) {
		g->mtu = (unsigned)n;
	} else if (str_starts(line, "address ") && g->n_addr < ARRAY_SIZE(g->addr) && vpn_addr(line + 8, addr, &v6)) {
		g->addr_v6[g->n_addr] = v6;
		memcpy(g->addr[g->n_addr++], addr, sizeof addr);
	} else if (str_starts(line, "dns ") && g->n_dns < VPN_DNS_MAX && vpn_addr(line + 4, addr, &v6)) {
		memcpy(g->dns[g->n_dns++], addr, sizeof addr);
	}
}
