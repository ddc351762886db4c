/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qfile-agent [--ignore-symlinks] [--journal FILE] [--] PATH…: sends the paths as a file copy stream on standard output and reads the
 * receiver's answer from standard input. Progress goes to where $PROGRESS_TYPE says (console: standard error, gui: $SAVED_FD_1).
 */
#include "agent/qfile/journal.h"
#include "agent/qfile/pack.h"
#include "agent/qfile/progress.h"
#include "agent/qfile/walk.h"
#include "base/str.h"

static const char usage[] = "usage: qfile-agent [--ignore-symlinks] [--journal FILE] [--] PATH...\n"
			    "Sends files on standard output. Run it through qvm-copy or qvm-move.\n";

static void tell_skipped(const char *name, void *arg)
{
	char shown[300];

	fprintf(stderr, "qfile-agent: left out '%s': neither a file nor a folder nor a link\n",
		str_escape(shown, sizeof shown, name, strlen(name)));
}

int main(int argc, char **argv)
{
	struct qfile_pack p = { .in = STDIN_FILENO, .out = STDOUT_FILENO, .progress = progress_show, .skipped = tell_skipped };
	struct progress progress;
	struct journal journal = { .fd = -1 };
	const char *journal_path = NULL;
	struct err e = { 0 };
	uint64_t sent = 0;
	int i, r;

	for (i = 1; i < argc && str_starts(argv[i], "-"); i++) {
		if (streq(argv[i], "--")) {
			i++;
			break;
		}
		if (streq(argv[i], "--ignore-symlinks")) {
			p.ignore_links = true;
		} else if (streq(argv[i], "--journal") && i + 1 < argc) {
			journal_path = argv[++i];
		} else {
			fputs(usage, stderr);
			return 2;
		}
	}
	if (i >= argc) {
		fputs(usage, stderr);
		return 2;
	}
	walk_raise_limit();
	progress_from_env(&progress);
	p.arg = &progress;
	p.ret_sent = &sent;
	r = journal_path ? journal_open(&journal, journal_path, &e) : 0;
	if (r == 0) {
		p.journal = journal_path ? &journal : NULL;
		r = qfile_pack(&p, argv + i, (size_t)(argc - i), &e);
	}
	progress_end(&progress, sent, r == 0);
	if (r < 0)
		fprintf(stderr, "qfile-agent: %s\n", err_text(&e, r));
	journal_close(&journal);
	return r < 0 ? 1 : 0;
}
