/* SPDX-License-Identifier: GPL-3.0-or-later */
/* WireGuard configurations as wg-quick takes them: sections of KEY = VALUE. Commands (PostUp …) are never taken. */
#include <strings.h>

#include "base/str.h"
#include "proto/vpnconf.h"

enum wg_key {
	WG_PRIVATE_KEY, WG_ADDRESS, WG_DNS, WG_MTU, WG_LISTEN_PORT, WG_LEFT_OUT, WG_COMMAND, /* [Interface] */
	WG_PUBLIC_KEY, WG_PRESHARED_KEY, WG_ALLOWED, WG_ENDPOINT, WG_KEEPALIVE,		    /* [Peer] */
};

static const struct {
	const char *name;
	enum wg_key key;
	bool peer;
} keys[] = {
	{ "PrivateKey", WG_PRIVATE_KEY, false }, { "Address", WG_ADDRESS, false },	 { "DNS", WG_DNS, false },
	{ "MTU", WG_MTU, false },		 { "ListenPort", WG_LISTEN_PORT, false }, { "FwMark", WG_LEFT_OUT, false },
	{ "Table", WG_LEFT_OUT, false },	 { "SaveConfig", WG_LEFT_OUT, false },	 { "PreUp", WG_COMMAND, false },
	{ "PostUp", WG_COMMAND, false },	 { "PreDown", WG_COMMAND, false },	 { "PostDown", WG_COMMAND, false },
	{ "PublicKey", WG_PUBLIC_KEY, true },	 { "PresharedKey", WG_PRESHARED_KEY, true }, { "AllowedIPs", WG_ALLOWED, true },
	{ "Endpoint", WG_ENDPOINT, true },	 { "PersistentKeepalive", WG_KEEPALIVE, true },
};

static int key_value(struct vpn_parser *p, const char *v, char out[VPN_KEY_CAP])
{
	if (strlen(v) != VPN_KEY_CAP - 1 || v[VPN_KEY_CAP - 2] != '=')
		return vpn_bad(p, "a key has 44 characters and ends with '='");
	for (size_t i = 0; i < VPN_KEY_CAP - 2; i++)
		if (!ch_alnum(v[i]) && v[i] != '+' && v[i] != '/')
			return vpn_bad(p, "a key is written in base64");
	memcpy(out, v, VPN_KEY_CAP);
	return 0;
}

static int number(struct vpn_parser *p, const char *v, uint64_t max, uint64_t *ret)
{
	return str_u64(v, max, ret) < 0 ? vpn_bad(p, "a number up to %llu is wanted", (unsigned long long)max) : 0;
}

static int net(struct vpn_parser *p, char *v, struct vpn_net *ret)
{
	char *slash = strchr(v, '/');
	uint64_t bits;

	if (slash)
		*slash = '\0';
	if (!vpn_addr(v, ret->addr, &ret->v6))
		return vpn_bad(p, "ADDRESS/LENGTH is wanted");
	bits = ret->v6 ? 128 : 32;
	if (slash && str_u64(slash + 1, bits, &bits) < 0)
		return vpn_bad(p, "the length of a network is a number up to %u", ret->v6 ? 128u : 32u);
	ret->bits = (uint8_t)bits;
	return 0;
}

static int name_server(struct vpn_parser *p, char *v)
{
	char addr[VPN_ADDR_CAP];
	bool v6;

	if (vpn_addr(v, addr, &v6))
		return vpn_dns_add(p, v);
	if (!vpn_host_ok(v))
		return vpn_bad(p, "DNS wants addresses");
	vpn_note(p, "search domains of DNS are left out");
	return 0;
}

/* A list with commas between its members. */
static int list(struct vpn_parser *p, enum wg_key key, char *v)
{
	struct vpn_conf *c = p->c;
	struct vpn_peer *peer = c->n_peers ? &c->peer[c->n_peers - 1] : NULL;
	char *save = NULL;

	for (char *s = strtok_r(v, ", \t", &save); s; s = strtok_r(NULL, ", \t", &save)) {
		int r;

		if (key == WG_DNS) {
			r = name_server(p, s);
		} else if (key == WG_ADDRESS) {
			if (c->n_address == ARRAY_SIZE(c->address))
				return vpn_bad(p, "too many addresses");
			r = net(p, s, &c->address[c->n_address]);
			c->n_address += r == 0;
		} else {
			if (c->n_allowed == VPN_NETS_MAX)
				return vpn_bad(p, "more than %d networks", VPN_NETS_MAX);
			r = net(p, s, &c->allowed[c->n_allowed]);
			c->n_allowed += r == 0;
			peer->n_nets += r == 0;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int endpoint(struct vpn_parser *p, char *v, struct vpn_end *ret)
{
	char *colon = strrchr(v, ':'), addr[VPN_ADDR_CAP];
	bool v6 = v[0] == '[';
	uint64_t port;

	if (!colon || colon == v || (v6 && colon[-1] != ']') || str_u64(colon + 1, 65535, &port) < 0 || port == 0)
		return vpn_bad(p, "an endpoint is HOST:PORT");
	*(v6 ? colon - 1 : colon) = '\0';
	if (v6 ? !vpn_addr(v + 1, addr, &v6) || !v6 : !vpn_host_ok(v))
		return vpn_bad(p, "an endpoint has the name or the address of a host");
	ret->port = (uint16_t)port;
	return str_copy(ret->host, sizeof ret->host, v6 ? addr : v);
}

static int value(struct vpn_parser *p, enum wg_key key, const char *name, char *v)
{
	struct vpn_conf *c = p->c;
	struct vpn_peer *peer = c->n_peers ? &c->peer[c->n_peers - 1] : NULL;
	uint64_t n = 0;
	int r;

	switch (key) {
	case WG_PRIVATE_KEY:
		return key_value(p, v, c->private_key);
	case WG_PUBLIC_KEY:
		return key_value(p, v, peer->public_key);
	case WG_PRESHARED_KEY:
		return key_value(p, v, peer->preshared_key);
	case WG_ADDRESS:
	case WG_DNS:
	case WG_ALLOWED:
		return list(p, key, v);
	case WG_ENDPOINT:
		return endpoint(p, v, &peer->end);
	case WG_MTU:
		r = number(p, v, 65535, &n);
		c->mtu = (unsigned)n;
		return r == 0 && n && n < 576 ? vpn_bad(p, "an MTU is at least 576") : r;
	case WG_LISTEN_PORT:
		r = number(p, v, 65535, &n);
		c->listen_port = (uint16_t)n;
		return r;
	case WG_KEEPALIVE:
		r = streq(v, "off") ? 0 : number(p, v, 65535, &n);
		peer->keepalive = (uint16_t)n;
		return r;
	case WG_LEFT_OUT:
	case WG_COMMAND:
		break;
	}
	vpn_note(p, key == WG_COMMAND ? "%s runs a program: left out" : "%s is left out: routes and marks are set by the qube", name);
	return 0;
}

static int pair(struct vpn_parser *p, char *line, bool in_peer, bool in_interface)
{
	char *eq = strchr(line, '='), *v;
	size_t n;

	if (!eq)
		return vpn_bad(p, "neither [SECTION] nor KEY = VALUE");
	for (n = (size_t)(eq - line); n > 0 && strchr(" \t", line[n - 1]); n--)
		;
	line[n] = '\0';
	v = eq + 1 + strspn(eq + 1, " \t");
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcasecmp(keys[i].name, line) == 0)
			return (keys[i].peer ? in_peer : in_interface) ? value(p, keys[i].key, keys[i].name, v) :
									 vpn_bad(p, "%s does not belong here", keys[i].name);
	return vpn_bad(p, "'%.40s' is not known", line);
}

static int whole(struct vpn_parser *p)
{
	const struct vpn_conf *c = p->c;
	bool any = false;

	if (!c->private_key[0])
		return err_set(p->e, EINVAL, "there is no PrivateKey in it");
	if (!c->n_address)
		return err_set(p->e, EINVAL, "there is no Address in it");
	for (size_t i = 0; i < c->n_peers; i++) {
		if (!c->peer[i].public_key[0])
			return err_set(p->e, EINVAL, "peer %zu has no PublicKey", i + 1);
		any |= c->peer[i].end.host[0] != '\0';
	}
	return any ? 0 : err_set(p->e, EINVAL, "no peer has an Endpoint: this is the configuration of a server, or of nothing");
}

int vpn_parse_wg(struct vpn_parser *p)
{
	struct vpn_conf *c = p->c;
	char line[VPN_LINE_CAP];
	bool in_peer = false, in_interface = false;
	int r;

	while ((r = vpn_line(p, line)) > 0) {
		char *hash = strchr(line, '#');

		if (hash)
			*hash = '\0';
		for (size_t n = strlen(line); n > 0 && strchr(" \t", line[n - 1]); n--)
			line[n - 1] = '\0';
		if (!line[0])
			continue;
		if (strcasecmp(line, "[Interface]") == 0) {
			in_interface = true;
			in_peer = false;
		} else if (strcasecmp(line, "[Peer]") == 0) {
			if (c->n_peers == VPN_PEERS_MAX)
				return vpn_bad(p, "more than %d peers", VPN_PEERS_MAX);
			c->peer[c->n_peers++].first_net = c->n_allowed;
			in_interface = false;
			in_peer = true;
		} else {
			r = pair(p, line, in_peer, in_interface);
			if (r < 0)
				break;
		}
	}
	explicit_bzero(line, sizeof line);
	return r < 0 ? r : whole(p);
}
