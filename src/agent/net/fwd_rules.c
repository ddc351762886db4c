/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The rules of one source, read from QubesDB. */
#include "agent/net/fwd.h"

#include "base/log.h"
#include "base/str.h"

struct reading {
	const char *prefix; /* FWD_KEY ADDRESS / */
	struct {
		uint32_t number;
		struct fw_rule rule;
	} *list;
	size_t n;
	bool any, policy, bad;
};

static void one_rule(struct reading *g, uint64_t number, const char *value)
{
	struct err e = { 0 };

	if (g->n == FW_RULES_MAX) {
		g->bad = true;
		return;
	}
	if (fw_parse(&g->list[g->n].rule, rd_mem(value, strlen(value)), &e) < 0) {
		log_error("a rule is not understood: key=%s%04llu error=%s", g->prefix, (unsigned long long)number, e.msg);
		g->bad = true;
		return;
	}
	g->list[g->n++].number = (uint32_t)number;
}

/* Four digits, leading zeros and all. */
static bool rule_number(const char *s, uint64_t *ret)
{
	*ret = 0;
	for (size_t i = 0; i < 4; i++) {
		if (!ch_digit(s[i]))
			return false;
		*ret = *ret * 10 + (uint64_t)(s[i] - '0');
	}
	return s[4] == '\0';
}

static int on_entry(void *arg, const char *key, const char *value)
{
	struct reading *g = arg;
	const char *name = key + strlen(g->prefix);
	uint64_t number;

	if (!str_starts(key, g->prefix))
		return 0;
	g->any = true;
	if (streq(name, "policy")) {
		g->policy = streq(value, "drop");
		g->bad |= !g->policy;
	} else if (rule_number(name, &number)) {
		one_rule(g, number, value);
	} else {
		log_error("an option is not known: key=%s", log_escs(key));
		g->bad = true;
	}
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const struct {
		uint32_t number;
		struct fw_rule rule;
	} *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

bool fwd_read(struct fwd *f, struct fwd_source *s)
{
	char prefix[QDB_KEY_CAP];
	struct reading g = { .prefix = prefix };
	struct err e = { 0 };
	int r;

	free(s->rules);
	s->rules = NULL;
	s->n_rules = 0;
	s->closed = true;
	if (str_printf(prefix, sizeof prefix, FWD_KEY "%s/", s->addr) < 0)
		return true;
	g.list = xcalloc(FW_RULES_MAX, sizeof *g.list);
	r = qdbc_each(&f->db, prefix, true, on_entry, &g, &e);
	if (r < 0)
		log_error("reading the rules of %s: %s", s->addr, err_text(&e, r));
	if (r == 0 && g.any && !g.policy)
		log_error("no policy: source=%s", s->addr);
	s->closed = r < 0 || !g.policy || g.bad;
	if (!s->closed && g.n) {
		qsort(g.list, g.n, sizeof *g.list, by_number);
		s->rules = xcalloc(g.n, sizeof *s->rules);
		for (size_t i = 0; i < g.n; i++)
			s->rules[i] = g.list[i].rule;
		s->n_rules = g.n;
	}
	free(g.list);
	return r < 0 || g.any;
}
