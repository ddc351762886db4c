/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qubes-dom0-update: packages of the host, where the host has no network of its own. apt runs in dom0 and checks signatures as always; what it fetches
 * comes through the proxy of the update qube: each of its connections to a port of the loopback device becomes a call of qubes.UpdatesProxy.
 * The address of this program's proxy is given to apt alone and ends with it.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/paths.h"
#include "base/proc.h"
#include "tool/run.h"
#include "tool/update.h"

enum { KEY_ACTION = 620, KEY_CLEAN, KEY_CHECK_ONLY, KEY_QUBE, KEY_RELEASE_OF, KEY_REPO, KEY_NONE };

#define CONNECTIONS 16 /* apt has one a server, and one a method */
#define LISTING_MAX (4u << 20)
#define STATUS_UPDATES 100
#define APT "/usr/bin/apt-get"

static const struct tool_opt opts[] = {
	{ KEY_CHECK_ONLY, "check-only", NULL, "only look whether there are updates; status 100 when there are", 0, W_ANY },
	{ KEY_ACTION, "action", "ACTION", "upgrade (the default without packages), full-upgrade, install (the default with them), reinstall or download", 0, W_ANY },
	{ KEY_CLEAN, "clean", NULL, "throw fetched packages away first", 0, W_ANY },
	{ KEY_RELEASE_OF, "target-release", "RELEASE", "of several versions take that of this release, as apt-get does", 0, W_ANY },
	{ KEY_QUBE, "updatevm", "QUBE", "fetch through this qube; default is the property updatevm", 0, W_QUBE },
	{ 'y', "yes", NULL, "do not ask", 0, W_ANY },
	{ KEY_REPO, "enablerepo", "REPO", "refused: repositories are apt's, see --target-release", OPT_HIDDEN, W_ANY },
	{ KEY_REPO, "disablerepo", "REPO", NULL, OPT_ALIAS | OPT_HIDDEN, W_ANY },
	{ KEY_NONE, "show-output", NULL, "accepted, without effect: apt's output is always shown", OPT_HIDDEN, W_ANY },
	{ KEY_NONE, "console", NULL, "accepted, without effect", OPT_HIDDEN, W_ANY },
	{ KEY_NONE, "gui", NULL, "accepted, without effect", OPT_HIDDEN, W_ANY },
	{ KEY_NONE, "force-xen-upgrade", NULL, "accepted, without effect: there is no Xen", OPT_HIDDEN, W_ANY },
	{ 0 },
};

/* What apt-get is told for each action. */
static const struct action {
	const char *name, *words[3];
	bool packages; /* it takes names, and wants them */
} actions[] = {
	{ "upgrade", { "upgrade", "--with-new-pkgs" }, false },
	{ "full-upgrade", { "dist-upgrade" }, false },
	{ "install", { "install" }, true },
	{ "reinstall", { "install", "--reinstall" }, true },
	{ "download", { "install", "--download-only" }, true },
};

struct fetch {
	struct tool *t;
	const char *apt, *qube;
	int listen_fd;
	uint16_t port;
	struct proc calls[CONNECTIONS];
};

static int open_port(struct fetch *f, struct err *e)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof a;

	f->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (f->listen_fd < 0 || bind(f->listen_fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(f->listen_fd, CONNECTIONS) < 0 ||
	    getsockname(f->listen_fd, (struct sockaddr *)&a, &n) < 0)
		return err_errno(e, errno, "a port for apt on the loopback device");
	f->port = ntohs(a.sin_port);
	return 0;
}

/* One connection of apt is one call; it ends with either side. */
static void take_connection(struct fetch *f)
{
	const char *const argv[] = { "bulkhead-tools", "qvm-run", "-q", "-p", "--service", "--no-gui", "--", f->qube, "qubes.UpdatesProxy", NULL };
	_cleanup_fd_ int fd = accept4(f->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct proc_spec s = { .path = "/proc/self/exe", .argv = argv, .envp = (const char *const *)(void *)environ, .death_signal = SIGTERM,
			       .keep_stderr = true, .fds = { { fd, 0 }, { fd, 1 } }, .n_fds = 2 };
	struct err e = { 0 };
	size_t i = 0;

	while (i < CONNECTIONS && f->calls[i].pidfd >= 0)
		i++;
	if (fd >= 0 && i < CONNECTIONS && proc_spawn(&f->calls[i], &s, &e) < 0)
		(void)tool_fail(f->t, "%s", err_text(&e, -e.code));
}

/* Serves apt's connections until it has ended; gives its wait status. */
static int attend(struct fetch *f, struct proc *apt)
{
	int status = 0;

	for (;;) {
		struct pollfd p[2 + CONNECTIONS] = { { .fd = apt->pidfd, .events = POLLIN } };
		size_t busy = 0;

		for (size_t i = 0; i < CONNECTIONS; i++) {
			p[2 + i] = (struct pollfd){ .fd = f->calls[i].pidfd, .events = POLLIN };
			busy += f->calls[i].pidfd >= 0;
		}
		p[1] = (struct pollfd){ .fd = busy < CONNECTIONS ? f->listen_fd : -1, .events = POLLIN };
		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return -errno;
		if (p[0].revents)
			break;
		for (size_t i = 0; i < CONNECTIONS; i++)
			if (p[2 + i].revents && proc_wait(&f->calls[i], -1, &status) == 0)
				proc_fini(&f->calls[i]);
		if (p[1].revents)
			take_connection(f);
	}
	return proc_wait(apt, -1, &status) < 0 ? -ECHILD : status;
}

/* Runs apt-get with these words and names; gives its exit status, or -errno. */
static int apt_get(struct fetch *f, const char *const *words, int argc, char **argv)
{
	_cleanup_free_ char *http = xasprintf("Acquire::http::Proxy=http://127.0.0.1:%u/", f->port);
	_cleanup_free_ char *https = xasprintf("Acquire::https::Proxy=http://127.0.0.1:%u/", f->port);
	_cleanup_free_ const char **v = xcalloc((size_t)argc + 20, sizeof *v);
	_cleanup_proc_ struct proc apt = PROC_INIT;
	struct proc_spec s = { .path = f->apt, .argv = v, .envp = (const char *const *)(void *)environ,
			       .fds = { { STDIN_FILENO, 0 }, { STDOUT_FILENO, 1 }, { STDERR_FILENO, 2 } }, .n_fds = 3 };
	const char *release = opt_str(f->t, KEY_RELEASE_OF);
	struct err e = { 0 };
	size_t n = 0;
	int r;

	v[n++] = "apt-get";
	v[n++] = "-o";
	v[n++] = http;
	v[n++] = "-o";
	v[n++] = https;
	if (opt_has(f->t, 'y'))
		v[n++] = "-y";
	if (f->t->verbose < 0)
		v[n++] = "-q";
	if (release) {
		v[n++] = "-t";
		v[n++] = release;
	}
	for (size_t i = 0; words[i]; i++)
		v[n++] = words[i];
	v[n++] = "--";
	for (int i = 0; i < argc; i++)
		v[n++] = argv[i];
	r = proc_spawn(&apt, &s, &e);
	if (r == 0)
		r = attend(f, &apt);
	if (r < 0)
		return tool_fail(f->t, "%s", err_text(&e, r)), r;
	return proc_exit_code(r);
}

/* How many packages an upgrade would change, from what is known here; -1 when apt does not say. */
static int count_updates(const struct fetch *f)
{
	const char *const argv[] = { "apt-get", "--simulate", "-qq", "dist-upgrade", NULL };
	struct proc_spec s = { .path = f->apt, .argv = argv, .envp = (const char *const *)(void *)environ }; /* "Inst" is in no language */
	_cleanup_free_ char *text = NULL;
	size_t len;
	int n = 0;

	if (proc_capture(&s, LISTING_MAX, &text, &len, NULL) < 0)
		return -1;
	for (const char *p = text; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
		n += str_starts(p, "Inst ");
	return n;
}

/* What other tools show of dom0; that it cannot be noted does not undo what was done. */
static int note_updates(struct fetch *f)
{
	int n = count_updates(f);
	struct err e = { 0 };

	if (n >= 0 && update_set("dom0", "updates-available", n ? "1" : NULL, &e) < 0)
		tool_info(f->t, "the feature updates-available of dom0: %s", e.msg);
	return n;
}

static const struct action *action_of(struct tool *t, int argc)
{
	const char *name = opt_str(t, KEY_ACTION) ? opt_str(t, KEY_ACTION) : argc ? "install" : "upgrade";

	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (streq(actions[i].name, name))
			return &actions[i];
	(void)tool_usage(t, "--action takes upgrade, full-upgrade, install, reinstall or download, not '%s'", name);
	return NULL;
}

static int fetch_and_act(struct fetch *f, const struct action *a, int argc, char **argv)
{
	static const char *const clean[] = { "clean", NULL }, *const update[] = { "update", NULL };
	int r = opt_has(f->t, KEY_CLEAN) ? apt_get(f, clean, 0, NULL) : 0;
	int n;

	if (r == 0)
		r = apt_get(f, update, 0, NULL);
	if (r == 0 && !opt_has(f->t, KEY_CHECK_ONLY))
		r = apt_get(f, a->words, argc, argv);
	if (r != 0)
		return r < 0 ? EXIT_FAIL : r;
	n = note_updates(f);
	if (!opt_has(f->t, KEY_CHECK_ONLY))
		return 0;
	if (n < 0)
		return tool_fail(f->t, "apt-get does not say what an upgrade would do; 'apt-get --simulate dist-upgrade' shows why");
	tool_note(f->t, n ? "%d packages of dom0 can be updated" : "dom0 has no updates", n);
	return n ? STATUS_UPDATES : 0;
}

/* Everything that can be known before a qube is started for it. 0 or an exit status (printed). */
static int check_use(struct tool *t, struct fetch *f, int argc, char **argv)
{
	/* A test of session mode may name a program in apt's place. */
	const char *hook = paths_system_mode() ? NULL : getenv("BULKHEAD_DOM0_APT");

	if (opt_has(t, KEY_REPO))
		return tool_usage(t, "repositories of dom0 are those of /etc/apt/sources.list.d; --target-release RELEASE chooses between their versions");
	if (opt_has(t, KEY_CHECK_ONLY) && (argc || opt_has(t, KEY_ACTION)))
		return tool_usage(t, "--check-only takes neither packages nor --action");
	for (int i = 0; i < argc; i++)
		if (!str_chars(argv[i], "+-.:=~/*"))
			return tool_usage(t, "'%s' is no name of a package", argv[i]);
	if (!paths_system_mode() && !hook)
		return tool_fail(t, "this instance lives in your session: the packages of this computer are its own matter ('sudo apt-get update', then 'sudo apt-get upgrade')");
	if (!hook && geteuid() != 0)
		return tool_fail(t, "packages of dom0 are changed by root only: 'sudo qubes-dom0-update'");
	f->apt = hook ? hook : APT;
	if (access(f->apt, X_OK) < 0)
		return tool_fail(t, "there is no '%s' here: this dom0 is not of Debian's family, update it by its own means", f->apt);
	return 0;
}

static int find_qube(struct tool *t, char *out, size_t cap)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct adm_prop prop = { 0 };
	struct err e = { 0 };
	int r;

	if (opt_str(t, KEY_QUBE))
		return str_copy(out, cap, opt_str(t, KEY_QUBE)) < 0 ? tool_usage(t, "no such qube: '%s'", opt_str(t, KEY_QUBE)) : 0;
	r = adm_text(&rep, "dom0", "admin.property.Get", "updatevm", NULL, &e);
	if (r == 0)
		r = adm_prop_parse(&prop, rep.data, &e);
	if (r < 0)
		return tool_api(t, r, &e);
	if (!prop.value[0])
		return tool_fail(t, "no qube fetches updates: set one with 'qubes-prefs updatevm QUBE', give --updatevm, or use apt-get where dom0 has a network");
	return str_copy(out, cap, prop.value) < 0 ? EXIT_FAIL : 0;
}

static int run(struct tool *t, int argc, char **argv)
{
	struct fetch f = { .t = t, .listen_fd = -1 };
	const struct action *a;
	char qube[80];
	struct err e = { 0 };
	int r = check_use(t, &f, argc, argv);

	if (r != 0)
		return r;
	a = action_of(t, argc);
	if (!a)
		return EXIT_USAGE;
	if (a->packages != (argc > 0))
		return tool_usage(t, a->packages ? "'%s' wants names of packages" : "'%s' takes no names of packages", a->name);
	r = find_qube(t, qube, sizeof qube);
	if (r == 0)
		r = run_wake(t, qube);
	if (r != 0)
		return r == RUN_FAILED ? EXIT_FAIL : r;
	f.qube = qube;
	for (size_t i = 0; i < CONNECTIONS; i++)
		f.calls[i] = PROC_INIT;
	if (open_port(&f, &e) < 0)
		return tool_fail(t, "%s", e.msg);
	/* Ctrl-C is apt's: it ends by itself, and then this program. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	r = fetch_and_act(&f, a, argc, argv);
	for (size_t i = 0; i < CONNECTIONS; i++)
		proc_fini(&f.calls[i]);
	fd_closep(&f.listen_fd);
	return r;
}

static const struct tool_exit exits[] = {
	{ 1, "failure; or that of apt-get" },
	{ STATUS_UPDATES, "there are updates (--check-only); else: apt-get failed" },
	{ 0, NULL },
};

const struct verb verb_qubes_dom0_update = {
	.name = "qubes-dom0-update",
	.summary = "update or install packages of dom0 through the update qube",
	.args = "[PACKAGE...]",
	.desc = "For a dom0 without a network of its own. apt-get runs here and checks signatures;\n"
		"what it fetches comes through the proxy of the qube that the property updatevm names.",
	.opts = opts,
	.exits = exits,
	.words = { W_ANY },
	.flags = VERB_NO_JOURNAL,
	.run = run,
};
