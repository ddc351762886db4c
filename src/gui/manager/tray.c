/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bulkhead-tray: an icon in the desktop's tray; its menu has the running qubes, what each uses, and what can be done with them at once. */
#include "gui/manager/manager.h"

#include <getopt.h>

/* GtkStatusIcon is deprecated, and the one thing in GTK 3 that every tray of an X session takes. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static struct {
	GtkStatusIcon *icon;
	GtkWidget *menu;
	const char *root;
} st;

/* Acts on one running qube: words, tool, needs this state ("" = any). */
static const struct act {
	const char *label, *tool, *state;
	bool ask;
} acts[] = {
	{ N_("_Terminal"), "qvm-run", "Running", false }, { N_("S_ettings…"), "bulkhead-manager", "", false }, { N_("_Pause"), "qvm-pause", "Running", false },
	{ N_("_Unpause"), "qvm-unpause", "Paused", false }, { N_("S_hut down"), "qvm-shutdown", "", false }, { N_("_Kill…"), "qvm-kill", "", true },
};

static void on_act(GtkWidget *item, gpointer arg)
{
	const struct act *a = &acts[GPOINTER_TO_SIZE(arg)];
	const char *qube = g_object_get_data(G_OBJECT(item), "qube");
	const char *argv[] = { a->tool, qube, NULL, NULL, NULL };
	g_autofree char *title = g_strdup_printf("%s: %s", a->tool, qube);

	if (streq(a->tool, "qvm-run")) {
		argv[1] = "--service";
		argv[2] = qube;
		argv[3] = "qubes.StartApp+qubes-run-terminal";
	}
	if (!a->ask || ask(NULL, _("_Kill"), _("End %s at once? What it has not saved is lost."), qube))
		job_run(title, argv, NULL, NULL);
}

static GtkWidget *qube_menu(const struct mg_qube *q)
{
	GtkWidget *menu = gtk_menu_new(), *programs = programs_item(_("P_rograms"), q->name);

	if (programs)
		gtk_menu_shell_append(GTK_MENU_SHELL(menu), programs);
	for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
		GtkWidget *item;

		if (acts[i].state[0] && !streq(acts[i].state, q->state))
			continue;
		item = gtk_menu_item_new_with_mnemonic(_(acts[i].label));
		g_object_set_data_full(G_OBJECT(item), "qube", g_strdup(q->name), g_free);
		g_signal_connect(item, "activate", G_CALLBACK(on_act), GSIZE_TO_POINTER(i));
		gtk_menu_shell_append(GTK_MENU_SHELL(menu), item);
	}
	return menu;
}

static GtkWidget *qube_item(const struct mg_qube *q)
{
	GtkWidget *item = gtk_menu_item_new(), *label = gtk_label_new(NULL);
	g_autofree char *text = NULL;

	/* Names of qubes have no characters of markup, but nothing is shown as markup unescaped. */
	text = g_markup_printf_escaped("<span background=\"#%06x\">   </span>  %s   <small>%s%s%llu MiB%s%s</small>", q->colour & 0xffffff, q->name,
				       streq(q->state, "Running") ? "" : q->state, streq(q->state, "Running") ? "" : ", ", (unsigned long long)(q->memory_kib / 1024),
				       q->mic ? _(", microphone") : "", q->outdated ? _(", restart to update") : "");
	gtk_label_set_markup(GTK_LABEL(label), text);
	gtk_label_set_xalign(GTK_LABEL(label), 0);
	gtk_container_add(GTK_CONTAINER(item), label);
	gtk_menu_item_set_submenu(GTK_MENU_ITEM(item), qube_menu(q));
	return item;
}

static void append(GtkWidget *menu, const char *label, GCallback fn)
{
	GtkWidget *item = label ? gtk_menu_item_new_with_mnemonic(label) : gtk_separator_menu_item_new();

	if (fn)
		g_signal_connect(item, "activate", fn, NULL);
	else
		gtk_widget_set_sensitive(item, FALSE);
	gtk_menu_shell_append(GTK_MENU_SHELL(menu), item);
}

static void on_manager(void)
{
	static const char *const argv[] = { "bulkhead-manager", NULL };

	job_run(_("Manager"), argv, NULL, NULL);
}

static void on_history(int code, const char *out, void *arg)
{
	if (code == 0)
		job_message(GTK_MESSAGE_INFO, out);
}

static void on_clipboard(void)
{
	static const char *const argv[] = { "qvm-clipboard", "--last", "10", NULL };

	job_run(_("Clipboard"), argv, on_history, NULL);
}

static GtkWidget *menu_new(void)
{
	GtkWidget *menu = gtk_menu_new();
	size_t n = 0;

	for (size_t i = 0; i < model_count(); i++) {
		const struct mg_qube *q = model_at(i);

		if (!model_running(q) || q->internal || streq(q->cls, "RemoteVM"))
			continue;
		gtk_menu_shell_append(GTK_MENU_SHELL(menu), qube_item(q));
		n++;
	}
	if (n == 0)
		append(menu, model_connected() ? _("no qube runs") : _("qubesd does not answer"), NULL);
	append(menu, NULL, NULL);
	if (model_connected()) {
		gtk_menu_shell_append(GTK_MENU_SHELL(menu), programs_all());
		gtk_menu_shell_append(GTK_MENU_SHELL(menu), devices_item());
	}
	append(menu, _("_All qubes…"), G_CALLBACK(on_manager));
	append(menu, _("What the _clipboard did…"), G_CALLBACK(on_clipboard));
	append(menu, NULL, NULL);
	append(menu, _("_Quit"), G_CALLBACK(gtk_main_quit));
	gtk_widget_show_all(menu);
	return menu;
}

static void popup(void)
{
	if (st.menu)
		gtk_widget_destroy(st.menu);
	st.menu = menu_new();
	gtk_menu_popup(GTK_MENU(st.menu), NULL, NULL, st.icon ? gtk_status_icon_position_menu : NULL, st.icon, 0, gtk_get_current_event_time());
}

static void on_model(const char *name)
{
	g_autofree char *text = NULL, *title = NULL;
	const struct mg_qube *hears = NULL;
	size_t runs = 0, outdated = 0;
	uint64_t kib = 0;

	for (size_t i = 0; i < model_count(); i++) {
		const struct mg_qube *q = model_at(i);

		runs += model_running(q);
		outdated += q->outdated;
		hears = q->mic ? q : hears;
		kib += q->memory_kib;
	}
	text = g_strdup_printf(ngettext("%zu qube runs, %llu MiB%s", "%zu qubes run, %llu MiB%s", runs), runs, (unsigned long long)(kib / 1024),
			       outdated ? _("; some must be restarted to be up to date") : "");
	gtk_status_icon_set_tooltip_text(st.icon, text);
	/* Also for those who do not see the icon. */
	title = hears ? g_strdup_printf(_("Qubes: %s has the microphone"), hears->name) : g_strdup(outdated ? _("Qubes: some must be restarted to be up to date") : _("Qubes"));
	gtk_status_icon_set_title(st.icon, title);
	gtk_status_icon_set_from_icon_name(st.icon, hears ? "audio-input-microphone" : outdated ? "software-update-available" : "computer");
}

static int usage(FILE *f, int code)
{
	fputs("usage: bulkhead-tray [--root DIR]\n"
	      "An icon in the tray of the desktop: the running qubes, and what can be done with them.\n",
	      f);
	return code;
}

static int parse(int argc, char **argv)
{
	static const struct option longs[] = { { "root", required_argument, NULL, 'r' }, { "help", no_argument, NULL, 'h' }, { 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'r')
			st.root = optarg;
		else
			return c == 'h' ? usage(stdout, 0) : usage(stderr, 2);
	}
	return optind < argc ? usage(stderr, 2) : -1;
}

int main(int argc, char **argv)
{
	int r = parse(argc, argv);

	if (r >= 0)
		return r;
	if (!manager_begin("bulkhead-tray", st.root))
		return 1;
	st.icon = gtk_status_icon_new_from_icon_name("computer");
	gtk_status_icon_set_title(st.icon, _("Qubes"));
	g_signal_connect(st.icon, "activate", G_CALLBACK(popup), NULL);
	g_signal_connect(st.icon, "popup-menu", G_CALLBACK(popup), NULL);
	model_start(on_model);
	gtk_main();
	return 0;
}
