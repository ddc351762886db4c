/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The programs of qubes in the tray's menu, out of the entries that dom0 keeps for them (lib/appmenus). A qube that does not run is started by it. */
#include "gui/manager/manager.h"

#include "base/paths.h"

#define PROGRAMS_MAX 200

static void on_program(GtkWidget *item, gpointer arg)
{
	const char *qube = g_object_get_data(G_OBJECT(item), "qube");
	g_autofree char *service = g_strdup_printf("qubes.StartApp+%s", (const char *)g_object_get_data(G_OBJECT(item), "program"));
	const char *argv[] = { "qvm-run", "-q", "-a", "--service", "--", qube, service, NULL };
	g_autofree char *title = g_strdup_printf("%s: %s", qube, service);

	job_run(title, argv, NULL, NULL);
}

/* bulkhead.QUBE.PROGRAM.desktop: the program, or NULL. */
static char *program_of(const char *file, const char *qube)
{
	g_autofree char *prefix = g_strdup_printf("bulkhead.%s.", qube);

	if (!str_starts(file, prefix) || !str_ends(file, ".desktop") || strlen(file) <= strlen(prefix) + strlen(".desktop"))
		return NULL;
	return g_strndup(file + strlen(prefix), strlen(file) - strlen(prefix) - strlen(".desktop"));
}

static GtkWidget *entry(const char *folder, const char *file, const char *qube)
{
	g_autofree char *program = program_of(file, qube), *path = g_build_filename(folder, file, NULL), *name = NULL;
	g_autoptr(GKeyFile) keys = g_key_file_new();
	GtkWidget *item;
	const char *shown;

	if (!program || !g_key_file_load_from_file(keys, path, G_KEY_FILE_NONE, NULL))
		return NULL;
	name = g_key_file_get_string(keys, "Desktop Entry", "Name", NULL);
	/* "QUBE: NAME"; the qube is said by the menu it is in. */
	shown = name && str_starts(name, qube) && strncmp(name + strlen(qube), ": ", 2) == 0 ? name + strlen(qube) + 2 : name ? name : program;
	item = gtk_menu_item_new_with_label(shown);
	g_object_set_data_full(G_OBJECT(item), "qube", g_strdup(qube), g_free);
	g_object_set_data_full(G_OBJECT(item), "program", g_steal_pointer(&program), g_free);
	g_signal_connect(item, "activate", G_CALLBACK(on_program), NULL);
	return item;
}

static gint by_label(gconstpointer a, gconstpointer b)
{
	return g_utf8_collate(gtk_menu_item_get_label(GTK_MENU_ITEM(a)), gtk_menu_item_get_label(GTK_MENU_ITEM(b)));
}

static const char *folder_of(const char *qube, char out[PATH_MAX])
{
	return path_fmt(out, PATH_APPMENUS, "/%s/apps", qube);
}

/* Read when it opens, and only once: the tray makes its menus anew for each click. */
static void fill(GtkMenuItem *item, gpointer arg)
{
	const char *qube = g_object_get_data(G_OBJECT(item), "qube"), *file;
	char folder[PATH_MAX];
	GDir *dir = g_object_get_data(G_OBJECT(item), "filled") ? NULL : g_dir_open(folder_of(qube, folder), 0, NULL);
	GtkWidget *menu = gtk_menu_item_get_submenu(item);
	GList *list = NULL;
	size_t n = 0;

	if (!dir)
		return;
	g_object_set_data(G_OBJECT(item), "filled", item);
	while (n < PROGRAMS_MAX && (file = g_dir_read_name(dir))) {
		GtkWidget *one = entry(folder, file, qube);

		if (!one)
			continue;
		list = g_list_insert_sorted(list, one, by_label);
		n++;
	}
	g_dir_close(dir);
	for (GList *l = list; l; l = l->next)
		gtk_menu_shell_append(GTK_MENU_SHELL(menu), l->data);
	g_list_free(list);
	gtk_widget_show_all(menu);
}

GtkWidget *programs_item(const char *label, const char *qube)
{
	char folder[PATH_MAX];
	GtkWidget *item;

	if (access(folder_of(qube, folder), R_OK) < 0)
		return NULL;
	item = gtk_menu_item_new_with_mnemonic(label);
	g_object_set_data_full(G_OBJECT(item), "qube", g_strdup(qube), g_free);
	gtk_menu_item_set_submenu(GTK_MENU_ITEM(item), gtk_menu_new());
	g_signal_connect(item, "select", G_CALLBACK(fill), NULL);
	return item;
}

GtkWidget *programs_all(void)
{
	GtkWidget *item = gtk_menu_item_new_with_mnemonic(_("Start a p_rogram")), *menu = gtk_menu_new();
	size_t n = 0;

	for (size_t i = 0; i < model_count(); i++) {
		const struct mg_qube *q = model_at(i);
		GtkWidget *one = q->internal || streq(q->cls, "TemplateVM") || streq(q->cls, "RemoteVM") ? NULL : programs_item("", q->name);

		if (!one)
			continue;
		gtk_menu_item_set_use_underline(GTK_MENU_ITEM(one), FALSE);
		gtk_menu_item_set_label(GTK_MENU_ITEM(one), q->name);
		gtk_menu_shell_append(GTK_MENU_SHELL(menu), one);
		n++;
	}
	gtk_menu_item_set_submenu(GTK_MENU_ITEM(item), menu);
	gtk_widget_set_sensitive(item, n > 0);
	return item;
}
