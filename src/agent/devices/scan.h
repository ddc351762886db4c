/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which block and USB devices of this qube another one could use, as rows of QubesDB: /qubes-block-devices/NAME/{desc,size,mode,parent} and
 * /qubes-usb-devices/PORT/{desc,serial,interfaces}. Reads a tree like /sys and a text like /proc/self/mountinfo; changes nothing.
 */
#ifndef DEVICES_SCAN_H
#define DEVICES_SCAN_H

#include "base/defs.h"

#define SCAN_BLOCK "/qubes-block-devices"
#define SCAN_USB "/qubes-usb-devices"
#define SCAN_ROWS_MAX 1024 /* beyond these a device is not told */

struct scan_row {
	char key[64], value[128];
};

struct scan {
	struct scan_row *v; /* sorted by key */
	size_t n;
};

/* scan_devices fills *ret (scan_fini). sys: a directory descriptor of /sys; mounts: mountinfo. Left out are the qube's own four disks, disks without a medium, what is mounted or held
   by another device here together with the disk it is on, and hubs. -errno only when sys cannot be read at all. */
int scan_devices(struct scan *ret, int sys, const char *mounts);
void scan_fini(struct scan *s);
const char *scan_get(const struct scan *s, const char *key);

#endif
