/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qubes-gui: the program. Options, the loop, and what happens after each event. */
#include <getopt.h>
#include <signal.h>

#include "agent/gui/agent.h"
#include "base/log.h"
#include "base/str.h"

#define ROUNDS_MAX 8
#define EXIT_NO_X 4
#define WIPE_MS 60000
#define CONTROL "/run/qubes/gui-agent.sock"
#define ANSWER_MS 2000
#define WIPE_FLAG "/run/qubes-service/gui-agent-clipboard-wipe"

void agent_fail(struct agent *a, const char *why)
{
	log_error("%s", why);
	ev_stop(a->loop, EXIT_NO_X);
}

static void on_again(struct ev_timer *t, void *arg)
{
	agent_settle(arg);
}

/* Waiting for one answer of the X server brings events along that no poll shows any more, so this goes on until there are none; but not for ever, since
   a program may draw faster than we look and guid wants to be heard as well. */
void agent_settle(struct agent *a)
{
	for (unsigned i = 0;; i++) {
		xcb_generic_event_t *ev;
		bool any = false;

		while ((ev = xcb_poll_for_event(a->x))) {
			x_event(a, ev);
			free(ev);
			any = true;
		}
		if (xcb_connection_has_error(a->x)) {
			agent_fail(a, "the X server is gone");
			return;
		}
		any |= pixels_send(a);
		if (!any)
			break;
		if (i == ROUNDS_MAX) {
			ev_timer_start(a->again_timer, 0);
			break;
		}
	}
	xcb_flush(a->x);
}

static void on_signal(struct ev_signal *s, int signum, void *arg)
{
	struct agent *a = arg;

	ev_stop(a->loop, 0);
}

static const char usage_text[] =
	"usage: qubes-gui [OPTION…]\n"
	"Shows the windows of this qube's X server ($DISPLAY) on the host.\n"
	"  --bar FILE        memory for pixels: this file in place of the PCI device\n"
	"  --bar-fd N        descriptor of a socket to the program that opens the device for us\n"
	"  --control PATH    socket for commands (withhold on|off, announce [CLASS], preload NAME, open NAME,\n"
	"                     layout …, status, wait-last)\n"
	"  --control-fd N    the same, listening already\n"
	"  --wipe-flag FILE  the clipboard is blanked a minute after a paste while this file is there\n"
	"  --wipe-ms N       another time than a minute\n"
	"  --answer-ms N     for the answer of a program that is asked for its clipboard, and for each piece of it (default: 2000)\n"
	"or: qubes-gui --command LINE   tells the agent that runs here, and prints its answer\n"
	"    qubes-gui --layout         the same with the monitors on the standard input, a line each: W H X Y [W_MM H_MM]\n";

enum { OPT_BAR = 256, OPT_BAR_FD, OPT_CONTROL, OPT_CONTROL_FD, OPT_WIPE_FLAG, OPT_WIPE_MS, OPT_ANSWER_MS, OPT_COMMAND, OPT_LAYOUT };

static int number(const char *s, uint64_t max)
{
	uint64_t v;

	return str_u64(s, max, &v) < 0 ? -1 : (int)v;
}

static int parse(struct agent_options *o, int argc, char **argv)
{
	static const struct option table[] = {
		{ "bar", required_argument, NULL, OPT_BAR },
		{ "bar-fd", required_argument, NULL, OPT_BAR_FD },
		{ "control", required_argument, NULL, OPT_CONTROL },
		{ "control-fd", required_argument, NULL, OPT_CONTROL_FD },
		{ "wipe-flag", required_argument, NULL, OPT_WIPE_FLAG },
		{ "wipe-ms", required_argument, NULL, OPT_WIPE_MS },
		{ "answer-ms", required_argument, NULL, OPT_ANSWER_MS },
		{ "command", required_argument, NULL, OPT_COMMAND },
		{ "layout", no_argument, NULL, OPT_LAYOUT },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c, n = 0;

	while ((c = getopt_long(argc, argv, "h", table, NULL)) != -1) {
		switch (c) {
		case OPT_BAR:
			o->bar_file = optarg;
			break;
		case OPT_BAR_FD:
			n = o->bar_fd = number(optarg, 1023);
			break;
		case OPT_CONTROL:
			o->control = optarg;
			break;
		case OPT_CONTROL_FD:
			n = o->control_fd = number(optarg, 1023);
			break;
		case OPT_WIPE_FLAG:
			o->wipe_flag = optarg;
			break;
		case OPT_WIPE_MS:
			n = number(optarg, 86400000);
			o->wipe_ms = (uint64_t)MAX(n, 0);
			break;
		case OPT_ANSWER_MS:
			n = number(optarg, 86400000);
			o->answer_ms = (uint64_t)MAX(n, 0);
			break;
		case OPT_COMMAND:
			exit(control_command(o->control ? o->control : CONTROL, optarg));
		case OPT_LAYOUT:
			exit(control_layout(o->control ? o->control : CONTROL, STDIN_FILENO));
		case 'h':
			fputs(usage_text, stdout);
			exit(0);
		default:
			return -EINVAL;
		}
		if (n < 0)
			return -EINVAL;
	}
	return optind == argc ? 0 : -EINVAL;
}

static int start(struct agent *a, struct err *e)
{
	int r;

	TAILQ_INIT(&a->wins);
	TAILQ_INIT(&a->ghosts);
	a->loop = ev_new();
	a->again_timer = ev_timer_new(a->loop, on_again, a);
	(void)ev_signal_new(a->loop, SIGTERM, on_signal, a);
	(void)ev_signal_new(a->loop, SIGINT, on_signal, a);
	r = x_open(a, e);
	if (r == 0)
		r = clip_start(a, e);
	if (r == 0)
		r = wm_start(a, e);
	if (r == 0 && (a->o.control || a->o.control_fd >= 0))
		r = control_start(a, e);
	if (r < 0)
		return r;
	tray_start(a);
	input_start(a);
	win_scan(a);
	link_start(a);
	agent_settle(a);
	return 0;
}

int main(int argc, char **argv)
{
	static struct agent a = {
		.o = { .bar_fd = -1, .control_fd = -1, .wipe_flag = WIPE_FLAG, .wipe_ms = WIPE_MS, .answer_ms = ANSWER_MS },
	};
	struct err e = { 0 };
	int r;

	log_init("qubes-gui", NULL, -1);
	if (parse(&a.o, argc, argv) < 0) {
		fputs(usage_text, stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	r = start(&a, &e);
	if (r < 0) {
		log_error("%s", err_text(&e, r));
		return EXIT_NO_X;
	}
	return ev_run(a.loop);
}
