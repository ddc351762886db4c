/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shared by the handlers of device methods. */
#ifndef CORE_API_DEVICE_H
#define CORE_API_DEVICE_H

#include "core/api/api.h"
#include "core/device.h"

/* What to do with the devices that a qube offers; the list is the caller's. Gives what a handler gives, but not CALL_PENDING. */
typedef int (*devices_fn)(struct call *c, const struct dev_list *l);
/* devices_of finds the devices of a class that backend offers and calls next: at once, or when the guest's QubesDB has answered
   (CALL_PENDING; the call then ends by itself). A qube that is not up offers none. Uses call.state. */
int devices_of(struct call *c, const struct qube *backend, enum dev_class cls, devices_fn next);

#endif
