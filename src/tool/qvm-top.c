/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-top: what running qubes use, as it happens, or once. */
#include "tool/top.h"

enum { KEY_ONCE = 560, KEY_TOP_SORT, KEY_TOP_REVERSE };

/* No statistics for so long: what there is gets printed. The daemon's interval may be set longer than that by 'stats_interval'. */
#define SILENCE_MS 15000
/* A screen that is drawn more often shows the same rates again. */
#define NET_GAP_US 1000000

static const struct tool_opt opts[] = {
	{ KEY_ONCE, "once", NULL, "print the table once two statistics of every qube have come (the default without a terminal)", 0, W_ANY },
	{ 'b', "batch", NULL, "the same as --once", OPT_HIDDEN, W_ANY },
	{ KEY_TOP_SORT, "sort", "COLUMN", "cpu (the default), memory, disk, net, time, start or name", 0, W_ANY },
	{ KEY_TOP_REVERSE, "reverse", NULL, "reverse the order", 0, W_ANY },
	OPT_JSON,
	{ 0 },
};

static bool changes_list(const struct adm_event *ev)
{
	return str_starts(ev->name, "domain-s") || str_starts(ev->name, "domain-paused") || str_starts(ev->name, "domain-unpaused") ||
	       str_starts(ev->name, "domain-add") || str_starts(ev->name, "domain-delete");
}

/* cpu_usage is what was used between two statistics: the first of a stream has none. */
static int once(struct top *top, struct adm_events *stats, struct adm_events *events)
{
	struct adm_event ev;
	struct err e = { 0 };
	int r = top_refresh(top), k = 1;

	while (r == 0 && k == 1 && !top_complete(top, 2)) {
		k = adm_events_next(stats, SILENCE_MS, &ev, &e);
		if (k == 1)
			top_take(top, &ev);
		while (r == 0 && k == 1 && adm_events_next(events, 0, &ev, &e) == 1)
			r = changes_list(&ev) ? top_refresh(top) : 0;
	}
	if (r)
		return r;
	if (k == 0)
		return tool_fail(top->t, "qubesd has ended");
	if (k < 0 && k != -ETIMEDOUT)
		return tool_api(top->t, k, &e);
	r = top_refresh(top);
	if (r == 0 && opt_has(top->t, KEY_JSON))
		top_json(top);
	else if (r == 0)
		top_print(top, 0);
	return r;
}

static int with_streams(struct top *top)
{
	struct tool *t = top->t;
	bool live = t->tty && !opt_has(t, KEY_ONCE) && !opt_has(t, 'b') && !opt_has(t, KEY_JSON);
	struct adm_events stats, events;
	struct err e = { 0 };
	int r;

	top->net_gap_us = live ? NET_GAP_US : 0;
	r = adm_events_open(&events, "dom0", "admin.Events", &e);

	if (r < 0)
		return tool_api(t, r, &e);
	r = adm_events_open(&stats, "dom0", "admin.vm.Stats", &e);
	if (r < 0) {
		r = tool_api(t, r, &e);
	} else {
		r = live ? top_live(top, &stats, &events) : once(top, &stats, &events);
		adm_events_close(&stats);
	}
	adm_events_close(&events);
	return r;
}

static int run(struct tool *t, int argc, char **argv)
{
	struct top top = { .t = t, .reverse = opt_has(t, KEY_TOP_REVERSE) };
	const char *sort = opt_str(t, KEY_TOP_SORT);
	int r;

	(void)argc;
	(void)argv;
	top.sort = sort ? top_sort_named(sort) : TOP_CPU;
	if (top.sort == TOP_SORTS)
		return tool_usage(t, "the table can be sorted by cpu, memory, disk, net, time, start and name, not by '%s'", sort);
	r = with_streams(&top);
	top_fini(&top);
	return r;
}

const struct verb verb_qvm_top = {
	.name = "qvm-top",
	.summary = "show what running qubes use",
	.args = "",
	.desc = "CPU is in percent of one of the qube's processors' time; MEM-MIB what the qube\n"
		"takes of this host; UP the time since its start. OUTDATED: the template changed\n"
		"since, and a restart brings that. SENT/S and GOT/S are bytes a second, counted by\n"
		"the qube's NetVM. dom0 is this computer without its qubes.\n"
		"Keys: c m d w t s n sort, r reverses, q ends.",
	.opts = opts,
	.max_args = ARGS_NONE,
	.run = run,
};
