/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The qrexec policy language (specs/qrexec.md §6): tokens, rules, directives, and the loading of a whole policy as one version. Pure: texts and
 * file lists come from the caller's struct pol_loader. What a rule decides for a call is core/policy's business.
 * Every failure carries "FILE:LINE: what is wrong"; a policy with any error does not load at all.
 */
#ifndef PROTO_POLICY_H
#define PROTO_POLICY_H

#include "base/err.h"
#include "base/wr.h"

#define POL_FILE_MAX (1u << 20)	  /* bytes of one file */
#define POL_DEPTH_MAX 32	  /* nested includes */
#define POL_FILES_MAX 10000	  /* files read for one policy, repeated includes counted again */
#define POL_RULES_MAX 200000

enum pol_kind {
	POL_NAME, /* qube name or uuid:U */
	POL_ADMIN,
	POL_ANY,
	POL_WILDCARD,
	POL_DEFAULT,
	POL_DISPVM,
	POL_DISPVM_TEMPLATE,
	POL_DISPVM_TAG,
	POL_TAG,
	POL_TYPE,
	POL_KIND_N
};

/* Where a token stands; decides which kinds are allowed there. */
enum pol_context { POL_CTX_SOURCE, POL_CTX_TARGET, POL_CTX_REDIRECT, POL_CTX_INTENDED, POL_CTX_N };

struct pol_token {
	enum pol_kind kind;
	char *text;	   /* canonical whole token: dom0 and its uuid are "@adminvm" */
	const char *value; /* inside text: the part behind the prefix, or the whole text */
	uint32_t hash;	   /* pol_hash(value) */
};

enum pol_action { POL_ALLOW, POL_ASK, POL_DENY, POL_ACTION_N };

struct pol_rule {
	char *service;	/* NULL = any */
	char *argument; /* NULL = any; else begins with '+' */
	uint32_t service_hash;
	struct pol_token source, target;
	enum pol_action action;
	bool notify, autostart;
	int8_t keep;			       /* -1 = not given */
	char *user;			       /* NULL = not given */
	struct pol_token redirect, default_to; /* text NULL = not given */
	const char *file;		       /* memory of the policy; NULL for a lone rule */
	unsigned line;			       /* 0 = implied by !compat-4.0 */
};

struct policy {
	struct pol_rule *rules;
	size_t n_rules, cap;
	char **files;
	size_t n_files;
	unsigned refs; /* owners beside the first, see policy_ref */
};

/*
 * Where texts come from. dir is the number of a policy directory (0 = highest precedence) or POL_DIR_LEGACY; path is relative to it, or absolute.
 * text gives a regular file's content as new memory; list gives the names of the regular files directly inside (both arrays and names new
 * memory). -ENOENT when missing, other codes for any other failure.
 */
#define POL_DIR_LEGACY (-1)
struct pol_loader {
	void *arg;
	int (*text)(void *arg, int dir, const char *path, char **ret, size_t *ret_len, struct err *e);
	int (*list)(void *arg, int dir, const char *path, char ***ret, size_t *ret_n, struct err *e);
	const char *(*dir_name)(void *arg, int dir); /* for error texts; may be NULL */
};

uint32_t pol_hash(const char *s);

/* pol_token_parse: 0 or -EBADMSG with a text. *ret owns memory: pol_token_fini. */
int pol_token_parse(struct pol_token *ret, enum pol_context ctx, const char *text, struct err *e) _must_check_;
void pol_token_fini(struct pol_token *t);
/* pol_kind_name gives the name used by the conformance interface ("name", "AdminVM", …). */
const char *pol_kind_name(enum pol_kind kind);
const char *pol_action_name(enum pol_action action);

/* pol_rule_parse reads one line of the 4.x form; pol_rule_parse_40 one of the old three-column form for a given service and
   argument ("*" = any). 0 or -EBADMSG. *ret owns memory: pol_rule_fini. */
int pol_rule_parse(struct pol_rule *ret, const char *line, struct err *e) _must_check_;
int pol_rule_parse_40(struct pol_rule *ret, const char *service, const char *argument, const char *line, struct err *e) _must_check_;
void pol_rule_fini(struct pol_rule *r);
/* pol_rule_format writes the rule as a 4.x line without newline; parsing that gives an equal rule. */
void pol_rule_format(struct wr *w, const struct pol_rule *r);

/* policy_load loads n_dirs directories (directory 0 shadows same names of the others). 0; -EBADMSG for an error in a text; -ENOENT or
   another code when a directory cannot be listed. *ret: policy_free. */
int policy_load(struct policy **ret, const struct pol_loader *l, int n_dirs, struct err *e) _must_check_;
/* policy_load_file loads one file of directory 0 and what it includes. */
int policy_load_file(struct policy **ret, const struct pol_loader *l, const char *name, struct err *e) _must_check_;
/* policy_ref makes one more owner of a version that must outlive the next reload; each owner calls policy_free. */
static inline struct policy *policy_ref(struct policy *p)
{
	p->refs++;
	return p;
}
void policy_free(struct policy *p);
/* pol_file_name_ok is the filter of directories: 1 = a policy file, 0 = to be skipped, -EBADMSG = its name is an error. */
int pol_file_name_ok(const char *name);

DEFINE_CLEANUP(policy_free, struct policy *)

#endif
