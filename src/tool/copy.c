/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files from dom0 to a qube: a call of qubes.Filecopy whose local program is this tool again, as the sender of the stream. A move deletes
 * only what the sender's journal names and what has not changed since.
 */
#include "tool/copy.h"

#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "agent/qfile/journal.h"
#include "agent/qfile/pack.h"
#include "base/io.h"
#include "client/qrexec.h"
#include "tool/run.h"

#define PROGRESS_EVERY_US 200000

struct progress {
	bool on;
	uint64_t total, last_us;
};

static void show(uint64_t sent, void *arg)
{
	struct progress *p = arg;
	uint64_t now = now_us();

	if (!p->on || (now - p->last_us < PROGRESS_EVERY_US && sent < p->total))
		return;
	p->last_us = now;
	(void)fprintf(stderr, "\rsent %llu of %llu KiB", (unsigned long long)(sent / 1024), (unsigned long long)(p->total / 1024));
}

/* Standard input and output are the stream. */
static int sender(struct tool *t, char **files, size_t n)
{
	struct qfile_pack p = { .in = STDIN_FILENO, .out = STDOUT_FILENO, .ignore_links = opt_has(t, KEY_IGNORE_LINKS), .progress = show };
	struct progress progress = { .on = isatty(STDERR_FILENO) && !opt_has(t, KEY_NO_PROGRESS) && t->verbose >= 0 };
	struct journal journal = { .fd = -1 };
	struct qfile_survey s;
	struct err e = { 0 };
	struct rlimit rl;
	int r = 0;

	/* Every level of folders holds a descriptor. */
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
	if (progress.on && qfile_survey(files, n, p.ignore_links, &s, NULL) == 0)
		progress.total = s.bytes;
	p.arg = &progress;
	if (opt_str(t, KEY_JOURNAL)) {
		r = journal_open(&journal, opt_str(t, KEY_JOURNAL), &e);
		p.journal = &journal;
	}
	if (r == 0)
		r = qfile_pack(&p, files, n, &e);
	if (progress.last_us)
		(void)fputc('\n', stderr);
	journal_close(&journal);
	return r < 0 ? tool_fail(t, "%s", err_text(&e, r)) : 0;
}

static int survey(struct tool *t, char **files, size_t n)
{
	struct qfile_survey s;
	struct err e = { 0 };
	int r = qfile_survey(files, n, opt_has(t, KEY_IGNORE_LINKS), &s, &e);

	if (r < 0)
		return tool_fail(t, "%s", err_text(&e, r));
	if (s.needs_all_names[0] && !opt_has(t, KEY_ALL_NAMES))
		return tool_fail(t, "the name of '%s' has unusual characters; rename it, or give --allow-all-names", s.needs_all_names);
	return 0;
}

static const char **sender_words(const struct tool *t, int argc, char **argv, const char *journal)
{
	const char **v = xcalloc((size_t)argc + 12, sizeof *v);
	size_t n = 0;

	v[n++] = "/proc/self/exe";
	v[n++] = t->verb->name;
	v[n++] = "--sender";
	if (opt_has(t, KEY_IGNORE_LINKS))
		v[n++] = "--ignore-symlinks";
	if (opt_has(t, KEY_NO_PROGRESS) || t->verbose < 0)
		v[n++] = "--without-progress";
	if (journal) {
		v[n++] = "--journal";
		v[n++] = journal;
	}
	v[n++] = "--";
	for (int i = 0; i < argc; i++)
		v[n++] = argv[i];
	return v;
}

static int call(struct tool *t, int argc, char **argv, const char *journal)
{
	_cleanup_free_ const char **words = sender_words(t, argc, argv, journal);
	struct err e = { 0 };
	struct qrexec_call c = {
		.qube = argv[0],
		.command = opt_has(t, KEY_ALL_NAMES) ? "DEFAULT:QUBESRPC qubes.Filecopy+allow-all-names dom0" :
						       "DEFAULT:QUBESRPC qubes.Filecopy dom0",
		.wait_s = RUN_WAIT_S,
		.caller = { .argv = words, .in = STDIN_FILENO, .out = STDOUT_FILENO, .err = STDERR_FILENO, .filter_err = true },
	};
	int r = qrexec_run(&c, &e);

	if (r < 0 || e.code)
		return tool_fail(t, "%s: %s", argv[0], err_text(&e, r));
	/* The sender has said why. */
	return r ? EXIT_FAIL : 0;
}

static void tell_kept(const char *text, const char *path, void *arg)
{
	tool_note(arg, "%s: %s", path, text);
}

static int move_files(struct tool *t, int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	char dir[PATH_MAX], journal[PATH_MAX];
	struct err e = { 0 };
	int r, kept;

	if (str_printf(dir, sizeof dir, "%s/qvm-move-XXXXXX", tmp && *tmp ? tmp : "/tmp") < 0 || !mkdtemp(dir))
		return tool_fail(t, "a folder for the journal of the move: %s", strerror(errno));
	r = str_printf(journal, sizeof journal, "%s/journal", dir) < 0 ? EXIT_FAIL : call(t, argc, argv, journal);
	if (r == 0) {
		kept = journal_remove(journal, tell_kept, t, &e);
		if (kept < 0)
			r = tool_fail(t, "everything was copied, but nothing was deleted: %s", err_text(&e, kept));
		else if (kept > 0)
			r = tool_fail(t, "everything was copied, but %d files stay: they changed meanwhile", kept);
	}
	(void)unlink(journal);
	(void)rmdir(dir);
	return r;
}

int copy_run(struct tool *t, int argc, char **argv, bool move)
{
	int r;

	if (opt_has(t, KEY_SENDER))
		return sender(t, argv + 1, (size_t)argc - 1);
	if (streq(argv[0], "dom0"))
		return tool_usage(t, "the files are in dom0 already; name another qube");
	r = survey(t, argv + 1, (size_t)argc - 1);
	r = r ? r : run_wake(t, argv[0]);
	if (r != 0)
		return r == RUN_FAILED ? EXIT_FAIL : r;
	return move ? move_files(t, argc, argv) : call(t, argc, argv, NULL);
}
