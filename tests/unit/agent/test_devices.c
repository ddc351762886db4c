/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Devices of a qube from a made-up /sys to the rows of QubesDB, and from those, as the core reads them, to devices. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/devices/scan.h"
#include "base/fsx.h"
#include "base/str.h"
#include "core/device.h"

static char top[] = "/tmp/test-devices.XXXXXX";

static void file(const char *path, const char *text)
{
	_cleanup_free_ char *full = xasprintf("%s/%s", top, path), *dir = xstrdup(full);

	*strrchr(dir, '/') = '\0';
	assert_int_equal(fs_mkdir_p(dir, 0700, NULL), 0);
	assert_int_equal(fs_write_atomic(AT_FDCWD, full, text, strlen(text), 0600, NULL), 0);
}

static void disk(const char *name, const char *where, const char *dev, const char *sectors, const char *ro)
{
	const char *const attrs[][2] = { { "dev", dev }, { "size", sectors }, { "ro", ro } };
	_cleanup_free_ char *target = xasprintf("../../devices/%s", where), *link = xasprintf("%s/class/block/%s", top, name), *holders = xasprintf("%s/devices/%s/holders", top, where);

	for (size_t i = 0; i < ARRAY_SIZE(attrs); i++) {
		_cleanup_free_ char *path = xasprintf("devices/%s/%s", where, attrs[i][0]), *text = xasprintf("%s\n", attrs[i][1]);

		file(path, text);
	}
	assert_int_equal(fs_mkdir_p(holders, 0700, NULL), 0);
	assert_int_equal(symlink(target, link), 0);
}

#define STICK "pci0000:00/0000:00:05.0/usb1/1-1/1-1.2/1-1.2:1.0/host2/target2:0:0/2:0:0:0/block/sda"

static int setup(void **state)
{
	_cleanup_free_ char *block = NULL, *usb = NULL;

	assert_non_null(mkdtemp(top));
	block = xasprintf("%s/class/block", top);
	assert_int_equal(fs_mkdir_p(block, 0700, NULL), 0);
	disk("vda", "virtio1/block/vda", "254:0", "20971520", "0");
	file("devices/virtio1/block/vda/serial", "root");
	disk("vda1", "virtio1/block/vda/vda1", "254:1", "20969472", "0");
	file("devices/virtio1/block/vda/vda1/partition", "1\n");
	disk("vdz", "virtio9/block/vdz", "254:400", "8", "1");
	file("devices/virtio9/block/vdz/serial", "extra");
	file("devices/virtio9/block/vdz/device/vendor", "0x1af4\n");
	disk("sda", STICK, "8:0", "1000", "0");
	file("devices/" STICK "/device/vendor", "Kings\x01ton \n");
	file("devices/" STICK "/device/model", "DataTraveler    \n");
	disk("sda1", STICK "/sda1", "8:1", "900", "0");
	file("devices/" STICK "/sda1/partition", "1\n");
	disk("sdb", "virtio5/host3/block/sdb", "8:16", "1000", "0");
	disk("sdb1", "virtio5/host3/block/sdb/sdb1", "8:17", "900", "0");
	file("devices/virtio5/host3/block/sdb/sdb1/partition", "1\n");
	disk("sdb2", "virtio5/host3/block/sdb/sdb2", "8:18", "90", "0");
	file("devices/virtio5/host3/block/sdb/sdb2/partition", "2\n");
	disk("sdc", "virtio5/host3/block/sdc", "8:32", "0", "0");
	disk("sdd", "virtio5/host3/block/sdd", "8:48", "5000", "0");
	file("devices/virtio5/host3/block/sdd/holders/dm-0", "");
	disk("dm-0", "virtual/block/dm-0", "253:0", "4000", "0");
	disk("loop0", "virtual/block/loop0", "7:0", "0", "0");
	disk("loop1", "virtual/block/loop1", "7:1", "64", "0");
	file("devices/virtual/block/loop1/loop/backing_file", "/home/user/image.iso\n");
	disk("loop2", "virtual/block/loop2", "7:2", "64", "0");
	usb = xasprintf("%s/bus/usb/devices", top);
	assert_int_equal(fs_mkdir_p(usb, 0700, NULL), 0);
	file("bus/usb/devices/usb1/bDeviceClass", "09\n");
	file("bus/usb/devices/1-1/bDeviceClass", "09\n");
	file("bus/usb/devices/1-1/idVendor", "1d6b\n");
	file("bus/usb/devices/1-1/idProduct", "0002\n");
	file("bus/usb/devices/1-1.2/bDeviceClass", "00\n");
	file("bus/usb/devices/1-1.2/idVendor", "0951\n");
	file("bus/usb/devices/1-1.2/idProduct", "1666\n");
	file("bus/usb/devices/1-1.2/manufacturer", "Kingston\n");
	file("bus/usb/devices/1-1.2/product", "Data Traveler\n");
	file("bus/usb/devices/1-1.2/serial", "60A44C42\n");
	for (int i = 0; i < 2; i++) {
		_cleanup_free_ char *a = xasprintf("bus/usb/devices/1-1.2:1.%d/bInterfaceClass", i), *b = xasprintf("bus/usb/devices/1-1.2:1.%d/bInterfaceSubClass", i),
				    *c = xasprintf("bus/usb/devices/1-1.2:1.%d/bInterfaceProtocol", i);

		file(a, i ? "03\n" : "08\n");
		file(b, i ? "01\n" : "06\n");
		file(c, i ? "02\n" : "50\n");
	}
	file("bus/usb/devices/2-1/bDeviceClass", "ff\n"); /* says nothing else */
	return 0;
}

static int teardown(void **state)
{
	return fs_rm_rf(AT_FDCWD, top, NULL);
}

static const char mounts[] = "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n23 22 8:17 / /mnt rw,nosuid shared:1 - vfat /dev/sdb1 rw\n24 22 7:2 / /iso ro - iso9660 /dev/loop2 ro";

static struct scan scanned(const char *text)
{
	_cleanup_fd_ int sys = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct scan s;

	assert_int_equal(scan_devices(&s, sys, text), 0);
	return s;
}

static void expect(const struct scan *s, const char *key, const char *value)
{
	const char *got = scan_get(s, key);

	if (!value)
		assert_null(got);
	else if (!got)
		fail_msg("%s is missing", key);
	else
		assert_string_equal(got, value);
}

static void test_rows(void **state)
{
	struct scan s = scanned(mounts);

	expect(&s, SCAN_BLOCK "/sda/desc", "Kings_ton DataTraveler");
	expect(&s, SCAN_BLOCK "/sda/size", "512000");
	expect(&s, SCAN_BLOCK "/sda/mode", "w");
	expect(&s, SCAN_BLOCK "/sda/parent", "1-1.2:1.0");
	expect(&s, SCAN_BLOCK "/sda1/parent", "sda");
	expect(&s, SCAN_BLOCK "/sda1/desc", "");
	expect(&s, SCAN_BLOCK "/loop1/desc", "/home/user/image.iso");
	expect(&s, SCAN_BLOCK "/loop1/parent", NULL);
	expect(&s, SCAN_BLOCK "/vdz/mode", "r");
	expect(&s, SCAN_BLOCK "/vdz/desc", "");
	expect(&s, SCAN_BLOCK "/sdb2/mode", "w"); /* its sister is mounted, not it */
	expect(&s, SCAN_USB "/1-1_2/desc", "0951:1666 Kingston_Data_Traveler");
	expect(&s, SCAN_USB "/1-1_2/serial", "60A44C42");
	expect(&s, SCAN_USB "/1-1_2/interfaces", ":080650:030102:");
	assert_int_equal(s.n, 4 + 4 + 3 + 3 + 4 + 3);
	scan_fini(&s);
}

/* The system's own, what is used here, and what has no medium: none of it is offered. */
static void test_left_out(void **state)
{
	static const char *const names[] = { "vda", "vda1", "sdb", "sdb1", "sdc", "sdd", "dm-0", "loop0", "loop2" };
	struct scan s = scanned(mounts);
	char key[64];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(str_printf(key, sizeof key, SCAN_BLOCK "/%s/mode", names[i]), 0);
		expect(&s, key, NULL);
	}
	expect(&s, SCAN_USB "/1-1/desc", NULL);
	expect(&s, SCAN_USB "/2-1/desc", NULL);
	scan_fini(&s);
	s = scanned("");
	expect(&s, SCAN_BLOCK "/sdb/mode", "w");
	expect(&s, SCAN_BLOCK "/loop2/mode", NULL); /* it has no file */
	scan_fini(&s);
}

/* What dom0 makes of it. */
static void test_as_the_core_reads_it(void **state)
{
	struct scan s = scanned(mounts);
	struct kvmap usb_rows = { 0 }, block_rows = { 0 };
	struct dev_list usb = { 0 }, block = { 0 };

	for (size_t i = 0; i < s.n; i++) {
		bool is_usb = str_starts(s.v[i].key, SCAN_USB);

		kv_set(is_usb ? &usb_rows : &block_rows, s.v[i].key + strlen(is_usb ? SCAN_USB "/" : SCAN_BLOCK "/"), s.v[i].value);
	}
	device_guest_list(DEV_USB, "sys-usb", &usb_rows, NULL, &usb);
	device_guest_list(DEV_BLOCK, "sys-usb", &block_rows, &usb, &block);
	assert_int_equal(usb.n, 1);
	assert_string_equal(usb.v[0].dev.port, "1-1.2");
	assert_string_equal(usb.v[0].dev.id, "0951:1666:60A44C42:u080650u030102");
	assert_string_equal(usb.v[0].product, "Kingston Data Traveler");
	assert_int_equal(block.n, 5);
	assert_string_equal(block.v[1].dev.port, "sda");
	assert_string_equal(block.v[1].dev.id, "0951:1666:60A44C42:u080650u030102:1.0");
	assert_string_equal(block.v[2].dev.port, "sda1");
	assert_string_equal(block.v[2].dev.id, "0951:1666:60A44C42:u080650u030102:1.0:1");
	dev_list_fini(&usb);
	dev_list_fini(&block);
	kv_clear(&usb_rows);
	kv_clear(&block_rows);
	scan_fini(&s);
}

static void test_without_sysfs(void **state)
{
	_cleanup_fd_ int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct scan s;

	assert_int_equal(scan_devices(&s, dir, ""), -ENOENT);
	scan_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_as_the_core_reads_it),
		cmocka_unit_test(test_without_sysfs),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
