/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The way out of a NetVM without hardware, in session mode: one passt for it, between its machine and this user's own network. passt confines itself
 * (own user, mount and process namespaces, its own filter of system calls); it takes no connection from outside, does not lead to the host's loopback,
 * and ends with the machine. This is the only program of an instance that may use the network (docs/network.md §4).
 */
#include <signal.h>

#include "base/paths.h"
#include "base/str.h"
#include "daemon/spawner/spawner.h"
#include "proto/names.h"

#define PASST "/usr/bin/passt"
#define UPLINK_FD 3

int on_uplink(struct spawner *s, struct msg *m, struct err *e)
{
	/* Addresses as src/daemon/qubesd/net_keys.c tells the NetVM. */
	static const char *const argv[] = { "passt", "--foreground", "--quiet", "--fd", "3", "--ipv4-only", "--address", "10.0.2.15", "--netmask", "24",
					    "--gateway", "10.0.2.2", "--dns-forward", "10.0.2.3", "--no-map-gw", "--no-dhcp", "--no-ndp", "--no-ra",
					    "--mtu", "1500", "--tcp-ports", "none", "--udp-ports", "none", NULL };
	struct proc_spec spec = { .path = PASST, .argv = argv, .new_session = true };
	_cleanup_proc_ struct proc p = PROC_INIT;
	_cleanup_fd_ int log = -1;
	struct ipc_sp_uplink q;
	struct rd rd = msg_rd(m);
	struct qname name;
	int r;

	if (ipc_get_sp_uplink(&rd, &q) < 0 || !rd_done(&rd) || qname_parse(&name, q.name, e) < 0)
		return err_set(e, EBADMSG, "malformed request");
	if (paths_system_mode())
		return err_set(e, ENOTSUP, "dom0 has no network: give the NetVM a network card");
	if (access(PASST, X_OK) < 0)
		return err_set(e, ENOENT, "the program " PASST " is missing (package passt)");
	log = log_open("uplink", q.name, e);
	if (log < 0)
		return log;
	spec.fds[0].fd = m->fds[0];
	spec.fds[0].as = UPLINK_FD;
	spec.fds[1].fd = log;
	spec.fds[1].as = STDERR_FILENO;
	spec.n_fds = 2;
	r = proc_spawn(&p, &spec, e);
	if (r < 0)
		return r;
	child_add(s, &p, (uint32_t)p.pid, q.qid, ROLE_UPLINK);
	reply(s, m, NULL, NULL, 0);
	return 0;
}
