/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Speed of a file copy in memory (tmpfs to tmpfs): the real sender and receiver joined by pipes. CPU time is of both ends together.
   One copy before the measured ones warms the caches and the memory that receives. */
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"

#define BIG (1024u << 20)
#define MANY 20000
#define RUNS 7

static char top[64], agent[PATH_MAX], unpacker[PATH_MAX];

struct sample {
	double wall, cpu;
};

static _noreturn_ void die(const char *what)
{
	fprintf(stderr, "bench-qfile: %s: %s\n", what, strerror(errno));
	(void)fs_rm_rf(AT_FDCWD, top, NULL);
	exit(1);
}

static double children_cpu(void)
{
	struct rusage r;

	getrusage(RUSAGE_CHILDREN, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) + (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static struct proc spawn(const char *path, const char *const *argv, int in, int out)
{
	struct proc_spec s = { .path = path, .argv = argv, .cwd = top, .fds = { { in, 0 }, { out, 1 } }, .n_fds = 2, .keep_stderr = true };
	struct proc p = PROC_INIT;
	struct err e = { 0 };

	if (proc_spawn(&p, &s, &e) < 0) {
		fprintf(stderr, "bench-qfile: %s\n", e.msg);
		die("start");
	}
	return p;
}

static struct sample copy(const char *name)
{
	int data[2], result[2], st = 0, st2 = 0;
	char uid[16], dst[80];
	struct sample x;
	uint64_t start;
	double cpu;

	if (str_printf(dst, sizeof dst, "%s/dst", top) < 0 || str_printf(uid, sizeof uid, "%u", (unsigned)getuid()) < 0 ||
	    fs_rm_rf(AT_FDCWD, dst, NULL) < 0 || mkdir(dst, 0700) < 0 || pipe2(data, O_CLOEXEC) < 0 || pipe2(result, O_CLOEXEC) < 0)
		die(dst);
	cpu = children_cpu();
	start = now_us();
	struct proc u = spawn(unpacker, (const char *[]){ "qfile-unpacker", uid, dst, NULL }, data[0], result[1]);
	struct proc a = spawn(agent, (const char *[]){ "qfile-agent", name, NULL }, result[0], data[1]);

	for (int i = 0; i < 2; i++) {
		close(data[i]);
		close(result[i]);
	}
	if (proc_wait(&a, -1, &st) < 0 || proc_wait(&u, -1, &st2) < 0 || st || st2)
		die("the copy failed");
	x.wall = (double)(now_us() - start) / 1e6;
	x.cpu = children_cpu() - cpu;
	return x;
}

static void fill(int fd, size_t n)
{
	static uint8_t buf[1 << 20];
	uint32_t x = 1;

	while (n) {
		size_t k = MIN(n, sizeof buf);

		for (size_t i = 0; i < k; i += 4) {
			x = x * 1664525 + 1013904223;
			memcpy(buf + i, &x, 4);
		}
		if (write_full(fd, buf, k) < 0)
			die("writing");
		n -= k;
	}
}

static void make_files(void)
{
	char path[96];
	int fd;

	if (str_printf(path, sizeof path, "%s/big", top) < 0)
		die(top);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		die(path);
	fill(fd, BIG);
	close(fd);
	if (str_printf(path, sizeof path, "%s/many", top) < 0 || mkdir(path, 0700) < 0)
		die(path);
	for (int i = 0; i < MANY; i++) {
		if (str_printf(path, sizeof path, "%s/many/%d", top, i) < 0)
			die(top);
		fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		if (fd < 0)
			die(path);
		fill(fd, 1024);
		close(fd);
	}
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void figure(const char *name, double *v, const char *unit)
{
	qsort(v, RUNS, sizeof *v, by_value);
	printf("%s %.3g %s n=%d p50=%.4g p95=%.4g\n", name, v[RUNS / 2], unit, RUNS, v[RUNS / 2], v[RUNS - 1]);
}

int main(void)
{
	double wall[RUNS], cpu[RUNS], rate[RUNS], cost[RUNS];
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	self[MAX(n, 0)] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	if (str_printf(agent, sizeof agent, "%s/../guest/qfile-agent", self) < 0 ||
	    str_printf(unpacker, sizeof unpacker, "%s/../guest/qfile-unpacker", self) < 0 ||
	    str_copy(top, sizeof top, "/dev/shm/bench-qfile-XXXXXX") < 0 || !mkdtemp(top))
		die("/dev/shm");
	make_files();
	(void)copy("big");
	for (int i = 0; i < RUNS; i++) {
		struct sample x = copy("big");

		wall[i] = x.wall;
		cpu[i] = x.cpu;
	}
	(void)copy("many");
	for (int i = 0; i < RUNS; i++) {
		struct sample x = copy("many");

		rate[i] = MANY / x.wall;
		cost[i] = x.cpu / MANY * 1e6;
	}
	figure("filecopy-1GiB-cpu", cpu, "s");
	figure("filecopy-1GiB-wall", wall, "s");
	figure("filecopy-20000x1KiB", rate, "files/s");
	figure("filecopy-20000x1KiB-cpu", cost, "us/file");
	if (fs_rm_rf(AT_FDCWD, top, NULL) < 0)
		die("cleaning up");
	return 0;
}
