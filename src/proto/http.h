/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * HTTP/1.1 as far as a proxy for package managers needs it: heads of requests and responses, decoded strictly (RFC 9112 without what it only
 * tolerates) and copied into bounded fields, so that nothing of a peer's text is passed on by itself. Pure functions.
 */
#ifndef PROTO_HTTP_H
#define PROTO_HTTP_H

#include "base/err.h"
#include "base/rd.h"
#include "base/wr.h"

#define HTTP_HEAD_MAX 16384u
#define HTTP_PATH_MAX 2048u
#define HTTP_FIELDS_MAX 64u
#define HTTP_HOST_MAX 254u

struct http_url {
	bool tls;
	char host[HTTP_HOST_MAX]; /* lower case, letters digits - . only, or an IPv6 address without brackets */
	uint16_t port;
	char path[HTTP_PATH_MAX]; /* begins with '/', printable ASCII; a fragment is refused */
};

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_CONNECT };

struct http_request {
	enum http_method method;
	struct http_url url; /* CONNECT: host and port only */
	bool close;	     /* the connection ends after the answer */
	bool no_cache;	     /* an answer from a cache is not wanted */
	bool range;	     /* bytes=FIRST- (any other form is passed over, as the protocol allows) */
	uint64_t first;
	char if_range[128], if_modified[64], if_none_match[128], accept[128]; /* "" = not there */
};

struct http_response {
	unsigned status; /* 100 to 599 */
	bool close, chunked, has_length, has_range;
	uint64_t length;		  /* has_length */
	uint64_t first, last, total;	  /* has_range: total 0 = not told */
	char type[128], modified[64], etag[128], location[HTTP_PATH_MAX], date[64];
};

/* http_head_len gives the length of the head that p begins with, its empty line included; 0 = more bytes are needed; -EMSGSIZE when it is too long;
   -EBADMSG when it holds a NUL. */
ssize_t http_head_len(const void *p, size_t n);
/* http_request_parse decodes a whole head. A request with a body, with another method, or not of the form METHOD http://HOST[:PORT]/PATH or
   CONNECT HOST:PORT gives -EBADMSG (malformed), -ENOTSUP (understood and refused). */
int http_request_parse(struct rd head, struct http_request *ret, struct err *e);
int http_response_parse(struct rd head, struct http_response *ret, struct err *e);
/* http_url_parse: http://… and https://… without user or fragment. */
int http_url_parse(struct rd r, struct http_url *ret, struct err *e);
/* http_host_ok: a host name or an IPv4 address as it may stand in a URL (no colon). */
bool http_host_ok(const char *host);
/* http_chunk_line decodes a line of a chunked body: the size, without extensions; -EBADMSG. The line's end is not part of it. */
int http_chunk_line(struct rd line, uint64_t *ret);
/* http_request_write writes a GET or HEAD. absolute: for another proxy. resume > 0: bytes from there on, if the content is still `if_range`. */
void http_request_write(struct wr *w, const struct http_request *q, bool absolute);
/* http_response_write writes the head of an answer; fields of *p that are "" are left out. keep: the connection goes on after it. */
void http_response_write(struct wr *w, const struct http_response *p, bool keep);
/* http_reason gives the phrase of a status. */
const char *http_reason(unsigned status);

#endif
