/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What one qube may take of the host, by control groups (base/cgroup.h), where the service manager gives us any. */
#include <sys/inotify.h>

#include "base/cgroup.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "daemon/spawner/spawner.h"

#define QUBE_PIDS_MAX 256 /* QEMU's threads (one a processor, up to 64 for disks) and four programs of ours */
#define QUBE_CPU_WEIGHT 100
#define SET_ALL 7u

/* A qube may have been started by a spawner before this one, so the group itself is what tells of its end. */
static void on_group(struct ev_io *io, int fd, int events, void *arg)
{
	struct spawner *s = arg;
	uint8_t buf[4096];

	while (read(fd, buf, sizeof buf) > 0)
		;
	cgroup_sweep(s->cgroups, s->cgroup_watch);
}

void limits_init(struct spawner *s)
{
	struct err e = { 0 };

	s->cgroups = s->cgroup_watch = -1;
	if (!paths_system_mode())
		return;
	s->cgroups = cgroup_tree(&e);
	if (s->cgroups < 0) {
		log_warn("qubes run without limits of control groups: %s", e.msg);
		s->cgroups = -1;
		return;
	}
	s->cgroup_watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (s->cgroup_watch < 0 || !ev_io_new(s->loop, s->cgroup_watch, EV_READ, on_group, s))
		log_warn("groups of qubes that have ended are removed late: %s", strerror(errno));
	cgroup_sweep(s->cgroups, s->cgroup_watch);
	cgroup_restore(s->cgroups);
	log_info("qubes get a control group each: memory.max, pids.max, cpu.weight");
}

static const char *group(char out[32], uint32_t qid)
{
	if (str_printf(out, 32, CGROUP_QUBE "%u", qid) < 0)
		abort(); /* a number fits */
	return out;
}

int limits_set(const struct spawner *s, uint32_t qid, uint32_t memory_mib, uint64_t overhead_mib, struct err *e)
{
	const struct cgroup_limits l = { .memory_max = (memory_mib + overhead_mib) << 20, .pids_max = QUBE_PIDS_MAX,
					 .cpu_weight = QUBE_CPU_WEIGHT };
	unsigned set = 0;
	char name[32];
	int r;

	if (s->cgroups < 0)
		return 0;
	r = cgroup_make(s->cgroups, group(name, qid), &l, &set, e);
	if (r >= 0 && set != SET_ALL)
		log_warn("%s: not limited, the controller is missing:%s%s%s", name, set & 1 ? "" : " memory", set & 2 ? "" : " pids",
			 set & 4 ? "" : " cpu");
	return r;
}

int limits_enter(const struct spawner *s, uint32_t qid, pid_t pid, struct err *e)
{
	char name[32];
	int r;

	if (s->cgroups < 0)
		return 0;
	r = cgroup_enter(s->cgroups, group(name, qid), pid, e);
	if (r >= 0)
		cgroup_sweep(s->cgroups, s->cgroup_watch); /* watches it from its first process on */
	return r;
}
