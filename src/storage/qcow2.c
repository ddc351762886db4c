/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Driver file-qcow2, for file systems that cannot share extents. A volume is a row of numbered states:
 *   X.img            state 0, raw
 *   X.l<N>.qcow2     state N as an overlay over state N-1
 *   X.l<N>.img       state N whole, raw (after a flatten, an import or a revert); preferred when both are there
 *   X-dirty.qcow2    what a running qube writes, an overlay over the greatest state (the head)
 * A commit renames the dirty overlay to the next number. Older states are the revisions. Nothing in the middle of a chain that is
 * needed is ever removed, and each step is one rename, so every prefix of the steps is a valid volume.
 */
#include <fcntl.h>

#include "base/fsx.h"
#include "base/str.h"
#include "storage/qcow2fmt.h"
#include "storage/qcow2_states.h"
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
	return str_starts(file, ".img") || str_starts(file, "-dirty.qcow2") || str_starts(file, "-import.img") ||
	       (str_starts(file, ".l") && ch_digit(file[2]));
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

/* Writes the content of a chain of `from` as one raw file of v. keep: with the time of the chain's head, else a new one. */
static int materialize(const struct vol *from, const struct chain *c, const struct vol *v, const char *to, bool keep,
		       const struct timespec *newer, struct err *e)
{
	_cleanup_fd_ int out = -1;
	char temp[160], file[160];
	struct stat st = { 0 };
	int r = 0;

	out = vol_temp(v, to, temp, e);
	if (out < 0)
		return out;
	for (size_t i = 0; r >= 0 && i < c->n; i++) {
		_cleanup_fd_ int fd = -1;

		state_file(from, c->s[i].n, i == 0, file);
		fd = fs_open_beneath(from->dir, file, O_RDONLY, 0, e);
		if (fd < 0)
			return fd;
		r = i == 0 ? vol_copy_sparse(fd, out, e) : qcow2_merge(fd, out, e);
		if (r >= 0 && fstat(fd, &st) < 0)
			r = err_errno(e, errno, "'%s'", file);
	}
	if (r >= 0)
		r = keep ? vol_keep_time(out, &st.st_mtim, e) : vol_stamp(out, newer, e);
	return r < 0 ? r : vol_publish(v, out, temp, to, e);
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

static int create(struct vol *v, uint64_t size, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	struct states l;
	struct chain c;
	char temp[160], file[160];
	uint64_t have;
	int r = states_list(v, &l, e);

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

		state_file(v, c->s[i].n, i == 0, file);
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

static int fill(const struct vol *v, const struct chain *c, struct st_reply *ret, struct err *e)
{
	struct usage u = { .v = v };
	struct stat st;
	char file[160];
	int r = vol_list(v, add_usage, &u, e);

	if (r < 0)
		return r;
	ret->usage = u.bytes;
	dirty_file(v, file);
	ret->dirty = vol_stat(v, file, &st);
	r = ret->dirty ? file_size(v, file, false, &ret->size, e) : head_size(v, c, &ret->size, e);
	if (r < 0)
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

	return r < 0 ? r : fill(v, &c, ret, e);
}

static int start(struct vol *v, const struct st_request *q, struct st_reply *ret, struct err *e)
{
	_cleanup_(vol_fini) struct vol src = VOL_INIT;
	const struct vol *from = v;
	struct states l;
	struct chain c;
	char dirty[160];
	int r = 0;

	if (q->snap_on_start) {
		r = vol_open(&src, q->pool_dir, q->source, false, e);
		from = &src;
	}
	if (r >= 0)
		r = states_head(from, &l, &c, e);
	if (r >= 0)
		r = fill(from, &c, ret, e);
	if (r >= 0)
		r = add_chain(from, &c, ret, e);
	if (r >= 0 && q->snap_on_start) {
		ret->dirty = false; /* the source's committed state counts, whether it runs or not */
		return head_size(from, &c, &ret->size, e);
	}
	if (r < 0 || !q->rw || !q->save_on_stop)
		return r;
	/* What a crash left in use is continued, not thrown away (its header was checked by fill). */
	dirty_file(v, dirty);
	if (!ret->dirty)
		r = make_overlay(v, dirty, ret->size, &c, NULL, e);
	ret->dirty = true;
	return r < 0 ? r : add_layer(v, dirty, false, ret, e);
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
		r = materialize(v, &c, v, file, true, NULL, e);
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
	}
	state_file(v, c ? chain_number(c) + 1 : 0, raw, next);
	r = vol_stamp(fd, c ? &st.st_mtim : NULL, e);
	return r < 0 ? r : vol_publish(v, fd, file, next, e);
}

static int stop(struct vol *v, const struct st_request *q, struct st_reply *ret, struct err *e)
{
	struct states l;
	struct chain c;
	struct stat st;
	char dirty[160];
	uint64_t size;
	int r = 0;

	r = states_head(v, &l, &c, e);
	dirty_file(v, dirty);
	if (r >= 0 && vol_stat(v, dirty, &st)) {
		r = file_size(v, dirty, false, &size, e);
		if (r >= 0)
			r = commit(v, &c, dirty, false, e);
	}
	if (r >= 0)
		r = tidy(v, q->revisions_to_keep, e);
	return r < 0 ? r : info(v, ret, e);
}

static int clone(struct vol *v, const struct st_request *q, struct err *e)
{
	_cleanup_(vol_fini) struct vol src = VOL_INIT;
	struct states l, mine;
	struct chain c;
	char file[160];
	int r = vol_open(&src, q->pool_dir, q->source, false, e);

	if (r >= 0)
		r = states_head(&src, &l, &c, e);
	if (r >= 0)
		r = states_list(v, &mine, e);
	if (r < 0)
		return r;
	if (mine.n)
		return err_set(e, EEXIST, "exists already");
	state_file(v, 0, true, file);
	return materialize(&src, &c, v, file, false, NULL, e);
}

static int not_in_use(const struct vol *v, struct err *e)
{
	struct stat st;
	char file[160];

	dirty_file(v, file);
	if (vol_stat(v, file, &st))
		return err_set(e, EBUSY, "is in use, or was not stopped cleanly: start and stop its qube first");
	return 0;
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
	if (c.n == 1)
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
		if (states_chain(&l, i, &old) && revision_id(v, &l.s[i], id, sizeof id) == 0)
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
	struct stat st;
	char file[160], id[40];
	int r = not_in_use(v, e);

	if (r >= 0)
		r = states_head(v, &l, &c, e);
	if (r < 0)
		return r;
	chain_file(v, &c, file);
	if (!vol_stat(v, file, &st))
		return err_set(e, ENOENT, "has no image '%s'", file);
	state_file(v, chain_number(&c) + 1, true, file);
	for (size_t i = 0; i + 1 < l.n; i++) {
		if (!states_chain(&l, i, &old) || revision_id(v, &l.s[i], id, sizeof id) < 0 || !streq(id, q->revision))
			continue;
		r = materialize(v, &old, v, file, false, &st.st_mtim, e);
		/* The state before stays a revision even when none are kept usually: a revert can be taken back. */
		return r < 0 ? r : tidy(v, MAX(q->revisions_to_keep, 1), e);
	}
	return err_set(e, ENOENT, "has no revision '%s'", q->revision);
}

const struct pool_ops pool_qcow2 = {
	.name = "file-qcow2",
	.probe = probe,
	.owns = owns,
	.create = create,
	.start = start,
	.stop = stop,
	.clone = clone,
	.resize = resize,
	.import = import,
	.info = info,
	.revisions = revisions,
	.revert = revert,
};
