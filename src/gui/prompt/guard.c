/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What stands between a key press meant for another window and an answer. Events pass through here before any widget sees them; the
 * lower filter drops what was sent by a program before GDK can take it for input or for focus.
 */
#include "gui/prompt/gui.h"

#include <gdk/gdkx.h>

#define KEYCODES 256

struct guard {
	GtkWidget *window;
	unsigned delay_ms;
	guint timer;
	bool open, stopped;
	bool stale[KEYCODES]; /* went down before the window was open: neither the press nor its repeats count */
	bool button_dropped;
	void (*changed)(void *arg);
	void *arg;
};

bool guard_open(const struct guard *g)
{
	return g->open;
}

void guard_state(struct guard *g, bool ready)
{
	const char *text = ready ? "ready" : g->open ? "open" : "guarded";
	GdkWindow *win = gtk_widget_get_window(g->window);

	if (win)
		gdk_property_change(win, gdk_atom_intern_static_string("_BULKHEAD_PROMPT_STATE"), gdk_atom_intern_static_string("STRING"), 8,
				    GDK_PROP_MODE_REPLACE, (const guchar *)text, (int)strlen(text));
}

static void set_open(struct guard *g, bool open)
{
	if (g->open == open)
		return;
	g->open = open;
	g->changed(g->arg);
}

/* Keys that are held down at this moment were pressed for something else. */
static void mark_held(struct guard *g)
{
	char keys[32] = { 0 };

	XQueryKeymap(GDK_DISPLAY_XDISPLAY(gtk_widget_get_display(g->window)), keys);
	for (unsigned i = 0; i < KEYCODES; i++)
		if ((unsigned char)keys[i / 8] & 1u << i % 8)
			g->stale[i] = true;
}

static gboolean on_time(gpointer arg)
{
	struct guard *g = arg;

	g->timer = 0;
	mark_held(g);
	set_open(g, true);
	return G_SOURCE_REMOVE;
}

/* The time counts from now, if the window has the focus at all. */
static void restart(struct guard *g)
{
	bool focused = gtk_widget_get_mapped(g->window) && gtk_window_is_active(GTK_WINDOW(g->window));

	if (g->stopped)
		return;
	if (g->timer)
		g_source_remove(g->timer);
	g->timer = focused ? g_timeout_add(g->delay_ms, on_time, g) : 0;
	set_open(g, false);
}

static void on_focus(GObject *object, GParamSpec *spec, gpointer arg)
{
	restart(arg);
}

static gboolean on_map(GtkWidget *widget, GdkEvent *ev, gpointer arg)
{
	restart(arg);
	return FALSE;
}

static void on_destroy(gpointer arg)
{
	struct guard *g = arg;

	if (g->timer)
		g_source_remove(g->timer);
	free(g);
}

void guard_stop(struct guard *g)
{
	g_signal_handlers_disconnect_by_data(g->window, g);
	if (g->timer)
		g_source_remove(g->timer);
	g->timer = 0;
	g->open = false;
	/* Events that come until the window is gone pass nowhere and start nothing. */
	g->stopped = true;
}

static bool key_passes(struct guard *g, const GdkEventKey *k)
{
	unsigned code = k->hardware_keycode % KEYCODES;

	if (k->type == GDK_KEY_RELEASE) {
		bool was = g->stale[code];

		g->stale[code] = false;
		return !was;
	}
	if (k->keyval == GDK_KEY_Escape)
		return true;
	if (!g->open) {
		/* Somebody is typing: a pause comes first. */
		g->stale[code] = true;
		restart(g);
		return false;
	}
	return !g->stale[code];
}

static bool button_passes(struct guard *g, const GdkEvent *ev)
{
	bool release = ev->type == GDK_BUTTON_RELEASE || ev->type == GDK_TOUCH_END || ev->type == GDK_TOUCH_CANCEL;

	if (release) {
		bool was = g->button_dropped;

		g->button_dropped = false;
		return !was && g->open;
	}
	if (!g->open) {
		g->button_dropped = true;
		restart(g);
		return false;
	}
	return !g->button_dropped;
}

static bool passes(struct guard *g, const GdkEvent *ev)
{
	GdkEventType type = ev->type;

	if (type == GDK_KEY_PRESS || type == GDK_KEY_RELEASE)
		return !ev->any.send_event && key_passes(g, &ev->key);
	if (type == GDK_BUTTON_PRESS || type == GDK_2BUTTON_PRESS || type == GDK_3BUTTON_PRESS || type == GDK_BUTTON_RELEASE ||
	    type == GDK_TOUCH_BEGIN || type == GDK_TOUCH_UPDATE || type == GDK_TOUCH_END || type == GDK_TOUCH_CANCEL)
		return !ev->any.send_event && button_passes(g, ev);
	/* Text and files dropped onto the window come from other programs. */
	return type < GDK_DRAG_ENTER || type > GDK_DROP_FINISHED;
}

static void on_event(GdkEvent *ev, gpointer data)
{
	GtkWidget *w = gtk_get_event_widget(ev), *top = w ? gtk_widget_get_toplevel(w) : NULL;
	struct guard *g = top ? g_object_get_data(G_OBJECT(top), "guard") : NULL;

	if (!g || passes(g, ev))
		gtk_main_do_event(ev);
}

/* Every kind of input and focus: types 2 (KeyPress) to 10 (FocusOut), and the events of the input extension. */
static GdkFilterReturn drop_sent(GdkXEvent *xevent, GdkEvent *ev, gpointer data)
{
	const XEvent *x = xevent;

	return x->xany.send_event && ((x->type >= KeyPress && x->type <= FocusOut) || x->type == GenericEvent) ? GDK_FILTER_REMOVE : GDK_FILTER_CONTINUE;
}

void guard_init(void)
{
	gdk_event_handler_set(on_event, NULL, NULL);
	gdk_window_add_filter(NULL, drop_sent, NULL);
}

struct guard *guard_new(GtkWidget *window, unsigned delay_ms, void (*changed)(void *arg), void *arg)
{
	struct guard *g = xcalloc(1, sizeof *g);

	*g = (struct guard){ .window = window, .delay_ms = delay_ms, .changed = changed, .arg = arg };
	g_object_set_data_full(G_OBJECT(window), "guard", g, on_destroy);
	g_signal_connect(window, "notify::is-active", G_CALLBACK(on_focus), g);
	g_signal_connect(window, "map-event", G_CALLBACK(on_map), g);
	return g;
}
