/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Programs and files by which netd changes the kernel's settings. */
#include <dirent.h>
#include <fcntl.h>

#include "agent/net/feed.h"
#include "agent/net/netd.h"
#include "agent/net/nfttor.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/str.h"

int netd_nft(const struct netd *d, struct wr *text, struct err *e)
{
	const char *const argv[] = { "nft", "-f", "-", NULL };

	return net_feed(d->nft, argv, text, false, e);
}

int netd_ip(const struct netd *d, struct wr *text, struct err *e)
{
	const char *const argv[] = { "ip", "-batch", "-", NULL };

	return net_feed(d->ip, argv, text, false, e);
}

int netd_base(struct netd *d, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(1 << 16);
	int r;

	if (d->base)
		return 0;
	if (d->tor)
		nft_tor(&w, d->tor_user);
	else
		nft_base(&w, d->ipv6);
	if (d->filters)
		nft_fw_closed(&w);
	if (d->vpn)
		netd_vpn_wall(&w);
	r = netd_nft(d, &w, e);
	d->base = r >= 0;
	return r < 0 ? err_add(e, r, "the tables of packets") : 0;
}

void netd_driver(struct netd *d)
{
	const char *const argv[] = { "modprobe", "virtio_net", NULL };
	struct proc_spec s = { .path = d->modprobe, .argv = argv, .keep_stderr = true };
	struct err e = { 0 };

	if (d->driver)
		return;
	d->driver = true;
	/* Nobody else does: udevd does not run in most qubes. A kernel that has it built in does not mind. */
	if (proc_run(&s, &e) < 0)
		log_warn("the driver of network devices: %s", e.msg);
}

/* An address may have belonged to another qube a moment ago. */
void netd_forget_flows(const struct netd *d, const struct netport *p)
{
	const char *const addr[] = { p->ip, p->ip6 };

	for (size_t i = 0; i < ARRAY_SIZE(addr); i++) {
		const char *const argv[] = { "conntrack", "-D", "-f", i ? "ipv6" : "ipv4", "-s", addr[i], NULL };
		struct proc_spec s = { .path = d->conntrack, .argv = argv };
		_cleanup_proc_ struct proc run = PROC_INIT;
		struct err e = { 0 };
		int status;

		if (addr[i][0] && (proc_spawn(&run, &s, &e) < 0 || proc_wait(&run, 10000, &status) < 0))
			log_warn("flows of %s stay: %s", addr[i], e.msg);
	}
}

void netd_sysctl(const struct netd *d, const char *path, const char *value)
{
	char full[256];
	_cleanup_fd_ int fd = -1;

	if (str_printf(full, sizeof full, "%s/%s", d->proc_sys, path) < 0)
		return;
	fd = open(full, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write_full(fd, value, strlen(value)) < 0)
		log_warn("%s: %s", full, strerror(errno));
}

#define HOOK_MS 10000

static void run_hook(const char *path, const char *what, const struct netd_port *t)
{
	const char *const argv[] = { path, what, t->ifname, "vif", t->p.ip, NULL };
	struct proc_spec s = { .path = path, .argv = argv, .keep_stderr = true };
	_cleanup_proc_ struct proc run = PROC_INIT;
	struct err e = { 0 };
	int status = 0, r = access(path, X_OK) < 0 ? 1 : proc_spawn(&run, &s, &e);

	if (r == 1)
		return; /* not a program: a README, a backup */
	if (r >= 0)
		r = proc_wait(&run, HOOK_MS, &status);
	if (r < 0 || status != 0)
		log_error("a network hook: path=%s error=%s code=%d", log_escs(path), r < 0 ? err_text(&e, r) : "", proc_exit_code(status));
}

static int visible(const struct dirent *ent)
{
	return ent->d_name[0] != '.' && !str_ends(ent->d_name, "~");
}

void netd_hooks(const struct netd *d, const char *what, const struct netd_port *t)
{
	struct dirent **list = NULL;
	/* With custom-persist nothing of /rw runs: it may come from a compromised session. */
	int n = access("/run/qubes-service/custom-persist", F_OK) == 0 ? 0 : scandir(d->hooks, &list, visible, alphasort);

	for (int i = 0; i < n; i++) {
		char path[512];

		if (str_printf(path, sizeof path, "%s/%s", d->hooks, list[i]->d_name) == 0)
			run_hook(path, what, t);
		free(list[i]);
	}
	free(list);
}

static bool protected_file(const char *path)
{
	static const char *const dirs[] = { "/etc/qubes/protected-files.d", "/rw/config/protected-files.d" };
	_cleanup_free_ char *text = NULL;

	/* One list of paths a file; a mention anywhere counts, so that a mistake protects too much. */
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		char file[128];

		if (str_printf(file, sizeof file, "%s/resolv", dirs[i]) < 0 || fs_read(AT_FDCWD, file, 1 << 16, &text, NULL, NULL) < 0)
			continue;
		if (strstr(text, path))
			return true;
		free(text);
		text = NULL;
	}
	return access("/run/qubes-service/disable-dns-server", F_OK) == 0;
}

void netd_resolv(const struct netd *d, const char dns[][NETPORT_ADDR_CAP], size_t n)
{
	static const char virt[2][NFT_ADDR_CAP] = NETD_VIRTUAL_DNS;
	_cleanup_wr_ struct wr w = wr_grow(1 << 16), file = wr_grow(1024);
	struct err e = { 0 };
	int r;

	if (netd_vpn_resolv(d, dns, n))
		return; /* bulkhead-vpn does the rest */
	if (!protected_file("/etc/resolv.conf")) {
		for (size_t i = 0; i < n; i++)
			wr_printf(&file, "nameserver %s\n", dns[i]);
		r = fs_write_atomic(AT_FDCWD, d->resolv_conf, file.buf ? (const char *)file.buf : "", file.len, 0644, &e);
		if (r < 0)
			log_warn("%s: %s", d->resolv_conf, err_text(&e, r));
	}
	/* A Tor gateway passes no question on: they are answered by way of Tor, or not at all. */
	if (!d->provides || d->tor)
		return;
	nft_dns(&w, virt, ARRAY_SIZE(virt), dns, n);
	r = netd_nft(d, &w, &e);
	if (r < 0)
		log_error("questions for names are not passed on: %s", err_text(&e, r));
}
