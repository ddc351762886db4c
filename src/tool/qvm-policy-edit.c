/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-policy edit, list, get, put, remove, undo: the files of the policy. All changes go through policyfile/store.h. */
#include <fcntl.h>
#include <limits.h>

#include "base/io.h"
#include "policyfile/store.h"
#include "tool/qvm-policy.h"

/* The name of a file as the store wants it: ".policy" may be left out. */
static char *full_name(const char *name)
{
	return str_starts(name, "include/") || str_ends(name, ".policy") ? xstrdup(name) : xasprintf("%s.policy", name);
}

static int changed_hint(const struct pq *p, int r, const struct err *e)
{
	if (r == -EACCES || r == -EPERM || r == -EROFS)
		return tool_fail(p->t, "%s (only the owner of '%s' may change the policy)", err_text(e, r), pq_edit_dir(p));
	if (r == -EBADMSG)
		return tool_fail(p->t, "not changed, because every call would be refused with it: %s", err_text(e, r));
	return tool_fail(p->t, "%s", err_text(e, r));
}

int pq_list(struct pq *p, int argc, char **argv)
{
	_cleanup_(table_freep) struct table *tb = table_new(3);
	_cleanup_store_ struct pf_store s = { 0 };
	struct json j = { 0 };
	struct err e = { 0 };
	int r = pf_store_open(&s, &p->dirs, false, &e);

	(void)argc;
	(void)argv;
	if (r < 0)
		return tool_fail(p->t, "%s", err_text(&e, r));
	pq_policy(p);
	table_add(tb, "FILE");
	table_add(tb, "RULES");
	table_add(tb, "DIRECTORY");
	table_right(tb, 1);
	if (p->json)
		json_open(&j, NULL, '[');
	for (int include = 0; include < 2; include++)
		for (int d = 0; d < p->dirs.n_dirs; d++) {
			char **v = NULL;
			size_t n = 0;

			s.path = p->dirs.dirs[d];
			if (pf_store_list(&s, include, &v, &n, &e) < 0)
				continue;
			for (size_t i = 0; i < n; i++) {
				_cleanup_free_ char *name = xasprintf("%s%s", include ? "include/" : "", v[i]);
				_cleanup_free_ char *path = xasprintf("%s/%s", s.path, name);
				size_t rules = 0;

				for (size_t k = 0; p->policy && k < p->policy->n_rules; k++)
					rules += streq(p->policy->rules[k].file, path);
				if (p->json) {
					json_open(&j, NULL, '{');
					json_str(&j, "file", name);
					json_str(&j, "directory", s.path);
					json_int(&j, "rules", (int64_t)rules);
					json_close(&j, '}');
				}
				table_add(tb, name);
				table_addf(tb, "%zu", rules);
				table_add(tb, s.path);
			}
			pf_names_free(v, n);
		}
	if (p->json)
		json_close(&j, ']');
	else
		table_print(tb, p->t, true);
	return p->policy ? 0 : tool_fail(p->t, "the policy has an error, so every call is refused: %s", p->error.msg);
}

int pq_get(struct pq *p, int argc, char **argv)
{
	_cleanup_free_ char *name = full_name(argv[0]), *text = NULL;
	_cleanup_store_ struct pf_store s = { 0 };
	char token[PF_TOKEN_MAX];
	struct json j = { 0 };
	struct err e = { 0 };
	size_t n = 0;
	int r = pf_store_open(&s, &p->dirs, false, &e);

	(void)argc;
	if (r == 0)
		r = pf_store_get(&s, name, &text, &n, token, &e);
	if (r < 0)
		return r == -EINVAL ? tool_usage(p->t, "%s", err_text(&e, r)) : tool_fail(p->t, "%s", err_text(&e, r));
	if (!p->json) {
		out_text(p->t, text);
		return 0;
	}
	json_open(&j, NULL, '{');
	json_str(&j, "file", name);
	json_str(&j, "token", token);
	json_str(&j, "text", text);
	json_close(&j, '}');
	return 0;
}

int pq_report(const struct pq *p, const char *what, const char *name)
{
	struct json j = { 0 };

	if (!p->json) {
		tool_note(p->t, "'%s' is %s", name, what);
		return 0;
	}
	json_open(&j, NULL, '{');
	json_str(&j, "file", name);
	json_str(&j, "done", what);
	json_close(&j, '}');
	return 0;
}

int pq_put(struct pq *p, int argc, char **argv)
{
	const char *token = opt_str(p->t, KEY_TOKEN);
	_cleanup_free_ char *name = full_name(argv[0]), *text = NULL;
	_cleanup_store_ struct pf_store s = { 0 };
	struct err e = { 0 };
	size_t n = 0;
	int r = read_all(STDIN_FILENO, POL_FILE_MAX, &text, &n);

	(void)argc;
	if (r < 0)
		return tool_fail(p->t, "standard input: %s", strerror(-r));
	r = pf_name_check(name, &e);
	if (r < 0)
		return tool_usage(p->t, "%s", e.msg);
	r = pf_store_open(&s, &p->dirs, true, &e);
	if (r == 0)
		r = pf_store_replace(&s, name, token ? token : "any", text, n, &e);
	return r < 0 ? changed_hint(p, r, &e) : pq_report(p, "replaced", name);
}

int pq_remove(struct pq *p, int argc, char **argv)
{
	const char *token = opt_str(p->t, KEY_TOKEN);
	_cleanup_free_ char *name = full_name(argv[0]);
	_cleanup_store_ struct pf_store s = { 0 };
	struct err e = { 0 };
	int r = pf_name_check(name, &e);

	(void)argc;
	if (r < 0)
		return tool_usage(p->t, "%s", e.msg);
	if (!opt_has(p->t, 'y') && isatty(STDIN_FILENO) && !tool_ask(p->t, "Remove the policy file '%s'?", name))
		return tool_fail(p->t, "nothing was removed; --yes removes without a question");
	r = pf_store_open(&s, &p->dirs, true, &e);
	if (r == 0)
		r = pf_store_remove(&s, name, token ? token : "any", &e);
	return r < 0 ? changed_hint(p, r, &e) : pq_report(p, "removed", name);
}

int pq_undo(struct pq *p, int argc, char **argv)
{
	_cleanup_free_ char *name = argc ? full_name(argv[0]) : NULL, *done = NULL;
	_cleanup_store_ struct pf_store s = { 0 };
	struct err e = { 0 };
	int r = pf_store_open(&s, &p->dirs, true, &e);

	if (r == 0)
		r = pf_store_undo(&s, name, &done, &e);
	return r < 0 ? changed_hint(p, r, &e) : pq_report(p, "as it was before its last change", done);
}

struct edit {
	struct pq *p;
	const char *name, *token;
	char path[PATH_MAX]; /* of the copy */
	const char *old;
	char *text; /* edited */
	size_t len;
	struct json j; /* --json: one object of everything that happened */
};

static void json_begin(struct edit *x)
{
	if (!x->p->json || x->j.depth)
		return;
	json_open(&x->j, NULL, '{');
	json_str(&x->j, "file", x->name);
}

static void json_end(struct edit *x, const char *done)
{
	if (!x->p->json)
		return;
	json_begin(x);
	json_str(&x->j, "done", done);
	json_close(&x->j, '}');
}

static int read_copy(struct edit *x)
{
	_cleanup_fd_ int fd = open(x->path, O_RDONLY | O_CLOEXEC);
	int r;

	free(x->text);
	x->text = NULL;
	r = fd < 0 ? -errno : read_all(fd, POL_FILE_MAX, &x->text, &x->len);
	return r < 0 ? tool_fail(x->p->t, "reading '%s' back: %s", x->path, strerror(-r)) : 0;
}

/* Shows what the new text changes. Without a table of qubes that is not known. */
static void show_changes(struct edit *x)
{
	_cleanup_free_ char *full = xasprintf("%s/%s", pq_edit_dir(x->p), x->name);
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct policy *after = NULL;

	if (!x->p->si.n && !opt_str(x->p->t, KEY_SYSTEM_INFO) &&
	    adm_internal(&rep, "dom0", "internal.GetSystemInfo", NULL, NULL, &(struct err){ 0 }) < 0) {
		tool_note(x->p->t, "the daemon does not answer, so the decisions that change cannot be shown");
		return;
	}
	if (!x->p->si.n && pq_table(x->p) != 0)
		return;
	pf_overlay(&x->p->dirs, full, x->text, x->len);
	if (pf_load(&after, &x->p->dirs, &(struct err){ 0 }) == 0) {
		json_begin(x);
		(void)pq_compare(x->p, x->p->policy, after, x->p->json ? &x->j : NULL);
		policy_free(after);
	}
	pf_overlay_drop(&x->p->dirs, full);
	(void)fflush(stdout);
}

/* Kept for the user when the text could not be put in place. */
static int keep(struct edit *x, int status)
{
	tool_note(x->p->t, "the policy is unchanged; the edited text is in '%s'", x->path);
	json_begin(x);
	if (x->p->json)
		json_str(&x->j, "kept_in", x->path);
	json_end(x, "nothing");
	x->path[0] = '\0';
	return status;
}

static int replace(struct edit *x)
{
	_cleanup_store_ struct pf_store s = { 0 };
	struct err e = { 0 };
	int r = pf_store_open(&s, &x->p->dirs, true, &e);

	if (r == 0)
		r = pf_store_replace(&s, x->name, x->token, x->text, x->len, &e);
	if (r < 0)
		return keep(x, changed_hint(x->p, r, &e));
	tool_note(x->p->t, "'%s' is replaced; 'qvm-policy undo' takes that back", x->name);
	json_end(x, "replaced");
	return 0;
}

static int edit_loop(struct edit *x)
{
	struct pf_store s = { .dirs = &x->p->dirs, .path = pq_edit_dir(x->p), .fd = -1 };
	const struct tool *t = x->p->t;
	bool yes = opt_has(t, 'y');

	for (;;) {
		struct err e = { 0 };
		int r = tool_editor(t, x->path);

		if (r == 0)
			r = read_copy(x);
		if (r != 0)
			return r;
		if (streq(x->text, x->old) && strlen(x->text) == x->len) {
			tool_note(t, "nothing was changed");
			json_end(x, "nothing");
			return 0;
		}
		r = pf_store_check(&s, x->name, x->text, x->len, &e);
		if (r < 0) {
			(void)tool_fail(t, "%s", err_text(&e, r));
			if (tool_ask(t, "Every call would be refused. Edit again?"))
				continue;
			return keep(x, EXIT_FAIL);
		}
		show_changes(x);
		if (yes || tool_ask(t, "Replace '%s'?", x->name))
			return replace(x);
		return keep(x, tool_fail(t, "not replaced; --yes replaces without a question"));
	}
}

int pq_edit(struct pq *p, int argc, char **argv)
{
	_cleanup_free_ char *name = full_name(argc ? argv[0] : USER_FILE), *old = NULL;
	const char *tmp = getenv("TMPDIR");
	struct edit x = { .p = p, .name = name };
	_cleanup_store_ struct pf_store s = { 0 };
	_cleanup_fd_ int fd = -1;
	char token[PF_TOKEN_MAX] = "new";
	struct err e = { 0 };
	size_t n = 0;
	int r = pf_name_check(name, &e);

	if (r < 0)
		return tool_usage(p->t, "%s", e.msg);
	r = pf_store_open(&s, &p->dirs, false, &e);
	if (r == 0)
		r = pf_store_get(&s, name, &old, &n, token, &e);
	if (r == -ENOENT && s.fd >= 0) {
		old = xstrdup("");
		r = 0;
	}
	if (r < 0)
		return changed_hint(p, r, &e);
	x.token = token;
	x.old = old;
	pq_policy(p);
	if (str_printf(x.path, sizeof x.path, "%s/policy-XXXXXX", tmp && *tmp ? tmp : "/tmp") < 0)
		return tool_fail(p->t, "TMPDIR is too long");
	fd = mkostemp(x.path, O_CLOEXEC);
	if (fd < 0)
		return tool_fail(p->t, "'%s': %s", x.path, strerror(errno));
	r = write_full(fd, old, n);
	r = r < 0 ? tool_fail(p->t, "'%s': %s", x.path, strerror(-r)) : edit_loop(&x);
	if (x.path[0])
		(void)unlink(x.path);
	free(x.text);
	return r;
}
