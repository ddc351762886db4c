/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The question to policyd: may qube SOURCE paste into TARGET? The chord is the consent, so "ask" counts as yes there (policy.EvalSimple). */
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "gui/clipd/clipd.h"

#define ASK_MS 10000
#define ANSWER_MAX 64

struct ask {
	int fd;
	struct ev_io *io;
	struct ev_timer *timer;
	char answer[ANSWER_MAX];
	size_t len;
	void (*fn)(bool allowed, void *arg);
	void *arg;
};

void ask_drop(struct ask *a)
{
	if (!a)
		return;
	ev_io_free(a->io);
	ev_timer_free(a->timer);
	close(a->fd);
	free(a);
}

static void end(struct ask *a, bool allowed)
{
	void (*fn)(bool, void *) = a->fn;
	void *arg = a->arg;

	ask_drop(a);
	fn(allowed, arg);
}

static void on_timeout(struct ev_timer *t, void *arg)
{
	log_error("the policy did not answer in time");
	end(arg, false);
}

static void on_answer(struct ev_io *io, int fd, int events, void *arg)
{
	struct ask *a = arg;
	ssize_t n = recv(fd, a->answer + a->len, sizeof a->answer - 1 - a->len, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && a->len + (size_t)n < sizeof a->answer - 1) {
		a->len += (size_t)n;
		return;
	}
	/* Nothing but exactly this is a yes. */
	end(a, n == 0 && a->len == strlen("result=allow\n") && memcmp(a->answer, "result=allow\n", a->len) == 0);
}

struct ask *ask_start(struct ev_loop *loop, const char *socket, const struct qname *source, const struct qname *target, void (*fn)(bool allowed, void *arg), void *arg)
{
	_cleanup_wr_ struct wr w = wr_grow(512);
	struct err e = { 0 };
	struct ask *a;
	int fd = unix_connect(socket, SOCK_STREAM | SOCK_NONBLOCK, &e);

	if (fd < 0) {
		log_error("the policy cannot be asked: %s", err_text(&e, fd));
		return NULL;
	}
	wr_cstr(&w, "policy.EvalSimple+qubes.ClipboardPaste dom0 keyword adminvm");
	wr_cstr(&w, source->s);
	wr_str(&w, target->s);
	/* A few bytes into an empty socket: they fit or the peer is gone. */
	if (!wr_ok(&w) || send(fd, w.buf, w.len, MSG_NOSIGNAL) != (ssize_t)w.len || shutdown(fd, SHUT_WR) < 0) {
		close(fd);
		return NULL;
	}
	a = xcalloc(1, sizeof *a);
	*a = (struct ask){ .fd = fd, .fn = fn, .arg = arg };
	a->io = ev_io_new(loop, fd, EV_READ, on_answer, a);
	a->timer = ev_timer_new(loop, on_timeout, a);
	if (!a->io || !a->timer) {
		ask_drop(a);
		return NULL;
	}
	ev_timer_start(a->timer, ASK_MS);
	return a;
}
