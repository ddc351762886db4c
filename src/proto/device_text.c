/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The serialised form of devices and assignments: KEY='VALUE' KEY='VALUE'. */
#include "base/str.h"
#include "proto/device.h"

static bool key_char(uint8_t c)
{
	return c > ' ' && c <= '~' && c != '\'' && c != '=' && c != '"' && c != '`' && c != '\\';
}

static int broken(struct err *e, const char *what)
{
	return err_set(e, EBADMSG, "malformed device text: %s", what);
}

static bool get_key(struct rd *r, char out[DEV_KEY_CAP])
{
	size_t n = 0;
	uint8_t c;

	while (rd_left(r) && (c = rd_u8(r)) != '=') {
		if (!key_char(c) || n + 1 >= DEV_KEY_CAP)
			return false;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return n > 0 && rd_left(r) > 0 && rd_u8(r) == '\'';
}

/* The quote at the beginning is read already. A backslash means something before a quote only, and may not stand anywhere else, so that
   each value has one form. */
static bool get_value(struct rd *r, char out[DEV_VALUE_CAP])
{
	size_t n = 0;

	while (rd_left(r)) {
		uint8_t c = rd_u8(r);

		if (c == '\'') {
			out[n] = '\0';
			return true;
		}
		if (c == '\\') {
			if (!rd_left(r) || rd_u8(r) != '\'')
				return false;
			c = '\'';
		}
		if (c < ' ' || c > '~' || n + 1 >= DEV_VALUE_CAP)
			return false;
		out[n++] = (char)c;
	}
	return false;
}

int dev_field_next(struct rd *r, struct dev_field *ret, struct err *e)
{
	if (!rd_ok(r))
		return broken(e, "it is cut off");
	if (!rd_left(r))
		return 0;
	if (!get_key(r, ret->key))
		return broken(e, "a key is not followed by =' or has characters that keys do not have");
	if (!get_value(r, ret->value))
		return broken(e, "a value does not end, is too long, or is not printable ASCII");
	if (rd_left(r) && (rd_u8(r) != ' ' || !rd_left(r)))
		return broken(e, "one blank belongs between two fields");
	return 1;
}

void dev_field_put(struct wr *w, const char *key, const char *value)
{
	if (w->len && w->buf[w->len - 1] != ' ')
		wr_u8(w, ' ');
	wr_str(w, key);
	wr_str(w, "='");
	for (const char *s = value; *s; s++) {
		if (*s == '\'')
			wr_u8(w, '\\');
		wr_u8(w, *s < ' ' || *s > '~' || *s == '\\' ? '_' : (uint8_t)*s);
	}
	wr_u8(w, '\'');
}

static bool option_ok(const char *key, const char *value)
{
	if (!key[0] || strlen(key) >= sizeof((struct dev_option *)0)->key || strlen(value) >= sizeof((struct dev_option *)0)->value)
		return false;
	for (const char *s = key; *s; s++)
		if (!key_char((uint8_t)*s))
			return false;
	for (const char *s = value; *s; s++)
		if (*s < ' ' || *s > '~' || *s == '\\')
			return false;
	return true;
}

int dev_option_set(struct dev_options *o, const char *key, const char *value)
{
	size_t i = 0;

	if (!option_ok(key, value))
		return -EINVAL;
	while (i < o->n && strcmp(o->v[i].key, key) < 0)
		i++;
	if (i == o->n || !streq(o->v[i].key, key)) {
		if (o->n == DEV_OPTS_MAX)
			return -E2BIG;
		memmove(o->v + i + 1, o->v + i, (o->n - i) * sizeof *o->v);
		o->n++;
	}
	/* Both fit: option_ok. */
	(void)!str_copy(o->v[i].key, sizeof o->v[i].key, key);
	(void)!str_copy(o->v[i].value, sizeof o->v[i].value, value);
	return 0;
}

const char *dev_option_get(const struct dev_options *o, const char *key)
{
	for (size_t i = 0; i < o->n; i++)
		if (streq(o->v[i].key, key))
			return o->v[i].value;
	return NULL;
}

static void put_options(struct wr *w, const struct dev_options *o)
{
	char key[sizeof o->v[0].key + 1];

	for (size_t i = 0; i < o->n; i++)
		if (str_printf(key, sizeof key, "_%s", o->v[i].key) == 0)
			dev_field_put(w, key, o->v[i].value);
}

static void put_name(struct wr *w, const struct dev_name *d, enum dev_class cls)
{
	dev_field_put(w, "device_id", d->id);
	dev_field_put(w, "port_id", d->port);
	dev_field_put(w, "devclass", dev_class_name(cls));
	dev_field_put(w, "backend_domain", d->backend);
}

/* The fields that devices and assignments have in common: 1 = it was one of them, 0 = not, negative = it was, and is wrong. */
static int get_common(const struct dev_field *f, struct dev_name *d, enum dev_class *cls, struct dev_options *o, struct err *e)
{
	struct qname q;

	if (f->key[0] == '_' && f->key[1])
		return dev_option_set(o, f->key + 1, f->value) < 0 ? broken(e, "an option is too long, or there are too many") : 1;
	if (streq(f->key, "device_id")) {
		if (!streq(f->value, "*") && !dev_id_ok(f->value))
			return broken(e, "not a device id");
		return str_copy(d->id, sizeof d->id, f->value) < 0 ? broken(e, "not a device id") : 1;
	}
	if (streq(f->key, "port_id")) {
		if (!streq(f->value, "*") && !dev_port_ok(f->value))
			return broken(e, "not a port");
		return str_copy(d->port, sizeof d->port, f->value) < 0 ? broken(e, "not a port") : 1;
	}
	if (streq(f->key, "backend_domain")) {
		if (!streq(f->value, "*") && qname_parse(&q, f->value, NULL) < 0)
			return broken(e, "the backend is not the name of a qube");
		return str_copy(d->backend, sizeof d->backend, f->value) < 0 ? broken(e, "not a backend") : 1;
	}
	if (streq(f->key, "devclass")) {
		*cls = dev_class_parse(f->value);
		return *cls == DEV_N ? broken(e, "no such class of devices") : 1;
	}
	return 0;
}

static int assignment_field(struct dev_assignment *a, const struct dev_field *f, struct err *e)
{
	struct qname q;
	int k = get_common(f, &a->dev, &a->cls, &a->opts, e);

	if (k != 0)
		return k;
	if (streq(f->key, "mode")) {
		a->mode = dev_mode_parse(f->value);
		return a->mode == DEV_MODE_N ? broken(e, "no such mode") : 1;
	}
	if (streq(f->key, "frontend_domain")) {
		if (qname_parse(&q, f->value, NULL) < 0)
			return broken(e, "the frontend is not the name of a qube");
		memcpy(a->frontend, q.s, sizeof a->frontend);
		return 1;
	}
	return broken(e, "a key that assignments do not have");
}

int dev_assignment_parse(struct dev_assignment *ret, struct rd r, struct err *e)
{
	struct dev_assignment a = { .cls = DEV_N };
	struct dev_field f;
	int k;

	while ((k = dev_field_next(&r, &f, e)) > 0) {
		k = assignment_field(&a, &f, e);
		if (k < 0)
			return k;
	}
	if (k < 0)
		return k;
	*ret = a;
	return 0;
}

void dev_state_put(struct wr *w, const struct dev_assignment *a)
{
	dev_field_put(w, "mode", dev_mode_name(a->mode));
	put_options(w, &a->opts);
}

void dev_assignment_put(struct wr *w, const struct dev_assignment *a)
{
	put_name(w, &a->dev, a->cls);
	dev_field_put(w, "mode", dev_mode_name(a->mode));
	if (a->frontend[0])
		dev_field_put(w, "frontend_domain", a->frontend);
	put_options(w, &a->opts);
}

/* The fields of a device that are plain texts. */
#define TEXT(member) { #member, offsetof(struct dev_info, member), sizeof((struct dev_info *)0)->member }
static const struct {
	const char *key;
	size_t at, cap;
} texts[] = {
	TEXT(vendor), TEXT(product), TEXT(manufacturer), TEXT(name), TEXT(serial),
};

static int put_interfaces(struct dev_info *d, const char *v, struct err *e)
{
	size_t n = strlen(v);

	for (size_t i = 0; i < n; i += DEV_IFACE_LEN)
		if (n % DEV_IFACE_LEN || !dev_iface_ok(v + i))
			return broken(e, "not a list of interfaces");
	return str_copy(d->ifaces, sizeof d->ifaces, v) < 0 ? broken(e, "too many interfaces") : 0;
}

static int info_field(struct dev_info *d, const struct dev_field *f, struct err *e)
{
	int k = get_common(f, &d->dev, &d->cls, &d->extra, e);

	if (k != 0)
		return k;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (streq(f->key, texts[i].key))
			return str_copy((char *)d + texts[i].at, texts[i].cap, f->value) < 0 ? broken(e, "a text is too long") : 0;
	if (streq(f->key, "interfaces"))
		return put_interfaces(d, f->value, e);
	k = streq(f->key, "parent_port_id")  ? str_copy(d->parent_port, sizeof d->parent_port, f->value) :
	    streq(f->key, "parent_devclass") ? str_copy(d->parent_class, sizeof d->parent_class, f->value) :
	    streq(f->key, "attachment")	     ? str_copy(d->attachment, sizeof d->attachment, f->value) :
					       -EINVAL;
	return k < 0 ? broken(e, "a key that devices do not have, or a value that is too long") : 0;
}

int dev_info_parse(struct dev_info *ret, struct rd r, struct err *e)
{
	struct dev_info d = { .cls = DEV_N };
	struct dev_field f;
	int k;

	while ((k = dev_field_next(&r, &f, e)) > 0) {
		k = info_field(&d, &f, e);
		if (k < 0)
			return k;
	}
	if (k < 0)
		return k;
	*ret = d;
	return 0;
}

void dev_info_put(struct wr *w, const struct dev_info *d)
{
	put_name(w, &d->dev, d->cls);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const char *v = (const char *)d + texts[i].at;

		if (v[0])
			dev_field_put(w, texts[i].key, v);
	}
	if (d->attachment[0])
		dev_field_put(w, "attachment", d->attachment);
	if (d->ifaces[0])
		dev_field_put(w, "interfaces", d->ifaces);
	if (d->parent_port[0])
		dev_field_put(w, "parent_port_id", d->parent_port);
	if (d->parent_class[0])
		dev_field_put(w, "parent_devclass", d->parent_class);
	put_options(w, &d->extra);
}

void dev_info_text(const struct dev_info *d, char *out, size_t cap)
{
	const char *maker = d->manufacturer[0] ? d->manufacturer : d->vendor;
	const char *what = d->product[0] ? d->product : d->name;
	const char *kind = dev_iface_text(d->ifaces[0] ? d->ifaces : "?******");
	struct wr w = wr_mem(out, cap - 1);

	wr_str(&w, kind);
	if (maker[0] || what[0])
		wr_printf(&w, ": %s%s%s", maker, maker[0] && what[0] ? " " : "", what);
	out[w.len] = '\0';
}
