/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The service bulkhead.Vpn, by which dom0 gives this qube its configuration, and openvpn's `up`. The answer is lines "note TEXT" and "error TEXT"; keys leave the
 * qube by `export` only.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/net/vpn.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/str.h"

#define BUNDLE_MAX (VPN_FILE_MAX * (VPN_FILES_MAX + 2u))

static int refuse(const struct err *e)
{
	printf("error %s\n", e->msg);
	return 1;
}

static int attach_all(struct vpn_conf *c, struct rd *bundle, struct err *e)
{
	char name[VPN_NAME_CAP];
	struct rd part;
	int r;

	while ((r = vpn_bundle_next(bundle, name, &part)) > 0) {
		r = vpn_attach(c, name, part, e);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return err_set(e, EBADMSG, "the files did not arrive whole");
	return vpn_missing(c) ? err_set(e, ENOENT, "the file '%s' is missing", vpn_missing(c)) : 0;
}

static int store(const struct vpn_conf *c, const char *dir, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(VPN_FILE_MAX * 2);
	_cleanup_fd_ int fd = -1;
	int r = fs_mkdir_p(dir, 0700, e);

	if (r < 0)
		return r;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fchmod(fd, 0700) < 0)
		return err_errno(e, errno, "%s", dir);
	vpn_write(&w, c);
	r = wr_ok(&w) ? fs_write_atomic(fd, VPN_CONF_NAME, w.buf, w.len, 0600, e) : err_set(e, EFBIG, "configuration and files are too large together");
	explicit_bzero(w.buf, w.len);
	return r;
}

static int import(const char *dir, const char *run)
{
	_cleanup_free_ char *buf = xmalloc(BUNDLE_MAX);
	static struct vpn_conf conf;
	_cleanup_(vpn_conf_finip) struct vpn_conf *c = &conf;
	char name[VPN_NAME_CAP];
	struct rd bundle, text;
	struct err e = { 0 };
	ssize_t n = read_full(STDIN_FILENO, buf, BUNDLE_MAX);
	int r;

	if (n < 0 || n == (ssize_t)BUNDLE_MAX) {
		err_set(&e, EFBIG, "the files are too large");
		return refuse(&e);
	}
	bundle = rd_mem(buf, (size_t)n);
	if (vpn_bundle_next(&bundle, name, &text) <= 0 || !streq(name, VPN_MAIN)) {
		err_set(&e, EBADMSG, "the files did not arrive whole");
		return refuse(&e);
	}
	r = vpn_parse(c, text, &e);
	if (r >= 0)
		r = attach_all(c, &bundle, &e);
	if (r >= 0)
		r = store(c, dir, &e);
	for (size_t i = 0; r >= 0 && i < c->n_notes; i++)
		printf("note %s\n", c->note[i]);
	explicit_bzero(buf, (size_t)n);
	if (r < 0)
		return refuse(&e);
	/* A daemon that does not run yet reads it when it starts. */
	(void)vpn_tell(run, "reload\n", 7);
	return 0;
}

static int copy_out(const char *dir, const char *name)
{
	_cleanup_free_ char *text = NULL;
	struct err e = { 0 };
	char path[300];
	size_t n = 0;

	if (str_printf(path, sizeof path, "%s/%s", dir, name) < 0 || fs_read(AT_FDCWD, path, VPN_FILE_MAX * 2, &text, &n, &e) < 0) {
		err_set(&e, ENOENT, "there is no configuration");
		return refuse(&e);
	}
	return write_full(STDOUT_FILENO, text, n) < 0 ? 1 : 0;
}

static void counter(const char *word, const char *file)
{
	_cleanup_free_ char *text = NULL;
	char path[128], number[24] = "";
	struct rd r, line;
	size_t n = 0;

	if (str_printf(path, sizeof path, "/sys/class/net/" VPN_IF "/statistics/%s", file) < 0 || fs_read(AT_FDCWD, path, 64, &text, &n, NULL) < 0)
		return;
	r = rd_mem(text, n);
	if (rd_line(&r, &line)) {
		rd_text(&line, number, sizeof number);
		printf("%s %s\n", word, number);
	}
}

static int status(const char *run)
{
	uint64_t t;
	int r = copy_out(run, "status");

	if (r)
		return r;
	fflush(stdout);
	counter("received", "rx_bytes");
	counter("sent", "tx_bytes");
	t = access("/usr/bin/wg", X_OK) == 0 ? vpn_handshake() : 0;
	if (t)
		printf("handshake %llu\n", (unsigned long long)t);
	return 0;
}

static int forget(const char *dir, const char *run)
{
	struct err e = { 0 };

	/* The wall stays: it is the service's, not the configuration's. */
	if (fs_rm_rf(AT_FDCWD, dir, &e) < 0)
		return refuse(&e);
	(void)vpn_tell(run, "reload\n", 7);
	return 0;
}

int vpn_service(const char *what, const char *conf_dir, const char *run)
{
	int r = 2;

	if (streq(what, "import"))
		r = import(conf_dir, run);
	else if (streq(what, "export"))
		r = copy_out(conf_dir, VPN_CONF_NAME);
	else if (streq(what, "status"))
		r = status(run);
	else if (streq(what, "remove"))
		r = forget(conf_dir, run);
	else if (streq(what, "restart"))
		r = vpn_tell(run, "reload\n", 7) < 0;
	else
		fputs("bulkhead.Vpn: import, export, status, remove or restart\n", stderr);
	return fflush(stdout) == 0 ? r : 1;
}

/* --- openvpn's up ----------------------------------------------------------------------------------------------------------- */

int vpn_up(const char *run)
{
	static const struct {
		const char *env, *word;
	} vars[] = { { "ifconfig_local", "address" }, { "ifconfig_ipv6_local", "address" }, { "tun_mtu", "mtu" } };
	_cleanup_wr_ struct wr w = wr_grow(VPN_CTL_MAX);
	const char *v;

	/* What the server pushed; the daemon looks at it closely. */
	wr_str(&w, "up\n");
	for (size_t i = 0; i < ARRAY_SIZE(vars); i++) {
		v = getenv(vars[i].env);
		if (v && !strchr(v, '\n'))
			wr_printf(&w, "%s %s\n", vars[i].word, v);
	}
	for (int i = 1; i < 100; i++) {
		char name[32];

		if (str_printf(name, sizeof name, "foreign_option_%d", i) < 0 || !(v = getenv(name)))
			break;
		if (str_starts(v, "dhcp-option DNS ") && !strchr(v, '\n'))
			wr_printf(&w, "dns %s\n", v + strlen("dhcp-option DNS "));
		else if (str_starts(v, "dhcp-option DNS6 ") && !strchr(v, '\n'))
			wr_printf(&w, "dns %s\n", v + strlen("dhcp-option DNS6 "));
	}
	return wr_ok(&w) && vpn_tell(run, w.buf, w.len) == 0 ? 0 : 1;
}
