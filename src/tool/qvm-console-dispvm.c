/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-console-dispvm: the console of a qube in a window of a disposable, so that what a hostile qube writes there reaches no terminal of dom0.
 * The disposable is of the qube's management_dispvm; the bytes pass through dom0 unread.
 */
#include <fcntl.h>

#include "tool/run.h"

enum { KEY_INSIDE = 595, KEY_START };

static const struct tool_opt opts[] = {
	{ KEY_START, "autostart", NULL, "start the qube when it is not running", 0, W_ANY },
	{ KEY_INSIDE, "inside", NULL, "inside: QUBE is the disposable, and the qube follows", OPT_HIDDEN, W_ANY },
	{ 0 },
};

/* A qube that is just booting is what a console is for: it need not be Running. */
static int check_qube(struct tool *t, const char *name)
{
	struct adm_qubes q;
	struct err e = { 0 };
	bool halted;
	int r = adm_qubes_get(&q, name, &e);

	if (r < 0)
		return r == -ADM_EXC_NOT_FOUND ? tool_usage(t, "no such qube: '%s'", name) : tool_api(t, r, &e);
	halted = streq(q.v[0].state, "Halted");
	adm_qubes_fini(&q);
	if (!halted)
		return 0;
	if (!opt_has(t, KEY_START))
		return tool_fail(t, "'%s' is not running; --autostart starts it", name);
	r = adm_void(name, "admin.vm.Start", NULL, NULL, &e);
	return r < 0 && r != -ADM_EXC_NOT_HALTED ? tool_api(t, r, &e) : 0;
}

static int show(struct tool *t, const char *disposable, const char *qube)
{
	_cleanup_fd_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	const char *const local[] = { "/proc/self/exe", "qvm-console", "-q", "--end-with-input", qube, NULL };
	struct qrexec_call c = { .qube = disposable, .command = "DEFAULT:QUBESRPC qubes.ShowInTerminal dom0", .wait_s = RUN_WAIT_S,
				 .caller = { .argv = local, .in = null_fd, .out = null_fd, .err = STDERR_FILENO, .filter_err = true } };
	struct err e = { 0 };
	int r;

	if (null_fd < 0)
		return tool_fail(t, "/dev/null: %s", strerror(errno));
	r = run_wake(t, disposable);
	if (r != 0)
		return r == RUN_FAILED ? EXIT_FAIL : r;
	r = run_session(disposable, "DEFAULT", null_fd, &e);
	if (r >= 0)
		r = qrexec_run(&c, &e);
	if (r < 0 || e.code)
		return tool_fail(t, "%s: %s", disposable, err_text(&e, r));
	/* The service, or the console, has said why. */
	return r ? EXIT_FAIL : 0;
}

/* The part that is started again by run_disp is told so. */
static void mark_inside(struct tool *t)
{
	t->optv = xreallocarray(t->optv, t->n_optv + 1, sizeof *t->optv);
	t->optv[t->n_optv++] = (struct tool_optval){ .key = KEY_INSIDE };
}

static int run(struct tool *t, int argc, char **argv)
{
	char *words[] = { argv[0], NULL };
	char template[80], target[100];
	struct err e = { 0 };
	int r;

	if (opt_has(t, KEY_INSIDE))
		return argc == 2 ? show(t, argv[0], argv[1]) : tool_usage(t, "--inside takes two qubes");
	if (argc != 1)
		return tool_usage(t, "name one qube");
	if (streq(argv[0], "dom0"))
		return tool_usage(t, "dom0 has no console of its own; name another qube");
	r = check_qube(t, argv[0]);
	if (r != 0)
		return r;
	r = prop_get(argv[0], "management_dispvm", template, sizeof template, &e);
	if (r < 0)
		return tool_api(t, r, &e);
	if (!template[0] || streq(template, "None"))
		return tool_fail(t, "'%s' has no disposable template for its console: 'qvm-prefs %s management_dispvm NAME' or 'qubes-prefs management_dispvm NAME' sets one",
				 argv[0], argv[0]);
	if (str_printf(target, sizeof target, "@dispvm:%s", template) < 0)
		return EXIT_FAIL;
	mark_inside(t);
	r = run_disp(t, target, words);
	return r == RUN_FAILED ? EXIT_FAIL : r;
}

const struct verb verb_qvm_console_dispvm = {
	.name = "qvm-console-dispvm",
	.summary = "show the console of a qube in a window of a disposable",
	.args = "QUBE",
	.desc = "The disposable is made from the qube's management_dispvm and goes when the window is\n"
		"closed. What the qube writes reaches that window only, no terminal of dom0. Ctrl-] leaves.",
	.opts = opts,
	.words = { W_QUBE },
	.min_args = 1,
	.run = run,
};
