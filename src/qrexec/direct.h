/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Services of ours that do nothing but turn into another program (qubes.VMExec, qubes.VMShell): that program is started at once, which saves
 * the start of a program in every such call. The programs stay for whoever starts them otherwise, and for what is not an ordinary case.
 */
#ifndef QREXEC_DIRECT_H
#define QREXEC_DIRECT_H

#include <limits.h>

#include "proto/vmexec.h"
#include "qrexec/lookup.h"

struct direct {
	char path[PATH_MAX];		/* of the program that the service would become */
	const char *argv[VMEXEC_ARGS_MAX]; /* NULL-terminated; points into text or into the environment */
	char *text;			/* owned */
};

/* direct_ours: is the service at svc->path a link to one of our programs in own_dir? Then direct_find is worth its memory. */
bool direct_ours(const char *own_dir, const struct svc *svc);
/* direct_find: true when the service at svc->path is a link to one of our programs in own_dir and what it would become was found. env is what the
   program would be started with, arg the service's argument or NULL. Whether the user may start it is not looked at. */
bool direct_find(struct direct *ret, const char *own_dir, const struct svc *svc, const char *arg, const char *const *env);
void direct_fini(struct direct *d);

#endif
