/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every profile: what it promises to allow works, and a forbidden call ends the process. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/ev.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/msg.h"
#include "base/proc.h"
#include "base/sandbox.h"
#include "base/str.h"

static char dir[] = "/tmp/bulkhead-sb-XXXXXX";

/* Runs fn in a child inside the profile; gives the child's wait status. A child that reports failure returns non-zero from fn. */
static int in_profile(enum sandbox_profile profile, const struct sandbox_path *paths, size_t n, int (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		struct err e = { 0 };
		int r = sandbox_enter(profile, paths, n, &e);

		if (r < 0) {
			fprintf(stderr, "%s: %s\n", sandbox_name(profile), e.msg);
			syscall(SYS_exit_group, 99);
		}
		syscall(SYS_exit_group, fn());
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int forbidden(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	return 0;
}

static int other_families(void)
{
	static const int families[] = { AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_VSOCK };

	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		if (socket(families[i], SOCK_STREAM, 0) >= 0 || errno != EPERM)
			return 1 + (int)i;
	return 0;
}

static int do_exec(void)
{
	const char *argv[] = { "/bin/true", NULL };

	syscall(SYS_execve, "/bin/true", argv, NULL);
	return 77;
}

static int exec_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED && errno == EPERM ? 0 : 1;
}

static int see_nothing(void)
{
	return access("/etc/passwd", F_OK) < 0 && open("/etc/passwd", O_RDONLY) < 0 &&
			       open("/proc/self/status", O_RDONLY) < 0 ?
		       0 :
		       1;
}

static int is_undumpable(void)
{
	struct rlimit rl;

	/* prctl is not in every profile; the core limit is part of the same promise. */
	return getrlimit(RLIMIT_CORE, &rl) == 0 && rl.rlim_max == 0 ? 0 : 1;
}

struct work {
	struct ev_loop *l;
	int fds[2];
	bool ticked, got;
};

static void on_tick(struct ev_timer *t, void *arg)
{
	struct work *w = arg;

	w->ticked = true;
	(void)msg_send(w->fds[0], 7, 1, 0, NULL, w->fds, 1);
}

static void on_msg(struct ev_io *io, int fd, int events, void *arg)
{
	struct work *w = arg;
	struct msg m;

	if (msg_recv(fd, &m) == 1) {
		w->got = m.type == 7 && m.n_fds == 1;
		msg_fini(&m);
	}
	ev_stop(w->l, 0);
}

static int loop_work(void)
{
	struct work w = { .l = ev_new() };
	struct ev_timer *t;
	struct ev_io *io;

	if (!w.l || unix_pair(SOCK_SEQPACKET, w.fds) < 0)
		return 1;
	t = ev_timer_new(w.l, on_tick, &w);
	io = ev_io_new(w.l, w.fds[1], EV_READ, on_msg, &w);
	if (!io)
		return 2;
	ev_timer_start(t, 1);
	ev_run(w.l);
	ev_io_free(io);
	ev_timer_free(t);
	ev_free(w.l);
	fprintf(stderr, "%s", "");
	free(malloc(1 << 20));
	return w.ticked && w.got ? 0 : 3;
}

static int pipe_work(void)
{
	char c = 0;
	void *p = malloc(5 << 20);

	free(p);
	return read_full(100, &c, 1) == 1 && c == 'x' && write_full(101, &c, 1) == 0 ? 0 : 1;
}

static int sqlite_work(void)
{
	char path[200];
	sqlite3 *db = NULL;
	int bad;

	if (str_printf(path, sizeof path, "%s/db", dir) < 0)
		return 1;
	bad = sqlite3_open(path, &db) != SQLITE_OK ||
	      sqlite3_exec(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t(x); INSERT INTO t VALUES(1);"
			       "BEGIN; INSERT INTO t SELECT x+1 FROM t; COMMIT; VACUUM",
			   NULL, NULL, NULL) != SQLITE_OK;
	if (bad)
		fprintf(stderr, "%s\n", sqlite3_errmsg(db));
	sqlite3_close(db);
	return bad || access("/etc/passwd", F_OK) == 0;
}

static int read_only_work(void)
{
	_cleanup_free_ char *text = NULL;
	char path[200];

	if (str_printf(path, sizeof path, "%s/policy", dir) < 0 ||
	    fs_read(AT_FDCWD, path, 100, &text, NULL, NULL) < 0)
		return 1;
	/* The path is readable and nothing can be made in it. */
	return streq(text, "rule") && open(path, O_WRONLY) < 0 && errno != ENOENT ? 0 : 2;
}

static const enum sandbox_profile confined[] = { SB_LINKD,	  SB_QREXEC_DAEMON, SB_QUBESDB_DAEMON, SB_POLICYD,
						 SB_QUBESD_CORE, SB_IMAGE_WORKER,  SB_SVC_RUNNER,     SB_PARSER,
						 SB_PROMPT,	 SB_FILE_RECEIVER, SB_SERVICE,
						 SB_UPLINK_FILTER };

static void test_forbidden_call_kills(void **state)
{
	if (!sandbox_has_seccomp())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(confined); i++) {
		int status = in_profile(confined[i], NULL, 0, forbidden);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: status 0x%x", sandbox_name(confined[i]), (unsigned)status);
	}
}

static void test_exec_is_forbidden(void **state)
{
	if (!sandbox_has_seccomp())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(confined); i++) {
		int status = in_profile(confined[i], NULL, 0, do_exec);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: status 0x%x", sandbox_name(confined[i]), (unsigned)status);
	}
}

static void test_no_network_family(void **state)
{
	if (!sandbox_has_seccomp())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(confined); i++)
		if (in_profile(confined[i], NULL, 0, other_families) != 0)
			fail_msg("%s", sandbox_name(confined[i]));
}

/* dom0 has no network: whatever profile is added, but for those that say so, has none. */
static void test_no_profile_has_a_network(void **state)
{
	if (!sandbox_has_seccomp())
		skip();
	for (int i = 0; i < SB_N; i++) {
		int status = i == SB_SPAWNER || i == SB_UPDATES_PROXY || i == SB_UPDATES_RESOLVER ? 0 :
			     in_profile((enum sandbox_profile)i, NULL, 0, other_families);

		/* A strict profile kills who asks. */
		if (status != 0 && !(i == SB_GUID && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS))
			fail_msg("%s: status 0x%x", sandbox_name((enum sandbox_profile)i), (unsigned)status);
	}
}

/* Sockets of the network and of this machine, and of no other family; and none that waits for connections. */
static int network_families(void)
{
	static const int no[] = { AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG, AF_KEY, AF_AX25, AF_IPX };
	static const int yes[] = { AF_UNIX, AF_INET, AF_INET6 };

	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		if (socket(no[i], SOCK_STREAM, 0) >= 0 || errno != EPERM)
			return 1 + (int)i;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		if (socket(yes[i], SOCK_STREAM, 0) < 0 && errno == EPERM)
			return 20 + (int)i;
	return 0;
}

/* The two profiles that have a network are as closed as the others but for that. */
static void test_updates(void **state)
{
	static const enum sandbox_profile with_net[] = { SB_UPDATES_PROXY, SB_UPDATES_RESOLVER };

	assert_int_equal(in_profile(SB_UPDATES_PROXY, NULL, 0, see_nothing), 0);
	if (!sandbox_has_seccomp())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(with_net); i++) {
		int status = in_profile(with_net[i], NULL, 0, do_exec);

		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
		status = in_profile(with_net[i], NULL, 0, forbidden);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
		assert_int_equal(in_profile(with_net[i], NULL, 0, network_families), 0);
		assert_int_equal(in_profile(with_net[i], NULL, 0, exec_memory), 0);
	}
}

static void test_no_new_code(void **state)
{
	if (!sandbox_has_seccomp())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(confined); i++)
		if (in_profile(confined[i], NULL, 0, exec_memory) != 0)
			fail_msg("%s", sandbox_name(confined[i]));
}

static int signal_self(void)
{
	return syscall(SYS_tgkill, getpid(), getpid(), SIGTERM) < 0 ? 1 : 2;
}

static int signal_parent(void)
{
	(void)syscall(SYS_tgkill, getppid(), getppid(), 0);
	return 1;
}

/* A filter may be made before the process that loads it: it still lets that process, and no other, be signalled. */
static void test_prepared(void **state)
{
	if (!sandbox_has_seccomp())
		skip();
	for (int prepared = 0; prepared < 2; prepared++) {
		int status;

		if (prepared)
			sandbox_prepare(SB_SVC_RUNNER);
		status = in_profile(SB_SVC_RUNNER, NULL, 0, signal_self);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
		status = in_profile(SB_SVC_RUNNER, NULL, 0, signal_parent);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
		status = in_profile(SB_SVC_RUNNER, NULL, 0, forbidden);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
		/* what was prepared for another profile is not used */
		status = in_profile(SB_PARSER, NULL, 0, do_exec);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	}
}

static void test_empty_root(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(confined); i++)
		/* these keep the root of the system; the last two reach nothing of it by Landlock */
		if (confined[i] != SB_SVC_RUNNER && confined[i] != SB_PROMPT && confined[i] != SB_SERVICE && in_profile(confined[i], NULL, 0, see_nothing) != 0)
			fail_msg("%s", sandbox_name(confined[i]));
}

static int opens_nothing(void)
{
	char path[200];

	return open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES && str_printf(path, sizeof path, "%s/new", dir) == 0 &&
			       open(path, O_WRONLY | O_CREAT, 0600) < 0 ?
		       0 :
		       1;
}

/* A service of dom0 without a directory of its own opens no file, whoever it runs as. */
static void test_service(void **state)
{
	assert_int_equal(in_profile(SB_SERVICE, NULL, 0, opens_nothing), 0);
}

static void test_core_limit(void **state)
{
	for (int i = 0; i < SB_N; i++)
		/* guid may not even ask: tests/unit/gui/test_guid_sandbox.c */
		if (i != SB_GUID && in_profile((enum sandbox_profile)i, NULL, 0, is_undumpable) != 0)
			fail_msg("%s", sandbox_name((enum sandbox_profile)i));
}

static void test_event_loop(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(confined); i++) {
		int status;

		if (confined[i] == SB_PARSER || confined[i] == SB_FILE_RECEIVER || confined[i] == SB_SERVICE ||
		    confined[i] == SB_UPLINK_FILTER)
			continue;
		status = in_profile(confined[i], NULL, 0, loop_work);
		if (status != 0)
			fail_msg("%s: status 0x%x", sandbox_name(confined[i]), (unsigned)status);
	}
	assert_int_equal(in_profile(SB_SPAWNER, NULL, 0, loop_work), 0);
}

static void test_parser_filter(void **state)
{
	int in[2], out[2];
	char c = 0;

	assert_int_equal(pipe(in) | pipe(out), 0);
	assert_true(write(in[1], "x", 1) == 1);
	/* PARSER may have 16 descriptors; higher ones that are open already stay usable. */
	assert_true(dup2(in[0], 100) == 100 && dup2(out[1], 101) == 101);
	assert_int_equal(in_profile(SB_PARSER, NULL, 0, pipe_work), 0);
	assert_true(read(out[0], &c, 1) == 1 && c == 'x');
	for (int i = 0; i < 2; i++) {
		close(in[i]);
		close(out[i]);
	}
	close(100);
	close(101);
}

static void test_core_uses_sqlite(void **state)
{
	struct sandbox_path paths[] = { { .path = dir, .write = true }, { .path = "/dev/urandom", .dev = true } };
	char path[200];
	struct stat st;

	assert_int_equal(in_profile(SB_QUBESD_CORE, paths, ARRAY_SIZE(paths), sqlite_work), 0);
	assert_int_equal(str_printf(path, sizeof path, "%s/db", dir), 0);
	assert_int_equal(stat(path, &st), 0);
}

static void test_policyd_reads_only(void **state)
{
	struct sandbox_path paths[] = { { .path = dir }, { .path = "/nonexistent" } };
	char path[200];

	assert_int_equal(str_printf(path, sizeof path, "%s/policy", dir), 0);
	assert_int_equal(fs_write_atomic(AT_FDCWD, path, "rule", 4, 0644, NULL), 0);
	assert_int_equal(in_profile(SB_POLICYD, paths, ARRAY_SIZE(paths), read_only_work), 0);
}

static int make_dir(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	return fs_rm_rf(AT_FDCWD, dir, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forbidden_call_kills),
		cmocka_unit_test(test_exec_is_forbidden),
		cmocka_unit_test(test_no_network_family),
		cmocka_unit_test(test_no_profile_has_a_network), cmocka_unit_test(test_updates),
		cmocka_unit_test(test_no_new_code),
		cmocka_unit_test(test_prepared),
		cmocka_unit_test(test_empty_root),
		cmocka_unit_test(test_core_limit),
		cmocka_unit_test(test_service),
		cmocka_unit_test(test_event_loop),
		cmocka_unit_test(test_parser_filter),
		cmocka_unit_test(test_core_uses_sqlite),
		cmocka_unit_test(test_policyd_reads_only),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
