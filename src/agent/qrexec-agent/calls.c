/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One process a call. It is a fork without exec: the agent holds no secret and the process would only start the same program again,
 * which costs half of the time of an empty call. It resets signals and closes every descriptor of the agent first. One such process
 * always waits for the next call, so that the fork is done before the call comes.
 */
#include "agent.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <malloc.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "proto/supervise.h"
#include "qrexec/defaults.h"
#include "qrexec/warm.h"

#define MEMINFO_PID "/run/meminfo-writer.pid"
#define CONNECT_TIMEOUT_MS 120000
#define HELLO_TIMEOUT_MS 120000
/* The next waiting process is made when a call ends, or this long after its start: not while the call is being started. */
#define SPARE_DELAY_MS 100
/* In place of a message's type: a call by calls_warm. */
#define WARM_TYPE 0u

static const char *path_list(const char *variable, const char *fallback)
{
	const char *s = secure_getenv(variable);

	return s && *s ? s : fallback;
}

/* The event loop's handlers write to descriptors that are about to be closed. Keeps fd, at any number above 2. */
static void leave_agent(int fd)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < 65; i++)
		if (i != SIGKILL && i != SIGSTOP)
			(void)sigaction(i, &dfl, NULL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (fd > 3)
		syscall(SYS_close_range, 3U, (unsigned)fd - 1, 0U);
	syscall(SYS_close_range, (unsigned)fd + 1, ~0U, 0U);
}

/* What the parts of serve.h are given. */
struct task {
	const struct agent *agent; /* as it was when this process was made */
	struct forward place;
	struct journal journal;
};

static void err_copy(void *arg, const uint8_t *p, size_t n)
{
	struct task *t = arg;

	journal_bytes(&t->journal, p, n);
}

static int open_channel(void *arg, struct err *e)
{
	const struct task *t = arg;

	return chan_connect(NULL, t->place.domain, t->place.port, CONNECT_TIMEOUT_MS, e);
}

static int forward(void *arg, const struct user *u, const struct qx_command *c, int chan, uint32_t version)
{
	const struct task *t = arg;

	/* a call that nobody makes has a channel of its own, which no other process could open */
	return t->agent->fork_server && t->place.port ? forward_call(t->agent->fork_server, &t->place, u, c, chan, version) : 0;
}

/* Where our services' programs are: where the package has them, or beside this program in a build folder. */
static const char *own_dir(void)
{
	static char out[PATH_MAX];
	ssize_t n;

	if (out[0])
		return out;
	n = chan_is_unix() ? readlink("/proc/self/exe", out, sizeof out - 1) : -1;

	if (n <= 0)
		return "/usr/lib/qubes";
	out[n] = '\0';
	*strrchr(out, '/') = '\0';
	return out;
}

static _noreturn_ void call_by(const struct agent *a, const struct forward *place, const char *command, size_t n, int (*open)(void *, struct err *))
{
	struct task t = { .agent = a, .place = *place };
	struct err e = { 0 };
	struct serve v = {
		.service_path = path_list("QREXEC_SERVICE_PATH", QREXEC_GUEST_SERVICES),
		.config_path = path_list("QUBES_RPC_CONFIG_PATH", QREXEC_GUEST_CONFIGS),
		.command = command,
		.command_len = n,
		.just_exec = place->type == QX_JUST_EXEC,
		.own_dir = own_dir(),
		.hello_timeout_ms = HELLO_TIMEOUT_MS,
		.open = open,
		.forward = forward,
		.identity = login_identity,
		.err_copy = err_copy,
		.arg = &t,
	};
	int r;

	journal_init(&t.journal, command, n);
	r = serve_call(-1, &v, &e);
	journal_fini(&t.journal);
	if (r < 0)
		log_warn("call on port %u: %s", place->port, log_escs(err_text(&e, r)));
	_exit(r < 0 ? 1 : 0);
}

/* --- calls that nobody makes ----------------------------------------------------------------------------------------------------- */

/* The channel of such a call: its caller has said all that it has to say, and nobody reads the answer. */
static int warm_channel(void *arg, struct err *e)
{
	static const char text[] = "true\n";
	uint8_t buf[128];
	struct wr w = wr_mem(buf, sizeof buf);
	int fds[2], r = unix_pair(SOCK_STREAM, fds);

	if (r < 0)
		return r;
	qx_put_hello(&w, QX_VERSION);
	qx_put_hdr(&w, QX_DATA_STDIN, sizeof text - 1);
	wr_bytes(&w, text, sizeof text - 1);
	qx_put_hdr(&w, QX_DATA_STDIN, 0);
	/* The other end stays open as long as this process, which serves one call. */
	r = wr_ok(&w) ? write_full(fds[1], w.buf, w.len) : -EMSGSIZE;
	return r < 0 ? err_errno(e, -r, "own channel") : fds[0];
}

static _noreturn_ void warm_main(const struct agent *a, const char *command, size_t n)
{
	const struct forward nowhere = { .type = QX_EXEC_CMDLINE };

	call_by(a, &nowhere, command, n, warm_channel);
}

static void warmed(struct agent *a)
{
	if (--a->warming == 0)
		notify(AGENT_WARM);
}

static void warm_one(struct agent *a, const char *command)
{
	const struct qx_exec x = { .command = command, .command_len = strlen(command) };

	a->warming++;
	calls_start(a, &x, WARM_TYPE);
}

void calls_warm(struct agent *a)
{
	_cleanup_free_ char *command = NULL;
	struct user u;

	if (a->warming)
		return;
	if (user_by_uid(&u, "/etc", MAIN_UID, NULL) == 0)
		command = xasprintf("%s:QUBESRPC qubes.VMShell dom0", u.name);
	/* Both are counted before the first can end. */
	a->warming = 1;
	warm_one(a, "root:true");
	if (command)
		warm_one(a, command);
	warmed(a);
}

static void terminated(struct agent *a, uint32_t domain, uint32_t port)
{
	uint8_t buf[QX_HDR_LEN + QX_PARAMS_LEN];
	struct wr w = wr_mem(buf, sizeof buf);

	qx_put_params(&w, QX_CONNECTION_TERMINATED, domain, port, NULL, 0);
	control_send(a, &w);
}

static void on_end(struct ev_io *io, int fd, int events, void *arg)
{
	struct call *c = arg;
	siginfo_t si;

	if (waitid(P_PIDFD, (id_t)c->pidfd, &si, WEXITED | WNOHANG) < 0 && errno == EINTR)
		return;
	if (c->warm)
		warmed(c->agent);
	else
		terminated(c->agent, c->domain, c->port);
	TAILQ_REMOVE(&c->agent->calls, c, link);
	c->agent->n_calls--;
	ev_io_free(c->io);
	close(c->pidfd);
	calls_prepare(c->agent);
	free(c);
}

/* The order that a waiting process gets: u32 domain, port, message type, then the command line. */
#define ORDER_HDR 12
#define SPARE_HEAP (512 * 1024)

static _noreturn_ void spare_main(const struct agent *a, int fd)
{
	static uint8_t buf[ORDER_HDR + QX_COMMAND_MAX];
	struct forward place = { 0 };
	const uint8_t *command;
	struct rd r;
	ssize_t n;
	size_t len;

	leave_agent(fd);
	/* what is freed is used again within the millisecond: giving it back and taking it again costs a tenth of a call */
	(void)mallopt(M_TRIM_THRESHOLD, INT_MAX);
	(void)mallopt(M_TOP_PAD, SPARE_HEAP);
	(void)own_dir();
	buf[0] = 0;
	warm_up(path_list("QREXEC_SERVICE_PATH", QREXEC_GUEST_SERVICES), path_list("QUBES_RPC_CONFIG_PATH", QREXEC_GUEST_CONFIGS));
	do {
		n = recv(fd, buf, sizeof buf, 0);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		_exit(0); /* the agent has ended */
	close(fd);
	r = rd_mem(buf, (size_t)n);
	place.domain = rd_u32le(&r);
	place.port = rd_u32le(&r);
	place.type = rd_u32le(&r);
	len = rd_left(&r);
	command = rd_view(&r, len);
	if (!rd_done(&r))
		_exit(1);
	if (place.type == WARM_TYPE)
		warm_main(a, (const char *)command, len);
	call_by(a, &place, (const char *)command, len, open_channel);
}

static int spare_fork(struct agent *a)
{
	struct spare *s = &a->spare;
	int fds[2], r = unix_pair(SOCK_SEQPACKET, fds);

	if (r < 0)
		return r;
	s->pid = fork();
	if (s->pid == 0)
		spare_main(a, fds[1]);
	close(fds[1]);
	if (s->pid < 0) {
		r = -errno;
		close(fds[0]);
		return r;
	}
	s->fd = fds[0];
	s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
	if (s->pidfd >= 0)
		return 0;
	/* without the descriptor its end would never be seen */
	r = -errno;
	kill(s->pid, SIGKILL);
	(void)waitpid(s->pid, NULL, 0);
	fd_closep(&s->fd);
	return r;
}

static void spare_fini(struct spare *s)
{
	if (s->fd < 0)
		return;
	fd_closep(&s->fd);
	(void)waitpid(s->pid, NULL, 0);
	fd_closep(&s->pidfd);
}

static void on_spare_timer(struct ev_timer *t, void *arg)
{
	calls_prepare(arg);
}

void calls_prepare(struct agent *a)
{
	if (!a->spare_timer)
		a->spare_timer = ev_timer_new(a->loop, on_spare_timer, a);
	if (a->spare.fd < 0 && spare_fork(a) < 0)
		log_warn("fork: %s", strerror(errno));
}

static int give_order(struct agent *a, const struct qx_exec *x, uint32_t type)
{
	uint8_t hdr[ORDER_HDR];
	struct wr w = wr_mem(hdr, sizeof hdr);
	/* the text is only read */
	struct iovec iov[2] = { { hdr, sizeof hdr }, { (void *)(uintptr_t)x->command, x->command_len } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };

	wr_u32le(&w, x->domain);
	wr_u32le(&w, x->port);
	wr_u32le(&w, type);
	return sendmsg(a->spare.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* A waiting process that somebody killed is replaced, once. */
static int hand_over(struct agent *a, const struct qx_exec *x, uint32_t type)
{
	int r = a->spare.fd < 0 ? -ENOENT : give_order(a, x, type);

	if (r == 0)
		return 0;
	spare_fini(&a->spare);
	r = spare_fork(a);
	return r < 0 ? r : give_order(a, x, type);
}

/* meminfo-writer reports nothing until the qube is used: it is told so by the first call. */
static void wake_meminfo(struct agent *a)
{
	_cleanup_free_ char *text = NULL;
	uint64_t pid;
	size_t n;

	if (a->woken || chan_is_unix() || geteuid() != 0)
		return;
	a->woken = true;
	if (fs_read(AT_FDCWD, MEMINFO_PID, 32, &text, &n, NULL) < 0)
		return;
	text[strcspn(text, "\n")] = 0;
	if (str_u64(text, INT32_MAX, &pid) == 0 && pid > 1)
		(void)kill((pid_t)pid, SIGUSR1);
}

void calls_start(struct agent *a, const struct qx_exec *x, uint32_t type)
{
	int r = a->n_calls < CALLS_MAX ? hand_over(a, x, type) : -EBUSY;
	struct call *c;

	if (type != WARM_TYPE)
		wake_meminfo(a);
	if (r < 0 && type == WARM_TYPE) {
		warmed(a);
		return;
	}
	if (r < 0) {
		log_warn("the call on port %u is dropped: %s", x->port, strerror(-r));
		terminated(a, x->domain, x->port);
		return;
	}
	c = xcalloc(1, sizeof *c);
	c->agent = a;
	c->warm = type == WARM_TYPE;
	c->domain = x->domain;
	c->port = x->port;
	c->pidfd = STEAL_FD(a->spare.pidfd);
	fd_closep(&a->spare.fd);
	c->io = ev_io_new(a->loop, c->pidfd, EV_READ, on_end, c);
	if (!c->io)
		abort(); /* a new pidfd can always be watched */
	TAILQ_INSERT_TAIL(&a->calls, c, link);
	a->n_calls++;
	ev_timer_start(a->spare_timer, SPARE_DELAY_MS);
}
