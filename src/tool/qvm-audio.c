/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-audio: qvm-device for microphones. */
#include "tool/devices.h"

DEVICES_VERB(qvm_audio, "qvm-audio", DEV_MIC, "microphones");
