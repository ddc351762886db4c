/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tunnel: the kernel's WireGuard (or wireguard-go where the kernel has none), or openvpn. */
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "agent/net/feed.h"
#include "agent/net/vpn.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/str.h"

#define WIREGUARD_GO "/usr/bin/wireguard-go"
#define WIREGUARD_SOCKET "/run/wireguard/" VPN_IF ".sock"
#define OPENVPN "/usr/sbin/openvpn"
#define WG "/usr/bin/wg"

static void on_child(struct ev_io *io, int fd, int events, void *arg)
{
	struct vpnd *d = arg;
	int status = 0;

	/* The loop lets go of the descriptor before it is closed. */
	ev_io_free(d->child_io);
	d->child_io = NULL;
	(void)proc_wait(&d->child, 0, &status);
	log_warn("the program of the tunnel has ended: code=%d", proc_exit_code(status));
	vpn_tunnel_end(d);
	vpn_fail(d, d->conf.kind == VPN_OPENVPN ? "openvpn has ended; its log says why" : "wireguard-go has ended");
	vpn_step(d);
}

static int child(struct vpnd *d, const char *path, const char *const *argv, struct err *e)
{
	/* It ends with us: nobody else looks after it. */
	const struct proc_spec s = { .path = path, .argv = argv, .keep_stderr = true, .death_signal = SIGKILL, .fds = { { STDERR_FILENO, 1 } }, .n_fds = 1 };
	int r = proc_spawn(&d->child, &s, e);

	if (r < 0)
		return r;
	d->child_io = ev_io_new(d->loop, d->child.pidfd, EV_READ, on_child, d);
	return d->child_io ? 0 : err_set(e, EIO, "watching %s", path);
}

static int start_wg(struct vpnd *d, struct err *e)
{
	const char *const go[] = { "wireguard-go", "-f", VPN_IF, NULL };
	_cleanup_wr_ struct wr w = wr_grow(256);
	int r;

	if (access(WG, X_OK) < 0)
		return err_set(e, ENOENT, "the package wireguard-tools is not in this qube's template");
	wr_printf(&w, "link add dev " VPN_IF " type wireguard\n");
	r = vpn_ip(&w, false, false, e);
	if (r >= 0)
		return vpn_tunnel_configure(d, e);
	if (access(WIREGUARD_GO, X_OK) < 0)
		return err_set(e, ENODEV, "this qube's kernel has no WireGuard, and its template no wireguard-go");
	err_clear(e);
	(void)unlink(WIREGUARD_SOCKET);
	/* vpn_tunnel_configure goes on when its interface and its socket are there. */
	return child(d, WIREGUARD_GO, go, e);
}

bool vpn_tunnel_ready(void)
{
	_cleanup_fd_ int fd = -1;

	if (!if_nametoindex(VPN_IF))
		return false;
	fd = unix_connect(WIREGUARD_SOCKET, SOCK_STREAM, NULL);
	return fd >= 0;
}

static int write_secret(const struct vpnd *d, const char *name, const void *p, size_t n, char path[256], struct err *e)
{
	if (str_printf(path, 256, "%s/%s", d->run, name) < 0)
		return err_set(e, ENAMETOOLONG, "%s", d->run);
	return fs_write_atomic(AT_FDCWD, path, p, n, 0600, e);
}

static int start_ovpn(struct vpnd *d, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(8u << 20);
	char path[256], auth[256] = "", up[600];
	const char *const argv[] = { "openvpn", "--config", path, NULL };
	int r = str_printf(up, sizeof up, "%s up %s", d->self, d->run) < 0 ? err_set(e, ENAMETOOLONG, "%s", d->run) : 0;

	if (access(OPENVPN, X_OK) < 0)
		return err_set(e, ENOENT, "the package openvpn is not in this qube's template");
	for (size_t i = 0; i < d->conf.n_files && r >= 0; i++)
		if (streq(d->conf.file[i].what, VPN_AUTH))
			r = write_secret(d, "auth", d->conf.file[i].data, d->conf.file[i].len, auth, e);
	vpn_ovpn_text(&w, &d->conf, d->target, d->n_targets, up, auth[0] ? auth : NULL);
	if (r >= 0 && !wr_ok(&w))
		r = err_set(e, EFBIG, "the configuration is too long");
	if (r >= 0)
		r = write_secret(d, "openvpn.conf", w.buf, w.len, path, e);
	return r < 0 ? r : child(d, OPENVPN, argv, e);
}

int vpn_tunnel_start(struct vpnd *d, struct err *e)
{
	int r = vpn_open(d, e);

	if (r < 0)
		return err_add(e, r, "the rules of packets");
	memset(&d->given, 0, sizeof d->given);
	return d->conf.kind == VPN_WIREGUARD ? start_wg(d, e) : start_ovpn(d, e);
}

void vpn_tunnel_end(struct vpnd *d)
{
	_cleanup_wr_ struct wr w = wr_grow(64);
	static const char *const secrets[] = { "openvpn.conf", "auth" };

	ev_io_free(d->child_io);
	d->child_io = NULL;
	proc_fini(&d->child);
	d->child = PROC_INIT;
	d->device = 0;
	d->handshake = 0;
	vpn_resolv(d, NULL, 0);
	if (if_nametoindex(VPN_IF)) {
		wr_printf(&w, "link del dev " VPN_IF "\n");
		(void)vpn_ip(&w, true, false, NULL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++) {
		char path[256];

		if (str_printf(path, sizeof path, "%s/%s", d->run, secrets[i]) == 0)
			(void)unlink(path);
	}
}

static int configure_wg(struct vpnd *d, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(1 << 18);
	struct vpn_given *g = &d->given;
	int r;

	vpn_wg_text(&w, &d->conf, d->target, d->n_targets);
	r = net_feed(WG, (const char *const[]){ "wg", "setconf", VPN_IF, "/dev/stdin", NULL }, &w, false, e);
	explicit_bzero(w.buf, w.len);
	if (r < 0)
		return r;
	memset(g, 0, sizeof *g);
	/* What fits into a packet outside together with the envelope of either family. */
	g->mtu = d->conf.mtu ? d->conf.mtu : 1420;
	for (size_t i = 0; i < d->conf.n_address; i++) {
		g->addr_v6[i] = d->conf.address[i].v6;
		memcpy(g->addr[g->n_addr++], d->conf.address[i].addr, VPN_ADDR_CAP);
	}
	return 0;
}

int vpn_tunnel_configure(struct vpnd *d, struct err *e)
{
	bool wg = d->conf.kind == VPN_WIREGUARD;
	_cleanup_wr_ struct wr w = wr_grow(1 << 18);
	int r = wg ? configure_wg(d, e) : 0;

	if (r < 0)
		return r;
	vpn_ip_device(&w, &d->given, wg ? d->conf.allowed : NULL, wg ? d->conf.n_allowed : 0);
	r = vpn_ip(&w, false, false, e);
	if (r < 0)
		return r;
	d->device = if_nametoindex(VPN_IF);
	/* The owner's choice comes before the server's. */
	if (d->conf.n_dns)
		vpn_resolv(d, (const char(*)[VPN_ADDR_CAP])d->conf.dns, d->conf.n_dns);
	else
		vpn_resolv(d, (const char(*)[VPN_ADDR_CAP])d->given.dns, d->given.n_dns);
	return 0;
}
