/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The sender of a file copy stream: walks files and directories, writes entries, listens for an early refusal, reads the result.
 * Entries are opened relative to their directory and never through a link. Used by qubes and by dom0.
 */
#ifndef AGENT_QFILE_PACK_H
#define AGENT_QFILE_PACK_H

#include "base/err.h"

struct journal;

struct qfile_pack {
	int in, out;		 /* the result, and where the stream goes */
	bool ignore_links;	 /* leave symbolic links out */
	struct journal *journal; /* for a move; may be NULL */
	void (*progress)(uint64_t sent, void *arg); /* bytes of the stream so far; may be NULL */
	void *arg;
};

/* qfile_pack sends the paths and waits for the result. 0 when the receiver has everything, else -errno with a text to show (the receiver's
   reason where there is one, already escaped). */
int qfile_pack(const struct qfile_pack *p, char *const *paths, size_t n, struct err *e);

/* What qvm-copy wants to know before it asks. */
struct qfile_survey {
	uint64_t bytes, entries;
	char needs_all_names[256]; /* the first path that only goes with allow-all-names, escaped; "" = none */
};
/* qfile_survey looks at everything that qfile_pack would send, without opening files. 0 or -errno. */
int qfile_survey(char *const *paths, size_t n, bool ignore_links, struct qfile_survey *ret, struct err *e);

#endif
