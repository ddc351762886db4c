/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Driver file-qcow2, for file systems that cannot share extents. A volume is a row of numbered states:
 *   X.img            state 0, raw
 *   X.l<N>.qcow2     state N as an overlay over state N-1
 *   X.l<N>.img       state N whole, raw (after a flatten, an import or a revert); preferred when both are there
 *   X-dirty.qcow2    what a running qube writes, an overlay over the greatest state (the head)
 *   X-dirty.img      the same with revisions_to_keep -1: the head itself, which has no number as long as it runs
 *   X.l<N>.part.*    a layer that the next number needs, and no state itself (a clone's, qcow2_share.c)
 *   X.below<N>       states from number N on are being made and do not count (qcow2_states.h)
 * A commit renames the dirty overlay to the next number. Older states are the revisions. Nothing in the middle of a chain that is
 * needed is ever removed, and each step is one rename, so every prefix of the steps is a valid volume.
 */
#include <fcntl.h>

#include "base/fsx.h"
#include "base/str.h"
#include "storage/qcow2fmt.h"
#include "storage/qcow2_share.h"
#include "storage/vol.h"

#define DEPTH_MAX 4 /* overlays over the raw image, without the dirty one */

_Static_assert(DEPTH_MAX + 4 <= VM_LAYERS_MAX, "a chain with its dirty overlay must fit a machine description");

static int probe(const char *pool_dir, struct err *e)
{
	if (access(pool_dir, R_OK | W_OK | X_OK) < 0)
		return err_errno(e, errno, "pool '%s'", pool_dir);
	return 1;
}

static bool owns(const char *name, const char *file)
{
	size_t n = strlen(name);

	if (strncmp(file, name, n) != 0)
		return false;
	file += n;
	return str_starts(file, ".img") || str_starts(file, "-dirty.") || str_starts(file, "-import.img") ||
	       str_starts(file, "-export-") || str_starts(file, ".below") || (str_starts(file, ".l") && ch_digit(file[2]));
}

/* Size of the disk that a state file describes. */
static int file_size(const struct vol *v, const char *file, bool raw, uint64_t *ret, struct err *e)
{
	_cleanup_fd_ int fd = fs_open_beneath(v->dir, file, O_RDONLY, 0, e);
	struct stat st;

	if (fd < 0)
		return fd;
	if (!raw)
		return qcow2_check(fd, ret, e);
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "'%s'", file);
	*ret = (uint64_t)st.st_size;
	return 0;
}

static int head_size(const struct vol *v, const struct chain *c, uint64_t *ret, struct err *e)
{
	char file[160];

	chain_file(v, c, file);
	return file_size(v, file, c->s[c->n - 1].raw, ret, e);
}

static int make_overlay(const struct vol *v, const char *file, uint64_t size, const struct chain *c,
			const struct timespec *time, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	char temp[160], below[160];
	int r;

	chain_file(v, c, below);
	fd = vol_temp(v, file, temp, e);
	if (fd < 0)
		return fd;
	r = qcow2_create(fd, size, below, c->s[c->n - 1].raw, e);
	if (r >= 0 && time)
		r = vol_keep_time(fd, time, e);
	return r < 0 ? r : vol_publish(v, fd, temp, file, e);
}

static int remove_all(struct vol *v, struct err *e)
{
	return vol_remove(v, owns, e);
}

static int create(struct vol *v, uint64_t size, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	struct states l;
	struct chain c;
	char temp[160], file[160];
	uint64_t have;
	int r = states_settle(v, e);

	if (r >= 0)
		r = states_list(v, &l, e);
	if (r < 0)
		return r;
	if (l.n) {
		r = states_head(v, &l, &c, e);
		if (r >= 0)
			r = head_size(v, &c, &have, e);
		return r < 0 || have == size ? r : err_set(e, EEXIST, "exists with another size");
	}
	state_file(v, 0, true, file);
	fd = vol_temp(v, file, temp, e);
	if (fd < 0)
		return fd;
	if (ftruncate(fd, (off_t)size) < 0)
		return err_errno(e, errno, "creating an image of %llu bytes", (unsigned long long)size);
	return vol_publish(v, fd, temp, file, e);
}

static int add_layer(const struct vol *v, const char *file, bool raw, struct st_reply *ret, struct err *e)
{
	struct vm_layer *y = &ret->layers[ret->n_layers];

	if (ret->n_layers == VM_LAYERS_MAX)
		return err_set(e, E2BIG, "has too many layers");
	y->format = raw ? VM_FMT_RAW : VM_FMT_QCOW2;
	if (str_printf(y->path, sizeof y->path, "%s/%s", v->rel, file) < 0)
		return err_set(e, ENAMETOOLONG, "path of the volume is too long");
	ret->n_layers++;
	return 0;
}

static int add_chain(const struct vol *v, const struct chain *c, struct st_reply *ret, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < c->n; i++) {
		char file[160];

		layer_file(v, &c->s[i], i == 0, file);
		r = add_layer(v, file, i == 0, ret, e);
	}
	return r;
}

struct usage {
	const struct vol *v;
	uint64_t bytes;
};

static int add_usage(const char *file, void *arg)
{
	struct usage *u = arg;
	struct stat st;

	if (owns(u->v->name, file) && vol_stat(u->v, file, &st))
		u->bytes += (uint64_t)st.st_blocks * 512;
	return 0;
}

/* Is there a dirty file, and is it the head itself? */
static bool find_dirty(const struct vol *v, bool *ret_raw, char out[160])
{
	struct stat st;

	dirty_file(v, true, out);
	*ret_raw = vol_stat(v, out, &st);
	if (*ret_raw)
		return true;
	dirty_file(v, false, out);
	return vol_stat(v, out, &st);
}

/* c NULL: the head is in use itself. */
static int fill(const struct vol *v, const struct chain *c, struct st_reply *ret, struct err *e)
{
	struct usage u = { .v = v };
	struct stat st;
	char file[160];
	bool raw;
	int r = vol_list(v, add_usage, &u, e);

	if (r < 0)
		return r;
	ret->usage = u.bytes;
	ret->dirty = find_dirty(v, &raw, file);
	if (!ret->dirty && !c)
		return err_set(e, ENOENT, "has no image '%s.img'", v->name);
	r = ret->dirty ? file_size(v, file, raw, &ret->size, e) : head_size(v, c, &ret->size, e);
	if (r < 0 || !c)
		return r;
	chain_file(v, c, file);
	if (!vol_stat(v, file, &st))
		return err_set(e, ENOENT, "has no image '%s'", file);
	return vol_identity(&st, ret->head, sizeof ret->head);
}

static int info(struct vol *v, struct st_reply *ret, struct err *e)
{
	struct states l;
	struct chain c;
	int r = states_head(v, &l, &c, e);

	return r < 0 && r != -EBUSY ? r : fill(v, r < 0 ? NULL : &c, ret, e);
}

/* A volume that shows its source: the committed state counts, whether the source runs or not. */
static int start_snapshot(const struct st_request *q, struct st_reply *ret, struct err *e)
{
	_cleanup_(vol_fini) struct vol src = VOL_INIT;
	struct states l;
	struct chain c;
	int r = vol_open(&src, q->pool_dir, q->source, false, e);

	if (r >= 0)
		r = states_head(&src, &l, &c, e);
	if (r >= 0)
		r = fill(&src, &c, ret, e);
	if (r >= 0)
		r = add_chain(&src, &c, ret, e);
	ret->dirty = false;
	return r < 0 ? err_add(e, r, "source") : head_size(&src, &c, &ret->size, e);
}

/* What a crash left in use is continued, not thrown away (its header is checked by fill). */
static int start_own(struct vol *v, const struct st_request *q, struct st_reply *ret, struct err *e)
{
	struct states l;
	struct chain c;
	char dirty[160];
	bool raw, in_use = find_dirty(v, &raw, dirty);
	int r = states_head(v, &l, &c, e);

	if (r < 0 && !(r == -EBUSY && raw))
		return r;
	r = fill(v, raw ? NULL : &c, ret, e);
	if (r >= 0 && !in_use && q->revisions_to_keep < 0) {
		raw = true;
		dirty_file(v, true, dirty);
		r = chain_take(v, &c, e);
	} else if (r >= 0 && !in_use) {
		r = make_overlay(v, dirty, ret->size, &c, NULL, e);
	}
	ret->dirty = true;
	if (r >= 0 && !raw)
		r = add_chain(v, &c, ret, e);
	return r < 0 ? r : add_layer(v, dirty, raw, ret, e);
}

static int start(struct vol *v, const struct st_request *q, struct st_reply *ret, struct err *e)
{
	struct states l;
	struct chain c;
	int r;

	if (q->snap_on_start)
		return start_snapshot(q, ret, e);
	r = states_settle(v, e);
	if (r < 0)
		return r;
	if (q->rw && q->save_on_stop)
		return start_own(v, q, ret, e);
	r = states_head(v, &l, &c, e);
	if (r >= 0)
		r = fill(v, &c, ret, e);
	return r < 0 ? r : add_chain(v, &c, ret, e);
}

/* Makes the head whole when the chain is too long, then removes what is not needed. */
static int tidy(const struct vol *v, int32_t keep, struct err *e)
{
	struct states l;
	struct chain c;
	char file[160];
	int r = states_head(v, &l, &c, e);

	if (r < 0)
		return r;
	if (c.n - 1 > DEPTH_MAX) {
		state_file(v, chain_number(&c), true, file);
		r = chain_materialize(v, &c, v, file, true, NULL, e);
	}
	return r < 0 ? r : states_prune(v, keep, e);
}

/* Makes `file` (already complete) the next state. */
static int commit(const struct vol *v, const struct chain *c, const char *file, bool raw, struct err *e)
{
	_cleanup_fd_ int fd = fs_open_beneath(v->dir, file, O_RDWR, 0, e);
	struct stat st = { 0 };
	char next[160];
	int r;

	if (fd < 0)
		return fd;
	if (c) {
		chain_file(v, c, next);
		if (!vol_stat(v, next, &st))
			return err_set(e, ENOENT, "has no image '%s'", next);
	} else if (fstat(fd, &st) < 0) {
		return err_errno(e, errno, "'%s'", file);
	}
	state_file(v, c ? chain_number(c) + 1 : 0, raw, next);
	r = vol_stamp(fd, &st.st_mtim, e);
	return r < 0 ? r : vol_publish(v, fd, file, next, e);
}

static int stop(struct vol *v, const struct st_request *q, struct st_reply *ret, struct err *e)
{
	struct states l;
	struct chain c;
	char dirty[160];
	uint64_t size;
	bool raw, in_use = find_dirty(v, &raw, dirty);
	int r = states_settle(v, e);

	if (r >= 0)
		r = states_head(v, &l, &c, e);
	if (r == -EBUSY && raw)
		r = commit(v, NULL, dirty, true, e);
	else if (r >= 0 && in_use && q->ok && !raw)
		r = vol_unlink(v, dirty, e);
	else if (r >= 0 && in_use) {
		r = file_size(v, dirty, raw, &size, e);
		if (r >= 0)
			r = commit(v, &c, dirty, raw, e);
	}
	if (r >= 0)
		r = tidy(v, q->revisions_to_keep, e);
	return r < 0 ? r : info(v, ret, e);
}

/* Before a change of the committed state: nobody uses the volume, and nothing of an earlier change is left. */
static int not_in_use(const struct vol *v, struct err *e)
{
	char file[160];
	bool raw;

	if (find_dirty(v, &raw, file))
		return err_set(e, EBUSY, "is in use, or was not stopped cleanly: start and stop its qube first");
	return states_settle(v, e);
}

static int clone(struct vol *v, const struct st_request *q, struct err *e)
{
	_cleanup_(vol_fini) struct vol src = VOL_INIT;
	struct states l, mine;
	struct chain c;
	int r = vol_open(&src, q->pool_dir, q->source, false, e);

	if (r >= 0)
		r = states_head(&src, &l, &c, e);
	if (r >= 0)
		r = not_in_use(v, e);
	if (r >= 0)
		r = states_list(v, &mine, e);
	if (r >= 0)
		r = chain_share(&src, &c, v, mine.n ? mine.s[mine.n - 1].n + 1 : 0, e);
	return r < 0 ? r : tidy(v, q->revisions_to_keep, e);
}

static int grow_raw(const struct vol *v, const char *file, uint64_t size, const struct timespec *time, struct err *e)
{
	_cleanup_fd_ int fd = fs_open_beneath(v->dir, file, O_RDWR, 0, e);
	int r;

	if (fd < 0)
		return fd;
	if (ftruncate(fd, (off_t)size) < 0)
		return err_errno(e, errno, "resizing '%s'", file);
	r = vol_keep_time(fd, time, e);
	if (r >= 0 && fsync(fd) < 0)
		r = err_errno(e, errno, "resizing '%s'", file);
	return r;
}

static int resize(struct vol *v, uint64_t size, struct err *e)
{
	struct states l;
	struct chain c;
	struct stat st;
	char file[160];
	uint64_t have;
	int r = not_in_use(v, e);

	if (r >= 0)
		r = states_head(v, &l, &c, e);
	if (r >= 0)
		r = head_size(v, &c, &have, e);
	if (r < 0 || have == size)
		return r;
	if (have > size)
		return err_set(e, EINVAL, "cannot be made smaller than %llu bytes", (unsigned long long)have);
	chain_file(v, &c, file);
	if (!vol_stat(v, file, &st))
		return err_set(e, ENOENT, "has no image '%s'", file);
	if (c.n == 1 && file_alone(v, file))
		return grow_raw(v, file, size, &st.st_mtim, e);
	/* An empty overlay of the new size: same content, same identity, no copy. */
	state_file(v, chain_number(&c) + 1, false, file);
	return make_overlay(v, file, size, &c, &st.st_mtim, e);
}

static int import(struct vol *v, const struct st_request *q, struct err *e)
{
	char file[96];
	struct states l;
	struct chain c;
	int r = not_in_use(v, e);

	if (r >= 0)
		r = states_list(v, &l, e);
	if (r >= 0 && l.n)
		r = states_head(v, &l, &c, e);
	if (r >= 0)
		r = commit(v, l.n ? &c : NULL, vol_import_name(v, file), true, e);
	return r < 0 ? r : tidy(v, q->revisions_to_keep, e);
}

static int revision_id(const struct vol *v, const struct state *s, char *out, size_t cap)
{
	char file[160], when[24];
	struct stat st;
	struct tm tm;

	state_file(v, s->n, s->raw, file);
	if (!vol_stat(v, file, &st) || !gmtime_r(&st.st_mtim.tv_sec, &tm) ||
	    !strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm))
		return -EIO;
	return str_printf(out, cap, "%u@%sZ", s->n, when);
}

static int revisions(struct vol *v, const struct st_request *q, struct st_reply *ret, struct err *e)
{
	struct wr w = wr_mem(ret->text, sizeof ret->text);
	struct states l;
	struct chain c, old;
	char id[40];
	int r = states_head(v, &l, &c, e);

	for (size_t i = 0; r >= 0 && i + 1 < l.n; i++)
		if (!l.s[i].part && states_chain(&l, i, &old) && revision_id(v, &l.s[i], id, sizeof id) == 0)
			wr_printf(&w, "%s\n", id);
	wr_u8(&w, 0);
	if (r >= 0 && !wr_ok(&w))
		r = err_set(e, EMSGSIZE, "has too many revisions");
	return r < 0 ? r : fill(v, &c, ret, e);
}

static int revert(struct vol *v, const struct st_request *q, struct err *e)
{
	struct states l;
	struct chain c, old;
	char id[40];
	int r = not_in_use(v, e);

	if (r >= 0)
		r = states_head(v, &l, &c, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i + 1 < l.n; i++) {
		if (l.s[i].part || !states_chain(&l, i, &old) || revision_id(v, &l.s[i], id, sizeof id) < 0 || !streq(id, q->revision))
			continue;
		/* The old state's files again, under the next numbers: nothing is copied, and its identity comes back with it. */
		r = chain_share(v, &old, v, chain_number(&c) + 1, e);
		/* The state before stays a revision even when none are kept usually: a revert can be taken back. */
		return r < 0 ? r : tidy(v, MAX(q->revisions_to_keep, 1), e);
	}
	return err_set(e, ENOENT, "has no revision '%s'", q->revision);
}

static int export_begin(struct vol *v, const char *file, struct st_reply *ret, struct err *e)
{
	struct states l;
	struct chain c;
	char head[160];
	int r = states_head(v, &l, &c, e);

	if (r >= 0)
		r = head_size(v, &c, &ret->size, e);
	if (r >= 0)
		r = vol_unlink(v, file, e);
	if (r < 0)
		return r;
	chain_file(v, &c, head);
	if (c.n == 1 && linkat(v->dir, head, v->dir, file, 0) == 0)
		return 0;
	return chain_materialize(v, &c, v, file, true, NULL, e);
}

const struct pool_ops pool_qcow2 = {
	.probe = probe,
	.owns = owns,
	.create = create,
	.remove = remove_all,
	.start = start,
	.stop = stop,
	.clone = clone,
	.resize = resize,
	.import_begin = vol_import_begin,
	.import = import,
	.import_drop = vol_import_drop,
	.info = info,
	.revisions = revisions,
	.revert = revert,
	.export_begin = export_begin,
	.sweep = vol_dirs_sweep,
	.usage = vol_dirs_usage,
};
