/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is special about a machine that is booted only to be saved (docs/states.md §4): it has no QubesDB, so what it must know before comes on the
 * kernel command line; and a clone of it gets an identity of its own when it is woken.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>

#include "agent/early/early.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "proto/states.h"

#define SIZE_WAIT_MS 5000
#define SIZE_STEP_MS 2
#define MACHINE_ID "/run/bulkhead/machine-id"

/* Up to the next c, or to the end. */
static struct rd field(struct rd *r, uint8_t c)
{
	const uint8_t *q = memchr(r->p, c, rd_left(r));
	struct rd s = rd_sub(r, q ? (size_t)(q - r->p) : rd_left(r));

	if (q)
		rd_skip(r, 1);
	return s;
}

void source_parse(struct rd line, struct source_args *ret)
{
	static const char state[] = "bulkhead.state", services[] = "bulkhead.services=";

	memset(ret, 0, sizeof *ret);
	while (rd_left(&line) > 0) {
		struct rd word = field(&line, ' ');
		char text[SOURCE_SERVICES_MAX + sizeof services];

		rd_text(&word, text, sizeof text);
		if (!rd_ok(&word))
			continue;
		text[strcspn(text, "\n")] = '\0';
		ret->on |= streq(text, state);
		if (str_starts(text, services) && str_copy(ret->services, sizeof ret->services, text + sizeof services - 1) < 0)
			ret->services[0] = '\0';
	}
}

bool source_args(struct source_args *ret)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	memset(ret, 0, sizeof *ret);
	if (fs_read(AT_FDCWD, "/proc/cmdline", 8192, &text, &len, NULL) < 0)
		return false;
	source_parse(rd_mem(text, len), ret);
	return ret->on;
}

int source_flags(const struct source_args *a, struct err *e)
{
	struct early q = { .type = TYPE_APPVM, .persistence = PERSIST_RW_ONLY };
	struct rd r = rd_mem(a->services, strlen(a->services));
	int k = services_default(&q, e);

	while (k >= 0 && rd_left(&r) > 0) {
		struct rd word = field(&r, ',');
		char name[64];

		rd_text(&word, name, sizeof name);
		if (rd_ok(&word) && service_name_ok(name))
			k = service_set(name, true, e);
	}
	if (k >= 0)
		k = udev_flag(&q, e);
	if (k >= 0)
		k = touch("/run/qubes/this-is-appvm", e);
	return k < 0 ? k : text_write("/run/qubes-service-environment", "\n", 0644, e);
}

/* --- clones --------------------------------------------------------------------------------------------------------------------- */

static uint64_t sectors_of(int fd)
{
	uint64_t bytes = 0;

	return ioctl(fd, BLKGETSIZE64, &bytes) < 0 ? 0 : bytes / 512;
}

int clone_private(const char *dev, struct err *e)
{
	_cleanup_fd_ int fd = open(dev, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "opening %s", dev);
	for (int i = 0; sectors_of(fd) == STATE_PLACEHOLDER_SECTORS; i++) {
		if (i == SIZE_WAIT_MS / SIZE_STEP_MS)
			return err_set(e, ETIMEDOUT, "the private volume does not come");
		poll(NULL, 0, SIZE_STEP_MS);
	}
	/* Pages of the placeholder must not be taken for the volume's. */
	return ioctl(fd, BLKFLSBUF, 0) < 0 ? err_errno(e, errno, "forgetting the placeholder") : 0;
}

static int machine_id_text(struct early *q, char ret[40], struct err *e)
{
	char uuid[64];
	uint8_t b[16];
	size_t n = 0;
	int r = early_read(q, STATE_UUID_KEY, uuid, sizeof uuid, e);

	for (const char *c = uuid; r >= 0 && *c && n < 32; c++)
		if (*c != '-')
			ret[n++] = *c;
	ret[n] = '\0';
	if (r >= 0 && n == 32 && strspn(ret, "0123456789abcdef") == 32)
		return str_copy(ret + 32, 8, "\n");
	if (r < 0 && r != -ENOENT)
		return r;
	err_clear(e);
	if (getrandom(b, sizeof b, 0) != sizeof b)
		return err_set(e, EIO, "no random bytes for the machine id");
	n = 0;
	for (size_t i = 0; i < sizeof b; i++, n += 2)
		if (str_printf(ret + n, 3, "%02x", b[i]) < 0)
			return -EINVAL;
	return str_copy(ret + 32, 8, "\n");
}

int clone_machine_id(struct early *q, struct err *e)
{
	char text[40];
	int r = machine_id_text(q, text, e);

	if (r >= 0)
		r = text_write(MACHINE_ID, text, 0444, e);
	if (r < 0)
		return r;
	if (access("/etc/machine-id", F_OK) < 0)
		return 0;
	return mount(MACHINE_ID, "/etc/machine-id", NULL, MS_BIND, NULL) < 0 ? err_errno(e, errno, "binding the machine id") : 0;
}
