/* SPDX-License-Identifier: GPL-3.0-or-later */
/* io, fsx, log, paths: what touches the file system. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"

static char dir[64];
static char scratch[300];

static const char *in_dir(const char *name)
{
	assert_int_equal(str_printf(scratch, sizeof scratch, "%s/%s", dir, name), 0);
	return scratch;
}

static int make_dir(void **state)
{
	return str_copy(dir, sizeof dir, "/tmp/bh-files-XXXXXX") < 0 || !mkdtemp(dir) ? -1 : 0;
}

static int remove_dir(void **state)
{
	return fs_rm_rf(AT_FDCWD, dir, NULL);
}

static void test_read_write(void **state)
{
	struct err e = { 0 };
	char *s = NULL;
	size_t n;

	assert_int_equal(fs_write_atomic(AT_FDCWD, in_dir("f"), "hello", 5, 0640, &e), 0);
	assert_int_equal(fs_read(AT_FDCWD, in_dir("f"), 5, &s, &n, &e), 0);
	assert_int_equal(n, 5);
	assert_string_equal(s, "hello");
	free(STEAL_PTR(s));
	assert_int_equal(fs_read(AT_FDCWD, in_dir("f"), 4, &s, &n, &e), -EFBIG);
	assert_null(s);
	assert_int_equal(fs_write_atomic(AT_FDCWD, in_dir("f"), "", 0, 0640, &e), 0);
	assert_int_equal(fs_read(AT_FDCWD, in_dir("f"), 4, &s, &n, &e), 0);
	assert_int_equal(n, 0);
	free(STEAL_PTR(s));
	assert_int_equal(fs_read(AT_FDCWD, in_dir("absent"), 4, &s, &n, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "absent"));
	assert_int_equal(fs_read(AT_FDCWD, dir, 4, &s, &n, &e), -EISDIR);
	assert_int_equal(fs_write_atomic(AT_FDCWD, in_dir("no/where"), "", 0, 0640, &e), -ENOENT);
}

static void test_large_read(void **state)
{
	char *p = NULL, *big = calloc(1, 100000);
	size_t n;

	assert_int_equal(fs_write_atomic(AT_FDCWD, in_dir("big"), big, 100000, 0600, NULL), 0);
	assert_int_equal(fs_read(AT_FDCWD, in_dir("big"), 1 << 20, &p, &n, NULL), 0);
	assert_int_equal(n, 100000);
	free(p);
	free(big);
	/* Files of /proc say that they are empty. */
	p = NULL;
	assert_int_equal(fs_read(AT_FDCWD, "/proc/self/status", 1 << 20, &p, &n, NULL), 0);
	assert_true(n > 100);
	free(p);
}

static void test_open_beneath(void **state)
{
	int d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;

	assert_int_equal(fs_write_atomic(d, "g", "x", 1, 0600, NULL), 0);
	assert_int_equal(symlinkat("g", d, "l"), 0);
	assert_int_equal(symlinkat("/etc", d, "etc"), 0);
	fd = fs_open_beneath(d, "g", O_RDONLY, 0, NULL);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	assert_int_equal(fs_open_beneath(d, "l", O_RDONLY, 0, NULL), -ELOOP);
	assert_int_equal(fs_open_beneath(d, "etc/passwd", O_RDONLY, 0, NULL), -ELOOP);
	assert_int_equal(fs_open_beneath(d, "../../etc/passwd", O_RDONLY, 0, NULL), -EXDEV);
	assert_int_equal(fs_open_beneath(d, "/etc/passwd", O_RDONLY, 0, NULL), -EXDEV);
	fd = fs_open_beneath(d, "new", O_RDWR | O_CREAT | O_EXCL, 0600, NULL);
	assert_true(fd >= 0);
	close(fd);
	close(d);
}

static void test_directories(void **state)
{
	struct err e = { 0 };
	struct stat st;

	assert_int_equal(fs_mkdir_p(in_dir("a/b/c"), 0700, &e), 0);
	assert_int_equal(fs_mkdir_p(in_dir("a/b/c"), 0700, &e), 0);
	assert_int_equal(fs_write_atomic(AT_FDCWD, in_dir("a/b/f"), "x", 1, 0600, NULL), 0);
	assert_int_equal(fs_mkdir_p(in_dir("a/b/f"), 0700, &e), -ENOTDIR);
	/* A link in a tree is removed, not followed. */
	assert_int_equal(fs_mkdir_p(in_dir("keep"), 0700, &e), 0);
	assert_int_equal(symlink("../../keep", in_dir("a/b/link")), 0);
	assert_int_equal(fs_write_atomic(AT_FDCWD, in_dir("keep/f"), "x", 1, 0600, NULL), 0);
	assert_int_equal(fs_rm_rf(AT_FDCWD, in_dir("a"), &e), 0);
	assert_int_equal(stat(in_dir("a"), &st), -1);
	assert_int_equal(stat(in_dir("keep/f"), &st), 0);
	assert_int_equal(fs_rm_rf(AT_FDCWD, in_dir("a"), &e), 0);
}

static void test_too_deep_to_remove(void **state)
{
	char path[256] = "";
	struct err e = { 0 };
	size_t n;

	assert_int_equal(str_printf(path, sizeof path, "%s/deep", dir), 0);
	for (int i = 0; i < 70; i++) {
		assert_int_equal(mkdir(path, 0700), 0);
		n = strlen(path);
		assert_true(n + 3 < sizeof path);
		memcpy(path + n, "/d", 3);
	}
	assert_int_equal(fs_rm_rf(AT_FDCWD, in_dir("deep"), &e), -ELOOP);
	/* In two steps it goes. */
	for (int i = 0; i < 30; i++)
		*strrchr(path, '/') = '\0';
	assert_int_equal(fs_rm_rf(AT_FDCWD, path, &e), 0);
	assert_int_equal(fs_rm_rf(AT_FDCWD, in_dir("deep"), &e), 0);
}

static void test_full_io(void **state)
{
	int fds[2];
	char buf[8];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write_full(fds[1], "abc", 3), 0);
	close(fds[1]);
	assert_int_equal(read_full(fds[0], buf, 8), 3);
	assert_int_equal(read_full(fds[0], buf, 8), 0);
	close(fds[0]);
	assert_int_equal(read_full(fds[0], buf, 8), -EBADF);
	assert_int_equal(write_full(fds[0], buf, 8), -EBADF);
}

static void test_unix_sockets(void **state)
{
	struct err e = { 0 };
	char long_path[200];
	int l, c, again, pair[2];

	l = unix_listen(in_dir("s"), SOCK_SEQPACKET, 0600, &e);
	assert_true(l >= 0);
	assert_true(fcntl(l, F_GETFD) & FD_CLOEXEC && fcntl(l, F_GETFL) & O_NONBLOCK);
	c = unix_connect(in_dir("s"), SOCK_SEQPACKET, &e);
	assert_true(c >= 0);
	again = unix_listen(in_dir("s"), SOCK_SEQPACKET, 0600, &e);
	assert_int_equal(again, -EADDRINUSE);
	close(l);
	/* A stale one is replaced. */
	again = unix_listen(in_dir("s"), SOCK_SEQPACKET, 0600, &e);
	assert_true(again >= 0);
	close(again);
	close(c);
	assert_int_equal(unix_connect(in_dir("none"), SOCK_STREAM, &e), -ENOENT);
	memset(long_path, 'x', sizeof long_path);
	long_path[0] = '/';
	long_path[sizeof long_path - 1] = '\0';
	assert_int_equal(unix_connect(long_path, SOCK_STREAM, &e), -ENAMETOOLONG);
	assert_int_equal(unix_listen(long_path, SOCK_STREAM, 0600, &e), -ENAMETOOLONG);
	assert_int_equal(unix_pair(SOCK_STREAM, pair), 0);
	assert_int_equal(fd_nonblock(pair[0], true), 0);
	assert_true(fcntl(pair[0], F_GETFL) & O_NONBLOCK);
	assert_int_equal(fd_cloexec(pair[0], false), 0);
	assert_int_equal(fcntl(pair[0], F_GETFD), 0);
	close(pair[0]);
	close(pair[1]);
}

static void test_log_lines(void **state)
{
	char buf[5000], big[3000];
	int fds[2];
	ssize_t n;

	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	assert_int_equal(pipe(fds), 0);
	log_init("prog", "work", fds[1]);
	log_set_level(LOG_L_INFO);
	log_debug("not shown");
	log_warn("hello\nFAKE line\x1b[0m\xff key=%s", log_esc("a\nb\\", 4));
	n = read(fds[0], buf, sizeof buf);
	assert_true(n > 0);
	buf[n] = '\0';
	/* One line, no raw control byte, and the escape of foreign text still readable. */
	assert_ptr_equal(strchr(buf, '\n'), buf + n - 1);
	assert_non_null(strstr(buf, " prog[work] warn: hello\\x0aFAKE line\\x1b[0m\\xff key=a\\x0ab\\x5c\n"));
	log_error("%s", big);
	n = read(fds[0], buf, sizeof buf);
	assert_true(n > 0 && n <= 2048 && buf[n - 1] == '\n');
	log_init("prog", NULL, -1);
	close(fds[0]);
	close(fds[1]);
}

static void test_log_rate(void **state)
{
	struct log_rate r = { 0 };

	assert_true(log_rate_ok(&r, 2, 3600));
	assert_true(log_rate_ok(&r, 2, 3600));
	assert_false(log_rate_ok(&r, 2, 3600));
	assert_false(log_rate_ok(&r, 2, 3600));
	assert_int_equal(r.suppressed, 2);
	r.window_start_us -= 3601ull * 1000000;
	assert_true(log_rate_ok(&r, 2, 3600));
	assert_int_equal(r.suppressed, 0);
}

static void test_paths(void **state)
{
	char out[PATH_MAX];
	struct err e = { 0 };
	struct stat st;

	assert_int_equal(paths_init(in_dir("root/"), &e), 0);
	assert_false(paths_system_mode());
	assert_true(str_ends(paths_root(), "/root"));
	assert_true(str_starts(path_get(PATH_RUN), paths_root()) && str_ends(path_get(PATH_RUN), "/run"));
	assert_string_equal(path_fmt(out, PATH_QUBE_RUN, "/%d/x", 7) + strlen(paths_root()), "/run/q/7/x");
	assert_int_equal(paths_make(&e), 0);
	assert_int_equal(stat(path_get(PATH_POLICY_ETC), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(setenv("QUBES_ROOT", "/other", 1), 0);
	assert_int_equal(paths_init(NULL, &e), 0);
	assert_string_equal(paths_root(), "/other");
	unsetenv("QUBES_ROOT");
	assert_int_equal(paths_init("relative", &e), 0);
	assert_true(paths_root()[0] == '/' && str_ends(paths_root(), "/relative"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_write),    cmocka_unit_test(test_large_read), cmocka_unit_test(test_open_beneath),
		cmocka_unit_test(test_directories),   cmocka_unit_test(test_too_deep_to_remove), cmocka_unit_test(test_full_io),
		cmocka_unit_test(test_unix_sockets),  cmocka_unit_test(test_log_lines), cmocka_unit_test(test_log_rate),
		cmocka_unit_test(test_paths),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
