/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-block: qvm-device for block devices. */
#include "tool/devices.h"

DEVICES_VERB(qvm_block, "qvm-block", DEV_BLOCK, "block devices");
