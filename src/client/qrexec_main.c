/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qrexec-client: a call from dom0, with the options of the reference's program. */
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/paths.h"
#include "base/proc.h"
#include "base/str.h"
#include "chan/chan.h"
#include "client/admin.h"
#include "client/qrexec.h"
#include "proto/qrexec.h"

#define DOM0_CONNECT_MS 5000
#define EXIT_SETUP 137

extern char **environ;

struct options {
	struct qrexec_call call;
	struct qrexec_request request;
	const char *local;
	bool answer, no_exit_code, wait_end, kill;
};

static void usage(FILE *f, const char *name)
{
	fprintf(f,
		"usage: %s [options] -d QUBE USER:COMMAND\n"
		"  -d NAME                name, id, or uuid:… of the qube; dom0 for a local command\n"
		"  -l PROGRAM             connect a local program instead of standard input and output\n"
		"  -e                     start the command and do not connect it\n"
		"  -c IDENT,NAME,ID       answer the request IDENT of qube NAME with this id\n"
		"  -E, --no-exit-code     exit with 0 whatever the command's code was\n"
		"  -p, --prefix-data=TEXT send TEXT before the input\n"
		"  -t                     replace control and other bytes in what is printed\n"
		"  -T                     the same for error output\n"
		"  -w SECONDS             wait so long for the data connection (%d; 0 = for ever)\n"
		"  -W                     wait for the end of a call between qubes\n"
		"  -k                     kill the qube at the end\n"
		"  --socket-dir=DIR       where the daemons' sockets are\n"
		"  --use-stdin-socket     standard input is a socket for both directions\n"
		"  -h, --help             this text\n"
		"At most one of -e, -l and -c.\n",
		name, QREXEC_WAIT_DEFAULT_S);
}

enum { OPT_SOCKET_DIR = 256, OPT_STDIN_SOCKET };

static const struct option long_options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ "no-exit-code", no_argument, NULL, 'E' },
	{ "prefix-data", required_argument, NULL, 'p' },
	{ "socket-dir", required_argument, NULL, OPT_SOCKET_DIR },
	{ "use-stdin-socket", no_argument, NULL, OPT_STDIN_SOCKET },
	{ NULL, 0, NULL, 0 },
};

/* "ident,name,id" is taken apart in place. */
static bool set_request(struct options *o, char *s)
{
	char *name = strchr(s, ','), *id = name ? strchr(name + 1, ',') : NULL;
	uint64_t v;

	if (!id || o->answer)
		return false;
	*name++ = 0;
	*id++ = 0;
	if (str_u64(id, UINT32_MAX, &v) < 0)
		return false;
	o->request = (struct qrexec_request){ s, name, (uint32_t)v };
	o->answer = true;
	return true;
}

static bool set_wait(struct options *o, const char *s)
{
	uint64_t v;

	if (str_u64(s, 86400, &v) < 0)
		return false;
	o->call.wait_s = v ? (int)v : -1;
	return true;
}

static bool set_option(struct options *o, int c)
{
	switch (c) {
	case 'd':
		o->call.qube = optarg;
		return true;
	case 'l':
		o->local = optarg;
		return true;
	case 'e':
		o->call.just_exec = true;
		return true;
	case 'E':
		o->no_exit_code = true;
		return true;
	case 'c':
		return set_request(o, optarg);
	case 'p':
		o->call.caller.prefix = optarg;
		return true;
	case 't':
		o->call.caller.filter_out = true;
		return true;
	case 'T':
		o->call.caller.filter_err = true;
		return true;
	case 'w':
		return set_wait(o, optarg);
	case 'W':
		o->wait_end = true;
		return true;
	case 'k':
		o->kill = true;
		return true;
	case OPT_SOCKET_DIR:
		o->call.socket_dir = optarg;
		return true;
	case OPT_STDIN_SOCKET:
		o->call.caller.stdin_socket = true;
		return true;
	default:
		return false;
	}
}

/* Every way in which the reference names dom0. */
static bool dom0_name(const char *s)
{
	return streq(s, "dom0") || streq(s, "@adminvm") || streq(s, "0") || streq(s, "uuid:00000000-0000-0000-0000-000000000000");
}

/* Gives 1 to go on, 0 to end well, -1 for a wrong use. */
static int parse(struct options *o, int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "+hd:l:eEc:p:tTw:Wk", long_options, NULL)) != -1) {
		if (c == 'h') {
			usage(stdout, argv[0]);
			return 0;
		}
		if (!set_option(o, c))
			return -1;
	}
	if (argc - optind != 1 || !o->call.qube)
		return -1;
	o->call.command = argv[optind];
	if ((o->local != NULL) + o->call.just_exec + o->answer > 1) {
		fprintf(stderr, "%s: at most one of -e, -l and -c\n", argv[0]);
		return -1;
	}
	if (o->local && o->call.caller.stdin_socket) {
		fprintf(stderr, "%s: --use-stdin-socket has no meaning with -l\n", argv[0]);
		return -1;
	}
	if (o->kill && dom0_name(o->call.qube)) {
		fprintf(stderr, "%s: dom0 cannot be killed\n", argv[0]);
		return -1;
	}
	return 1;
}

/* The reference's flow between qubes: the target's daemon runs the service, then the source's is told where. */
static int connect_qubes(const struct options *o, struct err *e)
{
	int target = -1, source = -1;
	uint32_t domain, port;
	struct pollfd p;
	char drop[256];

	target = qrexec_open(&o->call, o->request.id, &domain, &port, e);
	if (target < 0)
		return EXIT_SETUP;
	source = qrexec_answer(o->call.socket_dir, &o->request, &domain, &port, e);
	if (source < 0) {
		close(target);
		return EXIT_SETUP;
	}
	p = (struct pollfd){ .fd = target, .events = POLLIN };
	while (o->wait_end && (poll(&p, 1, -1) < 0 || read(target, drop, sizeof drop) > 0))
		;
	close(target);
	close(source);
	return 0;
}

/* The runner is given the service's end of the data channel, as it gets it from a ticket. */
static int start_runner(struct proc *ret, const struct qx_command *cmd, int chan, struct err *e)
{
	char path[PATH_MAX];
	const char *argv[] = { path_program(path, "svc-runner"), "--user", cmd->user, "--source", cmd->source, "--target-type",
			       cmd->target_type, "--target", cmd->target, "--exit-code", "--", cmd->full, NULL };
	struct proc_spec p = { .path = path, .argv = argv, .envp = (const char *const *)environ, .keep_stderr = true };

	if (!cmd->target_type[0])
		return err_set(e, EINVAL, "a service of dom0 needs the kind and name of the target");
	p.fds[0].fd = chan;
	p.fds[0].as = 3;
	p.n_fds = 1;
	return proc_spawn(ret, &p, e);
}

/* A service of dom0 for a request of a qube. */
static int serve_request(const struct options *o, const struct qx_command *cmd, struct err *e)
{
	_cleanup_proc_ struct proc runner = PROC_INIT;
	_cleanup_fd_ int source = -1, chan = -1;
	uint32_t domain = 0, port = 0;
	int status, r;

	if (!cmd->rpc)
		return err_set(e, EINVAL, "only services of dom0 can be called by qubes");
	source = qrexec_answer(o->call.socket_dir, &o->request, &domain, &port, e);
	if (source < 0)
		return EXIT_SETUP;
	chan = chan_connect(NULL, domain, port, DOM0_CONNECT_MS, e);
	if (chan < 0)
		return chan;
	r = start_runner(&runner, cmd, chan, e);
	if (r == 0)
		r = proc_wait(&runner, -1, &status);
	return r < 0 ? r : proc_exit_code(status);
}

/* "-d dom0" with a service: both ends of the data channel are here. */
static int call_dom0(const struct options *o, const struct qx_command *cmd, struct err *e)
{
	_cleanup_proc_ struct proc runner = PROC_INIT;
	_cleanup_fd_ int ours = -1, theirs = -1;
	int fds[2], r = unix_pair(SOCK_STREAM, fds);

	if (r < 0)
		return err_errno(e, -r, "socketpair");
	ours = fds[0];
	theirs = fds[1];
	r = start_runner(&runner, cmd, theirs, e);
	if (r < 0)
		return r;
	fd_closep(&theirs);
	r = caller_run(ours, &o->call.caller, e);
	(void)proc_wait(&runner, -1, NULL);
	return r;
}

/* What "-d dom0" runs: the command, and with -l the program that is its other side. */
struct here {
	struct proc command, local;
	int to[2], from[2]; /* the command's input and output: its end, the local program's end */
};

static void here_fini(struct here *h)
{
	for (int i = 0; i < 2; i++) {
		fd_closep(&h->to[i]);
		fd_closep(&h->from[i]);
	}
	proc_fini(&h->local);
	proc_fini(&h->command);
}

static int spawn_here(struct proc *ret, const char *text, int in, int out, struct err *e)
{
	const char *argv[] = { "/bin/sh", "-c", text, NULL };
	char cwd[PATH_MAX];
	struct proc_spec p = { .path = argv[0], .argv = argv, .envp = (const char *const *)environ, .cwd = getcwd(cwd, sizeof cwd), .keep_stderr = in >= 0 };

	if (in >= 0) {
		p.fds[0].fd = in;
		p.fds[1].fd = out;
		p.fds[1].as = 1;
		p.n_fds = 2;
	}
	return proc_spawn(ret, &p, e);
}

/* With -l the two programs are each other's input and output; no third one stands between them. */
static int start_here(struct here *h, const struct options *o, const char *text, struct err *e)
{
	int r;

	if (!o->local)
		return spawn_here(&h->command, text, o->call.just_exec ? -1 : 0, 1, e);
	if (unix_pair(SOCK_STREAM, h->to) < 0 || unix_pair(SOCK_STREAM, h->from) < 0)
		return err_errno(e, errno, "socketpair");
	r = spawn_here(&h->command, text, h->to[0], h->from[0], e);
	if (r == 0)
		r = spawn_here(&h->local, o->local, h->from[1], h->to[1], e);
	for (int i = 0; i < 2; i++) {
		fd_closep(&h->to[i]);
		fd_closep(&h->from[i]);
	}
	return r;
}

/* "-d dom0": the command runs here, as we are. */
static int run_here(const struct options *o, const struct qx_command *cmd, struct err *e)
{
	_cleanup_(here_fini) struct here h = { PROC_INIT, PROC_INIT, { -1, -1 }, { -1, -1 } };
	int status, local = 0, r = start_here(&h, o, cmd->text, e);

	if (r < 0)
		return r == -ENOENT ? QX_EXIT_NOT_FOUND : r;
	if (o->call.just_exec) {
		/* it goes on without us */
		fd_closep(&h.command.pidfd);
		h.command.pid = 0;
		return 0;
	}
	r = proc_wait(&h.command, -1, &status);
	if (r == 0 && o->local)
		r = proc_wait(&h.local, -1, &local);
	if (r < 0)
		return r;
	return proc_exit_code(status) ? proc_exit_code(status) : proc_exit_code(local);
}

static int run_dom0(const struct options *o, struct err *e)
{
	_cleanup_(qx_command_fini) struct qx_command cmd = { 0 };
	int r = qx_command_parse(&cmd, o->call.command, strlen(o->call.command), e);

	if (r < 0)
		return r;
	if (o->answer)
		return serve_request(o, &cmd, e);
	return cmd.rpc && !o->call.just_exec ? call_dom0(o, &cmd, e) : run_here(o, &cmd, e);
}

static int run(const struct options *o, struct err *e)
{
	if (dom0_name(o->call.qube))
		return run_dom0(o, e);
	return o->answer ? connect_qubes(o, e) : qrexec_run(&o->call, e);
}

/* -k: whatever became of the call. */
static int kill_qube(const struct options *o, struct err *e)
{
	int r = adm_void(o->call.qube, "admin.vm.Kill", NULL, NULL, e);

	return adm_is_not_started(r) ? 0 : r;
}

int main(int argc, char **argv)
{
	struct options o = { .call = { .caller = { .in = 0, .out = 1, .err = 2, .saved_fds = true } } };
	const char *local[] = { "/bin/sh", "-c", NULL, NULL };
	struct err e = { 0 };
	int r = parse(&o, argc, argv);

	if (r < 0)
		usage(stderr, argv[0]);
	if (r <= 0)
		return r < 0 ? 2 : 0;
	signal(SIGPIPE, SIG_IGN);
	r = paths_init(NULL, &e);
	if (o.local) {
		local[2] = o.local;
		o.call.caller.argv = local;
	}
	o.call.caller.no_streams = o.call.just_exec;
	if (r == 0)
		r = run(&o, &e);
	if (e.code)
		fprintf(stderr, "%s: %s\n", argv[0], e.msg);
	if (o.kill) {
		struct err ke = { 0 };

		if (kill_qube(&o, &ke) < 0)
			fprintf(stderr, "%s: killing '%s': %s\n", argv[0], o.call.qube, ke.msg);
	}
	if (r < 0)
		return QX_EXIT_PROBLEM;
	return o.no_exit_code ? 0 : r;
}
