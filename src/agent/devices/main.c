/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qubes-devices: tells dom0, through QubesDB, which devices of this qube could be attached to another one. Looks when it starts and whenever the kernel says that
 * devices have changed; writes only what differs. `--once SYS MOUNTS` prints the rows and writes nothing.
 */
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/fsx.h"
#include "base/log.h"
#include "base/str.h"
#include "qdb/client.h"
#include "scan.h"

#define QDB_SOCKET "/run/qubes/qubesdb.sock"
#define MOUNTS "/proc/self/mountinfo"
#define QDB_WAIT_MS 30000
#define SETTLE_MS 100 /* one plug makes many events */

static int look(struct scan *ret, const char *sys_path, const char *mounts_path, struct err *e)
{
	_cleanup_fd_ int sys = open(sys_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *mounts = NULL;
	size_t n;
	int r = sys < 0 ? -errno : fs_read(AT_FDCWD, mounts_path, 1 << 20, &mounts, &n, e);

	if (r >= 0)
		r = scan_devices(ret, sys, mounts);
	return r < 0 ? err_errno(e, -r, "reading '%s'", sys_path) : 0;
}

static int print_once(const char *sys, const char *mounts)
{
	struct scan s = { 0 };
	struct err e = { 0 };

	if (look(&s, sys, mounts, &e) < 0) {
		fprintf(stderr, "qubes-devices: %s\n", e.msg);
		return 1;
	}
	for (size_t i = 0; i < s.n; i++)
		printf("%s = %s\n", s.v[i].key, s.v[i].value);
	scan_fini(&s);
	return 0;
}

/* Gives whether a row below dir changed. */
static int write_changes(struct qdbc *db, const char *dir, const struct scan *old, const struct scan *now, struct err *e)
{
	int r = 0, changed = 0;

	for (size_t i = 0; i < old->n && r >= 0; i++)
		if (str_starts(old->v[i].key, dir) && !scan_get(now, old->v[i].key)) {
			r = qdbc_rm(db, old->v[i].key, e);
			r = r == -ENOENT ? 0 : r;
			changed = 1;
		}
	for (size_t i = 0; i < now->n && r >= 0; i++) {
		const char *was = scan_get(old, now->v[i].key);

		if (!str_starts(now->v[i].key, dir) || (was && streq(was, now->v[i].value)))
			continue;
		r = qdbc_write(db, now->v[i].key, now->v[i].value, strlen(now->v[i].value), e);
		changed = 1;
	}
	/* who watches the folder itself learns that the rows are whole again */
	if (r >= 0 && changed)
		r = qdbc_write(db, dir, "", 0, e);
	return r;
}

static int update(struct scan *old, struct err *e)
{
	_cleanup_(qdbc_fini) struct qdbc db = { .fd = -1 };
	struct scan now = { 0 };
	int r = look(&now, "/sys", MOUNTS, e);

	if (r == 0)
		r = qdbc_open_wait(&db, QDB_SOCKET, QDB_WAIT_MS, e);
	if (r >= 0)
		r = write_changes(&db, SCAN_BLOCK, old, &now, e);
	if (r >= 0)
		r = write_changes(&db, SCAN_USB, old, &now, e);
	if (r < 0) {
		scan_fini(&now);
		return r;
	}
	scan_fini(old);
	*old = now;
	return 0;
}

static int open_uevents(struct err *e)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0) {
		int r = err_errno(e, errno, "events of the kernel");

		if (fd >= 0)
			close(fd);
		return r;
	}
	return fd;
}

/* Until something happened to a block or USB device, and nothing more for a moment. Content of events is not used: what counts is what sysfs then shows. */
static void wait_change(int fd)
{
	bool mine = false;
	char buf[8192];

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&p, 1, mine ? SETTLE_MS : -1) == 0)
			return;
		n = recv(fd, buf, sizeof buf, 0);
		/* events were lost: look */
		if (n < 0)
			mine |= errno == ENOBUFS;
		else
			mine |= memmem(buf, (size_t)n, "SUBSYSTEM=block", 15) || memmem(buf, (size_t)n, "SUBSYSTEM=usb", 13);
	}
}

int main(int argc, char **argv)
{
	struct scan known = { 0 };
	struct err e = { 0 };
	int fd;

	if (argc == 4 && streq(argv[1], "--once"))
		return print_once(argv[2], argv[3]);
	if (argc != 1) {
		fprintf(stderr, "usage: qubes-devices [--once SYS MOUNTINFO]\n");
		return 2;
	}
	log_init("qubes-devices", NULL, -1);
	/* before the first look, so that nothing is missed between the two */
	fd = open_uevents(&e);
	if (fd < 0) {
		log_error("%s", e.msg);
		return 1;
	}
	for (;;) {
		err_clear(&e);
		if (update(&known, &e) < 0)
			log_warn("%s", err_text(&e, -EIO));
		wait_change(fd);
	}
}
