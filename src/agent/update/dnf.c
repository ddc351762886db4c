/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fedora and its relatives: dnf. It tells no progress; the phases are shown. */
#include "agent/update/update.h"

#define DNF "/usr/bin/dnf"
#define PROXY_FLAG "/run/qubes-service/updates-proxy-setup"
#define PROXY_OPTION "--setopt=proxy=http://127.0.0.1:8082"
/* dnf's own way to say that there are updates */
#define DNF_UPDATES 100
#define WORDS_MAX 8

static int dnf(const char *const *words, unsigned to)
{
	const char *argv[WORDS_MAX + 5] = { "dnf", "-y", access(PROXY_FLAG, F_OK) == 0 ? PROXY_OPTION : "--color=never" };
	const struct job j = { .path = DNF, .argv = argv, .output = job_log, .status = job_silent };
	int r;

	for (size_t i = 0; i < WORDS_MAX && words[i]; i++)
		argv[3 + i] = words[i];
	r = job_run(&j);
	say("progress", "%u", to);
	return r;
}

int dnf_update(const struct update *u)
{
	int r;

	say("phase", "refresh");
	if (dnf((const char *const[]){ "-q", "makecache", "--refresh", NULL }, 150) != 0 && !u->force)
		return UPDATE_REFRESH;
	r = dnf((const char *const[]){ "-q", "check-update", NULL }, 200);
	if (r != 0 && r != DNF_UPDATES)
		return UPDATE_INSTALL;
	if (r == 0 || u->check) {
		notify();
		return r == 0 ? UPDATE_NONE : UPDATE_OK;
	}
	say("phase", "install");
	if (dnf((const char *const[]){ "upgrade", NULL }, 950) != 0)
		return UPDATE_INSTALL;
	notify();
	say("phase", "cleanup");
	return !u->keep && dnf((const char *const[]){ "-q", "clean", "packages", NULL }, 1000) != 0 ? UPDATE_CLEANUP : UPDATE_OK;
}
