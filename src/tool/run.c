/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Terminal side of qvm-run, and --all. */
#include "tool/run.h"

#include "base/io.h"
#include "base/proc.h"

#define COLOUR_DEFAULT 31

static int colour(struct tool *t, int key, int off_key, int fd, unsigned *ret)
{
	const char *text = opt_str(t, key), *no = getenv("NO_COLOR");
	uint64_t n = COLOUR_DEFAULT;

	*ret = 0;
	if (text && (str_u64(text, 107, &n) < 0 || n == 0))
		return tool_usage(t, "a colour is a number from 1 to 107, such as 31 for red, not '%s'", text);
	if (opt_has(t, off_key) || !opt_has(t, 'p') || !isatty(fd) || (no && *no && !text))
		return 0;
	*ret = (unsigned)n;
	return 0;
}

int run_terminal(struct tool *t, struct run *x)
{
	bool force = opt_has(t, KEY_FILTER), off = opt_has(t, KEY_NO_FILTER);
	int r;

	if (force && off)
		return tool_usage(t, "--filter-escape-chars and --no-filter-escape-chars exclude each other");
	x->filter_out = force || (!off && isatty(STDOUT_FILENO));
	x->filter_err = force || (!off && isatty(STDERR_FILENO));
	r = colour(t, KEY_COLOUR_OUT, KEY_NO_COLOUR_OUT, STDOUT_FILENO, &x->colour_out);
	return r ? r : colour(t, KEY_COLOUR_ERR, KEY_NO_COLOUR_ERR, STDERR_FILENO, &x->colour_err);
}

static void sgr(int fd, unsigned n)
{
	char s[16];

	if (str_printf(s, sizeof s, "\033[0;%um", n) == 0)
		(void)write_full(fd, s, strlen(s));
}

/* Each phase counts from the end of the one before it; one that was not reached is "-". Calls of dom0 ask no policy. */
void run_trace(const char *qube, const struct call_trace *c)
{
	const struct {
		const char *name;
		uint64_t at;
	} phases[] = { { "autostart", c->autostart }, { "request", c->request }, { "connect", c->connect },
		       { "first-byte", c->first },    { "exit", c->exit } };
	uint64_t before = c->begin, now = now_us();

	fprintf(stderr, "trace: qube=%s policy=-", qube);
	for (size_t i = 0; i < ARRAY_SIZE(phases); i++) {
		if (!phases[i].at) {
			fprintf(stderr, " %s=-", phases[i].name);
			continue;
		}
		fprintf(stderr, " %s=%.3f", phases[i].name, (double)(phases[i].at - before) / 1000);
		before = phases[i].at;
	}
	fprintf(stderr, " total=%.3f ms\n", (double)(now - c->begin) / 1000);
}

void run_colours(const struct run *x, int tty_out, bool on)
{
	if (x->colour_out && tty_out >= 0)
		sgr(tty_out, on ? x->colour_out : 0);
	if (x->colour_err)
		sgr(STDERR_FILENO, on ? x->colour_err : 0);
}

int run_wake(struct tool *t, const char *qube)
{
	struct adm_qubes q;
	struct err e = { 0 };
	const char *method = NULL;
	int r = adm_qubes_get(&q, qube, &e);

	if (r == -ADM_EXC_NOT_FOUND)
		return tool_usage(t, "no such qube: '%s'", qube);
	if (r < 0) {
		(void)tool_api(t, r, &e);
		return RUN_FAILED;
	}
	if (streq(q.v[0].state, "Paused"))
		method = "admin.vm.Unpause";
	else if (streq(q.v[0].state, "Suspended"))
		method = "admin.vm.Resume";
	else if (!streq(q.v[0].state, "Running"))
		method = "admin.vm.Start";
	adm_qubes_fini(&q);
	if (method && opt_has(t, 'n'))
		return tool_fail(t, "'%s' is not running", qube);
	if (!method)
		return 0;
	if (str_ends(method, "Start") && isatty(STDERR_FILENO) && emulated_here())
		tool_note(t, "starting '%s' (%s)", qube, EMULATED_TEXT);
	r = adm_void(qube, method, NULL, NULL, &e);
	if (r < 0 && r != -ADM_EXC_NOT_HALTED && r != -ADM_EXC_NOT_PAUSED) {
		(void)tool_api(t, r, &e);
		return RUN_FAILED;
	}
	return 0;
}

int run_session(const char *qube, const char *user, int null_fd, struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	char name[80], line[84];
	struct qrexec_call c = { .qube = qube, .command = "DEFAULT:QUBESRPC qubes.WaitForSession dom0", .wait_s = RUN_WAIT_S,
				 .caller = { .in = null_fd, .out = null_fd, .err = null_fd, .prefix = line } };

	if (adm_text(&rep, qube, "admin.vm.feature.CheckWithTemplate", "gui", NULL, NULL) < 0 || !rep.data[0])
		return 0;
	if (streq(user, "DEFAULT") ? prop_get(qube, "default_user", name, sizeof name, e) < 0 : str_copy(name, sizeof name, user) < 0)
		return 0;
	if (str_printf(line, sizeof line, "%s\n", name) < 0)
		return 0;
	return qrexec_run(&c, e);
}

/* The words of this tool again for a single qube: our options without --all and --exclude. */
static const char **words(const struct tool *t, const char *qube, char **cmd, char **store)
{
	size_t n_cmd = 0, n = 0, s = 0;
	const char **v;

	while (cmd[n_cmd])
		n_cmd++;
	v = xcalloc(n_cmd + t->n_optv + 6, sizeof *v);
	v[n++] = "bulkhead-tools";
	v[n++] = t->verb->name;
	for (size_t i = 0; i < t->n_optv; i++) {
		const struct tool_optval *o = &t->optv[i];
		const char *name = NULL;

		if (o->key == KEY_ALL || o->key == KEY_EXCLUDE || o->key == KEY_DISPVM)
			continue;
		for (size_t k = 0; !name && t->verb->opts[k].key; k++)
			if (t->verb->opts[k].key == o->key)
				name = t->verb->opts[k].name;
		if (!name)
			continue;
		store[s] = o->arg ? xasprintf("--%s=%s", name, o->arg) : xasprintf("--%s", name);
		v[n++] = store[s++];
	}
	v[n++] = "--";
	v[n++] = qube;
	for (size_t i = 0; i < n_cmd; i++)
		v[n++] = cmd[i];
	return v;
}

int run_spawn(const struct tool *t, const char *qube, char **cmd, bool with_input, struct proc *ret, struct err *e)
{
	_cleanup_free_ char **store = xcalloc(t->n_optv + 1, sizeof *store);
	_cleanup_free_ const char **argv = words(t, qube, cmd, store);
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
	int r;

	if (n <= 0)
		return err_errno(e, errno, "/proc/self/exe");
	path[n] = '\0';
	r = proc_spawn(ret, &(struct proc_spec){ .path = path, .argv = argv, .envp = (const char *const *)(void *)environ,
						 .fds = { { STDOUT_FILENO, 1 }, { STDERR_FILENO, 2 }, { STDIN_FILENO, 0 } },
						 .n_fds = with_input ? 3 : 2 }, e);
	for (size_t i = 0; i < t->n_optv; i++)
		free(store[i]);
	return r;
}

int run_all(struct tool *t, char **cmd)
{
	_cleanup_free_ bool *picked = NULL;
	_cleanup_free_ struct proc *procs = NULL;
	struct adm_qubes all;
	struct err e = { 0 };
	int worst = 0, status, r = tool_qubes(t, 0, NULL, &all, &picked);

	if (r != 0)
		return r;
	procs = xcalloc(all.n + 1, sizeof *procs);
	for (size_t i = 0; i < all.n; i++) {
		procs[i] = PROC_INIT;
		if (!picked[i] || !streq(all.v[i].state, "Running") || streq(all.v[i].cls, "RemoteVM"))
			continue;
		r = run_spawn(t, all.v[i].name, cmd, false, &procs[i], &e);
		if (r < 0) {
			(void)tool_fail(t, "%s: %s", all.v[i].name, err_text(&e, r));
			worst = RUN_FAILED;
		}
	}
	for (size_t i = 0; i < all.n; i++) {
		if (procs[i].pidfd >= 0 && proc_wait(&procs[i], -1, &status) == 0)
			worst = MAX(worst, proc_exit_code(status));
		proc_fini(&procs[i]);
	}
	adm_qubes_fini(&all);
	return worst;
}
