/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Channels to a qube's linkd and qrexec-daemon, what they tell, and the repair of roles that died. */
#include <fcntl.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "daemon/qubesd/net.h"
#include "daemon/qubesd/state.h"

static void role_gone(struct run *r, uint32_t role);

static void on_hello(struct run *r, struct ipc_ld_hello *h)
{
	r->linkd_pid = h->pid;
	r->linkd_start = h->start;
	r->qemu_pid = h->qemu_pid;
	r->qemu_start = h->qemu_start;
	r->accel = h->accel;
	r->console_seen |= h->console_seen != 0;
	r->link_up = h->link_up != 0;
	/* A core that was away may have missed the end of a role. */
	if (r->phase == PH_UP && !h->qrexec_chan)
		role_gone(r, ROLE_QREXEC_DAEMON);
	if (r->phase == PH_UP && !h->qubesdb_chan)
		role_gone(r, ROLE_QUBESDB_DAEMON);
	run_boot_event(r);
}

static void call_ended(struct run *r, const struct ipc_ld_event *ev)
{
	const char *blank = strchr(ev->text, ' ');
	char peer[12];
	uint64_t n, first;

	if (!blank || (size_t)(blank - ev->text) >= sizeof peer)
		return;
	memcpy(peer, ev->text, (size_t)(blank - ev->text));
	peer[blank - ev->text] = '\0';
	if (str_u64(peer, UINT32_MAX, &n) < 0 || str_u64(blank + 1, UINT64_MAX, &first) < 0)
		return;
	trace_ended(r->q->qid, (uint32_t)n, ev->detail, first);
	run_disp_channel_ended(r, (uint32_t)n, ev->detail);
}

static void on_link_event(struct run *r, struct ipc_ld_event *ev)
{
	switch (ev->event) {
	case LD_EV_CONSOLE:
		r->console_seen = true;
		break;
	case LD_EV_LINK_UP:
		r->link_up = true;
		break;
	case LD_EV_LINK_DOWN:
		r->link_up = false;
		break;
	case LD_EV_SHUTDOWN:
		log_info("%s powered off", r->q->name.s);
		run_off(r);
		break;
	case LD_EV_CRASHED:
		r->off = true;
		if (r->phase == PH_ENDING)
			break; /* it was killed */
		log_warn("%s crashed: %s", r->q->name.s, ev->text);
		if (r->phase == PH_UP) {
			run_state(r, LIFE_EV_CRASH);
			run_commit(r->d);
			run_end(r);
		}
		break;
	case LD_EV_ROLE_GONE:
		role_gone(r, ev->detail);
		break;
	case LD_EV_CALL:
		call_ended(r, ev);
		break;
	case LD_EV_NIC_GONE:
		net_port_gone(r, ev->detail);
		break;
	case LD_EV_DISK_ERROR:
		run_disk_error(r, ev->detail, ev->text);
		break;
	default:
		break; /* PAUSED and RUNNING follow our own commands */
	}
}

static void on_linkd_msg(struct peer *p, struct msg *m)
{
	struct run *r = p->arg;
	struct rd rd = msg_rd(m);
	struct ipc_ld_hello h;
	struct ipc_ld_event ev;

	if (m->type == IPC_LD_HELLO && ipc_get_ld_hello(&rd, &h) == 0 && rd_done(&rd) && h.qid == r->q->qid)
		on_hello(r, &h);
	else if (m->type == IPC_LD_EVENT && ipc_get_ld_event(&rd, &ev) == 0 && rd_done(&rd))
		on_link_event(r, &ev);
	else
		log_warn("linkd of %s: unexpected message %s", r->q->name.s, ipc_type_name(m->type));
}

/* linkd serves the last connection that came: who else looked at its socket has taken our place. Only a linkd that cannot be
   reached any more is dead, and its qube with it. */
static void on_linkd_gone(struct peer *p)
{
	struct run *r = p->arg;
	struct err e = { 0 };

	r->linkd = NULL;
	peer_free(p);
	if (r->phase < PH_ENDING && ++r->reconnects <= RECONNECTS_MAX && run_connect_linkd(r, &e) >= 0)
		return;
	run_gone(r);
}

static const struct peer_ops linkd_ops = { .msg = on_linkd_msg, .gone = on_linkd_gone };

int run_connect_linkd(struct run *r, struct err *e)
{
	char path[PATH_MAX];
	int fd = unix_connect(path_fmt(path, PATH_QUBE_RUN, "/%u/linkd.ctl", r->q->qid), SOCK_SEQPACKET, e);

	if (fd < 0)
		return fd;
	r->linkd = peer_new(r->d->loop, fd, &linkd_ops, r, "linkd");
	return r->linkd ? 0 : err_set(e, EBADF, "cannot watch linkd");
}

int run_cmd(struct run *r, enum ld_cmd cmd, peer_reply_fn fn, void *arg, struct err *e)
{
	struct ipc_ld_cmd c = { .cmd = (uint8_t)cmd };
	uint8_t buf[8];
	struct wr w = wr_mem(buf, sizeof buf);

	if (!r->linkd)
		return err_set(e, AE_VM_NOT_RUNNING, "'%s' is not running", r->q->name.s);
	ipc_put_ld_cmd(&w, &c);
	return peer_request(r->linkd, IPC_LD_CMD, &w, NULL, 0, fn, arg, e);
}

static void on_qrexec_msg(struct peer *p, struct msg *m)
{
	struct run *r = p->arg;
	struct rd rd = msg_rd(m);
	struct ipc_qd_hello h;
	struct ipc_qd_event ev;

	if (m->type == IPC_QD_HELLO && ipc_get_qd_hello(&rd, &h) == 0 && rd_done(&rd)) {
		r->agent_up = h.agent_version != 0;
		run_boot_event(r);
	} else if (m->type == IPC_QD_EVENT && ipc_get_qd_event(&rd, &ev) == 0 && rd_done(&rd)) {
		if (ev.event == QD_EV_AGENT_UP) {
			r->agent_up = true;
			run_boot_event(r);
		} else if (ev.event == QD_EV_AGENT_DOWN) {
			r->agent_up = false;
		} else if (ev.event == QD_EV_CALL_DONE) {
			if (!warm_call_done(r, ev.peer, ev.port))
				run_disp_call_ended(r, ev.peer, ev.port);
		} else if (ev.event == QD_EV_REQUEST) {
			trace_asked(r->q->qid, ev.peer, ev.port);
		}
	} else {
		log_warn("qrexec-daemon of %s: unexpected message %s", r->q->name.s, ipc_type_name(m->type));
	}
}

static void on_qrexec_gone(struct peer *p)
{
	struct run *r = p->arg;

	/* linkd tells that the role is gone and has to be started again; this is the other half of the same news. */
	r->qrexec = NULL;
	r->agent_up = false;
	peer_free(p);
}

static const struct peer_ops qrexec_ops = { .msg = on_qrexec_msg, .gone = on_qrexec_gone };

int run_connect_qrexec(struct run *r, struct err *e)
{
	char path[PATH_MAX];
	int fd = unix_connect(path_fmt(path, PATH_QUBE_RUN, "/%u/qrexec.ctl", r->q->qid), SOCK_SEQPACKET, e);

	if (fd < 0)
		return fd;
	peer_free(r->qrexec);
	r->qrexec = peer_new(r->d->loop, fd, &qrexec_ops, r, "qrexec-daemon");
	return r->qrexec ? 0 : err_set(e, EBADF, "cannot watch qrexec-daemon");
}

void run_disconnect(struct run *r)
{
	run_qdb_close(r);
	peer_free(STEAL_PTR(r->qrexec));
	peer_free(STEAL_PTR(r->linkd));
}

struct repair {
	struct qd *d;
	uint32_t qid;
	uint8_t role;
};

static void role_started(void *arg, int k, struct msg *m, struct err *e)
{
	struct repair p = *(struct repair *)arg;
	struct run *r = run_find(p.d, p.qid);
	struct ipc_ld_role_chan c = { .role = p.role };
	uint8_t buf[8];
	struct wr w = wr_mem(buf, sizeof buf);
	struct err e2 = { 0 };

	free(arg);
	if (k >= 0 && m->n_fds != 1)
		k = err_set(e, EBADMSG, "no channel came with the role");
	if (k >= 0 && r && r->linkd) {
		ipc_put_ld_role_chan(&w, &c);
		k = peer_request(r->linkd, IPC_LD_ROLE_CHAN, &w, m->fds, 1, NULL, NULL, e);
	}
	if (k < 0 || !r || !r->linkd) {
		log_error("starting %s anew: %s", ipc_role_name(p.role), err_text(e, k));
		return;
	}
	log_info("%s of %s was started anew", ipc_role_name(p.role), r->q->name.s);
	if (p.role == ROLE_QREXEC_DAEMON) {
		k = run_connect_qrexec(r, &e2);
		if (k >= 0)
			policy_attach(r);
	} else {
		run_qdb_close(r);
		k = run_qdb_fill(r, &e2);
	}
	if (k < 0)
		log_error("%s: %s", r->q->name.s, err_text(&e2, k));
}

static void role_gone(struct run *r, uint32_t role)
{
	_cleanup_wr_ struct wr w = wr_grow(1024);
	struct ipc_sp_start_role q = { .qid = r->q->qid, .role = (uint8_t)role };
	struct repair *p;
	struct pval v;
	struct err e = { 0 };

	if (r->off || r->phase >= PH_ENDING || (role != ROLE_QREXEC_DAEMON && role != ROLE_QUBESDB_DAEMON))
		return;
	if (++r->restarts > ROLE_RESTARTS_MAX) {
		log_error("%s: %s died too often: it stays away", r->q->name.s, ipc_role_name((uint8_t)role));
		return;
	}
	log_warn("%s: %s died", r->q->name.s, ipc_role_name((uint8_t)role));
	memcpy(q.name, r->q->name.s, sizeof q.name);
	memcpy(q.uuid, r->q->uuid.s, sizeof r->q->uuid.s);
	prop_get(r->d->core, r->q, P_default_user, &v);
	(void)!snprintf(q.default_user, sizeof q.default_user, "%s", v.has ? v.s : "user");
	ipc_put_sp_start_role(&w, &q);
	p = xcalloc(1, sizeof *p);
	*p = (struct repair){ r->d, r->q->qid, (uint8_t)role };
	if (peer_request(r->d->spawner, IPC_SP_START_ROLE, &w, NULL, 0, role_started, p, &e) < 0) {
		log_error("%s", e.msg);
		free(p);
	}
}
