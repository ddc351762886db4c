/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The life of one audiod (docs/audio.md §3): asked for the qube's two streams of sound, which come when its agent is there, started, told of volume, mute and
 * microphone, and started again when it ended while the qube runs on. It has no say in anything: what it is told comes from the Admin API.
 */
#include <signal.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/msg.h"
#include "base/paths.h"
#include "base/str.h"
#include "chan/chan.h"
#include "gui/audiod/audiod.h"
#include "gui/audiod/sound.h"
#include "gui/desktop/desktop.h"

#define BACKOFF_MAX_MS 30000
#define GOOD_LIFE_US 30000000
#define KILL_MS 3000

static const uint32_t ports[] = { CHAN_PORT_PLAY, CHAN_PORT_RECORD };

static void ask(struct dqube *q);

static void on_retry(struct ev_timer *t, void *arg)
{
	struct dqube *q = arg;

	q->audio.life = Q_IDLE;
	if (q->audio.wanted)
		ask(q);
	desk_idle(q->d);
}

static void wait_and_retry(struct dqube *q)
{
	struct daudio *a = &q->audio;
	uint64_t ms = a->failures > 5 ? BACKOFF_MAX_MS : MIN(1000ull << a->failures, (uint64_t)BACKOFF_MAX_MS);

	a->failures++;
	a->life = Q_WAITING;
	ev_timer_free(a->timer);
	a->timer = ev_timer_new(q->d->loop, on_retry, q);
	ev_timer_start(a->timer, ms);
}

static void drop(struct daudio *a)
{
	for (size_t i = 0; i < ARRAY_SIZE(a->req); i++) {
		ev_io_free(STEAL_PTR(a->req_ev[i]));
		chan_req_free(STEAL_PTR(a->req[i]));
		/* A descriptor of 0 is never one of ours: 0 to 2 are taken. */
		if (a->stream[i] > 0)
			close(a->stream[i]);
		a->stream[i] = 0;
	}
}

/* --- what it is told, and what it tells ------------------------------------------------------------------------------------- */

static void tell(struct dqube *q)
{
	struct daudio *a = &q->audio;
	uint8_t buf[32];
	struct wr w = wr_mem(buf, sizeof buf);
	int r;

	if (!a->control_ev)
		return;
	audio_put_set(&w, &a->set);
	r = msg_send(a->control, AUDIO_MSG_SET, 0, 0, &w, NULL, 0);
	if (r == 0)
		return;
	/* One that does not read could keep the microphone open. */
	log_error("%s: audiod does not take what it is told (%s) and is ended", q->name, strerror(-r));
	(void)proc_kill(&a->proc, SIGKILL);
}

static void on_control(struct ev_io *io, int fd, int events, void *arg)
{
	struct dqube *q = arg;
	_cleanup_msg_ struct msg m = { 0 };
	struct audio_state st;
	int r = msg_recv(fd, &m);

	if (r == -EAGAIN)
		return;
	if (r <= 0 || m.type != AUDIO_MSG_STATE || audio_get_state(msg_rd(&m), &st) < 0) {
		if (r != 0)
			log_warn("%s: audiod sent what it may not", q->name);
		ev_io_free(STEAL_PTR(q->audio.control_ev));
		(void)proc_kill(&q->audio.proc, SIGKILL);
		return;
	}
	if ((st.flags ^ q->audio.state) & AUDIO_S_RECORDING)
		log_info("%s: %s", q->name, st.flags & AUDIO_S_RECORDING ? "records the microphone" : "does not record any more");
	q->audio.state = st.flags;
}

/* --- the process -------------------------------------------------------------------------------------------------------------- */

static void close_control(struct daudio *a)
{
	ev_io_free(STEAL_PTR(a->control_ev));
	if (a->control > 0)
		close(a->control);
	a->control = 0;
}

static void on_end(struct ev_io *io, int fd, int events, void *arg)
{
	struct dqube *q = arg;
	struct daudio *a = &q->audio;
	bool asked = a->life == Q_ENDING;
	int status = 0, code;

	ev_io_free(STEAL_PTR(a->proc_ev));
	ev_timer_free(STEAL_PTR(a->timer));
	(void)proc_wait(&a->proc, -1, &status);
	proc_fini(&a->proc);
	close_control(a);
	code = proc_exit_code(status);
	a->state = 0;
	if (now_us() - a->since_us > GOOD_LIFE_US || asked)
		a->failures = 0;
	a->life = Q_IDLE;
	/* An agent that comes and goes, and a session without a sound server, are nothing to tell again and again. */
	if (!asked && a->wanted && code != SOUND_END_STREAM && code != a->last_code)
		log_warn("%s: audiod ended: code=%d reason=%s", q->name, code, code == SOUND_END_BROKEN ? "the qube broke the protocol" :
			 code == SOUND_END_SERVER ? "there is no sound server" : "it failed");
	a->last_code = code;
	if (a->wanted && asked)
		ask(q);
	else if (a->wanted)
		wait_and_retry(q);
	desk_idle(q->d);
}

static int spawn(struct dqube *q, struct err *e)
{
	struct daudio *a = &q->audio;
	const char *argv[] = { "audiod", "--name", q->name, "--icon", a->icon, NULL };
	struct proc_spec s = { .argv = argv, .envp = desk_env(), .keep_stderr = true, .death_signal = SIGTERM, .n_fds = 3 };
	_cleanup_fd_ int theirs = -1;
	char path[PATH_MAX];
	int pair[2], r;

	if (unix_pair(SOCK_SEQPACKET, pair) < 0)
		return err_errno(e, errno, "socketpair");
	theirs = pair[1];
	a->control = pair[0];
	s.path = q->d->audiod ? q->d->audiod : path_program(path, "audiod");
	s.fds[0].fd = a->stream[0];
	s.fds[0].as = AUDIOD_FD_PLAY;
	s.fds[1].fd = a->stream[1];
	s.fds[1].as = AUDIOD_FD_RECORD;
	s.fds[2].fd = theirs;
	s.fds[2].as = AUDIOD_FD_CONTROL;
	r = fd_nonblock(a->control, true);
	r = r < 0 ? err_errno(e, -r, "fcntl") : proc_spawn(&a->proc, &s, e);
	if (r < 0) {
		close_control(a);
		return r;
	}
	a->proc_ev = ev_io_new(q->d->loop, a->proc.pidfd, EV_READ, on_end, q);
	a->control_ev = ev_io_new(q->d->loop, a->control, EV_READ, on_control, q);
	a->since_us = now_us();
	a->life = Q_UP;
	log_info("%s: audiod runs: pid=%d", q->name, (int)a->proc.pid);
	tell(q);
	return 0;
}

/* --- the streams --------------------------------------------------------------------------------------------------------------- */

static void failed(struct dqube *q, const char *text)
{
	log_debug("%s: no sound yet: %s", q->name, text);
	drop(&q->audio);
	wait_and_retry(q);
}

static void on_answer(struct ev_io *io, int fd, int events, void *arg)
{
	struct dqube *q = arg;
	struct daudio *a = &q->audio;
	struct err e = { 0 };
	size_t i = io == a->req_ev[0] ? 0 : 1;
	int r = chan_req_finish(a->req[i], &e);

	if (r == -EAGAIN)
		return;
	ev_io_free(STEAL_PTR(a->req_ev[i]));
	chan_req_free(STEAL_PTR(a->req[i]));
	if (r < 0) {
		failed(q, err_text(&e, r));
		return;
	}
	a->stream[i] = r;
	if (a->stream[0] <= 0 || a->stream[1] <= 0)
		return;
	r = spawn(q, &e);
	if (r < 0) {
		failed(q, err_text(&e, r));
		return;
	}
	drop(a);
}

static void ask(struct dqube *q)
{
	struct daudio *a = &q->audio;
	char path[PATH_MAX];
	struct err e = { 0 };

	path_fmt(path, PATH_QUBE_RUN, "/%u/chan.sock", a->qid);
	a->life = Q_ASKING;
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		a->req[i] = chan_connect_start(path, a->qid, ports[i], &e);
		if (a->req[i])
			a->req_ev[i] = ev_io_new(q->d->loop, chan_req_fd(a->req[i]), EV_READ, on_answer, q);
		if (!a->req_ev[i]) {
			failed(q, e.msg);
			return;
		}
	}
}

/* --- start and end -------------------------------------------------------------------------------------------------------------- */

static void stop(struct dqube *q)
{
	struct daudio *a = &q->audio;

	a->wanted = false;
	a->failures = 0;
	a->last_code = 0;
	drop(a);
	if (a->life == Q_WAITING)
		ev_timer_free(STEAL_PTR(a->timer));
	if (a->life == Q_WAITING || a->life == Q_ASKING)
		a->life = Q_IDLE;
	if (a->life != Q_UP)
		return;
	a->life = Q_ENDING;
	/* It keeps nothing that would have to be ended in order. */
	(void)proc_kill(&a->proc, SIGKILL);
}

void audio_look(struct dqube *q)
{
	struct daudio *a = &q->audio;
	struct audio_facts f;
	struct err e = { 0 };
	int r = q->d->no_audio ? 0 : facts_audio(q, &f, &e);

	if (r < 0 && adm_is_not_started(r))
		r = 0;
	if (r < 0) {
		log_warn("%s: sound: %s", q->name, err_text(&e, r));
		return;
	}
	if (r == 0) {
		stop(q);
		return;
	}
	/* Another start of the qube, or another label: another stream. */
	if (a->wanted && (a->qid != f.qid || !streq(a->icon, f.icon)))
		stop(q);
	a->qid = f.qid;
	(void)!str_copy(a->icon, sizeof a->icon, f.icon);
	r = a->set.volume != f.set.volume || a->set.flags != f.set.flags;
	a->set = f.set;
	if (r && a->life == Q_UP)
		tell(q);
	a->wanted = true;
	if (a->life == Q_IDLE)
		ask(q);
}

void audio_stop(struct dqube *q)
{
	if (q)
		stop(q);
}

void audio_free(struct dqube *q)
{
	struct daudio *a = &q->audio;

	stop(q);
	ev_io_free(STEAL_PTR(a->proc_ev));
	ev_timer_free(STEAL_PTR(a->timer));
	if (a->proc.pid > 0)
		(void)proc_wait(&a->proc, KILL_MS, NULL);
	proc_fini(&a->proc);
	close_control(a);
}

bool audio_about(const char *event)
{
	static const char *const prefixes[] = { "domain-feature-set:audio", "domain-feature-delete:audio", "domain-feature-set:gui", "domain-feature-delete:gui",
						"property-set:audiovm", "property-reset:audiovm", "property-set:default_audiovm", "property-reset:default_audiovm",
						"property-set:label", "device-attach:mic", "device-detach:mic" };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (str_starts(event, prefixes[i]))
			return true;
	return false;
}
