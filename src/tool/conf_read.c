/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TOML files into struct conf. Every complaint names file and line. */
#include <fcntl.h>
#include <stdarg.h>

#include "proto/firewall.h"
#include "proto/names.h"
#include "proto/toml.h"
#include "tool/conf.h"

struct reader {
	struct conf *c;
	const char *file;
	struct err *e;
};

static _printf_(3, 4) int wrong(const struct reader *rd, const struct toml *t, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return err_set(rd->e, EINVAL, "%s:%u: %s", rd->file, t->line, text);
}

static int want(const struct reader *rd, const struct toml *t, enum toml_type type)
{
	if (t->type == type)
		return 0;
	return wrong(rd, t, "'%s' must be %s, not %s", t->key ? t->key : "the value", toml_type_name(type), toml_type_name(t->type));
}

/* A plain value as text. Truth is written differently in properties and in features. */
static int scalar(const struct reader *rd, const struct toml *t, bool feature, char **ret)
{
	switch (t->type) {
	case TOML_STRING:
		*ret = xstrdup(t->s);
		return 0;
	case TOML_INT:
		*ret = xasprintf("%lld", (long long)t->i);
		return 0;
	case TOML_BOOL:
		*ret = xstrdup(feature ? (t->b ? "1" : "") : (t->b ? "True" : "False"));
		return 0;
	case TOML_TABLE:
	case TOML_ARRAY:
		break;
	}
	return wrong(rd, t, "'%s' must be a string, a number, true or false", t->key);
}

/* One value into a list. Two files may speak of one thing only if they say the same. */
static int put(const struct reader *rd, struct conf_list *l, const struct toml *t, const char *key, const char *value)
{
	struct conf_kv *old = conf_find(l, key);

	if (old && old->value && value && !streq(old->value, value))
		return wrong(rd, t, "'%s' is '%s' here and '%s' in %s:%u", key, value, old->value, old->file, old->line);
	if (!old) {
		old = conf_add(l, key, value);
		old->file = rd->file;
		old->line = t->line;
	}
	return 0;
}

static int put_scalars(const struct reader *rd, struct conf_list *l, const struct toml *t, const char *prefix, bool feature)
{
	int r = want(rd, t, TOML_TABLE);

	for (const struct toml *x = t->child; r == 0 && x; x = x->next) {
		_cleanup_free_ char *value = NULL, *key = xasprintf("%s%s", prefix, x->key);

		r = scalar(rd, x, feature, &value);
		if (r == 0)
			r = put(rd, l, x, key, value);
	}
	return r;
}

static int put_names(const struct reader *rd, struct conf_list *l, const struct toml *t, const char *prefix)
{
	int r = want(rd, t, TOML_ARRAY);

	for (const struct toml *x = t->child; r == 0 && x; x = x->next) {
		_cleanup_free_ char *key = NULL;

		r = want(rd, x, TOML_STRING);
		if (r < 0)
			break;
		key = xasprintf("%s%s", prefix, x->s);
		r = put(rd, l, x, key, NULL);
	}
	return r;
}

static int read_tags(const struct reader *rd, struct conf_qube *q, const struct toml *t)
{
	int r = put_names(rd, &q->tags, t, "");

	for (size_t i = 0; r == 0 && i < q->tags.n; i++)
		if (!tag_ok(q->tags.v[i].key))
			r = wrong(rd, t, "'%s' is no tag: letters, digits, '_' and '-' are allowed", q->tags.v[i].key);
	return r;
}

static int read_features(const struct reader *rd, struct conf_qube *q, const struct toml *t)
{
	return put_scalars(rd, &q->features, t, "", true);
}

static int read_services(const struct reader *rd, struct conf_qube *q, const struct toml *t)
{
	return put_scalars(rd, &q->features, t, "service.", true);
}

static int set_text(const struct reader *rd, char **where, const struct toml *t, const char *text)
{
	if (*where && !streq(*where, text))
		return wrong(rd, t, "'%s' was set before to something else", t->key);
	free(*where);
	*where = xstrdup(text);
	return 0;
}

static int read_notes(const struct reader *rd, struct conf_qube *q, const struct toml *t)
{
	int r = want(rd, t, TOML_STRING);

	return r < 0 ? r : set_text(rd, &q->notes, t, t->s);
}

static int read_class(const struct reader *rd, struct conf_qube *q, const struct toml *t)
{
	int r = want(rd, t, TOML_STRING);

	return r < 0 ? r : set_text(rd, &q->cls, t, t->s);
}

static int read_clone_from(const struct reader *rd, struct conf_qube *q, const struct toml *t)
{
	int r = want(rd, t, TOML_STRING);

	return r < 0 ? r : set_text(rd, &q->clone_from, t, t->s);
}

static int read_remove(const struct reader *rd, struct conf_qube *q, const struct toml *t)
{
	int r = want(rd, t, TOML_BOOL);

	q->remove = r == 0 && t->b;
	return r;
}

static int read_firewall(const struct reader *rd, struct conf_qube *q, const struct toml *t)
{
	_cleanup_wr_ struct wr w = wr_grow(1u << 20);
	struct err e = { 0 };
	int r = want(rd, t, TOML_ARRAY);

	for (const struct toml *x = t->child; r == 0 && x; x = x->next) {
		struct fw_rule rule;

		r = want(rd, x, TOML_STRING);
		if (r == 0 && fw_parse(&rule, rd_mem(x->s, strlen(x->s)), &e) < 0)
			r = wrong(rd, x, "firewall rule '%s': %s", x->s, e.msg);
		if (r == 0) {
			fw_format(&w, &rule);
			wr_str(&w, "\n");
		}
	}
	wr_u8(&w, 0);
	return r < 0 ? r : set_text(rd, &q->firewall, t, (const char *)w.buf);
}

static int read_volume(const struct reader *rd, struct conf_qube *q, const struct toml *t)
{
	static const char *const keys[] = { "size", "revisions_to_keep", "rw", "ephemeral" };
	int r = want(rd, t, TOML_TABLE);

	for (const struct toml *x = t->child; r == 0 && x; x = x->next) {
		_cleanup_free_ char *value = NULL, *key = xasprintf("%s.%s", t->key, x->key);
		bool known = false;
		uint64_t bytes;

		for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
			known |= streq(keys[i], x->key);
		if (!known)
			return wrong(rd, x, "a volume has size, revisions_to_keep, rw and ephemeral, not '%s'", x->key);
		r = scalar(rd, x, false, &value);
		if (r == 0 && streq(x->key, "size")) {
			if (str_size(value, &bytes) < 0)
				return wrong(rd, x, "'%s' is no size; write 10GiB, for example", value);
			free(value);
			value = xasprintf("%llu", (unsigned long long)bytes);
		}
		if (r == 0)
			r = put(rd, &q->volumes, x, key, value);
	}
	return r;
}

static int read_volumes(const struct reader *rd, struct conf_qube *q, const struct toml *t)
{
	int r = want(rd, t, TOML_TABLE);

	for (const struct toml *x = t->child; r == 0 && x; x = x->next)
		r = read_volume(rd, q, x);
	return r;
}

/* Options: text, or truth as the class writes it. */
static int read_device_options(const struct reader *rd, struct dev_assignment *a, const struct toml *t)
{
	int r = want(rd, t, TOML_TABLE);

	for (const struct toml *x = t->child; r == 0 && x; x = x->next) {
		_cleanup_free_ char *value = NULL;

		if (x->type == TOML_BOOL && a->cls == DEV_BLOCK)
			value = xstrdup(x->b ? "yes" : "no");
		else
			r = scalar(rd, x, false, &value);
		if (r == 0 && (strchr(value, ' ') || dev_option_set(&a->opts, x->key, value) < 0))
			r = wrong(rd, x, "a device cannot have the option '%s'", x->key);
	}
	return r;
}

static int read_device(const struct reader *rd, struct conf_qube *q, const struct toml *t)
{
	const struct toml *cls = toml_get(t, "class"), *dev = toml_get(t, "device"), *mode = toml_get(t, "mode"), *opts = toml_get(t, "options");
	struct dev_assignment a = { .mode = DEV_AUTO };
	_cleanup_free_ char *key = NULL, *value = NULL;
	struct err e = { 0 };
	int r = want(rd, t, TOML_TABLE);

	if (r == 0 && (!cls || cls->type != TOML_STRING || !dev || dev->type != TOML_STRING || (mode && mode->type != TOML_STRING)))
		return wrong(rd, t, "a device has class, device and mode, each a string");
	for (const struct toml *x = t->child; r == 0 && x; x = x->next)
		if (x != cls && x != dev && x != mode && x != opts)
			r = wrong(rd, x, "a device has class, device, mode and options, not '%s'", x->key);
	if (r < 0)
		return r;
	a.cls = dev_class_parse(cls->s);
	if (a.cls == DEV_N)
		return wrong(rd, cls, "there are the classes block, mic, pci and usb, not '%s'", cls->s);
	if (dev_name_parse(&a.dev, dev->s, &e) < 0)
		return wrong(rd, dev, "%s", e.msg);
	if (mode || a.cls == DEV_PCI)
		a.mode = mode ? dev_mode_parse(mode->s) : DEV_REQUIRED;
	if (a.mode == DEV_MODE_N || a.mode == DEV_MANUAL)
		return wrong(rd, mode, "mode is auto-attach, ask-to-attach or required, not '%s'", mode->s);
	r = opts ? read_device_options(rd, &a, opts) : 0;
	if (r < 0)
		return r;
	key = conf_device_key(a.cls, &a.dev);
	value = conf_device_value(&a);
	return put(rd, &q->devices, t, key, value);
}

static int read_devices(const struct reader *rd, struct conf_qube *q, const struct toml *t)
{
	int r = want(rd, t, TOML_ARRAY);

	for (const struct toml *x = t->child; r == 0 && x; x = x->next)
		r = read_device(rd, q, x);
	return r;
}

/* Names of assigned devices: "CLASS BACKEND:PORT" or "CLASS BACKEND:PORT:DEVICE-ID". */
static int read_unset_devices(const struct reader *rd, struct conf_qube *q, const struct toml *t)
{
	int r = want(rd, t, TOML_ARRAY);

	for (const struct toml *x = t->child; r == 0 && x; x = x->next) {
		_cleanup_free_ char *key = NULL;
		struct dev_assignment a;

		r = want(rd, x, TOML_STRING);
		if (r == 0 && conf_device_parse(&a, x->s, NULL) < 0)
			r = wrong(rd, x, "'%s' is not CLASS BACKEND:PORT", x->s);
		if (r < 0)
			break;
		key = conf_device_key(a.cls, &a.dev);
		r = put(rd, &q->unset_devices, x, key, NULL);
	}
	return r;
}

static int read_unset(const struct reader *rd, struct conf_qube *q, const struct toml *t)
{
	int r = want(rd, t, TOML_TABLE);

	for (const struct toml *x = t->child; r == 0 && x; x = x->next) {
		if (streq(x->key, "properties"))
			r = put_names(rd, &q->unset_props, x, "");
		else if (streq(x->key, "features"))
			r = put_names(rd, &q->unset_features, x, "");
		else if (streq(x->key, "services"))
			r = put_names(rd, &q->unset_features, x, "service.");
		else if (streq(x->key, "tags"))
			r = put_names(rd, &q->unset_tags, x, "");
		else if (streq(x->key, "devices"))
			r = read_unset_devices(rd, q, x);
		else
			r = wrong(rd, x, "unset takes properties, features, services, tags and devices, not '%s'", x->key);
	}
	return r;
}

/* Everything in a qube's table that is not one of these is a property. */
static const struct {
	const char *key;
	int (*read)(const struct reader *rd, struct conf_qube *q, const struct toml *t);
} parts[] = {
	{ "class", read_class },       { "clone_from", read_clone_from }, { "remove", read_remove },   { "tags", read_tags },
	{ "features", read_features }, { "services", read_services },	  { "notes", read_notes },     { "firewall", read_firewall },
	{ "volumes", read_volumes },   { "devices", read_devices },	  { "unset", read_unset },
};

static int read_member(const struct reader *rd, struct conf_qube *q, const struct toml *t)
{
	_cleanup_free_ char *value = NULL;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (streq(parts[i].key, t->key))
			return parts[i].read(rd, q, t);
	if (conf_prop_fixed(t->key))
		return wrong(rd, t, "'%s' cannot be set", t->key);
	r = scalar(rd, t, false, &value);
	return r < 0 ? r : put(rd, &q->props, t, t->key, value);
}

static int read_qube(const struct reader *rd, const struct toml *t)
{
	struct conf_qube *q = conf_qube_find(rd->c, t->key);
	struct qname name;
	struct err e = { 0 };
	int r = want(rd, t, TOML_TABLE);

	if (r == 0 && qname_parse(&name, t->key, &e) < 0)
		return wrong(rd, t, "%s", e.msg);
	if (r < 0)
		return r;
	if (!q) {
		q = conf_qube_add(rd->c, t->key);
		q->file = rd->file;
		q->line = t->line;
	}
	for (const struct toml *x = t->child; r == 0 && x; x = x->next)
		r = read_member(rd, q, x);
	return r;
}

static int read_qubes(const struct reader *rd, const struct toml *t)
{
	int r = want(rd, t, TOML_TABLE);

	for (const struct toml *x = t->child; r == 0 && x; x = x->next)
		r = read_qube(rd, x);
	return r;
}

static int read_policy(const struct reader *rd, const struct toml *t)
{
	int r = want(rd, t, TOML_TABLE);

	for (const struct toml *x = t->child; r == 0 && x; x = x->next) {
		struct err e = { 0 };

		if (pf_name_check(x->key, &e) < 0)
			return wrong(rd, x, "%s", e.msg);
		if (x->type == TOML_BOOL && !x->b)
			r = put(rd, &rd->c->policy, x, x->key, NULL);
		else if (want(rd, x, TOML_STRING) < 0)
			r = wrong(rd, x, "'%s' must be the text of the file, or false to remove it", x->key);
		else
			r = put(rd, &rd->c->policy, x, x->key, x->s);
	}
	return r;
}

static int read_global(const struct reader *rd, const struct toml *t)
{
	int r = want(rd, t, TOML_TABLE);

	for (const struct toml *x = t->child; r == 0 && x; x = x->next) {
		_cleanup_free_ char *value = NULL;

		if (streq(x->key, "unset")) {
			r = put_names(rd, &rd->c->unset_global, x, "");
			continue;
		}
		r = scalar(rd, x, false, &value);
		if (r == 0)
			r = put(rd, &rd->c->global, x, x->key, value);
	}
	return r;
}

static int read_labels(const struct reader *rd, const struct toml *t)
{
	return put_scalars(rd, &rd->c->labels, t, "", false);
}

static int read_root(const struct reader *rd, const struct toml *root)
{
	static const struct {
		const char *key;
		int (*read)(const struct reader *rd, const struct toml *t);
	} tables[] = { { "global", read_global }, { "labels", read_labels }, { "qubes", read_qubes }, { "policy", read_policy } };
	int r = 0;

	for (const struct toml *x = root->child; r == 0 && x; x = x->next) {
		bool known = false;

		for (size_t i = 0; r == 0 && i < ARRAY_SIZE(tables); i++) {
			if (!streq(tables[i].key, x->key))
				continue;
			known = true;
			r = tables[i].read(rd, x);
		}
		if (!known)
			r = wrong(rd, x, "there are [global], [labels], [qubes.NAME] and [policy], not '%s'", x->key);
	}
	return r;
}

int conf_read(struct conf *c, const char *path, struct err *e)
{
	_cleanup_fd_ int fd = streq(path, "-") ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_(toml_freep) struct toml *root = NULL;
	struct reader rd = { .c = c, .e = e };
	_cleanup_free_ char *text = NULL;
	struct err why = { 0 };
	size_t len;
	int r = fd < 0 ? -errno : read_all(fd, TOML_MAX, &text, &len);

	if (r < 0)
		return err_set(e, -r, "reading '%s': %s", path, strerror(-r));
	c->files = xreallocarray(c->files, c->n_files + 1, sizeof *c->files);
	rd.file = c->files[c->n_files++] = xstrdup(streq(path, "-") ? "standard input" : path);
	r = toml_parse(&root, rd_mem(text, len), &why);
	if (r < 0)
		return err_set(e, EINVAL, "%s:%s", rd.file, str_starts(why.msg, "line ") ? why.msg + 5 : why.msg);
	return read_root(&rd, root);
}
