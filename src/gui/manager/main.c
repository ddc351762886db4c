/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bulkhead-manager: options, the window, its status line. */
#include "gui/manager/manager.h"

#include <getopt.h>

#include "client/admin.h"

static struct {
	GtkWidget *window, *status;
	const char *root, *select;
} st;

static int usage(FILE *f, int code)
{
	fputs("usage: bulkhead-manager [--root DIR] [QUBE]\n"
	      "All qubes in a window: their state, and what can be done with them. QUBE is selected at the start.\n"
	      "  --root  the instance\n"
	      "  --help, --version\n",
	      f);
	return code;
}

static int parse(int argc, char **argv)
{
	static const struct option longs[] = { { "root", required_argument, NULL, 'r' }, { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' }, { 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'r':
			st.root = optarg;
			break;
		case 'h':
			return usage(stdout, 0);
		case 'V':
			puts("bulkhead-manager (Bulkhead) " BULKHEAD_VERSION);
			return 0;
		default:
			return usage(stderr, 2);
		}
	}
	if (optind + 1 < argc)
		return usage(stderr, 2);
	st.select = argv[optind];
	return -1;
}

static void status(void)
{
	g_autofree char *text = NULL;
	uint64_t kib = 0;
	size_t runs = 0;

	for (size_t i = 0; i < model_count(); i++) {
		runs += model_running(model_at(i));
		kib += model_at(i)->memory_kib;
	}
	if (model_connected())
		text = g_strdup_printf(_("%zu qubes, %zu running, %llu MiB of memory in use"), model_count(), runs, (unsigned long long)(kib / 1024));
	else
		text = g_strdup(_("qubesd does not answer; trying again each second"));
	gtk_label_set_text(GTK_LABEL(st.status), text);
}

static void on_model(const char *name)
{
	list_changed(name);
	actions_refresh();
	status();
}

static void on_search(GtkSearchEntry *e, gpointer arg)
{
	list_search(gtk_entry_get_text(GTK_ENTRY(e)));
}

static gboolean on_find(GtkAccelGroup *g, GObject *o, guint key, GdkModifierType mod, gpointer entry)
{
	gtk_widget_grab_focus(entry);
	return TRUE;
}

/* Tools that run go on without us, but what they say would be lost. */
static gboolean on_close(GtkWidget *w, GdkEvent *ev, gpointer arg)
{
	return job_count() > 0 && !ask(GTK_WINDOW(w), _("_Close"), _("%u commands still run. They go on, but you will not see how they end."), job_count());
}

static void build(void)
{
	GtkAccelGroup *keys = gtk_accel_group_new();
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 0), *search = gtk_search_entry_new(), *tools;

	st.window = gtk_window_new(GTK_WINDOW_TOPLEVEL);
	gtk_window_set_title(GTK_WINDOW(st.window), _("Qubes"));
	gtk_window_set_default_size(GTK_WINDOW(st.window), 980, 560);
	gtk_window_set_icon_name(GTK_WINDOW(st.window), "computer");
	gtk_window_add_accel_group(GTK_WINDOW(st.window), keys);
	gtk_accel_group_connect(keys, GDK_KEY_f, GDK_CONTROL_MASK, 0, g_cclosure_new(G_CALLBACK(on_find), search, NULL));
	gtk_box_pack_start(GTK_BOX(box), actions_menubar(GTK_WINDOW(st.window), keys), FALSE, FALSE, 0);
	tools = actions_toolbar();
	gtk_entry_set_placeholder_text(GTK_ENTRY(search), _("Search (Ctrl+F)"));
	gtk_box_pack_end(GTK_BOX(tools), search, FALSE, FALSE, 6);
	gtk_box_pack_start(GTK_BOX(box), tools, FALSE, FALSE, 4);
	gtk_box_pack_start(GTK_BOX(box), list_new(), TRUE, TRUE, 0);
	gtk_box_pack_start(GTK_BOX(box), job_area(), FALSE, FALSE, 0);
	st.status = gtk_label_new("");
	gtk_label_set_xalign(GTK_LABEL(st.status), 0);
	gtk_widget_set_margin_start(st.status, 8);
	gtk_box_pack_start(GTK_BOX(box), st.status, FALSE, FALSE, 4);
	g_signal_connect(search, "search-changed", G_CALLBACK(on_search), NULL);
	g_signal_connect(st.window, "delete-event", G_CALLBACK(on_close), NULL);
	g_signal_connect(st.window, "destroy", G_CALLBACK(gtk_main_quit), NULL);
	gtk_container_add(GTK_CONTAINER(st.window), box);
}

int main(int argc, char **argv)
{
	int r = parse(argc, argv);

	if (r >= 0)
		return r;
	if (!manager_begin("bulkhead-manager", st.root))
		return 1;
	build();
	gtk_widget_show_all(st.window);
	model_start(on_model);
	if (st.select)
		list_select(st.select);
	gtk_main();
	return 0;
}
