/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See bare.h. A process of its own, as the real servers are: a thread would spare the change of address spaces. */
#include "bare.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/str.h"

#define WORD "--bare"

static const char policy[] = "user=DEFAULT\nresult=allow\ntarget=qube2\nautostart=True\nrequested_target=qube2\n";
static const char admin[] = "0\0default=True type=int 400";

static _noreturn_ void serve(const char *path, bool until_eof)
{
	static char buf[65536];
	int fd = unix_listen(path, SOCK_STREAM, 0600, NULL);

	if (fd < 0 || fd_nonblock(fd, false) < 0)
		exit(1);
	/* whoever started us waits for this */
	close(STDOUT_FILENO);
	for (;;) {
		_cleanup_fd_ int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		ssize_t got;

		if (c < 0)
			exit(1);
		do {
			got = recv(c, buf, sizeof buf, 0);
		} while (until_eof && got > 0);
		(void)!send(c, until_eof ? admin : policy, until_eof ? sizeof admin - 1 : sizeof policy - 1, MSG_NOSIGNAL);
	}
}

void bare_main(int argc, char **argv)
{
	if (argc == 4 && streq(argv[1], WORD))
		serve(argv[2], streq(argv[3], "admin"));
}

int bare_start(struct proc *ret, const char *path, enum bare_kind kind)
{
	char program[PATH_MAX] = "", byte;
	const char *argv[] = { "bare", WORD, path, kind == BARE_ADMIN ? "admin" : "policy", NULL };
	struct proc_spec s = { .path = program, .argv = argv, .death_signal = SIGKILL };
	_cleanup_fd_ int in = -1, out = -1;
	int fds[2], r;

	if (readlink("/proc/self/exe", program, sizeof program - 1) < 0 || pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	in = fds[0];
	out = fds[1];
	s.fds[0].fd = out;
	s.fds[0].as = STDOUT_FILENO;
	s.n_fds = 1;
	r = proc_spawn(ret, &s, NULL);
	fd_closep(&out);
	if (r == 0 && read(in, &byte, 1) < 0)
		r = -errno;
	return r;
}

int one_cpu(pid_t pid, bool on)
{
	static cpu_set_t before;
	static bool known;
	cpu_set_t set;
	size_t cpu = 0;

	if (!known && sched_getaffinity(0, sizeof before, &before) < 0)
		return -errno;
	known = true;
	set = before;
	if (on) {
		while (cpu + 1 < CPU_SETSIZE && !CPU_ISSET(cpu, &before))
			cpu++;
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
	}
	return sched_setaffinity(0, sizeof set, &set) < 0 || sched_setaffinity(pid, sizeof set, &set) < 0 ? -errno : 0;
}
