/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The supervisor: starts the qube's daemons in order with the early configuration between them, and
 * starts again what dies. It is a child of pid 1 from before systemd, so that the first call can be
 * answered without waiting for systemd's own start, which costs more than everything else of the
 * boot.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "agent/early/calm.h"
#include "agent/early/early.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/str.h"
#include "proto/supervise.h"

#define LIB_DIR "/usr/lib/bulkhead/"
#define READY_TIMEOUT_MS 60000
#define RESTART_DELAY_US 500000
#define RESTART_DELAY_MAX_US 30000000
#define HEALTHY_US 60000000
#define CALM_US 5000000 /* from a clone's identity on */
#define NOTIFY_PATH "/run/bulkhead/notify"
/* How long pid 1 waits for the host to take up the control channel: systemd's start would only
   slow the first call down. */
#define CONTROL_TIMEOUT_MS 2000

struct daemon {
	const char *name, *arg, *arg2, *socket_dir, *socket_name;
	int control; /* -1, or our end of a channel that it has as descriptor 3 */
	bool with_control;
	struct proc proc;
	uint64_t started_at_us, restart_at_us;	/* restart 0 = not waiting for one */
	uint64_t delay_us;			/* of the next restart; doubles while the daemon lives only briefly */
};

enum { D_AGENTD, D_QUBESDB, D_QREXEC, D_N };

static struct daemon daemons[D_N] = {
	[D_AGENTD] = { .name = "agentd", .with_control = true, .control = -1, .socket_dir = "/run/bulkhead", .socket_name = "link.sock", .proc.pidfd = -1 },
	[D_QUBESDB] = { .name = "qubesdb-daemon", .control = -1, .arg = "0", .socket_dir = "/run/qubes", .socket_name = "qubesdb.sock",
			.proc.pidfd = -1 },
	[D_QREXEC] = { .name = "qrexec-agent", .control = -1, .socket_dir = "/run/qubes", .socket_name = "qrexec-agent", .proc.pidfd = -1 },
};

static int daemon_start(struct daemon *d, struct err *e)
{
	char path[96];
	const char *const argv[] = { d->name, d->arg, d->arg2, NULL };
	static const char *const envp[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
					    "NOTIFY_SOCKET=" NOTIFY_PATH, NULL };
	struct proc_spec s = { .path = path, .argv = argv, .envp = envp, .keep_stderr = true, .new_session = true };
	_cleanup_fd_ int theirs = -1;
	int pair[2], r;

	if (d->with_control) {
		fd_closep(&d->control);
		r = unix_pair(SOCK_STREAM, pair);
		if (r < 0)
			return err_errno(e, -r, "channel to %s", d->name);
		d->control = pair[0];
		theirs = pair[1];
		s.fds[0].fd = theirs;
		s.fds[0].as = 3;
		s.n_fds = 1;
	}
	if (str_printf(path, sizeof path, LIB_DIR "%s", d->name) < 0)
		return err_set(e, ENAMETOOLONG, "%s", d->name);
	d->started_at_us = now_us();
	return proc_spawn(&d->proc, &s, e);
}

int wait_for_file(const char *dir, const char *name, int stop_fd, int timeout_ms, struct err *e)
{
	uint64_t deadline = now_us() + (uint64_t)timeout_ms * 1000;
	char path[96], events[4096];
	_cleanup_fd_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (str_printf(path, sizeof path, "%s/%s", dir, name) < 0)
		return err_set(e, ENAMETOOLONG, "%s", name);
	if (fd < 0 || inotify_add_watch(fd, dir, IN_CREATE | IN_MOVED_TO) < 0)
		return err_errno(e, errno, "watching %s", dir);
	while (access(path, F_OK) < 0) {
		struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = stop_fd, .events = POLLIN } };
		uint64_t now = now_us();

		if (now >= deadline)
			return err_set(e, ETIMEDOUT, "%s does not appear", path);
		if (poll(p, 2, (int)((deadline - now) / 1000 + 1)) < 0 && errno != EINTR)
			return err_errno(e, errno, "poll");
		if (p[1].revents)
			return err_set(e, ECHILD, "ended while starting");
		while (read(fd, events, sizeof events) > 0)
			;
	}
	return 0;
}

static int daemon_bring_up(struct daemon *d)
{
	struct err e = { 0 };
	int r = daemon_start(d, &e);

	if (r >= 0)
		r = wait_for_file(d->socket_dir, d->socket_name, d->proc.pidfd, READY_TIMEOUT_MS, &e);
	if (r < 0)
		log_error("%s: %s", d->name, err_text(&e, r));
	return r;
}

/* notify_open makes the socket on which a daemon may say that it is connected. */
static int notify_open(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = NOTIFY_PATH };
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&a, sizeof a) < 0 || chmod(NOTIFY_PATH, 0600) < 0) {
		log_error("binding " NOTIFY_PATH ": %s", strerror(errno));
		return -1;
	}
	return STEAL_FD(fd);
}

/* notify_wait sleeps until a word of the last daemon started comes, or a while. What the word is
   does not matter. */
static void notify_wait(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (fd >= 0 && poll(&p, 1, CONTROL_TIMEOUT_MS) == 0) {
		log_warn("the host has not taken up the control channel yet");
		return;
	}
	/* A qube is mostly started for a call, which comes now. systemd's start takes as much
	   processor time as all before it; a short pause, a quarter of the time since power on,
	   lets the call go first on a slow machine and is nothing on a fast one. */
	poll(NULL, 0, (int)MIN(now_us() / 4000, UINT64_C(1000)));
}

static void notify_drain(int fd)
{
	char scrap[64];

	while (fd >= 0 && recv(fd, scrap, sizeof scrap, MSG_DONTWAIT) >= 0)
		;
}

static bool networked; /* by QubesDB, when it was last read */

/* configure runs every part even when one before it failed, except that nothing is mounted when
   the class of the qube is unknown. */
int early_configure(bool again)
{
	static const struct {
		const char *name;
		int (*fn)(struct early *q, struct err *e);
	} parts[] = {
		{ "address layout", early_addresses }, { "random seed", early_random_seed }, { "private volume", early_private }, { "bind-dirs", early_bind_dirs },
		{ "rc.local-early", early_rc_local }, { "host name", early_hostname },	   { "time zone", early_timezone },
	};
	struct early q = { .db = { .fd = -1 }, .again = again };
	struct err e = { 0 };
	char ip[64];
	int r = qdbc_open_wait(&q.db, QDB_SOCKET, READY_TIMEOUT_MS, &e), failed = 0;

	if (r >= 0)
		r = early_load(&q, &e);
	networked = r >= 0 && early_read(&q, "/qubes-ip", ip, sizeof ip, NULL) == 0;
	if (r >= 0 && again)
		r = early_forget(&e);
	if (r >= 0)
		r = early_sysinit(&q, &e);
	if (r < 0) {
		log_error("early configuration: %s", err_text(&e, r));
		early_unload(&q);
		qdbc_fini(&q.db);
		return 2;
	}
	if (again && clone_machine_id(&q, &e) < 0) {
		log_error("machine id: %s", e.msg);
		failed = 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		err_clear(&e);
		r = parts[i].fn(&q, &e);
		if (r < 0)
			log_error("%s: %s", parts[i].name, err_text(&e, r));
		failed |= r < 0;
	}
	early_unload(&q);
	qdbc_fini(&q.db);
	return failed;
}

/* ended notes a daemon's end and plans its restart. */
static void ended(struct daemon *d)
{
	int status = 0;

	if (proc_wait(&d->proc, 0, &status) < 0)
		return;
	log_warn("%s ended with code %d, starting it again", d->name, proc_exit_code(status));
	proc_fini(&d->proc);
	d->proc = PROC_INIT;
	if (now_us() - d->started_at_us > HEALTHY_US || !d->delay_us)
		d->delay_us = RESTART_DELAY_US;
	d->restart_at_us = now_us() + d->delay_us;
	d->delay_us = MIN(2 * d->delay_us, (uint64_t)RESTART_DELAY_MAX_US);
}

/* also: another moment to wake up at, 0 = none */
static int next_timeout(uint64_t also)
{
	uint64_t now = now_us(), best = also ? also : UINT64_MAX;

	for (size_t i = 0; i < D_N; i++)
		if (daemons[i].restart_at_us)
			best = MIN(best, daemons[i].restart_at_us);
	if (best == UINT64_MAX)
		return -1;
	return best <= now ? 0 : (int)((best - now) / 1000 + 1);
}

static void restart_due(void)
{
	for (size_t i = 0; i < D_N; i++) {
		struct daemon *d = &daemons[i];
		struct err e = { 0 };
		int r;

		if (!d->restart_at_us || d->restart_at_us > now_us())
			continue;
		d->restart_at_us = 0;
		r = daemon_start(d, &e);
		if (r < 0) {
			log_error("%s: %s", d->name, err_text(&e, r));
			d->restart_at_us = now_us() + RESTART_DELAY_MAX_US;
		}
	}
}

/* --- saved states ------------------------------------------------------------------------------------------------------- */

/* A source that is to be saved, from its boot until a clone of it has its identity. */
struct source {
	struct source_args args;
	bool system_ready, warmed, said_ready, done;
	int watch; /* inotify on /run/bulkhead; -1 */
	struct calm calm;
	uint64_t calm_until_us; /* 0 = not known yet, or over */
	struct proc post; /* the start scripts of a clone */
};

static void tell_agentd(char what)
{
	if (write_full(daemons[D_AGENTD].control, &what, 1) < 0)
		log_error("agentd does not listen");
}

/* What the first call would have to read from disk and to find out is done before the machine is saved, by the agent itself. */
static void source_system_ready(struct source *s)
{
	s->system_ready = true;
	fd_closep(&s->watch);
	prepared_make();
	if (daemons[D_QREXEC].proc.pid > 0 && kill(daemons[D_QREXEC].proc.pid, SIGUSR1) == 0)
		return;
	s->warmed = true;
}

/* A qube is mostly woken for a call. Until it was answered, what wakes up with it waits. */
static void others_wait(struct source *s)
{
	pid_t ours[D_N];
	size_t n = 0;

	for (size_t i = 0; i < D_N; i++)
		if (daemons[i].proc.pid > 0)
			ours[n++] = daemons[i].proc.pid;
	calm_begin(&s->calm, ours, n);
}

static void others_go(struct source *s)
{
	calm_end(&s->calm);
	s->calm_until_us = 0;
}

static void source_poll(struct source *s)
{
	char events[4096];

	if (!s->args.on || s->done || s->said_ready)
		return;
	if (s->watch >= 0)
		while (read(s->watch, events, sizeof events) > 0)
			;
	if (!s->system_ready && access("/run/bulkhead/system-ready", F_OK) == 0)
		source_system_ready(s);
	if (!s->warmed)
		return;
	s->said_ready = true;
	others_wait(s);
	tell_agentd(AGENTD_READY);
}

/* The user's start scripts of a clone: after its first call could be answered, as in a boot. */
static void run_post(struct source *s)
{
	static const char *const argv[] = { "boot", "post", NULL };
	const struct proc_spec p = { .path = "/proc/self/exe", .argv = argv, .keep_stderr = true, .new_session = true };
	struct err e = { 0 };

	if (proc_spawn(&s->post, &p, &e) < 0) {
		log_warn("start scripts: %s", e.msg);
		s->post = PROC_INIT;
	}
}

static void on_post(struct source *s)
{
	int status = 0;

	if (proc_wait(&s->post, 0, &status) < 0)
		return;
	proc_fini(&s->post);
	s->post = PROC_INIT;
}

static void on_control(struct source *s)
{
	char what;
	ssize_t n = read(daemons[D_AGENTD].control, &what, 1);

	if (n == 0)
		fd_closep(&daemons[D_AGENTD].control);
	if (n != 1 || what != AGENTD_WOKEN || !s->args.on || s->done)
		return;
	/* Without an identity this machine is nobody's: the host will notice that it does not answer, and boot another one. */
	if (early_configure(true) == 2) {
		others_go(s);
		return;
	}
	s->done = true;
	daemons[D_AGENTD].arg2 = NULL;
	tell_agentd(AGENTD_CONFIGURED);
	s->calm_until_us = now_us() + CALM_US;
	if (networked)
		calm_network(&s->calm);
	if (early_post_wanted())
		run_post(s);
}

static void source_start(struct source *s)
{
	struct err e = { 0 };

	s->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (s->watch >= 0 && inotify_add_watch(s->watch, "/run/bulkhead", IN_CREATE | IN_MOVED_TO) < 0)
		fd_closep(&s->watch);
	if (source_flags(&s->args, &e) < 0)
		log_error("flags: %s", e.msg);
}

/* --- the loop ----------------------------------------------------------------------------------------------------------- */

/* on_notice takes the words of daemons; the only one that matters is the agent's, that it has run what a first call needs. */
static void on_notice(int fd, struct source *s)
{
	char text[64];
	ssize_t n;

	while (fd >= 0 && (n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT)) >= 0) {
		text[n] = '\0';
		s->warmed |= streq(text, AGENT_WARM);
	}
}

/* watch keeps the daemons until SIGTERM, which systemd sends to everyone at the very end. */
static int watch(int sigfd, int notify, struct source *source)
{
	struct console console;

	if (console_open(&console) < 0)
		log_warn("no login on the console: %s", strerror(errno));
	for (;;) {
		struct pollfd p[D_N + 6] = { { .fd = sigfd, .events = POLLIN } };

		source_poll(source);
		for (size_t i = 0; i < D_N; i++)
			p[i + 1] = (struct pollfd){ .fd = daemons[i].proc.pidfd, .events = POLLIN };
		p[D_N + 1] = (struct pollfd){ .fd = notify, .events = POLLIN };
		console_pollfd(&console, &p[D_N + 2]);
		p[D_N + 3] = (struct pollfd){ .fd = daemons[D_AGENTD].control, .events = POLLIN };
		p[D_N + 4] = (struct pollfd){ .fd = source->watch, .events = POLLIN };
		p[D_N + 5] = (struct pollfd){ .fd = source->post.pidfd, .events = POLLIN };
		if (poll(p, D_N + 6, next_timeout(source->calm_until_us)) < 0 && errno != EINTR)
			return 1;
		if (p[D_N + 2].revents)
			console_event(&console);
		on_notice(notify, source);
		if (p[D_N + 3].revents)
			on_control(source);
		if (p[D_N + 5].revents)
			on_post(source);
		if (p[0].revents)
			break;
		for (size_t i = 0; i < D_N; i++)
			if (p[i + 1].revents)
				ended(&daemons[i]);
		restart_due();
		if (source->calm_until_us && now_us() >= source->calm_until_us)
			others_go(source);
	}
	for (size_t i = D_N; i-- > 0;)
		proc_fini(&daemons[i].proc);
	return 0;
}

/* A source's QubesDB comes with the clone: its daemon waits for it. */
static int bring_up_source(struct source *s)
{
	struct err e = { 0 };
	int r;

	daemons[D_AGENTD].arg2 = "--hold";
	r = daemon_bring_up(&daemons[D_AGENTD]);
	if (r >= 0)
		r = daemon_start(&daemons[D_QUBESDB], &e);
	if (r < 0)
		log_error("source: %s", err_text(&e, r));
	source_start(s);
	return daemon_bring_up(&daemons[D_QREXEC]);
}

static void bring_up(int notify)
{
	int r = daemon_bring_up(&daemons[D_AGENTD]);

	if (r >= 0)
		r = daemon_bring_up(&daemons[D_QUBESDB]);
	if (r >= 0)
		early_configure(false);
	notify_drain(notify);
	if (daemon_bring_up(&daemons[D_QREXEC]) >= 0)
		notify_wait(notify);
}

int supervise(int go_fd)
{
	struct source source = { .watch = -1, .post = PROC_INIT };
	sigset_t set;
	int sigfd, notify, r;
	struct err e = { 0 };

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigfd = signalfd(-1, &set, SFD_CLOEXEC);
	r = early_basics(&e);
	if (r < 0)
		log_error("%s", err_text(&e, r));
	notify = notify_open();
	daemons[D_AGENTD].arg = "--supervised";
	if (source_args(&source.args))
		(void)bring_up_source(&source);
	else
		bring_up(notify);
	/* Whatever happened, pid 1 goes on: a qube without calls can still be looked at from its
	   console. */
	if (write_full(go_fd, "g", 1) < 0)
		log_error("pid 1 does not listen");
	close(go_fd);
	return watch(sigfd, notify, &source);
}
