/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The core's connection: one at a time, the last that came. It survives the core's restart by coming again and reading LD_HELLO. */
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/linkd/linkd.h"

static void drop(struct linkd *d)
{
	ev_io_free(d->ctl_ev);
	d->ctl_ev = NULL;
	fd_closep(&d->ctl);
}

void ctl_send(struct linkd *d, uint32_t type, uint32_t serial, uint32_t flags, const struct wr *w)
{
	if (d->ctl < 0)
		return;
	/* A core that does not read is not waited for; when it comes again it learns the state from LD_HELLO. */
	if (msg_send(d->ctl, type, serial, flags, w, NULL, 0) < 0)
		shutdown(d->ctl, SHUT_RDWR);
}

void ctl_event(struct linkd *d, enum ld_event ev, uint32_t detail, const char *text)
{
	struct ipc_ld_event m = { .event = (uint8_t)ev, .detail = detail };
	uint8_t buf[256];
	struct wr w = wr_mem(buf, sizeof buf);

	str_escape(m.text, sizeof m.text, text, strlen(text));
	ipc_put_ld_event(&w, &m);
	ctl_send(d, IPC_LD_EVENT, 0, 0, &w);
}

void ctl_answer(struct linkd *d, uint32_t type, uint32_t serial, int code, const char *text)
{
	struct err e = { 0 };
	int r;

	if (d->ctl < 0)
		return;
	if (code)
		err_set(&e, code, "%s", text);
	r = code ? ipc_send_err(d->ctl, type, serial, code, &e) : ipc_send_ok(d->ctl, type, serial);
	if (r < 0)
		shutdown(d->ctl, SHUT_RDWR);
}

static bool is_stream(int fd)
{
	int domain = 0, type = 0;
	socklen_t n = sizeof domain;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) < 0)
		return false;
	n = sizeof type;
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && domain == AF_UNIX && type == SOCK_STREAM;
}

static int on_cmd(struct linkd *d, struct msg *m)
{
	struct rd r = msg_rd(m);
	struct ipc_ld_cmd c;

	if (ipc_get_ld_cmd(&r, &c) < 0 || !rd_done(&r))
		return -EBADMSG;
	return vm_command(d, c.cmd, m->serial);
}

static int on_resize(struct linkd *d, struct msg *m)
{
	struct rd r = msg_rd(m);
	struct ipc_ld_resize c;

	if (ipc_get_ld_resize(&r, &c) < 0 || !rd_done(&r))
		return -EBADMSG;
	return vm_resize(d, c.disk, c.size, m->serial);
}

static int on_ticket(struct linkd *d, struct msg *m)
{
	struct rd r = msg_rd(m);
	struct ipc_ld_ticket t;
	int code;

	if (ipc_get_ld_ticket(&r, &t) < 0 || !rd_done(&r) || !is_stream(m->fds[0]))
		return -EBADMSG;
	code = meet_ticket(d->meet, t.peer, t.port, !t.guest_listens, m->fds[0]);
	if (code < 0)
		return code;
	m->fds[0] = -1;
	ctl_answer(d, m->type, m->serial, 0, "");
	return 0;
}

static int on_role(struct linkd *d, struct msg *m)
{
	struct rd r = msg_rd(m);
	struct ipc_ld_role_chan c;
	int code;

	if (ipc_get_ld_role_chan(&r, &c) < 0 || !rd_done(&r))
		return -EBADMSG;
	code = link_role(d, c.role, m->fds[0]);
	if (code < 0)
		return code;
	m->fds[0] = -1;
	ctl_answer(d, m->type, m->serial, 0, "");
	return 0;
}

static int on_query(struct linkd *d, struct msg *m)
{
	return vm_query(d, m->serial);
}

static int on_nic_add(struct linkd *d, struct msg *m)
{
	struct rd r = msg_rd(m);
	struct ipc_ld_nic_add c;

	if (ipc_get_ld_nic_add(&r, &c) < 0 || !rd_done(&r) || !is_stream(m->fds[0]))
		return -EBADMSG;
	return nic_add(d, c.port, c.mac, m->fds[0], m->serial);
}

static int on_nic_cut(struct linkd *d, struct msg *m)
{
	struct rd r = msg_rd(m);
	struct ipc_ld_nic_cut c;

	if (ipc_get_ld_nic_cut(&r, &c) < 0 || !rd_done(&r))
		return -EBADMSG;
	return nic_cut(d, c.port, m->serial);
}

static const struct rule {
	uint32_t type;
	size_t n_fds;
	int (*fn)(struct linkd *d, struct msg *m);
} rules[] = {
	{ IPC_LD_CMD, 0, on_cmd },
	{ IPC_LD_TICKET, 1, on_ticket },
	{ IPC_LD_ROLE_CHAN, 1, on_role },
	{ IPC_LD_QUERY, 0, on_query },
	{ IPC_LD_RESIZE, 0, on_resize },
	{ IPC_LD_NIC_ADD, 1, on_nic_add },
	{ IPC_LD_NIC_CUT, 0, on_nic_cut },
};

/* Gives false when the message breaks the rules. */
static bool dispatch(struct linkd *d, struct msg *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		struct err e = { 0 };
		int r;

		if (rules[i].type != m->type)
			continue;
		if (m->n_fds != rules[i].n_fds || m->flags)
			return false;
		r = rules[i].fn(d, m);
		if (r == -EBADMSG)
			return false;
		if (r < 0)
			ctl_answer(d, m->type, m->serial, -r, err_text(&e, r));
		return true;
	}
	return false;
}

static void on_ctl(struct ev_io *io, int fd, int events, void *arg)
{
	struct linkd *d = arg;

	for (int i = 0; i < 16 && d->ctl == fd; i++) {
		_cleanup_msg_ struct msg m = { 0 };
		int r = msg_recv(fd, &m);

		if (r == -EAGAIN)
			return;
		if (r <= 0) {
			drop(d);
			return;
		}
		if (!dispatch(d, &m)) {
			log_error("the core sent a bad message: type=%s", ipc_type_name(m.type));
			drop(d);
			return;
		}
	}
}

static void say_hello(struct linkd *d)
{
	struct ipc_ld_hello h = d->id;
	uint8_t buf[256];
	struct wr w = wr_mem(buf, sizeof buf);

	h.state = (uint8_t)d->state;
	h.console_seen = console_seen(d);
	h.link_up = d->link_up;
	h.qrexec_chan = lcs_has(d->lcs, TAG_QREXEC);
	h.qubesdb_chan = lcs_has(d->lcs, TAG_QUBESDB);
	ipc_put_ld_hello(&w, &h);
	ctl_send(d, IPC_LD_HELLO, 0, 0, &w);
}

static void on_listen(struct ev_io *io, int fd, int events, void *arg)
{
	struct linkd *d = arg;
	int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (conn < 0)
		return;
	drop(d);
	d->ctl = conn;
	d->ctl_ev = ev_io_new(d->loop, conn, EV_READ, on_ctl, d);
	if (!d->ctl_ev)
		drop(d);
	else
		say_hello(d);
	if (d->disk_error)
		ctl_event(d, LD_EV_DISK_ERROR, d->disk_error, d->disk_error_text);
}

int ctl_init(struct linkd *d, int listen_fd)
{
	fd_nonblock(listen_fd, true);
	d->ctl = -1;
	d->ctl_listen = listen_fd;
	d->ctl_listen_ev = ev_io_new(d->loop, listen_fd, EV_READ, on_listen, d);
	return d->ctl_listen_ev ? 0 : -EINVAL;
}

void ctl_free(struct linkd *d)
{
	drop(d);
	ev_io_free(d->ctl_listen_ev);
	fd_closep(&d->ctl_listen);
}
