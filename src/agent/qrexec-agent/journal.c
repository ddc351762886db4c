/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Copy of a service's stderr for the system log; connected at the first byte, and silent when there is no log. */
#include "agent.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>

#include "base/str.h"

void journal_init(struct journal *j, const char *command, size_t n)
{
	static const char rpc[] = "QUBESRPC ";
	const char *p = memmem(command, n, rpc, sizeof rpc - 1);
	size_t len;

	*j = (struct journal){ .fd = -1 };
	if (!p) {
		(void)!str_copy(j->tag, sizeof j->tag, "qrexec-command");
		return;
	}
	p += sizeof rpc - 1;
	len = n - (size_t)(p - command);
	(void)str_escape(j->tag, sizeof j->tag, p, len);
	for (char *blank = j->tag; (blank = strchr(blank, ' '));)
		*blank = '-';
}

static bool journal_open(struct journal *j)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };

	if (j->fd != -1)
		return j->fd >= 0;
	/* in the conformance mode nothing is written elsewhere */
	j->fd = chan_is_unix() ? -2 : socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (j->fd < 0 || connect(j->fd, (struct sockaddr *)&addr, sizeof addr) < 0) {
		if (j->fd >= 0)
			close(j->fd);
		j->fd = -2;
	}
	return j->fd >= 0;
}

static void flush_line(struct journal *j)
{
	char text[1300];

	if (j->len && str_printf(text, sizeof text, "<%d>%s: %.*s", LOG_DAEMON | LOG_INFO, j->tag, (int)j->len, j->line) == 0)
		(void)!send(j->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
	j->len = 0;
}

void journal_bytes(void *arg, const uint8_t *p, size_t n)
{
	struct journal *j = arg;

	if (!journal_open(j))
		return;
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n' || j->len == sizeof j->line)
			flush_line(j);
		if (p[i] != '\n')
			j->line[j->len++] = p[i] >= 0x20 && p[i] < 0x7f ? (char)p[i] : '_';
	}
}

void journal_fini(struct journal *j)
{
	if (j->fd < 0)
		return;
	flush_line(j);
	close(j->fd);
	j->fd = -1;
}
