/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who works while a clone finds out who it is: our daemons and the first call. For systemd, the journal and root's other daemons time has jumped and
 * mounts have come, which under the emulator costs more than the call itself, so they get the time that is left over. The source makes them wait
 * before it is saved; the clone lets them go a few seconds after it has its identity.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/early/calm.h"
#include "base/fsx.h"
#include "base/log.h"
#include "base/str.h"

#define CALM_PASSES 2

static bool listed(const pid_t *v, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++)
		if (v[i] == pid)
			return true;
	return false;
}

pid_t calm_parent(struct rd stat)
{
	const uint8_t *end = rd_left(&stat) ? memrchr(stat.p, ')', rd_left(&stat)) : NULL;
	char text[16];
	struct rd word;
	uint64_t v;

	/* name in brackets, blank, state, blank, parent, blank */
	if (!end)
		return 0;
	rd_skip(&stat, (size_t)(end - stat.p) + 4);
	word = rd_until(&stat, ' ');
	rd_text(&word, text, sizeof text);
	return rd_ok(&word) && str_u64(text, INT32_MAX, &v) == 0 ? (pid_t)v : 0;
}

static pid_t parent_of(int dir)
{
	_cleanup_free_ char *text = NULL;
	size_t n;

	return fs_read(dir, "stat", 4096, &text, &n, NULL) < 0 ? 0 : calm_parent(rd_mem(text, n));
}

/* A program of root's; threads of the kernel have no program. */
static bool of_root(int dir, char exe[256])
{
	struct stat st;
	ssize_t n = readlinkat(dir, "exe", exe, 255);

	if (n <= 0 || fstat(dir, &st) < 0 || st.st_uid != 0)
		return false;
	exe[n] = '\0';
	return true;
}

/* Of all threads. */
static void policy(int dir, int how)
{
	const struct sched_param p = { .sched_priority = 0 };
	int fd = openat(dir, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *tasks = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *ent;
	uint64_t tid;

	while (tasks && (ent = readdir(tasks)))
		if (str_u64(ent->d_name, INT32_MAX, &tid) == 0 && tid > 0 && sched_setscheduler((pid_t)tid, how, &p) < 0 && errno != ESRCH)
			log_warn("scheduling of %llu: %s", (unsigned long long)tid, strerror(errno));
	if (tasks)
		closedir(tasks);
	else
		fd_closep(&fd);
}

typedef void (*each_fn)(struct calm *c, pid_t pid, int dir, void *arg);

static void each(struct calm *c, each_fn fn, void *arg)
{
	DIR *proc = opendir("/proc");
	struct dirent *ent;
	uint64_t pid;

	while (proc && (ent = readdir(proc))) {
		_cleanup_fd_ int dir = -1;

		if (str_u64(ent->d_name, INT32_MAX, &pid) < 0 || pid == 0)
			continue;
		dir = openat(dirfd(proc), ent->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0)
			fn(c, (pid_t)pid, dir, arg);
	}
	if (proc)
		closedir(proc);
}

struct ours {
	const pid_t *pids;
	size_t n;
};

static void wait_one(struct calm *c, pid_t pid, int dir, void *arg)
{
	const struct ours *o = arg;
	char exe[256];

	if (c->n == CALM_MAX / 2 || !of_root(dir, exe) || pid == getpid() || listed(o->pids, o->n, pid) || listed(o->pids, o->n, parent_of(dir)))
		return;
	if (str_ends(exe, "/netd"))
		c->net = pid;
	c->pids[c->n++] = pid;
	policy(dir, SCHED_IDLE);
}

void calm_begin(struct calm *c, const pid_t *ours, size_t n)
{
	struct ours o = { ours, n };

	*c = (struct calm){ .n = 0 };
	each(c, wait_one, &o);
}

/* What they have started meanwhile waits like them, and what that has started: parents come first in /proc, but for numbers that were used before. */
static void go_one(struct calm *c, pid_t pid, int dir, void *arg)
{
	bool known = listed(c->pids, c->n, pid);

	if (sched_getscheduler(pid) != SCHED_IDLE || (!known && !listed(c->pids, c->n, parent_of(dir))))
		return;
	if (!known && c->n < CALM_MAX)
		c->pids[c->n++] = pid;
	policy(dir, SCHED_OTHER);
}

void calm_end(struct calm *c)
{
	for (unsigned pass = 0; c->n && pass < CALM_PASSES; pass++)
		each(c, go_one, NULL);
	*c = (struct calm){ .n = 0 };
}

void calm_network(const struct calm *c)
{
	const struct sched_param p = { .sched_priority = 0 };

	if (c->net > 0)
		(void)sched_setscheduler(c->net, SCHED_OTHER, &p);
}
