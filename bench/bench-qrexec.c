/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calls and streams of the qrexec programs over unix sockets, without any qube: two agents and two daemons in a directory of their own. Policy is a shell
 * script started for each call of a qube, as in the reference's tests. floor: the empty service alone.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"

#define CALLS 200
#define STREAMS 3
#define STREAM_BYTES (1u << 30)

static char dir[64], build[3900], own[64];
static struct proc daemons[4];

static _noreturn_ void die(const char *what)
{
	fprintf(stderr, "bench-qrexec: %s: %s\n", what, strerror(errno));
	for (size_t i = 0; i < ARRAY_SIZE(daemons); i++)
		proc_fini(&daemons[i]);
	exit(1);
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void figure(const char *name, double *v, size_t n, const char *unit)
{
	qsort(v, n, sizeof *v, by_value);
	printf("%s %.3f %s n=%zu p50=%.3f p95=%.3f\n", name, v[n / 2], unit, n, v[n / 2], v[n * 95 / 100]);
	fflush(stdout);
}

static void script(const char *name, const char *text)
{
	char path[128], full[512];

	if (str_printf(path, sizeof path, "%s/%s", dir, name) < 0 || str_printf(full, sizeof full, "#!/bin/sh\n%s\n", text) < 0 ||
	    fs_write_atomic(AT_FDCWD, path, full, strlen(full), 0755, NULL) < 0)
		die(name);
}

/* in, out: -1 = /dev/null */
static void spawn(struct proc *ret, const char *program, const char *const *argv, const char *domain, int in, int out)
{
	char path[4096], sockets[96], services[128], dom[32];
	const char *envp[] = { sockets, services, dom, "PATH=/usr/bin:/bin", "HOME=/nonexistent", "BULKHEAD_LOG=error", NULL };
	struct proc_spec p = { .path = path, .argv = argv, .envp = envp, .keep_stderr = true };
	struct err e = { 0 };

	if (str_printf(path, sizeof path, "%s%s%s", program[0] == '/' ? "" : build, program[0] == '/' ? "" : "/", program) < 0 || str_printf(sockets, sizeof sockets, "VCHAN_SOCKET_DIR=%s", dir) < 0 ||
	    str_printf(services, sizeof services, "QREXEC_SERVICE_PATH=%s", dir) < 0 || str_printf(dom, sizeof dom, "VCHAN_DOMAIN=%s", domain) < 0)
		die("names");
	if (in >= 0) {
		p.fds[p.n_fds].fd = in;
		p.fds[p.n_fds++].as = 0;
	}
	if (out >= 0) {
		p.fds[p.n_fds].fd = out;
		p.fds[p.n_fds++].as = 1;
	}
	if (proc_spawn(ret, &p, &e) < 0) {
		fprintf(stderr, "%s\n", e.msg);
		die(path);
	}
}

static void finish(struct proc *p, const char *what)
{
	int status = 1;

	if (proc_wait(p, 60000, &status) < 0 || status)
		die(what);
}

static void start_qube(size_t i, const char *id)
{
	char agent[128], sockets[96], policy[128], name[16], path[128];
	const char *a[] = { "qrexec-agent", agent, NULL };
	const char *d[] = { "qrexec-daemon", "-u", id, sockets, policy, "--direct", id, name, own, NULL };
	uint64_t end = now_us() + 20000000;

	if (str_printf(agent, sizeof agent, "--agent-socket=%s/agent%s", dir, id) < 0 || str_printf(sockets, sizeof sockets, "--socket-dir=%s", dir) < 0 ||
	    str_printf(policy, sizeof policy, "--policy-program=%s/policy", dir) < 0 || str_printf(name, sizeof name, "vm%s", id) < 0 ||
	    str_printf(path, sizeof path, "%s/qrexec.uuid:%s", dir, id) < 0)
		die("names");
	spawn(&daemons[i], "guest/qrexec-agent", a, id, -1, -1);
	spawn(&daemons[i + 1], "bin/qrexec-daemon", d, "0", -1, -1);
	while (access(path, F_OK) < 0) {
		if (now_us() > end)
			die("a daemon is not ready");
		usleep(2000);
	}
}

enum way { FLOOR, DOM0_VM, VM_DOM0, VM_VM, WAY_N };
static const char *const way_names[WAY_N] = { "floor", "dom0-vm", "vm-dom0", "vm-vm" };

static void call(struct proc *ret, enum way way, const char *service, int in, int out)
{
	char sockets[96], agent[96], command[160], path[128];
	const char *floor[] = { path, NULL };
	const char *dom0[] = { "qrexec-client", sockets, "-d", "vm42", command, NULL };
	const char *vm[] = { "qrexec-client-vm", agent, way == VM_VM ? "vm43" : "dom0", service, NULL };

	if (str_printf(sockets, sizeof sockets, "--socket-dir=%s", dir) < 0 || str_printf(agent, sizeof agent, "--agent-socket=%s/agent42", dir) < 0 ||
	    str_printf(command, sizeof command, "%s:QUBESRPC %s+ dom0", own, service) < 0 || str_printf(path, sizeof path, "%s/%s", dir, service) < 0)
		die("names");
	if (way == FLOOR)
		spawn(ret, path, floor, "0", in, out);
	else if (way == DOM0_VM)
		spawn(ret, "bin/qrexec-client", dom0, "0", in, out);
	else
		spawn(ret, "guest/qrexec-client-vm", vm, "42", in, out);
}

static void calls(enum way way)
{
	static double ms[CALLS];
	char name[32];

	for (size_t i = 0; i < CALLS; i++) {
		struct proc p = PROC_INIT;
		uint64_t t = now_us();

		call(&p, way, "bench.Empty", -1, -1);
		finish(&p, way_names[way]);
		ms[i] = (double)(now_us() - t) / 1000;
	}
	(void)!str_printf(name, sizeof name, "exec-%s", way_names[way]);
	figure(name, ms, CALLS, "ms");
}

static double cpu_of(pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	unsigned long v[4] = { 0 };
	char path[40];

	/* with children that have ended: fields 14 to 17 */
	if (str_printf(path, sizeof path, "/proc/%d/stat", (int)pid) < 0 || fs_read(AT_FDCWD, path, 4096, &text, NULL, NULL) < 0 || !strrchr(text, ')') ||
	    sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu", &v[0], &v[1], &v[2], &v[3]) != 4)
		die("stat");
	return (double)(v[0] + v[1] + v[2] + v[3]) / (double)sysconf(_SC_CLK_TCK);
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* Everything that took part: clients and sources (our children), agents with their calls. */
static double cpu_all(void)
{
	struct rusage r;
	double sum = 0;

	getrusage(RUSAGE_CHILDREN, &r);
	for (size_t i = 0; i < ARRAY_SIZE(daemons); i++)
		sum += cpu_of(daemons[i].pid);
	return sum + seconds(r.ru_utime) + seconds(r.ru_stime);
}

/* Into the service from a pipe, or out of it into a pipe. */
static void stream_once(enum way way, bool out, double *ret_rate, double *ret_cpu)
{
	const char *head[] = { "/usr/bin/head", "-c", "1073741824", "/dev/zero", NULL }, *cat[] = { "/bin/cat", NULL };
	struct proc peer = PROC_INIT, p = PROC_INIT;
	double cpu = cpu_all();
	uint64_t t = now_us();
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		die("pipe");
	if (out)
		spawn(&peer, cat[0], cat, "0", fds[0], -1);
	else
		spawn(&peer, head[0], head, "0", -1, fds[1]);
	call(&p, way, out ? "bench.Source" : "bench.Sink", out ? -1 : fds[0], out ? fds[1] : -1);
	close(fds[0]);
	close(fds[1]);
	finish(&p, "stream");
	finish(&peer, "its other end");
	*ret_rate = STREAM_BYTES / 1048576.0 / ((double)(now_us() - t) / 1e6);
	/* the agent reaps its call's process within the end of the call; a late one counts for the next stream */
	*ret_cpu = cpu_all() - cpu;
}

static void streams(enum way way, bool out, const char *name)
{
	double rate[STREAMS], cpu[STREAMS];
	char full[48];

	for (size_t i = 0; i < STREAMS; i++)
		stream_once(way, out, &rate[i], &cpu[i]);
	(void)!str_printf(full, sizeof full, "stream-%s", name);
	figure(full, rate, STREAMS, "MiB/s");
	(void)!str_printf(full, sizeof full, "stream-%s-cpu", name);
	figure(full, cpu, STREAMS, "s/GiB");
}

/* The name of our account, as the agent reads it. */
static void own_name(void)
{
	const char *argv[] = { "/usr/bin/id", "-un", NULL };
	struct proc_spec p = { .path = argv[0], .argv = argv };
	_cleanup_free_ char *text = NULL;
	size_t n;

	if (proc_capture(&p, sizeof own - 1, &text, &n, NULL) < 0 || n < 2)
		die("id");
	text[n - 1] = 0;
	if (str_copy(own, sizeof own, text) < 0)
		die("id");
}

int main(int argc, char **argv)
{
	char policy[256];
	ssize_t n = readlink("/proc/self/exe", build, sizeof build - 1);

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_SIZE(daemons); i++)
		daemons[i] = PROC_INIT;
	(void)!str_copy(dir, sizeof dir, "/tmp/bench-qrexec-XXXXXX");
	if (n <= 0 || !mkdtemp(dir))
		die("start");
	build[n] = 0;
	for (int up = 0; up < 2; up++)
		*strrchr(build, '/') = 0;
	own_name();
	script("bench.Empty", "exit 0");
	script("bench.Sink", "exec cat >/dev/null");
	script("bench.Source", "exec head -c 1073741824 /dev/zero");
	(void)!str_printf(policy, sizeof policy, "printf 'user=%s\\nresult=allow\\ntarget=%%s\\nautostart=True\\nrequested_target=%%s\\n' \"$3\" \"$3\"", own);
	script("policy", policy);
	start_qube(0, "42");
	start_qube(2, "43");
	for (enum way w = FLOOR; w < WAY_N; w++)
		calls(w);
	streams(DOM0_VM, false, "dom0-vm");
	streams(DOM0_VM, true, "vm-dom0");
	streams(VM_VM, false, "vm-vm");
	for (size_t i = 0; i < ARRAY_SIZE(daemons); i++)
		proc_fini(&daemons[i]);
	return fs_rm_rf(AT_FDCWD, dir, NULL) < 0;
}
