/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-policy graph: who may reach whom. What holds for all qubes is drawn once, at a node "any qube"; only what is special to a qube has edges of
 * its own, so that the picture of a usual policy stays readable.
 */
#include "tool/qvm-policy-graph.h"

#define MERGE_ABOVE 40 /* qubes */

struct build {
	struct pq *p;
	struct graph g;
	struct pol_classes k;
	size_t *node_of; /* by qube */
	size_t n_base;	 /* nodes of qubes; then any, dispvm */
	bool *cells[2];	 /* [ask]: from × to of the group at hand */
	bool *allowed;	 /* cells[0] before it was compressed */
	bool allowed_only;
};

static size_t node_any(const struct build *b)
{
	return b->n_base;
}

static size_t node_dispvm(const struct build *b)
{
	return b->n_base + 1;
}

static void set(struct build *b, bool ask, size_t from, size_t to)
{
	b->cells[ask][from * b->g.n_nodes + to] = true;
}

static bool get(const struct build *b, bool ask, size_t from, size_t to)
{
	return b->cells[ask][from * b->g.n_nodes + to];
}

/* The node an allowed call arrives at; SIZE_MAX = the class of the case. */
static size_t arrival(const struct build *b, const struct pol_case *c)
{
	const struct pol_qube *q;

	if (c->d->target_dispvm)
		return node_dispvm(b);
	if (c->to == POL_TO_CLASS && !c->d->relay && (streq(c->d->target, c->request) || c->d->target_qube == pol_sysinfo_find(&b->p->si, c->request)))
		return SIZE_MAX;
	q = c->d->relay ? c->d->relay : pol_sysinfo_find(&b->p->si, c->d->target);
	return q ? b->node_of[q->index] : SIZE_MAX - 1;
}

static void found(void *arg, const struct pol_case *c)
{
	struct build *b = arg;
	const struct pol_sysinfo *si = &b->p->si;
	bool ask = c->d->outcome == POL_O_ASK;
	size_t to = SIZE_MAX;

	if ((c->d->outcome != POL_O_ALLOW && !ask) || (ask && (b->allowed_only || c->to == POL_TO_DEFAULT || c->to == POL_TO_SELF)))
		return;
	if (ask)
		to = c->to == POL_TO_CLASS ? SIZE_MAX : node_dispvm(b);
	else
		to = arrival(b, c);
	if (to == SIZE_MAX - 1)
		return;
	for (size_t s = 0; s < si->n; s++) {
		if (b->k.of[s] != c->source)
			continue;
		if (to != SIZE_MAX)
			set(b, ask, b->node_of[s], to);
		for (size_t t = 0; to == SIZE_MAX && t < si->n; t++)
			if (t != s && b->k.of[t] == c->target)
				set(b, ask, b->node_of[s], b->node_of[t]);
	}
}

static void add_edge(struct build *b, bool ask, size_t from, size_t to, const struct pol_services *services)
{
	struct graph *g = &b->g;
	struct edge *e;
	size_t i = 0;

	while (i < g->n_edges && !(g->edges[i].from == from && g->edges[i].to == to && g->edges[i].ask == ask))
		i++;
	if (i == g->n_edges) {
		g->edges = xreallocarray(g->edges, g->n_edges + 1, sizeof(*g->edges));
		g->edges[g->n_edges++] = (struct edge){ .from = from, .to = to, .ask = ask };
	}
	e = &g->edges[i];
	g->nodes[from].used = g->nodes[to].used = true;
	for (size_t k = 0; k < services->n; k++) {
		const struct pol_service *x = &services->v[k];

		e->services = xreallocarray(e->services, e->n + 1, sizeof(*e->services));
		e->services[e->n++] = xasprintf("%s%s", x->service ? x->service : "any other service", x->argument ? x->argument : "");
	}
}

static bool is_dom0(const struct build *b, size_t node)
{
	return b->g.nodes[node].dom0;
}

static bool filled(const struct build *b, bool ask, size_t from, size_t to)
{
	/* What is even allowed does not make a hole in what is asked. */
	return get(b, ask, from, to) || (ask && b->allowed[from * b->g.n_nodes + to]);
}

/* All qubes to (or from) which there is an edge, the node itself and dom0 left out. */
static bool whole(const struct build *b, bool ask, size_t node, bool outgoing)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n_base; i++) {
		if (i == node || is_dom0(b, i))
			continue;
		if (!(outgoing ? filled(b, ask, node, i) : filled(b, ask, i, node)))
			return false;
		n += outgoing ? get(b, ask, node, i) : get(b, ask, i, node);
	}
	return n >= 2;
}

static void clear(struct build *b, bool ask, size_t node, bool outgoing)
{
	for (size_t i = 0; i < b->n_base; i++)
		if (!is_dom0(b, i))
			b->cells[ask][outgoing ? node * b->g.n_nodes + i : i * b->g.n_nodes + node] = false;
}

/* Rows and columns that are full become one edge of the node "any qube". */
static void compress(struct build *b, bool ask, const struct pol_services *services)
{
	bool all = true;

	for (size_t i = 0; i < b->n_base; i++)
		all = all && (is_dom0(b, i) || whole(b, ask, i, true));
	for (size_t i = 0; i < b->n_base; i++) {
		if (!whole(b, ask, i, true))
			continue;
		if (!all || is_dom0(b, i))
			add_edge(b, ask, i, node_any(b), services);
		clear(b, ask, i, true);
	}
	if (all && b->n_base > 2)
		add_edge(b, ask, node_any(b), node_any(b), services);
	for (size_t i = 0; i < b->g.n_nodes; i++) {
		if (i == node_any(b) || !whole(b, ask, i, false))
			continue;
		add_edge(b, ask, node_any(b), i, services);
		clear(b, ask, i, false);
	}
	for (size_t i = 0; i < b->n_base; i++)
		for (size_t k = 0; k < b->g.n_nodes; k++)
			if (get(b, ask, i, k))
				add_edge(b, ask, i, k, services);
}

static void done(void *arg, const struct pol_services *services)
{
	struct build *b = arg;

	memcpy(b->allowed, b->cells[0], b->g.n_nodes * b->g.n_nodes);
	for (int ask = 0; ask < 2; ask++) {
		compress(b, ask, services);
		memset(b->cells[ask], 0, b->g.n_nodes * b->g.n_nodes);
	}
}

static int text_cmp(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

/* A service that stands there for all arguments needs no words about single ones. */
static void tidy(struct edge *e)
{
	size_t out = 0;

	qsort(e->services, e->n, sizeof(*e->services), text_cmp);
	for (size_t i = 0; i < e->n; i++) {
		const char *plain = out ? e->services[out - 1] : "";
		size_t n = strlen(plain);

		if (n && !strchr(plain, '+') && str_starts(e->services[i], plain) && e->services[i][n] == '+')
			free(e->services[i]);
		else
			e->services[out++] = e->services[i];
	}
	e->n = out;
}

static char *class_text(const struct build *b, size_t class, size_t *ret_n)
{
	struct wr w = wr_grow(4096);
	size_t n = 0;

	for (size_t i = 0; i < b->p->si.n; i++)
		if (b->k.of[i] == class && n++ < 3)
			wr_printf(&w, "%s%s", n > 1 ? ", " : "", b->p->si.v[i]->name);
	if (n > 3)
		wr_printf(&w, " +%zu", n - 3);
	*ret_n = n;
	return wr_take(&w, NULL);
}

static void make_nodes(struct build *b, bool merge)
{
	const struct pol_sysinfo *si = &b->p->si;
	struct graph *g = &b->g;

	b->n_base = merge ? b->k.n : si->n;
	g->n_nodes = b->n_base + 2;
	g->nodes = xcalloc(g->n_nodes, sizeof(*g->nodes));
	b->node_of = xcalloc(si->n + 1, sizeof(*b->node_of));
	for (size_t i = 0; i < si->n; i++) {
		struct node *n = &g->nodes[merge ? b->k.of[i] : i];
		size_t members = 1;
		bool ok;

		b->node_of[i] = merge ? b->k.of[i] : i;
		if (n->text)
			continue;
		n->text = merge ? class_text(b, b->k.of[i], &members) : xstrdup(si->v[i]->name);
		n->dom0 = si->v[i]->dom0;
		n->rgb = pq_rgb(b->p, si->v[i]->name, &ok);
		if (!ok || members > 1)
			n->rgb = 0xd8dee6;
	}
	g->nodes[node_any(b)] = (struct node){ NODE_ANY, xstrdup("any qube"), 0xffffff, false, false };
	g->nodes[node_dispvm(b)] = (struct node){ NODE_DISPVM, xstrdup("new disposable"), 0xffffff, false, false };
	b->allowed = xcalloc(g->n_nodes * g->n_nodes, sizeof(bool));
	for (int ask = 0; ask < 2; ask++)
		b->cells[ask] = xcalloc(g->n_nodes * g->n_nodes, sizeof(bool));
}

char *graph_label(const struct edge *e, size_t max)
{
	struct wr w = wr_grow(1u << 20);
	char *text;

	for (size_t i = 0; i < e->n && i < max; i++)
		wr_printf(&w, "%s%s", i ? ", " : "", e->services[i]);
	if (e->n > max)
		wr_printf(&w, " +%zu", e->n - max);
	text = wr_take(&w, NULL);
	return text ? text : xstrdup("");
}

static void graph_json(const struct graph *g)
{
	struct json j = { 0 };

	json_open(&j, NULL, '{');
	json_open(&j, "edges", '[');
	for (size_t i = 0; i < g->n_edges; i++) {
		const struct edge *e = &g->edges[i];

		json_open(&j, NULL, '{');
		json_str(&j, "from", g->nodes[e->from].text);
		json_str(&j, "to", g->nodes[e->to].text);
		json_str(&j, "decision", e->ask ? "ask" : "allow");
		json_open(&j, "services", '[');
		for (size_t k = 0; k < e->n; k++)
			json_str(&j, NULL, e->services[k]);
		json_close(&j, ']');
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
}

static void dot_text(const char *s)
{
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			(void)putchar('\\');
		(void)putchar(*s);
	}
}

void graph_dot(const struct graph *g)
{
	printf("digraph policy {\n\trankdir=LR;\n\tnode [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n");
	for (size_t i = 0; i < g->n_nodes; i++) {
		const struct node *n = &g->nodes[i];
		unsigned sum = (n->rgb >> 16 & 0xff) * 3 + (n->rgb >> 8 & 0xff) * 6 + (n->rgb & 0xff);

		if (!n->used)
			continue;
		printf("\tn%zu [label=\"", i);
		dot_text(n->text);
		printf("\", fillcolor=\"#%06x\", fontcolor=\"%s\"%s];\n", n->rgb, sum < 1300 ? "white" : "black",
		       n->kind == NODE_QUBE ? "" : ", style=\"rounded,dashed\"");
	}
	for (size_t i = 0; i < g->n_edges; i++) {
		_cleanup_free_ char *label = graph_label(&g->edges[i], 3);

		printf("\tn%zu -> n%zu [label=\"", g->edges[i].from, g->edges[i].to);
		dot_text(label);
		printf("\", color=\"%s\"%s];\n", g->edges[i].ask ? "#b7791f" : "#1b7f3b", g->edges[i].ask ? ", style=dashed" : "");
	}
	printf("}\n");
}

static void graph_fini(struct build *b)
{
	for (size_t i = 0; i < b->g.n_nodes; i++)
		free(b->g.nodes[i].text);
	for (size_t i = 0; i < b->g.n_edges; i++)
		pol_names_free(b->g.edges[i].services, b->g.edges[i].n);
	free(b->g.nodes);
	free(b->g.edges);
	free(b->node_of);
	free(b->allowed);
	free(b->cells[0]);
	free(b->cells[1]);
	pol_classes_fini(&b->k);
}

int pq_graph(struct pq *p, int argc, char **argv)
{
	struct build b = { .p = p, .allowed_only = opt_has(p->t, KEY_ALLOW_ONLY), .g = { .service = opt_str(p->t, KEY_PSERVICE) } };
	const struct policy *pol[1];
	struct pol_survey s = { .si = &p->si, .p = pol, .n_p = 1, .classes = &b.k, .service = b.g.service, .found = found, .done = done, .arg = &b };
	int r;

	(void)argc;
	(void)argv;
	if (opt_has(p->t, KEY_DOT) + opt_has(p->t, KEY_SVG) + p->json > 1)
		return tool_usage(p->t, "one of --dot, --svg and --json at a time");
	r = pq_table(p);
	if (r != 0)
		return r;
	pq_policy(p);
	if (!p->policy)
		return tool_fail(p->t, "the policy has an error, so every call is refused: %s", p->error.msg);
	pol[0] = p->policy;
	pol_classes_make(&b.k, &p->si, pol, 1);
	make_nodes(&b, opt_has(p->t, KEY_MERGE) || p->si.n > MERGE_ABOVE);
	(void)pol_survey_run(&s);
	for (size_t i = 0; i < b.g.n_edges; i++)
		tidy(&b.g.edges[i]);
	if (p->json)
		graph_json(&b.g);
	else if (opt_has(p->t, KEY_DOT))
		graph_dot(&b.g);
	else
		graph_svg(&b.g);
	graph_fini(&b);
	return 0;
}
