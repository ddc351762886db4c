/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Notices: one small window without input focus in the corner of the screen, with the last few texts. They go by themselves; that the policy is
 * broken stays until it is whole. A flood of notices is a number, not a wall of windows.
 */
#include "gui/prompt/gui.h"

#define LINES 4
#define WIDTH 60 /* characters of a row */
#define SECONDS 10
#define TEXT_MAX 700
#define BURST 20 /* in RATE_SECONDS; the rest is counted */
#define RATE_SECONDS 10

struct line {
	char text[TEXT_MAX];
	guint timer;
};

static struct {
	GtkWidget *window, *box;
	struct line lines[LINES];
	size_t n;
	char fault[TEXT_MAX]; /* "" = the policy is whole */
	unsigned dropped, in_window;
	gint64 window_start;
} st;

static gint longest_row(const char *text)
{
	size_t most = 0;

	for (const char *s = text; *s; s += strcspn(s, "\n"), s += *s == '\n')
		most = MAX(most, strcspn(s, "\n"));
	return (gint)MIN(most, (size_t)WIDTH);
}

static void add(const char *text, bool error)
{
	GtkWidget *l = gtk_label_new(NULL);
	PangoAttrList *attrs = pango_attr_list_new();

	gtk_label_set_text(GTK_LABEL(l), text);
	gtk_label_set_line_wrap(GTK_LABEL(l), TRUE);
	gtk_label_set_line_wrap_mode(GTK_LABEL(l), PANGO_WRAP_WORD_CHAR);
	/* A text that may be made narrower gives the window the height that the narrowest form would need. */
	gtk_label_set_width_chars(GTK_LABEL(l), longest_row(text));
	gtk_label_set_max_width_chars(GTK_LABEL(l), WIDTH);
	gtk_label_set_xalign(GTK_LABEL(l), 0);
	if (error)
		pango_attr_list_insert(attrs, pango_attr_weight_new(PANGO_WEIGHT_BOLD));
	gtk_label_set_attributes(GTK_LABEL(l), attrs);
	pango_attr_list_unref(attrs);
	gtk_box_pack_start(GTK_BOX(st.box), l, FALSE, FALSE, 0);
}

static void place(void)
{
	GdkDisplay *display = gtk_widget_get_display(st.window);
	GdkMonitor *m = gdk_display_get_primary_monitor(display);
	GdkRectangle area;
	GtkRequisition size;

	if (!m)
		m = gdk_display_get_monitor(display, 0);
	if (!m)
		return;
	gdk_monitor_get_workarea(m, &area);
	gtk_widget_get_preferred_size(st.window, NULL, &size);
	gtk_window_resize(GTK_WINDOW(st.window), size.width > 0 ? size.width : 1, size.height > 0 ? size.height : 1);
	gtk_window_move(GTK_WINDOW(st.window), area.x + area.width - size.width - 16, area.y + 16);
}

static void redraw(void)
{
	char more[60];

	gtk_container_foreach(GTK_CONTAINER(st.box), (GtkCallback)(void (*)(void))gtk_widget_destroy, NULL);
	if (st.fault[0])
		add(st.fault, true);
	for (size_t i = 0; i < st.n; i++)
		add(st.lines[i].text, false);
	if (st.dropped) {
		(void)!str_printf(more, sizeof more, "and %u more", st.dropped);
		add(more, false);
	}
	if (!st.fault[0] && st.n == 0) {
		gtk_widget_hide(st.window);
		return;
	}
	gtk_window_set_title(GTK_WINDOW(st.window), st.fault[0] ? st.fault : st.lines[st.n - 1].text);
	gtk_widget_show_all(st.box);
	place();
	gtk_widget_show(st.window);
}

static void drop_first(void)
{
	if (st.lines[0].timer)
		g_source_remove(st.lines[0].timer);
	memmove(&st.lines[0], &st.lines[1], sizeof st.lines - sizeof st.lines[0]);
	st.n--;
}

/* Each line lives as long as each other, so the first one is the oldest. */
static gboolean on_expired(gpointer arg)
{
	st.lines[0].timer = 0;
	drop_first();
	if (st.n == 0)
		st.dropped = 0;
	redraw();
	return G_SOURCE_REMOVE;
}

static gboolean on_click(GtkWidget *widget, GdkEvent *ev, gpointer arg)
{
	while (st.n)
		drop_first();
	st.dropped = 0;
	redraw();
	return TRUE;
}

static void make(void)
{
	/* Not managed, so it never takes the focus from what the user does. */
	st.window = gtk_window_new(GTK_WINDOW_POPUP);
	st.box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 8);
	gtk_container_set_border_width(GTK_CONTAINER(st.window), 12);
	gtk_container_add(GTK_CONTAINER(st.window), st.box);
	gtk_window_set_accept_focus(GTK_WINDOW(st.window), FALSE);
	gtk_widget_add_events(st.window, GDK_BUTTON_PRESS_MASK);
	g_signal_connect(st.window, "button-press-event", G_CALLBACK(on_click), NULL);
}

static bool rate_ok(void)
{
	gint64 now = g_get_monotonic_time();

	if (now - st.window_start > RATE_SECONDS * G_USEC_PER_SEC) {
		st.window_start = now;
		st.in_window = 0;
	}
	return st.in_window++ < BURST;
}

void notice_text(const char *text, bool error)
{
	if (!st.window)
		make();
	for (size_t i = 0; i < st.n; i++)
		if (strncmp(st.lines[i].text, text, TEXT_MAX - 1) == 0) {
			st.dropped++;
			redraw();
			return;
		}
	if (!rate_ok()) {
		st.dropped++;
		return;
	}
	if (st.n == LINES) {
		drop_first();
		st.dropped++;
	}
	(void)str_escape(st.lines[st.n].text, TEXT_MAX, text, strlen(text));
	st.lines[st.n].timer = g_timeout_add_seconds(SECONDS, on_expired, NULL);
	st.n++;
	redraw();
}

void notice_show(const struct pr_notice *n)
{
	char text[TEXT_MAX] = "";

	pr_notice_words(text, sizeof text, n);
	/* A broken policy that is told without a place is one call's refusal. */
	if (n->resolution == PR_FAIL && n->text) {
		if (!st.window)
			make();
		(void)!str_copy(st.fault, sizeof st.fault, text);
		redraw();
		return;
	}
	if (n->resolution == PR_FIXED && !st.fault[0])
		return;
	if (n->resolution == PR_FIXED)
		st.fault[0] = '\0';
	notice_text(text, n->resolution == PR_FAIL);
}
