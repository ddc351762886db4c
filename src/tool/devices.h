/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-device and its aliases: one implementation; an alias has its class. */
#ifndef TOOL_DEVICES_H
#define TOOL_DEVICES_H

#include "proto/device.h"
#include "tool/util.h"

enum {
	KEY_SBDF = 340,
	KEY_REQUIRED,
	KEY_ASK,
	KEY_PORT,
	KEY_DEVICE,
	KEY_RO,
};

/* The rows of devices_subs and the text of devices_desc, for a verb that has actions of its own as well. */
#define DEVICES_SUBS \
	{ "list", "[-s] [--with-sbdf] [QUBE...]", "list devices: all, or those that these qubes offer or use (the default)" }, \
	{ "info", "DEVICE...", "show all that is known about a device" }, \
	{ "assign", "[-r|--ask] [--port|--device] [-o KEY=VALUE] QUBE DEVICE", "let the qube have the device from now on" }, \
	{ "unassign", "QUBE [DEVICE...]", "undo that, for one device or for all" }, \
	{ "attach", "[--ro] [-o KEY=VALUE] [-p] QUBE DEVICE", "give the device to a running qube now" }, \
	{ "detach", "QUBE [DEVICE...]", "take it back, for one device or for all" }, \
	{ "deny", "QUBE [INTERFACE...]", "show or add interfaces that may not be attached to the qube" }, \
	{ "allow", "QUBE INTERFACE...|--all", "take back what deny did" }
#define DEVICES_DESC \
	"A DEVICE is BACKEND:PORT or BACKEND:PORT:DEVICE-ID, as list shows it; * as PORT\n" \
	"or DEVICE-ID means any. Without --required or --ask an assigned device is\n" \
	"attached by itself when it appears; PCI devices are always required."
extern const struct tool_opt devices_opts[];
extern const struct tool_sub devices_subs[];
extern const char devices_desc[];

/* devices_run carries out argv = ACTION ARGUMENT… for one class. Gives the exit status. */
int devices_run(struct tool *t, enum dev_class cls, int argc, char **argv);

/* One qube that has the device, now (mode DEV_MANUAL) or by assignment. */
struct dev_use {
	const char *qube; /* borrowed from dev_table.qubes */
	struct dev_assignment a;
};
/* One line of the list: a device that is there, or one that is only assigned. */
struct dev_line {
	struct dev_info d;
	bool here;
	struct dev_use *uses;
	size_t n_uses;
};
struct dev_table {
	struct adm_qubes qubes;
	struct dev_line *v;
	size_t n;
};
/* dev_table_get asks all qubes for their devices, assignments and attachments of a class. Lines are sorted by name. End with dev_table_fini. */
int dev_table_get(struct dev_table *ret, enum dev_class cls, struct err *e);
void dev_table_fini(struct dev_table *dt);
/* devices_list prints the list; argv names qubes (none = all). devices_info prints all about each named device. */
int devices_list(struct tool *t, enum dev_class cls, int argc, char **argv);
int devices_info(struct tool *t, enum dev_class cls, int argc, char **argv);
/* devices_assigned fills ret with the assignments of one qube; *ret is the caller's to free. */
int devices_assigned(const char *qube, enum dev_class cls, struct dev_assignment **ret, size_t *ret_n, struct err *e);
/* devices_lookup finds the device at BACKEND:PORT: 1, 0 when there is none, negative. */
int devices_lookup(enum dev_class cls, const struct dev_name *name, struct dev_info *ret, struct err *e);

/* A row for each alias. */
#define DEVICES_VERB(symbol, name_, cls_, what)                                                     \
	static int run(struct tool *t, int argc, char **argv)                                       \
	{                                                                                           \
		return devices_run(t, cls_, argc, argv);                                            \
	}                                                                                           \
	const struct verb verb_##symbol = {                                                         \
		.name = name_,                                                                      \
		.summary = "list " what " and assign them to qubes",                                \
		.args = "[ACTION] [ARGUMENT...]",                                                   \
		.desc = devices_desc,                                                               \
		.opts = devices_opts,                                                               \
		.subs = devices_subs,                                                               \
		.words = { W_SUB, W_QUBE },                                                         \
		.run = run,                                                                         \
	}

#endif
