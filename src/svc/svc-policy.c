/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * svc-policy: the policy Admin API. policy.List, Get+FILE, Replace+FILE, Remove+FILE, the same of policy.include., GetFiles+SERVICE, and
 * RegisterArgument+SERVICE. Whether the caller may is decided before this program starts; it makes sure that no call breaks the policy or leaves
 * its directory. FILE is the name without ".policy" (with it is fine too).
 */
#include "base/io.h"
#include "base/paths.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "policyfile/store.h"
#include "svc/svc.h"

#define REGISTERED_FILE "60-registered-arguments.policy"
#define ARGUMENT_MAX 64
#define TOKEN_LINE_MAX (PF_TOKEN_MAX + 1)

struct call {
	const struct svc *svc;
	struct pf_dirs dirs;
	struct pf_store store;
	bool include;
	char *file; /* name for the store, or NULL */
	char *input;
	size_t input_len;
};

static int no_argument(const struct call *c, struct err *e)
{
	return c->svc->arg[0] ? err_set(e, EINVAL, "takes no argument") : 0;
}

static int no_input(const struct call *c, struct err *e)
{
	return c->input_len ? err_set(e, EINVAL, "takes no input") : 0;
}

static int put_names(char **v, size_t n, bool strip)
{
	_cleanup_wr_ struct wr w = wr_grow(1u << 24);

	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(v[i]);

		if (strip && str_ends(v[i], ".policy"))
			len -= strlen(".policy");
		wr_bytes(&w, v[i], len);
		wr_u8(&w, '\n');
	}
	pf_names_free(v, n);
	return wr_ok(&w) ? write_full(STDOUT_FILENO, w.buf, w.len) : -ENOMEM;
}

static int list(struct call *c, struct err *e)
{
	char **v = NULL;
	size_t n = 0;
	int r = no_argument(c, e);

	if (r == 0)
		r = no_input(c, e);
	if (r == 0)
		r = pf_store_list(&c->store, c->include, &v, &n, e);
	return r < 0 ? r : put_names(v, n, !c->include);
}

static int get(struct call *c, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	char token[PF_TOKEN_MAX];
	size_t n = 0;
	int r = no_input(c, e);

	if (r == 0)
		r = pf_store_get(&c->store, c->file, &text, &n, token, e);
	if (r < 0)
		return r;
	printf("%s\n", token);
	if (fflush(stdout) != 0)
		return -errno;
	return write_full(STDOUT_FILENO, text, n);
}

/* The token is the first line; ret is what is behind it. */
static int take_token(const struct call *c, char token[TOKEN_LINE_MAX], const char **ret, size_t *ret_len, struct err *e)
{
	struct rd r = rd_mem(c->input, c->input_len), line;

	if (!memchr(c->input, '\n', c->input_len) || !rd_line(&r, &line) || rd_left(&line) >= TOKEN_LINE_MAX)
		return err_set(e, EINVAL, "the input must begin with a line that is any, new or sha256:DIGITS");
	rd_text(&line, token, TOKEN_LINE_MAX);
	if (!rd_done(&line))
		return err_set(e, EINVAL, "the token is not text");
	*ret_len = rd_left(&r);
	*ret = c->input + (c->input_len - *ret_len);
	return 0;
}

static int replace(struct call *c, struct err *e)
{
	char token[TOKEN_LINE_MAX];
	const char *text;
	size_t n;
	int r = take_token(c, token, &text, &n, e);

	return r < 0 ? r : pf_store_replace(&c->store, c->file, token, text, n, e);
}

static int drop(struct call *c, struct err *e)
{
	char token[TOKEN_LINE_MAX];
	const char *text;
	size_t n;
	int r;

	/* A token without its newline is as good: nothing can be behind it. */
	if (c->input_len && !memchr(c->input, '\n', c->input_len))
		c->input[c->input_len++] = '\n';
	r = take_token(c, token, &text, &n, e);
	if (r == 0 && n)
		r = err_set(e, EINVAL, "there is more input than a token");
	return r < 0 ? r : pf_store_remove(&c->store, c->file, token, e);
}

static int check_service(const char *s, struct err *e)
{
	return s[0] && str_chars(s, "._-") ? 0 : err_set(e, EINVAL, "the argument must be the name of a service");
}

static int get_files(struct call *c, struct err *e)
{
	char **v = NULL;
	size_t n = 0;
	int r = check_service(c->svc->arg, e);

	if (r == 0)
		r = no_input(c, e);
	if (r == 0)
		r = pf_store_files(&c->store, c->svc->arg, &v, &n, e);
	return r < 0 ? r : put_names(v, n, true);
}

/* Is there a line "prefix…" in text? *ret_same: one that is exactly line. */
static bool registered(const char *text, const char *prefix, const char *line, bool *ret_same)
{
	bool any = false;

	*ret_same = false;
	while (*text) {
		size_t n = strcspn(text, "\n");

		if (n >= strlen(prefix) && strncmp(text, prefix, strlen(prefix)) == 0) {
			any = true;
			*ret_same = *ret_same || (n == strlen(line) && strncmp(text, line, n) == 0);
		}
		text += n + (text[n] == '\n');
	}
	return any;
}

/* The caller offers an argument of a service, for calls of the qube it was asked for. */
static int register_argument(struct call *c, struct err *e)
{
	const char *type = getenv("QREXEC_REQUESTED_TARGET_TYPE"), *target = getenv("QREXEC_REQUESTED_TARGET");
	_cleanup_free_ char *prefix = NULL, *line = NULL, *old = NULL, *text = NULL;
	char token[PF_TOKEN_MAX] = "new";
	struct qname from;
	size_t n = 0;
	bool same;
	int r = check_service(c->svc->arg, e);

	if (r < 0)
		return r;
	if (c->input_len == 0 || strlen(c->input) != c->input_len || !str_chars(c->input, "._-"))
		return err_set(e, EINVAL, "the input must be 1 to %d letters, digits, '.', '_' and '-'", ARGUMENT_MAX);
	if (!type || !streq(type, "name") || !target || qname_parse(&from, target, NULL) < 0)
		return err_set(e, EINVAL, "the target of the call must be the qube that may use the argument");
	prefix = xasprintf("%s +%s ", c->svc->arg, c->input);
	line = xasprintf("%s%s %s allow", prefix, from.s, c->svc->caller.s);
	r = pf_store_get(&c->store, REGISTERED_FILE, &old, &n, token, e);
	if (r == -ENOENT)
		r = 0;
	if (r < 0)
		return r;
	if (old && registered(old, prefix, line, &same))
		return same ? 0 : err_set(e, EEXIST, "this argument is registered already");
	text = xasprintf("%s%s%s\n", old ? old : "", n && old[n - 1] != '\n' ? "\n" : "", line);
	return pf_store_replace(&c->store, REGISTERED_FILE, token, text, strlen(text), e);
}

static const struct {
	const char *name;
	int (*run)(struct call *c, struct err *e);
	bool file, write;
	size_t input_max;
} calls[] = {
	{ "List", list, false, false, 0 },
	{ "Get", get, true, false, 0 },
	{ "Replace", replace, true, true, TOKEN_LINE_MAX + POL_FILE_MAX },
	{ "Remove", drop, true, true, TOKEN_LINE_MAX },
	{ "GetFiles", get_files, false, false, 0 },
	{ "RegisterArgument", register_argument, false, true, ARGUMENT_MAX },
};

static char *file_name(const struct call *c)
{
	const char *arg = c->svc->arg;

	if (c->include)
		return xasprintf("include/%s", arg);
	return xasprintf("%s%s", arg, str_ends(arg, ".policy") ? "" : ".policy");
}

static int serve(struct call *c, struct err *e)
{
	const char *name = c->svc->name;
	size_t i = 0;
	int r;

	if (!str_starts(name, "policy."))
		return err_set(e, EINVAL, "no such service");
	name += strlen("policy.");
	c->include = str_starts(name, "include.");
	name += c->include ? strlen("include.") : 0;
	while (i < ARRAY_SIZE(calls) && !streq(calls[i].name, name))
		i++;
	if (i == ARRAY_SIZE(calls) || (c->include && i > 3))
		return err_set(e, EINVAL, "no such service");
	/* Which of the two places is the service's name alone: policy decides by it. */
	if (strchr(c->svc->arg, '/'))
		return err_set(e, EINVAL, "the argument has a '/'");
	c->file = calls[i].file ? file_name(c) : NULL;
	r = c->file ? pf_name_check(c->file, e) : 0;
	if (r == 0)
		r = svc_input(calls[i].input_max, &c->input, &c->input_len, e);
	/* The input first: a slow caller must not hold the lock. */
	if (r == 0)
		r = pf_store_open(&c->store, &c->dirs, calls[i].write, e);
	return r < 0 ? r : calls[i].run(c, e);
}

/* Only the directories of the policy stay in reach, before a byte of the caller is read. */
static int confine(struct err *e)
{
	struct sandbox_path paths[3] = { { path_get(PATH_ETC), true } };
	size_t n = 1;

	if (access(path_get(PATH_POLICY_RUN), F_OK) == 0)
		paths[n++] = (struct sandbox_path){ path_get(PATH_POLICY_RUN), false };
	if (access(path_get(PATH_POLICY_LEGACY), F_OK) == 0)
		paths[n++] = (struct sandbox_path){ path_get(PATH_POLICY_LEGACY), false };
	return sandbox_enter(SB_SERVICE, paths, n, e);
}

int main(void)
{
	struct call c = { 0 };
	struct err e = { 0 };
	struct svc s;
	int r;

	svc_begin(&s);
	c.svc = &s;
	pf_dirs_default(&c.dirs);
	r = confine(&e);
	if (r == 0)
		r = serve(&c, &e);
	pf_store_close(&c.store);
	pf_dirs_fini(&c.dirs);
	free(c.file);
	free(c.input);
	return svc_end(&s, r, &e);
}
