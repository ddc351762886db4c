/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Descriptors that the spawner gives to qubesdb-daemon in our mode (`qubesdb-daemon --link --qid N --name NAME`). */
#ifndef QUBESDB_DAEMON_FDS_H
#define QUBESDB_DAEMON_FDS_H

#define QUBESDBD_FD_LINK 3   /* SEQPACKET, LC_ messages to linkd */
#define QUBESDBD_FD_RW 4     /* listening STREAM socket qubesdb.NAME.sock */
#define QUBESDBD_FD_RO 5     /* listening STREAM socket qubesdb.NAME.ro.sock */

#endif
