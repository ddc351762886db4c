/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Debian: apt-get, in steps whose arguments are fixed. Never removes a package that something else did not replace. */
#include "agent/update/update.h"
#include "base/str.h"

#define APT "/usr/bin/apt-get"
/* Questions are answered as a package's author meant them, and files that the owner changed stay. A run that was cut off is waited for. */
#define COMMON                                                                                                              \
	"-q", "-y", "-o", "APT::Status-Fd=" JOB_STATUS_TEXT, "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=600", "-o", \
		"Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold", "-o", "Acquire::Retries=3"

static void on_status(const struct job *j, struct rd line)
{
	static unsigned last = 1001;
	unsigned permille, now;
	bool download;

	if (!update_apt_status(line, &download, &permille))
		return;
	now = j->from + permille * (j->to - j->from) / 1000;
	if (now != last)
		say("progress", "%u", now);
	last = now;
}

static int apt(const char *const *argv, unsigned from, unsigned to)
{
	const struct job j = { .path = APT, .argv = argv, .output = job_log, .status = on_status, .from = from, .to = to };
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
	return apt(force ? any : strict, 0, 150);
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

static int download(void)
{
	static const char *const first[] = { "apt-get", COMMON, "--with-new-pkgs", "--download-only", "upgrade", NULL };
	/* What a cache on the way keeps may be damaged: it is asked to fetch anew. */
	static const char *const again[] = { "apt-get", COMMON, "-o", "Acquire::http::No-Cache=true", "--with-new-pkgs", "--download-only", "upgrade", NULL };
	int r;

	say("phase", "download");
	r = apt(first, 150, 450);
	return r == 0 ? 0 : apt(again, 150, 450);
}

static int install(void)
{
	static const char *const argv[] = { "apt-get", COMMON, "--with-new-pkgs", "--no-download", "upgrade", NULL };

	say("phase", "install");
	return apt(argv, 450, 950);
}

static int cleanup(void)
{
	static const char *const argv[] = { "apt-get", COMMON, "clean", NULL };

	say("phase", "cleanup");
	return apt(argv, 950, 1000);
}

int apt_update(const struct update *u)
{
	int n;

	if (!u->check && repair() != 0)
		return UPDATE_PRE;
	if (refresh(u->force) != 0)
		return UPDATE_REFRESH;
	n = plan();
	if (n < 0)
		return UPDATE_INSTALL;
	say("count", "%d", n);
	if (n == 0 || u->check) {
		notify();
		return n == 0 ? UPDATE_NONE : UPDATE_OK;
	}
	if (download() != 0 || install() != 0)
		return UPDATE_INSTALL;
	return !u->keep && cleanup() != 0 ? UPDATE_CLEANUP : UPDATE_OK;
}
