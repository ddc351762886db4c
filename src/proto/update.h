/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the two halves of an update say to each other: lines of text from the qube (docs/protocol/update.md), and the lines by which apt and dnf tell
 * their progress. Pure functions; all of it is foreign text.
 */
#ifndef PROTO_UPDATE_H
#define PROTO_UPDATE_H

#include "base/err.h"
#include "base/rd.h"

/* Results of an update of one qube, as the reference counts them. */
enum update_code {
	UPDATE_OK = 0,
	UPDATE_NONE = 100, /* nothing to do */
	UPDATE_QUBE = 21,  /* the qube's half failed without saying why */
	UPDATE_PRE = 22,
	UPDATE_REFRESH = 23,
	UPDATE_INSTALL = 24,
	UPDATE_CLEANUP = 25,
	UPDATE_UNHANDLED = 26,
	UPDATE_QREXEC = 40,
	UPDATE_USAGE = 64,
	UPDATE_INTERRUPTED = 130,
	UPDATE_SHUTDOWN = 11, /* dom0's part: the qube did not end, */
	UPDATE_START = 12,    /* did not start, */
	UPDATE_OTHER = 13,    /* or something else of it failed */
};

#define UPDATE_LINE_MAX 2048u

enum update_kind {
	UPDATE_L_PHASE,	   /* text: one word */
	UPDATE_L_PROGRESS, /* n: thousandths of the whole */
	UPDATE_L_COUNT,	   /* n: packages that can be upgraded */
	UPDATE_L_CHANGE,   /* text: "NAME OLD NEW" */
	UPDATE_L_LOG,	   /* text: output of the package manager */
	UPDATE_L_END,	   /* n: enum update_code */
};

struct update_line {
	enum update_kind kind;
	uint64_t n;
	char text[UPDATE_LINE_MAX]; /* printable ASCII; other bytes have become '?' */
};

/* update_line_parse decodes one line without its end; -EBADMSG for anything that is not of the table. */
int update_line_parse(struct rd line, struct update_line *ret);

/* update_apt_status decodes a line of apt's status descriptor: thousandths of the present step, and what is being done. False for lines of other kinds. */
bool update_apt_status(struct rd line, bool *ret_download, unsigned *ret_permille);
/* update_apt_inst decodes a line "Inst NAME [OLD] (NEW …" of a simulation to "NAME OLD NEW" ("-" when there is no old one). */
bool update_apt_inst(struct rd line, char *out, size_t cap);

/* One row of "dnf check-update": NAME.ARCH VERSION REPOSITORY. Long ones are broken into several lines, so words are collected. */
struct update_dnf_row {
	char name[128], version[128];
	unsigned words;
	bool over; /* what follows are obsolete packages */
};
/* update_dnf_row takes the next line; true when it ended a row, which is then in r->name and r->version until the next call. */
bool update_dnf_row(struct update_dnf_row *r, struct rd line);
/* update_dnf_step decodes how far dnf is from "(I/N): …", "[I/N] …" or "… I/N" at the end: thousandths. False for other lines. */
bool update_dnf_step(struct rd line, unsigned *ret_permille);

#endif
