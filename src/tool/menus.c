/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Menu entries of qubes. */
#include "tool/menus.h"

#include "client/appmenus.h"
#include "tool/util.h"

#define CHAIN_MAX 8

/* The qube whose list counts: itself, or the next one below it that has sent one. */
bool menus_source(const char *qube, char out[MENUS_NAME])
{
	char value[64];

	if (str_copy(out, MENUS_NAME, qube) < 0)
		out[0] = '\0';
	for (int i = 0; i < CHAIN_MAX; i++) {
		_cleanup_free_ char *list = NULL;
		size_t n = 0;

		if (appmenus_list(out, &list, &n, NULL) == 0)
			return true;
		if (prop_get(out, "template", value, sizeof value, NULL) < 0 || !value[0] || str_copy(out, MENUS_NAME, value) < 0)
			break;
	}
	return false;
}

/* The programs that were chosen for the menu: for this qube, else for all of its template. NULL = all. */
static const char *chosen(const char *qube, struct adm_reply *rep)
{
	struct err e = { 0 };

	if (adm_text(rep, qube, "admin.vm.feature.Get", "menu-items", NULL, &e) == 0 ||
	    adm_text(rep, qube, "admin.vm.feature.CheckWithTemplate", "default-menu-items", NULL, &e) == 0)
		return rep->data;
	return NULL;
}

int menus_update(const char *qube, char from[MENUS_NAME], struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };

	(void)menus_source(qube, from);
	return appmenus_generate(qube, from, chosen(qube, &rep), e);
}

void menus_new(const struct tool *t, const char *qube)
{
	struct err e = { 0 };
	char from[MENUS_NAME];

	if (menus_source(qube, from) && menus_update(qube, from, &e) < 0)
		tool_info(t, "menu entries of '%s': %s", qube, e.msg);
}
