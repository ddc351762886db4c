/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calls and streams of the qrexec programs over unix sockets, without any qube: two agents and two daemons in a directory of their own. Calls of a
 * qube are decided by a confined policyd; the figures named -stub by a shell script started for each call, as in the reference's tests. floor is the
 * start of the empty service alone, taken in turn with each call, and "beyond" a figure less the floor. cpu: of everything that took part.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"
#include "rig.h"

#define CALLS 200
#define STREAMS 3
#define STREAM_BYTES (1u << 30)
#define BLOB (1u << 20)
#define BLOB_CALLS 50

static char **only; /* words of the command line */
static char dir[64], build[3900], own[64];
static struct proc daemons[4];
static struct rig policyd = { .proc = PROC_INIT };

static _noreturn_ void die(const char *what)
{
	fprintf(stderr, "bench-qrexec: %s: %s\n", what, strerror(errno));
	for (size_t i = 0; i < ARRAY_SIZE(daemons); i++)
		proc_fini(&daemons[i]);
	exit(1);
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
	char agent[128], sockets[96], policy[128], name[16], path[128], decider[128];
	const char *a[] = { "qrexec-agent", agent, NULL };
	const char *d[] = { "qrexec-daemon", "-u", id, sockets, policy, decider, "--direct", id, name, own, NULL };
	uint64_t end = now_us() + 20000000;

	if (str_printf(agent, sizeof agent, "--agent-socket=%s/agent%s", dir, id) < 0 || str_printf(sockets, sizeof sockets, "--socket-dir=%s", dir) < 0 ||
	    str_printf(policy, sizeof policy, "--policy-program=%s/policy", dir) < 0 ||
	    str_printf(decider, sizeof decider, "--policy-socket=%s/policy.sock", dir) < 0 || str_printf(name, sizeof name, "vm%s", id) < 0 ||
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

/* The keeper of runners lives as long as its daemon. */
static double cpu_of_children(pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	char path[64], *p, *end;
	double sum = 0;

	if (str_printf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid) < 0 || fs_read(AT_FDCWD, path, 4096, &text, NULL, NULL) < 0)
		return 0;
	for (p = text; *p; p = end + 1) {
		unsigned long child = strtoul(p, &end, 10);

		if (end == p || *end != ' ')
			break;
		sum += cpu_of((pid_t)child);
	}
	return sum;
}

/* Everything that took part: clients and sources (our children), agents with their calls. */
static double cpu_all(void)
{
	struct rusage r;
	double sum = 0;

	getrusage(RUSAGE_CHILDREN, &r);
	for (size_t i = 0; i < ARRAY_SIZE(daemons); i++)
		sum += cpu_of(daemons[i].pid) + (i % 2 ? cpu_of_children(daemons[i].pid) : 0);
	if (policyd.proc.pidfd >= 0)
		sum += cpu_of(policyd.proc.pid);
	return sum + seconds(r.ru_utime) + seconds(r.ru_stime);
}

static bool wanted(const char *name)
{
	for (char **w = only; *w; w++)
		if (strstr(name, *w))
			return true;
	return !*only;
}

static double one_call(enum way way, const char *service, const char *input)
{
	_cleanup_fd_ int in = -1;
	struct proc p = PROC_INIT;
	uint64_t t;

	if (input) {
		in = openat(AT_FDCWD, input, O_RDONLY | O_CLOEXEC);
		must(in < 0 ? -errno : 0, input);
	}
	t = now_us();
	call(&p, way, service, in, -1);
	finish(&p, way_names[way]);
	return (double)(now_us() - t) / 1000;
}

/* How much the middle of one row is above that of the other; both are sorted by now. */
static void beyond(const char *name, const double *v, const double *floor, size_t n, const char *note)
{
	printf("%s-beyond %.4g ms n=%zu p10=%.4g p50=%.4g p95=%.4g (%s)\n", name, v[n / 2] - floor[n / 2], n, v[n / 10] - floor[n / 10],
	       v[n / 2] - floor[n / 2], v[n * 95 / 100] - floor[n * 95 / 100], note);
	fflush(stdout);
}

static void calls(enum way way, const char *name, const char *bar)
{
	static double ms[CALLS], floor[CALLS];
	double cpu, cpu_floor = 0, mean;
	char text[48];

	if (!wanted(name))
		return;
	/* CPU time is only known as a sum */
	cpu = cpu_all();
	for (size_t i = 0; i < CALLS; i++)
		(void)one_call(FLOOR, "bench.Empty", NULL);
	cpu_floor = cpu_all() - cpu;
	cpu = cpu_all();
	for (size_t i = 0; i < CALLS; i++)
		(void)one_call(way, "bench.Empty", NULL);
	mean = (cpu_all() - cpu - cpu_floor) * 1000 / CALLS;
	for (size_t i = 0; i < CALLS; i++) {
		floor[i] = one_call(FLOOR, "bench.Empty", NULL);
		ms[i] = one_call(way, "bench.Empty", NULL);
	}
	figure(name, ms, CALLS, "ms", NULL);
	(void)!str_printf(text, sizeof text, "%s-floor", name);
	figure(text, floor, CALLS, "ms", "the same service without a call, in turn");
	beyond(name, ms, floor, CALLS, bar);
	(void)!str_printf(text, sizeof text, "%s-cpu", name);
	figure(text, &mean, 1, "ms", "mean CPU time of a call beyond that of the service");
}

/* The reference's names: calls between two qubes. */
static void data_calls(const char *name, const char *service, const char *input, const char *note)
{
	double ms[BLOB_CALLS];

	if (!wanted(name))
		return;
	for (size_t i = 0; i < BLOB_CALLS; i++)
		ms[i] = one_call(VM_VM, service, input);
	figure(name, ms, BLOB_CALLS, "ms", note);
}

/* A socket service: it takes the descriptor of the call and all input; the one named Echo gives the input back. */
static void serve_one(int fd, bool echo)
{
	char buf[65536];
	ssize_t n;
	bool head = true;

	while ((n = read(fd, buf, sizeof buf)) > 0) {
		char *data = buf;

		if (head) {
			char *end = memchr(buf, 0, (size_t)n);

			head = !end;
			data = end ? end + 1 : buf + n;
		}
		if (echo && write_full(fd, data, (size_t)(buf + n - data)) < 0)
			return;
	}
}

struct server {
	int fd;
	bool echo;
};

static void *server_main(void *arg)
{
	const struct server *v = arg;

	for (;;) {
		_cleanup_fd_ int c = accept4(v->fd, NULL, NULL, SOCK_CLOEXEC);

		if (c < 0)
			return NULL;
		serve_one(c, v->echo);
	}
}

/* In a thread of this program, to its end. */
static void socket_service(struct server *v, const char *name, bool echo)
{
	char path[128];
	pthread_t t;

	if (str_printf(path, sizeof path, "%s/%s", dir, name) < 0)
		die("names");
	v->echo = echo;
	v->fd = unix_listen(path, SOCK_STREAM, 0700, NULL);
	must(v->fd, name);
	must(fd_nonblock(v->fd, false), name);
	must(-pthread_create(&t, NULL, server_main, v), "thread");
}

static void named_calls(void)
{
	static struct server sink, echo;
	char blob[128];
	_cleanup_free_ char *zero = xcalloc(1, BLOB);

	if (str_printf(blob, sizeof blob, "%s/blob", dir) < 0)
		die("names");
	must(fs_write_atomic(AT_FDCWD, blob, zero, BLOB, 0600, NULL), blob);
	socket_service(&sink, "bench.SocketSink", false);
	socket_service(&echo, "bench.SocketEcho", true);
	data_calls("exec", "bench.Empty", NULL, "empty call between two qubes, unix sockets");
	data_calls("exec-data-simplex", "bench.Sink", blob, "1 MiB to the service");
	data_calls("exec-data-duplex", "bench.Echo", blob, "1 MiB to the service and back");
	data_calls("socket", "bench.SocketSink", NULL, "empty call of a socket service");
	data_calls("socket-data-simplex", "bench.SocketSink", blob, "1 MiB");
	data_calls("socket-data-duplex", "bench.SocketEcho", blob, "1 MiB and back");
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

/* The same source and the same sink with one pipe between them: what a stream costs here without any call. */
static void stream_floor(double *ret_rate, double *ret_cpu)
{
	const char *head[] = { "/usr/bin/head", "-c", "1073741824", "/dev/zero", NULL }, *cat[] = { "/bin/cat", NULL };
	struct proc from = PROC_INIT, to = PROC_INIT;
	double cpu = cpu_all();
	uint64_t t = now_us();
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		die("pipe");
	spawn(&to, cat[0], cat, "0", fds[0], -1);
	spawn(&from, head[0], head, "0", -1, fds[1]);
	close(fds[0]);
	close(fds[1]);
	finish(&from, "source");
	finish(&to, "sink");
	*ret_rate = STREAM_BYTES / 1048576.0 / ((double)(now_us() - t) / 1e6);
	*ret_cpu = cpu_all() - cpu;
}

static void streams(enum way way, bool out, const char *name)
{
	double rate[STREAMS], cpu[STREAMS], floor_rate[STREAMS], floor_cpu[STREAMS], more[STREAMS];
	char full[48];

	(void)!str_printf(full, sizeof full, "stream-%s", name);
	if (!wanted(full))
		return;
	for (size_t i = 0; i < STREAMS; i++) {
		stream_floor(&floor_rate[i], &floor_cpu[i]);
		stream_once(way, out, &rate[i], &cpu[i]);
		more[i] = cpu[i] - floor_cpu[i];
	}
	figure(full, rate, STREAMS, "MiB/s", "1 GiB");
	(void)!str_printf(full, sizeof full, "stream-%s-cpu", name);
	figure(full, cpu, STREAMS, "s/GiB", "both ends, source and sink");
	(void)!str_printf(full, sizeof full, "stream-%s-cpu-beyond", name);
	figure(full, more, STREAMS, "s/GiB", "less source and sink; bar: 2");
	(void)!str_printf(full, sizeof full, "stream-%s-floor", name);
	figure(full, floor_rate, STREAMS, "MiB/s", "source and sink joined by one pipe, in turn");
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

/* From now on daemons find policyd where they look first. */
static void use_policyd(void)
{
	static const char *const qubes[] = { "vm42", "vm43", NULL };
	char text[256], path[128];

	if (str_printf(text, sizeof text, "* * @anyvm @anyvm allow user=%s\n* * @anyvm dom0 allow user=%s\n", own, own) < 0 ||
	    str_printf(path, sizeof path, "%s/policy.sock", dir) < 0)
		die("names");
	rig_start(&policyd, text, qubes);
	if (symlink(policyd.sock, path) < 0)
		die(path);
}

int main(int argc, char **argv)
{
	char policy[256];
	ssize_t n = readlink("/proc/self/exe", build, sizeof build - 1);

	only = argc > 0 ? argv + 1 : argv;
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
	script("bench.Echo", "exec cat");
	script("bench.Source", "exec head -c 1073741824 /dev/zero");
	(void)!str_printf(policy, sizeof policy, "printf 'user=%s\\nresult=allow\\ntarget=%%s\\nautostart=True\\nrequested_target=%%s\\n' \"$3\" \"$3\"", own);
	script("policy", policy);
	start_qube(0, "42");
	start_qube(2, "43");
	calls(DOM0_VM, "exec-dom0-vm", "bar: 1.5");
	calls(VM_DOM0, "exec-vm-dom0-stub", "a shell script decides");
	calls(VM_VM, "exec-vm-vm-stub", "a shell script decides");
	use_policyd();
	calls(VM_DOM0, "exec-vm-dom0", "bar: 1.5");
	calls(VM_VM, "exec-vm-vm", "bar: 2");
	named_calls();
	streams(DOM0_VM, false, "dom0-vm");
	streams(DOM0_VM, true, "vm-dom0");
	streams(VM_VM, false, "vm-vm");
	for (size_t i = 0; i < ARRAY_SIZE(daemons); i++)
		proc_fini(&daemons[i]);
	return (rig_stop(&policyd) < 0) | (fs_rm_rf(AT_FDCWD, dir, NULL) < 0);
}
