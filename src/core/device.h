/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Devices of the object model: assignments that qubes keep, what may be assigned to whom, which devices there are. Knows nothing of how a
 * device is attached. An assignment is one entry of qube.devices: key CLASS BACKEND:PORT:DEVICE-ID, value mode and options (dev_state_put).
 */
#ifndef CORE_DEVICE_H
#define CORE_DEVICE_H

#include "core/core.h"

#define DEVICE_KEY_CAP (16 + QNAME_MAX + DEV_PORT_CAP + DEV_ID_CAP)
#define DEVICES_MAX 64 /* that one qube offers */

/* device_row_ok: is this a key and value that device_next understands? For the loader. */
bool device_row_ok(const char *key, const char *value);
/* device_next fills ret with the next assignment of class cls (DEV_N: any) from index *i on; false at the end. Ascending keys. */
bool device_next(const struct qube *q, enum dev_class cls, size_t *i, struct dev_assignment *ret);
/* device_find gives the assignment of exactly this name. */
bool device_find(const struct qube *q, enum dev_class cls, const struct dev_name *name, struct dev_assignment *ret);
/* device_has_pci: is any PCI device assigned? Decides virt_mode and memory balancing. */
bool device_has_pci(const struct qube *q);
/* device_user gives a qube that has something of `backend` assigned, and what it is in ret; NULL = none. */
const struct qube *device_user(const struct core *c, const struct qube *backend, struct dev_assignment *ret);

/* device_store writes the assignment of q (inside the transaction), device_drop removes it. No events. */
void device_store(struct core *c, struct qube *q, const struct dev_assignment *a);
void device_drop(struct core *c, struct qube *q, const struct dev_assignment *a);

/* device_check_options and device_check_assign: the rules of the class. Negative AE_ code with text. */
int device_check_options(const struct dev_assignment *a, struct err *e);
int device_check_assign(const struct core *c, const struct qube *q, const struct dev_assignment *a, struct err *e);
/* device_check_denied: -AE_PERMISSION when q's devices_denied covers an interface of the device. */
int device_check_denied(const struct core *c, const struct qube *q, const struct dev_info *d, struct err *e);
/* device_check_start: may q start as far as its required devices are concerned? -AE_GENERIC with text. */
int device_check_start(const struct core *c, const struct qube *q, struct err *e);

/* The microphone, the one device of dom0 that is attached by hand so far (core/mic.c). */
#define DEV_MIC_ID "dom0:mic::m000000"
#define DEV_MIC_NAME "dom0:mic:" DEV_MIC_ID
bool device_mic_attached(const struct qube *q);
/* device_mic_check: may q, which runs, get it? Negative AE_ code with text. device_mic_attach and _detach do it, with their events. */
int device_mic_check(const struct core *c, const struct qube *q, struct err *e);
void device_mic_attach(struct core *c, struct qube *q);
void device_mic_detach(struct core *c, struct qube *q);
/* device_mic_start: q is about to be usable; an assignment of mode auto-attach or required comes into force. */
void device_mic_start(struct core *c, struct qube *q);

/* A list of devices; the array is the holder's. */
struct dev_list {
	struct dev_info *v;
	size_t n;
};
void dev_list_fini(struct dev_list *l);
#define _cleanup_devices_ _cleanup_(dev_list_fini)
/* device_host_list appends what dom0 offers of a class (mic, pci), ascending port. */
void device_host_list(const struct core *c, enum dev_class cls, struct dev_list *ret);
/* device_guest_list appends what a guest offers by its QubesDB: entries PORT/KEY below /qubes-usb-devices/ or /qubes-block-devices/. Everything
   comes from the guest: what is not well-formed is left out, texts lose their strange characters, at most DEVICES_MAX are taken. usb is its list
   of USB devices, the parents of block devices (NULL for class usb). */
void device_guest_list(enum dev_class cls, const char *backend, const struct kvmap *entries, const struct dev_list *usb, struct dev_list *ret);

/* device_pci_scan reads /sys/bus/pci/devices (an open directory) into c->pci. Missing or odd entries are left out. */
void device_pci_scan(struct core *c, int dir);

#endif
