/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * "Always allow exactly this": a visible policy file with one rule and one comment for each such answer (docs/protocol/qrexec.md). The rule
 * names service, argument, source and requested target in full, so that it covers nothing but the call that was asked about.
 */
#include <sys/file.h>
#include <time.h>

#include "base/paths.h"
#include "base/str.h"
#include "policyfile/dirs.h"
#include "policyfile/store.h"
#include "prompt/prompt.h"

static const char header[] = "# Calls that were answered with \"always allow exactly this\". Each rule covers one call; remove it, with the\n"
			     "# line above it, and the question comes again. Rules here are read before those of 30-user.policy.\n";

const char *pr_always_path(void)
{
	static char path[PATH_MAX];

	return path_fmt(path, PATH_POLICY_ETC, "/" PR_ALWAYS_FILE);
}

/* Files of the two policy directories are read in the order of their names. (An included file counts where it is included: not judged here.) */
static bool asked_earlier(const char *rule)
{
	const char *slash = rule ? strrchr(rule, '/') : NULL;
	const char *const dirs[] = { path_get(PATH_POLICY_ETC), path_get(PATH_POLICY_RUN) };

	for (size_t i = 0; slash && i < ARRAY_SIZE(dirs); i++)
		if (strlen(dirs[i]) == (size_t)(slash - rule) && str_starts(rule, dirs[i]))
			return strncmp(slash + 1, PR_ALWAYS_FILE, strcspn(slash + 1, ":")) < 0;
	return false;
}

int pr_always_rule(char *out, size_t cap, const struct pr_question *q, const char *target)
{
	struct pol_rule rule = { 0 };
	int r;

	/* Requests for dom0 are spelled with its keyword. Nothing of a question may add a word or a line to the rule. */
	if (!q->exact || !str_chars(q->user, "._-") || !str_chars(q->requested_target, "@:._-") || !str_chars(target, "@:._-") ||
	    !str_chars(q->source, "._-") || !str_chars(q->service, "._-") || !str_chars(q->argument, "+._-"))
		return -EINVAL;
	if (asked_earlier(q->rule))
		return -EEXIST;
	r = str_printf(out, cap, "%s %s %s %s allow target=%s%s%s%s%s", q->service, q->argument, q->source, q->requested_target, target,
		       q->user[0] ? " user=" : "", q->user, q->autostart ? "" : " autostart=no", q->notify ? " notify=yes" : "");
	if (r == 0)
		r = pol_rule_parse(&rule, out, NULL);
	if (r == 0)
		pol_rule_fini(&rule);
	return r < 0 ? -EINVAL : 0;
}

static bool has_line(const char *text, const char *line)
{
	size_t n = strlen(line);

	for (const char *p = text; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
		if (strncmp(p, line, n) == 0 && (p[n] == '\n' || p[n] == '\0'))
			return true;
	return false;
}

static void stamp(struct wr *w)
{
	struct timespec ts;
	struct tm tm;
	char text[40];

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	if (strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		text[0] = '\0';
	wr_printf(w, "# %s: answered \"always\"\n", text);
}

/* Into the file, under the lock that all who change the policy take: checked with the whole policy, and with a record that undo finds. */
static int add_rule(const struct pf_store *s, const char *rule, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(POL_FILE_MAX);
	_cleanup_free_ char *old = NULL;
	char token[PF_TOKEN_MAX];
	size_t n = 0;
	int r = pf_store_get(s, PR_ALWAYS_FILE, &old, &n, token, e);

	if (r < 0 && r != -ENOENT)
		return r;
	err_clear(e);
	if (old && has_line(old, rule))
		return 0;
	wr_str(&w, old && n ? old : header);
	if (w.buf[w.len - 1] != '\n')
		wr_str(&w, "\n");
	stamp(&w);
	wr_printf(&w, "%s\n", rule);
	if (!wr_ok(&w))
		return err_set(e, EFBIG, "'%s' is full", pr_always_path());
	r = pf_store_replace(s, PR_ALWAYS_FILE, "any", (const char *)w.buf, w.len, e);
	return r == -EBADMSG ? err_add(e, r, "the policy would not load with the new rule") : r;
}

int pr_always_add(const struct pr_question *q, const char *target, struct err *e)
{
	_cleanup_(pf_dirs_fini) struct pf_dirs dirs = { 0 };
	_cleanup_store_ struct pf_store s = { 0 };
	char rule[1024];
	int r = pr_always_rule(rule, sizeof rule, q, target);

	if (r < 0)
		return err_set(e, -r, r == -EEXIST ? "the rule that asks is read before " PR_ALWAYS_FILE : "this call cannot be written as a rule");
	pf_dirs_default(&dirs);
	r = pf_store_open(&s, &dirs, false, e);
	if (r < 0)
		return r;
	/* A window does not wait for others. */
	if (flock(s.fd, LOCK_EX | LOCK_NB) < 0)
		return err_errno(e, errno, "somebody else is changing the policy; try again");
	return add_rule(&s, rule, e);
}

const char *pr_undo_path(void)
{
	static char path[PATH_MAX];

	/* in system mode it is there already */
	pf_undo_make(path, path_get(PATH_POLICY_ETC));
	return path;
}
