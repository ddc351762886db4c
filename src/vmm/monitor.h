/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A running machine seen from its linkd: typed events and commands, whatever the driver speaks with it. The other end is taken for hostile: a
 * guest may have taken it over. Only linkd links this half (the first half is vmm/vmm.h).
 */
#ifndef VMM_MONITOR_H
#define VMM_MONITOR_H

#include "base/ev.h"
#include "proto/ipc.h"
#include "vmm/spec.h"

/* Texts come from the machine: escape them before logging. All are called from the loop or from poll. */
struct vmm_events {
	void (*running)(void *arg);
	void (*stopped)(void *arg); /* the guest's processors stand still: paused, or about to end */
	void (*ended)(bool crashed, const char *reason, void *arg);
	void (*port)(bool open, void *arg); /* the guest opened or closed its end of the link's port */
	/* stops: the machine stands still until it is told to go on, and tries again then; full: there is no room for what it writes */
	void (*disk_error)(const char *disk, const char *operation, const char *reason, bool stops, bool full, void *arg);
	void (*nic_gone)(uint32_t port, void *arg); /* the guest gave up the device: the port is free again */
	void (*closed)(const char *why, void *arg); /* the machine has gone; once, after every open command has failed */
};

/* The end of a command; error is NULL when it succeeded. */
typedef void (*vmm_done_fn)(const char *error, void *arg);
/* The guest's memory as it is now; 0 when the machine does not tell. */
typedef void (*vmm_memory_fn)(uint64_t memory_kib, void *arg);

struct vmm_monitor;

struct vmm_monitor_ops {
	const char *name;
	/* open takes fd, a connected stream to a machine that is not running yet. Commands may be given at once. NULL: cannot be watched.
	   events stays the caller's. */
	struct vmm_monitor *(*open)(struct ev_loop *l, int fd, const struct vmm_events *events, void *arg);
	void (*free)(struct vmm_monitor *m); /* NULL-safe; fn of open commands is not called any more */
	/* command and memory: 0 and fn is called later, or negative and it is not: -EBUSY too many at a time, -EPIPE the machine has gone,
	   -EINVAL no such command. */
	int (*command)(struct vmm_monitor *m, enum ld_cmd cmd, vmm_done_fn fn, void *fn_arg);
	int (*memory)(struct vmm_monitor *m, vmm_memory_fn fn, void *fn_arg);
	/* save and load (docs/states.md §3), of a machine that was started as source or clone, once in its life: as command, fn is called when the
	   whole state was written or read. save: fd is ours, handed to the machine, and stays ours; -EAGAIN: not now. It leaves the machine stopped for
	   good. load: fd is vmm_plan.state; disk is the one whose size may
	   differ from the source's ("" = none): the guest is told the size that it has. */
	int (*save)(struct vmm_monitor *m, int fd, vmm_done_fn fn, void *fn_arg);
	int (*load)(struct vmm_monitor *m, int fd, const char *disk, vmm_done_fn fn, void *fn_arg);
	/* resize gives the disk with this serial a larger size, and tells the guest; as command. */
	int (*resize)(struct vmm_monitor *m, const char *disk, uint64_t size, vmm_done_fn fn, void *fn_arg);
	/* nic_add plugs a network device with this MAC into root port `port`; fd (the caller's) is one end of a stream of frames with a length of 4
	   bytes before each. -EAGAIN: not now. nic_cut takes the stream away: when fn is called no frame passes any more; the device goes
	   when the guest lets go of it (nic_gone). Both as command. */
	int (*nic_add)(struct vmm_monitor *m, uint32_t port, const char *mac, int fd, vmm_done_fn fn, void *fn_arg);
	int (*nic_cut)(struct vmm_monitor *m, uint32_t port, vmm_done_fn fn, void *fn_arg);
	/* bar_add plugs memory into root port `port`, at most once: fd is vmm_plan.gui, mib its size. The guest sees it as a device with the number
	   1af4:1110. As command. A machine that is saved must not have it. */
	int (*bar_add)(struct vmm_monitor *m, uint32_t port, uint32_t mib, int fd, vmm_done_fn fn, void *fn_arg);
	/* poll takes what has arrived now, without waiting for the loop. */
	void (*poll)(struct vmm_monitor *m);
};

/* vmm_monitor_of gives the driver by the name that `struct vmm_ops` has too; NULL. */
const struct vmm_monitor_ops *vmm_monitor_of(const char *name);

#endif
