/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Speed of qubesd with 200 qubes: start, memory, and the calls that tools and desktops make most. A real qubesd --no-vms in a directory of its
 * own; each call is a connection of its own, as clients make it. argv[1]: directory for the instance (default: a new one in /tmp).
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/wr.h"
#include "proto/admin.h"

#define QUBES 199 /* and dom0 */
#define CALLS 1000
#define WRITES 200
#define STARTS 7

static char root[64], qubesd[4096];
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
	struct proc_spec spec = { .path = qubesd, .argv = argv };
	struct err e = { 0 };
	uint64_t t0 = now_us();
	char byte;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
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

static void fill(void)
{
	double *v = xcalloc(QUBES, sizeof *v);
	char payload[96], name[32];

	call("qubesd.sock", "admin.vm.Create.TemplateVM", NULL, "dom0", "name=debian-12 label=black", NULL, 1);
	for (size_t i = 1; i < QUBES; i++) {
		uint64_t t0 = now_us();

		if (str_printf(payload, sizeof payload, "name=qube-%03zu label=red", i) < 0)
			die("name");
		call("qubesd.sock", "admin.vm.Create.AppVM", "debian-12", "dom0", payload, NULL, 1);
		v[i - 1] = (double)(now_us() - t0) / 1000.0;
		if (str_printf(name, sizeof name, "qube-%03zu", i) < 0)
			die("name");
		call("qubesd.sock", "admin.vm.tag.Set", "work", name, "", NULL, 1);
	}
	figure("admin-create-appvm", v, QUBES - 1, "ms");
	free(v);
}

/* System information when something changed before each call. */
static void sysinfo(void)
{
	double v[WRITES];

	for (size_t i = 0; i < WRITES; i++) {
		uint64_t t0;

		call("qubesd.sock", i % 2 ? "admin.vm.tag.Remove" : "admin.vm.tag.Set", "bench", "qube-100", "", NULL, 1);
		t0 = now_us();
		call("qubesd.internal.sock", "internal.GetSystemInfo", NULL, "dom0", "", NULL, 1);
		v[i] = (double)(now_us() - t0) / 1000.0;
	}
	figure("admin-systeminfo-changed", v, WRITES, "ms");
}

int main(int argc, char **argv)
{
	char exe[4000], made[] = "/tmp/bench-admin-XXXXXX";
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	double v[STARTS], rss;
	struct err e = { 0 };

	exe[n > 0 ? n : 0] = '\0';
	*strrchr(exe, '/') = '\0';
	if (str_printf(qubesd, sizeof qubesd, "%s/../bin/qubesd", exe) < 0 ||
	    str_copy(root, sizeof root, argc > 1 ? argv[1] : mkdtemp(made)) < 0)
		die("arguments");
	start();
	fill();
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
	measure("admin-property-getall", CALLS, "qubesd.sock", "admin.vm.property.GetAll", NULL, "qube-100", false);
	measure("admin-property-set", WRITES, "qubesd.sock", "admin.vm.property.Set", "label", "qube-100", true);
	sysinfo();
	measure("admin-systeminfo-cached", CALLS, "qubesd.internal.sock", "internal.GetSystemInfo", NULL, "dom0", false);
	rss = core_rss();
	figure("admin-rss-200", &rss, 1, "MiB");
	stop();
	(void)fs_rm_rf(AT_FDCWD, root, &e);
	return 0;
}
