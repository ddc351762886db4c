/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Brings a built template into a running instance: kernel directory, TemplateVM, root volume, features. The image's bytes are
 * copied, never parsed.
 */
#ifndef TOOL_TEMPLATE_INSTALL_H
#define TOOL_TEMPLATE_INSTALL_H

#include "base/err.h"

struct template_install {
	const char *name;	/* of the template and of the qube */
	const char *root_img;	/* absolute path of the image */
	const char *kernel_dir; /* absolute path of a kernel directory; its base name is the version */
	const char *full_kernel_dir; /* of a second kernel, for qubes with devices; NULL or "" = none. It never becomes the default */
	const char *digest;	/* identifies the content; kept as feature template-digest, an equal one is not imported again */
	const char *suite;	/* bookworm, trixie … (feature os-version) */
	const char *summary;	/* one line about it */
	const char *feature;	/* one more feature, set to 1; NULL = none */
	bool x11;		/* it has a graphical agent: feature gui */
	bool force;		/* import even when the digest is equal */
	/* called with bytes done and to do; may be NULL */
	void (*progress)(uint64_t done, uint64_t total, void *arg);
	void *arg;
};

/* template_install is idempotent: a second call with the same digest changes nothing and gives 0 with *ret_changed = false. A new qube
   whose import fails is removed again; the old root of an existing one stays as it was. */
int template_install(const struct template_install *ti, bool *ret_changed, struct err *e);

#endif
