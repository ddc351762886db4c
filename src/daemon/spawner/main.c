/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of requests and the loop. */
#include <getopt.h>
#include <signal.h>

#include "base/log.h"
#include "base/paths.h"
#include "base/sandbox.h"
#include "daemon/spawner/spawner.h"

/* Anything that is not a row here, has another number of descriptors, or is a reply, ends the spawner. */
static const struct rule {
	uint32_t type;
	size_t n_fds;
	/* 0 when answered (or to be answered later); negative: answered with an error by the caller */
	int (*fn)(struct spawner *s, struct msg *m, struct err *e);
} rules[] = {
	{ IPC_SP_START_QUBE, 0, on_start_qube },
	{ IPC_SP_START_QUBE, 1, on_start_qube }, /* with the descriptor of a disk that is given */
	{ IPC_SP_START_ROLE, 0, on_start_role },
	{ IPC_SP_START_POLICYD, 0, on_start_policyd },
	{ IPC_SP_KILL, 0, on_kill },
	{ IPC_SP_STORAGE, 0, on_storage },
	{ IPC_SP_DOM0_SERVICE, 1, on_dom0_service },
	{ IPC_SP_DOM0_SERVICE, 2, on_dom0_service },
	{ IPC_SP_CALL, 2, on_call },
	{ IPC_SP_USAGE, 0, on_usage },
	{ IPC_SP_TRACE_LOG, 0, on_trace_log },
	{ IPC_SP_UPLINK, 1, on_uplink },
	{ IPC_SP_FORGET, 0, on_forget },
	{ IPC_SP_STATE_KEEP, 0, on_state_keep },
	{ IPC_SP_STATE_DROP, 0, on_state_drop },
	{ IPC_SP_STATE_LIST, 0, on_state_list },
};

void reply(struct spawner *s, const struct msg *m, const struct wr *w, const int *fds, size_t n_fds)
{
	int r = msg_send(SPAWNER_FD_CORE, m->type, m->serial, MSG_F_REPLY, w, fds, n_fds);

	if (r < 0) {
		log_error("core: reply to %s: %s", ipc_type_name(m->type), strerror(-r));
		ev_stop(s->loop, 1);
	}
}

void refuse(struct spawner *s, uint32_t type, uint32_t serial, int code, const struct err *e)
{
	if (ipc_send_err(SPAWNER_FD_CORE, type, serial, code, e) < 0)
		ev_stop(s->loop, 1);
}

static const struct rule *rule_of(const struct msg *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].type == m->type && rules[i].n_fds == m->n_fds && m->flags == 0)
			return &rules[i];
	return NULL;
}

static void serve(struct spawner *s, struct msg *m)
{
	const struct rule *rule = rule_of(m);
	struct err e = { 0 };
	int r;

	if (!rule) {
		log_error("core: unexpected message %s (0x%x)", ipc_type_name(m->type), m->type);
		ev_stop(s->loop, 1);
		return;
	}
	r = rule->fn(s, m, &e);
	if (r >= 0)
		return;
	/* That a process has ended is an answer: the core asks for it until then. */
	if (r == -ESRCH)
		log_debug("%s: %s", ipc_type_name(m->type), err_text(&e, r));
	else
		log_warn("%s: %s", ipc_type_name(m->type), err_text(&e, r));
	refuse(s, m->type, m->serial, r, &e);
}

static void on_core(struct ev_io *io, int fd, int events, void *arg)
{
	struct spawner *s = arg;
	_cleanup_msg_ struct msg m = { 0 };
	int r = msg_recv(fd, &m);

	if (r == -EAGAIN || r == -EINTR)
		return;
	if (r <= 0) {
		if (r < 0)
			log_error("core: %s", strerror(-r));
		ev_stop(s->loop, r < 0);
		return;
	}
	serve(s, &m);
}

static int run(struct err *e)
{
	_cleanup_(ev_freep) struct ev_loop *loop = ev_new();
	struct spawner s = { .loop = loop, .cgroups = -1 };
	int r;

	if (!loop)
		return err_set(e, ENOMEM, "event loop");
	s.core = ev_io_new(loop, SPAWNER_FD_CORE, EV_READ, on_core, &s);
	if (!s.core)
		return err_set(e, EBADF, "descriptor %d is not a socket to the core", SPAWNER_FD_CORE);
	limits_init(&s);
	log_info("ready");
	r = ev_run(loop);
	runner_fini(&s);
	states_fini(&s);
	holder_fini(&s);
	return r;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = { { "root", required_argument, NULL, 'r' }, { NULL, 0, NULL, 0 } };
	const char *root = NULL;
	struct err e = { 0 };
	int c, r;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c != 'r') {
			fputs("usage: spawner [--root DIR]  (started by qubesd, descriptor 3 is its channel)\n", stderr);
			return 2;
		}
		root = optarg;
	}
	log_init("spawner", NULL, -1);
	signal(SIGPIPE, SIG_IGN);
	r = paths_init(root, &e);
	if (r >= 0)
		r = paths_make(&e);
	/* Services of dom0 find their session by it. */
	if (r >= 0 && !paths_system_mode() && setenv("QUBES_ROOT", paths_root(), 1) < 0)
		r = err_errno(&e, errno, "environment");
	/* No confinement, since its children would inherit it; but no other process of this user may look into this one. */
	if (r >= 0)
		r = sandbox_enter(SB_SPAWNER, NULL, 0, &e);
	if (r >= 0)
		r = run(&e);
	if (r < 0)
		log_error("%s", err_text(&e, r));
	return r < 0 ? 1 : r;
}
