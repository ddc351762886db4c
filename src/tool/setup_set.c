/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of setup.def as a configuration for this machine. */
#include "tool/setup.h"

enum need { ALWAYS, SYSTEM, USB, TOR };
enum kind { ROW_QUBE, ROW_PROP, ROW_FEATURE, ROW_TAG, ROW_GLOBAL };

struct row {
	enum kind kind;
	enum need need;
	const char *key, *value, *label;
};

static const struct row rows[] = {
#define QUBE(name, need, base, label) { ROW_QUBE, need, name, base, label },
#define PROP(key, value) { ROW_PROP, ALWAYS, key, value, NULL },
#define FEATURE(key, value) { ROW_FEATURE, ALWAYS, key, value, NULL },
#define TAG(name) { ROW_TAG, ALWAYS, name, NULL, NULL },
#define GLOBAL(key, value) { ROW_GLOBAL, ALWAYS, key, value, NULL },
#include "tool/setup.def"
};

/* Puts the machine's template for a word that begins with $. NULL: this machine has none. */
static char *expand(const struct setup_want *w, const char *word)
{
	const struct {
		const char *name, *value;
	} words[] = { { "$template", w->template }, { "$gateway", w->gateway }, { "$workstation", w->workstation } };

	if (word[0] != '$')
		return xstrdup(word);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_starts(word, words[i].name))
			return words[i].value ? xasprintf("%s%s", words[i].value, word + strlen(words[i].name)) : NULL;
	return NULL;
}

static bool needed(const struct setup_want *w, enum need need)
{
	switch (need) {
	case USB:
		return w->usb;
	case TOR:
		return w->gateway && w->workstation;
	case ALWAYS:
	case SYSTEM:
		break;
	}
	return true;
}

static bool is_disposable(const struct setup_want *w, enum need need)
{
	return w->disposable && (need == SYSTEM || need == USB);
}

static void place(struct conf_kv *kv, size_t row)
{
	kv->file = "the default set, row";
	kv->line = (unsigned)row + 1;
}

static struct conf_qube *begin(struct conf *c, const struct setup_want *w, size_t i)
{
	const struct row *row = &rows[i];
	_cleanup_free_ char *name = expand(w, row->key), *base = row->value ? expand(w, row->value) : NULL;
	struct conf_qube *q;

	if (!needed(w, row->need) || !name)
		return NULL;
	q = conf_qube_add(c, name);
	q->file = "the default set, row";
	q->line = (unsigned)i + 1;
	if (!base)
		return q;
	q->cls = xstrdup(is_disposable(w, row->need) ? "DispVM" : "AppVM");
	place(conf_add(&q->props, "template", is_disposable(w, row->need) ? "default-dvm" : base), i);
	place(conf_add(&q->props, "label", row->label), i);
	return q;
}

static void whole_set(struct conf *c, const struct setup_want *w)
{
	struct conf_qube *q = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		_cleanup_free_ char *value = NULL;

		if (row->kind == ROW_QUBE) {
			q = begin(c, w, i);
			continue;
		}
		value = row->value ? expand(w, row->value) : NULL;
		if (row->kind == ROW_GLOBAL && value)
			place(conf_add(&c->global, row->key, value), i);
		else if (q && row->kind == ROW_PROP && value)
			place(conf_add(&q->props, row->key, value), i);
		else if (q && row->kind == ROW_FEATURE)
			place(conf_add(&q->features, row->key, value), i);
		else if (q && row->kind == ROW_TAG)
			place(conf_add(&q->tags, row->key, NULL), i);
	}
}

static bool named(const struct setup_want *w, const char *name)
{
	for (size_t i = 0; i < w->n_only; i++)
		if (streq(w->only[i], name))
			return true;
	return false;
}

/* Marks what the marked qubes rest on and the system does not have yet. */
static bool mark_bases(const struct conf *c, const struct adm_qubes *all, bool *keep)
{
	bool more = false;

	for (size_t i = 0; i < c->n; i++) {
		for (size_t k = 0; keep[i] && k < c->q[i].props.n; k++) {
			const struct conf_qube *base = conf_qube_find(c, c->q[i].props.v[k].value);
			size_t at = base ? (size_t)(base - c->q) : 0;

			if (base && !keep[at] && !adm_qubes_find(all, base->name)) {
				keep[at] = true;
				more = true;
			}
		}
	}
	return more;
}

static int only(struct conf *c, const struct setup_want *w, const struct adm_qubes *all, struct err *e)
{
	_cleanup_free_ bool *keep = xcalloc(c->n, sizeof *keep);
	size_t n = 0;

	for (size_t i = 0; i < w->n_only; i++)
		if (streq(w->only[i], "dom0") || !conf_qube_find(c, w->only[i]))
			return err_set(e, EINVAL, "'%s' is not in the default set of this machine; --plan shows the set", w->only[i]);
	for (size_t i = 0; i < c->n; i++)
		keep[i] = named(w, c->q[i].name);
	while (mark_bases(c, all, keep))
		;
	for (size_t i = 0; i < c->n; i++) {
		if (keep[i])
			c->q[n++] = c->q[i];
		else
			conf_qube_fini(&c->q[i]);
	}
	c->n = n;
	conf_list_fini(&c->global);
	return 0;
}

int setup_set(struct conf *ret, const struct setup_want *want, const struct adm_qubes *all, struct err *e)
{
	whole_set(ret, want);
	return want->only ? only(ret, want, all, e) : 0;
}

/* Numbers inside names count as numbers: debian-9 is older than debian-12. */
static int cmp_version(const char *a, const char *b)
{
	while (*a && *b) {
		if (ch_digit(*a) && ch_digit(*b)) {
			char *ea, *eb;
			unsigned long x = strtoul(a, &ea, 10), y = strtoul(b, &eb, 10);

			if (x != y)
				return x < y ? -1 : 1;
			a = ea;
			b = eb;
		} else if (*a != *b) {
			return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
		} else {
			a++;
			b++;
		}
	}
	return *a ? 1 : *b ? -1 : 0;
}

/* A template for daily use before a small one, a known family before others, the newest of a family. */
static unsigned rank(const char *name)
{
	static const char *const families[] = { "fedora-", "debian-" };
	unsigned n = 1;

	for (unsigned i = 0; i < ARRAY_SIZE(families); i++)
		if (str_starts(name, families[i]))
			n = i + 2;
	return n + (strstr(name, "-minimal") ? 0 : 10);
}

enum half { NO_HALF, GATEWAY, WORKSTATION, OTHER_HALF };

static bool has_feature(const char *qube, const char *feature)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };

	return adm_text(&rep, qube, "admin.vm.feature.Get", feature, NULL, NULL) >= 0 && rep.data[0];
}

/* Half of a Tor pair: by the feature that the template itself announces, or by the reference's names. */
static enum half half_of(const char *name)
{
	if (str_starts(name, "whonix-gateway") || has_feature(name, "whonix-gw"))
		return GATEWAY;
	if (str_starts(name, "whonix-workstation") || has_feature(name, "whonix-ws"))
		return WORKSTATION;
	return str_starts(name, "whonix-") ? OTHER_HALF : NO_HALF;
}

/* Whoever installed the reference's pair means it. */
static unsigned tor_rank(const char *name)
{
	return rank(name) + (str_starts(name, "whonix-") ? 100 : 0);
}

static const char *best(const struct adm_qubes *all, enum half half)
{
	const char *found = NULL;

	for (size_t i = 0; i < all->n; i++) {
		const char *name = all->v[i].name;

		if (!streq(all->v[i].cls, "TemplateVM") || half_of(name) != half)
			continue;
		if (!found || tor_rank(name) > tor_rank(found) || (tor_rank(name) == tor_rank(found) && cmp_version(name, found) > 0))
			found = name;
	}
	return found;
}

void setup_templates(struct setup_want *want, const struct adm_qubes *all, char names[3][QNAME_MAX + 1])
{
	const char *found[] = { want->template ? want->template : best(all, NO_HALF), best(all, GATEWAY), best(all, WORKSTATION) };
	const char **where[] = { &want->template, &want->gateway, &want->workstation };

	for (size_t i = 0; i < ARRAY_SIZE(found); i++)
		*where[i] = found[i] && str_copy(names[i], QNAME_MAX + 1, found[i]) == 0 ? names[i] : NULL;
}
