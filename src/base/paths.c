/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Paths of both modes. */
#include "base/paths.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/ids.h"
#include "base/str.h"

static struct {
	bool ready, system;
	char root[PATH_MAX];
	char *paths[PATH_N];
} st;

static const struct {
	const char *system, *session;
} table[PATH_N] = {
#define PATH(symbol, sys, ses) [PATH_##symbol] = { sys, ses },
#include "base/paths.def"
#undef PATH
};

/* The system's instance counts for those who may use it; everybody else has one of his own. */
static bool of_system(void)
{
	uid_t uid = geteuid();

	if (access("/etc/bulkhead/system", F_OK) < 0)
		return false;
	return uid == 0 || (uid >= ID_QUBE && uid <= ID_LAST) || access(table[PATH_QUBESD_SOCK].system, W_OK) == 0;
}

static int choose_root(const char *root, struct err *e)
{
	const char *env = getenv("QUBES_ROOT"), *home = getenv("HOME"), *xdg = getenv("XDG_DATA_HOME");
	_cleanup_free_ char *chosen = NULL;

	if (root && root[0])
		chosen = xstrdup(root);
	else if (env && env[0])
		chosen = xstrdup(env);
	else if (of_system())
		st.system = true;
	else if (xdg && xdg[0] == '/')
		chosen = xasprintf("%s/bulkhead", xdg);
	else if (home && home[0] == '/')
		chosen = xasprintf("%s/.local/share/bulkhead", home);
	else
		return err_set(e, ENOENT, "no home directory: set QUBES_ROOT to a directory for Bulkhead's state");
	if (st.system)
		return 0;
	if (chosen[0] != '/') {
		_cleanup_free_ char *cwd = getcwd(NULL, 0), *rel = STEAL_PTR(chosen);

		if (!cwd)
			return err_errno(e, errno, "current directory");
		chosen = xasprintf("%s/%s", cwd, rel);
	}
	while (strlen(chosen) > 1 && str_ends(chosen, "/"))
		chosen[strlen(chosen) - 1] = '\0';
	if (str_copy(st.root, sizeof st.root, chosen) < 0)
		return err_set(e, ENAMETOOLONG, "the path of the root directory is too long");
	return 0;
}

int paths_init(const char *root, struct err *e)
{
	int r;

	for (size_t i = 0; i < PATH_N; i++)
		free(STEAL_PTR(st.paths[i]));
	st.system = false;
	st.root[0] = '\0';
	r = choose_root(root, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < PATH_N; i++)
		st.paths[i] = st.system ? xstrdup(table[i].system) :
					  xasprintf("%s/%s", st.root, table[i].session);
	st.ready = true;
	return 0;
}

bool paths_system_mode(void)
{
	return st.system;
}

const char *paths_root(void)
{
	return st.root;
}

const char *path_get(enum path_id id)
{
	if (!st.ready)
		abort();
	return st.paths[id];
}

const char *path_fmt(char out[PATH_MAX], enum path_id id, const char *fmt, ...)
{
	size_t n = strlen(path_get(id));
	va_list ap;
	int r;

	memcpy(out, path_get(id), n);
	va_start(ap, fmt);
	r = vsnprintf(out + n, PATH_MAX - n, fmt, ap);
	va_end(ap);
	if (r < 0 || (size_t)r >= PATH_MAX - n)
		abort();
	return out;
}

/* The directory of the running program, or "" when /proc is not there. */
static const char *exe_dir(void)
{
	static char dir[PATH_MAX];
	ssize_t n;
	char *slash;

	if (dir[0])
		return dir;
	n = readlink("/proc/self/exe", dir, sizeof dir - 1);
	if (n <= 0) {
		dir[0] = '\0';
		return dir;
	}
	dir[n] = '\0';
	slash = strrchr(dir, '/');
	if (slash)
		*slash = '\0';
	return dir;
}

/* A build tree keeps every program of the host in one folder `bin` beside `build.ninja`. */
static bool in_build_tree(char out[PATH_MAX])
{
	return str_printf(out, PATH_MAX, "%s/../build.ninja", exe_dir()) == 0 && access(out, F_OK) == 0;
}

const char *path_program(char out[PATH_MAX], const char *name)
{
	if (!in_build_tree(out) || str_printf(out, PATH_MAX, "%s/%s", exe_dir(), name) < 0)
		if (str_printf(out, PATH_MAX, "%s/%s", BULKHEAD_LIBEXECDIR, name) < 0)
			abort();
	return out;
}

const char *path_data(char out[PATH_MAX], const char *name)
{
	if (!in_build_tree(out) || str_printf(out, PATH_MAX, "%s/../share/%s", exe_dir(), name) < 0)
		if (str_printf(out, PATH_MAX, "%s/%s", BULKHEAD_DATADIR, name) < 0)
			abort();
	return out;
}

/*
 * System mode: who owns what. Groups: 0, a daemon's own, or CLIENTS. New files of a set-group-id directory get its group, which is how sockets
 * come to be open for the clients. The sticky bit keeps what others own in a shared directory: the image-worker makes its files beside the
 * state and the kernels, which it cannot replace.
 */
#define CLIENTS ((gid_t)-1)

static const struct {
	enum path_id id;
	uid_t uid;
	gid_t gid;
	mode_t mode;
} owners[] = {
	{ PATH_RUN, ID_CORE, CLIENTS, 02755 },
	{ PATH_QUBE_RUN, ID_CORE, CLIENTS, 02711 },
	{ PATH_POLICYD_RUN, ID_POLICYD, CLIENTS, 02755 },
	{ PATH_PROMPT, ID_POLICYD, CLIENTS, 02770 },
	{ PATH_POLICY_RUN, 0, 0, 0755 },
	{ PATH_LIB, 0, ID_IMAGES, 01771 },
	{ PATH_STATE, ID_CORE, ID_CORE, 0700 },
	{ PATH_KERNELS, 0, 0, 0755 },
	{ PATH_UNDO, 0, CLIENTS, 02770 },
	/* services of dom0 run as members of the group */
	{ PATH_APPMENUS, 0, CLIENTS, 02770 },
	{ PATH_DOM0_UPDATES, 0, CLIENTS, 02770 },
	{ PATH_STATES, ID_STATES, ID_STATES, 0700 },
	{ PATH_HOLDER_RUN, 0, 0, 0700 },
	{ PATH_LOG, 0, CLIENTS, 0750 },
	{ PATH_UPDATE_LOGS, 0, CLIENTS, 02770 },
	{ PATH_ETC, 0, 0, 0755 },
	/* members of the group answer "always" and edit the policy without being root */
	{ PATH_POLICY_ETC, 0, CLIENTS, 02775 },
	{ PATH_POLICY_UNDO, 0, CLIENTS, 02770 },
	/* profiles may hold a passphrase: the core goes in as owner */
	{ PATH_BACKUP_PROFILES, ID_CORE, CLIENTS, 02770 },
	{ PATH_RPC_ETC, 0, 0, 0755 },
	{ PATH_RPC_RUN, 0, 0, 0755 },
	{ PATH_RPC_CONFIG_ETC, 0, 0, 0755 },
};

static const struct {
	const char *path, *target;
} links[] = {
	{ "/run/qubesd.sock", "qubes/qubesd.sock" },
	{ "/run/qubesd.internal.sock", "qubes/qubesd.internal.sock" },
	{ "/run/qubesd.misc.sock", "qubes/qubesd.misc.sock" },
	{ "/run/qubes/policy.sock", "policyd/policy.sock" },
	{ "/run/qubes-service", "qubes/qubes-service" },
};

/* By descriptor: what stands there may be a daemon's own and point elsewhere. */
static int make_owned(const char *path, uid_t uid, gid_t gid, mode_t mode, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	int r = fs_mkdir_p(path, 0755, e);

	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* chown takes set-id bits away, so the mode comes after it. */
	if (fd < 0 || fchown(fd, uid, gid) < 0 || fchmod(fd, mode) < 0)
		return err_errno(e, errno, "'%s'", path);
	return 0;
}

/* Files that a program of the user's session writes where it may make none: clipd's history and its state. */
static const struct {
	enum path_id dir;
	const char *name;
} session_files[] = { { PATH_LOG, "/clipboard.log" }, { PATH_RUN, "/qubes-clipboard.bin.metadata" } };

/* Only one that is made here and now gets an owner: what stands there may be somebody's link. */
static int make_session_file(enum path_id dir, const char *name, gid_t clients, struct err *e)
{
	char path[PATH_MAX];
	_cleanup_fd_ int fd = open(path_fmt(path, dir, "%s", name), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST)
		return 0;
	if (fd < 0 || fchown(fd, 0, clients) < 0 || fchmod(fd, 0660) < 0)
		return err_errno(e, errno, "'%s'", path);
	return 0;
}

static int make_system(struct err *e)
{
	gid_t clients = ids_client_group();

	if (geteuid() != 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(owners); i++) {
		int r = make_owned(path_get(owners[i].id), owners[i].uid, owners[i].gid == CLIENTS ? clients : owners[i].gid,
				   owners[i].mode, e);

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < ARRAY_SIZE(session_files); i++) {
		int r = make_session_file(session_files[i].dir, session_files[i].name, clients, e);

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		unlink(links[i].path);
		if (symlink(links[i].target, links[i].path) < 0 && errno != EEXIST)
			return err_errno(e, errno, "linking '%s'", links[i].path);
	}
	return 0;
}

int paths_make(struct err *e)
{
	static const enum path_id dirs[] = { PATH_RUN,	      PATH_LIB,	       PATH_LOG,     PATH_ETC,
					     PATH_KERNELS,    PATH_POLICY_ETC, PATH_POLICY_RUN, PATH_QUBE_RUN,
					     PATH_RPC_ETC,    PATH_RPC_RUN,    PATH_RPC_CONFIG_ETC, PATH_BACKUP_PROFILES, PATH_PROMPT, PATH_UNDO,
					     PATH_STATES,     PATH_HOLDER_RUN };

	if (st.system)
		return make_system(e);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		int r = fs_mkdir_p(path_get(dirs[i]), 0700, e);

		if (r < 0)
			return r;
	}
	return 0;
}
