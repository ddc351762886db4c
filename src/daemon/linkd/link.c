/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The host's end of the link, and the table of who may use which port (docs/design.md §2.4). A data channel exists only by a ticket of
 * the core or a grant of the qube's qrexec-daemon; what a guest asks for beyond that waits a while and is refused.
 */
#include <sys/random.h>
#include <time.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "chan/chan.h"
#include "daemon/linkd/linkd.h"

static bool data_port(uint32_t port)
{
	return port >= CHAN_DATA_MIN && port <= CHAN_DATA_MAX;
}

/* --- the mux -------------------------------------------------------------------------------------------------------- */

/* A guest may start sessions as fast as it likes, but each costs lines in logs and messages to the core. */
#define HELLO_BURST 10
#define HELLO_WINDOW_US 10000000
#define HELLO_DELAY_MS 500

static uint64_t realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void link_send_time(struct linkd *d)
{
	mux_time(muxio_mux(d->x), realtime_ns());
	muxio_kick(d->x);
}

static void welcome(struct linkd *d)
{
	uint8_t nonce[LINK_NONCE_LEN], seed[LINK_SEED_LEN];

	/* No session without fresh bytes: a guest that went on with old ones would share its secrets with its clones. */
	if (getrandom(nonce, sizeof nonce, 0) != sizeof nonce || getrandom(seed, sizeof seed, 0) != sizeof seed) {
		log_error("no random bytes for the guest");
		return;
	}
	mux_welcome(muxio_mux(d->x), nonce, seed, realtime_ns());
	explicit_bzero(seed, sizeof seed);
	muxio_kick(d->x);
}

int link_wake(struct linkd *d)
{
	uint8_t nonce[LINK_NONCE_LEN], seed[LINK_SEED_LEN];
	int r;

	if (getrandom(nonce, sizeof nonce, 0) != sizeof nonce || getrandom(seed, sizeof seed, 0) != sizeof seed)
		return -EIO;
	r = mux_wake(muxio_mux(d->x), nonce, seed, realtime_ns());
	explicit_bzero(seed, sizeof seed);
	muxio_kick(d->x);
	return r;
}

static void on_hello_timer(struct ev_timer *t, void *arg)
{
	welcome(arg);
}

static void on_hello(void *arg)
{
	struct linkd *d = arg;
	uint64_t now = now_us();

	if (now - d->hello_window_us > HELLO_WINDOW_US) {
		d->hello_window_us = now;
		d->n_hellos = 0;
	}
	if (++d->n_hellos > HELLO_BURST)
		ev_timer_start(d->hello_timer, HELLO_DELAY_MS);
	else
		welcome(d);
}

static void on_up(void *arg)
{
	struct linkd *d = arg;

	/* The time that came with the seed is as old as the machine took to go on. */
	if (d->start == VM_START_CLONE)
		link_send_time(d);
	meet_on_up(d->meet);
}

static void on_down(const char *why, void *arg)
{
	meet_on_down(((struct linkd *)arg)->meet, why);
	state_on_down(arg);
}

static void on_ready(void *arg)
{
	state_on_ready(arg);
}

static void on_frozen(void *arg)
{
	state_on_frozen(arg);
}

static void on_woken(void *arg)
{
	state_on_woken(arg);
}

static void on_offered(struct mux_chan *c, void *arg)
{
	meet_on_offered(((struct linkd *)arg)->meet, c);
}

static void on_opened(struct mux_chan *c, void *arg)
{
	meet_on_opened(((struct linkd *)arg)->meet, c);
}

static void on_refused(struct mux_chan *c, int code, void *arg)
{
	meet_on_refused(((struct linkd *)arg)->meet, c, code);
}

static void on_withdrawn(struct mux_chan *c, void *arg)
{
	meet_on_withdrawn(((struct linkd *)arg)->meet, c);
}

/* QEMU wrote its events before the bytes that follow them: a closed port must be known before the bytes of its next user are read. */
static void on_before_input(void *arg)
{
	struct linkd *d = arg;

	d->vmm->poll(d->monitor);
}

static void on_port_lost(int code, void *arg)
{
	log_info("QEMU closed the link: code=%d", -code);
}

/* For the trace of calls (src/daemon/qubesd/run_trace.c); the core leaves out what was no call of a qube. */
static void on_traced(uint32_t peer, uint32_t port, uint64_t first_us, void *arg)
{
	char text[40];

	if (data_port(port) && str_printf(text, sizeof text, "%u %llu", peer, (unsigned long long)first_us) == 0)
		ctl_event(arg, LD_EV_CALL, port, text);
}

static const struct muxio_ops muxio_callbacks = {
	.hello = on_hello, .up = on_up, .down = on_down, .offered = on_offered, .opened = on_opened,
	.refused = on_refused, .withdrawn = on_withdrawn, .before_input = on_before_input, .port_lost = on_port_lost,
	.traced = on_traced, .ready = on_ready, .frozen = on_frozen, .woken = on_woken,
};

void link_port_event(struct linkd *d, bool open)
{
	/* Only the closing counts: the opening may be reported up to a second late, when a session exists already. */
	if (!open)
		mux_lost(muxio_mux(d->x), "the guest closed the port");
}

/* --- meeting ---------------------------------------------------------------------------------------------------------- */

static int meet_offer(uint32_t peer, uint32_t port, bool *ret_forever, void *arg)
{
	*ret_forever = peer == 0 && port == CHAN_PORT_QUBESDB;
	return *ret_forever || data_port(port) ? 0 : EACCES;
}

static void meet_up(void *arg)
{
	struct linkd *d = arg;

	d->link_up = true;
	log_info("link is up");
	ctl_event(d, LD_EV_LINK_UP, 0, "");
	gui_step(d);
}

static void meet_down(const char *why, void *arg)
{
	static struct log_rate rate;
	struct linkd *d = arg;

	if (d->frozen) {
		log_info("the guest stands still");
		d->link_up = false;
		return;
	}
	if (log_rate_ok(&rate, 10, 60))
		log_warn("link is down: reason=%s", why);
	if (d->link_up)
		ctl_event(d, LD_EV_LINK_DOWN, 0, why);
	d->link_up = false;
}

static const struct meet_ops meet_callbacks = { .offer = meet_offer, .up = meet_up, .down = meet_down };

/* --- roles and dom0 clients ----------------------------------------------------------------------------------------------- */

static int grant(struct linkd *d, struct lcs_req *r, struct err *e)
{
	uint64_t now = now_us();

	if (r->conn->tag != TAG_QREXEC || !data_port(r->port))
		return err_set(e, EACCES, "port %u cannot be granted", r->port);
	for (size_t i = 0; i < GRANTS_MAX; i++) {
		if (d->grants[i].port && d->grants[i].deadline_us > now && d->grants[i].port != r->port)
			continue;
		d->grants[i].port = r->port;
		d->grants[i].deadline_us = now + (uint64_t)MEET_WAIT_MS * 1000;
		lcs_ok(r);
		return 0;
	}
	return err_set(e, EBUSY, "too many grants");
}

/* True once for each grant. */
static bool granted(struct linkd *d, uint32_t port)
{
	for (size_t i = 0; i < GRANTS_MAX; i++) {
		if (d->grants[i].port != port)
			continue;
		d->grants[i].port = 0;
		return d->grants[i].deadline_us > now_us();
	}
	return false;
}

static bool sound_port(uint32_t port)
{
	return port == CHAN_PORT_PLAY || port == CHAN_PORT_RECORD;
}

/* One client a port: two would each get every other piece of the qube's sound. */
static int sound_request(struct linkd *d, struct lcs_req *r, struct err *e)
{
	int code;

	if (meet_has(d->meet, 0, r->port) || muxio_has(d->x, 0, r->port))
		return err_set(e, EBUSY, "port %u of the qube's sound has a client already", r->port);
	code = meet_request(d->meet, r, true);
	return code < 0 ? err_errno(e, -code, "port %u", r->port) : 0;
}

static bool permitted(struct linkd *d, const struct lcs_req *r)
{
	if (r->peer != 0)
		return false;
	switch ((enum link_tag)r->conn->tag) {
	case TAG_QREXEC:
		return r->kind == LCS_CONNECT && r->port == CHAN_PORT_QREXEC;
	case TAG_QUBESDB:
		return r->kind == LCS_LISTEN && r->port == CHAN_PORT_QUBESDB;
	case TAG_CLIENT:
		if (r->kind == LCS_CONNECT && sound_port(r->port))
			return d->start != VM_START_SOURCE;
		return data_port(r->port) && granted(d, r->port);
	}
	return false;
}

static int on_request(struct lcs_req *r, struct err *e, void *arg)
{
	struct linkd *d = arg;
	int code;

	if (r->kind == LCS_GRANT)
		return grant(d, r, e);
	if (r->kind == LCS_GUI)
		return gui_request(d, r, e);
	if (!permitted(d, r))
		return err_set(e, EACCES, "port %u is not permitted here", r->port);
	if (sound_port(r->port))
		return sound_request(d, r, e);
	code = meet_request(d->meet, r, r->conn->tag != TAG_CLIENT);
	return code < 0 ? err_errno(e, -code, "port %u", r->port) : 0;
}

static void on_cancelled(struct lcs_req *r, void *arg)
{
	if (!gui_cancelled(arg, r))
		meet_cancel(((struct linkd *)arg)->meet, r);
}

static void on_gone(int tag, void *arg)
{
	struct linkd *d = arg;

	if (tag != TAG_CLIENT)
		ctl_event(d, LD_EV_ROLE_GONE, tag == TAG_QREXEC ? ROLE_QREXEC_DAEMON : ROLE_QUBESDB_DAEMON, "");
}

static const struct lcs_ops lcs_callbacks = { .request = on_request, .cancelled = on_cancelled, .gone = on_gone };

int link_role(struct linkd *d, uint8_t role, int fd)
{
	int tag = role == ROLE_QREXEC_DAEMON ? TAG_QREXEC : role == ROLE_QUBESDB_DAEMON ? TAG_QUBESDB : -1;

	if (tag < 0)
		return -EINVAL;
	if (lcs_has(d->lcs, tag))
		return -EEXIST;
	return lcs_add(d->lcs, fd, tag);
}

int link_init(struct linkd *d, int port_fd, int clients_fd, int qrexec_fd, int qubesdb_fd)
{
	int r;

	d->hello_timer = ev_timer_new(d->loop, on_hello_timer, d);
	d->x = muxio_new(d->loop, MUX_HOST, &muxio_callbacks, d);
	d->meet = meet_new(d->loop, d->x, &meet_callbacks, d);
	d->lcs = lcs_new(d->loop, &lcs_callbacks, d);
	r = muxio_port(d->x, port_fd);
	if (r == 0)
		r = lcs_listen(d->lcs, clients_fd, TAG_CLIENT);
	/* Nobody calls a source. */
	if (d->start == VM_START_SOURCE)
		return r;
	if (r == 0)
		r = lcs_add(d->lcs, qrexec_fd, TAG_QREXEC);
	if (r == 0)
		r = lcs_add(d->lcs, qubesdb_fd, TAG_QUBESDB);
	return r;
}
