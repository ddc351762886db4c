/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lines of `qvm-net test`, both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "proto/nettest.h"

static int get(const char *line, struct nettest_probe *p)
{
	return nettest_get(p, rd_mem(line, strlen(line)), NULL);
}

static void probes(void **state)
{
	static const char *const bad[] = { "",		      "tcp",		    "tcp 1.1.1.1 443",	 "tcp 1.1.1.1 443 - x", "tcp 1.1.1 443 -",  "tcp 1.1.1.1 65536 -",
					   "sctp 1.1.1.1 1 -", "tcp 1.1.1.1 1 2.2.2.2", "spoof 1.1.1.1 1 -", "spoof 1.1.1.1 1 ::1",	"proto 1.1.1.1 256 -" };
	struct nettest_probe p;
	uint8_t buf[100];
	struct wr w = wr_mem(buf, sizeof buf);

	assert_int_equal(get("tcp 2606:4700::0001 443 -", &p), 0);
	assert_true(p.v6 && p.kind == NETTEST_TCP && p.number == 443 && !p.src[0]);
	nettest_put(&w, &p);
	assert_int_equal(w.len, strlen("tcp 2606:4700::1 443 -\n"));
	assert_memory_equal(buf, "tcp 2606:4700::1 443 -\n", w.len);
	assert_int_equal(get("spoof 1.1.1.1 53 10.0.0.1", &p), 0);
	assert_string_equal(p.src, "10.0.0.1");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (get(bad[i], &p) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
	for (int k = 0; k < NETTEST_KIND_N; k++)
		assert_true(nettest_kind_word((enum nettest_kind)k)[0]);
}

static int answers(const char *text, struct nettest_result *r, size_t n)
{
	return nettest_answers(r, n, rd_mem(text, strlen(text)));
}

static void replies(void **state)
{
	static const char *const bad[] = { "x", "0 left", "0 gone silence", "0 left maybe", "3 left silence", "-1 left silence", "0 left silence x", "0  left silence" };
	struct nettest_result r[3];
	uint8_t buf[100];
	struct wr w = wr_mem(buf, sizeof buf);

	assert_int_equal(answers("0 left answered\n2 kept no-way\n", r, 3), 0);
	assert_true(r[0].known && r[0].left && r[0].outcome == NETTEST_ANSWERED && !r[1].known && !r[2].left && r[2].outcome == NETTEST_NO_WAY);
	nettest_answer_put(&w, 2, &r[2]);
	assert_memory_equal(buf, "2 kept no-way\n", w.len);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (answers(bad[i], r, 3) != -EBADMSG)
			fail_msg("taken: %s", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(probes), cmocka_unit_test(replies) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
