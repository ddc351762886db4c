/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What qrexec-session says about a user's session, and what login.c keeps of it for the rest of the boot: rows, each ended by a NUL, whose first
 * byte is the kind. A text without the last row is cut off and worth nothing.
 */
#ifndef AGENT_QREXEC_AGENT_SESSION_H
#define AGENT_QREXEC_AGENT_SESSION_H

#define SESSION_ENV 'E'	     /* NAME=VALUE */
#define SESSION_GROUP 'G'    /* id of a supplementary group; with one such row these are all of them */
#define SESSION_LIMIT 'L'    /* "RESOURCE SOFT HARD", decimal: a limit that the session changed */
#define SESSION_UMASK 'U'    /* octal */
#define SESSION_LOGINUID 'I' /* decimal */
#define SESSION_REFUSED 'R'  /* why PAM opened no session */
#define SESSION_END '.'
#define SESSION_TEXT_MAX 65536

#endif
