/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looks a user up in /etc/passwd. The receiver is static and setuid: it loads no name service modules. */
#ifndef AGENT_QFILE_USER_H
#define AGENT_QFILE_USER_H

#include <limits.h>
#include <sys/types.h>

#include "base/err.h"

struct user {
	uid_t uid;
	gid_t gid;
	char home[PATH_MAX];
};
/* user_find gives the first row of passwd (a file in the format of /etc/passwd) with this uid; -ENOENT when there is none. */
int user_find(const char *passwd, uid_t uid, struct user *ret, struct err *e);

#endif
