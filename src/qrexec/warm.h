/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a process that waits for a call can do before it comes. */
#ifndef QREXEC_WARM_H
#define QREXEC_WARM_H

/* warm_up looks for a service that does not exist, in these colon lists of directories, and reads our own account: nothing is kept, but the pages
   of program and data that a call needs are then in place. Half of the time from an order to the start of its service was spent on them. */
void warm_up(const char *services, const char *configs);

#endif
