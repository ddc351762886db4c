/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Steps of a build: paths of the cache, programs with their output in a log, digests, files that
   appear only when complete. */
#ifndef TEMPLATE_RUN_H
#define TEMPLATE_RUN_H

#include <signal.h>

#include "template/aptlog.h"
#include "template/template.h"

struct build {
	const struct template_req *req;
	char cache[PATH_MAX];
	char deb[PATH_MAX], init[PATH_MAX];
	int log_fd; /* log of this build, also read back for error texts and for the progress of packages */
	struct aptlog apt; /* of the program that runs */
	off_t apt_at;	   /* how far the log was read for it */
	char log_path[PATH_MAX];
	const char *step;
	unsigned step_no, n_steps, permille, permille_end;
};

extern volatile sig_atomic_t build_cancelled;

/* build_step announces a step that will end at permille_end of the whole. */
void build_step(struct build *b, const char *text, unsigned permille_end);
/* build_run runs a program; argv[0] is its absolute path, or a plain name that is looked for in
   the system's directories. Output goes to the log. When it fails, the text ends with the last
   lines of its output. The environment holds PATH, HOME, TMPDIR, LANG and the proxy variables. */
int build_run(struct build *b, const char *const *argv, struct err *e);
/* build_capture is build_run whose standard output is given to the caller (free). */
int build_capture(struct build *b, const char *const *argv, char **ret, struct err *e);
/* build_path formats a path below the cache; fails when too long. */
int build_path(const struct build *b, char ret[PATH_MAX], struct err *e, const char *fmt, ...) _printf_(4, 5);
/* build_publish renames tmp to path after its bytes are on disk. */
int build_publish(const char *tmp, const char *path, struct err *e);
int build_remove(const char *path, struct err *e);

struct digest {
	void *ctx;
};
int digest_begin(struct digest *d, struct err *e);
void digest_text(struct digest *d, const char *s);
int digest_file(struct digest *d, const char *path, struct err *e);
/* digest_end writes 64 hex digits. */
int digest_end(struct digest *d, char ret[65], struct err *e);
void digest_fini(struct digest *d);
#define _cleanup_digest_ _cleanup_(digest_fini)

/* kernel.c: makes KERNELS/<version> when missing and gives its path. full: the general kernel, not the cloud kernel. */
int kernel_build(struct build *b, bool full, char ret_dir[PATH_MAX], struct err *e);
/* initramfs.c */
int initramfs_make(const char *modules_dir, const char *init, const char *out, struct err *e);
/* root.c: base archive and root image. */
int base_build(struct build *b, char ret_tar[PATH_MAX], char ret_key[65], struct err *e);
int root_build(struct build *b, const char *base_tar, const char *base_key, struct template_result *res, struct err *e);
/* sources_write writes the package sources for a release to path. */
int sources_write(const char *suite, const char *path, struct err *e);

#endif
