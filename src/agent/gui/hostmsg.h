/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What guid says, decoded and checked, before anything is done with it. guid is trusted more than this qube, so a value that makes no sense is left out
 * and the stream goes on; only what cannot be cut into messages ends it. Pure.
 */
#ifndef AGENT_GUI_HOSTMSG_H
#define AGENT_GUI_HOSTMSG_H

#include "proto/gui.h"

#define HOSTMSG_SKIP 0u /* type of a message that is not for us: unknown, or with values that make no sense */

struct hostmsg {
	uint32_t type, window;
	uint32_t real_type; /* as it came, for logs */
	size_t size;	    /* bytes to drop */
	union {
		struct gui_keypress key;
		struct gui_button button;
		struct gui_motion motion;
		struct gui_crossing crossing;
		struct gui_focus focus;
		struct gui_map map;
		struct gui_configure configure;
		struct gui_keymap_notify keymap;
		struct gui_window_flags flags;
		struct gui_host_hello hello;
		struct gui_host_screen screen;
		struct rd text; /* CLIPBOARD_DATA: borrowed */
	} u;
};

/* hostmsg_next looks at the n bytes at p: 1 and *ret, 0 when more is needed, -EBADMSG. */
int hostmsg_next(struct hostmsg *ret, const void *p, size_t n) _must_check_;

#define HOSTMSG_GREETING 20 /* version and xconf */
/* hostmsg_greeting takes guid's answer to our version: 1, 0 when more is needed, -EPROTO. The sizes of *x may be anything. */
int hostmsg_greeting(uint32_t *ret_version, struct gui_xconf *x, const void *p, size_t n) _must_check_;

#endif
