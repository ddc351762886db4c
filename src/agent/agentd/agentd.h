/* SPDX-License-Identifier: GPL-3.0-or-later */
/* agentd: the guest's end of the link. Its parts: main.c (wiring), port.c (the virtio port), machine.c (effects on the machine). */
#ifndef AGENT_AGENTD_H
#define AGENT_AGENTD_H

#include "base/err.h"

/* port_open finds the virtio port by its name in sysfs and opens it. -ENOENT while it is not there. */
int port_open(struct err *e);

/* machine_* act on this machine. After machine_dry they only write a line to stdout, for tests on a developer's host. */
void machine_dry(void);
/* machine_seed credits n bytes to the kernel's random generator and makes it use them at once. */
int machine_seed(const uint8_t *p, size_t n, struct err *e);
void machine_time(uint64_t realtime_ns);
/* machine_still writes back what the machine has not written to its disks. */
void machine_still(void);
/* machine_poweroff is false while the init is not ready to be asked: try again a little later. */
bool machine_poweroff(void);
/* machine_ready tells the service manager ($NOTIFY_SOCKET), once. */
void machine_ready(void);

#endif
