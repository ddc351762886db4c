/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qrexec-agent: runs what dom0 orders in this qube and hands the qube's own requests to dom0. */
#include "agent.h"

#include <getopt.h>
#include <signal.h>

#include "base/log.h"
#include "qrexec/defaults.h"

static void usage(FILE *f, const char *name)
{
	fprintf(f,
		"usage: %s [options]\n"
		"  -a, --agent-socket=PATH        socket for requests of this qube (%s)\n"
		"  -s, --fork-server-socket=PATH  of the server in a user's session, %%s is the user\n"
		"                                 (%s)\n"
		"  -S, --no-fork-server           start everything here\n"
		"  -h, --help                     this text\n",
		name, QREXEC_AGENT_SOCKET, QREXEC_FORK_SERVER_SOCKET);
}

static int parse(struct agent *a, int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "agent-socket", required_argument, NULL, 'a' },
		{ "fork-server-socket", required_argument, NULL, 's' },
		{ "no-fork-server", no_argument, NULL, 'S' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "ha:s:S", options, NULL)) != -1) {
		switch (c) {
		case 'a':
			a->trigger_path = optarg;
			break;
		case 's':
			if (!strstr(optarg, "%s")) {
				fprintf(stderr, "%s: the path of fork servers needs a %%s\n", argv[0]);
				return -1;
			}
			a->fork_server = optarg;
			break;
		case 'S':
			a->fork_server = NULL;
			break;
		case 'h':
			usage(stdout, argv[0]);
			return 0;
		default:
			usage(stderr, argv[0]);
			return -1;
		}
	}
	if (optind != argc) {
		usage(stderr, argv[0]);
		return -1;
	}
	return 1;
}

static void on_stop(struct ev_signal *s, int signum, void *arg)
{
	struct agent *a = arg;

	ev_stop(a->loop, 0);
}

/* The supervisor of a machine that is to be saved asks for it (docs/states.md §4). */
static void on_warm(struct ev_signal *s, int signum, void *arg)
{
	calls_warm(arg);
}

int main(int argc, char **argv)
{
	static struct agent a = { .trigger_path = QREXEC_AGENT_SOCKET, .fork_server = QREXEC_FORK_SERVER_SOCKET, .trigger_fd = -1, .spare = { .fd = -1, .pidfd = -1 } };
	struct err e = { 0 };
	int r = parse(&a, argc, argv);

	if (r <= 0)
		return r < 0 ? 2 : 0;
	log_init("qrexec-agent", NULL, -1);
	signal(SIGPIPE, SIG_IGN);
	TAILQ_INIT(&a.clients);
	TAILQ_INIT(&a.calls);
	login_prepare();
	a.loop = ev_new();
	ev_signal_new(a.loop, SIGTERM, on_stop, &a);
	ev_signal_new(a.loop, SIGINT, on_stop, &a);
	ev_signal_new(a.loop, SIGUSR1, on_warm, &a);
	if (control_start(&a, &e) < 0 || trigger_start(&a, &e) < 0) {
		log_error("%s", err_text(&e, -EIO));
		return 1;
	}
	calls_prepare(&a);
	return ev_run(a.loop);
}
