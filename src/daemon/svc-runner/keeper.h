/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Processes that wait for the next call, made ahead of it. */
#ifndef SVC_RUNNER_KEEPER_H
#define SVC_RUNNER_KEEPER_H

#include "base/err.h"

/* keeper_run forks one waiting process after the other and ends with the program that started it; it returns only in the waiting processes, each
   of which takes one order from order_fd. *ret_mark is for keeper_taken and the process's own until it ends. */
void keeper_run(int order_fd, int *ret_mark);
/* keeper_taken says that this process has its order, so that the next one is made. */
void keeper_taken(int mark);

#endif
