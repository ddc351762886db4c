/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Users by number. */
#include "agent/qfile/user.h"

#include <fcntl.h>

#include "base/fsx.h"
#include "base/rd.h"
#include "base/str.h"

static int number(struct rd field, uint32_t *ret)
{
	char text[16];
	uint64_t v;

	rd_text(&field, text, sizeof text);
	if (!rd_done(&field) || str_u64(text, UINT32_MAX - 1, &v) < 0)
		return -EINVAL;
	*ret = (uint32_t)v;
	return 0;
}

/* name:password:uid:gid:comment:home:shell */
static int parse_row(struct rd row, struct user *ret)
{
	struct rd uid, gid, home;

	(void)rd_until(&row, ':');
	(void)rd_until(&row, ':');
	uid = rd_until(&row, ':');
	gid = rd_until(&row, ':');
	(void)rd_until(&row, ':');
	home = rd_until(&row, ':');
	if (!rd_ok(&row) || number(uid, &ret->uid) < 0 || number(gid, &ret->gid) < 0)
		return -EINVAL;
	rd_text(&home, ret->home, sizeof ret->home);
	return rd_done(&home) ? 0 : -EINVAL;
}

int user_find(const char *passwd, uid_t uid, struct user *ret, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	struct rd r, row;
	size_t n;
	int q = fs_read(AT_FDCWD, passwd, 1 << 20, &text, &n, e);

	if (q < 0)
		return q;
	r = rd_mem(text, n);
	while (rd_line(&r, &row)) {
		struct user found;

		if (parse_row(row, &found) == 0 && found.uid == uid) {
			*ret = found;
			return 0;
		}
	}
	return err_set(e, ENOENT, "there is no user with the number %u", (unsigned)uid);
}
