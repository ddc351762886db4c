/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Event streams of the Admin API. */
#include "client/admin.h"

#include <poll.h>

#include "base/io.h"
#include "base/str.h"

#define EVENT_MAX (256u * 1024) /* one event; more is an error of the daemon */

int adm_events_next(struct adm_events *s, int timeout_ms, struct adm_event *ret, struct err *e)
{
	uint64_t end = timeout_ms < 0 ? 0 : now_us() + (uint64_t)timeout_ms * 1000;

	if (s->used) {
		memmove(s->buf, s->buf + s->used, s->len - s->used);
		s->len -= s->used;
		s->used = 0;
	}
	for (;;) {
		struct pollfd pfd = { .fd = s->fd, .events = POLLIN };
		int wait = -1, r;
		ssize_t n = s->len ? adm_event_parse(ret, s->buf, s->len) : 0;

		if (n < 0)
			return err_set(e, ADM_BAD_ANSWER, "the event stream of qubesd is malformed");
		if (n > 0) {
			s->used = (size_t)n;
			return 1;
		}
		if (timeout_ms >= 0) {
			uint64_t now = now_us();

			wait = now >= end ? 0 : (int)((end - now + 999) / 1000);
		}
		r = poll(&pfd, 1, wait);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_errno(e, errno, "waiting for events");
		if (r == 0)
			return -ETIMEDOUT;
		if (s->len == s->cap) {
			if (s->cap >= EVENT_MAX)
				return err_set(e, ADM_BAD_ANSWER, "an event of qubesd is too long");
			s->cap = s->cap ? s->cap * 4 : 4096;
			s->buf = xreallocarray(s->buf, s->cap, 1);
		}
		n = read(s->fd, s->buf + s->len, s->cap - s->len);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0 && errno != ECONNRESET)
			return err_errno(e, errno, "reading events");
		if (n <= 0)
			return 0;
		s->len += (size_t)n;
	}
}

/* An exception instead of the first event: what has been read so far is its beginning. */
static int first_is_exception(struct adm_events *s, struct err *e)
{
	struct adm_reply rep = { 0 };

	for (;;) {
		ssize_t n;

		if (s->len == s->cap && s->cap < EVENT_MAX) {
			s->cap = s->cap * 4;
			s->buf = xreallocarray(s->buf, s->cap, 1);
		}
		n = read(s->fd, s->buf + s->len, s->cap - s->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		s->len += (size_t)n;
	}
	return adm_parse(&rep, s->buf, s->len, e);
}

/* fd: the request is sent; taken over. */
static int established(struct adm_events *s, int fd, struct err *e)
{
	struct adm_event ev;
	int r;

	*s = (struct adm_events){ .fd = fd };
	if (fd < 0)
		return fd;
	s->cap = 4096;
	s->buf = xmalloc(s->cap);
	do {
		ssize_t n = read(s->fd, s->buf + s->len, s->cap - s->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			r = err_set(e, ADM_NO_ANSWER, "qubesd closed the event stream at once");
			goto fail;
		}
		s->len += (size_t)n;
	} while (s->len < 2);
	if (s->buf[0] == '2') {
		r = first_is_exception(s, e);
		goto fail;
	}
	r = adm_events_next(s, -1, &ev, e);
	if (r == 1 && streq(ev.name, "connection-established"))
		return 0;
	if (r >= 0)
		r = err_set(e, ADM_BAD_ANSWER, "the event stream of qubesd does not begin with connection-established");
fail:
	adm_events_close(s);
	return r;
}

int adm_events_open(struct adm_events *s, const char *dest, const char *method, struct err *e)
{
	return established(s, adm_begin(dest, method, NULL, NULL, 0, e), e);
}

int adm_hold(struct adm_events *s, const char *qube, struct err *e)
{
	return established(s, adm_begin_internal(qube, "internal.vm.Hold", e), e);
}

void adm_events_close(struct adm_events *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	free(s->buf);
	s->buf = NULL;
	s->len = s->used = s->cap = 0;
}
