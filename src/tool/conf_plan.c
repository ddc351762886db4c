/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What must change for the system to be as the files say, in an order in which every change is possible. */
#include <stdarg.h>

#include "tool/conf.h"

#define RANK_FIRST 20 /* properties that others rest on: provides_network, template_for_dispvms */
#define RANK_CUT 35   /* a qube without a netvm cannot be part of a loop: such go before other netvms and the default one */
#define RANK_LAST 50  /* the same, taken away */

struct plan {
	struct conf_plan *out;
	const struct conf *want;
	const struct pf_store *store;
	struct adm_qubes all;
	struct adm_props global;
	struct conf now; /* labels */
	struct err *e;
};

static const struct {
	const char *name;
	int rank;
} acts[] = {
#define ACT(sym, name, rank, sign, form, method, words) [ACT_##sym] = { name, rank },
#include "tool/conf_act.def"
#undef ACT
};

const char *conf_act_name(enum conf_act act)
{
	return acts[act].name;
}

static struct conf_step *step(struct plan *p, enum conf_act act, const char *dest, const char *name, const char *old, const char *new)
{
	struct conf_plan *o = p->out;
	struct conf_step *s;

	if ((o->n & (o->n - 1)) == 0)
		o->v = xreallocarray(o->v, o->n ? o->n * 2 : 1, sizeof *o->v);
	s = &o->v[o->n];
	*s = (struct conf_step){ .act = act, .rank = acts[act].rank, .order = o->n, .dest = xstrdup(dest), .name = xstrdup(name),
				 .old = old ? xstrdup(old) : NULL, .new = new ? xstrdup(new) : NULL };
	o->n++;
	return s;
}

void conf_plan_fini(struct conf_plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->v[i].dest);
		free(p->v[i].name);
		free(p->v[i].old);
		free(p->v[i].new);
		free(p->v[i].arg);
	}
	free(p->v);
	*p = (struct conf_plan){ .n = 0 };
}

static _printf_(3, 4) int wrong(const struct plan *p, const struct conf_kv *kv, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return err_set(p->e, EINVAL, "%s:%u: %s", kv->file, kv->line, text);
}

static bool exists_or_will(const struct plan *p, const char *name)
{
	const struct conf_qube *q = conf_qube_find(p->want, name);

	return q ? !q->remove : adm_qubes_find(&p->all, name) != NULL;
}

/* The value as the daemon prints it: comparable. */
static int normal(const struct plan *p, const struct conf_kv *kv, const char *type, char **ret)
{
	bool b;

	if (streq(type, "bool")) {
		if (str_bool(kv->value, &b) < 0)
			return wrong(p, kv, "'%s' must be true or false, not '%s'", kv->key, kv->value);
		*ret = xstrdup(b ? "True" : "False");
		return 0;
	}
	if (streq(type, "vm")) {
		bool none = !*kv->value || streq(kv->value, "none");

		if (!none && !exists_or_will(p, kv->value))
			return wrong(p, kv, "'%s': there is no qube '%s', and the files do not make one", kv->key, kv->value);
		*ret = xstrdup(none ? "" : kv->value);
		return 0;
	}
	if (streq(type, "label") && !conf_find(&p->now.labels, kv->value) && !conf_find(&p->want->labels, kv->value))
		return wrong(p, kv, "there is no label '%s'", kv->value);
	*ret = xstrdup(kv->value);
	return 0;
}

/* Types of properties of a qube that is not there yet: as other qubes of its class have them; dom0's and the global ones otherwise. */
static const char *guess_type(const char *prop)
{
	static const char *const vms[] = { "netvm", "template", "default_dispvm", "guivm", "audiovm", "management_dispvm", "relayvm" };
	static const char *const bools[] = { "autostart", "provides_network", "template_for_dispvms", "include_in_backups", "debug", "auto_cleanup" };

	for (size_t i = 0; i < ARRAY_SIZE(vms); i++)
		if (streq(vms[i], prop))
			return "vm";
	for (size_t i = 0; i < ARRAY_SIZE(bools); i++)
		if (streq(bools[i], prop))
			return "bool";
	return streq(prop, "label") ? "label" : "str";
}

static void prop_step(struct plan *p, const char *qube, const char *prop, const struct adm_prop *has, const char *value)
{
	struct conf_step *s = step(p, ACT_PROP, qube, prop, has ? has->value : NULL, value);

	s->old_default = has && has->is_default;
	if (streq(prop, "netvm") && !*value)
		s->rank = RANK_CUT;
	if (streq(prop, "provides_network") || streq(prop, "template_for_dispvms"))
		s->rank = streq(value, "True") ? RANK_FIRST : RANK_LAST;
}

static int plan_props(struct plan *p, const struct conf_qube *q, const struct adm_props *now)
{
	for (size_t i = 0; i < q->props.n; i++) {
		const struct conf_kv *kv = &q->props.v[i];
		const struct adm_prop *has = now ? adm_props_find(now, kv->key) : NULL;
		_cleanup_free_ char *value = NULL;
		int r;

		if (now && !has)
			return wrong(p, kv, "'%s' has no property '%s'", q->name, kv->key);
		r = normal(p, kv, has ? has->type : guess_type(kv->key), &value);
		if (r < 0)
			return r;
		if (!now && (streq(kv->key, "label") || streq(kv->key, "template")))
			continue; /* given at the creation */
		if (!has || has->is_default || !streq(has->value, value))
			prop_step(p, q->name, kv->key, has, value);
	}
	for (size_t i = 0; now && i < q->unset_props.n; i++) {
		const struct conf_kv *kv = &q->unset_props.v[i];
		const struct adm_prop *has = adm_props_find(now, kv->key);

		if (!has)
			return wrong(p, kv, "'%s' has no property '%s'", q->name, kv->key);
		if (conf_find(&q->props, kv->key))
			return wrong(p, kv, "'%s' is both set and unset", kv->key);
		if (!has->is_default)
			step(p, ACT_RESET, q->name, kv->key, has->value, NULL);
	}
	return 0;
}

static int plan_named(struct plan *p, const struct conf_qube *q, const struct conf_qube *now)
{
	for (size_t i = 0; i < q->features.n; i++) {
		const struct conf_kv *kv = &q->features.v[i], *has = conf_find(&now->features, kv->key);

		if (!has || !streq(has->value, kv->value))
			step(p, ACT_FEATURE, q->name, kv->key, has ? has->value : NULL, kv->value);
	}
	for (size_t i = 0; i < q->tags.n; i++)
		if (!conf_find(&now->tags, q->tags.v[i].key))
			step(p, ACT_TAG, q->name, q->tags.v[i].key, NULL, NULL);
	for (size_t i = 0; i < q->unset_features.n; i++) {
		const struct conf_kv *kv = &q->unset_features.v[i], *has = conf_find(&now->features, kv->key);

		if (conf_find(&q->features, kv->key))
			return wrong(p, kv, "'%s' is both set and unset", kv->key);
		if (has)
			step(p, ACT_FEATURE_RM, q->name, kv->key, has->value, NULL);
	}
	for (size_t i = 0; i < q->unset_tags.n; i++) {
		const struct conf_kv *kv = &q->unset_tags.v[i];

		if (conf_find(&q->tags, kv->key))
			return wrong(p, kv, "tag '%s' is both set and unset", kv->key);
		if (conf_find(&now->tags, kv->key))
			step(p, ACT_TAG_RM, q->name, kv->key, NULL, NULL);
	}
	return 0;
}

static int plan_volumes(struct plan *p, const struct conf_qube *q, const struct conf_qube *now)
{
	static const struct {
		const char *key;
		enum conf_act act;
	} kinds[] = { { ".size", ACT_VOL_SIZE }, { ".revisions_to_keep", ACT_VOL_KEEP }, { ".rw", ACT_VOL_RW }, { ".ephemeral", ACT_VOL_EPHEMERAL } };

	for (size_t i = 0; i < q->volumes.n; i++) {
		const struct conf_kv *kv = &q->volumes.v[i], *has = conf_find(&now->volumes, kv->key);
		const char *dot = strchr(kv->key, '.');
		char vol[64];

		if (has && streq(has->value, kv->value))
			continue;
		if (str_printf(vol, sizeof vol, "%.*s", (int)(dot - kv->key), kv->key) < 0)
			return wrong(p, kv, "the name of the volume is too long");
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
			if (streq(kinds[k].key, dot))
				step(p, kinds[k].act, q->name, vol, has ? has->value : NULL, kv->value);
	}
	return 0;
}

static int plan_devices(struct plan *p, const struct conf_qube *q, const struct conf_qube *now)
{
	for (size_t i = 0; i < q->devices.n; i++) {
		const struct conf_kv *kv = &q->devices.v[i], *has = conf_find(&now->devices, kv->key);
		struct dev_assignment a;

		if (conf_device_parse(&a, kv->key, kv->value) < 0)
			return wrong(p, kv, "'%s' is no device", kv->key);
		if (!streq(a.dev.backend, "*") && !exists_or_will(p, a.dev.backend))
			return wrong(p, kv, "there is no qube '%s' that could offer a device, and the files do not make one", a.dev.backend);
		if (!has || !streq(has->value, kv->value))
			step(p, ACT_DEVICE, q->name, kv->key, has ? has->value : NULL, kv->value);
	}
	for (size_t i = 0; i < q->unset_devices.n; i++) {
		const struct conf_kv *kv = &q->unset_devices.v[i], *has = conf_find(&now->devices, kv->key);

		if (conf_find(&q->devices, kv->key))
			return wrong(p, kv, "device '%s' is both assigned and unset", kv->key);
		if (has)
			step(p, ACT_DEVICE_RM, q->name, kv->key, has->value, NULL);
	}
	return 0;
}

static void plan_texts(struct plan *p, const struct conf_qube *q, const struct conf_qube *now)
{
	if (q->notes && !streq(q->notes, now->notes ? now->notes : ""))
		step(p, ACT_NOTES, q->name, "", now->notes, q->notes);
	if (q->firewall && !(now->firewall && streq(q->firewall, now->firewall)))
		step(p, ACT_FIREWALL, q->name, "", now->firewall, q->firewall);
}

static int plan_creation(struct plan *p, const struct conf_qube *q)
{
	const struct conf_kv *label = conf_find(&q->props, "label"), *tmpl = conf_find(&q->props, "template");
	const char *cls = q->cls ? q->cls : "AppVM";
	struct conf_step *s;
	struct conf_kv at = { .file = q->file, .line = q->line };

	if (q->clone_from) {
		if (!exists_or_will(p, q->clone_from))
			return wrong(p, &at, "'%s': there is no qube '%s' to clone", q->name, q->clone_from);
		s = step(p, ACT_CLONE, q->name, q->clone_from, NULL, q->cls);
		s->arg = label ? xstrdup(label->value) : NULL;
		return 0;
	}
	if (!label)
		return wrong(p, &at, "'%s' does not exist yet: give it a label", q->name);
	if (tmpl && !exists_or_will(p, tmpl->value))
		return wrong(p, tmpl, "there is no template '%s', and the files do not make one", tmpl->value);
	s = step(p, ACT_CREATE, q->name, cls, NULL, label->value);
	s->arg = tmpl ? xstrdup(tmpl->value) : NULL;
	return 0;
}

static int plan_qube(struct plan *p, const struct conf_qube *q)
{
	const struct adm_qube *is = adm_qubes_find(&p->all, q->name);
	struct conf_kv at = { .file = q->file, .line = q->line };
	struct conf_qube now = { .name = NULL };
	struct adm_props props;
	int r;

	if (q->remove) {
		if (is)
			step(p, ACT_REMOVE, q->name, "", is->cls, NULL);
		return 0;
	}
	if (!is) {
		r = plan_creation(p, q);
	} else if (q->cls && !streq(q->cls, is->cls)) {
		r = wrong(p, &at, "'%s' exists and is of class %s: a class cannot be changed", q->name, is->cls);
	} else {
		r = conf_now_qube(&now, is, false, p->e);
	}
	if (r < 0)
		return r;
	if (is) {
		r = adm_props_get(&props, q->name, false, p->e);
		if (r >= 0) {
			r = plan_props(p, q, &props);
			adm_props_fini(&props);
		}
	} else {
		r = plan_props(p, q, NULL);
	}
	if (r >= 0)
		r = plan_named(p, q, &now);
	if (r >= 0)
		r = plan_volumes(p, q, &now);
	if (r >= 0)
		r = plan_devices(p, q, &now);
	if (r >= 0)
		plan_texts(p, q, &now);
	conf_qube_fini(&now);
	return r;
}

static int plan_global(struct plan *p)
{
	for (size_t i = 0; i < p->want->global.n; i++) {
		const struct conf_kv *kv = &p->want->global.v[i];
		const struct adm_prop *has = adm_props_find(&p->global, kv->key);
		_cleanup_free_ char *value = NULL;
		int r = has ? normal(p, kv, has->type, &value) : wrong(p, kv, "the system has no property '%s'", kv->key);

		if (r < 0)
			return r;
		if (has->is_default || !streq(has->value, value))
			step(p, ACT_GLOBAL, "dom0", kv->key, has->value, value)->old_default = has->is_default;
	}
	for (size_t i = 0; i < p->want->unset_global.n; i++) {
		const struct conf_kv *kv = &p->want->unset_global.v[i];
		const struct adm_prop *has = adm_props_find(&p->global, kv->key);

		if (!has)
			return wrong(p, kv, "the system has no property '%s'", kv->key);
		if (!has->is_default)
			step(p, ACT_GLOBAL_RESET, "dom0", kv->key, has->value, NULL);
	}
	return 0;
}

static int plan_labels(struct plan *p)
{
	for (size_t i = 0; i < p->want->labels.n; i++) {
		const struct conf_kv *kv = &p->want->labels.v[i], *has = conf_find(&p->now.labels, kv->key);

		if (has && !streq(has->value, kv->value))
			return wrong(p, kv, "label '%s' exists with the colour %s; make one of another name", kv->key, has->value);
		if (!has)
			step(p, ACT_LABEL, "dom0", kv->key, NULL, kv->value);
	}
	return 0;
}

static int plan_policy(struct plan *p)
{
	for (size_t i = 0; i < p->want->policy.n; i++) {
		const struct conf_kv *kv = &p->want->policy.v[i];
		_cleanup_free_ char *text = NULL;
		char token[PF_TOKEN_MAX];
		struct err e = { 0 };
		size_t len;
		int r = pf_store_get(p->store, kv->key, &text, &len, token, &e);

		if (r < 0 && r != -ENOENT)
			return wrong(p, kv, "%s", err_text(&e, r));
		if (!kv->value && r == 0)
			step(p, ACT_POLICY_RM, "dom0", kv->key, text, NULL);
		if (!kv->value || (r == 0 && streq(text, kv->value)))
			continue;
		if (pf_store_check(p->store, kv->key, kv->value, strlen(kv->value), &e) < 0)
			return wrong(p, kv, "the policy would be broken: %s", e.msg);
		step(p, ACT_POLICY, "dom0", kv->key, r == 0 ? text : NULL, kv->value);
	}
	return 0;
}

/* What a qube to be made needs before it: its template, or what it is cloned from. */
static const char *base_of(const struct conf_step *s)
{
	return s->act == ACT_CLONE ? s->name : s->arg;
}

static bool is_creation(const struct conf_step *s)
{
	return s->act == ACT_CREATE || s->act == ACT_CLONE;
}

/* Creations get increasing ranks below 20 by the depth of what they rest on; disposables of new templates come after the flag is set. */
static int order_creations(struct plan *p)
{
	struct conf_plan *o = p->out;

	for (int round = 0; round < 8; round++) {
		for (size_t i = 0; i < o->n; i++) {
			const char *base = is_creation(&o->v[i]) ? base_of(&o->v[i]) : NULL;

			for (size_t k = 0; base && k < o->n; k++)
				if (is_creation(&o->v[k]) && streq(o->v[k].dest, base) && o->v[i].rank <= o->v[k].rank)
					o->v[i].rank = o->v[k].rank + 1;
		}
	}
	for (size_t i = 0; i < o->n; i++) {
		struct conf_step *s = &o->v[i];

		if (s->act == ACT_CREATE && streq(s->name, "DispVM"))
			s->rank = RANK_FIRST + 1;
		else if (is_creation(s) && s->rank >= RANK_FIRST - 1)
			return err_set(p->e, EINVAL, "'%s' cannot be made: its templates form a circle", s->dest);
	}
	/* What others rest on may be a disposable, too: its settings come after it. */
	for (size_t i = 0; i < o->n; i++)
		for (size_t k = 0; o->v[i].rank == RANK_FIRST && k < o->n; k++)
			if (o->v[k].act == ACT_CREATE && o->v[k].rank > RANK_FIRST && streq(o->v[k].dest, o->v[i].dest))
				o->v[i].rank = RANK_FIRST + 2;
	return 0;
}

static int by_rank(const void *a, const void *b)
{
	const struct conf_step *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

int conf_plan_make(struct conf_plan *ret, const struct conf *c, const struct pf_store *store, struct err *e)
{
	struct plan p = { .out = ret, .want = c, .store = store, .e = e };
	int r;

	*ret = (struct conf_plan){ .n = 0 };
	r = adm_qubes_get(&p.all, "dom0", e);
	if (r < 0)
		return r;
	r = adm_props_get(&p.global, "dom0", true, e);
	if (r < 0) {
		adm_qubes_fini(&p.all);
		return r;
	}
	r = conf_now_global(&p.now, e);
	if (r >= 0)
		r = plan_labels(&p);
	if (r >= 0)
		r = plan_global(&p);
	for (size_t i = 0; r >= 0 && i < c->n; i++)
		r = plan_qube(&p, &c->q[i]);
	if (r >= 0)
		r = plan_policy(&p);
	if (r >= 0)
		r = order_creations(&p);
	if (r >= 0 && ret->n)
		qsort(ret->v, ret->n, sizeof ret->v[0], by_rank);
	conf_fini(&p.now);
	adm_props_fini(&p.global);
	adm_qubes_fini(&p.all);
	if (r < 0)
		conf_plan_fini(ret);
	return r;
}
