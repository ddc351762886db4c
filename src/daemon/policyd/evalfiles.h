/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Policy files that exist only inside a JSON request: the loader behind the operations load, evaluate and evaluate-dirs. */
#ifndef POLICYD_EVALFILES_H
#define POLICYD_EVALFILES_H

#include <jansson.h>

#include "proto/policy.h"

struct evalfiles {
	const json_t *dirs[2]; /* name -> text; NULL = the directory is missing. [0] run (or the only one), [1] etc */
	const json_t *legacy;
	struct pol_loader loader;
};

/* evalfiles_init prepares a loader over the given objects, which stay the caller's. */
void evalfiles_init(struct evalfiles *f, const json_t *run, const json_t *etc, const json_t *legacy);

#endif
