/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A hostile QEMU: the input is what it sends on its monitor, cut in two at the place that the first byte gives. */
#include <sys/socket.h>

#include "base/io.h"
#include "vmm/qemu/qmp.h"

static volatile unsigned sink;

static void on_event(const char *name, json_t *data, void *arg)
{
	sink += (unsigned)strlen(name) + (unsigned)json_object_size(data);
}

static void on_closed(const char *why, void *arg)
{
	bool *closed = arg;

	if (*closed)
		abort(); /* told twice */
	*closed = true;
}

static void on_answer(json_t *ret, const char *error, void *arg)
{
	if (!ret == !error)
		abort();
	++*(unsigned *)arg;
}

static const struct qmp_ops ops = { .event = on_event, .closed = on_closed };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool closed = false;
	unsigned answers = 0;
	struct ev_loop *l;
	struct qmp *q;
	size_t cut;
	int p[2];

	if (size < 2 || size > 100000 || unix_pair(SOCK_STREAM, p) < 0)
		return 0;
	cut = 1 + data[0] % (size - 1);
	l = ev_new();
	q = qmp_new(l, p[0], &ops, &closed);
	qmp_call(q, "cont", NULL, on_answer, &answers); /* id 1 */
	(void)!write(p[1], data + 1, cut - 1);
	qmp_poll(q);
	(void)!send(p[1], data + cut, size - cut, MSG_DONTWAIT);
	qmp_poll(q);
	qmp_poll(q);
	close(p[1]);
	qmp_poll(q);
	if (answers > 1)
		abort();
	qmp_free(q);
	ev_free(l);
	return 0;
}
