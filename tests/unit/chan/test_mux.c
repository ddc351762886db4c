/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Two ends of a mux joined in memory, the bytes between them cut into random pieces; and a hostile end made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "chan/mux.h"

#define CHANS 64

struct end {
	struct mux *m;
	struct end *other;
	bool up, seed_ok;
	unsigned n_up, n_down, n_refused, n_reset, n_eof, n_credit, n_poweroff;
	int last_code;
	uint8_t seed[LINK_SEED_LEN];
	struct mux_chan *offered[CHANS], *opened[CHANS];
	unsigned n_offered, n_opened;
	uint64_t rx_bytes;
	uint8_t rx_next; /* the stream of a channel is 0, 1, 2, … modulo 256 */
	bool rx_wrong, hold; /* hold: do not report consumption */
	size_t held;
	const char *why;
};

static uint32_t rnd_state = 1;

static uint32_t rnd(void)
{
	rnd_state = rnd_state * 1664525 + 1013904223;
	return rnd_state >> 8;
}

static void on_hello(void *arg)
{
	struct end *e = arg;
	uint8_t nonce[LINK_NONCE_LEN], seed[LINK_SEED_LEN];

	memset(nonce, 0x77, sizeof nonce);
	memset(seed, 0x42, sizeof seed);
	mux_welcome(e->m, nonce, seed, 12345);
}

static void on_seed(const uint8_t *p, size_t n, void *arg)
{
	struct end *e = arg;

	assert_int_equal(n, LINK_SEED_LEN);
	memcpy(e->seed, p, n);
	if (e->seed_ok)
		mux_seeded(e->m);
}

static void on_up(void *arg)
{
	struct end *e = arg;

	e->up = true;
	e->n_up++;
}

static void on_down(const char *why, void *arg)
{
	struct end *e = arg;

	e->up = false;
	e->n_down++;
	e->why = why;
}

static void on_poweroff(void *arg)
{
	((struct end *)arg)->n_poweroff++;
}

static void on_offered(struct mux_chan *c, void *arg)
{
	struct end *e = arg;

	assert_true(e->n_offered < CHANS);
	e->offered[e->n_offered++] = c;
}

static void on_opened(struct mux_chan *c, void *arg)
{
	struct end *e = arg;

	assert_true(e->n_opened < CHANS);
	e->opened[e->n_opened++] = c;
}

static void on_refused(struct mux_chan *c, int code, void *arg)
{
	struct end *e = arg;

	e->n_refused++;
	e->last_code = code;
	mux_close(c);
}

static void on_data(struct mux_chan *c, const uint8_t *p, size_t n, void *arg)
{
	struct end *e = arg;

	for (size_t i = 0; i < n; i++)
		e->rx_wrong |= p[i] != e->rx_next++;
	e->rx_bytes += n;
	if (e->hold)
		e->held += n;
	else
		mux_rx_done(c, n);
}

static void on_credit(struct mux_chan *c, void *arg)
{
	((struct end *)arg)->n_credit++;
}

static void on_eof(struct mux_chan *c, void *arg)
{
	((struct end *)arg)->n_eof++;
}

static void on_reset(struct mux_chan *c, void *arg)
{
	struct end *e = arg;

	e->n_reset++;
	mux_close(c);
}

static const struct mux_ops ops = {
	.hello = on_hello, .seed = on_seed, .up = on_up, .down = on_down, .poweroff = on_poweroff, .offered = on_offered,
	.opened = on_opened, .refused = on_refused, .data = on_data, .credit = on_credit, .eof = on_eof,
	.reset = on_reset,
};

struct pair {
	struct end g, h;
};

/* Moves everything in both directions until nothing is left, in pieces of random sizes. */
static void shuttle(struct pair *p)
{
	struct fifo *a = mux_out(p->g.m), *b = mux_out(p->h.m);

	while (fifo_len(a) || fifo_len(b)) {
		struct fifo *f = rnd() & 1 ? a : b;
		struct mux *to = f == a ? p->h.m : p->g.m;
		size_t n = MIN(fifo_len(f), (size_t)(rnd() % 3 ? 1 + rnd() % 50 : 1 + rnd() % 70000));
		uint8_t *copy;

		if (n == 0)
			continue;
		copy = xmalloc(n);
		memcpy(copy, fifo_data(f), n);
		fifo_drop(f, n);
		mux_input(to, copy, n);
		free(copy);
	}
}

static struct pair *pair_new(void)
{
	struct pair *p = xcalloc(1, sizeof *p);

	p->g.m = mux_new(MUX_GUEST, &ops, &p->g);
	p->h.m = mux_new(MUX_HOST, &ops, &p->h);
	p->g.seed_ok = true;
	return p;
}

static void hello(struct pair *p, uint8_t fill)
{
	uint8_t nonce[LINK_NONCE_LEN];

	memset(nonce, fill, sizeof nonce);
	mux_hello(p->g.m, nonce);
}

static struct pair *pair_up(void)
{
	struct pair *p = pair_new();

	hello(p, 1);
	shuttle(p);
	assert_true(p->g.up && p->h.up);
	return p;
}

static void pair_free(struct pair *p)
{
	mux_free(p->g.m);
	mux_free(p->h.m);
	free(p);
}

static struct mux_chan *open_chan(struct pair *p, struct end *from, struct end *to, struct mux_chan **ret_to)
{
	struct mux_chan *c;

	assert_int_equal(mux_open(from->m, 3, 513, NULL, &c), 0);
	shuttle(p);
	assert_int_equal(to->offered[to->n_offered - 1]->port, 513);
	assert_int_equal(to->offered[to->n_offered - 1]->peer, 3);
	*ret_to = to->offered[to->n_offered - 1];
	mux_accept(*ret_to);
	shuttle(p);
	assert_ptr_equal(from->opened[from->n_opened - 1], c);
	return c;
}

/* Sends n bytes of the pattern from *next on, as credit allows; gives how many went. */
static size_t send_some(struct mux_chan *c, size_t n, uint8_t *next)
{
	size_t done = 0, room;
	uint8_t *to;

	while (done < n && (to = mux_tx_begin(c, &room))) {
		size_t k = MIN(room, n - done);

		for (size_t i = 0; i < k; i++)
			to[i] = (*next)++;
		mux_tx_end(c, k);
		done += k;
	}
	return done;
}

static void test_handshake(void **state)
{
	struct pair *p = pair_up();
	uint8_t want[LINK_SEED_LEN];

	memset(want, 0x42, sizeof want);
	assert_memory_equal(p->g.seed, want, sizeof want);
	assert_int_equal(mux_poweroff(p->h.m), 0);
	shuttle(p);
	assert_int_equal(p->g.n_poweroff, 1);
	pair_free(p);
}

static void test_gate(void **state)
{
	struct pair *p = pair_new();
	struct mux_chan *c;

	p->g.seed_ok = false; /* the guest could not use the seed */
	hello(p, 1);
	shuttle(p);
	assert_int_equal(mux_state(p->h.m), MUX_SEEDING);
	assert_int_equal(mux_open(p->h.m, 0, 512, NULL, &c), -ENOTCONN);
	assert_int_equal(mux_open(p->g.m, 0, 111, NULL, &c), -ENOTCONN);
	assert_false(p->h.up || p->g.up);
	mux_seeded(p->g.m);
	shuttle(p);
	assert_true(p->h.up && p->g.up);
	pair_free(p);
}

static void test_stream_both_ways(void **state)
{
	struct pair *p = pair_up();
	struct mux_chan *hc, *gc = open_chan(p, &p->g, &p->h, &hc);
	uint8_t gnext = 0, hnext = 0;
	size_t gleft = 3 << 20, hleft = 2 << 20;

	while (gleft || hleft) {
		gleft -= send_some(gc, MIN(gleft, (size_t)(1 + rnd() % 100000)), &gnext);
		hleft -= send_some(hc, MIN(hleft, (size_t)(1 + rnd() % 100000)), &hnext);
		shuttle(p);
	}
	assert_int_equal(p->h.rx_bytes, 3 << 20);
	assert_int_equal(p->g.rx_bytes, 2 << 20);
	assert_false(p->g.rx_wrong || p->h.rx_wrong);
	assert_true(p->g.n_credit > 0);
	pair_free(p);
}

static void test_credit_bounds_memory(void **state)
{
	struct pair *p = pair_up();
	struct mux_chan *hc, *gc = open_chan(p, &p->g, &p->h, &hc);
	uint8_t next = 0;

	p->h.hold = true;
	for (int i = 0; i < 100; i++) {
		send_some(gc, 1 << 20, &next);
		shuttle(p);
	}
	assert_int_equal(p->h.held, MUX_WINDOW);
	mux_rx_done(hc, p->h.held);
	shuttle(p);
	assert_int_equal(send_some(gc, 1 << 20, &next), MUX_WINDOW);
	pair_free(p);
}

static void test_half_close(void **state)
{
	struct pair *p = pair_up();
	struct mux_chan *hc, *gc = open_chan(p, &p->g, &p->h, &hc);
	uint8_t gnext = 0, hnext = 0;

	assert_int_equal(send_some(gc, 1000, &gnext), 1000);
	mux_tx_eof(gc);
	shuttle(p);
	assert_int_equal(p->h.rx_bytes, 1000);
	assert_int_equal(p->h.n_eof, 1);
	/* the other direction still works */
	assert_int_equal(send_some(hc, 5000, &hnext), 5000);
	mux_tx_eof(hc);
	shuttle(p);
	assert_int_equal(p->g.rx_bytes, 5000);
	assert_int_equal(p->g.n_eof, 1);
	assert_int_equal(send_some(hc, 1, &hnext), 0);
	mux_close(gc);
	mux_close(hc);
	assert_int_equal(fifo_len(mux_out(p->g.m)), 0); /* both knew: no RESET */
	assert_int_equal(mux_n_chans(p->g.m) + mux_n_chans(p->h.m), 0);
	pair_free(p);
}

static void test_close_delivers_tail(void **state)
{
	struct pair *p = pair_up();
	struct mux_chan *hc, *gc = open_chan(p, &p->g, &p->h, &hc);
	uint8_t next = 0;

	assert_int_equal(send_some(gc, 100000, &next), 100000);
	mux_close(gc);
	shuttle(p);
	assert_int_equal(p->h.rx_bytes, 100000);
	assert_int_equal(p->h.n_reset, 1);
	assert_int_equal(p->h.n_down + p->g.n_down, 0);
	pair_free(p);
}

/* Both ends close, withdraw and send at the same time: late frames are dropped, the session lives. */
static void test_crossing_ends(void **state)
{
	struct pair *p = pair_up();

	for (int i = 0; i < 40; i++) {
		struct mux_chan *hc, *gc = open_chan(p, &p->g, &p->h, &hc), *w;
		uint8_t next = p->h.rx_next;

		send_some(gc, 50, &next);
		send_some(hc, 50, &p->g.rx_next);
		mux_close(gc);
		mux_close(hc);
		assert_int_equal(mux_open(p->g.m, 1, 600, NULL, &w), 0);
		mux_close(w); /* withdrawn before the answer */
		shuttle(p);
		p->g.n_opened = p->h.n_offered = 0;
		p->g.rx_next = p->h.rx_next = 0;
	}
	assert_int_equal(p->h.n_down + p->g.n_down, 0);
	assert_int_equal(mux_n_chans(p->g.m) + mux_n_chans(p->h.m), 0);
	pair_free(p);
}

static void test_refuse(void **state)
{
	struct pair *p = pair_up();
	struct mux_chan *c;

	assert_int_equal(mux_open(p->h.m, 0, 512, NULL, &c), 0);
	shuttle(p);
	mux_refuse(p->g.offered[0], EACCES);
	shuttle(p);
	assert_int_equal(p->h.n_refused, 1);
	assert_int_equal(p->h.last_code, EACCES);
	assert_int_equal(mux_n_chans(p->h.m), 0);
	pair_free(p);
}

static void test_limits(void **state)
{
	struct pair *p = pair_up();
	struct mux_chan *c;
	unsigned n = 0;

	while (mux_open(p->h.m, 0, 600, NULL, &c) == 0)
		n++;
	assert_int_equal(n, MUX_CHANS_MAX);
	assert_int_equal(mux_open(p->h.m, 0, 600, NULL, &c), -EMFILE);
	pair_free(p);
}

static void test_guest_restart(void **state)
{
	struct pair *p = pair_up();
	struct mux_chan *hc, *gc = open_chan(p, &p->h, &p->g, &hc);
	uint8_t next = 0;
	struct fifo *out;
	uint8_t half[5000];

	/* Half a frame is under way when the agent dies; the new one knows nothing of it. */
	send_some(hc, 20000, &next);
	out = mux_out(p->g.m);
	assert_int_equal(fifo_len(out), 20000 + LINK_HDR_LEN);
	memcpy(half, fifo_data(out), sizeof half);
	mux_input(p->h.m, half, sizeof half);
	(void)gc;
	mux_free(p->g.m);
	p->g.m = mux_new(MUX_GUEST, &ops, &p->g);
	p->g.up = false;
	hello(p, 2);
	shuttle(p);
	assert_true(p->g.up && p->h.up);
	assert_int_equal(p->h.n_down, 1);
	assert_int_equal(p->h.n_up, 2);
	assert_int_equal(p->h.n_reset, 1);
	assert_int_equal(mux_n_chans(p->h.m), 0);
	pair_free(p);
}

/* What an earlier session left in the port towards the guest, a forged WELCOME included, does not make a session. */
static void test_stale_welcome(void **state)
{
	struct pair *p = pair_new();
	struct link_welcome w = { .version = 1 };
	uint8_t buf[128];
	struct wr wr = wr_mem(buf, sizeof buf);

	memcpy(w.magic, link_magic, sizeof w.magic);
	memset(w.guest_nonce, 9, sizeof w.guest_nonce);
	link_put_welcome(&wr, 0, &w);
	hello(p, 1);
	mux_input(p->g.m, buf, wr.len);
	assert_int_equal(mux_state(p->g.m), MUX_SCAN);
	shuttle(p);
	assert_true(p->g.up);
	pair_free(p);
}

static void test_hello_repeated(void **state)
{
	struct pair *p = pair_new();

	hello(p, 1);
	mux_hello_again(p->g.m);
	mux_hello_again(p->g.m);
	shuttle(p);
	assert_true(p->g.up && p->h.up);
	assert_int_equal(p->h.n_up, 1);
	assert_int_equal(p->h.n_down, 0);
	pair_free(p);
}

/* --- hostile frames -------------------------------------------------------------------------------------------------- */

static void put_u32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* A frame as raw bytes: nothing of the encoder's rules is in the way. */
static void raw(struct mux *m, uint8_t type, uint32_t id, const void *payload, size_t n)
{
	uint8_t buf[300] = { type, 0, (uint8_t)n, (uint8_t)(n >> 8) };

	assert_true(n <= sizeof buf - LINK_HDR_LEN);
	put_u32(buf + 4, id);
	if (n)
		memcpy(buf + LINK_HDR_LEN, payload, n);
	mux_input(m, buf, LINK_HDR_LEN + n);
}

static void raw_open(struct mux *m, uint32_t id, uint32_t window)
{
	uint8_t p[12];

	put_u32(p, 1);
	put_u32(p + 4, 600);
	put_u32(p + 8, window);
	raw(m, LINK_OPEN, id, p, sizeof p);
}

static void raw_u32(struct mux *m, uint8_t type, uint32_t id, uint32_t v)
{
	uint8_t p[4];

	put_u32(p, v);
	raw(m, type, id, p, sizeof p);
}

static void attack(struct pair *p, int which)
{
	struct mux *h = p->h.m;
	uint8_t data[200] = { 0 };

	switch (which) {
	case 0: raw(h, LINK_DATA, 1, data, 10); break;		   /* never opened */
	case 1: raw_open(h, 2, 1000); break;			   /* our parity */
	case 2: raw_open(h, 1, 0); break;			   /* no window */
	case 3: raw_open(h, 1, 0xffffffff); break;
	case 4: raw_open(h, 3, 1000); raw_open(h, 1, 1000); break; /* going back */
	case 5: raw_open(h, 1, 1000); raw_open(h, 1, 1000); break; /* twice */
	case 6: raw_open(h, 1, 1000); raw(h, LINK_DATA, 1, data, 10); break; /* before it was accepted */
	case 7: raw_open(h, 1, 1000); raw(h, LINK_EOF, 1, NULL, 0); break;
	case 8: raw_open(h, 1, 1000); raw_u32(h, LINK_OPENED, 1, 5); break; /* answers itself */
	case 9: raw_open(h, 1, 1000); mux_accept(p->h.offered[0]); raw_u32(h, LINK_CREDIT, 1, 0); break;
	case 10: raw_open(h, 1, 1000); mux_accept(p->h.offered[0]); raw_u32(h, LINK_CREDIT, 1, 0xffffffff); break;
	case 11: raw_open(h, 1, 1000); mux_accept(p->h.offered[0]); raw(h, LINK_EOF, 1, NULL, 0); raw(h, LINK_EOF, 1, NULL, 0); break;
	case 12: raw_open(h, 1, 1000); mux_accept(p->h.offered[0]); raw(h, LINK_EOF, 1, NULL, 0); raw(h, LINK_DATA, 1, data, 1); break;
	case 13: /* more than the window */
		raw_open(h, 1, 1000);
		mux_accept(p->h.offered[0]);
		p->h.hold = true;
		for (size_t i = 0; i <= MUX_WINDOW / sizeof data + 1; i++)
			raw(h, LINK_DATA, 1, data, sizeof data);
		assert_true(p->h.held <= MUX_WINDOW);
		break;
	case 14: raw(h, LINK_SEED, 0, data, 64); break;		   /* the host's frame */
	case 15: raw(h, LINK_SEEDED, 0, data, 16); break;	   /* again, wrong nonce */
	case 16: raw(h, 0xff, 0, NULL, 0); break;
	case 17: raw(h, LINK_RESET, 0x7fffffff, NULL, 0); break;
	case 18: raw(h, LINK_REFUSED, 2, data, 4); break;	   /* of an OPEN that was not */
	case 19: raw(h, LINK_HELLO, 0, data, 36); break;	   /* wrong magic */
	case 20: raw_open(h, 1, 1000); mux_accept(p->h.offered[0]); raw_u32(h, LINK_REFUSED, 1, 5); break; /* of one that is open */
	case 21: /* of one that only the host could withdraw */
		assert_int_equal(mux_open(h, 0, 600, NULL, &p->h.opened[0]), 0);
		raw(h, LINK_RESET, 2, NULL, 0);
		break;
	default: fail();
	}
}

static void test_hostile_guest(void **state)
{
	for (int i = 0; i <= 21; i++) {
		struct pair *p = pair_up();

		attack(p, i);
		if (p->h.n_down != 1)
			fail_msg("attack %d did not end the session", i);
		assert_int_equal(mux_state(p->h.m), MUX_SCAN);
		assert_int_equal(mux_n_chans(p->h.m), 0);
		/* The guest hears BYE, and a new session works. */
		shuttle(p);
		assert_int_equal(p->g.n_down, 1);
		hello(p, 7);
		shuttle(p);
		assert_true(p->h.up && p->g.up);
		pair_free(p);
	}
}

/* A guest does not believe its host everything either: frames of another phase, or with another content. */
static void test_hostile_host(void **state)
{
	static const struct {
		uint8_t type;
		size_t len;
	} frames[] = { { LINK_WELCOME, 52 }, { LINK_WAKE, 36 }, { LINK_SEED, LINK_SEED_LEN } };
	static const uint8_t zeros[64];
	struct pair *p;

	for (size_t i = 0; i < ARRAY_SIZE(frames); i++) {
		p = pair_up();
		raw(p->g.m, frames[i].type, 0, zeros, frames[i].len);
		assert_int_equal(p->g.n_down, 1);
		assert_int_not_equal(mux_state(p->g.m), MUX_UP);
		pair_free(p);
	}
	p = pair_new();
	p->g.seed_ok = false;
	hello(p, 1);
	shuttle(p);
	assert_int_equal(mux_state(p->g.m), MUX_SEEDING);
	raw_open(p->g.m, 2, 1000);
	assert_int_not_equal(mux_state(p->g.m), MUX_SEEDING);
	assert_int_equal(p->g.n_offered, 0);
	pair_free(p);
}

/* An end that takes no channels says so. */
static void test_no_offers(void **state)
{
	struct pair *p = xcalloc(1, sizeof *p);
	struct mux_ops quiet = ops;
	struct mux_chan *c;

	quiet.offered = NULL;
	p->g.m = mux_new(MUX_GUEST, &ops, &p->g);
	p->h.m = mux_new(MUX_HOST, &quiet, &p->h);
	p->g.seed_ok = true;
	hello(p, 1);
	shuttle(p);
	assert_int_equal(mux_open(p->g.m, 3, 513, NULL, &c), 0);
	shuttle(p);
	assert_int_equal(p->g.n_refused, 1);
	assert_int_equal(p->g.last_code, EOPNOTSUPP);
	pair_free(p);
}

/* What is left of a frame may be read in one piece, the next header not together with what follows. */
static void test_in_frame(void **state)
{
	static const uint8_t part[3] = { LINK_OPEN };
	struct pair *p = pair_up();

	assert_false(mux_in_frame(p->h.m));
	mux_input(p->h.m, part, sizeof part);
	assert_true(mux_in_frame(p->h.m));
	pair_free(p);
}

static void test_before_seeded(void **state)
{
	struct pair *p = pair_new();

	p->g.seed_ok = false;
	hello(p, 1);
	shuttle(p);
	raw_open(p->h.m, 1, 1000);
	assert_int_equal(mux_state(p->h.m), MUX_SCAN);
	assert_int_equal(p->h.n_offered, 0);
	pair_free(p);
}

/* A flood of offers: a bounded number waits, the rest is refused, memory stays bounded by the caller's rule for MUX_OUT_HARD. */
static void test_offer_flood(void **state)
{
	struct pair *p = pair_up();

	for (uint32_t i = 0; i < 60; i++)
		raw_open(p->h.m, 1 + 2 * i, 1000);
	assert_int_equal(p->h.n_offered, 60);
	assert_int_equal(p->h.n_down, 0);
	p->h.n_offered = 0;
	for (uint32_t i = 60; i < 120; i++)
		raw_open(p->h.m, 1 + 2 * i, 1000);
	p->h.n_offered = 0;
	for (uint32_t i = 120; i < 5000; i++)
		raw_open(p->h.m, 1 + 2 * i, 1000);
	assert_int_equal(mux_n_chans(p->h.m), MUX_OFFERED_MAX);
	pair_free(p);
}

/* The promise of memory: full windows first, small ones when the budget is used up. */
static void test_windows_shrink(void **state)
{
	struct pair *p = pair_up();
	uint64_t sum = 0;
	struct mux_chan *c;

	for (unsigned i = 0; i < MUX_CHANS_MAX; i++) {
		assert_int_equal(mux_open(p->h.m, 0, 600, NULL, &c), 0);
		sum += c->rx_window;
	}
	assert_true(sum <= MUX_WINDOW_BUDGET + (uint64_t)MUX_CHANS_MAX * MUX_WINDOW_SMALL);
	pair_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handshake),	cmocka_unit_test(test_gate),
		cmocka_unit_test(test_stream_both_ways), cmocka_unit_test(test_credit_bounds_memory),
		cmocka_unit_test(test_half_close),	cmocka_unit_test(test_close_delivers_tail),
		cmocka_unit_test(test_crossing_ends),	cmocka_unit_test(test_refuse),
		cmocka_unit_test(test_limits),		cmocka_unit_test(test_guest_restart),
		cmocka_unit_test(test_stale_welcome),	cmocka_unit_test(test_hello_repeated),
		cmocka_unit_test(test_hostile_guest),	cmocka_unit_test(test_before_seeded),
		cmocka_unit_test(test_offer_flood),	cmocka_unit_test(test_windows_shrink),
		cmocka_unit_test(test_hostile_host),	cmocka_unit_test(test_no_offers),
		cmocka_unit_test(test_in_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
