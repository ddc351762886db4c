/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Preloaded disposables in the object model (specs/storage-backup.md §1.7): how many a disposable template keeps, which they are, and what makes
 * one useless. They are ordinary disposables with features that only the daemon writes; the queue is feature preload-dispvm of their template, names
 * separated by blanks. Changes happen inside the open transaction. Starting, pausing and handing them out is the daemon's.
 */
#ifndef CORE_API_PRELOAD_H
#define CORE_API_PRELOAD_H

#include "core/api/api.h"
#include "proto/appmenu.h"

#define PRELOAD_MAX 100 /* for one template */

/* preload_max: how many t keeps; 0 when it is no disposable template. dom0's own feature counts instead of that of the system's default_dispvm. */
unsigned preload_max(const struct core *c, const struct qube *t);
/* preload_delay: seconds between use and refilling; negative = refill when the queue is empty. */
int preload_delay(const struct core *c, const struct qube *t);
/* preload_threshold: MiB that must stay free on the host beside the new one. */
uint64_t preload_threshold(const struct core *c);

/* preload_next gives the next name of t's queue from *at on (0 at first); false at the end. The qube may be gone. */
bool preload_next(const struct qube *t, size_t *at, char name[QNAME_MAX + 1]);
unsigned preload_count(const struct qube *t);
/* preload_waits: is q in the queue of its template? */
bool preload_waits(const struct core *c, const struct qube *q);
bool preload_completed(const struct qube *q);

/* preload_enqueue marks a new disposable and puts it at the end of its template's queue; reason goes into the event. */
void preload_enqueue(struct core *c, struct qube *q, const char *reason);
/* preload_complete: it is paused and may be used. */
void preload_complete(struct core *c, struct qube *q);
/* preload_use takes q out of the queue: from now on it is an ordinary disposable. */
void preload_use(struct core *c, struct qube *q);
/* preload_forget takes a name out of t's queue. */
void preload_forget(struct core *c, struct qube *t, const char *name);
/* preload_app gives the program (name of a desktop file) that the next one of t's queue is to have open: of the words of feature preload-app the one
   that the fewest of those that wait have. False when there is none. */
bool preload_app(const struct core *c, const struct qube *t, char name[APPMENU_ID_CAP]);
/* preload_opened: the program that q has open, with its windows withheld; NULL = none. preload_open notes it. */
const char *preload_opened(const struct qube *q);
void preload_open(struct core *c, struct qube *q, const char *name);
/* preload_stale: why q is not what t would make now (static text, or the name of a property), NULL when it is. */
const char *preload_stale(const struct core *c, const struct qube *t, const struct qube *q);
/* preload_check refuses values of the features above that say nothing. 0 for any other feature. */
int preload_check(struct call *c);

#endif
