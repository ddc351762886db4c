/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * svc-updates: qubes.ReceiveUpdates. Takes regular files for dom0 from the one qube that fetches its updates (property updatevm), whatever policy says of
 * others. They are in lib/updates/received when all of them have come, in the place of those of the last time; nothing here looks at them or installs them.
 */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "agent/qfile/unpack.h"
#include "base/fsx.h"
#include "base/paths.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "client/admin.h"
#include "svc/svc.h"

#define MAX_BYTES (2ull << 30)
#define MAX_FILES 2000
#define WHOLE "received"
#define PART "received~"

static int only_updatevm(const struct svc *s, struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	int r = adm_text(&rep, "dom0", "admin.property.Get", "updatevm", NULL, e);
	const char *name;

	if (r < 0)
		return r;
	name = strrchr(rep.data, ' ');
	if (!name || !name[1])
		return err_set(e, EACCES, "no qube is to fetch dom0's updates: the property updatevm is empty");
	if (!streq(name + 1, s->caller.s))
		return err_set(e, EACCES, "updates for dom0 are taken from '%s' alone", name + 1);
	return 0;
}

/* From here on this process reaches nothing but its folder. Gives the folder, locked. */
static int confine(struct err *e)
{
	const char *path = path_get(PATH_DOM0_UPDATES);
	struct sandbox_path only = { .path = path, .write = true };
	_cleanup_fd_ int dir = -1;
	int r = fs_mkdir_p(path, 0770, e);

	if (r == 0)
		r = sandbox_enter(SB_FILE_RECEIVER, &only, 1, e);
	if (r < 0)
		return r;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_errno(e, errno, "'%s'", path);
	if (flock(dir, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, EBUSY, "updates are being received already");
	return STEAL_FD(dir);
}

/* Gives the code that the sender was told. */
static int receive(int dir, struct err *e)
{
	struct qfile_unpack u = { .in = STDIN_FILENO, .out = STDOUT_FILENO, .procfd = -1, .only_regular = true, .mode_mask = 0640, .max_bytes = MAX_BYTES, .max_files = MAX_FILES };
	_cleanup_fd_ int part = -1;
	int r = fs_rm_rf(dir, PART, e);

	if (r < 0)
		return r;
	if (mkdirat(dir, PART, 0770) < 0)
		return err_errno(e, errno, "making the folder");
	part = openat(dir, PART, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (part < 0)
		return err_errno(e, errno, "opening the folder");
	u.root = part;
	r = qfile_unpack(&u);
	return r ? err_set(e, EIO, "not all of it has come (code %d); nothing is kept", r) : 0;
}

static int keep(int dir, int r, struct err *e)
{
	if (r == 0)
		r = fs_rm_rf(dir, WHOLE, e);
	if (r == 0 && renameat(dir, PART, dir, WHOLE) < 0)
		r = err_errno(e, errno, "putting what has come in place");
	if (r < 0)
		(void)fs_rm_rf(dir, PART, NULL);
	return r;
}

int main(void)
{
	_cleanup_fd_ int dir = -1;
	struct err e = { 0 };
	struct svc s;
	int r = 0;

	svc_begin(&s);
	umask(007);
	if (s.arg[0])
		r = err_set(&e, EINVAL, "the service takes no argument");
	if (r == 0)
		r = only_updatevm(&s, &e);
	if (r == 0)
		r = dir = confine(&e);
	if (r >= 0)
		r = keep(dir, receive(dir, &e), &e);
	return svc_end(&s, r, &e);
}
