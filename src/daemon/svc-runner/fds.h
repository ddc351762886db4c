/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How svc-runner is started: `svc-runner --user USER --source QUBE --target-type TYPE --target TARGET -- SERVICE+ARGUMENT`, where TYPE is name or
 * keyword and TARGET is without '@'. It resolves the service, becomes the user (in system mode, started by root), and only then reads
 * the data stream. With --exit-code its own status is the service's; otherwise 0 means that the call was served. stderr is a log. QUBES_ROOT chooses the session as for every program.
 *
 * `svc-runner --wait` is started ahead of a call: descriptor 3 is then a SEQPACKET socket that brings one SP_DOM0_SERVICE with the data stream (and the service's own, as with --stream). It ends
 * without a word when that socket closes first. `svc-runner --keep` takes any number of such orders, each in a process of its own that waits for it;
 * an order there brings a descriptor that is held until the call has ended, and optionally the data stream. Without that an LC_CONNECT follows
 * that says where the unix vchan of the call will be: the service is looked up while it is made. --connect PEER:PORT is the same in the first form;
 * descriptor 3 is then only held.
 *
 * With --stream the service is the socket at descriptor 4 and nothing is looked up or started: the Admin API, whose core has kept the other end and has
 * bound it to the caller already.
 *
 * `svc-runner --call` is the caller's side of a call that dom0 makes in a qube: descriptor 3 is the data vchan, this side being its server, 4 the socket that is
 * input and output. It ends when the call does, or when nobody holds the other end of 4 any more.
 */
#ifndef SVC_RUNNER_FDS_H
#define SVC_RUNNER_FDS_H

#define SVC_RUNNER_FD_DATA 3 /* STREAM: the data vchan of the call, this side being the vchan client */
#define SVC_RUNNER_FD_STREAM 4 /* STREAM, with --stream: the service */

#endif
