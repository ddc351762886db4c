/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Descriptors that the spawner gives to qrexec-daemon in our mode:
 * `qrexec-daemon --link --qid N --name NAME --uuid UUID --default-user USER`. stderr is its log.
 */
#ifndef QREXEC_DAEMON_FDS_H
#define QREXEC_DAEMON_FDS_H

#define QREXECD_FD_CLIENTS 3 /* listening STREAM socket qrexec.QID: dom0 clients */
#define QREXECD_FD_CTL 4     /* listening SEQPACKET socket qrexec.ctl: qubesd core */
#define QREXECD_FD_LINK 5    /* SEQPACKET, LC_ messages to linkd */

#endif
