/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Saved states and preloaded disposables as the Admin API shows them. What there is, the daemon knows. */
#include "base/str.h"
#include "core/api/api.h"

int api_state(struct call *c)
{
	if (c->core->no_vms || !c->core->ops->state)
		return err_set(&c->err, AE_GENERIC, "this instance was started with --no-vms: it has no saved states");
	return c->core->ops->state(c->core->ops_ctx, c);
}
