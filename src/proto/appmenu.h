/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The list of programs that a qube offers (qubes.GetAppmenus, qubes.SyncAppMenus): lines "FILE.desktop:Key=Value", a blank line between
 * files. The qube's side writes it from desktop files, dom0's side takes it apart under strict rules and writes desktop entries of
 * its own. Pure.
 */
#ifndef PROTO_APPMENU_H
#define PROTO_APPMENU_H

#include "base/err.h"
#include "base/rd.h"
#include "base/wr.h"

#define APPMENU_STREAM_MAX (1u << 20) /* bytes of a whole list */
#define APPMENU_APPS_MAX 1000
#define APPMENU_ID_CAP 128
#define APPMENU_TEXT_CAP 256

/* One program. Everything here is safe to print and to write into a desktop entry; what the qube sent otherwise was left out. */
struct appmenu {
	char id[APPMENU_ID_CAP];	  /* of the desktop file, without ".desktop": letters digits . _ - */
	char name[APPMENU_TEXT_CAP];	  /* shown to people; never empty */
	char comment[APPMENU_TEXT_CAP];	  /* may be empty, as all that follow */
	char icon[APPMENU_ID_CAP];	  /* name in an icon theme, never a path */
	char categories[APPMENU_TEXT_CAP];
};

/* appmenu_next takes the next program: 1, 0 at the end of the list, -EBADMSG for a stream that is no list (nothing of it should be used then).
   A program whose id or name breaks the rules is passed over and counted in *skipped; a bad comment, icon or category is left out. */
int appmenu_next(struct rd *r, struct appmenu *ret, unsigned *skipped) _must_check_;

/* appmenu_id_ok: may this (without ".desktop") be the argument of qubes.StartApp? */
bool appmenu_id_ok(const char *id);

/* appmenu_put writes what the list says about one desktop file (id: its name without ".desktop", path: where it is). False, and nothing
   written, when the file is none that menus show. */
bool appmenu_put(struct wr *w, const char *id, const char *path, struct rd file);

/* appmenu_entry writes dom0's desktop entry for a program of a qube (a valid name); icon NULL = the program's own. */
void appmenu_entry(struct wr *w, const char *qube, const struct appmenu *a, const char *icon);

#endif
