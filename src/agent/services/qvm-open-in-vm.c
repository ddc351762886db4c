/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-open-in-vm [options] VM FILE|URL, qvm-open-in-dvm [options] FILE|URL: opens it in another qube. An edited file that comes back takes
 * the place of the original in one step, under the same name, and only if the original is still what was sent.
 */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "agent/services/common.h"
#include "agent/vmtools/find.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"
#include "proto/opening.h"

extern char **environ;

/* Without --max-size so much may come back: whoever edits a document does not make it endless. */
#define BACK_MIN (256ull << 20)
#define BACK_TIMES 4

struct job {
	const char *target, *what;
	bool to_vm, view_only;
	uint64_t max_size; /* bytes that may come back; 0 = as it fits the file */
	char path[PATH_MAX]; /* the file itself, whatever links led to it */
	char fresh[PATH_MAX + 32];
	int file, back;
	struct stat sent;
};

static const char *program = "qvm-open-in-vm";
static volatile sig_atomic_t child;

/* An interrupt ends the call; what is left for us is to clean up. */
static void on_end(int signum)
{
	if (child > 0)
		kill((pid_t)child, signum);
}

static int usage(const struct job *j, FILE *f, int code)
{
	fprintf(f,
		"usage: %s [--edit|--view-only] [--max-size MIB] %sFILE|URL\n"
		"Opens a file or an address in %s. What is edited there comes back when the program ends.\n"
		"      --view-only     nothing comes back\n"
		"      --edit          an edited file comes back (the default)\n"
		"      --max-size MIB  a larger file does not come back (default: 256, or four times the file)\n",
		program, j->to_vm ? "VM " : "", j->to_vm ? "another qube" : "a new disposable");
	return code;
}

static int parse(struct job *j, int argc, char **argv)
{
	static const struct option options[] = {
		{ "view-only", no_argument, NULL, 'v' },
		{ "no-view-only", no_argument, NULL, 'V' },
		{ "edit", no_argument, NULL, 'V' },
		{ "max-size", required_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		if (c == 'h')
			exit(usage(j, stdout, 0));
		if (c == '?')
			return usage(j, stderr, 2);
		if (c != 'm') {
			j->view_only = c == 'v';
			continue;
		}
		if (str_u64(optarg, 1u << 24, &j->max_size) < 0 || j->max_size == 0)
			return usage(j, stderr, 2);
		j->max_size <<= 20;
	}
	if (argc - optind != 1 + j->to_vm)
		return usage(j, stderr, 2);
	j->target = j->to_vm ? argv[optind++] : "@dispvm";
	j->what = argv[optind];
	return 0;
}

static int open_url(const struct job *j, struct err *e)
{
	static char url[OPEN_URL_MAX];
	_cleanup_free_ char *line = NULL, *answer = NULL;
	size_t n = 0;
	int r = open_url_get(url, rd_mem(j->what, strlen(j->what)), e);

	if (r < 0)
		return r;
	line = xasprintf("%s\n", url);
	return remote_text(j->target, "qubes.OpenURL", line, 1 << 16, &answer, &n, e);
}

static int look(struct job *j, struct err *e)
{
	if (!realpath(j->what, j->path))
		return err_errno(e, errno, "'%s'", j->what);
	j->file = open(j->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (j->file < 0 || fstat(j->file, &j->sent) < 0)
		return err_errno(e, errno, "'%s'", j->what);
	if (!S_ISREG(j->sent.st_mode))
		return err_set(e, EINVAL, "'%s' is not an ordinary file", j->what);
	return 0;
}

/* Where the edited bytes go: beside the original, so that one rename is enough; in a folder that cannot be written, into /tmp. */
static int make_fresh(struct job *j, struct err *e)
{
	const char *slash = strrchr(j->path, '/');

	if (j->view_only) {
		j->back = open("/dev/null", O_WRONLY | O_CLOEXEC);
		return j->back < 0 ? err_errno(e, errno, "/dev/null") : 0;
	}
	if (str_printf(j->fresh, sizeof j->fresh, "%.*s/.edited-XXXXXX", (int)(slash - j->path), j->path) == 0)
		j->back = mkostemp(j->fresh, O_CLOEXEC);
	if (j->back < 0 && str_copy(j->fresh, sizeof j->fresh, "/tmp/edited-XXXXXX") == 0)
		j->back = mkostemp(j->fresh, O_CLOEXEC);
	if (j->back < 0)
		return err_errno(e, errno, "a place for the edited file");
	return 0;
}

static int send_file(const struct job *j, int to, struct err *e)
{
	uint8_t head[OPEN_NAME_LEN];
	struct wr w = wr_mem(head, sizeof head);
	int r;

	open_name_put(&w, j->path, j->view_only);
	r = write_full(to, head, w.len);
	return r < 0 ? err_errno(e, -r, "sending") : copy_all(j->file, to, NULL, e);
}

static uint64_t back_limit(const struct job *j)
{
	return j->max_size ? j->max_size : MAX(BACK_MIN, (uint64_t)j->sent.st_size * BACK_TIMES);
}

/* What comes back is a file of ours from its first byte on: the kernel keeps its length within the limit. */
static void limit_back(const struct job *j, struct proc_spec *s)
{
	if (j->view_only)
		return;
	s->rlimits[0].resource = RLIMIT_FSIZE;
	s->rlimits[0].soft = s->rlimits[0].hard = back_limit(j);
	s->n_rlimits = 1;
}

/* The other side reads everything before it answers. */
static int call(const struct job *j, struct err *e)
{
	const char *argv[] = { "qrexec-client-vm", "--filter-escape-chars-stderr", "--", j->target, "qubes.OpenInVM", NULL };
	_cleanup_proc_ struct proc p = PROC_INIT;
	struct proc_spec s = { .argv = argv, .envp = (const char *const *)environ, .keep_stderr = true, .n_fds = 2 };
	_cleanup_fd_ int to = -1;
	char client[PATH_MAX];
	int in[2], r, status = 0, code;
	struct stat back;

	if (pipe2(in, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	to = in[1];
	s.path = find_beside(client, "qrexec-client-vm", "/usr/bin");
	s.fds[0].fd = in[0];
	s.fds[0].as = 0;
	s.fds[1].fd = j->back;
	s.fds[1].as = 1;
	limit_back(j, &s);
	r = proc_spawn(&p, &s, e);
	close(in[0]);
	if (r < 0)
		return r;
	child = (sig_atomic_t)p.pid;
	r = send_file(j, to, e);
	fd_closep(&to);
	code = proc_wait(&p, -1, &status);
	child = 0;
	if (code < 0)
		return code;
	code = proc_exit_code(status);
	if (code != 0 && !j->view_only && fstat(j->back, &back) == 0 && (uint64_t)back.st_size >= back_limit(j))
		return err_set(e, EFBIG, "the edited file is larger than %llu MiB: '%s' stays as it is (--max-size MIB allows more)",
			       (unsigned long long)(back_limit(j) >> 20), j->what);
	if (code != 0)
		return err_set(e, EREMOTEIO, "%s", remote_reason(code));
	return r;
}

static bool same_content(int a, int b)
{
	char x[16384], y[16384];
	off_t at = 0;

	for (;;) {
		ssize_t n = pread(a, x, sizeof x, at), m = pread(b, y, sizeof y, at);

		if (n != m || n < 0 || memcmp(x, y, (size_t)n) != 0)
			return false;
		if (n == 0)
			return true;
		at += n;
	}
}

static int put_back(struct job *j, struct err *e)
{
	struct stat now, got;
	const char *why = NULL;

	if (j->view_only || fstat(j->back, &got) < 0 || got.st_size == 0 || same_content(j->file, j->back)) {
		if (!j->view_only)
			(void)unlink(j->fresh);
		return 0;
	}
	if (stat(j->path, &now) < 0 || now.st_ino != j->sent.st_ino || now.st_mtim.tv_sec != j->sent.st_mtim.tv_sec ||
	    now.st_mtim.tv_nsec != j->sent.st_mtim.tv_nsec || now.st_size != j->sent.st_size)
		why = "it was changed here meanwhile";
	else if (fchmod(j->back, j->sent.st_mode & 07777) < 0 || (geteuid() == 0 && fchown(j->back, j->sent.st_uid, j->sent.st_gid) < 0) ||
		 fsync(j->back) < 0 || rename(j->fresh, j->path) < 0)
		why = strerror(errno);
	if (why)
		return err_set(e, EEXIST, "'%s' was left as it is, %s; the edited file is '%s'", j->what, why, j->fresh);
	return 0;
}

static int open_file(struct job *j, struct err *e)
{
	int r = look(j, e);

	if (r == 0)
		r = make_fresh(j, e);
	if (r == 0) {
		r = call(j, e);
		if (r == 0)
			r = put_back(j, e);
		else if (!j->view_only)
			(void)unlink(j->fresh);
	}
	fd_closep(&j->file);
	fd_closep(&j->back);
	return r;
}

int main(int argc, char **argv)
{
	const char *slash = argc ? strrchr(argv[0], '/') : NULL;
	struct sigaction sa = { .sa_handler = on_end };
	struct job j = { .file = -1, .back = -1 };
	struct err e = { 0 };
	int r;

	if (argc)
		program = slash ? slash + 1 : argv[0];
	j.to_vm = !str_ends(program, "-dvm");
	signal(SIGPIPE, SIG_IGN);
	r = parse(&j, argc, argv);
	if (r)
		return r;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	r = strstr(j.what, "://") && access(j.what, F_OK) < 0 ? open_url(&j, &e) : open_file(&j, &e);
	return finish(program, r, &e);
}
