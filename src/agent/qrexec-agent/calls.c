/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One process a call. It is a fork without exec: the agent holds no secret and the process would only start the same program again,
 * which costs half of the time of an empty call. It resets signals and closes every descriptor of the agent first.
 */
#include "agent.h"

#include <linux/close_range.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/str.h"
#include "qrexec/defaults.h"

#define CONNECT_TIMEOUT_MS 120000
#define HELLO_TIMEOUT_MS 120000

static const char *path_list(const char *variable, const char *fallback)
{
	const char *s = secure_getenv(variable);

	return s && *s ? s : fallback;
}

/* The event loop's handlers write to descriptors that are about to be closed. */
static void leave_agent(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int i = 1; i < 65; i++)
		if (i != SIGKILL && i != SIGSTOP)
			(void)sigaction(i, &dfl, NULL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	syscall(SYS_close_range, 3U, ~0U, 0U);
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

	leave_agent();
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
	free(c);
}

void calls_start(struct agent *a, const struct qx_exec *x, bool just_exec)
{
	struct call *c;
	pid_t pid;

	if (a->n_calls >= CALLS_MAX) {
		log_warn("too many calls: one on port %u is dropped", x->port);
		terminated(a, x->domain, x->port);
		return;
	}
	pid = fork();
	if (pid == 0)
		call_main(x->domain, x->port, x->command, x->command_len, just_exec);
	if (pid < 0) {
		log_error("fork: %s", strerror(errno));
		terminated(a, x->domain, x->port);
		return;
	}
	c = xcalloc(1, sizeof *c);
	c->agent = a;
	c->pid = pid;
	c->domain = x->domain;
	c->port = x->port;
	c->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	c->io = c->pidfd >= 0 ? ev_io_new(a->loop, c->pidfd, EV_READ, on_end, c) : NULL;
	if (!c->io) {
		/* without the descriptor its end would never be seen: end it now */
		log_error("cannot watch a call: %s", strerror(errno));
		kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		fd_closep(&c->pidfd);
		free(c);
		terminated(a, x->domain, x->port);
		return;
	}
	TAILQ_INSERT_TAIL(&a->calls, c, link);
	a->n_calls++;
}
