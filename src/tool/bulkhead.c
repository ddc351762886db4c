/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bulkhead start|stop|status|restart: the daemon of one instance. start puts qubesd into the background and waits for its ready byte;
 * stop shuts the qubes down, then ends the daemon.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/paths.h"
#include "base/proc.h"
#include "policyfile/dirs.h"
#include "tool/eol_notes.h"
#include "tool/util.h"

#define READY_SECONDS 60
#define END_SECONDS 60

enum { KEY_NO_VMS = 310 };

static const struct tool_opt opts[] = {
	{ KEY_NO_VMS, "no-vms", NULL, "start: refuse to start qubes; needs no virtual machines on this host", 0, W_ANY },
	OPT_JSON,
	{ 0 },
};

static const struct tool_sub subs[] = {
	{ "start", "", "start the daemon in the background and wait until it serves" },
	{ "stop", "", "shut all qubes down, then end the daemon" },
	{ "restart", "", "end the daemon and start it again; running qubes go on" },
	{ "status", "", "show the daemon, its qubes and what keeps them apart" },
	{ 0 },
};

static const struct tool_exit exits[] = {
	{ 3, "status: the daemon is not running" },
	{ 0, NULL },
};

static const char *where(void)
{
	return paths_system_mode() ? "the system" : paths_root();
}

/* The process at the other end of the socket is the daemon: its pid, or -errno. */
static int daemon_pid(pid_t *ret)
{
	_cleanup_fd_ int fd = unix_connect(path_get(PATH_QUBESD_SOCK), SOCK_STREAM, NULL);
	struct ucred uc = { 0 };
	socklen_t len = sizeof uc;

	if (fd < 0)
		return fd;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &uc, &len) < 0)
		return -errno;
	*ret = uc.pid;
	return 0;
}

/* The listener is the supervisor or its child --core, depending on who bound the socket: the one to end is the one that is called
   qubesd and has no parent of that name. */
static pid_t supervisor_of(pid_t pid)
{
	for (int depth = 0; depth < 3; depth++) {
		char path[64], comm[32] = "";
		_cleanup_free_ char *stat = NULL;
		const char *rest;
		uint64_t ppid = 0;
		char num[24];
		size_t n = 0;

		if (str_printf(path, sizeof path, "/proc/%d/stat", (int)pid) < 0 || fs_read(AT_FDCWD, path, 4096, &stat, &n, NULL) < 0)
			return pid;
		rest = strrchr(stat, ')');
		if (!rest || strlen(rest) < 5)
			return pid;
		n = strcspn(rest + 4, " ");
		if (str_printf(num, sizeof num, "%.*s", (int)n, rest + 4) < 0 || str_u64(num, INT32_MAX, &ppid) < 0 || ppid <= 1)
			return pid;
		if (str_printf(path, sizeof path, "/proc/%d/comm", (int)ppid) < 0)
			return pid;
		free(STEAL_PTR(stat));
		if (fs_read(AT_FDCWD, path, sizeof comm - 1, &stat, &n, NULL) < 0 || !str_starts(stat, "qubesd"))
			return pid;
		pid = (pid_t)ppid;
	}
	return pid;
}

static int wait_ready(int fd, struct proc *p)
{
	struct pollfd pfd[2] = { { .fd = fd, .events = POLLIN }, { .fd = p->pidfd, .events = POLLIN } };
	uint64_t end = now_us() + READY_SECONDS * 1000000ull;
	char byte;

	for (;;) {
		uint64_t now = now_us();
		int n = poll(pfd, 2, now >= end ? 0 : (int)((end - now) / 1000) + 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ETIMEDOUT;
		if (pfd[0].revents)
			return read(fd, &byte, 1) == 1 ? 0 : -EPIPE;
		return -ECHILD;
	}
}

/* What the daemon said since its log had from bytes: the last error, else the last line. */
static void last_words(char *out, size_t cap, const char *path, size_t from)
{
	_cleanup_free_ char *text = NULL;
	const char *best = NULL, *last = NULL;
	size_t n = 0;
	char *p;

	if (fs_read(AT_FDCWD, path, 64u << 20, &text, &n, NULL) < 0 || n <= from) {
		(void)str_escape(out, cap, "it said nothing", strlen("it said nothing"));
		return;
	}
	for (p = text + from; *p;) {
		char *nl = strchrnul(p, '\n');
		char *error;
		bool end = !*nl;

		*nl = '\0';
		last = *p ? p : last;
		error = strstr(p, " error: ");
		best = error ? error + strlen(" error: ") : best;
		if (end)
			break;
		p = nl + 1;
	}
	best = best ? best : last ? last : "it said nothing";
	(void)str_escape(out, cap, best, strlen(best));
}

static int start(struct tool *t)
{
	char program[PATH_MAX], log[PATH_MAX], line[300] = "";
	_cleanup_proc_ struct proc p = PROC_INIT;
	_cleanup_fd_ int rd = -1, wr = -1, out = -1;
	struct err e = { 0 };
	int fds[2], r;
	off_t said;
	pid_t pid;

	if (daemon_pid(&pid) == 0) {
		tool_note(t, "qubesd is running already for '%s' (pid %d)", where(), (int)supervisor_of(pid));
		return 0;
	}
	r = paths_make(&e);
	if (r < 0)
		return tool_fail(t, "%s", err_text(&e, r));
	out = open(path_fmt(log, PATH_LOG, "/qubesd.log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (out < 0)
		return tool_fail(t, "opening '%s': %s", log, strerror(errno));
	said = lseek(out, 0, SEEK_END);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return tool_fail(t, "pipe: %s", strerror(errno));
	rd = fds[0];
	wr = fds[1];
	{
		const char *argv[9] = { "qubesd", "--foreground", "--ready-fd", "3" };
		const char *path = path_program(program, "qubesd");
		size_t n = 4;

		if (!paths_system_mode()) {
			argv[n++] = "--root";
			argv[n++] = paths_root();
		}
		if (opt_has(t, KEY_NO_VMS))
			argv[n++] = "--no-vms";
		r = proc_spawn(&p,
			       &(struct proc_spec){ .path = path, .argv = argv, .envp = (const char *const *)(void *)environ,
						    .fds = { { out, 1 }, { out, 2 }, { wr, 3 } }, .n_fds = 3, .new_session = true },
			       &e);
	}
	if (r < 0)
		return tool_fail(t, "starting qubesd: %s", err_text(&e, r));
	fd_closep(&wr);
	r = wait_ready(rd, &p);
	if (r < 0) {
		last_words(line, sizeof line, log, said > 0 ? (size_t)said : 0);
		return tool_fail(t, "qubesd did not become ready: %s (its log: '%s')", line, log);
	}
	tool_note(t, "qubesd serves '%s' (pid %d)", where(), (int)p.pid);
	eol_host(eol_warn, t);
	eol_templates(eol_warn, t);
	/* It is to outlive this tool: forgotten, not ended. */
	fd_closep(&p.pidfd);
	p.pid = 0;
	return 0;
}

static int end_daemon(struct tool *t, pid_t pid)
{
	struct proc p = { .pid = 0, .pidfd = (int)syscall(SYS_pidfd_open, pid, 0) };
	struct pollfd pfd = { .fd = p.pidfd, .events = POLLIN };
	int r;

	if (p.pidfd < 0)
		return errno == ESRCH ? 0 : tool_fail(t, "qubesd (pid %d): %s", (int)pid, strerror(errno));
	r = (int)syscall(SYS_pidfd_send_signal, p.pidfd, SIGTERM, NULL, 0);
	if (r < 0 && errno != ESRCH) {
		r = tool_fail(t, "ending qubesd (pid %d): %s", (int)pid, strerror(errno));
		close(p.pidfd);
		return r;
	}
	do
		r = poll(&pfd, 1, END_SECONDS * 1000);
	while (r < 0 && errno == EINTR);
	close(p.pidfd);
	if (r == 0)
		return tool_fail(t, "qubesd (pid %d) has not ended after %d s", (int)pid, END_SECONDS);
	return 0;
}

static int running_qubes(struct adm_qubes *q, struct bulk_call **ret, const char *method, const char *arg)
{
	size_t n = 0;

	*ret = xcalloc(q->n + 1, sizeof **ret);
	for (size_t i = 0; i < q->n; i++)
		if (!streq(q->v[i].cls, "AdminVM") && !streq(q->v[i].cls, "RemoteVM") && !streq(q->v[i].state, "Halted"))
			(*ret)[n++] = (struct bulk_call){ .dest = q->v[i].name, .method = method, .arg = arg };
	return (int)n;
}

static int shut_qubes(struct tool *t)
{
	struct adm_qubes q;
	struct bulk_call *calls = NULL;
	struct err e = { 0 };
	int r = adm_qubes_get(&q, "dom0", &e), n, failed = 0;

	if (r < 0)
		return tool_api(t, r, &e);
	n = running_qubes(&q, &calls, "admin.vm.Shutdown", "force+wait");
	if (n > 0)
		tool_note(t, "shutting down %d qube%s", n, n == 1 ? "" : "s");
	calls_run(calls, (size_t)n, NULL, NULL);
	for (int i = 0; i < n; i++)
		if (calls[i].r < 0 && !adm_is_not_started(calls[i].r)) {
			tool_note(t, "'%s' did not shut down (%s); killing it", calls[i].dest, err_text(&calls[i].e, calls[i].r));
			r = adm_void(calls[i].dest, "admin.vm.Kill", NULL, NULL, &e);
			failed += r < 0 && !adm_is_not_started(r);
		}
	calls_fini(calls, (size_t)n);
	free(calls);
	adm_qubes_fini(&q);
	return failed ? tool_fail(t, "%d qubes could not be ended", failed) : 0;
}

static int stop(struct tool *t, bool qubes)
{
	pid_t pid;
	int r = daemon_pid(&pid);

	if (r < 0) {
		tool_note(t, "qubesd is not running for '%s'", where());
		return 0;
	}
	if (qubes)
		r = shut_qubes(t);
	if (r != 0)
		return r;
	return end_daemon(t, supervisor_of(pid));
}

/* Who answers questions of the policy: the window, the terminal, or nobody. */
static const char *prompt_kind(pid_t *ret)
{
	_cleanup_fd_ int fd = unix_connect(path_get(PATH_PROMPT_SOCK), SOCK_STREAM | SOCK_NONBLOCK, NULL);
	_cleanup_free_ char *comm = NULL;
	struct ucred uc = { 0 };
	socklen_t len = sizeof uc;
	char path[64];
	size_t n;

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &uc, &len) < 0)
		return NULL;
	*ret = uc.pid;
	if (str_printf(path, sizeof path, "/proc/%d/comm", (int)uc.pid) < 0 || fs_read(AT_FDCWD, path, 64, &comm, &n, NULL) < 0)
		return "unknown";
	return str_starts(comm, "qvm-policy-ask") ? "terminal" : "window";
}

/* With an error in it every call is refused: NULL, or where and what. */
static const char *policy_error(struct err *e)
{
	struct pf_dirs dirs = { 0 };
	struct policy *p = NULL;
	int r;

	pf_dirs_default(&dirs);
	r = pf_load(&p, &dirs, e);
	if (r == 0)
		policy_free(p);
	pf_dirs_fini(&dirs);
	return r < 0 ? err_text(e, r) : NULL;
}

static int status(struct tool *t)
{
	struct err policy_why = { 0 };
	struct json j = { 0 };
	struct adm_qubes q = { 0 };
	struct err e = { 0 };
	size_t up = 0;
	pid_t pid = 0;
	pid_t prompt_pid = 0;
	const char *prompt = prompt_kind(&prompt_pid);
	bool emu = emulated_here(), runs = daemon_pid(&pid) == 0;
	/* an instance that never ran has no policy yet */
	const char *broken = runs ? policy_error(&policy_why) : NULL;
	int r = runs ? adm_qubes_get(&q, "dom0", &e) : 0;

	if (r < 0)
		return tool_api(t, r, &e);
	for (size_t i = 0; i < q.n; i++)
		up += !streq(q.v[i].state, "Halted") && !streq(q.v[i].cls, "AdminVM") && !streq(q.v[i].cls, "RemoteVM");
	if (opt_has(t, KEY_JSON)) {
		json_open(&j, NULL, '{');
		json_str(&j, "root", paths_root());
		json_bool(&j, "running", runs);
		if (runs) {
			json_int(&j, "pid", supervisor_of(pid));
			json_int(&j, "qubes", (int64_t)q.n - 1);
			json_int(&j, "running_qubes", (int64_t)up);
		}
		json_str(&j, "prompt", prompt ? prompt : "none");
		json_str(&j, "policy_error", broken);
		json_str(&j, "accelerator", emu ? "tcg" : "kvm");
		json_bool(&j, "isolated", !emu);
		json_close(&j, '}');
	} else if (runs) {
		printf("qubesd       running, pid %d\n", (int)supervisor_of(pid));
		printf("instance     %s\n", where());
		printf("qubes        %zu, %zu running\n", q.n ? q.n - 1 : 0, up);
		printf("accelerator  %s\n", emu ? "tcg: " EMULATED_TEXT : "kvm");
	} else {
		printf("qubesd       not running; start it with 'bulkhead start'\n");
		printf("instance     %s\n", where());
		printf("accelerator  %s\n", emu ? "tcg: " EMULATED_TEXT : "kvm");
	}
	if (!opt_has(t, KEY_JSON) && prompt)
		printf("prompt       %s, pid %d\n", prompt, (int)prompt_pid);
	else if (!opt_has(t, KEY_JSON))
		printf("prompt       none: rules that say ask refuse; start qrexec-policy-agent, or qvm-policy-ask in a terminal\n");
	if (!opt_has(t, KEY_JSON) && broken)
		printf("policy       has an error, every call is refused: %s\n", broken);
	adm_qubes_fini(&q);
	return runs ? 0 : 3;
}

static int run(struct tool *t, int argc, char **argv)
{
	if (streq(argv[0], "start"))
		return start(t);
	if (streq(argv[0], "stop"))
		return stop(t, true);
	if (streq(argv[0], "status"))
		return status(t);
	if (streq(argv[0], "restart")) {
		int r = stop(t, false);

		return r ? r : start(t);
	}
	return tool_usage(t, "no such command: '%s'; there are start, stop, restart, status", argv[0]);
}

const struct verb verb_bulkhead = {
	.name = "bulkhead",
	.summary = "start, stop or show the daemon of this instance",
	.args = "start|stop|restart|status",
	.opts = opts,
	.subs = subs,
	.exits = exits,
	.words = { W_SUB },
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
