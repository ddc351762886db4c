/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The life of one guid: asked for a stream to the agent (which waits for the qube to come up), started, watched, and started again when it ended while
 * the qube runs on, slower each time. The agent then sends all windows anew.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "chan/chan.h"
#include "gui/desktop/desktop.h"

#define BACKOFF_MAX_MS 30000
#define GOOD_LIFE_US 30000000 /* after that its end is a new beginning */
#define KILL_MS 3000

/* Exit codes of guid (docs/gui.md §4). */
enum { GUID_STREAM_ENDED, GUID_BROKEN = 3, GUID_NO_DISPLAY = 4 };

static void ask(struct dqube *q);

static void on_retry(struct ev_timer *t, void *arg)
{
	struct dqube *q = arg;

	q->life = Q_IDLE;
	if (q->wanted)
		ask(q);
	desk_idle(q->d);
}

static void wait_and_retry(struct dqube *q)
{
	uint64_t ms = q->failures > 5 ? BACKOFF_MAX_MS : MIN(1000ull << q->failures, (uint64_t)BACKOFF_MAX_MS);

	q->failures++;
	q->life = Q_WAITING;
	ev_timer_free(q->timer);
	q->timer = ev_timer_new(q->d->loop, on_retry, q);
	ev_timer_start(q->timer, ms);
}

static void drop_request(struct dqube *q)
{
	ev_io_free(STEAL_PTR(q->req_ev));
	chan_req_free(STEAL_PTR(q->req));
}

/* --- the process ----------------------------------------------------------------------------------------------------- */

static void on_end(struct ev_io *io, int fd, int events, void *arg);

static const char *word_of(int code)
{
	return code == GUID_STREAM_ENDED ? "the qube's agent ended it" :
	       code == GUID_BROKEN	 ? "the qube broke the protocol" :
	       code == GUID_NO_DISPLAY	 ? "the display has gone" :
	       code > 128		 ? "it was killed" :
					   "it failed";
}

static void reap(struct dqube *q)
{
	int status = 0, code;
	bool asked = q->life == Q_ENDING;

	ev_io_free(STEAL_PTR(q->guid_ev));
	ev_timer_free(STEAL_PTR(q->timer));
	(void)proc_wait(&q->guid, -1, &status);
	proc_fini(&q->guid);
	clip_detach(q);
	code = proc_exit_code(status);
	if (now_us() - q->since_us > GOOD_LIFE_US || asked)
		q->failures = 0;
	q->life = Q_IDLE;
	if (!asked && q->wanted)
		log_warn("%s: guid ended: code=%d reason=%s", q->name, code, word_of(code));
	if (code == GUID_NO_DISPLAY && !asked)
		ev_stop(q->d->loop, 1);
	else if (q->wanted && asked)
		ask(q);
	else if (q->wanted)
		wait_and_retry(q);
	desk_idle(q->d);
}

static void on_end(struct ev_io *io, int fd, int events, void *arg)
{
	reap(arg);
}

/* What linkd gives must not be able to change its size under the X server. Gives MiB, 0 = it is not used. */
static uint32_t memory_mib(const struct dqube *q, int fd)
{
	int seals = fd < 0 ? 0 : fcntl(fd, F_GET_SEALS), flags = fd < 0 ? 0 : fcntl(fd, F_GETFL);
	struct stat st;

	if (fd < 0)
		return 0;
	if (seals < 0 || (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW) || (flags & O_ACCMODE) != O_RDONLY || fstat(fd, &st) < 0 ||
	    st.st_size < 1 << 20 || st.st_size > 1 << 30) {
		log_error("%s: its memory for pixels is not as it should be and is not used", q->name);
		return 0;
	}
	return (uint32_t)(st.st_size >> 20);
}

static int spawn(struct dqube *q, int stream, int memory, struct err *e)
{
	struct proc_spec s = { .argv = NULL, .envp = desk_env(), .keep_stderr = true, .death_signal = SIGTERM };
	uint32_t mib = memory_mib(q, memory);
	const char *argv[GUID_ARGS_MAX + 3];
	_cleanup_fd_ int theirs = -1;
	char path[PATH_MAX], number[16];
	int pair[2], r;
	size_t n = 0;

	for (; n < q->args.n; n++)
		argv[n] = q->args.v[n];
	if (mib && str_printf(number, sizeof number, "%u", mib) == 0) {
		argv[n++] = "--bar-mib";
		argv[n++] = number;
	}
	argv[n] = NULL;
	if (unix_pair(SOCK_SEQPACKET, pair) < 0)
		return err_errno(e, errno, "socketpair");
	clip_attach(q, pair[0]);
	theirs = pair[1];
	s.path = q->d->guid ? q->d->guid : path_program(path, "guid");
	s.argv = argv;
	s.fds[0].fd = stream;
	s.fds[0].as = GUID_FD_STREAM;
	s.fds[1].fd = theirs;
	s.fds[1].as = GUID_FD_CLIP;
	s.fds[2].fd = memory;
	s.fds[2].as = GUID_FD_MEMORY;
	s.n_fds = mib ? 3 : 2;
	r = proc_spawn(&q->guid, &s, e);
	if (r < 0)
		return r;
	q->guid_ev = ev_io_new(q->d->loop, q->guid.pidfd, EV_READ, on_end, q);
	q->since_us = now_us();
	q->life = Q_UP;
	log_info("%s: guid runs: pid=%d memory=%u MiB", q->name, (int)q->guid.pid, mib);
	return 0;
}

/* --- the stream -------------------------------------------------------------------------------------------------------- */

static void on_answer(struct ev_io *io, int fd, int events, void *arg)
{
	struct dqube *q = arg;
	_cleanup_fd_ int stream = -1, memory = -1;
	struct err e = { 0 };
	int r = chan_gui_finish(q->req, &memory, &e);

	if (r == -EAGAIN)
		return;
	stream = r;
	drop_request(q);
	if (r >= 0) {
		/* A program of its own reads it, in its own way. */
		fd_nonblock(stream, false);
		r = spawn(q, stream, memory, &e);
	}
	if (r < 0) {
		clip_detach(q);
		log_warn("%s: no windows yet: %s", q->name, err_text(&e, r));
		wait_and_retry(q);
	}
}

static void ask(struct dqube *q)
{
	char path[PATH_MAX];
	struct err e = { 0 };

	q->req = chan_gui_start(path_fmt(path, PATH_QUBE_RUN, "/%u/chan.sock", q->facts.qid), &e);
	if (q->req)
		q->req_ev = ev_io_new(q->d->loop, chan_req_fd(q->req), EV_READ, on_answer, q);
	if (!q->req_ev) {
		log_debug("%s: %s", q->name, e.msg);
		drop_request(q);
		wait_and_retry(q);
		return;
	}
	q->life = Q_ASKING;
}

void daemon_start(struct dqube *q)
{
	q->wanted = true;
	if (q->life == Q_IDLE)
		ask(q);
}

static void on_kill(struct ev_timer *t, void *arg)
{
	(void)proc_kill(&((struct dqube *)arg)->guid, SIGKILL);
}

static void end_process(struct dqube *q)
{
	if (q->life != Q_UP)
		return;
	q->life = Q_ENDING;
	(void)proc_kill(&q->guid, SIGTERM);
	ev_timer_free(q->timer);
	q->timer = ev_timer_new(q->d->loop, on_kill, q);
	ev_timer_start(q->timer, KILL_MS);
}

void daemon_stop(struct dqube *q)
{
	if (!q)
		return;
	q->wanted = false;
	q->failures = 0;
	drop_request(q);
	if (q->life == Q_WAITING)
		ev_timer_free(STEAL_PTR(q->timer));
	if (q->life == Q_WAITING || q->life == Q_ASKING)
		q->life = Q_IDLE;
	end_process(q);
}

void daemon_restart(struct dqube *q)
{
	daemon_stop(q);
	daemon_start(q);
}

void daemon_free(struct dqube *q)
{
	daemon_stop(q);
	ev_io_free(STEAL_PTR(q->guid_ev));
	ev_timer_free(STEAL_PTR(q->timer));
	if (q->guid.pid > 0)
		(void)proc_wait(&q->guid, KILL_MS, NULL);
	proc_fini(&q->guid);
	clip_detach(q);
	guid_args_fini(&q->args);
}
