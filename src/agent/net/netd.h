/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bulkhead-netd: gives every network device of a qube its name, group and addresses, and its clients their place in the antispoof tables. It
 * acts only on devices for which dom0 wrote a /net-port/ key: another device stays down. Private to src/agent/net/netd*.c.
 */
#ifndef AGENT_NET_NETD_H
#define AGENT_NET_NETD_H

#include "agent/net/iptext.h"
#include "agent/net/nfttext.h"
#include "base/ev.h"
#include "base/rd.h"
#include "qdb/client.h"

#define NETD_PORTS_MAX 64
#define NETD_SLOT_CAP 8 /* "1c.3" */
#define NETD_VIRTUAL_DNS { "10.139.1.1", "10.139.1.2" }

struct netd_port {
	char slot[NETD_SLOT_CAP];
	char ifname[16]; /* its name now */
	struct netport p;
	bool present; /* seen by the scan that runs */
};

struct netd {
	struct ev_loop *loop;
	struct qdbc db, watch;
	struct ev_io *watch_io, *link_io;
	int link_fd;
	const char *nft, *ip, *conntrack, *modprobe, *sys_net, *proc_sys, *resolv_conf, *hooks;
	struct netd_port port[NETD_PORTS_MAX];
	size_t n_ports;
	bool provides; /* this qube is somebody's NetVM */
	bool filters; /* qubes-firewall will run: until it does, nothing is forwarded */
	bool ipv6;
	const char *roles; /* directory of what its template makes of a qube (docs/tor.md) */
	const char *tor_user;
	bool tor; /* a Tor gateway: forwards nothing, ever */
	bool base; /* the tables are loaded */
	bool driver; /* so is the driver */
	bool vpn; /* nothing but a tunnel leads outside (netd_vpn.c) */
	const char *vpn_services, *vpn_resolv, *vpn_run; /* where the service's mark, the way outside's name servers, and bulkhead-vpn are */
};

/* netd_run.c: programs; 0 or -errno with text. netd_base loads the tables of every qube unless they are loaded. */
int netd_base(struct netd *d, struct err *e);
int netd_nft(const struct netd *d, struct wr *text, struct err *e);
int netd_ip(const struct netd *d, struct wr *text, struct err *e);
/* netd_driver loads the driver of network devices once. */
void netd_driver(struct netd *d);
void netd_forget_flows(const struct netd *d, const struct netport *p);
/* netd_sysctl writes one setting below /proc/sys; failures are logged. */
void netd_sysctl(const struct netd *d, const char *path, const char *value);
/* netd_resolv replaces resolv.conf (unless it is protected, or service disable-dns-server is on) and the translation of questions. */
void netd_resolv(const struct netd *d, const char dns[][NETPORT_ADDR_CAP], size_t n);

/* netd_hooks runs the user's programs in network-hooks.d, in the order of their names: WHAT (online, offline) INTERFACE vif ADDRESS. One that fails or takes
   too long is logged and holds up nobody. */
void netd_hooks(const struct netd *d, const char *what, const struct netd_port *t);

/* netd_port.c: netd_scan looks at all devices: configures new ones, forgets those that are gone. */
void netd_scan(struct netd *d);
/* netd_slot_of gives the PCI place of the root port above an interface from its device path: "…/pci0000:00/0000:00:1c.3/…" is "1c.3". False
   when it hangs on no root port. */
bool netd_slot_of(const char *device_path, char ret[NETD_SLOT_CAP]);
/* netd_own reads this qube's own addresses. uplink: those towards its NetVM; else those its clients see. */
void netd_own(struct netd *d, bool uplink, struct ip_own *ret);

/* netd_vpn.c: netd_is_vpn says whether this is a VPN qube. netd_vpn_wall adds the wall to the tables; netd_vpn_resolv keeps the name servers of the way outside for vpn
   questions; false when this is no VPN qube. */
bool netd_is_vpn(const struct netd *d);
void netd_vpn_wall(struct wr *w);
bool netd_vpn_resolv(const struct netd *d, const char dns[][NETPORT_ADDR_CAP], size_t n);

/* netd_count.c: netd_count writes the counters of each device and says so (proto/netport.h). netd_dev_line reads a line of /proc/net/dev: packets and bytes
   received, packets and bytes sent; false when it is not that device's. */
#define NETD_COUNTS 4
void netd_count(struct netd *d);
bool netd_dev_line(struct rd line, const char *name, uint64_t ret[NETD_COUNTS]);

#endif
