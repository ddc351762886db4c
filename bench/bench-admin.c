/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Speed of qubesd with 200 and with 1,000 qubes: start, memory, the calls and tools that people and desktops use most, and all of it while
 * others listen. A real qubesd --no-vms in a directory of its own; each call is a connection of its own, as clients make it.
 * argv[1]: directory for the instance (default: a new one in /tmp).
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include "bare.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/wr.h"
#include "proto/admin.h"

#define QUBES 199 /* and dom0 */
#define MANY 999
#define CALLS 1000
#define WRITES 200
#define STARTS 7
#define TOOL_RUNS 30
#define LISTENERS 20
#define LOAD_RATE 1000 /* requests a second */
#define LOAD_SECONDS 3

static char root[64], bin_dir[4096];
static struct proc daemon_proc = PROC_INIT;

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

static _noreturn_ void die(const char *what)
{
	fprintf(stderr, "bench-admin: %s: %s\n", what, strerror(errno));
	proc_fini(&daemon_proc);
	exit(1);
}

/* One call; the answer's length, and its first bytes in out. */
static size_t call(const char *sock, const char *method, const char *arg, const char *dest, const char *payload, char *out, size_t cap)
{
	static uint8_t buf[1 << 20];
	struct wr w = wr_mem(buf, ADMIN_REQUEST_MAX);
	char path[128];
	ssize_t n;
	int fd;

	if (str_printf(path, sizeof path, "%s/run/%s", root, sock) < 0)
		die(root);
	fd = unix_connect(path, SOCK_STREAM, NULL);
	admin_put_request(&w, method, arg, "dom0", dest, payload, strlen(payload));
	if (fd < 0 || write_full(fd, w.buf, w.len) < 0 || shutdown(fd, SHUT_WR) < 0)
		die(path);
	n = read_full(fd, buf, sizeof buf);
	close(fd);
	if (n < 2 || buf[0] != '0') {
		fprintf(stderr, "bench-admin: %s: %.*s\n", method, (int)(n > 200 ? 200 : n), n > 2 ? (const char *)buf + 2 : "no answer");
		die(method);
	}
	n = (ssize_t)MIN((size_t)n, cap - 1);
	if (cap > 1) {
		memcpy(out, buf, (size_t)n);
		out[n] = '\0';
	}
	return (size_t)n;
}

static double start(void)
{
	const char *argv[] = { "qubesd", "--root", root, "--foreground", "--no-vms", "--ready-fd=3", NULL };
	char path[4200];
	struct proc_spec spec = { .path = path, .argv = argv };
	struct err e = { 0 };
	uint64_t t0 = now_us();
	char byte;
	int fds[2];

	if (str_printf(path, sizeof path, "%s/qubesd", bin_dir) < 0 || pipe2(fds, O_CLOEXEC) < 0)
		die("pipe");
	spec.fds[0].fd = fds[1];
	spec.fds[0].as = 3;
	spec.n_fds = 1;
	if (proc_spawn(&daemon_proc, &spec, &e) < 0) {
		fprintf(stderr, "bench-admin: %s\n", e.msg);
		exit(1);
	}
	close(fds[1]);
	if (read_full(fds[0], &byte, 1) != 1)
		die("qubesd did not start");
	close(fds[0]);
	return (double)(now_us() - t0) / 1000.0;
}

static void stop(void)
{
	int status;

	proc_kill(&daemon_proc, SIGTERM);
	if (proc_wait(&daemon_proc, 10000, &status) < 0)
		die("qubesd does not end");
	proc_fini(&daemon_proc);
	daemon_proc = PROC_INIT;
}

static char core_pid[16];

/* Processor time of the core so far, in nanoseconds: does not depend on what else the machine does. */
static double core_cpu_ns(void)
{
	char path[64];
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (str_printf(path, sizeof path, "/proc/%s/schedstat", core_pid) < 0 || fs_read(AT_FDCWD, path, 256, &text, &len, NULL) < 0)
		return 0;
	return strtod(text, NULL);
}

/* Resident memory of the child of the supervisor that is the core, in MiB. */
static double core_rss(void)
{
	char path[96];
	_cleanup_free_ char *list = NULL;
	size_t len;
	double best = 0;

	if (str_printf(path, sizeof path, "/proc/%d/task/%d/children", (int)daemon_proc.pid, (int)daemon_proc.pid) < 0 ||
	    fs_read(AT_FDCWD, path, 4096, &list, &len, NULL) < 0)
		die("children");
	for (char *s = list; *s;) {
		size_t n = strcspn(s, " ");
		_cleanup_free_ char *text = NULL;
		const char *at;

		if (str_printf(path, sizeof path, "/proc/%.*s/status", (int)n, s) == 0 &&
		    fs_read(AT_FDCWD, path, 8192, &text, &len, NULL) >= 0 && strstr(text, "Name:\tqubesd") && (at = strstr(text, "VmRSS:"))) {
			best = (double)strtoul(at + 6, NULL, 10) / 1024.0;
			if (str_printf(core_pid, sizeof core_pid, "%.*s", (int)n, s) < 0)
				die("pid");
		}
		s += n + (s[n] == ' ');
	}
	return best;
}

static void measure(const char *name, size_t n, const char *sock, const char *method, const char *arg, const char *dest, bool write)
{
	double *v = xcalloc(n, sizeof *v), cpu = core_cpu_ns();
	char payload[32], cpu_name[64];

	for (size_t i = 0; i < n; i++) {
		uint64_t t0;

		if (str_printf(payload, sizeof payload, "%s", write ? (i % 2 ? "green" : "red") : "") < 0)
			die(name);
		t0 = now_us();
		call(sock, method, arg, dest, payload, NULL, 1);
		v[i] = (double)(now_us() - t0) / 1000.0;
	}
	cpu = (core_cpu_ns() - cpu) / (double)n / 1e6;
	figure(name, v, n, "ms");
	if (str_printf(cpu_name, sizeof cpu_name, "%s-cpu", name) == 0)
		printf("%s %.4f ms n=%zu (CPU of the daemon a call)\n", cpu_name, cpu, n);
	free(v);
}

/* The exchange of property.Get with a server that does nothing: connect, request, half-close, answer, close. */
static void measure_floor(void)
{
	char path[128];
	double v[CALLS];
	struct proc bare = PROC_INIT;

	if (str_printf(path, sizeof path, "%s/run/bare.sock", root) < 0)
		die(root);
	if (bare_start(&bare, path, BARE_ADMIN) < 0)
		die(path);
	for (size_t i = 0; i < CALLS; i++) {
		uint64_t t0 = now_us();

		call("bare.sock", "admin.vm.property.Get", "memory", "qube-100", "", NULL, 1);
		v[i] = (double)(now_us() - t0) / 1000.0;
	}
	proc_fini(&bare);
	figure("admin-floor", v, CALLS, "ms");
}

/* property.Get without a wake-up of another processor. */
static void measure_one_cpu(void)
{
	pid_t pid = (pid_t)strtol(core_pid, NULL, 10);

	if (pid <= 0 || one_cpu(pid, true) < 0)
		die("one processor");
	measure("admin-property-get-one-cpu", CALLS, "qubesd.sock", "admin.vm.property.Get", "memory", "qube-100", false);
	if (one_cpu(pid, false) < 0)
		die("all processors");
}

/* Makes qubes number from to to-1. */
static void fill(size_t from, size_t to)
{
	double *v = xcalloc(to, sizeof *v);
	char payload[96], name[32];

	if (from == 1)
		call("qubesd.sock", "admin.vm.Create.TemplateVM", NULL, "dom0", "name=debian-12 label=black", NULL, 1);
	for (size_t i = from; i < to; i++) {
		uint64_t t0 = now_us();

		if (str_printf(payload, sizeof payload, "name=qube-%03zu label=red", i) < 0)
			die("name");
		call("qubesd.sock", "admin.vm.Create.AppVM", "debian-12", "dom0", payload, NULL, 1);
		v[i - from] = (double)(now_us() - t0) / 1000.0;
		if (str_printf(name, sizeof name, "qube-%03zu", i) < 0)
			die("name");
		call("qubesd.sock", "admin.vm.tag.Set", "work", name, "", NULL, 1);
	}
	figure(from == 1 ? "admin-create-appvm" : "admin-create-appvm-1000", v, to - from, "ms");
	free(v);
}

/* System information when something changed before each call. */
static void sysinfo(const char *name)
{
	double v[WRITES];

	for (size_t i = 0; i < WRITES; i++) {
		uint64_t t0;

		call("qubesd.sock", i % 2 ? "admin.vm.tag.Remove" : "admin.vm.tag.Set", "bench", "qube-100", "", NULL, 1);
		t0 = now_us();
		call("qubesd.internal.sock", "internal.GetSystemInfo", NULL, "dom0", "", NULL, 1);
		v[i] = (double)(now_us() - t0) / 1000.0;
	}
	figure(name, v, WRITES, "ms");
}

/* One tool from its start to its end, as somebody at a prompt sees it. */
static void tool(const char *name, const char *prog, const char *a, const char *b)
{
	const char *argv[] = { prog, a, b, NULL }, *envp[] = { NULL, "PATH=/usr/bin:/bin", "LANG=C.UTF-8", NULL };
	char path[4200], env[128];
	struct proc_spec spec = { .path = path, .argv = argv, .envp = envp };
	double v[TOOL_RUNS];
	struct err e = { 0 };

	envp[0] = env;
	if (str_printf(path, sizeof path, "%s/%s", bin_dir, prog) < 0 || str_printf(env, sizeof env, "QUBES_ROOT=%s", root) < 0)
		die(prog);
	for (size_t i = 0; i < TOOL_RUNS; i++) {
		uint64_t t0 = now_us();

		if (proc_run(&spec, &e) < 0) {
			fprintf(stderr, "bench-admin: %s: %s\n", prog, e.msg);
			die(prog);
		}
		v[i] = (double)(now_us() - t0) / 1000.0;
	}
	figure(name, v, TOOL_RUNS, "ms");
}

static int listener_open(void)
{
	uint8_t buf[128];
	struct wr w = wr_mem(buf, sizeof buf);
	char path[128];
	int fd;

	if (str_printf(path, sizeof path, "%s/run/qubesd.sock", root) < 0)
		die(root);
	fd = unix_connect(path, SOCK_STREAM, NULL);
	admin_put_request(&w, "admin.Events", NULL, "dom0", "dom0", "", 0);
	if (fd < 0 || write_full(fd, w.buf, w.len) < 0 || shutdown(fd, SHUT_WR) < 0 || fd_nonblock(fd, true) < 0)
		die("listener");
	return fd;
}

struct counter {
	int fd;
	size_t marks; /* events of changes that arrived */
	uint8_t last[18];
	size_t n_last;
};

/* Counts the name of the event that follows each change of the load, across reads. */
static void drain(struct counter *c)
{
	static const char mark[] = "property-set:label";
	uint8_t buf[65536];
	ssize_t n;

	while ((n = read(c->fd, buf + c->n_last, sizeof buf - c->n_last)) > 0) {
		size_t have = c->n_last + (size_t)n;
		const uint8_t *p = buf, *hit;

		memcpy(buf, c->last, c->n_last);
		while ((hit = memmem(p, have - (size_t)(p - buf), mark, sizeof mark - 1))) {
			c->marks++;
			p = hit + sizeof mark - 1;
		}
		c->n_last = MIN(have - (size_t)(p - buf), sizeof mark - 2);
		memcpy(c->last, buf + have - c->n_last, c->n_last);
	}
}

/* LOAD_RATE requests a second, one in ten a change that LISTENERS hear of: how long a request takes, what is lost. */
static void load(void)
{
	size_t n = LOAD_RATE * LOAD_SECONDS, changes = 0, lost = 0;
	struct counter *l = xcalloc(LISTENERS, sizeof *l);
	double *v = xcalloc(n, sizeof *v), *w = xcalloc(n, sizeof *w), rate;
	uint64_t t0;

	for (size_t i = 0; i < LISTENERS; i++)
		l[i].fd = listener_open();
	t0 = now_us();
	for (size_t i = 0; i < n; i++) {
		uint64_t due = t0 + i * 1000000 / LOAD_RATE, at = now_us();

		if (at < due)
			usleep((useconds_t)(due - at));
		at = now_us();
		if (i % 10 == 0) {
			call("qubesd.sock", "admin.vm.property.Set", "label", "qube-050", changes % 2 ? "green" : "red", NULL, 1);
			w[changes++] = (double)(now_us() - at) / 1000.0;
		} else {
			call("qubesd.sock", "admin.vm.property.Get", "memory", "qube-100", "", NULL, 1);
			v[i - changes] = (double)(now_us() - at) / 1000.0;
		}
		for (size_t k = 0; i % 16 == 0 && k < LISTENERS; k++)
			drain(&l[k]);
	}
	rate = (double)n * 1e6 / (double)(now_us() - t0);
	for (size_t k = 0; k < LISTENERS; k++) {
		/* Events are sent before the answer, so all of them are there by now. */
		drain(&l[k]);
		lost += changes - l[k].marks;
		close(l[k].fd);
	}
	figure("admin-load-get", v, n - changes, "ms");
	figure("admin-load-set", w, changes, "ms");
	printf("admin-load-rate %.0f req/s n=%zu (asked for %d with %d listeners)\n", rate, n, LOAD_RATE, LISTENERS);
	printf("admin-load-lost %zu events n=%zu (of those that %d listeners had to hear)\n", lost, changes * LISTENERS, LISTENERS);
	free(l);
	free(v);
	free(w);
}

static void thousand(void)
{
	double v[STARTS], rss;

	fill(QUBES, MANY);
	stop();
	for (size_t i = 0; i < STARTS; i++) {
		v[i] = start();
		if (i + 1 < STARTS)
			stop();
	}
	rss = core_rss();
	figure("admin-ready-1000", v, STARTS, "ms");
	measure("admin-vm-list-1000", CALLS, "qubesd.sock", "admin.vm.List", NULL, "dom0", false);
	measure("admin-property-get-1000", CALLS, "qubesd.sock", "admin.vm.property.Get", "memory", "qube-900", false);
	measure("admin-property-set-1000", WRITES, "qubesd.sock", "admin.vm.property.Set", "label", "qube-900", true);
	sysinfo("admin-systeminfo-changed-1000");
	tool("tool-qvm-ls-1000", "qvm-ls", NULL, NULL);
	rss = core_rss();
	figure("admin-rss-1000", &rss, 1, "MiB");
}

int main(int argc, char **argv)
{
	char made[] = "/tmp/bench-admin-XXXXXX";
	ssize_t n = readlink("/proc/self/exe", bin_dir, sizeof bin_dir - 16);
	double v[STARTS], rss;
	struct err e = { 0 };

	bare_main(argc, argv);
	bin_dir[n > 0 ? n : 0] = '\0';
	if (!strrchr(bin_dir, '/'))
		die("/proc/self/exe");
	memcpy(strrchr(bin_dir, '/'), "/../bin", 8);
	if (str_copy(root, sizeof root, argc > 1 ? argv[1] : mkdtemp(made)) < 0)
		die("arguments");
	start();
	fill(1, QUBES);
	stop();
	for (size_t i = 0; i < STARTS; i++) {
		v[i] = start();
		rss = core_rss();
		if (i + 1 < STARTS)
			stop();
	}
	figure("admin-ready-200", v, STARTS, "ms");
	figure("admin-rss-200-start", &rss, 1, "MiB");
	measure("admin-vm-list-200", CALLS, "qubesd.sock", "admin.vm.List", NULL, "dom0", false);
	measure("admin-property-get", CALLS, "qubesd.sock", "admin.vm.property.Get", "memory", "qube-100", false);
	measure_floor();
	measure_one_cpu();
	measure("admin-property-getall", CALLS, "qubesd.sock", "admin.vm.property.GetAll", NULL, "qube-100", false);
	measure("admin-property-set", WRITES, "qubesd.sock", "admin.vm.property.Set", "label", "qube-100", true);
	sysinfo("admin-systeminfo-changed");
	measure("admin-systeminfo-cached", CALLS, "qubesd.internal.sock", "internal.GetSystemInfo", NULL, "dom0", false);
	rss = core_rss();
	figure("admin-rss-200", &rss, 1, "MiB");
	tool("tool-qvm-ls-200", "qvm-ls", NULL, NULL);
	tool("tool-qvm-prefs", "qvm-prefs", "qube-100", "memory");
	tool("tool-qvm-check", "qvm-check", "-q", "qube-100");
	tool("tool-qvm-tags", "qvm-tags", "qube-100", "list");
	tool("tool-qvm-features", "qvm-features", "qube-100", NULL);
	tool("tool-qubes-prefs", "qubes-prefs", "default_kernel", NULL);
	load();
	thousand();
	stop();
	(void)fs_rm_rf(AT_FDCWD, root, &e);
	return 0;
}
