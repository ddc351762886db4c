/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the rest of the host knows about hypervisors: a table of drivers (drivers.def). This half starts machines and is linked by the
 * spawner and by tools; vmm/monitor.h is the half that talks to a running one. Nothing outside vmm/NAME/ names a driver's functions.
 */
#ifndef VMM_VMM_H
#define VMM_VMM_H

#include "base/rootfs.h"
#include "vmm/spec.h"

struct accel_facts {
	bool cpu_flag;	/* vmx or svm */
	bool dev_kvm;	/* /dev/kvm opens for reading and writing */
	bool create_vm; /* KVM_CREATE_VM works (asked only when both others hold) */
	char reason[160]; /* why the chosen one was chosen, one sentence */
};

/* Descriptor numbers as the machine's program sees them; -1 = not there. */
struct vmm_plan {
	const char *program; /* NULL = the driver's own; tests name another */
	uint8_t accel;	     /* never ACCEL_AUTO */
	unsigned host_cpus;
	int monitor, console, link; /* connected sockets */
	int kernel, initrd;
	int ram;   /* a start as source: what becomes its RAM, shared; as clone: the RAM of the state, mapped privately; -1 for a cold start */
	int state; /* clone: where the state of its devices comes from. The monitor names it (vmm/monitor.h) */
	int gui;   /* memory for pixels, which the monitor plugs in later; -1 = none */
	int layers[VM_DISKS_MAX][VM_LAYERS_MAX];
	int ephemeral[VM_DISKS_MAX]; /* the unlinked file of a disk with ephemeral_size */
};

#define VMM_ARGS_MAX 700 /* the largest machine description fits */
#define VMM_FILES_MAX 12

struct vmm_args {
	char *v[VMM_ARGS_MAX + 1]; /* NULL-terminated, own memory */
	size_t n;
};

/* How a machine's program is started. */
struct vmm_launch {
	struct vmm_args args; /* args.v[0] is the program's path */
	struct proc_bind files[VMM_FILES_MAX]; /* all that it may see of the host's files */
	size_t n_files;
	const char *device; /* a device node that it opens, NULL = none: it then needs that node's group */
	uint64_t room_mib;  /* addresses that it needs besides the qube's memory */
	const char *const *env; /* NAME=VALUE, NULL-terminated, static: what its environment has besides PATH and LANG; NULL = nothing */
};

struct vmm_ops {
	const char *name;
	const char *program; /* absolute path of the program that this host must have */
	const char *package; /* the package that brings it */
	uint64_t overhead_mib; /* memory of the host that a qube may take besides its own, all its programs together */
	/* accel: which accelerator a machine gets. wanted may be ACCEL_AUTO. -ENOTSUP: not with this driver on this host; the text says
	   why. facts is never NULL. */
	int (*accel)(uint8_t wanted, uint8_t *ret, struct accel_facts *facts, struct err *e);
	/* can_save: machines of this driver on this accelerator can be saved and cloned (docs/states.md). */
	bool (*can_save)(uint8_t accel);
	/* launch fills *ret, which the caller ends with vmm_launch_fini in every case. s has passed vm_spec_get. -E2BIG: too many
	   arguments; -EINVAL: a descriptor is missing. A pure function: it opens and starts nothing. */
	int (*launch)(const struct vm_spec *s, const struct vmm_plan *p, struct vmm_launch *ret, struct err *e);
};

/* vmm_at gives driver i, NULL after the last. */
const struct vmm_ops *vmm_at(size_t i);
/* vmm_choose asks the drivers in order and gives the first that this host fits. wanted = ACCEL_AUTO: $BULKHEAD_ACCEL (a name of
   vmm_accel_name) may decide, else the driver. -ENOTSUP with the last driver's reason; facts may be NULL. */
int vmm_choose(uint8_t wanted, const struct vmm_ops **ret, uint8_t *ret_accel, struct accel_facts *facts, struct err *e);

/* vmm_accel_name gives "kvm", "tcg"; "auto" for ACCEL_AUTO. vmm_accel_parse takes the names of real ones; -EINVAL. */
const char *vmm_accel_name(uint8_t accel);
int vmm_accel_parse(const char *name, uint8_t *ret);

void vmm_plan_init(struct vmm_plan *p);
void vmm_args_fini(struct vmm_args *a);
void vmm_launch_fini(struct vmm_launch *l);

#endif
