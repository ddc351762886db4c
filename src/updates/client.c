/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The client's side: one request after the other, each decoded whole before anything is done for it. */
#include <poll.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "updates/updates.h"

int client_send(struct proxy *p, const void *buf, size_t n)
{
	const uint8_t *s = buf;

	while (n) {
		ssize_t k = write(p->out, s, n);
		int r;

		if (k > 0) {
			s += k;
			n -= (size_t)k;
			continue;
		}
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0 && errno != EAGAIN)
			return -errno;
		r = wait_fd(p->out, POLLOUT, UP_IDLE_CLIENT_MS);
		if (r < 0)
			return r;
	}
	return 0;
}

int client_head(struct proxy *p, const struct http_response *r, bool keep)
{
	uint8_t buf[HTTP_HEAD_MAX];
	struct wr w = wr_mem(buf, sizeof buf);

	http_response_write(&w, r, keep);
	return wr_ok(&w) ? client_send(p, w.buf, w.len) : -EMSGSIZE;
}

int client_refuse(struct proxy *p, const struct http_request *q, unsigned status, const char *text)
{
	/* Templates of the reference's anonymous pair look for these words before they fetch anything. */
	const char *end = p->conf.tor ? "\n<meta name=\"application-name\" content=\"tor proxy\"/>\n" : "\n";
	struct http_response r = { .status = status, .has_length = true, .length = strlen(text) + strlen(end), .type = "text/plain" };
	int k;

	if (p->conf.tor && str_copy(r.type, sizeof r.type, "text/html") < 0)
		abort();
	k = client_head(p, &r, false);

	if (k == 0 && !(q && q->method == HTTP_HEAD))
		k = client_send(p, text, strlen(text));
	return k == 0 && !(q && q->method == HTTP_HEAD) ? client_send(p, end, strlen(end)) : k;
}

static unsigned status_of(int r)
{
	return r == -EACCES ? 403 : r == -ETIMEDOUT ? 504 : 502;
}

static int tunnel(struct proxy *p, const struct http_request *q, struct err *e)
{
	static const char ok[] = "HTTP/1.1 200 Connection established\r\n\r\n";
	struct server s = { .fd = -1 };
	struct http_response resp;
	int r = server_open(p, q, &s, &resp, e);

	if (r == 0 && resp.status != 200)
		r = err_set(e, EPROTO, "the proxy of this machine answers %u", resp.status);
	if (r < 0) {
		server_close(&s);
		(void)client_refuse(p, q, status_of(r), err_text(e, r));
		return r;
	}
	r = client_send(p, ok, sizeof ok - 1);
	if (r == 0)
		r = relay_tunnel(p, &s, e);
	server_close(&s);
	return r;
}

static int pass(struct proxy *p, const struct http_request *q, bool *keep, struct err *e)
{
	struct server s = { .fd = -1 };
	struct http_response resp;
	int r = server_open(p, q, &s, &resp, e);

	if (r < 0) {
		*keep = false;
		(void)client_refuse(p, q, status_of(r), err_text(e, r));
		return r;
	}
	r = relay_answer(p, q, &s, &resp, keep, e);
	server_close(&s);
	return r;
}

/* One request. Negative: the connection ends. */
static int serve_one(struct proxy *p, const struct http_request *q)
{
	const char *how = "passed on";
	bool keep = !q->close;
	struct err e = { 0 };
	int r;

	if (q->method != HTTP_CONNECT && q->url.tls) {
		(void)client_refuse(p, q, 501, "a server with TLS is reached by CONNECT");
		return -ENOTSUP;
	}
	if (!conf_find(&p->conf, &q->url)) {
		log_warn("%s: refused: %s port %u", p->caller, q->url.host, q->url.port);
		(void)client_refuse(p, q, 403, "this server is not a package mirror of this system");
		return -EACCES;
	}
	if (q->method == HTTP_CONNECT) {
		how = "tunnel";
		keep = false;
		r = tunnel(p, q, &e);
	} else {
		r = cache_wants(q) ? fetch_cached(p, q, &keep, &how, &e) : -ENOENT;
		if (r == -ENOENT) {
			err_clear(&e);
			r = pass(p, q, &keep, &e);
		}
	}
	if (r < 0)
		log_warn("%s: %s%s: %s", p->caller, q->url.host, q->url.path, err_text(&e, r));
	else
		log_info("%s: %s: %s%s", p->caller, how, q->url.host, q->url.path);
	return r < 0 ? r : keep ? 0 : -ESHUTDOWN;
}

/* Reads until a whole head is there: its length, 0 at the end of the connection. */
static ssize_t read_request(struct proxy *p)
{
	for (;;) {
		ssize_t n = http_head_len(p->buf, p->len), got;
		int r;

		if (n != 0)
			return n;
		r = wait_fd(p->in, POLLIN, UP_IDLE_CLIENT_MS);
		if (r < 0)
			return r;
		got = read(p->in, p->buf + p->len, sizeof p->buf - p->len);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return p->len ? -EBADMSG : 0;
		p->len += (size_t)got;
	}
}

int proxy_serve(struct proxy *p)
{
	for (;;) {
		ssize_t n = read_request(p);
		struct http_request q;
		struct err e = { 0 };
		int r;

		if (n == 0)
			return 0;
		if (n < 0) {
			if (n == -EMSGSIZE || n == -EBADMSG)
				(void)client_refuse(p, NULL, n == -EMSGSIZE ? 431 : 400, "malformed request");
			return (int)n;
		}
		r = http_request_parse(rd_mem(p->buf, (size_t)n), &q, &e);
		if (r < 0) {
			(void)client_refuse(p, NULL, r == -ENOTSUP ? 501 : 400, err_text(&e, r));
			return r;
		}
		p->len -= (size_t)n;
		memmove(p->buf, p->buf + n, p->len);
		r = serve_one(p, &q);
		if (r < 0)
			return r == -ESHUTDOWN ? 0 : r;
	}
}
