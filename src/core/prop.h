/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Properties of qubes and of the system: one row each in props.def. Values are canonical text ("True", "42", a name); the row says
 * which classes have it, its type on the wire, what it is when it is not set, and who may change it.
 */
#ifndef CORE_PROP_H
#define CORE_PROP_H

#include "base/err.h"

struct core;
struct qube;

enum prop_type { PT_STR, PT_INT, PT_BOOL, PT_VM, PT_LABEL };

/* Which objects have the property. */
#define PC_ADMIN (1u << 0)
#define PC_APP (1u << 1)
#define PC_DISP (1u << 2)
#define PC_REMOTE (1u << 3)
#define PC_STANDALONE (1u << 4)
#define PC_TEMPLATE (1u << 5)
#define PC_GLOBAL (1u << 6)
#define PC_VM (PC_APP | PC_DISP | PC_STANDALONE | PC_TEMPLATE) /* qubes that run here */
#define PC_QUBE (PC_VM | PC_REMOTE)
#define PC_ANY (PC_QUBE | PC_ADMIN)
#define PC_BASED (PC_APP | PC_DISP) /* have a template */

#define PF_RO (1u << 0)	    /* computed by the default rule */
#define PF_ONCE (1u << 1)   /* given at creation only */
#define PF_HALTED (1u << 2) /* settable while halted only */
#define PF_NORESET (1u << 3)
#define PF_POLICY (1u << 4) /* part of the system information that policy sees */
#define PF_NULL (1u << 5)   /* vm: an empty value (none) may be set */

enum prop_id {
#define P(id, name, type, classes, flags, dflt, darg, check, after, help) P_##id,
#include "core/props.def"
#undef P
	P_N
};

#define PV_BUF 640
/* A value: has = there is one at all; null = it is "none". s points into buf or into the object. */
struct pval {
	bool has, null;
	const char *s;
	char buf[PV_BUF];
};

struct prop {
	const char *name;
	enum prop_type type;
	unsigned classes, flags;
	/* dflt fills ret with the default; q is NULL for a global. */
	void (*dflt)(const struct core *c, const struct qube *q, const struct prop *p, struct pval *ret);
	const char *darg;
	/* check refuses a value that has passed its type (NULL value = none), or writes a normal form to out (PV_BUF bytes; "" = keep). */
	int (*check)(const struct core *c, const struct qube *q, const char *value, char *out, struct err *e);
	/* after is called inside the transaction once the value was changed or reset, for what follows from it. */
	void (*after)(struct core *c, struct qube *q, const struct prop *p);
	const char *help;
};

extern const struct prop props[P_N];

const char *prop_type_name(enum prop_type t);
/* prop_find gives the row of a property that the object (q, or the system when q is NULL) has, or NULL. */
const struct prop *prop_find(const struct qube *q, const char *name);
static inline enum prop_id prop_id(const struct prop *p)
{
	return (enum prop_id)(p - props);
}
/* prop_get fills ret with the effective value and says whether it is the default. */
bool prop_get(const struct core *c, const struct qube *q, enum prop_id id, struct pval *ret);
/* Shorthands over prop_get; prop_vm gives the qube or NULL, prop_int its number or dflt. */
bool prop_bool(const struct core *c, const struct qube *q, enum prop_id id);
int64_t prop_int(const struct core *c, const struct qube *q, enum prop_id id, int64_t dflt);
struct qube *prop_vm(const struct core *c, const struct qube *q, enum prop_id id);
/* prop_text copies the effective value, "" when there is none. */
const char *prop_text(const struct core *c, const struct qube *q, enum prop_id id, struct pval *buf);
void prop_default(const struct core *c, const struct qube *q, enum prop_id id, struct pval *ret);

/* prop_parse checks a value from outside and writes its canonical text (PV_BUF bytes, or a longer heap text for none) to out;
   *ret_null for none. Errors are the reference's exceptions. */
int prop_parse(const struct core *c, const struct qube *q, const struct prop *p, const char *value, char out[PV_BUF], bool *ret_null,
	       struct err *e);
/* prop_set and prop_reset change a property with its events, inside the open transaction. */
int prop_set(struct core *c, struct qube *q, const struct prop *p, const char *value, struct err *e);
int prop_reset(struct core *c, struct qube *q, const struct prop *p, struct err *e);
/* prop_init sets a property of a qube in the making, write-once ones too, without events. */
void prop_init(struct core *c, struct qube *q, enum prop_id id, const char *canonical);

#endif
