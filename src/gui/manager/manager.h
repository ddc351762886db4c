/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bulkhead-manager: all qubes in one window. It reads by the Admin API and changes by starting the qvm-* tools, so whatever it does can be seen, repeated in a
 * terminal, and taken back by qvm-undo. model.c knows the qubes; list.c shows them; actions.c is the one table of what can be done; dialogs ask; job.c runs tools.
 */
#ifndef GUI_MANAGER_MANAGER_H
#define GUI_MANAGER_MANAGER_H

#include <gtk/gtk.h>
#include <libintl.h>
/* GLib and base/defs.h both have these: include this header first. */
#undef MIN
#undef MAX
#include "base/err.h"
#include "base/str.h"

#define _(s) gettext(s)
#define N_(s) s

/* --- begin.c: log, language, instance (root NULL = the usual one), display. False: why was logged. */
bool manager_begin(const char *program, const char *root);

/* --- model.c: what is known of the qubes */
struct mg_qube {
	char name[40], cls[24], state[16], label[40], uuid[40];
	uint32_t colour; /* 0xRRGGBB */
	char tmpl[40], netvm[40]; /* "" = none */
	bool netvm_default, autostart, provides_network, internal, template_for_dispvms, outdated, updates, mic; /* mic: it has the microphone */
	uint64_t memory_kib; /* in use; 0 = unknown or halted */
	unsigned cpu;	     /* percent of its processors */
	bool seen;	     /* during a reload */
};
struct mg_label {
	char name[40];
	uint32_t colour;
};

/* Called on every change: name of the qube, or NULL when the list is another. */
typedef void (*model_fn)(const char *name);
/* model_start reads everything and follows the daemon's events from now on; without a daemon it keeps trying. */
void model_start(model_fn fn);
bool model_connected(void);
size_t model_count(void);
const struct mg_qube *model_at(size_t i);
const struct mg_qube *model_find(const char *name); /* NULL when there is none */
size_t model_labels(const struct mg_label **ret);
bool model_running(const struct mg_qube *q); /* anything but halted */

/* --- list.c */
GtkWidget *list_new(void);
void list_changed(const char *name);
/* list_selected gives the qube under the cursor, NULL when none is. */
const struct mg_qube *list_selected(void);
void list_select(const char *name);
void list_search(const char *text);
/* What is shown beyond running and halted qubes of the user. */
void list_show(bool internal, bool only_running);

/* --- actions.c */
/* actions_menubar makes the menus; actions_popup the one of the row at a button press (ev NULL: at the keyboard). */
GtkWidget *actions_menubar(GtkWindow *window, GtkAccelGroup *keys);
GtkWidget *actions_toolbar(void);
void actions_popup(const GdkEvent *ev);
void actions_default(void);   /* what a double click or Return does: settings */
void actions_refresh(void);   /* which of them are possible now */

/* --- job.c: of the manager and of the tray; without job_area a failure is shown in a window of its own. */
/* The end of a tool: exit code, its standard output (NUL-terminated, borrowed). */
typedef void (*job_fn)(int code, const char *out, void *arg);
/* job_run starts one of our tools (argv[0] is its name) and shows title while it runs. A failure is shown with the tool's own words. fn may be NULL. */
void job_run(const char *title, const char *const *argv, job_fn fn, void *arg);
GtkWidget *job_area(void);
unsigned job_count(void);
void job_message(GtkMessageType type, const char *text);

/* --- programs.c, of the tray: an entry with the programs of a qube (NULL when it has none), and one with those of all */
GtkWidget *programs_item(const char *label, const char *qube);
GtkWidget *programs_all(void);

/* --- devices.c, of the tray: an entry with the menu of devices, filled when it opens */
GtkWidget *devices_item(void);

/* --- create.c, settings.c, firewall.c */
void create_dialog(GtkWindow *parent);
void settings_dialog(GtkWindow *parent, const char *qube);
GtkWidget *firewall_page(const char *qube);
GtkWidget *services_page(const char *qube);
/* label_combo and qube_combo: choices; the id of an entry is its name. keep decides which qubes (NULL = all). */
GtkWidget *label_combo(const char *active);
/* label_chip gives a picture of a label's colour (0xRRGGBB), 14 pixels high; the caller's to unref. */
GdkPixbuf *label_chip(uint32_t colour, int width);
GtkWidget *qube_combo(bool (*keep)(const struct mg_qube *q), const char *active, const char *none, const char *dflt);
bool is_template(const struct mg_qube *q);
bool is_netvm(const struct mg_qube *q);
bool is_disp_template(const struct mg_qube *q);
/* name_ok: may be the name of a new qube; *ret_why says why not. */
bool name_ok(const char *name, const char **ret_why);
/* form_row adds "label: widget" to a grid, with a mnemonic. */
void form_row(GtkGrid *grid, int row, const char *label, GtkWidget *widget);
/* ask asks one question; true = yes. ask_text gives a new text (caller frees with g_free) or NULL. */
bool ask(GtkWindow *parent, const char *yes, const char *fmt, ...) _printf_(3, 4);
char *ask_text(GtkWindow *parent, const char *title, const char *label, const char *text);

#endif
