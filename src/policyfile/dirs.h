/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Policy directories on disk as the policy loader sees them (proto/policy.h): the one implementation that policyd, the policy Admin API and
 * qvm-policy share. An overlay lays edited or removed files over the disk, so that a change can be judged before it is made.
 * Reads only; who changes files is store.h.
 */
#ifndef POLICYFILE_DIRS_H
#define POLICYFILE_DIRS_H

#include "proto/policy.h"

#define PF_DIRS_MAX 8

/* One file that is other than on disk. */
struct pf_edit {
	char *path; /* absolute, cleaned */
	char *text; /* NULL = the file is not there */
	size_t len;
};

struct pf_dirs {
	const char *dirs[PF_DIRS_MAX]; /* [0] has precedence; borrowed */
	int n_dirs;
	const char *legacy; /* directory of the old policy; borrowed, may be NULL */
	struct pf_edit *edits;
	size_t n_edits;
	bool missing_ok; /* a policy directory that does not exist is an empty one (for the linter) */
	bool bad_names_ok; /* files whose names are errors are left out of listings (for the linter) */
};

/* pf_dirs_default fills in the directories of this instance (paths_init first). */
void pf_dirs_default(struct pf_dirs *d);
/* pf_dirs_fini drops the overlay. */
void pf_dirs_fini(struct pf_dirs *d);
/* pf_overlay says that the file of that path has this text (NULL: is not there); a second call for a path replaces the first. */
void pf_overlay(struct pf_dirs *d, const char *path, const char *text, size_t len);
/* pf_overlay_drop takes that back. */
void pf_overlay_drop(struct pf_dirs *d, const char *path);
/* pf_loader makes the loader; d must live as long as it. */
void pf_loader(struct pol_loader *ret, struct pf_dirs *d);
/* pf_load loads the whole policy. */
int pf_load(struct policy **ret, struct pf_dirs *d, struct err *e);
/* pf_clean gives path without "//", "." and ".." (resolved as text), memory of the caller. */
char *pf_clean(const char *path);
/* pf_list gives the regular files directly inside a directory, the overlay applied; free with pf_names_free. */
int pf_list(const struct pf_dirs *d, const char *path, char ***ret, size_t *ret_n, struct err *e);
void pf_names_free(char **v, size_t n);
/* pf_text gives a file's text, the overlay applied. */
int pf_text(const struct pf_dirs *d, const char *path, char **ret, size_t *ret_len, struct err *e);

#endif
