/* SPDX-License-Identifier: GPL-3.0-or-later */
/* proc_spawn: descriptors, environment, failure texts, limits, namespaces, minimal roots, life and death. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"

static int sh(const char *script, struct proc_spec *s, char **out, struct err *e)
{
	const char *argv[] = { "sh", "-c", script, NULL };

	s->path = "/bin/sh";
	s->argv = argv;
	return proc_capture(s, 1 << 16, out, NULL, e);
}

static void check_sh(const char *script, struct proc_spec *s, const char *expected)
{
	_cleanup_free_ char *out = NULL;
	struct err e = { 0 };
	int r = sh(script, s, &out, &e);

	if (r < 0)
		fail_msg("%s", err_text(&e, r));
	assert_string_equal(out, expected);
}

static void test_capture(void **state)
{
	struct proc_spec s = { 0 };

	check_sh("echo hello; pwd; echo $LANG", &s, "hello\n/\nC.UTF-8\n");
	/* Standard input is /dev/null and nothing else of ours is open. */
	check_sh("cat; for f in /proc/self/fd/*; do echo ${f##*/}; done", &s, "0\n1\n2\n3\n");
}

static void test_capture_limit(void **state)
{
	struct proc_spec s = { .path = "/bin/sh",
			       .argv = (const char *[]){ "sh", "-c", "printf 12345", NULL } };
	_cleanup_free_ char *out = NULL;
	struct err e = { 0 };
	size_t n = 0;

	assert_int_equal(proc_capture(&s, 5, &out, &n, &e), 0);
	assert_int_equal(n, 5);
	free(STEAL_PTR(out));
	assert_int_equal(proc_capture(&s, 4, &out, &n, &e), -EFBIG);
	assert_null(out);
}

static void test_environment(void **state)
{
	const char *env[] = { "A=1", "B=two words", NULL };
	struct proc_spec s = { .envp = env, .cwd = "/usr" };

	check_sh("echo $A; echo $B; pwd", &s, "1\ntwo words\n/usr\n");
}

static void test_failure_names_step(void **state)
{
	struct proc_spec s = { .path = "/nonexistent/program", .argv = (const char *[]){ "x", NULL } };
	struct proc p = PROC_INIT;
	struct err e = { 0 };

	assert_int_equal(proc_spawn(&p, &s, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "/nonexistent/program"));
	assert_non_null(strstr(e.msg, "exec"));
	assert_int_equal(p.pidfd, -1);
	/* No child is left. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);

	s.path = "/bin/true";
	s.cwd = "/nonexistent";
	assert_int_equal(proc_spawn(&p, &s, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "working directory"));
	s.path = "true";
	assert_int_equal(proc_spawn(&p, &s, &e), -EINVAL);
}

static void test_bad_fd(void **state)
{
	struct proc_spec s = { .path = "/bin/true",
			       .argv = (const char *[]){ "true", NULL },
			       .fds = { { 900, 4 } },
			       .n_fds = 1 };
	struct proc p = PROC_INIT;
	struct err e = { 0 };

	assert_int_equal(proc_spawn(&p, &s, &e), -EBADF);
	assert_non_null(strstr(e.msg, "descriptors"));
	s.fds[0].fd = -1;
	assert_int_equal(proc_spawn(&p, &s, &e), -EBADF);
}

/* Descriptors change places crosswise, which overwrites one of them unless the copies are made first. */
static void test_crossed_fds(void **state)
{
	int a[2], b[2];
	char got[8] = { 0 };
	struct err e = { 0 };
	struct proc_spec s = { .path = "/bin/sh",
			       .argv = (const char *[]){ "sh", "-c", "echo one >&3; echo two >&4", NULL } };

	/* The low numbers 3 and 4 must be ours. */
	assert_int_equal(pipe(a), 0);
	assert_int_equal(pipe(b), 0);
	assert_true(dup2(a[1], 53) == 53 && dup2(b[1], 54) == 54);
	close(a[1]);
	close(b[1]);
	assert_true(dup2(a[0], 63) == 63 && dup2(b[0], 64) == 64);
	close(a[0]);
	close(b[0]);
	assert_true(dup2(53, 4) == 4 && dup2(54, 3) == 3);
	close(53);
	close(54);
	s.fds[0].fd = 4;
	s.fds[0].as = 3;
	s.fds[1].fd = 3;
	s.fds[1].as = 4;
	s.n_fds = 2;
	assert_int_equal(proc_run(&s, &e), 0);
	close(3);
	close(4);
	assert_int_equal(read_full(63, got, 8), 4);
	assert_memory_equal(got, "one\n", 4);
	assert_int_equal(read_full(64, got, 8), 4);
	assert_memory_equal(got, "two\n", 4);
	close(63);
	close(64);
}

static void test_signals_reset(void **state)
{
	struct proc_spec s = { .path = "/bin/sh", .argv = (const char *[]){ "sh", "-c", "kill -PIPE $$; exit 3", NULL } };
	struct proc p = PROC_INIT;
	sigset_t set, old;
	int status;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, &old);
	assert_int_equal(proc_spawn(&p, &s, NULL), 0);
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGPIPE, SIG_DFL);
	assert_int_equal(proc_wait(&p, -1, &status), 0);
	assert_int_equal(proc_exit_code(status), 128 + SIGPIPE);
}

static void test_exit_codes(void **state)
{
	struct proc_spec s = { .path = "/bin/sh", .argv = (const char *[]){ "sh", "-c", "exit 7", NULL } };
	struct proc p = PROC_INIT;
	struct err e = { 0 };
	int status;

	assert_int_equal(proc_spawn(&p, &s, &e), 0);
	assert_int_equal(proc_wait(&p, -1, &status), 0);
	assert_int_equal(proc_exit_code(status), 7);
	assert_int_equal(proc_wait(&p, -1, &status), -ECHILD);
	assert_int_equal(proc_run(&s, &e), -ECHILD);
	assert_non_null(strstr(e.msg, "code 7"));
}

static void test_wait_timeout_and_kill(void **state)
{
	_cleanup_proc_ struct proc p = PROC_INIT;
	struct proc_spec s = { .path = "/bin/sleep", .argv = (const char *[]){ "sleep", "1000", NULL } };
	uint64_t start, cpu;
	int status;

	assert_int_equal(proc_spawn(&p, &s, NULL), 0);
	assert_int_equal(proc_wait(&p, 20, &status), -ETIMEDOUT);
	assert_int_equal(proc_start_time(p.pid, &start), 0);
	assert_true(start > 0);
	assert_int_equal(proc_cpu_ms(p.pid, &cpu), 0);
	assert_int_equal(proc_open_checked(p.pid, start + 1), -ESRCH);
	int fd = proc_open_checked(p.pid, start);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(proc_kill(&p, SIGTERM), 0);
	assert_int_equal(proc_wait(&p, -1, &status), 0);
	assert_int_equal(proc_exit_code(status), 128 + SIGTERM);
	assert_int_equal(proc_kill(&p, SIGTERM), -ESRCH);
	assert_int_equal(proc_start_time(0x7ffffff0, &start), -ESRCH);
}

static void test_rlimits(void **state)
{
	struct proc_spec s = { .n_rlimits = 2 };

	s.rlimits[0].resource = RLIMIT_NOFILE;
	s.rlimits[0].soft = 77;
	s.rlimits[0].hard = 88;
	s.rlimits[1].resource = RLIMIT_CORE;
	check_sh("ulimit -Sn; ulimit -Hn; ulimit -c", &s, "77\n88\n0\n");
}

static void test_no_new_privs_and_session(void **state)
{
	struct proc_spec s = { .new_session = true, .confine = { .no_new_privs = true } };

	check_sh("grep NoNewPrivs /proc/self/status; "
		 "set -- $(sed 's/.*) //' /proc/$$/stat); test $4 = $$ && echo leader",
		 &s, "NoNewPrivs:\t1\nleader\n");
}

static void test_userns_identity_map(void **state)
{
	struct proc_spec s = { .confine = { .userns = true, .netns = true, .ipcns = true, .utsns = true } };
	char expected[200];

	assert_int_equal(str_printf(expected, sizeof expected,
				    "%u\n%u %u 1\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nlo\n",
				    geteuid(), geteuid(), geteuid()),
			 0);
	check_sh("id -u; set -- $(cat /proc/self/uid_map); echo $*; grep -E 'CapEff|CapBnd' /proc/self/status; "
		 "tail -n +3 /proc/net/dev | sed 's/:.*//; s/ //g'",
		 &s, expected);
}

static void test_undumpable_parent(void **state)
{
	/* A sandboxed role is not dumpable and must still be able to start a confined child. */
	struct proc_spec self = { .path = "/proc/self/exe",
				  .argv = (const char *[]){ "test_proc", "undumpable", NULL },
				  .keep_stderr = true };
	struct err e = { 0 };

	if (proc_run(&self, &e) < 0)
		fail_msg("%s", e.msg);
}

static void test_pidns(void **state)
{
	struct proc_bind root[] = { { .path = "/usr" }, { .path = "/bin" }, { .path = "/lib" },
				    { .path = "/lib64", .optional = true }, { .path = "/dev/null", .dev = true } };
	struct proc_spec s = { .confine = { .userns = true, .pidns = true, .root = root, .n_root = ARRAY_SIZE(root) } };

	check_sh("echo $$; for p in /proc/[0-9]*; do echo ${p##*/}; done", &s, "1\n1\n");
}

static void test_pidns_outer_pid(void **state)
{
	_cleanup_proc_ struct proc p = PROC_INIT;
	struct proc_spec s = { .path = "/bin/sleep", .argv = (const char *[]){ "sleep", "1000", NULL },
			       .confine = { .userns = true, .pidns = true } };
	char path[64];

	assert_int_equal(proc_spawn(&p, &s, NULL), 0);
	assert_true(p.pid > 1);
	assert_int_equal(str_printf(path, sizeof path, "/proc/%d/ns/pid", (int)p.pid), 0);
	char theirs[64] = { 0 }, ours[64] = { 0 };
	assert_true(readlink(path, theirs, sizeof theirs - 1) > 0);
	assert_true(readlink("/proc/self/ns/pid", ours, sizeof ours - 1) > 0);
	assert_string_not_equal(ours, theirs);
}

static void test_minimal_root(void **state)
{
	char dir[] = "/tmp/bulkhead-test-XXXXXX", ro[64], rw[64], script[600];
	_cleanup_free_ char *text = NULL;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(str_printf(ro, sizeof ro, "%s/ro", dir), 0);
	assert_int_equal(str_printf(rw, sizeof rw, "%s/rw", dir), 0);
	assert_int_equal(mkdir(ro, 0700) | mkdir(rw, 0700), 0);
	struct proc_bind root[] = { { .path = "/usr" },
				    { .path = "/bin" },
				    { .path = "/lib" },
				    { .path = "/lib64", .optional = true },
				    { .path = "/nonexistent", .optional = true },
				    { .path = "/dev/null", .dev = true, .rw = true },
				    { .path = ro },
				    { .path = rw, .rw = true } };
	struct proc_spec s = { .confine = { .userns = true, .root = root, .n_root = ARRAY_SIZE(root) } };

	assert_int_equal(str_printf(script, sizeof script,
				    "echo /*; echo /dev/*; echo x 2>/dev/null >%s/f || echo refused; echo y >%s/f; "
				    "echo x 2>/dev/null >/f || echo refused; echo x >/dev/null; echo x >/tmp/f && cat /tmp/f; test -e /etc/passwd || echo gone",
				    ro, rw),
			 0);
	check_sh(script, &s,
		 "/bin /dev /lib /lib64 /tmp /usr\n/dev/null\nrefused\nrefused\nx\ngone\n");
	assert_int_equal(str_printf(script, sizeof script, "%s/rw/f", dir), 0);
	assert_int_equal(fs_read(AT_FDCWD, script, 100, &text, NULL, NULL), 0);
	assert_string_equal(text, "y\n");
	assert_int_equal(fs_rm_rf(AT_FDCWD, dir, NULL), 0);

	struct proc_bind missing[] = { { .path = "/nonexistent" } };
	_cleanup_free_ char *out = NULL;
	struct err e = { 0 };
	s.confine.root = missing;
	s.confine.n_root = 1;
	assert_int_equal(sh("true", &s, &out, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "/nonexistent"));
}

static void test_other_identity(void **state)
{
	struct proc_spec s = { .set_ids = true, .uid = 54321, .gid = 54322 };

	if (geteuid() != 0)
		skip();
	check_sh("id -u; id -g; id -G", &s, "54321\n54322\n54322\n");
	s.confine.userns = s.confine.netns = true;
	check_sh("id -u; set -- $(cat /proc/self/uid_map); echo $*; grep CapEff /proc/self/status", &s,
		 "54321\n54321 54321 1\nCapEff:\t0000000000000000\n");
}

static void test_unprivileged_caller(void **state)
{
	struct proc_spec self = { .path = "/proc/self/exe",
				  .argv = (const char *[]){ "test_proc", "unprivileged", NULL },
				  .keep_stderr = true,
				  .set_ids = true,
				  .uid = 54321,
				  .gid = 54321 };
	struct err e = { 0 };

	if (geteuid() != 0)
		skip();
	if (proc_run(&self, &e) < 0)
		fail_msg("%s", e.msg);
}

static void test_death_signal(void **state)
{
	struct proc_spec self = { .path = "/proc/self/exe",
				  .argv = (const char *[]){ "test_proc", "die", NULL },
				  .n_fds = 1 };
	int fds[2];
	char c;

	assert_int_equal(unix_pair(SOCK_STREAM, fds), 0);
	self.fds[0].fd = fds[1];
	self.fds[0].as = 3;
	assert_int_equal(proc_run(&self, NULL), 0);
	close(fds[1]);
	/* The grandchild held descriptor 3: end of file means that it is gone with its parent. */
	assert_int_equal(read(fds[0], &c, 1), 0);
	close(fds[0]);
}

static int child_mode(const char *mode)
{
	struct proc_spec s = { .path = "/bin/true", .argv = (const char *[]){ "true", NULL }, .keep_stderr = true };
	struct proc_bind root[] = { { .path = "/usr" }, { .path = "/bin" }, { .path = "/lib" },
				    { .path = "/lib64", .optional = true } };
	struct err e = { 0 };

	if (streq(mode, "die")) {
		struct proc p = PROC_INIT;

		s.path = "/bin/sleep";
		s.argv = (const char *[]){ "sleep", "1000", NULL };
		s.fds[0].fd = s.fds[0].as = 3;
		s.n_fds = 1;
		s.death_signal = SIGKILL;
		return proc_spawn(&p, &s, &e) < 0;
	}
	if (streq(mode, "undumpable"))
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	s.confine = (struct proc_confine){ .userns = true, .netns = true, .pidns = true, .root = root,
					   .n_root = ARRAY_SIZE(root), .no_new_privs = true };
	if (proc_run(&s, &e) < 0) {
		fprintf(stderr, "%s\n", e.msg);
		return 1;
	}
	return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == (streq(mode, "undumpable") ? 0 : 1) ? 0 : 2;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_capture),
		cmocka_unit_test(test_capture_limit),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_failure_names_step),
		cmocka_unit_test(test_bad_fd),
		cmocka_unit_test(test_crossed_fds),
		cmocka_unit_test(test_signals_reset),
		cmocka_unit_test(test_exit_codes),
		cmocka_unit_test(test_wait_timeout_and_kill),
		cmocka_unit_test(test_rlimits),
		cmocka_unit_test(test_no_new_privs_and_session),
		cmocka_unit_test(test_userns_identity_map),
		cmocka_unit_test(test_undumpable_parent),
		cmocka_unit_test(test_pidns),
		cmocka_unit_test(test_pidns_outer_pid),
		cmocka_unit_test(test_minimal_root),
		cmocka_unit_test(test_other_identity),
		cmocka_unit_test(test_unprivileged_caller),
		cmocka_unit_test(test_death_signal),
	};

	if (argc == 2)
		return child_mode(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
