/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pages of the settings that act at once: firewall rules and services. Each change is one call of a tool; the page shows what the daemon has afterwards. */
#include "gui/manager/manager.h"
#include "client/answers.h"
#include "proto/firewall.h"

/* A page: a list with an entry below it. It lives as long as its top widget. */
struct page {
	char qube[40];
	GtkWidget *top, *entry, *minutes, *note;
	GtkListStore *store;
	GtkTreeView *view;
	void (*read)(struct page *p);
	unsigned refs; /* the widget's and one of each tool that runs */
	bool gone;
};

static void unref(struct page *p)
{
	if (--p->refs == 0)
		free(p);
}

static void on_destroy(GtkWidget *w, gpointer arg)
{
	struct page *p = arg;

	p->gone = true;
	unref(p);
}

static void on_done(int code, const char *out, void *arg)
{
	struct page *p = arg;

	if (!p->gone) {
		p->read(p);
		/* The infobar is behind this window. */
		gtk_label_set_text(GTK_LABEL(p->note), code ? _("That did not work; the main window says why.") : "");
	}
	unref(p);
}

static void change(struct page *p, const char *title, const char *const *argv)
{
	p->refs++;
	job_run(title, argv, on_done, p);
}

static struct page *page_new(const char *qube, void (*read)(struct page *p))
{
	struct page *p = xcalloc(1, sizeof *p);

	(void)!str_copy(p->qube, sizeof p->qube, qube);
	p->read = read;
	p->refs = 1;
	p->top = gtk_box_new(GTK_ORIENTATION_VERTICAL, 8);
	gtk_container_set_border_width(GTK_CONTAINER(p->top), 12);
	g_signal_connect(p->top, "destroy", G_CALLBACK(on_destroy), p);
	p->note = gtk_label_new("");
	gtk_label_set_xalign(GTK_LABEL(p->note), 0);
	return p;
}

static GtkWidget *button(struct page *p, const char *label, void (*fn)(GtkWidget *w, struct page *p))
{
	GtkWidget *b = gtk_button_new_with_mnemonic(label);

	g_signal_connect(b, "clicked", G_CALLBACK(fn), p);
	return b;
}

static void add_list(struct page *p, size_t n_cols, const char *const *titles)
{
	GtkWidget *scroll = gtk_scrolled_window_new(NULL, NULL);

	p->view = GTK_TREE_VIEW(gtk_tree_view_new_with_model(GTK_TREE_MODEL(p->store)));
	g_object_unref(p->store);
	for (size_t i = 0; i < n_cols; i++)
		gtk_tree_view_append_column(p->view, gtk_tree_view_column_new_with_attributes(_(titles[i]), gtk_cell_renderer_text_new(), "text", (int)i, NULL));
	gtk_scrolled_window_set_min_content_height(GTK_SCROLLED_WINDOW(scroll), 200);
	gtk_scrolled_window_set_min_content_width(GTK_SCROLLED_WINDOW(scroll), 520);
	gtk_container_add(GTK_CONTAINER(scroll), GTK_WIDGET(p->view));
	gtk_box_pack_start(GTK_BOX(p->top), scroll, TRUE, TRUE, 0);
}

static void row_of(GtkWidget **add_to, GtkWidget *first, ...)
{
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6), *w;
	va_list ap;

	va_start(ap, first);
	for (w = first; w; w = va_arg(ap, GtkWidget *))
		gtk_box_pack_start(GTK_BOX(box), w, GTK_IS_ENTRY(w), GTK_IS_ENTRY(w), 0);
	va_end(ap);
	gtk_box_pack_start(GTK_BOX(*add_to), box, FALSE, FALSE, 0);
}

/* The text of a column of the selected row; caller frees; NULL when none is. */
static char *picked(struct page *p, int col)
{
	GtkTreeModel *m;
	GtkTreeIter it;
	char *ret = NULL;

	if (gtk_tree_selection_get_selected(gtk_tree_view_get_selection(p->view), &m, &it))
		gtk_tree_model_get(m, &it, col, &ret, -1);
	return ret;
}

/* --- firewall ------------------------------------------------------------------------------------------------------------------ */

static void rules_read(struct page *p)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct err e = { 0 };
	struct rd text, line;
	unsigned n = 0;

	gtk_list_store_clear(p->store);
	if (adm_text(&rep, p->qube, "admin.vm.firewall.Get", NULL, NULL, &e) < 0) {
		gtk_label_set_text(GTK_LABEL(p->note), e.msg);
		return;
	}
	text = rd_mem(rep.data, rep.len);
	while (rd_line(&text, &line)) {
		struct fw_rule f;
		char no[16], shown[700];

		if (fw_parse(&f, line, NULL) < 0 || str_printf(no, sizeof no, "%u", n++) < 0 || str_printf(shown, sizeof shown, "%.*s", (int)rd_left(&line), (const char *)line.p) < 0)
			continue;
		gtk_list_store_insert_with_values(p->store, NULL, -1, 0, no, 1, f.accept ? _("allowed") : _("refused"), 2, shown, -1);
	}
}

static void on_rule_add(GtkWidget *w, struct page *p)
{
	int minutes = gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(p->minutes));
	g_auto(GStrv) words = g_strsplit_set(gtk_entry_get_text(GTK_ENTRY(p->entry)), " ", 12);
	g_autofree char *expire = g_strdup_printf("expire=+%d", minutes * 60);
	const char *argv[24] = { "qvm-firewall", p->qube, "add", "--before", "0" };
	size_t n = 5;

	for (size_t i = 0; words[i]; i++)
		if (words[i][0])
			argv[n++] = words[i];
	if (n == 5)
		return;
	if (minutes > 0)
		argv[n++] = expire;
	change(p, _("Adding a rule"), argv);
	gtk_entry_set_text(GTK_ENTRY(p->entry), "");
}

static void on_rule_del(GtkWidget *w, struct page *p)
{
	g_autofree char *no = picked(p, 0);
	const char *const argv[] = { "qvm-firewall", p->qube, "del", "--rule-no", no, NULL };

	if (no)
		change(p, _("Removing a rule"), argv);
}

static void on_rules_reset(GtkWidget *w, struct page *p)
{
	const char *const argv[] = { "qvm-firewall", p->qube, "reset", NULL };

	change(p, _("Allowing everything"), argv);
}

GtkWidget *firewall_page(const char *qube)
{
	static const char *const titles[] = { N_("No"), N_("Then"), N_("Rule") };
	struct page *p = page_new(qube, rules_read);

	p->store = gtk_list_store_new(3, G_TYPE_STRING, G_TYPE_STRING, G_TYPE_STRING);
	add_list(p, ARRAY_SIZE(titles), titles);
	p->entry = gtk_entry_new();
	gtk_entry_set_placeholder_text(GTK_ENTRY(p->entry), _("accept HOST tcp 443"));
	p->minutes = gtk_spin_button_new_with_range(0, 100000, 1);
	gtk_widget_set_tooltip_text(p->minutes, _("0: for good"));
	row_of(&p->top, p->entry, gtk_label_new(_("for")), p->minutes, gtk_label_new(_("minutes")), button(p, _("A_dd rule"), on_rule_add), NULL);
	row_of(&p->top, button(p, _("Re_move rule"), on_rule_del), button(p, _("Allow _everything"), on_rules_reset), NULL);
	gtk_box_pack_start(GTK_BOX(p->top), p->note, FALSE, FALSE, 0);
	rules_read(p);
	return p->top;
}

/* --- services ------------------------------------------------------------------------------------------------------------------ */

static void services_read(struct page *p)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct err e = { 0 };
	char *rest, *line;

	gtk_list_store_clear(p->store);
	if (adm_text(&rep, p->qube, "admin.vm.feature.List", NULL, NULL, &e) < 0) {
		gtk_label_set_text(GTK_LABEL(p->note), e.msg);
		return;
	}
	rest = rep.data;
	while ((line = adm_line(&rest))) {
		_cleanup_reply_ struct adm_reply one = { 0 };

		if (!str_starts(line, "service.") || adm_text(&one, p->qube, "admin.vm.feature.Get", line, NULL, &e) < 0)
			continue;
		gtk_list_store_insert_with_values(p->store, NULL, -1, 0, line + 8, 1, one.len ? _("on") : _("off"), -1);
	}
}

static void service(struct page *p, const char *how, const char *name)
{
	const char *const argv[] = { "qvm-service", how, name, p->qube, NULL };

	if (name && name[0])
		change(p, _("Changing a service"), argv);
}

static void on_service_on(GtkWidget *w, struct page *p)
{
	service(p, "--enable", gtk_entry_get_text(GTK_ENTRY(p->entry)));
}

static void on_service_off(GtkWidget *w, struct page *p)
{
	service(p, "--disable", gtk_entry_get_text(GTK_ENTRY(p->entry)));
}

static void on_service_default(GtkWidget *w, struct page *p)
{
	g_autofree char *name = picked(p, 0);

	service(p, "--default", name);
}

GtkWidget *services_page(const char *qube)
{
	static const char *const titles[] = { N_("Service"), N_("Set to") };
	struct page *p = page_new(qube, services_read);

	p->store = gtk_list_store_new(2, G_TYPE_STRING, G_TYPE_STRING);
	add_list(p, ARRAY_SIZE(titles), titles);
	p->entry = gtk_entry_new();
	gtk_entry_set_placeholder_text(GTK_ENTRY(p->entry), _("name of a service"));
	row_of(&p->top, p->entry, button(p, _("Switch _on"), on_service_on), button(p, _("Switch o_ff"), on_service_off), NULL);
	row_of(&p->top, button(p, _("Leave to its _default"), on_service_default), NULL);
	gtk_box_pack_start(GTK_BOX(p->top), p->note, FALSE, FALSE, 0);
	services_read(p);
	return p->top;
}
