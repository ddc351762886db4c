/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-device: devices of any class. */
#include "tool/devices.h"

static int run(struct tool *t, int argc, char **argv)
{
	enum dev_class cls = dev_class_parse(argv[0]);

	if (cls == DEV_N)
		return tool_usage(t, "no such class of devices: '%s'; there are block, mic, pci and usb", argv[0]);
	return devices_run(t, cls, argc - 1, argv + 1);
}

const struct verb verb_qvm_device = {
	.name = "qvm-device",
	.summary = "list devices and assign them to qubes",
	.args = "block|mic|pci|usb [ACTION] [ARGUMENT...]",
	.desc = devices_desc,
	.opts = devices_opts,
	.subs = devices_subs,
	.words = { W_DEVICE_CLASS, W_SUB, W_QUBE },
	.min_args = 1,
	.run = run,
};
