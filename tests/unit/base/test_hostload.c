/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The machine's counters: the two texts of /proc, and what is missing in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hostload.h"

static void test_stat(void **state)
{
	struct hostload_now now = { 0 };

	(void)state;
	/* user 100, nice 20, system 30, irq 4, softirq 6 of 100 a second; idle, iowait, steal and guests do not count */
	assert_int_equal(hostload_parse_stat("cpu  100 20 30 9999 888 4 6 77 50 5\ncpu0 1 2 3\n", 100, &now), 0);
	assert_int_equal(now.busy_ms, 1600);
	/* no overflow: three hundred years of a large machine */
	assert_int_equal(hostload_parse_stat("cpu 1000000000000000 0 0 0 0 0 0\n", 100, &now), 0);
	assert_int_equal(now.busy_ms, 10000000000000000);
	assert_int_equal(hostload_parse_stat("cpu 1 2 3 4 5 6", 100, &now), -ENODATA);
	assert_int_equal(hostload_parse_stat("cpu0 1 2 3 4 5 6 7\n", 100, &now), -ENODATA);
	assert_int_equal(hostload_parse_stat("cpu 1 2 x 4 5 6 7\n", 100, &now), -ENODATA);
	assert_int_equal(hostload_parse_stat("", 100, &now), -ENODATA);
}

static void test_mem(void **state)
{
	struct hostload_now now = { 0 };

	(void)state;
	assert_int_equal(hostload_parse_mem("MemTotal:       24679792 kB\nMemFree:  1 kB\nMemAvailable:   20000000 kB\nSwapCached: 5 kB\nSwapTotal: 100 kB\nSwapFree: 40 kB\n", &now), 0);
	assert_int_equal(now.mem_total_kib, 24679792);
	assert_int_equal(now.mem_available_kib, 20000000);
	assert_int_equal(now.swap_used_kib, 60);
	assert_int_equal(hostload_parse_mem("MemTotal: 5 kB\nMemAvailable: 3 kB\n", &now), 0);
	assert_int_equal(now.swap_used_kib, 0);
	assert_int_equal(hostload_parse_mem("MemTotal: 5 kB\nXMemAvailable: 3 kB\n", &now), -ENODATA);
	assert_int_equal(hostload_parse_mem("MemTotal:\nMemAvailable: 3 kB\n", &now), -ENODATA);
	assert_int_equal(hostload_parse_mem("", &now), -ENODATA);
}

static void test_this_machine(void **state)
{
	struct hostload h = hostload_open();
	struct hostload_now a, b;

	(void)state;
	assert_int_equal(hostload_read(&h, &a), 0);
	assert_true(h.cpus >= 1 && a.mem_total_kib > a.mem_available_kib && a.busy_ms > 0);
	/* the same descriptors again: the counters go on. Ends by the processor time that this loop itself takes. */
	do
		assert_int_equal(hostload_read(&h, &b), 0);
	while (b.busy_ms <= a.busy_ms);
	hostload_close(&h);
	assert_int_equal(hostload_read(&h, &b), -ENODATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_stat), cmocka_unit_test(test_mem), cmocka_unit_test(test_this_machine) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
