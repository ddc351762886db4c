/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-template's helpers and what they say. */
#include "tool/tpl_proc.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/paths.h"
#include "base/str.h"
#include "tool/tpl_keys.h"

#define TICK_MS 200
#define ARGS_MAX 8

static volatile sig_atomic_t interrupted;

static void on_signal(int signum)
{
	(void)signum;
	interrupted = 1;
}

void tpl_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal }, off = { .sa_handler = SIG_IGN };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	/* A helper that ended early is told by its status. */
	sigaction(SIGPIPE, &off, NULL);
}

bool tpl_interrupted(void)
{
	return interrupted;
}

int tpl_start(struct tpl_proc *ret, const char *name, const char *const *argv, const struct tpl_fd *fds, size_t n_fds, struct err *e)
{
	const char *args[ARGS_MAX + 2] = { name };
	char program[PATH_MAX];
	/* It ends with us, whatever ends us. */
	struct proc_spec s = { .path = path_program(program, name), .argv = args, .death_signal = SIGKILL };
	_cleanup_fd_ int rfd = -1, wfd = -1;
	int pair[2], r;

	for (size_t i = 0; argv && argv[i]; i++) {
		if (i == ARGS_MAX)
			return err_set(e, E2BIG, "too many arguments for %s", name);
		args[i + 1] = argv[i];
	}
	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	rfd = pair[0];
	wfd = pair[1];
	for (size_t i = 0; i < n_fds; i++) {
		s.fds[s.n_fds].fd = fds[i].fd;
		s.fds[s.n_fds++].as = fds[i].as;
	}
	s.fds[s.n_fds].fd = wfd;
	s.fds[s.n_fds++].as = STDERR_FILENO;
	*ret = (struct tpl_proc){ .p = PROC_INIT, .name = name, .err_fd = -1 };
	r = proc_spawn(&ret->p, &s, e);
	if (r == 0)
		ret->err_fd = STEAL_FD(rfd);
	return r;
}

int tpl_end(struct tpl_proc *p, int timeout_ms, struct err *e)
{
	char raw[300] = "", shown[ERR_MSG_MAX / 2];
	uint64_t end = now_us() + (uint64_t)MAX(timeout_ms, 0) * 1000;
	int status = 0, r;
	ssize_t n;

	for (;;) {
		if (interrupted) {
			tpl_stop(p);
			return err_set(e, EINTR, "interrupted");
		}
		r = proc_wait(&p->p, timeout_ms < 0 ? TICK_MS : MIN(timeout_ms, TICK_MS), &status);
		if (r != -ETIMEDOUT && r != -EINTR)
			break;
		if (timeout_ms >= 0 && now_us() >= end)
			return -ETIMEDOUT;
	}
	(void)lseek(p->err_fd, 0, SEEK_SET); /* memory, not a pipe, with some */
	n = read_full(p->err_fd, raw, sizeof raw - 1);
	fd_closep(&p->err_fd);
	if (r < 0)
		return err_errno(e, -r, "waiting for %s", p->name);
	if (status == 0)
		return 0;
	raw[n > 0 ? n : 0] = '\0';
	raw[strcspn(raw, "\n")] = '\0';
	if (!raw[0])
		return err_set(e, ECHILD, "%s ended with status %d", p->name, proc_exit_code(status));
	return err_set(e, EBADMSG, "%s", str_escape(shown, sizeof shown, raw, strlen(raw)));
}

void tpl_stop(struct tpl_proc *p)
{
	proc_fini(&p->p);
	fd_closep(&p->err_fd);
}

/* Everything from fd, at most max bytes. */
static int slurp(int fd, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	size_t cap = 65536, len = 0;
	_cleanup_free_ char *buf = xmalloc(cap + 1);

	for (;;) {
		ssize_t n;

		if (len == cap && cap >= max)
			return err_set(e, EFBIG, "more than %zu bytes", max);
		if (len == cap)
			buf = xreallocarray(buf, (cap = MIN(cap * 4, max)) + 1, 1);
		n = read(fd, buf + len, cap - len);
		if (n < 0 && errno == EINTR && !interrupted)
			continue;
		if (n < 0)
			return err_errno(e, errno, "reading");
		if (n == 0)
			break;
		len += (size_t)n;
	}
	buf[len] = '\0';
	*ret = STEAL_PTR(buf);
	*ret_len = len;
	return 0;
}

int tpl_capture(const char *name, const char *const *argv, const struct tpl_fd *fds, size_t n_fds, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_tpl_proc_ struct tpl_proc p = TPL_PROC_INIT;
	_cleanup_fd_ int rfd = -1, wfd = -1;
	_cleanup_free_ char *text = NULL;
	struct tpl_fd all[8];
	struct err slurped = { 0 };
	int pair[2], r, r2;

	if (n_fds + 1 > ARRAY_SIZE(all) || pipe2(pair, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	rfd = pair[0];
	wfd = pair[1];
	for (size_t i = 0; i < n_fds; i++)
		all[i] = fds[i];
	all[n_fds] = (struct tpl_fd){ wfd, STDOUT_FILENO };
	r = tpl_start(&p, name, argv, all, n_fds + 1, e);
	if (r < 0)
		return r;
	fd_closep(&wfd);
	r2 = slurp(rfd, max, &text, ret_len, &slurped);
	fd_closep(&rfd);
	r = tpl_end(&p, -1, e);
	if (r == 0 && r2 < 0)
		r = err_set(e, -r2, "%s", slurped.msg);
	if (r == 0)
		*ret = STEAL_PTR(text);
	return r;
}

int tpl_memory(const void *p, size_t n, struct err *e)
{
	_cleanup_fd_ int fd = memfd_create("template", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return err_errno(e, errno, "memfd");
	r = write_full(fd, p, n);
	if (r < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(e, r < 0 ? -r : errno, "memfd");
	return STEAL_FD(fd);
}

static int keys_fd(const char *only, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(60000);
	int r = tpl_keys_put(&w, only, e);

	if (r == 0 && !wr_ok(&w))
		r = err_set(e, E2BIG, "too many keys are trusted");
	return r < 0 ? r : tpl_memory(w.buf, w.len, e);
}

/* "key NAME\nsha256 HEX\n\n" and the text behind it. */
static int parse_told(char *told, char key[65], uint8_t sum[TPL_SHA_LEN], char **ret_text, struct err *e)
{
	char *line[3];

	for (size_t i = 0; i < 3; i++) {
		char *nl = strchr(told, '\n');

		if (!nl)
			return err_set(e, EPROTO, "template-verifier said nothing");
		*nl = '\0';
		line[i] = told;
		told = nl + 1;
	}
	if (!str_starts(line[0], "key ") || !str_starts(line[1], "sha256 ") || line[2][0] || str_copy(key, 65, line[0] + 4) < 0 ||
	    !hex_get(line[1] + 7, sum, TPL_SHA_LEN))
		return err_set(e, EPROTO, "template-verifier said something else");
	*ret_text = told;
	return 0;
}

struct verified {
	struct tpl_proc p;
	char *told, *text;
	size_t len; /* of text */
	char key[65];
	uint8_t sum[TPL_SHA_LEN];
};

static void verified_fini(struct verified *v)
{
	tpl_stop(&v->p);
	free(v->told);
}

/* Starts the verifier on fd, from its begin, and takes what it says about the text. With parts it goes on. */
static int verify(struct verified *v, const char *mode, int fd, int parts, const char *only_key, struct err *e)
{
	const char *const argv[] = { mode, NULL };
	_cleanup_fd_ int keys = keys_fd(only_key, e), rfd = -1, wfd = -1;
	struct err slurped = { 0 };
	int pair[2], r, r2;
	size_t n = 0;

	*v = (struct verified){ .p = TPL_PROC_INIT };
	if (keys < 0)
		return keys;
	if (lseek(fd, 0, SEEK_SET) < 0 || pipe2(pair, O_CLOEXEC) < 0)
		return err_errno(e, errno, "reading");
	rfd = pair[0];
	wfd = pair[1];

	const struct tpl_fd fds[] = { { fd, 0 }, { wfd, 3 }, { keys, 4 }, { parts, 1 } };

	r = tpl_start(&v->p, "template-verifier", argv, fds, parts < 0 ? 3 : 4, e);
	if (r < 0)
		return r;
	fd_closep(&wfd);
	r2 = slurp(rfd, TPL_TEXT_MAX + 4096, &v->told, &n, &slurped);
	/* Without parts it has ended now, and so it has when it told nothing. */
	if (parts < 0 || r2 < 0 || n == 0)
		r = tpl_end(&v->p, -1, e);
	if (r == 0 && r2 < 0)
		r = err_set(e, -r2, "%s", slurped.msg);
	if (r == 0)
		r = parse_told(v->told, v->key, v->sum, &v->text, e);
	if (r == 0)
		v->len = n - (size_t)(v->text - v->told);
	return r;
}

int tpl_file_open(struct tpl_file *ret, const char *path, const char *only_key, struct err *e)
{
	_cleanup_(verified_fini) struct verified v = { .p = TPL_PROC_INIT };
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int r;

	*ret = TPL_FILE_INIT;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%s is no file", path);
	r = verify(&v, "head", fd, -1, only_key, e);
	if (r == 0)
		r = tpl_manifest_get(rd_mem(v.text, v.len), &ret->m, e);
	if (r == 0)
		r = str_copy(ret->key, sizeof ret->key, v.key);
	if (r < 0) {
		tpl_manifest_fini(&ret->m);
		return err_add(e, r, "%s", path);
	}
	memcpy(ret->sum, v.sum, sizeof ret->sum);
	ret->bytes = (uint64_t)st.st_size;
	ret->fd = STEAL_FD(fd);
	return 0;
}

void tpl_file_close(struct tpl_file *f)
{
	tpl_manifest_fini(&f->m);
	fd_closep(&f->fd);
}

/* Both helpers to their ends. The verifier's word counts: an unpacker that lacks its input says so too. */
static int both_end(struct tpl_file *f, struct tpl_proc *verifier, struct tpl_proc *worker, tpl_progress *progress, void *arg, struct err *e)
{
	struct err ew = { 0 }, ev = { 0 };
	bool v_done = false, w_done = worker == NULL;
	int rv = 0, rw = 0;

	while (!v_done || !w_done) {
		off_t at = lseek(f->fd, 0, SEEK_CUR); /* shared with the verifier */

		if (progress && at >= 0)
			progress((uint64_t)at, f->bytes, arg);
		if (!v_done) {
			rv = tpl_end(verifier, w_done ? TICK_MS : 1, &ev);
			v_done = rv != -ETIMEDOUT;
		}
		if (!w_done) {
			rw = tpl_end(worker, TICK_MS, &ew);
			w_done = rw != -ETIMEDOUT;
		}
	}
	/* A worker that ended first broke the verifier's pipe. */
	if (rv < 0 && !(rw < 0 && ev.code == ECHILD))
		return err_set(e, -rv, "%s", ev.msg);
	return rw < 0 ? err_set(e, -rw, "%s", ew.msg) : 0;
}

int tpl_file_unpack(struct tpl_file *f, const char *only_key, int out, tpl_progress *progress, void *arg, struct err *e)
{
	_cleanup_(verified_fini) struct verified v = { .p = TPL_PROC_INIT };
	_cleanup_tpl_proc_ struct tpl_proc worker = TPL_PROC_INIT;
	_cleanup_fd_ int rfd = -1, wfd = -1;
	char size[24];
	int pair[2], r;

	if (out < 0)
		wfd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	else if (pipe2(pair, O_CLOEXEC) == 0)
		rfd = pair[0], wfd = pair[1];
	if (wfd < 0 || str_printf(size, sizeof size, "%llu", (unsigned long long)f->m.size) < 0)
		return err_errno(e, errno, "pipe");
	r = verify(&v, "template", f->fd, wfd, only_key, e);
	if (r < 0)
		return r;
	fd_closep(&wfd);
	/* The file could have been exchanged since its head was read. */
	if (memcmp(v.sum, f->sum, sizeof f->sum) != 0)
		return err_set(e, EBADMSG, "the file was exchanged while it was read");
	if (out >= 0) {
		const char *const argv[] = { "unpack", size, NULL };
		const struct tpl_fd fds[] = { { rfd, 0 }, { out, 1 } };

		r = tpl_start(&worker, "template-worker", argv, fds, ARRAY_SIZE(fds), e);
		if (r < 0)
			return r;
		fd_closep(&rfd);
	}
	return both_end(f, &v.p, out >= 0 ? &worker : NULL, progress, arg, e);
}

int tpl_index_open(struct tpl_index *ret, const void *p, size_t n, const char *only_key, struct err *e)
{
	_cleanup_(verified_fini) struct verified v = { .p = TPL_PROC_INIT };
	_cleanup_fd_ int fd = tpl_memory(p, n, e);
	int r = fd < 0 ? fd : verify(&v, "index", fd, -1, only_key, e);

	*ret = (struct tpl_index){ .n = 0 };
	return r < 0 ? r : tpl_index_get(rd_mem(v.text, v.len), ret, e);
}
