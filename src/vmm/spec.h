/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * vm_spec: everything that the spawner needs to start the processes of one qube, as values. The core fills it; the spawner checks it
 * again (paths are relative to a pool directory and opened beneath it) and knows no other way to start a machine.
 */
#ifndef VMM_SPEC_H
#define VMM_SPEC_H

#include "base/err.h"
#include "base/rd.h"
#include "base/wr.h"
#include "proto/ipc.h"
#include "proto/states.h"

#define VM_DISKS_MAX 8
#define VM_LAYERS_MAX 12
#define VMM_PORTS 6      /* root ports of an ordinary machine */
#define VMM_PORTS_MAX 24 /* of one that others use as NetVM */
#define VMM_GUI_PORT 1   /* the root port that has room for memory for pixels */
#define VMM_GUI_MIN_MIB 16
#define VMM_GUI_MAX_MIB 1024

/* How a machine comes into being (docs/states.md §2): booted; booted to be saved; from a saved state. */
enum vm_start { VM_START_COLD, VM_START_SOURCE, VM_START_CLONE, VM_START_N };
#define VM_STATE_KEY_LEN 32 /* hex digits, small letters */

/* Size of the private disk of a source: no real volume has it, so that the guest of a clone sees when its own has come. */
#define VM_PLACEHOLDER_BYTES (STATE_PLACEHOLDER_SECTORS * 512ull)

enum vm_format {
	VM_FMT_RAW,
	VM_FMT_QCOW2,
	VM_FMT_DEVICE, /* raw, on a block device: path is a name that its storage driver opens */
	VM_FMT_GIVEN,  /* raw, a regular file whose descriptor comes with the description: only for this start, at most one disk */
	VM_FMT_GIVEN_DEVICE, /* the same, a block device */
	VM_FMT_N
};

struct vm_layer {
	char path[200]; /* relative to the pool directory */
	uint8_t format; /* enum vm_format */
};

struct vm_disk {
	char serial[20];    /* root, private, volatile, modules */
	char pool_dir[200]; /* absolute; must be one of the pools' directories that the spawner was given */
	bool readonly;
	uint64_t ephemeral_size; /* > 0: what the qube writes goes to an unlinked file that lives as long as QEMU; no layers: an empty
				    sparse disk of this many bytes; with layers: an overlay of this size, all layers are read only */
	uint32_t n_layers;	 /* layers[0] is the base; the last one is written when !readonly */
	struct vm_layer layers[VM_LAYERS_MAX];
};

struct vm_spec {
	uint32_t qid;
	char name[32], uuid[40];
	char start_id[40]; /* random, names this run; linkd repeats it in LD_HELLO */
	char default_user[64];
	char kernel[64];      /* directory below PATH_KERNELS */
	char kernelopts[600]; /* appended to our own arguments */
	uint8_t accel;	      /* enum ipc_accel; AUTO = probe */
	uint8_t start;	      /* enum vm_start */
	char state[VM_STATE_KEY_LEN + 1]; /* key of the state; empty exactly for VM_START_COLD */
	bool debug;
	bool template_based;	 /* root read-only with a throw-away layer */
	uint32_t memory_mib, vcpus;
	uint32_t ports; /* root ports for devices that come later, VMM_PORTS to VMM_PORTS_MAX; 0 = VMM_PORTS */
	uint32_t gui_mib; /* memory for pixels (docs/gui.md §3): a power of two, VMM_GUI_MIN_MIB to VMM_GUI_MAX_MIB; 0 = none. A source only keeps room
			     for it, so it is the same for a source and its clones */
	uint32_t n_disks;
	struct vm_disk disks[VM_DISKS_MAX];
};

void vm_spec_put(struct wr *w, const struct vm_spec *s);
/* vm_spec_get decodes the whole rest of r and validates every field (names, counts, relative paths without "..", formats).
   -EBADMSG / -EINVAL; *ret is untouched on failure. */
int vm_spec_get(struct rd *r, struct vm_spec *ret, struct err *e);

/* vm_spec_given gives the index of the disk whose descriptor comes with the description, -1 = none. */
int vm_spec_given(const struct vm_spec *s);

/* vm_key_ok: the key of a saved state, 32 hex digits of small letters. */
bool vm_key_ok(const char *s);
/* vm_path_ok: a relative path of letters, digits and _-.+@~: whose components are neither empty nor "." nor "..". */
bool vm_path_ok(const char *s);
/* vm_abs_ok: an absolute path without control bytes and without a ".." component. */
bool vm_abs_ok(const char *s);

#endif
