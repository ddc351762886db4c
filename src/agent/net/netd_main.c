/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bulkhead-netd: start, and what makes it look at the devices again. */
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <sys/socket.h>

#include "agent/net/netd.h"
#include "agent/net/vpntext.h"
#include "agent/net/nfttor.h"
#include "base/log.h"
#include "base/str.h"

#define QDB_SOCKET "/run/qubes/qubesdb.sock"

static const char *const watched[] = { NETPORT_KEY, "/qubes-ip", "/qubes-gateway", "/qubes-primary-dns", NETPORT_COUNT_KEY };

/* Any news about links means: look again. What the kernel says is not needed. */
static void on_link(struct ev_io *io, int fd, int events, void *arg)
{
	char buf[8192];

	while (recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0)
		;
	netd_scan(arg);
}

static void own_addresses_changed(struct netd *d)
{
	/* Another NetVM, another address: the device is configured again from the start. */
	for (size_t i = d->n_ports; i-- > 0;)
		if (d->port[i].p.role == NETPORT_UPLINK)
			d->port[i] = d->port[--d->n_ports];
}

static void on_watch(struct ev_io *io, int fd, int events, void *arg)
{
	struct netd *d = arg;
	struct qdb_msg m;
	int r = qdbc_io(&d->watch), k = 0;
	bool any = false;

	while ((k = qdbc_next(&d->watch, &m)) > 0) {
		if (m.h.type != QDB_RESP_WATCH)
			continue;
		if (streq(m.h.path, NETPORT_COUNT_KEY)) {
			netd_count(d);
			continue;
		}
		any = true;
		if (str_starts(m.h.path, NETPORT_KEY))
			netd_driver(d);
		else
			own_addresses_changed(d);
	}
	if (r < 0 || k < 0) {
		log_error("QubesDB is gone");
		ev_stop(d->loop, 1);
		return;
	}
	ev_io_set(io, EV_READ | (qdbc_wants(&d->watch) ? EV_WRITE : 0));
	if (any)
		netd_scan(d);
}

static int watch_links(struct netd *d, struct err *e)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };

	d->link_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (d->link_fd < 0 || bind(d->link_fd, (struct sockaddr *)&a, sizeof a) < 0)
		return err_errno(e, errno, "watching devices");
	d->link_io = ev_io_new(d->loop, d->link_fd, EV_READ, on_link, d);
	return d->link_io ? 0 : err_set(e, EIO, "watching devices");
}

static int watch_keys(struct netd *d, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(watched); i++)
		if (qdbc_queue(&d->watch, QDB_CMD_WATCH, watched[i], NULL, 0) < 0)
			return err_set(e, EIO, "watching %s", watched[i]);
	d->watch_io = ev_io_new(d->loop, d->watch.fd, EV_READ | EV_WRITE, on_watch, d);
	return d->watch_io ? 0 : err_set(e, EIO, "watching QubesDB");
}

static bool has(struct netd *d, const char *name)
{
	char value[QDB_VALUE_MAX + 1];

	return qdbc_read(&d->db, name, value, sizeof value, NULL) == 0 && value[0];
}

static void facts(struct netd *d)
{
	char path[256];

	d->vpn = netd_is_vpn(d);
	d->provides = has(d, "/qubes-netvm-network") || has(d, "/qubes-netvm-gateway");
	d->tor = str_printf(path, sizeof path, "%s/tor-gateway", d->roles) == 0 && access(path, F_OK) == 0;
	d->ipv6 = !d->tor && (has(d, "/qubes-ip6") || has(d, "/qubes-netvm-gateway6"));
	d->filters = d->provides && !d->tor && access("/run/qubes-service/qubes-firewall", F_OK) == 0;
}

static int on_port_key(void *arg, const char *key, const char *value)
{
	*(bool *)arg = true;
	return 0;
}

static int run(struct netd *d, const char *socket, struct err *e)
{
	bool any = false;
	int r = qdbc_open(&d->watch, socket, e);

	if (r >= 0)
		r = watch_keys(d, e);
	if (r >= 0)
		r = watch_links(d, e);
	if (r < 0)
		return r;
	/* A qube without a network gets its tables with its first device; somebody's NetVM forwards nothing before it has them. */
	if (d->provides || d->tor)
		r = netd_base(d, e);
	if (r < 0)
		return r;
	if (qdbc_each(&d->db, NETPORT_KEY, false, on_port_key, &any, NULL) == 0 && any)
		netd_driver(d);
	netd_scan(d);
	if (d->tor) {
		netd_sysctl(d, "net/ipv4/ip_forward", "0");
	} else if (d->provides) {
		netd_sysctl(d, "net/ipv4/ip_forward", "1");
		if (d->ipv6)
			netd_sysctl(d, "net/ipv6/conf/all/forwarding", "1");
	}
	return ev_run(d->loop);
}

static void on_term(struct ev_signal *s, int signum, void *arg)
{
	ev_stop(((struct netd *)arg)->loop, 0);
}

int main(int argc, char **argv)
{
	static struct netd d = { .nft = "/usr/sbin/nft", .ip = "/usr/sbin/ip", .conntrack = "/usr/sbin/conntrack", .modprobe = "/usr/sbin/modprobe", .sys_net = "/sys/class/net",
				 .proc_sys = "/proc/sys", .resolv_conf = "/etc/resolv.conf", .hooks = "/rw/config/network-hooks.d", .roles = "/etc/bulkhead/roles",
				 .tor_user = TOR_USER, .link_fd = -1 };
	const char *socket = QDB_SOCKET;
	bool good = true;
	struct err e = { 0 };
	int r;

	log_init("netd", NULL, -1);
	d.vpn_services = "/run/qubes-service";
	d.vpn_resolv = VPN_UPLINK_RESOLV;
	d.vpn_run = VPN_RUN_DIR;
	for (int i = 1; i < argc; i += 2) {
		const char **o = streq(argv[i], "--socket") ? &socket : streq(argv[i], "--sys-net") ? &d.sys_net :
				 streq(argv[i], "--resolv-conf") ? &d.resolv_conf :
				 streq(argv[i], "--hooks") ? &d.hooks :
				 streq(argv[i], "--vpn-services") ? &d.vpn_services :
				 streq(argv[i], "--vpn-resolv") ? &d.vpn_resolv :
				 streq(argv[i], "--vpn-run") ? &d.vpn_run :
				 streq(argv[i], "--roles") ? &d.roles :
				 streq(argv[i], "--tor-user") ? &d.tor_user :
				 streq(argv[i], "--modprobe") ? &d.modprobe : NULL;

		good &= o && i + 1 < argc;
		if (good)
			*o = argv[i + 1];
	}
	if (!good) {
		fputs("usage: bulkhead-netd [--socket QUBESDB] [--sys-net DIR] [--resolv-conf FILE] [--modprobe PROGRAM] [--hooks DIR]\n"
		      "                     [--roles DIR] [--tor-user NAME]\n", stderr);
		return 2;
	}
	d.db.fd = d.watch.fd = -1;
	signal(SIGPIPE, SIG_IGN);
	d.loop = ev_new();
	if (!d.loop)
		return 1;
	(void)ev_signal_new(d.loop, SIGTERM, on_term, &d);
	r = qdbc_open_wait(&d.db, socket, 30000, &e);
	if (r >= 0) {
		facts(&d);
		r = run(&d, socket, &e);
	}
	if (r < 0)
		log_error("%s", err_text(&e, r));
	ev_io_free(d.watch_io);
	ev_io_free(d.link_io);
	fd_closep(&d.link_fd);
	qdbc_fini(&d.watch);
	qdbc_fini(&d.db);
	ev_free(d.loop);
	return r < 0 ? 1 : r;
}
