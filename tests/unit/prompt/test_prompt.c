/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Questions, notices, words and the rule of "always". */
#include <setjmp.h>
#include <limits.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/paths.h"
#include "base/str.h"
#include "prompt/prompt.h"

static char root[] = "/tmp/prXXXXXX";

static int parse(struct pr_question *q, const char *json)
{
	return pr_question_parse(q, rd_mem(json, strlen(json)));
}

#define HEAD "{\"source\":\"work\",\"service\":\"qubes.Filecopy\",\"argument\":\"+\","
#define EXACT ",\"requested_target\":\"@default\",\"user\":\"\",\"autostart\":true,\"notify\":false"

static void test_questions(void **state)
{
	static const char *const bad[] = {
		"", "{", "[]", "1", "{}", HEAD "\"targets\":[]}", HEAD "\"targets\":[1]}", HEAD "\"targets\":[\"\"]}", HEAD "\"targets\":\"a\"}",
		HEAD "\"targets\":[\"a\\u0000b\"]}", HEAD "\"targets\":[\"a\"],\"source\":\"b\"}", "{\"source\":\"\",\"service\":\"s\",\"argument\":\"+\",\"targets\":[\"a\"]}",
		"{\"source\":\"w\",\"service\":\"s\",\"argument\":\"\",\"targets\":[\"a\"]}", HEAD "\"targets\":[\"a\"]} x",
	};
	struct pr_question q;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse(&q, bad[i]), -EBADMSG);
	assert_int_equal(parse(&q, HEAD "\"targets\":[\"a\",\"@dispvm:d\"],\"default_target\":\"@dispvm:d\",\"icons\":{\"a\":\"appvm-red\",\"work\":\"x\"},"
				   "\"labels\":{\"@dispvm:d\":\"0x123456\"},\"unknown\":[{}]}"), 0);
	assert_int_equal(q.n_targets, 2);
	assert_int_equal(q.preselected, 1);
	assert_int_equal(q.targets[0].colour, 0xcc0000);
	assert_int_equal(q.targets[1].colour, 0x123456);
	assert_int_equal(q.colour, PR_NO_COLOUR);
	assert_false(q.exact);
	pr_question_fini(&q);
	assert_int_equal(parse(&q, HEAD "\"targets\":[\"a\"],\"default_target\":\"b\"" EXACT "}"), 0);
	assert_int_equal(q.preselected, 1);
	assert_true(q.exact);
	pr_question_fini(&q);
}

static void test_words(void **state)
{
	char a[2 * PR_SHOW_MAX], b[PR_SHOW_MAX], text[1024];
	struct pr_notice n;
	const char *json = "{\"resolution\":\"deny\",\"service\":\"qubes.VMShell\",\"argument\":\"+\",\"source\":\"wo\\u001brk\",\"target\":\"\",\"text\":\"denied\"}";

	assert_string_equal(pr_verb(a, "qubes.Filecopy"), "copy files to");
	assert_string_equal(pr_verb(a, "admin.vm.Start"), "manage qubes of");
	assert_string_equal(pr_verb(a, "x\n"), "use the service x\\x0a of");
	assert_string_equal(pr_target_words(a, "@dispvm:d"), "a new disposable of d");
	assert_string_equal(pr_show(b, "\xe2\x80\xae\\"), "\\xe2\\x80\\xae\\x5c");
	assert_int_equal(pr_notice_parse(&n, rd_mem(json, strlen(json))), 0);
	pr_notice_words(text, sizeof text, &n);
	assert_string_equal(text, "Refused: wo\\x1brk wanted to run commands in another qube (denied)");
	pr_notice_fini(&n);
	assert_int_equal(pr_notice_parse(&n, rd_mem("{}", 2)), -EBADMSG);
}

static void rule(const char *json, const char *target, const char *want)
{
	struct pr_question q;
	char out[1024];
	int r;

	assert_int_equal(parse(&q, json), 0);
	r = pr_always_rule(out, sizeof out, &q, target);
	if (want) {
		assert_int_equal(r, 0);
		assert_string_equal(out, want);
	} else {
		assert_true(r < 0);
	}
	pr_question_fini(&q);
}

static void test_rules(void **state)
{
	char json[PATH_MAX + 400];

	rule(HEAD "\"targets\":[\"vault\"]" EXACT "}", "vault", "qubes.Filecopy + work @default allow target=vault");
	rule("{\"source\":\"work\",\"service\":\"s\",\"argument\":\"+a+b\",\"targets\":[\"@dispvm:d\"],\"requested_target\":\"@dispvm\",\"user\":\"root\",\"autostart\":false,\"notify\":true}",
	     "@dispvm:d", "s +a+b work @dispvm allow target=@dispvm:d user=root autostart=no notify=yes");
	/* Nothing of a question becomes another word or line. */
	rule(HEAD "\"targets\":[\"vault\"]}", "vault", NULL);
	rule("{\"source\":\"wo rk\",\"service\":\"s\",\"argument\":\"+\",\"targets\":[\"a\"]" EXACT "}", "a", NULL);
	rule("{\"source\":\"*\",\"service\":\"s\",\"argument\":\"+\",\"targets\":[\"a\"]" EXACT "}", "a", NULL);
	rule("{\"source\":\"work\",\"service\":\"*\",\"argument\":\"+\",\"targets\":[\"a\"]" EXACT "}", "a", NULL);
	rule("{\"source\":\"work\",\"service\":\"s\",\"argument\":\"+a b\",\"targets\":[\"a\"]" EXACT "}", "a", NULL);
	rule("{\"source\":\"work\",\"service\":\"s\",\"argument\":\"+a\\n* * * * allow\",\"targets\":[\"a\"]" EXACT "}", "a", NULL);
	rule(HEAD "\"targets\":[\"a user=root\"]" EXACT "}", "a user=root", NULL);
	for (int early = 0; early < 2; early++) {
		assert_int_equal(str_printf(json, sizeof json, HEAD "\"targets\":[\"vault\"],\"rule\":\"%s/etc/policy.d/%s.policy:3\"" EXACT "}", root, early ? "10-x" : "90-x"), 0);
		rule(json, "vault", early ? NULL : "qubes.Filecopy + work @default allow target=vault");
	}
}

static void test_add(void **state)
{
	_cleanup_free_ char *text = NULL;
	struct pr_question q;
	struct err e = { 0 };
	size_t n;

	assert_int_equal(parse(&q, HEAD "\"targets\":[\"vault\",\"b\"]" EXACT "}"), 0);
	assert_int_equal(pr_always_add(&q, "vault", &e), 0);
	assert_int_equal(pr_always_add(&q, "vault", &e), 0);
	assert_int_equal(pr_always_add(&q, "b", &e), 0);
	assert_int_equal(fs_read(AT_FDCWD, pr_always_path(), 1u << 20, &text, &n, &e), 0);
	assert_non_null(strstr(text, "\nqubes.Filecopy + work @default allow target=vault\n# 20"));
	assert_true(str_ends(text, "\"always\"\nqubes.Filecopy + work @default allow target=b\n"));
	assert_null(strstr(strstr(text, "target=vault") + 1, "target=vault"));
	/* A policy that does not load is not made worse, and the error says where it is. */
	{
		char path[PATH_MAX];
		_cleanup_free_ char *after = NULL;

		assert_int_equal(fs_write_atomic(AT_FDCWD, path_fmt(path, PATH_POLICY_ETC, "/40-bad.policy"), "x\n", 2, 0600, &e), 0);
		free(STEAL_PTR(q.argument));
		q.argument = xstrdup("+other");
		assert_true(pr_always_add(&q, "b", &e) < 0);
		assert_non_null(strstr(e.msg, "40-bad.policy:1"));
		assert_int_equal(fs_read(AT_FDCWD, pr_always_path(), 1u << 20, &after, &n, &e), 0);
		assert_string_equal(text, after);
	}
	pr_question_fini(&q);
}

static int setup(void **state)
{
	struct err e = { 0 };

	return mkdtemp(root) && paths_init(root, &e) == 0 && paths_make(&e) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	return fs_rm_rf(AT_FDCWD, root, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_add),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
