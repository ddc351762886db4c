/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The object model of a system: qubes, labels, pools, global properties, all in memory. No sockets, no hypervisor, no database:
 * what leaves this folder goes through core_ops (life of machines, storage) and db_ops (persistence). One thread.
 *
 * Every change goes through a mutator of core/txn.h, which also tells the database and can be undone; the transaction is
 * committed before anybody outside learns of the change.
 */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include "base/err.h"
#include "core/kv.h"
#include "core/life.h"
#include "core/prop.h"
#include "core/txn.h"
#include "proto/admin.h"
#include "proto/device.h"
#include "proto/names.h"
#include "storage/storage.h"

#include <uthash.h>

#define QID_MAX 10000
#define RAM_ONLY_FEATURE "ram-only"
#define DISP_NUMBERS 10000u
/* Feature of dom0 that names the disposable template of qubes without a network. */
#define OFFLINE_DISPVM_FEATURE "default-offline-dispvm"

/* Classes, in the order that admin.vmclass.List shows. */
enum klass { K_ADMIN, K_APP, K_DISP, K_REMOTE, K_STANDALONE, K_TEMPLATE, K_N };
const char *klass_name(enum klass k);
/* klass_parse gives K_N for an unknown name. */
enum klass klass_parse(const char *name);

enum volume_id { VOL_ROOT, VOL_PRIVATE, VOL_VOLATILE, VOL_KERNEL, VOL_N };

struct volume {
	const char *name;
	char pool[64];
	char vid[120]; /* "" for the kernel volume, whose vid is the property */
	uint64_t size; /* bytes; of a snapshot volume: 0 = that of its source */
	bool snap_on_start, save_on_stop, rw;
	int64_t revisions_to_keep;
	bool keep_set;	   /* false: the pool's value */
	int8_t ephemeral;  /* -1: the pool's value */
	bool importing;	   /* not persistent: an import is under way, of this many bytes */
	uint64_t import_size;
};

/* A qube is READY, or on its way in or out: CREATING and REMOVING ones have files or rows but are shown to nobody. */
enum qube_row { ROW_CREATING, ROW_READY, ROW_REMOVING };

struct qube {
	UT_hash_handle hh_name, hh_uuid;
	struct qname name;
	struct uuid uuid;
	uint32_t qid;
	enum klass klass;
	enum qube_row row;
	char *props[P_N]; /* set values in canonical text; NULL = default */
	struct kvmap features, tags;
	struct kvmap devices; /* assignments: core/device.h */
	char *notes, *firewall;
	struct volume vols[VOL_N];
	size_t n_vols; /* 0 or VOL_N */

	/* not persistent */
	enum life_state state;
	uint64_t start_time; /* unix seconds, 0 when halted */
	char start_id[40];
	char pause_reason[160]; /* why it was paused without being asked: a full disk; "" = it was asked, or runs */
	char vol_head[VOL_N][64]; /* identity of what a snapshot volume shows while running, "" = unknown */
	bool mic;		  /* core/mic.c: the microphone is attached, for this start: */
	char mic_start[40];
	bool held;		  /* a disposable that goes when its last holder (core.holds) has gone */
	bool busy;		  /* a request with several steps owns the qube; others wait in `waiting` */
	struct call *waiting;
	void *run; /* the daemon's record of a running qube */
};

struct label {
	char name[32], value[16]; /* 0xRRGGBB */
	uint32_t index;
	struct label *next; /* ascending index */
};

struct pool {
	char name[64], driver[24];
	struct kvmap config; /* dir_path, revisions_to_keep, ephemeral_volatile … */
	uint64_t used;	     /* not persistent: bytes of its volumes when they were last counted, 0 = not counted (only with a size_limit) */
	uint64_t size, room; /* not persistent: bytes that its place holds, and still takes, when it was last looked at; size 0 = never */
	uint8_t level;	     /* not persistent: how little room was told last; run_pools.c */
	bool counting;	     /* not persistent: its bytes are being counted */
	bool look_again;     /* not persistent: something changed meanwhile */
	uint64_t look_us;    /* not persistent: when it is counted next */
	struct pool *next;   /* ascending name */
};

/* One listener of admin.Events. */
struct subscriber {
	struct subscriber *next;
	uint64_t id; /* of this subscription, never used again */
	char src[QNAME_MAX + 1];
	char only[QNAME_MAX + 1]; /* "" = all subjects */
	void (*send)(struct subscriber *s, const void *frame, size_t n);
};

typedef void (*storage_fn)(void *arg, int r, const struct st_reply *reply, struct err *e);
struct call;
/* What a guest wrote about itself: keys without their prefix. k negative: call.err says why. */
typedef void (*report_fn)(struct call *c, int k, const struct kvmap *map);

typedef void (*policy_fn)(void *arg, const char *answers);

/* What the daemon does for the core. All are asynchronous: calls end by call_finish. */
struct core_ops {
	int (*storage)(void *ctx, const struct st_request *q, storage_fn fn, void *arg, struct err *e);
	/* Life of machines: the call ends when the operation did; NULL call = nobody waits. */
	int (*start)(void *ctx, struct qube *q, struct call *c);
	int (*shutdown)(void *ctx, struct qube *q, bool wait, struct call *c);
	int (*kill)(void *ctx, struct qube *q, struct call *c);
	/* ev is one of PAUSE, UNPAUSE, SUSPEND, RESUME; the caller has checked that the state allows it. */
	int (*pause)(void *ctx, struct qube *q, enum life_event ev, struct call *c);
	/* The host is about to sleep (pre) or awake again: every running qube is suspended, or resumed but for those that were paused before. */
	int (*suspend_host)(void *ctx, bool pre, struct call *c);
	/* The room of a pool is looked at now: somebody asked, or its limits changed. NULL when no qube ever runs. */
	void (*look)(void *ctx, struct pool *p);
	/* A listener of vm-stats came (core.stat_subs). */
	void (*stats)(void *ctx);
	/* A holder of a disposable came or went. NULL when no qube ever runs. */
	void (*hold)(void *ctx);
	/* A running qube: grow makes a disk larger as the guest sees it; guest calls a service in it with a few bytes of input. fn follows, with
	   call.err filled when r is negative. NULL when no qube ever runs. */
	int (*grow)(void *ctx, struct qube *q, unsigned vol, uint64_t size, struct call *c, void (*fn)(struct call *c, int r));
	int (*guest)(void *ctx, struct qube *q, const char *service, const char *user, const char *input, struct call *c,
		     void (*fn)(struct call *c, int r));
	int (*current_state)(void *ctx, struct qube *q, struct call *c);
	/* Hands out a preloaded disposable of t: CALL_PENDING when the call ends with it, or begins anew without one; 0 when there is none. */
	int (*preload_take)(void *ctx, struct qube *t, struct call *c);
	/* Fills up what is preloaded without waiting. */
	void (*preload_refresh)(void *ctx);
	/* admin.state.* (enum state_op is the handler's parameter) */
	int (*state)(void *ctx, struct call *c);
	/* Reads the QubesDB keys of a running qube below prefix for the call; NULL when no qube ever runs. */
	int (*report)(void *ctx, struct qube *q, const char *prefix, struct call *c, report_fn fn);
	/* After a commit that touched policy-relevant data: true = ready() follows when every decision sees it. */
	bool (*policy_sync)(void *ctx, struct call *c);
	/* After a commit: true = call_synced follows when every link between machines that was to be cut is cut. */
	bool (*net_sync)(void *ctx, struct call *c);
	/* Would src be allowed to call service ("NAME+ARG") on each of the targets (names, one space between them), nobody being asked? fn gets
	   one '1' or '0' a target, or NULL when nobody decides; it is never called before this returns. */
	int (*policy_ask)(void *ctx, const char *src, const char *service, const char *targets, policy_fn fn, void *arg, struct err *e);
};

struct core {
	struct qube *by_name, *by_uuid; /* hash heads; all rows, hidden ones too */
	struct qube **sorted;		/* READY qubes: dom0, then by name */
	size_t n_sorted, cap_sorted;
	struct qube *by_qid[QID_MAX + 1];
	struct qube *dom0;
	struct label *labels;
	struct pool *pools;
	char *globals[P_N];
	struct txn txn;
	const struct core_ops *ops;
	void *ops_ctx;
	const struct db_ops *db;
	void *db_ctx;
	struct subscriber *subs;
	struct subscriber *stat_subs; /* of admin.vm.Stats */
	struct subscriber *holds;     /* of internal.vm.Hold */
	uint64_t n_subs; /* ids given to subscriptions so far */
	bool no_vms;
	uint64_t sysinfo_gen; /* counts changes of anything that GetSystemInfo shows */
	struct wr sysinfo;    /* its text for sysinfo_done, rebuilt when the generations differ */
	uint64_t sysinfo_done;
	struct dev_info *pci; /* of the host, ascending port; found once, before the sandbox closes */
	size_t n_pci;
	struct copy_token *tokens;
	int64_t disp_used[DISP_NUMBERS]; /* when a disposable's number was last given out, in seconds since 1970; 0 = never */
};

struct core *core_new(const struct core_ops *ops, void *ops_ctx, const struct db_ops *db, void *db_ctx);
void core_free(struct core *c);
/* core_init_fresh fills an empty database: dom0, labels, pools, in one transaction. driver is that of the pool `default`. */
int core_init_fresh(struct core *c, const char *driver, struct err *e);

/* Look-ups give READY objects only; NULL = none. qube_find takes a name or uuid:… */
struct qube *qube_find(const struct core *c, const char *name);
struct qube *qube_find_any(const struct core *c, const char *name);
struct qube *qube_by_uuid(const struct core *c, const char *uuid);
/* qube_lookup is qube_find with the reference's exceptions. */
int qube_lookup(const struct core *c, const char *ref, struct qube **ret, struct err *e);
struct qube *qube_template(const struct core *c, const struct qube *q); /* template of an AppVM or DispVM, else NULL */
struct label *label_find(const struct core *c, const char *name);
struct pool *pool_find(const struct core *c, const char *name);
struct volume *volume_find(struct qube *q, const char *name);

/* qube_alloc makes an unlinked qube with the volumes of its class; qube_link and qube_unlink put it into the tables. For txn and store. */
struct qube *qube_alloc(const char *name, const struct uuid *uuid, uint32_t qid, enum klass k);
void qube_free(struct qube *q);
void qube_link(struct core *c, struct qube *q);
void qube_unlink(struct core *c, struct qube *q);
/* qube_show puts a READY qube into the sorted list, qube_hide takes it out. */
void qube_show(struct core *c, struct qube *q);
void qube_hide(struct core *c, struct qube *q);
uint32_t qid_free(const struct core *c); /* lowest free, 0 = none */
void label_link(struct core *c, struct label *l);
void label_unlink(struct core *c, struct label *l);
void pool_link(struct core *c, struct pool *p);
void pool_unlink(struct core *c, struct pool *p);
void pool_free(struct pool *p);

static inline bool qube_halted(const struct qube *q)
{
	return q->state == LIFE_HALTED;
}
/* qube_bool: is the feature set and not empty? */
bool qube_feature(const struct qube *q, const char *name);
/* qube_feature_inherited also looks along the template chain. NULL = absent. */
const char *qube_feature_inherited(const struct core *c, const struct qube *q, const char *name);
/* qube_gui_mib gives the size of q's memory for pixels (docs/gui.md §3), 0 when feature gui of it or of its template is not on. Whether there is a
   GUI domain to look at it does not count: a saved state fits both. */
#define GUI_MIB 256
uint32_t qube_gui_mib(const struct core *c, const struct qube *q);
/* qube_ram_only: nothing that this disposable (or those of this template) writes may reach a disk or a log: feature ram-only of the qube, its
   templates, or dom0. */
bool qube_ram_only(const struct core *c, const struct qube *q);
/* qube_used_by gives the name of something that refers to q (a property of a qube or of the system), or NULL. */
const char *qube_used_by(const struct core *c, const struct qube *q, char out[96]);

/* pool and volume helpers (core/volume.c) */
void volumes_init(struct qube *q);
/* volume_source gives the volume that a snap_on_start volume shows, and its owner; NULL otherwise. */
const struct volume *volume_source(const struct core *c, const struct qube *q, const struct volume *v, struct qube **ret_owner);
/* volume_on_disk rounds a size up to whole sectors: a volume may have any size, its image may not. */
static inline uint64_t volume_on_disk(uint64_t size)
{
	return (size + 511) & ~(uint64_t)511;
}
uint64_t volume_size(const struct core *c, const struct qube *q, const struct volume *v);
int64_t volume_keep(const struct core *c, const struct volume *v);
bool volume_ephemeral(const struct core *c, const struct volume *v);
/* volume_request fills pool, driver, vid, sizes of a storage request; -AE_POOL_NOT_FOUND. */
int volume_request(const struct core *c, const struct qube *q, const struct volume *v, enum st_op op, struct st_request *ret,
		   struct err *e);
/* pool_dir gives the place of a pool (storage/drivers.def): a directory, or what its driver says; "" when options are missing. Static, valid
   until the fourth next call. pool_option_value is for pool_expand and its like: arg is the struct pool. */
const char *pool_dir(const struct pool *p);
const char *pool_option_value(const void *arg, const char *name);
/* volume_on_device: its pool is one of devices (storage/drivers.h), so each start and stop of it is asked from the driver. */
bool volume_on_device(const struct core *c, const struct volume *v);
const char *pool_default_for(const struct core *c, enum volume_id id);
/* pool_number gives an option that is a number of bytes or percent, 0 when it is not set. pool_over_limit: its volumes were last seen to hold
   more than its size_limit. */
uint64_t pool_number(const struct pool *p, const char *option);
bool pool_over_limit(const struct pool *p);
/* pool_takes: may a volume of so many bytes be in the pool, and may the pool get more data? -AE_STORAGE and why not. */
int pool_takes(const struct pool *p, uint64_t size, struct err *e);
/* Is any volume in the pool? */
bool pool_used(const struct core *c, const char *name);

/* Kernels on disk (core/kernel.c): NAME below PATH_KERNELS with a vmlinuz. */
bool kernel_exists(const char *name);
const char *kernel_newest(void); /* static; a placeholder name when none is installed */

/* System information for policy (core/sysinfo.c): the JSON text of internal.GetSystemInfo, owned by the core. */
const struct wr *sysinfo_text(struct core *c);

DEFINE_CLEANUP(qube_free, struct qube *)

#endif
