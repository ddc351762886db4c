/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Helpers of the build steps. */
#include "template/run.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"
#include "template/aptsrc.h"

#define TAIL_MAX 300
#define CAPTURE_MAX (4u << 20)

volatile sig_atomic_t build_cancelled;

void template_cancel(void)
{
	build_cancelled = 1;
}

void build_step(struct build *b, const char *text, unsigned permille_end)
{
	b->step = text;
	b->step_no++;
	b->permille = b->permille_end;
	b->permille_end = permille_end;
	dprintf(b->log_fd, "== %s\n", text);
	if (b->req->progress)
		b->req->progress(b->req->arg, text, b->step_no, b->n_steps, b->permille);
}

/* find_program looks in the system's directories only. */
static int find_program(const char *name, char ret[PATH_MAX], struct err *e)
{
	if (name[0] == '/')
		return str_copy(ret, PATH_MAX, name) < 0 || access(ret, X_OK) < 0 ? err_errno(e, errno, "%s", name) : 0;

	static const char *const dirs[] = { "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin" };

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		if (str_printf(ret, PATH_MAX, "%s/%s", dirs[i], name) == 0 && access(ret, X_OK) == 0)
			return 0;
	return err_set(e, ENOENT, "the program '%s' is not installed", name);
}

/* tail gives the last output of a failed program. */
static void tail(const struct build *b, off_t from, char out[TAIL_MAX])
{
	off_t end = lseek(b->log_fd, 0, SEEK_END);
	char raw[TAIL_MAX / 2] = "";
	ssize_t n;

	if (end - from > (off_t)sizeof raw - 1)
		from = end - (off_t)sizeof raw + 1;
	n = pread(b->log_fd, raw, sizeof raw - 1, from);
	while (n > 0 && raw[n - 1] == '\n')
		n--;
	for (ssize_t i = 0; i < n; i++)
		if (raw[i] == '\n')
			raw[i] = '|';
	str_escape(out, TAIL_MAX, raw, n > 0 ? (size_t)n : 0);
}

struct environment {
	char *var[12];
	size_t n;
};

static void env_fini(struct environment *env)
{
	for (size_t i = 0; i < env->n; i++)
		free(env->var[i]);
}

static void env_make(struct environment *env)
{
	static const char *const passed[] = { "HOME", "TMPDIR", "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "SOURCE_DATE_EPOCH" };

	env->var[env->n++] = xstrdup("PATH=/usr/sbin:/usr/bin:/sbin:/bin");
	env->var[env->n++] = xstrdup("LC_ALL=C.UTF-8");
	env->var[env->n++] = xstrdup("DEBIAN_FRONTEND=noninteractive");
	for (size_t i = 0; i < ARRAY_SIZE(passed); i++) {
		const char *v = getenv(passed[i]);

		if (v)
			env->var[env->n++] = xasprintf("%s=%s", passed[i], v);
	}
	env->var[env->n] = NULL;
}

#define TICK_MS 500
#define CANCEL_TICKS 20 /* a program that was told to end gets 10 s */

/* The step's part of the whole is shared out by the packages that are done. */
static unsigned permille_now(struct build *b)
{
	char buf[4096];
	ssize_t n;

	while ((n = pread(b->log_fd, buf, sizeof buf, b->apt_at)) > 0) {
		aptlog_take(&b->apt, buf, (size_t)n);
		b->apt_at += n;
	}
	return b->permille + (b->permille_end - b->permille) * aptlog_permille(&b->apt) / 1000;
}

/* Waits for a step's program. It shows that the step goes on, and hands an end of ours to the program: a signal may have come to us alone. */
static int wait_step(struct build *b, struct proc *p, struct err *e)
{
	unsigned since = 0;
	int status, r;

	while ((r = proc_wait(p, TICK_MS, &status)) == -ETIMEDOUT || r == -EINTR) {
		if (build_cancelled && since++ == 0)
			(void)proc_kill(p, SIGINT);
		else if (build_cancelled && since == CANCEL_TICKS)
			(void)proc_kill(p, SIGKILL);
		else if (b->req->progress)
			b->req->progress(b->req->arg, b->step, b->step_no, b->n_steps, permille_now(b));
	}
	if (r < 0)
		return err_errno(e, -r, "waiting for a program");
	return status ? err_set(e, ECHILD, "ended with status %d", proc_exit_code(status)) : 0;
}

static int run_waiting(struct build *b, const struct proc_spec *s, struct err *e)
{
	_cleanup_proc_ struct proc p = PROC_INIT;
	int r = proc_spawn(&p, s, e);

	return r < 0 ? r : wait_step(b, &p, e);
}

static int run(struct build *b, const char *const *argv, char **ret_out, struct err *e)
{
	char path[PATH_MAX], last[TAIL_MAX] = "";
	_cleanup_(env_fini) struct environment env = { 0 };
	off_t from = lseek(b->log_fd, 0, SEEK_END);
	struct err inner = { 0 };
	size_t len;
	int r = find_program(argv[0], path, e);

	if (r < 0)
		return r;
	env_make(&env);

	struct proc_spec s = { .path = path, .argv = argv, .envp = (const char *const *)env.var };

	b->apt = (struct aptlog){ .len = 0 };
	b->apt_at = from;
	s.fds[s.n_fds].fd = b->log_fd;
	s.fds[s.n_fds++].as = 2;
	if (!ret_out) {
		s.fds[s.n_fds].fd = b->log_fd;
		s.fds[s.n_fds++].as = 1;
		/* A builder that is killed leaves no program behind that goes on for minutes. */
		s.death_signal = SIGTERM;
		r = run_waiting(b, &s, &inner);
	} else {
		r = proc_capture(&s, CAPTURE_MAX, ret_out, &len, &inner);
	}
	if (build_cancelled)
		return err_set(e, EINTR, "interrupted");
	if (r < 0) {
		tail(b, from, last);
		return err_set(e, -r, "%s: %s: %s (log: %s)", b->step, argv[0], last[0] ? last : err_text(&inner, r), b->log_path);
	}
	return 0;
}

int build_run(struct build *b, const char *const *argv, struct err *e)
{
	return run(b, argv, NULL, e);
}

int build_capture(struct build *b, const char *const *argv, char **ret, struct err *e)
{
	return run(b, argv, ret, e);
}

int build_path(const struct build *b, char ret[PATH_MAX], struct err *e, const char *fmt, ...)
{
	size_t n = strlen(b->cache);
	va_list ap;
	int r;

	memcpy(ret, b->cache, n);
	ret[n] = '/';
	va_start(ap, fmt);
	r = vsnprintf(ret + n + 1, PATH_MAX - n - 1, fmt, ap);
	va_end(ap);
	return r < 0 || (size_t)r >= PATH_MAX - n - 1 ? err_set(e, ENAMETOOLONG, "a path of the cache is too long") : 0;
}

int build_publish(const char *tmp, const char *path, struct err *e)
{
	_cleanup_fd_ int fd = open(tmp, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return err_errno(e, errno, "writing %s", tmp);
	return rename(tmp, path) < 0 ? err_errno(e, errno, "renaming %s", tmp) : 0;
}

int build_remove(const char *path, struct err *e)
{
	return fs_rm_rf(AT_FDCWD, path, e);
}

int digest_begin(struct digest *d, struct err *e)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	d->ctx = ctx;
	return ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 ? 0 : err_set(e, EIO, "SHA-256 is not available");
}

void digest_text(struct digest *d, const char *s)
{
	/* With its NUL, so that two texts cannot run together. */
	EVP_DigestUpdate(d->ctx, s, strlen(s) + 1);
}

int digest_file(struct digest *d, const char *path, struct err *e)
{
	_cleanup_free_ uint8_t *buf = xmalloc(1 << 16);
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return err_errno(e, errno, "opening %s", path);
	while ((n = read_full(fd, buf, 1 << 16)) > 0)
		EVP_DigestUpdate(d->ctx, buf, (size_t)n);
	return n < 0 ? err_errno(e, (int)-n, "reading %s", path) : 0;
}

int digest_end(struct digest *d, char ret[65], struct err *e)
{
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (EVP_DigestFinal_ex(d->ctx, md, &len) != 1 || len != 32)
		return err_set(e, EIO, "SHA-256 failed");
	for (size_t i = 0; i < 32; i++)
		snprintf(ret + 2 * i, 3, "%02x", md[i]);
	return 0;
}

void digest_fini(struct digest *d)
{
	EVP_MD_CTX_free(d->ctx);
	d->ctx = NULL;
}

int sources_write(const char *suite, const char *path, struct err *e)
{
	_cleanup_free_ struct apt_sources *s = xcalloc(1, sizeof *s);
	_cleanup_wr_ struct wr w = wr_grow(1 << 16);
	_cleanup_fd_ int fd = -1;
	int r = aptsrc_host("/etc/apt", s, e);

	if (r >= 0)
		r = aptsrc_write(s, suite, &w, e);
	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_errno(e, errno, "opening %s", path);
	r = write_full(fd, w.buf, w.len);
	return r < 0 ? err_errno(e, -r, "writing %s", path) : 0;
}
