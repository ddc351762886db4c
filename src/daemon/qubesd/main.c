/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Command line of qubesd: supervisor in the foreground, in the background, or the core. */
#include <fcntl.h>
#include <getopt.h>

#include "base/cgroup.h"
#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/proc.h"
#include "base/str.h"
#include "daemon/qubesd/qubesd.h"

static const char usage[] = "usage: qubesd [--root DIR] [--foreground] [--ready-fd N] [--no-vms] [--no-autostart]\n"
			    "Serves the Admin API of one instance. Without --foreground it returns when the instance serves.\n"
			    "  --root DIR      session mode: state, sockets and logs below DIR (default $QUBES_ROOT)\n"
			    "  --ready-fd N    write one byte to descriptor N when it serves\n"
			    "  --no-vms        refuse to start qubes\n"
			    "  --no-autostart  do not start the qubes with the property autostart\n"
			    "  --release-groups   for qubesd.service: make room in its control group for the next start, and end\n";

struct options {
	const char *root;
	bool foreground, no_vms, no_autostart, core, release;
	int ready_fd, life_fd;
};

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "root", required_argument, NULL, 'r' },     { "foreground", no_argument, NULL, 'f' },
		{ "ready-fd", required_argument, NULL, 'y' }, { "no-vms", no_argument, NULL, 'n' },
		{ "no-autostart", no_argument, NULL, 'a' },
		{ "core", no_argument, NULL, 'c' },	      { "life-fd", required_argument, NULL, 'l' },
		{ "release-groups", no_argument, NULL, 'g' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },	      { NULL, 0, NULL, 0 },
	};
	uint64_t n;
	int c;

	while ((c = getopt_long(argc, argv, "hf", longs, NULL)) != -1) {
		switch (c) {
		case 'r':
			o->root = optarg;
			break;
		case 'f':
			o->foreground = true;
			break;
		case 'y':
			if (str_u64(optarg, 1023, &n) < 0)
				return -EINVAL;
			o->ready_fd = (int)n;
			break;
		case 'l':
			if (str_u64(optarg, 1023, &n) < 0)
				return -EINVAL;
			o->life_fd = (int)n;
			break;
		case 'n':
			o->no_vms = true;
			break;
		case 'a':
			o->no_autostart = true;
			break;
		case 'c':
			o->core = true;
			break;
		case 'g':
			o->release = true;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		case 'v':
			puts("qubesd " BULKHEAD_VERSION);
			exit(0);
		default:
			return -EINVAL;
		}
	}
	return optind == argc ? 0 : -EINVAL;
}

/* Starts the same program in the foreground of a new session and waits until it serves. */
static int background(const struct options *o, const char *self, struct err *e)
{
	extern char **environ;
	const char *argv[9];
	size_t n = 0;
	_cleanup_fd_ int log = -1, rd = -1, wr = -1;
	_cleanup_proc_ struct proc p = PROC_INIT;
	struct proc_spec spec = { .path = self, .argv = argv, .envp = (const char *const *)environ, .new_session = true };
	char path[PATH_MAX], byte;
	int fds[2], r = paths_init(o->root, e);

	if (r >= 0)
		r = paths_make(e);
	if (r < 0)
		return r;
	log = open(path_fmt(path, PATH_LOG, "/qubesd.log"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (log < 0 || pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, errno, "%s", path);
	rd = fds[0];
	wr = fds[1];
	argv[n++] = "qubesd";
	argv[n++] = "--foreground";
	argv[n++] = "--ready-fd=3";
	if (o->no_vms)
		argv[n++] = "--no-vms";
	if (o->no_autostart)
		argv[n++] = "--no-autostart";
	if (!paths_system_mode()) {
		argv[n++] = "--root";
		argv[n++] = paths_root();
	}
	argv[n] = NULL;
	spec.fds[0].fd = wr;
	spec.fds[0].as = 3;
	spec.fds[1].fd = log;
	spec.fds[1].as = 2;
	spec.n_fds = 2;
	r = proc_spawn(&p, &spec, e);
	if (r < 0)
		return r;
	fd_closep(&wr);
	if (read_full(rd, &byte, 1) != 1)
		return err_set(e, EIO, "it did not start: see %s", path);
	/* It serves: from here on it belongs to nobody. */
	fd_closep(&p.pidfd);
	p = PROC_INIT;
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = { .ready_fd = -1, .life_fd = -1 };
	char self[PATH_MAX];
	struct err e = { 0 };
	ssize_t n;
	int r;

	if (parse(argc, argv, &o) < 0) {
		fputs(usage, stderr);
		return 2;
	}
	if (o.release) {
		cgroup_release();
		return 0;
	}
	if (o.core)
		return core_main(o.root, o.no_vms, o.no_autostart, o.ready_fd, o.life_fd);
	if (o.foreground)
		return supervisor_main(o.root, o.no_vms, o.no_autostart, o.ready_fd);
	n = readlink("/proc/self/exe", self, sizeof self - 1);
	self[n > 0 ? n : 0] = '\0';
	r = background(&o, self, &e);
	if (r < 0) {
		fprintf(stderr, "qubesd: %s\n", err_text(&e, r));
		return 1;
	}
	if (o.ready_fd >= 0 && write_full(o.ready_fd, "R", 1) < 0)
		return 1;
	return 0;
}
