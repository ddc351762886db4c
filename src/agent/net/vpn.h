/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bulkhead-vpn: brings the tunnel of a VPN qube up and keeps it up. It opens the wall (vpntext.h) for the ends of the tunnel only; the wall itself is netd's
 * and stands without it. Private to src/agent/net/vpn_*.c.
 */
#ifndef AGENT_NET_VPN_H
#define AGENT_NET_VPN_H

#include "agent/net/vpntext.h"
#include "base/ev.h"
#include "base/proc.h"
#include "proto/dnsmsg.h"
#include "qdb/client.h"

#define VPN_CONF_DIR "/rw/config/bulkhead-vpn"
#define VPN_CONF_NAME "vpn.conf"
#define VPN_SERVERS_MAX 3
#define VPN_CTL_MAX 4096

/* In the order in which a tunnel comes up. The words are in QubesDB (VPN_STATE_KEY) for dom0. */
enum vpn_state { VPN_NONE, VPN_BROKEN, VPN_NO_UPLINK, VPN_ASKING, VPN_CONNECTING, VPN_UP };

struct vpn_ask {
	struct vpnd *d;
	int fd;
	struct ev_io *io;
	struct ev_timer *timer;
	size_t end; /* whose name is asked for */
	bool v6;
	unsigned tries;
	uint16_t id;
};

struct vpnd {
	struct ev_loop *loop;
	const char *run, *conf_path, *self, *resolv, *uplink_resolv, *qubesdb;
	struct vpn_conf conf;
	bool loaded;
	enum vpn_state state;
	char why[200]; /* of VPN_BROKEN, or of the last failure */
	/* the way outside */
	unsigned uplink; /* index of the interface, 0 = none */
	bool ipv6;
	char server[VPN_SERVERS_MAX][VPN_ADDR_CAP];
	size_t n_servers;
	/* the ends */
	struct vpn_target target[VPN_TARGETS_MAX];
	size_t n_targets;
	struct vpn_ask ask;
	/* the tunnel */
	struct proc child; /* openvpn, or wireguard-go */
	struct ev_io *child_io;
	struct vpn_given given;
	unsigned device; /* index of the interface that is configured, 0 = none */
	uint64_t handshake; /* seconds since 1970, of WireGuard; 0 = never */
	uint64_t since; /* now_us() when this state began */
	bool renew; /* the ends were looked up again while the device stood */
	unsigned failures;
	uint64_t again; /* not before this now_us() */
	struct ev_timer *tick;
	int link_fd, ctl_fd;
	struct ev_io *link_io, *ctl_io;
	struct qdbc db;
};

/* vpn_state_word gives the word of a state. */
const char *vpn_state_word(enum vpn_state s);
/* vpn_ends: how many ends the configuration has; vpn_end gives one (host "" = a peer without). */
size_t vpn_ends(const struct vpn_conf *c);
const struct vpn_end *vpn_end(const struct vpn_conf *c, size_t i);

/* vpn_run.c: programs, with text as their input (feed.h). 0 or -errno with text. */
int vpn_nft(struct wr *text, struct err *e);
/* force: goes on after an error; v6: of names without a family */
int vpn_ip(struct wr *text, bool force, bool v6, struct err *e);
/* vpn_resolv makes the tunnel's name servers those of this qube and its clients; none: questions are dropped. */
void vpn_resolv(const struct vpnd *d, const char dns[][VPN_ADDR_CAP], size_t n);
/* vpn_open lets the tunnel's packets, and questions for its ends, through the wall. */
int vpn_open(const struct vpnd *d, struct err *e);
/* vpn_sources: answers of the ends, and of name servers, come from where no route of ours leads, and are taken all the same; whose address is whose is watched by
   netd's tables. */
void vpn_sources(void);
/* vpn_handshake reads the time of WireGuard's newest handshake, 0 = never. */
uint64_t vpn_handshake(void);

/* vpn_names.c: vpn_names_begin finds the addresses of all ends; vpn_step runs when it is done. vpn_names_end stops it. */
void vpn_names_begin(struct vpnd *d);
void vpn_names_end(struct vpnd *d);

/* vpn_tunnel.c: starts and ends the tunnel. vpn_given: the device has its addresses now. */
int vpn_tunnel_start(struct vpnd *d, struct err *e);
void vpn_tunnel_end(struct vpnd *d);
int vpn_tunnel_configure(struct vpnd *d, struct err *e);
/* vpn_tunnel_ready: wireguard-go takes a configuration. */
bool vpn_tunnel_ready(void);

/* vpn_main.c: vpn_step does what can be done now; vpn_fail notes a failure and when it is tried again. */
void vpn_step(struct vpnd *d);
void vpn_fail(struct vpnd *d, const char *why);
void vpn_set(struct vpnd *d, enum vpn_state s);

/* vpn_service.c: the service bulkhead.Vpn, and openvpn's `up`. They give exit statuses. */
int vpn_service(const char *what, const char *conf_dir, const char *run);
int vpn_up(const char *run);

#endif
