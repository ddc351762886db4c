/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A file by way of the cache. Whoever has the lock of a file fetches it, as fast as the server sends and whatever its own client does; everybody,
 * the owner too, sends to its client from the file. An owner that ends leaves a part that the next one goes on with.
 */
#include <poll.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "updates/updates.h"

#define PIECE 65536u
#define LOOK_MS 50	 /* how often a file that somebody else fetches is looked at */
#define RESUMES_MAX 5	 /* broken connections to the server in one fetch */
#define OPENS_MAX 20

struct feed {
	struct proxy *p;
	const struct http_request *q;
	struct cache_file f;
	struct server s;
	struct cache_head head; /* what the client was told */
	bool told, keep;
	uint64_t sent; /* position in the content */
	unsigned resumes;
	uint64_t server_us, client_us; /* when each side was last heard of */
	uint8_t buf[PIECE];
};

static const char *validator(const struct cache_head *h)
{
	return h->etag[0] && !str_starts(h->etag, "W/") ? h->etag : h->modified;
}

static bool same_content(const struct cache_head *a, const struct cache_head *b)
{
	return a->total == b->total && streq(a->etag, b->etag) && streq(a->modified, b->modified);
}

static void head_of(const struct http_request *q, const struct http_response *r, struct cache_head *ret)
{
	struct cache_head h = { .port = q->url.port, .total = r->length };

	memcpy(h.host, q->url.host, sizeof h.host);
	memcpy(h.path, q->url.path, sizeof h.path);
	memcpy(h.type, r->type, sizeof h.type);
	memcpy(h.modified, r->modified, sizeof h.modified);
	memcpy(h.etag, r->etag, sizeof h.etag);
	*ret = h;
}

/* The request that is made for everybody: nothing of this one client but the URL. */
static struct http_request plain(const struct http_request *q)
{
	struct http_request r = { .method = HTTP_GET, .url = q->url, .no_cache = q->no_cache };

	return r;
}

/* Goes on with a part. 1 = the server sends the rest; 0 = it has something else now. */
static int resume(struct feed *d, struct err *e)
{
	struct http_request q = plain(d->q);
	struct http_response r;
	const char *v = validator(&d->f.head);
	int k;

	if (!v[0])
		return 0;
	q.range = true;
	q.first = d->f.have;
	if (str_copy(q.if_range, sizeof q.if_range, v) < 0)
		return 0;
	k = server_open(d->p, &q, &d->s, &r, e);
	if (k < 0)
		return k;
	if (r.status == 206 && r.first == d->f.have && r.last + 1 == d->f.head.total && (r.total == 0 || r.total == d->f.head.total) && !r.chunked)
		return 1;
	server_close(&d->s);
	return 0;
}

/* Asks for the whole file. 1 = it is being kept; 0 = the answer was passed on and that is all. */
static int begin(struct feed *d, struct err *e)
{
	struct http_request q = plain(d->q);
	struct cache_head h;
	struct http_response r;
	int k = server_open(d->p, &q, &d->s, &r, e);

	if (k < 0) {
		cache_drop(&d->p->cache, &d->f);
		return k;
	}
	head_of(&q, &r, &h);
	if (r.status == 200 && r.has_length && !(d->told && !same_content(&d->head, &h)) && cache_begin(&d->p->cache, &d->f, &h, e) == 0)
		return 1;
	err_clear(e);
	cache_drop(&d->p->cache, &d->f);
	if (d->told) {
		server_close(&d->s);
		return err_set(e, ESTALE, "the server has another file now");
	}
	k = relay_answer(d->p, d->q, &d->s, &r, &d->keep, e);
	server_close(&d->s);
	return k;
}

/* Finds the file, and begins or goes on when nobody else fetches it. 1 = there is something to send; 0 = answered already. */
static int attach(struct feed *d, bool again, struct err *e)
{
	for (unsigned i = 0; i < OPENS_MAX; i++) {
		int r = cache_open(&d->p->cache, d->q, again, &d->f, e);

		again = false;
		if (r < 0)
			return r;
		if (d->told && d->f.has_head && !same_content(&d->head, &d->f.head)) {
			cache_close(&d->f);
			return err_set(e, ESTALE, "the server has another file now");
		}
		if (d->f.state != CACHE_OURS)
			return 1;
		if (!d->f.has_head || !d->f.have)
			return begin(d, e);
		r = resume(d, e);
		if (r != 0)
			return r;
		cache_drop(&d->p->cache, &d->f);
	}
	return err_set(e, EAGAIN, "the file changes all the time");
}

/* Takes what the server sent. */
static int take(struct feed *d, struct err *e)
{
	ssize_t n = server_read(&d->s, d->buf, sizeof d->buf);
	int r;

	if (n > 0) {
		d->server_us = now_us();
		r = cache_append(&d->f, d->buf, (size_t)n, e);
		if (r < 0)
			return r;
		if (d->f.have < d->f.head.total)
			return 0;
		server_close(&d->s);
		return cache_finish(&d->p->cache, &d->f, e);
	}
	server_close(&d->s);
	if (++d->resumes > RESUMES_MAX)
		return err_set(e, ECONNRESET, "the server breaks off again and again");
	r = resume(d, e);
	d->server_us = now_us();
	return r == 0 ? err_set(e, ESTALE, "the server has another file now") : r < 0 ? r : 0;
}

static int tell(struct feed *d)
{
	const struct cache_head *h = &d->f.head;
	const struct http_request *q = d->q;
	struct http_response r = { .status = 200, .has_length = true, .length = h->total };
	bool part = q->range && q->first < h->total && (!q->if_range[0] || streq(q->if_range, h->etag) || streq(q->if_range, h->modified));

	memcpy(r.type, h->type, sizeof r.type);
	memcpy(r.modified, h->modified, sizeof r.modified);
	memcpy(r.etag, h->etag, sizeof r.etag);
	if (part) {
		r.status = 206;
		r.has_range = true;
		r.first = d->sent = q->first;
		r.last = h->total - 1;
		r.total = h->total;
		r.length = h->total - q->first;
	}
	d->head = *h;
	d->told = true;
	return client_head(d->p, &r, d->keep);
}

/* Sends what is there, as far as the client takes it now. */
static int push(struct feed *d, struct err *e)
{
	ssize_t n = pread(d->f.fd, d->buf, MIN((uint64_t)sizeof d->buf, d->f.have - d->sent), (off_t)(CACHE_HEAD + d->sent)), k;

	if (n <= 0)
		return err_errno(e, n < 0 ? errno : EIO, "the cache of packages");
	k = write(d->p->out, d->buf, (size_t)n);
	if (k < 0 && errno != EAGAIN && errno != EINTR)
		return err_errno(e, errno, "sending to the qube");
	if (k > 0) {
		d->sent += (uint64_t)k;
		d->client_us = now_us();
	}
	return 0;
}

static bool late(uint64_t since, unsigned ms)
{
	return now_us() - since > (uint64_t)ms * 1000;
}

static int step(struct feed *d, struct err *e)
{
	bool fetching = d->s.fd >= 0, waiting = d->f.state == CACHE_THEIRS && d->f.have < d->f.head.total, data = d->f.have > d->sent && d->told;
	struct pollfd f[] = {
		{ .fd = d->p->out, .events = data ? POLLOUT : 0 },
		{ .fd = fetching ? d->s.fd : -1, .events = POLLIN },
	};
	bool ready = fetching && server_left(&d->s);
	int n = poll(f, ARRAY_SIZE(f), ready ? 0 : waiting || !d->f.has_head ? LOOK_MS : 1000), r = 0;

	if (n < 0 && errno != EINTR)
		return err_errno(e, errno, "poll");
	if (n >= 0 && f[0].revents & (POLLERR | POLLHUP))
		return err_set(e, EPIPE, "the qube has gone");
	if (ready || (n > 0 && f[1].revents))
		r = take(d, e);
	if (r == 0 && n > 0 && f[0].revents & POLLOUT)
		r = push(d, e);
	if (r == 0 && d->f.state == CACHE_THEIRS && (!d->f.has_head || d->f.have < d->f.head.total)) {
		r = cache_look(&d->f, e);
		if (r == 1) {
			cache_close(&d->f);
			r = attach(d, false, e);
			d->server_us = now_us();
			/* 0: the answer went out in another way */
			return r == 0 ? -EALREADY : MIN(r, 0);
		}
	}
	if (r == 0 && fetching && late(d->server_us, UP_IDLE_SERVER_MS))
		r = err_set(e, ETIMEDOUT, "the server is silent");
	if (r == 0 && data && late(d->client_us, UP_IDLE_CLIENT_MS))
		r = err_set(e, ETIMEDOUT, "the qube is silent");
	return r;
}

static const char *how_of(const struct feed *d)
{
	return d->f.state == CACHE_WHOLE ? "kept" : d->f.state == CACHE_THEIRS ? "shared" : d->f.have ? "resumed" : "fetched";
}

static int run(struct feed *d, const char **how, struct err *e)
{
	int r = attach(d, d->q->no_cache, e);

	if (r <= 0)
		return r;
	*how = how_of(d);
	d->server_us = d->client_us = now_us();
	do {
		if (!d->told && d->f.has_head) {
			r = tell(d);
			if (r < 0)
				return err_errno(e, -r, "sending to the qube");
			d->client_us = now_us();
		}
		if (d->told && d->sent == d->head.total && d->s.fd < 0)
			return 0;
		r = step(d, e);
	} while (r == 0);
	return r == -EALREADY ? 0 : r;
}

int fetch_cached(struct proxy *p, const struct http_request *q, bool *keep, const char **ret_how, struct err *e)
{
	_cleanup_free_ struct feed *d = xcalloc(1, sizeof *d);
	int r;

	d->p = p;
	d->q = q;
	d->s.fd = d->f.fd = -1;
	d->keep = *keep;
	r = run(d, ret_how, e);
	*keep = d->keep;
	if (r < 0 && r != -ENOENT && !d->told)
		(void)client_refuse(p, q, r == -EACCES ? 403 : r == -ETIMEDOUT ? 504 : 502, err_text(e, r));
	server_close(&d->s);
	cache_close(&d->f);
	return r;
}
