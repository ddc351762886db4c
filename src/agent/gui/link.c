/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The stream to guid: listening, greeting, messages, and what follows its end. Waiting for a guid costs nothing; where the link itself refuses, tries
 * become rare.
 */
#include "agent/gui/agent.h"
#include "base/log.h"

#define RETRY_FIRST_MS 50
#define RETRY_MAX_MS 10000
#define OUT_HIGH (8u * 1024 * 1024)

static void link_lost(struct agent *a);

bool link_up(const struct agent *a)
{
	return a->state == LINK_UP;
}

bool link_full(const struct agent *a)
{
	return a->stream && chan_stream_full(a->stream);
}

void link_send(struct agent *a, const void *p, size_t n)
{
	if (a->state < LINK_GREET || !a->stream || a->overrun)
		return;
	/* One that reads nothing while control messages pile up is no guid. This may be deep inside of the handling of an event, so the end comes from
	   the loop. */
	if (chan_stream_send(a->stream, p, n) == -ENOBUFS) {
		log_warn("guid takes nothing: the connection is given up");
		a->overrun = true;
		ev_timer_start(a->retry, 0);
	}
}

/* --- messages ------------------------------------------------------------------------------------------------------ */

static void on_configure(struct agent *a, struct win *w, const struct gui_configure *c)
{
	const uint32_t v[4] = { (uint32_t)c->x, (uint32_t)c->y, c->w, c->h };

	if (w->icon)
		tray_resize(a, w, c->w, c->h);
	if (w->x == c->x && w->y == c->y && w->w == c->w && w->h == c->h) {
		/* the X server says nothing of what does not change, but guid waits for an answer */
		SEND(a, configure, w->id, .x = c->x, .y = c->y, .w = c->w, .h = c->h, .override_redirect = w->override);
		return;
	}
	xcb_configure_window(a->x, w->id, XCB_CONFIG_WINDOW_X | XCB_CONFIG_WINDOW_Y | XCB_CONFIG_WINDOW_WIDTH | XCB_CONFIG_WINDOW_HEIGHT, v);
}

static void on_hello(struct agent *a, const struct gui_host_hello *h)
{
	struct win *w;

	a->can = h->can;
	scale_set(a, h->scale);
	bar_start(a, h->bar_mib);
	TAILQ_FOREACH(w, &a->wins, all) {
		pixels_all(a, w);
		if (w->announced && !w->icon)
			icon_tell(a, w);
	}
}

static void on_window_message(struct agent *a, struct win *w, const struct hostmsg *m)
{
	switch (m->type) {
	case GUI_CONFIGURE:
		on_configure(a, w, &m->u.configure);
		break;
	case GUI_MAP:
		xcb_map_window(a->x, w->id);
		break;
	case GUI_CLOSE:
		wm_close(a, w);
		break;
	case GUI_WINDOW_FLAGS:
		wm_flags(a, w, m->u.flags.set, m->u.flags.unset);
		break;
	default:
		input_message(a, m);
	}
}

static void on_message(struct agent *a, const struct hostmsg *m)
{
	struct win *w;

	switch (m->type) {
	case HOSTMSG_SKIP:
		log_debug("left out: type=%u", m->real_type);
		break;
	case GUI_HOST_HELLO:
		on_hello(a, &m->u.hello);
		break;
	case GUI_HOST_SCREEN:
		layout_screen(a, m->u.screen.w, m->u.screen.h);
		break;
	case GUI_CLIPBOARD_REQ:
		clip_ask(a);
		break;
	case GUI_CLIPBOARD_DATA:
		clip_set(a, m->u.text);
		break;
	case GUI_DESTROY:
		win_destroy_ack(a, m->window);
		break;
	case GUI_WINDOW_DUMP_ACK:
		pixels_dump_ack(a, m->window);
		break;
	case GUI_FRAME_ACK:
		pixels_frame_ack(a, m->window);
		break;
	case GUI_KEYMAP_NOTIFY:
		input_message(a, m);
		break;
	default:
		w = win_find(a, m->window);
		if (w && w->announced)
			on_window_message(a, w, m);
	}
}

static ssize_t greeting(struct agent *a, const uint8_t *p, size_t n)
{
	struct gui_xconf x;
	int r = hostmsg_greeting(&a->version, &x, p, n);

	if (r < 0)
		log_warn("guid speaks another protocol");
	if (r <= 0)
		return r;
	log_info("guid connected: version=%u.%u screen=%ux%u", a->version >> 16, a->version & 0xffff, x.w, x.h);
	a->state = LINK_UP;
	a->retry_ms = RETRY_FIRST_MS;
	layout_screen(a, x.w, x.h);
	win_replay(a);
	return HOSTMSG_GREETING;
}

static ssize_t on_data(struct chan_stream *s, const uint8_t *p, size_t n, void *arg)
{
	struct agent *a = arg;
	size_t used = 0;

	if (a->state == LINK_GREET) {
		ssize_t r = greeting(a, p, n);

		agent_settle(a);
		return r;
	}
	while (used < n) {
		struct hostmsg m;
		int r = hostmsg_next(&m, p + used, n - used);

		if (r < 0)
			log_warn("malformed message of guid");
		if (r < 0)
			return r;
		if (r == 0)
			break;
		used += m.size;
		on_message(a, &m);
	}
	agent_settle(a);
	return (ssize_t)used;
}

static void on_drained(struct chan_stream *s, void *arg)
{
	agent_settle(arg);
}

static void on_closed(struct chan_stream *s, int code, void *arg)
{
	struct agent *a = arg;

	log_info("guid gone: %s", code ? strerror(-code) : "end");
	link_lost(a);
	agent_settle(a);
}

static const struct chan_stream_ops stream_ops = { .data = on_data, .drained = on_drained, .closed = on_closed };

/* --- meeting ------------------------------------------------------------------------------------------------------- */

static void retry_later(struct agent *a)
{
	ev_timer_start(a->retry, a->retry_ms);
	a->retry_ms = MIN(a->retry_ms * 2, (uint64_t)RETRY_MAX_MS);
}

static void drop_request(struct agent *a)
{
	if (a->req_ev)
		ev_io_free(STEAL_PTR(a->req_ev));
	if (a->req)
		chan_req_free(STEAL_PTR(a->req));
}

/* Everything of this guid is forgotten; the next one learns all anew. */
static void link_lost(struct agent *a)
{
	chan_stream_free(STEAL_PTR(a->stream));
	drop_request(a);
	a->state = LINK_NONE;
	a->overrun = false;
	a->can = 0;
	a->bar_tries = 0;
	a->clip_step = 0;
	wr_free(&a->clip_pieces);
	win_forget(a);
	/* no spinning with one that connects and goes at once */
	retry_later(a);
}

static void take_stream(struct agent *a, int fd)
{
	uint8_t mem[8];
	struct wr o = wr_mem(mem, sizeof mem);

	a->stream = chan_stream_new(a->loop, fd, GUI_BODY_MAX + GUI_HDR_LEN, OUT_HIGH, &stream_ops, a);
	if (!a->stream) {
		close(fd);
		link_lost(a);
		return;
	}
	a->state = LINK_GREET;
	gui_put_version(&o, GUI_VERSION);
	link_send(a, o.buf, o.len);
}

static void on_request(struct ev_io *io, int fd, int events, void *arg)
{
	struct agent *a = arg;
	struct err e = { 0 };
	int r = chan_req_finish(a->req, &e);

	if (r == -EAGAIN)
		return;
	drop_request(a);
	a->state = LINK_NONE;
	if (r >= 0) {
		take_stream(a, r);
		return;
	}
	log_debug("waiting for guid: %s", err_text(&e, r));
	retry_later(a);
}

static void listen_now(struct agent *a)
{
	struct err e = { 0 };

	a->req = chan_listen_start(NULL, 0, GUI_PORT, &e);
	a->req_ev = a->req ? ev_io_new(a->loop, chan_req_fd(a->req), EV_READ, on_request, a) : NULL;
	if (!a->req_ev) {
		log_debug("listening: %s", err_text(&e, -EIO));
		drop_request(a);
		retry_later(a);
		return;
	}
	a->state = LINK_LISTEN;
}

static void on_retry(struct ev_timer *t, void *arg)
{
	struct agent *a = arg;

	if (a->overrun)
		link_lost(a);
	else if (!a->req && !a->stream)
		listen_now(a);
}

void link_start(struct agent *a)
{
	a->retry_ms = RETRY_FIRST_MS;
	a->retry = ev_timer_new(a->loop, on_retry, a);
	listen_now(a);
}
