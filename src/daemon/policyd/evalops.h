/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Operations of qrexec-policy-eval: one JSON object in, one out (docs/man qrexec-policy-eval). The code under them is policyd's. */
#ifndef POLICYD_EVALOPS_H
#define POLICYD_EVALOPS_H

#include <jansson.h>

#include "base/err.h"

/* evalop_run answers one request; never NULL: a request that cannot be understood gets {"error": text}. systems: the object of
   --system-info or NULL. The caller owns the result. */
json_t *evalop_run(const json_t *request, const json_t *systems);
/* evalops_fini forgets cached tables. */
void evalops_fini(void);

#endif
