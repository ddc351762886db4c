/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * QMP: the monitor of one QEMU, on an event loop. QEMU is taken for hostile (a guest may have taken it over): lines are bounded, JSON is
 * parsed strictly and its depth is checked before; anything unexpected closes the connection. Only linkd links this.
 */
#ifndef VMM_QEMU_QMP_H
#define VMM_QEMU_QMP_H

#include <jansson.h>

#include "base/ev.h"

#define QMP_LINE_MAX 262144 /* facts about the nodes of eight disks with all their layers */
#define QMP_CALLS_MAX 32

struct qmp;

/* The end of a command: ret is borrowed, NULL on failure, which error then tells (text of QEMU: escape it before logging). */
typedef void (*qmp_fn)(json_t *ret, const char *error, void *arg);

struct qmp_ops {
	void (*event)(const char *name, json_t *data, void *arg); /* data is borrowed, an object, NULL when there is none */
	void (*closed)(const char *why, void *arg); /* after every unanswered command has failed; called once; free it later */
};

/* qmp_new takes fd, a connected stream. Commands given before QEMU's greeting wait for it. NULL when fd cannot be polled. */
struct qmp *qmp_new(struct ev_loop *l, int fd, const struct qmp_ops *ops, void *arg);
void qmp_free(struct qmp *q);
/* qmp_call sends command with args (taken; may be NULL). fn may be NULL. -EBUSY over QMP_CALLS_MAX, -EPIPE when closed; fn is not called
   then. */
int qmp_call(struct qmp *q, const char *command, json_t *args, qmp_fn fn, void *fn_arg);
/* qmp_call_fd is qmp_call that hands fd over with the command (it stays the caller's). -EAGAIN: not now, since something waits to be sent. */
int qmp_call_fd(struct qmp *q, const char *command, json_t *args, int fd, qmp_fn fn, void *fn_arg);
/* qmp_poll takes what has arrived now, without waiting for the loop. */
void qmp_poll(struct qmp *q);
/* qmp_depth_ok is true when the nesting of arrays and objects in n bytes of JSON is at most max. */
bool qmp_depth_ok(const char *p, size_t n, unsigned max);

#endif
