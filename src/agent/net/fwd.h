/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qubes-firewall, the service of a qube that others use as NetVM: rules of its clients from QubesDB (dom0 wrote them) into nftables. What
 * cannot be read or loaded lets nothing pass. Owns the tables `qubes-firewall` and nothing else. Private to src/agent/net/fwd*.c.
 */
#ifndef AGENT_NET_FWD_H
#define AGENT_NET_FWD_H

#include "agent/net/nfttext.h"
#include "base/ev.h"
#include "base/proc.h"
#include "qdb/client.h"

#define FWD_SOURCES_MAX 512
#define FWD_KEY "/qubes-firewall/"

struct fwd_source {
	char addr[NFT_ADDR_CAP];
	bool v6, closed, stale; /* stale: its names are being asked for; loaded again when they are known */
	struct fw_rule *rules;
	size_t n_rules;
	uint32_t handled;
};

struct fwd {
	struct ev_loop *loop;
	const char *nft, *conntrack, *getent; /* programs; tests name others */
	const char *resolv_conf, *user_dir; /* user_dir: /rw/config */
	struct qdbc db;	  /* requests */
	struct qdbc watch; /* events only */
	struct ev_io *watch_io;
	struct fwd_source src[FWD_SOURCES_MAX];
	size_t n_src;
	/* Names: what is known, and the question that is under way. */
	struct nft_host *hosts;
	bool *due; /* for each: it is to be asked for */
	size_t n_hosts;
	size_t current; /* the one that is asked for while answer_io is set */
	struct proc asking;
	struct ev_io *answer_io;
	struct ev_timer *answer_limit;
	int answer_fd;
	struct wr answer;
};

/* fwd_rules.c: fwd_read fills s from QubesDB; a missing or wrong policy or rule makes it closed (logged). False: nothing is written about
   this address any more. */
bool fwd_read(struct fwd *f, struct fwd_source *s);

/* fwd_load.c: all give 0 or -errno after they did what can be done to stay closed. */
int fwd_run_nft(const struct fwd *f, struct wr *text, struct err *e);
int fwd_load_base(struct fwd *f, struct err *e);
int fwd_load_source(struct fwd *f, struct fwd_source *s);
int fwd_load_connected(struct fwd *f);
int fwd_load_jumps(struct fwd *f);
/* fwd_cut ends the flows of a source that its rules may not allow any more. */
void fwd_cut(const struct fwd *f, const struct fwd_source *s);

/* fwd_names.c: fwd_names_of makes entries for the names of s, all of which are to be asked for (again); fwd_names_ask does so, one after another,
   and calls fwd_names_done when none is left. What a name meant before holds until then. */
void fwd_names_of(struct fwd *f, struct fwd_source *s);
void fwd_names_ask(struct fwd *f);
void fwd_names_done(struct fwd *f);
void fwd_names_fini(struct fwd *f);
/* fwd_answer_parse takes the lines of `getent ahosts`: "ADDRESS KIND NAME"; addresses of h's family, each once. */
void fwd_answer_parse(struct nft_host *h, struct rd text);
/* fwd_nameservers reads the addresses of a resolv.conf of one family; gives their number. */
size_t fwd_nameservers(struct rd text, bool v6, char ret[NFT_NAMESERVERS][NFT_ADDR_CAP]);

#endif
