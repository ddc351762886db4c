/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One process a call. It is a fork without exec: the agent holds no secret and the process would only start the same program again,
 * which costs half of the time of an empty call. It resets signals and closes every descriptor of the agent first. One such process
 * always waits for the next call, so that the fork is done before the call comes.
 */
#include "agent.h"

#include <linux/close_range.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "qrexec/defaults.h"

#define CONNECT_TIMEOUT_MS 120000
#define HELLO_TIMEOUT_MS 120000
/* The next waiting process is made when a call ends, or this long after its start: not while the call is being started. */
#define SPARE_DELAY_MS 10

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

static _noreturn_ void call_main(uint32_t domain, uint32_t port, const char *command, size_t n, bool just_exec)
{
	struct journal j;
	struct err e = { 0 };
	struct serve v = {
		.service_path = path_list("QREXEC_SERVICE_PATH", QREXEC_GUEST_SERVICES),
		.config_path = path_list("QUBES_RPC_CONFIG_PATH", QREXEC_GUEST_CONFIGS),
		.command = command,
		.command_len = n,
		.just_exec = just_exec,
		.hello_timeout_ms = HELLO_TIMEOUT_MS,
		.identity = login_identity,
		.err_copy = journal_bytes,
		.arg = &j,
	};
	int chan, r;

	journal_init(&j, command, n);
	chan = chan_connect(NULL, domain, port, CONNECT_TIMEOUT_MS, &e);
	if (chan < 0) {
		log_warn("call on port %u: %s", port, err_text(&e, chan));
		_exit(1);
	}
	r = serve_call(chan, &v, &e);
	journal_fini(&j);
	if (r < 0)
		log_warn("call on port %u: %s", port, log_escs(err_text(&e, r)));
	close(chan);
	_exit(r < 0 ? 1 : 0);
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
	terminated(c->agent, c->domain, c->port);
	TAILQ_REMOVE(&c->agent->calls, c, link);
	c->agent->n_calls--;
	ev_io_free(c->io);
	close(c->pidfd);
	calls_prepare(c->agent);
	free(c);
}

/* The order that a waiting process gets: u32 domain, port, just_exec, then the command line. */
#define ORDER_HDR 12

static _noreturn_ void spare_main(int fd)
{
	static uint8_t buf[ORDER_HDR + QX_COMMAND_MAX];
	uint32_t domain, port, just_exec;
	const uint8_t *command;
	struct rd r;
	ssize_t n;
	size_t len;

	leave_agent(fd);
	do {
		n = recv(fd, buf, sizeof buf, 0);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		_exit(0); /* the agent has ended */
	close(fd);
	r = rd_mem(buf, (size_t)n);
	domain = rd_u32le(&r);
	port = rd_u32le(&r);
	just_exec = rd_u32le(&r);
	len = rd_left(&r);
	command = rd_view(&r, len);
	if (!rd_done(&r))
		_exit(1);
	call_main(domain, port, (const char *)command, len, just_exec != 0);
}

static int spare_fork(struct spare *s)
{
	int fds[2], r = unix_pair(SOCK_SEQPACKET, fds);

	if (r < 0)
		return r;
	s->pid = fork();
	if (s->pid == 0)
		spare_main(fds[1]);
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
	if (a->spare.fd < 0 && spare_fork(&a->spare) < 0)
		log_warn("fork: %s", strerror(errno));
}

static int give_order(struct agent *a, const struct qx_exec *x, bool just_exec)
{
	uint8_t hdr[ORDER_HDR];
	struct wr w = wr_mem(hdr, sizeof hdr);
	/* the text is only read */
	struct iovec iov[2] = { { hdr, sizeof hdr }, { (void *)(uintptr_t)x->command, x->command_len } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };

	wr_u32le(&w, x->domain);
	wr_u32le(&w, x->port);
	wr_u32le(&w, just_exec);
	return sendmsg(a->spare.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* A waiting process that somebody killed is replaced, once. */
static int hand_over(struct agent *a, const struct qx_exec *x, bool just_exec)
{
	int r = a->spare.fd < 0 ? -ENOENT : give_order(a, x, just_exec);

	if (r == 0)
		return 0;
	spare_fini(&a->spare);
	r = spare_fork(&a->spare);
	return r < 0 ? r : give_order(a, x, just_exec);
}

void calls_start(struct agent *a, const struct qx_exec *x, bool just_exec)
{
	int r = a->n_calls < CALLS_MAX ? hand_over(a, x, just_exec) : -EBUSY;
	struct call *c;

	if (r < 0) {
		log_warn("the call on port %u is dropped: %s", x->port, strerror(-r));
		terminated(a, x->domain, x->port);
		return;
	}
	c = xcalloc(1, sizeof *c);
	c->agent = a;
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
