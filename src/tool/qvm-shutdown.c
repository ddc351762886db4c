/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-shutdown: ask qubes to end. With --wait, those that others depend on are asked again once their clients have ended,
 * and one that does not end in time is killed.
 */
#include "base/io.h"
#include "tool/colour.h"
#include "tool/lifecycle.h"

enum { KEY_WAIT = 350, KEY_FORCE, KEY_TIMEOUT, KEY_DRY };

static const struct tool_opt opts[] = {
	{ KEY_WAIT, "wait", NULL, "wait until they have ended; kill those that do not end in time", 0, W_ANY },
	{ KEY_FORCE, "force", NULL, "also when other running qubes depend on them (implied by --all without --exclude)", 0, W_ANY },
	{ KEY_TIMEOUT, "timeout", "SECONDS", "with --wait: this time instead of each qube's shutdown_timeout (deprecated)", 0, W_ANY },
	{ KEY_DRY, "dry-run", NULL, "only say which qubes would be shut down", 0, W_ANY },
	{ KEY_JSON, "json", NULL, "with --dry-run: print JSON", 0, W_ANY },
	OPTS_NAMES,
	{ 0 },
};

static const struct tool_exit exits[] = {
	{ 1, "that many qubes could not be shut down (also 2, 3, ... up to 125)" },
	{ 0, NULL },
};

enum state { LEFT, DONE, FAILED };

struct target {
	const char *name;
	enum state state;
	struct err e;
	int r;
};

/* One round: asks all that are left. Gives how many ended. */
static size_t ask_round(struct target *v, size_t n, const char *arg)
{
	_cleanup_free_ struct bulk_call *calls = xcalloc(n + 1, sizeof *calls);
	size_t k = 0, ended = 0;

	for (size_t i = 0; i < n; i++)
		if (v[i].state == LEFT)
			calls[k++] = (struct bulk_call){ .dest = v[i].name, .method = "admin.vm.Shutdown", .arg = arg, .user = &v[i] };
	calls_run(calls, k, NULL, NULL);
	for (size_t i = 0; i < k; i++) {
		struct target *x = calls[i].user;

		x->r = calls[i].r;
		x->e = calls[i].e;
		if (x->r >= 0 || adm_is_not_started(x->r))
			x->state = DONE;
		else if (x->r != -ADM_EXC_IN_USE)
			x->state = FAILED;
		ended += x->state == DONE;
	}
	calls_fini(calls, k);
	return ended;
}

static bool pending(const struct target *v, size_t n, enum state s)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].state == s)
			return true;
	return false;
}

static void kill_late(const struct tool *t, struct target *x)
{
	tool_note(t, "'%s' did not end in time; killing it", x->name);
	x->r = adm_void(x->name, "admin.vm.Kill", NULL, NULL, &x->e);
	x->state = x->r >= 0 || adm_is_not_started(x->r) ? DONE : FAILED;
}

/* --timeout: asks without waiting, then follows the events until the time is over. */
static void wait_events(const struct tool *t, struct target *v, size_t n, const char *arg, uint64_t seconds, struct adm_events *ev)
{
	_cleanup_free_ bool *waiting = xcalloc(n + 1, sizeof *waiting);
	uint64_t end = now_us() + seconds * 1000000;
	struct adm_event event;
	struct err e = { 0 };

	do {
		(void)ask_round(v, n, arg);
		for (size_t i = 0; i < n; i++)
			waiting[i] = waiting[i] || (v[i].state == DONE && v[i].r >= 0);
		for (;;) {
			uint64_t now = now_us();
			bool any = false, freed = false;

			for (size_t i = 0; i < n; i++)
				any = any || waiting[i];
			if (!any || now >= end || adm_events_next(ev, (int)((end - now) / 1000) + 1, &event, &e) <= 0)
				break;
			for (size_t i = 0; i < n; i++)
				if (waiting[i] && streq(event.name, "domain-shutdown") && streq(event.subject, v[i].name)) {
					waiting[i] = false;
					freed = true;
				}
			if (freed && pending(v, n, LEFT))
				break;
		}
	} while (pending(v, n, LEFT) && now_us() < end);
	for (size_t i = 0; i < n; i++)
		if (waiting[i])
			kill_late(t, &v[i]);
}

static int shut(struct tool *t, struct target *v, size_t n)
{
	bool force = opt_has(t, KEY_FORCE) || (opt_has(t, KEY_ALL) && !opt_has(t, KEY_EXCLUDE));
	bool wait = opt_has(t, KEY_WAIT);
	const char *timeout = opt_str(t, KEY_TIMEOUT);
	const char *arg = force && wait && !timeout ? "force+wait" : force ? "force" : wait && !timeout ? "wait" : NULL;
	struct adm_events ev;
	struct err e = { 0 };
	uint64_t seconds = 0;
	int failed = 0, r;

	if (timeout && str_u64(timeout, 86400, &seconds) < 0)
		return tool_usage(t, "--timeout takes whole seconds, not '%s'", timeout);
	if (timeout && wait) {
		r = adm_events_open(&ev, "dom0", "admin.Events", &e);
		if (r < 0)
			return tool_api(t, r, &e);
		wait_events(t, v, n, arg, seconds, &ev);
		adm_events_close(&ev);
	} else {
		while (ask_round(v, n, arg) > 0 && wait && pending(v, n, LEFT))
			tool_info(t, "asking those again that were in use");
	}
	for (size_t i = 0; i < n; i++) {
		if (v[i].state == FAILED && v[i].r == -ADM_EXC_SHUTDOWN_TIMEOUT && wait)
			kill_late(t, &v[i]);
		if (v[i].state == DONE)
			continue;
		failed++;
		(void)tool_fail(t, "%s: %s", v[i].name, err_text(&v[i].e, v[i].r));
	}
	return MIN(failed, 125);
}

/* --dry-run */
static void list(struct tool *t, const struct target *v, size_t n)
{
	bool json = opt_has(t, KEY_JSON);
	struct json j = { 0 };

	if (json)
		json_open(&j, NULL, '[');
	for (size_t i = 0; i < n; i++) {
		if (json) {
			json_str(&j, NULL, v[i].name);
			continue;
		}
		put_qube(stdout, t, v[i].name);
		(void)putchar('\n');
	}
	if (json)
		json_close(&j, ']');
}

static int run(struct tool *t, int argc, char **argv)
{
	_cleanup_free_ bool *picked = NULL;
	_cleanup_free_ struct target *v = NULL;
	struct adm_qubes all;
	size_t n = 0;
	int r = tool_qubes(t, argc, argv, &all, &picked);

	if (r != 0)
		return r;
	v = xcalloc(all.n + 1, sizeof *v);
	for (size_t i = 0; i < all.n; i++) {
		bool off = streq(all.v[i].state, "Halted") || (opt_has(t, KEY_ALL) && streq(all.v[i].cls, "RemoteVM"));

		if (picked[i] && !off)
			v[n++] = (struct target){ .name = all.v[i].name };
		else if (picked[i] && !opt_has(t, KEY_ALL))
			tool_info(t, "'%s' is halted already", all.v[i].name);
	}
	if (opt_has(t, KEY_DRY))
		list(t, v, n);
	else
		r = shut(t, v, n);
	adm_qubes_fini(&all);
	return r;
}

const struct verb verb_qvm_shutdown = {
	.name = "qvm-shutdown",
	.summary = "ask qubes to shut down",
	.args = "[--all [--exclude NAME] | QUBE...]",
	.opts = opts,
	.exits = exits,
	.words = { W_QUBE },
	.run = run,
};
