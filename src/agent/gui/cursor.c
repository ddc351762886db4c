/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shapes of the pointer: their names become numbers of the X cursor font, the only ones that guid takes. */
#include "agent/gui/agent.h"

static const struct {
	uint32_t number;
	const char *names;
} shapes[] = {
#define C(number, names) { number, names },
#include "agent/gui/cursors.def"
#undef C
};

static bool listed(const char *names, const char *name, size_t n)
{
	while (*names) {
		size_t len = strcspn(names, " ");

		if (len == n && memcmp(names, name, n) == 0)
			return true;
		names += len;
		names += strspn(names, " ");
	}
	return false;
}

uint32_t cursor_number(const char *name, size_t n)
{
	for (size_t i = 0; n > 0 && i < ARRAY_SIZE(shapes); i++)
		if (listed(shapes[i].names, name, n))
			return GUI_CURSOR_X + shapes[i].number;
	return 0;
}

static uint32_t number_of(struct agent *a, uint32_t atom)
{
	_cleanup_free_ xcb_get_atom_name_reply_t *r = atom ? xcb_get_atom_name_reply(a->x, xcb_get_atom_name(a->x, atom), NULL) : NULL;

	if (!r)
		return 0;
	return cursor_number(xcb_get_atom_name_name(r), (size_t)xcb_get_atom_name_name_length(r));
}

void cursor_tell(struct agent *a, struct win *w)
{
	uint32_t number;

	if (a->cursor != UINT32_MAX || !w->announced)
		return;
	number = number_of(a, a->cursor_atom);
	a->cursor = number;
	SEND(a, cursor, w->id, .cursor = number);
}

void cursor_changed(struct agent *a, uint32_t atom)
{
	struct win *w = a->under ? win_find(a, a->under) : NULL;

	if (atom == a->cursor_atom)
		return;
	a->cursor_atom = atom;
	a->cursor = UINT32_MAX;
	if (w)
		cursor_tell(a, w);
}
