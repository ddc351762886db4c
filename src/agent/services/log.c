/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qubes-log: serves qubes.Log: keeps the lines that another qube sends in ~/QubesLogs/QUBE.log, with the time before each and with control bytes
 * made visible. At 64 MiB the file becomes QUBE.log.old, so that a flood fills no disk.
 */
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/services/common.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/str.h"
#include "proto/isotime.h"
#include "proto/names.h"

#define SIZE_MAX_LOG (64ll << 20)
#define LINE_BYTES 4096

struct sink {
	char path[PATH_MAX], old[PATH_MAX];
	int fd;
	off_t size;
};

static int open_sink(struct sink *s, struct err *e)
{
	struct stat st;

	s->fd = open(s->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return err_errno(e, errno, "'%s'", s->path);
	s->size = st.st_size;
	return 0;
}

static int put(struct sink *s, const char *line, size_t n, struct err *e)
{
	char shown[4 * LINE_BYTES + 8], row[sizeof shown + ISOTIME_CAP + 4], stamp[ISOTIME_CAP];
	struct timespec now;
	int r;

	if (clock_gettime(CLOCK_REALTIME, &now) < 0 || isotime_put(stamp, (struct isotime){ now.tv_sec, 0 }, false) < 0)
		return err_set(e, EINVAL, "the clock is not set");
	str_escape(shown, sizeof shown, line, n);
	r = str_printf(row, sizeof row, "%s %s\n", stamp, shown);
	if (r == 0 && s->size >= SIZE_MAX_LOG) {
		fd_closep(&s->fd);
		if (rename(s->path, s->old) < 0)
			return err_errno(e, errno, "'%s'", s->old);
		r = open_sink(s, e);
	}
	if (r == 0)
		r = write_full(s->fd, row, strlen(row));
	s->size += (off_t)strlen(row);
	return r;
}

static int serve(struct err *e)
{
	const char *caller = getenv("QREXEC_REMOTE_DOMAIN"), *home = getenv("HOME");
	struct sink s = { .fd = -1 };
	char line[LINE_BYTES], dir[PATH_MAX];
	struct qname name;
	size_t n = 0;
	int r = caller ? qname_parse(&name, caller, e) : err_set(e, EINVAL, "this is a qrexec service");

	if (r == 0)
		r = str_printf(dir, sizeof dir, "%s/QubesLogs", home ? home : "");
	if (r == 0)
		r = fs_mkdir_p(dir, 0700, e);
	if (r == 0)
		r = str_printf(s.path, sizeof s.path, "%s/%s.log", dir, name.s);
	if (r == 0)
		r = str_printf(s.old, sizeof s.old, "%s/%s.log.old", dir, name.s);
	if (r == 0)
		r = open_sink(&s, e);
	while (r == 0) {
		ssize_t k = read(STDIN_FILENO, line + n, sizeof line - n);
		char *nl;

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		n += (size_t)k;
		while (r == 0 && ((nl = memchr(line, '\n', n)) || n == sizeof line)) {
			size_t len = nl ? (size_t)(nl - line) : n, used = len + (nl != NULL);

			r = put(&s, line, len, e);
			memmove(line, line + used, n - used);
			n -= used;
		}
	}
	if (r == 0 && n)
		r = put(&s, line, n, e);
	fd_closep(&s.fd);
	return r;
}

int main(void)
{
	struct err e = { 0 };

	return finish("qubes.Log", serve(&e), &e);
}
