/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What goes to the qube: one bounded queue that is never waited for, and before it the one in which input events are delayed. */
#include <stdarg.h>

#include "gui/guid/guid.h"

void guid_init(struct guid *g)
{
	memset(g, 0, sizeof *g);
	opts_default(&g->o);
	g->ended = -1;
	g->desk_fd = -1;
	g->out = wr_grow(GUID_OUT_MAX);
	g->clip.in = wr_grow(GUI_CLIPBOARD_MAX);
	g->clip.out = wr_grow(GUI_CLIPBOARD_MAX);
}

void guid_end(struct guid *g, int code, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	if (g->ended >= 0)
		return;
	g->ended = code;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	log_at(code == GUID_END_STREAM ? LOG_L_INFO : LOG_L_WARN, "%s", text);
}

/* An agent that does not read loses its connection, not guid its time. */
void out_check(struct guid *g)
{
	if (!wr_ok(&g->out))
		guid_end(g, GUID_END_PROTOCOL, "the agent does not read: %u MiB wait for it", GUID_OUT_MAX >> 20);
}

static void pop(struct guid *g)
{
	struct delayed *d = &g->delayed[g->d_first];

	wr_bytes(&g->out, d->data, d->len);
	g->d_first = (g->d_first + 1) % GUID_DELAYED_MAX;
	g->d_n--;
	out_check(g);
}

void out_input(struct guid *g, const struct wr *message)
{
	struct delayed *d;
	uint64_t at;

	if (g->o.events_max_delay == 0 || message->len > sizeof d->data) {
		wr_bytes(&g->out, message->buf, message->len);
		out_check(g);
		return;
	}
	if (!g->delayed)
		g->delayed = xcalloc(GUID_DELAYED_MAX, sizeof *g->delayed);
	if (g->d_n == GUID_DELAYED_MAX)
		pop(g);
	/* Never before the one in front of it. */
	at = g->now_ms + g->random() % (g->o.events_max_delay + 1);
	g->d_last_ms = MAX(at, g->d_last_ms);
	d = &g->delayed[(g->d_first + g->d_n++) % GUID_DELAYED_MAX];
	d->due_ms = g->d_last_ms;
	d->len = message->len;
	memcpy(d->data, message->buf, message->len);
}

void out_due(struct guid *g)
{
	while (g->d_n && g->delayed[g->d_first].due_ms <= g->now_ms)
		pop(g);
}

void guid_tick(struct guid *g)
{
	out_due(g);
	win_late(g);
}

int guid_wait_ms(const struct guid *g)
{
	int ms = g->n_late ? 50 : -1;

	if (g->d_n) {
		uint64_t due = g->delayed[g->d_first].due_ms;
		int d = due > g->now_ms ? (int)(due - g->now_ms) : 0;

		ms = ms < 0 ? d : MIN(ms, d);
	}
	return ms;
}
