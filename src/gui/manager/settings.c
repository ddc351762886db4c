/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Settings of one qube. A page is filled from the daemon when the window opens; what was changed is set by one qvm-prefs a property. */
#include "gui/manager/manager.h"
#include "client/answers.h"

enum field_kind { F_LABEL, F_TEMPLATE, F_NETVM, F_BOOL, F_NUMBER, F_TEXT, F_DISPVM };

/* FIELD: property, page, words, kind, greatest number. A property that the qube's class does not have is left out. */
static const struct field {
	const char *prop;
	unsigned page;
	const char *label;
	enum field_kind kind;
	double max;
} fields[] = {
	{ "label", 0, N_("_Label:"), F_LABEL, 0 },
	{ "template", 0, N_("_Template:"), F_TEMPLATE, 0 },
	{ "netvm", 0, N_("Net_work:"), F_NETVM, 0 },
	{ "default_dispvm", 0, N_("_Disposables are made from:"), F_DISPVM, 0 },
	{ "autostart", 0, N_("Starts at _boot:"), F_BOOL, 0 },
	{ "provides_network", 0, N_("_Provides network:"), F_BOOL, 0 },
	{ "template_for_dispvms", 0, N_("Disposables can be _made from it:"), F_BOOL, 0 },
	{ "memory", 1, N_("_Memory at the start (MiB):"), F_NUMBER, 1048576 },
	{ "maxmem", 1, N_("Most memor_y (MiB):"), F_NUMBER, 1048576 },
	{ "vcpus", 1, N_("_Processors:"), F_NUMBER, 128 },
	{ "kernel", 1, N_("_Kernel:"), F_TEXT, 0 },
	{ "kernelopts", 1, N_("Kernel _options:"), F_TEXT, 0 },
	{ "default_user", 1, N_("_User:"), F_TEXT, 0 },
	{ "qrexec_timeout", 1, N_("Seconds _to wait for its start:"), F_NUMBER, 100000 },
	{ "shutdown_timeout", 1, N_("Seconds to wait for its _end:"), F_NUMBER, 100000 },
	{ "debug", 1, N_("De_bug:"), F_BOOL, 0 },
};

struct settings {
	char qube[40];
	GtkWidget *widget[ARRAY_SIZE(fields)];
	char *before[ARRAY_SIZE(fields)];
};

static char *value_of(const struct settings *s, size_t i)
{
	GtkWidget *w = s->widget[i];

	switch (fields[i].kind) {
	case F_BOOL:
		return g_strdup(gtk_toggle_button_get_active(GTK_TOGGLE_BUTTON(w)) ? "True" : "False");
	case F_NUMBER:
		return g_strdup_printf("%d", gtk_spin_button_get_value_as_int(GTK_SPIN_BUTTON(w)));
	case F_TEXT:
		return g_strdup(gtk_entry_get_text(GTK_ENTRY(w)));
	case F_LABEL:
	case F_TEMPLATE:
	case F_NETVM:
	case F_DISPVM:
		break;
	}
	return g_strdup(gtk_combo_box_get_active_id(GTK_COMBO_BOX(w)));
}

static GtkWidget *widget_for(const struct field *f, const struct adm_prop *p)
{
	const char *active = p->is_default ? "*default*" : p->value;
	g_autofree char *dflt = g_strdup_printf(_("the usual one (%s)"), p->value[0] ? p->value : _("none"));
	GtkWidget *w;

	switch (f->kind) {
	case F_LABEL:
		return label_combo(p->value);
	case F_TEMPLATE:
		return qube_combo(is_template, p->value, NULL, NULL);
	case F_NETVM:
		return qube_combo(is_netvm, active, _("none"), dflt);
	case F_DISPVM:
		return qube_combo(is_disp_template, active, _("none"), dflt);
	case F_BOOL:
		w = gtk_check_button_new();
		gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(w), streq(p->value, "True"));
		return w;
	case F_NUMBER:
		w = gtk_spin_button_new_with_range(0, f->max, 1);
		gtk_spin_button_set_value(GTK_SPIN_BUTTON(w), g_ascii_strtod(p->value, NULL));
		return w;
	case F_TEXT:
		w = gtk_entry_new();
		gtk_entry_set_text(GTK_ENTRY(w), p->value);
		return w;
	}
	return NULL;
}

static void fill(struct settings *s, GtkGrid *grid, unsigned page, const struct adm_props *props)
{
	int row = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const struct adm_prop *p = adm_props_find(props, fields[i].prop);

		if (fields[i].page != page || !p)
			continue;
		s->widget[i] = widget_for(&fields[i], p);
		s->before[i] = value_of(s, i);
		form_row(grid, row++, _(fields[i].label), s->widget[i]);
	}
}

static void apply(struct settings *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		g_autofree char *now = s->widget[i] ? value_of(s, i) : NULL;
		g_autofree char *title = NULL;
		const char *argv[] = { "qvm-prefs", s->qube, fields[i].prop, now, NULL };

		if (!now || (s->before[i] && streq(now, s->before[i])))
			continue;
		if (streq(now, "*default*")) {
			argv[1] = "--default";
			argv[2] = s->qube;
			argv[3] = fields[i].prop;
		}
		title = g_strdup_printf("%s: %s", s->qube, fields[i].prop);
		job_run(title, argv, NULL, NULL);
	}
}

void settings_dialog(GtkWindow *parent, const char *qube)
{
	static const char *const pages[] = { N_("B_asic"), N_("Ad_vanced") };
	struct adm_props props = { 0 };
	struct settings s = { .qube = "" };
	struct err e = { 0 };
	GtkWidget *d, *book = gtk_notebook_new();
	g_autofree char *title = g_strdup_printf(_("Settings of %s"), qube);

	if (str_copy(s.qube, sizeof s.qube, qube) < 0 || adm_props_get(&props, qube, false, &e) < 0) {
		job_message(GTK_MESSAGE_ERROR, e.msg);
		gtk_widget_destroy(g_object_ref_sink(book));
		return;
	}
	d = gtk_dialog_new_with_buttons(title, parent, GTK_DIALOG_MODAL, _("_Cancel"), GTK_RESPONSE_CANCEL, _("_Save"), GTK_RESPONSE_OK, NULL);
	gtk_dialog_set_default_response(GTK_DIALOG(d), GTK_RESPONSE_OK);
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		GtkWidget *grid = gtk_grid_new();

		fill(&s, GTK_GRID(grid), i, &props);
		gtk_notebook_append_page(GTK_NOTEBOOK(book), grid, gtk_label_new_with_mnemonic(_(pages[i])));
	}
	gtk_notebook_append_page(GTK_NOTEBOOK(book), firewall_page(s.qube), gtk_label_new_with_mnemonic(_("_Firewall")));
	gtk_notebook_append_page(GTK_NOTEBOOK(book), services_page(s.qube), gtk_label_new_with_mnemonic(_("Se_rvices")));
	gtk_container_add(GTK_CONTAINER(gtk_dialog_get_content_area(GTK_DIALOG(d))), book);
	gtk_widget_show_all(d);
	if (gtk_dialog_run(GTK_DIALOG(d)) == GTK_RESPONSE_OK)
		apply(&s);
	gtk_widget_destroy(d);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		g_free(s.before[i]);
	adm_props_fini(&props);
}
