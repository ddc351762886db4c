/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The property table and its generic part: look-up, types, set and reset with their events. */
#include "core/prop.h"

#include "base/str.h"
#include "core/core.h"
#include "core/net.h"
#include "core/prop_rules.h"

const struct prop props[P_N] = {
#define P(id, name_, type_, classes_, flags_, dflt_, darg_, check_, after_, help_)                  \
	[P_##id] = { .name = name_, .type = type_, .classes = classes_, .flags = flags_, .dflt = dflt_, \
		     .darg = darg_, .check = check_, .after = after_, .help = help_ },
#include "core/props.def"
#undef P
};

const char *prop_type_name(enum prop_type t)
{
	static const char *const names[] = {
		[PT_STR] = "str", [PT_INT] = "int", [PT_BOOL] = "bool", [PT_VM] = "vm", [PT_LABEL] = "label",
	};

	return names[t];
}

static unsigned class_bit(const struct qube *q)
{
	return q ? 1u << (unsigned)q->klass : PC_GLOBAL;
}

const struct prop *prop_find(const struct qube *q, const char *name)
{
	unsigned bit = class_bit(q);

	for (size_t i = 0; i < P_N; i++)
		if ((props[i].classes & bit) && streq(props[i].name, name))
			return &props[i];
	return NULL;
}

static const char *stored(const struct core *c, const struct qube *q, enum prop_id id)
{
	return q ? q->props[id] : c->globals[id];
}

void prop_default(const struct core *c, const struct qube *q, enum prop_id id, struct pval *ret)
{
	const struct prop *p = &props[id];

	ret->has = ret->null = false;
	ret->s = "";
	p->dflt(c, q, p, ret);
	if (p->type == PT_VM && ret->has && !ret->s[0])
		ret->null = true;
}

bool prop_get(const struct core *c, const struct qube *q, enum prop_id id, struct pval *ret)
{
	const char *s = stored(c, q, id);

	if (!s) {
		prop_default(c, q, id, ret);
		return !(props[id].flags & PF_ONCE);
	}
	ret->has = true;
	ret->s = s;
	ret->null = props[id].type == PT_VM && !s[0];
	return false;
}

const char *prop_text(const struct core *c, const struct qube *q, enum prop_id id, struct pval *buf)
{
	prop_get(c, q, id, buf);
	return buf->has ? buf->s : "";
}

bool prop_bool(const struct core *c, const struct qube *q, enum prop_id id)
{
	struct pval v;

	return streq(prop_text(c, q, id, &v), "True");
}

int64_t prop_int(const struct core *c, const struct qube *q, enum prop_id id, int64_t dflt)
{
	struct pval v;
	int64_t n;

	return str_i64(prop_text(c, q, id, &v), INT64_MIN, INT64_MAX, &n) < 0 ? dflt : n;
}

struct qube *prop_vm(const struct core *c, const struct qube *q, enum prop_id id)
{
	struct pval v;
	const char *s = prop_text(c, q, id, &v);

	return s[0] ? qube_find(c, s) : NULL;
}

static int parse_typed(const struct core *c, const struct prop *p, const char *value, char out[PV_BUF], struct err *e)
{
	struct qube *vm = NULL;
	int64_t n;
	bool b;
	int r;

	switch (p->type) {
	case PT_INT:
		if (str_i64(value, -INT64_MAX, INT64_MAX, &n) < 0)
			return err_set(e, AE_VALUE, "property '%s' needs an integer", p->name);
		return str_printf(out, PV_BUF, "%lld", (long long)n);
	case PT_BOOL:
		if (str_bool(value, &b) < 0)
			return err_set(e, AE_VALUE, "property '%s' needs True or False", p->name);
		return str_copy(out, PV_BUF, b ? "True" : "False");
	case PT_VM:
		r = qube_lookup(c, value, &vm, e);
		return r < 0 ? r : str_copy(out, PV_BUF, vm->name.s);
	case PT_LABEL:
		if (!label_find(c, value))
			return err_set(e, AE_LABEL_NOT_FOUND, "there is no such label");
		return str_copy(out, PV_BUF, value);
	case PT_STR:
	default:
		for (const char *s = value; *s; s++)
			if (*s < 0x20 || *s > 0x7e)
				return err_set(e, AE_VALUE, "property '%s' takes printable ASCII text only", p->name);
		return str_copy(out, PV_BUF, value);
	}
}

int prop_parse(const struct core *c, const struct qube *q, const struct prop *p, const char *value, char out[PV_BUF], bool *ret_null,
	       struct err *e)
{
	char normal[PV_BUF] = "";
	int r;

	if (strlen(value) >= PV_BUF)
		return err_set(e, AE_VALUE, "the value of '%s' is too long", p->name);
	*ret_null = p->type == PT_VM && (!value[0] || streq(value, "None"));
	if (*ret_null && !(p->flags & PF_NULL))
		return err_set(e, AE_PROPERTY_VALUE, "property '%s' cannot be empty", p->name);
	out[0] = '\0';
	r = *ret_null ? 0 : parse_typed(c, p, value, out, e);
	if (r < 0)
		return r;
	if (p->check) {
		r = p->check(c, q, *ret_null ? NULL : out, normal, e);
		if (r < 0)
			return r;
		if (normal[0])
			memcpy(out, normal, sizeof normal);
	}
	return 0;
}

static int may_change(const struct qube *q, const struct prop *p, struct err *e)
{
	if (p->flags & PF_RO)
		return err_set(e, AE_VALUE, "property '%s' is computed and cannot be set", p->name);
	if (p->flags & PF_ONCE)
		return err_set(e, AE_VALUE, "property '%s' is given at creation and cannot be changed", p->name);
	if (q && (p->flags & PF_HALTED) && !qube_halted(q))
		return err_set(e, AE_VM_NOT_HALTED, "property '%s' can be changed only while '%s' is halted", p->name, q->name.s);
	return 0;
}

static void change(struct core *c, struct qube *q, const struct prop *p, const char *canonical)
{
	if (q)
		txn_prop(c, q, prop_id(p), canonical);
	else
		txn_global(c, prop_id(p), canonical);
	if (p->after)
		p->after(c, q, p);
}

/* What an event shows: None for a missing or empty reference. */
static const char *shown(const struct pval *v)
{
	return v->has && !v->null ? v->s : "None";
}

int prop_set(struct core *c, struct qube *q, const struct prop *p, const char *value, struct err *e)
{
	char out[PV_BUF];
	struct pval old;
	const char *now;
	bool null;
	int r = may_change(q, p, e);

	if (r < 0)
		return r;
	r = prop_parse(c, q, p, value, out, &null, e);
	if (r < 0)
		return r;
	prop_get(c, q, prop_id(p), &old);
	if (old.has && old.s != old.buf && str_copy(old.buf, sizeof old.buf, old.s) == 0)
		old.s = old.buf; /* the stored text is about to go */
	now = null ? "None" : out;
	eventf(c, q, "property-pre-set:", p->name, "name", p->name, "newvalue", now, old.has ? "oldvalue" : NULL, shown(&old), NULL);
	change(c, q, p, null ? "" : out);
	eventf(c, q, "property-set:", p->name, "name", p->name, "newvalue", now, old.has ? "oldvalue" : NULL, shown(&old), NULL);
	if (q && prop_id(p) == P_netvm)
		netvm_deferred(c, q, old.has && !old.null ? old.s : "", null ? "" : out);
	return 0;
}

int prop_reset(struct core *c, struct qube *q, const struct prop *p, struct err *e)
{
	struct pval old, next;
	char normal[PV_BUF] = "";
	int r = may_change(q, p, e);

	if (r < 0)
		return r;
	if (p->flags & PF_NORESET)
		return err_set(e, AE_VALUE, "property '%s' has no default", p->name);
	prop_default(c, q, prop_id(p), &next);
	if (p->check && next.has) {
		/* A default may become wrong where the set value was right: a loop of netvms, a provider that lost its clients' trust. */
		r = p->check(c, q, next.null ? NULL : next.s, normal, e);
		if (r < 0)
			return r;
	}
	prop_get(c, q, prop_id(p), &old);
	if (old.has && old.s != old.buf && str_copy(old.buf, sizeof old.buf, old.s) == 0)
		old.s = old.buf;
	eventf(c, q, "property-pre-reset:", p->name, "name", p->name, old.has ? "oldvalue" : NULL, shown(&old), NULL);
	change(c, q, p, NULL);
	eventf(c, q, "property-reset:", p->name, "name", p->name, old.has ? "oldvalue" : NULL, shown(&old), NULL);
	if (q && prop_id(p) == P_netvm)
		netvm_deferred(c, q, old.has && !old.null ? old.s : "", next.has && !next.null ? next.s : "");
	return 0;
}

void prop_init(struct core *c, struct qube *q, enum prop_id id, const char *canonical)
{
	txn_prop(c, q, id, canonical);
}
