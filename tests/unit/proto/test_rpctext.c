/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The texts around a call: service configuration, VMExec arguments, replies of the policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "proto/desktop.h"
#include "proto/policy_reply.h"
#include "proto/rpcconfig.h"
#include "proto/vmexec.h"

static int config(struct rpc_config *c, const char *s)
{
	return rpc_config_parse(c, rd_mem(s, strlen(s)), NULL);
}

static void test_config(void **state)
{
	static const char *const bad[] = {
		"a",	       "a=",		  "=1",		     " a=1",	       "a=1 b",		 "a='x",	     "a=\"x\"",
		"[s]",	       "a=01",		  "a=-1",	     "a=1\na=2",       "force-user=1",	 "force-user=''",    "wait-for-session='1'",
		"wait-for-session=2", "skip-service-descriptor=1", "exit-on-client-eof=0", "wait-for-session=true\nwait-for-session=false",
		"force-user='u'\nexit-on-service-eof=true", "a=truex", "a=99999999999999999999",
	};
	struct rpc_config c;

	assert_int_equal(config(&c, ""), 0);
	assert_int_equal(config(&c, "# text\n\nwait-for-session = true # why\r\nforce-user='root'\nother=12\nthing = 'a # b'\n"), 0);
	assert_true(c.wait_for_session);
	assert_string_equal(c.force_user, "root");
	assert_int_equal(c.unknown, 2);
	assert_int_equal(config(&c, "wait-for-session=0"), 0);
	assert_false(c.wait_for_session);
	assert_int_equal(config(&c, "skip-service-descriptor=true\nexit-on-service-eof=true\nexit-on-client-eof=false"), 0);
	assert_true(c.skip_descriptor && c.exit_on_service_eof && !c.exit_on_client_eof);
	assert_int_equal(config(&c, "force-user='u'\nexit-on-service-eof=false"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (config(&c, bad[i]) == 0)
			fail_msg("accepted: %s", bad[i]);
	assert_true(rpc_config_parse(&c, rd_mem("a='\0'", 5), NULL) < 0);
}

static void check_vmexec(const char *const *argv, const char *want)
{
	char buf[256], copy[256], *got[16];
	struct wr w = wr_mem(buf, sizeof buf);
	size_t n = 0;

	vmexec_put(&w, argv);
	wr_u8(&w, 0);
	assert_string_equal(buf, want);
	assert_int_equal(str_copy(copy, sizeof copy, buf), 0);
	while (argv[n])
		n++;
	assert_int_equal(vmexec_get(copy, got, 16, NULL), (int)n);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(got[i], argv[i]);
	assert_null(got[n]);
}

static void test_vmexec(void **state)
{
	const char *a[] = { "sh", "-c", "a b", NULL }, *b[] = { "x", "", "-", "\xff\n+", "", NULL }, *one[] = { "", NULL };
	static const char *const bad[] = { "a b", "a/b", "a-", "a-2", "a-2x", "a-2a", "a-gg", "a\x01", "-00" };
	char buf[32], *got[16];

	check_vmexec(a, "sh+--c+a-20b");
	check_vmexec(b, "x++--+-FF-0A-2B+");
	check_vmexec(one, "");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(str_copy(buf, sizeof buf, bad[i]), 0);
		if (vmexec_get(buf, got, 16, NULL) >= 0)
			fail_msg("accepted: %s", bad[i]);
	}
	assert_int_equal(str_copy(buf, sizeof buf, "a+b+c"), 0);
	assert_int_equal(vmexec_get(buf, got, 4, NULL), 3);
	assert_int_equal(str_copy(buf, sizeof buf, "a+b+c+d"), 0);
	assert_int_equal(vmexec_get(buf, got, 4, NULL), -E2BIG);
}

static int reply(struct policy_reply *p, const char *s)
{
	return policy_reply_parse(p, rd_mem(s, strlen(s)), NULL);
}

#define GOOD "user=u\nresult=allow\ntarget=vm\nautostart=True\nrequested_target=@default\n"

static void test_policy_reply(void **state)
{
	static const char *const bad[] = {
		"", "\n", "allow", "result=maybe", "result=allow", "user=u\nresult=deny", GOOD "result=allow\n", GOOD "line\n", GOOD "user=x\n",
		"user=u\nresult=allow\ntarget=vm\nautostart=true\nrequested_target=x\n", "user=\nresult=allow\ntarget=vm\nautostart=True\nrequested_target=x\n",
		"user=u\nresult=allow\ntarget=vm\nautostart=True\n", GOOD "\n",
	};
	struct policy_reply p;

	assert_int_equal(reply(&p, "result=deny"), 0);
	assert_false(p.allow);
	assert_int_equal(reply(&p, GOOD "target_uuid=uuid:x\npolicy_source=remote\nservice=a+b=c\nnew_key=1"), 0);
	assert_true(p.allow && p.autostart);
	assert_string_equal(p.target, "vm");
	assert_string_equal(p.service, "a+b=c");
	assert_string_equal(p.policy_source, "remote");
	assert_int_equal(p.unknown, 1);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (reply(&p, bad[i]) == 0)
			fail_msg("accepted: %s", bad[i]);
	assert_true(policy_reply_parse(&p, rd_mem("result=deny\0", 12), NULL) < 0);
}

static int exec_line(const char *line, char **argv, char *text)
{
	char file[256];

	assert_int_equal(str_printf(file, sizeof file, "[Other]\nExec=no\n[Desktop Entry]\nName=x\n%s\n", line), 0);
	return desktop_exec(rd_mem(file, strlen(file)), text, 256, argv, 8, NULL);
}

static void test_desktop(void **state)
{
	char *argv[8], text[256];

	assert_int_equal(exec_line("Exec=prog -a %u \"b c\" 100%% x%F", argv, text), 5);
	assert_string_equal(argv[0], "prog");
	assert_string_equal(argv[1], "-a");
	assert_string_equal(argv[2], "b c");
	assert_string_equal(argv[3], "100%");
	assert_string_equal(argv[4], "x");
	assert_null(argv[5]);
	assert_int_equal(exec_line("Exec=sh -c \"a \\\"q\\\" \\\\$b\"", argv, text), 3);
	assert_string_equal(argv[2], "a \"q\" $b");
	assert_int_equal(exec_line("NoExec=1", argv, text), -ENOENT);
	assert_int_equal(exec_line("Exec=", argv, text), -EINVAL);
	assert_int_equal(exec_line("Exec=%u", argv, text), -EINVAL);
	assert_int_equal(exec_line("Exec=a \"b", argv, text), -EINVAL);
	assert_int_equal(exec_line("Exec=1 2 3 4 5 6 7", argv, text), 7);
	assert_int_equal(exec_line("Exec=1 2 3 4 5 6 7 8", argv, text), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_config), cmocka_unit_test(test_vmexec), cmocka_unit_test(test_policy_reply),
					     cmocka_unit_test(test_desktop) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
