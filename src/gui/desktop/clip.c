/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * clipd: one for the session. It gets the other end of each guid's socket with the name of the qube, which no guid can choose; we keep that end too, so that
 * a clipd that died can be replaced without a window noticing. Where there is no such program, what the guids say is logged.
 */
#include <signal.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/msg.h"
#include "base/paths.h"
#include "base/str.h"
#include "gui/clipd/clipd.h"
#include "gui/desktop/desktop.h"

#define BACKOFF_MAX_MS 30000
#define MESSAGES_A_TURN 32

/* --- without a clipd ---------------------------------------------------------------------------------------------------- */

static void log_message(struct dqube *q, const struct msg *m)
{
	static struct log_rate rate;

	if (!desk_may(m->type, m->len, DESK_FROM_GUID)) {
		log_warn("%s: guid sent what it may not: type=%u length=%zu", q->name, m->type, m->len);
		return;
	}
	if (m->type == DESK_NOTICE) {
		struct desk_notice n;

		if (desk_get_notice(msg_rd(m), &n) == 0 && log_rate_ok(&rate, 20, 60))
			log_warn("%s: notice: kind=%u number=%u", q->name, n.kind, n.number);
	} else if (m->type == DESK_PASTE) {
		/* So that guid does not wait for it. */
		struct desk_refused no = { 0 };
		uint8_t buf[16];
		struct wr w = wr_mem(buf, sizeof buf);

		desk_put_refused(&w, &no);
		(void)msg_send(q->clip, DESK_REFUSED, 0, 0, &w, NULL, 0);
		log_info("%s: nothing is pasted, since there is no clipboard between qubes here", q->name);
	} else {
		log_debug("%s: guid: %s", q->name, desk_name(m->type));
	}
}

static void on_clip(struct ev_io *io, int fd, int events, void *arg)
{
	struct dqube *q = arg;

	for (int i = 0; i < MESSAGES_A_TURN; i++) {
		_cleanup_msg_ struct msg m = { 0 };
		int r = msg_recv(fd, &m);

		if (r == -EAGAIN)
			return;
		if (r <= 0) {
			ev_io_free(STEAL_PTR(q->clip_ev));
			return;
		}
		log_message(q, &m);
	}
}

/* --- with one --------------------------------------------------------------------------------------------------------------- */

static void give(struct dqube *q)
{
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);
	int r;

	ev_io_free(STEAL_PTR(q->clip_ev));
	if (q->clip < 0)
		return;
	if (q->d->clipd_ctl < 0) {
		q->clip_ev = ev_io_new(q->d->loop, q->clip, EV_READ, on_clip, q);
		return;
	}
	wr_lstr(&w, q->name);
	wr_u32le(&w, q->args.clipboard_max);
	r = msg_send(q->d->clipd_ctl, CLIPD_NEW_GUID, 0, 0, &w, &q->clip, 1);
	if (r < 0)
		log_warn("%s: its socket was not given to clipd: %s", q->name, strerror(-r));
}

static void give_all(struct desk *d)
{
	struct dqube *q;

	TAILQ_FOREACH(q, &d->qubes, all)
		give(q);
}

static void on_again(struct ev_timer *t, void *arg)
{
	clip_start(arg);
}

static void later(struct desk *d)
{
	uint64_t ms = d->clipd_failures > 5 ? BACKOFF_MAX_MS : 1000ull << d->clipd_failures;

	d->clipd_failures++;
	if (!d->clipd_again)
		d->clipd_again = ev_timer_new(d->loop, on_again, d);
	ev_timer_start(d->clipd_again, MIN(ms, (uint64_t)BACKOFF_MAX_MS));
}

static void on_clipd_end(struct ev_io *io, int fd, int events, void *arg)
{
	struct desk *d = arg;
	int status = 0;

	ev_io_free(STEAL_PTR(d->clipd_ev));
	fd_closep(&d->clipd_ctl);
	(void)proc_wait(&d->clipd_proc, -1, &status);
	proc_fini(&d->clipd_proc);
	log_warn("clipd ended: code=%d", proc_exit_code(status));
	give_all(d);
	later(d);
}

void clip_start(struct desk *d)
{
	static const char *const argv[] = { "clipd", NULL };
	struct proc_spec s = { .argv = argv, .envp = desk_env(), .keep_stderr = true, .death_signal = SIGTERM };
	struct err e = { 0 };
	char path[PATH_MAX];
	int pair[2], r;

	s.path = d->clipd ? d->clipd : path_program(path, "clipd");
	if (access(s.path, X_OK) < 0) {
		log_info("there is no clipd: nothing is copied between qubes, and notices are logged");
		return;
	}
	if (unix_pair(SOCK_SEQPACKET, pair) < 0) {
		log_warn("clipd: %s", strerror(errno));
		later(d);
		return;
	}
	s.fds[0].fd = pair[1];
	s.fds[0].as = CLIPD_FD_CONTROL;
	s.n_fds = 1;
	r = proc_spawn(&d->clipd_proc, &s, &e);
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		log_warn("%s", err_text(&e, r));
		later(d);
		return;
	}
	d->clipd_ctl = pair[0];
	fd_nonblock(d->clipd_ctl, true);
	d->clipd_ev = ev_io_new(d->loop, d->clipd_proc.pidfd, EV_READ, on_clipd_end, d);
	give_all(d);
}

void clip_fini(struct desk *d)
{
	ev_io_free(STEAL_PTR(d->clipd_ev));
	ev_timer_free(STEAL_PTR(d->clipd_again));
	/* It wipes what it holds at the end of this socket. */
	fd_closep(&d->clipd_ctl);
	if (d->clipd_proc.pid > 0)
		(void)proc_wait(&d->clipd_proc, 2000, NULL);
	proc_fini(&d->clipd_proc);
}

void clip_attach(struct dqube *q, int fd)
{
	clip_detach(q);
	fd_nonblock(fd, true);
	q->clip = fd;
	give(q);
}

void clip_detach(struct dqube *q)
{
	ev_io_free(STEAL_PTR(q->clip_ev));
	fd_closep(&q->clip);
}
