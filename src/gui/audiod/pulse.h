/* SPDX-License-Identifier: GPL-3.0-or-later */
/* audiod's side of the sound server, by libpulse (PulseAudio, or PipeWire's server for it). The only user of the library; its loop is ours. */
#ifndef GUI_AUDIOD_PULSE_H
#define GUI_AUDIOD_PULSE_H

#include "base/err.h"
#include "gui/audiod/sound.h"

struct pulse;

/* pulse_open connects and makes the playback stream, which sleeps, under the name of the qube; waits at most ten seconds. -ENOTCONN with text when there is
   no sound server. icon: a name of the icon theme, "" = none. control_fd gets messages of bulkhead-desktop, -1 = none. All before the sandbox. */
int pulse_open(struct pulse **ret, const char *name, const char *icon, int play_fd, int record_fd, int control_fd, struct err *e);
/* pulse_run moves sound until one of the ends is reached, which it gives (enum sound_end). */
int pulse_run(struct pulse *p);
void pulse_free(struct pulse *p);

#endif
