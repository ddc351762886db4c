/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Admin API framing. */
#include "proto/admin.h"

#include "base/str.h"

static const struct {
	int code;
	const char *wire;
} classes[] = {
#define ADMIN_ERR(symbol, offset, wire) { AE_##symbol, wire },
#include "proto/admin_err.def"
#undef ADMIN_ERR
};

const char *admin_err_class(int code)
{
	if (code < 0)
		code = -code;
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
		if (classes[i].code == code)
			return classes[i].wire;
	return "QubesException";
}

int admin_err_code(const char *wire_class)
{
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
		if (streq(classes[i].wire, wire_class))
			return classes[i].code;
	return AE_GENERIC;
}

/* Copies a field; a field that is too long or has a NUL becomes "", which names nothing. */
static bool copy_field(char *out, size_t cap, struct rd f)
{
	rd_text(&f, out, cap);
	if (rd_done(&f))
		return true;
	out[0] = '\0';
	return false;
}

static void split_method(struct rd f, struct admin_req *q)
{
	const uint8_t *plus = memchr(f.p, '+', rd_left(&f));
	struct rd name = f;

	q->arg[0] = '\0';
	q->arg_bad = false;
	if (plus) {
		name = rd_mem(f.p, (size_t)(plus - f.p));
		q->arg_bad = !copy_field(q->arg, sizeof q->arg, rd_mem(plus + 1, (size_t)(f.end - plus - 1)));
	}
	copy_field(q->method, sizeof q->method, name);
}

int admin_get_request(struct rd r, struct admin_req *ret)
{
	size_t total = rd_left(&r);
	struct rd head = rd_until(&r, '\0');
	struct rd method = rd_until(&head, ' '), src = rd_until(&head, ' '), kind = rd_until(&head, ' ');

	if (total > ADMIN_REQUEST_MAX || !rd_ok(&r) || !rd_ok(&head))
		return -EBADMSG;
	split_method(method, ret);
	copy_field(ret->src, sizeof ret->src, src);
	copy_field(ret->dest, sizeof ret->dest, head);
	if (rd_eq(&kind, "keyword") && streq(ret->dest, "adminvm"))
		memcpy(ret->dest, "dom0", 5);
	else if (!rd_eq(&kind, "name"))
		return -EBADMSG;
	ret->payload = r;
	return 0;
}

void admin_put_request(struct wr *w, const char *method, const char *arg, const char *src, const char *dest,
		       const void *payload, size_t n)
{
	wr_str(w, method);
	wr_u8(w, '+');
	wr_str(w, arg ? arg : "");
	wr_u8(w, ' ');
	wr_str(w, src);
	wr_str(w, " name ");
	wr_cstr(w, dest);
	wr_bytes(w, payload, n);
	if (w->len > ADMIN_REQUEST_MAX)
		wr_fail(w);
}

void admin_put_ok(struct wr *w)
{
	wr_bytes(w, "0", 2);
}

void admin_put_error(struct wr *w, const char *wire_class, const char *text)
{
	wr_bytes(w, "2", 2);
	wr_cstr(w, wire_class);
	wr_cstr(w, "");
	for (; *text; text++) {
		wr_u8(w, (uint8_t)*text);
		if (*text == '%')
			wr_u8(w, '%');
	}
	wr_u8(w, 0);
}

void admin_put_event(struct wr *w, const char *subject, const char *name)
{
	wr_bytes(w, "1", 2);
	wr_cstr(w, subject);
	wr_cstr(w, name);
}

void admin_put_event_arg(struct wr *w, const char *key, const char *value)
{
	wr_cstr(w, key);
	wr_cstr(w, value);
}

void admin_put_event_end(struct wr *w)
{
	wr_u8(w, 0);
}

int admin_get_answer(struct rd *r, enum admin_answer *ret)
{
	uint8_t kind, nul;

	if (rd_left(r) == 0)
		return -ENODATA;
	kind = rd_u8(r);
	nul = rd_u8(r);
	if (!rd_ok(r) || nul != 0 || kind < '0' || kind > '2')
		return -EBADMSG;
	*ret = (enum admin_answer)(kind - '0');
	return 0;
}

/* Appends the format with each %s and %d replaced by the next field, and %% by a percent sign. */
static void format_fields(struct wr *w, struct rd fmt, struct rd *fields)
{
	while (rd_left(&fmt) > 0) {
		char c = (char)rd_u8(&fmt);

		if (c != '%' || rd_left(&fmt) == 0) {
			wr_u8(w, (uint8_t)c);
			continue;
		}
		c = (char)rd_u8(&fmt);
		if ((c == 's' || c == 'd') && rd_left(fields) > 0) {
			struct rd f = rd_until(fields, '\0');

			wr_bytes(w, f.p, rd_left(&f));
		} else {
			wr_u8(w, (uint8_t)c);
		}
	}
}

int admin_get_error(struct rd *r, struct err *e)
{
	struct rd klass = rd_until(r, '\0'), fmt;
	char name[64], text[ERR_MSG_MAX];
	struct wr w = wr_mem(text, sizeof text - 1);

	(void)rd_until(r, '\0'); /* traceback */
	fmt = rd_until(r, '\0');
	if (!rd_ok(r) || !copy_field(name, sizeof name, klass))
		return err_set(e, EBADMSG, "malformed exception from the daemon");
	format_fields(&w, fmt, r);
	text[MIN(w.len, sizeof text - 1)] = '\0';
	return err_set(e, admin_err_code(name), "%s", text[0] ? text : name);
}

int admin_get_event(struct rd *r, struct admin_event *ret)
{
	struct rd t = *r;
	const uint8_t *start;
	enum admin_answer kind;
	struct rd f;
	int k;

	if (rd_left(&t) < 2)
		return -EAGAIN;
	k = admin_get_answer(&t, &kind);
	if (k < 0 || kind != ADMIN_EVENT)
		return -EBADMSG;
	f = rd_until(&t, '\0');
	if (rd_ok(&t) && !copy_field(ret->subject, sizeof ret->subject, f))
		return -EBADMSG;
	f = rd_until(&t, '\0');
	if (rd_ok(&t) && !copy_field(ret->name, sizeof ret->name, f))
		return -EBADMSG;
	start = t.p;
	for (;;) {
		f = rd_until(&t, '\0');
		if (!rd_ok(&t))
			return -EAGAIN;
		if (rd_left(&f) == 0)
			break;
		(void)rd_until(&t, '\0');
	}
	ret->args = rd_mem(start, (size_t)(t.p - start - 1));
	*r = t;
	return 0;
}

bool admin_event_arg(struct rd *args, const char **ret_key, const char **ret_value)
{
	struct rd k, v;

	if (rd_left(args) == 0)
		return false;
	k = rd_until(args, '\0');
	v = rd_until(args, '\0');
	if (!rd_ok(args))
		return false;
	*ret_key = (const char *)k.p;
	*ret_value = (const char *)v.p;
	return true;
}
