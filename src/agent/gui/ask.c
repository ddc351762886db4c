/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The other end of the control socket: one command, one answer. */
#include <sys/socket.h>

#include "agent/gui/agent.h"
#include "base/io.h"
#include "base/str.h"

#define ANSWER_MAX 1024
#define INPUT_MAX 4096

static int ask(const char *path, const char *line, size_t n, char *ret, size_t cap, struct err *e)
{
	_cleanup_fd_ int fd = unix_connect(path, SOCK_STREAM, e);
	size_t have = 0;

	if (fd < 0)
		return fd;
	if (write_full(fd, line, n) < 0)
		return err_set(e, EPIPE, "the agent went away");
	while (have == 0 || ret[have - 1] != '\n') {
		ssize_t got = have + 1 < cap ? read(fd, ret + have, cap - 1 - have) : 0;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return err_set(e, ECONNRESET, "the agent went away");
		have += (size_t)got;
	}
	ret[have] = 0;
	return 0;
}

static int ask_print(const char *path, const char *line, size_t n)
{
	char answer[ANSWER_MAX];
	struct err e = { 0 };

	if (ask(path, line, n, answer, sizeof answer, &e) < 0) {
		fprintf(stderr, "qubes-gui: %s\n", e.msg);
		return 1;
	}
	fputs(answer, str_starts(answer, "error") ? stderr : stdout);
	return str_starts(answer, "error");
}

int control_command(const char *path, const char *line)
{
	struct wr w = wr_grow(INPUT_MAX);
	int r;

	wr_str(&w, line);
	wr_u8(&w, '\n');
	r = wr_ok(&w) && !strchr(line, '\n') ? ask_print(path, (const char *)w.buf, w.len) : 2;
	wr_free(&w);
	return r;
}

/* Lines become one, with commas between them. */
int control_layout(const char *path, int fd)
{
	struct wr w = wr_grow(INPUT_MAX + 64);
	char text[INPUT_MAX];
	ssize_t n = read_full(fd, text, sizeof text);
	struct rd r = rd_mem(text, n < 0 ? 0 : (size_t)n), line;
	int rc;

	wr_str(&w, "layout ");
	for (bool first = true; rd_line(&r, &line); first = false) {
		if (rd_left(&line) == 0)
			continue;
		wr_str(&w, first ? "" : ", ");
		wr_bytes(&w, line.p, rd_left(&line));
	}
	wr_u8(&w, '\n');
	rc = n > 0 && n < INPUT_MAX && wr_ok(&w) ? ask_print(path, (const char *)w.buf, w.len) : 2;
	wr_free(&w);
	return rc;
}
