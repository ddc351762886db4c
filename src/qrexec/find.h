/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Search of a program by name, for programs that a user of this machine or qube chose himself. Calls never use it. */
#ifndef QREXEC_FIND_H
#define QREXEC_FIND_H

#include <limits.h>

#include "base/err.h"

/* find_program gives the absolute path of name: itself when it holds a '/', else the first executable of $PATH. -ENOENT. */
int find_program(const char *name, char out[PATH_MAX], struct err *e) _must_check_;

#endif
