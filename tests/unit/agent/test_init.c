/* SPDX-License-Identifier: GPL-3.0-or-later */
/* initramfs: kernel command line, layout of the volatile disk, signatures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/init/cmdline.h"
#include "agent/init/layout.h"
#include "base/str.h"

#define GIB (UINT64_C(1) << 21) /* in sectors */

static int parse(const char *s, struct cmdline *c)
{
	struct err e = { 0 };

	return cmdline_parse(rd_mem(s, strlen(s)), c, &e);
}

static void test_cmdline(void **state)
{
	struct cmdline c;

	assert_int_equal(parse("root=/dev/mapper/dmroot console=ttyS0 quiet\n", &c), 0);
	assert_string_equal(c.root, "/dev/mapper/dmroot");
	assert_string_equal(c.init, "");
	assert_int_equal(c.root_mode, ROOT_AUTO);
	assert_false(c.debug);
	assert_int_equal(parse("bulkhead.root=ro bulkhead.debug init=/sbin/init x=\"a b root=/no\" -- init=/bin/sh", &c), 0);
	assert_int_equal(c.root_mode, ROOT_RO);
	assert_true(c.debug);
	assert_string_equal(c.init, "/sbin/init");
	assert_string_equal(c.root, "");
	assert_int_equal(parse("", &c), 0);
}

static void test_cmdline_refused(void **state)
{
	struct cmdline c = { .root = "untouched" };
	char text[400];

	assert_int_equal(parse("bulkhead.root=maybe", &c), -EINVAL);
	assert_int_equal(parse("init=sh", &c), -EINVAL);
	memset(text, 'a', sizeof text);
	memcpy(text, "root=", 5);
	text[100] = '\0';
	assert_int_equal(parse(text, &c), -EINVAL);
	text[100] = 'a';
	text[399] = '\0';
	assert_int_equal(parse(text, &c), -EINVAL);
	assert_string_equal(c.root, "untouched");
	/* A long word of somebody else is not our business. */
	memcpy(text, "other", 5);
	assert_int_equal(parse(text, &c), 0);
}

static void test_layout(void **state)
{
	struct volatile_layout l;
	struct err e = { 0 };

	assert_int_equal(layout_volatile(10 * GIB, &l, &e), 0);
	assert_int_equal(l.swap_start, 2048);
	assert_int_equal(l.swap_sectors, GIB);
	assert_int_equal(l.layer_start, GIB + 2048);
	assert_true(l.layer_start + l.layer_sectors <= 10 * GIB);
	assert_true(l.layer_sectors > 8 * GIB);
	assert_int_equal(layout_volatile(GIB, &l, &e), 0);
	assert_int_equal(l.swap_sectors, GIB / 4);
	assert_true(l.layer_start + l.layer_sectors <= GIB);
	assert_int_equal(layout_volatile(2047, &l, &e), -ENOSPC);
	/* More than the table can count. */
	assert_int_equal(layout_volatile(UINT64_MAX, &l, &e), 0);
	assert_true(l.layer_start + l.layer_sectors <= UINT32_MAX);
}

static void test_mbr(void **state)
{
	const struct volatile_layout l = { 2048, 0x200000, 0x200800, 0x12345678 };
	static const uint8_t first[] = { 0, 0xfe, 0xff, 0xff, 0x82, 0xfe, 0xff, 0xff, 0, 8, 0, 0, 0, 0, 0x20, 0 };
	static const uint8_t second[] = { 0, 0xfe, 0xff, 0xff, 0x83, 0xfe, 0xff, 0xff, 0, 8, 0x20, 0, 0x78, 0x56, 0x34, 0x12 };
	uint8_t mbr[SECTOR];

	layout_mbr(&l, mbr);
	assert_memory_equal(mbr + 446, first, sizeof first);
	assert_memory_equal(mbr + 462, second, sizeof second);
	assert_int_equal(mbr[510], 0x55);
	assert_int_equal(mbr[511], 0xaa);
}

static void test_swap(void **state)
{
	uint8_t page[SWAP_PAGE];

	layout_swap(GIB, page);
	assert_int_equal(page[1024], 1);
	/* last page: 262143 = 0x3ffff */
	assert_int_equal(page[1028], 0xff);
	assert_int_equal(page[1029], 0xff);
	assert_int_equal(page[1030], 0x03);
	assert_memory_equal(page + SWAP_PAGE - 10, "SWAPSPACE2", 10);
}

static void test_signatures(void **state)
{
	static uint8_t p[FS_PROBE_BYTES];

	assert_null(fs_detect(p, sizeof p));
	memcpy(p + 0x10040, "_BHRfS_M", 8);
	assert_string_equal(fs_detect(p, sizeof p), "btrfs");
	assert_null(fs_detect(p, 0x10044));
	p[1024] = 0xe2, p[1025] = 0xe1, p[1026] = 0xf5, p[1027] = 0xe0;
	assert_string_equal(fs_detect(p, sizeof p), "erofs");
	p[1024 + 0x38] = 0x53, p[1024 + 0x39] = 0xef;
	assert_string_equal(fs_detect(p, sizeof p), "ext4");
	assert_null(fs_detect(p, 10));
	assert_true(fs_read_only("erofs"));
	assert_false(fs_read_only("ext4"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cmdline), cmocka_unit_test(test_cmdline_refused), cmocka_unit_test(test_layout),
		cmocka_unit_test(test_mbr),	cmocka_unit_test(test_swap),		cmocka_unit_test(test_signatures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
