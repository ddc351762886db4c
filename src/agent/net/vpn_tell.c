/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/net/vpntext.h"
#include "base/str.h"

int vpn_tell(const char *run, const void *text, size_t len)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || str_printf(a.sun_path, sizeof a.sun_path, "%s/ctl", run) < 0)
		return -ENAMETOOLONG;
	return sendto(fd, text, len, 0, (struct sockaddr *)&a, sizeof a) < 0 ? -errno : 0;
}
