/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The order of confinement; the seccomp filter and the Landlock rules are built in their own files. */
#include "base/sandbox.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/rootfs.h"
#include "base/sandbox_parts.h"

#define SANDBOX(symbol, name, groups, flags, nofile, as_mib) { name, groups, flags, nofile, as_mib },
static const struct profile {
	const char *name;
	unsigned groups, flags, nofile, as_mib;
} profiles[SB_N] = {
#include "base/sandbox.def"
};

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED
static bool entered;
/* Asked by the leak checker at exit, which cannot work in a process without /proc that nobody may trace. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return entered;
}
#endif

bool sandbox_has_seccomp(void)
{
#ifdef SANITIZED
	return false;
#else
	return true;
#endif
}

const char *sandbox_name(enum sandbox_profile profile)
{
	return profile < SB_N ? profiles[profile].name : "?";
}

static int limit(int resource, rlim_t n, struct err *e)
{
	struct rlimit rl = { 0 };

	if (getrlimit((__rlimit_resource_t)resource, &rl) < 0)
		return err_errno(e, errno, "sandbox: reading limit %d", resource);
	/* Never above what the starter allows. */
	if (rl.rlim_max != RLIM_INFINITY && n > rl.rlim_max)
		n = rl.rlim_max;
	rl.rlim_cur = rl.rlim_max = n;
	if (setrlimit((__rlimit_resource_t)resource, &rl) < 0)
		return err_errno(e, errno, "sandbox: setting limit %d", resource);
	return 0;
}

static int limits(const struct profile *p, struct err *e)
{
	int r = limit(RLIMIT_CORE, 0, e);

	if (r == 0)
		r = limit(RLIMIT_NOFILE, p->nofile, e);
#ifndef SANITIZED
	if (r == 0 && p->as_mib)
		r = limit(RLIMIT_AS, (rlim_t)p->as_mib << 20, e);
#endif
	return r;
}

static int root_of(const struct sandbox_path *paths, size_t n, struct err *e)
{
	struct proc_bind binds[SANDBOX_PATHS_MAX];
	const char *step = "";
	int r;

	for (size_t i = 0; i < n; i++)
		binds[i] = (struct proc_bind){ .path = paths[i].path, .rw = paths[i].write || paths[i].dev,
					       .dev = paths[i].dev, .optional = true };
	r = rootfs_enter(binds, n, false, &step);
	return r < 0 ? err_errno(e, -r, "sandbox: minimal root: %s", step) : 0;
}

static int namespaces(const struct profile *p, const struct sandbox_path *paths, size_t n, struct err *e)
{
	int flags = CLONE_NEWUSER | (p->groups & G_INET ? 0 : CLONE_NEWNET) | CLONE_NEWIPC | CLONE_NEWUTS, r;
	_cleanup_fd_ int procfd = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (procfd < 0)
		return err_errno(e, errno, "sandbox: opening /proc/self");
	if (p->flags & SBF_ROOT)
		flags |= CLONE_NEWNS;
	/* An undumpable process may not write its own identity map. */
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (unshare(flags) < 0)
		return err_errno(e, errno, "sandbox: new namespaces (user.max_user_namespaces may be 0)");
	r = userns_map(procfd, uid, gid);
	if (r < 0)
		return err_errno(e, -r, "sandbox: identity map");
	fd_closep(&procfd);
	if (p->flags & SBF_ROOT)
		r = root_of(paths, n, e);
	if (r < 0)
		return r;
	r = caps_drop_all();
	return r < 0 ? err_errno(e, -r, "sandbox: capabilities") : 0;
}

void sandbox_prepare(enum sandbox_profile profile)
{
	if (profile < SB_N && sandbox_has_seccomp() && !(profiles[profile].flags & SBF_LOOSE))
		sandbox_build_seccomp(profiles[profile].groups);
}

static int seccomp_part(const struct profile *p, struct err *e)
{
	if (!sandbox_has_seccomp()) {
		log_debug("sandbox %s: a build with the address sanitizer, no seccomp filter", p->name);
		return 0;
	}
	return sandbox_load_seccomp(p->groups, e);
}

int sandbox_enter(enum sandbox_profile profile, const struct sandbox_path *paths, size_t n_paths, struct err *e)
{
	const struct profile *p;
	int r;

	if (profile >= SB_N || n_paths > SANDBOX_PATHS_MAX)
		return err_set(e, EINVAL, "sandbox: no such profile, or too many paths");
	p = &profiles[profile];
#ifdef SANITIZED
	const char *env = getenv("BULKHEAD_SANDBOX");

	if (env && strcmp(env, "off") == 0)
		return 0;
	entered = true;
#endif
	r = limits(p, e);
	if (r == 0 && p->flags & SBF_NS)
		r = namespaces(p, paths, n_paths, e);
	if (r == 0 && !(p->flags & SBF_LOOSE) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = err_errno(e, errno, "sandbox: no_new_privs");
	if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = err_errno(e, errno, "sandbox: dumpable");
	if (r == 0 && p->flags & SBF_LANDLOCK)
		r = (p->groups & G_INET ? sandbox_load_landlock_inet : sandbox_load_landlock)(paths, n_paths, e);
	if (r == 0 && !(p->flags & SBF_LOOSE))
		r = seccomp_part(p, e);
	return r < 0 ? r : 0;
}
