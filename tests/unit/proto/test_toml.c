/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "proto/toml.h"

static struct toml *good(const char *text)
{
	struct toml *t = NULL;
	struct err e = { 0 };

	if (toml_parse(&t, rd_mem(text, strlen(text)), &e) < 0)
		fail_msg("%s", e.msg);
	return t;
}

static void test_values(void **state)
{
	_cleanup_(toml_freep) struct toml *t = good("a = \"x\\ty\\u00e9\"\nb='c:\\d'\nn = -1_000 # why\nyes=true\nl = [ 1,\n 2, # two\n]\n"
						    "t = { x = 1, y.z = \"q\" }\nm = \"\"\"\none\n\\\"two\\\"\\\n   three\"\"\"\n");
	const struct toml *x;

	(void)state;
	assert_string_equal(toml_get(t, "a")->s, "x\ty\xc3\xa9");
	assert_string_equal(toml_get(t, "b")->s, "c:\\d");
	assert_int_equal(toml_get(t, "n")->i, -1000);
	assert_true(toml_get(t, "yes")->b);
	x = toml_get(t, "l");
	assert_int_equal(x->type, TOML_ARRAY);
	assert_int_equal(x->child->i, 1);
	assert_int_equal(x->child->next->i, 2);
	assert_null(x->child->next->next);
	assert_string_equal(toml_get(toml_get(toml_get(t, "t"), "y"), "z")->s, "q");
	assert_string_equal(toml_get(t, "m")->s, "one\n\"two\"three");
	assert_int_equal(toml_get(t, "m")->line, 9);
	assert_null(toml_get(t, "none"));
}

static void test_tables(void **state)
{
	_cleanup_(toml_freep) struct toml *t =
		good("[qubes.\"a b\"]\nx=1\n[qubes]\ny=2\n[[qubes.l]]\nz=3\n[[qubes.l]]\nz=4\n[qubes.l.under]\nw=5\n");
	const struct toml *q = toml_get(t, "qubes"), *l = toml_get(q, "l");

	(void)state;
	assert_int_equal(toml_get(toml_get(q, "a b"), "x")->i, 1);
	assert_int_equal(toml_get(q, "y")->i, 2);
	assert_int_equal(toml_get(l->child, "z")->i, 3);
	assert_int_equal(toml_get(l->child->next, "z")->i, 4);
	assert_int_equal(toml_get(toml_get(l->child->next, "under"), "w")->i, 5);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *error;
	} bad[] = {
		{ "a", "line 1: a '=' must follow" },
		{ "a=", "line 1: a value is missing" },
		{ "a=1\na=2", "line 2: 'a' is set already in line 1" },
		{ "[a]\n[a]", "line 2: the table 'a' stands already in line 1" },
		{ "a.b=1\n[a]", "line 2: the table 'a' stands already" },
		{ "a={b=1}\na.c=2", "line 2: 'a' is set already" },
		{ "a=1\n[[a]]", "line 2: 'a' is set already" },
		{ "a=yes", "line 1: 'yes' is no value: put quotes" },
		{ "a=1.5", "line 1: '1.5' is no value" },
		{ "a=007", "line 1: '007' is no value" },
		{ "a=1 b=2", "line 1: one statement a line" },
		{ "a=\"x", "line 1: the string does not end" },
		{ "a=\"x\ny\"", "line 1: the string does not end" },
		{ "a=\"\\q\"", "line 1: a backslash must be followed" },
		{ "a=\"\\ud800\"", "line 1: there is no such character" },
		{ "a=\"\xff\"", "line 1: the string holds a control character or is not UTF-8" },
		{ "a='\x01'", "line 1: the string holds a control" },
		{ "a=[1 2]", "line 1: a comma or ']'" },
		{ "\na=[1,", "line 2: the array does not end" },
		{ "a={x=1,}", "line 1: no comma before" },
		{ "[a", "line 1: the name of a table must end with ']'" },
		{ "[[a]", "line 1: the name of a table must end with ']]'" },
		{ "=1", "line 1: a key is missing" },
		{ "a=[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]", "line 1: values are nested too deeply" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct toml *t = NULL;
		struct err e = { 0 };

		assert_int_equal(toml_parse(&t, rd_mem(bad[i].text, strlen(bad[i].text)), &e), -EINVAL);
		assert_null(t);
		if (!str_starts(e.msg, bad[i].error))
			fail_msg("%s: got '%s', want '%s'", bad[i].text, e.msg, bad[i].error);
	}
}

static void test_write(void **state)
{
	char text[200];
	struct wr w = wr_mem(text, sizeof text);
	_cleanup_(toml_freep) struct toml *t = NULL;

	(void)state;
	toml_put_key(&w, "a b");
	wr_str(&w, " = ");
	toml_put_string(&w, "q\"\\\n\x01");
	wr_str(&w, "\n");
	toml_put_key(&w, "sys-net");
	wr_str(&w, "=");
	toml_put_text(&w, "one\ntwo \"\"\" three\n");
	wr_cstr(&w, "\n");
	assert_true(wr_ok(&w));
	assert_non_null(strstr(text, "\"a b\" = \"q\\\"\\\\\\n\\u0001\"\nsys-net=\"\"\"\none\n"));
	t = good(text);
	assert_string_equal(toml_get(t, "a b")->s, "q\"\\\n\x01");
	assert_string_equal(toml_get(t, "sys-net")->s, "one\ntwo \"\"\" three\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
