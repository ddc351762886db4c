/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shell completion: `bulkhead-tools --complete INDEX TOOL WORD…` prints the candidates for word INDEX, one a line. The verb tables say
 * what a word is; names come from the daemon, silently nothing when it does not answer.
 */
#include "base/paths.h"
#include "client/answers.h"
#include "tool/frame.h"

struct want {
	const char *prefix;
	const char *qube; /* first positional that was a qube; NULL = none yet */
};

static void offer(const struct want *w, const char *s, const char *tail)
{
	if (str_starts(s, w->prefix))
		printf("%s%s\n", s, tail);
}

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

/* The first column (up to a blank) of each line of an answer. */
static void offer_lines(const struct want *w, const char *dest, const char *method, const char *lead)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	char *text, *line;

	if (adm_text(&rep, dest, method, NULL, NULL, NULL) < 0)
		return;
	text = rep.data;
	while ((line = adm_line(&text))) {
		line[strcspn(line, " ")] = '\0';
		if (str_starts(line, lead))
			offer(w, line + strlen(lead), "");
	}
}

static void offer_volumes(const struct want *w)
{
	const char *colon = strchr(w->prefix, ':');
	_cleanup_reply_ struct adm_reply rep = { 0 };
	char qube[64], *text, *line;

	if (!colon) {
		struct adm_qubes q;

		if (adm_qubes_get(&q, "dom0", NULL) < 0)
			return;
		for (size_t i = 0; i < q.n; i++)
			offer(w, q.v[i].name, ":");
		adm_qubes_fini(&q);
		return;
	}
	if (str_printf(qube, sizeof qube, "%.*s", (int)(colon - w->prefix), w->prefix) < 0 ||
	    adm_text(&rep, qube, "admin.vm.volume.List", NULL, NULL, NULL) < 0)
		return;
	text = rep.data;
	while ((line = adm_line(&text)))
		if (str_starts(line, colon + 1))
			printf("%s:%s\n", qube, line);
}

static void offer_kind(const struct verb *v, enum word_kind kind, const struct want *w)
{
	const char *qube = w->qube ? w->qube : "dom0";

	switch (kind) {
	case W_QUBE:
		offer_lines(w, "dom0", "admin.vm.List", "");
		break;
	case W_PROPERTY:
		offer_lines(w, qube, "admin.vm.property.List", "");
		break;
	case W_GLOBAL_PROPERTY:
		offer_lines(w, "dom0", "admin.property.List", "");
		break;
	case W_LABEL:
		offer_lines(w, "dom0", "admin.label.List", "");
		break;
	case W_CLASS:
		offer_lines(w, "dom0", "admin.vmclass.List", "");
		break;
	case W_POOL:
		offer_lines(w, "dom0", "admin.pool.List", "");
		break;
	case W_VOLUME:
		offer_volumes(w);
		break;
	case W_FEATURE:
		offer_lines(w, qube, "admin.vm.feature.List", "");
		break;
	case W_SERVICE:
		offer_lines(w, qube, "admin.vm.feature.List", "service.");
		break;
	case W_TAG:
		offer_lines(w, qube, "admin.vm.tag.List", "");
		break;
	case W_SUB:
		for (size_t i = 0; v->subs && v->subs[i].name; i++)
			offer(w, v->subs[i].name, "");
		break;
	case W_FILE: /* left to the shell */
	case W_ANY:
		break;
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

/* argv: INDEX TOOL WORD…, where INDEX counts the words with the tool as 0. */
int tool_complete(int argc, char **argv)
{
	struct want w = { .prefix = "" };
	const struct tool_opt *pending = NULL;
	const struct verb *v;
	uint64_t index;
	size_t pos = 0;

	if (argc < 2 || str_u64(argv[0], 4096, &index) < 0 || !(v = verb_find(argv[1])) || paths_init(NULL, NULL) < 0)
		return EXIT_USAGE;
	for (int i = 2; i < argc && (uint64_t)(i - 1) < index; i++) {
		if (pending) {
			pending = NULL;
		} else if (argv[i][0] == '-' && argv[i][1]) {
			pending = row_of(v, argv[i]);
			if (pending && (!pending->arg || (pending->flags & OPT_OPTIONAL)))
				pending = NULL;
		} else {
			if (kind_at(v, pos) == W_QUBE && !w.qube)
				w.qube = argv[i];
			pos++;
		}
	}
	if (index + 1 < (uint64_t)argc)
		w.prefix = argv[index + 1];
	if (pending) {
		offer_kind(v, pending->kind, &w);
	} else if (w.prefix[0] == '-' && strchr(w.prefix, '=')) {
		char name[64];
		const char *eq = strchr(w.prefix, '=');

		if (str_printf(name, sizeof name, "%.*s", (int)(eq - w.prefix), w.prefix) == 0 && (pending = row_of(v, name))) {
			w.prefix = eq + 1;
			offer_kind(v, pending->kind, &w);
		}
	} else if (w.prefix[0] == '-') {
		offer_options(v, &w);
	} else {
		offer_kind(v, kind_at(v, pos), &w);
	}
	return 0;
}
