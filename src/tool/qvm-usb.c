/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-usb: qvm-device for USB devices. */
#include "tool/devices.h"

DEVICES_VERB(qvm_usb, "qvm-usb", DEV_USB, "USB devices");
