/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Framing and bodies of qrexec messages. */
#include "proto/qrexec.h"

#include "base/str.h"

const char *qx_name(uint32_t type)
{
	switch (type) {
#define X(symbol, value, min, max)                                                                 \
	case value:                                                                                \
		return #symbol;
		QX_MESSAGES(X)
#undef X
	default:
		return "unknown";
	}
}

bool qx_len_ok(uint32_t type, uint32_t len)
{
	switch (type) {
#define X(symbol, value, min, max)                                                                 \
	case value:                                                                                \
		return (uint64_t)len + 1 > (min) && len <= (max);
		QX_MESSAGES(X)
#undef X
	default:
		return false;
	}
}

int qx_frame(struct qx_frame *ret, const void *p, size_t n, size_t max_body)
{
	struct rd r = rd_mem(p, n);
	uint32_t type, len;

	if (n < QX_HDR_LEN)
		return 0;
	type = rd_u32le(&r);
	len = rd_u32le(&r);
	if (!qx_len_ok(type, len))
		return -EBADMSG;
	if (len > max_body)
		return -EMSGSIZE;
	if (rd_left(&r) < len)
		return 0;
	ret->type = type;
	ret->body = rd_sub(&r, len);
	ret->size = QX_HDR_LEN + (size_t)len;
	return 1;
}

void qx_put_hdr(struct wr *w, uint32_t type, uint32_t len)
{
	wr_u32le(w, type);
	wr_u32le(w, len);
}

void qx_put_hello(struct wr *w, uint32_t version)
{
	qx_put_hdr(w, QX_HELLO, 4);
	wr_u32le(w, version);
}

void qx_put_params(struct wr *w, uint32_t type, uint32_t domain, uint32_t port, const void *rest, size_t n)
{
	if (n > QX_COMMAND_MAX) {
		wr_fail(w);
		return;
	}
	qx_put_hdr(w, type, (uint32_t)(QX_PARAMS_LEN + n));
	wr_u32le(w, domain);
	wr_u32le(w, port);
	if (n)
		wr_bytes(w, rest, n);
}

void qx_put_refused(struct wr *w, const uint8_t ident[QX_IDENT_LEN])
{
	qx_put_hdr(w, QX_SERVICE_REFUSED, QX_IDENT_LEN);
	wr_bytes(w, ident, QX_IDENT_LEN);
}

int qx_get_hello(struct rd body, uint32_t *ret_version)
{
	uint32_t v = rd_u32le(&body);

	if (!rd_done(&body))
		return -EBADMSG;
	*ret_version = v;
	return 0;
}

int qx_get_params(struct rd body, uint32_t *ret_domain, uint32_t *ret_port)
{
	uint32_t domain = rd_u32le(&body), port = rd_u32le(&body);

	if (!rd_done(&body))
		return -EBADMSG;
	*ret_domain = domain;
	*ret_port = port;
	return 0;
}

int qx_get_exec(struct qx_exec *ret, struct rd body)
{
	struct qx_exec out = { 0 };
	const uint8_t *p;
	size_t n;

	out.domain = rd_u32le(&body);
	out.port = rd_u32le(&body);
	n = rd_left(&body);
	p = rd_view(&body, n);
	if (!rd_done(&body))
		return -EBADMSG;
	if (n) {
		/* exactly one NUL, at the end: what is shown, checked and run is the same text */
		if (memchr(p, 0, n) != p + n - 1)
			return -EBADMSG;
		out.command = (const char *)p;
		out.command_len = n - 1;
	}
	*ret = out;
	return 0;
}

int qx_get_connect(struct qx_connect *ret, struct rd body)
{
	struct qx_connect out;

	out.domain = rd_u32le(&body);
	out.port = rd_u32le(&body);
	rd_bytes(&body, out.ident, sizeof out.ident);
	if (!rd_done(&body))
		return -EBADMSG;
	*ret = out;
	return 0;
}

/* Bytes outside the allowed set become '_'; stops at the first NUL. */
static void clean(char *s, const char *extra)
{
	for (; *s; s++)
		if (!ch_alnum(*s) && !strchr(extra, *s))
			*s = '_';
}

/* A fixed field of the reference: its last byte is forced to NUL, what follows the first NUL is ignored. */
static void get_field(struct rd *r, char *out, size_t width, const char *extra)
{
	rd_bytes(r, out, width);
	out[width - 1] = 0;
	clean(out, extra);
}

static bool ident_ok(const uint8_t ident[QX_IDENT_LEN])
{
	const uint8_t *nul = memchr(ident, 0, QX_IDENT_LEN);

	if (!nul)
		return false;
	for (const uint8_t *p = ident; p < nul; p++)
		if (!ch_alnum((char)*p) && !strchr("_. -", (char)*p))
			return false;
	for (; nul < ident + QX_IDENT_LEN; nul++)
		if (*nul)
			return false;
	return true;
}

/* The variable service text of versions 3 and 4: 1 = refuse, 0 = good. */
static int get_service(struct rd *r, char service[QX_SERVICE_CAP + 1], size_t *ret_len)
{
	size_t n = rd_left(r);
	const uint8_t *p = rd_view(r, n);

	if (!p || n == 0 || n > QX_SERVICE_CAP)
		return -EBADMSG;
	service[0] = 0;
	*ret_len = 0;
	if (n < 2 || memchr(p, 0, n) != p + n - 1)
		return 1;
	memcpy(service, p, n);
	*ret_len = n - 1;
	return 0;
}

int qx_get_trigger(struct qx_trigger *ret, char service[QX_SERVICE_CAP + 1], uint32_t type, struct rd body)
{
	static const char name_extra[] = "_.-@:";
	struct qx_trigger out = { 0 };
	int r = 0;

	if (type == QX_TRIGGER_SERVICE) {
		get_field(&body, service, QX_SERVICE_LEN_V2, "_.+-");
		get_field(&body, out.target, QX_NAME_LEN_V2, name_extra);
		rd_bytes(&body, out.ident, sizeof out.ident);
		out.service_len = strlen(service);
	} else if (type == QX_TRIGGER_SERVICE3 || type == QX_TRIGGER_SERVICE4) {
		if (type == QX_TRIGGER_SERVICE4)
			get_field(&body, out.source, sizeof out.source, name_extra);
		get_field(&body, out.target, sizeof out.target, name_extra);
		rd_bytes(&body, out.ident, sizeof out.ident);
		r = get_service(&body, service, &out.service_len);
		if (r < 0)
			return r;
		clean(service, "_.+-");
	} else {
		return -EBADMSG;
	}
	if (!rd_done(&body))
		return -EBADMSG;
	if (r == 0 && (!service[0] || service[0] == '+' || !ident_ok(out.ident)))
		r = 1;
	if (r == 0 && !strchr(service, '+')) {
		/* the buffer has one byte more than the longest text */
		service[out.service_len++] = '+';
		service[out.service_len] = 0;
	}
	*ret = out;
	return r;
}

bool qx_trigger_allowed(uint32_t type, uint32_t version)
{
	if (type == QX_TRIGGER_SERVICE)
		return version < 3;
	if (type == QX_TRIGGER_SERVICE3)
		return version >= 3;
	return type == QX_TRIGGER_SERVICE4 && version >= 4;
}

void qx_put_trigger4(struct wr *w, const char *source, const char *target, const char *ident, const char *service)
{
	size_t n = strlen(service) + 1;

	if (n > QX_SERVICE_CAP) {
		wr_fail(w);
		return;
	}
	qx_put_hdr(w, QX_TRIGGER_SERVICE4, (uint32_t)(2 * QX_NAME_LEN + QX_IDENT_LEN + n));
	wr_fixed(w, source, QX_NAME_LEN);
	wr_fixed(w, target, QX_NAME_LEN);
	wr_fixed(w, ident, QX_IDENT_LEN);
	wr_bytes(w, service, n);
}

void qx_filter(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t c = p[i];

		if ((c < 0x20 || c > 0x7e) && c != '\t' && c != '\n' && c != '\r' && c != '\b' && c != '\a')
			p[i] = '_';
	}
}
