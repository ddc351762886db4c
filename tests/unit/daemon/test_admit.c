/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Is there memory for one more machine, and does none of it reach a disk: against invented hosts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"
#include "daemon/spawner/admit.h"

static char root[] = "/tmp/test-admit-XXXXXX";

static void put(const char *path, const char *text)
{
	char full[512], dir[512];
	int fd;

	assert_int_equal(str_printf(full, sizeof full, "%s%s", root, path), 0);
	assert_int_equal(str_printf(dir, sizeof dir, "%.*s", (int)(strrchr(full, '/') - full), full), 0);
	assert_int_equal(fs_mkdir_p(dir, 0700, NULL), 0);
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, text, strlen(text)), 0);
	close(fd);
}

static int fresh(void **state)
{
	(void)fs_rm_rf(AT_FDCWD, root, NULL);
	return mkdir(root, 0700);
}

static int gone(void **state)
{
	return fs_rm_rf(AT_FDCWD, root, NULL);
}

#define HEAD "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"

static void swap_is(const char *line, const char *why)
{
	char text[600];
	struct err e = { 0 };

	assert_int_equal(str_printf(text, sizeof text, HEAD "%s", line), 0);
	put("/proc/swaps", text);
	if (!why) {
		if (admit_secret(root, &e) != 0)
			fail_msg("%s: %s", line, e.msg);
		return;
	}
	assert_int_equal(admit_secret(root, &e), -EPERM);
	if (!strstr(e.msg, why))
		fail_msg("%s: %s", line, e.msg);
}

static void test_swap(void **state)
{
	struct err e = { 0 };

	assert_int_equal(admit_secret(root, &e), -EPERM); /* nothing can be seen */
	swap_is("", NULL);
	put("/dev/sda2", "");
	put("/sys/class/block/sda2/size", "1\n");
	swap_is("/dev/sda2                               partition\t8388604\t\t0\t\t-2\n", "/dev/sda2");
	/* on dm-crypt itself, and on a volume of LVM that lies on it */
	put("/dev/dm-0", "");
	put("/sys/class/block/dm-0/dm/uuid", "CRYPT-LUKS2-0123-luks\n");
	swap_is("/dev/dm-0 partition 1 0 -2\n", NULL);
	put("/dev/dm-1", "");
	put("/sys/class/block/dm-1/dm/uuid", "LVM-abc\n");
	swap_is("/dev/dm-1 partition 1 0 -2\n", "/dev/dm-1");
	put("/sys/class/block/dm-1/slaves/dm-0", "");
	swap_is("/dev/dm-1 partition 1 0 -2\n", NULL);
	put("/sys/class/block/dm-1/slaves/sda2", "");
	swap_is("/dev/dm-1 partition 1 0 -2\n", "/dev/dm-1"); /* half of it is not */
	put("/dev/zram0", "");
	put("/sys/class/block/zram0/backing_dev", "none\n");
	swap_is("/dev/zram0 partition 1 0 100\n", NULL);
	put("/sys/class/block/zram0/backing_dev", "/dev/sda2\n");
	swap_is("/dev/zram0 partition 1 0 100\n", "/dev/zram0");
	/* one good and one bad; a file whose device is not known; a name that is none */
	swap_is("/dev/dm-0 partition 1 0 -2\n/dev/sda2 partition 1 0 -3\n", "/dev/sda2");
	put("/swapfile", "");
	swap_is("/swapfile file 1 0 -2\n", "/swapfile");
	swap_is("/no\\040where file 1 0 -2\n", "/no");
}

static void test_memory(void **state)
{
	static struct admit a;
	struct err e = { 0 };
	uint64_t start = 0, now = 1000000;

	assert_int_equal(admit_memory(&a, root, now, 1u << 20, "x", &e), 0); /* a kernel that does not say: nobody is refused */
	put("/proc/meminfo", "MemTotal:       8000000 kB\nMemFree:   1 kB\nMemAvailable:    1048576 kB\n");
	assert_int_equal(admit_memory(&a, root, now, 1024 - ADMIT_RESERVE_MIB, "x", &e), 0);
	assert_int_equal(admit_memory(&a, root, now, 1025 - ADMIT_RESERVE_MIB, "x", &e), -ENOMEM);
	assert_non_null(strstr(e.msg, "769 MiB and 768 MiB"));
	assert_non_null(strstr(e.msg, "qvm-prefs x memory"));
	/* what a machine has not touched yet is kept apart: this process is one */
	assert_int_equal(proc_start_time(getpid(), &start), 0);
	admit_started(&a, (uint32_t)getpid(), start, 10000, now);
	assert_int_equal(admit_memory(&a, root, now, 1, "x", &e), -ENOMEM);
	assert_int_equal(admit_memory(&a, root, now + ADMIT_WARM_UP_US, 768, "x", &e), 0); /* later it counts as what it is */
	/* one that has ended costs nothing, one whose number means another process neither */
	a = (struct admit){ 0 };
	admit_started(&a, (uint32_t)getpid(), start + 1, 10000, now);
	assert_int_equal(admit_memory(&a, root, now, 768, "x", &e), 0);
	for (unsigned i = 0; i < 200; i++)
		admit_started(&a, (uint32_t)getpid(), start, 1, now); /* all of it touched */
	assert_int_equal(admit_memory(&a, root, now, 768, "x", &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_swap, fresh, gone),
		cmocka_unit_test_setup_teardown(test_memory, fresh, gone),
	};

	if (!mkdtemp(root))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
