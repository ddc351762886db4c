/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of monitors. */
#include "vmm/monitor.h"

#include "base/str.h"

#define VMM(symbol, name) extern const struct vmm_monitor_ops vmm_##symbol##_monitor;
#include "vmm/drivers.def"
#undef VMM

static const struct vmm_monitor_ops *const monitors[] = {
#define VMM(symbol, name) &vmm_##symbol##_monitor,
#include "vmm/drivers.def"
#undef VMM
};

const struct vmm_monitor_ops *vmm_monitor_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(monitors); i++)
		if (streq(monitors[i]->name, name))
			return monitors[i];
	return NULL;
}
