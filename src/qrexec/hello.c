/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The first and the shortest exchanges on a data vchan. */
#include <poll.h>
#include <sys/socket.h>

#include "base/io.h"
#include "proto/qrexec.h"
#include "qrexec/pump.h"

#define HELLO_LEN (QX_HDR_LEN + 4)

static int wait_for(int fd, short events, uint64_t end, struct err *e)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = events };
		uint64_t now = now_us();
		int n;

		if (now >= end)
			return err_set(e, ETIMEDOUT, "no answer on the data channel");
		n = poll(&p, 1, (int)((end - now + 999) / 1000));
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return err_errno(e, errno, "poll");
	}
}

static int send_all(int fd, const uint8_t *p, size_t n, uint64_t end, struct err *e)
{
	while (n) {
		ssize_t w = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		int r;

		if (w >= 0) {
			p += w;
			n -= (size_t)w;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return err_errno(e, errno, "sending on the data channel");
		r = wait_for(fd, POLLOUT, end, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int recv_all(int fd, uint8_t *p, size_t n, uint64_t end, struct err *e)
{
	while (n) {
		ssize_t got = recv(fd, p, n, MSG_DONTWAIT);
		int r;

		if (got > 0) {
			p += got;
			n -= (size_t)got;
			continue;
		}
		if (got == 0)
			return err_set(e, ECONNRESET, "the data channel was closed");
		if (errno != EAGAIN && errno != EINTR)
			return err_errno(e, errno, "receiving on the data channel");
		r = wait_for(fd, POLLIN, end, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int get_hello(const uint8_t *buf, uint32_t *ret, struct err *e)
{
	struct qx_frame f;
	uint32_t v;

	if (qx_frame(&f, buf, HELLO_LEN, 4) != 1 || f.type != QX_HELLO || qx_get_hello(f.body, &v) < 0)
		return err_set(e, EPROTO, "the peer's first message is not HELLO");
	if (v < QX_VERSION_MIN)
		return err_set(e, EPROTO, "protocol version %u is not supported", v);
	*ret = MIN(v, (uint32_t)QX_VERSION);
	return 0;
}

int pump_hello(int chan, bool server, int timeout_ms, uint32_t *ret, struct err *e)
{
	uint64_t end = now_us() + (uint64_t)timeout_ms * 1000;
	uint8_t ours[HELLO_LEN], theirs[HELLO_LEN];
	struct wr w = wr_mem(ours, sizeof ours);
	int r = 0;

	qx_put_hello(&w, QX_VERSION);
	if (server)
		r = send_all(chan, ours, sizeof ours, end, e);
	if (r == 0)
		r = recv_all(chan, theirs, sizeof theirs, end, e);
	if (r == 0)
		r = get_hello(theirs, ret, e);
	if (r == 0 && !server)
		r = send_all(chan, ours, sizeof ours, end, e);
	return r;
}

int pump_send_exit(int chan, bool with_streams, int code)
{
	uint8_t buf[3 * QX_HDR_LEN + 4];
	struct wr w = wr_mem(buf, sizeof buf);

	if (with_streams) {
		qx_put_hdr(&w, QX_DATA_STDOUT, 0);
		qx_put_hdr(&w, QX_DATA_STDERR, 0);
	}
	qx_put_hdr(&w, QX_DATA_EXIT_CODE, 4);
	wr_u32le(&w, (uint32_t)code);
	return send_all(chan, buf, w.len, now_us() + 10000000, NULL);
}
