/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who a call runs as. Accounts are read from /etc/passwd and /etc/group themselves: the agent is a static program, where the
 * C library's name service would load foreign code.
 */
#ifndef QREXEC_USER_H
#define QREXEC_USER_H

#include <sys/types.h>

#include "base/err.h"

#define USER_GROUPS_MAX 64

struct user {
	char name[64];
	uid_t uid;
	gid_t gid;
	gid_t groups[USER_GROUPS_MAX]; /* supplementary */
	size_t n_groups;
	char home[256], shell[256];
};

/* user_by_name, user_by_uid find an account; -ENOENT when there is none. dir is "/etc" but for tests. */
int user_by_name(struct user *ret, const char *dir, const char *name, struct err *e) _must_check_;
/* user_of_dom0 is who a service of dom0 runs as when policy names nobody: the first member of the group `qubes` that is an account. */
int user_of_dom0(struct user *ret, const char *dir, struct err *e) _must_check_;
int user_by_uid(struct user *ret, const char *dir, uid_t uid, struct err *e) _must_check_;

#endif
