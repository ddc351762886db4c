/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The Exec line of a desktop file. Pure. */
#ifndef PROTO_DESKTOP_H
#define PROTO_DESKTOP_H

#include "base/err.h"
#include "base/rd.h"

/* desktop_exec finds Exec of the group [Desktop Entry] and takes it apart into text and ret (cap entries with the final NULL): quoting and
   escapes are undone, field codes (%u, %F …) are dropped, since nothing is opened. Gives the number of arguments; -ENOENT without an Exec line,
   -EINVAL for a malformed one, -E2BIG. text must hold cap_text bytes. */
int desktop_exec(struct rd file, char *text, size_t cap_text, char **ret, size_t cap, struct err *e) _must_check_;

#endif
