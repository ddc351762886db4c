/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Debian: apt-get, in steps whose arguments are fixed. Never removes a package that something else did not replace. */
#include "agent/update/update.h"
#include "base/str.h"

#define APT "/usr/bin/apt-get"
/* Questions are answered as a package's author meant them, and files that the owner changed stay. A run that was cut off is waited for. */
#define COMMON                                                                                                              \
	"-q", "-y", "-o", "APT::Status-Fd=" JOB_STATUS_TEXT, "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=600", "-o", \
		"Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold", "-o", "Acquire::Retries=3"

/* The two halves of a job's part: fetching, and the work of dpkg. *arg: dpkg has begun. */
static void on_status(const struct job *j, struct rd line)
{
	static unsigned last = 1001;
	unsigned permille, now, middle = j->arg ? j->from + (j->to - j->from) * 3 / 8 : j->to;
	bool download;

	if (!update_apt_status(line, &download, &permille))
		return;
	if (j->arg && !download && !*(bool *)j->arg) {
		*(bool *)j->arg = true;
		say("phase", "install");
	}
	now = download ? j->from + permille * (middle - j->from) / 1000 : middle + permille * (j->to - middle) / 1000;
	if (now != last)
		say("progress", "%u", now);
	last = now;
}

static int apt(const char *const *argv, unsigned from, unsigned to, bool *installing)
{
	const struct job j = { .path = APT, .argv = argv, .output = job_log, .status = on_status, .from = from, .to = to, .arg = installing };
	int r = job_run(&j);

	say("progress", "%u", to);
	return r;
}

/* What an update that was cut off left half done. */
static int repair(void)
{
	static const char *const argv[] = { "dpkg", "--force-confdef", "--force-confold", "--configure", "-a", NULL };
	const struct job j = { .path = "/usr/bin/dpkg", .argv = argv, .output = job_log, .status = job_silent };

	return job_run(&j);
}

static int refresh(bool force)
{
	static const char *const strict[] = { "apt-get", COMMON, "-o", "APT::Update::Error-Mode=any", "update", NULL };
	static const char *const any[] = { "apt-get", COMMON, "update", NULL };

	say("phase", "refresh");
	return apt(force ? any : strict, 0, 150, NULL);
}

static void on_plan(const struct job *j, struct rd line)
{
	unsigned *n = j->arg;
	char text[UPDATE_LINE_MAX / 2];

	if (!update_apt_inst(line, text, sizeof text))
		return;
	say("change", "%s", text);
	++*n;
}

/* Gives the number of packages, or a negative code. */
static int plan(void)
{
	static const char *const argv[] = { "apt-get", "-s", "-o", "Debug::NoLocking=true", "--with-new-pkgs", "upgrade", NULL };
	unsigned n = 0;
	const struct job j = { .path = APT, .argv = argv, .output = on_plan, .status = job_silent, .arg = &n };
	int r = job_run(&j);

	return r == 0 ? (int)MIN(n, 100000u) : r < 0 ? r : -EIO;
}

static int upgrade(void)
{
	static const char *const first[] = { "apt-get", COMMON, "--with-new-pkgs", "upgrade", NULL };
	/* What a cache on the way keeps may be damaged: it is asked to fetch anew. */
	static const char *const again[] = { "apt-get", COMMON, "-o", "Acquire::http::No-Cache=true", "--with-new-pkgs", "upgrade", NULL };
	bool installing = false;
	int r;

	say("phase", "download");
	r = apt(first, 150, 950, &installing);
	return r == 0 || installing ? r : apt(again, 150, 950, &installing);
}

static int cleanup(void)
{
	static const char *const argv[] = { "apt-get", COMMON, "clean", NULL };

	say("phase", "cleanup");
	return apt(argv, 950, 1000, NULL);
}

int apt_update(const struct update *u)
{
	int n;

	if (!u->check && repair() != 0)
		return UPDATE_PRE;
	if (refresh(u->force) != 0 && !u->force)
		return UPDATE_REFRESH;
	n = plan();
	if (n < 0)
		return UPDATE_INSTALL;
	say("count", "%d", n);
	if (n == 0 || u->check) {
		notify();
		return n == 0 ? UPDATE_NONE : UPDATE_OK;
	}
	if (upgrade() != 0)
		return UPDATE_INSTALL;
	return !u->keep && cleanup() != 0 ? UPDATE_CLEANUP : UPDATE_OK;
}
