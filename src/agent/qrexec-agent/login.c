/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who a call in this qube runs as, and with what: environment, groups, limits, umask. All that is found out once per user and boot, from a PAM session
 * that qrexec-session then holds open, or from the login shell alone where there is no PAM, and kept in a file of root's.
 */
#include "agent.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fsx.h"
#include "base/log.h"
#include "base/str.h"
#include "session.h"

#define ENV_DIR "/run/bulkhead/session"
#define ENV_ROWS_MAX 1024
#define RUNTIME_DIR "/run/user"

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

/* qrexec-session is beside this program. */
static const char *session_program(char out[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
	char *slash;

	out[n > 0 ? n : 0] = 0;
	slash = strrchr(out, '/');
	return slash && str_copy(slash + 1, PATH_MAX - (size_t)(slash + 1 - out), "qrexec-session") == 0 ? out : NULL;
}

static bool complete(const char *text, size_t n)
{
	return n >= 2 && text[n - 1] == 0 && text[n - 2] == SESSION_END && (n == 2 || text[n - 3] == 0);
}

/* By PAM: -ENOENT when there is none here. */
static int capture_session(const struct user *u, char **ret, size_t *ret_len, struct err *e)
{
	char path[PATH_MAX];
	const char *argv[] = { session_program(path), u->name, NULL };
	struct proc_spec p = { .path = argv[0], .argv = argv, .keep_stderr = true };
	_cleanup_free_ char *text = NULL;
	size_t n;
	int r;

	if (!argv[0] || access(argv[0], X_OK) < 0)
		return -ENOENT;
	r = proc_capture(&p, SESSION_TEXT_MAX, &text, &n, e);
	if (r < 0 || !complete(text, n))
		return -ENOENT;
	*ret = STEAL_PTR(text);
	*ret_len = n;
	return 0;
}

/* Without PAM: what the user's login shell sets. The profile files are the user's own, so they run as the user. */
static int capture_shell(const struct user *u, char **ret, size_t *ret_len, struct err *e)
{
	const char *argv[] = { "/bin/sh", "-l", "-c", "exec env -0", NULL };
	_cleanup_free_ char *home = xasprintf("HOME=%s", u->home), *user = xasprintf("USER=%s", u->name), *text = NULL;
	_cleanup_free_ char *logname = xasprintf("LOGNAME=%s", u->name), *shell = xasprintf("SHELL=%s", u->shell);
	const char *envp[] = { plain_env[0], plain_env[1], home, user, logname, shell, NULL };
	struct wr w = wr_grow(SESSION_TEXT_MAX);
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
	size_t n;
	int r = proc_capture(&p, SESSION_TEXT_MAX / 2, &text, &n, e);

	if (r < 0)
		return r;
	for (char *row = text; row < text + n; row += strlen(row) + 1) {
		wr_u8(&w, SESSION_ENV);
		wr_cstr(&w, row);
	}
	wr_u8(&w, SESSION_END);
	wr_u8(&w, 0);
	if (!wr_ok(&w)) {
		wr_free(&w);
		return -EMSGSIZE;
	}
	*ret = (char *)w.buf;
	*ret_len = w.len;
	return 0;
}

/* A session that PAM refuses is no session, but root must always be able to repair the qube. */
static int capture(const struct user *u, char **ret, size_t *ret_len, struct err *e)
{
	int r = capture_session(u, ret, ret_len, e);

	if (r == 0 && (*ret)[0] == SESSION_REFUSED) {
		log_warn("no session for '%s': %s", u->name, *ret + 1);
		if (u->uid != 0)
			return err_set(e, EACCES, "PAM opened no session for '%s'", u->name);
		free(STEAL_PTR(*ret));
		r = -ENOENT;
	}
	return r < 0 ? capture_shell(u, ret, ret_len, e) : r;
}

static void store(const char *path, const char *text, size_t n)
{
	struct err e = { 0 };

	if (fs_mkdir_p(ENV_DIR, 0700, &e) < 0 || fs_write_atomic(AT_FDCWD, path, text, n, 0600, &e) < 0)
		log_warn("keeping the login environment: %s", e.msg);
}

/* What a login shell says about itself is not for its programs. */
static bool env_wanted(const char *row)
{
	return strchr(row, '=') && *row != '=' && !str_starts(row, "PWD=") && !str_starts(row, "OLDPWD=") && !str_starts(row, "SHLVL=") && !str_starts(row, "_=");
}

static void add_limit(struct start *s, const char *text)
{
	uint64_t v[3];
	char *end = NULL;

	for (size_t i = 0; i < 3; i++) {
		errno = 0;
		v[i] = strtoull(text, &end, 10);
		if (errno || end == text)
			return;
		text = end;
	}
	if (s->n_limits == ARRAY_SIZE(s->limits) || v[0] >= ARRAY_SIZE(s->limits))
		return;
	s->limits[s->n_limits].resource = (int)v[0];
	s->limits[s->n_limits].soft = v[1];
	s->limits[s->n_limits++].hard = v[2];
}

static void add_group(struct user *u, bool *first, const char *text)
{
	uint64_t gid;

	if (*first)
		u->n_groups = 0;
	*first = false;
	if (str_u64(text, UINT32_MAX - 1, &gid) == 0 && u->n_groups < USER_GROUPS_MAX)
		u->groups[u->n_groups++] = (gid_t)gid;
}

/* This process serves one call, so what its program only inherits is set here. */
static void inherit(char kind, const char *text)
{
	unsigned long mask;
	int fd;

	if (kind == SESSION_UMASK) {
		mask = strtoul(text, NULL, 8);
		(void)umask(mask & 0777);
		return;
	}
	fd = open("/proc/self/loginuid", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		(void)!write(fd, text, strlen(text));
		close(fd);
	}
}

/* The rows' memory goes on to be used. */
static void apply(char *text, size_t n, struct user *u, struct start *s)
{
	const char **v = xcalloc(ENV_ROWS_MAX + 2, sizeof *v);
	bool first_group = true, runtime = u->uid == 0;
	size_t k = 0;

	for (char *p = text, *end = text + n; p < end; p += strlen(p) + 1) {
		const char *value = *p ? p + 1 : p;

		if (*p == SESSION_ENV && env_wanted(value) && k < ENV_ROWS_MAX) {
			v[k++] = value;
			runtime = runtime || str_starts(value, "XDG_RUNTIME_DIR=");
		} else if (*p == SESSION_GROUP) {
			add_group(u, &first_group, value);
		} else if (*p == SESSION_LIMIT) {
			add_limit(s, value);
		} else if (*p == SESSION_UMASK || *p == SESSION_LOGINUID) {
			inherit(*p, value);
		}
	}
	if (!runtime)
		v[k++] = xasprintf("XDG_RUNTIME_DIR=" RUNTIME_DIR "/%u", u->uid);
	s->env = v;
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

/* Memory lives as long as the process, which serves one call. Negative: PAM refuses this user. */
static int login_env(struct user *u, struct start *s, struct err *e)
{
	char path[128], *text = NULL;
	size_t n = 0;
	int r;

	s->env = plain_env;
	if (str_printf(path, sizeof path, ENV_DIR "/%u", u->uid) < 0)
		return 0;
	_cleanup_fd_ int lock = access(path, R_OK) < 0 ? env_lock(u) : -1;

	if (fs_read(AT_FDCWD, path, SESSION_TEXT_MAX, &text, &n, NULL) < 0) {
		r = capture(u, &text, &n, e);
		if (r == -EACCES)
			return r;
		if (r < 0) {
			log_warn("login environment of '%s': %s", u->name, err_text(e, r));
			err_clear(e);
			return 0;
		}
		store(path, text, n);
	}
	apply(text, n, u, s);
	return 0;
}

/* There is no logind in a qube: the directory of XDG_RUNTIME_DIR is ours to make. */
static void runtime_dir(const struct user *u)
{
	char path[64];

	if (u->uid == 0 || str_printf(path, sizeof path, RUNTIME_DIR "/%u", u->uid) < 0)
		return;
	if (fs_mkdir_p(RUNTIME_DIR, 0755, NULL) < 0)
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
	s->shell = ret->shell;
	s->set_ids = true;
	return login_env(ret, s, e);
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
		struct start s = { 0 };
		struct err e = { 0 };

		runtime_dir(&u);
		(void)login_env(&u, &s, &e);
	}
	_exit(0);
}
