/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Speed of a policy decision with 205 rules of which the last one matches: the evaluation alone, the typed question of a qrexec-daemon, and
 * the reference's policy.sock. The two latter ask a real, confined policyd.
 */
#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/msg.h"
#include "base/proc.h"
#include "base/str.h"
#include "core/policy/eval.h"
#include "daemon/policyd/fds.h"
#include "proto/ipc.h"

#define RULES 205
#define QUBES 40

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void figure(const char *name, double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	printf("%s %.2f us n=%zu p50=%.2f p95=%.2f\n", name, v[n / 2], n, v[n / 2], v[n * 95 / 100]);
	fflush(stdout);
}

/* The evaluation never waits, so its CPU time is its duration on an idle machine. */
static uint64_t cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* same = every rule is for the asked service, so that each has its source and target compared. */
static char *policy_text(bool same)
{
	struct wr w = wr_grow(1u << 20);

	for (int i = 0; i < RULES - 1; i++) {
		if (same)
			wr_str(&w, "bench.Service * ");
		else
			wr_printf(&w, "service.No%d * ", i);
		if (i % 4 == 0)
			wr_printf(&w, "@tag:t%d @anyvm deny\n", i);
		else if (i % 4 == 1)
			wr_printf(&w, "qube%d @anyvm ask\n", 100 + i);
		else if (i % 4 == 2)
			wr_printf(&w, "@type:T%d @default deny\n", i);
		else
			wr_printf(&w, "@anyvm @tag:z%d allow\n", i);
	}
	wr_str(&w, "bench.Service * @anyvm @anyvm allow\n");
	return wr_take(&w, NULL);
}

static int text_of(void *arg, int dir, const char *path, char **ret, size_t *ret_len, struct err *e)
{
	*ret = xstrdup(arg);
	*ret_len = strlen(*ret);
	return 0;
}

static void bench_eval(const char *name, bool same)
{
	_cleanup_free_ char *text = policy_text(same);
	const struct pol_loader l = { .arg = text, .text = text_of };
	const struct pol_query q = { "bench.Service", "+", "qube1", "qube2", NULL };
	struct pol_sysinfo si = { 0 };
	struct policy *p = NULL;
	double v[201];
	char buf[32];

	if (policy_load_file(&p, &l, "main.policy", NULL) < 0)
		exit(1);
	for (int i = 0; i < QUBES; i++) {
		struct pol_qube *x;

		(void)!str_printf(buf, sizeof buf, "qube%d", i);
		x = pol_qube_new(buf);
		pol_qube_set_uuid(x, buf);
		pol_set(&x->klass, "AppVM");
		for (int k = 0; k < 5; k++) {
			(void)!str_printf(buf, sizeof buf, "tag%d", k);
			pol_qube_add_tag(x, buf);
		}
		pol_sysinfo_set(&si, x);
	}
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		uint64_t t = cpu_us();

		for (int k = 0; k < 500; k++) {
			struct pol_decision d;

			pol_evaluate(&d, p, &si, &q);
			if (d.outcome != POL_O_ALLOW)
				exit(1);
			pol_decision_fini(&d);
		}
		v[i] = (double)(cpu_us() - t) / 500;
	}
	figure(name, v, ARRAY_SIZE(v));
	policy_free(p);
	pol_sysinfo_clear(&si);
}

struct rig {
	char root[64], sock[96];
	struct proc proc;
	int core, daemon;
};

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "bench-policy: %s: %s\n", what, strerror(-r));
	exit(1);
}

static void put(struct rig *g, uint32_t type, struct wr *w, int fd)
{
	must(msg_send(g->core, type, 1, 0, w, &fd, fd >= 0), "sending");
	wr_reset(w);
}

static void feed(struct rig *g)
{
	struct wr w = wr_grow(MSG_PAYLOAD_MAX);
	_cleanup_msg_ struct msg m = { .fds = { -1, -1, -1, -1 } };
	int pair[2];

	ipc_put_pd_sysinfo_begin(&w, &(struct ipc_pd_sysinfo_begin){ 0 });
	put(g, IPC_PD_SYSINFO_BEGIN, &w, -1);
	for (int i = 0; i < QUBES; i++) {
		static struct ipc_pd_sysinfo s;

		s = (struct ipc_pd_sysinfo){ .klass = "AppVM", .power_state = "Running", .tags = "a b c" };
		(void)!str_printf(s.name, sizeof s.name, "qube%d", i);
		ipc_put_pd_sysinfo(&w, &s);
		put(g, IPC_PD_SYSINFO, &w, -1);
	}
	ipc_put_pd_sync(&w, &(struct ipc_pd_sync){ .token = 1 });
	put(g, IPC_PD_SYNC, &w, -1);
	must(msg_recv(g->core, &m) == 1 && m.type == IPC_PD_SYNCED ? 0 : -EPROTO, "table");
	must(unix_pair(SOCK_SEQPACKET, pair), "socketpair");
	ipc_put_pd_attach(&w, &(struct ipc_pd_attach){ .qid = 1, .name = "qube1" });
	put(g, IPC_PD_ATTACH, &w, pair[1]);
	close(pair[1]);
	g->daemon = pair[0];
	wr_free(&w);
}

static void rig_start(struct rig *g)
{
	static char program[PATH_MAX + 32], envroot[128];
	_cleanup_free_ char *text = policy_text(false), *dir = NULL;
	const char *argv[] = { "policyd", NULL }, *envp[] = { envroot, "BULKHEAD_LOG=error", NULL };
	struct proc_spec s = { .path = program, .argv = argv, .envp = envp, .keep_stderr = true };
	ssize_t n = readlink("/proc/self/exe", program, PATH_MAX);
	struct err e = { 0 };
	int pair[2];

	must(n > 0 ? 0 : -errno, "own path");
	program[n] = '\0';
	*strrchr(program, '/') = '\0';
	memcpy(program + strlen(program), "/../bin/policyd", sizeof "/../bin/policyd");
	(void)!str_copy(g->root, sizeof g->root, "/tmp/bench-policy.XXXXXX");
	must(mkdtemp(g->root) ? 0 : -errno, "mkdtemp");
	(void)!str_printf(envroot, sizeof envroot, "QUBES_ROOT=%s", g->root);
	(void)!str_printf(g->sock, sizeof g->sock, "%s/run/policy.sock", g->root);
	for (const char *const *p = (const char *const[]){ "run/policy.d", "etc/policy.d", "log", NULL }; *p; p++) {
		_cleanup_free_ char *sub = xasprintf("%s/%s", g->root, *p);

		must(fs_mkdir_p(sub, 0700, &e), e.msg);
	}
	dir = xasprintf("%s/etc/policy.d/10-bench.policy", g->root);
	must(fs_write_atomic(AT_FDCWD, dir, text, strlen(text), 0600, &e), e.msg);
	must(unix_pair(SOCK_SEQPACKET, pair), "socketpair");
	s.fds[0].fd = pair[1];
	s.fds[0].as = POLICYD_FD_CORE;
	s.n_fds = 1;
	must(proc_spawn(&g->proc, &s, &e), e.msg);
	close(pair[1]);
	g->core = pair[0];
	feed(g);
}

/* One typed question: the ticket goes to the core, here to us. */
static void bench_ask(struct rig *g)
{
	double v[2000];

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		static const struct ipc_pq_ask a = { .request = 1, .target = "qube2", .service = "bench.Service+" };
		_cleanup_msg_ struct msg m = { .fds = { -1, -1, -1, -1 } };
		uint8_t buf[256];
		struct wr w = wr_mem(buf, sizeof buf);
		uint64_t t = now_us();

		ipc_put_pq_ask(&w, &a);
		must(msg_send(g->daemon, IPC_PQ_ASK, 1, 0, &w, NULL, 0), "asking");
		must(msg_recv(g->core, &m) == 1 && m.type == IPC_PD_TICKET ? 0 : -EPROTO, "ticket");
		v[i] = (double)(now_us() - t);
	}
	figure("policy-ask-ticket", v, ARRAY_SIZE(v));
}

static void bench_socket(struct rig *g)
{
	static const char rq[] = "source=qube1\nintended_target=qube2\nservice_and_arg=bench.Service+\n\n";
	double v[2000];

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		char buf[1024];
		uint64_t t = now_us();
		_cleanup_fd_ int fd = unix_connect(g->sock, SOCK_STREAM, NULL);

		must(fd, "policy.sock");
		must(write_full(fd, rq, sizeof rq - 1), "policy.sock");
		must(read_full(fd, buf, sizeof buf) > 20 ? 0 : -EPROTO, "reply");
		v[i] = (double)(now_us() - t);
	}
	figure("policy-socket", v, ARRAY_SIZE(v));
}

int main(void)
{
	struct rig g = { .core = -1, .daemon = -1 };
	int status;

	bench_eval("policy-eval-205", false);
	bench_eval("policy-eval-205-one-service", true);
	rig_start(&g);
	bench_ask(&g);
	bench_socket(&g);
	close(g.core);
	(void)proc_wait(&g.proc, 5000, &status);
	proc_fini(&g.proc);
	return fs_rm_rf(AT_FDCWD, g.root, NULL) < 0;
}
