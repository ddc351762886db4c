/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-template's sub-commands: one function each, and what they share: installed templates, rows of lists, options. */
#ifndef TOOL_TPL_VERB_H
#define TOOL_TPL_VERB_H

#include "tool/tpl_install.h"
#include "tool/tpl_repo.h"
#include "tool/util.h"

enum {
	KEY_CACHE = 310, KEY_NO_INSTALL, KEY_FULL_KERNEL, KEY_REFRESH, KEY_FORCE, KEY_NAME, KEY_DEB, KEY_INIT, KEY_PROGRESS_FD, KEY_REPO_FILES, KEY_ENABLE,
	KEY_DISABLE, KEY_REPOID, KEY_RELEASEVER, KEY_UPDATEVM, KEY_KEEP_CACHE, KEY_POOL, KEY_INSTALLED, KEY_AVAILABLE, KEY_EXTRAS, KEY_UPGRADES, KEY_ALL_T,
	KEY_MACHINE, KEY_SIGN, KEY_DOWNLOADDIR, KEY_AS, KEY_EXPIRES, KEY_SUMMARY, KEY_LICENSE, KEY_URL, KEY_DESCRIPTION, KEY_VERSION_, KEY_RELEASE, KEY_EPOCH,
	KEY_EOL, KEY_REPO_NAME, KEY_KEYRING, KEY_NO_CHECK,
};

/* Progress on the terminal, as text lines, and to --progress-fd. */
struct tpl_face {
	const struct tool *t;
	int fd;	      /* --progress-fd, or -1 */
	bool bar;     /* standard error is a terminal */
	unsigned last;
	const char *text; /* last one shown; must live on */
	time_t since;	  /* when it came */
};
void tpl_face_init(struct tpl_face *f, const struct tool *t);
void tpl_face_show(struct tpl_face *f, unsigned permille, const char *text);
/* tpl_face_end ends a bar that did not come to its end. */
void tpl_face_end(struct tpl_face *f);
/* tpl_face_bytes is a tpl_progress; arg: the face, whose text says what goes on. */
void tpl_face_bytes(uint64_t done, uint64_t total, void *arg);

struct tpl_inst {
	struct tpl_info info;
	char repository[65], buildtime[TPL_STAMP_MAX], installtime[TPL_STAMP_MAX];
	bool managed; /* has the features of a template file or build */
	uint64_t size; /* of the root volume */
};
struct tpl_insts {
	struct tpl_inst *v;
	size_t n;
};
/* tpl_insts_get asks for all templates and what is known about each. */
int tpl_insts_get(struct tpl_insts *ret, struct err *e);
void tpl_insts_fini(struct tpl_insts *x);
const struct tpl_inst *tpl_insts_find(const struct tpl_insts *x, const char *name);

/* tpl_repos_open reads the settings of repositories and applies the options. 0, or an exit status (printed). */
int tpl_repos_open(struct tool *t, struct tpl_repos *all, struct tpl_face *f);
/* tpl_repos_load loads the index of each enabled one; one that fails is told, and counts as empty. Gives the number of failures. */
int tpl_repos_load(struct tool *t, struct tpl_repos *all);
/* tpl_spec_match: is this the template that a word of the command line means? NAME, NAME-VERSION, NAME-VERSION-RELEASE, NAME-EPOCH:VERSION-RELEASE,
   each with * ? [ ]. No word at all means everything. */
bool tpl_spec_match(const struct tpl_info *i, char **specs, int n);

/* tpl_json_row: one template of what a changing command prints with --json. info, error: NULL = none. */
void tpl_json_row(struct json *j, const char *name, const struct tpl_info *info, const char *outcome, const char *error);

int tpl_list(struct tool *t, bool info, int argc, char **argv);
int tpl_search(struct tool *t, int argc, char **argv);
int tpl_repolist(struct tool *t);
int tpl_clean(struct tool *t);
enum tpl_change { TPL_INSTALL, TPL_REINSTALL, TPL_UPGRADE, TPL_DOWNGRADE };
int tpl_change(struct tool *t, enum tpl_change what, int argc, char **argv);
int tpl_download(struct tool *t, int argc, char **argv);
int tpl_remove(struct tool *t, bool purge, int argc, char **argv);
int tpl_export(struct tool *t, const char *qube, const char *path);
int tpl_publish(struct tool *t, const char *dir);
int tpl_verify(struct tool *t, int argc, char **argv);
int tpl_keygen(struct tool *t, const char *path);
int tpl_key(struct tool *t, int argc, char **argv);
int tpl_import(struct tool *t, const char *name, const char *tar);

#endif
