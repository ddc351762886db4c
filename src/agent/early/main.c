/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * /usr/lib/bulkhead/boot, the programs of a qube's early boot in one static binary:
 *   as pid 1       start the supervisor, wait for its word, become systemd
 *   boot supervise the supervisor (descriptor 3: where to say that pid 1 may go on)
 *   boot post      rc.local and friends
 *   boot identity  configure again after this machine was cloned from a saved state
 *   boot wait      sleep until the system has finished starting
 *   boot ready     say that the system has finished starting
 */
#include <fcntl.h>
#include <poll.h>

#include "agent/early/early.h"
#include "base/io.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/str.h"

#define SELF "/usr/lib/bulkhead/boot"
#define GO_TIMEOUT_MS 180000
#define WAIT_TIMEOUT_MS 600000

static int start_supervisor(int *ret_fd, struct err *e)
{
	static const char *const argv[] = { "bulkhead-supervisor", "supervise", NULL };
	struct proc p = PROC_INIT;
	struct proc_spec s = { .path = SELF, .argv = argv, .keep_stderr = true, .new_session = true, .n_fds = 1 };
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	s.fds[0].fd = fds[1];
	s.fds[0].as = 3;
	r = proc_spawn(&p, &s, e);
	close(fds[1]);
	if (r < 0) {
		close(fds[0]);
		return r;
	}
	/* The child lives on without us: no proc_fini. */
	close(p.pidfd);
	*ret_fd = fds[0];
	return 0;
}

static int as_pid1(char **argv)
{
	static const char *const init[] = { "/sbin/init", "/lib/systemd/systemd" };
	struct err e = { 0 };
	int fd = -1;
	int r = start_supervisor(&fd, &e);

	if (r < 0) {
		log_error("%s", err_text(&e, r));
	} else {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		/* End of file (the supervisor died) ends the wait as well. */
		while (poll(&p, 1, GO_TIMEOUT_MS) < 0 && errno == EINTR)
			;
		close(fd);
	}
	for (size_t i = 0; i < ARRAY_SIZE(init); i++)
		{
		argv[0] = (char *)(uintptr_t)init[i];
		execv(init[i], argv);
	}
	log_error("no init: %s", strerror(errno));
	return 1;
}

static int say_ready(void)
{
	static const char line[] = "bulkhead: system ready\n";
	struct err e = { 0 };
	_cleanup_fd_ int fd = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC);

	if (touch("/run/bulkhead/system-ready", &e) < 0)
		log_warn("%s", e.msg);
	if (fd >= 0 && write_full(fd, line, sizeof line - 1) < 0)
		return 1;
	return 0;
}

/* wait_ready is what the service bulkhead.WaitReady runs. */
static int wait_ready(void)
{
	struct err e = { 0 };
	int r = wait_for_file("/run/bulkhead", "system-ready", -1, WAIT_TIMEOUT_MS, &e);

	if (r < 0)
		log_error("%s", err_text(&e, r));
	return r < 0;
}

int main(int argc, char **argv)
{
	log_init("boot", NULL, -1);
	if (getpid() == 1)
		return as_pid1(argv);
	if (argc == 2 && streq(argv[1], "supervise"))
		return supervise(3);
	if (argc == 2 && streq(argv[1], "post"))
		return early_post();
	if (argc == 2 && streq(argv[1], "identity"))
		return early_configure(true);
	if (argc == 2 && streq(argv[1], "wait"))
		return wait_ready();
	if (argc == 2 && streq(argv[1], "ready"))
		return say_ready();
	fprintf(stderr, "usage: boot supervise|post|identity|wait|ready\n");
	return 64;
}
