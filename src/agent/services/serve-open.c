/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qubes-open-file: serves qubes.OpenInVM. The file goes into a private folder, is opened by qubes-open, and comes back if it was changed. The
 * folder is removed in every case.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>

#include "agent/services/common.h"
#include "agent/vmtools/find.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"
#include "proto/opening.h"

extern char **environ;

static volatile sig_atomic_t child, ended;

/* The caller has gone: the program ends, and we clean up as always. */
static void on_end(int signum)
{
	ended = signum;
	if (child > 0)
		kill((pid_t)child, SIGTERM);
}

struct job {
	struct open_name name;
	char dir[64];
	char path[64 + OPEN_NAME_LEN + 1];
	struct stat before;
};

static int make_dir(struct job *j, struct err *e)
{
	const char *run = getenv("XDG_RUNTIME_DIR");

	/* large files do not belong into memory: the run directory is only for when /tmp cannot be used */
	if (str_copy(j->dir, sizeof j->dir, "/tmp/open-XXXXXX") == 0 && mkdtemp(j->dir))
		return 0;
	if (run && run[0] == '/' && str_printf(j->dir, sizeof j->dir, "%s/open-XXXXXX", run) == 0 && mkdtemp(j->dir))
		return 0;
	j->dir[0] = '\0';
	return err_errno(e, errno, "a folder for the file");
}

static int receive(struct job *j, struct err *e)
{
	uint8_t head[OPEN_NAME_LEN] = { 0 };
	_cleanup_fd_ int fd = -1;
	ssize_t n = read_full(STDIN_FILENO, head, sizeof head);
	int r;

	if (n < 0)
		return err_errno(e, (int)-n, "reading the name of the file");
	r = open_name_get(&j->name, rd_mem(head, (size_t)n), e);
	if (r == 0)
		r = make_dir(j, e);
	if (r == 0)
		r = str_printf(j->path, sizeof j->path, "%s/%s", j->dir, j->name.name);
	if (r < 0)
		return r;
	fd = open(j->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_errno(e, errno, "'%s'", j->path);
	r = copy_all(STDIN_FILENO, fd, NULL, e);
	if (r < 0)
		return r;
	if (j->name.view_only && fchmod(fd, 0400) < 0)
		return err_errno(e, errno, "'%s'", j->path);
	return fstat(fd, &j->before) < 0 ? err_errno(e, errno, "'%s'", j->path) : 0;
}

/* Nothing that the program prints may be taken for the edited file. */
static int open_file(const struct job *j, struct err *e)
{
	_cleanup_proc_ struct proc p = PROC_INIT;
	char program[PATH_MAX];
	const char *argv[] = { "qubes-open", j->path, NULL };
	struct proc_spec s = { .path = find_beside(program, "qubes-open", "/usr/bin"), .argv = argv,
			       .envp = (const char *const *)environ, .keep_stderr = true };
	int status = 0, r = proc_spawn(&p, &s, e);

	if (r < 0)
		return r;
	child = (sig_atomic_t)p.pid;
	if (ended)
		(void)proc_kill(&p, SIGTERM);
	r = proc_wait(&p, -1, &status);
	child = 0;
	if (r < 0)
		return err_errno(e, -r, "waiting for the program");
	if (status != 0)
		return err_set(e, ECHILD, "the program that opens '%s' failed with status %d", j->name.name, proc_exit_code(status));
	return 0;
}

static int send_back(const struct job *j, struct err *e)
{
	struct stat now;
	_cleanup_fd_ int fd = -1;

	if (j->name.view_only || ended)
		return 0;
	fd = open(j->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return 0; /* deleted, not edited */
	if (fd < 0 || fstat(fd, &now) < 0)
		return err_errno(e, errno, "'%s'", j->name.name);
	if (!S_ISREG(now.st_mode))
		return err_set(e, EINVAL, "'%s' is no file any more", j->name.name);
	if (now.st_ino == j->before.st_ino && now.st_size == j->before.st_size && now.st_mtim.tv_sec == j->before.st_mtim.tv_sec &&
	    now.st_mtim.tv_nsec == j->before.st_mtim.tv_nsec)
		return 0;
	return copy_all(fd, STDOUT_FILENO, NULL, e);
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_end };
	struct job j = { 0 };
	struct err e = { 0 };
	int r;

	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	r = receive(&j, &e);
	if (r == 0)
		r = open_file(&j, &e);
	if (r == 0)
		r = send_back(&j, &e);
	if (j.dir[0])
		(void)fs_rm_rf(AT_FDCWD, j.dir, NULL);
	return finish("qubes.OpenInVM", r, &e);
}
