/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qubes-gui-run: keeps the windows of a qube going. Started as root by its unit: makes the X server's configuration and its key, starts X server, agent and
 * session as the qube's user, and stays as the one who may open the device of the memory for pixels (a byte on a socket is answered by a descriptor). Nothing of
 * X runs as root: the dummy driver needs neither a console nor a device.
 */
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "agent/gui/bardev.h"
#include "agent/gui/run.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "qdb/client.h"

#define MAIN_UID 1000
#define AGENT "/usr/bin/qubes-gui"
#define SESSION "/usr/lib/qubes/qubes-session"
#define SELF "/proc/self/exe"
#define X_START_MS 180000
#define AGENT_PAUSE_MS 500
#define QDB_SOCKET "/run/qubes/qubesdb.sock"
#define QDB_WAIT_MS 60000
#define NO_AGENT "/run/qubes-service/no-gui-agent"
/* A plugged device is told of before it has its addresses; a look costs an emulated qube tens of milliseconds. */
#define BAR_LOOK_MS 20
#define BAR_LOOK_MAX_MS 2000

struct run {
	struct user user;
	struct proc x, agent, keyboard, session;
	int control, bar, bar_theirs, signals, plugs;
	bool bar_asked; /* by the agent, and not answered */
	int bar_look_ms; /* next look after this time; -1 = when something is plugged */
	char *env[16];
	uint64_t agent_started_us;
};

/* --- what the qube says -------------------------------------------------------------------------------------------- */

/* A machine that is booted to be saved has X in its state, since a clone cannot know before. */
static bool is_source(void)
{
	_cleanup_free_ char *text = NULL;
	size_t n;

	return fs_read(AT_FDCWD, "/proc/cmdline", 8192, &text, &n, NULL) == 0 && strstr(text, "bulkhead.state") != NULL;
}

static bool wanted(void)
{
	_cleanup_(qdbc_fini) struct qdbc db = { .fd = -1 };
	char value[16] = "";

	if (access(NO_AGENT, F_OK) == 0)
		return false;
	if (is_source())
		return true;
	return qdbc_open_wait(&db, QDB_SOCKET, QDB_WAIT_MS, NULL) >= 0 && qdbc_read(&db, "/qubes-gui-enabled", value, sizeof value, NULL) == 0 &&
	       streq(value, "True");
}

/* --- files --------------------------------------------------------------------------------------------------------- */

static int put_file(const char *path, const struct wr *w, const struct user *owner, mode_t mode, struct err *e)
{
	int r = wr_ok(w) ? fs_write_atomic(AT_FDCWD, path, w->buf, w->len, mode, e) : err_set(e, EMSGSIZE, "%s", path);

	if (r >= 0 && owner && chown(path, owner->uid, owner->gid) < 0)
		r = err_errno(e, errno, "owner of '%s'", path);
	return r;
}

static int make_dir(const char *path, const struct user *owner, mode_t mode, struct err *e)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return err_errno(e, errno, "making '%s'", path);
	if (chmod(path, mode) < 0 || (owner && chown(path, owner->uid, owner->gid) < 0))
		return err_errno(e, errno, "owner of '%s'", path);
	return 0;
}

static int make_files(struct run *run, struct err *e)
{
	_cleanup_wr_ struct wr conf = wr_grow(65536), auth = wr_grow(256);
	char runtime[64];
	uint8_t cookie[16];
	int r;

	if (getrandom(cookie, sizeof cookie, 0) != sizeof cookie)
		return err_errno(e, errno, "random bytes");
	run_config(&conf);
	run_auth(&auth, cookie);
	(void)!str_printf(runtime, sizeof runtime, "/run/user/%u", run->user.uid);
	r = fs_mkdir_p(RUN_DIR, 0755, e);
	if (r >= 0)
		r = fs_mkdir_p("/run/user", 0755, e);
	if (r >= 0)
		r = make_dir(runtime, &run->user, 0700, e);
	/* the server is no root and could not make it */
	if (r >= 0)
		r = make_dir("/tmp/.X11-unix", NULL, 01777, e);
	if (r >= 0)
		r = make_dir(RUN_DIR "/log", &run->user, 0755, e);
	if (r >= 0)
		r = put_file(RUN_CONFIG, &conf, NULL, 0644, e);
	if (r >= 0)
		r = put_file(RUN_AUTH, &auth, &run->user, 0600, e);
	return r;
}

static int make_sockets(struct run *run, struct err *e)
{
	int pair[2], r;

	r = run->control = unix_listen_replace(RUN_CONTROL, SOCK_STREAM, 0660, e);
	if (r >= 0 && chown(RUN_CONTROL, 0, run->user.gid) < 0)
		r = err_errno(e, errno, "owner of '%s'", RUN_CONTROL);
	if (r < 0)
		return r;
	r = unix_pair(SOCK_SEQPACKET, pair);
	if (r < 0)
		return err_errno(e, -r, "socketpair");
	run->bar = pair[0];
	run->bar_theirs = pair[1];
	return 0;
}

static void make_env(struct run *run)
{
	const struct user *u = &run->user;
	size_t n = 0;

	run->env[n++] = xstrdup("PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games");
	run->env[n++] = xstrdup("LANG=C.UTF-8");
	run->env[n++] = xasprintf("HOME=%s", u->home);
	run->env[n++] = xasprintf("USER=%s", u->name);
	run->env[n++] = xasprintf("LOGNAME=%s", u->name);
	run->env[n++] = xasprintf("SHELL=%s", u->shell);
	run->env[n++] = xasprintf("XDG_RUNTIME_DIR=/run/user/%u", u->uid);
	run->env[n++] = xstrdup("XDG_SESSION_TYPE=x11");
	run->env[n++] = xstrdup("XDG_CURRENT_DESKTOP=X-QUBES");
	run->env[n++] = xstrdup("DISPLAY=" RUN_DISPLAY);
	run->env[n++] = xstrdup("XAUTHORITY=" RUN_AUTH);
	run->env[n] = NULL;
}

/* --- programs ------------------------------------------------------------------------------------------------------ */

static struct proc_spec as_user(const struct run *run, const char *path, const char *const *argv)
{
	return (struct proc_spec){
		.path = path, .argv = argv, .envp = (const char *const *)run->env, .cwd = access(run->user.home, X_OK) == 0 ? run->user.home : "/",
		.keep_stderr = true, .new_session = true, .set_ids = true, .uid = run->user.uid, .gid = run->user.gid, .groups = run->user.groups,
		.n_groups = run->user.n_groups,
	};
}

/* The server writes its number when it takes clients. */
static int wait_display(struct run *run, int fd, struct err *e)
{
	uint64_t end = now_us() + (uint64_t)X_START_MS * 1000;
	char byte = 0;

	while (byte != '\n') {
		struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = run->x.pidfd, .events = POLLIN } };
		uint64_t now = now_us();
		int n = now < end ? poll(p, 2, (int)((end - now) / 1000) + 1) : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || !(p[0].revents & POLLIN))
			return err_set(e, EIO, "the X server does not start: see %s/log", RUN_DIR);
		if (read(fd, &byte, 1) <= 0)
			return err_set(e, EIO, "the X server ended: see %s/log", RUN_DIR);
	}
	return 0;
}

static int start_x(struct run *run, struct err *e)
{
	static const char *const argv[] = { "Xorg", RUN_DISPLAY, "-config", RUN_CONFIG, "-logfile", RUN_DIR "/log/Xorg.log", "-auth", RUN_AUTH, "-nolisten", "tcp",
					    "-noreset", "-novtswitch", "-displayfd", "3", NULL };
	struct proc_spec p = as_user(run, RUN_XORG, argv);
	_cleanup_fd_ int mine = -1;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	mine = fds[0];
	p.fds[0].fd = fds[1];
	p.fds[0].as = 3;
	p.n_fds = 1;
	p.cwd = "/";
	r = proc_spawn(&run->x, &p, e);
	close(fds[1]);
	return r < 0 ? r : wait_display(run, mine, e);
}

static int start_agent(struct run *run, struct err *e)
{
	static const char *const argv[] = { "qubes-gui", "--control-fd", "3", "--bar-fd", "4", NULL };
	struct proc_spec p = as_user(run, AGENT, argv);

	p.fds[0].fd = run->control;
	p.fds[0].as = 3;
	p.fds[1].fd = run->bar_theirs;
	p.fds[1].as = 4;
	p.n_fds = 2;
	run->agent_started_us = now_us();
	return proc_spawn(&run->agent, &p, e);
}

static int start_others(struct run *run, struct err *e)
{
	static const char *const keyboard[] = { "qubes-gui-run", "--keyboard", NULL }, *const session[] = { "-sh", SESSION, NULL };
	struct proc_spec p = as_user(run, SELF, keyboard);
	int r = proc_spawn(&run->keyboard, &p, e);

	if (r < 0 || access(SESSION, R_OK) < 0)
		return r;
	/* a login shell, for the user's own settings */
	p = as_user(run, "/bin/sh", session);
	return proc_spawn(&run->session, &p, e);
}

static void say_ready(void)
{
	static const char text[] = "READY=1";
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t n = path ? strlen(path) : 0;
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (n == 0 || n >= sizeof a.sun_path || fd < 0)
		return;
	memcpy(a.sun_path, path, n);
	if (a.sun_path[0] == '@')
		a.sun_path[0] = '\0';
	(void)!sendto(fd, text, sizeof text - 1, MSG_NOSIGNAL, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
}

/* --- keeping ------------------------------------------------------------------------------------------------------- */

static void bar_answer(struct run *run, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 'y';
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	if (sendmsg(run->bar, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_warn("answering the agent: %s", strerror(errno));
}

/* The agent wants the memory for pixels, which may not be plugged yet: its descriptor is the answer, whenever that is. */
static void bar_look(struct run *run)
{
	_cleanup_fd_ int fd = run->bar_asked ? bardev_open() : -1;

	if (fd >= 0) {
		run->bar_asked = false;
		bar_answer(run, fd);
	}
	if (!run->bar_asked || run->bar_look_ms > BAR_LOOK_MAX_MS)
		run->bar_look_ms = -1;
	else if (run->bar_look_ms > 0)
		run->bar_look_ms *= 2;
}

static void on_bar(struct run *run)
{
	char byte;

	if (recv(run->bar, &byte, 1, MSG_DONTWAIT) != 1)
		return;
	run->bar_asked = true;
	run->bar_look_ms = BAR_LOOK_MS;
	bar_look(run);
}

/* Content of events is not used: what counts is what sysfs then shows. */
static void on_plug(struct run *run)
{
	char drop[8192];

	while (recv(run->plugs, drop, sizeof drop, MSG_DONTWAIT) > 0)
		if (run->bar_asked)
			run->bar_look_ms = BAR_LOOK_MS;
}

static int open_plugs(struct err *e)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	_cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0)
		return err_errno(e, errno, "events of the kernel");
	return STEAL_FD(fd);
}

static bool ended(struct proc *p)
{
	int status, pid = p->pid;

	if (p->pidfd < 0 || proc_wait(p, 0, &status) < 0)
		return false;
	log_info("ended: pid=%d code=%d", pid, proc_exit_code(status));
	proc_fini(p);
	*p = PROC_INIT;
	return true;
}

static int again_agent(struct run *run, struct err *e)
{
	/* one that dies at once is not started in a loop */
	if (now_us() - run->agent_started_us < (uint64_t)AGENT_PAUSE_MS * 1000)
		(void)poll(NULL, 0, AGENT_PAUSE_MS);
	return start_agent(run, e);
}

static int keep(struct run *run, struct err *e)
{
	for (;;) {
		struct pollfd p[] = {
			{ .fd = run->signals, .events = POLLIN },    { .fd = run->bar, .events = POLLIN },	{ .fd = run->x.pidfd, .events = POLLIN },
			{ .fd = run->agent.pidfd, .events = POLLIN }, { .fd = run->session.pidfd, .events = POLLIN }, { .fd = run->keyboard.pidfd, .events = POLLIN },
			{ .fd = run->plugs, .events = POLLIN },
		};
		int n = poll(p, ARRAY_SIZE(p), run->bar_look_ms), r;

		if (n < 0 && errno != EINTR)
			return err_errno(e, errno, "poll");
		if (n == 0)
			bar_look(run);
		if (n <= 0)
			continue;
		if (p[0].revents)
			return 0;
		if (p[1].revents)
			on_bar(run);
		if (p[6].revents)
			on_plug(run);
		if (ended(&run->x))
			return err_set(e, EIO, "the X server ended: see %s/log", RUN_DIR);
		(void)ended(&run->session);
		(void)ended(&run->keyboard);
		r = ended(&run->agent) ? again_agent(run, e) : 0;
		if (r < 0)
			return r;
	}
}

static int run_all(struct run *run, struct err *e)
{
	sigset_t set;
	int r = user_by_uid(&run->user, "/etc", MAIN_UID, e);

	if (r < 0)
		return r;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	run->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	run->bar_look_ms = -1;
	r = run->plugs = open_plugs(e);
	if (r < 0)
		return r;
	make_env(run);
	r = make_files(run, e);
	if (r >= 0)
		r = make_sockets(run, e);
	if (r >= 0)
		r = start_x(run, e);
	if (r >= 0)
		r = start_agent(run, e);
	if (r >= 0)
		r = start_others(run, e);
	if (r < 0)
		return r;
	say_ready();
	return keep(run, e);
}

static int print_config(void)
{
	_cleanup_wr_ struct wr w = wr_grow(65536);

	run_config(&w);
	return wr_ok(&w) && fwrite(w.buf, 1, w.len, stdout) == w.len ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct run run = { .x = PROC_INIT, .agent = PROC_INIT, .keyboard = PROC_INIT, .session = PROC_INIT, .control = -1, .bar = -1, .bar_theirs = -1, .signals = -1, .plugs = -1 };
	struct err e = { 0 };
	int r;

	if (argc == 2 && streq(argv[1], "--print-config"))
		return print_config();
	log_init("qubes-gui-run", NULL, -1);
	if (argc == 2 && streq(argv[1], "--keyboard"))
		return keyboard_main();
	if (argc != 1) {
		fprintf(stderr, "usage: qubes-gui-run [--print-config | --keyboard]\n"
				"Keeps X server, agent and session of this qube; started as root by qubes-gui-agent.service.\n");
		return 2;
	}
	if (access(RUN_XORG, X_OK) < 0 || !wanted()) {
		say_ready();
		return 0;
	}
	r = run_all(&run, &e);
	proc_fini(&run.session);
	proc_fini(&run.keyboard);
	proc_fini(&run.agent);
	proc_fini(&run.x);
	if (r >= 0)
		return 0;
	log_error("%s", err_text(&e, r));
	return 1;
}
