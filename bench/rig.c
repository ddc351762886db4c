/* SPDX-License-Identifier: GPL-3.0-or-later */
/* policyd as the spawner starts it, fed as the core feeds it. */
#include "rig.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/msg.h"
#include "base/str.h"
#include "daemon/policyd/fds.h"
#include "proto/ipc.h"

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

double median(double *v, size_t n)
{
	qsort(v, n, sizeof *v, by_value);
	return v[n / 2];
}

void figure(const char *name, double *v, size_t n, const char *unit, const char *note)
{
	double m = median(v, n);

	printf("%s %.4g %s n=%zu p10=%.4g p50=%.4g p95=%.4g", name, m, unit, n, v[n / 10], m, v[n * 95 / 100]);
	if (note)
		printf(" (%s)", note);
	printf("\n");
	fflush(stdout);
}

void must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "bench: %s: %s\n", what, strerror(-r));
	exit(1);
}

static void put(struct rig *g, uint32_t type, struct wr *w, int fd)
{
	must(msg_send(g->core, type, 1, 0, w, &fd, fd >= 0), "sending");
	wr_reset(w);
}

static void feed(struct rig *g, const char *const *qubes)
{
	struct wr w = wr_grow(MSG_PAYLOAD_MAX);
	_cleanup_msg_ struct msg m = { .fds = { -1, -1, -1, -1 } };
	struct ipc_pd_attach a = { .qid = 1 };
	int pair[2];

	ipc_put_pd_sysinfo_begin(&w, &(struct ipc_pd_sysinfo_begin){ 0 });
	put(g, IPC_PD_SYSINFO_BEGIN, &w, -1);
	for (size_t i = 0; qubes[i]; i++) {
		static struct ipc_pd_sysinfo s; /* large */

		s = (struct ipc_pd_sysinfo){ .klass = "AppVM", .power_state = "Running", .tags = "a b c" };
		(void)!str_copy(s.name, sizeof s.name, qubes[i]);
		ipc_put_pd_sysinfo(&w, &s);
		put(g, IPC_PD_SYSINFO, &w, -1);
	}
	ipc_put_pd_sync(&w, &(struct ipc_pd_sync){ .token = 1 });
	put(g, IPC_PD_SYNC, &w, -1);
	must(msg_recv(g->core, &m) == 1 && m.type == IPC_PD_SYNCED ? 0 : -EPROTO, "table");
	must(unix_pair(SOCK_SEQPACKET, pair), "socketpair");
	(void)!str_copy(a.name, sizeof a.name, qubes[0]);
	ipc_put_pd_attach(&w, &a);
	put(g, IPC_PD_ATTACH, &w, pair[1]);
	close(pair[1]);
	g->daemon = pair[0];
	wr_free(&w);
}

void rig_start(struct rig *g, const char *policy, const char *const *qubes)
{
	static char program[PATH_MAX + 32], envroot[128];
	_cleanup_free_ char *dir = NULL;
	const char *argv[] = { "policyd", NULL }, *envp[] = { envroot, "BULKHEAD_LOG=error", NULL };
	struct proc_spec s = { .path = program, .argv = argv, .envp = envp, .keep_stderr = true };
	ssize_t n = readlink("/proc/self/exe", program, PATH_MAX);
	struct err e = { 0 };
	int pair[2];

	must(n > 0 ? 0 : -errno, "own path");
	program[n] = '\0';
	*strrchr(program, '/') = '\0';
	memcpy(program + strlen(program), "/../bin/policyd", sizeof "/../bin/policyd");
	(void)!str_copy(g->root, sizeof g->root, "/tmp/bench-policyd.XXXXXX");
	must(mkdtemp(g->root) ? 0 : -errno, "mkdtemp");
	(void)!str_printf(envroot, sizeof envroot, "QUBES_ROOT=%s", g->root);
	(void)!str_printf(g->sock, sizeof g->sock, "%s/run/policy.sock", g->root);
	for (const char *const *p = (const char *const[]){ "run/policy.d", "etc/policy.d", "log", NULL }; *p; p++) {
		_cleanup_free_ char *sub = xasprintf("%s/%s", g->root, *p);

		must(fs_mkdir_p(sub, 0700, &e), e.msg);
	}
	dir = xasprintf("%s/etc/policy.d/10-bench.policy", g->root);
	must(fs_write_atomic(AT_FDCWD, dir, policy, strlen(policy), 0600, &e), e.msg);
	must(unix_pair(SOCK_SEQPACKET, pair), "socketpair");
	s.fds[0].fd = pair[1];
	s.fds[0].as = POLICYD_FD_CORE;
	s.n_fds = 1;
	must(proc_spawn(&g->proc, &s, &e), e.msg);
	close(pair[1]);
	g->core = pair[0];
	feed(g, qubes);
}

int rig_stop(struct rig *g)
{
	int status;

	close(g->core);
	(void)proc_wait(&g->proc, 5000, &status);
	proc_fini(&g->proc);
	return fs_rm_rf(AT_FDCWD, g->root, NULL);
}
