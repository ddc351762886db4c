/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-copy, qvm-move [options] FILE…; qvm-copy-to-vm, qvm-move-to-vm [options] VM FILE…: asks dom0 for the service qubes.Filecopy and
 * lets qfile-agent send the files. A move deletes only what the journal of the sender names and what has not changed since.
 */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>

#include "agent/qfile/journal.h"
#include "agent/qfile/pack.h"
#include "agent/vmtools/find.h"
#include "base/fsx.h"
#include "base/proc.h"
#include "base/str.h"
#include "proto/names.h"

struct job {
	bool move, to_vm;
	bool no_progress, ignore_links, all_names;
	const char *target;
	char *const *files;
	size_t n_files;
	char dir[64], journal[80]; /* of a move */
};

static const char *program = "qvm-copy";

static int usage(const struct job *j, FILE *out, int code)
{
	fprintf(out,
		"usage: %s [--allow-all-names] [--ignore-symlinks] [--without-progress] %sFILE...\n"
		"%s the files to another qube, which finds them in QubesIncoming.%s\n",
		program, j->to_vm ? "VM " : "", j->move ? "Moves" : "Copies",
		j->to_vm ? "" : " Which qube is asked for on the screen.");
	return code;
}

static int parse(struct job *j, int argc, char **argv)
{
	static const struct option options[] = {
		{ "allow-all-names", no_argument, NULL, 'a' }, { "ignore-symlinks", no_argument, NULL, 'i' },
		{ "without-progress", no_argument, NULL, 'n' }, { "with-progress", no_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },	       { NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		switch (c) {
		case 'a':
			j->all_names = true;
			break;
		case 'i':
			j->ignore_links = true;
			break;
		case 'n':
			j->no_progress = true;
			break;
		case 'p':
			j->no_progress = false;
			break;
		case 'h':
			exit(usage(j, stdout, 0));
		default:
			return usage(j, stderr, 2);
		}
	}
	j->target = "@default";
	if (j->to_vm && optind < argc)
		j->target = argv[optind++];
	if (optind >= argc)
		return usage(j, stderr, 2);
	j->files = argv + optind;
	j->n_files = (size_t)(argc - optind);
	return 0;
}

/* The same look at the files that the sender will take; tells now what the other side would refuse later. */
static int survey(const struct job *j, uint64_t *ret_bytes, struct err *e)
{
	struct qfile_survey s;
	int r = qfile_survey(j->files, j->n_files, j->ignore_links, &s, e);

	if (r < 0)
		return r;
	*ret_bytes = s.bytes;
	if (s.needs_all_names[0] && !j->all_names)
		return err_set(e, EILSEQ,
			       "'%s' has characters in its name that could mislead a reader on the other side.\n"
			       "Rename it, or use --allow-all-names if the other qube may get such names",
			       s.needs_all_names);
	return 0;
}

static int make_journal(struct job *j, struct err *e)
{
	const char *run = getenv("XDG_RUNTIME_DIR");

	if (!run || run[0] != '/' || str_printf(j->dir, sizeof j->dir, "%s/bulkhead-move-XXXXXX", run) < 0 ||
	    !mkdtemp(j->dir)) {
		if (str_copy(j->dir, sizeof j->dir, "/tmp/bulkhead-move-XXXXXX") < 0 || !mkdtemp(j->dir))
			return err_errno(e, errno, "a folder for the journal of the move");
	}
	return str_printf(j->journal, sizeof j->journal, "%s/journal", j->dir);
}

/* Our environment with what the sender needs added. The strings are the caller's. */
static const char **environment(char *total, char *type)
{
	extern char **environ;
	size_t n = 0, k = 0;
	const char **env;

	while (environ[n])
		n++;
	env = xcalloc(n + 3, sizeof *env);
	for (size_t i = 0; i < n; i++)
		if (!str_starts(environ[i], "FILECOPY_TOTAL_BYTES=") &&
		    (!type || !str_starts(environ[i], "PROGRESS_TYPE=")))
			env[k++] = environ[i];
	env[k++] = total;
	if (type)
		env[k++] = type;
	return env;
}

static int run_client(const struct job *j, uint64_t bytes, struct err *e)
{
	static char console[] = "PROGRESS_TYPE=console", none[] = "PROGRESS_TYPE=none";
	char client[PATH_MAX], agent[PATH_MAX], cwd[PATH_MAX], total[64], *type = NULL;
	_cleanup_free_ const char **argv = xcalloc(j->n_files + 12, sizeof *argv), **env = NULL;
	struct proc_spec s = { .path = client, .argv = argv, .fds = { { 0, 0 }, { 1, 1 } }, .n_fds = 2, .keep_stderr = true };
	_cleanup_proc_ struct proc p = PROC_INIT;
	size_t n = 0;
	int r, status;

	find_beside(client, "qrexec-client-vm", "/usr/bin");
	find_beside(agent, "qfile-agent", "/usr/lib/qubes");
	if (!getcwd(cwd, sizeof cwd))
		return err_errno(e, errno, "current directory");
	s.cwd = cwd;
	argv[n++] = "qrexec-client-vm";
	argv[n++] = "--filter-escape-chars-stderr";
	argv[n++] = "--";
	argv[n++] = j->target;
	argv[n++] = j->all_names ? "qubes.Filecopy+allow-all-names" : "qubes.Filecopy";
	argv[n++] = agent;
	if (j->ignore_links)
		argv[n++] = "--ignore-symlinks";
	if (j->move) {
		argv[n++] = "--journal";
		argv[n++] = j->journal;
	}
	argv[n++] = "--";
	for (size_t i = 0; i < j->n_files; i++)
		argv[n++] = j->files[i];
	(void)!str_printf(total, sizeof total, "FILECOPY_TOTAL_BYTES=%llu", (unsigned long long)bytes);
	if (j->no_progress)
		type = none;
	else if (!getenv("PROGRESS_TYPE"))
		type = isatty(STDERR_FILENO) ? console : none;
	env = environment(total, type);
	s.envp = env;
	r = proc_spawn(&p, &s, e);
	if (r == 0)
		r = proc_wait(&p, -1, &status);
	return r < 0 ? r : proc_exit_code(status);
}

static void tell_kept(const char *text, const char *path, void *arg)
{
	char shown[512];

	fprintf(stderr, "%s: kept '%s': %s\n", program, str_escape(shown, sizeof shown, path, strlen(path)), text);
}

static int move_or_copy(struct job *j, uint64_t bytes, struct err *e)
{
	int r, kept;

	if (!j->move)
		return run_client(j, bytes, e);
	r = make_journal(j, e);
	if (r < 0)
		return r;
	/* An interrupt ends the sender; what is left for us is to delete nothing and to clean up. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	r = run_client(j, bytes, e);
	if (r == 0) {
		kept = journal_remove(j->journal, tell_kept, NULL, e);
		if (kept > 0)
			r = err_set(e, EBUSY, "everything was copied, but %d of the originals stay", kept);
		else
			r = kept;
	} else if (r > 0) {
		fprintf(stderr, "%s: not everything was copied: all originals stay\n", program);
	}
	(void)fs_rm_rf(AT_FDCWD, j->dir, NULL);
	return r;
}

int main(int argc, char **argv)
{
	const char *slash = argc ? strrchr(argv[0], '/') : NULL;
	struct job j = { 0 };
	struct err e = { 0 };
	uint64_t bytes = 0;
	int r;

	if (argc)
		program = slash ? slash + 1 : argv[0];
	j.move = str_starts(program, "qvm-move");
	j.to_vm = str_ends(program, "-to-vm");
	r = parse(&j, argc, argv);
	if (r)
		return r;
	r = survey(&j, &bytes, &e);
	if (r == 0)
		r = move_or_copy(&j, bytes, &e);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", program, err_text(&e, r));
	return r < 0 ? 1 : r;
}
