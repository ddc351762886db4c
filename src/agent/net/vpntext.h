/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a VPN qube tells nft, ip, wg and openvpn. Pure. The table `inet bulkhead-vpn` is the wall: it is loaded by netd before the first device is up, it
 * stays whatever the tunnel does, and only its sets change: the ends of the tunnel, and the name servers that may be asked for these ends.
 */
#ifndef AGENT_NET_VPNTEXT_H
#define AGENT_NET_VPNTEXT_H

#include "agent/net/nfttext.h"
#include "proto/vpnconf.h"

#define VPN_SERVICE "bulkhead-vpn"
#define VPN_RUN_DIR "/run/bulkhead-vpn"
#define VPN_UPLINK_RESOLV "/run/bulkhead-uplink-resolv.conf" /* name servers of the way outside, from netd */
#define VPN_IF "vpn0"
#define VPN_MARK 0x4248u /* on packets of the tunnel itself, and on questions for its ends */
#define VPN_TABLE 4248u	 /* routes of everything else */
#define VPN_TARGETS_MAX 128

/* An end of the tunnel by its address. of: index of the remote or peer that it belongs to. */
struct vpn_target {
	char addr[VPN_ADDR_CAP];
	bool v6, tcp;
	uint16_t port;
	size_t of;
};

/* What a tunnel gives to this qube. */
struct vpn_given {
	char addr[8][VPN_ADDR_CAP], dns[VPN_DNS_MAX][VPN_ADDR_CAP];
	bool addr_v6[8];
	size_t n_addr, n_dns;
	unsigned mtu;
};

/* vpn_nft_wall: nothing is forwarded but into the tunnel and back, nothing of the qube itself leaves elsewhere but for what the sets name. The sets of a wall that
   stands already are kept. */
void vpn_nft_wall(struct wr *w);
/* vpn_nft_sets replaces the sets. */
void vpn_nft_sets(struct wr *w, const struct vpn_target *t, size_t n, const char ask[][VPN_ADDR_CAP], size_t n_ask);
/* vpn_ip_rules: what has not the mark uses the tunnel's routes, and without a tunnel it has none. For `ip -force` of one family: what is there already is an
   error. */
void vpn_ip_rules(struct wr *w);
/* vpn_ip_device configures the tunnel's interface and the routes through it; nets NULL: everything. */
void vpn_ip_device(struct wr *w, const struct vpn_given *g, const struct vpn_net *nets, size_t n);
/* vpn_wg_text is the input of `wg setconf`. A peer without an address stays without an endpoint. */
void vpn_wg_text(struct wr *w, const struct vpn_conf *c, const struct vpn_target *t, size_t n);
/* vpn_ovpn_text is openvpn's configuration: the user's without files, the ends by address, and what the qube demands. up: the command that is told of the
   addresses; auth: the file of user name and password, NULL = none. */
void vpn_ovpn_text(struct wr *w, const struct vpn_conf *c, const struct vpn_target *t, size_t n, const char *up, const char *auth);
/* vpn_given_line takes one line of the message that `up` sends: "address A", "dns A", "mtu N". Others are passed over: they come from the server. */
void vpn_given_line(struct vpn_given *g, const char *line);
/* vpn_tell sends a message to the daemon of this qube (vpn_tell.c); -errno when there is none. */
int vpn_tell(const char *run, const void *text, size_t len);

#endif
