/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Committed images never change, so a clone needs no bytes of its own: its files are further names of the source's. The new names appear
 * under a mark (qcow2_states.h), and all of them count at once when the mark goes. Whoever must change an image (a larger size, a run
 * without snapshots) looks whether it has one name only.
 */
#include "storage/qcow2_share.h"

#include <fcntl.h>

#include "base/fsx.h"
#include "base/str.h"
#include "storage/qcow2fmt.h"

int chain_materialize(const struct vol *from, const struct chain *c, const struct vol *v, const char *to, bool keep,
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

		layer_file(from, &c->s[i], i == 0, file);
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

static bool link_chain(const struct vol *from, const struct chain *c, const struct vol *v, uint32_t first)
{
	for (size_t i = 0; i < c->n; i++) {
		/* Only the top is a state of v. What is below it was one of the source's, whose past is nobody else's business. */
		const struct state to = { .n = first + (uint32_t)i, .part = i + 1 < c->n };
		char old[160], new[160];

		layer_file(from, &c->s[i], i == 0, old);
		layer_file(v, &to, i == 0, new);
		if (linkat(from->dir, old, v->dir, new, 0) < 0)
			return false;
	}
	return true;
}

int chain_share(const struct vol *from, const struct chain *c, const struct vol *v, uint32_t first, struct err *e)
{
	char file[160];
	int r;

	/* Number 0 is always a whole state. */
	if (first == 0 && c->n > 1)
		first = 1;
	r = states_mark(v, first, e);
	if (r < 0)
		return r;
	if (link_chain(from, c, v, first))
		return states_unmark(v, first, e);
	/* Too many names already, or a file system without second names. */
	r = states_settle(v, e);
	state_file(v, first, true, file);
	return r < 0 ? r : chain_materialize(from, c, v, file, true, NULL, e);
}

bool file_alone(const struct vol *v, const char *file)
{
	struct stat st;

	return vol_stat(v, file, &st) && st.st_nlink == 1;
}

int chain_take(const struct vol *v, struct chain *c, struct err *e)
{
	struct states l;
	char file[160], dirty[160];
	int r;

	state_file(v, chain_number(c), true, file);
	dirty_file(v, true, dirty);
	if (c->n > 1 || !file_alone(v, file)) {
		r = chain_materialize(v, c, v, file, true, NULL, e);
		if (r < 0)
			return r;
	}
	/* An older state that stayed would pass for the committed one while this one is away. */
	r = states_prune(v, 0, e);
	if (r >= 0)
		r = states_head(v, &l, c, e);
	if (r >= 0 && (l.n != 1 || c->n != 1))
		r = err_set(e, EIO, "has older states that could not be removed");
	return r < 0 ? r : vol_rename(v, file, dirty, e);
}
