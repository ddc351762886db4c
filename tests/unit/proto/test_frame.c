/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which frames of a NetVM may leave this machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>

#include "proto/frame.h"

static size_t ipv4(uint8_t out[64], const char *to)
{
	memset(out, 0, 64);
	out[12] = 8;
	out[14] = 0x45;
	if (inet_pton(AF_INET, to, out + 30) != 1)
		fail();
	return 34;
}

static bool leaves(const char *to, const struct frame_own *own)
{
	uint8_t f[64];

	return frame_leaves(rd_mem(f, ipv4(f, to)), own);
}

static void test_addresses(void **state)
{
	static const char *const no[] = { "0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.255", "169.254.169.254", "224.0.0.1", "239.1.1.1",
					  "240.0.0.1", "255.255.255.255", "192.0.2.100" };
	static const char *const yes[] = { "1.1.1.1", "10.0.2.3", "126.255.255.255", "128.0.0.0", "169.253.0.1", "169.255.0.1", "192.0.2.101",
					   "223.255.255.255" };
	struct frame_own own = { .addr = { 0xc0000264 }, .n = 1 };

	for (size_t i = 0; i < sizeof no / sizeof *no; i++)
		if (leaves(no[i], &own))
			fail_msg("%s leaves", no[i]);
	for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
		if (!leaves(yes[i], &own))
			fail_msg("%s does not leave", yes[i]);
	own.full = true;
	assert_false(leaves("1.1.1.1", &own));
}

static void test_kinds(void **state)
{
	static const struct frame_own own = { 0 };
	uint8_t f[64];
	size_t n = ipv4(f, "1.1.1.1");

	for (size_t k = 0; k < n; k++)
		assert_false(frame_leaves(rd_mem(f, k), &own));
	f[14] = 0x65;
	assert_false(frame_leaves(rd_mem(f, n), &own));
	f[14] = 0x4f; /* options do not move the address */
	assert_true(frame_leaves(rd_mem(f, n), &own));
	f[12] = 0x86;
	f[13] = 0xdd;
	assert_false(frame_leaves(rd_mem(f, n), &own));
	f[12] = 0x81;
	f[13] = 0;
	assert_false(frame_leaves(rd_mem(f, n), &own));
	f[12] = 8;
	f[13] = 6;
	assert_true(frame_leaves(rd_mem(f, n), &own));
}

static void test_own_addresses(void **state)
{
	/* Two answers of a kernel and the end: an IPv4 address (IFA_LOCAL), an IPv6 one. */
	static const uint8_t d[] = {
		32, 0, 0, 0, 20, 0, 2, 0, 1, 0, 0, 0, 9, 9, 0, 0, 2, 24, 0, 0, 3, 0, 0, 0, 8, 0, 2, 0, 192, 0, 2, 100,
		44, 0, 0, 0, 20, 0, 2, 0, 1, 0, 0, 0, 9, 9, 0, 0, 10, 64, 0, 0, 3, 0, 0, 0, 20, 0, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
		20, 0, 0, 0, 3, 0, 2, 0, 1, 0, 0, 0, 9, 9, 0, 0, 0, 0, 0, 0,
	};
	struct frame_own own = { 0 };
	bool end = false;

	assert_true(frame_own_read(&own, rd_mem(d, sizeof d), &end));
	assert_true(end);
	assert_int_equal(own.n, 1);
	assert_int_equal(own.addr[0], 0xc0000264);
	end = false;
	assert_true(frame_own_read(&own, rd_mem(d, 32), &end));
	assert_false(end);
	assert_false(frame_own_read(&own, rd_mem(d, 31), &end));
	for (own.n = 0; own.n < FRAME_OWN_MAX; own.n++)
		own.addr[own.n] = (uint32_t)own.n;
	assert_true(frame_own_read(&own, rd_mem(d, 32), &end));
	assert_true(own.full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_own_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
