/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-pci: qvm-device for PCI devices. */
#include "tool/devices.h"

DEVICES_VERB(qvm_pci, "qvm-pci", DEV_PCI, "PCI devices");
