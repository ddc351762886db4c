/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who a call in this qube runs as, and with which environment. The login environment is made once per boot by the login shell and kept in
 * a file of root's; a session by PAM would take this file's place in login_identity and nowhere else.
 */
#include "agent.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fsx.h"
#include "base/log.h"
#include "base/str.h"

#define ENV_DIR "/run/bulkhead/login-env"
#define ENV_BYTES_MAX 65536
#define ENV_ROWS_MAX 1024
#define MAIN_UID 1000

extern char **environ;

/* Not root, or the conformance mode: everything runs as who we are. */
static bool unprivileged(void)
{
	return chan_is_unix() || geteuid() != 0;
}

static int own_identity(const char *name, struct user *ret, struct start *s, struct err *e)
{
	int r = user_by_uid(ret, "/etc", geteuid(), e);
	const char *own = getenv("USER");

	if (r == -ENOENT && own) {
		/* an account of a directory service, or none at all, as in a container */
		*ret = (struct user){ .uid = geteuid(), .gid = getegid(), .home = "/", .shell = "/bin/sh" };
		r = str_copy(ret->name, sizeof ret->name, own);
	}
	if (r < 0)
		return r;
	if (!streq(ret->name, name))
		return err_set(e, EPERM, "this agent can only run commands as '%s'", ret->name);
	s->env = (const char *const *)environ;
	s->shell = "/bin/sh";
	s->set_ids = false;
	return 0;
}

static const char *const plain_env[] = { "PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games", "LANG=C.UTF-8", NULL };

/* What the user's login shell sets; the profile files are the user's own, so they run as the user. */
static int capture(const struct user *u, char **ret, size_t *ret_len, struct err *e)
{
	const char *argv[] = { "/bin/sh", "-l", "-c", "exec env -0", NULL };
	_cleanup_free_ char *home = xasprintf("HOME=%s", u->home), *user = xasprintf("USER=%s", u->name);
	_cleanup_free_ char *logname = xasprintf("LOGNAME=%s", u->name), *shell = xasprintf("SHELL=%s", u->shell);
	const char *envp[] = { plain_env[0], plain_env[1], home, user, logname, shell, NULL };
	struct proc_spec p = {
		.path = argv[0],
		.argv = argv,
		.envp = envp,
		.cwd = access(u->home, X_OK) == 0 ? u->home : "/",
		.new_session = true,
		.set_ids = true,
		.uid = u->uid,
		.gid = u->gid,
		.groups = u->groups,
		.n_groups = u->n_groups,
	};

	return proc_capture(&p, ENV_BYTES_MAX, ret, ret_len, e);
}

static void store(const char *path, const char *text, size_t n)
{
	struct err e = { 0 };

	if (fs_mkdir_p(ENV_DIR, 0700, &e) < 0 || fs_write_atomic(AT_FDCWD, path, text, n, 0600, &e) < 0)
		log_warn("keeping the login environment: %s", e.msg);
}

/* Rows NAME=VALUE, each with its NUL. Gives NULL when there is none. */
static const char *const *rows(char *text, size_t n)
{
	const char **v = xcalloc(ENV_ROWS_MAX + 1, sizeof *v);
	size_t k = 0;

	for (char *p = text, *end = text + n; p < end && k < ENV_ROWS_MAX; p += strlen(p) + 1)
		if (strchr(p, '=') && *p != '=' && !str_starts(p, "PWD=") && !str_starts(p, "OLDPWD=") && !str_starts(p, "SHLVL=") &&
		    !str_starts(p, "_="))
			v[k++] = p;
	return v;
}

/* env_lock waits for a capture of the same user that is under way: the first call after a start would otherwise do the work of
   login_prepare a second time beside it. The lock ends with the descriptor; -1 (no lock) only costs time. */
static int env_lock(const struct user *u)
{
	char path[128];
	int fd;

	if (fs_mkdir_p(ENV_DIR, 0700, NULL) < 0 || str_printf(path, sizeof path, ENV_DIR "/%u.lock", u->uid) < 0)
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0)
		(void)flock(fd, LOCK_EX);
	return fd;
}

/* Memory lives as long as the process, which serves one call. */
static const char *const *login_env(const struct user *u)
{
	char path[128], *text = NULL;
	struct err e = { 0 };
	size_t n = 0;

	if (str_printf(path, sizeof path, ENV_DIR "/%u", u->uid) < 0)
		return plain_env;
	_cleanup_fd_ int lock = access(path, R_OK) < 0 ? env_lock(u) : -1;

	if (fs_read(AT_FDCWD, path, ENV_BYTES_MAX, &text, &n, NULL) < 0) {
		if (capture(u, &text, &n, &e) < 0) {
			log_warn("login environment of '%s': %s", u->name, e.msg);
			return plain_env;
		}
		store(path, text, n);
	}
	return rows(text, n);
}

/* There is no logind in a qube: the directory of XDG_RUNTIME_DIR is ours to make. */
static void runtime_dir(const struct user *u)
{
	char path[64];

	if (u->uid == 0 || str_printf(path, sizeof path, "/run/user/%u", u->uid) < 0)
		return;
	if (fs_mkdir_p("/run/user", 0755, NULL) < 0)
		return;
	if (mkdir(path, 0700) == 0 && chown(path, u->uid, u->gid) < 0)
		log_warn("owner of '%s': %s", path, strerror(errno));
}

int login_identity(void *arg, const char *name, struct user *ret, struct start *s, struct err *e)
{
	int r;

	if (unprivileged())
		return own_identity(name, ret, s, e);
	r = user_by_name(ret, "/etc", name, e);
	if (r < 0)
		return r;
	runtime_dir(ret);
	s->env = login_env(ret);
	s->shell = ret->shell;
	s->set_ids = true;
	return 0;
}

void login_prepare(void)
{
	struct user u;
	pid_t pid;

	if (unprivileged() || user_by_uid(&u, "/etc", MAIN_UID, NULL) < 0)
		return;
	/* the grandchild is nobody's to wait for */
	pid = fork();
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	if (pid != 0)
		return;
	if (fork() == 0) {
		runtime_dir(&u);
		(void)login_env(&u);
	}
	_exit(0);
}
