/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every row of ipc.def: what is encoded decodes to the same values, a short payload is refused at every length, a too long text poisons. */
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/io.h"
#include "base/str.h"
#include "proto/ipc.h"

static unsigned seed = 1;

static uint64_t next_value(void)
{
	seed = seed * 1664525 + 1013904223;
	return (uint64_t)seed << 32 | (seed ^ 0x5a5a5a5a);
}

static void fill_text(char *s, size_t cap, size_t n)
{
	for (size_t i = 0; i < n && i + 1 < cap; i++)
		s[i] = (char)('a' + next_value() % 26);
}

#define U8(f) m.f = (uint8_t)next_value();
#define U32(f) m.f = (uint32_t)next_value();
#define U64(f) m.f = next_value();
#define S(f, cap) fill_text(m.f, cap, next_value() % (cap));
#define IPC(symbol, number, name, fields)                                                          \
	static void test_##name(void **state)                                                      \
	{                                                                                          \
		static struct ipc_##name m, got;                                                   \
		_cleanup_wr_ struct wr w = wr_grow(MSG_PAYLOAD_MAX);                               \
		struct rd r;                                                                       \
                                                                                                   \
		memset(&m, 0, sizeof m);                                                           \
		memset(&got, 0xff, sizeof got);                                                    \
		fields                                                                             \
		ipc_put_##name(&w, &m);                                                            \
		assert_true(wr_ok(&w));                                                            \
		wr_str(&w, "rest");                                                                \
		r = rd_mem(w.buf, w.len);                                                          \
		assert_int_equal(ipc_get_##name(&r, &got), 0);                                     \
		assert_true(rd_eq(&r, "rest"));                                                    \
		assert_memory_equal(&got, &m, sizeof m);                                           \
		for (size_t n = 0; n < w.len - 4; n += 1 + w.len / 300) {                          \
			r = rd_mem(w.buf, n);                                                      \
			assert_int_equal(ipc_get_##name(&r, &got), -EBADMSG);                      \
		}                                                                                  \
		assert_string_equal(ipc_type_name(IPC_##symbol), #symbol);                         \
	}
#include "proto/ipc.def"
#undef IPC
#undef U8
#undef U32
#undef U64
#undef S

/* Numbers are unique, or a decoder would be given another row's bytes. */
static void test_numbers(void **state)
{
	static const uint32_t numbers[] = {
#define IPC(symbol, number, name, fields) number,
#include "proto/ipc.def"
#undef IPC
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(numbers[i], numbers[j]);
	assert_string_equal(ipc_type_name(0xffff), "?");
}

static void test_error_reply(void **state)
{
	struct err e = { 0 }, got = { 0 };
	struct msg m;
	int p[2];

	assert_int_equal(unix_pair(SOCK_SEQPACKET, p), 0);
	(void)err_set(&e, ENOENT, "no such qube");
	assert_int_equal(ipc_send_err(p[0], 7, 8, -ENOENT, &e), 0);
	assert_int_equal(msg_recv(p[1], &m), 1);
	assert_int_equal(ipc_reply_err(&m, &got), -ENOENT);
	assert_string_equal(got.msg, "no such qube");
	msg_fini(&m);
	assert_int_equal(ipc_send_ok(p[0], 7, 8), 0);
	assert_int_equal(msg_recv(p[1], &m), 1);
	assert_int_equal(ipc_reply_err(&m, &got), 0);
	assert_true(m.flags == MSG_F_REPLY && m.type == 7 && m.serial == 8);
	msg_fini(&m);
	/* A lie about the error is an error too. */
	m = (struct msg){ .flags = MSG_F_REPLY | MSG_F_ERROR };
	assert_int_equal(ipc_reply_err(&m, &got), -EBADMSG);
	close(p[0]);
	close(p[1]);
}

static void test_roles(void **state)
{
	for (uint8_t i = 0; i < ROLE_N; i++)
		assert_string_not_equal(ipc_role_name(i), "?");
	assert_string_equal(ipc_role_name(ROLE_N), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define IPC(symbol, number, name, fields) cmocka_unit_test(test_##name),
#include "proto/ipc.def"
#undef IPC
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_error_reply),
		cmocka_unit_test(test_roles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
