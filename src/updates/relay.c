/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Answers and tunnels that go through as they come. A body's frame is always our own: what a server says about lengths is read once, here. */
#include <poll.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/str.h"
#include "updates/updates.h"

#define PIECE 16384u

enum frame { FRAME_LENGTH, FRAME_CHUNKED, FRAME_END };

/* The body as the server frames it. */
struct body {
	struct server *s;
	enum frame frame;
	uint64_t left; /* of the length, or of this chunk */
	bool started;
};

/* A line of the chunk frame, its end cut off. */
static int chunk_line(struct server *s, char out[64], size_t *ret_n)
{
	size_t n = 0;

	for (;;) {
		char c;
		ssize_t k = server_read(s, &c, 1);

		if (k <= 0)
			return k < 0 ? (int)k : -ECONNRESET;
		if (c == '\n' && n && out[n - 1] == '\r') {
			*ret_n = n - 1;
			return 0;
		}
		if (n == 63)
			return -EBADMSG;
		out[n++] = c;
	}
}

/* The next chunk's size; at the last one (0) the fields after it are skipped. */
static int next_chunk(struct body *b)
{
	char line[64];
	size_t n;
	int r = 0;

	if (b->started) {
		r = chunk_line(b->s, line, &n);
		if (r == 0 && n)
			r = -EBADMSG;
	}
	b->started = true;
	if (r == 0)
		r = chunk_line(b->s, line, &n);
	if (r == 0)
		r = http_chunk_line(rd_mem(line, n), &b->left);
	for (unsigned i = 0; r == 0 && b->left == 0 && i < HTTP_FIELDS_MAX; i++) {
		r = chunk_line(b->s, line, &n);
		if (r == 0 && n == 0)
			break;
	}
	return r;
}

/* Bytes of the body; 0 at its proper end. */
static ssize_t body_read(struct body *b, void *buf, size_t cap)
{
	ssize_t n;

	if (b->frame == FRAME_END)
		return server_read(b->s, buf, cap);
	if (b->left == 0 && b->frame == FRAME_CHUNKED) {
		int r = next_chunk(b);

		if (r < 0)
			return r;
	}
	if (b->left == 0)
		return 0;
	n = server_read(b->s, buf, MIN((uint64_t)cap, b->left));
	if (n == 0)
		return -ECONNRESET;
	if (n > 0)
		b->left -= (uint64_t)n;
	return n;
}

static int send_piece(struct proxy *p, bool chunked, const uint8_t *buf, size_t n)
{
	char head[24];
	int r = 0;

	if (chunked && str_printf(head, sizeof head, "%zx\r\n", n) == 0)
		r = client_send(p, head, strlen(head));
	if (r == 0 && n)
		r = client_send(p, buf, n);
	return r == 0 && chunked ? client_send(p, "\r\n", 2) : r;
}

static int send_body(struct proxy *p, struct body *b, bool chunked, struct err *e)
{
	uint8_t buf[PIECE];

	for (;;) {
		ssize_t n = body_read(b, buf, sizeof buf);
		int r;

		if (n < 0)
			return err_errno(e, (int)-n, "the answer of the server broke off");
		if (n == 0)
			return chunked ? client_send(p, "0\r\n\r\n", 5) : 0;
		r = send_piece(p, chunked, buf, (size_t)n);
		if (r < 0)
			return err_errno(e, -r, "sending to the qube");
	}
}

int relay_answer(struct proxy *p, const struct http_request *q, struct server *s, struct http_response *r, bool *keep, struct err *e)
{
	bool empty = q->method == HTTP_HEAD || r->status == 204 || r->status == 304;
	struct body b = { .s = s, .frame = r->chunked ? FRAME_CHUNKED : r->has_length ? FRAME_LENGTH : FRAME_END, .left = r->has_length ? r->length : 0 };
	int k;

	if (r->status == 101 || (r->status == 206 && (!q->range || r->first != q->first))) {
		*keep = false;
		(void)client_refuse(p, q, 502, "the server answers what was not asked");
		return err_set(e, EBADMSG, "the server answers what was not asked");
	}
	/* An HTTP/1.0 client closes after each answer and knows no chunks. */
	r->chunked = !empty && !r->has_length && !q->close;
	if (empty && !r->has_length)
		r->has_length = r->status != 304;
	k = client_head(p, r, *keep);
	if (k < 0)
		return err_errno(e, -k, "sending to the qube");
	return empty ? 0 : send_body(p, &b, r->chunked, e);
}

/* One direction of a tunnel. */
struct way {
	int from, to;
	uint8_t buf[PIECE];
	size_t len, pos;
	bool eof, done;
};

static int way_step(struct way *w, short from, short to)
{
	if (from && w->len == w->pos && !w->eof) {
		ssize_t n = read(w->from, w->buf, sizeof w->buf);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n == 0)
			w->eof = true;
		w->pos = 0;
		w->len = n > 0 ? (size_t)n : 0;
	}
	if (w->len > w->pos && (to || from)) {
		ssize_t n = write(w->to, w->buf + w->pos, w->len - w->pos);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		w->pos += n > 0 ? (size_t)n : 0;
	}
	if (w->eof && w->len == w->pos && !w->done) {
		w->done = true;
		(void)shutdown(w->to, SHUT_WR);
	}
	return 0;
}

int relay_tunnel(struct proxy *p, struct server *s, struct err *e)
{
	_cleanup_free_ struct way *up = xcalloc(1, sizeof *up), *down = xcalloc(1, sizeof *down);
	int r = 0;

	up->from = p->in;
	up->to = down->from = s->fd;
	down->to = p->out;
	up->len = MIN(p->len, sizeof up->buf);
	memcpy(up->buf, p->buf, up->len);
	p->len = 0;
	down->len = MIN(server_left(s), sizeof down->buf);
	memcpy(down->buf, s->buf + s->pos, down->len);
	while (r == 0 && !down->done) {
		bool up_full = up->len > up->pos, down_full = down->len > down->pos;
		struct pollfd f[] = {
			{ .fd = up->eof || up_full ? -1 : up->from, .events = POLLIN },
			{ .fd = up_full ? up->to : -1, .events = POLLOUT },
			{ .fd = down->eof || down_full ? -1 : down->from, .events = POLLIN },
			{ .fd = down_full ? down->to : -1, .events = POLLOUT },
		};
		int n = poll(f, ARRAY_SIZE(f), UP_IDLE_CLIENT_MS);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_errno(e, n < 0 ? errno : ETIMEDOUT, "tunnel");
		r = way_step(up, f[0].revents, f[1].revents);
		if (r == 0)
			r = way_step(down, f[2].revents, f[3].revents);
	}
	return r < 0 ? err_errno(e, -r, "tunnel") : 0;
}
