/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Builds templates and guest kernels from Debian packages, for the user who calls it and without a
 * daemon. Everything is kept below one cache directory (docs/guest-boot.md section 4); a step whose
 * result is there is not done again. Nothing outside the cache is written, and nothing is mounted.
 */
#ifndef TEMPLATE_TEMPLATE_H
#define TEMPLATE_TEMPLATE_H

#include <limits.h>

#include "base/err.h"
#include "template/flavour.h"

struct template_req {
	const struct flavour *flavour;
	const char *name;      /* of the result; NULL = the flavour's name */
	const char *cache;     /* absolute; NULL = $XDG_CACHE_HOME/bulkhead or ~/.cache/bulkhead */
	const char *deb;       /* the guest package; NULL = the one that belongs to this program */
	const char *init;      /* the initramfs program; NULL = the one that belongs to this program */
	bool full_kernel;      /* make the general kernel (USB, sound, graphics, network cards) too */
	bool refresh;	       /* fetch packages anew although the cache has them */
	/* Called at every change: text of the step, its number 1..n and thousandths of the
	   whole. May be NULL. */
	void (*progress)(void *arg, const char *text, unsigned step, unsigned n_steps, unsigned permille);
	void *arg;
};

struct template_result {
	char name[64];
	char root_img[PATH_MAX];
	char kernel_dir[PATH_MAX];
	char full_kernel_dir[PATH_MAX]; /* "" without full_kernel */
	char digest[65];	/* of everything that went into the root image */
	const char *suite;
};

/* template_build makes what is missing and fills *ret. It runs for minutes (downloads) when the
   cache is empty. -EINTR when template_cancel was called or the terminal's interrupt ended a
   step; temporary files are removed then, finished steps stay. -EBUSY while another build uses
   the cache. */
int template_build(const struct template_req *req, struct template_result *ret, struct err *e);
/* template_cancel may be called from a signal handler. */
void template_cancel(void);

#endif
