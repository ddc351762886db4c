/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a sender has sent, written down so that a move can delete exactly that and nothing else: of each entry device, inode, size, times.
 * The last record says that the receiver has everything; without it the journal allows no deletion.
 */
#ifndef AGENT_QFILE_JOURNAL_H
#define AGENT_QFILE_JOURNAL_H

#include <sys/stat.h>

#include "base/err.h"
#include "base/wr.h"

struct journal {
	int fd;
	struct wr w;
};

/* journal_open creates the file at path (which must not exist), mode 0600. 0 or -errno. */
int journal_open(struct journal *j, const char *path, struct err *e);
/* journal_base opens a group: the following names are relative to this directory (existing; recorded as an absolute path). */
void journal_base(struct journal *j, const char *dir);
/* journal_entry records a sent file or link, or a directory whose content was sent. st: as it was before its content was read. */
void journal_entry(struct journal *j, const char *name, const struct stat *st);
/* journal_commit adds the closing record and makes the file durable. 0 or -errno. */
int journal_commit(struct journal *j, struct err *e);
void journal_close(struct journal *j);
/* journal_is_committed: does the file hold a whole journal with its closing record? */
bool journal_is_committed(const char *path);

/* One entry of a journal, in the order of sending: a folder after its content. */
struct journal_item {
	const char *base, *name; /* absolute folder of the group, and the path below it */
	uint64_t mode;
	unsigned n; /* its number in the journal, from 0 */
};
/* journal_each calls fn for each entry of a committed journal until it gives non-zero, which it returns. -EBADMSG as below. */
int journal_each(const char *path, int (*fn)(const struct journal_item *i, void *arg), void *arg, struct err *e);

/* journal_remove deletes what a committed journal names, as long as it is still exactly what was sent. Everything that
   changed stays and is told through report(text, path). Gives the number of entries that stay, or -errno: -EBADMSG when the journal is
   not committed or damaged (then nothing is deleted). again: an earlier run may have deleted a part; what is gone is fine.
   trash: -1, or a folder into which files and links go, under their numbers, instead of being deleted; what lies on another file system stays and is told. */
int journal_remove(const char *path, bool again, int trash, void (*report)(const char *text, const char *path, void *arg), void *arg,
		   struct err *e);

#endif
