/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Questions of qrexec-daemons. A daemon parses bytes of its qube and may be hostile: it can only ask for the qube its channel is bound to;
 * anything malformed closes the channel, which refuses all calls of that qube.
 */
#include "base/io.h"
#include "base/str.h"
#include "daemon/policyd/prompt.h"
#include "proto/ipc.h"
#include "proto/names.h"

#define BATCH 64
#define LOG_BURST 100 /* refusals of one qube in LOG_SECONDS that are logged one by one */
#define LOG_SECONDS 10

static void qube_free(struct pd *pd, struct pd_qube *x)
{
	struct pd_qube **p = &pd->qubes;

	while (*p != x)
		p = &(*p)->next;
	*p = x->next;
	pd_question_withdraw(pd, x);
	ev_io_free(x->io);
	close(x->fd);
	free(x);
}

static int send_deny(struct pd_qube *x, uint32_t serial, uint32_t request)
{
	struct ipc_pq_deny m = { .request = request };
	uint8_t buf[16];
	struct wr w = wr_mem(buf, sizeof buf);

	ipc_put_pq_deny(&w, &m);
	return msg_send(x->fd, IPC_PQ_DENY, serial, 0, &w, NULL, 0);
}

/* The name of the call's end, canonical. */
static int ticket_target(char *out, size_t cap, const struct pol_decision *d)
{
	if (d->relay)
		return str_copy(out, cap, d->relay->name);
	if (d->target_dispvm)
		return str_printf(out, cap, "@dispvm:%s", d->target_qube->name);
	return str_copy(out, cap, d->target_qube && !d->target_qube->dom0 ? d->target_qube->name : "dom0");
}

static int send_ticket(struct pd_qube *x, uint32_t request, const struct pol_query *q, struct pol_decision *d)
{
	struct ipc_pd_ticket m = { .request = request, .source_qid = x->qid, .autostart = d->autostart, .keep = d->keep, .notify = d->notify };
	_cleanup_wr_ struct wr w = wr_grow(MSG_PAYLOAD_MAX);
	char rule[256];
	int r = str_copy(m.source, sizeof m.source, x->name);

	pd_rule_text(rule, sizeof rule, d);
	if (str_copy(m.rule, sizeof m.rule, rule) < 0)
		(void)!str_copy(m.rule, sizeof m.rule, rule + strlen(rule) - (sizeof m.rule - 1));
	if (r == 0)
		r = ticket_target(m.target, sizeof m.target, d);
	if (r == 0)
		r = str_copy(m.requested_target, sizeof m.requested_target, d->requested_target);
	if (r == 0)
		r = str_copy(m.user, sizeof m.user, d->user && d->user[0] ? d->user : "DEFAULT");
	if (r == 0)
		r = d->service ? str_copy(m.service, sizeof m.service, d->service) :
				 str_printf(m.service, sizeof m.service, "%s%s", q->service, q->argument);
	if (r == 0)
		r = str_copy(m.policy_source, sizeof m.policy_source, d->policy_source ? d->policy_source : "");
	if (r < 0) {
		pol_decision_deny(d, "a name in the call is too long");
		return r;
	}
	/* The rules saw a name that may differ from the machine that calls (a relay speaking for a remote qube). */
	if (!d->target_dispvm && streq(m.target, x->name)) {
		pol_decision_deny(d, "a qube cannot call itself");
		return -ELOOP;
	}
	ipc_put_pd_ticket(&w, &m);
	r = pd_core_send(x->pd, IPC_PD_TICKET, &w);
	if (r < 0)
		pol_decision_deny(d, "the core does not take tickets");
	return r;
}

static void decide(struct pd_qube *x, const struct pol_query *q, struct pol_decision *d)
{
	struct pd *pd = x->pd;

	if (pd->si && !pol_sysinfo_find(pd->si, x->name)) {
		*d = (struct pol_decision){ 0 };
		pol_decision_deny(d, "the calling qube is not in the table of qubes");
	} else {
		pd_decide(pd, d, pd->si, q);
	}
	pd_notice_policy(pd);
}

/* Carries a final decision out: ticket or refusal, log, notice. */
static int finish(struct pd_qube *x, uint32_t serial, uint32_t request, const struct pol_query *q, struct pol_decision *d)
{
	int r = 0;

	if (d->outcome == POL_O_ALLOW && d->notify)
		pd_notice(x->pd, "allow", q, d);
	if (d->outcome == POL_O_ALLOW)
		(void)send_ticket(x, request, q, d);
	if (d->outcome == POL_O_ALLOW || log_rate_ok(&x->rate, LOG_BURST, LOG_SECONDS)) {
		pd_log(x->pd, q, d, x->suppressed);
		x->suppressed = 0;
		if (d->outcome != POL_O_ALLOW && d->notify)
			pd_notice(x->pd, "deny", q, d);
	} else {
		x->suppressed++;
	}
	if (d->outcome != POL_O_ALLOW)
		r = send_deny(x, serial, request);
	return r;
}

static void on_answered(struct pd_question *q, struct pol_decision *d)
{
	struct pd_qube *x = q->owner;

	if (finish(x, q->serial, q->request, &q->query, d) < 0) {
		log_warn("channel of %s closed: it does not take a refusal", log_escs(x->name));
		qube_free(x->pd, x);
	}
}

/* True when the user is being asked. */
static bool ask_user(struct pd_qube *x, uint32_t serial, uint32_t request, const struct pol_query *q, struct pol_decision *d)
{
	struct pd_question want = { .serial = serial, .request = request, .query = *q, .fn = on_answered, .owner = x };

	if (!log_rate_ok(&x->asks, PD_QUESTION_BURST, PD_QUESTION_SECONDS)) {
		pol_decision_deny(d, "ask, but the calling qube asks too often");
		return false;
	}
	return pd_question_ask(x->pd, x->pd->si, NULL, &want, d) == 0;
}

static int answer(struct pd_qube *x, uint32_t serial, uint32_t request, const struct pol_query *q)
{
	struct pol_decision d;
	int r = 0;

	decide(x, q, &d);
	if (d.outcome != POL_O_ASK || !ask_user(x, serial, request, q, &d))
		r = finish(x, serial, request, q, &d);
	pol_decision_fini(&d);
	return r;
}

/* The qrexec-daemon has cleaned these texts; one that did not is broken or hostile. */
static bool ask_ok(const struct ipc_pq_ask *m)
{
	return m->service[0] && m->service[0] != '+' && str_chars(m->service, "_.+-") && str_chars(m->target, "_.@:-") &&
	       str_chars(m->requested_source, "_.:-");
}

static int on_ask(struct pd_qube *x, const struct msg *m)
{
	struct pol_query q = { .source = x->name };
	struct ipc_pq_ask a;
	struct rd r = msg_rd(m);
	char service[SERVICE_MAX + 2], *plus;
	size_t n;

	if (m->type != IPC_PQ_ASK || m->flags || m->n_fds || ipc_get_pq_ask(&r, &a) < 0 || !rd_done(&r) || !ask_ok(&a))
		return -EBADMSG;
	plus = strchr(a.service, '+');
	n = plus ? (size_t)(plus - a.service) : strlen(a.service);
	if (n > SERVICE_MAX)
		return -EBADMSG;
	memcpy(service, a.service, n);
	service[n] = '\0';
	q.service = service;
	q.argument = plus ? plus : "+";
	q.target = a.target;
	q.requested_source = a.requested_source;
	return answer(x, m->serial, a.request, &q);
}

static void on_readable(struct ev_io *io, int fd, int events, void *arg)
{
	struct pd_qube *x = arg;

	for (int i = 0; i < BATCH; i++) {
		_cleanup_msg_ struct msg m = { .fds = { -1, -1, -1, -1 } };
		int r = msg_recv(fd, &m);

		if (r == -EAGAIN)
			return;
		if (r == 1)
			r = on_ask(x, &m) < 0 ? -EBADMSG : 1;
		if (r != 1) {
			if (r < 0)
				log_warn("channel of %s closed: broken message", log_escs(x->name));
			qube_free(x->pd, x);
			return;
		}
	}
}

int pd_attach(struct pd *pd, uint32_t qid, const char *name, int fd)
{
	struct pd_qube *x;
	struct qname checked;

	pd_detach(pd, qid);
	if (qname_parse(&checked, name, NULL) < 0 || streq(name, "dom0") || fd_nonblock(fd, true) < 0) {
		close(fd);
		return -EINVAL;
	}
	x = xcalloc(1, sizeof *x);
	x->pd = pd;
	x->qid = qid;
	x->fd = fd;
	memcpy(x->name, checked.s, sizeof checked.s);
	x->io = ev_io_new(pd->loop, fd, EV_READ, on_readable, x);
	x->next = pd->qubes;
	pd->qubes = x;
	if (!x->io) {
		pd->qubes = x->next;
		close(fd);
		free(x);
		return -EINVAL;
	}
	return 0;
}

void pd_detach(struct pd *pd, uint32_t qid)
{
	for (struct pd_qube *x = pd->qubes; x; x = x->next)
		if (x->qid == qid) {
			qube_free(pd, x);
			return;
		}
}
