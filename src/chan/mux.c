/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The mux: table of channels, sending, session start and end. */
#include "chan/mux.h"

#include "chan/mux_int.h"

struct mux *mux_new(enum mux_side side, const struct mux_ops *ops, void *arg)
{
	struct mux *m = xcalloc(1, sizeof *m);

	m->side = side;
	m->ops = ops;
	m->arg = arg;
	m->to = &m->out;
	return m;
}

void mux_free(struct mux *m)
{
	if (!m)
		return;
	for (size_t b = 0; b < MUX_BUCKETS; b++) {
		while (m->chans[b]) {
			struct mux_chan *c = m->chans[b];

			m->chans[b] = c->next;
			free(c);
		}
	}
	fifo_free(&m->out);
	fifo_free(&m->held);
	free(m);
}

enum mux_state mux_state(const struct mux *m)
{
	return m->state;
}

unsigned mux_n_chans(const struct mux *m)
{
	return m->n_chans;
}

struct fifo *mux_out(struct mux *m)
{
	return &m->out;
}

size_t mux_queued(const struct mux *m)
{
	return fifo_len(&m->out) + fifo_len(&m->held);
}

/* --- table ------------------------------------------------------------------------------------------------- */

/* Ids grow by two at each end, so neighbours fall into different buckets. */
static struct mux_chan **bucket(struct mux *m, uint32_t id)
{
	return &m->chans[(id >> 1 ^ id << 7) % MUX_BUCKETS];
}

struct mux_chan *mux_chan_find(struct mux *m, uint32_t id)
{
	struct mux_chan *c = *bucket(m, id);

	while (c && c->id != id)
		c = c->next;
	return c;
}

struct mux_chan *mux_chan_add(struct mux *m, uint32_t id, uint32_t peer, uint32_t port, enum mux_chan_state state)
{
	struct mux_chan *c, **b = bucket(m, id);

	if (m->n_chans >= MUX_CHANS_MAX)
		return NULL;
	c = xcalloc(1, sizeof *c);
	c->mux = m;
	c->id = id;
	c->peer = peer;
	c->port = port;
	c->state = state;
	c->rx_window = m->window_used + MUX_WINDOW <= MUX_WINDOW_BUDGET ? MUX_WINDOW : MUX_WINDOW_SMALL;
	c->rx_left = c->rx_window;
	m->window_used += c->rx_window;
	c->next = *b;
	*b = c;
	m->n_chans++;
	if (state == MUX_C_OFFERED)
		m->n_offered++;
	return c;
}

void mux_chan_dead(struct mux_chan *c)
{
	struct mux *m = c->mux;
	struct mux_chan **p = bucket(m, c->id);

	if (c->state == MUX_C_DEAD)
		return;
	while (*p && *p != c)
		p = &(*p)->next;
	if (*p)
		*p = c->next;
	if (m->data_chan == c)
		m->data_chan = NULL;
	if (c->state == MUX_C_OFFERED)
		m->n_offered--;
	c->next = NULL;
	c->state = MUX_C_DEAD;
}

void mux_close(struct mux_chan *c)
{
	struct mux *m = c->mux;

	if (c->state == MUX_C_OPENING || (c->state == MUX_C_UP && !(c->tx_eof && c->rx_eof)))
		MUX_SEND(m, reset, c->id, );
	else if (c->state == MUX_C_OFFERED)
		MUX_SEND(m, refused, c->id, .code = ECONNRESET);
	mux_chan_dead(c);
	m->n_chans--;
	m->window_used -= c->rx_window;
	free(c);
}

/* --- sessions ------------------------------------------------------------------------------------------------ */

static void end_chans(struct mux *m)
{
	for (size_t b = 0; b < MUX_BUCKETS; b++) {
		while (m->chans[b]) {
			struct mux_chan *c = m->chans[b];
			bool opening = c->state == MUX_C_OPENING;

			mux_chan_dead(c);
			if (opening)
				MUX_CALL(m, refused, c, ENETRESET, m->arg);
			else
				MUX_CALL(m, reset, c, m->arg);
		}
	}
}

void mux_end(struct mux *m, const char *why)
{
	enum mux_state was = m->state;

	m->state = MUX_SCAN;
	m->epoch++;
	m->welcomed = m->waking = false;
	fifo_free(&m->held);
	m->to = &m->out;
	m->scan.have = 0;
	m->hdr_have = m->ctl_have = m->data_left = 0;
	m->data_chan = NULL;
	end_chans(m);
	m->last_own = m->last_peer = 0;
	if (was != MUX_SCAN)
		MUX_CALL(m, down, why, m->arg);
}

void mux_violation(struct mux *m, const char *why)
{
	/* What is queued goes out first, so that the peer still sees frames and then this one. */
	MUX_SEND(m, bye, 0, 0);
	mux_end(m, why);
}

void mux_lost(struct mux *m, const char *why)
{
	fifo_free(&m->out);
	mux_end(m, why);
	fifo_free(&m->out);
}

void mux_hello(struct mux *m, const uint8_t nonce[LINK_NONCE_LEN])
{
	mux_lost(m, "new session");
	memset(fifo_room(&m->out, MUX_PREAMBLE), 0, MUX_PREAMBLE);
	fifo_added(&m->out, MUX_PREAMBLE);
	memcpy(m->guest_nonce, nonce, LINK_NONCE_LEN);
	m->welcomed = true; /* from here on a WELCOME with this nonce counts */
	mux_hello_again(m);
}

void mux_hello_again(struct mux *m)
{
	struct link_hello h = { .version = LINK_VERSION };
	struct wr w;

	if (m->state != MUX_SCAN || !m->welcomed || fifo_len(&m->out) > MUX_OUT_HARD)
		return;
	memcpy(h.magic, link_magic, sizeof h.magic);
	memcpy(h.guest_nonce, m->guest_nonce, sizeof h.guest_nonce);
	w = wr_mem(fifo_room(&m->out, LINK_HDR_LEN + LINK_CTL_MAX), LINK_HDR_LEN + LINK_CTL_MAX);
	link_put_hello(&w, 0, &h);
	fifo_added(&m->out, w.len);
}

void mux_seeded(struct mux *m)
{
	struct link_seeded s;
	struct wr w;

	if (m->side != MUX_GUEST || (m->state != MUX_SEEDING && !(m->state == MUX_UP && m->waking)))
		return;
	memcpy(s.host_nonce, m->host_nonce, sizeof s.host_nonce);
	w = wr_mem(fifo_room(&m->out, LINK_HDR_LEN + LINK_CTL_MAX), LINK_HDR_LEN + LINK_CTL_MAX);
	link_put_seeded(&w, 0, &s);
	fifo_added(&m->out, w.len);
	m->waking = false;
	if (m->state == MUX_UP)
		return;
	m->state = MUX_UP;
	MUX_CALL(m, up, m->arg);
}

void mux_send_seed(struct mux *m, const uint8_t seed[LINK_SEED_LEN], uint64_t realtime_ns)
{
	struct link_seed s;
	struct wr w = wr_mem(fifo_room(&m->out, 2 * (LINK_HDR_LEN + LINK_CTL_MAX)), 2 * (LINK_HDR_LEN + LINK_CTL_MAX));

	memcpy(s.bytes, seed, LINK_SEED_LEN);
	link_put_seed(&w, 0, &s);
	link_put_time(&w, 0, &(struct link_time){ .realtime_ns = realtime_ns });
	fifo_added(&m->out, w.len);
	explicit_bzero(&s, sizeof s);
}

void mux_welcome(struct mux *m, const uint8_t nonce[LINK_NONCE_LEN], const uint8_t seed[LINK_SEED_LEN],
		 uint64_t realtime_ns)
{
	struct link_welcome wel = { .version = LINK_VERSION };
	struct wr w;

	if (m->side != MUX_HOST || m->state != MUX_SEEDING || m->welcomed)
		return;
	m->welcomed = true;
	memcpy(m->host_nonce, nonce, LINK_NONCE_LEN);
	memcpy(wel.magic, link_magic, sizeof wel.magic);
	memcpy(wel.guest_nonce, m->guest_nonce, LINK_NONCE_LEN);
	memcpy(wel.host_nonce, nonce, LINK_NONCE_LEN);
	w = wr_mem(fifo_room(&m->out, LINK_HDR_LEN + LINK_CTL_MAX), LINK_HDR_LEN + LINK_CTL_MAX);
	link_put_welcome(&w, 0, &wel);
	fifo_added(&m->out, w.len);
	mux_send_seed(m, seed, realtime_ns);
}

int mux_poweroff(struct mux *m)
{
	if (m->side != MUX_HOST || m->state != MUX_UP)
		return -ENOTCONN;
	MUX_SEND(m, poweroff, 0, 0);
	return 0;
}

void mux_time(struct mux *m, uint64_t realtime_ns)
{
	if (m->side == MUX_HOST && m->state == MUX_UP)
		MUX_SEND(m, time, 0, .realtime_ns = realtime_ns);
}

/* --- channels -------------------------------------------------------------------------------------------------- */

int mux_open(struct mux *m, uint32_t peer, uint32_t port, void *user, struct mux_chan **ret)
{
	uint32_t id = m->last_own ? m->last_own + 2 : m->side == MUX_HOST ? 2 : 1;
	struct mux_chan *c;

	if (m->state != MUX_UP)
		return -ENOTCONN;
	if (id < m->last_own) {
		mux_violation(m, "channel numbers used up");
		return -ENOTCONN;
	}
	c = mux_chan_add(m, id, peer, port, MUX_C_OPENING);
	if (!c)
		return -EMFILE;
	m->last_own = id;
	c->user = user;
	MUX_SEND(m, open, id, .peer = peer, .port = port, .window = c->rx_window);
	*ret = c;
	return 0;
}

void mux_accept(struct mux_chan *c)
{
	if (c->state != MUX_C_OFFERED)
		return;
	c->mux->n_offered--;
	c->state = MUX_C_UP;
	MUX_SEND(c->mux, opened, c->id, .window = c->rx_window);
}

void mux_refuse(struct mux_chan *c, int code)
{
	if (c->state == MUX_C_OFFERED) {
		MUX_SEND(c->mux, refused, c->id, .code = (uint32_t)code);
		mux_chan_dead(c);
	}
	mux_close(c);
}

uint8_t *mux_tx_begin(struct mux_chan *c, size_t *ret_room)
{
	size_t room = MIN((size_t)c->tx_credit, (size_t)LINK_DATA_MAX);

	if (c->state != MUX_C_UP || c->tx_eof || room == 0)
		return NULL;
	*ret_room = room;
	return fifo_room(c->mux->to, LINK_HDR_LEN + room) + LINK_HDR_LEN;
}

void mux_tx_end(struct mux_chan *c, size_t n)
{
	struct fifo *out = c->mux->to;

	if (n == 0)
		return;
	link_put_data_hdr(fifo_room(out, LINK_HDR_LEN + n), c->id, n);
	fifo_added(out, LINK_HDR_LEN + n);
	c->tx_credit -= (uint32_t)n;
}

void mux_tx_eof(struct mux_chan *c)
{
	if (c->state != MUX_C_UP || c->tx_eof)
		return;
	c->tx_eof = true;
	MUX_SEND(c->mux, eof, c->id, );
}

void mux_rx_done(struct mux_chan *c, size_t n)
{
	c->rx_used += (uint32_t)n;
	if (c->state != MUX_C_UP || c->rx_eof || c->rx_used < c->rx_window / 4)
		return;
	c->rx_left += c->rx_used;
	MUX_SEND(c->mux, credit, c->id, .bytes = c->rx_used);
	c->rx_used = 0;
}
