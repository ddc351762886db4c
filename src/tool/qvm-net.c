/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-net: the network of qubes as it is now, and the way of a packet through it. */
#include "tool/net.h"

enum { KEY_NET_WATCH = 580, KEY_NET_COUNT, KEY_NET_PROTO, KEY_NET_TO };

#define REDRAW_MS 2000 /* counters change without an event */

static const struct tool_opt opts[] = {
	{ KEY_NET_WATCH, "watch", NULL, "draw the tree anew with every change, until Ctrl-C", 0, W_ANY },
	{ 'w', "watch", NULL, NULL, OPT_ALIAS | OPT_HIDDEN, W_ANY },
	{ KEY_NET_COUNT, "no-count", NULL, "do not ask the running NetVMs how much passed", 0, W_ANY },
	{ KEY_NET_PROTO, "proto", "PROTOCOL", "trace: tcp (the default), udp or icmp", 0, W_ANY },
	{ KEY_NET_TO, "to", "ADDRESS", "test: the address outside that is tried", 0, W_ANY },
	OPT_JSON,
	{ 0 },
};

static const struct tool_sub subs[] = {
	{ "list", "", "show the tree of NetVMs and qubes (the default)" },
	{ "trace", "QUBE [HOST[:PORT]]", "show the way of a packet, and which rule decides" },
	{ "test", "QUBE", "let a running qube try, as root, what should reach nobody" },
	{ 0 },
};

static const struct tool_exit exits[] = {
	{ 3, "trace: the packet is refused, or has no way; test: something leaks" },
	{ 4, "trace: it depends on the addresses of names" },
	{ 0, NULL },
};

static int show(struct tool *t)
{
	struct net net;
	int r = net_load(&net, t, !opt_has(t, KEY_NET_COUNT));

	if (r)
		return r;
	if (opt_has(t, KEY_JSON))
		net_json(&net);
	else
		net_print(&net);
	net_fini(&net);
	return fflush(stdout) == 0 ? 0 : EXIT_FAIL;
}

static int watch(struct tool *t)
{
	struct adm_events events;
	struct adm_event ev;
	struct err e = { 0 };
	int r = adm_events_open(&events, "dom0", "admin.Events", &e), k;

	if (r < 0)
		return tool_api(t, r, &e);
	do {
		if (t->tty)
			(void)fputs("\033[H\033[2J", stdout);
		r = show(t);
		k = r ? 0 : adm_events_next(&events, REDRAW_MS, &ev, &e);
		/* A burst of events is one picture. */
		while (k == 1 && adm_events_next(&events, 0, &ev, &e) == 1)
			;
	} while (r == 0 && (k == 1 || k == -ETIMEDOUT));
	adm_events_close(&events);
	if (r)
		return r;
	return k == 0 ? tool_fail(t, "qubesd has ended") : tool_api(t, k, &e);
}

static int run(struct tool *t, int argc, char **argv)
{
	const char *cmd = argc ? argv[0] : "list";
	bool watches = opt_has(t, KEY_NET_WATCH) || opt_has(t, 'w');

	if (streq(cmd, "trace")) {
		if (argc < 2 || argc > 3)
			return tool_usage(t, "name a qube, and where to: qvm-net trace QUBE [HOST[:PORT]]");
		if (watches || opt_has(t, KEY_JSON))
			return tool_usage(t, "trace knows neither --watch nor --json");
		return net_trace(t, argv[1], argc > 2 ? argv[2] : NULL, opt_str(t, KEY_NET_PROTO));
	}
	if (streq(cmd, "test")) {
		if (argc != 2)
			return tool_usage(t, "name one running qube: qvm-net test QUBE");
		return watches || opt_has(t, KEY_NET_PROTO) ? tool_usage(t, "test knows neither --watch nor --proto") : net_test(t, argv[1], opt_str(t, KEY_NET_TO));
	}
	if (!streq(cmd, "list"))
		return tool_usage(t, "no such command: '%s'; there are list, trace and test", cmd);
	if (argc > 1)
		return tool_usage(t, "list takes no name");
	if (opt_has(t, KEY_NET_PROTO) || opt_has(t, KEY_NET_TO))
		return tool_usage(t, "--proto belongs to trace, --to to test");
	return watches ? watch(t) : show(t);
}

const struct verb verb_qvm_net = {
	.name = "qvm-net",
	.summary = "show the network of qubes, and the way of a packet",
	.args = "[list | trace QUBE [HOST[:PORT]] | test QUBE]",
	.desc = "LINK is up, waits (a device is not configured yet), cut, ? (not known) or - (one\n"
		"of both does not run). SENT and RECEIVED are bytes since the link was made, as\n"
		"the qube sees it and its NetVM counts them.",
	.opts = opts,
	.subs = subs,
	.exits = exits,
	.words = { W_SUB, W_QUBE, W_ANY },
	.run = run,
};
