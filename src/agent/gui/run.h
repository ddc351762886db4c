/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside of qubes-gui-run, which keeps X server, agent and session of a qube. */
#ifndef AGENT_GUI_RUN_H
#define AGENT_GUI_RUN_H

#include "base/proc.h"
#include "base/wr.h"
#include "qrexec/user.h"

#define RUN_DIR "/run/bulkhead/gui"
#define RUN_CONFIG RUN_DIR "/xorg.conf"
#define RUN_AUTH RUN_DIR "/Xauthority"
#define RUN_CONTROL "/run/qubes/gui-agent.sock"
#define RUN_XORG "/usr/lib/xorg/Xorg"
#define RUN_DISPLAY ":0"

/* runconf.c. run_config writes the X server's configuration; run_auth a file that lets clients in who can read it (cookie: 16 random bytes). */
void run_config(struct wr *w);
void run_auth(struct wr *w, const uint8_t cookie[16]);
/* run_keyboard splits "LAYOUT+VARIANT+OPTIONS" into arguments of setxkbmap: with a NULL, pointing into text, which is changed. -EINVAL when it is no
   such value. */
#define RUN_KEYBOARD_ARGS 16
int run_keyboard(char *text, const char *argv[RUN_KEYBOARD_ARGS]);

/* keyboard.c: the process that sets the keyboard of QubesDB, now and whenever it changes. Does not return. */
int keyboard_main(void);

#endif
