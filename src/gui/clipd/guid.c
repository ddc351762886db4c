/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One guid: its copies come in, what is pasted goes out. A guid that breaks the rules of desk.def loses its connection, and with it only its own clipboard. */
#include "base/log.h"
#include "base/msg.h"
#include "gui/clipd/clipd.h"

struct guid {
	struct clipd *d;
	struct guid *next;
	struct qname name;
	uint32_t limit;
	int fd;
	struct ev_io *io;
	/* a copy on its way in */
	uint8_t *in;
	size_t in_len, in_have;
	uint32_t in_time;
	/* a paste on its way: first the policy, then the bytes */
	struct ask *ask;
	uint32_t paste_time;
	uint8_t *out;
	size_t out_len, out_done;
	bool out_head; /* GIVE was sent */
};

static void drop_bytes(uint8_t **p, size_t len)
{
	if (*p)
		explicit_bzero(*p, len);
	free(*p);
	*p = NULL;
}

static void guid_free(struct guid *g)
{
	struct guid **p = &g->d->guids;

	while (*p != g)
		p = &(*p)->next;
	*p = g->next;
	ask_drop(g->ask);
	drop_bytes(&g->in, g->in_len);
	drop_bytes(&g->out, g->out_len);
	ev_io_free(g->io);
	close(g->fd);
	free(g);
}

void guid_free_all(struct clipd *d)
{
	while (d->guids)
		guid_free(d->guids);
}

static void refuse(struct guid *g, enum clip_refusal why)
{
	_cleanup_wr_ struct wr w = wr_grow(64);
	struct clip *c = &g->d->clip;

	tell_clip(TELL_REFUSED, c->len ? &c->source : NULL, &g->name, c->len, 0, why);
	desk_put_refused(&w, &(struct desk_refused){ .why = (uint32_t)why });
	/* A guid that does not read misses an answer that means "nothing comes". */
	(void)msg_send(g->fd, DESK_REFUSED, 0, 0, &w, NULL, 0);
}

/* Sends what the socket takes now; the rest when it is writable. Negative: the guid is of no use any more. */
static int push(struct guid *g)
{
	while (g->out) {
		_cleanup_wr_ struct wr w = wr_grow(DESK_DATA_MAX + 16);
		size_t n = MIN(g->out_len - g->out_done, (size_t)DESK_DATA_MAX);
		uint32_t type = DESK_DATA;
		int r;

		if (!g->out_head) {
			type = DESK_GIVE;
			n = 0;
			desk_put_give(&w, &(struct desk_give){ .length = (uint32_t)g->out_len });
		} else {
			wr_bytes(&w, g->out + g->out_done, n);
		}
		r = msg_send(g->fd, type, 0, 0, &w, NULL, 0);
		if (w.buf)
			explicit_bzero(w.buf, w.len);
		if (r == -EAGAIN)
			break;
		if (r < 0)
			return r;
		g->out_head = true;
		g->out_done += n;
		if (g->out_done == g->out_len)
			drop_bytes(&g->out, g->out_len);
	}
	ev_io_set(g->io, g->out ? EV_READ | EV_WRITE : EV_READ);
	return 0;
}

static void on_policy(bool allowed, void *arg)
{
	struct guid *g = arg;
	struct clip *c = &g->d->clip;
	enum clip_refusal why;

	g->ask = NULL;
	/* Meanwhile something else may have been copied, or pasted away. */
	why = allowed ? clip_paste_ok(c, &g->name, g->paste_time, CLIP_FOCUS_MS) : CLIP_POLICY;
	if (why != CLIP_OK) {
		refuse(g, why);
		return;
	}
	tell_clip(TELL_PASTE, &c->source, &g->name, c->len, 0, CLIP_OK);
	g->out = c->data;
	g->out_len = c->len;
	g->out_done = 0;
	g->out_head = false;
	c->data = NULL;
	c->len = 0;
	c->time = g->paste_time;
	/* A failure shows itself at the next event of the socket, which is where a guid may be freed. */
	(void)push(g);
}

static int on_paste(struct guid *g, struct rd payload)
{
	struct clip *c = &g->d->clip;
	enum clip_refusal why;
	struct desk_paste m;

	if (desk_get_paste(payload, &m) < 0)
		return -EBADMSG;
	why = g->ask || g->out ? CLIP_BUSY : clip_paste_ok(c, &g->name, m.time, m.focus_ms);
	if (why == CLIP_OK) {
		g->paste_time = m.time;
		g->ask = ask_start(g->d->loop, g->d->policy_socket, &c->source, &g->name, on_policy, g);
		why = g->ask ? CLIP_OK : CLIP_POLICY;
	}
	if (why != CLIP_OK)
		refuse(g, why);
	return 0;
}

static void copy_done(struct guid *g)
{
	struct clip *c = &g->d->clip;

	if (clip_copy_ok(c, g->in_time)) {
		clip_put(c, &g->name, g->in_time, STEAL_PTR(g->in), g->in_len);
		tell_clip(g->in_len ? TELL_COPY : TELL_CLEARED, &g->name, NULL, g->in_len, g->limit, CLIP_OK);
	}
	drop_bytes(&g->in, g->in_len);
	g->in_len = g->in_have = 0;
}

static int on_copy(struct guid *g, struct rd payload)
{
	struct clip *c = &g->d->clip;
	struct desk_copy m;

	if (desk_get_copy(payload, &m) < 0 || g->in || m.length > GUI_CLIPBOARD_MAX)
		return -EBADMSG;
	g->in_time = m.time;
	if ((m.flags & DESK_COPY_TOO_LONG) || m.length > g->limit) {
		/* What was there before must not be pasted for what the user believes to have copied. */
		if (clip_copy_ok(c, m.time)) {
			clip_put(c, &g->name, m.time, NULL, 0);
			tell_clip(TELL_TOO_LONG, &g->name, NULL, m.length, g->limit, CLIP_OK);
		}
		if (m.flags & DESK_COPY_TOO_LONG)
			return 0;
	}
	g->in_len = m.length;
	g->in_have = 0;
	g->in = xcalloc(1, m.length + 1u);
	if (m.length == 0)
		copy_done(g);
	return 0;
}

static int on_data(struct guid *g, const struct msg *m)
{
	if (!g->in || m->len == 0 || m->len > g->in_len - g->in_have)
		return -EBADMSG;
	memcpy(g->in + g->in_have, m->data, m->len);
	g->in_have += m->len;
	if (g->in_have < g->in_len)
		return 0;
	if (g->in_len <= g->limit) {
		copy_done(g);
	} else {
		drop_bytes(&g->in, g->in_len); /* it was told when the copy began */
		g->in_len = g->in_have = 0;
	}
	return 0;
}

static int on_notice(struct guid *g, struct rd payload)
{
	struct desk_notice m;

	if (desk_get_notice(payload, &m) < 0 || m.kind == 0 || m.kind >= DESK_N_END)
		return -EBADMSG;
	tell_notice(&g->name, (enum desk_kind)m.kind, m.number);
	return 0;
}

static int take(struct guid *g, const struct msg *m)
{
	if (m->n_fds || !desk_may(m->type, m->len, DESK_FROM_GUID))
		return -EBADMSG;
	switch (m->type) {
	case DESK_READY:
		log_info("shows windows: qube=%s", g->name.s);
		return 0;
	case DESK_COPY:
		return on_copy(g, msg_rd(m));
	case DESK_PASTE:
		return on_paste(g, msg_rd(m));
	case DESK_DATA:
		return on_data(g, m);
	case DESK_NOTICE:
		return on_notice(g, msg_rd(m));
	default:
		return -EBADMSG;
	}
}

static void on_event(struct ev_io *io, int fd, int events, void *arg)
{
	struct guid *g = arg;
	int r = 0;

	if (events & EV_WRITE)
		r = push(g);
	/* One guid must not keep the others waiting: a few messages at a time. */
	for (int i = 0; r >= 0 && i < 8; i++) {
		_cleanup_msg_ struct msg m = { 0 };

		r = msg_recv(fd, &m);
		if (r == -EAGAIN)
			return;
		if (r == 0)
			r = -EPIPE;
		if (r > 0)
			r = take(g, &m);
		if (m.data)
			explicit_bzero(m.data, m.len);
	}
	if (r < 0) {
		if (r != -EPIPE && r != -ECONNRESET)
			log_error("guid broke the rules and is cut off: qube=%s code=%d", g->name.s, -r);
		guid_free(g);
	}
}

int guid_new(struct clipd *d, const struct qname *name, uint32_t limit, int fd)
{
	struct guid *g = xcalloc(1, sizeof *g);

	*g = (struct guid){ .d = d, .name = *name, .fd = fd };
	g->limit = MAX(limit, GUI_CLIPBOARD_MIN);
	g->limit = MIN(g->limit, GUI_CLIPBOARD_MAX);
	g->io = ev_io_new(d->loop, fd, EV_READ, on_event, g);
	if (!g->io) {
		close(fd);
		free(g);
		return -EINVAL;
	}
	g->next = d->guids;
	d->guids = g;
	return 0;
}
