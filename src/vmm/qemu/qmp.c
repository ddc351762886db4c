/* SPDX-License-Identifier: GPL-3.0-or-later */
/* QMP client: newline-delimited JSON objects, answers matched by id. */
#include "vmm/qemu/qmp.h"

#include "base/log.h"
#include "base/str.h"
#include "chan/stream.h"

#define DEPTH_MAX 16
#define OUT_HIGH 65536

struct call {
	json_int_t id; /* 0 = free */
	qmp_fn fn;
	void *arg;
};

struct qmp {
	struct chan_stream *s;
	const struct qmp_ops *ops;
	void *arg;
	bool greeted, ready, closed;
	json_int_t last_id;
	struct call calls[QMP_CALLS_MAX];
	json_t *waiting; /* array of commands to send after the greeting */
};

bool qmp_depth_ok(const char *p, size_t n, unsigned max)
{
	unsigned depth = 0;
	bool string = false;

	for (size_t i = 0; i < n; i++) {
		if (string) {
			if (p[i] == '\\')
				i++;
			else if (p[i] == '"')
				string = false;
		} else if (p[i] == '"') {
			string = true;
		} else if (p[i] == '{' || p[i] == '[') {
			if (++depth > max)
				return false;
		} else if ((p[i] == '}' || p[i] == ']') && depth) {
			depth--;
		}
	}
	return true;
}

static int send_json(struct qmp *q, json_t *cmd, int fd)
{
	_cleanup_free_ char *text = json_dumps(cmd, JSON_COMPACT);
	_cleanup_free_ char *line = text ? xasprintf("%s\n", text) : NULL;

	if (!line)
		return -ENOMEM;
	return fd < 0 ? chan_stream_send(q->s, line, strlen(line)) : chan_stream_send_fd(q->s, line, strlen(line), fd);
}

static struct call *call_find(struct qmp *q, json_int_t id)
{
	for (size_t i = 0; i < QMP_CALLS_MAX; i++)
		if (q->calls[i].id == id)
			return &q->calls[i];
	return NULL;
}

static int call(struct qmp *q, const char *command, json_t *args, int fd, qmp_fn fn, void *fn_arg)
{
	struct call *c = call_find(q, 0);
	json_t *cmd;
	int r = 0;

	if (q->closed || !c) {
		json_decref(args);
		return q->closed ? -EPIPE : -EBUSY;
	}
	*c = (struct call){ .id = ++q->last_id, .fn = fn, .arg = fn_arg };
	cmd = json_pack("{s:s, s:I}", "execute", command, "id", c->id);
	if (args)
		json_object_set_new(cmd, "arguments", args);
	if (q->ready)
		r = send_json(q, cmd, fd);
	else if (fd >= 0)
		r = -EAGAIN;
	else
		json_array_append(q->waiting, cmd);
	json_decref(cmd);
	if (r < 0)
		c->id = 0;
	return r;
}

int qmp_call(struct qmp *q, const char *command, json_t *args, qmp_fn fn, void *fn_arg)
{
	return call(q, command, args, -1, fn, fn_arg);
}

int qmp_call_fd(struct qmp *q, const char *command, json_t *args, int fd, qmp_fn fn, void *fn_arg)
{
	return call(q, command, args, fd, fn, fn_arg);
}

static void on_capabilities(json_t *ret, const char *error, void *arg)
{
	struct qmp *q = arg;
	json_t *cmd;
	size_t i;

	if (!ret)
		return; /* nothing works then; the machine's start times out and says so */
	q->ready = true;
	json_array_foreach(q->waiting, i, cmd)
		send_json(q, cmd, -1);
	json_array_clear(q->waiting);
}

static int on_greeting(struct qmp *q, json_t *o)
{
	if (!json_is_object(json_object_get(o, "QMP")))
		return -EPROTO;
	q->greeted = true;
	/* The first command must be this one: send it past the queue. */
	q->ready = true;
	if (qmp_call(q, "qmp_capabilities", NULL, on_capabilities, q) < 0)
		return -EPROTO;
	q->ready = false;
	return 0;
}

static int on_answer(struct qmp *q, json_t *o)
{
	json_t *id = json_object_get(o, "id"), *ret = json_object_get(o, "return"), *error = json_object_get(o, "error");
	struct call *c = json_is_integer(id) && json_integer_value(id) > 0 ? call_find(q, json_integer_value(id)) : NULL;
	const char *text = json_string_value(json_object_get(error, "desc"));
	struct call done;

	if (!c || !ret == !error || (error && !text))
		return -EPROTO;
	done = *c;
	c->id = 0;
	if (done.fn)
		done.fn(ret, text, done.arg);
	return 0;
}

static int on_line(struct qmp *q, const char *p, size_t n)
{
	json_t *o, *data;
	const char *event;
	int r = 0;

	if (!qmp_depth_ok(p, n, DEPTH_MAX))
		return -EPROTO;
	o = json_loadb(p, n, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(o)) {
		json_decref(o);
		return -EPROTO;
	}
	event = json_string_value(json_object_get(o, "event"));
	data = json_object_get(o, "data");
	if (!q->greeted)
		r = on_greeting(q, o);
	else if (!event)
		r = on_answer(q, o);
	else if (data && !json_is_object(data))
		r = -EPROTO;
	else
		q->ops->event(event, data, q->arg);
	json_decref(o);
	return r;
}

static ssize_t on_data(struct chan_stream *s, const uint8_t *p, size_t n, void *arg)
{
	const uint8_t *nl = memchr(p, '\n', n);
	size_t len;
	int r = 0;

	if (!nl)
		return 0;
	len = (size_t)(nl - p);
	if (len && p[len - 1] == '\r')
		len--;
	if (len)
		r = on_line(arg, (const char *)p, len);
	return r < 0 ? r : nl - p + 1;
}

static void on_closed(struct chan_stream *s, int code, void *arg)
{
	struct qmp *q = arg;
	struct err e = { 0 };

	q->closed = true;
	for (size_t i = 0; i < QMP_CALLS_MAX; i++) {
		struct call done = q->calls[i];

		q->calls[i].id = 0;
		if (done.id && done.fn)
			done.fn(NULL, "the machine has gone", done.arg);
	}
	q->ops->closed(code == 0 ? "closed" : err_text(&e, code), q->arg);
}

static const struct chan_stream_ops stream_callbacks = { .data = on_data, .closed = on_closed };

struct qmp *qmp_new(struct ev_loop *l, int fd, const struct qmp_ops *ops, void *arg)
{
	struct qmp *q = xcalloc(1, sizeof *q);

	q->ops = ops;
	q->arg = arg;
	q->waiting = json_array();
	q->s = chan_stream_new(l, fd, QMP_LINE_MAX, OUT_HIGH, &stream_callbacks, q);
	if (!q->s) {
		json_decref(q->waiting);
		free(q);
		return NULL;
	}
	return q;
}

void qmp_free(struct qmp *q)
{
	if (!q)
		return;
	chan_stream_free(q->s);
	json_decref(q->waiting);
	free(q);
}

void qmp_poll(struct qmp *q)
{
	if (!q->closed)
		chan_stream_poll(q->s);
}
