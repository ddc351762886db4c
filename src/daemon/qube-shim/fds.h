/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Between the spawner and a qube's shim: `qube-shim LAST FILES PROGRAM ARGUMENT…`. Descriptors SHIM_FD_FIRST to LAST are handed on to the
 * program under the same numbers, and 2 (its log). The first FILES regular files among them it may open anew.
 */
#ifndef QUBE_SHIM_FDS_H
#define QUBE_SHIM_FDS_H

#define SHIM_FD_LIFELINE 3 /* STREAM; its other end is linkd's. At its end the shim ends, and with it everything in its pid namespace */
#define SHIM_FD_REPORT 4   /* SEQPACKET to the spawner: one message, SHIM_STARTED with the program's pidfd, or SHIM_FAILED with a text */
#define SHIM_FD_FIRST 5
#define SHIM_REOPENED_MAX 2

#define SHIM_STARTED 1u
#define SHIM_FAILED 2u

#endif
