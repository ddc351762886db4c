/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Descriptors that the spawner hands to a linkd, by number. All are open at the start; -1 does not exist. */
#ifndef PROTO_FDS_H
#define PROTO_FDS_H

/*
 * Command line: linkd --qid N --name NAME --start-id ID --vmm NAME --accel kvm|tcg --qemu-pid PID --qemu-start TICKS
 *                     [--start source --state-fd 13 | --start clone --state-fd N]   N: the machine's descriptor of the state that it loads
 *                     [--gui-mib M --gui-machine-fd N]   N: the machine's descriptor of the memory for pixels
 * NAME: the driver (vmm/drivers.def). QEMU runs with -S, -qmp-like monitor on LINKD_FD_QMP's peer, a virtserialport named LINKD_PORT_NAME with id LINKD_PORT_ID on
 * LINKD_FD_LINK's peer and its first console on LINKD_FD_CONSOLE's peer. The spawner sends nothing after the start. linkd only repeats
 * pid and start time in LD_HELLO.
 */
enum linkd_fd {
	LINKD_FD_QMP = 3,      /* STREAM socketpair, QEMU's monitor (control mode) */
	LINKD_FD_LINK = 4,     /* STREAM socketpair, chardev of the port LINKD_PORT_NAME */
	LINKD_FD_CONSOLE = 5,  /* STREAM socketpair, chardev of the guest's console */
	LINKD_FD_CTL = 6,      /* listening SEQPACKET: linkd.ctl (qubesd core) */
	LINKD_FD_CHAN = 7,     /* listening SEQPACKET: chan.sock (dom0 clients) */
	LINKD_FD_CONSOLE_LISTEN = 8, /* listening STREAM: console.sock */
	LINKD_FD_QREXEC = 9,   /* connected SEQPACKET: LC_ channel of qrexec-daemon */
	LINKD_FD_QUBESDB = 10, /* connected SEQPACKET: LC_ channel of qubesdb-daemon */
	LINKD_FD_LOG = 11,     /* console log file, opened for appending */
	LINKD_FD_LIFELINE = 12, /* end of qube-shim's lifeline; held open for the life of linkd, never read */
	LINKD_FD_N = 13,
	LINKD_FD_GUI = 14,   /* only with --gui-mib: the memory for pixels, opened for reading only (docs/gui.md §3) */
	LINKD_FD_STATE = 13, /* only with --start source: the file that the state of the devices is written to */
};

#define LINKD_PORT_NAME "org.bulkhead.link"
#define LINKD_PORT_ID "link0"

#endif
