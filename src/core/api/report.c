/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a qube says about itself (specs/admin-api.md §8.2): qubes.FeaturesRequest reads /features-request/, qubes.NotifyTools (parameter 1)
 * /qubes-tools/. Everything comes from the guest: keys are looked up in a table, values are checked, and what is set already stays.
 */
#include "base/str.h"
#include "core/api/api.h"

#define LIST_MAX 2048

enum how {
	H_ONCE01, /* 0 or 1, only when the qube has no such feature yet */
	H_FREE01, /* 0 or 1, always */
	H_TEXT,
	H_VERSION, /* digit first, then digits . - */
	H_DATE,	   /* YYYY-MM-DD */
	H_ON,	   /* can only be switched on */
};

static const struct {
	const char *key;
	enum how how;
} known[] = {
	{ "qrexec", H_ONCE01 },	  { "gui", H_ONCE01 },	      { "gui-emulated", H_ONCE01 },   { "qubes-firewall", H_FREE01 },
	{ "vmexec", H_FREE01 },	  { "os", H_TEXT },	      { "os-distribution", H_TEXT }, { "os-distribution-like", H_TEXT },
	{ "os-version", H_VERSION }, { "os-eol", H_DATE },    { "anon-timezone", H_ON },     { "qubes-agent-version", H_VERSION },
	{ "whonix-gw", H_ON },	  { "whonix-ws", H_ON },
};

/* Lists that are announced as a whole: KEY.NAME = 1 for each. */
static const char *const lists[] = { "supported-service", "supported-feature", "supported-rpc" };

static bool value_safe(const char *s)
{
	return strlen(s) <= LIST_MAX && str_chars(s, "-.,_= ");
}

static bool is_date(const char *s)
{
	for (size_t i = 0; i < 10; i++)
		if (i == 4 || i == 7 ? s[i] != '-' : !ch_digit(s[i]))
			return false;
	return s[10] == '\0';
}

static void set(struct core *core, struct qube *q, const char *key, const char *value)
{
	const char *old = kv_get(&q->features, key);

	if (!old || !value || !streq(old, value))
		feature_change(core, q, key, value);
}

static void apply_one(struct core *core, struct qube *q, const char *key, enum how how, const char *v)
{
	bool bit = streq(v, "0") || streq(v, "1"), has = kv_get(&q->features, key) != NULL;

	switch (how) {
	case H_ONCE01:
		if (!bit || has)
			return;
		set(core, q, key, v[0] == '1' ? "1" : "");
		if (streq(key, "qrexec") && v[0] == '1')
			event(core, q, "template-postinstall", NULL);
		return;
	case H_FREE01:
		if (bit)
			set(core, q, key, v[0] == '1' ? "1" : "");
		return;
	case H_VERSION:
		for (const char *s = v; *s; s++)
			if (!ch_digit(*s) && !(s > v && strchr(".-", *s)))
				return;
		break;
	case H_DATE:
		if (!is_date(v))
			return;
		break;
	case H_ON:
		if (streq(v, "1"))
			set(core, q, key, "1");
		return;
	case H_TEXT:
	default:
		break;
	}
	if (v[0] && strlen(v) <= 255)
		set(core, q, key, v);
}

static bool requested(const struct kvmap *map, const char *prefix, const char *name)
{
	char key[300];

	return str_printf(key, sizeof key, "%s.%s", prefix, name) == 0 && kv_get(map, key) && streq(kv_get(map, key), "1");
}

/* The announced set replaces the one that was there; announcing nothing changes nothing. */
static void apply_list(struct core *core, struct qube *q, const char *prefix, const struct kvmap *map)
{
	size_t n = strlen(prefix);
	bool any = false;

	for (size_t i = 0; i < map->n; i++)
		any |= strncmp(map->v[i].key, prefix, n) == 0 && map->v[i].key[n] == '.' && feature_ok(map->v[i].key) &&
		       streq(map->v[i].value, "1");
	if (!any)
		return;
	for (size_t i = q->features.n; i-- > 0;) {
		const char *key = q->features.v[i].key;
		_cleanup_free_ char *copy = NULL;

		if (strncmp(key, prefix, n) != 0 || key[n] != '.' || requested(map, prefix, key + n + 1))
			continue;
		copy = xstrdup(key);
		set(core, q, copy, NULL);
	}
	for (size_t i = 0; i < map->n; i++)
		if (strncmp(map->v[i].key, prefix, n) == 0 && map->v[i].key[n] == '.' && feature_ok(map->v[i].key) &&
		    streq(map->v[i].value, "1"))
			set(core, q, map->v[i].key, "1");
}

/* The text of a dictionary, as events show one. Values were checked: none has a quote. */
static char *shown(const struct kvmap *map)
{
	_cleanup_wr_ struct wr w = wr_grow(65536);
	bool first = true;

	wr_u8(&w, '{');
	for (size_t i = 0; i < map->n; i++) {
		if (!feature_ok(map->v[i].key))
			continue;
		wr_printf(&w, "%s'%s': '%s'", first ? "" : ", ", map->v[i].key, map->v[i].value);
		first = false;
	}
	wr_u8(&w, '}');
	return wr_ok(&w) ? wr_take(&w, NULL) : xstrdup("{}");
}

static void apply(struct call *c, int k, const struct kvmap *map)
{
	_cleanup_free_ char *untrusted = NULL;
	struct qube *q = k < 0 ? NULL : qube_find(c->core, c->src_name);
	bool based = q && (q->klass == K_APP || q->klass == K_DISP);

	if (!q) {
		call_finish(c, k < 0 ? k : err_set(&c->err, AE_VM_NOT_FOUND, "'%s' was removed meanwhile", c->src_name));
		return;
	}
	for (size_t i = 0; i < map->n; i++)
		if (!value_safe(map->v[i].value)) {
			call_finish(c, err_set(&c->err, AE_VALUE, "'%s' reports a value with characters that are not allowed", q->name.s));
			return;
		}
	untrusted = shown(map);
	event(c->core, q, "features-request", "untrusted_features", untrusted, NULL);
	for (size_t i = 0; !based && i < ARRAY_SIZE(known); i++) {
		const char *v = kv_get(map, known[i].key);

		if (v)
			apply_one(c->core, q, known[i].key, known[i].how, v);
	}
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		if (!based || streq(lists[i], "supported-rpc"))
			apply_list(c->core, q, lists[i], map);
	call_finish(c, 0);
}

int api_features_request(struct call *c)
{
	if (c->src->klass == K_ADMIN || !c->core->ops->report || c->core->no_vms)
		return err_set(&c->err, AE_VM_NOT_RUNNING, "'%s' has no QubesDB", c->src_name);
	return c->core->ops->report(c->core->ops_ctx, c->src, c->m->param ? "/qubes-tools/" : "/features-request/", c, apply);
}
