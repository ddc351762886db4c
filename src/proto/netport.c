/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/netport.h"

#include <arpa/inet.h>

#include "base/str.h"

#define FIELDS_MAX 6
#define SEEN "seen="

static bool addr_ok(const char *s, int af)
{
	char back[INET6_ADDRSTRLEN];
	uint8_t bin[16];

	return inet_pton(af, s, bin) == 1 && inet_ntop(af, bin, back, sizeof back) && streq(back, s);
}

bool netport_mac_ok(const char *s)
{
	if (strlen(s) != 17)
		return false;
	for (size_t i = 0; i < 17; i++)
		if (i % 3 == 2 ? s[i] != ':' : !ch_digit(s[i]) && !(s[i] >= 'a' && s[i] <= 'f'))
			return false;
	/* The lowest bit of the first byte marks a group. */
	return !strchr("13579bdf", s[1]);
}

static bool seen(struct netport *p, char *s)
{
	char *comma = strchr(s, ',');

	if (!comma)
		return false;
	*comma = '\0';
	return addr_ok(s, AF_INET) && str_copy(p->seen_ip, sizeof p->seen_ip, s) == 0 && addr_ok(comma + 1, AF_INET) &&
	       str_copy(p->seen_gateway, sizeof p->seen_gateway, comma + 1) == 0;
}

static int client(struct netport *p, char **f, size_t n, struct err *e)
{
	uint64_t qid;

	if (n > 4 && str_starts(f[n - 1], SEEN) && !seen(p, f[--n] + strlen(SEEN)))
		return err_set(e, EINVAL, "a hidden client is seen=ADDRESS,GATEWAY");
	if (n < 4 || n > 5 || str_u64(f[1], 1u << 20, &qid) < 0 || qid == 0)
		return err_set(e, EINVAL, "a client has a number, a MAC and an address");
	p->qid = (uint32_t)qid;
	if (!netport_mac_ok(f[2]) || str_copy(p->mac, sizeof p->mac, f[2]) < 0)
		return err_set(e, EINVAL, "not a MAC");
	if (!addr_ok(f[3], AF_INET) || str_copy(p->ip, sizeof p->ip, f[3]) < 0 ||
	    (n == 5 && (!addr_ok(f[4], AF_INET6) || str_copy(p->ip6, sizeof p->ip6, f[4]) < 0)))
		return err_set(e, EINVAL, "not an address");
	return 0;
}

static int external(struct netport *p, char **f, size_t n, struct err *e)
{
	char *slash = n > 1 ? strchr(f[1], '/') : NULL;
	uint64_t prefix;

	if (n == 2 && streq(f[1], "dhcp"))
		return 0;
	if (n < 3 || n > 5 || !slash || str_u64(slash + 1, 32, &prefix) < 0)
		return err_set(e, EINVAL, "an external port has ADDRESS/LENGTH and a gateway, or dhcp");
	*slash = '\0';
	p->prefix = (uint32_t)prefix;
	if (!addr_ok(f[1], AF_INET) || str_copy(p->ip, sizeof p->ip, f[1]) < 0 || !addr_ok(f[2], AF_INET) ||
	    str_copy(p->gateway, sizeof p->gateway, f[2]) < 0)
		return err_set(e, EINVAL, "not an address");
	for (size_t i = 3; i < n; i++)
		if (!addr_ok(f[i], AF_INET) || str_copy(p->dns[i - 3], sizeof p->dns[0], f[i]) < 0)
			return err_set(e, EINVAL, "not the address of a name server");
	return 0;
}

int netport_parse(struct netport *ret, const char *value, struct err *e)
{
	struct netport p = { 0 };
	char text[256], *f[FIELDS_MAX], *save = NULL;
	size_t n = 0;
	int r = 0;

	if (str_copy(text, sizeof text, value) < 0)
		return err_set(e, EINVAL, "too long");
	for (char *s = strtok_r(text, " ", &save); s; s = strtok_r(NULL, " ", &save)) {
		if (n == FIELDS_MAX)
			return err_set(e, EINVAL, "too many fields");
		f[n++] = s;
	}
	if (n == 1 && streq(f[0], "uplink")) {
		p.role = NETPORT_UPLINK;
	} else if (n && streq(f[0], "client")) {
		p.role = NETPORT_CLIENT;
		r = client(&p, f, n, e);
	} else if (n && streq(f[0], "external")) {
		p.role = NETPORT_EXTERNAL;
		r = external(&p, f, n, e);
	} else {
		r = err_set(e, EINVAL, "a port is uplink, client or external");
	}
	if (r == 0)
		*ret = p;
	return r;
}

void netport_format(struct wr *w, const struct netport *p)
{
	switch (p->role) {
	case NETPORT_UPLINK:
		wr_str(w, "uplink");
		return;
	case NETPORT_CLIENT:
		wr_printf(w, "client %u %s %s%s%s", p->qid, p->mac, p->ip, p->ip6[0] ? " " : "", p->ip6);
		if (p->seen_ip[0])
			wr_printf(w, " " SEEN "%s,%s", p->seen_ip, p->seen_gateway);
		return;
	case NETPORT_EXTERNAL:
		if (!p->ip[0]) {
			wr_str(w, "external dhcp");
			return;
		}
		wr_printf(w, "external %s/%u %s", p->ip, p->prefix, p->gateway);
		for (size_t i = 0; i < ARRAY_SIZE(p->dns) && p->dns[i][0]; i++)
			wr_printf(w, " %s", p->dns[i]);
		return;
	case NETPORT_ROLE_N:
		break;
	}
	wr_fail(w);
}
