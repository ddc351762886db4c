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

#include "agent/qfile/move.h"
#include "agent/qfile/pack.h"
#include "agent/qfile/progress.h"
#include "agent/qfile/walk.h"
#include "agent/vmtools/dialog.h"
#include "agent/vmtools/find.h"
#include "base/proc.h"
#include "base/str.h"
#include "proto/qfile.h"

#define EXIT_CANCELLED 130

struct job {
	bool move, to_vm, resume, forget, undo;
	unsigned undo_hours; /* 0 = originals are deleted at once */
	bool ignore_links;
	unsigned name_flags;
	const char *progress; /* as $PROGRESS_TYPE; NULL = what fits */
	const char *target;
	char *const *files;
	size_t n_files;
	uint64_t bytes;
	struct move m;
};

static const char *program = "qvm-copy";
static volatile sig_atomic_t cancelled, client_pid;

/* A signal to us alone ends the call as well; one from the terminal has reached all of us. */
static void on_cancel(int signum)
{
	cancelled = 1;
	if (client_pid)
		(void)kill(client_pid, SIGTERM);
}

static int usage(const struct job *j, FILE *out, int code)
{
	fprintf(out,
		"usage: %s [--allow-all-names] [--ignore-symlinks] [--progress console|gui|none] %sFILE...\n"
		"%s the files to another qube, which finds them in QubesIncoming.%s\n",
		program, j->to_vm ? "VM " : "", j->move ? "Moves" : "Copies",
		j->to_vm ? " Dom0's rules decide; VM is only proposed." : " Which qube is asked for on the screen.");
	if (j->move)
		fprintf(out,
			"      --undoable[=HOURS]  puts the originals aside for so long (24) instead of deleting them\n"
			"usage: %s --undo\n"
			"Brings the originals of the last --undoable move back. What the other qube got it keeps.\n"
			"usage: %s --resume | --forget\n"
			"Ends moves that arrived but broke off while the originals were deleted: deletes the rest, or keeps it.\n",
			program, program);
	return code;
}

static int parse_options(struct job *j, int argc, char **argv)
{
	static const struct option options[] = {
		{ "allow-all-names", no_argument, NULL, 'a' },	    { "ignore-symlinks", no_argument, NULL, 'i' },
		{ "allow-unsafe-symlinks", no_argument, NULL, 'u' }, { "without-progress", no_argument, NULL, 'n' },
		{ "with-progress", no_argument, NULL, 'p' },	    { "progress", required_argument, NULL, 'P' },
		{ "resume", no_argument, NULL, 'r' },		    { "forget", no_argument, NULL, 'f' },
		{ "undo", no_argument, NULL, 'U' },		    { "undoable", optional_argument, NULL, 'k' },
		{ "help", no_argument, NULL, 'h' },		    { NULL, 0, NULL, 0 },
	};
	enum progress_kind kind;
	uint64_t hours;
	int c;

	while ((c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		switch (c) {
		case 'a':
			j->name_flags |= QFILE_ALL_NAMES;
			break;
		case 'u':
			j->name_flags |= QFILE_UNSAFE_LINKS;
			break;
		case 'i':
			j->ignore_links = true;
			break;
		case 'n':
			j->progress = "none";
			break;
		case 'p':
			j->progress = NULL;
			break;
		case 'P':
			if (progress_kind(optarg, &kind) < 0)
				return usage(j, stderr, 2);
			j->progress = optarg;
			break;
		case 'r':
			j->resume = true;
			break;
		case 'f':
			j->forget = true;
			break;
		case 'U':
			j->undo = true;
			break;
		case 'k':
			hours = MOVE_UNDO_HOURS;
			if (!j->move || (optarg && str_u64(optarg, MOVE_UNDO_HOURS_MAX, &hours) < 0) || !hours)
				return usage(j, stderr, 2);
			j->undo_hours = (unsigned)hours;
			break;
		case 'h':
			exit(usage(j, stdout, 0));
		default:
			return usage(j, stderr, 2);
		}
	}
	return 0;
}

static int parse(struct job *j, int argc, char **argv)
{
	int r = parse_options(j, argc, argv);

	if (r)
		return r;
	if (j->resume || j->forget || j->undo)
		return j->move && j->resume + j->forget + j->undo == 1 && optind == argc ? 0 : usage(j, stderr, 2);
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
static int survey(struct job *j, struct err *e)
{
	struct qfile_survey s = { .ignore_links = j->ignore_links, .name_flags = j->name_flags };
	int r = qfile_survey(&s, j->files, j->n_files, e);

	j->bytes = s.bytes;
	return r;
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
		if (!str_starts(environ[i], "FILECOPY_TOTAL_BYTES=") && !str_starts(environ[i], "PROGRESS_TYPE="))
			env[k++] = environ[i];
	env[k++] = total;
	env[k++] = type;
	return env;
}

/* A window of our own is shown unless somebody reads the numbers from our standard output, as the reference's scripts do. */
static bool wants_dialog(const char *type)
{
	struct stat st;

	return streq(type, "gui") && !(fstat(STDOUT_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)));
}

static const char *progress_type(const struct job *j)
{
	const char *type = j->progress ? j->progress : getenv("PROGRESS_TYPE");
	enum progress_kind kind;
	const char *fallback = isatty(STDERR_FILENO) ? "console" : "none";

	if (!type || progress_kind(type, &kind) < 0)
		return fallback;
	return wants_dialog(type) && !dialog_possible() ? fallback : type;
}

static size_t put_words(const struct job *j, const char **argv, const char *agent)
{
	size_t n = 0;

	argv[n++] = "qrexec-client-vm";
	argv[n++] = "--filter-escape-chars-stderr";
	argv[n++] = "--";
	argv[n++] = j->target;
	argv[n++] = j->name_flags & QFILE_ALL_NAMES ? "qubes.Filecopy+allow-all-names" : "qubes.Filecopy";
	argv[n++] = agent;
	if (j->ignore_links)
		argv[n++] = "--ignore-symlinks";
	if (j->move) {
		argv[n++] = "--journal";
		argv[n++] = j->m.journal;
	}
	argv[n++] = "--";
	for (size_t i = 0; i < j->n_files; i++)
		argv[n++] = j->files[i];
	return n;
}

static int start_client(const struct job *j, const char *type, int out, struct proc *ret, struct err *e)
{
	char client[PATH_MAX], agent[PATH_MAX], cwd[PATH_MAX], total[64], kind[64];
	_cleanup_free_ const char **argv = xcalloc(j->n_files + 12, sizeof *argv), **env = NULL;
	struct proc_spec s = { .path = client, .argv = argv, .fds = { { 0, 0 }, { out, 1 } }, .n_fds = 2, .keep_stderr = true };

	find_beside(client, "qrexec-client-vm", "/usr/bin");
	find_beside(agent, "qfile-agent", "/usr/lib/qubes");
	if (!getcwd(cwd, sizeof cwd))
		return err_errno(e, errno, "current directory");
	s.cwd = cwd;
	(void)put_words(j, argv, agent);
	(void)!str_printf(total, sizeof total, "FILECOPY_TOTAL_BYTES=%llu", (unsigned long long)j->bytes);
	(void)!str_printf(kind, sizeof kind, "PROGRESS_TYPE=%s", type);
	env = environment(total, kind);
	s.envp = env;
	return proc_spawn(ret, &s, e);
}

static int run_client(const struct job *j, struct err *e)
{
	const char *type = progress_type(j);
	_cleanup_(dialog_close) struct dialog window = DIALOG_INIT;
	_cleanup_proc_ struct proc p = PROC_INIT;
	_cleanup_fd_ int counts = -1;
	int r = 0, status = 0;

	if (wants_dialog(type))
		r = dialog_open(&window, program, j->bytes, &counts, e);
	if (r == 0)
		r = start_client(j, type, counts >= 0 ? counts : STDOUT_FILENO, &p, e);
	fd_closep(&counts);
	if (r < 0)
		return r;
	client_pid = p.pid;
	if (cancelled)
		(void)proc_kill(&p, SIGTERM);
	if (window.from >= 0 && dialog_follow(&window, &p) == -ECANCELED)
		cancelled = 1;
	do
		r = proc_wait(&p, -1, &status);
	while (r == -EINTR);
	client_pid = 0;
	if (r < 0)
		return r;
	r = proc_exit_code(status);
	if (r == 128 + SIGINT || r == 128 + SIGTERM || r == 128 + SIGHUP)
		cancelled = 1;
	return r && cancelled ? EXIT_CANCELLED : r;
}

static void tell_kept(const char *text, const char *path, void *arg)
{
	char shown[512];

	fprintf(stderr, "%s: kept '%s': %s\n", program, str_escape(shown, sizeof shown, path, strlen(path)), text);
}

static int ended(const struct job *j, int r)
{
	if (r == EXIT_CANCELLED)
		fprintf(stderr, "%s: cancelled; the other qube has at most whole files%s\n", program,
			j->move ? ", and all originals stay" : "");
	else if (r > 0 && j->move)
		fprintf(stderr, "%s: not everything was copied: all originals stay\n", program);
	return r;
}

static int move_or_copy(struct job *j, struct err *e)
{
	struct move_rest rest;
	int r, kept;

	if (!j->move)
		return ended(j, run_client(j, e));
	rest = move_pending();
	if (rest.confirmed)
		fprintf(stderr,
			"%s: an earlier move arrived but broke off before its originals were deleted: '%s --resume' deletes them, "
			"'%s --forget' keeps them\n",
			program, program, program);
	r = move_begin(&j->m, e);
	if (r < 0)
		return r;
	r = ended(j, run_client(j, e));
	if (r) {
		move_drop(&j->m);
		return r;
	}
	kept = j->undo_hours ? move_finish_undoable(&j->m, j->undo_hours, tell_kept, NULL, e) : move_finish(&j->m, tell_kept, NULL, e);
	if (kept >= 0 && j->undo_hours)
		fprintf(stderr, "%s: the originals are put aside for %u hours; '%s --undo' brings them back\n", program, j->undo_hours, program);
	return kept > 0 ? err_set(e, EBUSY, "everything was copied, but %d of the originals stay", kept) : kept;
}

static int undo(struct err *e)
{
	struct move_undone u;
	int r = move_undo(tell_kept, NULL, &u, e);

	if (r < 0)
		return r;
	printf("%u originals are back where they were. The other qube still has what it got.\n", u.restored);
	return u.kept ? err_set(e, EEXIST, "%u of the originals stay put aside: make room for them and repeat", u.kept) : 0;
}

static int end_old(const struct job *j, struct err *e)
{
	struct move_rest rest;
	int r = move_resume(j->forget, tell_kept, NULL, &rest, e);

	if (r < 0)
		return r;
	if (!rest.confirmed)
		printf("No move is waiting%s.\n", rest.open ? "; one broke off before it arrived, and its originals were never touched" : "");
	else if (j->forget)
		printf("The originals of %u moves stay.\n", rest.confirmed);
	else
		printf("The originals of %u moves were deleted.\n", rest.confirmed);
	return rest.kept ? err_set(e, EBUSY, "%u of the originals stay", rest.kept) : 0;
}

static void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction sa = { .sa_handler = on_cancel };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		(void)sigaction(signals[i], &sa, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
	const char *slash = argc ? strrchr(argv[0], '/') : NULL;
	struct job j = { .m = MOVE_INIT };
	struct err e = { 0 };
	int r;

	if (argc)
		program = slash ? slash + 1 : argv[0];
	j.move = str_starts(program, "qvm-move");
	j.to_vm = str_ends(program, "-to-vm");
	r = parse(&j, argc, argv);
	if (r)
		return r;
	walk_raise_limit();
	move_expire();
	if (j.undo) {
		r = undo(&e);
	} else if (j.resume || j.forget) {
		r = end_old(&j, &e);
	} else {
		r = survey(&j, &e);
		if (r == 0)
			catch_signals();
		r = r ? r : move_or_copy(&j, &e);
	}
	if (r < 0)
		fprintf(stderr, "%s: %s\n", program, err_text(&e, r));
	return r < 0 ? 1 : r;
}
