/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lines between the halves of an update, apt's and dnf's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "proto/update.h"

static int line(const char *s, struct update_line *l)
{
	return update_line_parse(rd_mem(s, strlen(s)), l);
}

static void good_lines(void **state)
{
	static struct update_line l;

	assert_int_equal(line("phase refresh", &l), 0);
	assert_true(l.kind == UPDATE_L_PHASE && streq(l.text, "refresh"));
	assert_int_equal(line("progress 1000", &l), 0);
	assert_true(l.kind == UPDATE_L_PROGRESS && l.n == 1000);
	assert_int_equal(line("count 0", &l), 0);
	assert_int_equal(line("change libc6 2.36-9+deb12u8 2.36-9+deb12u9", &l), 0);
	assert_string_equal(l.text, "libc6 2.36-9+deb12u8 2.36-9+deb12u9");
	assert_int_equal(line("log \x1b[31mred\x01\xff\ttab", &l), 0);
	assert_string_equal(l.text, "?[31mred?? tab");
	assert_int_equal(line("log ", &l), 0);
	assert_int_equal(line("end 100", &l), 0);
	assert_true(l.kind == UPDATE_L_END && l.n == UPDATE_NONE);
}

static void bad_lines(void **state)
{
	static const char *const bad[] = { "", "phase", "phase ", "phase two words", "phase \x1b[2J", "progress", "progress 1001", "progress -1", "progress 5 ",
					   "count 99999999999", "change a", "change a b", "change a b c d", "change a  c", "change a b /c", "change  b c",
					   "end 256", "end x", "reboot now", "LOG x", " log x" };
	static struct update_line l;
	static char big[UPDATE_LINE_MAX + 8];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (line(bad[i], &l) != -EBADMSG)
			fail_msg("accepted: '%s'", bad[i]);
	memset(big, 'x', sizeof big - 1);
	memcpy(big, "log ", 4);
	assert_int_equal(line(big, &l), -EBADMSG);
}

static void status(void **state)
{
	static const char *const bad[] = { "", "dlstatus", "dlstatus:1:101:x", "pmerror:a:5:x", "dlstatus:1:x:y", "pmstatus:a:50" };
	unsigned permille = 0;
	bool download = false;
	const char *s = "dlstatus:3:12.3456:Retrieving file 3 of 4";

	assert_true(update_apt_status(rd_mem(s, strlen(s)), &download, &permille));
	assert_true(download && permille == 123);
	s = "pmstatus:dpkg-exec:100:Done";
	assert_true(update_apt_status(rd_mem(s, strlen(s)), &download, &permille));
	assert_true(!download && permille == 1000);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (update_apt_status(rd_mem(bad[i], strlen(bad[i])), &download, &permille))
			fail_msg("accepted: '%s'", bad[i]);
}

static void inst(void **state)
{
	static const char *const bad[] = { "", "Inst", "Inst a", "Inst a [1", "Inst a [1] (2", "Conf a (1 x)", "Inst a [1;2] (3 x)", "Inst a [1](2 x)" };
	char out[200];
	const char *s = "Inst bash [5.2.15-2+b7] (5.2.15-2+b8 Debian:12/stable [amd64])";

	assert_true(update_apt_inst(rd_mem(s, strlen(s)), out, sizeof out));
	assert_string_equal(out, "bash 5.2.15-2+b7 5.2.15-2+b8");
	s = "Inst new (1:2~x Repo [all]) []";
	assert_true(update_apt_inst(rd_mem(s, strlen(s)), out, sizeof out));
	assert_string_equal(out, "new - 1:2~x");
	assert_false(update_apt_inst(rd_mem(s, strlen(s)), out, 5));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (update_apt_inst(rd_mem(bad[i], strlen(bad[i])), out, sizeof out))
			fail_msg("accepted: '%s'", bad[i]);
}

static bool row(struct update_dnf_row *r, const char *s)
{
	return update_dnf_row(r, rd_mem(s, strlen(s)));
}

static void dnf_rows(void **state)
{
	static const char *const bad[] = { "", "   ", "a.x86_64", "nodot 1-2 repo", "a.x86_64 v1 repo", "a.x86_64 1-2 repo more", "a;b.x86_64 1-2 repo",
					   "Security: a.x86_64 1 is an installed update" };
	struct update_dnf_row r = { 0 };
	char long_name[300] = "";

	assert_true(row(&r, "bash.x86_64   5.2.26-3.fc40    updates"));
	assert_string_equal(r.name, "bash.x86_64");
	assert_string_equal(r.version, "5.2.26-3.fc40");
	assert_false(row(&r, "a-long-name.noarch"));
	assert_false(row(&r, "\t1:2.0^git-1"));
	assert_false(row(&r, "Security: x is told in the middle"));
	assert_true(row(&r, "  updates"));
	assert_string_equal(r.name, "a-long-name.noarch");
	assert_string_equal(r.version, "1:2.0^git-1");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct update_dnf_row one = { 0 };

		if (row(&one, bad[i]))
			fail_msg("accepted: '%s'", bad[i]);
	}
	memset(long_name, 'a', sizeof long_name - 1);
	long_name[100] = '.';
	assert_false(row(&r, long_name));
	assert_false(row(&r, "Obsoleting Packages"));
	assert_false(row(&r, "dwz.x86_64 0.16-1 updates"));
}

static void dnf_steps(void **state)
{
	static const struct {
		const char *line;
		int permille;
	} rows[] = { { "(1/4): bash.rpm 1 MB/s", 250 }, { "[ 3/4] Total", 750 }, { "  Upgrading : bash-1.x86_64   2/4 ", 500 }, { "[4/4]", 1000 }, { "4/4", 1000 },
		     { "", -1 }, { "(1/4 bash", -1 }, { "(5/4): x", -1 }, { "(0/0): x", -1 }, { "[x/4] y", -1 }, { "Complete!", -1 }, { "a/b", -1 },
		     { "(99999999/99999999): x", -1 }, { "x -1/2", -1 } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned permille = 7777;
		bool is = update_dnf_step(rd_mem(rows[i].line, strlen(rows[i].line)), &permille);

		if (is != (rows[i].permille >= 0) || (is && (int)permille != rows[i].permille))
			fail_msg("'%s': %d, %u", rows[i].line, is, permille);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(good_lines), cmocka_unit_test(bad_lines), cmocka_unit_test(status),
					    cmocka_unit_test(inst),	  cmocka_unit_test(dnf_rows),  cmocka_unit_test(dnf_steps) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
