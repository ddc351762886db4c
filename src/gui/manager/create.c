/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A new qube: one page, what is wrong is said beside the field while it is typed, and the command that will run is shown. */
#include "gui/manager/manager.h"

#define ARGS_MAX 24

struct kind {
	const char *id, *words, *cls;
	bool from_template;
};

/* The ids are also what the page remembers. */
static const struct kind kinds[] = {
	{ "app", N_("App qube: programs from a template, files of its own"), "AppVM", true },
	{ "disp-template", N_("Disposable template: what disposables begin as"), "AppVM", true },
	{ "disp", N_("Named disposable: begins anew at each start"), "DispVM", false },
	{ "standalone", N_("Standalone: a copy of a template, on its own from then on"), "StandaloneVM", true },
};

struct page {
	GtkWidget *dialog, *name, *why, *kind, *label, *tmpl, *disp_tmpl, *netvm, *provides, *autostart, *start, *settings, *command;
	struct text {
		char v[ARGS_MAX][80];
		size_t n;
	} args;
	bool running; /* while qvm-create works, nothing of the dialog is there any more */
	char qube[40];
	bool then_start, then_settings;
	GtkWindow *parent;
};

static void add(struct text *t, const char *s)
{
	if (t->n < ARGS_MAX && str_copy(t->v[t->n], sizeof t->v[0], s) == 0)
		t->n++;
}

static const struct kind *kind_of(struct page *p)
{
	const char *id = gtk_combo_box_get_active_id(GTK_COMBO_BOX(p->kind));

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (id && streq(kinds[i].id, id))
			return &kinds[i];
	return &kinds[0];
}

static const char *chosen(GtkWidget *combo)
{
	const char *id = gtk_combo_box_get_active_id(GTK_COMBO_BOX(combo));

	return id ? id : "";
}

static bool on(GtkWidget *check)
{
	return gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(check));
}

static void property(struct text *t, const char *name, const char *value)
{
	char prop[80];

	if (str_printf(prop, sizeof prop, "%s=%s", name, value) < 0)
		return;
	add(t, "--property");
	add(t, prop);
}

static void build(struct page *p)
{
	const struct kind *k = kind_of(p);
	struct text *t = &p->args;
	const char *tmpl = chosen(k->from_template ? p->tmpl : p->disp_tmpl), *netvm = chosen(p->netvm);

	t->n = 0;
	add(t, "qvm-create");
	add(t, "--class");
	add(t, k->cls);
	if (tmpl[0]) {
		add(t, "--template");
		add(t, tmpl);
	}
	add(t, "--label");
	add(t, chosen(p->label));
	if (!streq(netvm, "*default*"))
		property(t, "netvm", netvm);
	if (streq(k->id, "disp-template"))
		property(t, "template_for_dispvms", "True");
	if (on(p->provides))
		property(t, "provides_network", "True");
	if (on(p->autostart))
		property(t, "autostart", "True");
	add(t, gtk_entry_get_text(GTK_ENTRY(p->name)));
}

static void on_change(GtkWidget *w, gpointer arg)
{
	struct page *p = arg;
	const char *name = gtk_entry_get_text(GTK_ENTRY(p->name)), *why = "";
	bool ok = name_ok(name, &why);
	g_autoptr(GString) text = g_string_new("");
	const struct kind *k = kind_of(p);

	if (ok && !chosen(k->from_template ? p->tmpl : p->disp_tmpl)[0]) {
		ok = false;
		why = k->from_template ? _("There is no template yet: install one with qvm-template.") : _("There is no disposable template yet.");
	}
	gtk_widget_set_sensitive(p->tmpl, k->from_template);
	gtk_widget_set_sensitive(p->disp_tmpl, !k->from_template);
	gtk_label_set_text(GTK_LABEL(p->why), name[0] && !ok ? why : "");
	gtk_dialog_set_response_sensitive(GTK_DIALOG(p->dialog), GTK_RESPONSE_OK, ok);
	build(p);
	for (size_t i = 0; i < p->args.n; i++)
		g_string_append_printf(text, "%s%s", i ? " " : "", p->args.v[i][0] ? p->args.v[i] : "''");
	gtk_label_set_text(GTK_LABEL(p->command), text->str);
}

static void on_created(int code, const char *out, void *arg)
{
	struct page *p = arg;

	if (code == 0) {
		const char *const argv[] = { "qvm-start", p->qube, NULL };

		list_changed(NULL);
		list_select(p->qube);
		if (p->then_start)
			job_run(_("Starting the new qube"), argv, NULL, NULL);
		if (p->then_settings && model_find(p->qube))
			settings_dialog(p->parent, p->qube);
	}
	free(p);
}

static GtkWidget *tick(GtkGrid *grid, int row, const char *label, struct page *p)
{
	GtkWidget *c = gtk_check_button_new_with_mnemonic(label);

	gtk_grid_attach(grid, c, 1, row, 1, 1);
	g_signal_connect(c, "toggled", G_CALLBACK(on_change), p);
	return c;
}

static void fields(struct page *p, GtkGrid *grid)
{
	p->name = gtk_entry_new();
	gtk_entry_set_activates_default(GTK_ENTRY(p->name), TRUE);
	form_row(grid, 0, _("_Name:"), p->name);
	p->why = gtk_label_new("");
	gtk_label_set_xalign(GTK_LABEL(p->why), 0);
	gtk_label_set_line_wrap(GTK_LABEL(p->why), TRUE);
	gtk_grid_attach(grid, p->why, 1, 1, 1, 1);
	p->kind = gtk_combo_box_text_new();
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		gtk_combo_box_text_append(GTK_COMBO_BOX_TEXT(p->kind), kinds[i].id, _(kinds[i].words));
	gtk_combo_box_set_active(GTK_COMBO_BOX(p->kind), 0);
	form_row(grid, 2, _("_Kind:"), p->kind);
	p->label = label_combo("red");
	form_row(grid, 3, _("_Label:"), p->label);
	p->tmpl = qube_combo(is_template, NULL, NULL, NULL);
	form_row(grid, 4, _("_Template:"), p->tmpl);
	p->disp_tmpl = qube_combo(is_disp_template, NULL, NULL, NULL);
	form_row(grid, 5, _("_Disposable template:"), p->disp_tmpl);
	p->netvm = qube_combo(is_netvm, NULL, _("none: no network"), _("the usual one"));
	form_row(grid, 6, _("Net_work:"), p->netvm);
	p->provides = tick(grid, 7, _("_Provides network to other qubes"), p);
	p->autostart = tick(grid, 8, _("Starts at _boot"), p);
	p->start = tick(grid, 9, _("_Start it now"), p);
	p->settings = tick(grid, 10, _("Open its s_ettings then"), p);
	p->command = gtk_label_new("");
	gtk_label_set_selectable(GTK_LABEL(p->command), TRUE);
	gtk_label_set_line_wrap(GTK_LABEL(p->command), TRUE);
	gtk_label_set_line_wrap_mode(GTK_LABEL(p->command), PANGO_WRAP_WORD_CHAR);
	gtk_label_set_xalign(GTK_LABEL(p->command), 0);
	gtk_style_context_add_class(gtk_widget_get_style_context(p->command), "monospace");
	gtk_widget_set_can_focus(p->command, FALSE);
	gtk_grid_attach(grid, p->command, 0, 11, 2, 1);
}

void create_dialog(GtkWindow *parent)
{
	struct page *p = xcalloc(1, sizeof *p);
	GtkGrid *grid = GTK_GRID(gtk_grid_new());
	const char *argv[ARGS_MAX + 1] = { NULL };

	p->parent = parent;
	p->dialog = gtk_dialog_new_with_buttons(_("New qube"), parent, GTK_DIALOG_MODAL, _("_Cancel"), GTK_RESPONSE_CANCEL, _("C_reate"), GTK_RESPONSE_OK, NULL);
	gtk_dialog_set_default_response(GTK_DIALOG(p->dialog), GTK_RESPONSE_OK);
	fields(p, grid);
	gtk_container_add(GTK_CONTAINER(gtk_dialog_get_content_area(GTK_DIALOG(p->dialog))), GTK_WIDGET(grid));
	g_signal_connect(p->name, "changed", G_CALLBACK(on_change), p);
	for (GtkWidget **c = (GtkWidget *[]){ p->kind, p->label, p->tmpl, p->disp_tmpl, p->netvm, NULL }; *c; c++)
		g_signal_connect(*c, "changed", G_CALLBACK(on_change), p);
	gtk_widget_show_all(p->dialog);
	gtk_widget_grab_focus(p->name);
	on_change(NULL, p);
	if (gtk_dialog_run(GTK_DIALOG(p->dialog)) != GTK_RESPONSE_OK) {
		gtk_widget_destroy(p->dialog);
		free(p);
		return;
	}
	build(p);
	p->then_start = on(p->start);
	p->then_settings = on(p->settings);
	(void)!str_copy(p->qube, sizeof p->qube, gtk_entry_get_text(GTK_ENTRY(p->name)));
	gtk_widget_destroy(p->dialog);
	for (size_t i = 0; i < p->args.n; i++)
		argv[i] = p->args.v[i];
	job_run(_("Creating the qube"), argv, on_created, p);
}
