/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Volumes on disk (specs/storage-backup.md §1). One request = one operation on one volume, run by the confined worker of its driver; the
 * core sends it through the spawner (SP_STORAGE) and gets the answer. Operations are idempotent and crash-safe at each step:
 * repeating one that was killed half-way finishes it. A driver is `struct pool_ops`; the state of a volume is in the names on the disk,
 * never in a database, so that the two cannot disagree.
 */
#ifndef STORAGE_STORAGE_H
#define STORAGE_STORAGE_H

#include "vmm/spec.h" /* struct vm_layer */

enum st_op {
	ST_PROBE,	   /* does this driver fit pool_dir ("" = which driver of files does): reply.driver; -ENOTSUP */
	ST_CREATE,	   /* new empty volume of size bytes; exists with that size = success */
	ST_REMOVE,	   /* all files of the volume, revisions included; missing = success */
	ST_START,	   /* save_on_stop: make (or continue) the dirty state; reply.layers, last one writable. revisions_to_keep -1: the
			      committed state itself is used, there is none until ST_STOP (-EBUSY for all that asks for it).
			      snap_on_start: reply.layers of source's committed state, read-only. reply.head = its identity */
	ST_STOP,	   /* commit the dirty state (save_on_stop) or nothing; prune revisions. ok: the dirty state is thrown away instead,
			      unless there is nothing older to go back to */
	ST_CLONE,	   /* committed state of source becomes that of vid, which need not exist: as an import, in one step; what vid
			      had is a revision then */
	ST_RESIZE,	   /* grow to size; a smaller size is -EINVAL */
	ST_IMPORT_BEGIN,   /* reply.text = absolute path of an empty sparse file of size bytes to be filled by the caller */
	ST_IMPORT_END,	   /* ok: the imported file becomes the committed state; else it is removed */
	ST_INFO,	   /* reply.size, usage (bytes allocated), head, dirty */
	ST_LIST_REVISIONS, /* reply.text: ids, one a line, oldest first */
	ST_REVERT,	   /* revision becomes the committed state */
	ST_EXPORT_BEGIN,   /* reply.text = absolute path of a raw image of the committed state, which nothing changes until ST_EXPORT_END;
			      revision = a name for this export, so that several can be under way */
	ST_EXPORT_END,	   /* that image goes; missing = success */
	ST_SWEEP,	   /* the whole pool: what an earlier life left half-made goes. Only before anything else is asked of the pool */
	ST_USAGE,	   /* the whole pool: reply.size = bytes it can hold, usage = bytes of its volumes, text = bytes still free;
			      meta_size, meta_usage = the room for its own notes, where that is apart */
	ST_OP_N
};

struct st_request {
	uint8_t op;
	char driver[24];   /* a row of drivers.def; "" only with ST_PROBE */
	char pool_dir[200]; /* the place of the pool: a directory, or what drivers.def says */
	char vid[120];	   /* appvms/NAME/private, vm-templates/NAME/root */
	char source[120];  /* vid of the source (ST_CLONE, ST_START of a snap_on_start volume) */
	bool rw, snap_on_start, save_on_stop, ok;
	int32_t revisions_to_keep;
	uint64_t size;
	char revision[40];
};

struct st_reply {
	uint64_t size, usage;
	uint64_t meta_size, meta_usage; /* ST_USAGE */
	bool dirty;
	bool own;	 /* ST_START: the last layer was made for this run alone, whatever the volume shows; it may be written */
	char head[64];	 /* identity of the committed state: changes with each commit */
	char driver[24]; /* ST_PROBE */
	uint32_t n_layers;
	struct vm_layer layers[VM_LAYERS_MAX];
	char text[4096];
};

void st_request_put(struct wr *w, const struct st_request *q);
int st_request_get(struct rd *r, struct st_request *ret);
void st_reply_put(struct wr *w, const struct st_reply *p);
int st_reply_get(struct rd *r, struct st_reply *ret);

/* storage_open_device opens a layer of format VM_FMT_DEVICE for a machine; see struct pool_ops. The descriptor, or -EACCES and the like. */
int storage_open_device(const char *place, const char *name, bool rw, struct err *e);
/* storage_run carries out one request (called by the workers, and by tests). */
int storage_run(const struct st_request *q, struct st_reply *ret, struct err *e);

#endif
