/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The numbered states of a file-qcow2 volume (see qcow2.c): which are there, which files each needs, and which may go. */
#ifndef STORAGE_QCOW2_STATES_H
#define STORAGE_QCOW2_STATES_H

#include "storage/vol.h"

#define STATES_MAX 64

struct state {
	uint32_t n;
	bool raw, cow;
	bool part; /* no state of its own: a layer that a shared state above it needs */
};

struct states {
	const struct vol *v;
	struct state s[STATES_MAX]; /* ascending */
	size_t n;
	bool full;
	bool cut;	/* a mark is there (see states_mark): states numbered `below` or more are not complete, and not in s */
	uint32_t below;
};

/* The files of one state, from its raw image upward. */
struct chain {
	struct state s[STATES_MAX]; /* s[0].raw; the others are overlays */
	size_t n;
};

/* state_file, dirty_file, mark_file write the name of a file. raw: the committed state itself is in use (revisions_to_keep -1). */
void state_file(const struct vol *v, uint32_t n, bool raw, char out[160]);
/* layer_file is state_file for any layer of a chain. */
void layer_file(const struct vol *v, const struct state *s, bool raw, char out[160]);
void dirty_file(const struct vol *v, bool raw, char out[160]);
void mark_file(const struct vol *v, uint32_t below, char out[160]);
/* states_mark makes states numbered `below` or more invisible until states_unmark, which shows all of them in one step. */
int states_mark(const struct vol *v, uint32_t below, struct err *e);
int states_unmark(const struct vol *v, uint32_t below, struct err *e);
/* states_settle removes what a marked operation left half-done. Each operation that changes the volume begins with it. */
int states_settle(const struct vol *v, struct err *e);
int states_list(const struct vol *v, struct states *l, struct err *e);
/* states_chain gives the files of state number i of the list; false when a part of it is missing. */
bool states_chain(const struct states *l, size_t i, struct chain *ret);
/* states_head gives the list and the chain of its greatest state. -ENOENT when there is none, -EBUSY when the
   volume runs without snapshots, -EIO when the chain is broken. */
int states_head(const struct vol *v, struct states *l, struct chain *ret, struct err *e);
/* chain_number, chain_file: number and file name of the state at the top of a chain. */
uint32_t chain_number(const struct chain *c);
void chain_file(const struct vol *v, const struct chain *c, char out[160]);
/* states_prune removes, from the lowest number upward, the files that neither the head nor one of the `keep` newest revisions needs. */
int states_prune(const struct vol *v, int32_t keep, struct err *e);

#endif
