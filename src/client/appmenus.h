/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Programs of qubes as dom0 keeps them: lib/appmenus/QUBE/list is what the qube offered (checked, in the format of proto/appmenu.h),
 * lib/appmenus/QUBE/icons/ has the pictures of its programs (as proto/image.h reads them), lib/appmenus/QUBE/apps/ holds one desktop entry a program, with
 * its icon in the colour of the qube's label. Each is replaced as a whole; readers see the old or the new state.
 */
#ifndef CLIENT_APPMENUS_H
#define CLIENT_APPMENUS_H

#include "base/err.h"
#include "base/rd.h"
#include "base/wr.h"

struct appmenus_count {
	unsigned apps, skipped; /* skipped: programs whose id or name is not acceptable */
};

/* appmenus_store checks a list that the qube sent and keeps it. -EBADMSG (nothing changes) when it is none or has too many programs. */
int appmenus_store(const char *qube, struct rd list, struct appmenus_count *ret, struct err *e);
/* appmenus_generate writes the entries of qube from the list of from (itself or its template): all programs, or those of the blank-separated
   desktop file names in only ("a.desktop b.desktop"; NULL = all). Without a list there are no entries. Gives their number. */
int appmenus_generate(const char *qube, const char *from, const char *only, struct err *e);
/* The pictures of a qube's programs, while they are collected. appmenus_icon_add takes an answer of qubes.GetImageRGBA for a program, made small; what is none is left out.
   appmenus_icons_store puts them in the place of those that are kept. */
struct appmenus_icons {
	struct {
		char *id;
		struct wr bytes;
	} *v;
	size_t n;
};
void appmenus_icon_add(struct appmenus_icons *icons, const char *id, struct rd answer);
int appmenus_icons_store(const char *qube, const struct appmenus_icons *icons, struct err *e);
void appmenus_icons_fini(struct appmenus_icons *icons);
/* appmenus_remove forgets everything about a qube; nothing there is success. */
int appmenus_remove(const char *qube, struct err *e);
/* appmenus_list reads the kept list of a qube (caller frees); -ENOENT when there is none. */
int appmenus_list(const char *qube, char **ret, size_t *ret_len, struct err *e);

#endif
