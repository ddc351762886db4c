/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shell completion: `bulkhead-tools --complete INDEX TOOL WORD…` prints the candidates for word INDEX, one a line. The verb tables say
 * what a word is; names come from the daemon, silently nothing when it does not answer.
 */
#include "base/paths.h"
#include "client/answers.h"
#include "tool/complete.h"
#include "tool/frame.h"

#define WORDS_MAX 32

/* The command line up to the word that is completed. */
struct line {
	const struct verb *v;
	const char *pos[WORDS_MAX]; /* positional words */
	size_t n;
	const struct tool_opt *pending; /* the word is the argument of this option */
};

static void offer_options(const struct verb *v, const struct want *w)
{
	const struct tool_opt *o;

	for (size_t i = 0; (o = opt_row(v, i)); i++) {
		char s[64];

		if (!o->name || (o->flags & OPT_HIDDEN))
			continue;
		if (str_printf(s, sizeof s, "--%s", o->name) == 0)
			offer(w, s, o->arg && !(o->flags & OPT_OPTIONAL) ? "=" : "");
	}
}

static const struct tool_opt *row_of(const struct verb *v, const char *word)
{
	const struct tool_opt *o;

	for (size_t i = 0; (o = opt_row(v, i)); i++) {
		if (word[1] == '-' ? o->name && streq(o->name, word + 2) :
				     o->key == word[1] && !word[2] && !(o->flags & OPT_ALIAS))
			return o;
	}
	return NULL;
}

static enum word_kind kind_at(const struct verb *v, size_t pos)
{
	enum word_kind k = W_ANY;

	for (size_t i = 0; i < ARRAY_SIZE(v->words) && i <= pos; i++)
		if (v->words[i] || i == pos)
			k = v->words[i] ? v->words[i] : k;
	return k;
}

/* What the names of arguments in the synopses of sub-commands mean. */
static enum word_kind kind_named(const struct verb *v, const char *name, size_t n)
{
	static const struct {
		const char *name;
		enum word_kind kind;
	} names[] = {
		{ "QUBE", W_QUBE },   { "SOURCE", W_QUBE }, { "TARGET", W_QUBE },   { "QUBE:VOLUME", W_VOLUME }, { "POOL", W_POOL },
		{ "TAG", W_TAG },     { "DRIVER", W_DRIVER }, { "RULE", W_RULE },   { "FILE", W_FILE },
		{ "DEVICE", W_DEVICE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i].name) == n && strncmp(names[i].name, name, n) == 0)
			return names[i].kind == W_FILE && streq(v->name, "qvm-policy") ? W_POLICY_FILE : names[i].kind;
	return W_ANY;
}

/* The kind of word number k (from 0) behind a sub-command, out of its synopsis: "[-p POOL] [--full] [QUBE...]" has QUBE as word 0. */
static enum word_kind sub_kind(const struct verb *v, const struct tool_sub *s, size_t k)
{
	const char *p = s->args;
	enum word_kind last = W_ANY;
	size_t at = 0;

	while (*p) {
		bool option = p[0] == '-' || (p[0] == '[' && p[1] == '-'), repeats;
		size_t n = strcspn(p, " "), core;

		if (option && p[0] == '[')
			n = strcspn(p, "]") + 1;
		else if (option && strncmp(p + n, " NO", 3) == 0)
			n += 3;
		core = n;
		repeats = n > 3 && memmem(p, n, "...", 3);
		while (core && strchr("]. ", p[core - 1]))
			core--;
		if (!option && !(n == 1 && *p == '|')) {
			last = kind_named(v, p[0] == '[' ? p + 1 : p, p[0] == '[' ? core - 1 : core);
			if (at++ == k || repeats)
				return last;
		}
		p += n + strspn(p + n, " ");
	}
	return last;
}

static enum word_kind kind_of(const struct line *l)
{
	for (size_t i = 0; i < l->n && l->v->subs; i++)
		for (size_t k = 0; kind_at(l->v, i) == W_SUB && l->v->subs[k].name; k++)
			if (streq(l->v->subs[k].name, l->pos[i]))
				return sub_kind(l->v, &l->v->subs[k], l->n - i - 1);
	return kind_at(l->v, l->n);
}

static void read_line(struct line *l, int argc, char **argv, uint64_t index)
{
	for (int i = 2; i < argc && (uint64_t)(i - 1) < index; i++) {
		if (l->pending) {
			l->pending = NULL;
		} else if (argv[i][0] == '-' && argv[i][1]) {
			l->pending = row_of(l->v, argv[i]);
			if (l->pending && (!l->pending->arg || (l->pending->flags & OPT_OPTIONAL)))
				l->pending = NULL;
		} else if (l->n < WORDS_MAX) {
			l->pos[l->n++] = argv[i];
		}
	}
}

/* The argument of an option; of a list, only what is behind the last comma is completed. */
static void offer_arg(const struct line *l, struct want *w, const struct tool_opt *o)
{
	const char *comma = o->arg && str_ends(o->arg, ",...") ? strrchr(w->prefix, ',') : NULL;

	if (comma) {
		w->lead_len = (size_t)(comma + 1 - w->prefix);
		w->lead = w->prefix;
		w->prefix = comma + 1;
	}
	w->pairs = o->arg && str_ends(o->arg, "NAME=VALUE");
	offer_kind(l->v, o->kind, w);
}

/* argv: INDEX TOOL WORD…, where INDEX counts the words with the tool as 0. */
int tool_complete(int argc, char **argv)
{
	struct want w = { .prefix = "" };
	struct line l = { 0 };
	const char *eq;
	char name[64];
	uint64_t index;

	if (argc < 2 || str_u64(argv[0], 4096, &index) < 0 || !(l.v = verb_find(argv[1])) || paths_init(NULL, NULL) < 0)
		return EXIT_USAGE;
	read_line(&l, argc, argv, index);
	w.first = l.n ? l.pos[0] : NULL;
	for (size_t i = 0; i < l.n; i++) {
		if (kind_at(l.v, i) == W_QUBE && !w.qube)
			w.qube = l.pos[i];
		if (kind_at(l.v, i) == W_PROPERTY || kind_at(l.v, i) == W_GLOBAL_PROPERTY)
			w.property = l.pos[i];
	}
	if (index + 1 < (uint64_t)argc)
		w.prefix = argv[index + 1];
	eq = w.prefix[0] == '-' ? strchr(w.prefix, '=') : NULL;
	if (l.pending) {
		offer_arg(&l, &w, l.pending);
	} else if (eq) {
		if (str_printf(name, sizeof name, "%.*s", (int)(eq - w.prefix), w.prefix) == 0 && (l.pending = row_of(l.v, name))) {
			w.prefix = eq + 1;
			offer_arg(&l, &w, l.pending);
		}
	} else if (w.prefix[0] == '-') {
		offer_options(l.v, &w);
	} else {
		offer_kind(l.v, kind_of(&l), &w);
	}
	return 0;
}
