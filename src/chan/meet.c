/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Local ends and offered channels, matched by (peer, port). */
#include "chan/meet.h"

#include "base/io.h"
#include "base/log.h"

/* A local end that has no channel yet. */
struct end {
	uint32_t peer, port;
	bool listens, keep;
	struct lcs_req *req;   /* or: */
	int fd;		       /* of a ticket, -1 */
	struct mux_chan *chan; /* offered to the other side, not answered yet */
	uint64_t deadline_us;  /* 0 = none */
	TAILQ_ENTRY(end) all;
};

/* A channel that the other side offered and that has no local end yet. */
struct offer {
	struct mux_chan *chan;
	uint64_t deadline_us;
	TAILQ_ENTRY(offer) all;
};

struct meet {
	struct muxio *x;
	const struct meet_ops *ops;
	void *arg;
	struct ev_timer *timer;
	unsigned n_ends;
	TAILQ_HEAD(, end) ends;
	TAILQ_HEAD(, offer) offers;
};

static void end_free(struct meet *m, struct end *e)
{
	TAILQ_REMOVE(&m->ends, e, all);
	m->n_ends--;
	fd_closep(&e->fd);
	free(e);
}

static void end_fail(struct meet *m, struct end *e, int code, const char *text)
{
	uint32_t peer = e->peer, port = e->port;

	if (e->chan) {
		e->chan->user = NULL;
		mux_close(e->chan);
	}
	if (e->req)
		lcs_fail(e->req, code, text);
	end_free(m, e);
	if (m->ops->finished)
		m->ops->finished(peer, port, m->arg);
}

/* c is up: gives the local end its stream. */
static void join(struct meet *m, struct end *e, struct mux_chan *c)
{
	int fd = e->req ? lcs_open(e->req) : STEAL_FD(e->fd);

	c->user = NULL;
	end_free(m, e);
	if (fd < 0)
		mux_close(c);
	else
		muxio_join(m->x, c, fd);
}

static void offer_free(struct meet *m, struct offer *o)
{
	o->chan->user = NULL;
	TAILQ_REMOVE(&m->offers, o, all);
	free(o);
}

static struct offer *offer_find(struct meet *m, uint32_t peer, uint32_t port)
{
	struct offer *o;

	TAILQ_FOREACH(o, &m->offers, all)
		if (o->chan->peer == peer && o->chan->port == port)
			return o;
	return NULL;
}

static struct end *listener_find(struct meet *m, uint32_t peer, uint32_t port)
{
	struct end *e;

	TAILQ_FOREACH(e, &m->ends, all)
		if (e->listens && e->peer == peer && e->port == port)
			return e;
	return NULL;
}

/* Offers e's channel to the other side, if there is a session. */
static void offer_end(struct meet *m, struct end *e)
{
	int r = mux_open(muxio_mux(m->x), e->peer, e->port, e, &e->chan);

	if (r < 0 && r != -ENOTCONN)
		end_fail(m, e, -r, "no more channels");
}

static int add(struct meet *m, struct end e)
{
	struct end *n;

	if (e.listens && listener_find(m, e.peer, e.port))
		return -EADDRINUSE;
	if (m->n_ends >= MEET_ENDS_MAX)
		return -EMFILE;
	n = xcalloc(1, sizeof *n);
	*n = e;
	if (!e.keep)
		n->deadline_us = now_us() + (uint64_t)MEET_WAIT_MS * 1000;
	TAILQ_INSERT_TAIL(&m->ends, n, all);
	m->n_ends++;
	if (n->req)
		n->req->user = n;
	if (n->listens) {
		struct offer *o = offer_find(m, e.peer, e.port);

		if (o) {
			struct mux_chan *c = o->chan;

			offer_free(m, o);
			mux_accept(c);
			join(m, n, c);
		}
	} else {
		offer_end(m, n);
	}
	muxio_kick(m->x);
	return 0;
}

int meet_request(struct meet *m, struct lcs_req *r, bool keep)
{
	return add(m, (struct end){ .peer = r->peer, .port = r->port, .listens = r->kind == LCS_LISTEN, .keep = keep,
				    .req = r, .fd = -1 });
}

void meet_cancel(struct meet *m, struct lcs_req *r)
{
	struct end *e = r->user;

	if (!e)
		return;
	e->req = NULL;
	end_fail(m, e, ECONNRESET, "");
	muxio_kick(m->x);
}

bool meet_has(const struct meet *m, uint32_t peer, uint32_t port)
{
	const struct end *e;

	TAILQ_FOREACH(e, &m->ends, all)
		if (e->peer == peer && e->port == port)
			return true;
	return false;
}

int meet_ticket(struct meet *m, uint32_t peer, uint32_t port, bool listens, int fd)
{
	return add(m, (struct end){ .peer = peer, .port = port, .listens = listens, .fd = fd });
}

void meet_on_up(struct meet *m)
{
	struct end *e, *next;

	for (e = m->ends.tqh_first; e; e = next) {
		next = TAILQ_NEXT(e, all);
		if (!e->listens && !e->chan)
			offer_end(m, e);
	}
	m->ops->up(m->arg);
}

void meet_on_down(struct meet *m, const char *why)
{
	struct end *e, *next;

	for (e = m->ends.tqh_first; e; e = next) {
		next = TAILQ_NEXT(e, all);
		if (!e->keep)
			end_fail(m, e, ENETRESET, "the link was interrupted");
	}
	m->ops->down(why, m->arg);
}

void meet_on_offered(struct meet *m, struct mux_chan *c)
{
	struct end *e = listener_find(m, c->peer, c->port);
	struct offer *o;
	bool forever = false;
	int code;

	if (e) {
		mux_accept(c);
		join(m, e, c);
		return;
	}
	/* One offer a place: a second one could only be joined with the wrong call. */
	code = offer_find(m, c->peer, c->port) ? EADDRINUSE : m->ops->offer(c->peer, c->port, &forever, m->arg);
	if (code) {
		mux_refuse(c, code);
		return;
	}
	o = xcalloc(1, sizeof *o);
	o->chan = c;
	o->deadline_us = forever ? 0 : now_us() + (uint64_t)MEET_WAIT_MS * 1000;
	c->user = o;
	TAILQ_INSERT_TAIL(&m->offers, o, all);
}

void meet_on_opened(struct meet *m, struct mux_chan *c)
{
	struct end *e = c->user;

	if (e)
		join(m, e, c);
	else
		mux_close(c);
}

void meet_on_refused(struct meet *m, struct mux_chan *c, int code)
{
	struct end *e = c->user;
	/* Our side ended the session: the offer is made again with the next one. */
	bool again = e && e->keep && code == ENETRESET;

	if (e)
		e->chan = NULL;
	mux_close(c);
	if (e && !again)
		end_fail(m, e, code, "refused by the other side");
}

void meet_on_withdrawn(struct meet *m, struct mux_chan *c)
{
	if (c->user)
		offer_free(m, c->user);
	mux_close(c);
}

static void on_timer(struct ev_timer *t, void *arg)
{
	struct meet *m = arg;
	uint64_t now = now_us();
	struct end *e, *next;
	struct offer *o, *onext;

	for (e = m->ends.tqh_first; e; e = next) {
		next = TAILQ_NEXT(e, all);
		if (e->deadline_us && e->deadline_us <= now)
			end_fail(m, e, ETIMEDOUT, "the other end did not come");
	}
	for (o = m->offers.tqh_first; o; o = onext) {
		onext = TAILQ_NEXT(o, all);
		if (o->deadline_us && o->deadline_us <= now) {
			struct mux_chan *c = o->chan;

			offer_free(m, o);
			mux_refuse(c, ETIMEDOUT);
		}
	}
	muxio_kick(m->x);
}

struct meet *meet_new(struct ev_loop *l, struct muxio *x, const struct meet_ops *ops, void *arg)
{
	struct meet *m = xcalloc(1, sizeof *m);

	m->x = x;
	m->ops = ops;
	m->arg = arg;
	TAILQ_INIT(&m->ends);
	TAILQ_INIT(&m->offers);
	m->timer = ev_timer_new(l, on_timer, m);
	ev_timer_repeat(m->timer, 5000);
	return m;
}

void meet_free(struct meet *m)
{
	if (!m)
		return;
	ev_timer_free(m->timer);
	while (m->ends.tqh_first)
		end_free(m, m->ends.tqh_first);
	while (m->offers.tqh_first)
		offer_free(m, m->offers.tqh_first);
	free(m);
}
