/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-console: talk to the serial console of a qube; Ctrl-] leaves. */
#include <poll.h>
#include <sys/socket.h>
#include <termios.h>

#include "base/io.h"
#include "tool/util.h"

#define LEAVE 0x1d /* Ctrl-] */

enum { KEY_WITH_INPUT = 590 };

/* qvm-console-dispvm: the other end is a window, whose end is the end. */
static const struct tool_opt opts[] = { { KEY_WITH_INPUT, "end-with-input", NULL, "inside: of qvm-console-dispvm", OPT_HIDDEN, W_ANY }, { 0 } };

static struct termios saved;
static bool raw_on;

static void raw_leave(void)
{
	if (raw_on)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	raw_on = false;
}

static void raw_enter(void)
{
	struct termios raw;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved) < 0)
		return;
	raw = saved;
	cfmakeraw(&raw);
	raw_on = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

/* One direction. Gives 1, 0 at the end or when the user leaves, -errno. */
static int shovel(int from, int to, bool keys)
{
	uint8_t buf[4096];
	ssize_t n = read(from, buf, sizeof buf);
	uint8_t *leave;

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 1 : -errno;
	if (n == 0)
		return 0;
	leave = keys ? memchr(buf, LEAVE, (size_t)n) : NULL;
	if (leave)
		n = leave - buf;
	if (write_full(to, buf, (size_t)n) < 0)
		return 0;
	return leave ? 0 : 1;
}

static int talk(int fd, bool end_with_input)
{
	struct pollfd p[2] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = fd, .events = POLLIN } };

	for (;;) {
		int r = poll(p, 2, -1);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (p[1].revents) {
			r = shovel(fd, STDOUT_FILENO, false);
			if (r <= 0)
				return r;
		}
		if (p[0].revents) {
			r = shovel(STDIN_FILENO, fd, true);
			if (r < 0)
				return r;
			/* On a terminal the user left; a file has ended, and what the qube still says is shown until it closes. */
			if (r == 0 && (raw_on || end_with_input))
				return 0;
			if (r == 0) {
				(void)shutdown(fd, SHUT_WR);
				p[0].fd = -1;
			}
		}
	}
}

static int run(struct tool *t, int argc, char **argv)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	_cleanup_fd_ int fd = -1;
	struct err e = { 0 };
	int r;

	(void)argc;
	r = adm_text(&rep, argv[0], "admin.vm.Console", NULL, NULL, &e);
	if (r < 0)
		return tool_api(t, r, &e);
	rep.data[strcspn(rep.data, "\n")] = '\0';
	if (rep.data[0] != '/')
		return tool_fail(t, "qubesd named no console of '%s'", argv[0]);
	fd = unix_connect(rep.data, SOCK_STREAM, &e);
	if (fd < 0)
		return tool_fail(t, "the console of '%s' cannot be opened: %s", argv[0], err_text(&e, fd));
	if (isatty(STDIN_FILENO))
		tool_note(t, "console of '%s'; Ctrl-] leaves%s", argv[0], emulated_here() ? " (" EMULATED_TEXT ")" : "");
	raw_enter();
	r = talk(fd, opt_has(t, KEY_WITH_INPUT));
	raw_leave();
	if (r < 0)
		return tool_fail(t, "the console of '%s': %s", argv[0], strerror(-r));
	return 0;
}

const struct verb verb_qvm_console = {
	.name = "qvm-console",
	.summary = "talk to the serial console of a running qube",
	.args = "QUBE",
	.desc = "Ctrl-] leaves. The bytes come from the qube unchanged: a hostile qube can send escape sequences\n"
		"to your terminal, as on any serial line.",
	.opts = opts,
	.words = { W_QUBE },
	.min_args = 1,
	.max_args = 1,
	.run = run,
};
