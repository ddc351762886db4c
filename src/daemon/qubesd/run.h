/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef QUBESD_RUN_H
#define QUBESD_RUN_H

#include "daemon/qubesd/qubesd.h"

int runs_start(struct qd *d, struct err *e);
void runs_on_exit(struct qd *d, struct msg *m);

#endif
