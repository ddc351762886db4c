/* SPDX-License-Identifier: GPL-3.0-or-later */
/* policy.sock and the EvalSimple and EvalGUI sockets of the reference: one request a connection, answered and closed. */
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/str.h"
#include "daemon/policyd/prompt.h"
#include "daemon/policyd/request.h"
#include "policyfile/sysjson.h"

struct listener {
	struct pd *pd;
	enum pd_local kind;
};

struct client {
	struct pd *pd;
	enum pd_local kind;
	int fd;
	struct ev_io *io; /* NULL: nothing had to be waited for yet */
	struct wr in, out;
	bool answering, asking; /* the reply is being sent; the user is being asked */
	bool just_evaluate;
	TAILQ_ENTRY(client) link;
};

static TAILQ_HEAD(, client) clients = TAILQ_HEAD_INITIALIZER(clients); /* oldest first */

static void client_free(struct client *c)
{
	TAILQ_REMOVE(&clients, c, link);
	c->pd->n_clients--;
	pd_question_withdraw(c->pd, c);
	ev_io_free(c->io);
	close(c->fd);
	wr_free(&c->in);
	wr_free(&c->out);
	free(c);
}

/* The table in force; stand-alone a fresh one, put into own. */
static const struct pol_sysinfo *table(struct pd *pd, struct pol_sysinfo *own)
{
	struct err e = { 0 };

	if (pd->core_fd >= 0)
		return pd->si;
	if (sysjson_fetch(own, pd->qubesd_socket, &e) < 0) {
		log_error("%s", e.msg);
		return NULL;
	}
	return own;
}

/* 0 = all of the answer is on its way. */
static int send_out(struct client *c)
{
	while (c->out.len) {
		ssize_t n = send(c->fd, c->out.buf, c->out.len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		wr_consume(&c->out, (size_t)n);
	}
	return 0;
}

static void flush(struct client *c);

/* Carries a final decision of policy.sock out. */
static void finish(struct client *c, const struct pol_query *q, const struct pol_decision *d)
{
	struct pol_reply reply;

	if (!c->just_evaluate && d->notify)
		pd_notice(c->pd, d->outcome == POL_O_ALLOW ? "allow" : c->pd->files.policy ? "deny" : "fail", q, d);
	if (!c->just_evaluate)
		pd_log(c->pd, q, d, 0);
	pol_reply_make(&reply, d);
	pol_reply_text(&c->out, &reply);
	pol_reply_fini(&reply);
}

static void on_answered(struct pd_question *q, struct pol_decision *d)
{
	struct client *c = q->owner;

	c->asking = false;
	c->answering = true;
	finish(c, &q->query, d);
	flush(c);
}

/* 1 = answered (out filled), 0 = the user is asked. */
static int decide_policy(struct client *c, const struct pd_request *rq)
{
	const struct pol_query q = { .service = rq->service, .argument = rq->argument, .source = rq->source,
				     .target = rq->target, .requested_source = rq->requested_source };
	struct pol_sysinfo own = { 0 };
	const struct pol_sysinfo *si = table(c->pd, &own);
	struct pd_question want = { .query = q, .fn = on_answered, .owner = c };
	struct pol_decision d;

	c->just_evaluate = rq->just_evaluate;
	pd_decide(c->pd, &d, si, &q);
	pd_notice_policy(c->pd);
	if (rq->assume_yes)
		pd_assume_yes(c->pd, &d, si, &q);
	/* An evaluation without effects asks nobody. */
	if (d.outcome == POL_O_ASK && rq->just_evaluate)
		pol_decision_deny(&d, "ask, and nobody is asked for an evaluation");
	c->asking = d.outcome == POL_O_ASK && pd_question_ask(c->pd, si, si == &own ? &own : NULL, &want, &d) == 0;
	if (!c->asking)
		finish(c, &q, &d);
	pol_decision_fini(&d);
	pol_sysinfo_clear(&own);
	return !c->asking;
}

/* Both ends must belong to the GUI domain that asks. */
static bool gui_may(const struct pol_sysinfo *si, const char *caller, const char *name)
{
	const struct pol_qube *q = si ? pol_sysinfo_find(si, name) : NULL;
	char tag[64];

	return q && str_printf(tag, sizeof tag, "guivm-%s", caller) == 0 && pol_qube_has_tag(q, tag);
}

static void decide_eval(struct client *c, const struct pd_request *rq, const char *caller)
{
	const struct pol_query q = { .service = rq->service, .argument = rq->argument, .source = rq->source, .target = rq->target };
	struct pol_sysinfo own = { 0 };
	const struct pol_sysinfo *si = table(c->pd, &own);
	struct pol_decision d;

	pd_decide(c->pd, &d, si, &q);
	pd_assume_yes(c->pd, &d, si, &q);
	if (c->kind == PD_EVAL_GUI && !(gui_may(si, caller, rq->source) && gui_may(si, caller, rq->target)))
		pol_decision_deny(&d, "not a GUI domain of both qubes");
	wr_printf(&c->out, "result=%s\n", d.outcome == POL_O_ALLOW ? "allow" : "deny");
	pol_decision_fini(&d);
	pol_sysinfo_clear(&own);
}

static void on_client(struct ev_io *io, int fd, int events, void *arg);

static void watch(struct client *c, int events)
{
	if (c->io) {
		ev_io_set(c->io, events);
		return;
	}
	c->io = ev_io_new(c->pd->loop, c->fd, events, on_client, c);
	if (!c->io)
		client_free(c);
}

static void flush(struct client *c)
{
	if (send_out(c) == -EAGAIN)
		watch(c, EV_WRITE);
	else
		client_free(c);
}

/* 1 = answered (out filled), 0 = more bytes are needed, <0 = to be closed without a reply. */
static int try_answer(struct client *c, bool eof)
{
	struct rd r = rd_mem(c->in.buf, c->in.len);
	struct pd_request rq;
	char caller[64] = "";
	int k;

	if (c->kind == PD_POLICY_SOCK) {
		k = pd_request_parse(&rq, r);
		if (k == 0)
			return eof ? -EBADMSG : 0;
		if (k < 0)
			return k;
		k = decide_policy(c, &rq);
		pd_request_fini(&rq);
		return k;
	} else {
		if (!eof)
			return 0;
		k = pd_eval_parse(&rq, caller, sizeof caller, r);
		if (k < 0)
			return k;
		decide_eval(c, &rq, caller);
	}
	pd_request_fini(&rq);
	return 1;
}

static void on_client(struct ev_io *io, int fd, int events, void *arg)
{
	struct client *c = arg;
	uint8_t buf[4096];
	ssize_t n;
	int r;

	if (c->answering) {
		flush(c);
		return;
	}
	if (c->asking) {
		client_free(c); /* it hung up: the question is taken back */
		return;
	}
	n = recv(fd, buf, sizeof buf, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		watch(c, EV_READ);
		return;
	}
	if (n > 0)
		wr_bytes(&c->in, buf, (size_t)n);
	r = n < 0 || !wr_ok(&c->in) ? -EBADMSG : try_answer(c, n == 0);
	if (r == 0) {
		watch(c, c->asking ? EV_GONE : EV_READ);
		return;
	}
	if (r < 0) {
		client_free(c);
		return;
	}
	c->answering = true;
	flush(c);
}

/* Somebody who opens connections and does not finish a request must not keep others out: the oldest one that is not being asked about goes. */
static bool make_room(void)
{
	struct client *c;

	TAILQ_FOREACH(c, &clients, link)
		if (!c->asking)
			break;
	if (c)
		client_free(c);
	return c != NULL;
}

static void on_listen(struct ev_io *io, int fd, int events, void *arg)
{
	struct listener *l = arg;
	struct client *c;
	int s = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (s < 0)
		return;
	if (l->pd->n_clients == PD_CLIENTS_MAX && !make_room()) {
		close(s);
		return;
	}
	c = xcalloc(1, sizeof *c);
	*c = (struct client){ .pd = l->pd, .kind = l->kind, .fd = s, .in = wr_grow(PD_REQUEST_MAX), .out = wr_grow(1u << 18) };
	TAILQ_INSERT_TAIL(&clients, c, link);
	l->pd->n_clients++;
	on_client(NULL, s, EV_READ, c); /* the request is usually there already */
}

int pd_listen(struct pd *pd, const char *path, enum pd_local kind, struct err *e)
{
	static struct listener listeners[PD_EVAL_GUI + 1]; /* live as long as the process */
	struct listener *l = &listeners[kind];
	int fd = unix_listen_replace(path, SOCK_STREAM, 0660, e);

	*l = (struct listener){ pd, kind };
	if (fd >= 0 && ev_io_new(pd->loop, fd, EV_READ, on_listen, l))
		return 0;
	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : err_set(e, EINVAL, "socket '%s' cannot be polled", path);
}
