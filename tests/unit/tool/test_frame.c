/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Option parsing, tables and JSON of the tools. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tool/tool.h"

static const struct tool_opt opts[] = {
	{ 'l', "label", "LABEL", "a label", 0, W_LABEL },
	{ 'f', "force", NULL, "a flag", 0, W_ANY },
	{ 300, "format", "F", "long only", 0, W_ANY },
	{ 301, "disp", "T", "optional", OPT_OPTIONAL, W_ANY },
	{ 'D', "default", NULL, "with an alias", 0, W_ANY },
	{ 'D', "delete", NULL, NULL, OPT_ALIAS, W_ANY },
	{ 0 },
};
static const struct verb plain = { .name = "t", .summary = "test", .args = "A [B]", .opts = opts, .min_args = 1, .max_args = 2 };
static const struct verb stops = { .name = "t", .summary = "test", .args = "A CMD...", .opts = opts, .min_args = 1,
				   .flags = VERB_STOP_AFTER(1) };

struct parsed {
	struct tool t;
	char **pos;
	int n, status;
};

/* Parses a NULL-terminated list of words; standard error is the test's own. */
static struct parsed parse(const struct verb *v, const char *const *words)
{
	struct parsed p = { .t = { .verb = v } };
	char *argv[16] = { (char *)(uintptr_t) "t" };
	int argc = 1;

	while (words[argc - 1]) {
		argv[argc] = (char *)(uintptr_t)words[argc - 1];
		argc++;
	}
	p.n = tool_parse(&p.t, argc, argv, &p.pos, &p.status);
	return p;
}

static void done(struct parsed *p)
{
	free(p->pos);
	free(p->t.optv);
}

#define PARSE(v, ...) parse(v, (const char *const[]){ __VA_ARGS__, NULL })

static void test_options_anywhere(void **state)
{
	struct parsed p = PARSE(&plain, "a", "--label", "red", "b", "-f");

	assert_int_equal(p.n, 2);
	assert_string_equal(p.pos[1], "b");
	assert_string_equal(opt_str(&p.t, 'l'), "red");
	assert_true(opt_has(&p.t, 'f'));
	done(&p);
	p = PARSE(&plain, "-fl", "red", "a", "--label=blue");
	assert_string_equal(opt_str(&p.t, 'l'), "blue");
	assert_string_equal(opt_nth(&p.t, 'l', 0), "red");
	assert_null(opt_nth(&p.t, 'l', 2));
	assert_int_equal(opt_count(&p.t, 'l'), 2);
	done(&p);
	p = PARSE(&plain, "-lred", "a");
	assert_string_equal(opt_str(&p.t, 'l'), "red");
	done(&p);
}

static void test_prefixes(void **state)
{
	struct parsed p = PARSE(&plain, "--lab=x", "a");

	assert_string_equal(opt_str(&p.t, 'l'), "x");
	done(&p);
	p = PARSE(&plain, "--fo", "a");
	assert_int_equal(p.n, -1);
	assert_int_equal(p.status, EXIT_USAGE);
	done(&p);
	p = PARSE(&plain, "--de", "a"); /* default and delete are one option */
	assert_int_equal(p.n, 1);
	assert_true(opt_has(&p.t, 'D'));
	done(&p);
}

static void test_negative_numbers_are_words(void **state)
{
	struct parsed p = PARSE(&plain, "a", "-1");

	assert_int_equal(p.n, 2);
	assert_string_equal(p.pos[1], "-1");
	done(&p);
}

static void test_double_dash_and_stop(void **state)
{
	struct parsed p = PARSE(&plain, "--", "-f", "--label");

	assert_int_equal(p.n, 2);
	assert_string_equal(p.pos[0], "-f");
	done(&p);
	p = PARSE(&stops, "-f", "vm", "ls", "-l", "--", "x");
	assert_int_equal(p.n, 5);
	assert_string_equal(p.pos[2], "-l");
	assert_string_equal(p.pos[3], "--");
	assert_false(opt_has(&p.t, 'l'));
	done(&p);
	p = PARSE(&stops, "--", "vm", "ls", "-l");
	assert_int_equal(p.n, 3);
	assert_string_equal(p.pos[0], "vm");
	done(&p);
}

static void test_optional_argument(void **state)
{
	struct parsed p = PARSE(&plain, "--disp", "a");

	assert_int_equal(p.n, 1);
	assert_true(opt_has(&p.t, 301));
	assert_null(opt_str(&p.t, 301));
	done(&p);
	p = PARSE(&plain, "--disp=x", "a");
	assert_string_equal(opt_str(&p.t, 301), "x");
	done(&p);
}

static void test_usage_errors(void **state)
{
	const char *const bad[][4] = { { "--nope", "a" }, { "-x", "a" }, { "a", "--label" }, { "a", "-l" }, { "--force=1", "a" },
				       { NULL }, { "a", "b", "c" } };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct parsed p = parse(&plain, bad[i]);

		assert_int_equal(p.n, -1);
		assert_int_equal(p.status, EXIT_USAGE);
		done(&p);
	}
}

static void test_verbosity(void **state)
{
	struct parsed p = PARSE(&plain, "-vv", "-q", "a");

	assert_int_equal(p.t.verbose, 1);
	done(&p);
}

/* Runs fn with standard output going to memory. */
static char *captured(void (*fn)(void))
{
	char *text = NULL;
	size_t n = 0;
	FILE *mem = open_memstream(&text, &n), *old = stdout;

	stdout = mem;
	fn();
	fclose(mem);
	stdout = old;
	return text;
}

static void print_table(void)
{
	struct tool t = { .verb = &plain };
	struct table *tb = table_new(3);
	const char *const cells[] = { "NAME", "N", "X", "a", "10", "end", "lönger", "5", NULL, "b\033", "7", "" };

	for (size_t i = 0; i < ARRAY_SIZE(cells); i++)
		table_add(tb, cells[i]);
	table_right(tb, 1);
	table_print(tb, &t, true);
	table_free(tb);
}

static void test_table(void **state)
{
	char *text = captured(print_table);

	assert_string_equal(text, "NAME     N  X\n"
				  "a       10  end\n"
				  "lönger   5  -\n"
				  "b_       7  \n");
	free(text);
}

static void print_json(void)
{
	struct json j = { 0 };

	json_open(&j, NULL, '[');
	json_open(&j, NULL, '{');
	json_str(&j, "a", "q\"\\\n\x01");
	json_str(&j, "b", NULL);
	json_int(&j, "c", -3);
	json_bool(&j, "d", true);
	json_close(&j, '}');
	json_open(&j, NULL, '[');
	json_close(&j, ']');
	json_close(&j, ']');
}

static void test_json(void **state)
{
	char *text = captured(print_json);

	assert_string_equal(text, "[\n  {\n    \"a\": \"q\\\"\\\\\\u000a\\u0001\",\n    \"b\": null,\n    \"c\": -3,\n    \"d\": true\n  },\n  []\n]\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_anywhere), cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_negative_numbers_are_words), cmocka_unit_test(test_double_dash_and_stop),
		cmocka_unit_test(test_optional_argument), cmocka_unit_test(test_usage_errors),
		cmocka_unit_test(test_verbosity), cmocka_unit_test(test_table),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
