/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Icons that programs put on their windows, as messages to a guid that shows them. */
#include "agent/gui/agent.h"
#include "agent/gui/iconpick.h"

#define PROPERTY_MAX (4u * 1024 * 1024)

void icon_tell(struct agent *a, struct win *w)
{
	_cleanup_wr_ struct wr pixels = wr_grow(GUI_ICON_MAX), out = wr_grow(GUI_ICON_MAX + 64);
	struct gui_icon m = { 0 };
	size_t n;

	if (!(a->can & GUI_CAN_ICON) || !w->announced || w->override)
		return;
	_cleanup_free_ uint8_t *p = x_prop(a, w->id, a->atoms[ATOM__NET_WM_ICON], XCB_ATOM_CARDINAL, PROPERTY_MAX, &n, NULL);

	if (!p || !icon_pick(&pixels, rd_mem(p, n), &m.w, &m.h)) {
		if (!w->has_icon)
			return;
		m = (struct gui_icon){ 0 };
		pixels.len = 0;
	}
	w->has_icon = m.w != 0;
	gui_put_icon(&out, w->id, &m, pixels.len);
	if (pixels.len)
		wr_bytes(&out, pixels.buf, pixels.len);
	if (wr_ok(&out))
		link_send(a, out.buf, out.len);
}
