/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bulkhead-vpn: start, and what it does next. Every step can be taken at any time: it looks at what is there and goes on from it. */
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "agent/net/vpn.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "proto/netport.h"

#define TICK_MS 1000
#define AGAIN_MAX_S 30u
#define FRESH_S 180u	   /* an older handshake of WireGuard carries nothing any more */
#define NAMES_AGAIN_S 60u /* of WireGuard without a handshake: its server may have moved */

static const char *const words[] = { [VPN_NONE] = "no-configuration", [VPN_BROKEN] = "failed", [VPN_NO_UPLINK] = "no-uplink", [VPN_ASKING] = "asking-names",
				     [VPN_CONNECTING] = "connecting", [VPN_UP] = "up" };

const char *vpn_state_word(enum vpn_state s)
{
	return words[s];
}

size_t vpn_ends(const struct vpn_conf *c)
{
	return c->kind == VPN_WIREGUARD ? c->n_peers : c->n_remotes;
}

const struct vpn_end *vpn_end(const struct vpn_conf *c, size_t i)
{
	return c->kind == VPN_WIREGUARD ? &c->peer[i].end : &c->remote[i];
}

/* --- what others see ---------------------------------------------------------------------------------------------------- */

static void publish(struct vpnd *d)
{
	_cleanup_wr_ struct wr w = wr_grow(1 << 16);
	char path[256];

	wr_printf(&w, "state %s\nsince %lld\n", words[d->state], (long long)time(NULL));
	if (d->why[0] && d->state != VPN_UP)
		wr_printf(&w, "why %s\n", d->why);
	if (d->loaded)
		wr_printf(&w, "kind %s\n", d->conf.kind == VPN_WIREGUARD ? "wireguard" : "openvpn");
	for (size_t i = 0; i < d->n_targets; i++)
		wr_printf(&w, "end %s %u %s\n", d->target[i].addr, d->target[i].port, d->target[i].tcp ? "tcp" : "udp");
	for (size_t i = 0; d->device && i < d->given.n_addr; i++)
		wr_printf(&w, "address %s\n", d->given.addr[i]);
	for (size_t i = 0; d->device && i < (d->conf.n_dns ? d->conf.n_dns : d->given.n_dns); i++)
		wr_printf(&w, "dns %s\n", d->conf.n_dns ? d->conf.dns[i] : d->given.dns[i]);
	if (wr_ok(&w) && str_printf(path, sizeof path, "%s/status", d->run) == 0)
		(void)fs_write_atomic(AT_FDCWD, path, w.buf, w.len, 0600, NULL);
	if (d->db.fd >= 0)
		(void)qdbc_write(&d->db, VPN_STATE_KEY, words[d->state], strlen(words[d->state]), NULL);
}

void vpn_set(struct vpnd *d, enum vpn_state s)
{
	if (d->state == s)
		return;
	d->state = s;
	d->since = now_us();
	if (s == VPN_UP) {
		d->failures = 0;
		d->why[0] = '\0';
	}
	log_info("the tunnel: %s", words[s]);
	publish(d);
}

void vpn_fail(struct vpnd *d, const char *why)
{
	unsigned wait = d->failures < 5 ? 1u << d->failures : AGAIN_MAX_S;

	if (str_printf(d->why, sizeof d->why, "%.190s", why) < 0)
		d->why[0] = '\0';
	log_warn("%s; again in %u s", why, wait);
	d->failures++;
	d->again = now_us() + wait * 1000000ull;
	d->state = VPN_NONE; /* that it is told */
	vpn_set(d, VPN_BROKEN);
}

/* --- steps ---------------------------------------------------------------------------------------------------------------- */

static void load(struct vpnd *d)
{
	_cleanup_free_ char *text = NULL;
	struct err e = { 0 };
	size_t n = 0;
	int r;

	vpn_names_end(d);
	vpn_tunnel_end(d);
	if (d->loaded)
		vpn_conf_fini(&d->conf);
	d->loaded = false;
	d->n_targets = 0;
	d->failures = 0;
	d->again = 0;
	d->why[0] = '\0';
	r = fs_read(AT_FDCWD, d->conf_path, VPN_FILE_MAX * 2, &text, &n, &e);
	if (r >= 0) {
		r = vpn_parse(&d->conf, rd_mem(text, n), &e);
		explicit_bzero(text, n);
		if (r >= 0 && vpn_missing(&d->conf))
			r = err_set(&e, ENOENT, "the file '%s' is missing", vpn_missing(&d->conf));
		if (r < 0)
			vpn_conf_fini(&d->conf);
		d->loaded = r >= 0;
	}
	if (vpn_open(d, &e) < 0)
		log_error("the wall: %s", e.msg);
	if (r == -ENOENT && !text) {
		vpn_set(d, VPN_NONE);
		publish(d);
	} else if (r < 0) {
		vpn_fail(d, e.msg);
	} else {
		vpn_set(d, VPN_NO_UPLINK);
	}
}

static void read_servers(struct vpnd *d)
{
	_cleanup_free_ char *text = NULL;
	char word[128];
	struct rd r, line;
	size_t n = 0;
	bool v6;

	d->n_servers = 0;
	if (fs_read(AT_FDCWD, d->uplink_resolv, 1 << 16, &text, &n, NULL) < 0)
		return;
	r = rd_mem(text, n);
	while (rd_line(&r, &line) && d->n_servers < VPN_SERVERS_MAX) {
		rd_text(&line, word, sizeof word);
		if (rd_ok(&line) && str_starts(word, "nameserver ") && vpn_addr(word + 11, d->server[d->n_servers], &v6))
			d->n_servers++;
	}
}

static unsigned uplink(void)
{
	unsigned i = if_nametoindex("eth0");

	return i ? i : if_nametoindex("ext0");
}

static void connecting(struct vpnd *d)
{
	bool runs = d->child.pidfd >= 0 || d->device;
	struct err e = { 0 };
	int r = 0;

	if (!runs)
		r = vpn_tunnel_start(d, &e);
	else if (d->conf.kind == VPN_WIREGUARD && (d->device ? d->renew : vpn_tunnel_ready()))
		r = vpn_open(d, &e) < 0 ? -EIO : vpn_tunnel_configure(d, &e);
	d->renew = false;
	if (r < 0) {
		vpn_tunnel_end(d);
		vpn_fail(d, err_text(&e, r));
	}
}

/* WireGuard says nothing: its device is asked when a handshake was. */
static void handshake(struct vpnd *d)
{
	uint64_t now = (uint64_t)time(NULL);
	bool named = false, v6;
	char addr[VPN_ADDR_CAP];

	if (d->conf.kind != VPN_WIREGUARD || !d->device)
		return;
	d->handshake = vpn_handshake();
	if (d->handshake && now < d->handshake + FRESH_S) {
		vpn_set(d, VPN_UP);
		return;
	}
	vpn_set(d, VPN_CONNECTING);
	for (size_t i = 0; i < vpn_ends(&d->conf); i++)
		named |= vpn_end(&d->conf, i)->host[0] && !vpn_addr(vpn_end(&d->conf, i)->host, addr, &v6);
	if (named && now_us() - d->since > NAMES_AGAIN_S * 1000000ull) {
		d->renew = true;
		read_servers(d);
		vpn_set(d, VPN_ASKING);
		vpn_names_begin(d);
	}
}

/* The device that was configured is not there any more: openvpn begins anew by itself, WireGuard with us. */
static void lost(struct vpnd *d)
{
	if (!d->device || if_nametoindex(VPN_IF) == d->device)
		return;
	log_warn("the tunnel's device is gone");
	d->device = 0;
	vpn_resolv(d, NULL, 0);
	if (d->conf.kind == VPN_WIREGUARD)
		vpn_tunnel_end(d);
	if (d->state == VPN_UP)
		vpn_set(d, VPN_CONNECTING);
}

void vpn_step(struct vpnd *d)
{
	unsigned up = uplink();

	if (!d->loaded)
		return;
	if (up != d->uplink) {
		d->uplink = up;
		d->failures = 0;
		d->again = 0;
		vpn_names_end(d);
		vpn_tunnel_end(d);
		vpn_set(d, VPN_NO_UPLINK);
	}
	lost(d);
	if (!up || now_us() < d->again)
		return;
	if (d->state == VPN_NO_UPLINK || d->state == VPN_BROKEN) {
		read_servers(d);
		vpn_set(d, VPN_ASKING);
		vpn_names_begin(d);
	}
	if (d->state == VPN_CONNECTING)
		connecting(d);
	if (d->state == VPN_CONNECTING || d->state == VPN_UP)
		handshake(d);
}

/* --- events --------------------------------------------------------------------------------------------------------------- */

static void on_tick(struct ev_timer *t, void *arg)
{
	vpn_step(arg);
}

static void on_link(struct ev_io *io, int fd, int events, void *arg)
{
	char buf[8192];

	while (recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0)
		;
	vpn_step(arg);
}

/* openvpn has a device and the server's addresses for it. */
static void given(struct vpnd *d, struct rd lines)
{
	struct err e = { 0 };
	struct rd line;
	char text[256];

	if (!d->loaded || d->conf.kind != VPN_OPENVPN || d->child.pidfd < 0)
		return;
	memset(&d->given, 0, sizeof d->given);
	while (rd_line(&lines, &line)) {
		rd_text(&line, text, sizeof text);
		if (rd_ok(&line))
			vpn_given_line(&d->given, text);
	}
	if (d->given.n_addr == 0 || vpn_tunnel_configure(d, &e) < 0) {
		vpn_tunnel_end(d);
		vpn_fail(d, e.code ? e.msg : "the server gives no address");
		return;
	}
	vpn_set(d, VPN_UP);
}

static void on_ctl(struct ev_io *io, int fd, int events, void *arg)
{
	struct vpnd *d = arg;
	struct err e = { 0 };
	char buf[VPN_CTL_MAX];
	struct rd msg, word;
	ssize_t n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);

	if (n <= 0)
		return;
	msg = rd_mem(buf, (size_t)n);
	if (!rd_line(&msg, &word))
		return;
	if (rd_eq(&word, "reload")) {
		load(d);
	} else if (rd_eq(&word, "up")) {
		given(d, msg);
	} else if (rd_eq(&word, "uplink")) {
		/* netd has loaded its tables anew: the translation of questions is gone with them. */
		read_servers(d);
		if (vpn_open(d, &e) < 0)
			log_error("the wall: %s", e.msg);
		if (d->device && d->conf.n_dns)
			vpn_resolv(d, (const char(*)[VPN_ADDR_CAP])d->conf.dns, d->conf.n_dns);
		else if (d->device)
			vpn_resolv(d, (const char(*)[VPN_ADDR_CAP])d->given.dns, d->given.n_dns);
	}
	vpn_step(d);
}

static void on_term(struct ev_signal *s, int signum, void *arg)
{
	ev_stop(((struct vpnd *)arg)->loop, 0);
}

/* One daemon a qube: what an earlier one left is taken away. The directory is root's. */
static int listen_ctl(struct vpnd *d, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int r = fs_mkdir_p(d->run, 0700, e);

	if (r < 0)
		return r;
	if (str_printf(a.sun_path, sizeof a.sun_path, "%s/ctl", d->run) < 0)
		return err_set(e, ENAMETOOLONG, "%s", d->run);
	(void)unlink(a.sun_path);
	d->ctl_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (d->ctl_fd < 0 || bind(d->ctl_fd, (struct sockaddr *)&a, sizeof a) < 0)
		return err_errno(e, errno, "%s", a.sun_path);
	return 0;
}

static int listen_all(struct vpnd *d, struct err *e)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int r = listen_ctl(d, e);

	if (r < 0)
		return r;
	d->link_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (d->link_fd < 0 || bind(d->link_fd, (struct sockaddr *)&a, sizeof a) < 0)
		return err_errno(e, errno, "watching devices");
	d->link_io = ev_io_new(d->loop, d->link_fd, EV_READ, on_link, d);
	d->ctl_io = ev_io_new(d->loop, d->ctl_fd, EV_READ, on_ctl, d);
	d->tick = ev_timer_new(d->loop, on_tick, d);
	return d->link_io && d->ctl_io && d->tick ? 0 : err_set(e, EIO, "watching");
}

static int daemon_run(struct vpnd *d, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(4096);
	int r = vpn_open(d, e);

	/* The wall is netd's and stands already; whoever starts us without netd has it all the same. */
	if (r >= 0)
		r = listen_all(d, e);
	if (r < 0)
		return r;
	/* Those that are there already are errors; without them packets meet the wall instead. */
	vpn_ip_rules(&w);
	(void)vpn_ip(&w, true, false, NULL);
	if (d->ipv6)
		(void)vpn_ip(&w, true, true, NULL);
	load(d);
	ev_timer_repeat(d->tick, TICK_MS);
	vpn_step(d);
	return ev_run(d->loop);
}

static void finish(struct vpnd *d)
{
	vpn_names_end(d);
	vpn_tunnel_end(d);
	if (d->loaded)
		vpn_conf_fini(&d->conf);
	ev_io_free(d->link_io);
	ev_io_free(d->ctl_io);
	ev_timer_free(d->tick);
	ev_timer_free(d->ask.timer);
	fd_closep(&d->link_fd);
	fd_closep(&d->ctl_fd);
	qdbc_fini(&d->db);
	ev_free(d->loop);
}

static int usage(void)
{
	fputs("usage: bulkhead-vpn [--run DIR] [--conf FILE] [--resolv FILE] [--uplink-resolv FILE] [--qubesdb SOCKET]\n"
	      "       bulkhead-vpn up [RUN-DIR]                        (openvpn's program)\n"
	      "       bulkhead-vpn service WHAT [CONF-DIR RUN-DIR]     (import, export, status, remove, restart)\n", stderr);
	return 2;
}

static int daemon_main(int argc, char **argv)
{
	static struct vpnd d = { .run = VPN_RUN_DIR, .conf_path = VPN_CONF_DIR "/" VPN_CONF_NAME, .resolv = "/etc/resolv.conf", .uplink_resolv = VPN_UPLINK_RESOLV,
				 .qubesdb = "/run/qubes/qubesdb.sock", .link_fd = -1, .ctl_fd = -1 };
	static char self[256], value[QDB_VALUE_MAX + 1];
	struct err e = { 0 };
	int r;

	log_init("vpn", NULL, -1);
	for (int i = 1; i < argc; i += 2) {
		const char **o = streq(argv[i], "--run") ? &d.run : streq(argv[i], "--conf") ? &d.conf_path : streq(argv[i], "--resolv") ? &d.resolv :
				 streq(argv[i], "--uplink-resolv") ? &d.uplink_resolv : streq(argv[i], "--qubesdb") ? &d.qubesdb : NULL;

		if (!o || i + 1 >= argc)
			return usage();
		*o = argv[i + 1];
	}
	if (readlink("/proc/self/exe", self, sizeof self - 1) <= 0)
		return 1;
	d.self = self;
	d.child = PROC_INIT;
	d.ask.fd = d.db.fd = -1;
	signal(SIGPIPE, SIG_IGN);
	d.loop = ev_new();
	if (!d.loop)
		return 1;
	(void)ev_signal_new(d.loop, SIGTERM, on_term, &d);
	r = qdbc_open_wait(&d.db, d.qubesdb, 30000, &e);
	if (r >= 0) {
		d.ipv6 = qdbc_read(&d.db, "/qubes-ip6", value, sizeof value, NULL) == 0 && value[0];
		r = daemon_run(&d, &e);
	}
	if (r < 0)
		log_error("%s", err_text(&e, r));
	finish(&d);
	return r < 0 ? 1 : r;
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];

	if (streq(name, "bulkhead.Vpn"))
		return argc == 2 ? vpn_service(argv[1], VPN_CONF_DIR, VPN_RUN_DIR) : usage();
	if (argc >= 3 && streq(argv[1], "service"))
		return argc == 3 ? vpn_service(argv[2], VPN_CONF_DIR, VPN_RUN_DIR) : argc == 5 ? vpn_service(argv[2], argv[3], argv[4]) : usage();
	if (argc >= 2 && streq(argv[1], "up"))
		return vpn_up(argc > 2 ? argv[2] : VPN_RUN_DIR);
	return daemon_main(argc, argv);
}
