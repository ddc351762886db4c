/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The list: one row a qube, searched, sorted, and kept in place while states change. */
#include "gui/manager/manager.h"

enum { COL_NAME, COL_CHIP, COL_LABEL, COL_STATE, COL_KIND, COL_TEMPLATE, COL_NETVM, COL_MEMORY, COL_MARKS, COL_WEIGHT, COL_MEMORY_N, COL_N };

static struct {
	GtkListStore *store;
	GtkTreeModel *filter, *sorted;
	GtkTreeView *view;
	char *search;
	bool internal, only_running;
} st;

static const char *kind(const struct mg_qube *q)
{
	static const struct {
		const char *cls, *words;
	} kinds[] = { { "AppVM", N_("app") }, { "TemplateVM", N_("template") }, { "StandaloneVM", N_("standalone") }, { "DispVM", N_("disposable") }, { "RemoteVM", N_("remote") } };

	if (q->template_for_dispvms && !streq(q->cls, "DispVM"))
		return _("disposable template");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (streq(q->cls, kinds[i].cls))
			return _(kinds[i].words);
	return q->cls;
}

static const char *state_words(const struct mg_qube *q)
{
	static const char *const words[][2] = {
		{ "Running", N_("running") }, { "Halted", N_("halted") }, { "Paused", N_("paused") }, { "Transient", N_("starting") }, { "Halting", N_("shutting down") },
		{ "Dying", N_("ending") }, { "Crashed", N_("crashed") }, { "Suspended", N_("suspended") }, { "NA", N_("unknown") },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (streq(q->state, words[i][0]))
			return _(words[i][1]);
	return q->state;
}

static void fill(GtkTreeIter *it, const struct mg_qube *q)
{
	g_autoptr(GdkPixbuf) chip = label_chip(q->colour & 0xffffff, 32);
	char memory[40] = "", marks[120];

	if (q->memory_kib)
		(void)!str_printf(memory, sizeof memory, "%llu MiB", (unsigned long long)(q->memory_kib / 1024));
	(void)!str_printf(marks, sizeof marks, "%s%s%s%s%s", q->mic ? _("microphone  ") : "", q->outdated ? _("restart to update  ") : "", q->updates ? _("updates available  ") : "",
			  q->provides_network ? _("network  ") : "", q->autostart ? _("starts at boot") : "");
	gtk_list_store_set(st.store, it, COL_NAME, q->name, COL_CHIP, chip, COL_LABEL, q->label, COL_STATE, state_words(q), COL_KIND, kind(q),
			   COL_TEMPLATE, q->tmpl, COL_NETVM, q->netvm[0] ? q->netvm : "–", COL_MEMORY, memory, COL_MARKS, marks, COL_WEIGHT,
			   model_running(q) ? PANGO_WEIGHT_BOLD : PANGO_WEIGHT_NORMAL, COL_MEMORY_N, (guint64)q->memory_kib, -1);
}

static bool row_of(const char *name, GtkTreeIter *it)
{
	GtkTreeModel *m = GTK_TREE_MODEL(st.store);

	for (gboolean ok = gtk_tree_model_get_iter_first(m, it); ok; ok = gtk_tree_model_iter_next(m, it)) {
		g_autofree char *have = NULL;

		gtk_tree_model_get(m, it, COL_NAME, &have, -1);
		if (streq(have, name))
			return true;
	}
	return false;
}

/* Rows that are there are kept: selection and place stay. */
static void reload(void)
{
	GtkTreeModel *m = GTK_TREE_MODEL(st.store);
	GtkTreeIter it;
	gboolean ok = gtk_tree_model_get_iter_first(m, &it);

	while (ok) {
		g_autofree char *have = NULL;

		gtk_tree_model_get(m, &it, COL_NAME, &have, -1);
		ok = model_find(have) ? gtk_tree_model_iter_next(m, &it) : gtk_list_store_remove(st.store, &it);
	}
	for (size_t i = 0; i < model_count(); i++) {
		const struct mg_qube *q = model_at(i);

		if (!row_of(q->name, &it))
			gtk_list_store_append(st.store, &it);
		fill(&it, q);
	}
}

void list_changed(const char *name)
{
	const struct mg_qube *q = model_find(name);
	GtkTreeIter it;

	if (q && row_of(name, &it))
		fill(&it, q);
	else
		reload();
}

static bool matches(const struct mg_qube *q, const char *want)
{
	const char *const texts[] = { q->name, q->label, q->tmpl, q->netvm, state_words(q), kind(q) };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		g_autofree char *low = g_utf8_strdown(texts[i], -1);

		if (strstr(low, want))
			return true;
	}
	return false;
}

/* Every word of the search must be somewhere. */
static gboolean visible(GtkTreeModel *m, GtkTreeIter *it, gpointer arg)
{
	g_autofree char *name = NULL;
	g_auto(GStrv) words = NULL;
	const struct mg_qube *q;

	gtk_tree_model_get(m, it, COL_NAME, &name, -1);
	q = model_find(name);
	if (!q || (q->internal && !st.internal) || (st.only_running && !model_running(q)))
		return FALSE;
	words = g_strsplit(st.search ? st.search : "", " ", -1);
	for (size_t i = 0; words[i]; i++)
		if (words[i][0] && !matches(q, words[i]))
			return FALSE;
	return TRUE;
}

void list_search(const char *text)
{
	g_free(st.search);
	st.search = g_utf8_strdown(text, -1);
	gtk_tree_model_filter_refilter(GTK_TREE_MODEL_FILTER(st.filter));
}

void list_show(bool internal, bool only_running)
{
	st.internal = internal;
	st.only_running = only_running;
	gtk_tree_model_filter_refilter(GTK_TREE_MODEL_FILTER(st.filter));
}

const struct mg_qube *list_selected(void)
{
	GtkTreeModel *m;
	GtkTreeIter it;
	g_autofree char *name = NULL;

	if (!gtk_tree_selection_get_selected(gtk_tree_view_get_selection(st.view), &m, &it))
		return NULL;
	gtk_tree_model_get(m, &it, COL_NAME, &name, -1);
	return model_find(name);
}

void list_select(const char *name)
{
	GtkTreeIter it;

	for (gboolean ok = gtk_tree_model_get_iter_first(st.sorted, &it); ok; ok = gtk_tree_model_iter_next(st.sorted, &it)) {
		g_autofree char *have = NULL;
		GtkTreePath *path;

		gtk_tree_model_get(st.sorted, &it, COL_NAME, &have, -1);
		if (!streq(have, name))
			continue;
		path = gtk_tree_model_get_path(st.sorted, &it);
		gtk_tree_view_set_cursor(st.view, path, NULL, FALSE);
		gtk_tree_path_free(path);
		return;
	}
}

static void on_selection(GtkTreeSelection *s, gpointer arg)
{
	actions_refresh();
}

static void on_activated(GtkTreeView *view, GtkTreePath *path, GtkTreeViewColumn *col, gpointer arg)
{
	actions_default();
}

static gboolean on_button(GtkWidget *w, GdkEventButton *ev, gpointer arg)
{
	GtkTreePath *path = NULL;

	if (ev->type != GDK_BUTTON_PRESS || ev->button != GDK_BUTTON_SECONDARY)
		return FALSE;
	if (gtk_tree_view_get_path_at_pos(st.view, (int)ev->x, (int)ev->y, &path, NULL, NULL, NULL)) {
		gtk_tree_view_set_cursor(st.view, path, NULL, FALSE);
		gtk_tree_path_free(path);
	}
	actions_popup((GdkEvent *)ev);
	return TRUE;
}

static gboolean on_menu_key(GtkWidget *w, gpointer arg)
{
	actions_popup(NULL);
	return TRUE;
}

static void column(const char *title, int col, int sort, bool expand)
{
	GtkCellRenderer *cell = gtk_cell_renderer_text_new();
	GtkTreeViewColumn *c = gtk_tree_view_column_new_with_attributes(title, cell, "text", col, NULL);

	if (col == COL_NAME)
		gtk_tree_view_column_add_attribute(c, cell, "weight", COL_WEIGHT);
	if (col == COL_LABEL) {
		/* The colour as a picture, which stays when the row is selected; and its name: not everybody sees colours. */
		GtkCellRenderer *picture = gtk_cell_renderer_pixbuf_new();

		gtk_cell_layout_pack_start(GTK_CELL_LAYOUT(c), picture, FALSE);
		gtk_cell_layout_reorder(GTK_CELL_LAYOUT(c), picture, 0);
		gtk_cell_layout_add_attribute(GTK_CELL_LAYOUT(c), picture, "pixbuf", COL_CHIP);
		gtk_tree_view_column_set_spacing(c, 6);
	}
	g_object_set(cell, "ellipsize", expand ? PANGO_ELLIPSIZE_END : PANGO_ELLIPSIZE_NONE, NULL);
	gtk_tree_view_column_set_sort_column_id(c, sort);
	gtk_tree_view_column_set_resizable(c, TRUE);
	gtk_tree_view_column_set_expand(c, expand);
	gtk_tree_view_append_column(st.view, c);
}

GtkWidget *list_new(void)
{
	GtkWidget *scroll = gtk_scrolled_window_new(NULL, NULL);

	st.store = gtk_list_store_new(COL_N, G_TYPE_STRING, GDK_TYPE_PIXBUF, G_TYPE_STRING, G_TYPE_STRING, G_TYPE_STRING, G_TYPE_STRING, G_TYPE_STRING,
				      G_TYPE_STRING, G_TYPE_STRING, G_TYPE_INT, G_TYPE_UINT64);
	st.filter = gtk_tree_model_filter_new(GTK_TREE_MODEL(st.store), NULL);
	gtk_tree_model_filter_set_visible_func(GTK_TREE_MODEL_FILTER(st.filter), visible, NULL, NULL);
	st.sorted = gtk_tree_model_sort_new_with_model(st.filter);
	gtk_tree_sortable_set_sort_column_id(GTK_TREE_SORTABLE(st.sorted), COL_NAME, GTK_SORT_ASCENDING);
	st.view = GTK_TREE_VIEW(gtk_tree_view_new_with_model(st.sorted));
	gtk_tree_view_set_enable_search(st.view, FALSE);
	column(_("Label"), COL_LABEL, COL_LABEL, false);
	column(_("Name"), COL_NAME, COL_NAME, true);
	column(_("State"), COL_STATE, COL_STATE, false);
	column(_("Kind"), COL_KIND, COL_KIND, false);
	column(_("Template"), COL_TEMPLATE, COL_TEMPLATE, false);
	column(_("Network"), COL_NETVM, COL_NETVM, false);
	column(_("Memory"), COL_MEMORY, COL_MEMORY_N, false);
	column(_("Notes"), COL_MARKS, COL_MARKS, true);
	g_signal_connect(gtk_tree_view_get_selection(st.view), "changed", G_CALLBACK(on_selection), NULL);
	g_signal_connect(st.view, "row-activated", G_CALLBACK(on_activated), NULL);
	g_signal_connect(st.view, "button-press-event", G_CALLBACK(on_button), NULL);
	g_signal_connect(st.view, "popup-menu", G_CALLBACK(on_menu_key), NULL);
	gtk_container_add(GTK_CONTAINER(scroll), GTK_WIDGET(st.view));
	return scroll;
}
