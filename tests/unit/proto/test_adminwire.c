/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Framing of the Admin API, both ends, and the exception table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "proto/admin.h"

static int parse(const char *s, size_t n, struct admin_req *q)
{
	return admin_get_request(rd_mem(s, n), q);
}

#define PARSE(s, q) parse(s, sizeof(s) - 1, q)

static void test_requests(void **state)
{
	struct admin_req q;

	assert_int_equal(PARSE("admin.vm.List dom0 name dom0\0", &q), 0);
	assert_string_equal(q.method, "admin.vm.List");
	assert_string_equal(q.arg, "");
	assert_string_equal(q.dest, "dom0");
	assert_int_equal(rd_left(&q.payload), 0);
	assert_int_equal(PARSE("m+a+b work name uuid:x\0pay\0load", &q), 0);
	assert_string_equal(q.arg, "a+b");
	assert_string_equal(q.src, "work");
	assert_string_equal(q.dest, "uuid:x");
	assert_int_equal(rd_left(&q.payload), 8);
	assert_int_equal(PARSE("m+ s keyword adminvm\0", &q), 0);
	assert_string_equal(q.dest, "dom0");
	assert_int_equal(PARSE("m s name a b\0", &q), 0); /* names nothing, but is well framed */
	assert_string_equal(q.dest, "a b");
}

static void test_broken(void **state)
{
	static const struct {
		const char *s;
		size_t n;
	} bad[] = {
		{ "", 0 },
		{ "admin.vm.List dom0 name dom0", 28 },
		{ "admin.vm.List dom0 dom0\0", 24 },
		{ "m s keyword dom0\0", 17 },
		{ "m s thing dom0\0", 15 },
		{ "\0", 1 },
		{ "   \0", 4 },
	};
	struct admin_req q;
	char *big = xcalloc(1, ADMIN_REQUEST_MAX + 1);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse(bad[i].s, bad[i].n, &q), -EBADMSG);
	memcpy(big, "m s name d", 10);
	assert_int_equal(parse(big, ADMIN_REQUEST_MAX, &q), 0);
	assert_int_equal(parse(big, ADMIN_REQUEST_MAX + 1, &q), -EBADMSG);
	free(big);
}

static void test_long_fields(void **state)
{
	char text[4096];
	struct admin_req q;
	int n = snprintf(text, sizeof text, "%0200d+%02000d %0100d name %0100d", 1, 2, 3, 4);

	assert_int_equal(parse(text, (size_t)n + 1, &q), 0);
	assert_string_equal(q.method, "");
	assert_true(q.arg_bad);
	assert_string_equal(q.src, "");
	assert_string_equal(q.dest, "");
}

static void test_round_trip(void **state)
{
	_cleanup_wr_ struct wr w = wr_grow(ADMIN_REQUEST_MAX + 1);
	struct admin_req q;

	admin_put_request(&w, "admin.vm.tag.Set", "x", "dom0", "work", "body", 4);
	assert_true(wr_ok(&w));
	assert_int_equal(admin_get_request(rd_mem(w.buf, w.len), &q), 0);
	assert_string_equal(q.method, "admin.vm.tag.Set");
	assert_string_equal(q.arg, "x");
	assert_true(rd_eq(&q.payload, "body"));
}

static void test_answers(void **state)
{
	uint8_t buf[512];
	struct wr w = wr_mem(buf, sizeof buf);
	struct rd r;
	struct err e;
	enum admin_answer kind;

	admin_put_error(&w, "QubesVMNotFoundError", "100% of '%s'");
	r = rd_mem(buf, w.len);
	assert_int_equal(admin_get_answer(&r, &kind), 0);
	assert_int_equal(kind, ADMIN_EXCEPTION);
	assert_int_equal(admin_get_error(&r, &e), -AE_VM_NOT_FOUND);
	assert_string_equal(e.msg, "100% of '%s'");
	r = rd_mem("2\0NewError\0trace\0%s is %d\0work\0" "5", 33);
	assert_int_equal(admin_get_answer(&r, &kind), 0);
	assert_int_equal(admin_get_error(&r, &e), -AE_GENERIC);
	assert_string_equal(e.msg, "work is 5");
	r = rd_mem("", 0);
	assert_int_equal(admin_get_answer(&r, &kind), -ENODATA);
	r = rd_mem("9\0", 2);
	assert_int_equal(admin_get_answer(&r, &kind), -EBADMSG);
}

static void test_events(void **state)
{
	uint8_t buf[256];
	struct wr w = wr_mem(buf, sizeof buf);
	struct admin_event ev;
	struct rd r;
	const char *k, *v;

	admin_put_event(&w, "work", "property-set:label");
	admin_put_event_arg(&w, "name", "label");
	admin_put_event_arg(&w, "oldvalue", "");
	admin_put_event_end(&w);
	for (size_t n = 0; n < w.len; n++) {
		r = rd_mem(buf, n);
		assert_int_equal(admin_get_event(&r, &ev), -EAGAIN);
		assert_int_equal(rd_left(&r), n);
	}
	r = rd_mem(buf, w.len);
	assert_int_equal(admin_get_event(&r, &ev), 0);
	assert_int_equal(rd_left(&r), 0);
	assert_string_equal(ev.subject, "work");
	assert_true(admin_event_arg(&ev.args, &k, &v));
	assert_string_equal(k, "name");
	assert_string_equal(v, "label");
	assert_true(admin_event_arg(&ev.args, &k, &v));
	assert_string_equal(v, "");
	assert_false(admin_event_arg(&ev.args, &k, &v));
}

static void test_exceptions(void **state)
{
	for (int a = AE_GENERIC; a < AE_END; a++) {
		assert_int_equal(admin_err_code(admin_err_class(a)), a);
		assert_string_equal(admin_err_class(-a), admin_err_class(a));
	}
	assert_string_equal(admin_err_class(ENOENT), "QubesException");
	assert_int_equal(admin_err_code("Nonsense"), AE_GENERIC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),   cmocka_unit_test(test_broken), cmocka_unit_test(test_long_fields),
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_answers), cmocka_unit_test(test_events),
		cmocka_unit_test(test_exceptions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
