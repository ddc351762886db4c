/* SPDX-License-Identifier: GPL-3.0-or-later */
/* HTTP/1.1 heads. */
#include "proto/http.h"

#include <arpa/inet.h>

#include "base/str.h"

static const struct {
	unsigned status;
	const char *text;
} reasons[] = {
	{ 200, "OK" },
	{ 206, "Partial Content" },
	{ 304, "Not Modified" },
	{ 400, "Bad Request" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 416, "Range Not Satisfiable" },
	{ 431, "Request Header Fields Too Large" },
	{ 501, "Not Offered Here" }, /* on purpose: the text that follows says what is */
	{ 502, "Bad Gateway" },
	{ 504, "Gateway Timeout" },
};

const char *http_reason(unsigned status)
{
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "Answer";
}

ssize_t http_head_len(const void *p, size_t n)
{
	const uint8_t *s = p;
	size_t max = MIN(n, (size_t)HTTP_HEAD_MAX);

	for (size_t i = 0; i < max; i++) {
		if (s[i] == '\0')
			return -EBADMSG;
		if (i >= 3 && s[i] == '\n' && s[i - 1] == '\r' && s[i - 2] == '\n' && s[i - 3] == '\r')
			return (ssize_t)i + 1;
	}
	return n >= HTTP_HEAD_MAX ? -EMSGSIZE : 0;
}

/* The next line without its CRLF. A bare CR or LF poisons: two readers could see different lines. */
static struct rd crlf_line(struct rd *r)
{
	struct rd line = rd_until(r, '\n');

	if (!rd_ok(&line) || rd_left(&line) == 0 || line.end[-1] != '\r') {
		rd_fail(r);
		rd_fail(&line);
		return line;
	}
	line.end--;
	for (const uint8_t *p = line.p; p < line.end; p++)
		if (*p == '\r') {
			rd_fail(r);
			rd_fail(&line);
			break;
		}
	return line;
}

static bool token_char(uint8_t c)
{
	return ch_alnum((char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool same_word(struct rd r, const char *word)
{
	size_t n = strlen(word);

	if (rd_left(&r) != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = r.p[i];

		if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != (uint8_t)word[i])
			return false;
	}
	return true;
}

static void trim(struct rd *r)
{
	while (rd_left(r) && (*r->p == ' ' || *r->p == '\t'))
		r->p++;
	while (rd_left(r) && (r->end[-1] == ' ' || r->end[-1] == '\t'))
		r->end--;
}

/* One field; false at the end of the head. */
static bool next_field(struct rd *r, struct rd *name, struct rd *value)
{
	struct rd line = crlf_line(r);

	if (!rd_ok(&line) || rd_left(&line) == 0)
		return false;
	*name = rd_until(&line, ':');
	*value = line;
	if (!rd_ok(name) || !rd_ok(value) || rd_left(name) == 0) {
		rd_fail(r);
		return false;
	}
	for (const uint8_t *p = name->p; p < name->end; p++)
		if (!token_char(*p))
			rd_fail(r);
	for (const uint8_t *p = value->p; p < value->end; p++)
		if ((*p < 0x20 && *p != '\t') || *p == 0x7f)
			rd_fail(r);
	trim(value);
	return rd_ok(r);
}

/* A value that is passed on: printable ASCII that fits, else it counts as not there. */
static void take(struct rd v, char *out, size_t cap)
{
	rd_text(&v, out, cap);
	for (const char *p = out; rd_ok(&v) && *p; p++)
		if (*p < 0x20 || *p > 0x7e)
			rd_fail(&v);
	if (!rd_ok(&v))
		out[0] = '\0';
}

static bool number(struct rd v, uint64_t *ret)
{
	char text[24];

	rd_text(&v, text, sizeof text);
	return rd_ok(&v) && text[0] && str_u64(text, INT64_MAX, ret) == 0;
}

static bool list_has(struct rd v, const char *word)
{
	for (;;) {
		struct rd rest = v, item = rd_until(&rest, ',');
		bool last = !rd_ok(&item);

		if (last)
			item = v;
		trim(&item);
		if (same_word(item, word))
			return true;
		if (last)
			return false;
		v = rest;
	}
}

bool http_host_ok(const char *host)
{
	size_t n = strlen(host);

	return n > 0 && n < HTTP_HOST_MAX - 1 && str_chars(host, ".-") && host[0] != '.' && host[0] != '-' && host[n - 1] != '-' && !strstr(host, "..");
}

/* HOST[:PORT] */
static bool authority(struct rd r, uint16_t port, struct http_url *ret)
{
	struct in6_addr a6;
	uint64_t n = port;

	if (rd_left(&r) && *r.p == '[') {
		struct rd host;

		rd_skip(&r, 1);
		host = rd_until(&r, ']');
		rd_text(&host, ret->host, sizeof ret->host);
		if (!rd_ok(&host) || inet_pton(AF_INET6, ret->host, &a6) != 1 || (rd_left(&r) && rd_u8(&r) != ':'))
			return false;
		if (rd_left(&r) && !number(r, &n))
			return false;
	} else {
		struct rd rest = r, host = rd_until(&rest, ':');

		if (!rd_ok(&host))
			host = r;
		else if (!number(rest, &n))
			return false;
		rd_text(&host, ret->host, sizeof ret->host);
		if (!rd_ok(&host) || !http_host_ok(ret->host))
			return false;
	}
	for (char *p = ret->host; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + 32);
	if (!rd_ok(&r) || n == 0 || n > UINT16_MAX)
		return false;
	ret->port = (uint16_t)n;
	return true;
}

static bool starts_with(struct rd *r, const char *prefix)
{
	struct rd head = *r;
	size_t n = strlen(prefix);

	if (rd_left(r) < n)
		return false;
	head.end = head.p + n;
	if (!same_word(head, prefix))
		return false;
	rd_skip(r, n);
	return true;
}

int http_url_parse(struct rd r, struct http_url *ret, struct err *e)
{
	struct http_url u = { 0 };
	size_t n = 0;
	struct rd host;

	u.tls = starts_with(&r, "https://");
	if (!u.tls && !starts_with(&r, "http://"))
		return err_set(e, EBADMSG, "not an http URL");
	while (n < rd_left(&r) && r.p[n] != '/')
		n++;
	host = rd_sub(&r, n);
	if (!authority(host, u.tls ? 443 : 80, &u))
		return err_set(e, EBADMSG, "the host of a URL is not valid");
	if (rd_left(&r) == 0) {
		u.path[0] = '/';
		u.path[1] = '\0';
	} else {
		take(r, u.path, sizeof u.path);
	}
	if (u.path[0] != '/' || strpbrk(u.path, " #\"<>\\^`{|}"))
		return err_set(e, EBADMSG, "the path of a URL is not valid");
	*ret = u;
	return 0;
}

static int request_line(struct rd line, struct http_request *q, struct err *e)
{
	struct rd method = rd_until(&line, ' '), target = rd_until(&line, ' ');

	if (!rd_ok(&method) || !rd_ok(&target) || !(rd_eq(&line, "HTTP/1.1") || rd_eq(&line, "HTTP/1.0")))
		return err_set(e, EBADMSG, "malformed request line");
	q->close = rd_eq(&line, "HTTP/1.0");
	if (rd_eq(&method, "CONNECT")) {
		q->method = HTTP_CONNECT;
		q->url.tls = true;
		if (!memchr(target.p, ':', rd_left(&target)) || !authority(target, 0, &q->url))
			return err_set(e, EBADMSG, "CONNECT wants HOST:PORT");
		return 0;
	}
	if (!rd_eq(&method, "GET") && !rd_eq(&method, "HEAD"))
		return err_set(e, ENOTSUP, "only GET, HEAD and CONNECT are served");
	q->method = rd_eq(&method, "GET") ? HTTP_GET : HTTP_HEAD;
	return http_url_parse(target, &q->url, e);
}

static void get_range(struct rd v, struct http_request *q)
{
	/* of two the last one counts */
	q->range = false;
	q->first = 0;
	if (!starts_with(&v, "bytes=") || rd_left(&v) < 2 || v.end[-1] != '-')
		return;
	v.end--;
	q->range = number(v, &q->first);
}

static int request_field(struct rd name, struct rd value, struct http_request *q)
{
	uint64_t n;

	if (same_word(name, "transfer-encoding"))
		return -ENOTSUP;
	if (same_word(name, "content-length") && (!number(value, &n) || n))
		return -ENOTSUP;
	if (same_word(name, "connection") || same_word(name, "proxy-connection"))
		q->close = q->close || list_has(value, "close");
	else if (same_word(name, "cache-control"))
		q->no_cache = list_has(value, "no-cache") || list_has(value, "no-store");
	else if (same_word(name, "pragma"))
		q->no_cache = q->no_cache || list_has(value, "no-cache");
	else if (same_word(name, "range"))
		get_range(value, q);
	else if (same_word(name, "if-range"))
		take(value, q->if_range, sizeof q->if_range);
	else if (same_word(name, "if-modified-since"))
		take(value, q->if_modified, sizeof q->if_modified);
	else if (same_word(name, "if-none-match"))
		take(value, q->if_none_match, sizeof q->if_none_match);
	else if (same_word(name, "accept"))
		take(value, q->accept, sizeof q->accept);
	return 0;
}

int http_request_parse(struct rd head, struct http_request *ret, struct err *e)
{
	struct http_request q = { 0 };
	struct rd line = crlf_line(&head), name, value;
	int r = rd_ok(&line) ? request_line(line, &q, e) : err_set(e, EBADMSG, "malformed request");

	for (unsigned n = 0; r == 0 && next_field(&head, &name, &value); n++) {
		r = n < HTTP_FIELDS_MAX ? request_field(name, value, &q) : err_set(e, EBADMSG, "too many fields");
		if (r == -ENOTSUP)
			err_set(e, ENOTSUP, "a request with a body is not served");
	}
	if (r == 0 && !rd_done(&head))
		r = err_set(e, EBADMSG, "malformed field");
	if (r == 0)
		*ret = q;
	return r;
}

/* bytes FIRST-LAST/TOTAL or bytes * /TOTAL */
static bool get_content_range(struct rd v, struct http_response *p)
{
	struct rd first, last;

	if (!starts_with(&v, "bytes "))
		return false;
	first = rd_until(&v, '-');
	last = rd_until(&v, '/');
	if (!rd_ok(&v) || !number(first, &p->first) || !number(last, &p->last) || p->last < p->first || p->last == INT64_MAX)
		return false;
	if (!rd_eq(&v, "*") && (!number(v, &p->total) || p->total <= p->last))
		return false;
	p->has_range = true;
	return true;
}

static int response_field(struct rd name, struct rd value, struct http_response *p)
{
	if (same_word(name, "content-length")) {
		if (p->has_length || !number(value, &p->length))
			return -EBADMSG;
		p->has_length = true;
	} else if (same_word(name, "transfer-encoding")) {
		if (p->chunked || !same_word(value, "chunked"))
			return -EBADMSG;
		p->chunked = true;
	} else if (same_word(name, "content-range")) {
		/* that of a refusal (416) has no first byte */
		if (p->status == 206 && (p->has_range || !get_content_range(value, p)))
			return -EBADMSG;
	} else if (same_word(name, "connection") || same_word(name, "proxy-connection")) {
		p->close = p->close || list_has(value, "close");
	} else if (same_word(name, "content-type")) {
		take(value, p->type, sizeof p->type);
	} else if (same_word(name, "last-modified")) {
		take(value, p->modified, sizeof p->modified);
	} else if (same_word(name, "etag")) {
		take(value, p->etag, sizeof p->etag);
	} else if (same_word(name, "location")) {
		take(value, p->location, sizeof p->location);
	} else if (same_word(name, "date")) {
		take(value, p->date, sizeof p->date);
	}
	return 0;
}

static int status_line(struct rd line, struct http_response *p)
{
	char digits[4] = "";
	uint64_t n;

	p->close = starts_with(&line, "http/1.0 ");
	if (!p->close && !starts_with(&line, "http/1.1 "))
		return -EBADMSG;
	rd_bytes(&line, digits, 3);
	if (!rd_ok(&line) || (rd_left(&line) && *line.p != ' ') || str_u64(digits, 599, &n) < 0 || n < 100)
		return -EBADMSG;
	p->status = (unsigned)n;
	return 0;
}

int http_response_parse(struct rd head, struct http_response *ret, struct err *e)
{
	struct http_response p = { 0 };
	struct rd line = crlf_line(&head), name, value;
	int r = rd_ok(&line) ? status_line(line, &p) : -EBADMSG;

	for (unsigned n = 0; r == 0 && next_field(&head, &name, &value); n++)
		r = n < HTTP_FIELDS_MAX ? response_field(name, value, &p) : -EBADMSG;
	/* Where both are given, two readers could see different ends. */
	if (r == 0 && (!rd_done(&head) || (p.chunked && p.has_length) || (p.status == 206 && !p.has_range)))
		r = -EBADMSG;
	if (r < 0)
		return err_set(e, EBADMSG, "malformed answer of the server");
	*ret = p;
	return 0;
}

int http_chunk_line(struct rd line, uint64_t *ret)
{
	uint64_t n = 0;
	size_t digits = rd_left(&line);

	if (digits == 0 || digits > 15)
		return -EBADMSG;
	while (rd_left(&line)) {
		uint8_t c = rd_u8(&line);

		if (ch_digit((char)c))
			n = n << 4 | (uint64_t)(c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			n = n << 4 | (uint64_t)((c | 32) - 'a' + 10);
		else
			return -EBADMSG;
	}
	*ret = n;
	return 0;
}

static void field(struct wr *w, const char *name, const char *value)
{
	if (value[0])
		wr_printf(w, "%s: %s\r\n", name, value);
}

static void host_of(struct wr *w, const struct http_url *u)
{
	bool v6 = strchr(u->host, ':') != NULL;

	wr_printf(w, v6 ? "[%s]" : "%s", u->host);
	if (u->port != (u->tls ? 443 : 80))
		wr_printf(w, ":%u", u->port);
}

void http_request_write(struct wr *w, const struct http_request *q, bool absolute)
{
	if (q->method == HTTP_CONNECT) {
		bool v6 = strchr(q->url.host, ':') != NULL;

		wr_printf(w, v6 ? "CONNECT [%s]:%u HTTP/1.1\r\nHost: [%s]:%u\r\n\r\n" : "CONNECT %s:%u HTTP/1.1\r\nHost: %s:%u\r\n\r\n", q->url.host,
			  q->url.port, q->url.host, q->url.port);
		return;
	}
	wr_str(w, q->method == HTTP_GET ? "GET " : "HEAD ");
	if (absolute) {
		wr_str(w, "http://");
		host_of(w, &q->url);
	}
	wr_printf(w, "%s HTTP/1.1\r\nHost: ", q->url.path);
	host_of(w, &q->url);
	wr_str(w, "\r\nConnection: close\r\nUser-Agent: bulkhead-updates-proxy\r\n");
	if (q->no_cache)
		wr_str(w, "Cache-Control: no-cache\r\n");
	if (q->range)
		wr_printf(w, "Range: bytes=%llu-\r\n", (unsigned long long)q->first);
	field(w, "If-Range", q->range ? q->if_range : "");
	field(w, "If-Modified-Since", q->if_modified);
	field(w, "If-None-Match", q->if_none_match);
	field(w, "Accept", q->accept);
	wr_str(w, "\r\n");
}

void http_response_write(struct wr *w, const struct http_response *p, bool keep)
{
	wr_printf(w, "HTTP/1.1 %u %s\r\n", p->status, http_reason(p->status));
	field(w, "Date", p->date);
	field(w, "Content-Type", p->type);
	field(w, "Last-Modified", p->modified);
	field(w, "ETag", p->etag);
	field(w, "Location", p->location);
	if (p->has_range && p->total)
		wr_printf(w, "Content-Range: bytes %llu-%llu/%llu\r\n", (unsigned long long)p->first, (unsigned long long)p->last,
			  (unsigned long long)p->total);
	else if (p->has_range)
		wr_printf(w, "Content-Range: bytes %llu-%llu/*\r\n", (unsigned long long)p->first, (unsigned long long)p->last);
	if (p->has_length)
		wr_printf(w, "Content-Length: %llu\r\n", (unsigned long long)p->length);
	if (p->chunked)
		wr_str(w, "Transfer-Encoding: chunked\r\n");
	wr_printf(w, "Via: 1.1 bulkhead-updates-proxy\r\nConnection: %s\r\n\r\n", keep ? "keep-alive" : "close");
}
