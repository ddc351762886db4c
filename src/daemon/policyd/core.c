/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The channel to the qubesd core: channels of qubes, the table of qubes, tickets. The core is trusted; when it goes, policyd ends. */
#include "base/io.h"
#include "base/str.h"
#include "daemon/policyd/fds.h"
#include "daemon/policyd/prompt.h"
#include "daemon/policyd/pd.h"
#include "proto/ipc.h"

#define OUT_MAX 1024

struct pd_out {
	struct pd_out *next;
	uint32_t type;
	struct wr w;
};

static void end(struct pd *pd, const char *why)
{
	log_info("ending: %s", why);
	ev_stop(pd->loop, 0);
}

static void flush(struct pd *pd)
{
	while (pd->out_head) {
		struct pd_out *o = pd->out_head;
		int r = msg_send(pd->core_fd, o->type, 0, 0, &o->w, NULL, 0);

		if (r == -EAGAIN)
			break;
		if (r < 0)
			end(pd, "the core is gone");
		pd->out_head = o->next;
		if (!pd->out_head)
			pd->out_tail = &pd->out_head;
		pd->n_out--;
		wr_free(&o->w);
		free(o);
	}
	ev_io_set(pd->core_io, pd->out_head ? EV_READ | EV_WRITE : EV_READ);
}

int pd_core_send(struct pd *pd, uint32_t type, const struct wr *w)
{
	struct pd_out *o;
	int r = -EAGAIN;

	if (pd->core_fd < 0)
		return -ENOTCONN;
	if (!wr_ok(w))
		return -EMSGSIZE;
	if (!pd->out_head)
		r = msg_send(pd->core_fd, type, 0, 0, w, NULL, 0);
	if (r != -EAGAIN)
		return r;
	if (pd->n_out == OUT_MAX)
		return -ENOBUFS;
	o = xcalloc(1, sizeof *o);
	o->type = type;
	o->w = wr_grow(MSG_PAYLOAD_MAX);
	wr_bytes(&o->w, w->buf, w->len);
	*pd->out_tail = o;
	pd->out_tail = &o->next;
	pd->n_out++;
	ev_io_set(pd->core_io, EV_READ | EV_WRITE);
	return 0;
}

static int on_sysinfo(struct pd *pd, struct rd *r)
{
	static struct ipc_pd_sysinfo m; /* large */
	struct pol_sysinfo *si = pd->staging ? pd->staging : pd->si;
	struct pol_qube *q;
	char *s;

	if (ipc_get_pd_sysinfo(r, &m) < 0 || !rd_done(r) || !m.name[0])
		return -EBADMSG;
	if (!si)
		return -EPROTO;
	q = pol_qube_new(m.name);
	pol_qube_set_uuid(q, m.uuid);
	pol_set(&q->klass, m.klass);
	pol_set(&q->default_dispvm, m.default_dispvm);
	pol_set(&q->guivm, m.guivm);
	pol_set(&q->relayvm, m.relayvm);
	pol_set(&q->transport_rpc, m.transport_rpc);
	pol_set(&q->power_state, m.power_state);
	pol_set(&q->label, m.label);
	pol_set(&q->icon, m.icon);
	q->template_for_dispvms = m.template_for_dispvms != 0;
	q->internal = (m.internal & 1) != 0;
	q->unlogged = (m.internal & 2) != 0;
	for (s = m.tags; *s;) {
		size_t n = strcspn(s, " ,\n");
		bool last = s[n] == '\0';

		s[n] = '\0';
		if (n)
			pol_qube_add_tag(q, s);
		s += n + !last;
	}
	pol_sysinfo_set(si, q);
	return 0;
}

static int on_sync(struct pd *pd, struct rd *r)
{
	struct ipc_pd_sync m;
	struct ipc_pd_synced a;
	uint8_t buf[16];
	struct wr w = wr_mem(buf, sizeof buf);

	if (ipc_get_pd_sync(r, &m) < 0 || !rd_done(r))
		return -EBADMSG;
	if (pd->staging) {
		if (pd->si) {
			pol_sysinfo_clear(pd->si);
			free(pd->si);
		}
		pd->si = STEAL_PTR(pd->staging);
	}
	a.token = m.token;
	ipc_put_pd_synced(&w, &a);
	return pd_core_send(pd, IPC_PD_SYNCED, &w);
}

/* Lists of the Admin API show a caller what single calls about each qube would be allowed for: the same rules, without asking anybody. */
static bool would_allow(struct pd *pd, const struct pol_query *q)
{
	struct pol_decision d;
	bool yes;

	pd_decide(pd, &d, pd->si, q);
	yes = d.outcome == POL_O_ALLOW && streq(d.target, "dom0");
	pol_decision_fini(&d);
	return yes;
}

static int on_eval(struct pd *pd, struct rd *r)
{
	static struct ipc_pd_eval m; /* large, both */
	static struct ipc_pd_evaled a;
	_cleanup_wr_ struct wr w = wr_grow(MSG_PAYLOAD_MAX);
	struct pol_query q = { .source = m.source, .service = m.service };
	const char *argument = "+";
	char *plus, *s;
	size_t n = 0;

	if (ipc_get_pd_eval(r, &m) < 0 || !rd_done(r))
		return -EBADMSG;
	plus = strchr(m.service, '+');
	_cleanup_free_ char *arg = xstrdup(plus ? plus : argument);

	if (plus)
		*plus = '\0';
	q.argument = arg;
	for (s = m.targets; *s && n + 1 < sizeof a.answers;) {
		size_t len = strcspn(s, " ");
		bool last = s[len] == '\0';

		s[len] = '\0';
		q.target = s;
		a.answers[n++] = would_allow(pd, &q) ? '1' : '0';
		s += len + !last;
	}
	a.answers[n] = '\0';
	a.token = m.token;
	ipc_put_pd_evaled(&w, &a);
	return pd_core_send(pd, IPC_PD_EVALED, &w);
}

static int on_attach(struct pd *pd, struct msg *m, struct rd *r)
{
	struct ipc_pd_attach a;

	if (ipc_get_pd_attach(r, &a) < 0 || !rd_done(r) || m->n_fds != 1)
		return -EBADMSG;
	if (pd_attach(pd, a.qid, a.name, STEAL_FD(m->fds[0])) < 0)
		log_warn("cannot attach %s", log_escs(a.name));
	return 0;
}

static int on_begin(struct pd *pd)
{
	if (pd->staging)
		pol_sysinfo_clear(pd->staging);
	else
		pd->staging = xcalloc(1, sizeof(*pd->staging));
	return 0;
}

static int on_notice(struct pd *pd, struct rd *r)
{
	struct ipc_pd_notice n;

	if (ipc_get_pd_notice(r, &n) < 0 || !rd_done(r))
		return -EBADMSG;
	pd_notice_text(pd, n.source, n.text);
	return 0;
}

static int on_message(struct pd *pd, struct msg *m)
{
	struct rd r = msg_rd(m);
	struct ipc_pd_detach d;
	struct ipc_pd_sysinfo_del x;

	switch (m->type) {
	case IPC_PD_ATTACH:
		return on_attach(pd, m, &r);
	case IPC_PD_DETACH:
		if (ipc_get_pd_detach(&r, &d) < 0 || !rd_done(&r))
			return -EBADMSG;
		pd_detach(pd, d.qid);
		return 0;
	case IPC_PD_SYSINFO_BEGIN:
		return on_begin(pd);
	case IPC_PD_SYSINFO:
		return on_sysinfo(pd, &r);
	case IPC_PD_SYSINFO_DEL:
		if (ipc_get_pd_sysinfo_del(&r, &x) < 0 || !rd_done(&r))
			return -EBADMSG;
		if (pd->staging || pd->si)
			pol_sysinfo_del(pd->staging ? pd->staging : pd->si, x.name);
		return 0;
	case IPC_PD_SYNC:
		return on_sync(pd, &r);
	case IPC_PD_EVAL:
		return on_eval(pd, &r);
	case IPC_PD_NOTICE:
		return on_notice(pd, &r);
	default:
		return -EBADMSG;
	}
}

static void on_core(struct ev_io *io, int fd, int events, void *arg)
{
	struct pd *pd = arg;

	if (events & EV_WRITE)
		flush(pd);
	for (;;) {
		_cleanup_msg_ struct msg m = { .fds = { -1, -1, -1, -1 } };
		int r = msg_recv(fd, &m);

		if (r == -EAGAIN)
			return;
		if (r == 1)
			r = on_message(pd, &m) < 0 ? -EBADMSG : 1;
		if (r != 1) {
			if (r < 0)
				log_error("the core sent a broken message (type %s)", ipc_type_name(m.type));
			end(pd, "channel to the core closed");
			return;
		}
	}
}

int pd_core_start(struct pd *pd, struct err *e)
{
	int r = fd_nonblock(pd->core_fd, true);

	if (r < 0)
		return err_errno(e, -r, "channel to the core");
	pd->out_tail = &pd->out_head;
	pd->core_io = ev_io_new(pd->loop, pd->core_fd, EV_READ, on_core, pd);
	return pd->core_io ? 0 : err_set(e, EINVAL, "channel to the core cannot be polled");
}
