/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-run's parts: the terminal, and running in many qubes. */
#ifndef TOOL_RUN_H
#define TOOL_RUN_H

#include "client/qrexec.h"
#include "tool/util.h"

enum {
	KEY_AUTO = 460, KEY_LOCALCMD, KEY_SERVICE, KEY_NO_SHELL, KEY_GUI, KEY_NO_GUI, KEY_DISPVM, KEY_COLOUR_OUT, KEY_COLOUR_ERR,
	KEY_NO_COLOUR_OUT, KEY_NO_COLOUR_ERR, KEY_FILTER, KEY_NO_FILTER, KEY_TRACE,
};

#define RUN_FAILED 255
#define RUN_COMMAND_MAX 60000
#define RUN_WAIT_S 300 /* for the data channel: a loaded emulated qube is slow */

struct run {
	const char *qube, *user;
	char *command, *prefix; /* own */
	bool filter_out, filter_err;
	struct call_trace trace;
	unsigned colour_out, colour_err; /* number of the SGR code; 0 = none */
};

/* run_wake brings a qube into a state in which it takes calls: starts or unpauses it, unless option 'n' forbids. 0, or the tool's exit
   status (printed). */
int run_wake(struct tool *t, const char *qube);
/* run_session waits until user ("DEFAULT": the qube's own) has a session in the qube, as programs with windows need; at once when the qube has no
   windows. The status of the service, or a negative code. */
int run_session(const char *qube, const char *user, int null_fd, struct err *e);
/* run_terminal fills filters and colours from the options. 0 or an exit status (printed). */
int run_terminal(struct tool *t, struct run *x);
/* run_trace prints how long each phase of the call took. */
void run_trace(const char *qube, const struct call_trace *c);
/* run_colours switches the colours of both outputs on or off; tty_out stands for standard output (-1: not coloured). */
void run_colours(const struct run *x, int tty_out, bool on);
/* run_spawn starts this tool again with our options for one qube; with_input: it shares our standard input. */
struct proc;
int run_spawn(const struct tool *t, const char *qube, char **cmd, bool with_input, struct proc *ret, struct err *e);
#define DISP_NAME_CAP 40
/* disp_make makes a disposable for target (@dispvm or @dispvm:TEMPLATE), which does not run yet. app: the program of the menu that will be started in it,
   or NULL. 0, or the tool's exit status (printed). */
int disp_make(struct tool *t, const char *target, const char *app, char name[DISP_NAME_CAP]);
/* disp_remove takes it away, running or not; prints what does not work. */
void disp_remove(const struct tool *t, const char *name);
/* run_disp starts this tool again for a new disposable of target, with the words of cmd, and removes the disposable afterwards, whatever becomes
   of the two. Gives the exit status. */
int run_disp(struct tool *t, const char *target, char **cmd);
/* run_all runs the command in every running qube at once, each by a qvm-run of its own; gives the greatest status. */
int run_all(struct tool *t, char **cmd);

#endif
