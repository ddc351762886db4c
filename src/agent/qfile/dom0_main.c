/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qfile-dom0-unpacker [options] UID DIR: the receiver of a file copy stream in dom0, for updates and for nothing else. Called by
 * an administrator; for calls of a qube there is svc-updates. It takes regular files only, into one
 * existing folder, within limits, and makes them readable for their owner alone. Before the first foreign byte it is confined to that folder.
 */
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sys/stat.h>

#include "agent/qfile/unpack.h"
#include "base/sandbox.h"
#include "base/str.h"

#define MAX_BYTES (2ull << 30)
#define MAX_FILES 2000

static const char usage[] = "usage: qfile-dom0-unpacker [--max-bytes=N] [--max-files=N] [--only-regular-files] UID DIR\n"
			    "Receives regular files on standard input into the existing folder DIR of dom0, at most 2 GiB and 2000 files unless told\n"
			    "otherwise. Nothing received may be trusted before its signature was checked.\n";

struct options {
	struct qfile_unpack u;
	uint64_t uid;
	const char *dir;
};

static int option(struct options *o, const char *a)
{
	static const char bytes[] = "--max-bytes=", files[] = "--max-files=";

	if (str_starts(a, bytes))
		return str_u64(a + sizeof bytes - 1, INT64_MAX, &o->u.max_bytes);
	if (str_starts(a, files))
		return str_u64(a + sizeof files - 1, INT64_MAX, &o->u.max_files);
	/* Always so here. */
	return streq(a, "--only-regular-files") ? 0 : -EINVAL;
}

static int parse(struct options *o, int argc, char **argv)
{
	int i, r = 0;

	for (i = 1; i < argc && str_starts(argv[i], "--") && r == 0; i++)
		r = option(o, argv[i]);
	/* No limit is not to be had: 0 would mean that. */
	if (r < 0 || argc - i != 2 || !o->u.max_bytes || !o->u.max_files || str_u64(argv[i], UINT32_MAX - 1, &o->uid) < 0)
		return -EINVAL;
	o->dir = argv[i + 1];
	return 0;
}

static int become(uid_t uid, struct err *e)
{
	if (uid == geteuid())
		return 0;
	if (geteuid() != 0)
		return err_set(e, EPERM, "only root may receive for another user");
	if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_errno(e, errno, "changing to user %u", (unsigned)uid);
	return 0;
}

/* Gives the directory. */
static int confine(const struct options *o, struct err *e)
{
	_cleanup_free_ char *real = realpath(o->dir, NULL);
	struct sandbox_path path = { .path = real, .write = true };
	int dir, r = become((uid_t)o->uid, e);

	if (r < 0)
		return r;
	if (!real)
		return err_errno(e, errno, "'%s'", o->dir);
	r = sandbox_enter(SB_FILE_RECEIVER, &path, 1, e);
	if (r < 0)
		return r;
	dir = open(real, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return dir < 0 ? err_errno(e, errno, "opening '%s'", o->dir) : dir;
}

int main(int argc, char **argv)
{
	struct options o = { .u = { .in = STDIN_FILENO, .out = STDOUT_FILENO, .procfd = -1, .only_regular = true, .mode_mask = 0600,
				    .max_bytes = MAX_BYTES, .max_files = MAX_FILES } };
	struct err e = { 0 };
	int r;

	if (parse(&o, argc, argv) < 0) {
		fputs(usage, stderr);
		return 2;
	}
	umask(077);
	r = confine(&o, &e);
	if (r < 0) {
		fprintf(stderr, "qfile-dom0-unpacker: %s\n", err_text(&e, r));
		return 1;
	}
	o.u.root = r;
	return qfile_unpack(&o.u) & 0xff;
}
