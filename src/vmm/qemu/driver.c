/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The row of QEMU in the table of drivers: accelerators kvm and tcg. */
#include "vmm/qemu/qemu.h"

/* Its program, libraries and firmware. /dev/kvm is the last, left out where it is not used. */
static const struct proc_bind files[] = {
	{ .path = "/usr" },
	{ .path = "/lib", .optional = true },
	{ .path = "/lib64", .optional = true },
	{ .path = "/etc/ld.so.cache", .optional = true },
	{ .path = "/dev/null", .rw = true, .dev = true },
	{ .path = "/dev/urandom", .dev = true },
	{ .path = "/dev/kvm", .rw = true, .dev = true },
};
_Static_assert(ARRAY_SIZE(files) < VMM_FILES_MAX, "one place is left for the caller's own program");

/*
 * The C library gives threads that allocate at once an arena each, up to eight for each processor of the host, and reserves 64 to 128 MiB of
 * addresses for each. QEMU has up to 64 threads for I/O of disks, so a burst of it could use up QEMU_ROOM_MIB on a host with many
 * processors. Two arenas are enough: they do little but read and write. Measured with 40 parallel reads of a qube of 400 MiB on
 * two processors: VmPeak 1457 MiB without the limit, 800 MiB with it.
 */
static const char *const env[] = { "MALLOC_ARENA_MAX=2", NULL };

/* On KVM nothing speaks against it, but nobody has seen it work there yet. */
static bool can_save(uint8_t accel)
{
	return accel == ACCEL_TCG || accel == ACCEL_KVM;
}

static int launch(const struct vm_spec *s, const struct vmm_plan *p, struct vmm_launch *ret, struct err *e)
{
	bool kvm = p->accel == ACCEL_KVM;

	*ret = (struct vmm_launch){ .n_files = ARRAY_SIZE(files) - !kvm, .device = kvm ? "/dev/kvm" : NULL, .room_mib = QEMU_ROOM_MIB,
				    .env = env };
	memcpy(ret->files, files, sizeof files);
	return qemu_argv_build(s, p, &ret->args, e);
}

const struct vmm_ops vmm_qemu = {
	.name = "qemu",
	.program = QEMU_PROGRAM,
	.package = "qemu-system-x86",
	.overhead_mib = QEMU_OVERHEAD_MIB,
	.accel = qemu_accel,
	.can_save = can_save,
	.launch = launch,
};
