/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Package sources of the host, reduced to those that a template may use: Debian's own archive,
 * component main, the wanted release with its updates and security suites. Pure functions over the
 * text of the host's apt configuration.
 */
#ifndef TEMPLATE_APTSRC_H
#define TEMPLATE_APTSRC_H

#include "base/err.h"
#include "base/rd.h"
#include "base/wr.h"

#define APT_SOURCES_MAX 32

struct apt_source {
	char uri[256], suite[64], signed_by[256];
};

struct apt_sources {
	struct apt_source row[APT_SOURCES_MAX];
	size_t n;
};

/* aptsrc_parse adds the entries of one file: deb822 when the name ends in ".sources", else one
   line an entry. Entries that are disabled, of source packages, without component main, or with
   odd characters are passed over. -E2BIG over APT_SOURCES_MAX. */
int aptsrc_parse(const char *name, struct rd r, struct apt_sources *s, struct err *e);
/* aptsrc_write writes one-line entries (component main) for codename. When the host has none for
   it, its entries of another release of the same archive are used with the release replaced.
   -ENOENT when there is nothing to go by. Gives the number of entries. */
int aptsrc_write(const struct apt_sources *s, const char *codename, struct wr *w, struct err *e);
/* aptsrc_host reads the host's configuration below etc ("/etc/apt"). */
int aptsrc_host(const char *etc, struct apt_sources *ret, struct err *e);

#endif
