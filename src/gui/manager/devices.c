/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The menu of devices: what there is, and which running qube has it. Asked for each time when it opens. The microphone is attached and let go by a click; what cannot be
 * given to a running qube is listed and says so.
 */
#include "gui/manager/manager.h"

#include "client/answers.h"
#include "proto/device.h"

#define SHOWN_MAX 64 /* devices of one class; a menu with more of them helps nobody */

static const enum dev_class classes[] = { DEV_MIC, DEV_BLOCK, DEV_USB };

static const char *class_text(enum dev_class cls)
{
	return cls == DEV_MIC ? _("Microphones") : cls == DEV_BLOCK ? _("Disks") : _("USB devices");
}

static void method_of(char out[64], enum dev_class cls, const char *what)
{
	(void)!str_printf(out, 64, "admin.vm.device.%s.%s", dev_class_name(cls), what);
}

/* Has the qube this device now? */
static bool has(const char *qube, enum dev_class cls, const struct dev_name *dev)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct dev_assignment a;
	char method[64], *rest, *line;

	method_of(method, cls, "Attached");
	if (adm_text(&rep, qube, method, NULL, NULL, NULL) < 0)
		return false;
	rest = rep.data;
	while ((line = adm_line(&rest))) {
		const char *blank = strchrnul(line, ' ');

		blank += *blank == ' ';
		if (dev_assignment_parse(&a, rd_mem(blank, strlen(blank)), NULL) == 0 && dev_name_matches(&a.dev, dev))
			return true;
	}
	return false;
}

static void on_toggle(GtkCheckMenuItem *item, gpointer arg)
{
	const char *qube = g_object_get_data(G_OBJECT(item), "qube"), *dev = g_object_get_data(G_OBJECT(item), "device");
	const char *argv[] = { "qvm-device", g_object_get_data(G_OBJECT(item), "class"), gtk_check_menu_item_get_active(item) ? "attach" : "detach", qube, dev, NULL };
	g_autofree char *title = g_strdup_printf("%s %s %s", dev, argv[2], qube);

	job_run(title, argv, NULL, NULL);
}

static void say(GtkWidget *menu, const char *text)
{
	GtkWidget *item = gtk_menu_item_new_with_label(text);

	gtk_widget_set_sensitive(item, FALSE);
	gtk_menu_shell_append(GTK_MENU_SHELL(menu), item);
}

/* Every running qube but the one that offers it; a tick where the device is. Gives who has it (borrowed), or NULL. */
static const char *add_qubes(GtkWidget *menu, enum dev_class cls, const struct dev_name *dev)
{
	const char *owner = NULL;
	size_t n = 0;

	for (size_t i = 0; i < model_count(); i++) {
		const struct mg_qube *q = model_at(i);
		bool on;
		GtkWidget *item;

		if (!model_running(q) || q->internal || streq(q->cls, "AdminVM") || streq(q->cls, "RemoteVM") || streq(q->name, dev->backend))
			continue;
		on = has(q->name, cls, dev);
		owner = on ? q->name : owner;
		item = gtk_check_menu_item_new_with_label(q->name);
		gtk_check_menu_item_set_active(GTK_CHECK_MENU_ITEM(item), on);
		g_object_set_data_full(G_OBJECT(item), "qube", g_strdup(q->name), g_free);
		g_object_set_data_full(G_OBJECT(item), "device", g_strdup_printf("%s:%s", dev->backend, dev->port), g_free);
		g_object_set_data(G_OBJECT(item), "class", (gpointer)(uintptr_t)dev_class_name(cls));
		g_signal_connect(item, "toggled", G_CALLBACK(on_toggle), NULL);
		gtk_menu_shell_append(GTK_MENU_SHELL(menu), item);
		n++;
	}
	if (n == 0)
		say(menu, _("no qube runs"));
	return owner;
}

static void add_device(GtkWidget *menu, enum dev_class cls, const struct dev_info *d)
{
	GtkWidget *item = gtk_menu_item_new(), *label, *sub = NULL;
	const char *owner = d->attachment[0] ? d->attachment : NULL;
	g_autofree char *text = NULL;
	char words[200] = "";

	dev_info_text(d, words, sizeof words);
	if (cls == DEV_MIC) {
		sub = gtk_menu_new();
		owner = add_qubes(sub, cls, &d->dev);
	}
	text = owner ? g_strdup_printf(_("%s:%s  %s, in %s"), d->dev.backend, d->dev.port, words, owner) : g_strdup_printf("%s:%s  %s", d->dev.backend, d->dev.port, words);
	label = gtk_label_new(text);
	gtk_label_set_xalign(GTK_LABEL(label), 0);
	gtk_label_set_ellipsize(GTK_LABEL(label), PANGO_ELLIPSIZE_END);
	gtk_label_set_max_width_chars(GTK_LABEL(label), 60);
	gtk_container_add(GTK_CONTAINER(item), label);
	if (sub)
		gtk_menu_item_set_submenu(GTK_MENU_ITEM(item), sub);
	else
		gtk_widget_set_sensitive(item, FALSE);
	gtk_menu_shell_append(GTK_MENU_SHELL(menu), item);
}

static size_t add_offered(GtkWidget *menu, enum dev_class cls, const char *backend, size_t shown)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	char method[64], *rest, *line;

	method_of(method, cls, "Available");
	if (adm_text(&rep, backend, method, NULL, NULL, NULL) < 0)
		return shown;
	rest = rep.data;
	while (shown < SHOWN_MAX && (line = adm_line(&rest))) {
		const char *blank = strchrnul(line, ' ');
		struct dev_info d;

		blank += *blank == ' ';
		if (dev_info_parse(&d, rd_mem(blank, strlen(blank)), NULL) < 0)
			continue;
		if (shown++ == 0)
			say(menu, class_text(cls));
		add_device(menu, cls, &d);
	}
	return shown;
}

static void drop(GtkWidget *child, gpointer arg)
{
	gtk_widget_destroy(child);
}

static void fill(GtkMenuItem *item, gpointer arg)
{
	GtkWidget *menu = arg;
	size_t all = 0;

	/* Selected again while it is open: nothing is taken away under the pointer. */
	if (gtk_widget_get_visible(menu) && gtk_widget_get_mapped(menu))
		return;
	gtk_container_foreach(GTK_CONTAINER(menu), drop, NULL);
	for (size_t c = 0; c < ARRAY_SIZE(classes); c++) {
		size_t shown = add_offered(menu, classes[c], "dom0", 0);

		for (size_t i = 0; classes[c] != DEV_MIC && i < model_count(); i++) {
			const struct mg_qube *q = model_at(i);

			/* One that does not run offers nothing; a microphone is always dom0's. */
			if (model_running(q) && !streq(q->cls, "AdminVM") && !streq(q->cls, "RemoteVM"))
				shown = add_offered(menu, classes[c], q->name, shown);
		}
		if (shown && classes[c] != DEV_MIC)
			say(menu, _("(not for a running qube yet: assign it by qvm-device, for the next start)"));
		all += shown;
	}
	if (all == 0)
		say(menu, _("no devices"));
	gtk_widget_show_all(menu);
}

GtkWidget *devices_item(void)
{
	GtkWidget *item = gtk_menu_item_new_with_mnemonic(_("_Devices")), *menu = gtk_menu_new();

	/* Something must be in it for it to open. */
	say(menu, "…");
	gtk_menu_item_set_submenu(GTK_MENU_ITEM(item), menu);
	g_signal_connect(item, "select", G_CALLBACK(fill), menu);
	return item;
}
