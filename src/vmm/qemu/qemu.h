/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How QEMU is started: which accelerator, and its command line. The command line is a pure function of a checked machine description
 * and of descriptor numbers, so it is tested without QEMU. QEMU gets everything as a descriptor: it opens no path of ours.
 */
#ifndef VMM_QEMU_QEMU_H
#define VMM_QEMU_QEMU_H

#include "proto/fds.h"
#include "vmm/spec.h"

#ifndef QEMU_PROGRAM
#define QEMU_PROGRAM "/usr/bin/qemu-system-x86_64"
#endif

#define QEMU_TCG_TB_MIB 64

/*
 * The one table of PCI places, the same for every qube so that a saved state fits every qube of its kind. Devices 02.0 to 0a.0 of the
 * root bus are there from the start. Everything that may come later goes into a root port: bus "rp0" to "rp5", device 00.0 behind it.
 */
#define QEMU_SLOT_LINK 0x02
#define QEMU_SLOT_DISK 0x03 /* root 03, private 04, volatile 05, modules 06, others from 07 in order */
#define QEMU_SLOT_PORTS 0x10 /* one function a port */
#define QEMU_PORTS 6
enum qemu_port { QEMU_PORT_NIC, QEMU_PORT_GUI, QEMU_PORT_SPARE };

/* Node names: the guest's disk N is node "SERIAL"; its layers are "SERIAL-l0", "SERIAL-l1", … with protocol nodes "SERIAL-f0", … */

struct accel_facts {
	bool cpu_flag;	/* vmx or svm */
	bool dev_kvm;	/* /dev/kvm opens for reading and writing */
	bool create_vm; /* KVM_CREATE_VM works (asked only when both others hold) */
	char reason[160]; /* why the chosen one was chosen, one sentence */
};

/* qemu_accel chooses the accelerator. wanted = ACCEL_AUTO: KVM only when the CPU, the device and a trial VM agree, else TCG;
   $BULKHEAD_ACCEL (kvm, tcg) overrides AUTO. Asking for KVM where it does not work is -ENOTSUP. facts may be NULL. */
int qemu_accel(uint8_t wanted, uint8_t *ret, struct accel_facts *facts, struct err *e);

/* Descriptor numbers as QEMU sees them; -1 = not there. */
struct qemu_plan {
	const char *program;
	uint8_t accel; /* ACCEL_KVM or ACCEL_TCG */
	unsigned host_cpus;
	int qmp, console, link; /* connected sockets */
	int kernel, initrd;
	int layers[VM_DISKS_MAX][VM_LAYERS_MAX];
	int ephemeral[VM_DISKS_MAX]; /* the unlinked file of a disk with ephemeral_size */
};

void qemu_plan_init(struct qemu_plan *p);

#define QEMU_ARGS_MAX 700 /* the largest machine description fits */

struct qemu_argv {
	char *v[QEMU_ARGS_MAX + 1]; /* NULL-terminated, own memory */
	size_t n;
};

/* qemu_argv_build fills ret (release with qemu_argv_fini in every case). s must have passed vm_spec_get. -E2BIG when there are too many
   arguments, -EINVAL when a descriptor is missing. */
int qemu_argv_build(const struct vm_spec *s, const struct qemu_plan *p, struct qemu_argv *ret, struct err *e);
void qemu_argv_fini(struct qemu_argv *a);

/* qemu_vcpus gives the number of virtual CPUs that a qube really gets. */
unsigned qemu_vcpus(uint8_t accel, uint32_t wanted, unsigned host_cpus);

#endif
