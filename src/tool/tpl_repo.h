/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Repositories of templates: their settings (PATH_TEMPLATE_REPOS, *.repo), their signed indexes, the files in them. A repository is a directory
 * that dom0 can read, or an address that an update qube fetches from by qubes.TemplateSearch and qubes.TemplateDownload; what the qube
 * sends are bytes that template-verifier judges.
 */
#ifndef TOOL_TPL_REPO_H
#define TOOL_TPL_REPO_H

#include <limits.h>

#include "tool/tpl_proc.h"

#define TPL_REPOS_MAX 32
#define TPL_URL_MAX 1000

struct tpl_repo {
	char id[65], name[200];
	char key[65];		/* that signs index and templates */
	char url[TPL_URL_MAX];	/* one or more, blank separated */
	char qube[32];		/* update qube of this one; "" = the common one */
	uint64_t expire_s;	/* how long a fetched index is used without asking again */
	bool enabled;
	bool loaded;
	struct tpl_index index;
};
struct tpl_repos {
	struct tpl_repo v[TPL_REPOS_MAX];
	size_t n;
	const char *updatevm;	/* NULL = property updatevm */
	const char *releasever; /* replaces $releasever in addresses; NULL = this system's */
	const char *cachedir;	/* NULL = the user's */
	bool refresh;
	void (*note)(const char *text, void *arg); /* what the user should know; may be NULL */
	tpl_progress *progress;
	void *arg;
};

/* tpl_repo_parse adds the sections of one file. Pure. */
int tpl_repo_parse(struct tpl_repos *all, struct rd text, struct err *e);
/* tpl_repos_read reads one file, or all of PATH_TEMPLATE_REPOS for NULL. */
int tpl_repos_read(struct tpl_repos *all, const char *file, struct err *e);
void tpl_repos_fini(struct tpl_repos *all);
bool tpl_repo_local(const struct tpl_repo *p);
/* tpl_repo_load gets the index: checked, not expired, not older than what was seen before. */
int tpl_repo_load(struct tpl_repos *all, struct tpl_repo *p, struct err *e);
/* tpl_repo_file gives the path of a file of the repository in dom0, fetched if need be (an earlier part of it is used); caller frees. */
int tpl_repo_file(struct tpl_repos *all, const struct tpl_repo *p, const struct tpl_entry *t, char **ret_path, struct err *e);
/* tpl_cache_dir gives the directory of fetched files (made). tpl_cache_clean empties it. */
int tpl_cache_dir(const struct tpl_repos *all, char ret[PATH_MAX], struct err *e);
int tpl_cache_clean(const struct tpl_repos *all, uint64_t *ret_bytes, struct err *e);

#endif
