/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages with descriptors over SEQPACKET sockets. */
#include "base/msg.h"

#include <poll.h>
#include <sys/socket.h>

union control {
	struct cmsghdr hdr;
	char buf[CMSG_SPACE(sizeof(int) * MSG_FDS_MAX)];
};

int msg_send(int fd, uint32_t type, uint32_t serial, uint32_t flags, const struct wr *w, const int *fds,
	     size_t n_fds)
{
	uint8_t hdr[MSG_HDR_LEN];
	struct wr h = wr_mem(hdr, sizeof hdr);
	size_t len = w ? w->len : 0;
	struct iovec iov[2] = { { hdr, sizeof hdr }, { w ? w->buf : NULL, len } };
	union control c = { 0 };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = len ? 2 : 1 };

	if ((w && !wr_ok(w)) || len > MSG_PAYLOAD_MAX || n_fds > MSG_FDS_MAX)
		return -EMSGSIZE;
	wr_u32le(&h, type);
	wr_u32le(&h, serial);
	wr_u32le(&h, (uint32_t)len);
	wr_u32le(&h, flags);
	if (n_fds) {
		m.msg_control = c.buf;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c.hdr.cmsg_level = SOL_SOCKET;
		c.hdr.cmsg_type = SCM_RIGHTS;
		c.hdr.cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(&c.hdr), fds, sizeof(int) * n_fds);
	}
	for (;;) {
		if (sendmsg(fd, &m, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

/* Every descriptor that arrived is taken over or closed, whatever the datagram looks like. */
static void take_fds(struct msghdr *m, struct msg *ret)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int f;

			memcpy(&f, CMSG_DATA(c) + i * sizeof(int), sizeof f);
			if (ret->n_fds < MSG_FDS_MAX)
				ret->fds[ret->n_fds++] = f;
			else
				close(f);
		}
	}
}

int msg_recv(int fd, struct msg *ret)
{
	static uint8_t buf[MSG_HDR_LEN + MSG_PAYLOAD_MAX + 1];
	struct iovec iov = { buf, sizeof buf };
	union control c;
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.buf, .msg_controllen = sizeof c.buf };
	struct msg out = { .fds = { -1, -1, -1, -1 } };
	struct rd r;
	uint32_t len;
	ssize_t n;

	do {
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	take_fds(&m, &out);
	if (n == 0) {
		msg_fini(&out);
		return 0;
	}
	r = rd_mem(buf, (size_t)n);
	out.type = rd_u32le(&r);
	out.serial = rd_u32le(&r);
	len = rd_u32le(&r);
	out.flags = rd_u32le(&r);
	if (!rd_ok(&r) || m.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || len != rd_left(&r) ||
	    len > MSG_PAYLOAD_MAX) {
		msg_fini(&out);
		return -EBADMSG;
	}
	out.data = xmalloc(len);
	out.len = len;
	rd_bytes(&r, out.data, len);
	/* The one copy is the caller's, who may have to wipe it. */
	explicit_bzero(buf, (size_t)n);
	*ret = out;
	return 1;
}

void msg_fini(struct msg *m)
{
	for (size_t i = 0; i < m->n_fds; i++)
		fd_closep(&m->fds[i]);
	m->n_fds = 0;
	free(m->data);
	m->data = NULL;
	m->len = 0;
}

