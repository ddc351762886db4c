/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The edges of the decoders that guests reach, as far as no test of the module itself stands there: encoders' limits, names for logs, wrong lengths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "proto/link.h"
#include "proto/qdb.h"
#include "proto/qrexec.h"

static void test_qrexec_names(void **state)
{
	assert_string_equal(qx_name(QX_HELLO), "HELLO");
	assert_string_equal(qx_name(QX_TRIGGER_SERVICE4), "TRIGGER_SERVICE4");
	assert_string_equal(qx_name(0x194), "unknown");
}

static void test_qrexec_put(void **state)
{
	static const uint8_t ident[QX_IDENT_LEN] = "SOCKET7";
	_cleanup_wr_ struct wr w = wr_grow(1u << 20), far = wr_grow(1u << 20);
	static char longest[QX_SERVICE_CAP + 1];
	struct qx_trigger t;
	static char service[QX_SERVICE_CAP + 1];
	struct qx_connect c;
	struct qx_frame f;
	uint32_t a, b;

	qx_put_params(&w, QX_SERVICE_CONNECT, 3, 600, ident, sizeof ident);
	assert_int_equal(qx_frame(&f, w.buf, w.len, 100), 1);
	assert_int_equal(qx_get_connect(&c, f.body), 0);
	assert_true(c.domain == 3 && c.port == 600 && memcmp(c.ident, ident, sizeof ident) == 0);
	wr_reset(&w);
	qx_put_params(&w, QX_CONNECTION_TERMINATED, 3, 600, NULL, 0);
	assert_int_equal(qx_frame(&f, w.buf, w.len, 100), 1);
	assert_int_equal(qx_get_params(f.body, &a, &b), 0);
	assert_true(a == 3 && b == 600);
	assert_int_equal(qx_get_params(rd_mem(w.buf, 7), &a, &b), -EBADMSG);
	assert_int_equal(qx_get_hello(rd_mem(w.buf, 5), &a), -EBADMSG);
	wr_reset(&w);
	qx_put_refused(&w, ident);
	assert_int_equal(w.len, QX_HDR_LEN + QX_IDENT_LEN);
	assert_memory_equal(w.buf + QX_HDR_LEN, ident, QX_IDENT_LEN);
	wr_reset(&w);
	qx_put_trigger4(&w, "", "dom0", "SOCKET", "a.b+c");
	assert_int_equal(qx_frame(&f, w.buf, w.len, QX_CONTROL_MSG_MAX), 1);
	assert_int_equal(qx_get_trigger(&t, service, f.type, f.body), 0);
	assert_string_equal(service, "a.b+c");
	assert_string_equal(t.target, "dom0");
	assert_int_equal(qx_get_trigger(&t, service, QX_HELLO, f.body), -EBADMSG);
	/* what is too long is not cut but fails */
	memset(longest, 'x', QX_SERVICE_CAP);
	wr_reset(&w);
	qx_put_trigger4(&w, "", "dom0", "SOCKET", longest);
	assert_false(wr_ok(&w));
	qx_put_params(&far, QX_EXEC_CMDLINE, 0, 0, NULL, QX_COMMAND_MAX + 1);
	assert_false(wr_ok(&far));
}

static void test_versions(void **state)
{
	static const struct {
		uint32_t type, version;
		bool ok;
	} cases[] = {
		{ QX_TRIGGER_SERVICE, 2, true },  { QX_TRIGGER_SERVICE, 3, false },  { QX_TRIGGER_SERVICE3, 2, false }, { QX_TRIGGER_SERVICE3, 3, true },
		{ QX_TRIGGER_SERVICE3, 4, true }, { QX_TRIGGER_SERVICE4, 3, false }, { QX_TRIGGER_SERVICE4, 4, true },  { QX_HELLO, 4, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(qx_trigger_allowed(cases[i].type, cases[i].version), cases[i].ok);
	assert_int_equal(qx_chunk_max(2), QX_CHUNK_V2);
	assert_int_equal(qx_chunk_max(3), QX_CHUNK);
}

static void test_filter(void **state)
{
	uint8_t all[256];

	for (unsigned i = 0; i < sizeof all; i++)
		all[i] = (uint8_t)i;
	qx_filter(all, sizeof all);
	for (unsigned i = 0; i < sizeof all; i++) {
		bool plain = (i >= 0x20 && i <= 0x7e) || i == '\t' || i == '\n' || i == '\r' || i == '\b' || i == '\a';

		assert_int_equal(all[i], plain ? i : '_');
	}
}

static void test_qdb(void **state)
{
	_cleanup_wr_ struct wr w = wr_grow(8192);
	static const uint8_t big[QDB_VALUE_MAX + 1];
	struct qdb_hdr h = { .type = 200 };

	for (unsigned side = 0; side < 3; side++)
		assert_int_equal(qdb_check((enum qdb_side)side, &h, NULL), -EBADMSG);
	qdb_put(&w, QDB_RESP_READ, "/a", big, sizeof big);
	assert_false(wr_ok(&w));
}

static void test_link(void **state)
{
	assert_string_equal(link_type_name(LINK_DATA), "DATA");
	assert_string_equal(link_type_name(0xee), "?");
	assert_int_equal(link_ctl_len(LINK_OPEN), 12);
	assert_int_equal(link_ctl_len((enum link_type)0xee), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_qrexec_names), cmocka_unit_test(test_qrexec_put), cmocka_unit_test(test_versions),
		cmocka_unit_test(test_filter),	     cmocka_unit_test(test_qdb),	cmocka_unit_test(test_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
