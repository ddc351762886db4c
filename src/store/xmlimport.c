/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A qubes.xml into the object model: see xmlimport.h. */
#include "store/xmlimport.h"

#include <jansson.h>
#include <stdarg.h>
#include <sys/random.h>

#include "base/str.h"
#include "core/device.h"
#include "proto/firewall.h"

#define VOLUME_MAX (64ull << 40)

static _printf_(3, 4) void report(struct xml_import *im, enum xml_verdict v, const char *fmt, ...)
{
	char text[500], shown[1000];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	im->report(im->arg, v, str_escape(shown, sizeof shown, text, strlen(text)));
}

static const char *get(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* The first of several names for one attribute: they differ between versions. */
static const char *either(json_t *o, const char *a, const char *b, const char *c)
{
	const char *s = get(o, a);

	s = *s ? s : get(o, b);
	return *s ? s : get(o, c);
}

static json_t *props_of(json_t *dom)
{
	return json_object_get(dom, "properties");
}

static void labels(struct xml_import *im, json_t *list)
{
	json_t *o;
	size_t i;

	json_array_foreach(list, i, o) {
		const char *name = get(o, "name"), *color = get(o, "color");
		const struct label *is = label_find(im->c, name), *l;
		struct label *add;
		uint32_t index = 9;

		if (is && !streq(is->value, color))
			report(im, XML_LEFT, "label '%s' stays %s here", name, is->value);
		if (is)
			continue;
		if (!label_ok(name) || strlen(name) >= sizeof add->name || strlen(color) != 8 || !str_starts(color, "0x") ||
		    strspn(color + 2, "0123456789abcdef") != 6) {
			report(im, XML_LEFT, "label '%s' with the colour '%s'", name, color);
			continue;
		}
		add = xcalloc(1, sizeof *add);
		for (l = im->c->labels; l; l = l->next)
			index = MAX(index, l->index + 1);
		add->index = index;
		(void)!str_copy(add->name, sizeof add->name, name);
		(void)!str_copy(add->value, sizeof add->value, color);
		txn_label_add(im->c, add);
		report(im, XML_TAKEN, "label '%s'", name);
	}
}

static json_t *domain_named(json_t *domains, const char *name)
{
	json_t *o;
	size_t i;

	json_array_foreach(domains, i, o)
		if (streq(get(props_of(o), "name"), name))
			return o;
	return NULL;
}

/* Will the qube that another is based on be there? */
static bool has_base(struct xml_import *im, json_t *domains, json_t *dom)
{
	enum klass k = klass_parse(get(dom, "class"));

	for (int hops = 0; hops < 4 && (k == K_APP || k == K_DISP); hops++) {
		const char *base = get(props_of(dom), "template");
		const struct qube *q = qube_find(im->c, base);

		if (q)
			return q->klass == (k == K_APP ? K_TEMPLATE : K_APP);
		dom = domain_named(domains, base);
		if (!dom || klass_parse(get(dom, "class")) != (k == K_APP ? K_TEMPLATE : K_APP))
			return false;
		k = klass_parse(get(dom, "class"));
	}
	return true;
}

static int new_uuid(struct xml_import *im, struct uuid *ret, const char *want)
{
	uint8_t b[16];

	if (uuid_parse(ret, want) == 0 && !qube_by_uuid(im->c, ret->s))
		return 0;
	if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b)
		return err_errno(im->e, errno, "random numbers");
	uuid_from_bytes(ret, b);
	return 0;
}

static uint32_t new_qid(struct xml_import *im, json_t *dom)
{
	uint64_t qid;

	if (str_u64(get(props_of(dom), "qid"), QID_MAX, &qid) == 0 && qid > 0 && !im->c->by_qid[qid])
		return (uint32_t)qid;
	qid = qid_free(im->c);
	if (qid)
		report(im, XML_CHANGED, "%s: its number is %u here", get(props_of(dom), "name"), (unsigned)qid);
	return (uint32_t)qid;
}

/* One qube, without its settings. NULL: it is left out. */
static int create(struct xml_import *im, json_t *domains, json_t *dom, struct qube **ret)
{
	const char *name = get(props_of(dom), "name"), *label = get(props_of(dom), "label");
	enum klass k = klass_parse(get(dom, "class"));
	struct err why = { 0 };
	struct qname qn;
	struct uuid uuid;
	uint32_t qid;
	int r;

	*ret = NULL;
	if (k == K_N || qname_parse(&qn, name, &why) < 0 || streq(name, "dom0"))
		report(im, XML_LEFT, "qube '%s' of class '%s': %s", name, get(dom, "class"), k == K_N ? "there is no such class" : err_text(&why, -EINVAL));
	else if (qube_find_any(im->c, name))
		report(im, XML_LEFT, "qube '%s': the name is taken here", name);
	else if (!has_base(im, domains, dom))
		report(im, XML_LEFT, "qube '%s': its template '%s' is neither here nor in the file", name, get(props_of(dom), "template"));
	else
		goto make;
	return 0;
make:
	qid = new_qid(im, dom);
	if (!qid)
		return err_set(im->e, ENOSPC, "there is no number left for another qube");
	r = new_uuid(im, &uuid, get(props_of(dom), "uuid"));
	if (r < 0)
		return r;
	*ret = qube_alloc(qn.s, &uuid, qid, k);
	for (size_t i = 0; i < (*ret)->n_vols; i++)
		(void)!str_copy((*ret)->vols[i].pool, sizeof (*ret)->vols[i].pool, pool_default_for(im->c, (enum volume_id)i));
	txn_qube_add(im->c, *ret);
	if (!label_find(im->c, label))
		report(im, XML_CHANGED, "%s: there is no label '%s', it becomes red", name, label);
	prop_init(im->c, *ret, P_label, label_find(im->c, label) ? label : "red");
	report(im, XML_TAKEN, "qube '%s' (%s)", name, get(dom, "class"));
	return 0;
}

static void property(struct xml_import *im, struct qube *q, const char *name, const char *value)
{
	const struct prop *p = prop_find(q, name);
	const char *who = q ? q->name.s : "the system";
	char out[PV_BUF];
	struct err why = { 0 };
	bool null;

	if (q && (streq(name, "name") || streq(name, "qid") || streq(name, "uuid") || streq(name, "label")))
		return;
	if (!p || p->flags & PF_RO) {
		report(im, XML_LEFT, "%s: property %s = '%s': not known here", who, name, value);
		return;
	}
	if (q ? q->props[prop_id(p)] != NULL : im->c->globals[prop_id(p)] != NULL) {
		report(im, XML_LEFT, "%s: property %s is set here", who, name);
		return;
	}
	if (prop_parse(im->c, q, p, value, out, &null, &why) < 0) {
		report(im, XML_LEFT, "%s: property %s = '%s': %s", who, name, value, err_text(&why, -EINVAL));
		return;
	}
	if (q)
		prop_init(im->c, q, prop_id(p), null ? "" : out);
	else
		txn_global(im->c, prop_id(p), null ? "" : out);
	if (!q)
		report(im, XML_TAKEN, "%s: %s = %s", who, name, null ? "none" : out);
}

/* What the checks of other properties look at comes first. */
static bool early(const char *name)
{
	return streq(name, "template") || streq(name, "provides_network") || streq(name, "template_for_dispvms") || streq(name, "virt_mode");
}

static void properties(struct xml_import *im, struct qube *q, json_t *props_json, bool first)
{
	const char *name;
	json_t *v;

	json_object_foreach(props_json, name, v)
		if (early(name) == first)
			property(im, q, name, json_string_value(v));
}

static void named(struct xml_import *im, struct qube *q, json_t *dom)
{
	const char *name;
	json_t *v;
	size_t i;

	json_object_foreach(json_object_get(dom, "features"), name, v) {
		if (!feature_ok(name) || !feature_value_ok(json_string_value(v)))
			report(im, XML_LEFT, "%s: feature '%s' = '%.60s': not allowed", q->name.s, name, json_string_value(v));
		else if (!kv_get(&q->features, name))
			txn_feature(im->c, q, name, json_string_value(v));
	}
	json_array_foreach(json_object_get(dom, "tags"), i, v) {
		if (!tag_ok(json_string_value(v)))
			report(im, XML_LEFT, "%s: tag '%s': not allowed", q->name.s, json_string_value(v));
		else if (!kv_get(&q->tags, json_string_value(v)))
			txn_tag(im->c, q, json_string_value(v), true);
	}
}

static void volumes(struct xml_import *im, struct qube *q, json_t *dom)
{
	json_t *o;
	size_t i;

	json_array_foreach(json_object_get(dom, "volumes"), i, o) {
		struct volume *v = volume_find(q, get(o, "name")), value;
		uint64_t size;
		int64_t keep;

		if (!v || !v->save_on_stop)
			continue;
		value = *v;
		if (str_u64(get(o, "size"), VOLUME_MAX, &size) == 0 && size)
			value.size = size;
		if (str_i64(get(o, "revisions_to_keep"), -1, INT32_MAX, &keep) == 0) {
			value.keep_set = true;
			value.revisions_to_keep = keep;
		}
		txn_volume(im->c, q, v, &value);
		report(im, XML_CHANGED, "%s: volume %s is empty in pool '%s' here; its content was in '%s'", q->name.s, v->name, v->pool, get(o, "pool"));
	}
}

static void device(struct xml_import *im, struct qube *q, json_t *o)
{
	const char *cls = get(o, "class"), *port = either(o, "port_id", "port-id", "id"), *id = either(o, "device_id", "device-id", "");
	const char *backend = either(o, "backend-domain", "backend_domain", ""), *mode = either(o, "mode", "assignment_mode", ""), *key;
	_cleanup_wr_ struct wr w = wr_grow(1u << 16);
	struct dev_assignment a;
	struct err why = { 0 };
	json_t *v;
	int r;

	/* Before 4.3 an assignment had no mode: it was made at every start. */
	dev_field_put(&w, "mode", *mode ? mode : streq(cls, "pci") ? "required" : "auto-attach");
	json_object_foreach(json_object_get(o, "options"), key, v) {
		_cleanup_free_ char *name = xasprintf("_%s", key);
		const char *value = json_string_value(v);
		bool on;

		/* any word for a truth was written once; here it is yes or no */
		if (streq(cls, "block") && streq(key, "read-only") && str_bool(value, &on) == 0)
			value = on ? "yes" : "no";
		dev_field_put(&w, name, value);
	}
	r = wr_ok(&w) ? dev_assignment_parse(&a, rd_mem(w.buf, w.len), &why) : -E2BIG;
	if (r >= 0) {
		a.cls = dev_class_parse(cls);
		r = a.cls == DEV_N ? err_set(&why, EINVAL, "no such class of devices") : 0;
	}
	if (r >= 0 && (str_copy(a.dev.backend, sizeof a.dev.backend, backend) < 0 || !dev_port_ok(port) || str_copy(a.dev.port, sizeof a.dev.port, port) < 0 ||
		       (*id && !streq(id, "*") && !dev_id_ok(id)) || str_copy(a.dev.id, sizeof a.dev.id, *id ? id : "*") < 0 ||
		       str_copy(a.frontend, sizeof a.frontend, q->name.s) < 0))
		r = err_set(&why, EINVAL, "it has a strange name");
	if (r >= 0 && !qube_find(im->c, backend))
		r = err_set(&why, EINVAL, "there is no qube '%s'", backend);
	if (r >= 0)
		r = device_check_assign(im->c, q, &a, &why);
	if (r < 0) {
		report(im, XML_LEFT, "%s: %s device %s:%s: %s", q->name.s, cls, backend, port, err_text(&why, r));
		return;
	}
	device_store(im->c, q, &a);
	report(im, XML_TAKEN, "%s: %s device %s:%s, %s", q->name.s, cls, backend, port, dev_mode_name(a.mode));
}

static void rule(struct wr *w, json_t *o)
{
	const char *key;
	json_t *v;

	wr_printf(w, "action=%s", get(o, "action"));
	json_object_foreach(o, key, v)
		if (!streq(key, "action") && !streq(key, "comment"))
			wr_printf(w, " %s=%s", key, json_string_value(v));
	if (*get(o, "comment"))
		wr_printf(w, " comment=%s", get(o, "comment"));
	wr_str(w, "\n");
}

/* A firewall that cannot be read must not become "everything allowed". */
static void firewall(struct xml_import *im, struct qube *q)
{
	struct err why = { 0 };
	_cleanup_free_ char *text = im->firewall ? im->firewall(im->arg, q->name.s, klass_name(q->klass), &why) : NULL, *out = NULL;
	_cleanup_wr_ struct wr w = wr_grow(1u << 20), normal = wr_grow(1u << 20);
	json_t *top = text ? json_loads(text, 0, NULL) : NULL, *o;
	size_t i;
	bool good = false;

	if (!text && !why.msg[0])
		return;
	if (top && streq(get(top, "kind"), "firewall") && streq(get(top, "version"), "2")) {
		json_array_foreach(json_object_get(top, "rules"), i, o)
			rule(&w, o);
		good = wr_ok(&w) && fw_normalize(&normal, rd_mem(w.buf, w.len), 0, &why) == 0;
	} else if (!why.msg[0]) {
		(void)err_set(&why, EINVAL, "it is no firewall of version 2");
	}
	json_decref(top);
	wr_u8(&normal, 0);
	if (good && wr_ok(&normal)) {
		txn_firewall(im->c, q, (const char *)normal.buf);
		return;
	}
	txn_firewall(im->c, q, "action=drop\n");
	report(im, XML_CHANGED, "%s: its firewall drops everything, since firewall.xml cannot be taken: %s", q->name.s, why.msg);
}

static void settings(struct xml_import *im, json_t *dom, struct qube *q)
{
	json_t *o;
	size_t i;

	properties(im, q, props_of(dom), false);
	named(im, q, dom);
	volumes(im, q, dom);
	json_array_foreach(json_object_get(dom, "devices"), i, o)
		device(im, q, o);
	if (q->klass != K_ADMIN && q->klass != K_REMOTE)
		firewall(im, q);
}

static int domains(struct xml_import *im, json_t *list)
{
	_cleanup_free_ struct qube **made = xcalloc(json_array_size(list) + 1, sizeof *made);
	json_t *o;
	size_t i;

	json_array_foreach(list, i, o) {
		int r = streq(get(o, "class"), "AdminVM") ? 0 : create(im, list, o, &made[i]);

		if (r < 0)
			return r;
		if (streq(get(o, "class"), "AdminVM"))
			made[i] = im->c->dom0;
	}
	/* Templates before what is based on them: their checks look at them. */
	for (unsigned k = 0; k < 3; k++)
		json_array_foreach(list, i, o)
			if (made[i] && k == (made[i]->klass == K_DISP ? 2u : made[i]->klass == K_APP ? 1u : 0u))
				properties(im, made[i], props_of(o), true);
	json_array_foreach(list, i, o)
		if (made[i])
			settings(im, o, made[i]);
	return 0;
}

int xml_import(struct xml_import *im, const char *json, size_t len)
{
	json_t *top = json_loadb(json, len, 0, NULL), *o;
	size_t i;
	int r = 0;

	if (!top || !streq(get(top, "kind"), "qubes"))
		r = err_set(im->e, EINVAL, "this is no qubes.xml");
	if (r == 0) {
		labels(im, json_object_get(top, "labels"));
		json_array_foreach(json_object_get(top, "pools"), i, o)
			if (!pool_find(im->c, get(o, "name")))
				report(im, XML_LEFT, "pool '%s' (%s)", get(o, "name"), get(o, "driver"));
		r = domains(im, json_object_get(top, "domains"));
	}
	if (r == 0) {
		properties(im, NULL, json_object_get(top, "properties"), false);
		r = txn_commit(im->c, im->e);
	} else {
		txn_rollback(im->c);
	}
	json_decref(top);
	return r;
}
