/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The mux and saved states (docs/protocol/link.md): becoming still, waking, and holding frames back while the machine is paused. */
#include "chan/mux_int.h"

int mux_ready(struct mux *m)
{
	if (m->side != MUX_GUEST || m->state != MUX_UP)
		return -ENOTCONN;
	MUX_SEND(m, ready, 0, 0);
	return 0;
}

int mux_freeze(struct mux *m)
{
	if (m->side != MUX_HOST || m->state != MUX_UP)
		return -ENOTCONN;
	MUX_SEND(m, freeze, 0, 0);
	return 0;
}

int mux_frozen(struct mux *m)
{
	if (m->side != MUX_GUEST || m->state != MUX_UP)
		return -ENOTCONN;
	mux_end(m, "frozen");
	MUX_SEND(m, frozen, 0, 0);
	m->state = MUX_FROZEN;
	return 0;
}

void mux_hold(struct mux *m)
{
	if (m->side == MUX_HOST && m->state == MUX_UP)
		m->to = &m->held;
}

void mux_release(struct mux *m)
{
	/* While the answer to a seed is awaited it alone ends this. */
	if (m->waking)
		return;
	fifo_put(&m->out, fifo_data(&m->held), fifo_len(&m->held));
	fifo_free(&m->held);
	m->to = &m->out;
}

int mux_wake(struct mux *m, const uint8_t nonce[LINK_NONCE_LEN], const uint8_t seed[LINK_SEED_LEN], uint64_t realtime_ns)
{
	struct link_wake w = { .version = LINK_VERSION };
	struct wr b;

	if (m->side != MUX_HOST || m->state == MUX_SEEDING || m->waking)
		return -EINPROGRESS;
	if (m->state == MUX_UP) {
		/* What was queued before the pause may be half-written: it goes on, then the seed, then what was held back. */
		m->waking = true;
		m->to = &m->held;
	} else {
		fifo_free(&m->out);
		m->state = MUX_SEEDING;
		m->welcomed = true;
	}
	memcpy(m->host_nonce, nonce, LINK_NONCE_LEN);
	memcpy(w.magic, link_magic, sizeof w.magic);
	memcpy(w.host_nonce, nonce, LINK_NONCE_LEN);
	b = wr_mem(fifo_room(&m->out, LINK_HDR_LEN + LINK_CTL_MAX), LINK_HDR_LEN + LINK_CTL_MAX);
	link_put_wake(&b, 0, &w);
	fifo_added(&m->out, b.len);
	mux_send_seed(m, seed, realtime_ns);
	return 0;
}
