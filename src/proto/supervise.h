/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between a qube's supervisor and its daemons: single bytes on the channel with agentd (its descriptor 3), and a word of the qrexec agent. */
#ifndef PROTO_SUPERVISE_H
#define PROTO_SUPERVISE_H

#define AGENTD_CONTROL_FD 3
/* supervisor -> agentd: the source may be frozen; the clone has its identity */
#define AGENTD_READY 'r'
#define AGENTD_CONFIGURED 'c'
/* agentd -> supervisor: this machine was woken as a clone */
#define AGENTD_WOKEN 'w'
/* qrexec-agent, on $NOTIFY_SOCKET, after SIGUSR1 */
#define AGENT_WARM "WARM=1"

#endif
