/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The way out of a NetVM without hardware, in session mode: one passt for it, between its machine and this user's own network. passt confines itself
 * (own user, mount and process namespaces, its own filter of system calls) and takes no connection from outside. uplink-filter stands before it, so that
 * the machine reaches no address of the host. Both end with the machine (docs/network.md §4).
 */
#include <sys/socket.h>

#include "base/io.h"
#include "base/paths.h"
#include "base/str.h"
#include "daemon/spawner/spawner.h"
#include "daemon/uplink-filter/fds.h"
#include "proto/names.h"

#define PASST "/usr/bin/passt"
#define UPLINK_FD 3

static int start_passt(struct proc *ret, int fd, int log, struct err *e)
{
	/* Addresses as src/daemon/qubesd/net_keys.c tells the NetVM. */
	static const char *const argv[] = { "passt", "--foreground", "--quiet", "--fd", "3", "--ipv4-only", "--address", "10.0.2.15", "--netmask", "24",
					    "--gateway", "10.0.2.2", "--dns-forward", "10.0.2.3", "--no-map-gw", "--no-dhcp", "--no-ndp", "--no-ra",
					    "--mtu", "1500", "--tcp-ports", "none", "--udp-ports", "none", NULL };
	struct proc_spec spec = { .path = PASST, .argv = argv, .new_session = true };

	spec.fds[0].fd = fd;
	spec.fds[0].as = UPLINK_FD;
	spec.fds[1].fd = log;
	spec.fds[1].as = STDERR_FILENO;
	spec.n_fds = 2;
	return proc_spawn(ret, &spec, e);
}

static int start_filter(struct proc *ret, int machine, int network, const char *name, struct err *e)
{
	static const char *const argv[] = { "uplink-filter", NULL };
	const struct fd_place places[] = { { machine, FILTER_FD_MACHINE }, { network, FILTER_FD_NETWORK } };

	return role_spawn(ret, "uplink-filter", argv, 0, places, ARRAY_SIZE(places), log_open("uplink-filter", name, e), e);
}

int on_uplink(struct spawner *s, struct msg *m, struct err *e)
{
	_cleanup_proc_ struct proc passt = PROC_INIT, filter = PROC_INIT;
	_cleanup_fd_ int log = -1, inner = -1, outer = -1;
	struct ipc_sp_uplink q;
	struct rd rd = msg_rd(m);
	struct qname name;
	int r, fds[2];

	if (ipc_get_sp_uplink(&rd, &q) < 0 || !rd_done(&rd) || qname_parse(&name, q.name, e) < 0)
		return err_set(e, EBADMSG, "malformed request");
	if (paths_system_mode())
		return err_set(e, ENOTSUP, "dom0 has no network: give the NetVM a network card");
	if (access(PASST, X_OK) < 0)
		return err_set(e, ENOENT, "the program " PASST " is missing (package passt)");
	log = log_open("uplink", q.name, e);
	if (log < 0)
		return log;
	r = unix_pair(SOCK_STREAM, fds);
	if (r < 0)
		return err_errno(e, -r, "socketpair");
	inner = fds[0];
	outer = fds[1];
	r = start_passt(&passt, outer, log, e);
	if (r >= 0)
		r = start_filter(&filter, m->fds[0], inner, q.name, e);
	if (r < 0)
		return r;
	/* The filter ends with passt, so one end is told, as that of the qube's way out; the other is only reaped. */
	child_add(s, &passt, (uint32_t)passt.pid, 0, ROLE_UPLINK);
	child_add(s, &filter, (uint32_t)filter.pid, q.qid, ROLE_UPLINK);
	reply(s, m, NULL, NULL, 0);
	return 0;
}
