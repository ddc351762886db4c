/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Changing policy files: the one way in, for the policy Admin API and for qvm-policy. A change is made under an exclusive lock of the directory,
 * only if the whole policy is valid with it, by one rename, and the old content is kept for undo. No name leads out of the directory and no
 * link is followed.
 */
#ifndef POLICYFILE_STORE_H
#define POLICYFILE_STORE_H

#include <limits.h>

#include "policyfile/dirs.h"

#define PF_TOKEN_MAX 72 /* "sha256:" and 64 digits */
#define PF_UNDO_KEPT 50 /* changes that can be taken back */

struct pf_store {
	struct pf_dirs *dirs; /* borrowed; the last one is changed */
	const char *path;
	int fd; /* the directory, locked */
};

/* pf_store_open opens the last directory of d; write takes its lock, waiting for others. */
int pf_store_open(struct pf_store *s, struct pf_dirs *d, bool write, struct err *e);
void pf_store_close(struct pf_store *s);
#define _cleanup_store_ _cleanup_(pf_store_close)

/*
 * Names: "30-user.policy" (a policy file) or "include/NAME" (a file that others include). Anything else is -EINVAL with a text.
 * Tokens: "any"; "new" (the file must not exist yet); "sha256:HEX" (the file must be that one). pf_store_get gives the token of what it read.
 */
int pf_name_check(const char *name, struct err *e);
int pf_store_get(const struct pf_store *s, const char *name, char **ret, size_t *ret_len, char token[PF_TOKEN_MAX], struct err *e);
/* pf_store_list gives names of the policy files, or of include/, sorted; pf_names_free. */
int pf_store_list(const struct pf_store *s, bool include, char ***ret, size_t *ret_n, struct err *e);
/* pf_store_files gives the names of the files that have rules for a service, in the order of the policy. */
int pf_store_files(const struct pf_store *s, const char *service, char ***ret, size_t *ret_n, struct err *e);
/* pf_store_check: 0 when the policy is valid with name being text (NULL = removed); -EBADMSG with "FILE:LINE: what". */
int pf_store_check(const struct pf_store *s, const char *name, const char *text, size_t len, struct err *e);
/* pf_store_replace and pf_store_remove change a file. -ESTALE: token does not fit; -EEXIST: "new", but it exists; -ENOENT: there is no such
   file; -EBADMSG: the policy would be broken. Nothing has changed then. */
int pf_store_replace(const struct pf_store *s, const char *name, const char *token, const char *text, size_t len, struct err *e);
int pf_store_remove(const struct pf_store *s, const char *name, const char *token, struct err *e);
/* pf_store_undo takes back the last change (of that file, or of any when name is NULL); *ret_name is the file. -ENOENT: none is kept. */
int pf_store_undo(const struct pf_store *s, const char *name, char **ret_name, struct err *e);
/* pf_undo_make makes the directory of the records of a policy directory, if it can, and gives its path. A change makes it too. */
void pf_undo_make(char out[PATH_MAX], const char *policy_dir);
/* pf_token gives the token of a text. */
void pf_token(char out[PF_TOKEN_MAX], const char *text, size_t len);

#endif
