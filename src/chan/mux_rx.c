/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The receiving half of the mux: every byte here comes from the other end and, on the host, from a guest that may be hostile. A frame
 * that the state does not allow ends the session; frames for channels that have ended are dropped, because they may have been under way.
 */
#include "chan/mux_int.h"

#define PEER_WINDOW_MAX (16u << 20)
#define CREDIT_MAX (1u << 30)

/* An id that was in use in this session, and so may be met in late frames. */
static bool id_known(const struct mux *m, uint32_t id)
{
	bool own = (id & 1) == (m->side == MUX_GUEST);

	return own ? id <= m->last_own : id <= m->last_peer;
}

static void rx_hello(struct mux *m, const uint8_t *p, size_t n)
{
	struct link_hello h;

	if (link_get_hello(p, n, &h) < 0 || h.version == 0 || memcmp(h.magic, link_magic, sizeof h.magic) != 0) {
		if (m->state != MUX_SCAN)
			mux_violation(m, "malformed hello");
		return;
	}
	if (m->state != MUX_SCAN) {
		if (memcmp(h.guest_nonce, m->guest_nonce, LINK_NONCE_LEN) == 0)
			return; /* repeated before our answer reached it */
		mux_end(m, "the guest's agent started again");
	}
	/* The guest looks for our WELCOME now; frames of the old session would only delay it. */
	fifo_free(&m->out);
	memcpy(m->guest_nonce, h.guest_nonce, LINK_NONCE_LEN);
	m->state = MUX_SEEDING;
	MUX_CALL(m, hello, m->arg);
}

static void rx_welcome(struct mux *m, const uint8_t *p, size_t n)
{
	struct link_welcome w;

	/* Only the answer to our own nonce: what is left in the port from an earlier session cannot contain it. */
	if (link_get_welcome(p, n, &w) < 0 || w.version != LINK_VERSION || !m->welcomed ||
	    memcmp(w.guest_nonce, m->guest_nonce, LINK_NONCE_LEN) != 0)
		return;
	memcpy(m->host_nonce, w.host_nonce, LINK_NONCE_LEN);
	m->state = MUX_SEEDING;
}

static void rx_seeding_guest(struct mux *m)
{
	struct link_seed s;
	struct link_time t;

	if (m->h.type == LINK_SEED && link_get_seed(m->ctl, m->h.len, &s) == 0) {
		MUX_CALL(m, seed, s.bytes, sizeof s.bytes, m->arg);
		explicit_bzero(&s, sizeof s);
		explicit_bzero(m->ctl, sizeof m->ctl);
	} else if (m->h.type == LINK_TIME && link_get_time(m->ctl, m->h.len, &t) == 0) {
		MUX_CALL(m, set_time, t.realtime_ns, m->arg);
	} else {
		mux_violation(m, "frame before the seed");
	}
}

static void rx_seeded(struct mux *m)
{
	struct link_seeded s;

	if (link_get_seeded(m->ctl, m->h.len, &s) < 0 || !(m->state == MUX_SEEDING ? m->welcomed : m->waking) ||
	    memcmp(s.host_nonce, m->host_nonce, LINK_NONCE_LEN) != 0) {
		mux_violation(m, "wrong answer to the seed");
		return;
	}
	if (m->state == MUX_UP) {
		m->waking = false;
		mux_release(m);
		MUX_CALL(m, woken, m->arg);
		return;
	}
	m->state = MUX_UP;
	MUX_CALL(m, up, m->arg);
}

/* In a session, or found by the search of a frozen guest. */
static void rx_wake(struct mux *m, const uint8_t *p, size_t n)
{
	struct link_wake w;

	if (link_get_wake(p, n, &w) < 0 || w.version != LINK_VERSION || memcmp(w.magic, link_magic, sizeof w.magic) != 0) {
		if (m->state == MUX_UP)
			mux_violation(m, "malformed wake");
		return;
	}
	memcpy(m->host_nonce, w.host_nonce, LINK_NONCE_LEN);
	if (m->state == MUX_UP)
		m->waking = true;
	else
		m->state = MUX_SEEDING;
}

/* Frames without a channel in a session, of either end. */
static void rx_guest_ctl(struct mux *m)
{
	struct link_seed s;
	struct link_time t;

	switch (m->h.type) {
	case LINK_POWEROFF:
		MUX_CALL(m, poweroff, m->arg);
		return;
	case LINK_FREEZE:
		MUX_CALL(m, freeze, m->arg);
		return;
	case LINK_WAKE:
		rx_wake(m, m->ctl, m->h.len);
		return;
	case LINK_TIME:
		if (link_get_time(m->ctl, m->h.len, &t) == 0)
			MUX_CALL(m, set_time, t.realtime_ns, m->arg);
		return;
	case LINK_SEED:
		if (m->waking && link_get_seed(m->ctl, m->h.len, &s) == 0) {
			MUX_CALL(m, seed, s.bytes, sizeof s.bytes, m->arg);
			explicit_bzero(&s, sizeof s);
			explicit_bzero(m->ctl, sizeof m->ctl);
			return;
		}
		break;
	default:
		break;
	}
	mux_violation(m, "frame of a wrong kind");
}

static void rx_host_ctl(struct mux *m)
{
	if (m->h.type == LINK_READY) {
		MUX_CALL(m, ready, m->arg);
	} else if (m->h.type == LINK_FROZEN) {
		MUX_CALL(m, frozen, m->arg);
		mux_end(m, "frozen");
	} else {
		mux_violation(m, "frame of a wrong kind");
	}
}

static void rx_open(struct mux *m)
{
	struct link_open o;
	struct mux_chan *c;
	uint32_t id = m->h.chan;

	if (link_get_open(m->ctl, m->h.len, &o) < 0 || (id & 1) != (m->side == MUX_HOST) || id <= m->last_peer ||
	    o.window == 0 || o.window > PEER_WINDOW_MAX) {
		mux_violation(m, "bad OPEN");
		return;
	}
	m->last_peer = id;
	c = m->n_offered < MUX_OFFERED_MAX ? mux_chan_add(m, id, o.peer, o.port, MUX_C_OFFERED) : NULL;
	if (!c) {
		MUX_SEND(m, refused, id, .code = EMFILE);
		return;
	}
	c->tx_credit = o.window;
	if (m->ops->offered)
		m->ops->offered(c, m->arg);
	else
		mux_refuse(c, EOPNOTSUPP);
}

static void rx_opened(struct mux *m, struct mux_chan *c)
{
	struct link_opened o;

	if (link_get_opened(m->ctl, m->h.len, &o) < 0 || c->state != MUX_C_OPENING || o.window == 0 ||
	    o.window > PEER_WINDOW_MAX) {
		mux_violation(m, "bad OPENED");
		return;
	}
	c->tx_credit = o.window;
	c->state = MUX_C_UP;
	MUX_CALL(m, opened, c, m->arg);
}

static void rx_refused(struct mux *m, struct mux_chan *c)
{
	struct link_refused f;

	if (link_get_refused(m->ctl, m->h.len, &f) < 0 || c->state != MUX_C_OPENING) {
		mux_violation(m, "bad REFUSED");
		return;
	}
	mux_chan_dead(c);
	MUX_CALL(m, refused, c, f.code > 0 && f.code < 4096 ? (int)f.code : EIO, m->arg);
}

static void rx_credit(struct mux *m, struct mux_chan *c)
{
	struct link_credit f;

	if (link_get_credit(m->ctl, m->h.len, &f) < 0 || c->state != MUX_C_UP || f.bytes == 0 ||
	    f.bytes > CREDIT_MAX - MIN(c->tx_credit, CREDIT_MAX)) {
		mux_violation(m, "bad CREDIT");
		return;
	}
	c->tx_credit += f.bytes;
	MUX_CALL(m, credit, c, m->arg);
}

static void rx_eof(struct mux *m, struct mux_chan *c)
{
	if (c->state != MUX_C_UP || c->rx_eof) {
		mux_violation(m, "bad EOF");
		return;
	}
	c->rx_eof = true;
	MUX_CALL(m, eof, c, m->arg);
}

static void rx_reset(struct mux *m, struct mux_chan *c)
{
	if (c->state == MUX_C_OPENING) {
		mux_violation(m, "RESET of an OPEN of ours");
		return;
	}
	mux_chan_dead(c);
	MUX_CALL(m, reset, c, m->arg);
}

static void rx_chan_frame(struct mux *m)
{
	struct mux_chan *c;

	if (m->h.type == LINK_OPEN) {
		rx_open(m);
		return;
	}
	c = mux_chan_find(m, m->h.chan);
	if (!c) {
		if (!id_known(m, m->h.chan))
			mux_violation(m, "frame on a channel that never was");
		return;
	}
	switch (m->h.type) {
	case LINK_OPENED:
		rx_opened(m, c);
		break;
	case LINK_REFUSED:
		rx_refused(m, c);
		break;
	case LINK_CREDIT:
		rx_credit(m, c);
		break;
	case LINK_EOF:
		rx_eof(m, c);
		break;
	case LINK_RESET:
		rx_reset(m, c);
		break;
	default:
		mux_violation(m, "frame of a wrong kind");
	}
}

/* A whole frame other than DATA is in m->h, m->ctl. */
static void rx_ctl(struct mux *m)
{
	if (m->h.type == LINK_BYE) {
		mux_end(m, "the other end saw a violation");
	} else if (m->side == MUX_HOST && m->h.type == LINK_HELLO) {
		rx_hello(m, m->ctl, m->h.len);
	} else if (m->side == MUX_HOST && m->h.type == LINK_SEEDED) {
		rx_seeded(m);
	} else if (m->state == MUX_SEEDING) {
		if (m->side == MUX_GUEST)
			rx_seeding_guest(m);
		else
			mux_violation(m, "frame before the seed was taken");
	} else if (m->h.chan) {
		rx_chan_frame(m);
	} else if (m->side == MUX_GUEST) {
		rx_guest_ctl(m);
	} else {
		rx_host_ctl(m);
	}
}

static void data_start(struct mux *m)
{
	struct mux_chan *c = mux_chan_find(m, m->h.chan);

	m->data_chan = NULL;
	if (m->state != MUX_UP || (!c && !id_known(m, m->h.chan))) {
		mux_violation(m, "DATA on a channel that never was");
		return;
	}
	if (c && (c->state != MUX_C_UP || c->rx_eof || m->h.len > c->rx_left)) {
		mux_violation(m, "DATA without credit");
		return;
	}
	if (c)
		c->rx_left -= m->h.len;
	m->data_chan = c;
	m->data_left = m->h.len;
}

static size_t rx_header(struct mux *m, const uint8_t *p, size_t n)
{
	static const uint8_t zeros[LINK_HDR_LEN];
	size_t k = MIN(n, LINK_HDR_LEN - m->hdr_have);

	memcpy(m->hdr + m->hdr_have, p, k);
	m->hdr_have += k;
	if (m->hdr_have < LINK_HDR_LEN)
		return k;
	if (link_get_hdr(m->hdr, m->side == MUX_HOST ? LINK_FROM_GUEST : LINK_FROM_HOST, &m->h) < 0) {
		mux_violation(m, memcmp(m->hdr, zeros, sizeof zeros) ? "malformed header" : "the other end starts again");
		return k;
	}
	m->ctl_have = 0;
	if (m->h.type == LINK_DATA)
		data_start(m);
	return k;
}

static size_t rx_data(struct mux *m, const uint8_t *p, size_t n)
{
	size_t k = MIN(n, m->data_left);

	m->data_left -= k;
	if (m->data_left == 0)
		m->hdr_have = 0;
	if (m->data_chan)
		MUX_CALL(m, data, m->data_chan, p, k, m->arg);
	return k;
}

static size_t rx_frame(struct mux *m, const uint8_t *p, size_t n)
{
	size_t k = 0;
	unsigned epoch = m->epoch;

	if (m->hdr_have < LINK_HDR_LEN) {
		k = rx_header(m, p, n);
		if (m->epoch != epoch || m->hdr_have < LINK_HDR_LEN || m->h.type == LINK_DATA)
			return k;
	}
	if (m->h.type == LINK_DATA)
		return rx_data(m, p, n);
	if (m->ctl_have < m->h.len) {
		size_t more = MIN(n - k, m->h.len - m->ctl_have);

		memcpy(m->ctl + m->ctl_have, p + k, more);
		m->ctl_have += more;
		k += more;
	}
	if (m->ctl_have == m->h.len) {
		m->hdr_have = 0;
		rx_ctl(m);
	}
	return k;
}

bool mux_in_frame(const struct mux *m)
{
	return m->state == MUX_SCAN || m->state == MUX_FROZEN || m->hdr_have > 0;
}

void mux_input(struct mux *m, const uint8_t *p, size_t n)
{
	while (n) {
		size_t k;

		if (m->state == MUX_SCAN || m->state == MUX_FROZEN) {
			enum link_type want = m->side == MUX_HOST ? LINK_HELLO : m->state == MUX_FROZEN ? LINK_WAKE : LINK_WELCOME;
			bool found;

			k = link_scan_feed(&m->scan, want, p, n, &found);
			if (found && m->side == MUX_HOST)
				rx_hello(m, m->scan.buf + LINK_HDR_LEN, link_ctl_len(want));
			else if (found && want == LINK_WAKE)
				rx_wake(m, m->scan.buf + LINK_HDR_LEN, link_ctl_len(want));
			else if (found)
				rx_welcome(m, m->scan.buf + LINK_HDR_LEN, link_ctl_len(want));
			if (m->state != MUX_SCAN && m->state != MUX_FROZEN)
				m->hdr_have = 0;
		} else {
			k = rx_frame(m, p, n);
		}
		p += k;
		n -= k;
	}
}
