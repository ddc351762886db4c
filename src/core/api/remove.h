/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef CORE_API_REMOVE_H
#define CORE_API_REMOVE_H

#include "core/api/api.h"

/* removal_start takes a qube that is creating or removing away: volumes first, then the row. The call, if any, ends with it. */
void removal_start(struct core *core, struct qube *q, struct call *c);

#endif
