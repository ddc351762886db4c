/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Overlays: every field of the header wrong once, tables that point anywhere, and files that cannot be read or written. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/io.h"
#include "base/str.h"
#include "storage/qcow2fmt.h"

#define MIB (1u << 20)

static int file(void)
{
	int fd = memfd_create("overlay", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int overlay(void)
{
	int fd = file();

	assert_int_equal(qcow2_create(fd, 8 * MIB, "base.img", true, NULL), 0);
	return fd;
}

static int read_only(int fd)
{
	_cleanup_free_ char *path = xasprintf("/proc/self/fd/%d", fd);
	int ro = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(ro >= 0);
	return ro;
}

static void test_create(void **state)
{
	static char longest[2000];
	int fd = file(), ro = read_only(fd);

	memset(longest, 'x', sizeof longest - 1);
	assert_int_equal(qcow2_create(fd, 0, "", true, NULL), -EINVAL);
	assert_int_equal(qcow2_create(fd, UINT64_MAX, "", true, NULL), -EINVAL);
	assert_int_equal(qcow2_create(fd, MIB, longest, true, NULL), -ENAMETOOLONG);
	assert_int_equal(qcow2_create(ro, MIB, "", true, NULL), -EBADF);
	close(fd);
	close(ro);
}

/* Each byte of the header set to each of a few values: refused or accepted, but a merge never writes beyond the size that was told. */
static void test_header(void **state)
{
	static const uint8_t values[] = { 0, 1, 2, 3, 0x7f, 0x80, 0xff };
	unsigned refused = 0;

	for (off_t at = 0; at < 104; at++)
		for (size_t v = 0; v < sizeof values; v++) {
			int fd = overlay(), out = file();
			uint64_t size = 0;

			assert_int_equal(pwrite(fd, &values[v], 1, at), 1);
			if (qcow2_check(fd, &size, NULL) < 0) {
				refused++;
				assert_true(qcow2_merge(fd, out, NULL) < 0);
				assert_int_equal(lseek(out, 0, SEEK_END), 0);
			} else if (size <= 64 * MIB) {
				(void)qcow2_merge(fd, out, NULL);
				assert_true((uint64_t)lseek(out, 0, SEEK_END) <= size);
			}
			close(fd);
			close(out);
		}
	assert_true(refused > 200);
}

static void test_unreadable(void **state)
{
	int fd = overlay(), out = file(), ro = read_only(out), p[2];
	uint64_t size;

	assert_int_equal(qcow2_check(-1, &size, NULL), -EBADF);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	assert_true(qcow2_check(p[0], &size, NULL) < 0);
	assert_true(qcow2_merge(fd, -1, NULL) < 0);
	assert_true(qcow2_merge(fd, ro, NULL) < 0); /* it cannot be made longer */
	assert_int_equal(qcow2_merge(fd, out, NULL), 0);
	assert_int_equal(lseek(out, 0, SEEK_END), 8 * MIB);
	close(fd);
	close(out);
	close(ro);
	close(p[0]);
	close(p[1]);
}

static void be64(int fd, off_t at, uint64_t v)
{
	uint8_t b[8];

	for (int i = 0; i < 8; i++)
		b[i] = (uint8_t)(v >> (56 - 8 * i));
	assert_int_equal(pwrite(fd, b, 8, at), 8);
}

/* Entries of the tables that point into the header, at themselves, behind the end, to odd places; zero clusters and compressed ones. */
static void test_tables(void **state)
{
	static const uint64_t entries[] = { 0, 1, 0x10000, 0x30000, 0x8000000000030000, 0x8000000000040000, 0x8000000000040001, 0x8000000000040200, 0x4000000000040000,
					    0xc000000000040000, 0x8000ffffffff0000, 0x80fffffffffff000, UINT64_MAX };
	const off_t l1 = 3 * 65536, l2 = 4 * 65536;

	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		for (size_t k = 0; k < ARRAY_SIZE(entries); k++) {
			int fd = overlay(), out = file(), ro;

			be64(fd, l1, entries[i]);
			for (int n = 0; n < 3; n++)
				be64(fd, l2 + 8 * n, entries[k] + (n == 1 ? 0x10000u : 0));
			(void)qcow2_merge(fd, out, NULL);
			assert_true(lseek(out, 0, SEEK_END) <= 8 * MIB);
			ro = read_only(out);
			if (lseek(out, 0, SEEK_END) == 8 * MIB)
				(void)qcow2_merge(fd, ro, NULL);
			close(ro);
			close(fd);
			close(out);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create), cmocka_unit_test(test_header), cmocka_unit_test(test_unreadable), cmocka_unit_test(test_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
