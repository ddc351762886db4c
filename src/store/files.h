/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Work on a database while no daemon has it: checking, taking its state out as JSON, putting another state in its place. Everything new is made
 * and checked whole in a folder beside the database and then takes its name at once; what was there before stays as a snapshot.
 */
#ifndef STORE_FILES_H
#define STORE_FILES_H

#include "base/wr.h"
#include "store/snapshot.h"
#include "store/store.h"

#define STORE_JSON_MAX (256u << 20)

/* A line about something that was found: what, and whether it makes the state unusable. */
typedef void (*store_say)(void *arg, bool wrong, const char *text);

/* The place of a database, and the lock on it. One at a time. */
struct store_place {
	const char *path; /* borrowed */
	char temp[PATH_MAX], fresh[PATH_MAX]; /* the folder for new files; the database in it */
	int lock;
};
/* store_place_open takes the lock (-EBUSY: a daemon runs) and removes what an interrupted work left. */
int store_place_open(struct store_place *p, const char *path, struct err *e);
/* store_place_close gives the lock back and removes what was made and not used. */
void store_place_close(struct store_place *p);

/* store_copy makes p->fresh a copy of the database; -ENOENT when there is none. */
int store_copy(struct store_place *p, struct err *e);
/* store_take makes p->fresh a copy of a snapshot. */
int store_take(struct store_place *p, const char *name, struct err *e);
/* store_validate opens the database file, loads it and checks every value; problems go to say. Gives how many make it unusable. */
int store_validate(const char *file, store_say say, void *arg, struct err *e);
/* store_commit puts p->fresh, which must be closed, in the place of the database. was gets the name under which the former state stays. */
int store_commit(struct store_place *p, const char *why, char was[PATH_MAX], struct err *e);

/* store_export writes the whole state as JSON; -EUCLEAN for text that JSON cannot hold. */
int store_export(struct wr *w, const char *file, struct err *e);
/* store_import makes p->fresh from such a text. -EINVAL with a text that says where it is wrong. */
int store_import(struct store_place *p, const char *text, size_t len, struct err *e);

#endif
