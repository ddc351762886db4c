/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The Exec line of a desktop file, and which program opens what. Pure. */
#ifndef PROTO_DESKTOP_H
#define PROTO_DESKTOP_H

#include "base/err.h"
#include "base/rd.h"

/* desktop_exec finds Exec of the group [Desktop Entry] and takes it apart into text and ret (cap entries with the final NULL): quoting and
   escapes are undone, field codes (%u, %F …) are dropped, since nothing is opened. Gives the number of arguments; -ENOENT without an Exec line,
   -EINVAL for a malformed one, -E2BIG. text must hold cap_text bytes. */
int desktop_exec(struct rd file, char *text, size_t cap_text, char **ret, size_t cap, struct err *e) _must_check_;
/* desktop_exec_with is the same for opening something: the words %f %F %u %U become operand; when there is none of them it is the last argument.
   operand is put in as it is, so text must have room for it besides the line. */
int desktop_exec_with(struct rd file, const char *operand, char *text, size_t cap_text, char **ret, size_t cap, struct err *e) _must_check_;

#define MIME_CAP 128

/* mime_of_name finds the type for the name of a file in the text of /usr/share/mime/globs2 (weight:type:pattern); false when no pattern matches.
   Only patterns "*.suffix" and literal names are known; the one with the greatest weight, then the longest, wins. */
bool mime_of_name(struct rd globs, const char *name, char out[MIME_CAP]);
/* mime_app finds the first desktop file id (with ".desktop") that group ("Default Applications", "MIME Cache" …) of a mimeapps.list names for a
   type, beginning with the one numbered skip: true and the id, false at the end. */
bool mime_app(struct rd list, const char *group, const char *type, unsigned skip, char out[MIME_CAP]);

#endif
