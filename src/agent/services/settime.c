/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qubes-set-time: serves qubes.SetDateTime (a date on standard input, from dom0 only), and is the qube's qvm-sync-clock, which asks for the
 * date itself. A date before this program was written or after 2099 is refused; one that differs by two seconds or less changes nothing.
 */
#include <time.h>

#include "agent/services/common.h"
#include "base/str.h"
#include "proto/isotime.h"

#define BUILT_AFTER "2026-01-01T00:00:00+00:00"
#define USED_BEFORE "2100-01-01T00:00:00+00:00"
#define TOLERANCE_S 2

static int bounded(const struct isotime *t)
{
	struct isotime low, high;

	if (isotime_get(rd_mem(BUILT_AFTER, ISOTIME_LEN), &low) < 0 || isotime_get(rd_mem(USED_BEFORE, ISOTIME_LEN), &high) < 0)
		return -EINVAL;
	return t->sec < low.sec || t->sec >= high.sec ? -ERANGE : 0;
}

/* Gives 1 when the clock was set, 0 when it was right. */
static int set(const char *text, size_t n, bool dry, struct err *e)
{
	struct timespec now, want;
	struct isotime t;
	int64_t diff;

	if (isotime_get(rd_mem(text, n), &t) < 0)
		return err_set(e, EINVAL, "that is not a date of the form " BUILT_AFTER);
	if (bounded(&t) < 0)
		return err_set(e, ERANGE, "a date that is not between " BUILT_AFTER " and " USED_BEFORE);
	want = (struct timespec){ .tv_sec = t.sec, .tv_nsec = (long)t.nsec };
	if (clock_gettime(CLOCK_REALTIME, &now) < 0)
		return err_errno(e, errno, "clock");
	diff = now.tv_sec - want.tv_sec;
	if (diff >= -TOLERANCE_S && diff <= TOLERANCE_S)
		return 0;
	if (!dry && clock_settime(CLOCK_REALTIME, &want) < 0)
		return err_errno(e, errno, "setting the clock");
	return 1;
}

static int serve(struct err *e)
{
	const char *caller = getenv("QREXEC_REMOTE_DOMAIN");
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int r;

	if (!caller || !streq(caller, "dom0"))
		return err_set(e, EPERM, "only dom0 sets the clock");
	r = read_some(STDIN_FILENO, ISOTIME_CAP, &text, &n, e);
	return r < 0 ? r : set(text, n, false, e);
}

static int sync_clock(bool dry, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int r = remote_text("@default", "qubes.GetDate+nanoseconds", "", ISOTIME_CAP, &text, &n, e);

	if (r < 0)
		return r;
	r = set(text, n, dry, e);
	if (r > 0 && dry)
		puts("the clock is wrong");
	return r;
}

int main(int argc, char **argv)
{
	const char *slash = argc ? strrchr(argv[0], '/') : NULL, *name = slash ? slash + 1 : argc ? argv[0] : "";
	bool dry = argc == 2 && (streq(argv[1], "--dry-run") || streq(argv[1], "-n"));
	struct err e = { 0 };

	if (!streq(name, "qvm-sync-clock"))
		return finish("qubes.SetDateTime", serve(&e), &e);
	if (argc > 1 && !dry) {
		bool help = streq(argv[1], "--help") || streq(argv[1], "-h");

		fputs("usage: qvm-sync-clock [--dry-run]\n"
		      "Sets this qube's clock by the one of the system. Needs root.\n"
		      "  -n, --dry-run  only say whether it is wrong\n",
		      help ? stdout : stderr);
		return help ? 0 : 2;
	}
	return finish("qvm-sync-clock", sync_clock(dry, &e), &e);
}
