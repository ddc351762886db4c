/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What qvm-setup made and what was there before, and how to take it back without taking anything of the user's. */
#include "tool/feature_list.h"
#include "tool/setup.h"

int setup_record_put(const char *key, const char *value, struct err *e)
{
	_cleanup_free_ char *name = xasprintf(SETUP_RECORD "%s", key);

	return adm_void("dom0", value ? "admin.vm.feature.Set" : "admin.vm.feature.Remove", name, value, e);
}

int setup_record_get(struct setup_record *ret, struct err *e)
{
	struct features f;
	int r = features_get(&f, "dom0", SETUP_RECORD, e);

	*ret = (struct setup_record){ .unfinished = false };
	if (r < 0)
		return r;
	for (size_t i = 0; i < f.n; i++) {
		const char *key = f.v[i].name + strlen(SETUP_RECORD);

		if (!f.v[i].value)
			continue;
		if (str_starts(key, "qube."))
			conf_add(&ret->qubes, key + strlen("qube."), f.v[i].value);
		else if (str_starts(key, "global."))
			conf_add(&ret->globals, key + strlen("global."), f.v[i].value);
		else if (streq(key, "state"))
			ret->unfinished = !streq(f.v[i].value, "done");
	}
	features_fini(&f);
	return 0;
}

void setup_record_fini(struct setup_record *r)
{
	conf_list_fini(&r->qubes);
	conf_list_fini(&r->globals);
}

int setup_token(char out[PF_TOKEN_MAX], const struct adm_qube *q, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(1u << 20);
	struct conf_qube now;
	struct conf c = { .q = &now, .n = 1 };
	int r = conf_now_qube(&now, q, true, e);

	if (r < 0)
		return r;
	conf_write(&w, &c);
	conf_qube_fini(&now);
	if (!wr_ok(&w))
		return err_set(e, E2BIG, "the settings of '%s' are too long", q->name);
	pf_token(out, (const char *)w.buf, w.len);
	return 0;
}

/* A qube that ran has an older revision of its private volume, or is running. */
static int was_used(const struct adm_qube *q, bool *ret, struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	int r = adm_text(&rep, q->name, "admin.vm.volume.ListSnapshots", "private", NULL, e);

	*ret = r >= 0 && rep.len > 0;
	return r < 0 ? r : 0;
}

struct undo {
	const struct setup_record *rec;
	const struct adm_qubes *all;
	struct adm_props *props; /* of all[i] */
	struct adm_props global;
	bool *go; /* all[i] is to be removed */
	struct conf *out;
	struct conf_list *notes;
	struct err *e;
};

static void stays(const struct undo *u, size_t i, const char *why)
{
	conf_add(u->notes, u->all->v[i].name, why);
	u->go[i] = false;
}

/* Ours, as we made it, and never run? */
static int judge(const struct undo *u, size_t i)
{
	const struct adm_qube *q = &u->all->v[i];
	const struct conf_kv *kv = conf_find(&u->rec->qubes, q->name);
	char uuid[64], token[PF_TOKEN_MAX], now[PF_TOKEN_MAX];
	const char *blank = kv && kv->value ? strchr(kv->value, ' ') : NULL;
	bool used;
	int r;

	if (!blank || str_printf(uuid, sizeof uuid, "%.*s", (int)(blank - kv->value), kv->value) < 0 || str_copy(token, sizeof token, blank + 1) < 0)
		return 0;
	u->go[i] = true;
	if (!streq(uuid, q->uuid) && !(streq(uuid, "-") && u->rec->unfinished)) {
		stays(u, i, "another qube has the name now");
		return 0;
	}
	r = was_used(q, &used, u->e);
	if (r >= 0)
		r = setup_token(now, q, u->e);
	if (r < 0)
		return r;
	if (!streq(q->state, "Halted"))
		stays(u, i, "it is running");
	else if (used)
		stays(u, i, "it was started or has data");
	else if (!streq(token, "-") && !streq(token, now))
		stays(u, i, "its settings were changed");
	return 0;
}

static bool refers(const struct adm_props *p, const char *qube)
{
	for (size_t i = 0; i < p->n; i++)
		if (!p->v[i].is_default && streq(p->v[i].type, "vm") && streq(p->v[i].value, qube))
			return true;
	return false;
}

static bool needed_by_others(const struct undo *u, size_t i, char *why, size_t cap)
{
	for (size_t k = 0; k < u->all->n; k++)
		if (k != i && !u->go[k] && refers(&u->props[k], u->all->v[i].name))
			return str_printf(why, cap, "'%s', which stays, needs it", u->all->v[k].name) == 0;
	for (size_t k = 0; k < u->global.n; k++) {
		const struct adm_prop *g = &u->global.v[k];

		if (!g->is_default && streq(g->type, "vm") && streq(g->value, u->all->v[i].name) && !conf_find(&u->out->global, g->name) &&
		    !conf_find(&u->out->unset_global, g->name))
			return str_printf(why, cap, "the system's %s names it", g->name) == 0;
	}
	return false;
}

static void drop_needed(const struct undo *u)
{
	char why[128];
	bool more = true;

	while (more) {
		more = false;
		for (size_t i = 0; i < u->all->n; i++) {
			if (u->go[i] && needed_by_others(u, i, why, sizeof why)) {
				stays(u, i, why);
				more = true;
			}
		}
	}
}

/* Who is named by another that also goes must wait for it. */
static void order(const struct undo *u)
{
	size_t left = 0;
	bool moved = true;

	for (size_t i = 0; i < u->all->n; i++)
		left += u->go[i];
	while (left && moved) {
		moved = false;
		for (size_t i = 0; i < u->all->n; i++) {
			bool waits = false;

			for (size_t k = 0; u->go[i] && k < u->all->n && !waits; k++)
				waits = k != i && u->go[k] && refers(&u->props[k], u->all->v[i].name);
			if (!u->go[i] || waits)
				continue;
			conf_qube_add(u->out, u->all->v[i].name)->remove = true;
			u->go[i] = false;
			moved = true;
			left--;
		}
	}
}

/* A setting that still is what the set made it goes back to what it was. */
static int restore_globals(const struct undo *u)
{
	struct conf_qube *dom0 = NULL;

	for (size_t i = 0; i < u->rec->globals.n; i++) {
		const struct conf_kv *kv = &u->rec->globals.v[i];
		const char *blank = strrchr(kv->value, ' ');
		_cleanup_free_ char *ours = blank ? xstrndup(kv->value, (size_t)(blank - kv->value)) : NULL;
		const struct adm_prop *is = adm_props_find(&u->global, kv->key);
		struct conf_kv *put;

		if (!ours)
			continue;
		if (str_starts(kv->key, "feature.")) {
			_cleanup_reply_ struct adm_reply rep = { 0 };

			if (adm_text(&rep, "dom0", "admin.vm.feature.Get", kv->key + 8, NULL, NULL) < 0 || !streq(rep.data, ours))
				continue;
			dom0 = dom0 ? dom0 : conf_qube_add(u->out, "dom0");
			put = blank[1] == '=' ? conf_add(&dom0->features, kv->key + 8, blank + 2) : conf_add(&dom0->unset_features, kv->key + 8, NULL);
		} else if (is && !is->is_default && streq(is->value, ours)) {
			put = blank[1] == '=' ? conf_add(&u->out->global, kv->key, blank + 2) : conf_add(&u->out->unset_global, kv->key, NULL);
		} else {
			continue;
		}
		put->file = "the record of qvm-setup";
	}
	return 0;
}

int setup_undo_conf(struct conf *ret, const struct setup_record *rec, const struct adm_qubes *all, struct conf_list *notes, struct err *e)
{
	_cleanup_free_ struct adm_props *props = xcalloc(all->n + 1, sizeof *props);
	_cleanup_free_ bool *go = xcalloc(all->n + 1, sizeof *go);
	struct undo u = { .rec = rec, .all = all, .props = props, .go = go, .out = ret, .notes = notes, .e = e };
	size_t read = 0;
	int r = adm_props_get(&u.global, "dom0", true, e);

	if (r < 0)
		return r;
	for (; r >= 0 && read < all->n; read++)
		r = adm_props_get(&props[read], all->v[read].name, false, e);
	if (r < 0)
		read--;
	for (size_t i = 0; r >= 0 && i < all->n; i++)
		r = judge(&u, i);
	if (r >= 0)
		r = restore_globals(&u);
	if (r >= 0) {
		drop_needed(&u);
		order(&u);
	}
	for (size_t i = 0; i < read; i++)
		adm_props_fini(&props[i]);
	adm_props_fini(&u.global);
	return r;
}
