/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qfile-agent [--ignore-symlinks] [--journal FILE] [--] PATH…: sends the paths as a file copy stream on standard output and reads the
 * receiver's answer from standard input. Progress goes to where $PROGRESS_TYPE says (console: standard error, gui: $SAVED_FD_1).
 */
#include <sys/resource.h>

#include "agent/qfile/journal.h"
#include "agent/qfile/pack.h"
#include "base/io.h"
#include "base/str.h"

#define PROGRESS_EVERY_US 200000

static const char usage[] = "usage: qfile-agent [--ignore-symlinks] [--journal FILE] [--] PATH...\n"
			    "Sends files on standard output. Run it through qvm-copy or qvm-move.\n";

struct progress {
	bool console;
	int fd; /* of a graphical front end; -1 = none */
	uint64_t total, last_us;
};

static void show(uint64_t sent, void *arg)
{
	struct progress *p = arg;
	uint64_t now = now_us();
	char line[64];
	int n;

	if (now - p->last_us < PROGRESS_EVERY_US && sent < p->total)
		return;
	p->last_us = now;
	if (p->console)
		fprintf(stderr, "sent %llu/%llu KB\r", (unsigned long long)(sent / 1024),
			(unsigned long long)(p->total / 1024));
	if (p->fd < 0)
		return;
	n = snprintf(line, sizeof line, "%llu\n", (unsigned long long)sent);
	if (n > 0 && write_full(p->fd, line, (size_t)n) < 0)
		p->fd = -1;
}

static uint64_t env_number(const char *name, uint64_t max, uint64_t fallback)
{
	const char *s = getenv(name);
	uint64_t v;

	return s && str_u64(s, max, &v) == 0 ? v : fallback;
}

static void set_progress(struct progress *p)
{
	const char *type = getenv("PROGRESS_TYPE");

	p->fd = -1;
	p->total = env_number("FILECOPY_TOTAL_BYTES", UINT64_MAX, 0);
	if (type && streq(type, "console"))
		p->console = true;
	if (type && streq(type, "gui"))
		p->fd = (int)env_number("SAVED_FD_1", 65535, (uint64_t)-1);
}

/* Every level of folders holds a descriptor. */
static void raise_limit(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &rl);
	}
}

int main(int argc, char **argv)
{
	struct qfile_pack p = { .in = STDIN_FILENO, .out = STDOUT_FILENO, .progress = show };
	struct progress progress = { 0 };
	struct journal journal = { .fd = -1 };
	const char *journal_path = NULL;
	struct err e = { 0 };
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
	raise_limit();
	set_progress(&progress);
	p.arg = &progress;
	r = journal_path ? journal_open(&journal, journal_path, &e) : 0;
	if (r == 0) {
		p.journal = journal_path ? &journal : NULL;
		r = qfile_pack(&p, argv + i, (size_t)(argc - i), &e);
	}
	if (progress.console)
		fputc('\n', stderr);
	if (r < 0)
		fprintf(stderr, "qfile-agent: %s\n", err_text(&e, r));
	journal_close(&journal);
	return r < 0 ? 1 : 0;
}
