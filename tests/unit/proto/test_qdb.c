/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QubesDB messages: bytes, limits, and which type is legal on which side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "proto/qdb.h"

static void bytes(void **state)
{
	uint8_t buf[QDB_HDR_LEN + 8];
	struct wr w = wr_mem(buf, sizeof buf);
	struct qdb_hdr h;
	struct rd r;

	memset(buf, 0xee, sizeof buf);
	qdb_put(&w, QDB_CMD_WRITE, "/a/b", "xyz", 3);
	assert_true(wr_ok(&w));
	assert_int_equal(w.len, QDB_HDR_LEN + 3);
	assert_int_equal(buf[0], 1);
	assert_memory_equal(buf + 1, "/a/b\0\0\0", 7);
	for (int i = 5; i < 65; i++)
		assert_int_equal(buf[i], 0);
	assert_memory_equal(buf + 65, "\0\0\0\3\0\0\0xyz", 10);
	/* rubbish behind the NUL and in the padding is what reference clients send */
	memset(buf + 6, 'z', 62);
	r = rd_mem(buf, QDB_HDR_LEN);
	assert_int_equal(qdb_hdr_get(&r, &h), 0);
	assert_string_equal(h.path, "/a/b");
	assert_int_equal(h.path[20], 0);
	assert_int_equal(h.len, 3);
}

static void bad_headers(void **state)
{
	uint8_t good[QDB_HDR_LEN] = { QDB_CMD_READ, '/', 'a' }, b[QDB_HDR_LEN];
	struct qdb_hdr h;
	struct rd r;

	for (size_t n = 0; n < QDB_HDR_LEN; n++) {
		r = rd_mem(good, n);
		assert_int_equal(qdb_hdr_get(&r, &h), -EBADMSG);
	}
	memcpy(b, good, sizeof b);
	b[0] = QDB_TYPE_N;
	r = rd_mem(b, sizeof b);
	assert_int_equal(qdb_hdr_get(&r, &h), -EBADMSG);
	memcpy(b, good, sizeof b);
	memset(b + 1, 'a', 64);
	r = rd_mem(b, sizeof b);
	assert_int_equal(qdb_hdr_get(&r, &h), -EBADMSG);
	memcpy(b, good, sizeof b);
	b[68] = 0xff;
	b[69] = 0x0b; /* 3071 */
	r = rd_mem(b, sizeof b);
	assert_int_equal(qdb_hdr_get(&r, &h), 0);
	b[68] = 0;
	b[69] = 0x0c; /* 3072 */
	r = rd_mem(b, sizeof b);
	assert_int_equal(qdb_hdr_get(&r, &h), -EBADMSG);
	memset(b + 68, 0xff, 4);
	r = rd_mem(b, sizeof b);
	assert_int_equal(qdb_hdr_get(&r, &h), -EBADMSG);
}

static void keys(void **state)
{
	static const struct {
		const char *s;
		bool key, prefix;
	} table[] = {
		{ "/a", 1, 1 },	  { "/a/b-c_d.e:f@g", 1, 1 }, { "", 0, 1 },	 { "/", 0, 1 },	  { "/a/", 0, 1 },  { "a", 0, 0 },
		{ "-a", 0, 0 },	  { "/a b", 0, 0 },	      { "/a\n", 0, 0 },	 { "/a+", 0, 0 }, { "/\xc3\xa4", 0, 0 }, { "/a,", 0, 0 },
	};
	char longest[66];

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		assert_int_equal(qdb_key_ok(table[i].s), table[i].key);
		assert_int_equal(qdb_prefix_ok(table[i].s), table[i].prefix);
	}
	memset(longest, 'a', sizeof longest);
	longest[0] = '/';
	longest[63] = '\0';
	assert_true(qdb_key_ok(longest));
	longest[63] = 'a';
	longest[64] = '\0';
	assert_false(qdb_key_ok(longest));
	assert_true(qdb_covers("/a/", "/a/b"));
	assert_true(qdb_covers("/a", "/a"));
	assert_false(qdb_covers("/a", "/a/b"));
	assert_false(qdb_covers("/a/", "/a"));
	assert_false(qdb_covers("/a/", "/ab"));
	assert_true(qdb_covers("/", "/a"));
	assert_false(qdb_value_ok("a\0b", 3));
	assert_true(qdb_value_ok("", 0));
}

/* Each line: type, then one letter for RO, RW, HOST, GUEST, CLIENT: + legal, - not. */
static const char *const legal[QDB_TYPE_N] = {
	[QDB_CMD_READ] = "++---",	    [QDB_CMD_WRITE] = "-+++-",	  [QDB_CMD_MULTIREAD] = "+++--",
	[QDB_CMD_LIST] = "++---",	    [QDB_CMD_RM] = "-+++-",	  [QDB_CMD_WATCH] = "++---",
	[QDB_CMD_UNWATCH] = "++---",	    [QDB_RESP_OK] = "--+++",	  [QDB_RESP_ERROR_NOENT] = "----+",
	[QDB_RESP_ERROR] = "--+++",	    [QDB_RESP_READ] = "----+",	  [QDB_RESP_MULTIREAD] = "---++",
	[QDB_RESP_LIST] = "----+",	    [QDB_RESP_WATCH] = "----+",
};

static void sides(void **state)
{
	for (uint8_t t = 0; t < QDB_TYPE_N; t++)
		for (int s = 0; s <= QDB_AT_CLIENT; s++) {
			struct qdb_hdr h = { .type = t, .path = "/a" };

			assert_int_equal(qdb_check((enum qdb_side)s, &h, NULL), legal[t][s] == '+' ? 0 : -EPERM);
		}
}

static void contents(void **state)
{
	struct qdb_hdr h = { .type = QDB_CMD_READ, .path = "/a", .len = 1 };

	assert_int_equal(qdb_check(QDB_AT_RO, &h, (const uint8_t *)"x"), -EBADMSG);
	h = (struct qdb_hdr){ .type = QDB_CMD_WRITE, .path = "/a/" };
	assert_int_equal(qdb_check(QDB_AT_HOST, &h, NULL), -EINVAL);
	h = (struct qdb_hdr){ .type = QDB_CMD_WRITE, .path = "/a", .len = 3 };
	assert_int_equal(qdb_check(QDB_AT_HOST, &h, (const uint8_t *)"a\0b"), -EINVAL);
	assert_int_equal(qdb_check(QDB_AT_HOST, &h, (const uint8_t *)"a\xff" "b"), 0);
	h = (struct qdb_hdr){ .type = QDB_CMD_RM, .path = "" };
	assert_int_equal(qdb_check(QDB_AT_HOST, &h, NULL), -EINVAL);
	h = (struct qdb_hdr){ .type = QDB_CMD_RM, .path = "/a/" };
	assert_int_equal(qdb_check(QDB_AT_HOST, &h, NULL), 0);
	h = (struct qdb_hdr){ .type = QDB_RESP_MULTIREAD, .path = "/a/" };
	assert_int_equal(qdb_check(QDB_AT_GUEST, &h, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes), cmocka_unit_test(bad_headers), cmocka_unit_test(keys), cmocka_unit_test(sides), cmocka_unit_test(contents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
