/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Driver lvm_thin: the operations of storage.h in terms of lvm.h. Runs in lvm-worker; open_device also in the spawner. */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/fsx.h"
#include "base/str.h"
#include "storage/lvm.h"
#include "storage/vol.h" /* vol_parse */

static int load(struct lvm_state *s, const struct vol *v, struct err *e)
{
	return lvm_load(s, v->pool_dir, v->rel, v->name, e);
}

static int probe(const char *place, struct err *e)
{
	struct lvm_group g;
	struct lvm_pool p;
	int r = lvm_group_of(place, &g, e);

	if (r < 0)
		return r;
	if (access(lvm_host.program, X_OK) < 0) {
		(void)err_set(e, ENOTSUP, "LVM is not installed (package lvm2; thin pools also need thin-provisioning-tools)");
		return 0;
	}
	if (streq(lvm_host.dev, "/dev") && access("/dev/mapper/control", F_OK) < 0) {
		(void)err_set(e, ENOTSUP, "this host has no device-mapper (/dev/mapper/control), so it cannot have LVM pools");
		return 0;
	}
	r = lvm_pool_ask(&g, &p, e);
	if (r < 0)
		return r;
	if (!p.thin_pool)
		(void)err_set(e, ENOTSUP, "%s/%s is not a thin pool", g.vg, g.pool);
	else if (p.failed)
		(void)err_set(e, ENOTSUP, "thin pool %s/%s is damaged: see 'lvs' and lvmthin(7)", g.vg, g.pool);
	else if (!p.zeroes)
		(void)err_set(e, ENOTSUP, "thin pool %s/%s does not clear blocks before it gives them to another volume: 'lvchange --zero y %s/%s'",
			      g.vg, g.pool, g.vg, g.pool);
	else
		return 1;
	return 0;
}

static int usage(const char *place, struct st_reply *ret, struct err *e)
{
	struct lvm_group g;
	struct lvm_pool p;
	int r = lvm_group_of(place, &g, e);

	if (r >= 0)
		r = lvm_pool_ask(&g, &p, e);
	if (r < 0)
		return r;
	ret->size = p.size;
	ret->usage = p.used;
	ret->meta_size = p.meta_size;
	ret->meta_usage = p.meta_used;
	return str_printf(ret->text, sizeof ret->text, "%llu", (unsigned long long)(p.size - MIN(p.used, p.size)));
}

struct sweeping {
	struct lvm_group g;
	char (*names)[LVM_DM_NAME_MAX + 1];
	size_t n, cap;
};

/* Only what no running qube can have open: nothing else tells a qube that still runs from one that does not. */
static int unfinished(const struct lvm_lv *lv, void *arg)
{
	struct sweeping *w = arg;

	if (!lv->ours || lv->open || !streq(lv->pool, w->g.pool) || !str_starts(lv->name, "vm-") ||
	    (!str_ends(lv->name, "-import") && !str_ends(lv->name, "-export") && !str_ends(lv->name, "-volatile")))
		return 0;
	if (w->n == w->cap) {
		w->cap = w->cap ? 2 * w->cap : 16;
		w->names = xreallocarray(w->names, w->cap, sizeof w->names[0]);
	}
	memcpy(w->names[w->n++], lv->name, sizeof lv->name);
	return 0;
}

static int sweep(const char *place, struct err *e)
{
	struct sweeping w = { .n = 0 };
	int r = lvm_group_of(place, &w.g, e);

	if (r >= 0)
		r = lvm_list(&w.g, unfinished, &w, e);
	for (size_t i = 0; r >= 0 && i < w.n; i++)
		r = lvm_delete(&w.g, w.names[i], e);
	free(w.names);
	return r;
}

static uint64_t whole_extents(uint64_t size, uint64_t extent)
{
	return (size + extent - 1) / extent * extent;
}

static int create(struct vol *v, uint64_t size, struct err *e)
{
	struct lvm_state s;
	int r = load(&s, v, e);

	if (r >= 0)
		r = lvm_recover(&s, e);
	if (r < 0)
		return r;
	if (s.head.there)
		return whole_extents(size, s.head.extent) == s.head.size ? 0 : err_set(e, EEXIST, "exists with another size");
	return lvm_new(&s.g, &s.base, size, e);
}

static int drop(const struct lvm_group *g, const struct lvm_lv *lv, struct err *e)
{
	return lv->there ? lvm_delete(g, lv->name, e) : 0;
}

static int remove_all(struct vol *v, struct err *e)
{
	struct lvm_state s;
	int r = load(&s, v, e);

	/* The head last: while it is there the volume can be seen. */
	if (r >= 0)
		r = drop(&s.g, &s.import, e);
	for (size_t i = 0; r >= 0 && i < s.n_exports; i++)
		r = lvm_delete(&s.g, s.exports[i], e);
	if (r >= 0)
		r = lvm_prune(&s, 0, e);
	if (r >= 0)
		r = drop(&s.g, &s.snap, e);
	return r < 0 ? r : drop(&s.g, &s.head, e);
}

static int layer(const char *name, struct st_reply *ret)
{
	ret->n_layers = 1;
	ret->layers[0].format = VM_FMT_DEVICE;
	return str_copy(ret->layers[0].path, sizeof ret->layers[0].path, name);
}

static int fill(const struct lvm_state *s, struct st_reply *ret, struct err *e)
{
	const struct lvm_lv *head;
	int r = lvm_committed(s, &head, s->snap.there ? NULL : e);

	if (r < 0 && !s->snap.there)
		return r;
	ret->dirty = s->snap.there;
	ret->size = s->snap.there ? s->snap.size : head->size;
	ret->usage = (head ? head->used : 0) + s->snap.used;
	return head ? str_copy(ret->head, sizeof ret->head, head->uuid) : 0;
}

/* A copy of a source's committed state for this run; one that a crash left is of no use any more. */
static int start_copy(struct lvm_state *s, const struct st_request *q, struct st_reply *ret, struct err *e)
{
	struct vol from = VOL_INIT;
	const struct lvm_lv *head;
	struct lvm_state src;
	int r = vol_parse(&from, q->pool_dir, q->source, e);

	if (r >= 0)
		r = load(&src, &from, e);
	if (r >= 0)
		r = lvm_committed(&src, &head, e);
	if (r < 0)
		return err_add(e, r, "source");
	if (s->snap.there && q->save_on_stop)
		r = lvm_activate(&s->g, s->snap.name, e);
	else
		r = drop(&s->g, &s->snap, e);
	if (r >= 0 && !(s->snap.there && q->save_on_stop))
		r = lvm_snapshot(&s->g, head->name, &s->snap_name, e);
	if (r < 0)
		return r;
	ret->size = head->size;
	ret->usage = head->used;
	ret->own = true;
	ret->dirty = q->save_on_stop;
	r = str_copy(ret->head, sizeof ret->head, head->uuid);
	return r < 0 ? r : layer(s->snap_name.s, ret);
}

/* An empty volume for this run. */
static int start_empty(struct lvm_state *s, const struct st_request *q, struct st_reply *ret, struct err *e)
{
	int r = drop(&s->g, &s->head, e);

	if (r >= 0)
		r = lvm_new(&s->g, &s->base, q->size, e);
	if (r < 0)
		return r;
	ret->size = q->size;
	ret->own = true;
	return layer(s->base.s, ret);
}

/* What a crash left in use is continued, not thrown away. */
static int start_saved(struct lvm_state *s, const struct st_request *q, struct err *e)
{
	if (s->snap.there)
		return lvm_activate(&s->g, s->snap.name, e);
	if (q->revisions_to_keep >= 0)
		return lvm_snapshot(&s->g, s->base.s, &s->snap_name, e);
	return 0;
}

/* No snapshots at all: the head itself is used. Revisions go first, or they would look like what an interrupted commit leaves. */
static int start_in_place(struct lvm_state *s, struct err *e)
{
	int r = lvm_prune(s, 0, e);

	if (r >= 0)
		r = lvm_rename(&s->g, s->base.s, s->snap_name.s, e);
	return r < 0 ? r : lvm_activate(&s->g, s->snap_name.s, e);
}

static int start(struct vol *v, const struct st_request *q, struct st_reply *ret, struct err *e)
{
	const struct lvm_lv *head;
	struct lvm_state s;
	int r = load(&s, v, e);

	if (r < 0)
		return r;
	if (q->snap_on_start)
		return start_copy(&s, q, ret, e);
	if (!q->save_on_stop)
		return start_empty(&s, q, ret, e);
	r = lvm_recover(&s, e);
	if (r >= 0)
		r = fill(&s, ret, e);
	if (r < 0)
		return r;
	if (!q->rw) {
		r = s.head.there ? lvm_committed(&s, &head, e) : 0;
		if (r >= 0)
			r = lvm_activate(&s.g, s.head.there ? s.base.s : s.snap_name.s, e);
		return r < 0 ? r : layer(s.head.there ? s.base.s : s.snap_name.s, ret);
	}
	r = !s.snap.there && q->revisions_to_keep < 0 ? start_in_place(&s, e) : start_saved(&s, q, e);
	if (r < 0)
		return r;
	ret->dirty = true;
	ret->own = true;
	return layer(s.snap_name.s, ret);
}

static int commit_snap(struct lvm_state *s, struct err *e)
{
	int r = s->snap.active ? lvm_sync(&s->g, s->snap.name, e) : 0;

	return r < 0 ? r : lvm_commit(s, s->snap_name.s, e);
}

static int stop(struct vol *v, const struct st_request *q, struct st_reply *ret, struct err *e)
{
	struct lvm_state s;
	int r = load(&s, v, e);

	if (r < 0)
		return r;
	if (!q->save_on_stop)
		return drop(&s.g, q->snap_on_start ? &s.snap : &s.head, e);
	r = lvm_recover(&s, e);
	if (r >= 0 && s.snap.there && q->ok && s.head.there) {
		r = drop(&s.g, &s.snap, e);
		if (r >= 0)
			r = load(&s, v, e);
	}
	if (r >= 0 && s.snap.there)
		r = commit_snap(&s, e);
	if (r >= 0)
		r = lvm_prune(&s, q->revisions_to_keep, e);
	return r < 0 ? r : fill(&s, ret, e);
}

static int not_in_use(const struct lvm_state *s, struct err *e)
{
	return s->snap.there ? err_set(e, EBUSY, "is in use, or was not stopped cleanly: start and stop its qube first") : 0;
}

static int clone(struct vol *v, const struct st_request *q, struct err *e)
{
	struct vol from = VOL_INIT;
	const struct lvm_lv *head;
	struct lvm_state s, src;
	int r = vol_parse(&from, q->pool_dir, q->source, e);

	if (r >= 0)
		r = load(&src, &from, e);
	if (r >= 0)
		r = lvm_committed(&src, &head, e);
	if (r >= 0)
		r = load(&s, v, e);
	if (r >= 0)
		r = not_in_use(&s, e);
	if (r >= 0)
		r = lvm_recover(&s, e);
	if (r < 0)
		return r;
	if (!s.head.there)
		return lvm_snapshot(&s.g, head->name, &s.base, e);
	r = drop(&s.g, &s.import, e);
	if (r >= 0)
		r = lvm_snapshot(&s.g, head->name, &s.import_name, e);
	if (r >= 0)
		r = lvm_commit(&s, s.import_name.s, e);
	return r < 0 ? r : lvm_prune(&s, q->revisions_to_keep, e);
}

static int resize(struct vol *v, uint64_t size, struct err *e)
{
	struct lvm_state s;
	int r = load(&s, v, e);

	if (r >= 0)
		r = not_in_use(&s, e);
	if (r >= 0)
		r = lvm_recover(&s, e);
	if (r < 0)
		return r;
	if (!s.head.there)
		return err_set(e, ENOENT, "%s/%s is not there", s.g.vg, s.base.s);
	size = whole_extents(size, s.head.extent);
	if (size < s.head.size)
		return err_set(e, EINVAL, "cannot be made smaller than %llu bytes", (unsigned long long)s.head.size);
	return size == s.head.size ? 0 : lvm_grow(&s.g, s.base.s, size, e);
}

/* The device itself: what is in /dev/GROUP may be a link, and who opens it follows none. */
static int device_path(const struct lvm_group *g, const char *name, char *out, size_t cap, struct err *e)
{
	char path[400], real[PATH_MAX];

	if (str_printf(path, sizeof path, "%s/%s/%s", lvm_host.dev, g->vg, name) < 0)
		return err_set(e, ENAMETOOLONG, "%s/%s", g->vg, name);
	if (!realpath(path, real))
		return err_errno(e, errno, "the device of %s/%s", g->vg, name);
	return str_copy(out, cap, real);
}

static int import_begin(struct vol *v, const struct st_request *q, struct st_reply *ret, struct err *e)
{
	struct lvm_state s;
	int r = load(&s, v, e);

	if (r >= 0)
		r = drop(&s.g, &s.import, e);
	if (r >= 0)
		r = lvm_new(&s.g, &s.import_name, q->size, e);
	if (r >= 0)
		r = device_path(&s.g, s.import_name.s, ret->text, sizeof ret->text, e);
	return r;
}

static int import(struct vol *v, const struct st_request *q, struct err *e)
{
	struct lvm_state s;
	int r = load(&s, v, e);

	if (r >= 0)
		r = not_in_use(&s, e);
	if (r >= 0)
		r = lvm_recover(&s, e);
	if (r >= 0 && !s.import.there)
		r = err_set(e, ENOENT, "nothing is being imported");
	if (r >= 0 && s.import.active)
		r = lvm_sync(&s.g, s.import.name, e);
	if (r >= 0)
		r = lvm_commit(&s, s.import_name.s, e);
	return r < 0 ? r : lvm_prune(&s, q->revisions_to_keep, e);
}

static int import_drop(struct vol *v, struct err *e)
{
	struct lvm_state s;
	int r = load(&s, v, e);

	return r < 0 ? r : drop(&s.g, &s.import, e);
}

static int export_name(const struct lvm_state *s, const char *id, struct lvm_name *ret, struct err *e)
{
	char suffix[64];

	if (!id[0] || !str_chars(id, "") || str_printf(suffix, sizeof suffix, "%s-export", id) < 0)
		return err_set(e, EINVAL, "'%s' is not a name for an export", id);
	return lvm_join(&s->g, &s->base, suffix, ret, e);
}

static bool exported(const struct lvm_state *s, const char *name)
{
	for (size_t i = 0; i < s->n_exports; i++)
		if (streq(s->exports[i], name))
			return true;
	return false;
}

static int export_begin(struct vol *v, const char *id, struct st_reply *ret, struct err *e)
{
	const struct lvm_lv *head;
	struct lvm_state s;
	struct lvm_name name;
	int r = load(&s, v, e);

	if (r >= 0)
		r = export_name(&s, id, &name, e);
	if (r >= 0)
		r = lvm_committed(&s, &head, e);
	if (r >= 0 && exported(&s, name.s))
		r = lvm_delete(&s.g, name.s, e);
	if (r >= 0)
		r = lvm_snapshot(&s.g, head->name, &name, e);
	if (r < 0)
		return r;
	ret->size = head->size;
	return device_path(&s.g, name.s, ret->text, sizeof ret->text, e);
}

static int export_end(struct vol *v, const char *id, struct err *e)
{
	struct lvm_state s;
	struct lvm_name name;
	int r = load(&s, v, e);

	if (r >= 0)
		r = export_name(&s, id, &name, e);
	return r < 0 || !exported(&s, name.s) ? r : lvm_delete(&s.g, name.s, e);
}

static int info(struct vol *v, struct st_reply *ret, struct err *e)
{
	struct lvm_state s;
	int r = load(&s, v, e);

	return r < 0 ? r : fill(&s, ret, e);
}

static int revisions(struct vol *v, const struct st_request *q, struct st_reply *ret, struct err *e)
{
	struct wr w = wr_mem(ret->text, sizeof ret->text);
	struct lvm_state s;
	size_t n;
	int r = load(&s, v, e);

	if (r < 0)
		return r;
	/* The newest one is the head when a commit was killed. */
	n = s.n_backs - (!s.head.there && s.n_backs);
	for (size_t i = 0; i < n; i++)
		wr_printf(&w, "%llu-back\n", (unsigned long long)s.backs[i].when);
	wr_u8(&w, 0);
	return wr_ok(&w) ? fill(&s, ret, e) : err_set(e, EMSGSIZE, "has too many revisions");
}

static int revert(struct vol *v, const struct st_request *q, struct err *e)
{
	struct lvm_state s;
	struct lvm_name name;
	uint64_t when;
	int r = load(&s, v, e);

	if (r >= 0)
		r = not_in_use(&s, e);
	if (r >= 0)
		r = lvm_recover(&s, e);
	if (r >= 0 && lvm_join(&s.g, &s.base, q->revision, &name, NULL) < 0)
		r = err_set(e, ENOENT, "has no revision '%s'", q->revision);
	if (r >= 0 && lvm_classify(&s.base, name.s, &when) != LVM_BACK)
		r = err_set(e, ENOENT, "has no revision '%s'", q->revision);
	if (r < 0)
		return r;
	for (size_t i = 0; i < s.n_backs; i++) {
		if (!streq(s.backs[i].lv.name, name.s))
			continue;
		r = lvm_commit(&s, name.s, e);
		/* The state before stays a revision even when none are kept usually: a revert can be taken back. */
		return r < 0 ? r : lvm_prune(&s, MAX(q->revisions_to_keep, 1), e);
	}
	return err_set(e, ENOENT, "has no revision '%s'", q->revision);
}

/* A text of the kernel about the device of fd, without its newline. */
static int dm_text(const struct stat *st, const char *what, char out[200])
{
	_cleanup_free_ char *text = NULL;
	char path[100];
	int r = str_printf(path, sizeof path, "/sys/dev/block/%u:%u/dm/%s", major(st->st_rdev), minor(st->st_rdev), what);

	if (r >= 0)
		r = fs_read(AT_FDCWD, path, 4096, &text, NULL, NULL);
	if (r < 0)
		return r;
	text[strcspn(text, "\n")] = '\0';
	return str_copy(out, 200, text);
}

static int open_device(const char *place, const char *name, bool rw, struct err *e)
{
	char dm[LVM_DM_NAME_MAX + 1], path[LVM_DM_NAME_MAX + 20], is[200];
	_cleanup_fd_ int fd = -1;
	struct lvm_group g;
	struct stat st;
	int r = lvm_group_of(place, &g, e);

	if (r < 0)
		return r;
	if (!str_starts(name, "vm-") || !str_chars(name, "_.+-") || lvm_dm_name(g.vg, name, dm) < 0)
		return err_set(e, EACCES, "'%s' is not a volume of a qube", name);
	if (rw && !lvm_for_a_run(name))
		return err_set(e, EACCES, "'%s' is a committed state", name);
	if (str_printf(path, sizeof path, "/dev/mapper/%s", dm) < 0)
		return err_set(e, ENAMETOOLONG, "'%s'", name);
	fd = open(path, (rw ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_errno(e, errno, "opening '%s'", path);
	/* The name in /dev is a link that somebody made; the kernel's own word counts. */
	if (fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode) || dm_text(&st, "name", is) < 0 || !streq(is, dm) || dm_text(&st, "uuid", is) < 0 ||
	    !str_starts(is, "LVM-"))
		return err_set(e, EACCES, "'%s' is not the LVM volume that its name says", path);
	return STEAL_FD(fd);
}

const struct pool_ops pool_lvm_thin = {
	.probe = probe,
	.usage = usage,
	.sweep = sweep,
	.create = create,
	.remove = remove_all,
	.start = start,
	.stop = stop,
	.clone = clone,
	.resize = resize,
	.import_begin = import_begin,
	.import = import,
	.import_drop = import_drop,
	.export_begin = export_begin,
	.export_end = export_end,
	.info = info,
	.revisions = revisions,
	.revert = revert,
	.open = open_device,
};
