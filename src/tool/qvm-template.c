/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-template build|list-flavours: makes a template from Debian packages and brings it into the
 * running instance. The build itself is src/template; this file is only its face.
 */
#include <fcntl.h>
#include <signal.h>

#include "base/io.h"
#include "template/template.h"
#include "tool/template_install.h"
#include "tool/tool.h"
#include "tool/util.h"

enum { KEY_CACHE = 310, KEY_NO_INSTALL, KEY_FULL_KERNEL, KEY_REFRESH, KEY_FORCE, KEY_NAME, KEY_DEB, KEY_INIT, KEY_PROGRESS_FD };

static const struct tool_opt opts[] = {
	{ KEY_NAME, "name", "NAME", "build: name of the template; default is the flavour's name", 0, W_ANY },
	{ KEY_NO_INSTALL, "no-install", NULL, "build: only fill the cache, do not touch the running instance", 0, W_ANY },
	{ KEY_FORCE, "force", NULL, "build: import the image although an equal one is installed", 0, W_ANY },
	{ KEY_REFRESH, "refresh", NULL, "build: fetch packages anew", 0, W_ANY },
	{ KEY_FULL_KERNEL, "full-kernel", NULL, "build: also install the kernel with USB, sound, graphics and network cards", 0, W_ANY },
	{ KEY_CACHE, "cache", "DIR", "where built files are kept; default ~/.cache/bulkhead", 0, W_FILE },
	{ KEY_DEB, "deb", "FILE", "guest package to install into the template", 0, W_FILE },
	{ KEY_INIT, "init", "FILE", "first program of the initramfs", OPT_HIDDEN, W_FILE },
	{ KEY_PROGRESS_FD, "progress-fd", "N", "write progress as \"PERMILLE TEXT\" lines to descriptor N", 0, W_ANY },
	OPT_JSON,
	{ 0 },
};

static const struct tool_sub subs[] = {
	{ "build", "FLAVOUR", "make a template from Debian packages and install it" },
	{ "list-flavours", "", "show what can be built" },
	{ 0 },
};

static const struct tool_exit exits[] = {
	{ 130, "interrupted; finished steps are kept" },
	{ 0, NULL },
};

static time_t clock_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

struct face {
	const struct tool *t;
	int fd;	      /* --progress-fd, or -1 */
	bool bar;     /* standard error is a terminal */
	unsigned last;
	const char *text; /* last one shown; all are literals */
	time_t since;	  /* when it came */
};

static void show(struct face *f, unsigned permille, const char *text)
{
	bool again = f->text && streq(f->text, text) && f->last == permille;
	unsigned seconds;

	if (!again && (!f->text || !streq(f->text, text)))
		f->since = clock_s();
	seconds = (unsigned)(clock_s() - f->since);
	/* A step that goes on: a script has been told already. */
	if (again && !f->bar)
		return;
	if (f->fd >= 0 && !again)
		dprintf(f->fd, "%u %s\n", permille, text);
	if (f->t->verbose < 0)
		return;
	if (f->bar) {
		char bar[26];
		size_t full = permille * (sizeof bar - 1) / 1000;

		for (size_t i = 0; i < sizeof bar - 1; i++)
			bar[i] = i < full ? '#' : '.';
		bar[sizeof bar - 1] = '\0';
		fprintf(stderr, "\r\033[K[%s] %3u%% %s", bar, permille / 10, text);
		/* Some steps take minutes: they are seen to go on. */
		if (seconds >= 2)
			fprintf(stderr, " (%u s)", seconds);
		fputs(permille == 1000 ? "\n" : "", stderr);
		fflush(stderr);
	} else if (!f->text || !streq(f->text, text)) {
		fprintf(stderr, "%3u%% %s\n", permille / 10, text);
	}
	f->text = text;
	f->last = permille;
}

static void on_build(void *arg, const char *text, unsigned step, unsigned n_steps, unsigned permille)
{
	(void)step;
	(void)n_steps;
	/* The last tenth belongs to the import. */
	show(arg, permille * 9 / 10, text);
}

static void on_import(uint64_t done, uint64_t total, void *arg)
{
	unsigned permille = 900 + (total ? (unsigned)(done * 99 / total) : 0);
	struct face *f = arg;

	if (permille != f->last)
		show(f, MIN(permille, 999u), "importing");
}

static void on_signal(int signum)
{
	(void)signum;
	template_cancel();
}

static int install(struct face *f, const struct template_result *res, struct err *e)
{
	bool changed = false;
	const struct template_install ti = {
		.name = res->name, .root_img = res->root_img, .kernel_dir = res->kernel_dir, .full_kernel_dir = res->full_kernel_dir, .digest = res->digest,
		.suite = res->suite, .force = opt_has(f->t, KEY_FORCE), .progress = on_import, .arg = f,
	};
	int r = template_install(&ti, &changed, e);

	if (r >= 0)
		show(f, 1000, changed ? "installed" : "installed already");
	return r;
}

/* On standard output, so that a script can take it. */
static void say_kernel(const struct tool *t, const struct template_result *res)
{
	const char *name = strrchr(res->full_kernel_dir, '/') + 1;

	if (t->verbose < 0)
		printf("%s\n", name);
	else
		printf("full kernel: %s (qvm-prefs QUBE kernel %s)\n", name, name);
}

static int build(struct tool *t, const char *name)
{
	struct face f = { .t = t, .fd = -1, .bar = isatty(STDERR_FILENO) == 1 };
	struct template_req req = {
		.flavour = flavour_find(name), .name = opt_str(t, KEY_NAME), .cache = opt_str(t, KEY_CACHE), .deb = opt_str(t, KEY_DEB),
		.init = opt_str(t, KEY_INIT), .full_kernel = opt_has(t, KEY_FULL_KERNEL), .refresh = opt_has(t, KEY_REFRESH),
		.progress = on_build, .arg = &f,
	};
	const char *fd = opt_str(t, KEY_PROGRESS_FD);
	struct sigaction sa = { .sa_handler = on_signal };
	struct template_result res;
	struct err e = { 0 };
	uint64_t n;
	int r;

	if (!req.flavour)
		return tool_usage(t, "there is no flavour '%s'; see qvm-template list-flavours", name);
	if (fd && (str_u64(fd, 1024, &n) < 0 || fcntl((int)n, F_GETFD) < 0))
		return tool_usage(t, "--progress-fd wants an open descriptor");
	if (fd)
		f.fd = (int)n;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	r = template_build(&req, &res, &e);
	if (r >= 0 && opt_has(t, KEY_NO_INSTALL))
		show(&f, 1000, "built");
	else if (r >= 0)
		r = install(&f, &res, &e);
	if (r < 0) {
		if (f.bar)
			fputc('\n', stderr);
		tool_fail(t, "%s", err_text(&e, r));
		return r == -EINTR ? 130 : EXIT_FAIL;
	}
	if (res.full_kernel_dir[0] && !opt_has(t, KEY_JSON))
		say_kernel(t, &res);
	if (opt_has(t, KEY_JSON)) {
		struct json j = { 0 };

		json_open(&j, NULL, '{');
		json_str(&j, "name", res.name);
		json_str(&j, "root_img", res.root_img);
		json_str(&j, "kernel_dir", res.kernel_dir);
		if (res.full_kernel_dir[0])
			json_str(&j, "full_kernel_dir", res.full_kernel_dir);
		json_str(&j, "digest", res.digest);
		json_close(&j, '}');
	}
	return 0;
}

static int list_flavours(struct tool *t)
{
	struct table *tb __attribute__((cleanup(table_freep))) = table_new(3);
	const struct flavour *f;

	table_add(tb, "FLAVOUR");
	table_add(tb, "SUITE");
	table_add(tb, "CONTENT");
	for (size_t i = 0; (f = flavour_at(i)); i++) {
		table_add(tb, f->name);
		table_add(tb, f->suite);
		table_add(tb, f->summary);
	}
	table_print(tb, t, true);
	return 0;
}

static int run(struct tool *t, int argc, char **argv)
{
	if (streq(argv[0], "list-flavours") && argc == 1)
		return list_flavours(t);
	if (streq(argv[0], "build") && argc == 2)
		return build(t, argv[1]);
	return tool_usage(t, "wants 'build FLAVOUR' or 'list-flavours'");
}

const struct verb verb_qvm_template = {
	.name = "qvm-template",
	.summary = "Build templates",
	.args = "build FLAVOUR | list-flavours",
	.opts = opts,
	.subs = subs,
	.exits = exits,
	.words = { W_SUB, W_ANY },
	.min_args = 1,
	.max_args = 2,
	.run = run,
};
