/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-policy simulate: which decisions two policies take differently. The survey visits each class of qubes once; what it finds is gathered by
 * service and change, and classes with the same change are shown as one line.
 */
#include <sys/stat.h>

#include "tool/qvm-policy.h"

#define NAMES_SHOWN 8
#define SERVICES_SHOWN 4

/* One changed decision of a class of sources, by target. Targets: class number, or one of those behind the classes. */
struct record {
	char *from, *to;
	size_t source, target;
};

struct compare {
	const struct pq *p;
	const struct policy *pol[2];
	struct pol_classes k;
	size_t *members; /* by class: how many */
	struct record *v;
	size_t n, cap;
	uint64_t changed;
	struct json *json; /* NULL = text */
};

/* Targets that are not classes, counted from the number of classes; "@dispvm:" of class i is T_N + i behind them. */
enum { T_SELF, T_DEFAULT, T_DISPVM, T_N };

static size_t n_targets(const struct compare *c)
{
	return 2 * c->k.n + T_N;
}

static size_t target_id(const struct compare *c, const struct pol_case *x)
{
	switch (x->to) {
	case POL_TO_CLASS:
		return x->target;
	case POL_TO_DISPVM_OF:
		return c->k.n + T_N + x->target;
	case POL_TO_SELF:
		return c->k.n + T_SELF;
	case POL_TO_DEFAULT:
		return c->k.n + T_DEFAULT;
	case POL_TO_DISPVM:
		break;
	}
	return c->k.n + T_DISPVM;
}

/* How many calls a record stands for. */
static uint64_t weight(const struct compare *c, const struct record *r, const struct pol_services *services)
{
	uint64_t n = c->members[r->source] * services->n;

	if (r->target < c->k.n)
		return n * (r->target == r->source ? c->members[r->target] - 1 : c->members[r->target]);
	return r->target < c->k.n + T_N ? n : n * c->members[r->target - c->k.n - T_N];
}

static bool has_choice(const struct pol_decision *d, const char *name)
{
	for (size_t i = 0; i < d->n_choices; i++)
		if (streq(d->choices[i], name))
			return true;
	return false;
}

/* Names that are choices of a only; fellows of the caller's class stand for each other and are left out. */
static void put_choices(const struct compare *c, struct wr *w, const struct pol_decision *a, const struct pol_decision *b, size_t source,
			const char *sign)
{
	size_t shown = 0;

	for (size_t i = 0; i < a->n_choices; i++) {
		const struct pol_qube *q = pol_sysinfo_find(&c->p->si, a->choices[i]);

		if (has_choice(b, a->choices[i]) || (q && c->members[source] > 1 && c->k.of[q->index] == source))
			continue;
		if (shown++ < NAMES_SHOWN)
			wr_printf(w, " %s%s", sign, a->choices[i]);
	}
	if (shown > NAMES_SHOWN)
		wr_printf(w, " %s%zu more", sign, shown - NAMES_SHOWN);
}

static char *describe(const struct compare *c, const struct pol_case *x, int which)
{
	const struct pol_decision *d = &x->d[which], *other = &x->d[!which];
	const struct pol_qube *source = c->p->si.v[c->k.first[x->source]];
	const char *asked = streq(d->requested_target, "@adminvm") ? "dom0" : d->requested_target;
	struct wr w = wr_grow(1u << 16);
	char *text;

	wr_str(&w, pq_outcome(d));
	if (d->outcome == POL_O_ALLOW) {
		const char *got = d->target_dispvm ? d->target + strlen("@dispvm:") : "";

		if (d->relay)
			wr_printf(&w, " by relay %s", d->relay->name);
		else if (!streq(d->target, asked) && !(streq(asked, "@dispvm") && source->default_dispvm && streq(got, source->default_dispvm)))
			wr_printf(&w, " target=%s", d->target);
	}
	if (d->outcome == POL_O_ASK && d->default_target[0])
		wr_printf(&w, " default_target=%s", d->default_target);
	if (d->outcome == POL_O_ALLOW || d->outcome == POL_O_ASK) {
		if (d->user && d->user[0] && !streq(d->user, "DEFAULT"))
			wr_printf(&w, " user=%s", d->user);
		wr_printf(&w, "%s%s", d->autostart ? "" : " autostart=no", d->notify ? " notify=yes" : "");
	} else if (!d->notify) {
		wr_str(&w, " notify=no");
	}
	if (which == 1 && d->outcome == POL_O_ASK && other->outcome == POL_O_ASK) {
		size_t before = w.len;

		put_choices(c, &w, d, other, x->source, "+");
		put_choices(c, &w, other, d, x->source, "-");
		if (w.len == before && streq(d->default_target, other->default_target))
			wr_str(&w, " other choices");
	}
	text = wr_take(&w, NULL);
	return text ? text : xstrdup("?");
}

static void found(void *arg, const struct pol_case *x)
{
	struct compare *c = arg;

	if (c->n == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 64;
		c->v = xreallocarray(c->v, c->cap, sizeof(*c->v));
	}
	c->v[c->n] = (struct record){ describe(c, x, 0), describe(c, x, 1), x->source, target_id(c, x) };
	c->changed += weight(c, &c->v[c->n], x->services);
	c->n++;
}

/* Lines: a set of sources and a set of targets, both by number. */
struct line {
	bool *sources, *targets;
};

/* The caller's own class of one cannot be its target; it counts as one so that "every qube" is seen. */
static void own_class(const struct compare *c, bool *targets, size_t source)
{
	for (size_t i = 0; i < c->k.n; i++)
		if (i != source && !targets[i] && !c->p->si.v[c->k.first[i]]->dom0)
			return;
	if (c->members[source] == 1 && !c->p->si.v[c->k.first[source]]->dom0 && c->k.n > 2)
		targets[source] = true;
}

/* Gathers records [at, end), all of one service group and change, into lines. */
static size_t gather(const struct compare *c, size_t at, size_t end, struct line **ret)
{
	struct line *lines = NULL;
	size_t n = 0, nt = n_targets(c);

	for (size_t s = 0; s < c->k.n; s++) {
		_cleanup_free_ bool *targets = xcalloc(nt, sizeof(*targets));
		bool any = false;
		size_t i = 0;

		for (size_t k = at; k < end; k++)
			if (c->v[k].source == s)
				any = targets[c->v[k].target] = true;
		if (!any)
			continue;
		own_class(c, targets, s);
		while (i < n && memcmp(lines[i].targets, targets, nt * sizeof(*targets)) != 0)
			i++;
		if (i == n) {
			lines = xreallocarray(lines, n + 1, sizeof(*lines));
			lines[n++] = (struct line){ .sources = xcalloc(c->k.n, sizeof(bool)), .targets = STEAL_PTR(targets) };
		}
		lines[i].sources[s] = true;
	}
	*ret = lines;
	return n;
}

static void lines_free(struct line *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(v[i].sources);
		free(v[i].targets);
	}
	free(v);
}

/* Names of a set, in the table's order; memory of the caller (pol_names_free). */
static size_t names_of(const struct compare *c, const bool *set, bool targets, char ***ret)
{
	const struct pol_sysinfo *si = &c->p->si;
	char **v = xcalloc(2 * si->n + T_N, sizeof(*v));
	size_t n = 0;

	for (size_t i = 0; i < si->n; i++)
		if (set[c->k.of[i]])
			v[n++] = xstrdup(si->v[i]->name);
	qsort(v, n, sizeof(*v), cmp_names);
	if (targets) {
		if (set[c->k.n + T_SELF])
			v[n++] = xstrdup("itself");
		if (set[c->k.n + T_DEFAULT])
			v[n++] = xstrdup("@default");
		if (set[c->k.n + T_DISPVM])
			v[n++] = xstrdup("@dispvm");
		for (size_t i = 0; i < si->n; i++)
			if (si->v[i]->template_for_dispvms && set[c->k.n + T_N + c->k.of[i]])
				v[n++] = xasprintf("@dispvm:%s", si->v[i]->name);
	}
	*ret = v;
	return n;
}

static bool is_special(const char *name)
{
	return name[0] == '@' || streq(name, "itself") || streq(name, "dom0");
}

static void print_set(const struct compare *c, const bool *set, bool targets)
{
	const struct pol_sysinfo *si = &c->p->si;
	size_t n, qubes = 0, all = 0, shown = 0;
	bool every, cut;
	char **v;

	for (size_t i = 0; i < si->n; i++) {
		all += !si->v[i]->dom0;
		qubes += !si->v[i]->dom0 && set[c->k.of[i]];
	}
	every = qubes == all && all > 2;
	cut = !every && qubes > NAMES_SHOWN && c->p->t->verbose <= 0;
	if (every)
		printf("every qube");
	n = names_of(c, set, targets, &v);
	for (size_t i = 0; i < n; i++) {
		if (!is_special(v[i]) && (every || (cut && shown >= NAMES_SHOWN)))
			continue;
		printf("%s", shown || every ? ", " : "");
		pq_name(c->p, v[i]);
		shown++;
	}
	if (cut)
		printf(" … (%zu qubes)", qubes);
	pol_names_free(v, n);
}

/* Does one of the policies name arguments of this service? */
static bool has_arguments(const struct compare *c, const char *service)
{
	for (size_t i = 0; i < 2; i++)
		for (size_t k = 0; k < c->pol[i]->n_rules; k++) {
			const struct pol_rule *r = &c->pol[i]->rules[k];

			if (r->argument && streq(r->service, service))
				return true;
		}
	return false;
}

static void print_services(const struct compare *c, const struct pol_services *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct pol_service *x = &s->v[i];

		if (i == SERVICES_SHOWN && s->n > SERVICES_SHOWN + 1 && c->p->t->verbose <= 0) {
			printf(" … (%zu services)", s->n);
			break;
		}
		printf("%s%s", i ? ", " : "", x->service ? x->service : "any other service");
		if (x->argument)
			printf("%s", x->argument);
		else if (x->service && has_arguments(c, x->service))
			printf(" (other arguments)");
	}
	(void)putchar('\n');
}

static void json_names(struct json *j, const char *key, const struct compare *c, const bool *set, bool targets)
{
	char **v;
	size_t n = names_of(c, set, targets, &v);

	json_open(j, key, '[');
	for (size_t i = 0; i < n; i++)
		json_str(j, NULL, v[i]);
	json_close(j, ']');
	pol_names_free(v, n);
}

static void json_change(struct json *j, const struct compare *c, const struct pol_services *services, size_t at, size_t end)
{
	const struct record *r = &c->v[at];
	struct line *lines;
	size_t n = gather(c, at, end, &lines);

	json_open(j, NULL, '{');
	json_open(j, "services", '[');
	for (size_t i = 0; i < services->n; i++) {
		json_open(j, NULL, '{');
		json_str(j, "service", services->v[i].service);
		json_str(j, "argument", services->v[i].argument);
		json_close(j, '}');
	}
	json_close(j, ']');
	json_str(j, "from", r->from);
	json_str(j, "to", r->to);
	json_open(j, "calls", '[');
	for (size_t i = 0; i < n; i++) {
		json_open(j, NULL, '{');
		json_names(j, "sources", c, lines[i].sources, false);
		json_names(j, "targets", c, lines[i].targets, true);
		json_close(j, '}');
	}
	json_close(j, ']');
	json_close(j, '}');
	lines_free(lines, n);
}

static void print_change(const struct compare *c, size_t at, size_t end)
{
	const struct record *r = &c->v[at];
	struct line *lines;
	size_t n = gather(c, at, end, &lines);

	for (size_t i = 0; i < n; i++) {
		printf("  ");
		print_set(c, lines[i].sources, false);
		printf(" → ");
		print_set(c, lines[i].targets, true);
		printf(": ");
		pq_word(c->p, r->from);
		printf(" → ");
		pq_word(c->p, r->to);
		(void)putchar('\n');
	}
	lines_free(lines, n);
}

static int record_cmp(const void *a, const void *b)
{
	const struct record *x = a, *y = b;
	int r = strcmp(x->from, y->from);

	r = r ? r : strcmp(x->to, y->to);
	if (r)
		return r;
	if (x->source != y->source)
		return x->source < y->source ? -1 : 1;
	return x->target < y->target ? -1 : x->target > y->target;
}

static void done(void *arg, const struct pol_services *services)
{
	struct compare *c = arg;
	size_t at = 0;

	if (c->n == 0)
		return;
	qsort(c->v, c->n, sizeof(*c->v), record_cmp);
	if (!c->json)
		print_services(c, services);
	for (size_t i = 1; i <= c->n; i++) {
		if (i < c->n && streq(c->v[i].from, c->v[at].from) && streq(c->v[i].to, c->v[at].to))
			continue;
		if (c->json)
			json_change(c->json, c, services, at, i);
		else
			print_change(c, at, i);
		at = i;
	}
	for (size_t i = 0; i < c->n; i++) {
		free(c->v[i].from);
		free(c->v[i].to);
	}
	c->n = 0;
}

uint64_t pq_compare(const struct pq *p, const struct policy *before, const struct policy *after, struct json *j)
{
	static const struct policy nothing;
	struct compare c = { .p = p, .pol = { before ? before : &nothing, after ? after : &nothing }, .json = j };
	struct pol_survey s = { .si = &p->si, .p = c.pol, .n_p = 2, .classes = &c.k, .found = found, .done = done, .arg = &c };
	uint64_t calls;

	pol_classes_make(&c.k, &p->si, c.pol, 2);
	c.members = xcalloc(c.k.n + 1, sizeof(*c.members));
	for (size_t i = 0; i < p->si.n; i++)
		c.members[c.k.of[i]]++;
	if (j)
		json_open(j, "changes", '[');
	calls = pol_survey_run(&s);
	if (j) {
		json_close(j, ']');
		json_int(j, "changed", (int64_t)c.changed);
		json_int(j, "calls", (int64_t)calls);
	} else if (c.changed) {
		printf("%llu of %llu possible calls are decided otherwise.\n", (unsigned long long)c.changed, (unsigned long long)calls);
	} else {
		printf("No decision changes (%llu possible calls).\n", (unsigned long long)calls);
	}
	free(c.v);
	free(c.members);
	pol_classes_fini(&c.k);
	return c.changed;
}

/* Lays one edited path over a copy of the directories: a directory takes the place of the last one, a file that of its name in it. */
static int lay(struct pq *p, struct pf_dirs *d, const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *text = NULL, *at = NULL;
	struct err e = { 0 };
	struct stat st;
	size_t n = 0;
	int r;

	if (stat(path, &st) < 0)
		return tool_usage(p->t, "'%s': %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode)) {
		d->dirs[d->n_dirs - 1] = path;
		return 0;
	}
	r = pf_text(&p->dirs, path, &text, &n, &e);
	if (r < 0)
		return tool_usage(p->t, "%s", err_text(&e, r));
	at = xasprintf("%s/%s", d->dirs[d->n_dirs - 1], slash ? slash + 1 : path);
	if (pol_file_name_ok(slash ? slash + 1 : path) != 1)
		tool_note(p->t, "'%s' does not end in .policy: it counts only if another file includes it", path);
	pf_overlay(d, at, text, n);
	return 0;
}

static int edited(struct pq *p, struct pf_dirs *d, int argc, char **argv)
{
	size_t named = opt_count(p->t, KEY_WITH);
	int r = 0;

	d->n_dirs = p->dirs.n_dirs;
	d->legacy = p->dirs.legacy;
	memcpy(d->dirs, p->dirs.dirs, sizeof d->dirs);
	for (size_t i = 0; r == 0 && i < named + (size_t)argc; i++)
		r = lay(p, d, i < named ? opt_nth(p->t, KEY_WITH, i) : argv[i - named]);
	return r;
}

int pq_simulate(struct pq *p, int argc, char **argv)
{
	struct pf_dirs d = { 0 };
	struct policy *after = NULL;
	struct json j = { 0 };
	struct err e = { 0 };
	uint64_t changed;
	int r;

	if (!opt_count(p->t, KEY_WITH) && argc == 0)
		return tool_usage(p->t, "simulate needs an edited directory or file");
	r = edited(p, &d, argc, argv);
	if (r == 0)
		r = pq_table(p);
	if (r == 0 && pf_load(&after, &d, &e) < 0)
		r = tool_usage(p->t, "the edited policy has an error, with it every call would be refused: %s", e.msg);
	pf_dirs_fini(&d);
	if (r != 0)
		return r;
	pq_policy(p);
	if (!p->policy)
		tool_note(p->t, "the policy in force has an error, so every call is refused now: %s", p->error.msg);
	if (p->json)
		json_open(&j, NULL, '{');
	changed = pq_compare(p, p->policy, after, p->json ? &j : NULL);
	if (p->json)
		json_close(&j, '}');
	policy_free(after);
	return changed ? 1 : 0;
}
