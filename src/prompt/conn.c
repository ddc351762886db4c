/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Connections of policyd to an agent: descriptor line, NUL, JSON, end of file; then one answer. */
#include <sys/socket.h>

#include "base/io.h"
#include "base/str.h"
#include "prompt/prompt.h"

#define HEAD_MAX 256

int pr_listen(const char *path, struct err *e)
{
	int fd = unix_listen(path, SOCK_STREAM, 0660, e);

	return fd == -EADDRINUSE ? err_set(e, EADDRINUSE, "another prompt agent is running already (it serves '%s')", path) : fd;
}

int pr_accept(struct pr_conn *ret, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return -errno;
	*ret = (struct pr_conn){ fd, wr_grow(PR_JSON_MAX + HEAD_MAX) };
	return 0;
}

int pr_read(struct pr_conn *c)
{
	uint8_t buf[16384];

	for (;;) {
		ssize_t n = recv(c->fd, buf, sizeof buf, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (n == 0)
			return 1;
		wr_bytes(&c->in, buf, (size_t)n);
		if (!wr_ok(&c->in))
			return -EMSGSIZE;
	}
}

int pr_request(struct rd *ret, enum pr_kind *kind, const struct pr_conn *c)
{
	struct rd r = rd_mem(c->in.buf, c->in.len), head = rd_until(&r, 0), name;
	char text[HEAD_MAX], service[32];

	rd_text(&head, text, sizeof text);
	if (!rd_ok(&r) || !rd_ok(&head))
		return -EBADMSG;
	head = rd_mem(text, strcspn(text, " +"));
	name = head;
	rd_text(&name, service, sizeof service);
	if (!rd_ok(&name))
		return -EBADMSG;
	if (streq(service, "policy.Ask"))
		*kind = PR_ASK;
	else if (streq(service, "policy.Notify"))
		*kind = PR_NOTIFY;
	else
		return -EBADMSG;
	*ret = r;
	return 0;
}

void pr_close(struct pr_conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	wr_free(&c->in);
}

void pr_answer(struct pr_conn *c, const char *target)
{
	char text[PR_NAME_MAX + 16] = "deny";

	if (target && str_printf(text, sizeof text, "allow:%s", target) < 0)
		(void)!str_copy(text, sizeof text, "deny");
	/* A few bytes into an empty socket: they fit or the peer is gone. */
	(void)!send(c->fd, text, strlen(text), MSG_NOSIGNAL);
	pr_close(c);
}
