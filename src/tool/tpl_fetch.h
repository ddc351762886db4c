/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bytes of repositories: from a directory of dom0, or through an update qube. A qube's bytes are kept as they come, never more than was announced
 * by a signed text, and looked at by nobody but template-verifier.
 */
#ifndef TOOL_TPL_FETCH_H
#define TOOL_TPL_FETCH_H

#include "tool/tpl_repo.h"

/* tpl_local_path gives the path of a file of a local repository: in the first of its directories that has it. */
int tpl_local_path(const struct tpl_repo *p, const char *file, char ret[PATH_MAX], struct err *e);
/* tpl_fetch_index gets the index of a remote repository, at most max bytes; caller frees. */
int tpl_fetch_index(const struct tpl_repos *all, const struct tpl_repo *p, size_t max, char **ret, size_t *ret_len, struct err *e);
/* tpl_request writes what a service of the update qube reads: options, "---", the repository's section. file NULL: the index. Pure. */
void tpl_request(struct wr *w, const struct tpl_repos *all, const struct tpl_repo *p, const char *file, uint64_t off, uint64_t len);

#endif
