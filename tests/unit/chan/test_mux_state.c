/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The mux and saved states: standing still, waking, and that nothing passes the gate before the seed was taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "chan/mux.h"

struct end {
	struct mux *m;
	bool seed_at_once;
	unsigned n_up, n_down, n_seed, n_time, n_ready, n_freeze, n_frozen, n_woken, n_offered, n_reset, n_refused, n_data;
	uint8_t seed[LINK_SEED_LEN];
	struct mux_chan *chan;
	const char *why;
};

static void on_hello(void *arg)
{
	static const uint8_t nonce[LINK_NONCE_LEN] = { 7 }, seed[LINK_SEED_LEN] = { 1 };

	mux_welcome(((struct end *)arg)->m, nonce, seed, 1);
}

static void on_seed(const uint8_t *p, size_t n, void *arg)
{
	struct end *e = arg;

	e->n_seed++;
	memcpy(e->seed, p, n);
	if (e->seed_at_once)
		mux_seeded(e->m);
}

#define COUNTER(name)                                                                                                              \
	static void on_##name(void *arg)                                                                                           \
	{                                                                                                                          \
		((struct end *)arg)->n_##name++;                                                                                   \
	}
COUNTER(up)
COUNTER(ready)
COUNTER(freeze)
COUNTER(frozen)
COUNTER(woken)
#undef COUNTER

static void on_time(uint64_t ns, void *arg)
{
	((struct end *)arg)->n_time++;
}

static void on_down(const char *why, void *arg)
{
	((struct end *)arg)->n_down++;
	((struct end *)arg)->why = why;
}

static void on_offered(struct mux_chan *c, void *arg)
{
	struct end *e = arg;

	e->n_offered++;
	e->chan = c;
	mux_accept(c);
}

static void on_opened(struct mux_chan *c, void *arg)
{
	((struct end *)arg)->chan = c;
}

static void on_data(struct mux_chan *c, const uint8_t *p, size_t n, void *arg)
{
	((struct end *)arg)->n_data++;
	mux_rx_done(c, n);
}

static void on_reset(struct mux_chan *c, void *arg)
{
	((struct end *)arg)->n_reset++;
	mux_close(c);
}

static void on_refused(struct mux_chan *c, int code, void *arg)
{
	((struct end *)arg)->n_refused++;
	mux_close(c);
}

static const struct mux_ops ops = {
	.hello = on_hello, .seed = on_seed, .set_time = on_time, .up = on_up, .down = on_down, .ready = on_ready, .freeze = on_freeze,
	.frozen = on_frozen, .woken = on_woken, .offered = on_offered, .opened = on_opened, .data = on_data, .reset = on_reset,
	.refused = on_refused,
};

struct pair {
	struct end g, h;
};

/* One byte at a time, so that every frame is cut everywhere. */
static void move_bytes(struct mux *from, struct mux *to)
{
	struct fifo *f = mux_out(from);

	while (fifo_len(f)) {
		uint8_t b = *fifo_data(f);

		fifo_drop(f, 1);
		mux_input(to, &b, 1);
	}
}

static void shuttle(struct pair *p)
{
	while (fifo_len(mux_out(p->g.m)) || fifo_len(mux_out(p->h.m))) {
		move_bytes(p->g.m, p->h.m);
		move_bytes(p->h.m, p->g.m);
	}
}

static void pair_up(struct pair *p)
{
	static const uint8_t nonce[LINK_NONCE_LEN] = { 3 };

	memset(p, 0, sizeof *p);
	p->g.m = mux_new(MUX_GUEST, &ops, &p->g);
	p->h.m = mux_new(MUX_HOST, &ops, &p->h);
	p->g.seed_at_once = true;
	mux_hello(p->g.m, nonce);
	shuttle(p);
	assert_int_equal(p->g.n_up + p->h.n_up, 2);
}

static void pair_free(struct pair *p)
{
	mux_free(p->g.m);
	mux_free(p->h.m);
}

static void wake(struct pair *p, uint8_t fill)
{
	uint8_t nonce[LINK_NONCE_LEN], seed[LINK_SEED_LEN];

	memset(nonce, fill, sizeof nonce);
	memset(seed, fill, sizeof seed);
	assert_int_equal(mux_wake(p->h.m, nonce, seed, 99), 0);
}

static void freeze(struct pair *p)
{
	assert_int_equal(mux_freeze(p->h.m), 0);
	shuttle(p);
	assert_int_equal(p->g.n_freeze, 1);
	assert_int_equal(mux_frozen(p->g.m), 0);
	shuttle(p);
	assert_int_equal(p->h.n_frozen, 1);
	assert_int_equal(mux_state(p->g.m), MUX_FROZEN);
}

static void ready_and_still(void **state)
{
	struct mux_chan *c;
	struct pair p;

	pair_up(&p);
	assert_int_equal(mux_ready(p.g.m), 0);
	shuttle(&p);
	assert_int_equal(p.h.n_ready, 1);
	assert_int_equal(mux_open(p.g.m, 0, 600, NULL, &c), 0);
	shuttle(&p);
	freeze(&p);
	/* Every channel has ended at both ends, and nothing is said any more. */
	assert_int_equal(p.g.n_reset + p.h.n_reset, 2);
	assert_int_equal(p.g.n_down, 1);
	assert_int_equal(p.h.n_down, 1);
	assert_int_equal(mux_n_chans(p.g.m) + mux_n_chans(p.h.m), 0);
	assert_int_equal(fifo_len(mux_out(p.g.m)), 0);
	assert_int_equal(mux_ready(p.g.m), -ENOTCONN);
	assert_int_equal(mux_freeze(p.h.m), -ENOTCONN);
	pair_free(&p);
}

/* The clone's host end is a new one, as its linkd is. */
static void clone_wakes(void **state)
{
	static const uint8_t noise[LINK_NONCE_LEN] = { 0, 0xb3, 0xb3, 0x24, 0xb2, 1, 2, 3 };
	struct mux_chan *c;
	struct pair p;

	pair_up(&p);
	freeze(&p);
	mux_free(p.h.m);
	p.h = (struct end){ .m = mux_new(MUX_HOST, &ops, &p.h) };
	p.g.seed_at_once = false;
	mux_input(p.g.m, noise, sizeof noise);
	wake(&p, 0x5a);
	assert_int_equal(mux_wake(p.h.m, noise, p.g.seed, 0), -EINPROGRESS);
	assert_int_equal(mux_open(p.h.m, 0, 512, NULL, &c), -ENOTCONN);
	shuttle(&p);
	/* Seeded is not the same as having got the seed. */
	assert_int_equal(p.g.n_seed, 2);
	assert_int_equal(p.g.seed[17], 0x5a);
	assert_int_equal(p.h.n_up, 0);
	assert_int_equal(mux_open(p.g.m, 0, 111, NULL, &c), -ENOTCONN);
	mux_seeded(p.g.m);
	shuttle(&p);
	assert_int_equal(p.h.n_up, 1);
	assert_int_equal(p.g.n_up, 2);
	assert_int_equal(mux_open(p.h.m, 0, 512, NULL, &c), 0);
	shuttle(&p);
	assert_int_equal(p.g.n_offered, 1);
	pair_free(&p);
}

/* A guest that answers anything but the seed is cut off. */
static void early_frame(void **state)
{
	uint8_t frame[LINK_HDR_LEN + 4];
	struct wr w = wr_mem(frame, sizeof frame);
	struct pair p;

	pair_up(&p);
	freeze(&p);
	wake(&p, 1);
	link_put_ready(&w, 0, &(struct link_ready){ 0 });
	mux_input(p.h.m, frame, w.len);
	assert_int_equal(mux_state(p.h.m), MUX_SCAN);
	pair_free(&p);
}

static void put(struct mux_chan *c, char b)
{
	size_t room;
	uint8_t *to = mux_tx_begin(c, &room);

	assert_non_null(to);
	*to = (uint8_t)b;
	mux_tx_end(c, 1);
}

/* A paused machine gets nothing, and after the pause the seed first. */
static void paused_and_woken(void **state)
{
	struct mux_chan *c;
	struct pair p;

	pair_up(&p);
	assert_int_equal(mux_open(p.h.m, 0, 512, NULL, &c), 0);
	shuttle(&p);
	mux_hold(p.h.m);
	put(c, 'a');
	assert_int_equal(mux_open(p.h.m, 0, 600, NULL, &c), 0);
	mux_time(p.h.m, 5);
	assert_int_equal(fifo_len(mux_out(p.h.m)), 0);
	assert_true(mux_queued(p.h.m) > 0);
	p.g.seed_at_once = false;
	wake(&p, 0x77);
	shuttle(&p);
	/* A release by the running machine does not open the gate. */
	mux_release(p.h.m);
	shuttle(&p);
	assert_int_equal(p.g.seed[0], 0x77);
	assert_int_equal(p.g.n_data, 0);
	assert_int_equal(p.g.n_offered, 1);
	assert_int_equal(p.h.n_woken, 0);
	mux_seeded(p.g.m);
	shuttle(&p);
	assert_int_equal(p.h.n_woken, 1);
	assert_int_equal(p.g.n_data, 1);
	assert_int_equal(p.g.n_offered, 2);
	assert_int_equal(p.g.n_down + p.h.n_down, 0);
	assert_int_equal(mux_queued(p.h.m), 0);
	pair_free(&p);
}

static void paused_and_released(void **state)
{
	struct mux_chan *c;
	struct pair p;

	pair_up(&p);
	assert_int_equal(mux_open(p.h.m, 0, 512, NULL, &c), 0);
	shuttle(&p);
	mux_hold(p.h.m);
	put(c, 'a');
	shuttle(&p);
	assert_int_equal(p.g.n_data, 0);
	mux_release(p.h.m);
	shuttle(&p);
	assert_int_equal(p.g.n_data, 1);
	assert_int_equal(p.g.n_seed, 1);
	pair_free(&p);
}

/* What is half-written when the machine is paused is not cut. */
static void half_a_frame(void **state)
{
	struct mux_chan *c;
	struct pair p;
	uint8_t b;

	pair_up(&p);
	assert_int_equal(mux_open(p.h.m, 0, 512, NULL, &c), 0);
	shuttle(&p);
	put(c, 'a');
	b = *fifo_data(mux_out(p.h.m));
	fifo_drop(mux_out(p.h.m), 1);
	mux_input(p.g.m, &b, 1);
	mux_hold(p.h.m);
	put(c, 'b');
	wake(&p, 2);
	shuttle(&p);
	assert_int_equal(p.h.n_woken, 1);
	assert_int_equal(p.g.n_data, 2);
	pair_free(&p);
}

/* The end of the session while frames are held back: none of them is met in the next one. */
static void lost_while_held(void **state)
{
	static const uint8_t nonce[LINK_NONCE_LEN] = { 4 };
	struct mux_chan *c;
	struct pair p;

	pair_up(&p);
	assert_int_equal(mux_open(p.h.m, 0, 512, NULL, &c), 0);
	shuttle(&p);
	mux_hold(p.h.m);
	put(c, 'a');
	wake(&p, 1);
	mux_hello(p.g.m, nonce);
	shuttle(&p);
	assert_int_equal(mux_state(p.h.m), MUX_UP);
	assert_int_equal(mux_queued(p.h.m), 0);
	assert_int_equal(p.g.n_data, 0);
	pair_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ready_and_still),     cmocka_unit_test(clone_wakes),	  cmocka_unit_test(early_frame),
		cmocka_unit_test(paused_and_woken),    cmocka_unit_test(paused_and_released), cmocka_unit_test(half_a_frame),
		cmocka_unit_test(lost_while_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
