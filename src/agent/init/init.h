/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The first program of a qube: it runs as pid 1 from the initramfs, loads the drivers, finds the
 * disks by their serial numbers, makes the throw-away layer over a read-only root and hands over to
 * the init of the root file system. It owns nothing afterwards. It must not start another program:
 * everything here is a system call.
 */
#ifndef AGENT_INIT_INIT_H
#define AGENT_INIT_INIT_H

#include "agent/init/cmdline.h"
#include "base/err.h"

#define NEWROOT "/newroot"
#define MODULES_DIR "/modules"

enum disk_id { DISK_ROOT, DISK_PRIVATE, DISK_VOLATILE, DISK_MODULES, DISK_N };

struct disk {
	char kernel[16];    /* kernel name such as vda; "" = not there */
	uint64_t sectors;   /* of 512 bytes */
	bool read_only;
};

struct boot {
	struct cmdline args;
	int uevents;			  /* netlink socket, opened before the first driver is loaded */
	struct disk disks[DISK_N];
	char root_source[32];		  /* device that is mounted as root */
	const char *root_fs;		  /* "ext4", ... */
	bool root_overlay;		  /* root is read-only on disk with a layer in front of it */
	bool swap;
};

/* disks.c */
/* uevent_open gives a non-blocking socket that receives the kernel's device events, or a
   negative code. */
int uevent_open(struct err *e);
/* disks_wait fills b->disks. It waits (at most timeout_ms) for the root disk and, when that is
   read-only, for the volatile one; the others were found together with them because drivers
   probe in order, and are optional here. */
int disks_wait(struct boot *b, int timeout_ms, struct err *e);
/* disks_link makes the /dev/xvdX names of every disk found. */
int disks_link(const struct boot *b, struct err *e);
/* disk_wait_node waits until the block device /dev/NAME exists. */
int disk_wait_node(struct boot *b, const char *name, int timeout_ms, struct err *e);
/* root_partition writes the device name (such as vda3 or vda) that holds the root file system. */
int root_partition(const struct boot *b, char *ret, size_t cap, struct err *e);

/* volatile.c */
/* volatile_prepare partitions the volatile disk (swap, layer) and switches swap on. */
int volatile_prepare(struct boot *b, struct err *e);

/* dm.c */
/* dm_snapshot makes /dev/mapper/NAME: a writable view of origin whose changes go to cow and are
   lost at the end. */
int dm_snapshot(const char *name, const char *origin, const char *cow, uint64_t sectors, struct err *e);

/* modules.c */
/* modules_load loads every module of a group of /modules.list in the order of the file. An
   absent group is success. */
int modules_load(const char *group, struct err *e);

/* mounts.c */
int mounts_early(struct err *e);
int mounts_root(struct boot *b, struct err *e);
/* mounts_modules binds the kernel's modules into the root when it has none of that version. */
int mounts_modules(const struct boot *b, struct err *e);
int mounts_facts(const struct boot *b, struct err *e);
/* mounts_switch moves the mounts, frees the initramfs and executes the next init. Returns only
   on failure. */
int mounts_switch(const struct boot *b, struct err *e);

#endif
