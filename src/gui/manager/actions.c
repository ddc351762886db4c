/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Menus, toolbar and what they do, from one table (actions.def). */
#include "gui/manager/manager.h"

#include <gdk/gdkkeysyms.h>

enum when { ANY, ONE, HALTED, RUNNING, ACTIVE, PAUSED, USABLE, TEMPLATE };
enum menu { QUBE, SYSTEM, MENUS_N };
enum {
#define ACTION(symbol, ...) A_##symbol,
#define TOOL(symbol, ...) A_##symbol,
#define LINE(menu)
#include "gui/manager/actions.def"
#undef ACTION
#undef TOOL
#undef LINE
	A_N
};

static struct {
	GtkWindow *window;
	GtkWidget *item[2][A_N]; /* in the menu bar, in the popup */
	GtkWidget *button[A_N];
	GtkWidget *popup;
} st;

/* The selected qube by name: it may be gone when a dialog is answered. */
static bool selected(char out[40])
{
	const struct mg_qube *q = list_selected();

	return q && str_copy(out, 40, q->name) == 0;
}

static void tool(const char *program, const char *title, const char *qube)
{
	const char *const argv[] = { program, qube, NULL };
	g_autofree char *text = g_strdup_printf("%s: %s", title, qube);

	job_run(text, argv, NULL, NULL);
}

static void do_create(void)
{
	create_dialog(st.window);
}

static void do_settings(void)
{
	char name[40];

	if (selected(name))
		settings_dialog(st.window, name);
}

static void on_stopped(int code, const char *out, void *arg)
{
	g_autofree char *name = arg;

	if (code == 0)
		tool("qvm-start", _("Starting"), name);
}

static void do_restart(void)
{
	char name[40];
	const char *const argv[] = { "qvm-shutdown", "--wait", name, NULL };

	if (selected(name))
		job_run(_("Restarting"), argv, on_stopped, g_strdup(name));
}

static void do_kill(void)
{
	char name[40];

	if (selected(name) && ask(st.window, _("_Kill"), _("End %s at once? What it has not saved is lost."), name))
		tool("qvm-kill", _("Ending"), name);
}

static void do_terminal(void)
{
	char name[40];
	const char *const argv[] = { "qvm-run", "--service", name, "qubes.StartApp+qubes-run-terminal", NULL };

	if (selected(name))
		job_run(_("Terminal"), argv, NULL, NULL);
}

static void do_command(void)
{
	char name[40];
	g_autofree char *command = NULL;
	const char *argv[] = { "qvm-run", "--", name, NULL, NULL };

	if (!selected(name))
		return;
	command = ask_text(st.window, name, _("C_ommand to run in the qube:"), "");
	if (!command || !command[0])
		return;
	argv[3] = command;
	job_run(command, argv, NULL, NULL);
}

static void do_clone(void)
{
	char name[40];
	const char *argv[] = { "qvm-clone", name, NULL, NULL }, *why;
	g_autofree char *copy = NULL, *proposal = NULL, *title = NULL;

	if (!selected(name))
		return;
	proposal = g_strdup_printf("%s-copy", name);
	copy = ask_text(st.window, _("Clone"), _("_Name of the clone:"), proposal);
	if (!copy)
		return;
	if (!name_ok(copy, &why)) {
		job_message(GTK_MESSAGE_ERROR, why);
		return;
	}
	argv[2] = copy;
	title = g_strdup_printf(_("Cloning %s to %s"), name, copy);
	job_run(title, argv, NULL, NULL);
}

static void do_template(void)
{
	const struct mg_qube *q = list_selected();
	GtkWidget *dialog, *combo;
	GtkGrid *grid = GTK_GRID(gtk_grid_new());
	char name[40];

	if (!q || !selected(name))
		return;
	dialog = gtk_dialog_new_with_buttons(_("Change template"), st.window, GTK_DIALOG_MODAL, _("_Cancel"), GTK_RESPONSE_CANCEL, _("C_hange"), GTK_RESPONSE_OK, NULL);
	combo = qube_combo(is_template, q->tmpl, NULL, NULL);
	form_row(grid, 0, _("_Template:"), combo);
	gtk_container_add(GTK_CONTAINER(gtk_dialog_get_content_area(GTK_DIALOG(dialog))), GTK_WIDGET(grid));
	gtk_dialog_set_default_response(GTK_DIALOG(dialog), GTK_RESPONSE_OK);
	gtk_widget_show_all(dialog);
	if (gtk_dialog_run(GTK_DIALOG(dialog)) == GTK_RESPONSE_OK && gtk_combo_box_get_active_id(GTK_COMBO_BOX(combo))) {
		const char *const argv[] = { "qvm-prefs", name, "template", gtk_combo_box_get_active_id(GTK_COMBO_BOX(combo)), NULL };

		job_run(_("Changing the template"), argv, NULL, NULL);
	}
	gtk_widget_destroy(dialog);
}

static void do_remove(void)
{
	char name[40];
	const char *const argv[] = { "qvm-remove", "--force", name, NULL };
	g_autofree char *typed = NULL, *label = NULL;

	if (!selected(name))
		return;
	/* Everything of it goes: a key pressed by mistake must not do. */
	label = g_strdup_printf(_("%s and all its files will be gone for good. _Type its name to remove it:"), name);
	typed = ask_text(st.window, _("Remove"), label, "");
	if (typed && streq(typed, name))
		job_run(_("Removing"), argv, NULL, NULL);
	else if (typed)
		job_message(GTK_MESSAGE_INFO, _("The name was another one: nothing was removed."));
}

static void do_update_one(void)
{
	char name[40];
	const char *const argv[] = { "qvm-update", "--targets", name, NULL };

	if (selected(name))
		job_run(_("Updating"), argv, NULL, NULL);
}

static void do_update_all(void)
{
	static const char *const argv[] = { "qvm-update", "--templates", NULL };

	job_run(_("Updating all templates"), argv, NULL, NULL);
}

static void on_undo_text(int code, const char *out, void *arg)
{
	static const char *const argv[] = { "qvm-undo", "--yes", NULL };

	/* The first line is the last change. */
	g_autofree char *line = g_strndup(out, strcspn(out, "\n"));

	if (code == 0 && !line[0])
		job_message(GTK_MESSAGE_INFO, _("Nothing was changed that could be taken back."));
	else if (code == 0 && ask(st.window, _("_Undo"), _("Take this back?\n\n%s"), line))
		job_run(_("Undoing the last change"), argv, NULL, NULL);
}

static void do_undo(void)
{
	static const char *const argv[] = { "qvm-undo", "--list", NULL };

	job_run(_("Looking for the last change"), argv, on_undo_text, NULL);
}

static void do_quit(void)
{
	gtk_window_close(st.window);
}

static void run(int id)
{
	char name[40];

	switch (id) {
#define ACTION(symbol, menu, label, key, icon, when, fn) \
	case A_##symbol:                                 \
		fn();                                    \
		break;
#define TOOL(symbol, menu, label, key, icon, when, program, title)                  \
	case A_##symbol: {                                                          \
		const char *const argv[] = { program, name, NULL };                 \
		if (selected(name)) {                                               \
			g_autofree char *text = g_strdup_printf(_(title), name);    \
			job_run(text, argv, NULL, NULL);                            \
		}                                                                   \
		break;                                                              \
	}
#define LINE(menu)
#include "gui/manager/actions.def"
#undef ACTION
#undef TOOL
#undef LINE
	default:
		break;
	}
}

static bool possible(enum when when)
{
	const struct mg_qube *q = list_selected();
	bool runs = q && model_running(q), remote = q && streq(q->cls, "RemoteVM");

	if (!model_connected())
		return false;
	switch (when) {
	case ANY:
		return true;
	case ONE:
		return q != NULL;
	case HALTED:
		return q && !remote && !runs;
	case RUNNING:
		return runs;
	case ACTIVE:
		return q && streq(q->state, "Running");
	case PAUSED:
		return q && (streq(q->state, "Paused") || streq(q->state, "Suspended"));
	case USABLE:
		return q && !remote;
	case TEMPLATE:
		return q && (streq(q->cls, "TemplateVM") || streq(q->cls, "StandaloneVM"));
	}
	return false;
}

struct row {
	enum menu menu;
	const char *label, *key, *icon;
	enum when when;
	int id; /* -1 = a line */
};

static const struct row rows[] = {
#define ACTION(symbol, menu, label, key, icon, when, fn) { menu, label, key, icon, when, A_##symbol },
#define TOOL(symbol, menu, label, key, icon, when, program, title) { menu, label, key, icon, when, A_##symbol },
#define LINE(menu) { menu, NULL, NULL, NULL, ANY, -1 },
#include "gui/manager/actions.def"
#undef ACTION
#undef TOOL
#undef LINE
};

void actions_refresh(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		gboolean ok = possible(rows[i].when);

		if (rows[i].id < 0)
			continue;
		for (size_t k = 0; k < 2; k++)
			if (st.item[k][rows[i].id])
				gtk_widget_set_sensitive(st.item[k][rows[i].id], ok);
		if (st.button[rows[i].id])
			gtk_widget_set_sensitive(st.button[rows[i].id], ok);
	}
}

static void on_item(GtkWidget *w, gpointer id)
{
	run(GPOINTER_TO_INT(id));
}

static GtkWidget *menu_new(enum menu which, size_t place, GtkAccelGroup *keys)
{
	GtkWidget *menu = gtk_menu_new();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		GtkWidget *item;
		GdkModifierType mods;
		guint key;

		if (rows[i].menu != which)
			continue;
		item = rows[i].id < 0 ? gtk_separator_menu_item_new() : gtk_menu_item_new_with_mnemonic(_(rows[i].label));
		gtk_menu_shell_append(GTK_MENU_SHELL(menu), item);
		if (rows[i].id < 0)
			continue;
		st.item[place][rows[i].id] = item;
		g_signal_connect(item, "activate", G_CALLBACK(on_item), GINT_TO_POINTER(rows[i].id));
		if (!rows[i].key || !keys)
			continue;
		gtk_accelerator_parse(rows[i].key, &key, &mods);
		gtk_widget_add_accelerator(item, "activate", keys, key, mods, GTK_ACCEL_VISIBLE);
	}
	gtk_widget_show_all(menu);
	return menu;
}

static struct {
	bool internal, only_running;
} shown;

static void on_view(GtkCheckMenuItem *item, gpointer arg)
{
	bool *flag = arg;

	*flag = gtk_check_menu_item_get_active(item);
	list_show(shown.internal, shown.only_running);
}

static void on_dark(GtkCheckMenuItem *item, gpointer arg)
{
	g_object_set(gtk_settings_get_default(), "gtk-application-prefer-dark-theme", gtk_check_menu_item_get_active(item), NULL);
}

static void check(GtkWidget *menu, const char *label, GCallback fn, gpointer arg)
{
	GtkWidget *item = gtk_check_menu_item_new_with_mnemonic(label);

	g_signal_connect(item, "toggled", fn, arg);
	gtk_menu_shell_append(GTK_MENU_SHELL(menu), item);
}

GtkWidget *actions_menubar(GtkWindow *window, GtkAccelGroup *keys)
{
	static const char *const titles[] = { N_("_Qube"), N_("_System") };
	GtkWidget *bar = gtk_menu_bar_new(), *view = gtk_menu_new(), *item;

	st.window = window;
	for (enum menu m = 0; m < MENUS_N; m++) {
		item = gtk_menu_item_new_with_mnemonic(_(titles[m]));
		gtk_menu_item_set_submenu(GTK_MENU_ITEM(item), menu_new(m, 0, keys));
		gtk_menu_shell_append(GTK_MENU_SHELL(bar), item);
	}
	check(view, _("Only _running qubes"), G_CALLBACK(on_view), &shown.only_running);
	check(view, _("_Internal qubes too"), G_CALLBACK(on_view), &shown.internal);
	check(view, _("_Dark colours"), G_CALLBACK(on_dark), NULL);
	item = gtk_menu_item_new_with_mnemonic(_("_View"));
	gtk_menu_item_set_submenu(GTK_MENU_ITEM(item), view);
	gtk_menu_shell_append(GTK_MENU_SHELL(bar), item);
	st.popup = menu_new(QUBE, 1, NULL);
	gtk_menu_attach_to_widget(GTK_MENU(st.popup), GTK_WIDGET(window), NULL);
	return bar;
}

GtkWidget *actions_toolbar(void)
{
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 4);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		GtkWidget *b;

		if (!rows[i].icon)
			continue;
		b = gtk_button_new_from_icon_name(rows[i].icon, GTK_ICON_SIZE_BUTTON);
		gtk_button_set_label(GTK_BUTTON(b), _(rows[i].label));
		gtk_button_set_use_underline(GTK_BUTTON(b), TRUE);
		gtk_button_set_always_show_image(GTK_BUTTON(b), TRUE);
		g_signal_connect(b, "clicked", G_CALLBACK(on_item), GINT_TO_POINTER(rows[i].id));
		gtk_box_pack_start(GTK_BOX(box), b, FALSE, FALSE, 0);
		st.button[rows[i].id] = b;
	}
	return box;
}

void actions_popup(const GdkEvent *ev)
{
	actions_refresh();
	gtk_menu_popup_at_pointer(GTK_MENU(st.popup), ev);
}

void actions_default(void)
{
	do_settings();
}
