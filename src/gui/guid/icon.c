/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Icons that programs of the qube have for their windows. A picture of theirs beside the host's own in a list of windows could look like anything, so each is shown
 * in the colour of the label: only lightness and opacity are the qube's.
 */
#include "gui/guid/xs.h"
#include "proto/image.h"

#define ICONS_BURST 40u
#define ICONS_PER_MS 10000u

int icon_take(struct guid *g, struct win *w, struct rd body)
{
	_cleanup_free_ uint32_t *words = NULL;
	struct gui_icon m;
	size_t n;

	if (gui_get_icon(&body, &m) < 0 || m.w > GUI_ICON_SIDE || m.h > GUI_ICON_SIDE || (m.w == 0) != (m.h == 0))
		return -EBADMSG;
	n = (size_t)m.w * m.h;
	if (n * 4 != rd_left(&body))
		return -EBADMSG;
	/* Dropped above the rate: an icon that moves is no icon. */
	if (w->ghost || !rate_ok(&g->icons, g->now_ms, ICONS_BURST, ICONS_PER_MS))
		return 0;
	if (n == 0) {
		xs_icon(g, w, NULL, 0);
		return 0;
	}
	words = xcalloc(n + 2, sizeof *words);
	words[0] = m.w;
	words[1] = m.h;
	for (size_t i = 0; i < n; i++)
		words[2 + i] = image_tint(rd_u32le(&body), g->colour);
	xs_icon(g, w, words, n + 2);
	return 0;
}
