/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One question. All text of it goes through pr_show or pr_*_words and is set as plain text, never as markup. */
#include "gui/prompt/gui.h"

enum { COL_SWATCH, COL_TEXT, COL_INDEX, COL_VISIBLE, COL_N };

struct window {
	const struct pr_question *q;
	window_done done;
	void *arg;
	struct guard *guard;
	GtkWidget *top, *entry, *list, *ok, *always, *rule, *waiting, *hint;
	GtkListStore *store;
	GtkTreeModel *filter;
	size_t chosen; /* n_targets = none */
	bool updating;
};

GdkPixbuf *swatch(uint32_t colour, int size)
{
	GdkPixbuf *p = gdk_pixbuf_new(GDK_COLORSPACE_RGB, TRUE, 8, size, size);

	gdk_pixbuf_fill(p, 0x555555ff);
	if (size > 2) {
		GdkPixbuf *inner = gdk_pixbuf_new_subpixbuf(p, 1, 1, size - 2, size - 2);

		gdk_pixbuf_fill(inner, colour == PR_NO_COLOUR ? 0x00000000 : colour << 8 | 0xff);
		g_object_unref(inner);
	}
	return p;
}

static GtkWidget *label(const char *text, double scale, bool bold)
{
	GtkWidget *l = gtk_label_new(NULL);
	PangoAttrList *attrs = pango_attr_list_new();

	gtk_label_set_text(GTK_LABEL(l), text);
	gtk_label_set_line_wrap(GTK_LABEL(l), TRUE);
	gtk_label_set_line_wrap_mode(GTK_LABEL(l), PANGO_WRAP_WORD_CHAR);
	gtk_label_set_max_width_chars(GTK_LABEL(l), 64);
	gtk_label_set_xalign(GTK_LABEL(l), 0);
	pango_attr_list_insert(attrs, pango_attr_scale_new(scale));
	if (bold)
		pango_attr_list_insert(attrs, pango_attr_weight_new(PANGO_WEIGHT_BOLD));
	gtk_label_set_attributes(GTK_LABEL(l), attrs);
	pango_attr_list_unref(attrs);
	return l;
}

static void update(void *arg)
{
	struct window *w = arg;
	const char *target = w->chosen < w->q->n_targets ? w->q->targets[w->chosen].name : NULL;
	bool ready = guard_open(w->guard) && target;
	char rule[1024], text[1200] = "";
	int made = target ? pr_always_rule(rule, sizeof rule, w->q, target) : -ENOENT;
	bool can = made == 0;

	gtk_widget_set_sensitive(w->ok, ready);
	gtk_widget_set_sensitive(w->always, can);
	if (!can)
		gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(w->always), FALSE);
	if (can && gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(w->always)))
		(void)!str_printf(text, sizeof text, "Adds to %s: %s", PR_ALWAYS_FILE, rule);
	else if (made == -EEXIST)
		(void)!str_copy(text, sizeof text, "A rule that is read before " PR_ALWAYS_FILE " asks each time.");
	gtk_label_set_text(GTK_LABEL(w->rule), text);
	gtk_label_set_text(GTK_LABEL(w->hint), !guard_open(w->guard) ? "Wait: this window takes an answer when it has had the focus for a moment." :
					       !target		     ? "Choose the qube that this call goes to." :
									       " ");
	guard_state(w->guard, ready);
}

void window_free(struct window *w)
{
	GdkDisplay *display;

	if (!w)
		return;
	display = gtk_widget_get_display(w->top);
	guard_stop(w->guard);
	g_signal_handlers_disconnect_by_data(gtk_tree_view_get_selection(GTK_TREE_VIEW(w->list)), w);
	gtk_widget_destroy(w->top);
	/* Before anybody learns of the answer: whoever looks for the next question must not find this window. */
	gdk_display_sync(display);
	g_object_unref(w->store);
	g_object_unref(w->filter);
	free(w);
}

static void finish(struct window *w, const char *target)
{
	window_done done = w->done;
	void *arg = w->arg;

	window_free(w);
	done(arg, target);
}

static void on_refuse(GtkWidget *widget, gpointer arg)
{
	finish(arg, NULL);
}

static gboolean on_delete(GtkWidget *widget, GdkEvent *ev, gpointer arg)
{
	finish(arg, NULL);
	return TRUE;
}

static void on_ok(GtkWidget *widget, gpointer arg)
{
	struct window *w = arg;
	struct err e = { 0 };
	const char *target;

	/* The button's state says the same; an answer does not hang on a widget. */
	if (!guard_open(w->guard) || w->chosen >= w->q->n_targets)
		return;
	target = w->q->targets[w->chosen].name;
	if (gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(w->always)) && pr_always_add(w->q, target, &e) < 0) {
		char text[ERR_MSG_MAX + 80];

		(void)!str_printf(text, sizeof text, "Allowed once; the rule could not be written: %s", e.msg);
		notice_text(text, true);
	}
	finish(w, target);
}

static gboolean on_key(GtkWidget *widget, GdkEventKey *k, gpointer arg)
{
	if (k->keyval != GDK_KEY_Escape)
		return FALSE;
	finish(arg, NULL);
	return TRUE;
}

static void on_always(GtkWidget *widget, gpointer arg)
{
	update(arg);
}

/* --- the chooser: a list to click, and an entry that narrows it; only a row of the list is ever an answer */

static void select_visible(struct window *w, size_t index)
{
	GtkTreeSelection *sel = gtk_tree_view_get_selection(GTK_TREE_VIEW(w->list));
	GtkTreeIter it;
	bool more = gtk_tree_model_get_iter_first(w->filter, &it);

	for (; more; more = gtk_tree_model_iter_next(w->filter, &it)) {
		guint i;

		gtk_tree_model_get(w->filter, &it, COL_INDEX, &i, -1);
		if (i == index) {
			GtkTreePath *path = gtk_tree_model_get_path(w->filter, &it);

			gtk_tree_selection_select_iter(sel, &it);
			gtk_tree_view_scroll_to_cell(GTK_TREE_VIEW(w->list), path, NULL, FALSE, 0, 0);
			gtk_tree_path_free(path);
			return;
		}
	}
	gtk_tree_selection_unselect_all(sel);
}

static void on_selected(GtkTreeSelection *sel, gpointer arg)
{
	struct window *w = arg;
	GtkTreeIter it;
	guint i = (guint)w->q->n_targets;
	char words[2 * PR_SHOW_MAX];

	if (gtk_tree_selection_get_selected(sel, NULL, &it))
		gtk_tree_model_get(w->filter, &it, COL_INDEX, &i, -1);
	w->chosen = i;
	if (!w->updating && w->chosen < w->q->n_targets) {
		w->updating = true;
		gtk_entry_set_text(GTK_ENTRY(w->entry), pr_target_words(words, w->q->targets[i].name));
		gtk_editable_set_position(GTK_EDITABLE(w->entry), -1);
		w->updating = false;
	}
	update(w);
}

static void on_typed(GtkWidget *widget, gpointer arg)
{
	struct window *w = arg;
	const char *typed = gtk_entry_get_text(GTK_ENTRY(w->entry));
	size_t exact = w->q->n_targets;
	GtkTreeIter it;
	bool more;

	if (w->updating)
		return;
	w->updating = true;
	for (more = gtk_tree_model_get_iter_first(GTK_TREE_MODEL(w->store), &it); more; more = gtk_tree_model_iter_next(GTK_TREE_MODEL(w->store), &it)) {
		gchar *text;
		guint i;

		gtk_tree_model_get(GTK_TREE_MODEL(w->store), &it, COL_TEXT, &text, COL_INDEX, &i, -1);
		gtk_list_store_set(w->store, &it, COL_VISIBLE, strcasestr(text, typed) != NULL, -1);
		if (streq(text, typed) || streq(w->q->targets[i].name, typed))
			exact = i;
		g_free(text);
	}
	select_visible(w, exact);
	w->updating = false;
	update(w);
}

/* The arrows walk through the list while the keyboard stays in the entry. */
static gboolean on_entry_key(GtkWidget *widget, GdkEventKey *k, gpointer arg)
{
	struct window *w = arg;
	GtkTreeSelection *sel = gtk_tree_view_get_selection(GTK_TREE_VIEW(w->list));
	bool down = k->keyval == GDK_KEY_Down, ok;
	GtkTreeIter it;
	guint i;

	if (!down && k->keyval != GDK_KEY_Up)
		return FALSE;
	if (!gtk_tree_selection_get_selected(sel, NULL, &it))
		ok = gtk_tree_model_get_iter_first(w->filter, &it);
	else
		ok = down ? gtk_tree_model_iter_next(w->filter, &it) : gtk_tree_model_iter_previous(w->filter, &it);
	if (ok) {
		gtk_tree_model_get(w->filter, &it, COL_INDEX, &i, -1);
		select_visible(w, i);
	}
	return TRUE;
}

static GtkWidget *chooser(struct window *w)
{
	GtkWidget *scroll = gtk_scrolled_window_new(NULL, NULL);
	GtkTreeViewColumn *col = gtk_tree_view_column_new();
	GtkCellRenderer *pix = gtk_cell_renderer_pixbuf_new(), *text = gtk_cell_renderer_text_new();
	char words[2 * PR_SHOW_MAX];

	w->store = gtk_list_store_new(COL_N, GDK_TYPE_PIXBUF, G_TYPE_STRING, G_TYPE_UINT, G_TYPE_BOOLEAN);
	for (size_t i = 0; i < w->q->n_targets; i++) {
		GdkPixbuf *p = swatch(w->q->targets[i].colour, 18);

		gtk_list_store_insert_with_values(w->store, NULL, -1, COL_SWATCH, p, COL_TEXT, pr_target_words(words, w->q->targets[i].name), COL_INDEX,
						  (guint)i, COL_VISIBLE, TRUE, -1);
		g_object_unref(p);
	}
	w->filter = gtk_tree_model_filter_new(GTK_TREE_MODEL(w->store), NULL);
	gtk_tree_model_filter_set_visible_column(GTK_TREE_MODEL_FILTER(w->filter), COL_VISIBLE);
	w->list = gtk_tree_view_new_with_model(w->filter);
	gtk_tree_view_set_headers_visible(GTK_TREE_VIEW(w->list), FALSE);
	gtk_tree_view_set_enable_search(GTK_TREE_VIEW(w->list), FALSE);
	/* A list that takes the focus selects its first row; nothing is to be selected but by the user. */
	gtk_widget_set_can_focus(w->list, FALSE);
	gtk_tree_view_column_pack_start(col, pix, FALSE);
	gtk_tree_view_column_add_attribute(col, pix, "pixbuf", COL_SWATCH);
	gtk_tree_view_column_pack_start(col, text, TRUE);
	gtk_tree_view_column_add_attribute(col, text, "text", COL_TEXT);
	g_object_set(text, "ellipsize", PANGO_ELLIPSIZE_MIDDLE, "xpad", 6, NULL);
	gtk_tree_view_append_column(GTK_TREE_VIEW(w->list), col);
	g_signal_connect(gtk_tree_view_get_selection(GTK_TREE_VIEW(w->list)), "changed", G_CALLBACK(on_selected), w);
	gtk_widget_set_can_focus(scroll, FALSE);
	gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(scroll), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
	gtk_scrolled_window_set_shadow_type(GTK_SCROLLED_WINDOW(scroll), GTK_SHADOW_IN);
	gtk_scrolled_window_set_min_content_height(GTK_SCROLLED_WINDOW(scroll), 150);
	gtk_container_add(GTK_CONTAINER(scroll), w->list);
	return scroll;
}

static GtkWidget *heading(const struct pr_question *q)
{
	GtkWidget *row = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 12), *col = gtk_box_new(GTK_ORIENTATION_VERTICAL, 2), *image;
	GdkPixbuf *p = swatch(q->colour, 48);
	char shown[PR_SHOW_MAX], verb[2 * PR_SHOW_MAX], text[3 * PR_SHOW_MAX];

	image = gtk_image_new_from_pixbuf(p);
	g_object_unref(p);
	gtk_box_pack_start(GTK_BOX(row), image, FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(col), label(pr_show(shown, q->source), 1.4, true), FALSE, FALSE, 0);
	(void)!str_printf(text, sizeof text, "wants to %s another qube.", pr_verb(verb, q->service));
	gtk_box_pack_start(GTK_BOX(col), label(text, 1.1, false), FALSE, FALSE, 0);
	(void)!str_printf(text, sizeof text, "Service: %s", pr_show(shown, q->service));
	gtk_box_pack_start(GTK_BOX(col), label(text, 0.9, false), FALSE, FALSE, 0);
	if (q->argument[1]) {
		(void)!str_printf(text, sizeof text, "Argument: %s", pr_show(shown, q->argument + 1));
		gtk_box_pack_start(GTK_BOX(col), label(text, 0.9, false), FALSE, FALSE, 0);
	}
	gtk_box_pack_start(GTK_BOX(row), col, TRUE, TRUE, 0);
	return row;
}

static GtkWidget *buttons(struct window *w)
{
	GtkWidget *row = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 8), *no = gtk_button_new_with_label("Refuse");

	w->ok = gtk_button_new_with_label("OK");
	gtk_widget_set_size_request(w->ok, 96, -1);
	w->waiting = label("", 0.9, false);
	g_signal_connect(no, "clicked", G_CALLBACK(on_refuse), w);
	g_signal_connect(w->ok, "clicked", G_CALLBACK(on_ok), w);
	gtk_box_pack_start(GTK_BOX(row), w->waiting, TRUE, TRUE, 0);
	gtk_box_pack_end(GTK_BOX(row), w->ok, FALSE, FALSE, 0);
	gtk_box_pack_end(GTK_BOX(row), no, FALSE, FALSE, 0);
	return row;
}

/* A frame in the colour of the calling qube around everything. */
static void paint_frame(GtkWidget *frame, GtkWidget *inside, uint32_t colour)
{
	GtkCssProvider *css = gtk_css_provider_new();
	char text[300];

	(void)!str_printf(text, sizeof text, "#prompt-frame { background-color: #%06x; } #prompt-inside { background-color: @theme_bg_color; }",
			  colour == PR_NO_COLOUR ? 0x808080u : colour & 0xffffffu);
	gtk_css_provider_load_from_data(css, text, -1, NULL);
	gtk_widget_set_name(frame, "prompt-frame");
	gtk_widget_set_name(inside, "prompt-inside");
	gtk_style_context_add_provider(gtk_widget_get_style_context(frame), GTK_STYLE_PROVIDER(css), GTK_STYLE_PROVIDER_PRIORITY_APPLICATION);
	gtk_style_context_add_provider(gtk_widget_get_style_context(inside), GTK_STYLE_PROVIDER(css), GTK_STYLE_PROVIDER_PRIORITY_APPLICATION);
	g_object_unref(css);
}

static void fill(struct window *w)
{
	GtkWidget *frame = gtk_box_new(GTK_ORIENTATION_VERTICAL, 0), *inside = gtk_box_new(GTK_ORIENTATION_VERTICAL, 0);
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 10), *list = chooser(w);

	w->entry = gtk_entry_new();
	gtk_entry_set_placeholder_text(GTK_ENTRY(w->entry), "Name of the qube, or click one below");
	gtk_entry_set_max_length(GTK_ENTRY(w->entry), PR_NAME_MAX);
	w->always = gtk_check_button_new_with_label("Always allow exactly this");
	w->rule = label("", 0.85, false);
	gtk_label_set_selectable(GTK_LABEL(w->rule), FALSE);
	w->hint = label(" ", 0.9, false);
	gtk_container_set_border_width(GTK_CONTAINER(box), 14);
	gtk_box_pack_start(GTK_BOX(box), heading(w->q), FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(box), w->entry, FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(box), list, TRUE, TRUE, 0);
	gtk_box_pack_start(GTK_BOX(box), w->always, FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(box), w->rule, FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(box), w->hint, FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(box), buttons(w), FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(inside), box, TRUE, TRUE, 0);
	g_object_set(inside, "margin", 8, NULL);
	gtk_box_pack_start(GTK_BOX(frame), inside, TRUE, TRUE, 0);
	paint_frame(frame, inside, w->q->colour);
	gtk_container_add(GTK_CONTAINER(w->top), frame);
	g_signal_connect(w->entry, "changed", G_CALLBACK(on_typed), w);
	g_signal_connect(w->entry, "activate", G_CALLBACK(on_ok), w);
	g_signal_connect(w->entry, "key-press-event", G_CALLBACK(on_entry_key), w);
	g_signal_connect(w->always, "toggled", G_CALLBACK(on_always), w);
}

static struct window *make(const struct pr_question *q, unsigned delay_ms, window_done done, void *arg)
{
	struct window *w = xcalloc(1, sizeof *w);
	char shown[PR_SHOW_MAX], title[PR_SHOW_MAX + 40];

	*w = (struct window){ .q = q, .done = done, .arg = arg, .chosen = q->n_targets };
	w->top = gtk_window_new(GTK_WINDOW_TOPLEVEL);
	(void)!str_printf(title, sizeof title, "Question from %s", pr_show(shown, q->source));
	gtk_window_set_title(GTK_WINDOW(w->top), title);
	gtk_window_set_role(GTK_WINDOW(w->top), "policy-question");
	gtk_window_set_type_hint(GTK_WINDOW(w->top), GDK_WINDOW_TYPE_HINT_DIALOG);
	gtk_window_set_position(GTK_WINDOW(w->top), GTK_WIN_POS_CENTER);
	gtk_window_set_keep_above(GTK_WINDOW(w->top), TRUE);
	gtk_window_set_urgency_hint(GTK_WINDOW(w->top), TRUE);
	gtk_window_set_default_size(GTK_WINDOW(w->top), 520, 460);
	w->guard = guard_new(w->top, delay_ms, update, w);
	fill(w);
	g_signal_connect(w->top, "delete-event", G_CALLBACK(on_delete), w);
	g_signal_connect(w->top, "key-press-event", G_CALLBACK(on_key), w);
	gtk_widget_show_all(gtk_bin_get_child(GTK_BIN(w->top)));
	if (!q->exact) {
		gtk_widget_hide(w->always);
		gtk_widget_hide(w->rule);
	}
	gtk_widget_grab_focus(w->entry);
	gtk_widget_realize(w->top);
	return w;
}

struct window *window_new(const struct pr_question *q, unsigned delay_ms, window_done done, void *arg)
{
	struct window *w = make(q, delay_ms, done, arg);

	if (q->preselected < q->n_targets)
		select_visible(w, q->preselected);
	update(w);
	gtk_widget_show(w->top);
	return w;
}

void window_waiting(struct window *w, size_t n)
{
	char text[80] = "";

	if (n)
		(void)!str_printf(text, sizeof text, "%zu more question%s of this qube", n, n == 1 ? "" : "s");
	gtk_label_set_text(GTK_LABEL(w->waiting), text);
}

static void nothing(void *arg, const char *target)
{
}

void window_warm(void)
{
	struct pr_target one = { (char[]){ "warm" }, 0xcc0000 };
	struct pr_question q = { .source = (char[]){ "warm" }, .service = (char[]){ "qubes.Filecopy" }, .argument = (char[]){ "+" }, .targets = &one,
				 .n_targets = 1, .preselected = 1, .requested_target = (char[]){ "@default" }, .user = (char[]){ "" }, .exact = true };
	struct window *w = make(&q, PR_GUARD_MS, nothing, NULL);
	GtkRequisition size;
	cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, 520, 460);
	cairo_t *cr = cairo_create(surface);
	GtkAllocation all = { 0, 0, 520, 460 };

	gtk_widget_get_preferred_size(w->top, NULL, &size);
	gtk_widget_size_allocate(w->top, &all);
	gtk_widget_draw(gtk_bin_get_child(GTK_BIN(w->top)), cr);
	cairo_destroy(cr);
	cairo_surface_destroy(surface);
	window_free(w);
}
