/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qube-shim: the first process of a qube's pid namespace. It starts QEMU, keeps no descriptor of it, and waits for one of two
 * ends: QEMU's, or that of the lifeline that linkd holds. When the first process of a pid namespace ends the kernel kills all others, so
 * a linkd that dies in whatever way takes its QEMU with it. It reads no byte from anybody.
 */
#include <linux/prctl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/msg.h"
#include "base/proc.h"
#include "base/sandbox_parts.h"
#include "base/str.h"
#include "daemon/qube-shim/fds.h"

static int report(uint32_t type, const char *text, int pidfd)
{
	uint8_t buf[ERR_MSG_MAX + 8];
	struct wr w = wr_mem(buf, sizeof buf);

	wr_lstr(&w, text);
	return msg_send(SHIM_FD_REPORT, type, 0, 0, &w, &pidfd, pidfd >= 0 ? 1 : 0);
}

/* The same wall as the small root a second time, by the kernel's other means. Descriptors that are handed on are not concerned, but
   QEMU's loader opens its kernel and initramfs anew through /proc. */
static int confine(int last, size_t reopened, struct err *e)
{
	struct sandbox_path paths[SANDBOX_PATHS_MAX] = {
		{ .path = "/usr" },	   { .path = "/lib" },		{ .path = "/lib64" },	  { .path = "/etc/ld.so.cache" },
		{ .path = "/proc" },	   { .path = "/dev/null", .dev = true }, { .path = "/dev/urandom", .dev = true },
		{ .path = "/dev/kvm", .dev = true },
	};
	char files[SHIM_REOPENED_MAX][32];
	size_t n = 8;

	/* Kernel and initramfs, when there are any, are the first regular files. Memory files need no rule. */
	for (int fd = SHIM_FD_FIRST; fd <= last && n < 8 + reopened; fd++) {
		struct stat st;

		if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || str_printf(files[n - 8], sizeof files[0], "/proc/self/fd/%d", fd) < 0)
			continue;
		paths[n].path = files[n - 8];
		n++;
	}
	return sandbox_load_landlock(paths, n, e);
}

static int start(struct proc *ret, int last, char **argv, struct err *e)
{
	struct proc_spec s = { .path = argv[0], .argv = (const char *const *)argv,
			       .envp = (const char *const *)environ, .keep_stderr = true };

	for (int fd = SHIM_FD_FIRST; fd <= last; fd++) {
		s.fds[s.n_fds].fd = fd;
		s.fds[s.n_fds++].as = fd;
	}
	return proc_spawn(ret, &s, e);
}

/* Gives the exit code of the program, or 0 when the lifeline ended. */
static int wait_for_end(struct proc *p)
{
	struct pollfd pf[2] = { { .fd = SHIM_FD_LIFELINE, .events = POLLIN }, { .fd = p->pidfd, .events = POLLIN } };
	int status = 0;

	while (poll(pf, 2, -1) <= 0)
		;
	if (!pf[1].revents)
		return 0;
	return proc_wait(p, 0, &status) < 0 ? 1 : proc_exit_code(status);
}

int main(int argc, char **argv)
{
	struct proc p = PROC_INIT;
	struct err e = { 0 };
	uint64_t last = 0, reopened = 0;
	int r;

	if (argc < 4 || str_u64(argv[1], SHIM_FD_FIRST - 1 + PROC_FDS_MAX, &last) < 0 || str_u64(argv[2], SHIM_REOPENED_MAX, &reopened) < 0) {
		fputs("usage: qube-shim LAST-DESCRIPTOR FILES PROGRAM [ARGUMENT]…  (started by the spawner)\n", stderr);
		return 2;
	}
	/* On a host with SMT no thread of another qube runs on the sibling of one of this qube. Elsewhere the call fails, which is right. */
	(void)prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, PR_SCHED_CORE_SCOPE_THREAD_GROUP, 0);
	r = confine((int)last, (size_t)reopened, &e);
	if (r == 0)
		r = start(&p, (int)last, argv + 3, &e);
	/* linkd must see the end of QEMU's sockets when QEMU ends, not when the shim does. */
	for (int fd = SHIM_FD_FIRST; fd <= (int)last; fd++)
		close(fd);
	if (r < 0) {
		(void)report(SHIM_FAILED, err_text(&e, r), -1);
		return 1;
	}
	if (report(SHIM_STARTED, "", p.pidfd) < 0)
		return 1;
	close(SHIM_FD_REPORT);
	return wait_for_end(&p);
}
