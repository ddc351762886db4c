/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Programs and files by which the VPN qube changes the kernel's settings. */
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>

#include "agent/net/feed.h"
#include "agent/net/netd.h"
#include "agent/net/vpn.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/str.h"

int vpn_nft(struct wr *text, struct err *e)
{
	return net_feed("/usr/sbin/nft", (const char *const[]){ "nft", "-f", "-", NULL }, text, false, e);
}

int vpn_ip(struct wr *text, bool force, bool v6, struct err *e)
{
	const char *argv[6] = { "ip" };
	size_t n = 1;

	if (v6)
		argv[n++] = "-6";
	if (force)
		argv[n++] = "-force";
	argv[n++] = "-batch";
	argv[n] = "-";
	return net_feed("/usr/sbin/ip", argv, text, force, e);
}

void vpn_resolv(const struct vpnd *d, const char dns[][VPN_ADDR_CAP], size_t n)
{
	static const char virt[2][NFT_ADDR_CAP] = NETD_VIRTUAL_DNS;
	_cleanup_wr_ struct wr w = wr_grow(1 << 16), file = wr_grow(1024);
	char v4[VPN_DNS_MAX][NFT_ADDR_CAP];
	struct err e = { 0 };
	size_t n4 = 0;
	int r;

	for (size_t i = 0; i < n; i++) {
		wr_printf(&file, "nameserver %s\n", dns[i]);
		if (nft_addr_ok(dns[i], false))
			memcpy(v4[n4++], dns[i], NFT_ADDR_CAP);
	}
	r = fs_write_atomic(AT_FDCWD, d->resolv, file.buf ? (const char *)file.buf : "", file.len, 0644, &e);
	if (r < 0)
		log_warn("%s: %s", d->resolv, err_text(&e, r));
	/* The clients ask by IPv4 addresses; a name server of the other family cannot stand in for those. */
	nft_dns(&w, virt, ARRAY_SIZE(virt), (const char(*)[NFT_ADDR_CAP])v4, n4);
	r = vpn_nft(&w, &e);
	if (r < 0)
		log_error("questions for names are not passed on: %s", err_text(&e, r));
}

int vpn_open(const struct vpnd *d, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(1 << 18);

	vpn_nft_wall(&w);
	vpn_nft_sets(&w, d->target, d->n_targets, d->server, d->n_servers);
	return vpn_nft(&w, e);
}

static void set(const char *path, const char *value)
{
	char full[256];
	_cleanup_fd_ int fd = -1;

	if (str_printf(full, sizeof full, "/proc/sys/%s", path) < 0)
		return;
	fd = open(full, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write_full(fd, value, strlen(value)) < 0)
		log_warn("%s: %s", full, strerror(errno));
}

void vpn_sources(void)
{
	static const char *const devices[] = { "all", "default", "eth0", "ext0" };

	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		char path[64];

		if ((i < 2 || if_nametoindex(devices[i])) && str_printf(path, sizeof path, "net/ipv4/conf/%s/rp_filter", devices[i]) == 0)
			set(path, "0");
	}
}

uint64_t vpn_handshake(void)
{
	const struct proc_spec s = { .path = "/usr/bin/wg", .argv = (const char *const[]){ "wg", "show", VPN_IF, "latest-handshakes", NULL } };
	_cleanup_free_ char *out = NULL;
	uint64_t best = 0, t;
	struct rd text, line;
	size_t n;

	if (proc_capture(&s, 1 << 16, &out, &n, NULL) < 0)
		return 0;
	text = rd_mem(out, n);
	while (rd_line(&text, &line)) {
		struct rd key = rd_until(&line, '\t');
		char number[24];

		(void)key;
		rd_text(&line, number, sizeof number);
		if (rd_ok(&line) && str_u64(number, UINT64_MAX, &t) == 0)
			best = MAX(best, t);
	}
	return best;
}
