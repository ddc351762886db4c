/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The guest's console: a log that is bounded and holds only printable text, the last bytes for a viewer that comes later, and one viewer
 * at a time whose input goes to the guest.
 */
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "daemon/linkd/linkd.h"

#define LOG_MAX (1u << 20)
#define REPLAY 65536
#define IN_MAX 65536
#define OUT_HIGH 65536

struct console {
	struct linkd *d;
	struct chan_stream *guest, *viewer;
	struct ev_io *listen_ev;
	int log_fd;
	size_t logged;
	bool seen;
	uint8_t ring[REPLAY];
	size_t ring_len, ring_pos; /* ring_pos: where the next byte goes */
};

bool console_seen(const struct linkd *d)
{
	return d->console->seen;
}

static void remember(struct console *c, const uint8_t *p, size_t n)
{
	if (n > REPLAY) {
		p += n - REPLAY;
		n = REPLAY;
	}
	for (size_t done = 0; done < n;) {
		size_t k = MIN(n - done, REPLAY - c->ring_pos);

		memcpy(c->ring + c->ring_pos, p + done, k);
		c->ring_pos = (c->ring_pos + k) % REPLAY;
		done += k;
	}
	c->ring_len = MIN(c->ring_len + n, (size_t)REPLAY);
}

/* A log is read in terminals: line ends and tabs stay, every other byte that is not printable ASCII becomes \xNN. */
static void write_log(struct console *c, const uint8_t *p, size_t n)
{
	static const char hex[] = "0123456789abcdef", note[] = "\n[the console log is full]\n";
	char buf[4096];
	size_t k = 0;

	for (size_t i = 0; i < n && c->logged < LOG_MAX; i++) {
		if (p[i] == '\r')
			continue;
		if ((p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\') || p[i] == '\n' || p[i] == '\t') {
			buf[k++] = (char)p[i];
		} else {
			buf[k++] = '\\';
			buf[k++] = 'x';
			buf[k++] = hex[p[i] >> 4];
			buf[k++] = hex[p[i] & 15];
		}
		c->logged++;
		if (k > sizeof buf - 8 || i + 1 == n || c->logged == LOG_MAX) {
			(void)write_full(c->log_fd, buf, k);
			k = 0;
		}
	}
	if (k)
		(void)write_full(c->log_fd, buf, k);
	if (c->logged == LOG_MAX) {
		(void)write_full(c->log_fd, note, sizeof note - 1);
		c->logged++;
	}
}

static ssize_t on_guest(struct chan_stream *s, const uint8_t *p, size_t n, void *arg)
{
	struct console *c = arg;

	if (!c->seen) {
		c->seen = true;
		ctl_event(c->d, LD_EV_CONSOLE, 0, "");
	}
	write_log(c, p, n);
	remember(c, p, n);
	/* A viewer that does not keep up loses output; the guest never waits for it. */
	if (c->viewer && !chan_stream_full(c->viewer))
		chan_stream_send(c->viewer, p, n);
	return (ssize_t)n;
}

static void on_guest_closed(struct chan_stream *s, int code, void *arg)
{
	struct console *c = arg;

	c->guest = NULL;
	chan_stream_free(s);
	if (c->viewer)
		chan_stream_end(c->viewer);
}

static ssize_t on_viewer(struct chan_stream *s, const uint8_t *p, size_t n, void *arg)
{
	struct console *c = arg;

	if (!c->guest)
		return (ssize_t)n;
	if (chan_stream_full(c->guest)) {
		chan_stream_pause(s, true);
		return 0;
	}
	chan_stream_send(c->guest, p, n);
	return (ssize_t)n;
}

static void on_guest_drained(struct chan_stream *s, void *arg)
{
	struct console *c = arg;

	if (c->viewer)
		chan_stream_pause(c->viewer, false);
}

static void on_viewer_closed(struct chan_stream *s, int code, void *arg)
{
	struct console *c = arg;

	c->viewer = NULL;
	chan_stream_free(s);
}

static const struct chan_stream_ops guest_callbacks = { .data = on_guest, .drained = on_guest_drained,
							.closed = on_guest_closed };
static const struct chan_stream_ops viewer_callbacks = { .data = on_viewer, .closed = on_viewer_closed };

static void on_listen(struct ev_io *io, int fd, int events, void *arg)
{
	struct console *c = arg;
	size_t first = (c->ring_pos + REPLAY - c->ring_len) % REPLAY, k = MIN(c->ring_len, REPLAY - first);
	int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (conn < 0)
		return;
	if (c->viewer) {
		(void)send(conn, LINK_CONSOLE_BUSY, strlen(LINK_CONSOLE_BUSY), MSG_NOSIGNAL | MSG_DONTWAIT);
		close(conn);
		return;
	}
	c->viewer = chan_stream_new(c->d->loop, conn, IN_MAX, OUT_HIGH, &viewer_callbacks, c);
	if (!c->viewer) {
		close(conn);
		return;
	}
	chan_stream_send(c->viewer, c->ring + first, k);
	chan_stream_send(c->viewer, c->ring, c->ring_len - k);
}

int console_init(struct linkd *d, int fd, int listen_fd, int log_fd)
{
	struct console *c = xcalloc(1, sizeof *c);

	d->console = c;
	c->d = d;
	c->log_fd = log_fd;
	fd_nonblock(listen_fd, true);
	c->guest = chan_stream_new(d->loop, fd, IN_MAX, OUT_HIGH, &guest_callbacks, c);
	c->listen_ev = ev_io_new(d->loop, listen_fd, EV_READ, on_listen, c);
	return c->guest && c->listen_ev ? 0 : -EINVAL;
}

void console_free(struct console *c)
{
	if (!c)
		return;
	chan_stream_free(c->guest);
	chan_stream_free(c->viewer);
	ev_io_free(c->listen_ev);
	free(c);
}
