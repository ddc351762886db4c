/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * agentd: the only program of a qube that speaks on the link. It gives vchans to the qube's programs over a local socket and does what
 * the host asks of the machine. It trusts the host, and no program of the qube with more than a channel.
 */
#include <signal.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "agent/agentd/agentd.h"
#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "chan/chan.h"
#include "chan/meet.h"
#include "proto/supervise.h"

#define MAIN_UID 1000 /* of the account that a qube is used with */
#define RETRY_FIRST_MS 20
#define RETRY_MAX_MS 1000
#define POWEROFF_RETRY_MS 100
#define HELLO_AGAIN_MS 1000
#define HELLOS_MAX 10 /* then with a new nonce and a clean start */

struct agentd {
	struct ev_loop *loop;
	struct muxio *x;
	struct meet *meet;
	struct lcs *lcs;
	struct ev_timer *retry; /* of opening the port, or of the handshake */
	struct ev_timer *poweroff; /* asks the init again */
	uint64_t retry_ms;
	bool have_port, fixed_port;
	int control;		   /* to the supervisor; -1 */
	struct ev_io *control_ev;
	bool ready;		   /* of a source: everything is started, the host is told when it hears */
	bool hold;		   /* the qrexec agent must wait until this clone has its identity */
	bool still, woken_told;	   /* frozen, or about to be */
	struct lcs_req *waiting;   /* the agent's request meanwhile */
	unsigned hellos; /* sent for this session; 0 = it has ended */
};

/* --- link ---------------------------------------------------------------------------------------------------- */

static void start_session(struct agentd *a)
{
	uint8_t nonce[LINK_NONCE_LEN];

	/* Not blocking: the nonce must only differ from earlier ones, and a generator that is not seeded yet waits for this link. */
	if (getrandom(nonce, sizeof nonce, GRND_INSECURE) != sizeof nonce) {
		uint64_t t = now_us();

		memset(nonce, 0, sizeof nonce);
		memcpy(nonce, &t, sizeof t);
	}
	mux_hello(muxio_mux(a->x), nonce);
	a->hellos = 1;
	ev_timer_start(a->retry, HELLO_AGAIN_MS);
	muxio_kick(a->x);
}

static void later(struct agentd *a)
{
	ev_timer_start(a->retry, a->retry_ms);
	a->retry_ms = MIN(a->retry_ms * 2, (uint64_t)RETRY_MAX_MS);
}

static void try_port(struct agentd *a)
{
	struct err e = { 0 };
	int fd = port_open(&e);

	if (fd >= 0 && muxio_port(a->x, fd) < 0) {
		close(fd);
		fd = -EINVAL;
	}
	if (fd < 0) {
		log_debug("no port yet: error=%s", err_text(&e, fd));
		later(a);
		return;
	}
	a->have_port = true;
	start_session(a);
}

static void on_retry(struct ev_timer *t, void *arg)
{
	struct agentd *a = arg;
	struct mux *m = muxio_mux(a->x);

	if (!a->have_port) {
		try_port(a);
	} else if (mux_state(m) == MUX_UP) {
		return;
	} else if (a->hellos == 0 || a->hellos >= HELLOS_MAX) {
		start_session(a);
	} else {
		a->hellos++;
		mux_hello_again(m);
		ev_timer_start(a->retry, HELLO_AGAIN_MS);
		muxio_kick(a->x);
	}
}

static void on_seed(const uint8_t *p, size_t n, void *arg)
{
	struct agentd *a = arg;
	struct err e = { 0 };
	int r = machine_seed(p, n, &e);

	if (r < 0)
		/* The gate stays closed: nothing may run that could draw the random numbers of another clone. */
		log_error("the seed was not taken: error=%s", err_text(&e, r));
	else
		mux_seeded(muxio_mux(a->x));
}

static void on_time(uint64_t ns, void *arg)
{
	machine_time(ns);
}

static void on_poweroff_retry(struct ev_timer *t, void *arg)
{
	(void)arg;
	if (machine_poweroff())
		ev_timer_stop(t);
}

static void on_poweroff(void *arg)
{
	struct agentd *a = arg;

	log_info("the host asks to power off");
	if (!machine_poweroff())
		ev_timer_repeat(a->poweroff, POWEROFF_RETRY_MS);
}

/* --- saved states (docs/states.md §4) -------------------------------------------------------------------------- */

static void tell(struct agentd *a, char what)
{
	if (a->control >= 0 && write_full(a->control, &what, 1) < 0)
		log_error("the supervisor does not listen");
}

static void say_ready(struct agentd *a)
{
	if (a->ready && mux_ready(muxio_mux(a->x)) == 0) {
		a->ready = false;
		muxio_kick(a->x);
	}
}

static void on_freeze(void *arg)
{
	struct agentd *a = arg;

	log_info("standing still");
	machine_still();
	a->still = true;
	ev_timer_stop(a->retry);
	if (mux_frozen(muxio_mux(a->x)) < 0)
		a->still = false;
}

/* The first session of a clone. */
static void woken(struct agentd *a)
{
	a->still = false;
	if (!a->hold || a->woken_told)
		return;
	a->woken_told = true;
	tell(a, AGENTD_WOKEN);
}

static void release(struct agentd *a)
{
	struct lcs_req *r = STEAL_PTR(a->waiting);
	int code;

	a->hold = false;
	code = r ? meet_request(a->meet, r, true) : 0;
	if (code < 0)
		lcs_fail(r, -code, "the control channel");
}

static void on_control(struct ev_io *io, int fd, int events, void *arg)
{
	struct agentd *a = arg;
	char what;
	ssize_t n = read(fd, &what, 1);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		ev_io_free(STEAL_PTR(a->control_ev));
		return;
	}
	if (what == AGENTD_READY) {
		a->ready = true;
		say_ready(a);
	} else if (what == AGENTD_CONFIGURED) {
		release(a);
	}
}

static void on_up(void *arg)
{
	struct agentd *a = arg;
	bool first = a->still;

	ev_timer_stop(a->retry);
	a->retry_ms = RETRY_FIRST_MS;
	meet_on_up(a->meet);
	if (first)
		woken(a);
	say_ready(a);
}

static void on_down(const char *why, void *arg)
{
	struct agentd *a = arg;

	a->hellos = 0;
	meet_on_down(a->meet, why);
	if (a->have_port && !a->still)
		later(a);
}

static void on_port_lost(int code, void *arg)
{
	struct agentd *a = arg;

	log_warn("the port was closed: code=%d", -code);
	a->have_port = false;
	if (a->fixed_port)
		ev_stop(a->loop, 1);
	else
		later(a);
}

static void on_offered(struct mux_chan *c, void *arg)
{
	meet_on_offered(((struct agentd *)arg)->meet, c);
}

static void on_opened(struct mux_chan *c, void *arg)
{
	meet_on_opened(((struct agentd *)arg)->meet, c);
}

static void on_refused(struct mux_chan *c, int code, void *arg)
{
	meet_on_refused(((struct agentd *)arg)->meet, c, code);
}

static void on_withdrawn(struct mux_chan *c, void *arg)
{
	meet_on_withdrawn(((struct agentd *)arg)->meet, c);
}

static const struct muxio_ops muxio_callbacks = {
	.seed = on_seed, .set_time = on_time, .poweroff = on_poweroff, .up = on_up, .down = on_down, .freeze = on_freeze,
	.offered = on_offered, .opened = on_opened, .refused = on_refused, .withdrawn = on_withdrawn,
	.port_lost = on_port_lost,
};

/* --- meeting ---------------------------------------------------------------------------------------------------- */

/* Windows and sound: served by agents in the session of the qube's user. */
static bool session_port(uint32_t port)
{
	return port == CHAN_PORT_GUI || port == CHAN_PORT_PLAY || port == CHAN_PORT_RECORD;
}

static int meet_offer(uint32_t peer, uint32_t port, bool *ret_forever, void *arg)
{
	/* The agents may start long after us. */
	*ret_forever = peer == 0 && (port == CHAN_PORT_QREXEC || session_port(port));
	return 0;
}

static void meet_up(void *arg)
{
	/* A clone that wakes has better things to do than to write to its console: the host's log says it. */
	if (((struct agentd *)arg)->still)
		log_debug("link is up");
	else
		log_info("link is up");
}

static void meet_down(const char *why, void *arg)
{
	if (!((struct agentd *)arg)->still)
		log_warn("link is down: reason=%s", why);
}

static const struct meet_ops meet_callbacks = { .offer = meet_offer, .up = meet_up, .down = meet_down };

/* --- programs of the qube ------------------------------------------------------------------------------------------ */

static int on_request(struct lcs_req *r, struct err *e, void *arg)
{
	struct agentd *a = arg;
	bool data = r->port >= CHAN_DATA_MIN && r->port <= CHAN_DATA_MAX;
	bool qrexec = r->kind == LCS_LISTEN && r->port == CHAN_PORT_QREXEC;
	bool session = r->kind == LCS_LISTEN && session_port(r->port);
	bool control = r->peer == 0 && (qrexec || session || (r->kind == LCS_CONNECT && r->port == CHAN_PORT_QUBESDB));
	/* these agents run as the qube's user, whose windows and sound they are */
	bool may = r->conn->uid == 0 || r->conn->uid == geteuid() || (session && r->conn->uid == MAIN_UID);
	int code;

	if (r->kind == LCS_GRANT || r->kind == LCS_GUI || (!data && !control))
		return err_set(e, EACCES, "port %u is not for this", r->port);
	if (control && !may)
		return err_set(e, EACCES, "port %u is for root", r->port);
	if (a->hold && control && qrexec) {
		if (a->waiting)
			return err_set(e, EADDRINUSE, "port %u", r->port);
		a->waiting = r;
		return 0;
	}
	code = meet_request(a->meet, r, control);
	return code < 0 ? err_errno(e, -code, "port %u", r->port) : 0;
}

static void on_cancelled(struct lcs_req *r, void *arg)
{
	struct agentd *a = arg;

	if (a->waiting == r)
		a->waiting = NULL;
	else
		meet_cancel(a->meet, r);
}

static const struct lcs_ops lcs_callbacks = { .request = on_request, .cancelled = on_cancelled };

/* --- start --------------------------------------------------------------------------------------------------------- */

struct options {
	int port_fd;
	const char *socket;
	bool supervised, hold;
};

static int options(int argc, char **argv, struct options *o)
{
	uint64_t v;

	for (int i = 1; i < argc; i++) {
		const char *val = i + 1 < argc ? argv[i + 1] : NULL;

		if (streq(argv[i], "--supervised") || streq(argv[i], "--hold")) {
			o->supervised = true;
			o->hold |= streq(argv[i], "--hold");
			continue;
		}
		if (streq(argv[i], "--port-fd") && val && str_u64(val, 1 << 20, &v) == 0)
			o->port_fd = (int)v;
		else if (streq(argv[i], "--socket") && val)
			o->socket = val;
		else
			return -EINVAL;
		i++;
	}
	return 0;
}

static int watch_control(struct agentd *a, const struct options *o)
{
	a->control = o->supervised ? AGENTD_CONTROL_FD : -1;
	a->hold = o->hold;
	if (a->control < 0)
		return 0;
	fd_cloexec(a->control, true);
	(void)fd_nonblock(a->control, true);
	a->control_ev = ev_io_new(a->loop, a->control, EV_READ, on_control, a);
	return a->control_ev ? 0 : -EINVAL;
}

static int listen_local(struct agentd *a, const char *path, struct err *e)
{
	int fd, r;

	if (!path) {
		path = CHAN_GUEST_SOCK;
		if (mkdir("/run/bulkhead", 0755) < 0 && errno != EEXIST)
			return err_errno(e, errno, "making /run/bulkhead");
	}
	fd = unix_listen(path, SOCK_SEQPACKET, 0666, e);
	if (fd < 0)
		return fd;
	r = lcs_listen(a->lcs, fd, 0);
	return r < 0 ? err_errno(e, -r, "watching '%s'", path) : 0;
}

int main(int argc, char **argv)
{
	struct agentd a = { .retry_ms = RETRY_FIRST_MS, .control = -1 };
	struct options o = { .port_fd = -1 };
	struct err e = { 0 };
	int r;

	log_init("agentd", NULL, -1);
	if (options(argc, argv, &o) < 0) {
		fprintf(stderr, "usage: agentd [--port-fd N (test: leaves this machine alone)] [--socket PATH] [--supervised [--hold]]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	a.loop = ev_new();
	if (!a.loop)
		return 1;
	a.x = muxio_new(a.loop, MUX_GUEST, &muxio_callbacks, &a);
	a.meet = meet_new(a.loop, a.x, &meet_callbacks, &a);
	a.lcs = lcs_new(a.loop, &lcs_callbacks, &a);
	a.retry = ev_timer_new(a.loop, on_retry, &a);
	a.poweroff = ev_timer_new(a.loop, on_poweroff_retry, &a);
	if (listen_local(&a, o.socket, &e) < 0 || watch_control(&a, &o) < 0) {
		log_error("%s", e.msg[0] ? e.msg : "no channel to the supervisor");
		return 1;
	}
	if (o.port_fd >= 0) {
		machine_dry();
		a.fixed_port = a.have_port = true;
		if (muxio_port(a.x, o.port_fd) < 0)
			return 1;
		start_session(&a);
	} else {
		try_port(&a);
	}
	/* The socket is there, so programs that wait for us may start; their requests wait for the link. */
	machine_ready();
	r = ev_run(a.loop);
	/* Clients first: what they wait for is withdrawn through the parts that are freed after them. */
	lcs_free(a.lcs);
	meet_free(a.meet);
	muxio_free(a.x);
	ev_io_free(a.control_ev);
	ev_timer_free(a.poweroff);
	ev_timer_free(a.retry);
	ev_free(a.loop);
	return r;
}
