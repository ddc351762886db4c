/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * svc-admin: the methods of the Admin API that are programs when a qube (or a client of the reference in dom0) calls them: admin.vm.volume.Import,
 * admin.vm.volume.ImportWithSize, admin.vm.Console. Content and terminal bytes are passed on and never looked at. qubesd is asked in the caller's name.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/paths.h"
#include "base/str.h"
#include "client/admin.h"
#include "proto/link.h"
#include "svc/svc.h"

#define SIZE_DIGITS 20
#define ANSWER_MAX 65536
#define CONSOLE_BUSY_STATUS 200 /* the reference's exit status */

/* What the caller asked for, by policy's word; dom0 when it named none. */
static const char *target(void)
{
	const char *name = getenv("QREXEC_REQUESTED_TARGET");

	return name && *name ? name : "dom0";
}

/* One request in the caller's name; the whole response, NUL added behind. */
static int ask(const struct svc *s, enum path_id sock, const char *method, const char *arg, const char *payload, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(ADM_REQUEST_MAX);
	_cleanup_free_ char *buf = xmalloc(ANSWER_MAX + 1);
	_cleanup_fd_ int fd = -1;
	ssize_t n;
	int r = adm_frame(&w, s->caller.s, target(), method, arg, payload, strlen(payload));

	if (r < 0)
		return err_set(e, -r, "the request is malformed");
	fd = adm_connect(path_get(sock), e);
	if (fd < 0)
		return fd;
	r = write_full(fd, w.buf, w.len);
	if (r < 0)
		return err_errno(e, -r, "asking qubesd");
	(void)shutdown(fd, SHUT_WR);
	n = read_full(fd, buf, ANSWER_MAX);
	if (n < 0)
		return err_errno(e, (int)-n, "the answer of qubesd");
	buf[n] = '\0';
	*ret = STEAL_PTR(buf);
	*ret_len = (size_t)n;
	return 0;
}

static bool is_ok(const char *answer, size_t n)
{
	return n >= 2 && answer[0] == '0' && !answer[1];
}

static int answer(const char *bytes, size_t n, struct err *e)
{
	int r = write_full(STDOUT_FILENO, bytes, n);

	return r < 0 ? err_errno(e, -r, "answering") : 0;
}

/* The first line: the size in at most 20 digits. Read byte by byte, since the content follows. */
static int read_size(char out[SIZE_DIGITS + 1], uint64_t *ret, struct err *e)
{
	size_t n = 0;
	char ch;

	while (read_full(STDIN_FILENO, &ch, 1) == 1 && ch != '\n') {
		if (n == SIZE_DIGITS || !ch_digit(ch))
			return err_set(e, EINVAL, "the first line is not a size");
		out[n++] = ch;
	}
	out[n] = '\0';
	return str_u64(out, INT64_MAX, ret) < 0 ? err_set(e, EINVAL, "the first line is not a size") : 0;
}

/* "SIZE PATH", taken apart in place. */
static int place(char *text, uint64_t *ret_size, const char **ret_path, struct err *e)
{
	char *path = strchr(text, ' ');

	if (path)
		*path++ = '\0';
	if (!path || *path != '/' || str_u64(text, INT64_MAX, ret_size) < 0)
		return err_set(e, EBADMSG, "the answer of qubesd to ImportBegin is malformed");
	path[strcspn(path, "\n")] = '\0';
	*ret_path = path;
	return 0;
}

/* From here on only the folder of the volume can be reached, or the device that it is. */
static int copy(const char *path, uint64_t size, struct err *e)
{
	char dir[PATH_MAX];
	int r = str_copy(dir, sizeof dir, path);
	struct stat st;

	if (r == 0 && lstat(path, &st) == 0 && S_ISBLK(st.st_mode)) {
		r = svc_confine_device(path, e);
	} else if (r == 0) {
		*strrchr(dir, '/') = '\0';
		r = svc_confine(dir, e);
	}
	return r < 0 ? r : adm_import_copy(path, STDIN_FILENO, size, e);
}

/* An exception of our own, for what fails before qubesd is asked. */
static int refuse(const char *cls, const char *text, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(ERR_MSG_MAX * 2 + 64);

	wr_bytes(&w, "2", 2);
	wr_cstr(&w, cls);
	wr_cstr(&w, "");
	for (; *text; text++) {
		wr_u8(&w, (uint8_t)*text);
		if (*text == '%')
			wr_u8(&w, '%');
	}
	wr_u8(&w, 0);
	return answer((const char *)w.buf, w.len, e);
}

static int import(const struct svc *s, bool with_size, struct err *e)
{
	_cleanup_free_ char *begun = NULL, *ended = NULL;
	char digits[SIZE_DIGITS + 1] = "", fail[ERR_MSG_MAX + 8];
	uint64_t size = 0;
	const char *path;
	size_t n = 0;
	struct err why = { 0 };
	int r;

	if (with_size && read_size(digits, &size, &why) < 0)
		return refuse("ProtocolError", why.msg, e);
	r = ask(s, PATH_QUBESD_INTERNAL_SOCK, "internal.vm.volume.ImportBegin", s->arg, digits, &begun, &n, e);
	if (r < 0)
		return r;
	if (!is_ok(begun, n))
		return answer(begun, n, e);
	r = place(begun + 2, &size, &path, e);
	if (r < 0)
		return r;
	r = copy(path, size, &why);
	if (r < 0 && str_printf(fail, sizeof fail, "fail\n%s", err_text(&why, r)) < 0)
		memcpy(fail, "fail\n", 6);
	r = ask(s, PATH_QUBESD_INTERNAL_SOCK, "internal.vm.volume.ImportEnd", s->arg, r < 0 ? fail : "ok", &ended, &n, e);
	return r < 0 ? r : answer(ended, n, e);
}

/* One read and its write; 0 = that side has ended. */
static int shovel(int from, int to, size_t *count)
{
	char buf[4096];
	ssize_t n = read(from, buf, sizeof buf);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 1 : -errno;
	/* The one thing that is looked at: linkd has a user already. */
	if (count && *count == 0 && (size_t)n == strlen(LINK_CONSOLE_BUSY) && memcmp(buf, LINK_CONSOLE_BUSY, (size_t)n) == 0)
		return -EBUSY;
	if (count)
		*count += (size_t)n;
	return n == 0 ? 0 : write_full(to, buf, (size_t)n) < 0 ? -EPIPE : 1;
}

/* Until the console closes or nobody reads any more. The end of the input alone ends nothing: some only watch. */
static int talk(int fd)
{
	struct pollfd p[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = fd, .events = POLLIN }, { .fd = STDOUT_FILENO } };
	size_t seen = 0;
	int r;

	for (;;) {
		if (poll(p, ARRAY_SIZE(p), -1) < 0 && errno != EINTR)
			return -errno;
		if (p[2].revents & (POLLERR | POLLHUP))
			return 0;
		if (p[1].revents) {
			r = shovel(fd, STDOUT_FILENO, &seen);
			if (r <= 0)
				return r == -EPIPE ? 0 : r;
		}
		if (p[0].revents) {
			r = shovel(STDIN_FILENO, fd, NULL);
			if (r < 0)
				return r == -EPIPE ? 0 : r;
			if (r == 0)
				p[0].fd = -1;
		}
	}
}

static int console(const struct svc *s, struct err *e)
{
	_cleanup_free_ char *named = NULL;
	_cleanup_reply_ struct adm_reply rep = { 0 };
	_cleanup_fd_ int fd = -1, lock = -1;
	char dir[PATH_MAX];
	size_t n = 0;
	int r = ask(s, PATH_QUBESD_SOCK, "admin.vm.Console", NULL, "", &named, &n, e);

	if (r == 0)
		r = adm_parse(&rep, named, n, e);
	if (r < 0)
		return r;
	if (rep.data[0] != '/' || str_copy(dir, sizeof dir, rep.data) < 0)
		return err_set(e, EBADMSG, "qubesd named no console");
	*strrchr(dir, '/') = '\0';
	lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock < 0)
		return err_errno(e, errno, "the console");
	if (flock(lock, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, EBUSY, "somebody uses this console already");
	fd = unix_connect(rep.data, SOCK_STREAM, e);
	if (fd < 0)
		return fd;
	r = svc_confine(NULL, e);
	if (r == 0)
		r = talk(fd);
	return r == -EBUSY ? err_set(e, EBUSY, "somebody uses this console already") : r < 0 ? err_errno(e, -r, "the console") : 0;
}

/* Clients of the reference in dom0 run the program themselves, as SERVICE [ARGUMENT]: then its own name is the service's. */
static void name_from_arguments(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	_cleanup_free_ char *full = NULL;

	if (getenv("QREXEC_SERVICE_FULL_NAME") || argc > 2)
		return;
	full = xasprintf("%s+%s", slash ? slash + 1 : argv[0], argc > 1 ? argv[1] : "");
	(void)setenv("QREXEC_SERVICE_FULL_NAME", full, 1);
}

int main(int argc, char **argv)
{
	struct err e = { 0 };
	struct svc s;
	int r;

	if (argc > 0)
		name_from_arguments(argc, argv);
	svc_begin(&s);
	if (streq(s.name, "admin.vm.Console"))
		r = s.arg[0] ? err_set(&e, EINVAL, "the service takes no argument") : console(&s, &e);
	else if (streq(s.name, "admin.vm.volume.Import") || streq(s.name, "admin.vm.volume.ImportWithSize"))
		r = import(&s, streq(s.name, "admin.vm.volume.ImportWithSize"), &e);
	else
		r = err_set(&e, ENOENT, "this program has no such service");
	return r == -EBUSY ? (void)svc_end(&s, r, &e), CONSOLE_BUSY_STATUS : svc_end(&s, r, &e);
}
