/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * uplink-filter: between a NetVM's machine and passt. What the machine sends goes on only if proto/frame.h lets it: passt would open connections to this
 * machine's own addresses, its loopback among them. What comes back is passed on unread. It ends with either side.
 */
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "daemon/uplink-filter/fds.h"
#include "proto/frame.h"

#define BUF (4 * (FRAME_MAX + 4))
#define OWN_SEQ 1u

/* One direction. Bytes from in wait in buf; done of them have been judged or sent. */
struct way {
	int in, out;
	bool judged; /* frames are looked at */
	uint8_t buf[BUF];
	size_t len;   /* bytes in buf */
	size_t ready; /* of those: may be sent */
};

struct filter {
	struct way up, down;
	int kernel; /* what this machine's addresses are */
	struct frame_own own, next;
	bool asking, again;
	uint64_t dropped;
};

static int ask_addresses(struct filter *f, struct err *e)
{
	struct {
		struct nlmsghdr h;
		struct rtgenmsg g;
	} q = { .h = { .nlmsg_len = sizeof q, .nlmsg_type = RTM_GETADDR, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = OWN_SEQ },
		.g = { .rtgen_family = AF_INET } };

	f->next.n = 0;
	f->next.full = f->again = false;
	f->asking = true;
	return send(f->kernel, &q, sizeof q, 0) == (ssize_t)sizeof q ? 0 : err_errno(e, errno, "asking for this machine's addresses");
}

/* A change of addresses is a reason to ask anew: notices may get lost, the answer is whole. */
static int on_kernel(struct filter *f, struct err *e)
{
	uint8_t buf[32768];
	ssize_t n = recv(f->kernel, buf, sizeof buf, MSG_DONTWAIT);
	struct rd d = rd_mem(buf, n > 0 ? (size_t)n : 0), head = d;
	bool end = false;

	if (n < 0 && errno != ENOBUFS)
		return errno == EAGAIN || errno == EINTR ? 0 : err_errno(e, errno, "this machine's addresses");
	rd_skip(&head, 8);
	if (n < 0 || rd_u32le(&head) != OWN_SEQ)
		f->again = true;
	else if (!frame_own_read(&f->next, d, &end))
		return err_set(e, EPROTO, "this machine's addresses are not known");
	if (end) {
		f->own = f->next;
		f->asking = false;
	}
	return !f->asking && f->again ? ask_addresses(f, e) : 0;
}

/* Takes the frames out of the buffer that may not leave. What is left of an unfinished frame stays behind the ready part. */
static int judge(struct filter *f, struct way *w, struct err *e)
{
	size_t from = w->ready;

	while (w->len - from >= 4) {
		struct rd r = rd_mem(w->buf + from, w->len - from);
		size_t n = rd_u32be(&r);

		if (n > FRAME_MAX)
			return err_set(e, EPROTO, "a frame of %zu bytes", n);
		if (rd_left(&r) < n)
			break;
		if (frame_leaves(rd_sub(&r, n), &f->own)) {
			memmove(w->buf + w->ready, w->buf + from, n + 4);
			w->ready += n + 4;
		} else {
			f->dropped++;
		}
		from += n + 4;
	}
	memmove(w->buf + w->ready, w->buf + from, w->len - from);
	w->len -= from - w->ready;
	return 0;
}

/* 1: the other side is gone. */
static int take(struct filter *f, struct way *w, struct err *e)
{
	ssize_t n = recv(w->in, w->buf + w->len, BUF - w->len, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return 1;
	w->len += (size_t)n;
	if (w->judged)
		return judge(f, w, e);
	w->ready = w->len;
	return 0;
}

static int give(struct way *w)
{
	ssize_t n = send(w->out, w->buf, w->ready, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : 1;
	memmove(w->buf, w->buf + n, w->len - (size_t)n);
	w->len -= (size_t)n;
	w->ready -= (size_t)n;
	return 0;
}

static short wants(const struct way *in, const struct way *out)
{
	/* Nothing is read while earlier bytes wait: the sender waits too, as on a cable that is busy. */
	return (short)((in->ready == 0 ? POLLIN : 0) | (out->ready ? POLLOUT : 0));
}

static int side(struct filter *f, short events, struct way *in, struct way *out, struct err *e)
{
	int r = 0;

	if (events & POLLOUT)
		r = give(out);
	if (r == 0 && (events & (POLLIN | POLLHUP | POLLERR)))
		r = in->ready == 0 ? take(f, in, e) : events & POLLIN ? 0 : 1;
	return r;
}

static int serve(struct filter *f, struct err *e)
{
	int r = ask_addresses(f, e);

	while (r == 0) {
		struct pollfd p[] = { { .fd = FILTER_FD_MACHINE, .events = wants(&f->up, &f->down) },
				      { .fd = FILTER_FD_NETWORK, .events = wants(&f->down, &f->up) },
				      { .fd = f->kernel, .events = POLLIN } };

		if (poll(p, ARRAY_SIZE(p), -1) < 0) {
			if (errno != EINTR)
				return err_errno(e, errno, "poll");
			continue;
		}
		/* The addresses first: a frame to one that has just come is not let through. */
		if (p[2].revents)
			r = on_kernel(f, e);
		if (r == 0 && p[0].revents)
			r = side(f, p[0].revents, &f->up, &f->down, e);
		if (r == 0 && p[1].revents)
			r = side(f, p[1].revents, &f->down, &f->up, e);
	}
	return r < 0 ? r : 0;
}

static int watch_addresses(struct err *e)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0) {
		fd_closep(&fd);
		return err_errno(e, errno, "this machine's addresses");
	}
	return fd;
}

int main(void)
{
	static struct filter f = { .up = { .in = FILTER_FD_MACHINE, .out = FILTER_FD_NETWORK, .judged = true },
				   .down = { .in = FILTER_FD_NETWORK, .out = FILTER_FD_MACHINE },
				   .own = { .full = true } };
	struct err e = { 0 };
	int r;

	log_init("uplink-filter", NULL, -1);
	f.kernel = r = watch_addresses(&e);
	if (r >= 0)
		r = sandbox_enter(SB_UPLINK_FILTER, NULL, 0, &e);
	if (r >= 0)
		r = serve(&f, &e);
	if (r < 0)
		log_error("%s", err_text(&e, r));
	if (f.dropped)
		log_info("frames that were not let out: %llu", (unsigned long long)f.dropped);
	return r < 0 ? 1 : 0;
}
