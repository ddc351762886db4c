/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which qubes are updated, and going back. */
#include <time.h>

#include "tool/colour.h"
#include "tool/update.h"

#define STALE_DEFAULT 7

bool update_feature(const char *qube, const char *name, char *out, size_t cap)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };

	return adm_text(&rep, qube, "admin.vm.feature.Get", name, NULL, NULL) >= 0 && str_copy(out, cap, rep.data) == 0;
}

int update_set(const char *qube, const char *name, const char *value, struct err *e)
{
	char old[64];

	if (value)
		return adm_void(qube, "admin.vm.feature.Set", name, value, e);
	return update_feature(qube, name, old, sizeof old) ? adm_void(qube, "admin.vm.feature.Remove", name, NULL, e) : 0;
}

void targets_free(struct target *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i].name);
	free(v);
}

/* In one of the lists "A,B" of option key. */
static bool named_by(const struct tool *t, int key, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < opt_count(t, key); i++)
		for (const char *s = opt_nth(t, key, i); *s; s += strcspn(s, ",") + (s[strcspn(s, ",")] == ','))
			if (strcspn(s, ",") == len && strncmp(s, name, len) == 0)
				return true;
	return false;
}

static bool named(const struct tool *t, int argc, char **argv, const char *name)
{
	for (int i = 0; i < argc; i++)
		if (streq(argv[i], name))
			return true;
	return named_by(t, KEY_TARGETS, name);
}

/* A name that is not there is an error before anything is done. */
static int check_names(struct tool *t, int argc, char **argv, const struct adm_qubes *all)
{
	for (int i = 0; i < argc; i++)
		if (!adm_qubes_find(all, argv[i]))
			return tool_usage(t, "no such qube: '%s'", argv[i]);
	for (size_t i = 0; i < opt_count(t, KEY_TARGETS) + opt_count(t, KEY_SKIP); i++) {
		size_t n = opt_count(t, KEY_TARGETS);
		char name[64];

		for (const char *s = i < n ? opt_nth(t, KEY_TARGETS, i) : opt_nth(t, KEY_SKIP, i - n); *s; s += strcspn(s, ",") + (s[strcspn(s, ",")] == ','))
			if (str_printf(name, sizeof name, "%.*s", (int)MIN(strcspn(s, ","), 63u), s) < 0 || !adm_qubes_find(all, name))
				return tool_usage(t, "no such qube: '%.*s'", (int)strcspn(s, ","), s);
	}
	return 0;
}

/* Known updates, or nobody looked for so many days. */
static bool due(const struct tool *t, const char *qube, uint64_t days)
{
	char value[64];
	struct tm tm = { 0 };

	if (opt_has(t, KEY_FORCE))
		return true;
	if (update_feature(qube, "updates-available", value, sizeof value) && value[0])
		return true;
	if (opt_has(t, KEY_AVAILABLE))
		return false;
	if (!update_feature(qube, "last-updates-check", value, sizeof value) || !strptime(value, "%Y-%m-%d %H:%M:%S", &tm))
		return true;
	return time(NULL) - timegm(&tm) >= (time_t)days * 86400;
}

static bool wanted(const struct tool *t, int argc, char **argv, const struct adm_qube *q, uint64_t days)
{
	bool tpl = streq(q->cls, "TemplateVM"), alone = streq(q->cls, "StandaloneVM"), explicit = argc > 0 || opt_has(t, KEY_TARGETS);
	bool kind = opt_has(t, 'T') || opt_has(t, 'S') || opt_has(t, 'A') || opt_has(t, KEY_ALL);
	char value[16];

	if (named_by(t, KEY_SKIP, q->name))
		return false;
	if (named(t, argc, argv, q->name))
		return true;
	if (explicit && !kind)
		return false;
	if (!(tpl && (!kind || opt_has(t, 'T') || opt_has(t, KEY_ALL))) && !(alone && (!kind || opt_has(t, 'S') || opt_has(t, KEY_ALL))))
		return false;
	if (update_feature(q->name, "skip-update", value, sizeof value) && value[0])
		return false;
	return due(t, q->name, days);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct target *)a)->name, ((const struct target *)b)->name);
}

int update_pick(struct tool *t, int argc, char **argv, struct target **ret, size_t *ret_n)
{
	const char *text = opt_str(t, KEY_STALE);
	uint64_t days = STALE_DEFAULT;
	struct adm_qubes all;
	struct err e = { 0 };
	int r;

	if (text && str_u64(text, 36500, &days) < 0)
		return tool_usage(t, "--update-if-stale takes a number of days, not '%s'", text);
	r = adm_qubes_get(&all, "dom0", &e);
	if (r < 0)
		return tool_api(t, r, &e);
	r = check_names(t, argc, argv, &all);
	*ret = xcalloc(all.n + 1, sizeof **ret);
	for (size_t i = 0; r == 0 && i < all.n; i++) {
		if (!wanted(t, argc, argv, &all.v[i], days))
			continue;
		if (!streq(all.v[i].cls, "TemplateVM") && !streq(all.v[i].cls, "StandaloneVM")) {
			r = tool_usage(t, "'%s' does not keep what is installed in it; update its template", all.v[i].name);
			break;
		}
		(*ret)[(*ret_n)++] = (struct target){ .name = xstrdup(all.v[i].name), .code = UPDATE_OTHER };
	}
	qsort(*ret, *ret_n, sizeof **ret, by_name);
	adm_qubes_fini(&all);
	return r;
}

int update_newest(const char *qube, char *out, size_t cap, struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	int r = adm_text(&rep, qube, "admin.vm.volume.ListSnapshots", "root", NULL, e);
	char *text = rep.data, *line, *last = NULL;

	while (r >= 0 && text && (line = adm_line(&text)))
		if (*line)
			last = line;
	if (r < 0)
		return r;
	return last ? str_copy(out, cap, last) : err_set(e, ENOENT, "no older state of '%s' is kept (qvm-volume config %s:root revisions_to_keep 1)", qube, qube);
}

static int back_one(struct tool *t, const char *qube)
{
	char before[64], newest[64];
	struct adm_qubes q;
	struct err e = { 0 };
	bool halted = false;
	int r = adm_qubes_get(&q, qube, &e);

	if (r >= 0) {
		halted = q.n == 1 && streq(q.v[0].state, "Halted");
		adm_qubes_fini(&q);
	}
	if (r < 0)
		return tool_api(t, r, &e);
	if (!halted)
		return tool_fail(t, "'%s' runs: shut it down first (qvm-shutdown --wait %s)", qube, qube);
	if (!update_feature(qube, FEATURE_BEFORE, before, sizeof before))
		return tool_fail(t, "no update of '%s' can be taken back; qvm-volume revert %s:root goes to the newest older state", qube, qube);
	r = adm_void(qube, "admin.vm.volume.Revert", "root", before, &e);
	if (r < 0)
		return tool_api(t, r, &e);
	/* The state that was given up is a revision now: a second rollback goes forth again. */
	r = update_newest(qube, newest, sizeof newest, &e);
	if (r >= 0)
		r = update_set(qube, FEATURE_BEFORE, newest, &e);
	if (r >= 0)
		r = update_set(qube, "last-updates-check", NULL, &e);
	if (r < 0)
		return tool_api(t, r, &e);
	tool_note(t, "'%s' is as it was before; once more goes forth again. Running qubes of it use the old state after their restart", qube);
	return 0;
}

int update_rollback(struct tool *t, int argc, char **argv)
{
	int worst = 0;

	if (argc < 1)
		return tool_usage(t, "rollback wants the name of a template");
	for (int i = 0; i < argc; i++) {
		int r = back_one(t, argv[i]);

		worst = MAX(worst, r);
	}
	return worst;
}
