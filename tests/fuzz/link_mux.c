/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The whole mux against a hostile other end. First input byte: bit 0 = we are the guest, bit 1 = the session is already up. Then
 * commands: 0xf0..0xff act as our own side (accept, refuse, send, close, …), any other byte n is the length of a piece of wire bytes that
 * follows, so that the fuzzer also finds the cuts.
 */
#include "chan/mux.h"

#define KEEP 16

struct state {
	struct mux *m;
	struct mux_chan *c[KEEP];
	unsigned next;
	uint64_t received;
};

static volatile uint64_t sink;

static void keep(struct state *s, struct mux_chan *c)
{
	if (s->c[s->next])
		mux_close(s->c[s->next]);
	s->c[s->next] = c;
	s->next = (s->next + 1) % KEEP;
}

static void forget(struct state *s, const struct mux_chan *c)
{
	for (size_t i = 0; i < KEEP; i++)
		if (s->c[i] == c)
			s->c[i] = NULL;
}

static void on_hello(void *arg)
{
	static const uint8_t bytes[LINK_SEED_LEN];
	struct state *s = arg;

	mux_welcome(s->m, bytes, bytes, 1);
}

static void on_seed(const uint8_t *p, size_t n, void *arg)
{
	struct state *s = arg;

	sink += p[n - 1];
	mux_seeded(s->m);
}

static void on_chan(struct mux_chan *c, void *arg)
{
	struct state *s = arg;

	forget(s, c);
	keep(s, c);
}

static void on_refused(struct mux_chan *c, int code, void *arg)
{
	forget(arg, c);
	mux_close(c);
}

static void on_reset(struct mux_chan *c, void *arg)
{
	forget(arg, c);
	mux_close(c);
}

static void on_data(struct mux_chan *c, const uint8_t *p, size_t n, void *arg)
{
	struct state *s = arg;

	s->received += n;
	if (s->received > 64u << 20)
		abort(); /* more than the input can hold */
	sink += p[0] + p[n - 1];
	if (n % 3 == 0)
		mux_close(c), forget(s, c);
	else
		mux_rx_done(c, n);
}

static const struct mux_ops ops = { .hello = on_hello, .seed = on_seed, .offered = on_chan, .opened = on_chan,
				    .refused = on_refused, .reset = on_reset, .data = on_data };

static void act(struct state *s, uint8_t what, uint8_t which)
{
	static const uint8_t bytes[LINK_SEED_LEN];
	struct mux_chan *c = s->c[which % KEEP];
	struct mux_chan *opened;
	size_t room;
	uint8_t *to;

	if (what == 0xf0 && mux_open(s->m, which, 600, NULL, &opened) == 0)
		keep(s, opened);
	if (what == 0xf1)
		mux_lost(s->m, "lost");
	if (what == 0xf2)
		fifo_drop(mux_out(s->m), SIZE_MAX);
	if (what == 0xf8)
		(void)mux_wake(s->m, bytes, bytes, 1);
	if (what == 0xf9)
		(which & 1 ? mux_release : mux_hold)(s->m);
	if (what == 0xfa)
		(void)mux_frozen(s->m);
	if (what == 0xfb)
		(void)(which & 1 ? mux_freeze : mux_ready)(s->m);
	if (!c)
		return;
	if (what == 0xf3)
		mux_accept(c);
	if (what == 0xf4 && c->state == MUX_C_OFFERED)
		forget(s, c), mux_refuse(c, 13);
	if (what == 0xf5)
		forget(s, c), mux_close(c);
	if (what == 0xf6)
		mux_tx_eof(c);
	if (what == 0xf7 && (to = mux_tx_begin(c, &room))) {
		memset(to, 1, room);
		mux_tx_end(c, room);
	}
}

/* The other side's part of a handshake, so that the input need not find the nonces. */
static void bring_up(struct state *s, bool guest)
{
	uint8_t buf[512], nonce[LINK_NONCE_LEN] = { 1 };
	struct wr w = wr_mem(buf, sizeof buf);

	if (guest) {
		struct link_welcome wel = { .version = LINK_VERSION };
		struct link_seed seed = { 0 };

		mux_hello(s->m, nonce);
		memcpy(wel.magic, link_magic, sizeof wel.magic);
		memcpy(wel.guest_nonce, nonce, sizeof nonce);
		link_put_welcome(&w, 0, &wel);
		link_put_seed(&w, 0, &seed);
	} else {
		struct link_hello h = { .version = LINK_VERSION };
		struct link_seeded seeded = { 0 };

		memcpy(h.magic, link_magic, sizeof h.magic);
		link_put_hello(&w, 0, &h);
		link_put_seeded(&w, 0, &seeded);
	}
	mux_input(s->m, buf, w.len);
	if (mux_state(s->m) != MUX_UP)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state s = { 0 };
	size_t i = 1;

	if (size == 0)
		return 0;
	s.m = mux_new(data[0] & 1 ? MUX_GUEST : MUX_HOST, &ops, &s);
	if (data[0] & 2)
		bring_up(&s, data[0] & 1);
	while (i < size) {
		uint8_t b = data[i++];
		size_t n = MIN((size_t)b, size - i);

		if (b >= 0xf0) {
			act(&s, b, i < size ? data[i++] : 0);
			continue;
		}
		if (n)
			mux_input(s.m, data + i, n);
		i += n;
		if (mux_queued(s.m) > MUX_OUT_HARD) {
			mux_release(s.m);
			fifo_drop(mux_out(s.m), SIZE_MAX);
		}
		if (mux_n_chans(s.m) > MUX_CHANS_MAX)
			abort();
	}
	for (size_t k = 0; k < KEEP; k++)
		if (s.c[k])
			mux_close(s.c[k]);
	mux_free(s.m);
	return 0;
}
