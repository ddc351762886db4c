/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The poll loop of the data phase. */
#include "qrexec/pump.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "base/io.h"
#include "proto/qrexec.h"
#include "qrexec/bulk.h"
#include "qrexec/lio.h"

#define IN_CAP (128 * 1024)
/* one message of data, or the short ones of the end behind it */
#define OUT_CAP (QX_HDR_LEN + QX_CHUNK)
#define OUT_SHORT (QX_HDR_LEN + 4)

/* A local source of data messages. */
struct source {
	struct lio io;
	uint32_t type;
	bool eof_due, eof_sent;
	bool bulk, no_bulk; /* comes in long pieces; cannot be moved without copying */
};

enum { P_CHAN, P_TO, P_ERR_TO, P_FROM, P_ERR_FROM, P_CHILD, P_SIGNAL, P_N };

struct pump {
	const struct pump_cfg *cfg;
	struct lio chan, to, err_to;
	struct source src[2]; /* output or input; stderr of a service */
	uint8_t *in, *out;
	size_t in_pos, in_len, out_pos, out_len, prefix_done;
	uint32_t cur_type;    /* the message whose body is being consumed */
	size_t cur_left;
	bool in_body, chan_eof, chan_dead, child_done, exit_queued, remote_done;
	bool ended; /* the peer has closed `to` itself */
	struct lio *blocked;  /* where the head of `in` could not be written */
	int status;	      /* remote's, or the child's */
	unsigned turn;
	int stdin_copy;       /* for SIGUSR1: the socket may become the output after its end of input */
	int signal_fd;
	struct bulk in_bulk, out_bulk;
	bool bulk;	      /* the peer sends long messages: their bodies are not read but moved */
	bool no_bulk, readable;
};

static bool is_service(const struct pump *p)
{
	return p->cfg->role == PUMP_SERVICE;
}

/* --- outbound ----------------------------------------------------------------------------------------------------- */

static bool out_idle(const struct pump *p)
{
	return p->out_pos == p->out_len && !p->out_bulk.len;
}

/* The peer reads no more: what is queued and what local sources still say has no receiver. */
static void out_dead(struct pump *p)
{
	p->chan_dead = true;
	p->out_pos = p->out_len = 0;
	bulk_fini(&p->out_bulk);
	for (size_t i = 0; i < ARRAY_SIZE(p->src); i++) {
		lio_close(&p->src[i].io);
		p->src[i].eof_due = false;
		p->src[i].eof_sent = true;
	}
}

/* First what was copied (at least the header), then what is moved. */
static void out_flush(struct pump *p)
{
	while (!out_idle(p) && !p->chan_dead) {
		bool copied = p->out_pos < p->out_len;
		ssize_t n = copied ? lio_write(&p->chan, p->out + p->out_pos, p->out_len - p->out_pos) :
				     bulk_drain(&p->out_bulk, p->chan.fd);

		if (n == -EAGAIN)
			return;
		if (n < 0)
			out_dead(p);
		else if (copied)
			p->out_pos += (size_t)n;
	}
}

/* out_message sends the n bytes already placed behind the header, and then what is in out_bulk, as one message. */
static void out_message(struct pump *p, uint32_t type, size_t n)
{
	struct wr w = wr_mem(p->out, QX_HDR_LEN);

	qx_put_hdr(&w, type, (uint32_t)(n + p->out_bulk.len));
	p->out_pos = 0;
	p->out_len = QX_HDR_LEN + n;
	out_flush(p);
}

static bool out_room(const struct pump *p)
{
	return out_idle(p) || (!p->out_bulk.len && p->out_len + OUT_SHORT <= OUT_CAP);
}

/* A message of at most 4 bytes behind what is queued (out_room), not sent yet: ends of file and the exit code mostly come together, and the
   receiver is then woken once. */
static void out_short(struct pump *p, uint32_t type, const void *body, size_t n)
{
	struct wr w;

	if (out_idle(p))
		p->out_pos = p->out_len = 0;
	w = wr_mem(p->out + p->out_len, OUT_SHORT);
	qx_put_hdr(&w, type, (uint32_t)n);
	wr_bytes(&w, body, n);
	p->out_len += w.len;
}

static void source_end(struct source *s)
{
	if (!lio_is_open(&s->io))
		return;
	lio_close(&s->io);
	s->eof_due = true;
}

/* Once a stream is seen to be one: a pipe of a few pages has both of its ends wake each other all the time. */
static void widen(struct lio *l)
{
	if (!l->wide)
		bulk_widen(l->fd);
	l->wide = true;
}

static bool source_may_bulk(const struct pump *p, const struct source *s)
{
	return s->bulk && !s->no_bulk && !(s->type == QX_DATA_STDERR && p->cfg->err_copy);
}

static void source_copy(struct pump *p, struct source *s)
{
	ssize_t n = lio_read(&s->io, p->out + QX_HDR_LEN, qx_chunk_max(p->cfg->version));

	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		source_end(s);
		return;
	}
	s->bulk = n >= BULK_MIN;
	if (s->bulk)
		widen(&s->io);
	if (s->type == QX_DATA_STDERR && p->cfg->err_copy)
		p->cfg->err_copy(p->cfg->err_arg, p->out + QX_HDR_LEN, (size_t)n);
	out_message(p, s->type, (size_t)n);
}

static void source_read(struct pump *p, struct source *s)
{
	ssize_t n;

	if (!source_may_bulk(p, s)) {
		source_copy(p, s);
		return;
	}
	n = bulk_fill(&p->out_bulk, s->io.fd, qx_chunk_max(p->cfg->version));
	if (n == -EINVAL) {
		s->no_bulk = true;
		source_copy(p, s);
	} else if (n == 0 || (n < 0 && n != -EAGAIN)) {
		source_end(s);
	} else if (n > 0) {
		s->bulk = n >= BULK_MIN;
		out_message(p, s->type, 0);
	}
}

static void send_prefix(struct pump *p)
{
	size_t n = MIN(p->cfg->prefix_len - p->prefix_done, qx_chunk_max(p->cfg->version));

	memcpy(p->out + QX_HDR_LEN, (const uint8_t *)p->cfg->prefix + p->prefix_done, n);
	p->prefix_done += n;
	out_message(p, p->src[0].type, n);
}

static bool prefix_left(const struct pump *p)
{
	return p->prefix_done < p->cfg->prefix_len;
}

/* Queued ends of file go out as soon as there is room. */
static void send_eofs(struct pump *p)
{
	while (prefix_left(p) && out_idle(p) && !p->chan_dead)
		send_prefix(p);
	for (size_t i = 0; i < ARRAY_SIZE(p->src); i++) {
		struct source *s = &p->src[i];

		if (!s->eof_due || prefix_left(p) || !out_room(p) || p->chan_dead)
			continue;
		s->eof_due = false;
		s->eof_sent = true;
		out_short(p, s->type, NULL, 0);
	}
}

static void send_exit_code(struct pump *p)
{
	uint8_t code[4];
	struct wr w = wr_mem(code, sizeof code);

	wr_u32le(&w, (uint32_t)p->status);
	p->exit_queued = true;
	out_short(p, QX_DATA_EXIT_CODE, code, sizeof code);
}

/* --- inbound ------------------------------------------------------------------------------------------------------ */

/* With PUMP_SHARED the other direction of the socket lives on in its own descriptor: tell the reader that this one has ended. An inherited
   socket is only closed: others may go on writing to it. With PUMP_CUT both directions end in one step when the peer has not said that its input
   is complete, so that nobody takes half of a request for the whole. */
static void to_close(struct pump *p, struct lio *l)
{
	if (!lio_is_open(l))
		return;
	if (l->socket && p->cfg->flags & (PUMP_OURS | PUMP_SHARED))
		shutdown(l->fd, p->cfg->flags & PUMP_CUT && !p->ended ? SHUT_RDWR : SHUT_WR);
	lio_close(l);
	if (p->blocked == l)
		p->blocked = NULL;
}

/* Where a data message goes. Each side takes both STDIN and STDOUT as "the stream", as the reference does; STDERR and EXIT_CODE
   are the service's alone, and a caller that sends them is cut off. */
static int destination(struct pump *p, uint32_t type, struct lio **ret, struct err *e)
{
	switch (type) {
	case QX_DATA_STDIN:
	case QX_DATA_STDOUT:
		*ret = &p->to;
		return 0;
	case QX_DATA_STDERR:
		*ret = &p->err_to;
		break;
	case QX_DATA_EXIT_CODE:
		*ret = NULL;
		break;
	default:
		return err_set(e, EBADMSG, "message of type 0x%x in the data phase", type);
	}
	return is_service(p) ? err_set(e, EBADMSG, "%s from a caller", qx_name(type)) : 0;
}

static void trace(struct call_trace *t, uint32_t type, uint32_t len)
{
	if (type == QX_DATA_EXIT_CODE)
		t->exit = now_us();
	else if (len && !t->first)
		t->first = now_us();
}

static int next_header(struct pump *p, struct err *e)
{
	struct rd r = rd_mem(p->in + p->in_pos, QX_HDR_LEN);
	struct lio *dst = NULL;
	uint32_t len;
	int rc;

	p->cur_type = rd_u32le(&r);
	len = rd_u32le(&r);
	rc = destination(p, p->cur_type, &dst, e);
	if (rc < 0)
		return rc;
	if (len > qx_chunk_max(p->cfg->version))
		return err_set(e, EBADMSG, "%s of %u bytes", qx_name(p->cur_type), len);
	p->in_pos += QX_HDR_LEN;
	p->cur_left = len;
	p->bulk = len >= BULK_MIN && !p->no_bulk;
	p->in_body = true;
	if (p->cfg->trace)
		trace(p->cfg->trace, p->cur_type, len);
	if (len == 0 && dst) {
		p->ended |= dst == &p->to;
		to_close(p, dst);
	}
	return 0;
}

/* Gives false when more bytes are needed. A status that is cut short counts as 255. */
static bool take_exit_code(struct pump *p)
{
	struct rd r = rd_mem(p->in + p->in_pos, p->in_len - p->in_pos);
	uint32_t v;

	if (p->cur_left < 4) {
		p->status = 255;
	} else {
		if (rd_left(&r) < 4)
			return false;
		v = rd_u32le(&r);
		p->status = (int)(v & 0xff);
	}
	p->remote_done = true;
	return true;
}

static void deliver(struct pump *p, struct lio *dst)
{
	size_t n = MIN(p->cur_left, p->in_len - p->in_pos);
	unsigned filter = dst == &p->to ? PUMP_FILTER_OUT : PUMP_FILTER_ERR;
	uint8_t *data = p->in + p->in_pos;

	if (lio_is_open(dst)) {
		ssize_t w;

		if (p->cfg->flags & filter)
			qx_filter(data, n);
		w = lio_write(dst, data, n);
		if (w == -EAGAIN) {
			p->blocked = dst;
			return;
		}
		if (w < 0)
			to_close(p, dst); /* nobody reads: the rest is dropped */
		else
			n = (size_t)w;
	}
	p->in_pos += n;
	p->cur_left -= n;
}

/* Content that is written as it came can go without being read. */
static bool may_move(const struct pump *p, const struct lio *dst)
{
	unsigned filter = dst == &p->to ? PUMP_FILTER_OUT : PUMP_FILTER_ERR;

	return p->in_bulk.len || (!p->no_bulk && p->cur_left >= BULK_MIN && p->readable && lio_is_open(dst) && !(p->cfg->flags & filter));
}

static bool moving(struct pump *p)
{
	struct lio *dst = NULL;

	return p->in_body && p->in_pos == p->in_len && destination(p, p->cur_type, &dst, NULL) == 0 && dst && may_move(p, dst);
}

/* Moves a part of the current message. The copying way takes over what the pipe holds when the destination cannot be moved to. */
static void deliver_bulk(struct pump *p, struct lio *dst)
{
	ssize_t n = (ssize_t)p->in_bulk.len;

	if (n == 0) {
		widen(dst);
		n = bulk_fill(&p->in_bulk, p->chan.fd, MIN(p->cur_left, (size_t)IN_CAP));
		p->readable = n > 0;
		if (n == -EINVAL)
			p->no_bulk = true;
		else if (n == 0 || (n < 0 && n != -EAGAIN))
			p->chan_eof = true;
		if (n <= 0)
			return;
	}
	n = lio_is_open(dst) ? bulk_drain(&p->in_bulk, dst->fd) : -EPIPE;
	if (n >= 0) {
		p->cur_left -= (size_t)n;
	} else if (n == -EAGAIN) {
		p->blocked = dst;
	} else {
		if (n == -EINVAL)
			p->no_bulk = true;
		else
			to_close(p, dst);
		p->in_pos = 0;
		n = bulk_read(&p->in_bulk, p->in, IN_CAP);
		p->in_len = n > 0 ? (size_t)n : 0;
	}
}

/* Consumes what is buffered until it is used up, blocked, or the call has ended. */
static int in_process(struct pump *p, struct err *e)
{
	p->blocked = NULL;
	while (!p->remote_done && !p->blocked) {
		size_t left = p->in_len - p->in_pos;
		struct lio *dst = NULL;
		int r;

		if (p->in_body && p->cur_left == 0 && p->cur_type != QX_DATA_EXIT_CODE)
			p->in_body = false;
		if (!p->in_body) {
			if (left < QX_HDR_LEN)
				return 0;
			r = next_header(p, e);
			if (r < 0)
				return r;
			continue;
		}
		if (p->cur_type == QX_DATA_EXIT_CODE) {
			if (!take_exit_code(p))
				return 0;
			continue;
		}
		r = destination(p, p->cur_type, &dst, e);
		if (r < 0)
			return r;
		if (left)
			deliver(p, dst);
		else if (may_move(p, dst))
			deliver_bulk(p, dst);
		else
			return 0;
	}
	return 0;
}

/* With long messages only headers are read; a body that is longer than a copy is worth stays in the vchan for deliver_bulk. */
static void in_read(struct pump *p)
{
	size_t left = p->in_len - p->in_pos, room;
	ssize_t n;

	p->readable = true;
	if (moving(p))
		return;
	memmove(p->in, p->in + p->in_pos, left);
	p->in_len = left;
	p->in_pos = 0;
	room = IN_CAP - left;
	if (p->bulk)
		room = MIN(room, p->in_body ? p->cur_left : QX_HDR_LEN - left);
	n = lio_read(&p->chan, p->in + p->in_len, room);
	if (n == -EAGAIN)
		return;
	if (n <= 0)
		p->chan_eof = true;
	else
		p->in_len += (size_t)n;
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

static void reap_child(struct pump *p)
{
	int status = 0;

	if (proc_wait(p->cfg->child, 0, &status) < 0)
		return;
	p->status = proc_exit_code(status);
	p->child_done = true;
	to_close(p, &p->to);
}

/* The vchan is lost: a service sees the end of its input and nobody who reads; its process is still waited for. */
static void lost(struct pump *p)
{
	out_dead(p);
	if (!p->blocked)
		to_close(p, &p->to);
}

/* A socket service may be configured to end with the first end of file of one side. */
static void early_end(struct pump *p)
{
	unsigned f = p->cfg->flags;
	bool service_eof = !lio_is_open(&p->src[0].io), client_eof = !lio_is_open(&p->to);

	if ((f & PUMP_END_SERVICE_EOF && service_eof) || (f & PUMP_END_CLIENT_EOF && client_eof)) {
		to_close(p, &p->to);
		source_end(&p->src[0]);
		send_eofs(p);
	}
}

static bool service_finished(struct pump *p)
{
	early_end(p);
	if (lio_is_open(&p->to) || !p->child_done)
		return false;
	if (!p->src[0].eof_sent || !p->src[1].eof_sent)
		return false;
	if (!p->exit_queued && !p->chan_dead) {
		if (!out_room(p))
			return false;
		send_exit_code(p);
	}
	out_flush(p);
	return p->chan_dead || out_idle(p);
}

static bool caller_finished(struct pump *p)
{
	if (!p->remote_done)
		return p->chan_eof && !p->blocked;
	/* A peer that has sent its code reads no more; the empty STDIN is a courtesy that must not block. */
	out_flush(p);
	if (lio_is_open(&p->src[0].io)) {
		source_end(&p->src[0]);
		send_eofs(p);
		out_flush(p);
	}
	return true;
}

static void want(struct pollfd *f, const struct lio *l, short events)
{
	f->fd = events ? l->fd : -1;
	f->events = events;
	f->revents = 0;
}

static int wait_events(struct pump *p, struct pollfd *f)
{
	bool room = out_idle(p) && !p->chan_dead && !prefix_left(p);
	short chan = (short)((!p->blocked && !p->chan_eof ? POLLIN : 0) | (!out_idle(p) ? POLLOUT : 0));

	want(&f[P_CHAN], &p->chan, chan);
	want(&f[P_TO], &p->to, p->blocked == &p->to ? POLLOUT : 0);
	/* a complete hang-up is reported with any mask */
	if (p->cfg->flags & PUMP_HANG_UP)
		f[P_TO].fd = p->to.fd;
	want(&f[P_ERR_TO], &p->err_to, p->blocked == &p->err_to ? POLLOUT : 0);
	want(&f[P_FROM], &p->src[0].io, room ? POLLIN : 0);
	want(&f[P_ERR_FROM], &p->src[1].io, room ? POLLIN : 0);
	f[P_CHILD] = (struct pollfd){ .fd = p->child_done || !is_service(p) ? -1 : p->cfg->child->pidfd, .events = POLLIN };
	f[P_SIGNAL] = (struct pollfd){ .fd = p->signal_fd, .events = POLLIN };
	if (poll(f, P_N, -1) < 0)
		return errno == EINTR ? 0 : -errno;
	return 1;
}

/* SIGUSR1: the service reads and writes its stdin socket; its stdout says nothing any more. */
static void merge_output(struct pump *p)
{
	struct signalfd_siginfo si;

	if (read(p->signal_fd, &si, sizeof si) != (ssize_t)sizeof si || p->stdin_copy < 0 || !lio_is_open(&p->src[0].io))
		return;
	lio_close(&p->src[0].io);
	lio_open(&p->src[0].io, STEAL_FD(p->stdin_copy), false, true);
}

static int step(struct pump *p, struct pollfd *f, struct err *e)
{
	int r = 0;

	if (f[P_CHAN].revents & (POLLOUT | POLLERR) && !out_idle(p))
		out_flush(p);
	if (f[P_CHAN].fd >= 0 && f[P_CHAN].revents & (POLLIN | POLLHUP | POLLERR) && !p->blocked && !p->chan_eof)
		in_read(p);
	r = in_process(p, e);
	if (r < 0)
		return r;
	if (p->chan_eof && is_service(p))
		lost(p);
	if (f[P_CHILD].fd >= 0 && f[P_CHILD].revents)
		reap_child(p);
	/* The two sources take turns, so that neither starves. */
	for (unsigned i = 0, first = p->turn; i < 2; i++) {
		unsigned s = (first + i) % 2;

		if (f[P_FROM + s].fd >= 0 && f[P_FROM + s].revents && out_idle(p) && lio_is_open(&p->src[s].io)) {
			source_read(p, &p->src[s]);
			p->turn = s + 1;
		}
	}
	return 0;
}

static int loop(struct pump *p, struct err *e)
{
	struct pollfd f[P_N];

	send_eofs(p);
	out_flush(p);
	for (;;) {
		int r = wait_events(p, f);

		if (r < 0)
			return err_errno(e, -r, "poll");
		if (r == 0)
			continue;
		if (f[P_SIGNAL].revents) {
			/* what the service says from now on comes from the other descriptor: look again */
			merge_output(p);
			continue;
		}
		if (p->cfg->flags & PUMP_HANG_UP && f[P_TO].revents & POLLHUP)
			return err_set(e, EPIPE, "nobody waits for the answer any more");
		r = step(p, f, e);
		if (r < 0)
			return r;
		send_eofs(p);
		if (is_service(p) ? service_finished(p) : caller_finished(p))
			break;
		out_flush(p);
	}
	if (is_service(p) ? !p->exit_queued || p->chan_dead : !p->remote_done)
		return err_set(e, ECONNRESET, "the channel was lost before the end of the call");
	return p->status;
}

static void pump_init(struct pump *p, const struct pump_cfg *cfg)
{
	bool ours = cfg->flags & PUMP_OURS;

	*p = (struct pump){ .cfg = cfg, .to = LIO_CLOSED, .err_to = LIO_CLOSED, .status = cfg->exit_code, .stdin_copy = -1, .signal_fd = -1, .in_bulk = BULK_INIT, .out_bulk = BULK_INIT };
	p->in = xmalloc(IN_CAP);
	p->out = xmalloc(OUT_CAP);
	p->child_done = !cfg->child;
	p->src[0].type = is_service(p) ? QX_DATA_STDOUT : QX_DATA_STDIN;
	p->src[1].type = QX_DATA_STDERR;
	p->src[1].io = LIO_CLOSED;
	lio_open(&p->chan, cfg->chan, true, true);
	lio_open(&p->to, cfg->to, true, ours);
	lio_open(&p->src[0].io, cfg->from, false, ours);
	p->src[0].eof_due = cfg->from < 0;
	lio_open(is_service(p) ? &p->src[1].io : &p->err_to, cfg->err, !is_service(p), ours);
	p->src[1].eof_due = is_service(p) && cfg->err < 0;
	if (cfg->flags & PUMP_SIGUSR1 && p->to.socket) {
		p->stdin_copy = fcntl(p->to.fd, F_DUPFD_CLOEXEC, 3);
		p->signal_fd = pump_block_signal();
	}
}

int pump_block_signal(void)
{
	sigset_t usr1;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	return signalfd(-1, &usr1, SFD_CLOEXEC | SFD_NONBLOCK);
}

int pump_run(const struct pump_cfg *cfg, struct err *e)
{
	struct pump p;
	int r;

	pump_init(&p, cfg);
	r = loop(&p, e);
	to_close(&p, &p.to);
	to_close(&p, &p.err_to);
	lio_close(&p.src[0].io);
	lio_close(&p.src[1].io);
	fd_closep(&p.stdin_copy);
	fd_closep(&p.signal_fd);
	bulk_fini(&p.in_bulk);
	bulk_fini(&p.out_bulk);
	free(p.in);
	free(p.out);
	return r;
}
