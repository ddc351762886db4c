/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the small programs behind dom0's services share. Policy has already allowed the call; the caller's name comes from svc-runner, its bytes
 * from a qube. Each program reads a bounded amount, through struct rd, and answers one line on standard error when it refuses.
 */
#ifndef SVC_SVC_H
#define SVC_SVC_H

#include "base/err.h"
#include "proto/names.h"

struct svc {
	const char *name, *arg; /* of the service; arg "" when there is none */
	struct qname caller;
};

/* svc_begin finds out which service this is and who calls, and initialises the paths; ends the program when it was not called as a service. */
void svc_begin(struct svc *s);
/* svc_confine gives up everything but one directory (made when it is not there; NULL = none) and unix sockets, before a byte of the caller is read. */
int svc_confine(const char *dir, struct err *e);
/* svc_confine_device: the same with one device. */
int svc_confine_device(const char *path, struct err *e);
/* svc_input reads all that the caller sends, at most max bytes; -EFBIG for more. Caller frees. */
int svc_input(size_t max, char **ret, size_t *ret_len, struct err *e);
/* svc_end gives the exit status for r and tells the caller why. */
int svc_end(const struct svc *s, int r, const struct err *e);

#endif
