/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The calls of LVM's programs: fixed arguments, names that lvm_names.c has checked, no shell. A command that was begun is never killed before
 * its time: LVM's own transaction decides, and our next command waits for its lock.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/proc.h"
#include "base/str.h"
#include "storage/lvm.h"

#define ARGS_MAX 24
#define OUTPUT_MAX (16u << 20)
#define TIMEOUT_MS 300000

/* scan_lvs=0: the inside of a qube's volume is never taken for one of LVM's own disks. The rest: no daemon and no history file for each start. */
#define LVM_CONFIG "devices/scan_lvs=0 activation/monitoring=0 backup/backup=0 backup/archive=0"

static const char *const plain_env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "LVM_SUPPRESS_FD_WARNINGS=1", NULL };

struct lvm_host lvm_host = { .program = "/usr/sbin/lvm", .dev = "/dev", .env = plain_env };

struct command {
	const char *argv[ARGS_MAX + 1];
	size_t n;
};

static void arg(struct command *c, const char *s)
{
	if (c->n == ARGS_MAX)
		abort(); /* commands are written in this file */
	c->argv[c->n++] = s;
	c->argv[c->n] = NULL;
}

static struct command command(const char *name)
{
	struct command c = { .n = 0 };

	arg(&c, "lvm");
	arg(&c, name);
	arg(&c, "--config");
	arg(&c, LVM_CONFIG);
	return c;
}

/* The first line of LVM's complaint, without its indentation. */
static void complaint(int fd, const char *what, int code, struct err *e)
{
	char text[400];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	char *from = text;

	text[MAX(n, (ssize_t)0)] = '\0';
	from += strspn(from, " \n");
	from[strcspn(from, "\n")] = '\0';
	for (char *p = from; *p; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
			*p = '?';
	(void)err_set(e, EIO, "%s: %s", what, *from ? from : "failed");
	if (!*from)
		(void)err_set(e, EIO, "%s ended with status %d", what, code);
}

static int memory_file(struct err *e)
{
	int fd = memfd_create("lvm", MFD_CLOEXEC);

	return fd < 0 ? err_errno(e, errno, "memory for the output of LVM") : fd;
}

static int read_output(int fd, char **ret, size_t *ret_n, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "output of LVM");
	if (st.st_size > OUTPUT_MAX)
		return err_set(e, EFBIG, "LVM tells of too many volumes");
	text = xmalloc((size_t)st.st_size + 1);
	n = pread(fd, text, (size_t)st.st_size, 0);
	if (n != st.st_size)
		return err_set(e, EIO, "output of LVM");
	*ret = STEAL_PTR(text);
	*ret_n = (size_t)n;
	return 0;
}

static int run(const struct command *c, char **ret, size_t *ret_n, struct err *e)
{
	_cleanup_proc_ struct proc p = PROC_INIT;
	_cleanup_fd_ int out = memory_file(e), err = out < 0 ? -1 : memory_file(e);
	struct proc_spec s = { .path = lvm_host.program, .argv = c->argv, .envp = lvm_host.env, .n_fds = 2, .new_session = true,
			       .fds = { { out, STDOUT_FILENO }, { err, STDERR_FILENO } } };
	int status, r;

	if (err < 0)
		return out < 0 ? out : err;
	r = proc_spawn(&p, &s, e);
	if (r < 0)
		return r;
	r = proc_wait(&p, TIMEOUT_MS, &status);
	if (r < 0)
		return err_errno(e, -r, "waiting for %s", c->argv[1]);
	if (proc_exit_code(status) != 0) {
		complaint(err, c->argv[1], proc_exit_code(status), e);
		return -EIO;
	}
	return ret ? read_output(out, ret, ret_n, e) : 0;
}

/* "GROUP/VOLUME" */
static const char *path_of(const struct lvm_group *g, const char *name, char out[256])
{
	if (str_printf(out, 256, "%s/%s", g->vg, name) < 0)
		abort(); /* both are bounded */
	return out;
}

static const char *bytes(uint64_t n, char out[32])
{
	if (str_printf(out, 32, "%llub", (unsigned long long)n) < 0)
		abort();
	return out;
}

static void new_volume(struct command *c, const struct lvm_name *name)
{
	arg(c, "--yes");
	arg(c, "--addtag");
	arg(c, LVM_TAG);
	arg(c, "--setactivationskip");
	arg(c, "n");
	arg(c, "--activate");
	arg(c, "y");
	arg(c, "--name");
	arg(c, name->s);
}

int lvm_new(const struct lvm_group *g, const struct lvm_name *name, uint64_t size, struct err *e)
{
	struct command c = command("lvcreate");
	char n[32], pool[256];

	new_volume(&c, name);
	arg(&c, "--wipesignatures");
	arg(&c, "n");
	arg(&c, "--virtualsize");
	arg(&c, bytes(size, n));
	arg(&c, "--thinpool");
	arg(&c, path_of(g, g->pool, pool));
	return run(&c, NULL, NULL, e);
}

int lvm_snapshot(const struct lvm_group *g, const char *origin, const struct lvm_name *name, struct err *e)
{
	struct command c = command("lvcreate");
	char from[256];

	new_volume(&c, name);
	arg(&c, "--snapshot");
	arg(&c, path_of(g, origin, from));
	return run(&c, NULL, NULL, e);
}

int lvm_rename(const struct lvm_group *g, const char *from, const char *to, struct err *e)
{
	struct command c = command("lvrename");

	arg(&c, g->vg);
	arg(&c, from);
	arg(&c, to);
	return run(&c, NULL, NULL, e);
}

int lvm_delete(const struct lvm_group *g, const char *name, struct err *e)
{
	struct command c = command("lvremove");
	char path[256];

	arg(&c, "--yes");
	arg(&c, path_of(g, name, path));
	return run(&c, NULL, NULL, e);
}

int lvm_grow(const struct lvm_group *g, const char *name, uint64_t size, struct err *e)
{
	struct command c = command("lvextend");
	char path[256], n[32];

	arg(&c, "--size");
	arg(&c, bytes(size, n));
	arg(&c, path_of(g, name, path));
	return run(&c, NULL, NULL, e);
}

int lvm_activate(const struct lvm_group *g, const char *name, struct err *e)
{
	struct command c = command("lvchange");
	char path[256];

	arg(&c, "--activate");
	arg(&c, "y");
	arg(&c, "--ignoreactivationskip");
	arg(&c, path_of(g, name, path));
	return run(&c, NULL, NULL, e);
}

static struct command table(const char *columns)
{
	struct command c = command("lvs");

	arg(&c, "--noheadings");
	arg(&c, "--nosuffix");
	arg(&c, "--units");
	arg(&c, "b");
	arg(&c, "--separator");
	arg(&c, LVM_SEPARATOR);
	arg(&c, "--options");
	arg(&c, columns);
	return c;
}

int lvm_list(const struct lvm_group *g, int (*fn)(const struct lvm_lv *lv, void *arg), void *arg_, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	struct command c = table(LVM_COLUMNS);
	struct rd all, line;
	size_t n = 0;
	int r;

	arg(&c, g->vg);
	r = run(&c, &text, &n, e);
	if (r < 0)
		return r;
	all = rd_mem(text, n);
	while (r >= 0 && rd_line(&all, &line)) {
		struct lvm_lv lv;

		r = lvm_lv_parse(&line, &lv);
		if (r < 0)
			return err_set(e, EBADMSG, "the answer of lvs is not understood");
		r = fn(&lv, arg_);
	}
	return MIN(r, 0);
}

int lvm_pool_ask(const struct lvm_group *g, struct lvm_pool *ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	struct command c = table(LVM_POOL_COLUMNS);
	char path[256];
	struct rd all, line;
	size_t n = 0;
	int r;

	arg(&c, path_of(g, g->pool, path));
	r = run(&c, &text, &n, e);
	if (r < 0)
		return r;
	all = rd_mem(text, n);
	if (!rd_line(&all, &line) || lvm_pool_parse(&line, ret) < 0)
		return err_set(e, EBADMSG, "the answer of lvs is not understood");
	return 0;
}

int lvm_sync(const struct lvm_group *g, const char *name, struct err *e)
{
	char path[400];
	_cleanup_fd_ int fd = -1;

	if (str_printf(path, sizeof path, "%s/%s/%s", lvm_host.dev, g->vg, name) < 0)
		return err_set(e, ENAMETOOLONG, "%s/%s", g->vg, name);
	/* Opened to be flushed, not to be read. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fsync(fd) < 0)
		return err_errno(e, errno, "writing %s out", path);
	return 0;
}
