/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pools. */
#include <sys/statvfs.h>

#include "base/fsx.h"
#include "base/paths.h"
#include "base/str.h"
#include "core/api/api.h"
#include "storage/drivers.h"

int api_pool_list(struct call *c)
{
	for (const struct pool *p = c->core->pools; p; p = p->next)
		wr_printf(&c->out, "%s\n", p->name);
	return 0;
}

int api_pool_list_drivers(struct call *c)
{
	for (size_t i = 0; i < pool_drivers_n; i++) {
		wr_str(&c->out, pool_drivers[i].name);
		for (size_t k = 0; k < POOL_OPTIONS_N; k++)
			if (pool_drivers[i].options & 1u << k)
				wr_printf(&c->out, " %s", pool_options[k].name);
		wr_u8(&c->out, '\n');
	}
	return 0;
}

/* Kinds of pools whose driver this program does not know any more are left alone. */
static enum pool_kind kind(const struct pool *p)
{
	const struct pool_driver *d = pool_driver_find(p->driver);

	return d ? d->kind : POOL_KERNELS;
}

static bool usage(const struct pool *p, uint64_t *size, uint64_t *used)
{
	struct statvfs st;

	if (p->size) {
		*size = p->size;
		*used = p->size - p->room;
	} else if (kind(p) == POOL_FILES && statvfs(pool_dir(p), &st) == 0) {
		*size = (uint64_t)st.f_blocks * st.f_frsize;
		*used = *size - (uint64_t)st.f_bavail * st.f_frsize;
	} else {
		return false;
	}
	/* The nearer end is the one that counts. */
	if (p->used && pool_number(p, "size_limit") - MIN(p->used, pool_number(p, "size_limit")) < *size - *used) {
		*size = pool_number(p, "size_limit");
		*used = p->used;
	}
	return true;
}

/* The nearest pool whose directory this one's is in: both have the same room. */
static const struct pool *included_in(const struct core *core, const struct pool *p)
{
	const struct pool *best = NULL;
	char dir[PATH_MAX], other[PATH_MAX];

	if (kind(p) != POOL_FILES || str_printf(dir, sizeof dir, "%s/", pool_dir(p)) < 0)
		return NULL;
	for (const struct pool *x = core->pools; x; x = x->next)
		if (x != p && kind(x) == POOL_FILES && str_printf(other, sizeof other, "%s/", pool_dir(x)) == 0 && str_starts(dir, other) &&
		    (!best || strlen(pool_dir(x)) > strlen(pool_dir(best))))
			best = x;
	return best;
}

/* A driver's own count; the pool may have gone meanwhile. */
static void info_counted(struct call *c, int r, const struct st_reply *reply)
{
	if (r >= 0)
		wr_printf(&c->out, "size=%llu\nusage=%llu\n", (unsigned long long)reply->size, (unsigned long long)reply->usage);
	call_finish(c, 0);
}

static void usage_counted(struct call *c, int r, const struct st_reply *reply)
{
	if (r >= 0)
		wr_printf(&c->out, "data_size=%llu\ndata_usage=%llu\n", (unsigned long long)reply->size, (unsigned long long)reply->usage);
	if (r >= 0 && reply->meta_size)
		wr_printf(&c->out, "metadata_size=%llu\nmetadata_usage=%llu\n", (unsigned long long)reply->meta_size,
			  (unsigned long long)reply->meta_usage);
	call_finish(c, 0);
}

static int count_devices(struct call *c, call_storage_fn next)
{
	struct st_request rq = { .op = ST_USAGE };

	if (str_copy(rq.driver, sizeof rq.driver, c->pool->driver) < 0 || str_copy(rq.pool_dir, sizeof rq.pool_dir, pool_dir(c->pool)) < 0)
		return 0;
	/* What cannot be told is left out. */
	return call_storage(c, &rq, next) == CALL_PENDING ? CALL_PENDING : 0;
}

/* Whoever asks shall not wait for what goes with little room: its event, and the end of a pause. */
static void have_looked(struct call *c)
{
	if (c->core->ops->look)
		c->core->ops->look(c->core->ops_ctx, c->pool);
}

int api_pool_info(struct call *c)
{
	struct kvmap m = { 0 };
	uint64_t size, used;

	have_looked(c);
	kv_set(&m, "name", c->pool->name);
	kv_set(&m, "driver", c->pool->driver);
	if (kind(c->pool) != POOL_KERNELS) {
		kv_set(&m, "revisions_to_keep", "1");
		kv_set(&m, "ephemeral_volatile", "False");
	}
	for (size_t i = 0; i < c->pool->config.n; i++)
		kv_set(&m, c->pool->config.v[i].key, c->pool->config.v[i].value);
	for (size_t i = 0; i < m.n; i++)
		wr_printf(&c->out, "%s=%s\n", m.v[i].key, m.v[i].value);
	kv_clear(&m);
	if (usage(c->pool, &size, &used))
		wr_printf(&c->out, "size=%llu\nusage=%llu\n", (unsigned long long)size, (unsigned long long)used);
	if (included_in(c->core, c->pool))
		wr_printf(&c->out, "included_in=%s\n", included_in(c->core, c->pool)->name);
	return kind(c->pool) == POOL_DEVICES ? count_devices(c, info_counted) : 0;
}

int api_pool_usage(struct call *c)
{
	uint64_t size, used;

	have_looked(c);
	if (kind(c->pool) == POOL_DEVICES)
		return count_devices(c, usage_counted);
	if (usage(c->pool, &size, &used))
		wr_printf(&c->out, "data_size=%llu\ndata_usage=%llu\n", (unsigned long long)size, (unsigned long long)used);
	return 0;
}

int api_pool_volume_list(struct call *c)
{
	for (size_t i = 0; i < c->core->n_sorted; i++) {
		const struct qube *q = c->core->sorted[i];

		for (size_t k = 0; k < q->n_vols; k++)
			if (k != VOL_KERNEL && streq(q->vols[k].pool, c->pool->name))
				wr_printf(&c->out, "%s\n", q->vols[k].vid);
	}
	return 0;
}

int api_pool_set_keep(struct call *c)
{
	char text[24];

	if (c->i64 < -1 || c->i64 > INT32_MAX)
		return err_set(&c->err, AE_VALUE, "revisions_to_keep is -1 or more");
	if (str_printf(text, sizeof text, "%lld", (long long)c->i64) < 0)
		abort();
	txn_pool_set(c->core, c->pool, "revisions_to_keep", text);
	return 0;
}

int api_pool_set_ephemeral(struct call *c)
{
	txn_pool_set(c->core, c->pool, "ephemeral_volatile", c->flag ? "True" : "False");
	return 0;
}

/* admin.pool.Set.OPTION of an option that is a number. */
int api_pool_set_number(struct call *c)
{
	const char *name = strrchr(c->m->name, '.') + 1;
	const struct pool_driver *d = pool_driver_find(c->pool->driver);
	const struct pool_option *o = d ? pool_option_find(d, name) : NULL;
	struct err why = { 0 };

	if (!o)
		return err_set(&c->err, AE_VALUE, "pool '%s' has no %s", c->pool->name, name);
	if (pool_value_check(o, c->body, &why) < 0)
		return err_set(&c->err, AE_VALUE, "%s", why.msg);
	txn_pool_set(c->core, c->pool, name, c->body);
	have_looked(c);
	return 0;
}

int api_pool_remove(struct call *c)
{
	static const enum prop_id defaults[] = { P_g_default_pool, P_g_default_pool_root, P_g_default_pool_private,
						 P_g_default_pool_volatile, P_g_default_pool_kernel };
	struct pval v;

	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
		if (streq(prop_text(c->core, NULL, defaults[i], &v), c->pool->name))
			return err_set(&c->err, AE_POOL_IN_USE, "pool '%s' is the %s", c->pool->name, props[defaults[i]].name);
	if (pool_used(c->core, c->pool->name))
		return err_set(&c->err, AE_POOL_IN_USE, "pool '%s' has volumes", c->pool->name);
	event(c->core, NULL, "pool-pre-delete", "pool", c->pool->name, NULL);
	event(c->core, NULL, "pool-delete", "pool", c->pool->name, NULL);
	txn_pool_del(c->core, c->pool);
	return 0;
}

static int option(struct call *c, struct pool *p, const struct pool_driver *d, const char *key, const char *value)
{
	const struct pool_option *o = pool_option_find(d, key);
	struct err why = { 0 };
	char shown[100];

	if (streq(key, "name"))
		return str_copy(p->name, sizeof p->name, value) == 0 && pool_ok(value) ?
			       0 : err_set(&c->err, AE_VALUE, "not a name for a pool");
	if (!o)
		return err_set(&c->err, AE_PROTOCOL, "driver %s has no option '%s'", d->name, str_escape(shown, sizeof shown, key, strlen(key)));
	if (kv_get(&p->config, key))
		return err_set(&c->err, AE_PROTOCOL, "'%s' is given twice", key);
	if (pool_value_check(o, value, &why) < 0)
		return err_set(&c->err, AE_VALUE, "%s", why.msg);
	kv_set(&p->config, key, value);
	return 0;
}

static int needed_options(struct call *c, const struct pool *p, const struct pool_driver *d)
{
	for (size_t i = 0; i < POOL_OPTIONS_N; i++)
		if (pool_option_needed(d, &pool_options[i]) && !kv_get(&p->config, pool_options[i].name))
			return err_set(&c->err, AE_VALUE, "the pool needs %s=", pool_options[i].name);
	if (!pool_place_ok(d, pool_dir(p)))
		return err_set(&c->err, AE_VALUE, "the options do not name a place for driver %s", d->name);
	return 0;
}

static int parse_options(struct call *c, struct pool *p, const struct pool_driver *d)
{
	struct rd r = rd_mem(c->body, c->body_len), line;
	char text[400], *eq;
	int k = 0;

	while (k == 0 && rd_line(&r, &line)) {
		rd_text(&line, text, sizeof text);
		eq = rd_done(&line) ? strchr(text, '=') : NULL;
		if (!eq)
			return err_set(&c->err, AE_PROTOCOL, "the payload is not lines of key=value");
		*eq = '\0';
		k = option(c, p, d, text, eq + 1);
	}
	if (k == 0 && !p->name[0])
		return err_set(&c->err, AE_PROTOCOL, "the payload must have name=");
	return k == 0 ? needed_options(c, p, d) : k;
}

static void add(struct call *c, struct pool *p)
{
	event(c->core, NULL, "pool-add", "pool", p->name, NULL);
	txn_pool_add(c->core, p);
}

static void probed(struct call *c, int r, const struct st_reply *reply)
{
	struct pool *p = c->state;

	c->state = NULL;
	if (r >= 0 && pool_find(c->core, p->name))
		r = err_set(&c->err, AE_POOL_IN_USE, "pool '%s' exists already", p->name);
	if (r >= 0)
		add(c, p);
	else
		pool_free(p);
	call_finish(c, r);
}

/* setup_check=False: the owner knows better. */
static bool unchecked(const struct pool *p)
{
	const char *s = kv_get(&p->config, "setup_check");
	bool b = true;

	return kind(p) == POOL_KERNELS || (s && str_bool(s, &b) == 0 && !b);
}

static int add_checked(struct call *c, struct pool *p)
{
	struct st_request rq = { .op = ST_PROBE };
	int r;

	if (str_copy(rq.pool_dir, sizeof rq.pool_dir, pool_dir(p)) < 0 || str_copy(rq.driver, sizeof rq.driver, p->driver) < 0)
		abort(); /* checked before */
	/* Below our own directory a pool makes its place; elsewhere the owner has to. A failure shows in the probe. */
	if (kind(p) == POOL_FILES && str_starts(rq.pool_dir, path_get(PATH_LIB)))
		(void)fs_mkdir_p(rq.pool_dir, 0700, NULL);
	c->state = p;
	r = call_storage(c, &rq, probed);
	if (r < 0)
		c->state = NULL;
	return r;
}

int api_pool_add(struct call *c)
{
	const struct pool_driver *d = pool_driver_find(c->arg);
	struct pool *p;
	int r;

	if (!d)
		return err_set(&c->err, AE_VALUE, "there is no storage driver '%s'", c->arg);
	p = xcalloc(1, sizeof *p);
	if (str_copy(p->driver, sizeof p->driver, d->name) < 0)
		abort(); /* names of drivers are constants */
	r = parse_options(c, p, d);
	if (r == 0 && pool_find(c->core, p->name))
		r = err_set(&c->err, AE_POOL_IN_USE, "pool '%s' exists already", p->name);
	if (r == 0 && unchecked(p)) {
		add(c, p);
		return 0;
	}
	if (r == 0)
		r = add_checked(c, p);
	if (r < 0)
		pool_free(p);
	return r;
}
