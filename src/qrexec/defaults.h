/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fixed places of qrexec inside a qube. dom0's are in base/paths. */
#ifndef QREXEC_DEFAULTS_H
#define QREXEC_DEFAULTS_H

#define QREXEC_GUEST_SERVICES "/run/qubes-rpc:/usr/local/etc/qubes-rpc:/etc/qubes-rpc"
#define QREXEC_GUEST_CONFIGS "/run/qubes/rpc-config:/usr/local/etc/qubes/rpc-config:/etc/qubes/rpc-config"
#define QREXEC_AGENT_SOCKET "/var/run/qubes/qrexec-agent"
#define QREXEC_FORK_SERVER_SOCKET "/var/run/qubes/qrexec-server.%s.sock"
#define QREXEC_WAIT_SERVICE "qubes.WaitForSession"

#endif
