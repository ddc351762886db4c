/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Speed of a policy decision with 205 rules of which the last one matches: the evaluation alone, the typed question of a qrexec-daemon, and
 * the reference's policy.sock. The two latter ask a real, confined policyd.
 */
#include <fcntl.h>
#include <sys/socket.h>

#include "bare.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/msg.h"
#include "base/str.h"
#include "core/policy/eval.h"
#include "proto/ipc.h"
#include "rig.h"

#define RULES 205
#define QUBES 40

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
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

static void bench_eval(const char *name, bool same, const char *note)
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
	figure(name, v, ARRAY_SIZE(v), "us", note);
	policy_free(p);
	pol_sysinfo_clear(&si);
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
		uint64_t t = now_ns();

		ipc_put_pq_ask(&w, &a);
		must(msg_send(g->daemon, IPC_PQ_ASK, 1, 0, &w, NULL, 0), "asking");
		must(msg_recv(g->core, &m) == 1 && m.type == IPC_PD_TICKET ? 0 : -EPROTO, "ticket");
		v[i] = (double)(now_ns() - t) / 1000;
	}
	figure("policy-ask-ticket", v, ARRAY_SIZE(v), "us", "typed question to ticket");
}

static void ask_socket(const char *name, const char *path, const char *note)
{
	static const char rq[] = "source=qube1\nintended_target=qube2\nservice_and_arg=bench.Service+\n\n";
	double v[2000];

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		char buf[1024];
		uint64_t t = now_ns();
		_cleanup_fd_ int fd = unix_connect(path, SOCK_STREAM, NULL);

		must(fd, "policy.sock");
		must(write_full(fd, rq, sizeof rq - 1), "policy.sock");
		must(read_full(fd, buf, sizeof buf) > 20 ? 0 : -EPROTO, "reply");
		v[i] = (double)(now_ns() - t) / 1000;
	}
	figure(name, v, ARRAY_SIZE(v), "us", note);
}

static void bench_socket(struct rig *g)
{
	_cleanup_free_ char *path = xasprintf("%s/bare.sock", g->root);
	struct proc bare = PROC_INIT;

	must(bare_start(&bare, path, BARE_POLICY), "socket");
	ask_socket("policy-socket-floor", path, "the same exchange with a server that does nothing");
	ask_socket("policy-socket", g->sock, NULL);
	must(one_cpu(bare.pid, true), "one processor");
	ask_socket("policy-socket-floor-one-cpu", path, "both on one processor");
	proc_fini(&bare);
	must(one_cpu(g->proc.pid, true), "one processor");
	ask_socket("policy-socket-one-cpu", g->sock, "client and policyd on one processor: no wake-up of another one in it");
	must(one_cpu(g->proc.pid, false), "all processors");
}

static void bench_rss(struct rig *g)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/status", (int)g->proc.pid), *text = NULL;
	const char *row;
	double mib;

	must(fs_read(AT_FDCWD, path, 1 << 16, &text, NULL, NULL), path);
	row = strstr(text, "VmRSS:");
	must(row ? 0 : -EPROTO, "VmRSS");
	mib = (double)strtoul(row + 6, NULL, 10) / 1024;
	figure("policy-rss", &mib, 1, "MiB", "policyd after these requests");
}

int main(int argc, char **argv)
{
	bare_main(argc, argv);
	_cleanup_free_ char *policy = policy_text(false);
	const char *names[QUBES + 1] = { 0 };
	char text[QUBES][16];
	struct rig g;

	for (int i = 0; i < QUBES; i++) {
		(void)!str_printf(text[i], sizeof text[i], "qube%d", i);
		names[i] = text[i];
	}
	/* the first one is the one that asks */
	names[0] = text[1];
	names[1] = text[0];
	bench_eval("policy-eval-205", false, "CPU time in process");
	bench_eval("policy-eval-205-one-service", true, "all rules are for the service that is asked for");
	rig_start(&g, policy, names);
	bench_ask(&g);
	bench_socket(&g);
	bench_rss(&g);
	return rig_stop(&g) < 0;
}
