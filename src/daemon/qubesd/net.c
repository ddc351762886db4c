/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Links between machines: made provider first, cut at both ends at once. */
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "core/api/preload.h"
#include "daemon/qubesd/net.h"
#include "vmm/spec.h"

_Static_assert(NET_PORTS == VMM_PORTS && NET_PORTS_MAX == VMM_PORTS_MAX, "core/netplug.h and vmm/spec.h speak of the same ports");

#define PROVIDER_MAC "fe:ff:ff:ff:ff:ff"
#define UPLINKS_MAX 20 /* starts of the way outside in one run of a NetVM */
#define CUT_MS 3000 /* a machine that does not take its end away by then is ended */

static bool usable(const struct run *r)
{
	return r && r->phase == PH_UP && r->linkd;
}

/* --- cutting --------------------------------------------------------------------------------------------------------- */

struct cut {
	struct qd *d;
	uint32_t qid;
	char start_id[40]; /* of the run that was told */
	struct ev_timer *limit;
};

static void cut_done(struct cut *k)
{
	struct runs *rs = k->d->runs;

	ev_timer_free(k->limit);
	free(k);
	if (--rs->net_cuts)
		return;
	while (rs->net_waiting) {
		struct call *c = rs->net_waiting;

		rs->net_waiting = c->next;
		c->next = NULL;
		call_synced(c);
	}
}

static struct run *run_of(const struct cut *k)
{
	struct run *r = run_find(k->d, k->qid);

	return r && streq(r->q->start_id, k->start_id) ? r : NULL;
}

/* A machine that does not do what it was told may have been taken over. Its end of the link goes when it does. */
static void end_it(const struct cut *k, const char *why)
{
	struct run *r = run_of(k);

	if (!r || r->phase >= PH_ENDING)
		return;
	log_error("%s does not let go of its network (%s): it is ended", r->q->name.s, why);
	run_end(r);
}

static void on_cut_limit(struct ev_timer *t, void *arg)
{
	end_it(arg, "no answer");
}

static void cut_answered(void *arg, int k, struct msg *m, struct err *e)
{
	struct cut *c = arg;

	if (k < 0 && k != -EPIPE)
		end_it(c, err_text(e, k));
	cut_done(c);
}

static void cut_end(struct run *r, uint32_t port)
{
	struct ipc_ld_nic_cut m = { .port = port };
	uint8_t buf[16];
	struct wr w = wr_mem(buf, sizeof buf);
	struct cut *k;
	struct err e = { 0 };

	r->net.port[port].use = NET_LEAVING;
	r->net.port[port].peer = 0;
	if (!r->linkd || r->phase >= PH_ENDING)
		return; /* it ends, and its end of the link with it */
	k = xcalloc(1, sizeof *k);
	*k = (struct cut){ .d = r->d, .qid = r->q->qid, .limit = ev_timer_new(r->d->loop, on_cut_limit, k) };
	memcpy(k->start_id, r->q->start_id, sizeof k->start_id);
	r->d->runs->net_cuts++;
	ipc_put_ld_nic_cut(&w, &m);
	ev_timer_start(k->limit, CUT_MS);
	if (peer_request(r->linkd, IPC_LD_NIC_CUT, &w, NULL, 0, cut_answered, k, &e) < 0) {
		end_it(k, e.msg);
		cut_done(k);
	}
}

void net_cut(struct run *r)
{
	struct run *p = run_find(r->d, r->net.provider);
	uint32_t own = r->net.own, theirs = r->net.theirs;

	if (r->net.external) {
		r->net.external = false;
		cut_end(r, own);
		/* A later core must not cut it once more: a machine that has no such device cannot obey. */
		if (r->phase < PH_ENDING)
			run_save(r);
	}
	if (!r->net.provider)
		return;
	log_info("%s: the link to %s is cut", r->q->name.s, p ? p->q->name.s : "its NetVM");
	r->net.provider = 0;
	if (r->net.expiry)
		ev_timer_stop(r->net.expiry);
	cut_end(r, own);
	if (p) {
		cut_end(p, theirs);
		net_tell_provider(p, r, theirs, false);
	}
	if (r->phase < PH_ENDING) {
		net_tell_client(r, own, false);
		run_save(r);
	}
}

bool net_sync(void *ctx, struct call *c)
{
	struct runs *rs = ((struct qd *)ctx)->runs;
	struct call **p;

	if (!rs || !rs->net_cuts) /* --no-vms: nothing runs */
		return false;
	for (p = &rs->net_waiting; *p; p = &(*p)->next)
		;
	c->next = NULL;
	*p = c;
	return true;
}

void net_port_gone(struct run *r, uint32_t port)
{
	if (port >= NET_PORTS_MAX || r->net.port[port].use != NET_LEAVING)
		return;
	r->net.port[port].use = NET_FREE;
	/* A link that waited for this place. */
	if (usable(r) && !r->net.provider && !r->net.external)
		net_again(r);
}

/* --- making ---------------------------------------------------------------------------------------------------------- */

struct plug {
	struct qd *d;
	uint32_t client, provider; /* qids; provider 0 = outside */
	int fd;			   /* the client's end, until it is handed over */
	struct run *c, *p;
};

static void plug_free(struct plug *k)
{
	fd_closep(&k->fd);
	free(k);
}

/* Both runs as they were, or false. */
static bool still(struct plug *k)
{
	struct run *c = run_find(k->d, k->client), *p = run_find(k->d, k->provider);

	if (!k->provider)
		return c && c == k->c && usable(c) && c->net.external;
	return c && c == k->c && usable(c) && c->net.provider == k->provider && p == k->p && usable(p);
}

static int nic_add(struct run *r, uint32_t port, const char *mac, int fd, peer_reply_fn fn, void *arg, struct err *e)
{
	struct ipc_ld_nic_add m = { .port = port };
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);

	if (str_copy(m.mac, sizeof m.mac, mac) < 0)
		return err_set(e, EINVAL, "not a MAC");
	ipc_put_ld_nic_add(&w, &m);
	return peer_request(r->linkd, IPC_LD_NIC_ADD, &w, &fd, 1, fn, arg, e);
}

static void plug_failed(struct plug *k, const char *why)
{
	log_error("%s has no network: %s", k->c->q->name.s, why);
	net_cut(k->c);
	plug_free(k);
}

static void client_plugged(void *arg, int r, struct msg *m, struct err *e)
{
	struct plug *k = arg;

	if (!still(k)) {
		plug_free(k);
		return;
	}
	if (r < 0) {
		plug_failed(k, err_text(e, r));
		return;
	}
	log_info("%s hangs on %s", k->c->q->name.s, k->p ? k->p->q->name.s : "the outside");
	run_save(k->c);
	if (k->p) {
		event(k->d->core, k->p->q, "net-domain-connect", "vm", k->c->q->name.s, NULL);
		run_commit(k->d);
	}
	plug_free(k);
}

static void provider_plugged(void *arg, int r, struct msg *m, struct err *e)
{
	struct plug *k = arg;
	struct pval mac;

	if (!still(k)) {
		plug_free(k);
		return;
	}
	if (r >= 0)
		r = nic_add(k->c, k->c->net.own, prop_text(k->d->core, k->c->q, P_mac, &mac), k->fd, client_plugged, k, e);
	if (r < 0)
		plug_failed(k, err_text(e, r));
	else
		fd_closep(&k->fd);
}

static bool take_port(struct run *r, uint32_t first, enum net_use use, uint32_t peer, uint32_t *ret)
{
	uint32_t n = net_ports(r->d->core, r->q);

	for (uint32_t i = first; i < n; i++) {
		if ((i > NET_PORT_UPLINK && i < NET_PORT_FIRST) || r->net.port[i].use != NET_FREE)
			continue;
		r->net.port[i].use = use;
		r->net.port[i].peer = peer;
		*ret = i;
		return true;
	}
	return false;
}

static void link_up(struct run *r, struct run *p)
{
	struct plug *k;
	struct netport n;
	struct err e = { 0 };
	int fds[2], c;

	c = net_client_port(r->d->core, r->q, &n, &e);
	if (c < 0) {
		log_error("%s has no network: %s", r->q->name.s, e.msg);
		return;
	}
	if (!take_port(p, NET_PORT_FIRST, NET_CLIENT, r->q->qid, &r->net.theirs)) {
		log_error("%s has no network: %s has no place for another client", r->q->name.s, p->q->name.s);
		return;
	}
	if (!take_port(r, NET_PORT_UPLINK, NET_OWN, p->q->qid, &r->net.own)) {
		p->net.port[r->net.theirs].use = NET_FREE;
		return; /* net_port_gone comes back here */
	}
	if (unix_pair(SOCK_STREAM, fds) < 0) {
		log_error("%s has no network: %s", r->q->name.s, strerror(errno));
		p->net.port[r->net.theirs].use = r->net.port[r->net.own].use = NET_FREE;
		return;
	}
	r->net.provider = p->q->qid;
	k = xcalloc(1, sizeof *k);
	*k = (struct plug){ .d = r->d, .client = r->q->qid, .provider = p->q->qid, .fd = fds[0], .c = r, .p = p };
	/* What they are told goes first; the NetVM's end is there before the client sends its first packet. */
	net_tell_provider(p, r, r->net.theirs, true);
	net_tell_client(r, r->net.own, true);
	c = nic_add(p, r->net.theirs, PROVIDER_MAC, fds[1], provider_plugged, k, &e);
	close(fds[1]);
	if (c < 0)
		plug_failed(k, err_text(&e, c));
}

/* --- the outside ------------------------------------------------------------------------------------------------------ */

static void uplink_started(void *arg, int r, struct msg *m, struct err *e)
{
	struct plug *k = arg;

	if (still(k) && r >= 0)
		net_tell_external(k->c, k->c->net.own);
	provider_plugged(arg, r, m, e);
}

static void external_up(struct run *r)
{
	struct ipc_sp_uplink q = { .qid = r->q->qid };
	uint8_t buf[128];
	struct wr w = wr_mem(buf, sizeof buf);
	struct plug *k;
	struct err e = { 0 };
	int fds[2], c;

	if (++r->net.uplinks > UPLINKS_MAX) {
		log_error("%s: the way outside ended too often: it stays away", r->q->name.s);
		return;
	}
	if (!take_port(r, NET_PORT_UPLINK, NET_OWN, 0, &r->net.own))
		return; /* net_port_gone comes back here */
	if (unix_pair(SOCK_STREAM, fds) < 0) {
		log_error("%s has no way outside: %s", r->q->name.s, strerror(errno));
		r->net.port[r->net.own].use = NET_FREE;
		return;
	}
	r->net.external = true;
	k = xcalloc(1, sizeof *k);
	*k = (struct plug){ .d = r->d, .client = r->q->qid, .fd = fds[0], .c = r };
	memcpy(q.name, r->q->name.s, sizeof q.name);
	ipc_put_sp_uplink(&w, &q);
	c = peer_request(r->d->spawner, IPC_SP_UPLINK, &w, &fds[1], 1, uplink_started, k, &e);
	close(fds[1]);
	if (c < 0)
		plug_failed(k, err_text(&e, c));
}

void net_uplink_gone(struct run *r)
{
	if (!r->net.external || !usable(r))
		return;
	log_warn("%s: the program to the outside has ended", r->q->name.s);
	net_cut(r); /* and when its port is free, from the start */
}

/* Explicit and labelled: nothing but this feature opens a way outside. */
static bool wants_external(const struct run *r, const struct qube *netvm)
{
	const char *f = netvm ? NULL : kv_get(&r->q->features, "uplink");

	return f && streq(f, "passt") && prop_bool(r->d->core, r->q, P_provides_network);
}

void net_again(struct run *r)
{
	struct qube *n = prop_vm(r->d->core, r->q, P_netvm);
	struct run *p = n ? run_find(r->d, n->qid) : NULL;

	if (r->net.provider && (!n || r->net.provider != n->qid))
		net_cut(r);
	if (r->net.external && !wants_external(r, n))
		net_cut(r);
	if (usable(r) && !r->net.external && wants_external(r, n))
		external_up(r);
	/* A NetVM that does not run yet brings its clients when it is up. */
	if (usable(r) && usable(p) && !r->net.provider && !preload_waits(r->d->core, r->q))
		link_up(r, p);
}

/* --- life ------------------------------------------------------------------------------------------------------------- */

void net_up(struct run *r)
{
	net_again(r);
	for (struct run *c = r->d->runs->list; c; c = c->next)
		if (c != r && usable(c) && prop_find(c->q, "netvm") && prop_vm(r->d->core, c->q, P_netvm) == r->q)
			net_again(c);
}

void net_down(struct run *r)
{
	net_cut(r);
	for (uint32_t i = 0; i < NET_PORTS_MAX; i++) {
		struct run *c = r->net.port[i].use == NET_CLIENT ? run_find(r->d, r->net.port[i].peer) : NULL;

		if (c && c->net.provider == r->q->qid)
			net_cut(c);
	}
}

void net_free(struct run *r)
{
	ev_timer_free(r->net.expiry);
	r->net.expiry = NULL;
}

void net_save(const struct run *r, struct wr *w)
{
	if (r->net.external)
		wr_printf(w, "net=0.%u.0\n", r->net.own);
	if (r->net.provider)
		wr_printf(w, "net=%u.%u.%u\n", r->net.provider, r->net.own, r->net.theirs);
}

void net_load(struct run *r, const char *value)
{
	char text[48], *save = NULL;
	uint64_t v[3];

	if (str_copy(text, sizeof text, value) < 0)
		return;
	for (size_t i = 0; i < 3; i++) {
		char *s = strtok_r(i ? NULL : text, ".", &save);

		if (!s || str_u64(s, i ? NET_PORTS_MAX - 1 : QID_MAX, &v[i]) < 0)
			return;
	}
	r->net.external = v[0] == 0;
	r->net.provider = (uint32_t)v[0];
	r->net.own = (uint32_t)v[1];
	r->net.theirs = (uint32_t)v[2];
}

void net_adopted(struct qd *d)
{
	for (struct run *r = d->runs->list; r; r = r->next) {
		struct run *p = run_find(d, r->net.provider);

		if (!r->net.provider && !r->net.external)
			continue;
		r->net.port[r->net.own].use = NET_OWN;
		r->net.port[r->net.own].peer = r->net.provider;
		if (p) {
			struct netport n;

			if (net_client_port(d->core, r->q, &n, NULL) == 0) {
				memcpy(r->net.ip, n.ip, sizeof n.ip);
				memcpy(r->net.ip6, n.ip6, sizeof n.ip6);
			}
			p->net.port[r->net.theirs].use = NET_CLIENT;
			p->net.port[r->net.theirs].peer = r->q->qid;
		}
	}
	/* What changed while no core ran. */
	for (struct run *r = d->runs->list; r; r = r->next)
		if (usable(r))
			net_again(r);
}
