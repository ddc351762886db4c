/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A configuration as TOML: what qvm-export prints and qvm-apply reads. */
#include "proto/toml.h"
#include "tool/conf.h"

static void pair(struct wr *w, const char *key, const char *value)
{
	toml_put_key(w, key);
	wr_str(w, " = ");
	if (streq(value, "True") || streq(value, "False"))
		wr_str(w, value[0] == 'T' ? "true" : "false");
	else
		toml_put_text(w, value);
	wr_str(w, "\n");
}

static void number_or_text(struct wr *w, const char *key, const char *value)
{
	int64_t n;

	if (str_i64(value, INT64_MIN, INT64_MAX, &n) < 0) {
		pair(w, key, value);
		return;
	}
	toml_put_key(w, key);
	wr_printf(w, " = %s\n", value);
}

static void names(struct wr *w, const char *key, const struct conf_list *l)
{
	if (!l->n)
		return;
	wr_printf(w, "%s = [", key);
	for (size_t i = 0; i < l->n; i++) {
		wr_str(w, i ? ", " : "");
		toml_put_string(w, l->v[i].key);
	}
	wr_str(w, "]\n");
}

static void firewall(struct wr *w, const char *text)
{
	/* Everything allowed is what a new qube has. */
	if (!text || streq(text, "action=accept\n"))
		return;
	wr_str(w, "firewall = [\n");
	while (*text) {
		size_t n = strcspn(text, "\n");
		_cleanup_free_ char *line = xstrndup(text, n);

		wr_str(w, "\t");
		toml_put_string(w, line);
		wr_str(w, ",\n");
		text += n + (text[n] == '\n');
	}
	wr_str(w, "]\n");
}

/* Features that begin with prefix, as a table of their own; those of services go without it. */
static void features(struct wr *w, const struct conf_qube *q, bool services)
{
	const char *prefix = "service.";
	bool any = false;

	for (size_t i = 0; i < q->features.n; i++) {
		const struct conf_kv *kv = &q->features.v[i];
		bool is_service = str_starts(kv->key, prefix);

		if (is_service != services)
			continue;
		if (!any) {
			wr_str(w, "[qubes.");
			toml_put_key(w, q->name);
			wr_str(w, services ? ".services]\n" : ".features]\n");
		}
		any = true;
		toml_put_key(w, kv->key + (services ? strlen(prefix) : 0));
		wr_str(w, " = ");
		if (streq(kv->value, "1") || streq(kv->value, ""))
			wr_str(w, *kv->value ? "true" : "false");
		else
			toml_put_text(w, kv->value);
		wr_str(w, "\n");
	}
}

static void volumes(struct wr *w, const struct conf_qube *q)
{
	for (size_t i = 0; i < q->volumes.n; i++) {
		const char *key = q->volumes.v[i].key, *dot = strchr(key, '.');
		int n = (int)(dot - key);

		if (i == 0 || strncmp(q->volumes.v[i - 1].key, key, (size_t)n + 1) != 0) {
			wr_str(w, "[qubes.");
			toml_put_key(w, q->name);
			wr_printf(w, ".volumes.%.*s]\n", n, key);
		}
		number_or_text(w, dot + 1, q->volumes.v[i].value);
	}
}

static void qube(struct wr *w, const struct conf_qube *q)
{
	wr_str(w, "\n[qubes.");
	toml_put_key(w, q->name);
	wr_str(w, "]\n");
	if (!streq(q->cls, "AdminVM"))
		pair(w, "class", q->cls);
	for (size_t i = 0; i < q->props.n; i++) {
		/* Numbers read better bare, but a label or a kernel may look like a number. */
		if (streq(q->props.v[i].key, "label") || streq(q->props.v[i].key, "kernel"))
			pair(w, q->props.v[i].key, q->props.v[i].value);
		else
			number_or_text(w, q->props.v[i].key, q->props.v[i].value);
	}
	names(w, "tags", &q->tags);
	if (q->notes && *q->notes)
		pair(w, "notes", q->notes);
	firewall(w, q->firewall);
	features(w, q, false);
	features(w, q, true);
	volumes(w, q);
	conf_write_devices(w, q);
}

static void table(struct wr *w, const char *name, const struct conf_list *l)
{
	if (!l->n)
		return;
	wr_printf(w, "\n[%s]\n", name);
	for (size_t i = 0; i < l->n; i++)
		number_or_text(w, l->v[i].key, l->v[i].value);
}

void conf_write(struct wr *w, const struct conf *c)
{
	table(w, "global", &c->global);
	table(w, "labels", &c->labels);
	for (size_t i = 0; i < c->n; i++)
		qube(w, &c->q[i]);
	if (!c->policy.n)
		return;
	wr_str(w, "\n[policy]\n");
	for (size_t i = 0; i < c->policy.n; i++)
		pair(w, c->policy.v[i].key, c->policy.v[i].value);
}
