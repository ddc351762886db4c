/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qubes-restore: serves qubes.Restore (a line with a file or a command, a line with the paths that are wanted) and qubes.RestoreById+ID (the second
 * line only; the first was registered by qubes.RegisterBackupLocation). What it reads is a chain of tar archives; what it sends is a file copy
 * stream of the members asked for, in the order of the archive.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/qfile/stream.h"
#include "agent/services/common.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"
#include "proto/names.h"
#include "proto/qfile.h"
#include "proto/tar.h"

#define LOCATIONS "/run/qubes/backup-location"
#define LINE_BYTES 4096
#define PATHS_BYTES (64 * 1024)

extern char **environ;

struct restore {
	struct qin in;
	struct qout out;
	struct tar tar;
	char paths[PATHS_BYTES]; /* blank-separated; empty = everything */
	char last_dir[TAR_NAME_MAX + 1];
};

/* Is name one of the paths, or below one of them? */
static bool wanted(const char *paths, const char *name)
{
	bool any = false;

	for (const char *s = paths + strspn(paths, " "); *s; s += strspn(s, " ")) {
		size_t n = strcspn(s, " "), k = n;

		while (k > 1 && s[k - 1] == '/')
			k--;
		if (strncmp(name, s, k) == 0 && (name[k] == '\0' || name[k] == '/'))
			return true;
		any = true;
		s += n;
	}
	return !any;
}

static int short_input(int r, struct err *e)
{
	return r < 0 ? err_errno(e, -r, "reading the backup") : err_set(e, EBADMSG, "the backup ends in the middle of a file");
}

/* Passes n bytes of content to the stream, or drops them. */
static int content(struct restore *x, uint64_t n, bool send, struct err *e)
{
	uint64_t pad = (TAR_BLOCK - n % TAR_BLOCK) % TAR_BLOCK;

	while (n + pad) {
		const uint8_t *p;
		size_t got = 0, take;
		int r = qin_some(&x->in, (size_t)MIN(n + pad, (uint64_t)QSTREAM_BUF), &p, &got);

		if (r <= 0)
			return short_input(r, e);
		take = (size_t)MIN((uint64_t)got, n);
		if (send && take && qout_put(&x->out, p, take) < 0)
			return -EPIPE;
		n -= take;
		pad -= got - take;
	}
	return 0;
}

static int put_header(struct restore *x, const char *name, uint32_t mode, uint64_t size, struct err *e)
{
	uint8_t buf[QFILE_HDR_LEN];
	struct wr w = wr_mem(buf, sizeof buf);
	struct qfile_hdr h = { .namelen = (uint32_t)strlen(name) + 1, .mode = mode, .filelen = size, .atime = (uint32_t)x->tar.e.mtime,
			       .mtime = (uint32_t)x->tar.e.mtime };

	if (qfile_name_check(name, strlen(name), QFILE_ALL_NAMES) != 0)
		return err_set(e, EBADMSG, "the backup has a member with a dangerous name");
	qfile_put_hdr(&w, &h);
	return qout_put(&x->out, buf, w.len) < 0 || qout_put(&x->out, name, h.namelen) < 0 ? -EPIPE : 0;
}

/* A member of a folder that the archive does not name: the receiver needs the folder first. */
static int parents(struct restore *x, const char *name, struct err *e)
{
	char dir[TAR_NAME_MAX + 1];

	for (const char *s = strchr(name, '/'); s; s = strchr(s + 1, '/')) {
		size_t n = (size_t)(s - name);
		int r;

		if (strncmp(x->last_dir, name, n) == 0 && (x->last_dir[n] == '/' || x->last_dir[n] == '\0'))
			continue;
		memcpy(dir, name, n);
		dir[n] = '\0';
		r = put_header(x, dir, S_IFDIR | 0700, 0, e);
		if (r < 0)
			return r;
		memcpy(x->last_dir, dir, n + 1);
	}
	return 0;
}

static int member(struct restore *x, struct err *e)
{
	struct tar_entry *m = &x->tar.e;
	size_t n = strlen(m->name);
	bool take;
	int r = 0;

	while (n > 1 && m->name[n - 1] == '/')
		m->name[--n] = '\0';
	take = (m->type == '0' || m->type == '2' || m->type == '5') && wanted(x->paths, m->name);
	if (!take)
		return content(x, m->size, false, e);
	r = parents(x, m->name, e);
	if (r == 0 && m->type == '5') {
		r = put_header(x, m->name, S_IFDIR | m->mode, 0, e);
		(void)!str_copy(x->last_dir, sizeof x->last_dir, m->name);
	} else if (r == 0 && m->type == '2') {
		r = put_header(x, m->name, S_IFLNK | 0777, strlen(m->link), e);
		if (r == 0 && qout_put(&x->out, m->link, strlen(m->link)) < 0)
			r = -EPIPE;
	} else if (r == 0) {
		r = put_header(x, m->name, S_IFREG | m->mode, m->size, e);
		if (r == 0)
			r = content(x, m->size, true, e);
	}
	return r;
}

static int meta(struct restore *x, struct err *e)
{
	size_t n = (size_t)x->tar.e.size;
	_cleanup_free_ char *buf = xmalloc(n + 1);
	size_t have = 0, padded = (n + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;

	while (have < padded) {
		const uint8_t *p;
		size_t got = 0;
		int r = qin_some(&x->in, MIN(padded - have, (size_t)QSTREAM_BUF), &p, &got);

		if (r <= 0)
			return short_input(r, e);
		if (have < n)
			memcpy(buf + have, p, MIN(got, n - have));
		have += got;
	}
	return tar_meta(&x->tar, rd_mem(buf, n), e);
}

static int convert(struct restore *x, struct err *e)
{
	static const uint8_t end[QFILE_HDR_LEN];
	const uint8_t *block;
	size_t rest;
	int r;

	while ((r = qin_take(&x->in, TAR_BLOCK, &block)) > 0) {
		uint8_t own[TAR_BLOCK];
		int k;

		memcpy(own, block, sizeof own);
		k = tar_header(&x->tar, rd_mem(own, sizeof own), e);
		r = k < 0 ? k : k == TAR_ENTRY ? member(x, e) : k == TAR_META ? meta(x, e) : 0;
		if (r < 0)
			return r;
	}
	if (r < 0)
		return err_errno(e, -r, "reading the backup");
	if (qin_some(&x->in, TAR_BLOCK, &block, &rest) > 0)
		return short_input(0, e);
	return qout_put(&x->out, end, sizeof end) < 0 || qout_flush(&x->out) < 0 ? -EPIPE : 0;
}

static int result(struct restore *x, struct err *e)
{
	uint8_t buf[QFILE_RESULT_LEN] = { 0 };
	struct rd r = rd_mem(buf, sizeof buf);
	struct qfile_result res;

	if (read_full(STDIN_FILENO, buf, sizeof buf) != sizeof buf || qfile_get_result(&r, &res) < 0)
		return err_set(e, EPROTO, "the receiver ended without an answer");
	if (res.error)
		return err_errno(e, (int)(res.error & 0xffff), "the receiver says");
	return res.crc == x->out.crc ? 0 : err_set(e, EBADMSG, "checksum mismatch");
}

/* A file by its absolute path; anything else is a command of this qube, whose output is the backup. */
static int open_source(const char *location, struct proc *p, struct err *e)
{
	const char *argv[] = { "sh", "-c", location, NULL };
	struct proc_spec s = { .path = "/bin/sh", .argv = argv, .envp = (const char *const *)environ, .keep_stderr = true, .n_fds = 1 };
	struct stat st;
	int out[2], fd, r;

	if (location[0] == '/' && stat(location, &st) == 0) {
		fd = open(location, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (fd < 0)
			return err_errno(e, errno, "'%s'", location);
		if (S_ISDIR(st.st_mode)) {
			close(fd);
			return err_set(e, EISDIR, "'%s' is a folder, not a backup", location);
		}
		return fd;
	}
	if (location[0] == '/' && !strchr(location, ' ') && access(location, F_OK) < 0)
		return err_errno(e, errno, "'%s'", location);
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	s.fds[0].fd = out[1];
	s.fds[0].as = 1;
	r = proc_spawn(p, &s, e);
	close(out[1]);
	if (r < 0)
		close(out[0]);
	return r < 0 ? r : out[0];
}

static int location_of(const char *id, char *out, size_t cap, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	size_t n = 0;

	if (!id || !id[0] || strlen(id) > 64 || !str_chars(id, ""))
		return err_set(e, EINVAL, "the id of a backup location is expected as argument");
	if (str_printf(path, sizeof path, LOCATIONS "/%s", id) < 0 || fs_read(AT_FDCWD, path, LINE_BYTES, &text, &n, NULL) < 0)
		return err_set(e, ENOENT, "no backup location with this id is registered now");
	text[strcspn(text, "\n")] = '\0';
	return str_copy(out, cap, text);
}

static int serve(const char *id, struct err *e)
{
	_cleanup_proc_ struct proc p = PROC_INIT;
	_cleanup_free_ struct restore *x = xcalloc(1, sizeof *x);
	char location[LINE_BYTES];
	int r, fd, status = 0;

	r = id ? location_of(id, location, sizeof location, e) : read_line(STDIN_FILENO, location, sizeof location, e);
	if (r == 0)
		r = read_line(STDIN_FILENO, x->paths, sizeof x->paths, e);
	if (r == 0 && !location[0])
		r = err_set(e, EINVAL, "a file or a command is expected");
	if (r < 0)
		return r;
	fd = open_source(location, &p, e);
	if (fd < 0)
		return fd;
	qin_init(&x->in, fd);
	qout_init(&x->out, STDOUT_FILENO);
	r = convert(x, e);
	/* only our own failures leave the receiver without its end mark; what it says explains a broken pipe */
	if (r == 0 || r == -EPIPE)
		r = result(x, e);
	close(fd);
	if (r == 0 && p.pidfd >= 0 && proc_wait(&p, -1, &status) == 0 && status != 0)
		r = err_set(e, ECHILD, "the command failed with status %d", proc_exit_code(status));
	qout_fini(&x->out);
	qin_fini(&x->in);
	return r;
}

int main(void)
{
	const char *service = getenv("QREXEC_SERVICE_FULL_NAME"), *arg = getenv("QREXEC_SERVICE_ARGUMENT");
	bool by_id = service && str_starts(service, "qubes.RestoreById");
	struct err e = { 0 };

	signal(SIGPIPE, SIG_IGN);
	return finish(by_id ? "qubes.RestoreById" : "qubes.Restore", serve(by_id ? (arg ? arg : "") : NULL, &e), &e);
}
