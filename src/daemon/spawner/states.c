/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests about saved states (docs/states.md). */
#include "daemon/spawner/spawner.h"

int on_state_keep(struct spawner *s, struct msg *m, struct err *e)
{
	return err_set(e, ENOTSUP, "saved states are not there yet");
}

int on_state_drop(struct spawner *s, struct msg *m, struct err *e)
{
	return err_set(e, ENOTSUP, "saved states are not there yet");
}

int on_state_list(struct spawner *s, struct msg *m, struct err *e)
{
	return err_set(e, ENOTSUP, "saved states are not there yet");
}
