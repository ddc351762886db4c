/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Configuration as code: the wanted state (from TOML files) and the present state (from the daemon) in one form, the plan between them, and
 * the writer of that form. Used by qvm-apply and qvm-export. Format: man page qvm-apply.
 */
#ifndef TOOL_CONF_H
#define TOOL_CONF_H

#include "policyfile/store.h"
#include "proto/device.h"
#include "tool/util.h"

/* A name and a value, and where it was written. value NULL in lists of bare names. */
struct conf_kv {
	char *key, *value;
	const char *file; /* of struct conf; NULL when it came from the daemon */
	unsigned line;
};
struct conf_list {
	struct conf_kv *v;
	size_t n;
};

struct conf_qube {
	char *name, *cls, *clone_from; /* cls NULL: AppVM when it must be made */
	const char *file;
	unsigned line;
	bool remove;
	struct conf_list props;	   /* template and label among them */
	struct conf_list features; /* services as service.NAME */
	struct conf_list tags;
	struct conf_list volumes; /* key VOLUME.size (bytes), VOLUME.revisions_to_keep, VOLUME.rw, VOLUME.ephemeral */
	struct conf_list devices; /* key CLASS BACKEND:PORT:DEVICE-ID; value MODE KEY=VALUE… */
	struct conf_list unset_props, unset_features, unset_tags, unset_devices;
	char *notes;	/* NULL = nothing was said */
	char *firewall; /* normal form, a rule a line; NULL = nothing was said */
};

struct conf {
	struct conf_list global, unset_global, labels;
	struct conf_list policy; /* file name, text; value NULL: the file is to go */
	struct conf_qube *q;
	size_t n;
	char **files;
	size_t n_files;
};

/* conf.c */
void conf_fini(struct conf *c);
struct conf_kv *conf_find(const struct conf_list *l, const char *key);
/* conf_add appends copies; value may be NULL. */
struct conf_kv *conf_add(struct conf_list *l, const char *key, const char *value);
void conf_list_fini(struct conf_list *l);
struct conf_qube *conf_qube_find(const struct conf *c, const char *name);
struct conf_qube *conf_qube_add(struct conf *c, const char *name);
/* conf_prop_fixed is true for properties that no file may set: computed ones and those that belong to the creation. */
bool conf_prop_fixed(const char *prop);
/* conf_feature_own and conf_tag_own are true for what the system itself keeps: such are neither exported nor removed. */
bool conf_feature_own(const char *feature);
bool conf_tag_own(const char *tag);

/* conf_read.c: adds a file to c. -EINVAL with "FILE:LINE: what is wrong". */
int conf_read(struct conf *c, const char *path, struct err *e);

/* conf_now.c: the present state of a qube; of the system (global settings that are not at their defaults, labels). only_set leaves out what is at
   its default and what the system keeps by itself. */
int conf_now_qube(struct conf_qube *ret, const struct adm_qube *q, bool only_set, struct err *e);
int conf_now_global(struct conf *ret, struct err *e);
void conf_qube_fini(struct conf_qube *q);

/* conf_write.c: the text of a whole configuration. */
void conf_write(struct wr *w, const struct conf *c);

/* One change. The tables of conf_plan.c say what each kind does. */
enum conf_act {
#define ACT(sym, name, rank, sign, form, method, words) ACT_##sym,
#include "tool/conf_act.def"
#undef ACT
	ACT_N
};
struct conf_step {
	enum conf_act act;
	int rank;
	size_t order;
	char *dest; /* qube, "dom0" for the system */
	char *name; /* property, tag, …; "" */
	char *old;  /* what it is now; NULL = nothing */
	char *new;  /* what it shall be; NULL = nothing */
	char *arg;  /* template of a creation */
	bool old_default; /* old is what the system chose */
};
struct conf_plan {
	struct conf_step *v;
	size_t n;
};
/* conf_plan_make compares c with the running system. -EINVAL with FILE:LINE for what cannot be. store: the policy files, opened. */
int conf_plan_make(struct conf_plan *ret, const struct conf *c, const struct pf_store *store, struct err *e);
void conf_plan_fini(struct conf_plan *p);
const char *conf_act_name(enum conf_act act);
/* conf_step_text writes the change as one line for a person. */
void conf_step_text(char *out, size_t cap, const struct conf_step *s);
char conf_step_sign(const struct conf_step *s); /* '+', '~' or '-' */
/* conf_step_do makes the change. */
int conf_step_do(struct tool *t, const struct conf_step *s, const struct pf_store *store, struct err *e);

/* conf_device.c: assigned devices as keys and values of struct conf_qube; new memory of the caller. */
char *conf_device_key(enum dev_class cls, const struct dev_name *d);
char *conf_device_value(const struct dev_assignment *a);
/* conf_device_parse is the way back; value may be NULL. -EINVAL. */
int conf_device_parse(struct dev_assignment *ret, const char *key, const char *value);
int conf_now_devices(struct conf_qube *q, struct err *e);
void conf_write_devices(struct wr *w, const struct conf_qube *q);
/* conf_device_do makes an ACT_DEVICE or ACT_DEVICE_RM step. */
int conf_device_do(const struct conf_step *s, struct err *e);

/* conf_show.c: what a change belongs to: a qube's name, "the system", "policy". */
const char *conf_step_heading(const struct conf_step *s);
/* conf_show prints the plan grouped by qube, in the order of the files; steps are executed in another order. diff: lines of texts, too. */
void conf_show(const struct tool *t, const struct conf_plan *p, bool diff);
void conf_show_json(struct json *j, const char *key, const struct conf_plan *p);
/* conf_plan_do makes all changes; after (may be NULL) is called behind each that was made. Prints the failure, gives an exit status. */
int conf_plan_do(struct tool *t, const struct conf_plan *p, const struct pf_store *store, int (*after)(void *arg, const struct conf_step *s, struct err *e),
		 void *arg);

#endif
