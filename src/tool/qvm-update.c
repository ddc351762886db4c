/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-update: brings templates and standalone qubes up to date, several at once. */
#include <limits.h>

#include "base/io.h"
#include "base/paths.h"
#include "tool/colour.h"
#include "tool/update.h"

#define CONCURRENCY_DEFAULT 2
#define CONCURRENCY_MAX 32

const struct tool_opt update_opts[] = {
	{ KEY_TARGETS, "targets", "NAMES", "these, separated by commas (repeatable); the same as to name them", 0, W_QUBE },
	{ KEY_ALL, "all", NULL, "all templates and standalone qubes (the default when none is named)", 0, W_ANY },
	{ 'T', "templates", NULL, "all templates", 0, W_ANY },
	{ 'S', "standalones", NULL, "all standalone qubes", 0, W_ANY },
	{ 'A', "apps", NULL, "app qubes: accepted, none is updated by itself; they get what their templates got when they restart", 0, W_ANY },
	{ KEY_SKIP, "skip", "NAMES", "leave these out", 0, W_QUBE },
	{ KEY_STALE, "update-if-stale", "DAYS", "of those not named: only with known updates, or not looked at for so long; default 7", 0, W_ANY },
	{ KEY_AVAILABLE, "update-if-available", NULL, "of those not named: only with known updates", 0, W_ANY },
	{ KEY_FORCE, "force-update", NULL, "also when no updates are known", 0, W_ANY },
	{ KEY_CHECK, "check", NULL, "only look whether there are updates", 0, W_ANY },
	{ KEY_DRY_RUN, "dry-run", NULL, "only say which qubes would be updated", 0, W_ANY },
	{ KEY_CONCURRENCY, "max-concurrency", "N", "so many at a time; default 2", 0, W_ANY },
	{ 'r', "restart", NULL, "afterwards restart service qubes (feature servicevm) that run on the old state", 0, W_ANY },
	{ 'r', "apply-to-sys", NULL, NULL, OPT_ALIAS, W_ANY },
	{ 'R', "apply-to-all", NULL, "the same, and shut down all other qubes that do", 0, W_ANY },
	{ KEY_NO_APPLY, "no-restart", NULL, "only name them; without any of these a terminal is asked about service qubes", 0, W_ANY },
	{ 'y', "yes", NULL, "do not ask", 0, W_ANY },
	{ KEY_NO_APPLY, "no-apply", NULL, NULL, OPT_ALIAS, W_ANY },
	{ KEY_FORCE_UPGRADE, "force-upgrade", NULL, "go on although a list of packages cannot be fetched", 0, W_ANY },
	{ KEY_NO_CLEANUP, "no-cleanup", NULL, "leave downloaded packages in the template", 0, W_ANY },
	{ KEY_SIGNAL_NONE, "signal-no-updates", NULL, "exit with 100 when nothing was to do", 0, W_ANY },
	{ KEY_SHOW_OUTPUT, "show-output", NULL, "print the output of the package managers", 0, W_ANY },
	{ KEY_NO_PROGRESS, "no-progress", NULL, "no bars", 0, W_ANY },
	{ KEY_LOG, "log", "LEVEL", "DEBUG, INFO (default), WARNING or ERROR: what the logs hold", 0, W_ANY },
	{ KEY_DISPLAY_NAME, "display-name", "NAME", "accepted, without effect: qubes are shown by their own names", OPT_HIDDEN, W_ANY },
	{ KEY_WORKER, "worker", NULL, NULL, OPT_HIDDEN, W_ANY },
	OPT_JSON,
	{ 0 },
};

const struct tool_sub update_subs[] = {
	{ "rollback", "TEMPLATE...", "go back to the state before the last update; a second time undoes that" },
	{ 0 },
};

const struct tool_exit update_exits[] = {
	{ 11, "a qube did not shut down" },
	{ 12, "a qube did not start" },
	{ 13, "something else of this system failed" },
	{ 22, "a qube is in no state to be updated" },
	{ 23, "the lists of packages could not be fetched" },
	{ 24, "packages could not be fetched or installed" },
	{ 25, "cleaning up failed" },
	{ 40, "the call of the qube's half failed" },
	{ 100, "nothing was to do (with --signal-no-updates)" },
	{ 130, "interrupted" },
	{ 0, NULL },
};

static int wrong_use(struct tool *t, uint64_t *at_once)
{
	static const char *const levels[] = { "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL" };
	const char *text = opt_str(t, KEY_CONCURRENCY), *level = opt_str(t, KEY_LOG);
	bool known = !level;

	*at_once = CONCURRENCY_DEFAULT;
	if (text && (str_u64(text, CONCURRENCY_MAX, at_once) < 0 || !*at_once))
		return tool_usage(t, "--max-concurrency takes a number from 1 to %d, not '%s'", CONCURRENCY_MAX, text);
	for (size_t i = 0; level && i < ARRAY_SIZE(levels); i++)
		known = known || streq(level, levels[i]);
	if (!known)
		return tool_usage(t, "--log takes DEBUG, INFO, WARNING or ERROR, not '%s'", level);
	if (opt_has(t, KEY_FORCE) + opt_has(t, KEY_STALE) + opt_has(t, KEY_AVAILABLE) > 1)
		return tool_usage(t, "one of --force-update, --update-if-stale, --update-if-available at a time");
	if (opt_has(t, 'r') + opt_has(t, 'R') + opt_has(t, KEY_NO_APPLY) > 1)
		return tool_usage(t, "one of --restart, --apply-to-all, --no-restart at a time");
	return 0;
}

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
	else if (!n)
		tool_note(t, "nothing to update");
}

static const char *outcome(const struct tool *t, const struct target *x)
{
	if (x->code == UPDATE_NONE)
		return "no updates";
	if (x->code == UPDATE_OK)
		return opt_has(t, KEY_CHECK) ? "updates available" : "updated";
	return x->code == UPDATE_INTERRUPTED ? "interrupted" : "failed";
}

static void summary(struct tool *t, const struct target *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		put_qube(stdout, t, v[i].name);
		printf(": %s", outcome(t, &v[i]));
		if (v[i].code == UPDATE_OK)
			printf(", %llu package%s", (unsigned long long)v[i].count, v[i].count == 1 ? "" : "s");
		else if (v[i].code != UPDATE_NONE)
			printf(" (%d)%s%s", v[i].code, v[i].why[0] ? ": " : "", v[i].why);
		(void)putchar('\n');
	}
}

static void summary_json(const struct tool *t, struct json *j, const struct target *v, size_t n)
{
	json_open(j, "targets", '[');
	for (size_t i = 0; i < n; i++) {
		json_open(j, NULL, '{');
		json_str(j, "name", v[i].name);
		json_str(j, "outcome", outcome(t, &v[i]));
		json_int(j, "code", v[i].code);
		json_int(j, "packages", (int64_t)v[i].count);
		json_str(j, "error", v[i].why[0] ? v[i].why : NULL);
		json_close(j, '}');
	}
	json_close(j, ']');
}

/* The worst of all; what was interrupted says so. */
static int status_of(const struct tool *t, const struct target *v, size_t n)
{
	int worst = 0;
	bool none = true;

	for (size_t i = 0; i < n; i++) {
		none = none && v[i].code == UPDATE_NONE;
		if (v[i].code == UPDATE_INTERRUPTED)
			return UPDATE_INTERRUPTED;
		if (v[i].code != UPDATE_NONE)
			worst = MAX(worst, v[i].code);
	}
	return none && opt_has(t, KEY_SIGNAL_NONE) ? UPDATE_NONE : worst;
}

/* Nobody shall think that a network qube does it. */
static void say_uplink(const struct tool *t)
{
	char path[PATH_MAX];

	if (!paths_system_mode() && access(path_fmt(path, PATH_POLICY_ETC, "/" UPDATE_SESSION_RULE), F_OK) == 0)
		tool_note(t, "there is no network qube: a confined process of this session fetches packages (%s)", UPDATE_SESSION_RULE);
}

static int update(struct tool *t, struct target *v, size_t n, size_t at_once)
{
	bool json = opt_has(t, KEY_JSON), whole = update_show(t, v, n, at_once);
	struct json j = { 0 };
	int status, late = 0;

	say_uplink(t);
	if (json) {
		json_open(&j, NULL, '{');
		summary_json(t, &j, v, n);
	} else if (t->verbose >= 0) {
		summary(t, v, n);
	}
	if (whole && !opt_has(t, KEY_CHECK))
		late = update_advise(t, v, n, json ? &j : NULL);
	if (json)
		json_close(&j, '}');
	status = whole ? status_of(t, v, n) : UPDATE_INTERRUPTED;
	return late && (status == 0 || status == UPDATE_NONE) ? UPDATE_SHUTDOWN : status;
}

int update_run(struct tool *t, int argc, char **argv)
{
	struct target *v = NULL;
	uint64_t at_once;
	size_t n = 0;
	int r = wrong_use(t, &at_once);

	if (r != 0)
		return r;
	if (argc > 0 && streq(argv[0], "rollback"))
		return update_rollback(t, argc - 1, argv + 1);
	if (opt_has(t, KEY_WORKER))
		return argc == 1 ? update_worker(t, argv[0]) : EXIT_USAGE;
	r = update_pick(t, argc, argv, &v, &n);
	if (r == 0 && opt_has(t, 'A'))
		tool_note(t, "app qubes keep nothing that is installed in them: they use the updates of their templates after a restart (--apply-to-all)");
	if (r == 0 && (opt_has(t, KEY_DRY_RUN) || !n))
		list(t, v, n);
	if (r == 0 && !n && !opt_has(t, KEY_DRY_RUN) && opt_has(t, KEY_SIGNAL_NONE))
		r = UPDATE_NONE;
	else if (r == 0 && n && !opt_has(t, KEY_DRY_RUN))
		r = update(t, v, n, (size_t)at_once);
	targets_free(v, n);
	return r;
}

const struct verb verb_qvm_update = {
	.name = "qvm-update",
	.summary = UPDATE_SUMMARY,
	.args = UPDATE_ARGS,
	.desc = UPDATE_DESC,
	.opts = update_opts,
	.subs = update_subs,
	.exits = update_exits,
	.words = { W_QUBE },
	.flags = VERB_NO_JOURNAL,
	.run = update_run,
};
