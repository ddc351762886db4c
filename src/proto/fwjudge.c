/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/fwjudge.h"

#include <arpa/inet.h>

#include "base/str.h"

static const char *const virtual_dns[] = { "10.139.1.1", "10.139.1.2" };

static bool name_ok(const char *s)
{
	if (!s[0] || s[0] == '-' || strlen(s) >= sizeof ((struct fw_packet *)0)->name)
		return false;
	for (; *s; s++)
		if (!ch_digit(*s) && !(*s >= 'a' && *s <= 'z') && !strchr("-._", *s))
			return false;
	return true;
}

bool fw_destination(struct fw_packet *p, const char *text)
{
	p->v6 = p->named = p->dns_server = false;
	memset(p->addr, 0, sizeof p->addr);
	p->name[0] = '\0';
	if (inet_pton(AF_INET, text, p->addr) == 1) {
		for (size_t i = 0; i < ARRAY_SIZE(virtual_dns); i++)
			p->dns_server |= streq(text, virtual_dns[i]);
		return true;
	}
	if (inet_pton(AF_INET6, text, p->addr) == 1) {
		p->v6 = true;
		return true;
	}
	p->named = name_ok(text);
	return p->named && str_copy(p->name, sizeof p->name, text) == 0;
}

/* ADDRESS/LENGTH of a parsed rule. */
static bool in_net(const struct fw_rule *r, const struct fw_packet *p)
{
	const char *slash = strchr(r->addr, '/');
	char text[64];
	uint8_t net[16];
	uint64_t bits;

	if (!slash || (size_t)(slash - r->addr) >= sizeof text || str_u64(slash + 1, p->v6 ? 128 : 32, &bits) < 0)
		return false;
	memcpy(text, r->addr, (size_t)(slash - r->addr));
	text[slash - r->addr] = '\0';
	if (inet_pton(p->v6 ? AF_INET6 : AF_INET, text, net) != 1)
		return false;
	for (uint64_t i = 0; i < bits; i++)
		if ((net[i / 8] ^ p->addr[i / 8]) & (0x80 >> i % 8))
			return false;
	return true;
}

static enum fw_fit destination_fits(const struct fw_rule *r, const struct fw_packet *p)
{
	switch (r->dst) {
	case FW_DST_NONE:
		return FW_FIT_YES;
	case FW_DST_NAME:
		if (p->named && streq(p->name, r->addr))
			return FW_FIT_YES;
		return p->fit ? p->fit(p->arg, r->addr, p) : FW_FIT_MAYBE;
	case FW_DST_4:
	case FW_DST_6:
	default:
		if (p->named || p->dns_server)
			return FW_FIT_MAYBE;
		return (r->dst == FW_DST_6) == p->v6 && in_net(r, p) ? FW_FIT_YES : FW_FIT_NO;
	}
}

static bool port_fits(const struct fw_rule *r, const struct fw_packet *p)
{
	bool has_port = p->proto == FW_PROTO_TCP || p->proto == FW_PROTO_UDP;

	if (r->proto != FW_PROTO_ANY && r->proto != p->proto)
		return false;
	if (r->has_icmp && (p->proto != FW_PROTO_ICMP || r->icmp != p->icmp))
		return false;
	if (r->dns && (!has_port || p->port != 53))
		return false;
	return !r->has_ports || (has_port && p->port >= r->port_from && p->port <= r->port_to);
}

enum fw_fit fw_fits(const struct fw_rule *r, const struct fw_packet *p, uint64_t now)
{
	enum fw_fit f;

	if ((r->has_expire && r->expire <= now) || !port_fits(r, p))
		return FW_FIT_NO;
	f = destination_fits(r, p);
	/* Questions that go straight to a server of the NetVM fit too, and which ones it has is not known here. */
	if (r->dns && f != FW_FIT_NO && !p->dns_server)
		return FW_FIT_MAYBE;
	return f;
}

void fw_judge(const struct fw_rule *rules, size_t n, const struct fw_packet *p, uint64_t now, struct fw_verdict *ret)
{
	*ret = (struct fw_verdict){ .rule = -1, .maybe = -1 };
	for (size_t i = 0; i < n && ret->rule < 0; i++) {
		enum fw_fit f = fw_fits(&rules[i], p, now);

		if (f == FW_FIT_YES) {
			ret->rule = (int)i;
			ret->accept = rules[i].accept;
		} else if (f == FW_FIT_MAYBE && ret->maybe < 0) {
			ret->maybe = (int)i;
		}
	}
	/* A doubt does not count when every rule in doubt says what the deciding one says. */
	for (int i = ret->maybe; i >= 0 && i < (int)n && i != ret->rule; i++)
		if (fw_fits(&rules[i], p, now) == FW_FIT_MAYBE && rules[i].accept != ret->accept)
			return;
	ret->maybe = -1;
}
