/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Login on the qube's console, only when somebody is there: until a line arrives on the serial port
 * no getty runs, which saves each qube a process and part of its boot. Who reaches the console is
 * dom0, so the login is root's without a password.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "agent/early/early.h"
#include "base/log.h"

#define CONSOLE_DEV "/dev/ttyS0"
#define GETTY "/sbin/agetty"

int console_open(struct console *c)
{
	c->proc = PROC_INIT;
	c->fd = access(GETTY, X_OK) == 0 ? open(CONSOLE_DEV, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
	return c->fd;
}

void console_pollfd(const struct console *c, struct pollfd *ret)
{
	*ret = (struct pollfd){ .fd = c->proc.pidfd >= 0 ? c->proc.pidfd : c->fd, .events = POLLIN };
}

void console_event(struct console *c)
{
	static const char *const argv[] = { "agetty", "--noclear", "--autologin", "root", "--keep-baud", "ttyS0", "115200", "vt220", NULL };
	static const char *const envp[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", NULL };
	struct proc_spec s = { .path = GETTY, .argv = argv, .envp = envp, .new_session = true };
	struct err e = { 0 };
	int status = 0;

	if (c->proc.pidfd >= 0) {
		if (proc_wait(&c->proc, 0, &status) < 0)
			return;
		proc_fini(&c->proc);
		c->proc = PROC_INIT;
		tcflush(c->fd, TCIFLUSH);
		return;
	}
	tcflush(c->fd, TCIFLUSH);
	if (proc_spawn(&c->proc, &s, &e) < 0) {
		log_error("console: %s", e.msg);
		c->proc = PROC_INIT;
	}
}
