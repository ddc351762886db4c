/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rules into the kernel, by nft; every load is one transaction. */
#include "agent/net/fwd.h"

#include <fcntl.h>

#include "agent/net/feed.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/str.h"

#define TEXT_MAX (8u << 20)

int fwd_run_nft(const struct fwd *f, struct wr *text, struct err *e)
{
	const char *const argv[] = { "nft", "-f", "-", NULL };

	return net_feed(f->nft, argv, text, false, e);
}

static size_t nameservers(const struct fwd *f, bool v6, char out[NFT_NAMESERVERS][NFT_ADDR_CAP])
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;

	if (fs_read(AT_FDCWD, f->resolv_conf, 1 << 16, &text, &n, NULL) < 0)
		return 0;
	return fwd_nameservers(rd_mem(text, n), v6, out);
}

int fwd_load_base(struct fwd *f, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(TEXT_MAX);

	nft_fw_base(&w);
	return fwd_run_nft(f, &w, e);
}

static int load_dns(struct fwd *f, struct wr *w, bool v6)
{
	char addr[NFT_NAMESERVERS][NFT_ADDR_CAP];
	size_t n = nameservers(f, v6, addr);

	nft_fw_dns(w, v6, addr, n);
	return 0;
}

static void jumps(const struct fwd *f, struct wr *w, bool v6)
{
	char(*addr)[NFT_ADDR_CAP] = xcalloc(FWD_SOURCES_MAX, sizeof *addr);
	size_t n = 0;

	for (size_t i = 0; i < f->n_src; i++)
		if (f->src[i].v6 == v6)
			memcpy(addr[n++], f->src[i].addr, NFT_ADDR_CAP);
	nft_fw_jumps(w, v6, addr, n);
	free(addr);
}

/* When even this fails nothing of our own is trusted any more: the tables are made anew, and their policy is drop. */
static void close_all(struct fwd *f, const char *why)
{
	struct err e = { 0 };
	int r;

	log_error("%s: every client is cut off", why);
	f->n_src = 0;
	r = fwd_load_base(f, &e);
	if (r < 0)
		log_error("nft does not even take the empty tables: %s", err_text(&e, r));
}

int fwd_load_jumps(struct fwd *f)
{
	_cleanup_wr_ struct wr w = wr_grow(TEXT_MAX);
	struct err e = { 0 };
	int r;

	jumps(f, &w, false);
	jumps(f, &w, true);
	r = fwd_run_nft(f, &w, &e);
	if (r < 0)
		close_all(f, err_text(&e, r));
	return r;
}

static int load(struct fwd *f, const struct fwd_source *s, bool closed, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(TEXT_MAX);
	struct nft_source n = { .v6 = s->v6, .closed = closed, .rules = s->rules, .n_rules = s->n_rules };

	memcpy(n.addr, s->addr, sizeof n.addr);
	(void)load_dns(f, &w, s->v6);
	nft_fw_source(&w, &n, f->hosts, f->n_hosts);
	jumps(f, &w, s->v6);
	return fwd_run_nft(f, &w, e);
}

int fwd_load_source(struct fwd *f, struct fwd_source *s)
{
	struct err e = { 0 };
	int r = load(f, s, s->closed, &e);

	if (r < 0) {
		log_error("the rules of %s were not loaded, nothing of it passes: %s", s->addr, err_text(&e, r));
		s->closed = true;
		r = load(f, s, true, &e);
	}
	if (r < 0)
		close_all(f, err_text(&e, r));
	return r;
}

/* A list of addresses separated by blanks. */
static size_t address_list(const struct fwd *f, const char *key, bool v6, char (*ret)[NFT_ADDR_CAP], size_t cap)
{
	char value[QDB_VALUE_MAX + 1], *save = NULL;
	size_t n = 0;
	struct err e = { 0 };

	if (qdbc_read((struct qdbc *)(uintptr_t)&f->db, key, value, sizeof value, &e) < 0)
		return 0;
	for (char *p = strtok_r(value, " \n", &save); p && n < cap; p = strtok_r(NULL, " \n", &save)) {
		if (!nft_addr_ok(p, v6))
			log_error("not an address: key=%s value=%s", key, log_escs(p));
		else if (str_copy(ret[n], NFT_ADDR_CAP, p) == 0)
			n++;
	}
	return n;
}

int fwd_load_connected(struct fwd *f)
{
	_cleanup_wr_ struct wr w = wr_grow(TEXT_MAX);
	char(*addr)[NFT_ADDR_CAP] = xcalloc(FWD_SOURCES_MAX, sizeof *addr);
	struct err e = { 0 };
	int r;

	nft_fw_connected(&w, false, addr, address_list(f, "/connected-ips", false, addr, FWD_SOURCES_MAX));
	nft_fw_connected(&w, true, addr, address_list(f, "/connected-ips6", true, addr, FWD_SOURCES_MAX));
	free(addr);
	r = fwd_run_nft(f, &w, &e);
	if (r < 0)
		close_all(f, err_text(&e, r));
	return r;
}

void fwd_cut(const struct fwd *f, const struct fwd_source *s)
{
	const char *const argv[] = { "conntrack", "-D", "-f", s->v6 ? "ipv6" : "ipv4", "-s", s->addr, NULL };
	struct proc_spec p = { .path = f->conntrack, .argv = argv };
	_cleanup_proc_ struct proc run = PROC_INIT;
	struct err e = { 0 };
	int status = 0, r = proc_spawn(&run, &p, &e);

	/* Its exit status is 1 when there was no flow. A flow that the new rules allow is found again by its next packet. */
	if (r >= 0)
		r = proc_wait(&run, 10000, &status);
	if (r < 0)
		log_error("flows of %s were not cut: %s", s->addr, err_text(&e, r));
}
