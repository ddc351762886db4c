/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-sync-clock: give dom0's time to running qubes. */
#include <time.h>

#include "proto/isotime.h"
#include "tool/service.h"
#include "tool/util.h"

static const struct tool_opt opts[] = { OPTS_NAMES, { 0 } };

static int sync_one(struct tool *t, const char *qube)
{
	_cleanup_free_ char *answer = NULL;
	char date[ISOTIME_CAP], line[ISOTIME_CAP + 2];
	struct timespec now;
	struct err e = { 0 };
	size_t n = 0;
	int r;

	if (clock_gettime(CLOCK_REALTIME, &now) < 0 || isotime_put(date, (struct isotime){ now.tv_sec, 0 }, false) < 0 ||
	    str_printf(line, sizeof line, "%s\n", date) < 0)
		return tool_fail(t, "the clock of dom0 is not set");
	r = service_call(qube, "qubes.SetDateTime", line, 4096, &answer, &n, &e);
	if (r < 0)
		return tool_fail(t, "%s: %s", qube, err_text(&e, r));
	return r ? tool_fail(t, "%s: the qube did not take the time (status %d)", qube, r) : 0;
}

static int run(struct tool *t, int argc, char **argv)
{
	_cleanup_(adm_qubes_fini) struct adm_qubes all = { 0 };
	_cleanup_free_ bool *picked = NULL;
	bool every = argc == 0 && !opt_has(t, KEY_ALL);
	struct err e = { 0 };
	int r, status = 0;

	if (every) {
		r = adm_qubes_get(&all, "dom0", &e);
		if (r < 0)
			return tool_api(t, r, &e);
	} else {
		r = tool_qubes(t, argc, argv, &all, &picked);
		if (r)
			return r;
	}
	for (size_t i = 0; i < all.n; i++) {
		bool running = streq(all.v[i].state, "Running");

		if (streq(all.v[i].name, "dom0") || (picked && !picked[i]))
			continue;
		if (running)
			status = MAX(status, sync_one(t, all.v[i].name));
		else if (!every && !opt_has(t, KEY_ALL))
			status = MAX(status, tool_fail(t, "'%s' is not running", all.v[i].name));
	}
	return status;
}

const struct verb verb_qvm_sync_clock = {
	.name = "qvm-sync-clock",
	.summary = "give dom0's time to running qubes",
	.args = "[QUBE...]",
	.opts = opts,
	.words = { W_QUBE },
	.run = run,
};
