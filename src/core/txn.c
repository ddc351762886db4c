/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Undo log and database writes of the object model. */
#include "core/txn.h"

#include <stdarg.h>
#include <time.h>

#include "base/log.h"
#include "base/str.h"
#include "core/anon.h"
#include "core/core.h"

enum undo_kind { U_NOTHING, U_SLOT, U_KV, U_VOLUME, U_QUBE_ADD, U_QUBE_ROW, U_QUBE_DEL, U_LABEL_ADD, U_LABEL_DEL, U_POOL_ADD, U_POOL_DEL };

struct undo {
	struct undo *next; /* the change before this one */
	enum undo_kind kind;
	struct qube *q;
	struct label *label;
	struct pool *pool;
	char **slot;
	struct kvmap *map;
	char *key, *old;
	struct volume *vol;
	struct volume old_vol;
	enum qube_row row;
};

static void fail(struct core *c, int r)
{
	if (r < 0)
		c->txn.failed = true;
}

static struct undo *record(struct core *c, enum undo_kind kind)
{
	struct undo *u = xcalloc(1, sizeof *u);

	if (!c->txn.open) {
		c->txn.open = true;
		c->txn.failed = false;
		err_clear(&c->txn.err);
		fail(c, c->db->begin(c->db_ctx, &c->txn.err));
	}
	u->kind = kind;
	u->next = c->txn.undo;
	c->txn.undo = u;
	return u;
}

/* Database writes stop after the first failure, so that its text is kept. */
#define DB(c, fn, ...)                                                                             \
	do {                                                                                       \
		if (!(c)->txn.failed)                                                              \
			fail(c, (c)->db->fn((c)->db_ctx, __VA_ARGS__, &(c)->txn.err));             \
	} while (0)

static void undo_one(struct core *c, struct undo *u)
{
	switch (u->kind) {
	case U_NOTHING:
		break;
	case U_SLOT:
		free(*u->slot);
		*u->slot = STEAL_PTR(u->old);
		break;
	case U_KV:
		kv_set(u->map, u->key, u->old);
		break;
	case U_VOLUME:
		*u->vol = u->old_vol;
		break;
	case U_QUBE_ADD:
		qube_unlink(c, u->q);
		qube_free(u->q);
		break;
	case U_QUBE_ROW:
		if (u->q->row == ROW_READY)
			qube_hide(c, u->q);
		u->q->row = u->row;
		if (u->row == ROW_READY)
			qube_show(c, u->q);
		break;
	case U_QUBE_DEL:
		qube_link(c, u->q);
		break;
	case U_LABEL_ADD:
		label_unlink(c, u->label);
		free(u->label);
		break;
	case U_LABEL_DEL:
		label_link(c, u->label);
		break;
	case U_POOL_ADD:
		pool_unlink(c, u->pool);
		pool_free(u->pool);
		break;
	case U_POOL_DEL:
		pool_link(c, u->pool);
		break;
	}
}

static void forget_one(struct undo *u)
{
	if (u->kind == U_QUBE_DEL)
		qube_free(u->q);
	if (u->kind == U_LABEL_DEL)
		free(u->label);
	if (u->kind == U_POOL_DEL)
		pool_free(u->pool);
}

static void drop_log(struct core *c, bool undo)
{
	while (c->txn.undo) {
		struct undo *u = c->txn.undo;

		c->txn.undo = u->next;
		if (undo)
			undo_one(c, u);
		else
			forget_one(u);
		free(u->key);
		free(u->old);
		free(u);
	}
	c->txn.open = false;
	c->txn.failed = false;
}

static void drop_events(struct core *c)
{
	while (c->txn.events) {
		struct queued_event *ev = c->txn.events;

		c->txn.events = ev->next;
		free(ev);
	}
	c->txn.events_tail = &c->txn.events;
}

/* An event for a caller other than dom0, until policy has answered. */
struct held_event {
	struct core *c;
	uint64_t sub;
	size_t len;
	uint8_t frame[];
};

static void held_answered(void *arg, const char *answers)
{
	struct held_event *h = arg;
	struct subscriber *lists[] = { h->c->subs, h->c->stat_subs }, *s = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(lists) && !s; i++)
		for (s = lists[i]; s && s->id != h->sub;)
			s = s->next;
	if (s && answers && answers[0] == '1')
		s->send(s, h->frame, h->len);
	free(h);
}

void subscriber_offer(struct core *c, const struct subscriber *s, const char *service, const char *target, const void *frame, size_t n)
{
	struct held_event *h;

	if (!c->ops->policy_ask)
		return;
	h = xcalloc(1, sizeof *h + n);
	h->c = c;
	h->sub = s->id;
	h->len = n;
	memcpy(h->frame, frame, n);
	if (c->ops->policy_ask(c->ops_ctx, s->src, service, target, held_answered, h, NULL) < 0)
		free(h); /* nobody decides: not allowed */
}

/* Policy is asked for admin.Events with the event's name as argument, on the qube (or dom0) that it is about. */
static void ask_for(struct core *c, const struct subscriber *s, const struct queued_event *ev)
{
	const char *name = (const char *)ev->frame + 2 + strlen(ev->subject) + 1;
	char service[300];

	if (str_printf(service, sizeof service, "admin.Events+%s", name) < 0)
		return;
	for (char *p = service; *p; p++)
		if (*p == ':')
			*p = '_';
	subscriber_offer(c, s, service, ev->subject[0] ? ev->subject : "dom0", ev->frame, ev->len);
}

static void send_events(struct core *c)
{
	struct queued_event *list = c->txn.events;

	c->txn.events = NULL;
	c->txn.events_tail = &c->txn.events;
	while (list) {
		struct queued_event *ev = list;
		struct subscriber *s, *next;

		list = ev->next;
		for (s = c->subs; s; s = next) {
			next = s->next; /* send may end the subscription */
			if (s->only[0] && !streq(s->only, ev->subject))
				continue;
			if (streq(s->src, "dom0"))
				s->send(s, ev->frame, ev->len);
			else
				ask_for(c, s, ev);
		}
		free(ev);
	}
}

int txn_commit(struct core *c, struct err *e)
{
	int r = 0;

	anon_settle(c);
	if (c->txn.open) {
		if (!c->txn.failed)
			fail(c, c->db->commit(c->db_ctx, &c->txn.err));
		if (c->txn.failed) {
			log_error("the database cannot be written: %s", c->txn.err.msg);
			r = err_set(e, AE_GENERIC, "the change could not be saved: %s", c->txn.err.msg);
			txn_rollback(c);
			return r;
		}
		drop_log(c, false);
	}
	if (c->txn.sysinfo)
		c->sysinfo_gen++;
	send_events(c);
	return r;
}

void txn_rollback(struct core *c)
{
	if (c->txn.open)
		c->db->rollback(c->db_ctx);
	drop_log(c, true);
	drop_events(c);
	c->txn.sysinfo = false;
}

static void set_slot(struct core *c, char **slot, const char *value)
{
	struct undo *u = record(c, U_SLOT);

	u->slot = slot;
	u->old = *slot;
	*slot = value ? xstrdup(value) : NULL;
}

static void set_kv(struct core *c, struct kvmap *m, const char *key, const char *value)
{
	struct undo *u = record(c, U_KV);

	u->map = m;
	u->key = xstrdup(key);
	u->old = kv_replace(m, key, value);
}

void txn_disp_number(struct core *c, uint32_t id)
{
	char number[16], when[24];

	c->disp_used[id] = (int64_t)time(NULL);
	if (str_printf(number, sizeof number, "%u", id) < 0 || str_printf(when, sizeof when, "%lld", (long long)c->disp_used[id]) < 0)
		abort();
	(void)record(c, U_NOTHING);
	DB(c, kv_put, KV_NUMBER, "", number, when);
}

void txn_sysinfo(struct core *c)
{
	c->txn.sysinfo = true;
}

void txn_prop(struct core *c, struct qube *q, unsigned prop, const char *value)
{
	c->txn.anon = c->txn.anon || prop == P_template || prop == P_netvm || prop == P_default_dispvm || prop == P_provides_network ||
		      prop == P_template_for_dispvms;
	set_slot(c, &q->props[prop], value);
	if (props[prop].flags & PF_POLICY)
		txn_sysinfo(c);
	DB(c, kv_put, KV_PROP, q->uuid.s, props[prop].name, value);
}

void txn_global(struct core *c, unsigned prop, const char *value)
{
	set_slot(c, &c->globals[prop], value);
	if (props[prop].flags & PF_POLICY)
		txn_sysinfo(c);
	DB(c, kv_put, KV_GLOBAL, "", props[prop].name, value);
}

void txn_feature(struct core *c, struct qube *q, const char *key, const char *value)
{
	set_kv(c, &q->features, key, value);
	c->txn.anon = c->txn.anon || str_starts(key, "whonix-");
	if (streq(key, "internal") || streq(key, "servicevm") || streq(key, OFFLINE_DISPVM_FEATURE) || streq(key, RAM_ONLY_FEATURE))
		txn_sysinfo(c);
	DB(c, kv_put, KV_FEATURE, q->uuid.s, key, value);
}

void txn_tag(struct core *c, struct qube *q, const char *tag, bool on)
{
	set_kv(c, &q->tags, tag, on ? "" : NULL);
	c->txn.anon = true;
	txn_sysinfo(c);
	DB(c, kv_put, KV_TAG, q->uuid.s, tag, on ? "" : NULL);
}

void txn_device(struct core *c, struct qube *q, const char *key, const char *value)
{
	set_kv(c, &q->devices, key, value);
	DB(c, kv_put, KV_DEVICE, q->uuid.s, key, value);
}

void txn_notes(struct core *c, struct qube *q, const char *text)
{
	set_slot(c, &q->notes, text);
	DB(c, kv_put, KV_TEXT, q->uuid.s, "notes", text);
}

void txn_firewall(struct core *c, struct qube *q, const char *text)
{
	set_slot(c, &q->firewall, text);
	DB(c, kv_put, KV_TEXT, q->uuid.s, "firewall", text);
}

void txn_volume(struct core *c, struct qube *q, struct volume *v, const struct volume *value)
{
	struct undo *u = record(c, U_VOLUME);

	u->vol = v;
	u->old_vol = *v;
	*v = *value;
	DB(c, volume_put, q, v);
}

void txn_qube_add(struct core *c, struct qube *q)
{
	struct undo *u = record(c, U_QUBE_ADD);

	u->q = q;
	qube_link(c, q);
	c->txn.anon = true;
	txn_sysinfo(c);
	DB(c, qube_put, q);
	for (size_t i = 0; i < q->n_vols; i++)
		DB(c, volume_put, q, &q->vols[i]);
}

void txn_qube_row(struct core *c, struct qube *q, unsigned row)
{
	struct undo *u = record(c, U_QUBE_ROW);

	u->q = q;
	u->row = q->row;
	if (q->row == ROW_READY)
		qube_hide(c, q);
	q->row = (enum qube_row)row;
	if (q->row == ROW_READY)
		qube_show(c, q);
	c->txn.anon = true;
	txn_sysinfo(c);
	DB(c, qube_put, q);
}

void txn_qube_del(struct core *c, struct qube *q)
{
	struct undo *u = record(c, U_QUBE_DEL);

	u->q = q;
	qube_unlink(c, q);
	txn_sysinfo(c);
	DB(c, qube_del, q);
}

void txn_label_add(struct core *c, struct label *l)
{
	record(c, U_LABEL_ADD)->label = l;
	label_link(c, l);
	DB(c, label_put, l);
}

void txn_label_del(struct core *c, struct label *l)
{
	record(c, U_LABEL_DEL)->label = l;
	label_unlink(c, l);
	DB(c, label_del, l);
}

void txn_pool_add(struct core *c, struct pool *p)
{
	record(c, U_POOL_ADD)->pool = p;
	pool_link(c, p);
	DB(c, pool_put, p);
	for (size_t i = 0; i < p->config.n; i++)
		DB(c, kv_put, KV_POOL, p->name, p->config.v[i].key, p->config.v[i].value);
}

void txn_pool_del(struct core *c, struct pool *p)
{
	record(c, U_POOL_DEL)->pool = p;
	pool_unlink(c, p);
	DB(c, pool_del, p);
}

void txn_pool_set(struct core *c, struct pool *p, const char *key, const char *value)
{
	set_kv(c, &p->config, key, value);
	DB(c, kv_put, KV_POOL, p->name, key, value);
}

static void queue(struct core *c, const struct qube *q, const char *prefix, const char *detail, va_list ap)
{
	/* Room for a value as long as a request, the one that it replaces, and names. */
	_cleanup_wr_ struct wr w = wr_grow(3u * ADMIN_REQUEST_MAX);
	_cleanup_free_ char *name = xasprintf("%s%s", prefix, detail);
	struct queued_event *ev;
	const char *key;

	if (!c->txn.events_tail)
		c->txn.events_tail = &c->txn.events;
	admin_put_event(&w, q ? q->name.s : "", name);
	while ((key = va_arg(ap, const char *))) {
		const char *value = va_arg(ap, const char *);

		admin_put_event_arg(&w, key, value ? value : "None");
	}
	admin_put_event_end(&w);
	if (!wr_ok(&w)) {
		log_error("an event %s does not fit", name); /* no value can be that long */
		return;
	}
	ev = xcalloc(1, sizeof *ev + w.len);
	memcpy(ev->frame, w.buf, w.len);
	ev->len = w.len;
	if (q)
		memcpy(ev->subject, q->name.s, sizeof q->name.s);
	*c->txn.events_tail = ev;
	c->txn.events_tail = &ev->next;
}

void event(struct core *c, const struct qube *q, const char *name, ...)
{
	va_list ap;

	va_start(ap, name);
	queue(c, q, name, "", ap);
	va_end(ap);
}

void eventf(struct core *c, const struct qube *q, const char *prefix, const char *detail, ...)
{
	va_list ap;

	va_start(ap, detail);
	queue(c, q, prefix, detail, ap);
	va_end(ap);
}
