/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Addresses of the tunnel's ends. Only these names are ever asked for outside the tunnel: the questions carry the mark, the C library's resolver has no part in
 * it, and the wall stops everything else.
 */
#include <arpa/inet.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "agent/net/vpn.h"
#include "base/log.h"
#include "base/str.h"

#define ASK_MS 3000
#define ASK_TRIES 4u

static void next(struct vpn_ask *a);

static void target(struct vpnd *d, size_t of, const char *addr, bool v6)
{
	const struct vpn_end *x = vpn_end(&d->conf, of);
	struct vpn_target *t = &d->target[d->n_targets];

	if (d->n_targets == VPN_TARGETS_MAX || (v6 && !d->ipv6))
		return;
	*t = (struct vpn_target){ .v6 = v6, .tcp = x->tcp, .port = x->port, .of = of };
	if (str_copy(t->addr, sizeof t->addr, addr) == 0)
		d->n_targets++;
}

static void close_socket(struct vpn_ask *a)
{
	ev_io_free(a->io);
	a->io = NULL;
	fd_closep(&a->fd);
	a->fd = -1;
	if (a->timer)
		ev_timer_stop(a->timer);
}

void vpn_names_end(struct vpnd *d)
{
	close_socket(&d->ask);
}

static void on_answer(struct ev_io *io, int fd, int events, void *arg)
{
	struct vpn_ask *a = arg;
	const struct vpn_end *x = vpn_end(&a->d->conf, a->end);
	struct dns_addrs got = { .n = 0 };
	uint8_t buf[DNS_MSG_MAX];
	ssize_t n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
	int r;

	if (n < 0 && errno == EAGAIN)
		return;
	r = n < 0 ? -errno : dns_answer(&got, rd_mem(buf, (size_t)n), a->id, x->host, a->v6);
	/* An answer to something else: somebody guesses. The right one may still come; a refusal waits for the next try. */
	if (r == -EAGAIN)
		return;
	if (r < 0 && r != -ENOENT) {
		ev_io_set(a->io, 0);
		return;
	}
	for (size_t i = 0; i < got.n; i++)
		target(a->d, a->end, got.addr[i], a->v6);
	close_socket(a);
	if (!a->v6 && a->d->ipv6) {
		a->v6 = true;
	} else {
		a->v6 = false;
		a->end++;
	}
	a->tries = 0;
	next(a);
}

static int question(struct vpn_ask *a)
{
	struct vpnd *d = a->d;
	const char *server = d->server[a->tries % d->n_servers];
	bool v6 = strchr(server, ':') != NULL;
	struct sockaddr_in6 s6 = { .sin6_family = AF_INET6, .sin6_port = htons(DNS_PORT) };
	struct sockaddr_in s4 = { .sin_family = AF_INET, .sin_port = htons(DNS_PORT) };
	const unsigned mark = VPN_MARK;
	uint8_t buf[DNS_MSG_MAX];
	struct wr w = wr_mem(buf, sizeof buf);

	if (getrandom(&a->id, sizeof a->id, 0) != sizeof a->id)
		return -EIO;
	dns_question(&w, a->id, vpn_end(&d->conf, a->end)->host, a->v6);
	a->fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (a->fd < 0 || !wr_ok(&w) || inet_pton(v6 ? AF_INET6 : AF_INET, server, v6 ? (void *)&s6.sin6_addr : (void *)&s4.sin_addr) != 1 ||
	    setsockopt(a->fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0 ||
	    connect(a->fd, v6 ? (struct sockaddr *)&s6 : (struct sockaddr *)&s4, v6 ? sizeof s6 : sizeof s4) < 0 || send(a->fd, w.buf, w.len, 0) < 0)
		return -errno;
	a->io = ev_io_new(d->loop, a->fd, EV_READ, on_answer, a);
	return a->io ? 0 : -EIO;
}

static void on_timeout(struct ev_timer *t, void *arg)
{
	struct vpn_ask *a = arg;

	close_socket(a);
	if (++a->tries >= ASK_TRIES) {
		log_warn("nobody tells the address of an end of the tunnel: name=%s", log_escs(vpn_end(&a->d->conf, a->end)->host));
		a->tries = 0;
		a->v6 = false;
		a->end++;
	}
	next(a);
}

static void next(struct vpn_ask *a)
{
	struct vpnd *d = a->d;
	char addr[VPN_ADDR_CAP];
	bool v6;

	for (; a->end < vpn_ends(&d->conf); a->end++) {
		const struct vpn_end *x = vpn_end(&d->conf, a->end);

		if (!x->host[0])
			continue;
		if (vpn_addr(x->host, addr, &v6)) {
			target(d, a->end, addr, v6);
			continue;
		}
		if (d->n_servers == 0)
			break;
		/* A failure waits as long as no answer does. */
		if (question(a) < 0)
			close_socket(a);
		ev_timer_start(a->timer, ASK_MS);
		return;
	}
	if (d->n_targets)
		vpn_set(d, VPN_CONNECTING);
	else
		vpn_fail(d, d->n_servers ? "the address of the VPN's server cannot be found" : "there is no name server that knows the VPN's server");
	vpn_step(d);
}

static void on_begin(struct ev_timer *t, void *arg)
{
	struct vpn_ask *a = arg;

	ev_timer_free(a->timer);
	a->timer = ev_timer_new(a->d->loop, on_timeout, a);
	next(a);
}

/* From the loop, so that vpn_step is never inside itself. */
void vpn_names_begin(struct vpnd *d)
{
	struct vpn_ask *a = &d->ask;
	struct err e = { 0 };

	vpn_names_end(d);
	d->n_targets = 0;
	*a = (struct vpn_ask){ .d = d, .fd = -1, .timer = a->timer };
	ev_timer_free(a->timer);
	a->timer = ev_timer_new(d->loop, on_begin, a);
	vpn_sources();
	/* Their questions may leave; the tunnel may not yet. */
	if (!a->timer || vpn_open(d, &e) < 0)
		vpn_fail(d, e.code ? e.msg : "memory");
	else
		ev_timer_start(a->timer, 1);
}
