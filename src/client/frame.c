/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bytes of the Admin API: request header, response, exception text, one event. Pure functions (specs/admin-api.md §1). */
#include "client/admin.h"

#include "base/str.h"
#include "base/wr.h"

static const struct {
	int code;
	const char *name;
} exceptions[] = {
#define EXC(symbol, name) { ADM_EXC_##symbol, name },
#include "client/exceptions.def"
#undef EXC
};

int adm_exc_code(const char *cls)
{
	for (size_t i = 0; i < ARRAY_SIZE(exceptions); i++)
		if (streq(exceptions[i].name, cls))
			return exceptions[i].code;
	return ADM_EXC_OTHER;
}

bool adm_is_not_started(int r)
{
	return r == -ADM_EXC_NOT_STARTED || r == -ADM_EXC_NOT_RUNNING || r == -ADM_EXC_NOT_PAUSED;
}

/* No blank and no control byte may be inside a field of the header. */
static bool field_ok(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			return false;
	return true;
}

int adm_frame(struct wr *w, const char *src, const char *dest, const char *method, const char *arg, const void *payload, size_t len)
{
	if (!field_ok(src) || !field_ok(dest) || !field_ok(method) || strchr(method, '+') || (arg && !field_ok(arg)))
		return -EINVAL;
	wr_str(w, method);
	if (arg) {
		wr_u8(w, '+');
		wr_str(w, arg);
	}
	wr_printf(w, " %s name %s", src, dest);
	wr_u8(w, 0);
	if (len)
		wr_bytes(w, payload, len);
	return wr_ok(w) && w->len <= ADM_REQUEST_MAX ? 0 : -EMSGSIZE;
}

/* The text up to a NUL, as a view that is also NUL-terminated in the buffer. Poisons r when there is no NUL. */
static const char *rd_zstr(struct rd *r)
{
	struct rd v = rd_until(r, 0);

	return rd_ok(r) ? (const char *)v.p : "";
}

void adm_format(char *out, size_t cap, const char *format, struct rd fields)
{
	struct wr w = wr_mem(out, cap - 1);

	for (const char *p = format; *p && rd_ok(&fields); p++) {
		if (*p != '%') {
			wr_u8(&w, (uint8_t)*p);
		} else if (p[1] == '%') {
			wr_u8(&w, '%');
			p++;
		} else if ((p[1] == 's' || p[1] == 'd' || p[1] == 'r' || p[1] == 'i') && rd_left(&fields) > 0) {
			const char *q = p[1] == 'r' ? "'" : "";
			const char *v = rd_zstr(&fields);

			wr_printf(&w, "%s%s%s", q, v, q);
			p++;
		} else {
			wr_u8(&w, '%');
		}
	}
	out[MIN(w.len, cap - 1)] = '\0';
}

static int parse_exception(struct adm_reply *ret, struct rd r, struct err *e)
{
	char text[ERR_MSG_MAX];
	struct rd cls = rd_until(&r, 0);
	struct rd trace = rd_until(&r, 0);
	const char *format = rd_zstr(&r);

	(void)trace;
	if (!rd_ok(&r) || (rd_left(&r) > 0 && r.end[-1] != 0))
		return err_set(e, ADM_BAD_ANSWER, "qubesd sent a malformed exception");
	rd_text(&cls, ret->cls, sizeof ret->cls);
	if (!rd_done(&cls))
		return err_set(e, ADM_BAD_ANSWER, "qubesd sent a malformed exception");
	adm_format(text, sizeof text, format, r);
	if (!text[0] && str_copy(text, sizeof text, ret->cls) < 0)
		return err_set(e, ADM_BAD_ANSWER, "qubesd sent a malformed exception");
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	return err_set(e, adm_exc_code(ret->cls), "%s", text);
}

int adm_parse(struct adm_reply *ret, const void *p, size_t n, struct err *e)
{
	struct rd r = rd_mem(p, n);
	uint8_t kind, zero;

	ret->cls[0] = '\0';
	if (n == 0)
		return err_set(e, ADM_NO_ANSWER, "qubesd refused the request without an answer; its log has the reason");
	kind = rd_u8(&r);
	zero = rd_u8(&r);
	if (!rd_ok(&r) || zero != 0 || (kind != '0' && kind != '2'))
		return err_set(e, ADM_BAD_ANSWER, "the answer of qubesd is malformed");
	if (kind == '2')
		return parse_exception(ret, r, e);
	ret->len = rd_left(&r);
	ret->data = xmalloc(ret->len + 1);
	rd_bytes(&r, ret->data, ret->len);
	ret->data[ret->len] = '\0';
	return 0;
}

ssize_t adm_event_parse(struct adm_event *ret, const uint8_t *p, size_t n)
{
	struct rd r = rd_mem(p, n);

	if (n >= 1 && p[0] != '1')
		return -EBADMSG;
	if (n >= 2 && p[1] != 0)
		return -EBADMSG;
	rd_skip(&r, 2);
	ret->subject = rd_zstr(&r);
	ret->name = rd_zstr(&r);
	ret->n_args = 0;
	for (;;) {
		const char *key = rd_zstr(&r), *value;

		if (!rd_ok(&r))
			return 0;
		if (!*key)
			return r.p - p;
		value = rd_zstr(&r);
		if (!rd_ok(&r))
			return 0;
		if (ret->n_args == ADM_EVENT_ARGS)
			return -EBADMSG;
		ret->args[ret->n_args].key = key;
		ret->args[ret->n_args++].value = value;
	}
}

const char *adm_event_arg(const struct adm_event *ev, const char *key)
{
	for (size_t i = 0; i < ev->n_args; i++)
		if (streq(ev->args[i].key, key))
			return ev->args[i].value;
	return NULL;
}
