/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inverse calls: each inv_* asks how things are before the change and writes the call that brings that back. */
#include "tool/inverse.h"

#include "client/answers.h"
#include "proto/device.h"

typedef bool (*inv_fn)(const struct change *c, const char *text, struct inverse *out);

/* "admin.vm.tag.Set" and "Get" make "admin.vm.tag.Get". */
static char *sibling(const char *method, const char *last)
{
	const char *dot = strrchr(method, '.');

	return xasprintf("%.*s.%s", (int)(dot ? dot - method : 0), method, last);
}

static void call_is(struct inverse *out, const char *dest, char *method, const char *arg, const char *payload)
{
	out->dest = xstrdup(dest);
	out->method = method;
	out->arg = xstrdup(arg);
	out->payload = xstrdup(payload);
}

/* One question about what the change is about. */
static int ask(struct adm_reply *rep, const char *dest, char *method, const char *arg)
{
	int r = adm_text(rep, dest, method, *arg ? arg : NULL, NULL, NULL);

	free(method);
	return r;
}

static char *owner_of(const struct change *c)
{
	return str_starts(c->method, "admin.vm.") ? xasprintf("'%s'", c->dest) : xstrdup("the system");
}

static bool property_of(const struct change *c, const char *base, const char *name, struct inverse *out)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	_cleanup_free_ char *owner = owner_of(c);
	struct adm_prop p = { 0 };

	if (ask(&rep, c->dest, sibling(base, "Get"), name) < 0 || adm_prop_parse(&p, rep.data, NULL) < 0)
		return false;
	if (str_ends(c->method, ".Reset") ? p.is_default : !p.is_default && str_ends(c->method, ".Set") && streq(p.value, c->payload))
		return false;
	if (p.is_default)
		out->text = xasprintf("%s of %s back to its default", name, owner);
	else
		out->text = xasprintf("%s of %s back to %s%s%s", name, owner, *p.value ? "'" : "", *p.value ? p.value : "none",
				      *p.value ? "'" : "");
	call_is(out, c->dest, sibling(base, p.is_default ? "Reset" : "Set"), name, p.is_default ? "" : p.value);
	return true;
}

static bool inv_property(const struct change *c, const char *text, struct inverse *out)
{
	(void)text;
	return property_of(c, c->method, c->arg, out);
}

static bool inv_denied(const struct change *c, const char *text, struct inverse *out)
{
	(void)text;
	return property_of(c, "admin.vm.property.Set", "devices_denied", out);
}

static bool inv_tag(const struct change *c, const char *text, struct inverse *out)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	bool set = str_ends(c->method, ".Set");

	(void)text;
	if (ask(&rep, c->dest, sibling(c->method, "Get"), c->arg) < 0 || streq(rep.data, "1") == set)
		return false;
	out->text = xasprintf("%s tag %s %s '%s'", set ? "remove" : "give", c->arg, set ? "from" : "to", c->dest);
	call_is(out, c->dest, sibling(c->method, set ? "Remove" : "Set"), c->arg, "");
	return true;
}

static bool inv_feature(const struct change *c, const char *text, struct inverse *out)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	bool set = str_ends(c->method, ".Set");
	int r = ask(&rep, c->dest, sibling(c->method, "Get"), c->arg);

	(void)text;
	if (r == -ADM_EXC_NO_FEATURE && set) {
		out->text = xasprintf("remove feature %s of '%s'", c->arg, c->dest);
		call_is(out, c->dest, sibling(c->method, "Remove"), c->arg, "");
		return true;
	}
	if (r < 0 || (set && streq(rep.data, c->payload)))
		return false;
	out->text = xasprintf("feature %s of '%s' back to '%s'", c->arg, c->dest, rep.data);
	call_is(out, c->dest, sibling(c->method, "Set"), c->arg, rep.data);
	return true;
}

static bool inv_text(const struct change *c, const char *text, struct inverse *out)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };

	if (ask(&rep, c->dest, sibling(c->method, "Get"), "") < 0 || strlen(rep.data) != rep.len || streq(rep.data, c->payload))
		return false;
	out->text = xasprintf("%s of '%s' as they were", text, c->dest);
	call_is(out, c->dest, xstrdup(c->method), "", rep.data);
	return true;
}

/* The last part of the method is a key of an Info answer. */
static bool key_of(const struct change *c, const char *dest, const char *info, struct inverse *out)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	const char *key = strrchr(c->method, '.') + 1;
	char value[200];

	if (ask(&rep, dest, xstrdup(info), c->arg) < 0 || adm_kv(rep.data, key, value, sizeof value) < 0 || streq(value, c->payload))
		return false;
	out->text = xasprintf("%s of %s%s%s back to '%s'", key, streq(dest, "dom0") ? "pool " : dest, streq(dest, "dom0") ? "" : ":",
			      c->arg, value);
	call_is(out, dest, xstrdup(c->method), c->arg, value);
	return true;
}

static bool inv_volume_key(const struct change *c, const char *text, struct inverse *out)
{
	(void)text;
	return key_of(c, c->dest, "admin.vm.volume.Info", out);
}

static bool inv_pool_key(const struct change *c, const char *text, struct inverse *out)
{
	(void)text;
	return key_of(c, "dom0", "admin.pool.Info", out);
}

static bool has_line(const char *text, const char *line)
{
	size_t n = strlen(line);

	for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
		if (strncmp(text, line, n) == 0 && (text[n] == '\n' || !text[n]))
			return true;
	return false;
}

/* A revert keeps what was there as a new revision: that is the one to go back to. */
static void revert_done(struct inverse *inv)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	char *line, *text;

	if (ask(&rep, inv->dest, sibling(inv->method, "ListSnapshots"), inv->arg) == 0) {
		text = rep.data;
		while ((line = adm_line(&text)))
			if (!has_line(inv->before, line)) {
				free(inv->payload);
				inv->payload = xstrdup(line);
			}
	}
	if (inv->payload[0])
		return;
	free(inv->text);
	inv->text = xstrdup("the volume kept no revision of what was replaced");
	inv->method[0] = '\0';
}

/* What the change replaces becomes a revision: text says what the volume is then. */
static bool inv_revert(const struct change *c, const char *text, struct inverse *out)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };

	if (ask(&rep, c->dest, sibling(c->method, "ListSnapshots"), c->arg) < 0)
		return false;
	out->before = xstrdup(rep.data);
	out->finish = revert_done;
	out->text = xasprintf("volume %s:%s as it was before the %s", c->dest, c->arg, text ? text : "revert");
	call_is(out, c->dest, sibling(c->method, "Revert"), c->arg, "");
	return true;
}

/* The value of KEY=VALUE among words that sep separates; NULL when it is not there. */
static char *word_of(const char *payload, const char *key, const char *sep)
{
	size_t n = strlen(key);

	while (*payload) {
		size_t len = strcspn(payload, sep);

		if (len > n && strncmp(payload, key, n) == 0)
			return xstrndup(payload + n, len - n);
		payload += len + (payload[len] != '\0');
	}
	return NULL;
}

/* The identity of what was made: a later qube of the same name is another one. */
static void create_done(struct inverse *inv)
{
	struct adm_qubes q;

	if (adm_qubes_get(&q, inv->dest, NULL) < 0)
		return;
	if (q.n == 1) {
		free(inv->payload);
		inv->payload = xstrdup(q.v[0].uuid);
	}
	adm_qubes_fini(&q);
}

static bool inv_create(const struct change *c, const char *text, struct inverse *out)
{
	_cleanup_free_ char *name = word_of(c->payload, "name=", " ");

	(void)text;
	if (!name)
		return false;
	out->finish = create_done;
	out->text = xasprintf("remove '%s', if it was never started", name);
	call_is(out, name, xstrdup("admin.vm.Remove"), "", "");
	return true;
}

static bool inv_pool_add(const struct change *c, const char *text, struct inverse *out)
{
	_cleanup_free_ char *name = word_of(c->payload, "name=", "\n");

	(void)text;
	if (!name)
		return false;
	out->text = xasprintf("remove pool '%s'", name);
	call_is(out, "dom0", xstrdup("admin.pool.Remove"), name, "");
	return true;
}

static bool inv_label(const struct change *c, const char *text, struct inverse *out)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	bool create = str_ends(c->method, ".Create");

	(void)text;
	if (!create && ask(&rep, "dom0", xstrdup("admin.label.Get"), c->arg) < 0)
		return false;
	out->text = xasprintf("%s label '%s'", create ? "remove" : "make again", c->arg);
	call_is(out, "dom0", sibling(c->method, create ? "Remove" : "Create"), c->arg, create ? "" : rep.data);
	return true;
}

static bool inv_device_add(const struct change *c, const char *text, struct inverse *out)
{
	out->text = xasprintf("%s device %s of '%s'", text[0] == 'U' ? "unassign" : "detach", c->arg, c->dest);
	call_is(out, c->dest, sibling(c->method, text), c->arg, "");
	return true;
}

/* The serialised form of an assignment, out of the list; NULL when there is none. arg: BACKEND+PORT+DEVID. */
static char *assignment(const char *dest, char *list, const char *arg)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct dev_assignment a;
	struct dev_name want;
	char *text, *line;

	if (dev_name_parse_arg(&want, arg, NULL) < 0) {
		free(list);
		return NULL;
	}
	if (ask(&rep, dest, list, "") < 0)
		return NULL;
	text = rep.data;
	while ((line = adm_line(&text))) {
		char *sp = strchr(line, ' ');

		if (sp && dev_assignment_parse(&a, rd_mem(sp + 1, strlen(sp + 1)), NULL) == 0 && streq(a.dev.backend, want.backend) &&
		    streq(a.dev.port, want.port) && streq(a.dev.id, want.id))
			return xstrdup(sp + 1);
	}
	return NULL;
}

static bool inv_device_remove(const struct change *c, const char *text, struct inverse *out)
{
	bool assign = streq(text, "Assign");
	_cleanup_free_ char *how = assignment(c->dest, sibling(c->method, assign ? "Assigned" : "Attached"), c->arg);

	if (!how)
		return false;
	out->text = xasprintf("%s device %s %s '%s' again", assign ? "assign" : "attach", c->arg, "to", c->dest);
	call_is(out, c->dest, sibling(c->method, text), c->arg, how);
	return true;
}

static bool inv_device_mode(const struct change *c, const char *text, struct inverse *out)
{
	_cleanup_free_ char *base = sibling(c->method, ""), *how = NULL, *mode = NULL;
	const char *at;

	(void)text;
	base[strlen(base) - 1] = '\0'; /* the dot: "….CLASS.Set" */
	how = assignment(c->dest, sibling(base, "Assigned"), c->arg);
	at = how ? strstr(how, "mode='") : NULL;
	mode = at ? xstrndup(at + strlen("mode='"), strcspn(at + strlen("mode='"), "'")) : NULL;
	if (!mode || streq(mode, c->payload))
		return false;
	out->text = xasprintf("device %s of '%s' back to %s", c->arg, c->dest, mode);
	call_is(out, c->dest, xstrdup(c->method), c->arg, mode);
	return true;
}

static bool inv_never(const struct change *c, const char *text, struct inverse *out)
{
	out->text = xstrdup(text);
	call_is(out, c->dest, xstrdup(""), c->arg, "");
	return true;
}

static const struct {
	const char *method;
	inv_fn fn;
	const char *text;
} rows[] = {
#define INV(method, how, text) { method, inv_##how, text },
#include "tool/inverse.def"
#undef INV
};

static bool fits(const char *pattern, const char *method)
{
	const char *star = strchr(pattern, '*');
	size_t n = star ? (size_t)(star - pattern) : 0;

	if (!star)
		return streq(pattern, method);
	return strlen(method) + 1 > strlen(pattern) && strncmp(pattern, method, n) == 0 && str_ends(method + n, star + 1);
}

struct inverse *inverse_of(const struct change *c)
{
	struct inverse out = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct inverse *inv;

		if (!fits(rows[i].method, c->method))
			continue;
		if (!rows[i].fn(c, rows[i].text, &out))
			return NULL;
		inv = xcalloc(1, sizeof *inv);
		*inv = out;
		return inv;
	}
	return NULL;
}

void inverse_finish(struct inverse *inv)
{
	if (inv->finish)
		inv->finish(inv);
}

void inverse_free(struct inverse *inv)
{
	if (!inv)
		return;
	free(inv->text);
	free(inv->dest);
	free(inv->method);
	free(inv->arg);
	free(inv->payload);
	free(inv->before);
	free(inv);
}

bool inverse_allowed(const char *method)
{
	if (streq(method, "admin.vm.Remove") || streq(method, "admin.pool.Remove"))
		return true;
	/* Imports, copies and clearings are taken back by a revert, never by one of themselves. */
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if ((rows[i].fn != inv_revert || streq(method, "admin.vm.volume.Revert")) && rows[i].fn != inv_never && rows[i].fn != inv_create && fits(rows[i].method, method))
			return true;
	return false;
}
