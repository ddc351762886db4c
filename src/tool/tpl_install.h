/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A template file becomes a template: created, filled, described; or an existing one gets a new root in one commit and keeps everything else.
 * What is under way is noted in a file of PATH_TEMPLATES that is locked meanwhile: whatever was killed is taken back by the next command.
 */
#ifndef TOOL_TPL_INSTALL_H
#define TOOL_TPL_INSTALL_H

#include "tool/tpl_proc.h"

struct tpl_job {
	const char *path;	/* of the template file */
	const char *name;	/* of the template; NULL = the file's */
	const char *repository; /* feature template-reponame */
	const char *only_key;	/* that may have signed it; NULL = any that is trusted */
	const char *pool;	/* for a new one; NULL = the default one */
	const uint8_t *sum;	/* of the manifest that was promised; NULL = any */
	bool replace;		/* the template is there and gets a new root; otherwise it must not be there */
	tpl_progress *progress;
	void *arg;
};
/* tpl_install does it. A failure or an interruption leaves what was before. */
int tpl_install(const struct tpl_job *job, struct err *e);

/* tpl_recover takes back what killed installations left; says what it did through said (may be NULL). */
void tpl_recover(void (*said)(const char *text, void *arg), void *arg);

/* One installation under way: the file NAME.install, locked. */
struct tpl_mark {
	int fd;
	char *path;
};
/* tpl_mark_begin: -EBUSY when another process changes this template. */
int tpl_mark_begin(struct tpl_mark *m, const char *name, bool replace, struct err *e);
void tpl_mark_end(struct tpl_mark *m);

/* tpl_describe sets the features that say what a template is. buildtime in seconds since 1970. */
int tpl_describe(const char *qube, const struct tpl_info *info, const char *repository, struct err *e);
/* tpl_stamp writes "YYYY-MM-DD HH:MM:SS" (UTC). */
#define TPL_STAMP_MAX 24
const char *tpl_stamp(char out[TPL_STAMP_MAX], uint64_t sec);

/* tpl_import_begin makes a place for a root image of size bytes and gives a descriptor to it; tpl_import_end makes it the root (ok), or drops it
   (why says the reason). Calls that qvm-undo cannot take back are told to it. */
int tpl_import_begin(const char *qube, uint64_t size, void **ret_watch, struct err *e);
int tpl_import_end(const char *qube, int fd, void *watch, int r, struct err *e);

#endif
