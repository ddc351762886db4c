/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one group that is looked up by name. From the file, so that no name service runs in a daemon with privileges. */
#include "base/ids.h"

#include <fcntl.h>

#include "base/fsx.h"
#include "base/rd.h"
#include "base/str.h"

#define GROUP_FILE_MAX (1u << 20)

gid_t ids_client_group(void)
{
	_cleanup_free_ char *text = NULL;
	struct rd r, line;
	size_t len;

	if (fs_read(AT_FDCWD, "/etc/group", GROUP_FILE_MAX, &text, &len, NULL) < 0)
		return ID_CORE;
	r = rd_mem(text, len);
	while (rd_line(&r, &line)) {
		struct rd name = rd_until(&line, ':'), password = rd_until(&line, ':'), number = rd_until(&line, ':');
		char digits[16];
		uint64_t gid;

		rd_text(&number, digits, sizeof digits);
		if (rd_eq(&name, "qubes") && rd_ok(&password) && rd_ok(&number) && str_u64(digits, ID_LAST, &gid) == 0)
			return (gid_t)gid;
	}
	return ID_CORE;
}
