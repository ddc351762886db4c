/* SPDX-License-Identifier: GPL-3.0-or-later */
/* clipd: options, files, sandbox, the control socket of bulkhead-desktop. */
#include <getopt.h>
#include <signal.h>

#include "base/log.h"
#include "base/msg.h"
#include "base/paths.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "gui/clipd/clipd.h"

static int usage(FILE *f, int code)
{
	fputs("usage: clipd [--root DIR] [--policy-socket PATH] [--agent-socket PATH]\n"
	      "Started by bulkhead-desktop, which gives it the sockets of the guids over descriptor 3.\n",
	      f);
	return code;
}

static struct {
	const char *root, *policy, *agent;
} opt;

static int parse(int argc, char **argv)
{
	static const struct option longs[] = { { "root", required_argument, NULL, 'r' }, { "policy-socket", required_argument, NULL, 'p' },
					       { "agent-socket", required_argument, NULL, 'a' }, { "help", no_argument, NULL, 'h' }, { 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'r')
			opt.root = optarg;
		else if (c == 'p')
			opt.policy = optarg;
		else if (c == 'a')
			opt.agent = optarg;
		else
			return c == 'h' ? usage(stdout, 0) : usage(stderr, 2);
	}
	return optind < argc ? usage(stderr, 2) : -1;
}

static void on_control(struct ev_io *io, int fd, int events, void *arg)
{
	struct clipd *d = arg;
	_cleanup_msg_ struct msg m = { 0 };
	char text[QNAME_MAX + 1];
	struct qname name;
	uint32_t limit;
	struct rd r;
	int k = msg_recv(fd, &m);

	if (k == -EAGAIN)
		return;
	if (k <= 0) {
		/* The session is over. */
		ev_stop(d->loop, 0);
		return;
	}
	r = msg_rd(&m);
	rd_lstr(&r, text, sizeof text);
	limit = rd_u32le(&r);
	if (m.type != CLIPD_NEW_GUID || m.n_fds != 1 || !rd_done(&r) || qname_parse(&name, text, NULL) < 0) {
		log_error("a message of bulkhead-desktop is not understood");
		return;
	}
	k = guid_new(d, &name, limit, STEAL_FD(m.fds[0]));
	if (k < 0)
		log_error("no connection to a guid: qube=%s code=%d", name.s, -k);
}

static void on_signal(struct ev_signal *s, int signum, void *arg)
{
	ev_stop(arg, 0);
}

int main(int argc, char **argv)
{
	static char policy[PATH_MAX];
	struct clipd d = { 0 };
	struct err e = { 0 };
	int r = parse(argc, argv);

	if (r >= 0)
		return r;
	log_init("clipd", NULL, -1);
	signal(SIGPIPE, SIG_IGN);
	if (paths_init(opt.root, &e) < 0) {
		log_error("%s", e.msg);
		return 1;
	}
	d.loop = ev_new();
	d.policy_socket = opt.policy ? opt.policy : path_fmt(policy, paths_system_mode() ? PATH_POLICYD_RUN : PATH_RPC_RUN, "/policy.EvalSimple");
	tell_init(d.loop, opt.agent ? opt.agent : path_get(PATH_PROMPT_SOCK));
	if (!ev_signal_new(d.loop, SIGTERM, on_signal, d.loop) || !ev_signal_new(d.loop, SIGINT, on_signal, d.loop) ||
	    !ev_io_new(d.loop, CLIPD_FD_CONTROL, EV_READ, on_control, &d)) {
		log_error("descriptor %d is no socket: clipd is started by bulkhead-desktop", CLIPD_FD_CONTROL);
		return 1;
	}
	if (sandbox_enter(SB_CLIPD, NULL, 0, &e) < 0) {
		log_error("%s", e.msg);
		return 1;
	}
	r = ev_run(d.loop);
	guid_free_all(&d);
	clip_wipe(&d.clip);
	ev_free(d.loop);
	return r;
}
