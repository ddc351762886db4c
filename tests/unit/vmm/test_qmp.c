/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The monitor's client against a QEMU that says too much, too little, or nothing that it may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/io.h"
#include "base/str.h"
#include "vmm/qemu/qmp.h"

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n{\"return\": {}, \"id\": 2}\r\n"

static unsigned n_closed, n_events, n_answers;

static void on_event(const char *name, json_t *data, void *arg)
{
	n_events++;
}

static void on_closed(const char *why, void *arg)
{
	assert_non_null(why);
	n_closed++;
}

static void on_answer(json_t *ret, const char *error, void *arg)
{
	n_answers++;
}

static const struct qmp_ops ops = { .event = on_event, .closed = on_closed };

struct fixture {
	struct ev_loop *l;
	struct qmp *q;
	int qemu;
};

static void setup(struct fixture *f)
{
	int p[2];

	n_closed = n_events = n_answers = 0;
	assert_int_equal(unix_pair(SOCK_STREAM, p), 0);
	f->l = ev_new();
	f->q = qmp_new(f->l, p[0], &ops, NULL);
	assert_non_null(f->q);
	f->qemu = p[1];
}

static void say(struct fixture *f, const char *text)
{
	assert_int_equal(write_full(f->qemu, text, strlen(text)), 0);
	qmp_poll(f->q);
}

static void teardown(struct fixture *f)
{
	close(f->qemu);
	qmp_free(f->q);
	ev_free(f->l);
}

static void test_commands(void **state)
{
	struct fixture f;
	char buf[8192] = "";
	ssize_t n;

	setup(&f);
	assert_int_equal(qmp_call(f.q, "device_del", json_pack("{s:s}", "id", "a\"]]>\n"), on_answer, NULL), 0);
	say(&f, GREETING);
	n = recv(f.qemu, buf, sizeof buf - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	/* what is in an argument stays in its string */
	assert_non_null(strstr(buf, "\"a\\\"]]>\\n\""));
	say(&f, "{\"return\": {}, \"id\": 1}\r\n");
	assert_int_equal(n_answers, 1);
	/* no more calls than places; arguments of refused ones are released (the address sanitizer sees) */
	while (qmp_call(f.q, "stop", json_object(), on_answer, NULL) == 0)
		;
	assert_int_equal(qmp_call(f.q, "stop", NULL, on_answer, NULL), -EBUSY);
	assert_int_equal(n_closed, 0);
	close(f.qemu);
	f.qemu = -1;
	qmp_poll(f.q);
	assert_int_equal(n_closed, 1);
	assert_int_equal(qmp_call(f.q, "stop", json_object(), on_answer, NULL), -EPIPE);
	qmp_free(f.q);
	ev_free(f.l);
}

static void test_wrong(void **state)
{
	static const char *const bad[] = {
		"{\"event\": \"X\"}\r\n", "{\"return\": {}, \"id\": 1}\r\n", GREETING "{\"event\": \"X\", \"data\": 5}\r\n", GREETING "{\"event\": 7}\r\n",
		GREETING "[]\r\n", GREETING "{\r\n", GREETING GREETING, GREETING "{\"return\": {}, \"id\": 99}\r\n", "{\"QMP\": 1}\r\n\xff\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fixture f;

		setup(&f);
		assert_int_equal(qmp_call(f.q, "cont", NULL, on_answer, NULL), 0);
		say(&f, bad[i]);
		qmp_poll(f.q);
		qmp_poll(f.q);
		assert_in_range(n_closed, 0, 1);
		if (strstr(bad[i], "\"data\": 5") || strstr(bad[i], "[]"))
			assert_int_equal(n_closed, 1);
		assert_int_equal(n_answers + n_closed > 2, 0);
		teardown(&f);
	}
}

static void test_descriptor_that_cannot_be_watched(void **state)
{
	struct ev_loop *l = ev_new();
	FILE *f = tmpfile();

	assert_non_null(f);
	assert_null(qmp_new(l, fileno(f), &ops, NULL));
	fclose(f);
	ev_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands), cmocka_unit_test(test_wrong), cmocka_unit_test(test_descriptor_that_cannot_be_watched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
