/* SPDX-License-Identifier: GPL-3.0-or-later */
/* HTTP heads. First byte: request, response, or chunk line. What was accepted is written, read again, and must say the same. */
#include "base/str.h"
#include "proto/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void request(struct rd head)
{
	struct http_request q, again;
	uint8_t buf[HTTP_HEAD_MAX];
	struct wr w = wr_mem(buf, sizeof buf);

	if (http_request_parse(head, &q, NULL) < 0)
		return;
	/* a server with TLS is reached by a tunnel only */
	if (q.method != HTTP_CONNECT && q.url.tls)
		return;
	http_request_write(&w, &q, true);
	if (!wr_ok(&w) || http_head_len(w.buf, w.len) != (ssize_t)w.len || http_request_parse(rd_mem(w.buf, w.len), &again, NULL) < 0 ||
	    again.method != q.method || again.url.port != q.url.port || !streq(again.url.host, q.url.host))
		abort();
	if (q.method != HTTP_CONNECT && (!streq(again.url.path, q.url.path) || again.range != q.range || again.first != q.first ||
					 !streq(again.if_modified, q.if_modified)))
		abort();
}

static void response(struct rd head)
{
	struct http_response p, again;
	uint8_t buf[HTTP_HEAD_MAX];
	struct wr w = wr_mem(buf, sizeof buf);

	if (http_response_parse(head, &p, NULL) < 0)
		return;
	if (p.status < 100 || p.status > 599 || (p.chunked && p.has_length))
		abort();
	http_response_write(&w, &p, true);
	if (!wr_ok(&w) || http_head_len(w.buf, w.len) != (ssize_t)w.len || http_response_parse(rd_mem(w.buf, w.len), &again, NULL) < 0 ||
	    again.status != p.status || again.length != p.length || again.first != p.first || again.total != p.total ||
	    !streq(again.location, p.location) || !streq(again.etag, p.etag))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t n;
	ssize_t len;

	if (size < 1)
		return 0;
	len = http_head_len(data + 1, size - 1);
	if (len > 0 && data[0] == 'q')
		request(rd_mem(data + 1, (size_t)len));
	else if (len > 0 && data[0] == 'p')
		response(rd_mem(data + 1, (size_t)len));
	else if (data[0] == 'c' && http_chunk_line(rd_mem(data + 1, size - 1), &n) == 0 && n >> 60)
		abort();
	return 0;
}
