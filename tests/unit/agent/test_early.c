/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Early configuration: bind-dirs files, persist entries, ext4 superblock, QubesDB header, hosts, time zone, base64, copies. */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/early/bindconf.h"
#include "agent/early/calm.h"
#include "agent/early/early.h"
#include "agent/early/ext4.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/str.h"
#include "base/wr.h"

static int binds(const char *s, struct binds *b)
{
	struct err e = { 0 };

	return binds_parse(rd_mem(s, strlen(s)), b, &e);
}

static struct source_args source_of(const char *line)
{
	struct source_args a;

	source_parse(rd_mem(line, strlen(line)), &a);
	return a;
}

static void test_source(void **state)
{
	char many[2000] = "bulkhead.state bulkhead.services=";
	struct source_args a = source_of("root=/dev/mapper/dmroot quiet bulkhead.state bulkhead.services=cups,tracker bulkhead.user=user\n");

	assert_true(a.on);
	assert_string_equal(a.services, "cups,tracker");
	assert_true(source_of("bulkhead.state").on);
	assert_true(source_of("a bulkhead.state\n").on);
	assert_false(source_of("bulkhead.states xbulkhead.state bulkhead.state=1").on);
	assert_false(source_of("").on);
	/* A list that does not fit is none, and no reason to boot as something else. */
	memset(many + strlen(many), 'x', 1000);
	a = source_of(many);
	assert_true(a.on);
	assert_string_equal(a.services, "");
}

static void test_empty_script(void **state)
{
	static const char *const empty[] = { "", "#!/bin/sh\n\n# Run as root\n", " \t# x\n\t\n" }, *const full[] = { "#!/bin/sh\nx\n", "exit", "\n a # b" };

	for (size_t i = 0; i < ARRAY_SIZE(empty); i++)
		assert_true(script_is_empty(rd_mem(empty[i], strlen(empty[i]))));
	for (size_t i = 0; i < ARRAY_SIZE(full); i++)
		assert_false(script_is_empty(rd_mem(full[i], strlen(full[i]))));
}

static void test_binds(void **state)
{
	struct binds b = { .n = 0 };

	assert_int_equal(binds("# comment\nbinds+=( '/etc/a' \"/etc/b c\" /etc/d/ ) # end\n\nbinds+=('/x')\n", &b), 0);
	assert_int_equal(b.n, 4);
	assert_string_equal(b.path[0], "/etc/a");
	assert_string_equal(b.path[1], "/etc/b c");
	assert_string_equal(b.path[2], "/etc/d");
	assert_string_equal(b.path[3], "/x");
	assert_int_equal(binds("binds=(\n  /only   # why\n)\n", &b), 0);
	assert_int_equal(b.n, 1);
	assert_string_equal(b.path[0], "/only");
	assert_int_equal(binds("", &b), 0);
	assert_int_equal(b.n, 1);
	binds_clear(&b);
}

static void test_binds_shell(void **state)
{
	static const char *const shell[] = { "binds+=( $HOME )",    "binds+=( \"`id`\" )", "for i in a; do true; done", "binds+=( /a",
					     "binds+=( '/a )",	    "binds+=( /a* )",	   "binds+=( /a ); x=1",	"export A=1",
					     "binds+=( /{a,b} )" };
	struct binds b = { .n = 0 };

	assert_int_equal(binds("binds+=( /keep )", &b), 0);
	for (size_t i = 0; i < ARRAY_SIZE(shell); i++) {
		assert_int_equal(binds(shell[i], &b), -ENOTSUP);
		assert_int_equal(b.n, 1);
	}
	assert_int_equal(binds("binds+=( relative )", &b), -EINVAL);
	assert_int_equal(binds("binds+=( /a/../b )", &b), -EINVAL);
	assert_int_equal(binds("binds+=( / )", &b), -EINVAL);
	assert_int_equal(b.n, 1);
	binds_clear(&b);
}

static void test_persist(void **state)
{
	struct persist p;
	struct err e = { 0 };

	assert_int_equal(persist_parse("/var/lib/x", &p, &e), 0);
	assert_int_equal(p.kind, 0);
	assert_string_equal(p.path, "/var/lib/x");
	assert_int_equal(persist_parse("dir:user:nogroup:0750:/home/user/My docs:2", &p, &e), 0);
	assert_int_equal(p.kind, 'd');
	assert_string_equal(p.owner, "user");
	assert_string_equal(p.group, "nogroup");
	assert_int_equal(p.mode, 0750);
	assert_string_equal(p.path, "/home/user/My docs:2");
	assert_int_equal(persist_parse("link:a:b:0755:/x", &p, &e), -EINVAL);
	assert_int_equal(persist_parse("file:a:b:999:/x", &p, &e), -EINVAL);
	assert_int_equal(persist_parse("file:a:b:0644", &p, &e), -EINVAL);
	assert_int_equal(persist_parse("file:a;b:c:0644:/x", &p, &e), -EINVAL);
	assert_int_equal(persist_parse("", &p, &e), -EINVAL);
}

static void test_bind_source(void **state)
{
	char out[64];

	assert_int_equal(bind_source("/home/user/x", out, sizeof out), 0);
	assert_string_equal(out, "/rw/home/user/x");
	assert_int_equal(bind_source("/usr/local", out, sizeof out), 0);
	assert_string_equal(out, "/rw/usrlocal");
	assert_int_equal(bind_source("/usr/localx", out, sizeof out), 0);
	assert_string_equal(out, "/rw/bind-dirs/usr/localx");
	assert_true(bind_source("/a", out, 8) < 0);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static void test_ext4(void **state)
{
	uint8_t sb[EXT4_SB_SIZE] = { 0 };
	struct ext4_sb s;
	struct err e = { 0 };

	assert_int_equal(ext4_sb_parse(rd_mem(sb, sizeof sb), &s, &e), -ENODATA);
	put16(sb + 0x38, 0xef53);
	put16(sb + 0x3a, 1);
	put16(sb + 4, 1000);
	sb[0x18] = 2;
	assert_int_equal(ext4_sb_parse(rd_mem(sb, sizeof sb), &s, &e), 0);
	assert_int_equal(s.bytes, 1000 * 4096);
	assert_true(s.clean);
	put16(sb + 0x3a, 0);
	assert_int_equal(ext4_sb_parse(rd_mem(sb, sizeof sb), &s, &e), 0);
	assert_false(s.clean);
	sb[0x5c] = 4;
	assert_int_equal(ext4_sb_parse(rd_mem(sb, sizeof sb), &s, &e), 0);
	assert_true(s.clean);
	put16(sb + 0x3a, 3);
	assert_int_equal(ext4_sb_parse(rd_mem(sb, sizeof sb), &s, &e), 0);
	assert_false(s.clean);
	sb[0x18] = 40;
	assert_int_equal(ext4_sb_parse(rd_mem(sb, sizeof sb), &s, &e), -EINVAL);
	assert_int_equal(ext4_sb_parse(rd_mem(sb, 0x150), &s, &e), -ENODATA);
}

static void check_hosts(const char *old, const char *expected)
{
	_cleanup_free_ char *out = hosts_update(old, "work");

	if (expected)
		assert_string_equal(out, expected);
	else
		assert_null(out);
}

static void test_hosts(void **state)
{
	check_hosts("127.0.0.1 localhost\n", "127.0.0.1 localhost\n127.0.1.1\twork\n");
	check_hosts("127.0.1.1 old\n::1 localhost", "127.0.1.1\twork\n::1 localhost\n");
	check_hosts("127.0.1.1\told\n127.0.1.1 older\n", "127.0.1.1\twork\n");
	check_hosts("127.0.0.1 localhost\n127.0.1.1\twork\n", NULL);
	check_hosts("", "127.0.1.1\twork\n");
}

static void test_names(void **state)
{
	assert_true(timezone_ok("Europe/Paris"));
	assert_true(timezone_ok("Etc/GMT+3"));
	assert_false(timezone_ok("../etc/passwd"));
	assert_false(timezone_ok("/Europe"));
	assert_false(timezone_ok("a//b"));
	assert_false(timezone_ok(""));
	assert_true(service_name_ok("qubes-update.check_2"));
	assert_true(service_name_ok("_x"));
	assert_false(service_name_ok("-x"));
	assert_false(service_name_ok("a/b"));
	assert_false(service_name_ok(".."));
	assert_false(service_name_ok(""));
}

static void test_base64(void **state)
{
	uint8_t out[16];

	assert_int_equal(base64_decode("", out, sizeof out), 0);
	assert_int_equal(base64_decode("AAECAw==", out, sizeof out), 4);
	assert_memory_equal(out, "\0\1\2\3", 4);
	assert_int_equal(base64_decode("//79", out, sizeof out), 3);
	assert_memory_equal(out, "\xff\xfe\xfd", 3);
	assert_int_equal(base64_decode("AAE", out, sizeof out), -EINVAL);
	assert_int_equal(base64_decode("A=E=", out, sizeof out), -EINVAL);
	assert_int_equal(base64_decode("AA==AAAA", out, sizeof out), -EINVAL);
	assert_int_equal(base64_decode("AA A", out, sizeof out), -EINVAL);
	assert_int_equal(base64_decode("AAAAAAAA", out, 5), -EINVAL);
}

static void test_copy(void **state)
{
	char dir[] = "/tmp/bulkhead-early-XXXXXX", from[64], to[64], path[96];
	_cleanup_free_ char *text = NULL;
	struct err e = { 0 };
	struct stat st;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(str_printf(from, sizeof from, "%s/from", dir), 0);
	assert_int_equal(str_printf(to, sizeof to, "%s/to", dir), 0);
	assert_int_equal(str_printf(path, sizeof path, "%s/sub", from), 0);
	assert_int_equal(fs_mkdir_p(path, 0750, &e), 0);
	assert_int_equal(str_printf(path, sizeof path, "%s/sub/file", from), 0);
	assert_int_equal(text_write(path, "hello", 0640, &e), 0);
	assert_int_equal(str_printf(path, sizeof path, "%s/link", from), 0);
	assert_int_equal(symlink("sub/file", path), 0);
	assert_int_equal(copy_any(from, to, &e), 0);
	assert_int_equal(str_printf(path, sizeof path, "%s/link", to), 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(fs_read(AT_FDCWD, path, 100, &text, NULL, &e), 0);
	assert_string_equal(text, "hello");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	/* A second copy changes nothing that is there. */
	assert_int_equal(str_printf(path, sizeof path, "%s/sub/file", to), 0);
	assert_int_equal(text_write(path, "mine", 0640, &e), 0);
	assert_int_equal(copy_any(from, to, &e), 0);
	free(STEAL_PTR(text));
	assert_int_equal(fs_read(AT_FDCWD, path, 100, &text, NULL, &e), 0);
	assert_string_equal(text, "mine");
	assert_int_equal(fs_rm_rf(AT_FDCWD, dir, &e), 0);
}

/* The file keeps its blocks, and of a longer one nothing stays. */
static void test_text_put(void **state)
{
	char path[] = "/tmp/bulkhead-put-XXXXXX";
	struct err e = { 0 };
	struct stat before, after;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(text_put(path, "a long name\n", 0644, &e), 0);
	assert_int_equal(text_put(path, "short\n", 0644, &e), 0);
	_cleanup_free_ char *text = NULL;
	assert_int_equal(fs_read(AT_FDCWD, path, 100, &text, NULL, &e), 0);
	assert_string_equal(text, "short\n");
	assert_int_equal(text_put(path, "longer again\n", 0644, &e), 0);
	free(STEAL_PTR(text));
	assert_int_equal(fs_read(AT_FDCWD, path, 100, &text, NULL, &e), 0);
	assert_string_equal(text, "longer again\n");
	assert_int_equal(stat(path, &after), 0);
	assert_true(before.st_ino == after.st_ino);
	unlink(path);
	assert_int_equal(text_put(path, "new\n", 0644, &e), 0);
	assert_int_equal(unlink(path), 0);
	assert_true(text_put("/nowhere/at/all", "x", 0644, &e) < 0);
}

static pid_t parent_in(const char *text)
{
	return calm_parent(rd_mem(text, strlen(text)));
}

static void test_calm_parent(void **state)
{
	assert_int_equal(parent_in("109 (systemd-journal) S 1 109 109 0 -1 4194560"), 1);
	assert_int_equal(parent_in("7 (a) S 5 ) R 42 7 7"), 42); /* a name may hold anything */
	assert_int_equal(parent_in("7 (a) S 0 7"), 0);
	assert_int_equal(parent_in("7 (a) S -1 7"), 0);
	assert_int_equal(parent_in("7 (a) S 12"), 0);
	assert_int_equal(parent_in("7 (a)"), 0);
	assert_int_equal(parent_in("7 a S 12 7"), 0);
	assert_int_equal(parent_in(""), 0);
}

/* Who was made to wait is let go; the caller itself, who was named and their children never wait. */
static void test_calm(void **state)
{
	struct calm c = { .n = 0 };
	const struct sched_param p = { .sched_priority = 0 };
	int fds[2], up[2];
	pid_t pid, below = 0;
	char byte;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pipe(up), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		/* what calm_begin does, to this child alone: nothing else of the machine that runs the test may be touched */
		if (sched_setscheduler(0, SCHED_IDLE, &p) < 0)
			_exit(2);
		below = fork();
		if (below == 0)
			below = fork();
		close(fds[1]);
		if (write(up[1], &below, sizeof below) != sizeof below)
			_exit(4);
		byte = (char)read(fds[0], &byte, 1);
		while (waitpid(-1, NULL, 0) > 0)
			;
		_exit(byte);
	}
	close(fds[0]);
	c.pids[c.n++] = pid;
	/* of all three: the child's child, its child, and 0 */
	pid_t said[3];
	for (int i = 0; i < 3; i++)
		assert_int_equal(read(up[0], &said[i], sizeof said[i]), (ssize_t)sizeof said[i]);
	close(up[0]);
	close(up[1]);
	calm_end(&c);
	assert_int_equal(sched_getscheduler(pid), SCHED_OTHER);
	for (int i = 0; i < 3; i++)
		assert_true(said[i] == 0 || sched_getscheduler(said[i]) == SCHED_OTHER);
	assert_int_equal(c.n, 0);
	/* a program that chose it by itself keeps it */
	assert_int_equal(sched_setscheduler(pid, SCHED_IDLE, &p), 0);
	calm_end(&c);
	assert_int_equal(sched_getscheduler(pid), SCHED_IDLE);
	close(fds[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_id(void **state)
{
	char path[] = "/tmp/bulkhead-id-XXXXXX";
	struct err e = { 0 };
	unsigned uid = 0, gid = 0;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(text_write(path, "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1001:,,,:/home/user:/bin/bash\nqubes:x:98:user,x\nlast:x:7:", 0600, &e), 0);
	assert_int_equal(id_lookup(path, "user", &uid, &gid), 0);
	assert_int_equal(uid, 1000);
	assert_int_equal(gid, 1001);
	assert_int_equal(id_lookup(path, "qubes", &gid, NULL), 0);
	assert_int_equal(gid, 98);
	assert_int_equal(id_lookup(path, "last", &gid, NULL), 0);
	assert_int_equal(gid, 7);
	assert_int_equal(id_lookup(path, "use", &uid, NULL), -ENOENT);
	unlink(path);
}

/* What is no hole arrives where it was, what is a hole stays one; nothing past the end of the copy. */
static void test_copy_data(void **state)
{
	char from_path[] = "/tmp/bulkhead-data-XXXXXX", to_path[] = "/tmp/bulkhead-data-XXXXXX", text[8] = "";
	int from = mkstemp(from_path), to = mkstemp(to_path);
	struct err e = { 0 };
	struct stat st;

	assert_true(from >= 0 && to >= 0);
	assert_int_equal(ftruncate(from, 64 << 20), 0);
	assert_int_equal(ftruncate(to, 64 << 20), 0);
	assert_int_equal(pwrite(from, "first", 5, 0), 5);
	assert_int_equal(pwrite(from, "later", 5, (40 << 20) + 4094), 5);
	assert_int_equal(copy_data(from, to, 64 << 20, &e), 0);
	assert_int_equal(pread(to, text, 5, 0), 5);
	assert_memory_equal(text, "first", 5);
	assert_int_equal(pread(to, text, 5, (40 << 20) + 4094), 5);
	assert_memory_equal(text, "later", 5);
	assert_int_equal(fstat(to, &st), 0);
	assert_true(st.st_blocks < (1 << 20) / 512);
	assert_int_equal(copy_data(from, to, 40 << 20, &e), -ENOSPC);
	close(from);
	close(to);
	unlink(from_path);
	unlink(to_path);
}

static void test_mem_zero(void **state)
{
	uint8_t b[67] = { 0 };

	for (size_t n = 0; n <= sizeof b; n++)
		assert_true(mem_zero(b, n));
	for (size_t i = 0; i < sizeof b; i++) {
		b[i] = 0x80;
		assert_false(mem_zero(b, sizeof b));
		assert_true(mem_zero(b, i));
		b[i] = 0;
	}
}

/* One request reads all; what the configuration asks for comes from there. */
static void test_database(void **state)
{
	_cleanup_free_ char *big = xcalloc(1, 3000);
	struct early q = { .db = { .fd = -1 } };
	struct wr w = wr_grow(1u << 16);
	struct err e = { 0 };
	char v[2000], sent[QDB_HDR_LEN + 1];
	int pair[2];

	memset(big, 'x', 2999);
	assert_int_equal(unix_pair(SOCK_STREAM, pair), 0);
	qdbc_init(&q.db, pair[0]);
	qdb_put(&w, QDB_RESP_MULTIREAD, "/qubes-vm-type", "AppVM", 5);
	qdb_put(&w, QDB_RESP_MULTIREAD, "/name", "work", 4);
	qdb_put(&w, QDB_RESP_MULTIREAD, "/empty", "", 0);
	qdb_put(&w, QDB_RESP_MULTIREAD, "/big", big, 2999);
	qdb_put(&w, QDB_RESP_MULTIREAD, "", "", 0);
	qdb_put(&w, QDB_RESP_OK, "/late", "", 0); /* the watch of the key that was not there */
	qdb_put(&w, QDB_RESP_READ, "/late", "now", 3);
	qdb_put(&w, QDB_RESP_OK, "/late", "", 0);
	assert_int_equal(write_full(pair[1], w.buf, w.len), 0);
	assert_int_equal(early_load(&q, &e), 0);
	assert_int_equal(early_read(&q, "/name", v, sizeof v, &e), 0);
	assert_string_equal(v, "work");
	assert_int_equal(early_wait(&q, "/qubes-vm-type", v, sizeof v, &e), 0);
	assert_string_equal(v, "AppVM");
	assert_int_equal(early_read(&q, "/empty", v, sizeof v, &e), 0);
	assert_string_equal(v, "");
	assert_int_equal(early_read(&q, "/nam", v, sizeof v, &e), -ENOENT);
	assert_int_equal(early_read(&q, "/big", v, sizeof v, &e), -EMSGSIZE);
	/* That was one request. */
	assert_int_equal(recv(pair[1], sent, sizeof sent, MSG_DONTWAIT), QDB_HDR_LEN);
	assert_int_equal(early_wait(&q, "/late", v, sizeof v, &e), 0);
	assert_string_equal(v, "now");
	early_unload(&q);
	assert_int_equal(early_read(&q, "/name", v, sizeof v, &e), -ENOENT);
	qdbc_fini(&q.db);
	close(pair[1]);
	wr_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_source),	 cmocka_unit_test(test_empty_script),
		cmocka_unit_test(test_binds),	 cmocka_unit_test(test_binds_shell), cmocka_unit_test(test_persist),
		cmocka_unit_test(test_bind_source), cmocka_unit_test(test_ext4),
		cmocka_unit_test(test_hosts),	 cmocka_unit_test(test_names),	     cmocka_unit_test(test_base64),
		cmocka_unit_test(test_copy),	 cmocka_unit_test(test_id),
		cmocka_unit_test(test_copy_data), cmocka_unit_test(test_mem_zero),
		cmocka_unit_test(test_text_put), cmocka_unit_test(test_calm_parent), cmocka_unit_test(test_calm),
		cmocka_unit_test(test_database),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
