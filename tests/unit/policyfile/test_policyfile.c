/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Policy files: overlay, tokens, validation before replacement, names and links that lead out, undo, and the reader of the decision log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/str.h"
#include "policyfile/declog.h"
#include "policyfile/store.h"

static char root[64], run[80], etc[80];

static void write_text(const char *dir, const char *name, const char *text)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);

	assert_int_equal(fs_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, NULL), 0);
}

static int setup(void **st)
{
	(void)!str_copy(root, sizeof root, "/tmp/pf-XXXXXX");
	assert_non_null(mkdtemp(root));
	(void)!str_printf(run, sizeof run, "%s/run", root);
	(void)!str_printf(etc, sizeof etc, "%s/etc", root);
	assert_int_equal(mkdir(run, 0700) | mkdir(etc, 0700), 0);
	write_text(etc, "90-default.policy", "s * @anyvm @anyvm ask\n!include include/more\n");
	assert_int_equal(fs_mkdir_p("/", 0755, NULL), 0);
	{
		_cleanup_free_ char *inc = xasprintf("%s/include", etc);

		assert_int_equal(mkdir(inc, 0755), 0);
	}
	write_text(etc, "include/more", "t * @anyvm @anyvm deny\n");
	return 0;
}

static int teardown(void **st)
{
	return fs_rm_rf(AT_FDCWD, root, NULL);
}

static void dirs_of(struct pf_dirs *d)
{
	*d = (struct pf_dirs){ .dirs = { run, etc }, .n_dirs = 2 };
}

static void overlay(void **st)
{
	_cleanup_free_ char *path = xasprintf("%s/./include//more", etc), *added = xasprintf("%s/10-new.policy", etc);
	struct policy *p = NULL;
	struct pf_dirs d;
	struct err e = { 0 };

	dirs_of(&d);
	pf_overlay(&d, path, "t * a b allow\nu * a b allow\n", strlen("t * a b allow\nu * a b allow\n"));
	pf_overlay(&d, added, "first * a b allow\n", strlen("first * a b allow\n"));
	assert_int_equal(pf_load(&p, &d, &e), 0);
	assert_int_equal(p->n_rules, 4);
	assert_string_equal(p->rules[0].service, "first");
	assert_string_equal(p->rules[3].service, "u");
	policy_free(p);
	pf_overlay(&d, path, NULL, 0);
	assert_int_equal(pf_load(&p, &d, &e), -EBADMSG);
	pf_overlay_drop(&d, path);
	pf_overlay_drop(&d, added);
	assert_int_equal(pf_load(&p, &d, &e), 0);
	assert_int_equal(p->n_rules, 2);
	policy_free(p);
	pf_dirs_fini(&d);
}

static int put(const char *name, const char *token, const char *text, struct err *e)
{
	_cleanup_store_ struct pf_store s = { 0 };
	struct pf_dirs d;

	dirs_of(&d);
	assert_int_equal(pf_store_open(&s, &d, true, e), 0);
	return text ? pf_store_replace(&s, name, token, text, strlen(text), e) : pf_store_remove(&s, name, token, e);
}

static void content(const char *name, const char *want, char token[PF_TOKEN_MAX])
{
	_cleanup_store_ struct pf_store s = { 0 };
	_cleanup_free_ char *text = NULL;
	char own[PF_TOKEN_MAX];
	struct pf_dirs d;
	size_t n = 0;
	int r;

	dirs_of(&d);
	assert_int_equal(pf_store_open(&s, &d, false, NULL), 0);
	r = pf_store_get(&s, name, &text, &n, token ? token : own, NULL);
	if (!want) {
		assert_int_equal(r, -ENOENT);
		return;
	}
	assert_int_equal(r, 0);
	assert_string_equal(text, want);
	assert_int_equal(n, strlen(want));
}

static void tokens(void **st)
{
	char token[PF_TOKEN_MAX], other[PF_TOKEN_MAX];
	struct err e = { 0 };

	pf_token(token, "abc", 3);
	assert_string_equal(token, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(put("30-user.policy", "new", "q * a b allow\n", &e), 0);
	assert_int_equal(put("30-user.policy", "new", "q * a b deny\n", &e), -EEXIST);
	content("30-user.policy", "q * a b allow\n", token);
	assert_int_equal(put("30-user.policy", token, "q * a b deny\n", &e), 0);
	assert_int_equal(put("30-user.policy", token, "q * a b ask\n", &e), -ESTALE);
	content("30-user.policy", "q * a b deny\n", other);
	assert_string_not_equal(token, other);
	assert_int_equal(put("30-user.policy", "none", "q * a b ask\n", &e), -EINVAL);
	assert_int_equal(put("30-user.policy", "sha256:12", "q * a b ask\n", &e), -EINVAL);
	assert_int_equal(put("30-user.policy", token, NULL, &e), -ESTALE);
	assert_int_equal(put("30-user.policy", other, NULL, &e), 0);
	content("30-user.policy", NULL, NULL);
	assert_int_equal(put("30-user.policy", "any", NULL, &e), -ENOENT);
	assert_int_equal(put("30-user.policy", other, "q * a b ask\n", &e), -ENOENT);
}

static void nothing_that_breaks_the_policy(void **st)
{
	struct err e = { 0 };

	assert_int_equal(put("30-user.policy", "any", "q * a b\n", &e), -EBADMSG);
	assert_non_null(strstr(e.msg, "30-user.policy:1:"));
	content("30-user.policy", NULL, NULL);
	assert_int_equal(put("include/more", "any", NULL, &e), -EBADMSG);
	assert_int_equal(put("include/more", "any", "nonsense\n", &e), -EBADMSG);
	content("include/more", "t * @anyvm @anyvm deny\n", NULL);
	assert_int_equal(put("include/more", "any", "t * a b ask\n", &e), 0);
	assert_int_equal(put("30-user.policy", "any", "!include include/nothing\n", &e), -EBADMSG);
}

static void nothing_outside(void **st)
{
	static const char *const bad[] = { "", ".policy.", "a", "x.policy/../y.policy", "../x.policy", "/etc/x.policy", "include/../x", "include/", "include/.x",
					   "include/a/b", "X.policy", "x y.policy", ".x.policy", "include" };
	_cleanup_free_ char *link = xasprintf("%s/20-link.policy", etc), *secret = xasprintf("%s/secret", root), *inc = xasprintf("%s/include", etc);
	struct err e = { 0 };
	struct pf_store s;
	struct pf_dirs d;
	char token[PF_TOKEN_MAX], *text = NULL;
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(put(bad[i], "any", "q * a b ask\n", &e), -EINVAL);
	write_text(root, "secret", "q * a b allow\n");
	assert_int_equal(symlink(secret, link), 0);
	assert_true(put("20-link.policy", "any", "q * a b ask\n", &e) < 0);
	dirs_of(&d);
	assert_int_equal(pf_store_open(&s, &d, false, &e), 0);
	assert_true(pf_store_get(&s, "20-link.policy", &text, &n, token, &e) < 0);
	pf_store_close(&s);
	assert_int_equal(fs_read(AT_FDCWD, secret, 100, &text, &n, &e), 0);
	assert_string_equal(text, "q * a b allow\n");
	free(text);
	assert_int_equal(unlink(link), 0);
	/* include/ itself must not lead away either. */
	assert_int_equal(put("90-default.policy", "any", "s * @anyvm @anyvm ask\n", &e), 0);
	assert_int_equal(fs_rm_rf(AT_FDCWD, inc, NULL), 0);
	assert_int_equal(symlink(root, inc), 0);
	assert_true(put("include/secret", "any", "gone\n", &e) < 0);
	assert_int_equal(fs_read(AT_FDCWD, secret, 100, &text, &n, &e), 0);
	assert_string_equal(text, "q * a b allow\n");
	free(text);
}

static void undo(void **st)
{
	_cleanup_store_ struct pf_store s = { 0 };
	struct err e = { 0 };
	struct pf_dirs d;
	char *name = NULL;

	assert_int_equal(put("30-user.policy", "any", "q * a b allow\n", &e), 0);
	assert_int_equal(put("30-user.policy", "any", "q * a b allow\n", &e), 0); /* the same: nothing to take back */
	assert_int_equal(put("30-user.policy", "any", "q * a b deny\n", &e), 0);
	assert_int_equal(put("include/more", "any", "t * c d ask\n", &e), 0);
	assert_int_equal(put("30-user.policy", "any", NULL, &e), 0);
	dirs_of(&d);
	assert_int_equal(pf_store_open(&s, &d, true, &e), 0);
	assert_int_equal(pf_store_undo(&s, NULL, &name, &e), 0);
	assert_string_equal(name, "30-user.policy");
	free(name);
	content("30-user.policy", "q * a b deny\n", NULL);
	assert_int_equal(pf_store_undo(&s, "30-user.policy", &name, &e), 0);
	free(name);
	content("30-user.policy", "q * a b allow\n", NULL);
	content("include/more", "t * c d ask\n", NULL);
	assert_int_equal(pf_store_undo(&s, NULL, &name, &e), 0);
	assert_string_equal(name, "include/more");
	free(name);
	content("include/more", "t * @anyvm @anyvm deny\n", NULL);
	assert_int_equal(pf_store_undo(&s, NULL, &name, &e), 0);
	free(name);
	content("30-user.policy", NULL, NULL);
	assert_int_equal(pf_store_undo(&s, NULL, &name, &e), -ENOENT);
}

static void undo_is_bounded(void **st)
{
	struct err e = { 0 };
	struct pf_dirs d;
	int n = 0;

	for (int i = 0; i < PF_UNDO_KEPT + 5; i++) {
		_cleanup_free_ char *text = xasprintf("q * a b%d allow\n", i);

		assert_int_equal(put("30-user.policy", "any", text, &e), 0);
	}
	dirs_of(&d);
	for (;;) {
		_cleanup_store_ struct pf_store s = { 0 };
		char *name = NULL;

		assert_int_equal(pf_store_open(&s, &d, true, &e), 0);
		if (pf_store_undo(&s, NULL, &name, &e) < 0)
			break;
		free(name);
		n++;
	}
	assert_int_equal(n, PF_UNDO_KEPT);
	content("30-user.policy", "q * a b4 allow\n", NULL);
}

/* Who changes holds the lock; another who wants to change would wait. */
static void lock(void **st)
{
	_cleanup_store_ struct pf_store s = { 0 };
	_cleanup_fd_ int fd = open(etc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct pf_dirs d;

	dirs_of(&d);
	assert_int_equal(pf_store_open(&s, &d, true, NULL), 0);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
	assert_int_equal(errno, EWOULDBLOCK);
	pf_store_close(&s);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
}

static void files_of_a_service(void **st)
{
	_cleanup_store_ struct pf_store s = { 0 };
	struct err e = { 0 };
	struct pf_dirs d;
	char **v = NULL;
	size_t n = 0;

	assert_int_equal(put("30-user.policy", "any", "t * a b allow\ns * a b ask\n", &e), 0);
	dirs_of(&d);
	assert_int_equal(pf_store_open(&s, &d, false, &e), 0);
	assert_int_equal(pf_store_files(&s, "t", &v, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_string_equal(v[0], "30-user.policy");
	assert_string_equal(v[1], "include/more");
	pf_names_free(v, n);
	assert_int_equal(pf_store_files(&s, "nothing", &v, &n, &e), 0);
	assert_int_equal(n, 0);
	pf_names_free(v, n);
}

static void log_lines(void **st)
{
	static const char good[] = "{\"time\":\"2026-11-22T16:00:01.5Z\",\"source\":\"w\",\"target\":\"v\",\"service\":\"s\",\"argument\":\"+x\",\"decision\":\"deny\","
				   "\"action\":\"ask\",\"reason\":\"r\",\"not_logged\":3,\"later\":{}}";
	static const char *const bad[] = { "", "[]", "{}", "{\"time\":\"2026-11-22T16:00:01Z\",\"source\":\"w\"}", "{\"time\":\"now\",\"source\":\"w\",\"decision\":\"d\"}",
					   "{\"time\":\"2026-11-22T16:00:01Z\",\"source\":1,\"decision\":\"d\"}" };
	struct declog_entry x;
	uint64_t us;

	assert_int_equal(declog_parse(&x, good, sizeof good - 1, NULL), 0);
	assert_string_equal(x.field[DL_ARGUMENT], "+x");
	assert_string_equal(x.field[DL_USER], "");
	assert_string_equal(x.field[DL_ACTION], "ask");
	assert_int_equal(x.not_logged, 3);
	assert_int_equal(x.time_us, 1795363201500000ull);
	declog_fini(&x);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(declog_parse(&x, bad[i], strlen(bad[i]), NULL), -EBADMSG);
	assert_int_equal(declog_time("1970-01-01T00:00:00Z", &us), 0);
	assert_int_equal(us, 0);
	assert_int_equal(declog_time("2026-02-30T00:00:60.123456Z", &us), 0);
	assert_int_equal(declog_time("2026-02-30T24:00:00Z", &us), -EBADMSG);
	assert_int_equal(declog_time("2026-02-30T23:00:00", &us), -EBADMSG);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { T(overlay), T(tokens), T(nothing_that_breaks_the_policy), T(nothing_outside), T(undo), T(undo_is_bounded),
					    T(lock), T(files_of_a_service), T(log_lines) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
