/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How QEMU is started: which accelerator, and its command line. The command line is a pure function of a checked machine description
 * and of descriptor numbers, so it is tested without QEMU. QEMU gets everything as a descriptor: it opens no path of ours.
 */
#ifndef VMM_QEMU_QEMU_H
#define VMM_QEMU_QEMU_H

#include "proto/fds.h"
#include "vmm/vmm.h"

#ifndef QEMU_PROGRAM
#define QEMU_PROGRAM "/usr/bin/qemu-system-x86_64"
#endif

#define QEMU_TCG_TB_MIB 64
/* Addresses for QEMU itself, its libraries, stacks and translated code (about 600 MiB were seen). */
#define QEMU_ROOM_MIB 2048ull
/* Memory: QEMU itself about 60 MiB, translated code 64 MiB and its tables, our daemons 20 MiB; the rest is room for the page cache. */
#define QEMU_OVERHEAD_MIB 512ull

/*
 * The one table of PCI places, the same for every qube so that a saved state fits every qube of its kind. Devices 02.0 to 0a.0 of the
 * root bus are there from the start. Everything that may come later goes into a root port: bus "rp0", "rp1", …, device 00.0 behind it.
 */
#define QEMU_SLOT_LINK 0x02
#define QEMU_SLOT_DISK 0x03 /* root 03, private 04, volatile 05, modules 06, others from 07 in order */
#define QEMU_SLOT_PORTS 0x10 /* one function a port, eight a place: port N is at 10+N/8.N%8 (core/netplug.h says the same) */

/* Node names: the guest's disk N is node "SERIAL"; its layers are "SERIAL-l0", "SERIAL-l1", … with protocol nodes "SERIAL-f0", … */

/* As vmm_ops.accel. ACCEL_AUTO: KVM only when the CPU, the device and a trial VM agree, else TCG. Asking for KVM where it does not work, or
   for an accelerator of another driver, is -ENOTSUP. */
int qemu_accel(uint8_t wanted, uint8_t *ret, struct accel_facts *facts, struct err *e);

/* qemu_argv_build fills ret (release with vmm_args_fini in every case). s must have passed vm_spec_get. -E2BIG when there are too many
   arguments, -EINVAL when a descriptor is missing. */
int qemu_argv_build(const struct vm_spec *s, const struct vmm_plan *p, struct vmm_args *ret, struct err *e);

/* qemu_vcpus gives the number of virtual CPUs that a qube really gets. */
unsigned qemu_vcpus(uint8_t accel, uint32_t wanted, unsigned host_cpus);

extern const struct vmm_ops vmm_qemu;

#endif
