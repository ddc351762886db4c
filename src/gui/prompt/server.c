/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections of policyd and the queue: one question of a qube at a time, a few qubes at once, the rest waits; too many are refused. */
#include "gui/prompt/gui.h"

#include <glib-unix.h>

#include "base/log.h"

#define READ_SECONDS 10 /* for policyd to finish a request */

struct ask {
	struct ask *next;
	struct pr_conn conn;
	guint watch, timer;
	struct pr_question q;
	bool whole;
	struct window *win;
};

static struct {
	unsigned delay_ms;
	struct ask *asks; /* in the order of arrival */
	size_t n;
} st;

static void show_next(void);

static void ask_drop(struct ask *a)
{
	struct ask **p = &st.asks;

	while (*p != a)
		p = &(*p)->next;
	*p = a->next;
	st.n--;
	if (a->watch)
		g_source_remove(a->watch);
	if (a->timer)
		g_source_remove(a->timer);
	window_free(a->win);
	pr_close(&a->conn);
	pr_question_fini(&a->q);
	free(a);
}

static void on_done(void *arg, const char *target)
{
	struct ask *a = arg;

	a->win = NULL;
	pr_answer(&a->conn, target);
	ask_drop(a);
	show_next();
}

static struct ask *first_of(const char *source)
{
	for (struct ask *a = st.asks; a; a = a->next)
		if (a->whole && streq(a->q.source, source))
			return a;
	return NULL;
}

static size_t waiting_of(const char *source)
{
	size_t n = 0;

	for (const struct ask *a = st.asks; a; a = a->next)
		n += a->whole && streq(a->q.source, source);
	return n;
}

static void show_next(void)
{
	size_t shown = 0;

	for (const struct ask *a = st.asks; a; a = a->next)
		shown += a->win != NULL;
	for (struct ask *a = st.asks; a; a = a->next) {
		if (!a->whole || first_of(a->q.source) != a)
			continue;
		if (!a->win && shown < WINDOWS_MAX) {
			a->win = window_new(&a->q, st.delay_ms, on_done, a);
			shown++;
		}
		if (a->win)
			window_waiting(a->win, waiting_of(a->q.source) - 1);
	}
}

/* policyd closed the connection: the qube is gone, or the time is over. */
static gboolean on_gone(gint fd, GIOCondition cond, gpointer arg)
{
	struct ask *a = arg;

	a->watch = 0;
	ask_drop(a);
	show_next();
	return G_SOURCE_REMOVE;
}

static void take(struct ask *a)
{
	struct pr_notice n;
	enum pr_kind kind;
	struct rd json;

	if (a->conn.in.len == 0) {
		ask_drop(a); /* somebody looked whether an agent is there */
	} else if (pr_request(&json, &kind, &a->conn) < 0) {
		log_warn("a request that is none of policyd's");
		ask_drop(a);
	} else if (kind == PR_NOTIFY) {
		if (pr_notice_parse(&n, json) == 0) {
			notice_show(&n);
			pr_notice_fini(&n);
		}
		ask_drop(a);
	} else if (pr_question_parse(&a->q, json) < 0 || waiting_of(a->q.source) >= PR_SOURCE_MAX) {
		log_warn("a question was refused: malformed, or too many of one qube");
		pr_answer(&a->conn, NULL);
		ask_drop(a);
	} else {
		a->whole = true;
		wr_free(&a->conn.in);
		a->watch = g_unix_fd_add(a->conn.fd, G_IO_HUP | G_IO_ERR, on_gone, a);
		show_next();
	}
}

static gboolean on_readable(gint fd, GIOCondition cond, gpointer arg)
{
	struct ask *a = arg;
	int r = pr_read(&a->conn);

	if (r == 0)
		return G_SOURCE_CONTINUE;
	a->watch = 0;
	g_source_remove(a->timer);
	a->timer = 0;
	if (r < 0)
		ask_drop(a);
	else
		take(a);
	return G_SOURCE_REMOVE;
}

static gboolean on_slow(gpointer arg)
{
	struct ask *a = arg;

	a->timer = 0;
	ask_drop(a);
	return G_SOURCE_REMOVE;
}

static gboolean on_listener(gint fd, GIOCondition cond, gpointer arg)
{
	struct pr_conn c;
	struct ask *a, **p = &st.asks;

	if (pr_accept(&c, fd) < 0)
		return G_SOURCE_CONTINUE;
	if (st.n == PR_CONNS_MAX) {
		pr_close(&c);
		return G_SOURCE_CONTINUE;
	}
	a = xcalloc(1, sizeof *a);
	a->conn = c;
	while (*p)
		p = &(*p)->next;
	*p = a;
	st.n++;
	a->timer = g_timeout_add_seconds(READ_SECONDS, on_slow, a);
	a->watch = g_unix_fd_add(c.fd, G_IO_IN | G_IO_HUP, on_readable, a);
	return G_SOURCE_CONTINUE;
}

int server_start(int listener, unsigned delay_ms, struct err *e)
{
	st.delay_ms = delay_ms;
	return g_unix_fd_add(listener, G_IO_IN, on_listener, NULL) ? 0 : err_set(e, EINVAL, "cannot watch the socket");
}
