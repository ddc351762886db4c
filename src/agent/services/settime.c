/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qubes-set-time: serves qubes.SetDateTime (a date on standard input, from dom0 only), and is the qube's qvm-sync-clock, which asks for the
 * date itself. A date before this program was written or after 2099 is refused; one that differs by two seconds or less changes nothing.
 *
 * A qube of a Tor pair has a clock of its own: bootclock moves it by up to three minutes, by chance, at each boot; nobody is asked for the date, and dom0's
 * counts only when the clock is wrong by more than ten minutes (after the machine slept), and not exactly even then.
 */
#include <sys/random.h>
#include <time.h>

#include "agent/services/common.h"
#include "base/str.h"
#include "proto/isotime.h"

#define BUILT_AFTER "2026-01-01T00:00:00+00:00"
#define USED_BEFORE "2100-01-01T00:00:00+00:00"
#define TOLERANCE_S 2
#define OWN_TOLERANCE_S 600
#define OWN_SHIFT_S 180
#define ROLES "/etc/bulkhead/roles/"

static int bounded(const struct isotime *t)
{
	struct isotime low, high;

	if (isotime_get(rd_mem(BUILT_AFTER, ISOTIME_LEN), &low) < 0 || isotime_get(rd_mem(USED_BEFORE, ISOTIME_LEN), &high) < 0)
		return -EINVAL;
	return t->sec < low.sec || t->sec >= high.sec ? -ERANGE : 0;
}

static bool own_clock(void)
{
	return access(ROLES "tor-gateway", F_OK) == 0 || access(ROLES "tor-workstation", F_OK) == 0;
}

/* Moves t by 1 to OWN_SHIFT_S seconds and a part of one, forth or back. */
static int shift(struct timespec *t, struct err *e)
{
	uint32_t r[3];

	if (getrandom(r, sizeof r, 0) != (ssize_t)sizeof r)
		return err_set(e, EIO, "no random numbers");
	t->tv_sec += (r[0] & 1 ? 1 : -1) * (time_t)(1 + r[1] % (OWN_SHIFT_S - 1));
	t->tv_nsec = (long)(r[2] % 1000000000u);
	return 0;
}

static int boot_clock(bool dry, struct err *e)
{
	struct timespec now, want;
	int r;

	if (clock_gettime(CLOCK_REALTIME, &now) < 0)
		return err_errno(e, errno, "clock");
	want = now;
	r = shift(&want, e);
	if (r < 0)
		return r;
	if (dry)
		printf("%lld\n", (long long)(want.tv_sec - now.tv_sec));
	else if (clock_settime(CLOCK_REALTIME, &want) < 0)
		return err_errno(e, errno, "setting the clock");
	return 0;
}

/* Gives 1 when the clock was set, 0 when it was right. */
static int set(const char *text, size_t n, bool dry, struct err *e)
{
	bool own = own_clock();
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
	if (diff >= (own ? -OWN_TOLERANCE_S : -TOLERANCE_S) && diff <= (own ? OWN_TOLERANCE_S : TOLERANCE_S))
		return 0;
	if (own && shift(&want, e) < 0)
		return -EIO;
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
	int r;

	if (own_clock())
		return err_set(e, EPERM, "this qube is anonymous: it asks nobody for the date");
	r = remote_text("@default", "qubes.GetDate+nanoseconds", "", ISOTIME_CAP, &text, &n, e);
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

	if (streq(name, "bootclock"))
		return finish("bootclock", boot_clock(dry, &e), &e);
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
