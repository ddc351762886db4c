/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Driver lvm_thin: the parts that lvm.c is made of. Volume "…/QUBE/VOLUME" is the thin volume vm-QUBE-VOLUME of the pool's group (specs: the names of
 * the reference), with these beside it:
 *   …-snap            what a running qube writes: the next committed state; or its own copy of a source
 *   …-import          being filled
 *   …-<seconds>-back  a revision
 *   …-<id>-export     a copy that is being read
 * Each bears the tag LVM_TAG; what lacks it is somebody else's and is never touched. Only LVM's programs are called, each state change is one
 * of their transactions, and nothing here reads a byte of a volume.
 */
#ifndef STORAGE_LVM_H
#define STORAGE_LVM_H

#include "storage/driver.h"

#define LVM_TAG "bulkhead"
#define LVM_DM_NAME_MAX 127 /* of the kernel: group and volume with hyphens doubled, and a hyphen */
#define LVM_BACKS_MAX 128
#define LVM_OTHERS_MAX 32

/* Where LVM is. Tests point it to a program of their own. */
struct lvm_host {
	const char *program; /* absolute path */
	const char *dev;     /* directory of the groups' directories */
	const char *const *env;
};
extern struct lvm_host lvm_host;

struct lvm_group {
	char vg[68], pool[68];
};

struct lvm_name {
	char s[LVM_DM_NAME_MAX + 1];
};

/* --- lvm_names.c: pure ---------------------------------------------------------------------------------------------------------- */

enum lvm_part { LVM_NONE, LVM_HEAD, LVM_SNAP, LVM_IMPORT, LVM_BACK, LVM_EXPORT };

/* lvm_group_of takes a place apart. lvm_base gives the name of a volume's committed state. -EINVAL: not names that LVM takes. */
int lvm_group_of(const char *place, struct lvm_group *ret, struct err *e);
int lvm_base(const struct lvm_group *g, const char *vid_dir, const char *volume, struct lvm_name *ret, struct err *e);
/* lvm_join makes BASE-SUFFIX; -ENAMETOOLONG when the kernel cannot hold it in this group. */
int lvm_join(const struct lvm_group *g, const struct lvm_name *base, const char *suffix, struct lvm_name *ret, struct err *e);
/* lvm_dm_name gives the device-mapper's name of a volume: hyphens doubled. */
int lvm_dm_name(const char *vg, const char *lv, char out[LVM_DM_NAME_MAX + 1]);
/* lvm_classify says what name is to the volume with that base; ret_when: the seconds of a LVM_BACK. */
enum lvm_part lvm_classify(const struct lvm_name *base, const char *name, uint64_t *ret_when);
/* lvm_for_a_run: a volume of any qube that only a running qube uses, so it may be given away to be written. */
bool lvm_for_a_run(const char *name);

/* One row of what lvs tells. */
struct lvm_lv {
	char name[LVM_DM_NAME_MAX + 1], uuid[40], pool[68];
	uint64_t size, used, extent; /* bytes */
	bool there, active, open, ours;
};
/* The columns that lvm_lv_parse reads, and what parts them. */
#define LVM_COLUMNS "lv_name,lv_uuid,lv_size,lv_attr,pool_lv,lv_tags,vg_extent_size,data_percent"
#define LVM_SEPARATOR "|"
int lvm_lv_parse(struct rd *line, struct lvm_lv *ret);

/* What lvs tells of a thin pool. */
struct lvm_pool {
	uint64_t size, used, meta_size, meta_used;
	bool thin_pool, zeroes, out_of_data, failed;
};
#define LVM_POOL_COLUMNS "lv_size,lv_attr,data_percent,lv_metadata_size,metadata_percent"
int lvm_pool_parse(struct rd *line, struct lvm_pool *ret);

/* --- lvm_run.c: the programs ------------------------------------------------------------------------------------------------------ */

int lvm_new(const struct lvm_group *g, const struct lvm_name *name, uint64_t size, struct err *e);
int lvm_snapshot(const struct lvm_group *g, const char *origin, const struct lvm_name *name, struct err *e);
int lvm_rename(const struct lvm_group *g, const char *from, const char *to, struct err *e);
int lvm_delete(const struct lvm_group *g, const char *name, struct err *e);
int lvm_grow(const struct lvm_group *g, const char *name, uint64_t size, struct err *e);
int lvm_activate(const struct lvm_group *g, const char *name, struct err *e);
/* lvm_list calls fn for each volume of the group. */
int lvm_list(const struct lvm_group *g, int (*fn)(const struct lvm_lv *lv, void *arg), void *arg, struct err *e);
int lvm_pool_ask(const struct lvm_group *g, struct lvm_pool *ret, struct err *e);
/* lvm_sync: what was written to an active volume is on the disk. */
int lvm_sync(const struct lvm_group *g, const char *name, struct err *e);

/* --- lvm_state.c: one volume ------------------------------------------------------------------------------------------------------ */

struct lvm_back {
	uint64_t when;
	struct lvm_lv lv;
};

struct lvm_state {
	struct lvm_group g;
	struct lvm_name base, snap_name, import_name;
	struct lvm_lv head, snap, import;
	struct lvm_back backs[LVM_BACKS_MAX]; /* oldest first */
	size_t n_backs;
	char exports[LVM_OTHERS_MAX][LVM_DM_NAME_MAX + 1];
	size_t n_exports;
};

/* lvm_load asks LVM. A volume without a head but with revisions is one whose commit was killed: its newest revision is its head, and lvm_recover
   gives it the name again (for what is about to change something). */
int lvm_load(struct lvm_state *s, const char *place, const char *vid_dir, const char *volume, struct err *e);
int lvm_recover(struct lvm_state *s, struct err *e);
/* lvm_committed gives the committed state: -ENOENT when there is none, -EBUSY while it runs without snapshots. */
int lvm_committed(const struct lvm_state *s, const struct lvm_lv **ret, struct err *e);
/* lvm_commit makes the volume of that name the head; what was the head is the newest revision then. lvm_prune removes old revisions. */
int lvm_commit(struct lvm_state *s, const char *name, struct err *e);
int lvm_prune(struct lvm_state *s, int32_t keep, struct err *e);

#endif
