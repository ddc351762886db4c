/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where received entries go: below one directory, without ever following a link or leaving it, however the tree is changed meanwhile.
 * A file appears under its name, or (a small one) becomes accessible, only when it is complete. Existing entries are never replaced. Names were judged by proto/qfile before.
 */
#ifndef AGENT_QFILE_PLACE_H
#define AGENT_QFILE_PLACE_H

#include <sys/types.h>
#include <time.h>

#include "proto/qfile.h"

struct place {
	int root;   /* the directory; the caller's */
	int procfd; /* /proc/self/fd, opened before any change of root; the caller's; -1 = no unnamed files */
	int dir;    /* the parent of the last entry, kept because the next one is mostly beside it */
	char dir_name[QFILE_PATH_MAX + 1];
};
void place_init(struct place *p, int root, int procfd);
void place_fini(struct place *p);

/* A file being received. */
struct place_file {
	int fd, dir;
	const char *base; /* points into the name given to place_open */
	bool named;	  /* visible already, under mode 0: a small file, or a file system without unnamed ones */
	uint64_t off, hole_end;
};
/* All give 0 or -errno. name must live as long as the file. */
int place_open(struct place *p, const char *name, uint64_t size, struct place_file *ret);
/* place_write appends; whole blocks of zeros become holes. */
int place_write(struct place_file *f, const uint8_t *data, size_t n);
/* place_finish sets length, times and mode (& 07777) and gives the file its name. Closes it in every case. */
int place_finish(struct place *p, struct place_file *f, mode_t mode, const struct timespec times[2]);
void place_abort(struct place_file *f);
/* place_dir makes a directory, or sets mode and times of one that exists (the second time it is sent). */
int place_dir(struct place *p, const char *name, mode_t mode, const struct timespec times[2]);
int place_link(struct place *p, const char *name, const char *target);
/* place_parent_beneath opens the directory that holds the last component of path, below root, following no link. Gives a
   descriptor of the caller and the last component. */
int place_parent_beneath(int root, const char *path, const char **ret_base);

#endif
