/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What policy files were before each change: files NUMBER@NAME in DIRECTORY.undo (beside the directory, which policyd watches), '/' of the name
 * written as '+'; an empty record NUMBER@NAME@new says that the file did not exist. Used by store.c only, under its lock.
 */
#ifndef POLICYFILE_UNDO_H
#define POLICYFILE_UNDO_H

#include "policyfile/store.h"

/* pf_undo_keep records a file's content (NULL = it did not exist) and forgets the oldest records. */
int pf_undo_keep(const struct pf_store *s, const char *name, const char *text, size_t len, struct err *e);
/* pf_undo_last gives the newest record, of name or of any file; all results are the caller's, *ret_text NULL = did not exist. */
int pf_undo_last(const struct pf_store *s, const char *name, char **ret_record, char **ret_name, char **ret_text, size_t *ret_len,
		 struct err *e);
int pf_undo_drop(const struct pf_store *s, const char *record, struct err *e);

#endif
