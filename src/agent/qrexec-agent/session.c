/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qrexec-session USER: opens a PAM session ("qrexec") for a user of this qube, prints what it means for the user's programs (session.h), and holds
 * it open in the background until it is told to end. Root starts it once per user and boot; the calls themselves then need neither PAM nor a
 * login shell. It is a program of its own because PAM loads foreign code, which a static agent cannot and should not do.
 */
#include "session.h"

#include <fcntl.h>
#include <grp.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/wr.h"
#include "qrexec/user.h"

#define PAM_NAME "qrexec"
#define PAM_FILE "/etc/pam.d/qrexec"
#define ENV_ROWS_MAX 512
#define GROUPS_MAX 256
#define EXIT_NO_PAM 4

/* Nobody is there to be asked: modules that want to are told so. */
static int talk(int n, const struct pam_message **m, struct pam_response **ret, void *arg)
{
	return PAM_CONV_ERR;
}

static void row(struct wr *w, char kind, const char *text)
{
	wr_u8(w, (uint8_t)kind);
	wr_cstr(w, text);
}

static void add_limits(struct wr *w, const struct rlimit before[RLIM_NLIMITS])
{
	char text[80];

	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit now;

		if (getrlimit((unsigned)i, &now) < 0 || (now.rlim_cur == before[i].rlim_cur && now.rlim_max == before[i].rlim_max))
			continue;
		(void)!str_printf(text, sizeof text, "%d %llu %llu", i, (unsigned long long)now.rlim_cur, (unsigned long long)now.rlim_max);
		row(w, SESSION_LIMIT, text);
	}
}

static void add_groups(struct wr *w)
{
	gid_t groups[GROUPS_MAX];
	int n = getgroups(GROUPS_MAX, groups);
	char text[16];

	for (int i = 0; i < n; i++) {
		(void)!str_printf(text, sizeof text, "%u", groups[i]);
		row(w, SESSION_GROUP, text);
	}
}

static void add_umask(struct wr *w)
{
	mode_t m = umask(077);
	char text[16];

	(void)!str_printf(text, sizeof text, "%o", m);
	row(w, SESSION_UMASK, text);
}

/* The kernel says "unset" with its greatest number. */
static void add_loginuid(struct wr *w)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	uint64_t v;

	if (fs_read(AT_FDCWD, "/proc/self/loginuid", 32, &text, &n, NULL) == 0 && str_u64(text, UINT32_MAX - 1, &v) == 0)
		row(w, SESSION_LOGINUID, text);
}

/* What the user's login shell makes of PAM's environment; the profile files are the user's own, so they run as the user. */
static int add_env(struct wr *w, const struct user *u, char **pam_env, struct err *e)
{
	const char *argv[] = { "/bin/sh", "-l", "-c", "exec env -0", NULL }, *envp[ENV_ROWS_MAX + 8];
	_cleanup_free_ char *home = xasprintf("HOME=%s", u->home), *user = xasprintf("USER=%s", u->name), *text = NULL;
	_cleanup_free_ char *logname = xasprintf("LOGNAME=%s", u->name), *shell = xasprintf("SHELL=%s", u->shell);
	gid_t groups[GROUPS_MAX];
	int n_groups = getgroups(GROUPS_MAX, groups), r;
	size_t k = 0, n = 0;
	struct proc_spec p = {
		.path = argv[0], .argv = argv, .envp = envp, .cwd = access(u->home, X_OK) == 0 ? u->home : "/", .new_session = true,
		.set_ids = true, .uid = u->uid, .gid = u->gid, .groups = groups, .n_groups = n_groups > 0 ? (size_t)n_groups : 0,
	};

	envp[k++] = "PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";
	envp[k++] = "LANG=C.UTF-8";
	/* a name that comes twice counts as it comes last, in every shell */
	for (size_t i = 0; pam_env && pam_env[i] && i < ENV_ROWS_MAX; i++)
		envp[k++] = pam_env[i];
	envp[k++] = home;
	envp[k++] = user;
	envp[k++] = logname;
	envp[k++] = shell;
	envp[k] = NULL;
	r = proc_capture(&p, SESSION_TEXT_MAX / 2, &text, &n, e);
	if (r < 0)
		return r;
	for (char *s = text, *end = text + n; s < end; s += strlen(s) + 1)
		if (strchr(s, '=') && *s != '=')
			row(w, SESSION_ENV, s);
	return 0;
}

static void free_list(char **v)
{
	for (size_t i = 0; v && v[i]; i++)
		free(v[i]);
	free(v);
}

/* Opens the session in this process, which becomes what the session's rules make of it. */
static int open_session(pam_handle_t *h, const struct user *u, struct wr *w)
{
	struct rlimit before[RLIM_NLIMITS];
	struct err e = { 0 };
	char **env;
	int r;

	for (int i = 0; i < RLIM_NLIMITS; i++)
		(void)getrlimit((unsigned)i, &before[i]);
	(void)umask(022);
	if (setgroups(u->n_groups, u->groups) < 0)
		return PAM_SYSTEM_ERR;
	r = pam_setcred(h, PAM_ESTABLISH_CRED | PAM_SILENT);
	if (r == PAM_SUCCESS)
		r = pam_open_session(h, PAM_SILENT);
	if (r != PAM_SUCCESS)
		return r;
	env = pam_getenvlist(h);
	if (add_env(w, u, env, &e) < 0)
		log_warn("login environment of '%s': %s", u->name, e.msg);
	free_list(env);
	add_groups(w);
	add_limits(w, before);
	add_umask(w);
	add_loginuid(w);
	return PAM_SUCCESS;
}

static void wait_end(void)
{
	sigset_t set;
	int got;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	(void)sigwait(&set, &got);
}

static void leave_descriptors(void)
{
	int null = open("/dev/null", O_RDWR);

	for (int i = 0; null >= 0 && i < 3; i++)
		(void)dup2(null, i);
	if (null > 2)
		close(null);
}

/* The background process. Its caller reads until the output is closed. */
static int hold(const struct user *u)
{
	const struct pam_conv conv = { talk, NULL };
	_cleanup_wr_ struct wr w = wr_grow(SESSION_TEXT_MAX);
	pam_handle_t *h = NULL;
	int r = pam_start(PAM_NAME, u->name, &conv, &h);
	bool open = false;

	setsid();
	if (r == PAM_SUCCESS)
		r = pam_set_item(h, PAM_TTY, PAM_NAME);
	if (r == PAM_SUCCESS)
		r = open_session(h, u, &w);
	open = r == PAM_SUCCESS;
	if (!open) {
		wr_reset(&w);
		row(&w, SESSION_REFUSED, pam_strerror(h, r));
	}
	wr_u8(&w, SESSION_END);
	wr_u8(&w, 0);
	if (wr_ok(&w))
		(void)!write_full(STDOUT_FILENO, w.buf, w.len);
	leave_descriptors();
	if (open) {
		wait_end();
		(void)pam_close_session(h, PAM_SILENT);
		(void)pam_setcred(h, PAM_DELETE_CRED | PAM_SILENT);
	}
	(void)pam_end(h, r);
	return 0;
}

int main(int argc, char **argv)
{
	struct err e = { 0 };
	struct user u;
	pid_t pid;

	if (argc != 2 || argv[1][0] == '-') {
		fprintf(stderr, "usage: qrexec-session USER (started by qrexec-agent)\n");
		return 2;
	}
	log_init("qrexec-session", NULL, -1);
	if (access(PAM_FILE, R_OK) < 0)
		return EXIT_NO_PAM; /* service "other" would decide, which was not asked for */
	if (user_by_name(&u, "/etc", argv[1], &e) < 0) {
		log_error("%s", e.msg);
		return 1;
	}
	pid = fork();
	if (pid < 0)
		return 1;
	return pid ? 0 : hold(&u);
}
