/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Creation. The row is written first in state "creating" (hidden), then the volumes are made, then one transaction shows the
 * qube: a crash in between leaves a hidden row, which api_sweep takes back with its files.
 */
#include <sys/random.h>
#include <time.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "core/api/api.h"
#include "core/api/remove.h"
#include "core/prop_rules.h"
#include "proto/appmenu.h"

#define DISP_REST_S (7 * 24 * 3600)

struct wish {
	char name[64], label[64], pool[VOL_N][64];
	bool has_pool, has_volume_pool;
};

struct creation {
	struct core *core;
	struct call *call;
	struct qube *q;
	unsigned next_volume;
	bool disposable, answer_uuid;
};

static int volume_index(const char *name)
{
	static const char *const names[VOL_N] = { "root", "private", "volatile", "kernel" };

	for (int i = 0; i < VOL_N; i++)
		if (streq(names[i], name))
			return i;
	return -1;
}

static int set_once(struct call *c, char *slot, size_t cap, const char *key, const char *value)
{
	if (slot[0])
		return err_set(&c->err, AE_PROTOCOL, "'%s' is given twice", key);
	if (!value[0] || str_copy(slot, cap, value) < 0)
		return err_set(&c->err, AE_PROTOCOL, "the value of '%s' is empty or too long", key);
	return 0;
}

static int parse_key(struct call *c, struct wish *w, const char *key, const char *value)
{
	int i = str_starts(key, "pool:") ? volume_index(key + 5) : -1, r;
	bool pools = c->m->param & CREATE_POOL;
	char shown[100];

	if (streq(key, "name"))
		return set_once(c, w->name, sizeof w->name, key, value);
	if (streq(key, "label"))
		return set_once(c, w->label, sizeof w->label, key, value);
	if (!pools || (!streq(key, "pool") && i < 0))
		return err_set(&c->err, AE_PROTOCOL, "the payload has no key '%s'; there are %s", str_escape(shown, sizeof shown, key, strlen(key)),
			       pools ? "name, label, pool and pool:VOLUME" : "name and label");
	if (i >= 0 ? w->has_pool : w->has_volume_pool)
		return err_set(&c->err, AE_PROTOCOL, "either pool or pool:VOLUME can be given, not both");
	if (i >= 0) {
		w->has_volume_pool = true;
		return set_once(c, w->pool[i], sizeof w->pool[i], key, value);
	}
	w->has_pool = true;
	for (i = 0; i < VOL_KERNEL; i++) {
		r = set_once(c, w->pool[i], sizeof w->pool[i], key, value);
		if (r < 0)
			return r;
	}
	return 0;
}

static int parse_wish(struct call *c, struct wish *w)
{
	struct rd r = rd_mem(c->body, c->body_len);
	char word[160];
	char *eq;
	int k;

	memset(w, 0, sizeof *w);
	while (rd_left(&r) > 0) {
		const uint8_t *space = memchr(r.p, ' ', rd_left(&r));
		struct rd part = rd_sub(&r, space ? (size_t)(space - r.p) : rd_left(&r));

		if (space)
			rd_skip(&r, 1);
		rd_text(&part, word, sizeof word);
		eq = strchr(word, '=');
		/* A space separates, so something has to follow it. */
		if (!rd_done(&part) || !eq || (space && !rd_left(&r)))
			return err_set(&c->err, AE_PROTOCOL, "the payload is not name=NAME label=LABEL");
		*eq = '\0';
		k = parse_key(c, w, word, eq + 1);
		if (k < 0)
			return k;
	}
	if (!w->name[0] || !w->label[0])
		return err_set(&c->err, AE_PROTOCOL, "the payload must have name and label");
	return 0;
}

static int check_template(struct call *c, enum klass k, struct qube **ret)
{
	struct qube probe = { .klass = k };
	struct qube *t = NULL;
	char out[PV_BUF];
	int r;

	*ret = NULL;
	if (k != K_APP && k != K_DISP)
		return c->arg[0] ? err_set(&c->err, AE_PROTOCOL, "a %s has no template", klass_name(k)) : 0;
	if (c->arg[0]) {
		r = qube_lookup(c->core, c->arg, &t, &c->err);
		if (r < 0)
			return r;
	} else {
		t = prop_vm(c->core, NULL, k == K_APP ? P_g_default_template : P_g_default_dispvm);
	}
	if (!t)
		return err_set(&c->err, AE_NO_TEMPLATE, "no template is given and there is no default one");
	r = c_template(c->core, &probe, t->name.s, out, &c->err);
	if (r < 0)
		return r;
	*ret = t;
	return 0;
}

static int check_pools(struct call *c, const struct wish *w)
{
	char shown[100];

	for (unsigned i = 0; i < VOL_N; i++)
		if (w->pool[i][0] && !pool_find(c->core, w->pool[i]))
			return err_set(&c->err, AE_POOL_NOT_FOUND, "there is no pool '%s'",
				       str_escape(shown, sizeof shown, w->pool[i], strlen(w->pool[i])));
	return 0;
}

/* A clock that was set back makes numbers rest longer, never shorter. */
static bool rests(const struct core *core, uint32_t id, int64_t now)
{
	return core->disp_used[id] && now - core->disp_used[id] < DISP_REST_S;
}

/* A number that no disposable has, and none had in the last week, whatever was started anew meanwhile. */
static int pick_dispid(struct core *core, uint32_t *ret)
{
	static bool used[DISP_NUMBERS];
	int64_t now = (int64_t)time(NULL);
	uint32_t at;

	memset(used, 0, sizeof used);
	for (uint32_t i = 0; i <= QID_MAX; i++) {
		int64_t id = core->by_qid[i] && core->by_qid[i]->klass == K_DISP ? prop_int(core, core->by_qid[i], P_dispid, -1) : -1;

		if (id >= 0 && id < DISP_NUMBERS)
			used[id] = true;
	}
	if (getrandom(&at, sizeof at, 0) != (ssize_t)sizeof at)
		return -EIO;
	for (uint32_t i = 0; i < DISP_NUMBERS; i++) {
		uint32_t id = (at + i) % DISP_NUMBERS;

		if (used[id] || rests(core, id, now))
			continue;
		txn_disp_number(core, id);
		*ret = id;
		return 0;
	}
	return -ENOSPC;
}

static int make_uuid(struct uuid *ret)
{
	uint8_t b[16];

	if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b)
		return -EIO;
	uuid_from_bytes(ret, b);
	return 0;
}

static void tag(struct core *core, struct qube *q, const char *name)
{
	if (tag_ok(name) && !kv_get(&q->tags, name))
		txn_tag(core, q, name, true);
}

/* Tags and guivm that follow from who made the qube. */
static void mark_creator(struct call *c, struct qube *q)
{
	const char *with = kv_get(&c->src->features, "tag-created-vm-with"), *gui = kv_get(&c->src->features, "set-created-guivm");
	char name[80];

	if (str_printf(name, sizeof name, "created-by-%s", c->src_name) == 0)
		tag(c->core, q, name);
	while (with && *with) {
		const char *end = strchr(with, ' ');
		size_t n = end ? (size_t)(end - with) : strlen(with);

		if (n && n < sizeof name) {
			memcpy(name, with, n);
			name[n] = '\0';
			tag(c->core, q, name);
		}
		with = end ? end + 1 : NULL;
	}
	if (gui && qube_find(c->core, gui) && prop_find(q, "guivm"))
		prop_init(c->core, q, P_guivm, gui);
}

static void set_volumes(struct call *c, struct qube *q, const struct wish *w, const struct qube *t)
{
	for (unsigned i = 0; i < q->n_vols; i++) {
		struct volume *v = &q->vols[i];
		const struct volume *src = volume_source(c->core, q, v, NULL);
		const char *pool = w && w->pool[i][0] ? w->pool[i] : pool_default_for(c->core, i);

		/* A volume that shows another one lies in the same pool. */
		if (src)
			pool = src->pool;
		else if (q->klass == K_DISP && t && t->n_vols)
			pool = t->vols[i].pool;
		if (q->klass == K_DISP && t && t->n_vols && i != VOL_KERNEL)
			v->ephemeral = t->vols[i].ephemeral;
		if (str_copy(v->pool, sizeof v->pool, pool) < 0)
			abort(); /* names of pools are bounded */
	}
}

/* Said before anything is made, whether the pool was asked for or is the default. */
static int check_places(struct call *c, const struct qube *q)
{
	for (unsigned i = 0; i < q->n_vols; i++) {
		const struct pool *p = i == VOL_KERNEL ? NULL : pool_find(c->core, q->vols[i].pool);

		if (p && streq(p->driver, "linux-kernel"))
			return err_set(&c->err, AE_STORAGE, "pool '%s' holds kernels only: the %s volume of '%s' needs another one", p->name,
				       q->vols[i].name, q->name.s);
		if (p && q->vols[i].save_on_stop && pool_takes(p, q->vols[i].size, &c->err) < 0)
			return -AE_STORAGE;
	}
	return 0;
}

/* What a disposable takes over from its template at creation. */
static void copy_from_template(struct core *core, struct qube *q, const struct qube *t)
{
	for (size_t i = 0; i < t->features.n; i++)
		if (!str_starts(t->features.v[i].key, "preload-dispvm"))
			txn_feature(core, q, t->features.v[i].key, t->features.v[i].value);
	for (size_t i = 0; i < t->tags.n; i++)
		if (!str_starts(t->tags.v[i].key, "created-by-"))
			tag(core, q, t->tags.v[i].key);
	for (unsigned p = 0; p < P_N; p++)
		if (t->props[p] && (props[p].classes & PC_DISP) && !(props[p].flags & (PF_ONCE | PF_RO)) && p != P_template &&
		    p != P_label && p != P_default_dispvm && p != P_include_in_backups && p != P_installed_by_rpm &&
		    p != P_autostart && p != P_backup_timestamp && p != P_ip && p != P_ip6 && p != P_mac)
			prop_init(core, q, p, t->props[p]);
	if (t->firewall)
		txn_firewall(core, q, t->firewall);
}

static void show(struct creation *cr)
{
	struct core *core = cr->core;
	struct qube *q = cr->q;

	if (q->row != ROW_READY)
		txn_qube_row(core, q, ROW_READY);
	event(core, NULL, "domain-add", "vm", q->name.s, NULL);
	event(core, q, "domain-init", NULL);
	for (size_t i = 0; i < q->tags.n; i++)
		eventf(core, q, "domain-tag-add:", q->tags.v[i].key, "tag", q->tags.v[i].key, NULL);
	event(core, q, "domain-create-on-disk", NULL);
	if (cr->disposable)
		wr_printf(&cr->call->out, cr->answer_uuid ? "uuid:%s" : "%s", cr->answer_uuid ? q->uuid.s : q->name.s);
}

static void next_step(struct creation *cr);

static void give_up(struct creation *cr, int r)
{
	struct call *c = cr->call;

	/* The error is the creation's; the files and the hidden row go without it. */
	removal_start(cr->core, cr->q, NULL);
	call_finish(c, r);
}

static void volume_made(struct call *c, int r, const struct st_reply *reply)
{
	struct creation *cr = c->state;

	if (r < 0) {
		(void)err_add(&c->err, r, "creating the %s volume of '%s'", cr->q->vols[cr->next_volume].name, cr->q->name.s);
		give_up(cr, r);
		return;
	}
	cr->next_volume++;
	next_step(cr);
}

static void next_step(struct creation *cr)
{
	struct call *c = cr->call;
	struct st_request rq;
	int r;

	while (cr->next_volume < cr->q->n_vols && !cr->q->vols[cr->next_volume].save_on_stop)
		cr->next_volume++;
	if (cr->next_volume == cr->q->n_vols) {
		show(cr);
		call_finish(c, 0);
		return;
	}
	r = volume_request(cr->core, cr->q, &cr->q->vols[cr->next_volume], ST_CREATE, &rq, &c->err);
	if (r == 0)
		r = call_storage(c, &rq, volume_made);
	if (r < 0)
		give_up(cr, r);
}

static bool has_files(const struct qube *q)
{
	for (size_t i = 0; i < q->n_vols; i++)
		if (q->vols[i].save_on_stop)
			return true;
	return false;
}

/* Makes the row of a checked wish and goes on to the volumes. */
static int begin(struct call *c, enum klass k, const char *name, const char *label, const struct wish *w, struct qube *t,
		 struct creation *cr, const char *dispid)
{
	uint32_t qid = qid_free(c->core);
	struct uuid uuid;
	struct qube *q;

	if (!qid)
		return err_set(&c->err, AE_GENERIC, "there are %d qubes: no number is free", QID_MAX);
	if (make_uuid(&uuid) < 0)
		return err_set(&c->err, AE_GENERIC, "no random numbers");
	q = qube_alloc(name, &uuid, qid, k);
	q->row = has_files(q) ? ROW_CREATING : ROW_READY;
	/* Template and pools are part of the row's volumes, so they are known before it is written. */
	if (t)
		q->props[P_template] = xstrdup(t->name.s);
	set_volumes(c, q, w, t);
	if (check_places(c, q) < 0) {
		qube_free(q);
		return -AE_STORAGE;
	}
	txn_qube_add(c->core, q);
	prop_init(c->core, q, P_label, label);
	if (t)
		prop_init(c->core, q, P_template, t->name.s);
	if (k == K_DISP) {
		prop_init(c->core, q, P_dispid, dispid);
		copy_from_template(c->core, q, t);
	}
	if (!c->ahead)
		mark_creator(c, q);
	if (prop_find(q, "guivm")) {
		const char *tags[2] = { prop_vm(c->core, q, P_guivm) ? "guivm-" : NULL, prop_vm(c->core, q, P_audiovm) ? "audiovm-" : NULL };
		char text[64];

		for (unsigned i = 0; i < 2; i++)
			if (tags[i] && str_printf(text, sizeof text, "%s%s", tags[i],
						  prop_vm(c->core, q, i ? P_audiovm : P_guivm)->name.s) == 0)
				tag(c->core, q, text);
	}
	cr->core = c->core;
	cr->call = c;
	cr->q = q;
	return 0;
}

static int go(struct call *c, struct creation *cr)
{
	if (cr->q->row == ROW_READY) {
		show(cr);
		return 0;
	}
	if (txn_commit(c->core, &c->err) < 0)
		return -AE_GENERIC;
	next_step(cr);
	return CALL_PENDING;
}

int api_create(struct call *c)
{
	enum klass k = (enum klass)(c->m->param & ~CREATE_POOL);
	struct creation *cr = xcalloc(1, sizeof *cr);
	struct qname name;
	char shown[100];
	struct wish w;
	struct qube *t;
	char id[16] = "";
	uint32_t dispid = 0;
	int r = parse_wish(c, &w);

	c->state = cr;
	if (r == 0 && qname_parse(&name, w.name, &c->err) < 0)
		r = err_set(&c->err, AE_VALUE, "%s", err_text(&c->err, -EINVAL));
	if (r < 0)
		return r;
	if (qube_find_any(c->core, name.s))
		return err_set(&c->err, AE_VM_EXISTS, "Qube with name '%s' already exists", name.s);
	r = check_template(c, k, &t);
	if (r == 0 && !label_find(c->core, w.label))
		r = err_set(&c->err, AE_LABEL_NOT_FOUND, "there is no label '%s'", str_escape(shown, sizeof shown, w.label, strlen(w.label)));
	if (r == 0)
		r = check_pools(c, &w);
	if (r == 0 && k == K_DISP && (pick_dispid(c->core, &dispid) < 0 || str_printf(id, sizeof id, "%u", dispid) < 0))
		r = err_set(&c->err, AE_GENERIC, "no number is free for a disposable");
	if (r == 0)
		r = begin(c, k, name.s, w.label, &w, t, cr, id);
	return r < 0 ? r : go(c, cr);
}

static void mark_asker(struct call *c, struct qube *q)
{
	char text[80];

	if (str_printf(text, sizeof text, "disp-created-by-%s", c->src_name) == 0)
		tag(c->core, q, text);
}

/* The payload: "uuid" when the answer is to be the uuid, "app=NAME" when a program of the menu is to be started in it; in this order. */
static bool by_uuid(const struct call *c)
{
	return streq(c->body, "uuid") || str_starts(c->body, "uuid ");
}

static int disposable_wish(struct call *c)
{
	const char *at = c->body + (by_uuid(c) ? strlen("uuid") : 0);

	at += by_uuid(c) && *at;
	if (!*at && !str_ends(c->body, " "))
		return 0;
	if (!str_starts(at, "app=") || !appmenu_id_ok(at + strlen("app=")) || str_copy(c->app, sizeof c->app, at + strlen("app=")) < 0)
		return err_set(&c->err, AE_PROTOCOL, "the payload can only be 'uuid' or 'app=NAME', or both");
	return 0;
}

void disposable_given(struct call *c, struct qube *q)
{
	mark_creator(c, q);
	mark_asker(c, q);
	wr_printf(&c->out, by_uuid(c) ? "uuid:%s" : "%s", by_uuid(c) ? q->uuid.s : q->name.s);
}

int api_create_disposable(struct call *c)
{
	struct creation *cr = xcalloc(1, sizeof *cr);
	struct qube *t = c->dest, *probe;
	char name[32], id[16], out[PV_BUF];
	struct pval label;
	uint32_t dispid;
	int r;

	c->state = cr;
	if (c->arg[0] && !streq(c->arg, "preload"))
		return err_set(&c->err, AE_PROTOCOL, "the argument can only be 'preload'");
	r = disposable_wish(c);
	if (r < 0)
		return r;
	if (t == c->core->dom0)
		t = prop_find(c->src, "default_dispvm") ? prop_vm(c->core, c->src, P_default_dispvm) : NULL;
	if (!t)
		return err_set(&c->err, AE_GENERIC, "there is no default disposable template");
	if (c_disposable(c->core, NULL, t->name.s, out, &c->err) < 0)
		return err_set(&c->err, AE_GENERIC, "'%s' is not a disposable template: template_for_dispvms is False", t->name.s);
	if (c->arg[0]) {
		if (c->core->ops->preload_refresh && !c->core->no_vms)
			c->core->ops->preload_refresh(c->core->ops_ctx);
		return 0;
	}
	if (!c->fresh && c->core->ops->preload_take && !c->core->no_vms) {
		r = c->core->ops->preload_take(c->core->ops_ctx, t, c);
		if (r != 0)
			return r;
	}
	do {
		if (pick_dispid(c->core, &dispid) < 0)
			return err_set(&c->err, AE_GENERIC, "no number is free for a disposable");
		if (str_printf(name, sizeof name, "disp%u", dispid) < 0 || str_printf(id, sizeof id, "%u", dispid) < 0)
			abort();
		probe = qube_find_any(c->core, name);
	} while (probe);
	r = begin(c, K_DISP, name, prop_text(c->core, t, P_label, &label), NULL, t, cr, id);
	if (r < 0)
		return r;
	prop_init(c->core, cr->q, P_auto_cleanup, "True");
	if (!c->ahead)
		mark_asker(c, cr->q);
	cr->disposable = true;
	cr->answer_uuid = by_uuid(c);
	return go(c, cr);
}
