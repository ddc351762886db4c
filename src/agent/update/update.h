/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside of the update agent: programs that run, and what is said to dom0. */
#ifndef AGENT_UPDATE_UPDATE_H
#define AGENT_UPDATE_UPDATE_H

#include <stdarg.h>

#include "base/proc.h"
#include "proto/update.h"

#define JOB_STATUS_FD 3
#define JOB_STATUS_TEXT "3"

struct update {
	bool check; /* only look */
	bool keep;  /* leave the downloaded packages there */
	bool force; /* go on although an index could not be fetched */
};

/* One program of the package manager. */
struct job {
	const char *path;
	const char *const *argv;
	void (*output)(const struct job *j, struct rd line); /* of both outputs */
	void (*status)(const struct job *j, struct rd line); /* of JOB_STATUS_FD */
	unsigned from, to; /* its part of the whole, in thousandths */
	void *arg;
};

/* job_run gives the exit code (128 + signal), or a negative code when it did not start. */
int job_run(const struct job *j);
void job_log(const struct job *j, struct rd line);
void job_silent(const struct job *j, struct rd line);
/* say sends one line to dom0. */
void say(const char *word, const char *fmt, ...) _printf_(2, 3);
void notify(void);

/* They give an enum update_code. */
int apt_update(const struct update *u);
int dnf_update(const struct update *u);

#endif
