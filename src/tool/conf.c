/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of a configuration, and what of a qube belongs to the system rather than to its configuration. */
#include "tool/conf.h"

struct conf_kv *conf_find(const struct conf_list *l, const char *key)
{
	for (size_t i = 0; i < l->n; i++)
		if (streq(l->v[i].key, key))
			return &l->v[i];
	return NULL;
}

struct conf_kv *conf_add(struct conf_list *l, const char *key, const char *value)
{
	struct conf_kv *kv;

	if ((l->n & (l->n - 1)) == 0)
		l->v = xreallocarray(l->v, l->n ? l->n * 2 : 1, sizeof *l->v);
	kv = &l->v[l->n++];
	*kv = (struct conf_kv){ .key = xstrdup(key), .value = value ? xstrdup(value) : NULL };
	return kv;
}

void conf_list_fini(struct conf_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].key);
		free(l->v[i].value);
	}
	free(l->v);
	*l = (struct conf_list){ .n = 0 };
}

void conf_qube_fini(struct conf_qube *q)
{
	struct conf_list *lists[] = { &q->props, &q->features, &q->tags, &q->volumes, &q->devices, &q->unset_props, &q->unset_features, &q->unset_tags,
				      &q->unset_devices };

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		conf_list_fini(lists[i]);
	free(q->name);
	free(q->cls);
	free(q->clone_from);
	free(q->notes);
	free(q->firewall);
	*q = (struct conf_qube){ .name = NULL };
}

void conf_fini(struct conf *c)
{
	for (size_t i = 0; i < c->n; i++)
		conf_qube_fini(&c->q[i]);
	for (size_t i = 0; i < c->n_files; i++)
		free(c->files[i]);
	conf_list_fini(&c->global);
	conf_list_fini(&c->unset_global);
	conf_list_fini(&c->labels);
	conf_list_fini(&c->policy);
	free(c->q);
	free(c->files);
	*c = (struct conf){ .n = 0 };
}

struct conf_qube *conf_qube_find(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (streq(c->q[i].name, name))
			return &c->q[i];
	return NULL;
}

struct conf_qube *conf_qube_add(struct conf *c, const char *name)
{
	if ((c->n & (c->n - 1)) == 0)
		c->q = xreallocarray(c->q, c->n ? c->n * 2 : 1, sizeof *c->q);
	c->q[c->n] = (struct conf_qube){ .name = xstrdup(name) };
	return &c->q[c->n++];
}

static bool in(const char *const *set, size_t n, const char *s)
{
	for (size_t i = 0; i < n; i++)
		if (streq(set[i], s))
			return true;
	return false;
}

bool conf_prop_fixed(const char *prop)
{
	/* Computed, or given once by the creation; backup_timestamp is the backup tool's. */
	static const char *const fixed[] = { "name", "qid", "uuid", "klass", "icon", "xid", "stubdom_xid", "stubdom_uuid", "start_time", "updateable",
					     "visible_ip", "visible_ip6", "visible_gateway", "visible_gateway6", "visible_netmask", "gateway",
					     "gateway6", "dns", "dispid", "is_preload", "backup_timestamp", "installed_by_rpm" };

	return in(fixed, ARRAY_SIZE(fixed), prop);
}

bool conf_feature_own(const char *feature)
{
	static const char *const own[] = { "preload-dispvm", "preload-dispvm-completed", "preload-dispvm-in-progress", "deferred-netvm-original",
					   "updates-available", "last-updates-check", "last-update", "update-unfinished", "update-before", "servicevm" };

	return in(own, ARRAY_SIZE(own), feature) || str_starts(feature, "supported-") || str_starts(feature, "os-") || streq(feature, "os") ||
	       streq(feature, "qubes-agent-version");
}

bool conf_tag_own(const char *tag)
{
	return str_starts(tag, "created-by-") || str_starts(tag, "disp-created-by-") || str_starts(tag, "guivm-") || str_starts(tag, "audiovm-");
}
