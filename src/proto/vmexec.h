/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The argument of qubes.VMExec: a whole argument vector as service-safe text (docs/protocol/qrexec.md). Pure functions. */
#ifndef PROTO_VMEXEC_H
#define PROTO_VMEXEC_H

#include "base/err.h"
#include "base/wr.h"

#define VMEXEC_ARGS_MAX 4096

/* vmexec_put appends the encoding of argv (NULL-terminated, at least one entry) without NUL. */
void vmexec_put(struct wr *w, const char *const *argv);
/* vmexec_get decodes s in place into ret (cap entries with the final NULL) and gives the number of arguments; -EINVAL for a text that is
   not an encoding, -E2BIG for too many arguments. ret points into s. s is damaged on failure. */
int vmexec_get(char *s, char **ret, size_t cap, struct err *e) _must_check_;

#endif
