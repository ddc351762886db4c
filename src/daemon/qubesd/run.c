/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/qubesd/run.h"

int runs_start(struct qd *d, struct err *e)
{
	return 0;
}

void runs_on_exit(struct qd *d, struct msg *m)
{
}

static int op_start(void *ctx, struct qube *q, struct call *c)
{
	return err_set(&c->err, AE_NOT_IMPLEMENTED, "starting qubes is not part of this state yet");
}

const struct core_ops run_ops = { .storage = storage_submit, .start = op_start };
