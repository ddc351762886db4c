/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What qubes.OpenInVM and qubes.OpenURL begin with: the name of the file, the address. Pure. */
#ifndef PROTO_OPENING_H
#define PROTO_OPENING_H

#include "base/err.h"
#include "base/rd.h"
#include "base/wr.h"

#define OPEN_NAME_LEN 256 /* field at the head of an OpenInVM stream, NUL-padded */
#define OPEN_URL_MAX 8192

struct open_name {
	char name[OPEN_NAME_LEN]; /* safe as the name of a file: letters digits . _ @ + - only, no leading '.' or '-' */
	bool view_only;
};

/* open_name_get decodes the field: characters outside the set become '_', a '/' anywhere, an empty name or bytes after the first NUL that are
   not NUL are refused. -EINVAL with a text. */
int open_name_get(struct open_name *ret, struct rd r, struct err *e) _must_check_;
/* open_name_put writes the field for the last component of path; of a name that is too long the tail is kept, which has the suffix. */
void open_name_put(struct wr *w, const char *path, bool view_only);

/* open_url_get copies one address (a newline behind it allowed) to out: http, https or ftp, then "//" and a host; only bytes 0x21 to 0x7e without
   quotes, angle brackets, backslash, caret, backtick, bar and braces, at most OPEN_URL_MAX - 1. It cannot begin like an option. -EINVAL with a text. */
int open_url_get(char out[OPEN_URL_MAX], struct rd r, struct err *e) _must_check_;

#endif
