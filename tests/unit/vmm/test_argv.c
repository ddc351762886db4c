/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QEMU's command line, word by word, and what must never be on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "vmm/qemu/qemu.h"

static struct vm_spec sample(void)
{
	struct vm_spec s = { .qid = 7, .name = "work", .uuid = "0f0e0d0c-0b0a-4908-8706-050403020100", .start_id = "abc-1",
			     .default_user = "user", .kernel = "6.1", .kernelopts = "swiotlb=2048", .template_based = true,
			     .memory_mib = 400, .vcpus = 2, .n_disks = 4 };

	s.disks[0] = (struct vm_disk){ .serial = "root", .readonly = true, .n_layers = 2,
				       .layers = { { "r.img", VM_FMT_RAW }, { "r.l1.qcow2", VM_FMT_QCOW2 } } };
	s.disks[1] = (struct vm_disk){ .serial = "private", .n_layers = 2,
				       .layers = { { "p.img", VM_FMT_RAW }, { "p-dirty.qcow2", VM_FMT_QCOW2 } } };
	s.disks[2] = (struct vm_disk){ .serial = "volatile", .ephemeral_size = 1 << 20 };
	s.disks[3] = (struct vm_disk){ .serial = "extra", .ephemeral_size = 1 << 20, .n_layers = 1, .layers = { { "x.img", VM_FMT_RAW } } };
	return s;
}

static struct vmm_plan plan(uint8_t accel)
{
	struct vmm_plan p;

	vmm_plan_init(&p);
	p.accel = accel;
	p.host_cpus = 4;
	p.program = "qemu";
	p.monitor = 5;
	p.console = 6;
	p.link = 7;
	p.kernel = 8;
	p.initrd = 9;
	p.layers[0][0] = 10;
	p.layers[0][1] = 11;
	p.layers[1][0] = 12;
	p.layers[1][1] = 13;
	p.ephemeral[2] = 14;
	p.layers[3][0] = 15;
	p.ephemeral[3] = 16;
	return p;
}

static const char *const golden[] = {
	"qemu", "-name", "guest=work,debug-threads=off", "-uuid", "0f0e0d0c-0b0a-4908-8706-050403020100", "-nodefaults",
	"-no-user-config", "-S", "-no-reboot", "-display", "none", "-vga", "none", "-sandbox",
	"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny", "-machine",
	"q35,usb=off,smbus=off,sata=off,vmport=off,mem-merge=off,dump-guest-core=off", "-accel", "tcg,tb-size=64", "-cpu",
	"max,erms=off,fsrm=off", "-smp", "2", "-m", "400M", "-rtc", "base=utc", "-kernel", "/proc/self/fd/8", "-initrd",
	"/proc/self/fd/9", "-append",
	"root=/dev/mapper/dmroot console=ttyS0 quiet panic=1 systemd.machine_id=0f0e0d0c0b0a49088706050403020100 cryptomgr.notests "
	"noreplace-smp swiotlb=2048",
	"-chardev", "socket,id=qmp,fd=5", "-mon", "chardev=qmp,mode=control", "-chardev", "socket,id=console,fd=6", "-serial",
	"chardev:console", "-device", "virtio-serial-pci,id=vser,bus=pcie.0,addr=0x02,disable-legacy=on,max_ports=4", "-chardev",
	"socket,id=link,fd=7", "-device", "virtserialport,bus=vser.0,nr=1,chardev=link,id=link0,name=org.bulkhead.link",
	/* root: shared, read-only, not locked */
	"-add-fd", "fd=10,set=1", "-blockdev",
	"driver=file,node-name=root-f0,filename=/dev/fdset/1,read-only=on,auto-read-only=off,locking=off,cache.direct=off,cache.no-flush=off",
	"-blockdev", "driver=raw,node-name=root-l0,file=root-f0,read-only=on,auto-read-only=off,cache.direct=off,cache.no-flush=off",
	"-add-fd", "fd=11,set=2", "-blockdev",
	"driver=file,node-name=root-f1,filename=/dev/fdset/2,read-only=on,auto-read-only=off,locking=off,cache.direct=off,cache.no-flush=off",
	"-blockdev",
	"driver=qcow2,node-name=root,file=root-f1,backing=root-l0,read-only=on,auto-read-only=off,cache.direct=off,cache.no-flush=off",
	"-device", "virtio-blk-pci,id=root,drive=root,serial=root,bus=pcie.0,addr=0x03,disable-legacy=on,num-queues=1,werror=stop,rerror=stop",
	/* private: only the top is written, its flushes count */
	"-add-fd", "fd=12,set=3", "-blockdev",
	"driver=file,node-name=private-f0,filename=/dev/fdset/3,read-only=on,auto-read-only=off,locking=off,cache.direct=off,cache.no-flush=off",
	"-blockdev", "driver=raw,node-name=private-l0,file=private-f0,read-only=on,auto-read-only=off,cache.direct=off,cache.no-flush=off",
	"-add-fd", "fd=13,set=4", "-blockdev",
	"driver=file,node-name=private-f1,filename=/dev/fdset/4,read-only=off,auto-read-only=off,locking=auto,discard=unmap,cache.direct=off,"
	"cache.no-flush=off",
	"-blockdev",
	"driver=qcow2,node-name=private,file=private-f1,backing=private-l0,read-only=off,auto-read-only=off,discard=unmap,cache.direct=off,"
	"cache.no-flush=off",
	"-device", "virtio-blk-pci,id=private,drive=private,serial=private,bus=pcie.0,addr=0x04,disable-legacy=on,num-queues=1,werror=stop,rerror=stop",
	/* volatile: flushes do nothing */
	"-add-fd", "fd=14,set=5", "-blockdev",
	"driver=file,node-name=volatile-f0,filename=/dev/fdset/5,read-only=off,auto-read-only=off,locking=auto,discard=unmap,cache.direct=off,"
	"cache.no-flush=on",
	"-blockdev",
	"driver=raw,node-name=volatile,file=volatile-f0,read-only=off,auto-read-only=off,discard=unmap,cache.direct=off,cache.no-flush=on",
	"-device", "virtio-blk-pci,id=volatile,drive=volatile,serial=volatile,bus=pcie.0,addr=0x05,disable-legacy=on,num-queues=1,werror=stop,rerror=stop",
	/* a throw-away overlay */
	"-add-fd", "fd=15,set=6", "-blockdev",
	"driver=file,node-name=extra-f0,filename=/dev/fdset/6,read-only=on,auto-read-only=off,locking=off,cache.direct=off,cache.no-flush=off",
	"-blockdev", "driver=raw,node-name=extra-l0,file=extra-f0,read-only=on,auto-read-only=off,cache.direct=off,cache.no-flush=off",
	"-add-fd", "fd=16,set=7", "-blockdev",
	"driver=file,node-name=extra-f1,filename=/dev/fdset/7,read-only=off,auto-read-only=off,locking=auto,discard=unmap,cache.direct=off,"
	"cache.no-flush=on",
	"-blockdev",
	"driver=qcow2,node-name=extra,file=extra-f1,backing=extra-l0,read-only=off,auto-read-only=off,discard=unmap,cache.direct=off,"
	"cache.no-flush=on",
	"-device", "virtio-blk-pci,id=extra,drive=extra,serial=extra,bus=pcie.0,addr=0x07,disable-legacy=on,num-queues=1,werror=stop,rerror=stop",
	"-device", "pcie-root-port,id=rp0,bus=pcie.0,addr=0x10.0,chassis=1,slot=1,multifunction=on",
	"-device", "pcie-root-port,id=rp1,bus=pcie.0,addr=0x10.1,chassis=2,slot=2",
	"-device", "pcie-root-port,id=rp2,bus=pcie.0,addr=0x10.2,chassis=3,slot=3",
	"-device", "pcie-root-port,id=rp3,bus=pcie.0,addr=0x10.3,chassis=4,slot=4",
	"-device", "pcie-root-port,id=rp4,bus=pcie.0,addr=0x10.4,chassis=5,slot=5",
	"-device", "pcie-root-port,id=rp5,bus=pcie.0,addr=0x10.5,chassis=6,slot=6",
};

static void word_by_word(void **state)
{
	_cleanup_(vmm_args_fini) struct vmm_args a = { .n = 0 };
	struct vm_spec s = sample();
	struct vmm_plan p = plan(ACCEL_TCG);

	assert_int_equal(qemu_argv_build(&s, &p, &a, NULL), 0);
	for (size_t i = 0; i < MIN(a.n, ARRAY_SIZE(golden)); i++)
		if (!streq(a.v[i], golden[i]))
			fail_msg("word %zu: got  %s\n        want %s", i, a.v[i], golden[i]);
	assert_int_equal(a.n, ARRAY_SIZE(golden));
	assert_null(a.v[a.n]);
}

/* Only the one root port has room for memory for pixels, in every kind of machine alike; the memory itself comes later. */
static void room_for_pixels(void **state)
{
	for (uint8_t start = VM_START_COLD; start < VM_START_N; start++) {
		_cleanup_(vmm_args_fini) struct vmm_args a = { .n = 0 };
		struct vm_spec s = sample();
		struct vmm_plan p = plan(ACCEL_TCG);
		unsigned n = 0;

		s.gui_mib = 256;
		s.start = start;
		p.ram = start == VM_START_COLD ? -1 : 30;
		p.state = start == VM_START_CLONE ? 31 : -1;
		p.gui = start == VM_START_SOURCE ? -1 : 32;
		assert_int_equal(qemu_argv_build(&s, &p, &a, NULL), 0);
		for (size_t i = 0; i < a.n; i++) {
			n += strstr(a.v[i], "reserve") != NULL;
			assert_null(strstr(a.v[i], "ivshmem"));
			assert_null(strstr(a.v[i], "/fd/32"));
			if (str_starts(a.v[i], "pcie-root-port,id=rp1,"))
				assert_string_equal(a.v[i], "pcie-root-port,id=rp1,bus=pcie.0,addr=0x10.1,chassis=2,slot=2,pref64-reserve=512M");
		}
		assert_int_equal(n, 1);
	}
}

static bool has(const struct vmm_args *a, const char *word)
{
	for (size_t i = 0; i < a->n; i++)
		if (streq(a->v[i], word))
			return true;
	return false;
}

static const char *value_of(const struct vmm_args *a, const char *option)
{
	for (size_t i = 0; i + 1 < a->n; i++)
		if (streq(a->v[i], option))
			return a->v[i + 1];
	return NULL;
}

/* A source and its clones are the same machine but for where its memory comes from, and for the kernel. */
static void saved_states(void **state)
{
	_cleanup_(vmm_args_fini) struct vmm_args cold = { .n = 0 }, src = { .n = 0 }, clone = { .n = 0 };
	struct vm_spec s = sample();
	struct vmm_plan p = plan(ACCEL_TCG);
	size_t i, k, odd = 0;

	assert_int_equal(qemu_argv_build(&s, &p, &cold, NULL), 0);
	assert_null(value_of(&cold, "-object"));
	p.ram = 30;
	p.state = 31;
	s.start = VM_START_SOURCE;
	assert_int_equal(qemu_argv_build(&s, &p, &src, NULL), 0);
	assert_string_equal(value_of(&src, "-object"), "memory-backend-file,id=ram,size=400M,mem-path=/proc/self/fd/30,share=on");
	assert_non_null(strstr(value_of(&src, "-machine"), ",memory-backend=ram"));
	assert_non_null(strstr(value_of(&src, "-append"), " bulkhead.state "));
	assert_null(value_of(&src, "-incoming"));
	s.start = VM_START_CLONE;
	assert_int_equal(qemu_argv_build(&s, &p, &clone, NULL), 0);
	assert_string_equal(value_of(&clone, "-object"), "memory-backend-file,id=ram,size=400M,mem-path=/proc/self/fd/30,share=off");
	assert_string_equal(value_of(&clone, "-incoming"), "defer");
	assert_null(value_of(&clone, "-kernel"));
	assert_null(value_of(&clone, "-initrd"));
	assert_null(value_of(&clone, "-append"));
	for (i = k = 0; i < src.n && k < clone.n; i++, k++) {
		if (streq(src.v[i], "-kernel"))
			i += 6;
		if (streq(clone.v[k], "-incoming"))
			k += 2;
		if (streq(src.v[i], clone.v[k]))
			continue;
		assert_true(strstr(src.v[i], "memory-backend-file") != NULL);
		odd++;
	}
	assert_true(i == src.n && k == clone.n && odd == 1);
	/* Without its files there is no such machine. */
	p.state = -1;
	vmm_args_fini(&clone);
	assert_int_equal(qemu_argv_build(&s, &p, &clone, NULL), -EINVAL);
	p.ram = -1;
	vmm_args_fini(&src);
	s.start = VM_START_SOURCE;
	assert_int_equal(qemu_argv_build(&s, &p, &src, NULL), -EINVAL);
}

static void never(void **state)
{
	static const char *const banned[] = { "-netdev", "-net", "-nic", "-usb", "-drive", "-hda", "-monitor", "-daemonize", "-pidfile" };
	_cleanup_(vmm_args_fini) struct vmm_args a = { .n = 0 };
	struct vm_spec s = sample();
	struct vmm_plan p = plan(ACCEL_KVM);

	assert_int_equal(qemu_argv_build(&s, &p, &a, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(banned); i++)
		assert_false(has(&a, banned[i]));
	for (size_t i = 0; i < a.n; i++) {
		assert_null(strstr(a.v[i], ".img")); /* no path of an image */
		assert_null(strstr(a.v[i], "noreplace-smp")); /* emulation only */
	}
	assert_true(has(&a, "kvm") && has(&a, "host") && has(&a, "-nodefaults") && has(&a, "-no-user-config") && has(&a, "-S"));
}

static void missing(void **state)
{
	struct vm_spec s = sample();

	for (int i = 0; i < 4; i++) {
		_cleanup_(vmm_args_fini) struct vmm_args a = { .n = 0 };
		struct vmm_plan p = plan(ACCEL_TCG);

		*(i == 0 ? &p.monitor : i == 1 ? &p.layers[0][1] : i == 2 ? &p.ephemeral[2] : &p.link) = -1;
		assert_int_equal(qemu_argv_build(&s, &p, &a, NULL), -EINVAL);
	}
}

static void largest(void **state)
{
	_cleanup_(vmm_args_fini) struct vmm_args a = { .n = 0 };
	struct vm_spec s = sample();
	struct vmm_plan p = plan(ACCEL_TCG);

	s.n_disks = VM_DISKS_MAX;
	for (uint32_t i = 0; i < VM_DISKS_MAX; i++) {
		s.disks[i] = (struct vm_disk){ .n_layers = VM_LAYERS_MAX };
		assert_int_equal(str_printf(s.disks[i].serial, sizeof s.disks[i].serial, "disk-with-longname%u", i), 0);
		for (uint32_t k = 0; k < VM_LAYERS_MAX; k++) {
			s.disks[i].layers[k].format = k ? VM_FMT_QCOW2 : VM_FMT_RAW;
			p.layers[i][k] = (int)(20 + i * VM_LAYERS_MAX + k);
		}
	}
	assert_int_equal(qemu_argv_build(&s, &p, &a, NULL), 0);
}

/* QEMU refuses a block device as a file, and a file as a device. In memory what is written lies over it. */
static void devices(void **state)
{
	_cleanup_(vmm_args_fini) struct vmm_args a = { .n = 0 }, over = { .n = 0 };
	struct vm_spec s = sample();
	struct vmm_plan p = plan(ACCEL_TCG);

	s.disks[1] = (struct vm_disk){ .serial = "private", .n_layers = 1, .layers = { { "vm-work-private-snap", VM_FMT_DEVICE } } };
	assert_int_equal(qemu_argv_build(&s, &p, &a, NULL), 0);
	assert_true(has(&a, "driver=host_device,node-name=private-f0,filename=/dev/fdset/3,read-only=off,auto-read-only=off,locking=auto,discard=unmap,"
			    "cache.direct=off,cache.no-flush=off"));
	assert_true(has(&a, "driver=raw,node-name=private,file=private-f0,read-only=off,auto-read-only=off,discard=unmap,cache.direct=off,"
			    "cache.no-flush=off"));
	s.disks[1].ephemeral_size = 1 << 20;
	p.ephemeral[1] = 17;
	assert_int_equal(qemu_argv_build(&s, &p, &over, NULL), 0);
	assert_true(has(&over, "driver=host_device,node-name=private-f0,filename=/dev/fdset/3,read-only=on,auto-read-only=off,locking=off,cache.direct=off,"
			       "cache.no-flush=off"));
	assert_true(has(&over, "driver=raw,node-name=private-l0,file=private-f0,read-only=on,auto-read-only=off,cache.direct=off,cache.no-flush=off"));
}

static bool has_part(const struct vmm_args *a, const char *text)
{
	for (size_t i = 0; i < a->n; i++)
		if (strstr(a->v[i], text))
			return true;
	return false;
}

/* One more disk for this start, in the next place; a qube that brings its own kernel starts from it. */
static void given_disk(void **state)
{
	_cleanup_(vmm_args_fini) struct vmm_args file = { .n = 0 }, device = { .n = 0 }, own = { .n = 0 };
	struct vm_spec s = sample();
	struct vmm_plan p = plan(ACCEL_TCG);
	uint32_t i = s.n_disks++;

	s.disks[i] = (struct vm_disk){ .serial = "cdrom", .readonly = true, .n_layers = 1, .layers = { { "given", VM_FMT_GIVEN } } };
	p.layers[i][0] = 77;
	assert_int_equal(qemu_argv_build(&s, &p, &file, NULL), 0);
	assert_true(has_part(&file, "driver=file,node-name=cdrom-f0,"));
	assert_true(has_part(&file, "driver=raw,node-name=cdrom,file=cdrom-f0,read-only=on"));
	assert_true(has_part(&file, "virtio-blk-pci,id=cdrom,drive=cdrom,serial=cdrom,bus=pcie.0,addr=0x08,"));
	assert_false(has_part(&file, "bootindex"));
	s.disks[i] = (struct vm_disk){ .serial = "hddisk", .n_layers = 1, .layers = { { "given", VM_FMT_GIVEN_DEVICE } } };
	assert_int_equal(qemu_argv_build(&s, &p, &device, NULL), 0);
	assert_true(has_part(&device, "driver=host_device,node-name=hddisk-f0,"));
	assert_true(has_part(&device, "driver=raw,node-name=hddisk,file=hddisk-f0,read-only=off"));
	s.kernel[0] = '\0';
	p.kernel = p.initrd = -1;
	assert_int_equal(qemu_argv_build(&s, &p, &own, NULL), 0);
	assert_true(has_part(&own, "serial=hddisk,bus=pcie.0,addr=0x08,disable-legacy=on,num-queues=1,werror=stop,rerror=stop,bootindex=0"));
	assert_false(has_part(&own, "serial=root,bus=pcie.0,addr=0x03,disable-legacy=on,num-queues=1,werror=stop,rerror=stop,bootindex"));
}

static void vcpus(void **state)
{
	assert_int_equal(qemu_vcpus(ACCEL_TCG, 2, 2), 1);
	assert_int_equal(qemu_vcpus(ACCEL_TCG, 2, 1), 1);
	assert_int_equal(qemu_vcpus(ACCEL_TCG, 8, 8), 4);
	assert_int_equal(qemu_vcpus(ACCEL_KVM, 2, 2), 2);
	assert_int_equal(qemu_vcpus(ACCEL_KVM, 64, 8), 8);
	assert_int_equal(qemu_vcpus(ACCEL_KVM, 0, 8), 1);
}

static void accelerator(void **state)
{
	struct accel_facts f;
	struct err e = { 0 };
	uint8_t a;

	assert_int_equal(qemu_accel(ACCEL_AUTO, &a, &f, &e), 0);
	/* The three facts decide, nothing else. */
	assert_int_equal(a, f.cpu_flag && f.dev_kvm && f.create_vm ? ACCEL_KVM : ACCEL_TCG);
	assert_true(f.reason[0]);
	if (a == ACCEL_TCG) {
		assert_int_equal(qemu_accel(ACCEL_KVM, &a, &f, &e), -ENOTSUP);
		assert_non_null(strstr(e.msg, f.reason));
	}
	assert_int_equal(qemu_accel(200, &a, &f, &e), -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(room_for_pixels), cmocka_unit_test(word_by_word), cmocka_unit_test(saved_states), cmocka_unit_test(never), cmocka_unit_test(missing),
		cmocka_unit_test(largest),	cmocka_unit_test(vcpus), cmocka_unit_test(accelerator),
		cmocka_unit_test(devices), cmocka_unit_test(given_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
