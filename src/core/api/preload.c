/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The rules of preloaded disposables. */
#include "core/api/preload.h"

#include "base/str.h"

#define MAX_KEY "preload-dispvm-max"
#define DELAY_KEY "preload-dispvm-delay"
#define THRESHOLD_KEY "preload-dispvm-threshold"
#define QUEUE_KEY "preload-dispvm"
#define PROGRESS_KEY "preload-dispvm-in-progress"
#define COMPLETED_KEY "preload-dispvm-completed"
#define OPENED_KEY "preload-dispvm-app"
#define APPS_KEY "preload-app"
#define APPS_MAX 8
#define DELAY_S 3
#define DELAY_MAX_S 86400
#define THRESHOLD_MAX_MIB (64 << 20)

static const char *value_of(const struct core *c, const struct qube *t, const char *key)
{
	const char *all = kv_get(&c->dom0->features, key);

	return all && prop_vm(c, NULL, P_g_default_dispvm) == t ? all : kv_get(&t->features, key);
}

unsigned preload_max(const struct core *c, const struct qube *t)
{
	const char *v;
	uint64_t n;

	if (!(props[P_template_for_dispvms].classes & (1u << (unsigned)t->klass)) || !prop_bool(c, t, P_template_for_dispvms))
		return 0;
	v = value_of(c, t, MAX_KEY);
	return v && str_u64(v, PRELOAD_MAX, &n) == 0 ? (unsigned)n : 0;
}

int preload_delay(const struct core *c, const struct qube *t)
{
	const char *v = value_of(c, t, DELAY_KEY);
	int64_t n;

	return v && str_i64(v, -DELAY_MAX_S, DELAY_MAX_S, &n) == 0 ? (int)n : DELAY_S;
}

uint64_t preload_threshold(const struct core *c)
{
	const char *v = kv_get(&c->dom0->features, THRESHOLD_KEY);
	uint64_t n;

	return v && str_u64(v, THRESHOLD_MAX_MIB, &n) == 0 ? n : 0;
}

bool preload_next(const struct qube *t, size_t *at, char name[QNAME_MAX + 1])
{
	const char *list = kv_get(&t->features, QUEUE_KEY);
	size_t n;

	if (!list)
		return false;
	*at += strspn(list + *at, " ");
	n = strcspn(list + *at, " ");
	if (n == 0 || n > QNAME_MAX)
		return false;
	memcpy(name, list + *at, n);
	name[n] = '\0';
	*at += n;
	return true;
}

unsigned preload_count(const struct qube *t)
{
	char name[QNAME_MAX + 1];
	unsigned n = 0;

	for (size_t at = 0; preload_next(t, &at, name);)
		n++;
	return n;
}

bool preload_waits(const struct core *c, const struct qube *q)
{
	return q->klass == K_DISP && prop_bool(c, q, P_is_preload);
}

bool preload_completed(const struct qube *q)
{
	return qube_feature(q, COMPLETED_KEY);
}

static void drop(struct core *c, struct qube *q, const char *key)
{
	if (kv_get(&q->features, key))
		feature_change(c, q, key, NULL);
}

/* The queue without one name, and with another one at its end; either may be NULL. */
static void queue_write(struct core *c, struct qube *t, const char *without, const char *with)
{
	_cleanup_wr_ struct wr w = wr_grow((QNAME_MAX + 1) * (PRELOAD_MAX + 2));
	char name[QNAME_MAX + 1];

	for (size_t at = 0; preload_next(t, &at, name);)
		if (!without || !streq(name, without))
			wr_printf(&w, "%s%s", w.len ? " " : "", name);
	if (with)
		wr_printf(&w, "%s%s", w.len ? " " : "", with);
	wr_u8(&w, 0);
	if (!wr_ok(&w))
		return; /* longer than any queue that this file wrote */
	if (w.len > 1)
		feature_change(c, t, QUEUE_KEY, (const char *)w.buf);
	else
		drop(c, t, QUEUE_KEY);
}

void preload_enqueue(struct core *c, struct qube *q, const char *reason)
{
	struct qube *t = qube_template(c, q);

	if (!t)
		return;
	event(c, t, "domain-preload-dispvm-start", "reason", reason, NULL);
	feature_change(c, q, PROGRESS_KEY, "1");
	feature_change(c, q, "internal", "1");
	queue_write(c, t, NULL, q->name.s);
}

void preload_complete(struct core *c, struct qube *q)
{
	drop(c, q, PROGRESS_KEY);
	feature_change(c, q, COMPLETED_KEY, "1");
}

/* The next word of feature preload-app; false at the end, and where there is one that could not be a name. */
static bool app_next(const char *list, size_t *at, char name[APPMENU_ID_CAP])
{
	size_t n;

	*at += strspn(list + *at, " ");
	n = strcspn(list + *at, " ");
	if (n == 0 || str_printf(name, APPMENU_ID_CAP, "%.*s", (int)n, list + *at) < 0 || !appmenu_id_ok(name))
		return false;
	*at += n;
	return true;
}

static unsigned apps_open(const struct core *c, const struct qube *t, const char *name)
{
	char waiting[QNAME_MAX + 1];
	unsigned n = 0;

	for (size_t at = 0; preload_next(t, &at, waiting);) {
		const struct qube *q = qube_find(c, waiting);
		const char *open = q ? preload_opened(q) : NULL;

		n += open && streq(open, name);
	}
	return n;
}

bool preload_app(const struct core *c, const struct qube *t, char name[APPMENU_ID_CAP])
{
	const char *list = kv_get(&t->features, APPS_KEY);
	char word[APPMENU_ID_CAP];
	unsigned fewest = UINT32_MAX;

	for (size_t at = 0; list && app_next(list, &at, word);) {
		unsigned n = apps_open(c, t, word);

		if (n >= fewest)
			continue;
		fewest = n;
		memcpy(name, word, sizeof word);
	}
	return fewest != UINT32_MAX;
}

const char *preload_opened(const struct qube *q)
{
	return kv_get(&q->features, OPENED_KEY);
}

void preload_open(struct core *c, struct qube *q, const char *name)
{
	feature_change(c, q, OPENED_KEY, name);
}

void preload_forget(struct core *c, struct qube *t, const char *name)
{
	queue_write(c, t, name, NULL);
}

void preload_use(struct core *c, struct qube *q)
{
	struct qube *t = qube_template(c, q);
	const char *internal = t ? kv_get(&t->features, "internal") : NULL;

	if (t) {
		preload_forget(c, t, q->name.s);
		event(c, q, "domain-preload-dispvm-used", NULL);
	}
	drop(c, q, PROGRESS_KEY);
	drop(c, q, COMPLETED_KEY);
	drop(c, q, OPENED_KEY);
	/* What it would have, had it been made now. */
	if (internal)
		feature_change(c, q, "internal", internal);
	else
		drop(c, q, "internal");
}

/* Settings that are a disposable's own, or say nothing about how it works. */
static bool own_prop(unsigned p)
{
	static const enum prop_id own[] = { P_auto_cleanup, P_autostart, P_backup_timestamp, P_default_dispvm, P_dispid, P_include_in_backups,
					    P_installed_by_rpm, P_ip, P_ip6, P_mac, P_name, P_qid, P_template, P_uuid, P_label };

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (own[i] == p)
			return true;
	return false;
}

static bool own_feature(const char *key)
{
	return str_starts(key, QUEUE_KEY) || streq(key, "internal");
}

/* Is there a feature of a that b has not, or not so? */
static bool features_differ(const struct qube *a, const struct qube *b)
{
	for (size_t i = 0; i < a->features.n; i++) {
		const char *v = own_feature(a->features.v[i].key) ? NULL : kv_get(&b->features, a->features.v[i].key);

		if (!own_feature(a->features.v[i].key) && (!v || !streq(v, a->features.v[i].value)))
			return true;
	}
	return false;
}

const char *preload_stale(const struct core *c, const struct qube *t, const struct qube *q)
{
	const unsigned both = (1u << (unsigned)t->klass) | PC_DISP;
	struct pval x, y;

	if (qube_template(c, q) != t)
		return "template";
	for (unsigned p = 0; p < P_N; p++)
		if ((props[p].classes & both) == both && !(props[p].flags & PF_RO) && !own_prop(p) &&
		    !streq(prop_text(c, t, p, &x), prop_text(c, q, p, &y)))
			return props[p].name;
	if (features_differ(t, q) || features_differ(q, t))
		return "features";
	if (!streq(t->firewall ? t->firewall : "", q->firewall ? q->firewall : ""))
		return "firewall";
	/* The label is copied when it is made. */
	return streq(prop_text(c, t, P_label, &x), prop_text(c, q, P_label, &y)) ? NULL : "label";
}

static int check_apps(struct call *c)
{
	char word[APPMENU_ID_CAP];
	size_t at = 0;
	unsigned n = 0;

	if (c->dest == c->core->dom0 || !(props[P_template_for_dispvms].classes & (1u << (unsigned)c->dest->klass)))
		return err_set(&c->err, AE_VALUE, "'%s' cannot be a disposable template", c->dest->name.s);
	while (app_next(c->body, &at, word))
		n++;
	at += strspn(c->body + at, " ");
	if (c->body[at])
		return err_set(&c->err, AE_VALUE, "%s is names of desktop files without .desktop, one space between them", c->arg);
	return n > APPS_MAX ? err_set(&c->err, AE_VALUE, "%s: at most %d programs", c->arg, APPS_MAX) : 0;
}

int preload_check(struct call *c)
{
	bool max = streq(c->arg, MAX_KEY), delay = streq(c->arg, DELAY_KEY), threshold = streq(c->arg, THRESHOLD_KEY);
	bool admin = c->dest == c->core->dom0;
	uint64_t n;
	int64_t i;

	if (streq(c->arg, APPS_KEY))
		return check_apps(c);
	if (!max && !delay && !threshold)
		return 0;
	if (threshold && !admin)
		return err_set(&c->err, AE_VALUE, "%s belongs to dom0", c->arg);
	if (!admin && !(props[P_template_for_dispvms].classes & (1u << (unsigned)c->dest->klass)))
		return err_set(&c->err, AE_VALUE, "'%s' cannot be a disposable template", c->dest->name.s);
	if (!c->body[0])
		return 0;
	if (max && str_u64(c->body, PRELOAD_MAX, &n) < 0)
		return err_set(&c->err, AE_VALUE, "%s is a number from 0 to %d", c->arg, PRELOAD_MAX);
	if (delay && str_i64(c->body, -DELAY_MAX_S, DELAY_MAX_S, &i) < 0)
		return err_set(&c->err, AE_VALUE, "%s is a number of seconds; negative: refill when none is left", c->arg);
	if (threshold && str_u64(c->body, THRESHOLD_MAX_MIB, &n) < 0)
		return err_set(&c->err, AE_VALUE, "%s is a number of MiB", c->arg);
	return 0;
}
