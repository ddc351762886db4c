/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finds the other programs of the qube. */
#ifndef AGENT_VMTOOLS_FIND_H
#define AGENT_VMTOOLS_FIND_H

#include <limits.h>

#include "base/defs.h"

/* find_beside gives the program of this name beside the running one (build tree), else in installed. Writes to out. */
const char *find_beside(char out[PATH_MAX], const char *name, const char *installed);

#endif
