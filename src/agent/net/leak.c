/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bulkhead.NetTest: tries what dom0's `qvm-net test` asks for, all at once, as root, and tells what became of each. A raw socket on the qube's device shows what
 * left; answers come on the sockets. It changes nothing and sends one packet or two of each kind.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/str.h"
#include "proto/dnsmsg.h"
#include "proto/nettest.h"

#define INPUT_MAX (64u * 1024)
#define WAIT_MS 4000u
#define QUESTION_ID 0x4248u
#define NAME "example.org"

struct row {
	struct nettest_probe p;
	struct nettest_result r;
	int fd;
	bool done;
};

struct test {
	struct row row[NETTEST_ROWS_MAX];
	size_t n;
	int tap; /* frames of the device; -1 = there is none */
};

union addr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static socklen_t addr_of(union addr *a, const char *text, bool v6, uint16_t port)
{
	memset(a, 0, sizeof *a);
	if (v6) {
		a->v6.sin6_family = AF_INET6;
		a->v6.sin6_port = htons(port);
		(void)inet_pton(AF_INET6, text, &a->v6.sin6_addr);
		return sizeof a->v6;
	}
	a->v4.sin_family = AF_INET;
	a->v4.sin_port = htons(port);
	(void)inet_pton(AF_INET, text, &a->v4.sin_addr);
	return sizeof a->v4;
}

static int proto_of(const struct nettest_probe *p)
{
	if (p->kind == NETTEST_TCP || p->kind == NETTEST_DNS_TCP)
		return IPPROTO_TCP;
	if (p->kind == NETTEST_ICMP)
		return p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	return p->kind == NETTEST_PROTO ? p->number : IPPROTO_UDP;
}

static uint16_t port_of(const struct nettest_probe *p)
{
	return p->kind == NETTEST_ICMP || p->kind == NETTEST_PROTO ? 0 : p->number;
}

/* --- sending ------------------------------------------------------------------------------------------------------------- */

static void sum16(uint8_t *p, size_t n, size_t at)
{
	uint32_t s = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		s += (uint32_t)p[i] << 8 | p[i + 1];
	s = (s >> 16) + (s & 0xffff);
	s = ~(s + (s >> 16));
	p[at] = (uint8_t)(s >> 8);
	p[at + 1] = (uint8_t)s;
}

static void payload(struct wr *w, const struct nettest_probe *p)
{
	if (p->kind == NETTEST_DNS || p->kind == NETTEST_SPOOF) {
		dns_question(w, QUESTION_ID, NAME, false);
	} else if (p->kind == NETTEST_NTP) {
		wr_u8(w, 0x1b);
		wr_zero(w, 47);
	} else if (p->kind == NETTEST_ICMP) {
		wr_u8(w, p->v6 ? 128 : 8);
		wr_zero(w, 3);
		wr_u32be(w, 0x42480001);
		if (!p->v6)
			sum16(w->buf, w->len, 2);
	} else {
		wr_zero(w, 20);
	}
}

/* A whole packet, whose source is somebody else's address. */
static int send_spoofed(struct row *row)
{
	uint8_t buf[600];
	struct wr w = wr_mem(buf, sizeof buf), body = wr_mem(buf + 28, sizeof buf - 28);
	uint8_t bin[4] = { 0 };
	union addr to;
	socklen_t n = addr_of(&to, row->p.addr, false, 0);
	const int on = 1;

	payload(&body, &row->p);
	wr_u8(&w, 0x45);
	wr_zero(&w, 7);
	wr_u8(&w, 64);
	wr_u8(&w, IPPROTO_UDP);
	wr_zero(&w, 2);
	(void)inet_pton(AF_INET, row->p.src, bin);
	wr_bytes(&w, bin, 4);
	(void)inet_pton(AF_INET, row->p.addr, bin);
	wr_bytes(&w, bin, 4);
	wr_u32be(&w, 40000u << 16 | row->p.number);
	wr_u32be(&w, (uint32_t)(8 + body.len) << 16);
	row->fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
	if (row->fd < 0 || setsockopt(row->fd, IPPROTO_IP, IP_HDRINCL, &on, sizeof on) < 0)
		return -errno;
	return sendto(row->fd, buf, w.len + body.len, 0, &to.sa, n) < 0 ? -errno : 0;
}

static int send_one(struct row *row)
{
	const struct nettest_probe *p = &row->p;
	bool tcp = proto_of(p) == IPPROTO_TCP, raw = p->kind == NETTEST_ICMP || p->kind == NETTEST_PROTO;
	uint8_t buf[600];
	struct wr w = wr_mem(buf, sizeof buf);
	const int on = 1;
	union addr to;
	socklen_t n = addr_of(&to, p->addr, p->v6, raw ? 0 : p->number);

	if (p->kind == NETTEST_SPOOF)
		return p->v6 ? -EAFNOSUPPORT : send_spoofed(row);
	row->fd = socket(p->v6 ? AF_INET6 : AF_INET, (raw ? SOCK_RAW : tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, raw ? proto_of(p) : 0);
	if (row->fd < 0)
		return -errno;
	(void)setsockopt(row->fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
	if (connect(row->fd, &to.sa, n) < 0 && !(tcp && errno == EINPROGRESS))
		return -errno;
	if (tcp)
		return 0;
	payload(&w, p);
	return send(row->fd, w.buf, w.len, 0) < 0 ? -errno : 0;
}

static void start(struct row *row)
{
	int r = send_one(row);

	/* Multicast and other protocols are not answered: what left is what counts. */
	if (r == -ECONNREFUSED || r == -EHOSTUNREACH || r == -EACCES || r == -ENOPROTOOPT)
		row->r.outcome = NETTEST_REFUSED;
	else if (r < 0)
		row->r.outcome = NETTEST_NO_WAY;
	row->done = r < 0;
}

/* --- what comes ---------------------------------------------------------------------------------------------------------- */

static void on_reply(struct row *row)
{
	int error = 0;
	socklen_t len = sizeof error;
	uint8_t buf[2048];
	ssize_t n;

	if (proto_of(&row->p) == IPPROTO_TCP) {
		(void)getsockopt(row->fd, SOL_SOCKET, SO_ERROR, &error, &len);
		row->r.outcome = error ? NETTEST_REFUSED : NETTEST_ANSWERED;
		row->done = true;
		return;
	}
	n = recv(row->fd, buf, sizeof buf, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	/* A raw socket shows what this host itself sent to itself, too: an echo's answer has another type. */
	if (n >= 0 && row->p.kind == NETTEST_ICMP && (row->p.v6 ? n < 1 || buf[0] != 129 : n < 21 || buf[20] != 0))
		return;
	row->r.outcome = n < 0 ? NETTEST_REFUSED : NETTEST_ANSWERED;
	row->done = true;
}

/* One frame of the device: going out, it is one of ours; coming in, it may be the answer to a source that is not ours. */
static void on_frame(struct test *t, struct rd f, bool out)
{
	struct rd head;
	uint8_t proto, src[16] = { 0 }, dst[16] = { 0 }, bin[16];
	uint16_t kind, port = 0;
	bool v6;

	rd_skip(&f, 12);
	kind = (uint16_t)(rd_u8(&f) << 8);
	kind = (uint16_t)(kind | rd_u8(&f));
	v6 = kind == ETH_P_IPV6;
	if (!v6 && kind != ETH_P_IP)
		return;
	if (v6) {
		head = rd_sub(&f, 40);
		rd_skip(&head, 6);
		proto = rd_u8(&head);
		rd_skip(&head, 1);
	} else {
		size_t n = rd_left(&f) ? (size_t)(f.p[0] & 15) * 4 : 20;

		head = rd_sub(&f, n);
		rd_skip(&head, 9);
		proto = rd_u8(&head);
		rd_skip(&head, 2);
	}
	rd_bytes(&head, src, v6 ? 16 : 4);
	rd_bytes(&head, dst, v6 ? 16 : 4);
	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP) {
		rd_skip(&f, 2);
		port = (uint16_t)(rd_u8(&f) << 8);
		port = (uint16_t)(port | rd_u8(&f));
	}
	/* Somebody else in the qube may ask for names as well. */
	if (out && proto == IPPROTO_UDP && port == DNS_PORT) {
		rd_skip(&f, 4);
		if ((rd_u8(&f) << 8 | rd_u8(&f)) != QUESTION_ID)
			return;
	}
	if (!rd_ok(&f) || !rd_ok(&head))
		return;
	for (size_t i = 0; i < t->n; i++) {
		struct row *row = &t->row[i];
		const char *want = out ? row->p.addr : row->p.src;

		if (row->p.v6 != v6 || !want[0] || inet_pton(v6 ? AF_INET6 : AF_INET, want, bin) != 1 || memcmp(bin, dst, v6 ? 16 : 4) != 0)
			continue;
		if (!out) {
			row->r.outcome = NETTEST_ANSWERED;
			continue;
		}
		/* The one with a false source and the one without go to the same place. */
		if (row->p.src[0] && (inet_pton(AF_INET, row->p.src, bin) != 1 || memcmp(bin, src, 4) != 0))
			continue;
		if (proto_of(&row->p) == proto && port_of(&row->p) == port)
			row->r.left = true;
	}
}

static void on_tap(struct test *t)
{
	static uint8_t buf[65536];
	struct sockaddr_ll from;
	socklen_t len = sizeof from;
	ssize_t n;

	while ((n = recvfrom(t->tap, buf, sizeof buf, MSG_DONTWAIT, (struct sockaddr *)&from, &len)) >= 0) {
		on_frame(t, rd_mem(buf, (size_t)n), from.sll_pkttype == PACKET_OUTGOING);
		len = sizeof from;
	}
}

static void listen_all(struct test *t)
{
	struct pollfd p[NETTEST_ROWS_MAX + 1];
	uint64_t end = now_us() / 1000 + WAIT_MS, now;

	while ((now = now_us() / 1000) < end) {
		size_t waiting = 0;

		p[0] = (struct pollfd){ .fd = t->tap, .events = POLLIN };
		for (size_t i = 0; i < t->n; i++) {
			struct row *row = &t->row[i];
			bool tcp = proto_of(&row->p) == IPPROTO_TCP;

			p[i + 1] = (struct pollfd){ .fd = row->done ? -1 : row->fd, .events = tcp ? POLLOUT : POLLIN };
			waiting += !row->done;
		}
		if (waiting == 0 || poll(p, (nfds_t)t->n + 1, (int)(end - now)) < 0)
			break;
		if (t->tap >= 0)
			on_tap(t);
		for (size_t i = 0; i < t->n; i++)
			if (!t->row[i].done && p[i + 1].revents)
				on_reply(&t->row[i]);
	}
	if (t->tap >= 0)
		on_tap(t);
}

static int open_tap(void)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	unsigned i = if_nametoindex("eth0");
	int fd;

	a.sll_ifindex = (int)(i ? i : if_nametoindex("ext0"));
	if (!a.sll_ifindex)
		return -1;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));
	if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) < 0)
		fd_closep(&fd);
	return fd;
}

int main(void)
{
	static struct test t;
	_cleanup_free_ char *text = xmalloc(INPUT_MAX);
	_cleanup_wr_ struct wr w = wr_grow(1 << 16);
	ssize_t n = read_full(STDIN_FILENO, text, INPUT_MAX);
	struct rd r = rd_mem(text, n < 0 ? 0 : (size_t)n), line;
	struct err e = { 0 };

	while (rd_line(&r, &line)) {
		if (t.n == NETTEST_ROWS_MAX || nettest_get(&t.row[t.n].p, line, &e) < 0) {
			fprintf(stderr, "bulkhead.NetTest: %s\n", e.code ? e.msg : "too many lines");
			return 2;
		}
		t.row[t.n++].fd = -1;
	}
	t.tap = open_tap();
	for (size_t i = 0; i < t.n; i++)
		start(&t.row[i]);
	listen_all(&t);
	for (size_t i = 0; i < t.n; i++) {
		nettest_answer_put(&w, i, &t.row[i].r);
		fd_closep(&t.row[i].fd);
	}
	fd_closep(&t.tap);
	return wr_ok(&w) && write_full(STDOUT_FILENO, w.buf, w.len) == 0 ? 0 : 1;
}
