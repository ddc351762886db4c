/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-run: run a command or a service in a qube. The bytes of the call go straight between this process and the qube's channel;
 * what a qube prints on a terminal is filtered and coloured so that it cannot pass for dom0's own output.
 */
#include <fcntl.h>

#include "base/io.h"
#include "base/proc.h"
#include "client/qrexec.h"
#include "proto/names.h"
#include "proto/vmexec.h"
#include "tool/run.h"

static const struct tool_opt opts[] = {
	{ 'u', "user", "USER", "run as this user of the qube (default: the qube's default_user)", 0, W_ANY },
	{ 'p', "pass-io", NULL, "pass standard input, output and error through", 0, W_ANY },
	{ 'n', "no-autostart", NULL, "do not start (or unpause) the qube", 0, W_ANY },
	{ 'n', "no-auto", NULL, NULL, OPT_ALIAS | OPT_HIDDEN, W_ANY },
	{ KEY_AUTO, "autostart", NULL, "start the qube when it is not running (the default)", OPT_HIDDEN, W_ANY },
	{ 'a', "auto", NULL, "accepted, without effect", OPT_HIDDEN, W_ANY },
	{ KEY_LOCALCMD, "localcmd", "COMMAND", "join the input and output with this command of dom0", 0, W_ANY },
	{ KEY_SERVICE, "service", NULL, "COMMAND is the name of a qrexec service", 0, W_ANY },
	{ KEY_NO_SHELL, "no-shell", NULL, "COMMAND is a program; no shell sees it or its arguments", 0, W_ANY },
	{ KEY_GUI, "gui", NULL, "wait for the user's session in the qube first (the default with $DISPLAY and without -p)", 0, W_ANY },
	{ KEY_NO_GUI, "no-gui", NULL, "do not wait for a session", 0, W_ANY },
	{ KEY_DISPVM, "dispvm", "QUBE", "run in a new disposable based on QUBE, or on the default one", OPT_OPTIONAL, W_QUBE },
	{ KEY_COLOUR_OUT, "colour-output", "N", "colour of standard output on a terminal (default 31, red)", 0, W_ANY },
	{ KEY_COLOUR_OUT, "color-output", "N", NULL, OPT_ALIAS | OPT_HIDDEN, W_ANY },
	{ KEY_COLOUR_ERR, "colour-stderr", "N", "colour of standard error on a terminal (default 31)", 0, W_ANY },
	{ KEY_COLOUR_ERR, "color-stderr", "N", NULL, OPT_ALIAS | OPT_HIDDEN, W_ANY },
	{ KEY_NO_COLOUR_OUT, "no-colour-output", NULL, "no colour for standard output", 0, W_ANY },
	{ KEY_NO_COLOUR_OUT, "no-color-output", NULL, NULL, OPT_ALIAS | OPT_HIDDEN, W_ANY },
	{ KEY_NO_COLOUR_ERR, "no-colour-stderr", NULL, "no colour for standard error", 0, W_ANY },
	{ KEY_NO_COLOUR_ERR, "no-color-stderr", NULL, NULL, OPT_ALIAS | OPT_HIDDEN, W_ANY },
	{ KEY_FILTER, "filter-escape-chars", NULL, "replace control bytes of the output (the default on a terminal)", 0, W_ANY },
	{ KEY_NO_FILTER, "no-filter-escape-chars", NULL, "leave control bytes as they are", 0, W_ANY },
	{ KEY_TRACE, "trace", NULL, "print after the call how long each of its phases took", 0, W_ANY },
	OPTS_NAMES,
	{ 0 },
};

static bool feature_set(const char *qube, const char *feature, char *out, size_t cap)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };

	if (adm_text(&rep, qube, "admin.vm.feature.CheckWithTemplate", feature, NULL, NULL) < 0 || str_copy(out, cap, rep.data) < 0)
		return false;
	return out[0] != '\0';
}

/* 'word' for a POSIX shell. */
static void put_quoted(struct wr *w, const char *s)
{
	wr_u8(w, '\'');
	for (; *s; s++) {
		if (*s == '\'')
			wr_str(w, "'\\''");
		else
			wr_u8(w, (uint8_t)*s);
	}
	wr_u8(w, '\'');
}

/* The line for VMShell: one word is the user's own shell line, several are words that the shell must not look into. */
static void put_shell_line(struct wr *w, const struct run *x, char **cmd)
{
	char os[32];

	if (!cmd[1])
		wr_str(w, cmd[0]);
	for (size_t i = 0; cmd[1] && cmd[i]; i++) {
		if (i)
			wr_u8(w, ' ');
		put_quoted(w, cmd[i]);
	}
	wr_str(w, feature_set(x->qube, "os", os, sizeof os) && streq(os, "Windows") ? "& exit\n" : "; exit\n");
}

/* Chooses the service: fills x->command and x->prefix. */
static int choose_service(struct tool *t, struct run *x, char **cmd)
{
	bool direct = cmd[1] || opt_has(t, KEY_NO_SHELL), root = streq(x->user, "root");
	_cleanup_wr_ struct wr w = wr_grow(RUN_COMMAND_MAX), line = wr_grow(RUN_COMMAND_MAX);
	char v[64];

	wr_printf(&w, "%s:QUBESRPC ", x->user);
	if (opt_has(t, KEY_SERVICE)) {
		char *plus = strchr(cmd[0], '+');

		if (cmd[1])
			return tool_usage(t, "a service takes no further words; its argument goes behind '+'");
		if (plus)
			*plus = '\0';
		if (!service_name_ok(cmd[0]) || (plus && !qrexec_arg_ok(plus + 1)))
			return tool_usage(t, "'%s' is no name of a service", cmd[0]);
		wr_printf(&w, "%s%s%s", cmd[0], plus ? "+" : "", plus ? plus + 1 : "");
	} else if (direct && feature_set(x->qube, "vmexec", v, sizeof v)) {
		root = root && feature_set(x->qube, "supported-rpc.qubes.VMRootExec", v, sizeof v);
		wr_printf(&w, "qubes.VM%sExec+", root ? "Root" : "");
		vmexec_put(&w, (const char *const *)(void *)cmd);
	} else {
		root = root && feature_set(x->qube, "supported-rpc.qubes.VMRootShell", v, sizeof v);
		wr_printf(&w, "qubes.VM%sShell", root ? "Root" : "");
		put_shell_line(&line, x, cmd);
		if (!wr_ok(&line))
			return tool_usage(t, "the command is longer than %d bytes", RUN_COMMAND_MAX);
		x->prefix = wr_take(&line, &(size_t){ 0 });
	}
	wr_str(&w, " dom0");
	if (!wr_ok(&w))
		return tool_usage(t, "the command is longer than %d bytes", RUN_COMMAND_MAX);
	x->command = wr_take(&w, &(size_t){ 0 });
	return 0;
}

/* The service that starts a program of the menu waits for the session by itself, in the same call. */
static bool waits_itself(const struct run *x)
{
	static const char service[] = ":QUBESRPC qubes.StartApp+";
	const char *at = strchr(x->command, ':');

	return at && str_starts(at, service);
}

/* Who looks at a screen and takes no output wants a window; it cannot open before there is a session. */
static int wait_session(struct tool *t, const struct run *x, int null_fd)
{
	struct err e = { 0 };
	int r;

	if (opt_has(t, KEY_NO_GUI) || (!opt_has(t, KEY_GUI) && (!getenv("DISPLAY") || opt_has(t, 'p') || waits_itself(x))))
		return 0;
	r = run_session(x->qube, x->user, null_fd, &e);
	return r < 0 ? tool_fail(t, "%s: %s", x->qube, err_text(&e, r)) : 0;
}

static int call(struct tool *t, struct run *x)
{
	_cleanup_fd_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), tty_out = -1;
	const char *const local[] = { "sh", "-c", opt_str(t, KEY_LOCALCMD), NULL };
	bool pass = opt_has(t, 'p');
	struct qrexec_call c = { .qube = x->qube, .command = x->command, .wait_s = RUN_WAIT_S };
	struct err e = { 0 };
	int r;

	if (null_fd < 0)
		return tool_fail(t, "/dev/null: %s", strerror(errno));
	r = wait_session(t, x, null_fd);
	if (r != 0)
		return RUN_FAILED;
	c.caller = (struct caller){ .prefix = x->prefix, .in = pass ? STDIN_FILENO : null_fd, .out = pass ? STDOUT_FILENO : null_fd,
				    .err = pass ? STDERR_FILENO : null_fd, .argv = opt_str(t, KEY_LOCALCMD) ? local : NULL };
	c.caller.filter_out = x->filter_out && pass;
	c.caller.filter_err = x->filter_err && pass;
	c.caller.trace = opt_has(t, KEY_TRACE) ? &x->trace : NULL;
	/* The library lets go of descriptor 1 when the call ends its output. */
	tty_out = x->colour_out ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) : -1;
	run_colours(x, tty_out, true);
	r = qrexec_run(&c, &e);
	run_colours(x, tty_out, false);
	if (c.caller.trace)
		run_trace(x->qube, c.caller.trace);
	if (r < 0 || e.code)
		(void)tool_fail(t, "%s: %s", x->qube, err_text(&e, r));
	return r < 0 ? RUN_FAILED : r;
}

static int one(struct tool *t, const char *qube, char **cmd)
{
	struct run x = { .qube = qube, .user = opt_str(t, 'u') ? opt_str(t, 'u') : "DEFAULT" };
	int r;

	if (streq(qube, "dom0"))
		return tool_usage(t, "qvm-run is for other qubes; in dom0 run the command itself");
	if (!*x.user || !str_chars(x.user, "_.-+,@"))
		return tool_usage(t, "'%s' is no user", x.user);
	x.trace.begin = now_us();
	r = run_terminal(t, &x);
	r = r ? r : run_wake(t, x.qube);
	x.trace.autostart = now_us();
	r = r ? r : choose_service(t, &x, cmd);
	r = r ? r : call(t, &x);
	free(x.command);
	free(x.prefix);
	return r;
}

static int in_disposable(struct tool *t, const char *template, char **cmd)
{
	char target[80];

	if (str_printf(target, sizeof target, "@dispvm%s%s", template ? ":" : "", template ? template : "") < 0)
		return tool_usage(t, "no such qube: '%s'", template);
	return run_disp(t, target, cmd);
}

static int run(struct tool *t, int argc, char **argv)
{
	if (opt_has(t, 'p') && opt_has(t, KEY_LOCALCMD))
		return tool_usage(t, "--pass-io and --localcmd exclude each other");
	if (opt_has(t, KEY_DISPVM) && (opt_has(t, KEY_ALL) || opt_has(t, 'n')))
		return tool_usage(t, "--dispvm starts a new qube: it excludes --all and --no-autostart");
	if (opt_has(t, KEY_DISPVM))
		return in_disposable(t, opt_str(t, KEY_DISPVM), argv);
	if (opt_has(t, KEY_ALL))
		return run_all(t, argv);
	if (opt_has(t, KEY_EXCLUDE))
		return tool_usage(t, "--exclude is only for --all");
	if (argc < 2)
		return tool_usage(t, "name a qube and a command; usage: qvm-run [OPTION...] QUBE COMMAND [ARGUMENT...]");
	if (argv[0][0] == '@')
		return opt_has(t, 'n') ? tool_usage(t, "%s is a new qube: it excludes --no-autostart", argv[0]) : run_disp(t, argv[0], argv + 1);
	return one(t, argv[0], argv + 1);
}

static const struct tool_exit exits[] = {
	{ 0, "the command succeeded; otherwise its exit status" },
	{ 1, "with --no-autostart: the qube is not running" },
	{ 255, "the command could not be run, or the connection was lost" },
	{ 0, NULL },
};

const struct verb verb_qvm_run = {
	.name = "qvm-run",
	.summary = "run a command or a service in a qube",
	.args = "QUBE COMMAND [ARGUMENT...]",
	.desc = "One word is a line for the shell of the user in the qube; several words are a program and\n"
		"its arguments. Options stand before the command. With --all or --dispvm leave out QUBE;\n"
		"QUBE may be @dispvm or @dispvm:TEMPLATE, which is the same as --dispvm.",
	.opts = opts,
	.exits = exits,
	.words = { W_QUBE, W_ANY },
	.min_args = 1,
	.flags = VERB_STOP_AFTER(2) | VERB_STOP_ALL,
	.run = run,
};
