/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * policyd: options, descriptors, sandbox. With a SEQPACKET socket as descriptor 3 it serves the core and the qrexec-daemons;
 * else it stands alone and speaks the reference's protocol only.
 */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/paths.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "daemon/policyd/fds.h"
#include "daemon/policyd/prompt.h"

#define SETTLE_MS 50 /* from the last change of a file to the reload, when nobody asks before */

static struct {
	const char *root, *policy_sock, *eval_sock, *gui_sock;
} opt;

static int usage(FILE *f, int code)
{
	fputs("usage: policyd [--root DIR] [--policy-path DIR]… [--socket-path P] [--eval-socket-path P] [--gui-socket-path P] [--qubesd-socket P]\n"
	      "               [--agent-socket P] [--ask-timeout SECONDS]\n"
	      "  --policy-path      directory of policy files; may be repeated, the first has precedence\n"
	      "  --socket-path      policy.sock\n"
	      "  --eval-socket-path, --gui-socket-path   sockets of policy.EvalSimple and policy.EvalGUI\n"
	      "  --qubesd-socket    internal socket of qubesd, source of the table of qubes when standing alone\n"
	      "  --agent-socket     where the prompt listens (policy.Ask, policy.Notify)\n"
	      "  --ask-timeout      a question is a refusal after this many seconds (900)\n",
	      f);
	return code;
}

static int parse(struct pd *pd, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "policy-path", required_argument, NULL, 'p' },     { "socket-path", required_argument, NULL, 's' },
		{ "eval-socket-path", required_argument, NULL, 'e' }, { "gui-socket-path", required_argument, NULL, 'g' },
		{ "qubesd-socket", required_argument, NULL, 'q' },    { "root", required_argument, NULL, 'r' },
		{ "agent-socket", required_argument, NULL, 'a' },     { "ask-timeout", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },		      { 0 },
	};
	uint64_t seconds;
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'p':
			if (pd->files.n_dirs == PD_DIRS_MAX)
				return usage(stderr, 2);
			pd->files.dirs[pd->files.n_dirs++] = optarg;
			break;
		case 's':
			opt.policy_sock = optarg;
			break;
		case 'e':
			opt.eval_sock = optarg;
			break;
		case 'g':
			opt.gui_sock = optarg;
			break;
		case 'q':
			pd->qubesd_socket = optarg;
			break;
		case 'a':
			pd->agent_socket = optarg;
			break;
		case 't':
			if (str_u64(optarg, 86400, &seconds) < 0 || seconds == 0)
				return usage(stderr, 2);
			pd->ask_ms = seconds * 1000;
			break;
		case 'r':
			opt.root = optarg;
			break;
		case 'h':
			return usage(stdout, 0);
		default:
			return usage(stderr, 2);
		}
	}
	return optind < argc ? usage(stderr, 2) : -1;
}

static bool is_seqpacket(int fd)
{
	int type = 0;
	socklen_t len = sizeof type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

static int open_sockets(struct pd *pd, struct err *e)
{
	int r = 0;

	/* With a core they are services of dom0: in system mode links in its service directory lead here. */
	static char eval[PATH_MAX], gui[PATH_MAX];
	enum path_id services = paths_system_mode() ? PATH_POLICYD_RUN : PATH_RPC_RUN;

	if (!opt.policy_sock)
		opt.policy_sock = path_get(PATH_POLICY_SOCK);
	if (pd->core_fd >= 0 && !opt.eval_sock)
		opt.eval_sock = path_fmt(eval, services, "/policy.EvalSimple");
	if (pd->core_fd >= 0 && !opt.gui_sock)
		opt.gui_sock = path_fmt(gui, services, "/policy.EvalGUI");
	if (pd->core_fd >= 0)
		r = fs_mkdir_p(path_get(services), 0700, e);
	if (r < 0)
		return r;
	r = pd_listen(pd, opt.policy_sock, PD_POLICY_SOCK, e);
	if (r == 0 && opt.eval_sock)
		r = pd_listen(pd, opt.eval_sock, PD_EVAL_SIMPLE, e);
	if (r == 0 && opt.gui_sock)
		r = pd_listen(pd, opt.gui_sock, PD_EVAL_GUI, e);
	return r;
}

/* A directory that is missing now stays missing for a confined policyd: everything is denied until it is started again. */
static int confine(struct pd *pd, struct err *e)
{
	struct sandbox_path paths[PD_DIRS_MAX + 2];
	size_t n = 0;

	for (int i = 0; i < pd->files.n_dirs; i++)
		if (access(pd->files.dirs[i], F_OK) == 0)
			paths[n++] = (struct sandbox_path){ pd->files.dirs[i], false };
	if (access(pd->files.legacy, F_OK) == 0)
		paths[n++] = (struct sandbox_path){ pd->files.legacy, false };
	if (access(path_get(PATH_PROMPT), F_OK) == 0)
		paths[n++] = (struct sandbox_path){ path_get(PATH_PROMPT), false };
	return sandbox_enter(SB_POLICYD, paths, n, e);
}

static void on_term(struct ev_signal *s, int signum, void *arg)
{
	ev_stop(arg, 0);
}

/* Errors of a policy are told when its file is saved, not when the next call is refused. */
static void on_settled(struct ev_timer *t, void *arg)
{
	struct pd *pd = arg;

	(void)pd_files_current(&pd->files);
	pd_notice_policy(pd);
}

static void on_files(struct ev_io *io, int fd, int events, void *arg)
{
	struct pd *pd = arg;

	pd_files_note(&pd->files);
	if (pd->files.replaced && pd->core_fd >= 0) {
		log_warn("a policy directory was replaced: starting again to see the new one");
		ev_stop(pd->loop, 0);
		return;
	}
	ev_timer_start(pd->settle, SETTLE_MS);
}

static int watch_files(struct pd *pd, struct err *e)
{
	pd->settle = ev_timer_new(pd->loop, on_settled, pd);
	if (!pd->settle || !ev_io_new(pd->loop, pd->files.inotify_fd, EV_READ, on_files, pd))
		return err_set(e, EINVAL, "cannot watch the policy directories");
	return 0;
}

static int start(struct pd *pd, struct err *e)
{
	int r;

	if (pd->files.n_dirs == 0) {
		pd->files.dirs[0] = path_get(PATH_POLICY_RUN);
		pd->files.dirs[1] = path_get(PATH_POLICY_ETC);
		pd->files.n_dirs = 2;
	}
	pd->files.legacy = path_get(PATH_POLICY_LEGACY);
	if (!pd->qubesd_socket)
		pd->qubesd_socket = path_get(PATH_QUBESD_INTERNAL_SOCK);
	if (!pd->agent_socket)
		pd->agent_socket = path_get(PATH_PROMPT_SOCK);
	pd->loop = ev_new();
	(void)ev_signal_new(pd->loop, SIGTERM, on_term, pd->loop);
	(void)ev_signal_new(pd->loop, SIGINT, on_term, pd->loop);
	signal(SIGPIPE, SIG_IGN);
	r = open_sockets(pd, e);
	if (r == 0 && pd->core_fd >= 0)
		r = pd_log_open(pd, e);
	if (r == 0 && pd->core_fd >= 0)
		r = fs_mkdir_p(path_get(PATH_PROMPT), 0700, e);
	if (r == 0 && pd->core_fd >= 0)
		r = confine(pd, e);
	if (r == 0)
		r = pd_files_init(&pd->files, e);
	if (r == 0)
		r = watch_files(pd, e);
	if (r == 0 && pd->core_fd >= 0)
		r = pd_core_start(pd, e);
	if (r == 0 && pd->core_fd >= 0)
		r = pd_notice_init(pd, e);
	return r;
}

int main(int argc, char **argv)
{
	static struct pd pd = { .core_fd = -1, .log_fd = -1, .ask_ms = PD_ASK_SECONDS * 1000 };
	struct err e = { 0 };
	int r = parse(&pd, argc, argv);

	if (r >= 0)
		return r;
	log_init("policyd", NULL, -1);
	if (is_seqpacket(POLICYD_FD_CORE)) {
		pd.core_fd = POLICYD_FD_CORE;
		pd.log_fd = fcntl(POLICYD_FD_LOG, F_GETFD) >= 0 ? POLICYD_FD_LOG : -1;
		pd.log_old_fd = fcntl(POLICYD_FD_LOG_OLD, F_GETFD) >= 0 ? POLICYD_FD_LOG_OLD : -1;
	}
	if (paths_init(opt.root, &e) < 0 || start(&pd, &e) < 0) {
		log_error("%s", e.msg);
		return 1;
	}
	r = ev_run(pd.loop);
	ev_free(pd.loop);
	return r;
}
