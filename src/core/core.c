/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables of the object model: qubes by name, uuid and number, labels, pools. */
#include "core/core.h"

#include "base/log.h"
#include "base/str.h"
#include "core/device.h"

static const char *const class_names[K_N] = {
	[K_ADMIN] = "AdminVM",	   [K_APP] = "AppVM",		    [K_DISP] = "DispVM",
	[K_REMOTE] = "RemoteVM",   [K_STANDALONE] = "StandaloneVM", [K_TEMPLATE] = "TemplateVM",
};

const char *klass_name(enum klass k)
{
	return k < K_N ? class_names[k] : "?";
}

enum klass klass_parse(const char *name)
{
	unsigned k = 0;

	while (k < K_N && !streq(class_names[k], name))
		k++;
	return (enum klass)k;
}

struct core *core_new(const struct core_ops *ops, void *ops_ctx, const struct db_ops *db, void *db_ctx)
{
	struct core *c = xcalloc(1, sizeof *c);

	c->ops = ops;
	c->ops_ctx = ops_ctx;
	c->db = db;
	c->db_ctx = db_ctx;
	c->txn.events_tail = &c->txn.events;
	c->txn.anon = true; /* what a database brings is looked at as well */
	c->sysinfo = wr_grow(64u << 20);
	c->sysinfo_gen = 1;
	return c;
}

void qube_free(struct qube *q)
{
	if (!q)
		return;
	for (size_t i = 0; i < P_N; i++)
		free(q->props[i]);
	kv_clear(&q->features);
	kv_clear(&q->tags);
	kv_clear(&q->devices);
	free(q->notes);
	free(q->firewall);
	free(q);
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	kv_clear(&p->config);
	free(p);
}

void core_free(struct core *c)
{
	struct qube *q, *tmp;

	if (!c)
		return;
	txn_rollback(c);
	HASH_ITER(hh_name, c->by_name, q, tmp) {
		qube_unlink(c, q);
		qube_free(q);
	}
	while (c->labels) {
		struct label *l = c->labels;

		c->labels = l->next;
		free(l);
	}
	while (c->pools) {
		struct pool *p = c->pools;

		c->pools = p->next;
		pool_free(p);
	}
	for (size_t i = 0; i < P_N; i++)
		free(c->globals[i]);
	free(c->sorted);
	free(c->pci);
	wr_free(&c->sysinfo);
	free(c);
}

struct qube *qube_alloc(const char *name, const struct uuid *uuid, uint32_t qid, enum klass k)
{
	struct qube *q = xcalloc(1, sizeof *q);

	if (str_copy(q->name.s, sizeof q->name.s, name) < 0)
		abort(); /* names were parsed */
	q->uuid = *uuid;
	q->qid = qid;
	q->klass = k;
	q->row = ROW_READY;
	q->state = k == K_ADMIN || k == K_REMOTE ? LIFE_RUNNING : LIFE_HALTED;
	volumes_init(q);
	return q;
}

/* dom0 first, then by name. */
static int order(const struct qube *a, const struct qube *b)
{
	if ((a->klass == K_ADMIN) != (b->klass == K_ADMIN))
		return a->klass == K_ADMIN ? -1 : 1;
	return strcmp(a->name.s, b->name.s);
}

static size_t place(const struct core *c, const struct qube *q)
{
	size_t lo = 0, hi = c->n_sorted;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (order(c->sorted[mid], q) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void qube_show(struct core *c, struct qube *q)
{
	size_t i = place(c, q);

	if (c->n_sorted == c->cap_sorted) {
		c->cap_sorted = c->cap_sorted ? c->cap_sorted * 2 : 64;
		c->sorted = xreallocarray(c->sorted, c->cap_sorted, sizeof *c->sorted);
	}
	memmove(c->sorted + i + 1, c->sorted + i, (c->n_sorted - i) * sizeof *c->sorted);
	c->sorted[i] = q;
	c->n_sorted++;
}

void qube_hide(struct core *c, struct qube *q)
{
	size_t i = place(c, q);

	if (i >= c->n_sorted || c->sorted[i] != q)
		return;
	memmove(c->sorted + i, c->sorted + i + 1, (c->n_sorted - i - 1) * sizeof *c->sorted);
	c->n_sorted--;
}

void qube_link(struct core *c, struct qube *q)
{
	HASH_ADD_KEYPTR(hh_name, c->by_name, q->name.s, strlen(q->name.s), q);
	HASH_ADD_KEYPTR(hh_uuid, c->by_uuid, q->uuid.s, UUID_LEN, q);
	c->by_qid[q->qid] = q;
	if (q->klass == K_ADMIN)
		c->dom0 = q;
	if (q->row == ROW_READY)
		qube_show(c, q);
}

void qube_unlink(struct core *c, struct qube *q)
{
	if (q->row == ROW_READY)
		qube_hide(c, q);
	HASH_DELETE(hh_name, c->by_name, q);
	HASH_DELETE(hh_uuid, c->by_uuid, q);
	c->by_qid[q->qid] = NULL;
}

uint32_t qid_free(const struct core *c)
{
	for (uint32_t i = 1; i <= QID_MAX; i++)
		if (!c->by_qid[i])
			return i;
	return 0;
}

struct qube *qube_find_any(const struct core *c, const char *name)
{
	struct qube *q = NULL;

	HASH_FIND(hh_name, c->by_name, name, strlen(name), q);
	return q;
}

struct qube *qube_by_uuid(const struct core *c, const char *uuid)
{
	struct qube *q = NULL;

	HASH_FIND(hh_uuid, c->by_uuid, uuid, strlen(uuid), q);
	return q && q->row == ROW_READY ? q : NULL;
}

struct qube *qube_find(const struct core *c, const char *name)
{
	struct qube *q;

	if (str_starts(name, "uuid:"))
		return qube_by_uuid(c, name + 5);
	q = qube_find_any(c, name);
	return q && q->row == ROW_READY ? q : NULL;
}

int qube_lookup(const struct core *c, const char *ref, struct qube **ret, struct err *e)
{
	struct uuid uuid;
	char shown[80];

	if (str_starts(ref, "uuid:") && uuid_parse(&uuid, ref + 5) < 0)
		return err_set(e, AE_VM_BAD_UUID, "not a uuid: '%s'", str_escape(shown, sizeof shown, ref, strlen(ref)));
	*ret = qube_find(c, ref);
	if (!*ret)
		return err_set(e, AE_VM_NOT_FOUND, "No such domain: '%s'", str_escape(shown, sizeof shown, ref, strlen(ref)));
	return 0;
}

struct qube *qube_template(const struct core *c, const struct qube *q)
{
	return q->props[P_template] ? qube_find(c, q->props[P_template]) : NULL;
}

bool qube_feature(const struct qube *q, const char *name)
{
	const char *v = kv_get(&q->features, name);

	return v && v[0];
}

const char *qube_feature_inherited(const struct core *c, const struct qube *q, const char *name)
{
	const char *v = NULL;

	for (int depth = 0; q && !v && depth < 8; depth++) {
		v = kv_get(&q->features, name);
		q = qube_template(c, q);
	}
	return v;
}

uint32_t qube_gui_mib(const struct core *c, const struct qube *q)
{
	const char *v = qube_feature_inherited(c, q, "gui");

	return v && v[0] ? GUI_MIB : 0;
}

bool qube_ram_only(const struct core *c, const struct qube *q)
{
	const char *v;

	if (q->klass != K_DISP && !(q->klass == K_APP && prop_bool(c, q, P_template_for_dispvms)))
		return false;
	v = qube_feature_inherited(c, q, RAM_ONLY_FEATURE);
	v = v ? v : kv_get(&c->dom0->features, RAM_ONLY_FEATURE);
	return v && v[0];
}

const char *qube_used_by(const struct core *c, const struct qube *q, char out[96])
{
	struct dev_assignment a;
	const struct qube *user;

	for (size_t p = 0; p < P_N; p++) {
		if (props[p].type != PT_VM)
			continue;
		if (props[p].classes & PC_GLOBAL && c->globals[p] && streq(c->globals[p], q->name.s))
			return str_printf(out, 96, "the system's %s", props[p].name) < 0 ? "?" : out;
		for (size_t i = 0; i < c->n_sorted; i++) {
			const struct qube *x = c->sorted[i];

			if (x != q && x->props[p] && streq(x->props[p], q->name.s))
				return str_printf(out, 96, "%s of '%s'", props[p].name, x->name.s) < 0 ? "?" : out;
		}
	}
	user = device_user(c, q, &a);
	if (user)
		return str_printf(out, 96, "backend of a %s device that is assigned to '%s'", dev_class_name(a.cls), user->name.s) < 0 ? "?" : out;
	return NULL;
}

struct label *label_find(const struct core *c, const char *name)
{
	struct label *l = c->labels;

	while (l && !streq(l->name, name))
		l = l->next;
	return l;
}

void label_link(struct core *c, struct label *l)
{
	struct label **p = &c->labels;

	while (*p && (*p)->index < l->index)
		p = &(*p)->next;
	l->next = *p;
	*p = l;
}

void label_unlink(struct core *c, struct label *l)
{
	struct label **p = &c->labels;

	while (*p && *p != l)
		p = &(*p)->next;
	if (*p)
		*p = l->next;
}

struct pool *pool_find(const struct core *c, const char *name)
{
	struct pool *p = c->pools;

	while (p && !streq(p->name, name))
		p = p->next;
	return p;
}

void pool_link(struct core *c, struct pool *p)
{
	struct pool **at = &c->pools;

	while (*at && strcmp((*at)->name, p->name) < 0)
		at = &(*at)->next;
	p->next = *at;
	*at = p;
}

void pool_unlink(struct core *c, struct pool *p)
{
	struct pool **at = &c->pools;

	while (*at && *at != p)
		at = &(*at)->next;
	if (*at)
		*at = p->next;
}
