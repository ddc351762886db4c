/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Framing, exceptions, events and text answers of the Admin API client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/answers.h"

static void test_frame(void **state)
{
	uint8_t buf[128];
	struct wr w = wr_mem(buf, sizeof buf);

	assert_int_equal(adm_frame(&w, "dom0", "work", "admin.vm.List", NULL, NULL, 0), 0);
	assert_int_equal(w.len, strlen("admin.vm.List dom0 name work") + 1);
	assert_memory_equal(buf, "admin.vm.List dom0 name work\0", w.len);
	w = wr_mem(buf, sizeof buf);
	assert_int_equal(adm_frame(&w, "dom0", "work", "a.b", "x+y", "p\0q", 3), 0);
	assert_int_equal(w.len, strlen("a.b+x+y dom0 name work") + 1 + 3);
	assert_memory_equal(buf, "a.b+x+y dom0 name work\0p\0q", w.len);
}

static void test_frame_empty_argument_keeps_the_plus(void **state)
{
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);

	assert_int_equal(adm_frame(&w, "dom0", "work", "a.b", "", NULL, 0), 0);
	assert_memory_equal(buf, "a.b+ dom0 name work", w.len);
}

static void test_frame_refuses_separators(void **state)
{
	uint8_t buf[128];
	struct wr w = wr_mem(buf, sizeof buf);

	assert_int_equal(adm_frame(&w, "dom0", "a b", "m", NULL, NULL, 0), -EINVAL);
	assert_int_equal(adm_frame(&w, "dom0", "a", "m", "x y", NULL, 0), -EINVAL);
	assert_int_equal(adm_frame(&w, "dom0", "a", "m", "x\n", NULL, 0), -EINVAL);
	assert_int_equal(adm_frame(&w, "dom0", "a", "m+n", NULL, NULL, 0), -EINVAL);
}

static void test_frame_limit(void **state)
{
	static uint8_t big[ADM_REQUEST_MAX];
	struct wr w = wr_grow(ADM_REQUEST_MAX * 2);

	assert_int_equal(adm_frame(&w, "dom0", "a", "m", NULL, big, sizeof big), -EMSGSIZE);
	wr_free(&w);
}

static int parse(const char *p, size_t n, struct adm_reply *rep, struct err *e)
{
	*rep = (struct adm_reply){ 0 };
	*e = (struct err){ 0 };
	return adm_parse(rep, p, n, e);
}

#define PARSE(lit) parse(lit, sizeof(lit) - 1, &rep, &e)

static void test_success(void **state)
{
	struct adm_reply rep;
	struct err e;

	assert_int_equal(PARSE("0\0hello"), 0);
	assert_string_equal(rep.data, "hello");
	assert_int_equal(rep.len, 5);
	adm_reply_fini(&rep);
	assert_int_equal(PARSE("0\0"), 0);
	assert_int_equal(rep.len, 0);
	adm_reply_fini(&rep);
}

static void test_exceptions(void **state)
{
	struct adm_reply rep;
	struct err e;

	assert_int_equal(PARSE("2\0QubesVMNotFoundError\0\0no such domain: 'x'\0"), -ADM_EXC_NOT_FOUND);
	assert_string_equal(e.msg, "no such domain: 'x'");
	assert_string_equal(rep.cls, "QubesVMNotFoundError");
	assert_int_equal(PARSE("2\0SomethingNewError\0trace\0text\0"), -ADM_EXC_OTHER);
	assert_string_equal(rep.cls, "SomethingNewError");
	assert_int_equal(PARSE("2\0QubesVMNotPausedError\0\0t\0"), -ADM_EXC_NOT_PAUSED);
	assert_true(adm_is_not_started(-ADM_EXC_NOT_PAUSED));
	assert_false(adm_is_not_started(-ADM_EXC_IN_USE));
}

static void test_exception_percent_rule(void **state)
{
	struct adm_reply rep;
	struct err e;

	assert_true(PARSE("2\0QubesException\0\0" "100%% of %s is %d\0" "work\0" "5\0") < 0);
	assert_string_equal(e.msg, "100% of work is 5");
	/* A single % without a field stays what it is. */
	assert_true(PARSE("2\0QubesException\0\0use %s\0") < 0);
	assert_string_equal(e.msg, "use %s");
	assert_true(PARSE("2\0QubesException\0\0no %r\0x\0") < 0);
	assert_string_equal(e.msg, "no 'x'");
	/* Control bytes never reach a terminal. */
	assert_true(PARSE("2\0QubesException\0\0a\033[31mb\nc\0") < 0);
	assert_string_equal(e.msg, "a [31mb c");
	assert_true(PARSE("2\0QubesVMError\0\0\0") < 0);
	assert_string_equal(e.msg, "QubesVMError");
}

static void test_bad_answers(void **state)
{
	struct adm_reply rep;
	struct err e;

	assert_int_equal(parse("", 0, &rep, &e), -ADM_NO_ANSWER);
	assert_int_equal(PARSE("0"), -ADM_BAD_ANSWER);
	assert_int_equal(PARSE("0x"), -ADM_BAD_ANSWER);
	assert_int_equal(PARSE("1\0\0connection-established\0\0"), -ADM_BAD_ANSWER);
	assert_int_equal(PARSE("2\0Class"), -ADM_BAD_ANSWER);
	assert_int_equal(PARSE("2\0Class\0trace\0text\0unterminated"), -ADM_BAD_ANSWER);
	assert_int_equal(PARSE("hello"), -ADM_BAD_ANSWER);
}

static void test_events(void **state)
{
	static const char two[] = "1\0\0connection-established\0\0"
				  "1\0work\0property-set:label\0name\0label\0newvalue\0red\0\0";
	const uint8_t *p = (const uint8_t *)two;
	size_t n = sizeof two - 1;
	struct adm_event ev;
	ssize_t first = adm_event_parse(&ev, p, n), second;

	assert_int_equal(first, 2 + 1 + 23 + 1);
	assert_string_equal(ev.subject, "");
	assert_string_equal(ev.name, "connection-established");
	assert_int_equal(ev.n_args, 0);
	for (size_t cut = 0; cut < n - (size_t)first; cut++)
		assert_int_equal(adm_event_parse(&ev, p + first, cut), 0);
	second = adm_event_parse(&ev, p + first, n - (size_t)first);
	assert_int_equal(second, n - (size_t)first);
	assert_string_equal(ev.subject, "work");
	assert_string_equal(adm_event_arg(&ev, "newvalue"), "red");
	assert_null(adm_event_arg(&ev, "oldvalue"));
	assert_int_equal(adm_event_parse(&ev, (const uint8_t *)"2\0", 2), -EBADMSG);
	assert_int_equal(adm_event_parse(&ev, (const uint8_t *)"1x", 2), -EBADMSG);
}

static void set_text(struct adm_reply *rep, const char *s)
{
	rep->data = xstrdup(s);
	rep->len = strlen(s);
}

static void test_qubes(void **state)
{
	struct adm_qubes q = { .n = 0 };

	set_text(&q.rep, "dom0 class=AdminVM state=Running uuid=0\nwork class=AppVM state=Halted uuid=1 extra=2\n");
	assert_int_equal(adm_qubes_parse(&q, NULL), 0);
	assert_int_equal(q.n, 2);
	assert_string_equal(adm_qubes_find(&q, "work")->cls, "AppVM");
	assert_string_equal(q.v[1].state, "Halted");
	assert_string_equal(q.v[1].uuid, "1");
	assert_null(adm_qubes_find(&q, "wor"));
	adm_qubes_fini(&q);
	set_text(&q.rep, "broken\n");
	assert_int_equal(adm_qubes_parse(&q, NULL), -ADM_BAD_ANSWER);
	adm_qubes_fini(&q);
	set_text(&q.rep, "");
	assert_int_equal(adm_qubes_parse(&q, NULL), 0);
	assert_int_equal(q.n, 0);
	adm_qubes_fini(&q);
}

static void test_props(void **state)
{
	struct adm_props p = { .n = 0 };

	set_text(&p.rep, "label default=False type=label red\nnetvm default=True type=vm \n"
			 "kernelopts default=True type=str a=b c\\\\d\\ne\n");
	assert_int_equal(adm_props_parse(&p, NULL), 0);
	assert_int_equal(p.n, 3);
	assert_false(adm_props_find(&p, "label")->is_default);
	assert_string_equal(adm_props_find(&p, "label")->value, "red");
	assert_string_equal(adm_props_find(&p, "netvm")->value, "");
	assert_true(adm_props_find(&p, "netvm")->is_default);
	assert_string_equal(adm_props_find(&p, "kernelopts")->value, "a=b c\\d\ne");
	adm_props_fini(&p);
	set_text(&p.rep, "label red\n");
	assert_int_equal(adm_props_parse(&p, NULL), -ADM_BAD_ANSWER);
	adm_props_fini(&p);
}

static void test_kv(void **state)
{
	char v[8];

	assert_int_equal(adm_kv("size=5\nusage=7\n", "usage", v, sizeof v), 0);
	assert_string_equal(v, "7");
	assert_int_equal(adm_kv("size=5\n", "siz", v, sizeof v), -ENOENT);
	assert_int_equal(adm_kv("path=\nx=1", "path", v, sizeof v), 0);
	assert_string_equal(v, "");
	assert_int_equal(adm_kv("x=123456789", "x", v, sizeof v), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame),
		cmocka_unit_test(test_frame_empty_argument_keeps_the_plus),
		cmocka_unit_test(test_frame_refuses_separators),
		cmocka_unit_test(test_frame_limit),
		cmocka_unit_test(test_success),
		cmocka_unit_test(test_exceptions),
		cmocka_unit_test(test_exception_percent_rule),
		cmocka_unit_test(test_bad_answers),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_qubes),
		cmocka_unit_test(test_props),
		cmocka_unit_test(test_kv),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
