/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Telling a service manager that the instance serves: one datagram to the socket that $NOTIFY_SOCKET names (systemd's protocol). */
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesd/qubesd.h"

void notify_ready(void)
{
	static const char text[] = "READY=1\nSTATUS=serving the Admin API";
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	_cleanup_fd_ int fd = -1;
	size_t n;

	if (!path || (path[0] != '/' && path[0] != '@') || str_copy(a.sun_path, sizeof a.sun_path, path) < 0)
		return;
	n = strlen(path);
	if (path[0] == '@')
		a.sun_path[0] = '\0'; /* the abstract name space */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, text, sizeof text - 1, MSG_NOSIGNAL, (struct sockaddr *)&a,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		log_warn("the service manager cannot be told that we are ready: %s", strerror(errno));
}
