/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The present state of qubes and of the system, asked from the daemon. */
#include "tool/conf.h"
#include "tool/feature_list.h"

static int now_props(struct conf_qube *q, bool only_set, struct err *e)
{
	struct adm_props p;
	int r = adm_props_get(&p, q->name, false, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < p.n; i++)
		if ((!only_set || !p.v[i].is_default) && !conf_prop_fixed(p.v[i].name))
			conf_add(&q->props, p.v[i].name, p.v[i].value);
	adm_props_fini(&p);
	return 0;
}

static int now_features(struct conf_qube *q, bool only_set, struct err *e)
{
	struct features f;
	int r = features_get(&f, q->name, "", e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < f.n; i++)
		if (f.v[i].value && !(only_set && conf_feature_own(f.v[i].name)))
			conf_add(&q->features, f.v[i].name, f.v[i].value);
	features_fini(&f);
	return 0;
}

static int now_tags(struct conf_qube *q, bool only_set, struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	char *text, *tag;
	int r = adm_text(&rep, q->name, "admin.vm.tag.List", NULL, NULL, e);

	if (r < 0)
		return r;
	text = rep.data;
	while ((tag = adm_line(&text)))
		if (!only_set || !conf_tag_own(tag))
			conf_add(&q->tags, tag, NULL);
	return 0;
}

static int now_text(struct conf_qube *q, const char *method, char **ret, struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	int r = adm_text(&rep, q->name, method, NULL, NULL, e);

	if (r < 0)
		return r;
	*ret = xstrdup(rep.data);
	return 0;
}

/* What a volume is made with: need not be said. */
static bool as_made(const char *key, const char *value)
{
	static const char *const made[][2] = { { "root.size", "10737418240" },	 { "private.size", "2147483648" },  { "root.revisions_to_keep", "1" },
					       { "private.revisions_to_keep", "1" }, { "root.rw", "True" },	    { "private.rw", "True" },
					       { "root.ephemeral", "False" },	 { "private.ephemeral", "False" }, { "volatile.ephemeral", "False" } };

	for (size_t i = 0; i < ARRAY_SIZE(made); i++)
		if (streq(made[i][0], key))
			return streq(made[i][1], value);
	return false;
}

static int now_volume(struct conf_qube *q, const char *vol, bool only_set, struct err *e)
{
	static const char *const keys[] = { "size", "revisions_to_keep", "rw", "ephemeral" };
	_cleanup_reply_ struct adm_reply rep = { 0 };
	char value[64], key[64], saved[16];
	int r = adm_text(&rep, q->name, "admin.vm.volume.Info", vol, NULL, e);

	if (r < 0)
		return r;
	if (adm_kv(rep.data, "save_on_stop", saved, sizeof saved) < 0 || streq(vol, "kernel"))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		/* What a volume takes from its source is not its configuration. */
		if (!streq(saved, "True") && !streq(keys[i], "ephemeral"))
			continue;
		if (adm_kv(rep.data, keys[i], value, sizeof value) < 0 || str_printf(key, sizeof key, "%s.%s", vol, keys[i]) < 0)
			continue;
		if (!only_set || !as_made(key, value))
			conf_add(&q->volumes, key, value);
	}
	return 0;
}

static int now_volumes(struct conf_qube *q, bool only_set, struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	char *text, *vol;
	int r = adm_text(&rep, q->name, "admin.vm.volume.List", NULL, NULL, e);

	text = rep.data;
	while (r >= 0 && (vol = adm_line(&text)))
		r = now_volume(q, vol, only_set, e);
	return r;
}

int conf_now_qube(struct conf_qube *ret, const struct adm_qube *q, bool only_set, struct err *e)
{
	int r;

	*ret = (struct conf_qube){ .name = xstrdup(q->name), .cls = xstrdup(q->cls) };
	r = now_props(ret, only_set, e);
	if (r >= 0)
		r = now_features(ret, only_set, e);
	if (r >= 0)
		r = now_tags(ret, only_set, e);
	if (r >= 0 && !streq(q->name, "dom0"))
		r = now_text(ret, "admin.vm.notes.Get", &ret->notes, e);
	if (r >= 0 && !streq(q->name, "dom0") && !streq(q->cls, "RemoteVM"))
		r = now_text(ret, "admin.vm.firewall.Get", &ret->firewall, e);
	if (r >= 0)
		r = now_volumes(ret, only_set, e);
	if (r >= 0 && !streq(q->cls, "RemoteVM"))
		r = conf_now_devices(ret, e);
	if (r < 0)
		conf_qube_fini(ret);
	return r;
}

static int now_labels(struct conf *ret, struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	char *text, *label;
	int r = adm_text(&rep, "dom0", "admin.label.List", NULL, NULL, e);

	text = rep.data;
	while (r >= 0 && (label = adm_line(&text))) {
		_cleanup_reply_ struct adm_reply rgb = { 0 };

		r = adm_text(&rgb, "dom0", "admin.label.Get", label, NULL, e);
		if (r >= 0)
			conf_add(&ret->labels, label, rgb.data);
	}
	return r;
}

int conf_now_global(struct conf *ret, struct err *e)
{
	struct adm_props p;
	int r = adm_props_get(&p, "dom0", true, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < p.n; i++)
		if (!p.v[i].is_default)
			conf_add(&ret->global, p.v[i].name, p.v[i].value);
	adm_props_fini(&p);
	return now_labels(ret, e);
}
