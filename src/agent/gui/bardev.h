/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finding and opening the device of the memory for pixels. Needs root. */
#ifndef AGENT_GUI_BARDEV_H
#define AGENT_GUI_BARDEV_H

/* bardev_open enables the device and gives a descriptor of its memory (the caller's), -ENOENT when it is not plugged, or -errno. */
int bardev_open(void);

#endif
