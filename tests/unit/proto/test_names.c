/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Validators of names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/str.h"
#include "proto/names.h"

static void test_qube_names(void **state)
{
	static const char *const good[] = { "a", "work", "sys-net", "A_b.c-9", "dom0", "abcdefghijklmnopqrstuvwxyz01234" };
	static const char *const bad[] = { "",	      "1a",   "-a",	 "_a",	".a",	"a b",	"a/b",	"a+b",
					   "a\n",     "\xc3\xa4", "Domain-0", "none", "default", "x-dm", "abcdefghijklmnopqrstuvwxyz012345" };
	struct qname n;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(qname_parse(&n, good[i], NULL), 0);
		assert_true(qname_eq(&n, good[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		err_clear(&e);
		if (qname_parse(&n, bad[i], &e) != -EINVAL || !e.code)
			fail_msg("'%s' was accepted", bad[i]);
		for (const char *p = e.msg; *p; p++)
			assert_true(*p >= 0x20 && *p <= 0x7e);
	}
}

static void test_qube_names_from_wire(void **state)
{
	struct qname n;

	assert_int_equal(qname_parse_rd(&n, rd_mem("work", 4), NULL), 0);
	assert_int_equal(qname_parse_rd(&n, rd_mem("wo\0k", 4), NULL), -EINVAL);
	assert_int_equal(qname_parse_rd(&n, rd_mem("work\0", 5), NULL), -EINVAL);
	assert_int_equal(qname_parse_rd(&n, rd_mem("", 0), NULL), -EINVAL);
	assert_int_equal(qname_parse_rd(&n, rd_mem("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 32), NULL), -EINVAL);
}

static void test_uuid(void **state)
{
	static const uint8_t zero[16], ones[16] = { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 };
	struct uuid u, v;

	assert_int_equal(uuid_parse(&u, "123e4567-e89b-12d3-a456-426614174000"), 0);
	assert_int_equal(uuid_parse(&u, "123E4567-e89b-12d3-a456-426614174000"), -EINVAL);
	assert_int_equal(uuid_parse(&u, "123e4567e89b-12d3-a456-4266141740000"), -EINVAL);
	assert_int_equal(uuid_parse(&u, "123e4567-e89b-12d3-a456-42661417400"), -EINVAL);
	uuid_from_bytes(&u, zero);
	assert_string_equal(u.s, "00000000-0000-4000-8000-000000000000");
	uuid_from_bytes(&u, ones);
	assert_string_equal(u.s, "ffffffff-ffff-4fff-bfff-ffffffffffff");
	assert_int_equal(uuid_parse(&v, u.s), 0);
}

static void test_other_names(void **state)
{
	char long_name[300];

	memset(long_name, 'a', sizeof long_name);
	long_name[256] = '\0';
	assert_true(tag_ok("a_B-9") && !tag_ok("") && !tag_ok("a.b") && !tag_ok(long_name));
	assert_true(feature_ok("a.b-c_d") && !feature_ok("") && !feature_ok("a b") && !feature_ok("a/b"));
	assert_true(feature_value_ok("") && feature_value_ok(" ~") && !feature_value_ok("a\n") && !feature_value_ok("\x7f") && !feature_value_ok("\xc3\xa4"));
	assert_true(label_ok("red") && label_ok("0x") && !label_ok("123") && !label_ok("") && !label_ok("a b"));
	assert_true(pool_ok("lvm.x") && !pool_ok("") && !pool_ok("a/b"));
	assert_true(service_name_ok("qubes.Filecopy") && !service_name_ok("") && !service_name_ok("a+b") && !service_name_ok("a/b") && !service_name_ok(long_name));
	assert_true(qrexec_arg_ok("") && qrexec_arg_ok("a+b.c-d_e") && !qrexec_arg_ok("a/b") && !qrexec_arg_ok("a b"));
	assert_true(volume_ok("private") && !volume_ok("") && !volume_ok("a.b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_qube_names),
		cmocka_unit_test(test_qube_names_from_wire),
		cmocka_unit_test(test_uuid),
		cmocka_unit_test(test_other_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
