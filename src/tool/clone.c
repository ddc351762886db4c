/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Creation and copying of qubes over the Admin API. */
#include "tool/clone.h"

#include "proto/names.h"
#include "tool/devices.h"
#include "tool/feature_list.h"


static bool field_ok(const char *s)
{
	return *s && str_chars(s, "_.-");
}

int create_qube(struct tool *t, const char *cls, const char *tmpl, const char *name, const char *label)
{
	const char *pool = opt_str(t, 'P'), *vp;
	bool in_pool = pool || opt_has(t, 'p');
	_cleanup_wr_ struct wr w = wr_grow(8192);
	struct qname checked;
	struct err e = { 0 };
	char method[96];
	int r = qname_parse(&checked, name, &e);

	if (r < 0)
		return tool_usage(t, "%s", err_text(&e, r));
	if (tmpl && (r = qname_parse(&checked, tmpl, &e)) < 0)
		return tool_usage(t, "no such template: %s", err_text(&e, r));
	if (!field_ok(label))
		return tool_usage(t, "'%s' is no label; there are " LABELS, label);
	if (pool && opt_has(t, 'p'))
		return tool_usage(t, "give one pool for all volumes (-P) or pools of single volumes (-p), not both");
	wr_printf(&w, "name=%s label=%s", name, label);
	if (pool)
		wr_printf(&w, " pool=%s", pool);
	if (pool && !field_ok(pool))
		return tool_usage(t, "'%s' is no pool", pool);
	for (size_t i = 0; (vp = opt_nth(t, 'p', i)); i++) {
		const char *eq = strchr(vp, '=');

		if (!eq || eq == vp || !field_ok(eq + 1) || strchr(vp, ' '))
			return tool_usage(t, "'%s' is not VOLUME=POOL", vp);
		wr_printf(&w, " pool:%s", vp);
	}
	wr_u8(&w, 0);
	if (!field_ok(cls) || str_printf(method, sizeof method, "admin.vm.Create%s.%s", in_pool ? "InPool" : "", cls) < 0 || !wr_ok(&w))
		return tool_usage(t, "'%s' is no class of qubes; 'qvm-create --help-classes' lists them", cls);
	r = adm_void("dom0", method, tmpl, (const char *)w.buf, &e);
	if (r == -ADM_EXC_NO_LABEL)
		return tool_fail(t, "no such label: '%s'; there are " LABELS, label);
	/* The payload is right: what the daemon does not know is the method, that is the class. */
	if (r == -ADM_EXC_PROTOCOL)
		return tool_fail(t, "'%s' is no class of qubes that can be made; 'qvm-create --help-classes' lists them", cls);
	return r < 0 ? tool_api(t, r, &e) : 0;
}

struct clone {
	struct tool *t;
	const struct clone_spec *s;
	int failed;
};

/* Counts a failed step. True when the copying is to end. */
static bool step_failed(struct clone *c, int r, const struct err *e, const char *what)
{
	if (r >= 0)
		return false;
	c->failed++;
	(void)tool_fail(c->t, "copying %s of '%s': %s", what, c->s->src, err_text(e, r));
	return !c->s->ignore_errors;
}

static bool prop_is_copied(const struct adm_prop *p)
{
	static const char *const not_copied[] = { "name", "qid", "template", "label", "uuid", "installed_by_rpm", "dispid" };

	if (p->is_default)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(not_copied); i++)
		if (streq(p->name, not_copied[i]))
			return false;
	return true;
}

static bool copy_props(struct clone *c, const struct adm_props *props)
{
	struct adm_props own;
	struct err e = { 0 };
	char what[100];
	int r = adm_props_get(&own, c->s->dst, false, &e);
	bool stop = false;

	if (r < 0)
		return step_failed(c, r, &e, "properties");
	for (size_t i = 0; i < props->n && !stop; i++) {
		const struct adm_prop *p = &props->v[i], *mine = adm_props_find(&own, p->name);

		/* Computed ones say default=False too; they are equal or cannot be set. Ones that the new class lacks are left out. */
		if (!prop_is_copied(p) || !mine || (streq(mine->value, p->value) && mine->is_default == p->is_default))
			continue;
		r = adm_void(c->s->dst, "admin.vm.property.Set", p->name, p->value, &e);
		if (str_printf(what, sizeof what, "property %s", p->name) == 0)
			stop = step_failed(c, r, &e, what);
	}
	adm_props_fini(&own);
	return stop;
}

static bool copy_tags(struct clone *c)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct err e = { 0 };
	char *text, *tag;
	int r = adm_text(&rep, c->s->src, "admin.vm.tag.List", NULL, NULL, &e);

	if (r < 0)
		return step_failed(c, r, &e, "tags");
	text = rep.data;
	while ((tag = adm_line(&text))) {
		if (str_starts(tag, "created-by-"))
			continue;
		r = adm_void(c->s->dst, "admin.vm.tag.Set", tag, NULL, &e);
		if (step_failed(c, r, &e, "tags"))
			return true;
	}
	return false;
}

static bool copy_features(struct clone *c)
{
	struct features f;
	struct err e = { 0 };
	bool stop = false;
	int r = features_get(&f, c->s->src, "", &e);

	if (r < 0)
		return step_failed(c, r, &e, "features");
	for (size_t i = 0; i < f.n && !stop; i++) {
		const char *name = f.v[i].name;

		if (!f.v[i].value || (str_starts(name, "preload-dispvm") && !streq(name, "preload-dispvm-max")))
			continue;
		r = adm_void(c->s->dst, "admin.vm.feature.Set", name, f.v[i].value, &e);
		stop = step_failed(c, r, &e, "features");
	}
	features_fini(&f);
	return stop;
}

/* A text that one method gives and another takes: notes, firewall. An empty one is left alone. */
static bool copy_text(struct clone *c, const char *get, const char *set, const char *what)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct err e = { 0 };
	int r = adm_text(&rep, c->s->src, get, NULL, NULL, &e);

	/* A daemon without such a text at all has nothing that could be lost. */
	if (r == -ADM_EXC_PROTOCOL)
		return false;
	if (r >= 0 && rep.len)
		r = adm_void(c->s->dst, set, NULL, rep.data, &e);
	return step_failed(c, r, &e, what);
}

/* A volume that keeps nothing of its own shows its template's: the content is there. Gives 0 and the qube whose volume to copy. */
static int volume_owner(const char *qube, const char *vol, char *out, size_t cap, struct err *e)
{
	char keep[16];

	if (str_copy(out, cap, qube) < 0)
		return -ENAMETOOLONG;
	for (int depth = 0; depth < 4; depth++) {
		_cleanup_reply_ struct adm_reply info = { 0 };
		char next[64];
		int r = adm_text(&info, out, "admin.vm.volume.Info", vol, NULL, e);

		if (r < 0)
			return r;
		if (adm_kv(info.data, "save_on_stop", keep, sizeof keep) < 0 || streq(keep, "True"))
			return 0;
		r = prop_get(out, "template", next, sizeof next, e);
		if (r < 0)
			return r;
		if (!next[0] || str_copy(out, cap, next) < 0)
			break;
	}
	return 0;
}

static bool copy_volumes(struct clone *c)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct err e = { 0 };
	char *text, *vol, keep[16], what[64], owner[64];
	int r = adm_text(&rep, c->s->dst, "admin.vm.volume.List", NULL, NULL, &e);

	if (r < 0)
		return step_failed(c, r, &e, "volumes");
	text = rep.data;
	while ((vol = adm_line(&text))) {
		_cleanup_reply_ struct adm_reply info = { 0 }, token = { 0 };

		r = adm_text(&info, c->s->dst, "admin.vm.volume.Info", vol, NULL, &e);
		if (r >= 0 && (adm_kv(info.data, "save_on_stop", keep, sizeof keep) < 0 || !streq(keep, "True")))
			continue;
		if (r >= 0)
			r = volume_owner(c->s->src, vol, owner, sizeof owner, &e);
		if (r >= 0)
			r = adm_text(&token, owner, "admin.vm.volume.CloneFrom", vol, NULL, &e);
		if (r >= 0)
			r = adm_void(c->s->dst, "admin.vm.volume.CloneTo", vol, token.data, &e);
		if (str_printf(what, sizeof what, "volume %s", vol) == 0 && step_failed(c, r, &e, what))
			return true;
	}
	return false;
}

static int assign_copy(const char *qube, struct dev_assignment *a, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(16384), arg = wr_grow(1024);
	char method[64];

	if (str_copy(a->frontend, sizeof a->frontend, qube) < 0 ||
	    str_printf(method, sizeof method, "admin.vm.device.%s.Assign", dev_class_name(a->cls)) < 0)
		return err_set(e, ENAMETOOLONG, "the name is too long");
	dev_name_put_arg(&arg, &a->dev);
	wr_u8(&arg, '\0');
	dev_assignment_put(&w, a);
	wr_u8(&w, '\0');
	return adm_void(qube, method, (const char *)arg.buf, (const char *)w.buf, e);
}

static bool copy_devices(struct clone *c)
{
	for (unsigned cls = 0; cls < DEV_N; cls++) {
		_cleanup_free_ struct dev_assignment *v = NULL;
		struct err e = { 0 };
		size_t n = 0;
		int r = devices_assigned(c->s->src, (enum dev_class)cls, &v, &n, &e);

		for (size_t i = 0; r >= 0 && i < n; i++)
			r = assign_copy(c->s->dst, &v[i], &e);
		if (step_failed(c, r, &e, "assigned devices"))
			return true;
	}
	return false;
}

static const char *value_of(const struct adm_props *p, const char *name)
{
	const struct adm_prop *x = adm_props_find(p, name);

	return x && *x->value ? x->value : NULL;
}

static int clone_into(struct tool *t, const struct clone_spec *s, const struct adm_props *props, const char *cls)
{
	bool based = streq(cls, "AppVM") || streq(cls, "DispVM");
	const char *tmpl = based ? value_of(props, "template") : NULL;
	const char *label = s->label ? s->label : value_of(props, "label");
	struct clone c = { .t = t, .s = s };
	struct err e = { 0 };
	bool stop;
	int r;

	/* An AppVM made from a template is based on it. */
	if (based && !tmpl && streq(cls, "AppVM"))
		tmpl = s->src;
	r = create_qube(t, cls, tmpl, s->dst, label ? label : "red");
	if (r != 0)
		return r;
	stop = copy_props(&c, props) || copy_tags(&c) || copy_features(&c);
	stop = stop || copy_text(&c, "admin.vm.notes.Get", "admin.vm.notes.Set", "notes");
	stop = stop || copy_text(&c, "admin.vm.firewall.Get", "admin.vm.firewall.Set", "firewall rules");
	stop = stop || copy_volumes(&c);
	stop = stop || copy_devices(&c);
	if (!stop)
		return c.failed ? EXIT_FAIL : 0;
	r = adm_void(s->dst, "admin.vm.Remove", NULL, NULL, &e);
	if (r < 0)
		(void)tool_fail(t, "removing the unfinished '%s' failed too: %s", s->dst, err_text(&e, r));
	return EXIT_FAIL;
}

int clone_qube(struct tool *t, const struct clone_spec *s)
{
	struct adm_qubes q;
	struct adm_props props;
	struct err e = { 0 };
	int r = adm_qubes_get(&q, s->src, &e);

	if (r < 0)
		return r == -ADM_EXC_NOT_FOUND ? tool_usage(t, "no such qube: '%s'", s->src) : tool_api(t, r, &e);
	if (streq(s->src, "dom0")) {
		adm_qubes_fini(&q);
		return tool_usage(t, "dom0 cannot be cloned");
	}
	r = adm_props_get(&props, s->src, false, &e);
	if (r < 0) {
		adm_qubes_fini(&q);
		return tool_api(t, r, &e);
	}
	r = clone_into(t, s, &props, s->cls ? s->cls : q.v[0].cls);
	adm_props_fini(&props);
	adm_qubes_fini(&q);
	return r;
}
