/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Accounts, search of services, /dev/tcp links, ports of a daemon. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/fsx.h"
#include "base/str.h"
#include "daemon/qrexec-daemon/ports.h"
#include "qrexec/lookup.h"
#include "qrexec/user.h"

static void put(const char *path, const char *text, mode_t mode)
{
	assert_int_equal(fs_write_atomic(AT_FDCWD, path, text, strlen(text), mode, NULL), 0);
}

static void test_user(void **state)
{
	char dir[] = "/tmp/qxuserXXXXXX", path[64];
	struct user u;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(str_printf(path, sizeof path, "%s/passwd", dir), 0);
	put(path, "root:x:0:0:root:/root:/bin/bash\nbroken\n:x:1:1:::\nbad:x:x:1:::\nbig:x:4294967295:1::/:/bin/sh\nuser:x:1000:1001:,,,:/home/user:/bin/zsh\nshort:x:5:6:::\n", 0600);
	assert_int_equal(str_printf(path, sizeof path, "%s/group", dir), 0);
	put(path, "sudo:x:27:user,other\nuser:x:1001:\nxusers:x:100:xuser,user2\nqubes:x:98:other,user\n", 0600);
	assert_int_equal(user_by_name(&u, dir, "user", NULL), 0);
	assert_int_equal(u.uid, 1000);
	assert_int_equal(u.gid, 1001);
	assert_string_equal(u.home, "/home/user");
	assert_string_equal(u.shell, "/bin/zsh");
	assert_int_equal(u.n_groups, 2);
	assert_int_equal(u.groups[0], 27);
	assert_int_equal(u.groups[1], 98);
	assert_int_equal(user_by_uid(&u, dir, 5, NULL), 0);
	assert_string_equal(u.name, "short");
	assert_string_equal(u.home, "/");
	assert_string_equal(u.shell, "/bin/sh");
	/* `other` has no account: the next member it is */
	assert_int_equal(user_of_dom0(&u, dir, NULL), 0);
	assert_string_equal(u.name, "user");
	assert_int_equal(u.n_groups, 2);
	put(path, "qube:x:1:user\nqubes:x:98:\nqubesx:x:3:user\n", 0600);
	assert_int_equal(user_of_dom0(&u, dir, NULL), -ENOENT);
	put(path, "qubes:x:98:other,,none\n", 0600);
	assert_int_equal(user_of_dom0(&u, dir, NULL), -ENOENT);
	put(path, "qubes\nqubes:x\n", 0600);
	assert_int_equal(user_of_dom0(&u, dir, NULL), -ENOENT);
	assert_int_equal(user_by_name(&u, dir, "bad", NULL), -ENOENT);
	assert_int_equal(user_by_name(&u, dir, "big", NULL), -ENOENT);
	assert_int_equal(user_by_name(&u, dir, "", NULL), -ENOENT);
	assert_int_equal(fs_rm_rf(AT_FDCWD, dir, NULL), 0);
}

static int tcp(struct svc *s, const char *text, const char *arg)
{
	return svc_tcp_parse(s, text, arg, NULL);
}

static void test_tcp(void **state)
{
	struct svc s = { 0 };

	assert_int_equal(tcp(&s, "/dev/tcp/127.0.0.1/8082", NULL), 0);
	assert_string_equal(s.host, "127.0.0.1");
	assert_int_equal(s.port, 8082);
	assert_int_equal(tcp(&s, "/dev/tcp/127.0.0.1/8082", ""), 0);
	assert_int_equal(tcp(&s, "/dev/tcp/::1", "22"), 0);
	assert_string_equal(s.host, "::1");
	assert_int_equal(tcp(&s, "/dev/tcp", "10.0.0.1+80"), 0);
	assert_string_equal(s.host, "10.0.0.1");
	assert_int_equal(tcp(&s, "/dev/tcp", "fe80++1+443"), 0);
	assert_string_equal(s.host, "fe80::1");
	assert_int_equal(s.port, 443);
	assert_true(tcp(&s, "/dev/tcp/127.0.0.1/8082", "1") < 0);
	assert_true(tcp(&s, "/dev/tcp/127.0.0.1", NULL) < 0);
	assert_true(tcp(&s, "/dev/tcp/localhost/80", NULL) < 0);
	assert_true(tcp(&s, "/dev/tcp/1.2.3.4/080", NULL) < 0);
	assert_true(tcp(&s, "/dev/tcp/1.2.3.4/0", NULL) < 0);
	assert_true(tcp(&s, "/dev/tcp/1.2.3.4/65536", NULL) < 0);
	assert_true(tcp(&s, "/dev/tcp/1.2.3.4/80/x", NULL) < 0);
	assert_true(tcp(&s, "/dev/tcp", NULL) < 0);
	assert_true(tcp(&s, "/dev/tcp", "80") < 0);
	assert_true(tcp(&s, "/dev/tcp", "1.2.3.4_5+80") < 0);
	assert_true(tcp(&s, "/dev/tcpx", "1.2.3.4+80") < 0);
}

static void test_ports(void **state)
{
	static struct ports p = { .own = 10, .limit = QX_PORT_N };
	int a, b;
	void *owner;

	assert_int_equal(ports_alloc(&p, 0, &a), 513);
	assert_int_equal(ports_alloc(&p, 0, &b), 514);
	assert_int_equal(ports_alloc(&p, 5, &a), 515);
	assert_int_equal(ports_alloc(&p, 11, &a), 516);
	assert_int_equal(ports_alloc(&p, 11, &a), 518);
	assert_false(ports_free(&p, 5, 513, &owner));
	assert_false(ports_free(&p, 0, 0, &owner));
	assert_false(ports_free(&p, 0, 512, &owner));
	assert_false(ports_free(&p, 0, 769, &owner));
	assert_false(ports_free(&p, 0, UINT32_MAX, &owner));
	assert_true(ports_free(&p, 0, 513, &owner));
	assert_ptr_equal(owner, &a);
	assert_false(ports_free(&p, 0, 513, &owner));
	ports_forget(&p, &b);
	assert_true(ports_free(&p, 0, 514, &owner));
	assert_null(owner);
	while (ports_alloc(&p, 0, NULL))
		;
	assert_int_equal(ports_alloc(&p, 5, NULL), 0);
	ports_stale(&p);
	assert_int_equal(ports_alloc(&p, 0, NULL), 513);
	assert_int_equal(ports_alloc(&p, 0, NULL), 514);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_user), cmocka_unit_test(test_tcp), cmocka_unit_test(test_ports) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
