/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * svc-time: qubes.GetDate[+nanoseconds], the time of dom0, and qubes.GetRandomizedTime, the same moved by up to three minutes. The caller
 * sends nothing and nothing is read.
 */
#include <fcntl.h>
#include <time.h>

#include "base/fsx.h"
#include "base/str.h"
#include "proto/isotime.h"
#include "svc/svc.h"

#define OFFSET_MAX 180
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

/* One offset for a qube as long as this machine runs: a fresh one for each call could be averaged away. The boot id is not known to qubes. */
static int offset_of(const char *qube, int64_t *ret, struct err *e)
{
	_cleanup_free_ char *boot = NULL;
	uint64_t h = 0xcbf29ce484222325u;
	size_t n = 0;
	int r = fs_read(AT_FDCWD, BOOT_ID, 100, &boot, &n, e);

	if (r < 0)
		return r;
	for (const char *s = boot; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3u;
	for (const char *s = qube; *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3u;
	/* spreads the last bytes over all bits */
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdu;
	h ^= h >> 33;
	*ret = (int64_t)(h % (2 * OFFSET_MAX + 1)) - OFFSET_MAX;
	return 0;
}

static int answer(const struct svc *s, struct err *e)
{
	bool randomized = streq(s->name, "qubes.GetRandomizedTime"), ns = streq(s->arg, "nanoseconds");
	char text[ISOTIME_CAP];
	struct timespec now;
	int64_t offset = 0;
	int r = 0;

	if (s->arg[0] && (randomized || !ns))
		return err_set(e, EINVAL, "the argument '%s' is not known", s->arg);
	if (clock_gettime(CLOCK_REALTIME, &now) < 0)
		return err_errno(e, errno, "clock");
	if (randomized)
		r = offset_of(s->caller.s, &offset, e);
	if (r == 0 && isotime_put(text, (struct isotime){ now.tv_sec + offset, (uint32_t)now.tv_nsec }, ns) < 0)
		r = err_set(e, ERANGE, "the clock is not set");
	if (r == 0 && puts(text) < 0)
		r = -EPIPE;
	return r;
}

int main(void)
{
	struct err e = { 0 };
	struct svc s;

	svc_begin(&s);
	return svc_end(&s, answer(&s, &e), &e);
}
