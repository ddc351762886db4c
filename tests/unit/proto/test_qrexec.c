/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages of qrexec, command lines, and the cleaning of what a qube asks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "proto/qrexec.h"

static void test_lengths(void **state)
{
	assert_true(qx_len_ok(QX_DATA_STDIN, 0));
	assert_true(qx_len_ok(QX_DATA_STDIN, QX_CHUNK));
	assert_false(qx_len_ok(QX_DATA_STDIN, QX_CHUNK + 1));
	assert_false(qx_len_ok(QX_DATA_STDIN, UINT32_MAX));
	assert_false(qx_len_ok(QX_HELLO, 3));
	assert_true(qx_len_ok(QX_HELLO, 4));
	assert_false(qx_len_ok(QX_HELLO, 5));
	assert_false(qx_len_ok(QX_EXEC_CMDLINE, 7));
	assert_true(qx_len_ok(QX_TRIGGER_SERVICE4, 161));
	assert_false(qx_len_ok(QX_TRIGGER_SERVICE4, 160));
	assert_true(qx_len_ok(QX_TRIGGER_SERVICE4, 65160));
	assert_false(qx_len_ok(QX_TRIGGER_SERVICE4, 65161));
	assert_false(qx_len_ok(QX_TRIGGER_SERVICE, 127));
	assert_false(qx_len_ok(0x199, 0));
}

static void test_frame(void **state)
{
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);
	struct qx_frame f;
	uint32_t v = 0;

	qx_put_hello(&w, 4);
	for (size_t n = 0; n < w.len; n++)
		assert_int_equal(qx_frame(&f, buf, n, 100), 0);
	assert_int_equal(qx_frame(&f, buf, w.len + 3, 100), 1);
	assert_int_equal(f.size, 12);
	assert_int_equal(f.type, QX_HELLO);
	assert_int_equal(qx_get_hello(f.body, &v), 0);
	assert_int_equal(v, 4);
	assert_int_equal(qx_frame(&f, buf, w.len, 3), -EMSGSIZE);
	buf[4] = 5;
	assert_int_equal(qx_frame(&f, buf, w.len, 100), -EBADMSG);
}

static void test_exec(void **state)
{
	uint8_t body[16] = "\1\0\0\0\2\0\2\0u:cmd";
	struct qx_exec x;

	assert_int_equal(qx_get_exec(&x, rd_mem(body, 14)), 0);
	assert_int_equal(x.domain, 1);
	assert_int_equal(x.port, 0x20002);
	assert_string_equal(x.command, "u:cmd");
	assert_int_equal(x.command_len, 5);
	assert_int_equal(qx_get_exec(&x, rd_mem(body, 8)), 0);
	assert_null(x.command);
	assert_int_equal(qx_get_exec(&x, rd_mem(body, 13)), -EBADMSG);
	assert_int_equal(qx_get_exec(&x, rd_mem(body, 15)), -EBADMSG);
	assert_int_equal(qx_get_exec(&x, rd_mem(body, 7)), -EBADMSG);
}

static int trigger(struct qx_trigger *t, char service[QX_SERVICE_CAP + 1], const char *target, const char *ident, size_t ident_len, const char *svc,
		   size_t svc_len)
{
	uint8_t body[1024] = { 0 };
	struct wr w = wr_mem(body, sizeof body);

	wr_fixed(&w, "src", 64);
	wr_fixed(&w, target, 64);
	wr_bytes(&w, ident, ident_len);
	wr_zero(&w, 32 - ident_len);
	wr_bytes(&w, svc, svc_len);
	assert_true(wr_ok(&w));
	return qx_get_trigger(t, service, QX_TRIGGER_SERVICE4, rd_mem(body, w.len));
}

static void test_trigger(void **state)
{
	static char service[QX_SERVICE_CAP + 1];
	struct qx_trigger t;

	assert_int_equal(trigger(&t, service, "dom0", "SOCKET1", 7, "a.b+c", 6), 0);
	assert_string_equal(service, "a.b+c");
	assert_string_equal(t.target, "dom0");
	assert_string_equal(t.source, "src");
	assert_int_equal(trigger(&t, service, "@dispvm:x", "A", 1, "svc", 4), 0);
	assert_string_equal(service, "svc+");
	assert_string_equal(t.target, "@dispvm:x");
	assert_int_equal(trigger(&t, service, "a$b\xff;", "A", 1, "s v/c\n", 7), 0);
	assert_string_equal(service, "s_v_c_+");
	assert_string_equal(t.target, "a_b__");
	/* refused, with the ident for the answer */
	assert_int_equal(trigger(&t, service, "x", "A", 1, "", 1), 1);
	assert_int_equal(trigger(&t, service, "x", "A", 1, "+a", 3), 1);
	assert_int_equal(trigger(&t, service, "x", "A", 1, "a\0b", 4), 1);
	assert_int_equal(trigger(&t, service, "x", "A", 1, "abc", 3), 1);
	assert_int_equal(trigger(&t, service, "x", "A;", 2, "abc", 4), 1);
	assert_memory_equal(t.ident, "A;", 3);
	assert_int_equal(trigger(&t, service, "x", "A\0B", 3, "abc", 4), 1);
	assert_int_equal(trigger(&t, service, "x", "0123456789abcdef0123456789abcdef", 32, "abc", 4), 1);
	/* malformed */
	assert_int_equal(trigger(&t, service, "x", "A", 1, "", 0), -EBADMSG);
}

static void test_trigger_longest(void **state)
{
	static char service[QX_SERVICE_CAP + 1];
	static uint8_t body[QX_CONTROL_MSG_MAX + 1];
	struct qx_trigger t;

	memset(body + 160, 'x', QX_SERVICE_CAP - 1);
	assert_int_equal(qx_get_trigger(&t, service, QX_TRIGGER_SERVICE4, rd_mem(body, QX_CONTROL_MSG_MAX)), 0);
	assert_int_equal(t.service_len, QX_SERVICE_CAP);
	assert_int_equal(strlen(service), QX_SERVICE_CAP);
	assert_int_equal(qx_get_trigger(&t, service, QX_TRIGGER_SERVICE4, rd_mem(body, QX_CONTROL_MSG_MAX + 1)), -EBADMSG);
}

static void test_trigger_old(void **state)
{
	static char service[QX_SERVICE_CAP + 1];
	uint8_t body[128] = "old.Service";
	struct qx_trigger t;

	memset(body + 64, 'b', 32);
	memset(body + 96, 'i', 3);
	assert_int_equal(qx_get_trigger(&t, service, QX_TRIGGER_SERVICE, rd_mem(body, 128)), 0);
	assert_string_equal(service, "old.Service+");
	assert_int_equal(strlen(t.target), 31);
	assert_true(qx_trigger_allowed(QX_TRIGGER_SERVICE, 2));
	assert_false(qx_trigger_allowed(QX_TRIGGER_SERVICE, 3));
	assert_false(qx_trigger_allowed(QX_TRIGGER_SERVICE3, 2));
	assert_true(qx_trigger_allowed(QX_TRIGGER_SERVICE3, 4));
	assert_false(qx_trigger_allowed(QX_TRIGGER_SERVICE4, 3));
	assert_true(qx_trigger_allowed(QX_TRIGGER_SERVICE4, 4));
}

static void test_command(void **state)
{
	struct qx_command c = { 0 };
	static const char *const bad[] = { "",	       ":x",	  "nouser",	"u:QUBESRPC a",	  "u:QUBESRPC a b c",	   "u:QUBESRPC a b name x y",
					   "u:QUBESRPC  b", "u:QUBESRPC +a b", "u:QUBESRPC a b bad x", "u:QUBESRPC a  name x" };

	assert_int_equal(qx_command_parse(&c, "joe:QUBESRPC s.v+a+b vm1", 24, NULL), 0);
	assert_string_equal(c.user, "joe");
	assert_true(c.rpc && !c.nogui);
	assert_string_equal(c.text, "s.v+a+b vm1");
	assert_string_equal(c.full, "s.v+a+b");
	assert_string_equal(c.name, "s.v");
	assert_string_equal(c.arg, "a+b");
	assert_string_equal(c.source, "vm1");
	assert_string_equal(c.target_type, "");
	qx_command_fini(&c);
	assert_int_equal(qx_command_parse(&c, "u:nogui:QUBESRPC s vm1 keyword dispvm", 37, NULL), 0);
	assert_true(c.nogui);
	assert_null(c.arg);
	assert_string_equal(c.target_type, "keyword");
	assert_string_equal(c.target, "dispvm");
	qx_command_fini(&c);
	assert_int_equal(qx_command_parse(&c, "u:ls -l: x", 10, NULL), 0);
	assert_false(c.rpc);
	assert_string_equal(c.text, "ls -l: x");
	qx_command_fini(&c);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_true(qx_command_parse(&c, bad[i], strlen(bad[i]), NULL) < 0);
	assert_true(qx_command_parse(&c, "u:a\0b", 5, NULL) < 0);
	/* a name that no directory can hold; an argument has no such limit */
	for (int n = 255; n <= 256; n++) {
		char line[700];
		int len = snprintf(line, sizeof line, "u:QUBESRPC %0*d+%0*d vm1", n, 7, 300, 7);

		assert_int_equal(qx_command_parse(&c, line, (size_t)len, NULL), n == 255 ? 0 : -EINVAL);
		if (n == 255)
			qx_command_fini(&c);
	}
}

static void test_put_command(void **state)
{
	char buf[128];
	struct wr w = wr_mem(buf, sizeof buf);

	qx_put_command(&w, "DEFAULT", "svc", "work");
	assert_string_equal(buf, "DEFAULT:QUBESRPC svc+ work");
	wr_reset(&w);
	qx_put_command(&w, "u", "svc+a", "work");
	assert_string_equal(buf, "u:QUBESRPC svc+a work");
}

static void test_filter(void **state)
{
	uint8_t all[256];

	for (unsigned i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	qx_filter(all, sizeof all);
	for (unsigned i = 0; i < 256; i++) {
		bool kept = (i >= 0x20 && i <= 0x7e) || (i && strchr("\t\n\r\b\a", (int)i));

		assert_int_equal(all[i], kept ? i : '_');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),	    cmocka_unit_test(test_frame),	cmocka_unit_test(test_exec),
		cmocka_unit_test(test_trigger),	    cmocka_unit_test(test_trigger_longest), cmocka_unit_test(test_trigger_old),
		cmocka_unit_test(test_command),	    cmocka_unit_test(test_put_command), cmocka_unit_test(test_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
