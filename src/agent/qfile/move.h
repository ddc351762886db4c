/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The deleting half of a move, shared by the tools of qubes and of dom0: where its journal is, what is deleted when the receiver has
 * confirmed, and what a crash in between leaves. Journals are below $XDG_STATE_HOME/bulkhead/moves (~/.local/state), one folder a move, which
 * the tool holds locked while it runs: one that is not locked is left over.
 */
#ifndef AGENT_QFILE_MOVE_H
#define AGENT_QFILE_MOVE_H

#include <limits.h>

#include "base/err.h"

typedef void (*move_report_fn)(const char *text, const char *path, void *arg);

struct move {
	char dir[PATH_MAX];
	char journal[PATH_MAX + 16]; /* what the sender is to create */
	int lock;
};
#define MOVE_INIT ((struct move){ .lock = -1 })

/* move_begin makes the place for the journal. 0 or -errno. */
int move_begin(struct move *m, struct err *e);
/* move_finish deletes what the journal says (journal_remove) and then the journal. Gives the number of originals that stay, or -errno:
   nothing was deleted. */
int move_finish(struct move *m, move_report_fn report, void *arg, struct err *e);
/* move_finish_undoable is move_finish that puts the originals aside for so many hours instead (folders are removed). */
int move_finish_undoable(struct move *m, unsigned hours, move_report_fn report, void *arg, struct err *e);
/* move_drop deletes the journal and nothing else: the move failed, all originals stay. Idempotent. */
void move_drop(struct move *m);

struct move_rest {
	unsigned confirmed; /* moves of which the receiver had everything, but whose originals were not all deleted */
	unsigned open;	    /* moves that broke off before: nothing was deleted */
	unsigned kept;	    /* move_resume: originals that stay because they changed */
};
/* move_pending counts what earlier runs left and removes the journals of open ones, which are of no use. */
struct move_rest move_pending(void);
/* move_resume ends every confirmed move: deletes its originals (forget: keeps them), then its journal. 0 or -errno. */
int move_resume(bool forget, move_report_fn report, void *arg, struct move_rest *ret, struct err *e);

/* undo.c: moves that can be undone lie as folders undo-… beside the journals: the journal, whose time of change is the moment at which the
   originals are deleted, and the originals under their numbers. */
#define MOVE_UNDO_HOURS 24
#define MOVE_UNDO_HOURS_MAX (24 * 366)
struct move_undone {
	unsigned restored, kept; /* kept: their place is taken, or their folder cannot be made; they stay put aside */
};
/* move_undo brings the originals of the last such move back to where they were. -ENOENT: there is none. */
int move_undo(move_report_fn report, void *arg, struct move_undone *ret, struct err *e);
/* move_restore does that for one folder (used for a move that broke off as well). */
int move_restore(const char *dir, move_report_fn report, void *arg, struct move_undone *ret, struct err *e);
/* move_expire deletes the originals whose time is over. Called by each run of the tools. */
void move_expire(void);
/* move_each_place gives the folders that may hold moves; false behind the last. */
bool move_each_place(unsigned i, char out[PATH_MAX]);

#endif
