/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What dialogs are made of: rows of a form, choices of labels and qubes, questions. */
#include "gui/manager/manager.h"
#include "proto/names.h"

bool is_template(const struct mg_qube *q)
{
	return streq(q->cls, "TemplateVM");
}

bool is_netvm(const struct mg_qube *q)
{
	return q->provides_network;
}

bool is_disp_template(const struct mg_qube *q)
{
	return q->template_for_dispvms;
}

bool name_ok(const char *name, const char **ret_why)
{
	struct qname parsed;

	if (model_find(name)) {
		*ret_why = _("There is a qube of this name.");
		return false;
	}
	if (qname_parse(&parsed, name, NULL) < 0 || streq(name, "dom0")) {
		*ret_why = _("A name begins with a letter, and has at most 31 letters, digits, and the signs - _ .");
		return false;
	}
	return true;
}

void form_row(GtkGrid *grid, int row, const char *label, GtkWidget *widget)
{
	GtkWidget *l = gtk_label_new_with_mnemonic(label);

	gtk_label_set_xalign(GTK_LABEL(l), 0);
	gtk_label_set_mnemonic_widget(GTK_LABEL(l), widget);
	gtk_widget_set_hexpand(widget, TRUE);
	gtk_grid_set_row_spacing(grid, 8);
	gtk_grid_set_column_spacing(grid, 12);
	gtk_container_set_border_width(GTK_CONTAINER(grid), 12);
	gtk_grid_attach(grid, l, 0, row, 1, 1);
	gtk_grid_attach(grid, widget, 1, row, 1, 1);
}

GdkPixbuf *label_chip(uint32_t colour, int width)
{
	GdkPixbuf *p = gdk_pixbuf_new(GDK_COLORSPACE_RGB, FALSE, 8, width, 14), *inside = gdk_pixbuf_new_subpixbuf(p, 1, 1, width - 2, 12);

	/* A rim that can be seen on a dark ground and on a light one: labels are black too. */
	gdk_pixbuf_fill(p, 0x888888ff);
	gdk_pixbuf_fill(inside, colour << 8 | 0xff);
	g_object_unref(inside);
	return p;
}

/* Columns: id, text, picture. */
static GtkWidget *combo_new(GtkListStore *store, const char *active)
{
	GtkWidget *combo = gtk_combo_box_new_with_model(GTK_TREE_MODEL(store));
	GtkCellRenderer *picture = gtk_cell_renderer_pixbuf_new(), *text = gtk_cell_renderer_text_new();

	gtk_cell_layout_pack_start(GTK_CELL_LAYOUT(combo), picture, FALSE);
	gtk_cell_layout_add_attribute(GTK_CELL_LAYOUT(combo), picture, "pixbuf", 2);
	gtk_cell_layout_pack_start(GTK_CELL_LAYOUT(combo), text, TRUE);
	gtk_cell_layout_add_attribute(GTK_CELL_LAYOUT(combo), text, "text", 1);
	gtk_combo_box_set_id_column(GTK_COMBO_BOX(combo), 0);
	if (!active || !gtk_combo_box_set_active_id(GTK_COMBO_BOX(combo), active))
		gtk_combo_box_set_active(GTK_COMBO_BOX(combo), 0);
	g_object_unref(store);
	return combo;
}

static void entry(GtkListStore *store, const char *id, const char *text, GdkPixbuf *picture)
{
	gtk_list_store_insert_with_values(store, NULL, -1, 0, id, 1, text, 2, picture, -1);
	if (picture)
		g_object_unref(picture);
}

GtkWidget *label_combo(const char *active)
{
	GtkListStore *store = gtk_list_store_new(3, G_TYPE_STRING, G_TYPE_STRING, GDK_TYPE_PIXBUF);
	const struct mg_label *v;
	size_t n = model_labels(&v);

	for (size_t i = 0; i < n; i++)
		entry(store, v[i].name, v[i].name, label_chip(v[i].colour, 14));
	return combo_new(store, active);
}

GtkWidget *qube_combo(bool (*keep)(const struct mg_qube *q), const char *active, const char *none, const char *dflt)
{
	GtkListStore *store = gtk_list_store_new(3, G_TYPE_STRING, G_TYPE_STRING, GDK_TYPE_PIXBUF);

	if (dflt)
		entry(store, "*default*", dflt, NULL);
	if (none)
		entry(store, "", none, NULL);
	for (size_t i = 0; i < model_count(); i++) {
		const struct mg_qube *q = model_at(i);

		if (!keep || keep(q))
			entry(store, q->name, q->name, label_chip(q->colour, 14));
	}
	return combo_new(store, active);
}

bool ask(GtkWindow *parent, const char *yes, const char *fmt, ...)
{
	GtkWidget *d, *b;
	va_list ap;
	g_autofree char *text = NULL;
	int r;

	va_start(ap, fmt);
	text = g_strdup_vprintf(fmt, ap);
	va_end(ap);
	d = gtk_message_dialog_new(parent, GTK_DIALOG_MODAL, GTK_MESSAGE_QUESTION, GTK_BUTTONS_NONE, "%s", text);
	gtk_window_set_title(GTK_WINDOW(d), _("Question"));
	gtk_dialog_add_button(GTK_DIALOG(d), _("_Cancel"), GTK_RESPONSE_CANCEL);
	b = gtk_dialog_add_button(GTK_DIALOG(d), yes, GTK_RESPONSE_OK);
	gtk_style_context_add_class(gtk_widget_get_style_context(b), "destructive-action");
	/* Return alone destroys nothing. */
	gtk_dialog_set_default_response(GTK_DIALOG(d), GTK_RESPONSE_CANCEL);
	r = gtk_dialog_run(GTK_DIALOG(d));
	gtk_widget_destroy(d);
	return r == GTK_RESPONSE_OK;
}

char *ask_text(GtkWindow *parent, const char *title, const char *label, const char *text)
{
	GtkWidget *d = gtk_dialog_new_with_buttons(title, parent, GTK_DIALOG_MODAL, _("_Cancel"), GTK_RESPONSE_CANCEL, _("_OK"), GTK_RESPONSE_OK, NULL);
	GtkWidget *e = gtk_entry_new(), *l = gtk_label_new_with_mnemonic(label), *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 8);
	char *ret = NULL;

	gtk_label_set_mnemonic_widget(GTK_LABEL(l), e);
	gtk_label_set_line_wrap(GTK_LABEL(l), TRUE);
	gtk_label_set_xalign(GTK_LABEL(l), 0);
	gtk_entry_set_text(GTK_ENTRY(e), text);
	gtk_entry_set_activates_default(GTK_ENTRY(e), TRUE);
	gtk_entry_set_width_chars(GTK_ENTRY(e), 40);
	gtk_container_set_border_width(GTK_CONTAINER(box), 12);
	gtk_box_pack_start(GTK_BOX(box), l, FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(box), e, FALSE, FALSE, 0);
	gtk_container_add(GTK_CONTAINER(gtk_dialog_get_content_area(GTK_DIALOG(d))), box);
	gtk_dialog_set_default_response(GTK_DIALOG(d), GTK_RESPONSE_OK);
	gtk_widget_show_all(d);
	if (gtk_dialog_run(GTK_DIALOG(d)) == GTK_RESPONSE_OK)
		ret = g_strdup(gtk_entry_get_text(GTK_ENTRY(e)));
	gtk_widget_destroy(d);
	return ret;
}
