/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * state-holder: keeps saved states (docs/states.md §2): in sealed memory files while they are used, and in its directory. It never looks into what it
 * keeps, starts nothing, and survives core and spawner. main.c the socket; table.c which states there are; copy.c between memory and disk.
 */
#ifndef STATE_HOLDER_HOLDER_H
#define STATE_HOLDER_HOLDER_H

#include <sys/queue.h>

#include "base/ev.h"
#include "proto/ipc.h"

#define HOLDER_FD_LISTEN 3
#define KEY_CAP 33
#define STATES_MAX 256
#define STATE_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

enum part { PART_RAM, PART_DEVICE, PART_VOLATILE, PART_N };

/* One copy that is under way, in steps that leave other requests their turn. */
struct copy {
	int from[PART_N], to[PART_N];
	uint64_t at;	     /* in part */
	enum part part;
	uint32_t crc[PART_N]; /* over offset and bytes of each page that is not zero */
};

struct waiter {
	TAILQ_ENTRY(waiter) link;
	uint32_t serial;
};

struct state {
	TAILQ_ENTRY(state) link;
	char key[KEY_CAP];
	bool memory_only, on_disk, in_memory;
	int fd[PART_N]; /* sealed, while in_memory */
	uint64_t size[PART_N];
	uint64_t used; /* bytes of memory, while in_memory */
	uint32_t crc[PART_N]; /* of the copy on disk */
	uint64_t last_use; /* seconds since 1970 */
	uint64_t turn;	   /* grows with each use; decides what goes first */
	struct copy *saving, *loading;
	TAILQ_HEAD(, waiter) waiters; /* GETs that wait for the end of loading */
};

struct holder {
	struct ev_loop *loop;
	struct ev_io *listen_ev, *conn_ev;
	struct ev_timer *work, *idle;
	int conn; /* the spawner; -1 */
	int dir;  /* of the states */
	uint64_t memory_max, turn, idle_ms;
	TAILQ_HEAD(, state) states;
	unsigned n_states;
};

/* --- table.c ------------------------------------------------------------------------------------------------------------------- */

/* table_open opens dir, removes what a crash left half-written, and lists the states in it. */
int table_open(struct holder *h, const char *dir, struct err *e);
void table_free(struct holder *h);
struct state *table_find(struct holder *h, const char *key);
/* table_add makes an empty entry; an older one of the same key goes first. NULL at the limit. */
struct state *table_add(struct holder *h, const char *key);
/* table_drop forgets a state, in memory and on disk. Those who wait for it are refused. */
void table_drop(struct holder *h, struct state *s);
/* table_used notes a use. table_trim makes room: what was used longest ago leaves memory first; states without a copy on disk go last,
   and whole. */
void table_used(struct holder *h, struct state *s);
void table_trim(struct holder *h, const struct state *keep);

/* --- copy.c -------------------------------------------------------------------------------------------------------------------- */

/* parts_check gives 0 when all three are sealed memory files, and fills size and used. */
int parts_check(const int fds[PART_N], uint64_t size[PART_N], uint64_t *ret_used);
/* copy_save begins writing s to the directory, copy_load reading it into new memory. */
int copy_save(struct holder *h, struct state *s, struct err *e);
int copy_load(struct holder *h, struct state *s, struct err *e);
/* copy_work goes on with the copy that is next for a moment; false when there is none. */
bool copy_work(struct holder *h);
void copy_stop(struct state *s);
/* meta_read fills sizes and checksums of the state in folder KEY. */
int meta_read(struct holder *h, const char *key, struct state *s);

/* --- main.c -------------------------------------------------------------------------------------------------------------------- */

void work_start(struct holder *h);
/* answer_get answers a GET: with the descriptors, or with code (positive errno). */
void answer_get(struct holder *h, uint32_t serial, const struct state *s, int code, const char *text);
/* waiters_done answers all who wait for s. */
void waiters_done(struct holder *h, struct state *s, int code, const char *text);

#endif
