/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pools. */
#include <sys/statvfs.h>

#include "base/fsx.h"
#include "base/paths.h"
#include "base/str.h"
#include "core/api/api.h"

static const struct {
	const char *name;
	const char *options[5];
} drivers[] = {
	{ "file-qcow2", { "dir_path", "revisions_to_keep", "ephemeral_volatile" } },
	{ "file-reflink", { "dir_path", "revisions_to_keep", "ephemeral_volatile", "setup_check" } },
	{ "linux-kernel", { "dir_path" } },
};

int api_pool_list(struct call *c)
{
	for (const struct pool *p = c->core->pools; p; p = p->next)
		wr_printf(&c->out, "%s\n", p->name);
	return 0;
}

int api_pool_list_drivers(struct call *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		wr_str(&c->out, drivers[i].name);
		for (size_t k = 0; k < ARRAY_SIZE(drivers[i].options) && drivers[i].options[k]; k++)
			wr_printf(&c->out, " %s", drivers[i].options[k]);
		wr_u8(&c->out, '\n');
	}
	return 0;
}

static bool usage(const struct pool *p, uint64_t *size, uint64_t *used)
{
	struct statvfs st;

	if (streq(p->driver, "linux-kernel") || statvfs(pool_dir(p), &st) < 0)
		return false;
	*size = (uint64_t)st.f_blocks * st.f_frsize;
	*used = *size - (uint64_t)st.f_bavail * st.f_frsize;
	return true;
}

int api_pool_info(struct call *c)
{
	struct kvmap m = { 0 };
	uint64_t size, used;

	kv_set(&m, "name", c->pool->name);
	kv_set(&m, "driver", c->pool->driver);
	if (!streq(c->pool->driver, "linux-kernel")) {
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
	return 0;
}

int api_pool_usage(struct call *c)
{
	uint64_t size, used;

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

static int option(struct call *c, struct pool *p, const char *key, const char *value)
{
	int64_t n;
	bool b;

	if (streq(key, "name"))
		return str_copy(p->name, sizeof p->name, value) == 0 && pool_ok(value) ?
			       0 : err_set(&c->err, AE_VALUE, "not a name for a pool");
	if (kv_get(&p->config, key))
		return err_set(&c->err, AE_PROTOCOL, "'%s' is given twice", key);
	if (streq(key, "dir_path") && (value[0] != '/' || strstr(value, "/../") || strlen(value) >= 200))
		return err_set(&c->err, AE_VALUE, "dir_path is an absolute path of at most 199 bytes");
	if (streq(key, "revisions_to_keep") && str_i64(value, -1, INT32_MAX, &n) < 0)
		return err_set(&c->err, AE_VALUE, "revisions_to_keep is a number");
	if ((streq(key, "ephemeral_volatile") || streq(key, "setup_check")) && str_bool(value, &b) < 0)
		return err_set(&c->err, AE_VALUE, "%s is True or False", key);
	kv_set(&p->config, key, value);
	return 0;
}

static bool known_option(const char *driver, const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		for (size_t k = 0; streq(drivers[i].name, driver) && k < ARRAY_SIZE(drivers[i].options) && drivers[i].options[k]; k++)
			if (streq(drivers[i].options[k], key))
				return true;
	return streq(key, "name");
}

static int parse_options(struct call *c, struct pool *p)
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
		if (!known_option(p->driver, text))
			return err_set(&c->err, AE_PROTOCOL, "driver %s has no such option", p->driver);
		k = option(c, p, text, eq + 1);
	}
	if (k == 0 && !p->name[0])
		return err_set(&c->err, AE_PROTOCOL, "the payload must have name=");
	if (k == 0 && !pool_dir(p)[0])
		return err_set(&c->err, AE_VALUE, "the pool needs dir_path=");
	return k;
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
	if (r >= 0 && streq(p->driver, "file-reflink") && !streq(reply->driver, "file-reflink"))
		r = err_set(&c->err, AE_STORAGE, "the file system of %s cannot share blocks: use driver file-qcow2", pool_dir(p));
	if (r >= 0)
		add(c, p);
	else
		pool_free(p);
	call_finish(c, r);
}

int api_pool_add(struct call *c)
{
	struct pool *p = xcalloc(1, sizeof *p);
	struct st_request rq = { .op = ST_PROBE };
	bool known = false;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
		known |= streq(drivers[i].name, c->arg);
	if (!known)
		r = err_set(&c->err, AE_VALUE, "there is no such storage driver");
	if (r == 0 && str_copy(p->driver, sizeof p->driver, c->arg) < 0)
		r = err_set(&c->err, AE_VALUE, "there is no such storage driver");
	if (r == 0)
		r = parse_options(c, p);
	if (r == 0 && pool_find(c->core, p->name))
		r = err_set(&c->err, AE_POOL_IN_USE, "pool '%s' exists already", p->name);
	if (r < 0) {
		pool_free(p);
		return r;
	}
	if (streq(p->driver, "linux-kernel")) {
		add(c, p);
		return 0;
	}
	if (str_copy(rq.pool_dir, sizeof rq.pool_dir, pool_dir(p)) < 0)
		abort(); /* checked above */
	/* Below our own directory a pool makes its place; elsewhere the owner has to. A failure shows in the probe. */
	if (str_starts(pool_dir(p), path_get(PATH_LIB)))
		(void)fs_mkdir_p(pool_dir(p), 0700, NULL);
	c->state = p;
	r = call_storage(c, &rq, probed);
	if (r < 0) {
		c->state = NULL;
		pool_free(p);
	}
	return r;
}
