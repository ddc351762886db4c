/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The supervisor of one instance: takes the lock, prepares the directories, starts spawner and core joined by a socketpair, and starts both
 * again when one ends. It parses nothing but its command line.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>

#include "base/cgroup.h"
#include "base/fsx.h"
#include "base/ids.h"
#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/proc.h"
#include "base/str.h"
#include "daemon/qubesd/qubesd.h"

#define STOP_MS 3000
#define DELAY_MIN_MS 100
#define DELAY_MAX_MS 5000
#define STEADY_US 30000000ull /* a pair that lived this long starts again without delay */

struct supervisor {
	struct ev_loop *loop;
	const char *root;
	bool no_vms, no_autostart;
	int ready_fd, lock;
	int life[2]; /* a pipe that ends with this process: the core holds the reading end */
	struct proc core, spawner;
	struct ev_io *core_io, *spawner_io;
	struct ev_timer *again, *force;
	uint64_t started_us, delay_ms;
	unsigned n_starts;
	bool stopping;
	int status;
};

static void start_pair(struct supervisor *s);

/* uid: of system mode; 0 = ours. */
static int start_one(struct proc *ret, const char *program, const char *const *argv, uid_t uid, int channel, int ready_fd, int life_fd,
		     struct err *e)
{
	extern char **environ;
	struct proc_spec spec = { .path = program, .argv = argv, .envp = (const char *const *)environ, .keep_stderr = true };

	if (uid && paths_system_mode()) {
		spec.set_ids = true;
		spec.uid = spec.gid = uid;
		spec.confine.no_new_privs = true;
	}
	spec.fds[spec.n_fds].fd = channel;
	spec.fds[spec.n_fds++].as = QUBESD_FD_SPAWNER;
	if (ready_fd >= 0) {
		spec.fds[spec.n_fds].fd = ready_fd;
		spec.fds[spec.n_fds++].as = QUBESD_FD_READY;
	}
	if (life_fd >= 0) {
		spec.fds[spec.n_fds].fd = life_fd;
		spec.fds[spec.n_fds++].as = QUBESD_FD_LIFE;
	}
	return proc_spawn(ret, &spec, e);
}

static bool both_gone(const struct supervisor *s)
{
	return s->core.pidfd < 0 && s->spawner.pidfd < 0;
}

static void after_end(struct supervisor *s)
{
	if (!both_gone(s))
		return;
	ev_timer_stop(s->force);
	if (s->stopping) {
		ev_stop(s->loop, s->status);
		return;
	}
	if (now_us() - s->started_us > STEADY_US)
		s->delay_ms = 0;
	log_warn("starting the daemon again in %llu ms", (unsigned long long)s->delay_ms);
	ev_timer_start(s->again, s->delay_ms);
	s->delay_ms = s->delay_ms ? MIN(s->delay_ms * 2, (uint64_t)DELAY_MAX_MS) : DELAY_MIN_MS;
}

/* One of the two ended: the other follows, by itself when its channel closes, or by force after a while. */
static void reap(struct supervisor *s, struct proc *p, struct ev_io **io, const char *what, struct proc *other)
{
	int status = 0;

	if (proc_wait(p, 0, &status) < 0)
		return;
	ev_io_free(*io);
	*io = NULL;
	proc_fini(p);
	*p = PROC_INIT;
	if (!s->stopping)
		log_warn("%s ended with status %d", what, proc_exit_code(status));
	/* What stops the first start will stop every other; later it may be passing, such as the lock of a core that is still ending. */
	if (p == &s->core && proc_exit_code(status) == QUBESD_EXIT_CONFIG && s->n_starts == 1) {
		s->stopping = true;
		s->status = 1;
	}
	if (other->pidfd >= 0) {
		proc_kill(other, SIGTERM);
		ev_timer_start(s->force, STOP_MS);
	}
	after_end(s);
}

static void on_core(struct ev_io *io, int fd, int events, void *arg)
{
	struct supervisor *s = arg;

	reap(s, &s->core, &s->core_io, "core", &s->spawner);
}

static void on_spawner(struct ev_io *io, int fd, int events, void *arg)
{
	struct supervisor *s = arg;

	reap(s, &s->spawner, &s->spawner_io, "spawner", &s->core);
}

static void on_force(struct ev_timer *t, void *arg)
{
	struct supervisor *s = arg;

	if (s->core.pidfd >= 0)
		proc_kill(&s->core, SIGKILL);
	if (s->spawner.pidfd >= 0)
		proc_kill(&s->spawner, SIGKILL);
}

static void on_again(struct ev_timer *t, void *arg)
{
	start_pair(arg);
}

static int try_pair(struct supervisor *s, struct err *e)
{
	char self[PATH_MAX], spawner[PATH_MAX];
	const char *core_argv[11] = { "qubesd", "--core", "--life-fd=5" }, *spawner_argv[4] = { "spawner" };
	size_t k = 3;
	_cleanup_fd_ int a = -1, b = -1;
	int pair[2], r;
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	if (n <= 0)
		return err_errno(e, errno, "own path");
	self[n] = '\0';
	if (s->root[0]) {
		core_argv[k++] = spawner_argv[1] = "--root";
		core_argv[k++] = spawner_argv[2] = s->root;
	}
	if (s->no_vms)
		core_argv[k++] = "--no-vms";
	/* a core that comes later finds what the user has stopped meanwhile */
	if (s->no_autostart || s->n_starts > 1)
		core_argv[k++] = "--no-autostart";
	if (s->ready_fd >= 0)
		core_argv[k++] = "--ready-fd=4";
	if (unix_pair(SOCK_SEQPACKET, pair) < 0)
		return err_errno(e, errno, "socketpair");
	a = pair[0];
	b = pair[1];
	r = start_one(&s->spawner, path_program(spawner, "spawner"), spawner_argv, 0, a, -1, -1, e);
	if (r < 0)
		return err_add(e, r, "starting the spawner");
	s->spawner_io = ev_io_new(s->loop, s->spawner.pidfd, EV_READ, on_spawner, s);
	r = start_one(&s->core, self, core_argv, ID_CORE, b, s->ready_fd, s->life[0], e);
	if (r < 0)
		return err_add(e, r, "starting the core");
	s->core_io = ev_io_new(s->loop, s->core.pidfd, EV_READ, on_core, s);
	return 0;
}

static void start_pair(struct supervisor *s)
{
	struct err e = { 0 };
	int r;

	s->started_us = now_us();
	s->n_starts++;
	r = try_pair(s, &e);
	fd_closep(&s->ready_fd); /* the first core has it */
	if (r >= 0)
		return;
	log_error("%s", err_text(&e, r));
	s->stopping = true;
	s->status = 1;
	if (s->spawner.pidfd >= 0)
		proc_kill(&s->spawner, SIGTERM);
	if (both_gone(s))
		ev_stop(s->loop, 1);
}

static void on_signal(struct ev_signal *sig, int signum, void *arg)
{
	struct supervisor *s = arg;

	s->stopping = true;
	ev_timer_stop(s->again);
	if (s->core.pidfd >= 0)
		proc_kill(&s->core, SIGTERM); /* the spawner ends when the channel closes */
	else if (s->spawner.pidfd >= 0)
		proc_kill(&s->spawner, SIGTERM);
	ev_timer_start(s->force, STOP_MS);
	if (both_gone(s))
		ev_stop(s->loop, 0);
}

/* The first core serves. */
static void on_ready(struct ev_io *io, int fd, int events, void *arg)
{
	char byte;

	if (read_full(fd, &byte, 1) == 1)
		notify_ready();
	ev_io_free(io);
	close(fd);
}

/* A service manager that waits for its own message is told by us: the core may not reach its socket. */
static int watch_ready(struct supervisor *s, struct err *e)
{
	int fds[2];

	if (s->ready_fd >= 0 || !getenv("NOTIFY_SOCKET"))
		return 0;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	s->ready_fd = fds[1];
	if (!ev_io_new(s->loop, fds[0], EV_READ, on_ready, s))
		return err_set(e, EBADF, "cannot watch for the core's readiness");
	return 0;
}

/* One instance a root. The lock goes with the process, so a stale file does no harm. */
static int take_lock(struct supervisor *s, struct err *e)
{
	char path[PATH_MAX], pid[24];

	s->lock = open(path_fmt(path, PATH_RUN, "/qubesd.lock"), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock < 0)
		return err_errno(e, errno, "%s", path);
	if (flock(s->lock, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, EALREADY, "another qubesd serves this directory: %s is locked", path);
	if (str_printf(pid, sizeof pid, "%d\n", (int)getpid()) < 0)
		return -EINVAL;
	return fs_write_atomic(AT_FDCWD, path_fmt(path, PATH_RUN, "/qubesd.pid"), pid, strlen(pid), 0644, e);
}

/* True when a directory has no entry; a missing one is empty. */
static bool dir_empty(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *de;
	bool empty = true;

	while (d && empty && (de = readdir(d)))
		empty = de->d_name[0] == '.';
	if (d)
		closedir(d);
	return empty;
}

static void copy_policy_dir(const char *from, const char *to, unsigned depth)
{
	struct dirent *de;
	DIR *d = opendir(from);

	if (!d) {
		log_warn("no default policy in %s: all calls are refused until there is one", from);
		return;
	}
	while ((de = readdir(d))) {
		_cleanup_free_ char *text = NULL, *in = xasprintf("%s/%s", from, de->d_name), *out = xasprintf("%s/%s", to, de->d_name);
		struct err e = { 0 };
		size_t len;

		if (de->d_name[0] == '.')
			continue;
		if (de->d_type == DT_DIR && depth) {
			if (fs_mkdir_p(out, 0755, &e) < 0)
				log_warn("default policy: %s", e.msg);
			copy_policy_dir(in, out, depth - 1);
		} else if (fs_read(AT_FDCWD, in, 1u << 20, &text, &len, &e) < 0 ||
			   fs_write_atomic(AT_FDCWD, out, text, len, 0644, &e) < 0) {
			log_warn("default policy file %s: %s", de->d_name, e.msg);
		}
	}
	closedir(d);
}

/* A new instance gets the default policy; from then on the files are the owner's. */
static void copy_policy(void)
{
	char from[PATH_MAX];

	if (!dir_empty(path_get(PATH_POLICY_ETC)))
		return;
	copy_policy_dir(path_data(from, "policy.d"), path_get(PATH_POLICY_ETC), 1);
	/* what only a desktop session without network qubes has */
	if (!paths_system_mode())
		copy_policy_dir(path_data(from, "policy.session.d"), path_get(PATH_POLICY_ETC), 0);
}

static int prepare(struct supervisor *s, struct err *e)
{
	int r = paths_init(s->root, e);

	if (r >= 0)
		r = paths_make(e);
	if (r >= 0)
		r = take_lock(s, e);
	if (r < 0)
		return r;
	copy_policy();
	/* Whether there are limits the spawner tells. */
	if (paths_system_mode())
		(void)cgroup_delegate(NULL);
	return 0;
}

/* The computer's instance starts its qubes once a boot (run is gone after it), and not when the kernel's command line says so. */
static bool skip_autostart(void)
{
	_cleanup_free_ char *line = NULL;
	char path[PATH_MAX];
	size_t n;
	int fd;

	if (!paths_system_mode())
		return false;
	if (fs_read(AT_FDCWD, "/proc/cmdline", 65536, &line, &n, NULL) == 0 && strstr(line, "qubes.skip_autostart"))
		return true;
	fd = open(path_fmt(path, PATH_RUN, "/autostarted"), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return errno == EEXIST;
	close(fd);
	return false;
}

int supervisor_main(const char *root, bool no_vms, bool no_autostart, int ready_fd)
{
	struct supervisor s = { .root = root ? root : "", .no_vms = no_vms, .ready_fd = ready_fd, .lock = -1,
				.core = PROC_INIT, .spawner = PROC_INIT };
	struct err e = { 0 };
	char path[PATH_MAX];
	int r;

	log_init("qubesd-supervisor", NULL, -1);
	signal(SIGPIPE, SIG_IGN);
	if (ready_fd >= 0)
		(void)fd_cloexec(ready_fd, true);
	r = prepare(&s, &e);
	if (r < 0) {
		log_error("%s", err_text(&e, r));
		return 1;
	}
	s.root = paths_root();
	s.no_autostart = no_autostart || no_vms || skip_autostart();
	if (pipe2(s.life, O_CLOEXEC) < 0) {
		log_error("pipe: %s", strerror(errno));
		return 1;
	}
	s.loop = ev_new();
	s.again = ev_timer_new(s.loop, on_again, &s);
	s.force = ev_timer_new(s.loop, on_force, &s);
	ev_signal_new(s.loop, SIGTERM, on_signal, &s);
	ev_signal_new(s.loop, SIGINT, on_signal, &s);
	ev_signal_new(s.loop, SIGHUP, on_signal, &s);
	r = watch_ready(&s, &e);
	if (r < 0) {
		log_error("%s", err_text(&e, r));
		return 1;
	}
	start_pair(&s);
	r = ev_run(s.loop);
	unlink(path_fmt(path, PATH_RUN, "/qubesd.pid"));
	proc_fini(&s.core);
	proc_fini(&s.spawner);
	ev_free(s.loop);
	return r;
}
