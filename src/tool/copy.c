/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files from dom0 to a qube: a call of qubes.Filecopy whose local program is this tool again, as the sender of the stream. A move deletes
 * only what the sender's journal names and what has not changed since.
 */
#include "tool/copy.h"

#include <limits.h>
#include <signal.h>

#include "agent/qfile/journal.h"
#include "agent/qfile/move.h"
#include "agent/qfile/pack.h"
#include "agent/qfile/progress.h"
#include "agent/qfile/walk.h"
#include "client/qrexec.h"
#include "proto/qfile.h"
#include "tool/run.h"

#define EXIT_CANCELLED 130

static volatile sig_atomic_t cancelled;

/* The sender is a process of its own that the terminal reaches too; its end ends the call. */
static void on_cancel(int signum)
{
	cancelled = 1;
}

static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_cancel, .sa_flags = SA_RESTART };

	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGHUP, &sa, NULL);
}

static unsigned name_flags(const struct tool *t)
{
	return opt_has(t, KEY_ALL_NAMES) ? QFILE_ALL_NAMES : 0;
}

static int look(struct tool *t, char **files, size_t n, uint64_t *ret_bytes, struct err *e)
{
	struct qfile_survey s = { .ignore_links = opt_has(t, KEY_IGNORE_LINKS), .name_flags = name_flags(t) };
	int r = qfile_survey(&s, files, n, e);

	*ret_bytes = s.bytes;
	return r;
}

static void tell_skipped(const char *name, void *arg)
{
	char shown[300];

	(void)fprintf(stderr, "left out '%s': neither a file nor a folder nor a link\n", str_escape(shown, sizeof shown, name, strlen(name)));
}

static void begin_progress(struct tool *t, struct progress *p, char **files, size_t n)
{
	uint64_t total = 0;

	if (opt_has(t, KEY_NO_PROGRESS) || t->verbose < 0) {
		progress_init(p, PROGRESS_NONE, -1, 0);
	} else if (getenv("PROGRESS_TYPE")) {
		progress_from_env(p);
	} else {
		if (isatty(STDERR_FILENO))
			(void)look(t, files, n, &total, NULL);
		progress_init(p, isatty(STDERR_FILENO) ? PROGRESS_CONSOLE : PROGRESS_NONE, -1, total);
	}
}

/* Standard input and output are the stream. */
static int sender(struct tool *t, char **files, size_t n)
{
	struct progress progress;
	uint64_t sent = 0;
	struct qfile_pack p = { .in = STDIN_FILENO, .out = STDOUT_FILENO, .ignore_links = opt_has(t, KEY_IGNORE_LINKS),
				.progress = progress_show, .skipped = tell_skipped, .arg = &progress, .ret_sent = &sent };
	struct journal journal = { .fd = -1 };
	struct err e = { 0 };
	int r = 0;

	begin_progress(t, &progress, files, n);
	if (opt_str(t, KEY_JOURNAL)) {
		r = journal_open(&journal, opt_str(t, KEY_JOURNAL), &e);
		p.journal = &journal;
	}
	if (r == 0)
		r = qfile_pack(&p, files, n, &e);
	progress_end(&progress, sent, r == 0);
	journal_close(&journal);
	return r < 0 ? tool_fail(t, "%s", err_text(&e, r)) : 0;
}

static int survey(struct tool *t, char **files, size_t n)
{
	struct err e = { 0 };
	uint64_t bytes;
	int r = look(t, files, n, &bytes, &e);

	return r < 0 ? tool_fail(t, "%s", err_text(&e, r)) : 0;
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
	int r;

	catch_signals();
	r = qrexec_run(&c, &e);
	if (cancelled && (r || e.code)) {
		tool_note(t, "cancelled; '%s' has at most whole files%s", argv[0], journal ? ", and all originals stay" : "");
		return EXIT_CANCELLED;
	}
	if (r < 0 || e.code)
		return tool_fail(t, "%s: %s", argv[0], err_text(&e, r));
	/* The sender has said why. */
	return r ? EXIT_FAIL : 0;
}

static void tell_kept(const char *text, const char *path, void *arg)
{
	char shown[512];

	tool_note(arg, "kept '%s': %s", str_escape(shown, sizeof shown, path, strlen(path)), text);
}

static int move_files(struct tool *t, int argc, char **argv)
{
	struct move_rest rest = move_pending();
	struct move m = MOVE_INIT;
	struct err e = { 0 };
	uint64_t hours = opt_has(t, KEY_UNDOABLE) ? MOVE_UNDO_HOURS : 0;
	int r, kept;

	if (opt_str(t, KEY_UNDOABLE) && (str_u64(opt_str(t, KEY_UNDOABLE), MOVE_UNDO_HOURS_MAX, &hours) < 0 || !hours))
		return tool_usage(t, "'%s' is no number of hours from 1 to %d", opt_str(t, KEY_UNDOABLE), MOVE_UNDO_HOURS_MAX);
	if (rest.confirmed)
		tool_note(t, "an earlier move arrived but broke off before its originals were deleted: 'qvm-move-to-vm --resume' deletes them, "
			     "'qvm-move-to-vm --forget' keeps them");
	r = move_begin(&m, &e);
	if (r < 0)
		return tool_fail(t, "%s", err_text(&e, r));
	r = call(t, argc, argv, m.journal);
	if (r) {
		move_drop(&m);
		return r;
	}
	kept = hours ? move_finish_undoable(&m, (unsigned)hours, tell_kept, t, &e) : move_finish(&m, tell_kept, t, &e);
	if (kept >= 0 && hours)
		tool_note(t, "the originals are put aside for %u hours; 'qvm-move-to-vm --undo' brings them back", (unsigned)hours);
	if (kept < 0)
		return tool_fail(t, "everything was copied, but nothing was deleted: %s", err_text(&e, kept));
	return kept ? tool_fail(t, "everything was copied, but %d of the originals stay", kept) : 0;
}

static int undo(struct tool *t)
{
	struct move_undone u;
	struct err e = { 0 };
	int r = move_undo(tell_kept, t, &u, &e);

	if (r < 0)
		return tool_fail(t, "%s", err_text(&e, r));
	tool_note(t, "%u originals are back where they were; the qube still has what it got", u.restored);
	return u.kept ? tool_fail(t, "%u of the originals stay put aside: make room for them and repeat", u.kept) : 0;
}

static int end_old(struct tool *t)
{
	struct move_rest rest;
	struct err e = { 0 };
	int r = move_resume(opt_has(t, KEY_FORGET), tell_kept, t, &rest, &e);

	if (r < 0)
		return tool_fail(t, "%s", err_text(&e, r));
	tool_note(t, rest.confirmed ? "the originals of %u moves %s" : "no move is waiting", rest.confirmed,
		  opt_has(t, KEY_FORGET) ? "stay" : "were deleted");
	return rest.kept ? tool_fail(t, "%u of the originals stay", rest.kept) : 0;
}

static int copy_or_move(struct tool *t, int argc, char **argv, bool move)
{
	int r = run_wake(t, argv[0]);

	if (r != 0)
		return r == RUN_FAILED ? EXIT_FAIL : r;
	return move ? move_files(t, argc, argv) : call(t, argc, argv, NULL);
}

/* @dispvm[:TEMPLATE]: a new disposable that stays, since what it got would go with it. One that did not get everything is removed. */
static int to_disposable(struct tool *t, int argc, char **argv, bool move)
{
	_cleanup_free_ char **words = xcalloc((size_t)argc + 1, sizeof *words);
	char name[DISP_NAME_CAP];
	int r = disp_make(t, argv[0], NULL, name);

	if (r != 0)
		return r == RUN_FAILED ? EXIT_FAIL : r;
	for (int i = 1; i < argc; i++)
		words[i] = argv[i];
	words[0] = name;
	r = copy_or_move(t, argc, words, move);
	if (r != 0)
		disp_remove(t, name);
	else
		tool_note(t, "the files are in the new disposable '%s'; it goes, with them, when it is shut down (qvm-shutdown %s)", name, name);
	return r;
}

int copy_run(struct tool *t, int argc, char **argv, bool move)
{
	int r;

	walk_raise_limit();
	if (opt_has(t, KEY_SENDER))
		return sender(t, argv + 1, (size_t)argc - 1);
	if (move)
		move_expire();
	if (opt_has(t, KEY_UNDO))
		return argc ? tool_usage(t, "--undo takes neither qube nor file") : undo(t);
	if (opt_has(t, KEY_RESUME) || opt_has(t, KEY_FORGET))
		return argc ? tool_usage(t, "--resume and --forget take neither qube nor file") : end_old(t);
	if (argc < 2)
		return tool_usage(t, "name a qube and at least one file");
	if (streq(argv[0], "dom0"))
		return tool_usage(t, "the files are in dom0 already; name another qube");
	r = survey(t, argv + 1, (size_t)argc - 1);
	if (r != 0)
		return r;
	return (argv[0][0] == '@' ? to_disposable : copy_or_move)(t, argc, argv, move);
}
