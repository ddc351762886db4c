/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * svc-runner: runs one service of dom0 for one call of a qube (with --call it is the caller's side of a call that dom0 makes). Started by the spawner for a ticket, so the call is already decided; the
 * words of the ticket are data here (arguments and environment of the service), never commands.
 */
#include "fds.h"
#include "keeper.h"

#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <signal.h>

#include "base/log.h"
#include "base/paths.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "chan/chan.h"
#include "proto/ipc.h"
#include "qrexec/caller.h"
#include "qrexec/serve.h"
#include "qrexec/warm.h"

#define HELLO_TIMEOUT_MS 60000
#define CONNECT_TIMEOUT_MS 5000

extern char **environ;

struct options {
	const char *user, *source, *target_type, *target, *service;
	bool exit_code, wait, keep, call;
	int stream; /* with a service that is a socket already: its descriptor */
	uint32_t peer, port; /* where the data channel will be; port 0 = it is there */
};

static bool kind_ok(const char *s)
{
	return streq(s, "name") || streq(s, "keyword");
}

/* PEER:PORT, taken apart in place */
static bool parse_place(struct options *o, char *s)
{
	char *colon = strchr(s, ':');
	uint64_t peer, port;

	if (!colon)
		return false;
	*colon = 0;
	if (str_u64(s, UINT32_MAX, &peer) < 0 || str_u64(colon + 1, UINT32_MAX, &port) < 0 || port == 0)
		return false;
	o->peer = (uint32_t)peer;
	o->port = (uint32_t)port;
	return true;
}

static int parse(struct options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "user", required_argument, NULL, 'u' },	 { "source", required_argument, NULL, 's' },
		{ "target-type", required_argument, NULL, 'k' }, { "target", required_argument, NULL, 't' },
		{ "exit-code", no_argument, NULL, 'e' },	 { "wait", no_argument, NULL, 'w' },
		{ "keep", no_argument, NULL, 'K' },
		{ "connect", required_argument, NULL, 'c' },
		{ "stream", no_argument, NULL, 'S' },
		{ "call", no_argument, NULL, 'C' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'u')
			o->user = optarg;
		else if (c == 's')
			o->source = optarg;
		else if (c == 'k')
			o->target_type = optarg;
		else if (c == 't')
			o->target = optarg;
		else if (c == 'e')
			o->exit_code = true;
		else if (c == 'w')
			o->wait = true;
		else if (c == 'c' && parse_place(o, optarg))
			continue;
		else if (c == 'S')
			o->stream = SVC_RUNNER_FD_STREAM;
		else if (c == 'C')
			o->call = true;
		else if (c == 'K')
			o->wait = o->keep = true;
		else
			return -1;
	}
	if (o->wait || o->call)
		return argc == 2 ? 0 : -1;
	if (argc - optind != 1 || !o->user || !o->source || !o->target || !o->target_type)
		return -1;
	o->service = argv[optind];
	return kind_ok(o->target_type) ? 0 : -1;
}

/* Of a keeper's: where the data channel will be stands behind the order, in the same message, so that a process that dies takes all of it or nothing. */
static bool get_place(struct options *o, struct rd *body)
{
	struct ipc_lc_connect place;

	if (!o->keep)
		return true;
	if (ipc_get_lc_connect(body, &place) < 0 || !place.port)
		return false;
	o->peer = place.peer;
	o->port = place.port;
	return true;
}

/* Started ahead: the order comes as one message, with the data channel. Gives 1, or 0 when whoever would order has gone. */
static int wait_order(struct options *o, int *ret_chan)
{
	static struct ipc_sp_dom0_service q;
	_cleanup_msg_ struct msg m = { 0 };
	int r = msg_recv(SVC_RUNNER_FD_DATA, &m);
	bool keep = o->keep;
	struct rd body;

	if (r <= 0)
		return r;
	body = msg_rd(&m);
	if (m.type != IPC_SP_DOM0_SERVICE || m.n_fds < 1 || m.n_fds > (keep ? 1 : 2) || ipc_get_sp_dom0_service(&body, &q) < 0 || !kind_ok(q.target_type))
		return -EBADMSG;
	*o = (struct options){ .user = q.user, .source = q.source, .target_type = q.target_type, .target = q.target, .service = q.service, .wait = true, .keep = keep };
	if (!get_place(o, &body) || !rd_done(&body))
		return -EBADMSG;
	if (keep) {
		/* only held: whoever has the other end learns when this process ends */
		(void)STEAL_FD(m.fds[0]);
		return 1;
	}
	*ret_chan = STEAL_FD(m.fds[0]);
	if (m.n_fds == 2)
		o->stream = STEAL_FD(m.fds[1]);
	return 1;
}

static int open_chan(void *arg, struct err *e)
{
	const struct options *o = arg;

	return chan_connect(NULL, o->peer, o->port, CONNECT_TIMEOUT_MS, e);
}

/* The account becomes ours for good, before any byte of the qube is read: a root that parses must not exist. */
static int become(const struct user *u, struct err *e)
{
	if (setgroups(u->n_groups, u->groups) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 || setresuid(u->uid, u->uid, u->uid) < 0)
		return err_errno(e, errno, "becoming '%s'", u->name);
	if (u->uid != 0 && setuid(0) == 0)
		return err_set(e, EPERM, "the change to '%s' can be undone", u->name);
	return chdir(u->home) < 0 && chdir("/") < 0 ? -errno : 0;
}

/* An account that is not in the files (a directory service): what the session says. */
static void session_account(struct user *ret)
{
	const char *name = getenv("USER"), *home = getenv("HOME");

	*ret = (struct user){ .uid = geteuid(), .gid = getegid(), .shell = "/bin/sh" };
	if (!name || str_copy(ret->name, sizeof ret->name, name) < 0)
		(void)!str_copy(ret->name, sizeof ret->name, "user");
	if (!home || str_copy(ret->home, sizeof ret->home, home) < 0)
		(void)!str_copy(ret->home, sizeof ret->home, "/");
}

/* In session mode there is one account: ours, whatever name policy wrote. */
static int identity(void *arg, const char *name, struct user *ret, struct start *s, struct err *e)
{
	const struct options *o = arg;
	bool change = paths_system_mode() && geteuid() == 0 && !chan_is_unix();
	int r;

	/* Only bytes are passed on: nobody's account is needed for it. */
	if (change && o->stream)
		r = user_by_name(ret, "/etc", "nobody", e);
	else if (change && streq(name, "DEFAULT"))
		r = user_of_dom0(ret, "/etc", e);
	else
		r = change ? user_by_name(ret, "/etc", name, e) : user_by_uid(ret, "/etc", geteuid(), e);

	if (r == 0 && change)
		r = become(ret, e);
	if (r < 0 && !change) {
		err_clear(e);
		session_account(ret);
		r = 0;
	}
	s->env = (const char *const *)environ;
	s->shell = "/bin/sh";
	s->set_ids = false;
	return r;
}

static int confine(void *arg, struct err *e)
{
	return sandbox_enter(SB_SVC_RUNNER, NULL, 0, e);
}

static int search_paths(char services[3 * PATH_MAX], char configs[PATH_MAX], struct err *e)
{
	const char *own = secure_getenv("QREXEC_SERVICE_PATH"), *own_configs = secure_getenv("QUBES_RPC_CONFIG_PATH");
	char data[PATH_MAX];
	int r;

	if (paths_system_mode())
		r = str_printf(services, 3 * PATH_MAX, "%s:/usr/local%s:%s", path_get(PATH_RPC_RUN), path_get(PATH_RPC_ETC), path_get(PATH_RPC_ETC));
	else
		r = str_printf(services, 3 * PATH_MAX, "%s:%s:%s", path_get(PATH_RPC_RUN), path_get(PATH_RPC_ETC), path_data(data, "qubes-rpc"));
	if (own && *own)
		r = str_copy(services, 3 * PATH_MAX, own);
	if (r == 0)
		r = str_copy(configs, PATH_MAX, own_configs && *own_configs ? own_configs : path_get(PATH_RPC_CONFIG_ETC));
	return r < 0 ? err_set(e, ENAMETOOLONG, "search path too long") : 0;
}

static int wait_for_order(struct options *o, const char *services, const char *configs, int *ret_chan)
{
	int mark = -1, r;

	sandbox_prepare(SB_SVC_RUNNER);
	if (o->keep)
		keeper_run(SVC_RUNNER_FD_DATA, &mark);
	warm_up(services, configs);
	r = wait_order(o, ret_chan);
	if (r > 0)
		keeper_taken(mark);
	/* one order is all; in a keeper's process others go on with it */
	close(SVC_RUNNER_FD_DATA);
	return r;
}

/* The other side: dom0 calls a qube, whose bytes go to whoever holds the other end of the stream. Confined before the first of them. What the service
   says as error output is nobody's. */
static int make_call(struct err *e)
{
	struct caller c = { .in = SVC_RUNNER_FD_STREAM, .out = SVC_RUNNER_FD_STREAM, .stdin_socket = true, .hang_up = true, .err = open("/dev/null", O_WRONLY | O_CLOEXEC) };
	int r = c.err < 0 ? err_errno(e, errno, "opening /dev/null") : sandbox_enter(SB_SVC_RUNNER, NULL, 0, e);

	return r < 0 ? r : caller_run(SVC_RUNNER_FD_DATA, &c, e);
}

int main(int argc, char **argv)
{
	static char services[3 * PATH_MAX], configs[PATH_MAX];
	_cleanup_wr_ struct wr w = wr_grow(QX_COMMAND_MAX);
	struct serve v = {
		.dom0 = true,
		.service_path = services,
		.config_path = configs,
		.hello_timeout_ms = HELLO_TIMEOUT_MS,
		.identity = identity,
		.confine = confine,
		.open = open_chan,
	};
	struct options o = { 0 };
	int r, chan = SVC_RUNNER_FD_DATA;
	struct err e = { 0 };

	if (parse(&o, argc, argv) < 0) {
		fprintf(stderr, "usage: svc-runner --user USER --source QUBE --target-type name|keyword --target TARGET SERVICE+ARGUMENT\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (o.call) {
		log_init("svc-runner", NULL, -1);
		r = make_call(&e);
		if (r < 0)
			log_warn("call of dom0: %s", log_escs(err_text(&e, r)));
		return r < 0 ? 1 : 0;
	}
	r = paths_init(NULL, &e);
	if (r == 0)
		r = search_paths(services, configs, &e);
	if (r == 0 && o.wait) {
		chan = -1;
		r = wait_for_order(&o, services, configs, &chan);
		if (r == 0)
			return 0;
	}
	log_init("svc-runner", o.source, -1);
	if (r < 0) {
		log_error("%s", err_text(&e, r));
		return 1;
	}
	/* exactly the words that were given: services see whether there was a '+' */
	wr_printf(&w, "%s:QUBESRPC %s %s %s %s", o.user, o.service, o.source, o.target_type, o.target);
	wr_u8(&w, 0);
	if (!wr_ok(&w))
		return 1;
	v.command = (const char *)w.buf;
	v.command_len = w.len - 1;
	v.arg = &o;
	v.stream = o.stream;
	if (o.port)
		chan = -1;
	r = serve_call(chan, &v, &e);
	if (r < 0)
		log_warn("service %s: %s", log_escs(o.service), log_escs(err_text(&e, r)));
	return r < 0 ? 1 : o.exit_code ? r : 0;
}
