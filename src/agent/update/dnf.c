/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fedora and its relatives: dnf (4 or 5), in steps whose arguments are fixed. What is to come is read from "check-update", what is there from rpm, and
 * how far it is from the numbered lines that dnf prints.
 */
#include "agent/update/update.h"
#include "base/str.h"

#define DNF "/usr/bin/dnf"
#define RPM "/usr/bin/rpm"
#define PROXY_FLAG "/run/qubes-service/updates-proxy-setup"
#define PROXY_OPTION "--setopt=proxy=http://127.0.0.1:8082"
#define KEEP_OPTION "--setopt=keepcache=True"
#define FORCE_OPTION "--setopt=*.skip_if_unavailable=True"
/* dnf's own way to say that there are updates */
#define DNF_UPDATES 100
#define WORDS_MAX 4
#define ROWS_MAX 20000u
/* The work of rpm, in the output of both versions of dnf */
#define INSTALLS "Running transaction"

struct row {
	char *name, *old, *new;
};

/* What is to come, and how far the work is. */
struct plan {
	struct update_dnf_row reader;
	struct row *v;
	size_t n;
	bool installing;
	unsigned last;
};

static int dnf(const struct update *u, const char *const *words, void (*output)(const struct job *j, struct rd line), void *arg)
{
	const char *argv[WORDS_MAX + 7] = { "dnf", "-y", "--color=never" };
	const struct job j = { .path = DNF, .argv = argv, .output = output, .status = job_silent, .arg = arg };
	size_t n = 3;

	if (access(PROXY_FLAG, F_OK) == 0)
		argv[n++] = PROXY_OPTION;
	if (u->force)
		argv[n++] = FORCE_OPTION;
	if (u->keep)
		argv[n++] = KEEP_OPTION;
	for (size_t i = 0; i < WORDS_MAX && words[i]; i++)
		argv[n++] = words[i];
	return job_run(&j);
}

static void on_row(const struct job *j, struct rd line)
{
	struct plan *p = j->arg;

	if (p->n == ROWS_MAX || !update_dnf_row(&p->reader, line)) {
		job_log(j, line);
		return;
	}
	p->v = xreallocarray(p->v, p->n + 1, sizeof *p->v);
	p->v[p->n++] = (struct row){ .name = xstrdup(p->reader.name), .new = xstrdup(p->reader.version) };
}

/* "NAME.ARCH VERSION" of what is installed */
static void on_installed(const struct job *j, struct rd line)
{
	struct plan *p = j->arg;
	struct rd name = rd_until(&line, ' ');
	char old[128];

	rd_text(&line, old, sizeof old);
	for (size_t i = 0; rd_ok(&name) && rd_ok(&line) && i < p->n; i++)
		if (!p->v[i].old && rd_eq(&name, p->v[i].name))
			p->v[i].old = xstrdup(old);
}

static int plan(const struct update *u, struct plan *p)
{
	static const char *const installed[] = { "rpm", "-qa", "--qf", "%{NAME}.%{ARCH} %{EVR}\\n", NULL };
	const struct job j = { .path = RPM, .argv = installed, .output = on_installed, .status = job_silent, .arg = p };
	int r = dnf(u, (const char *const[]){ "-q", "check-update", NULL }, on_row, p);

	if (r != 0 && r != DNF_UPDATES)
		return -EIO;
	if (p->n)
		(void)job_run(&j);
	for (size_t i = 0; i < p->n; i++)
		say("change", "%s %s %s", p->v[i].name, p->v[i].old ? p->v[i].old : "-", p->v[i].new);
	say("count", "%zu", p->n);
	return r;
}

/* Downloads are the first half of the way from 200 to 950, the transaction is the second. */
static void on_step(const struct job *j, struct rd line)
{
	struct plan *p = j->arg;
	unsigned permille, now;

	job_log(j, line);
	if (!p->installing && rd_eq(&line, INSTALLS)) {
		p->installing = true;
		say("phase", "install");
	}
	if (!update_dnf_step(line, &permille))
		return;
	now = (p->installing ? 575 : 200) + permille * 375 / 1000;
	/* the steps after the packages count anew */
	if (now <= p->last)
		return;
	say("progress", "%u", now);
	p->last = now;
}

static void plan_fini(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->v[i].name);
		free(p->v[i].old);
		free(p->v[i].new);
	}
	free(p->v);
}

static int upgrade(const struct update *u, struct plan *p)
{
	say("phase", "download");
	if (dnf(u, (const char *const[]){ "upgrade", NULL }, on_step, p) != 0)
		return UPDATE_INSTALL;
	notify();
	say("phase", "cleanup");
	say("progress", "950");
	if (!u->keep && dnf(u, (const char *const[]){ "-q", "clean", "packages", NULL }, job_log, NULL) != 0)
		return UPDATE_CLEANUP;
	say("progress", "1000");
	return UPDATE_OK;
}

int dnf_update(const struct update *u)
{
	struct plan p = { 0 };
	int r;

	say("phase", "refresh");
	if (dnf(u, (const char *const[]){ "-q", "makecache", "--refresh", NULL }, job_log, NULL) != 0 && !u->force)
		return UPDATE_REFRESH;
	say("progress", "150");
	r = plan(u, &p);
	if (r < 0) {
		r = UPDATE_INSTALL;
	} else if (r == 0 || u->check) {
		notify();
		r = r == 0 ? UPDATE_NONE : UPDATE_OK;
	} else {
		r = upgrade(u, &p);
	}
	plan_fini(&p);
	return r;
}
