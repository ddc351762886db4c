/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The receiver of a file copy stream: reads entries, judges them, places them below one directory, answers with the result. It
 * trusts nothing in the stream. Used by qubes and by dom0's receiver of updates.
 */
#ifndef AGENT_QFILE_UNPACK_H
#define AGENT_QFILE_UNPACK_H

#include "base/defs.h"

struct qfile_unpack {
	int in, out;	     /* the stream, and where the result goes */
	int root;	     /* the directory */
	int procfd;	     /* /proc/self/fd, or -1 */
	unsigned name_flags; /* QFILE_ALL_NAMES, QFILE_UNSAFE_LINKS */
	bool only_regular;   /* links and directories are refused (EINVAL) */
	bool wait_space;     /* wait until a file and the margin fit on the file system */
	uint64_t margin;     /* bytes */
	unsigned mode_mask; /* modes of files keep these bits only; 0 = 07777 */
	uint64_t max_bytes, max_files; /* 0 = no limit; reaching one gives EDQUOT */
	void (*progress)(const char *name, void *arg); /* called before each entry; may be NULL */
	void *arg;
};

/* qfile_unpack takes a whole stream and sends the result. Gives the result's code: 0, or what went wrong (errno or QFILE_LEGAL_EOF).
   When something goes wrong u->in is closed before the answer, so that a sender that is still writing notices. */
int qfile_unpack(const struct qfile_unpack *u);

#endif
