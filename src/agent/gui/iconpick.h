/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which of the pictures in _NET_WM_ICON is sent to guid, and made small enough. Pure. */
#ifndef AGENT_GUI_ICONPICK_H
#define AGENT_GUI_ICONPICK_H

#include "base/rd.h"
#include "base/wr.h"

/* icon_pick reads the property's words (width, height, pixels; several pictures), takes the one that suits a list of windows best, and appends its pixels to w (4
   bytes each, at most GUI_ICON_MAX in all; more than GUI_ICON_SIDE on a side is drawn smaller). False: there is none, or the property is malformed. */
bool icon_pick(struct wr *w, struct rd words, uint32_t *ret_w, uint32_t *ret_h);

#endif
