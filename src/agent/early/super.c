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

#include "agent/early/early.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/str.h"

#define LIB_DIR "/usr/lib/bulkhead/"
#define READY_TIMEOUT_MS 60000
#define RESTART_DELAY_US 500000
#define RESTART_DELAY_MAX_US 30000000
#define HEALTHY_US 60000000
#define NOTIFY_PATH "/run/bulkhead/notify"
/* How long pid 1 waits for the host to take up the control channel: systemd's start would only
   slow the first call down. */
#define CONTROL_TIMEOUT_MS 2000

struct daemon {
	const char *name, *arg, *socket_dir, *socket_name;
	struct proc proc;
	uint64_t started_at_us, restart_at_us;	/* restart 0 = not waiting for one */
	uint64_t delay_us;			/* of the next restart; doubles while the daemon lives only briefly */
};

enum { D_AGENTD, D_QUBESDB, D_QREXEC, D_N };

static struct daemon daemons[D_N] = {
	[D_AGENTD] = { .name = "agentd", .socket_dir = "/run/bulkhead", .socket_name = "link.sock", .proc.pidfd = -1 },
	[D_QUBESDB] = { .name = "qubesdb-daemon", .arg = "0", .socket_dir = "/run/qubes", .socket_name = "qubesdb.sock",
			.proc.pidfd = -1 },
	[D_QREXEC] = { .name = "qrexec-agent", .socket_dir = "/run/qubes", .socket_name = "qrexec-agent", .proc.pidfd = -1 },
};

static int daemon_start(struct daemon *d, struct err *e)
{
	char path[96];
	const char *const argv[] = { d->name, d->arg, NULL };
	static const char *const envp[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
					    "NOTIFY_SOCKET=" NOTIFY_PATH, NULL };
	const struct proc_spec s = { .path = path, .argv = argv, .envp = envp, .keep_stderr = true, .new_session = true };

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

/* configure runs every part even when one before it failed, except that nothing is mounted when
   the class of the qube is unknown. */
int early_configure(bool again)
{
	static const struct {
		const char *name;
		int (*fn)(struct early *q, struct err *e);
	} parts[] = {
		{ "random seed", early_random_seed }, { "private volume", early_private }, { "bind-dirs", early_bind_dirs },
		{ "rc.local-early", early_rc_local }, { "host name", early_hostname },	   { "time zone", early_timezone },
	};
	struct early q = { .db = { .fd = -1 } };
	struct err e = { 0 };
	int r = qdbc_open_wait(&q.db, QDB_SOCKET, READY_TIMEOUT_MS, &e), failed = 0;

	if (r >= 0 && again)
		r = early_forget(&e);
	if (r >= 0)
		r = early_sysinit(&q, &e);
	if (r < 0) {
		log_error("early configuration: %s", err_text(&e, r));
		qdbc_fini(&q.db);
		return 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		err_clear(&e);
		r = parts[i].fn(&q, &e);
		if (r < 0)
			log_error("%s: %s", parts[i].name, err_text(&e, r));
		failed |= r < 0;
	}
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

static int next_timeout(void)
{
	uint64_t now = now_us(), best = UINT64_MAX;

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

/* watch keeps the daemons until SIGTERM, which systemd sends to everyone at the very end. */
static int watch(int sigfd, int notify)
{
	struct console console;

	if (console_open(&console) < 0)
		log_warn("no login on the console: %s", strerror(errno));
	for (;;) {
		struct pollfd p[D_N + 3] = { { .fd = sigfd, .events = POLLIN } };

		for (size_t i = 0; i < D_N; i++)
			p[i + 1] = (struct pollfd){ .fd = daemons[i].proc.pidfd, .events = POLLIN };
		p[D_N + 1] = (struct pollfd){ .fd = notify, .events = POLLIN };
		console_pollfd(&console, &p[D_N + 2]);
		if (poll(p, D_N + 3, next_timeout()) < 0 && errno != EINTR)
			return 1;
		if (p[D_N + 2].revents)
			console_event(&console);
		notify_drain(notify);
		if (p[0].revents)
			break;
		for (size_t i = 0; i < D_N; i++)
			if (p[i + 1].revents)
				ended(&daemons[i]);
		restart_due();
	}
	for (size_t i = D_N; i-- > 0;)
		proc_fini(&daemons[i].proc);
	return 0;
}

int supervise(int go_fd)
{
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
	r = daemon_bring_up(&daemons[D_AGENTD]);
	if (r >= 0)
		r = daemon_bring_up(&daemons[D_QUBESDB]);
	if (r >= 0)
		early_configure(false);
	notify_drain(notify);
	if (daemon_bring_up(&daemons[D_QREXEC]) >= 0)
		notify_wait(notify);
	/* Whatever happened, pid 1 goes on: a qube without calls can still be looked at from its
	   console. */
	if (write_full(go_fd, "g", 1) < 0)
		log_error("pid 1 does not listen");
	close(go_fd);
	return watch(sigfd, notify);
}
