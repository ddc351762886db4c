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
	/* Bytes of the stream so far, and the entry that is being sent (NULL at the end); may be NULL. */
	void (*progress)(uint64_t sent, const char *name, void *arg);
	void (*skipped)(const char *name, void *arg); /* a device, fifo or socket was passed over; may be NULL */
	uint64_t *ret_sent; /* gets the length of the stream in every case; may be NULL */
	void *arg;
};

/* qfile_pack sends the paths and waits for the result. 0 when the receiver has everything, else -errno with a text to show (the receiver's
   reason where there is one, already escaped). */
int qfile_pack(const struct qfile_pack *p, char *const *paths, size_t n, struct err *e);

/* What qvm-copy wants to know before it asks. */
struct qfile_survey {
	bool ignore_links;   /* in: as in struct qfile_pack */
	unsigned name_flags; /* in: QFILE_ALL_NAMES, QFILE_UNSAFE_LINKS: what the receiver was or will be told to accept */
	uint64_t bytes, entries;
};
/* qfile_survey looks at everything that qfile_pack would send, without opening files, and finds what cannot be read here or would be
   refused there, before anything is sent. 0, or -errno with a text to show that says what to do. */
int qfile_survey(struct qfile_survey *s, char *const *paths, size_t n, struct err *e);

#endif
