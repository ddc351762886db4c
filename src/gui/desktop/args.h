/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * guid's command line from what is known of a qube, and the text of a monitor layout. Pure functions: no calls, no X.
 */
#ifndef GUI_DESKTOP_ARGS_H
#define GUI_DESKTOP_ARGS_H

#include "base/err.h"
#include "base/wr.h"

#define GUID_ARGS_MAX 96

struct guid_facts {
	uint32_t qid;
	char name[32], icon[64], colour[16]; /* colour: 0xRRGGBB */
	uint32_t label_index;
};

struct guid_args {
	char *v[GUID_ARGS_MAX + 1]; /* NULL-terminated, own memory */
	size_t n;
	uint32_t clipboard_max; /* most bytes of a copy, for clipd */
};

/* The value of a feature, NULL = it is not set. */
typedef const char *(*feature_fn)(const char *name, void *arg);

/*
 * guid_args_build fills a (end it with guid_args_fini). Options: feature gui-OPTION of the qube, else gui-default-OPTION of the GUI domain, where _ is
 * written -. A boolean one is true when it is not empty; of the others an empty one counts as not set. Values that guid would refuse are left out, and told
 * by warn (text borrowed).
 */
void guid_args_build(struct guid_args *a, const struct guid_facts *f, feature_fn own, feature_fn defaults, void *arg, void (*warn)(const char *text, void *arg));
bool guid_args_same(const struct guid_args *a, const struct guid_args *b);
void guid_args_fini(struct guid_args *a);

#define MONITORS_MAX 16
struct monitor {
	int32_t x, y;
	uint32_t w, h, w_mm, h_mm; /* mm: 0 = not known */
	uint32_t dpi;		   /* what the user's desktop draws for (resource Xft.dpi), 0 = it does not say */
};

/*
 * layout_put writes the input of qubes.SetMonitorLayout: a line "w h x y" for each monitor, and behind it "w_mm h_mm" where things should be drawn larger
 * than on an ordinary one. A qube does not learn the real size of a monitor: only which of 1.25, 1.5, … 3 times fits best, by what the user's desktop does,
 * else by the dots an inch.
 */
void layout_put(struct wr *w, const struct monitor *m, size_t n);
/* monitor_scale gives that factor in quarters, 4 to 12. */
unsigned monitor_scale(const struct monitor *m);

/* keyboard_put turns X's five strings of _XKB_RULES_NAMES (rules, model, layout, variant, options; NUL after each) into LAYOUT+VARIANT+OPTIONS.
   -EINVAL: it is something else, or no keyboard that a qube could have. */
int keyboard_put(const void *p, size_t n, char *out, size_t cap) _must_check_;

#endif
