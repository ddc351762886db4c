/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The graph as SVG without other programs: "any qube" in the middle, the others on an ellipse around it. Edges of the same two nodes are bent
 * apart; the services of an edge stand at its middle, all of them in its tooltip.
 */
#include <math.h>

#include "tool/qvm-policy-graph.h"

#define FONT 13
#define SMALL 11
#define CHAR_W 7.4	 /* of the node's font */
#define LABEL_CHAR_W 5.9 /* of the edge labels' font */
#define BOX_H 30.0
#define LINE_H 13.0
#define MARGIN 40.0
#define LABEL_SERVICES 3
#define ALLOW_COLOUR "#1b7f3b"
#define ASK_COLOUR "#b7791f"

struct place {
	double x, y, w; /* centre, width of the box */
};

struct box {
	double x, y, w, h; /* upper left corner, size */
};

struct drawing {
	const struct graph *g;
	struct place *at;
	struct box *labels; /* one an edge, placed in order */
	double w, h;
};

/* An edge: a quadratic curve, or a loop below its node. */
struct shape {
	bool loop;
	double x0, y0, cx, cy, x1, y1;
};

static void put(const char *s)
{
	for (; *s; s++) {
		if (*s == '&')
			printf("&amp;");
		else if (*s == '<')
			printf("&lt;");
		else if (*s == '"')
			printf("&quot;");
		else if ((unsigned char)*s >= ' ')
			(void)putchar(*s);
	}
}

static double box_width(const struct node *n)
{
	return (double)strlen(n->text) * CHAR_W + 24;
}

static void layout(struct drawing *d)
{
	size_t n = 0, i = 0;
	double rx, ry, widest = 0;
	size_t any = d->g->n_nodes - 2;

	for (size_t k = 0; k < d->g->n_nodes; k++) {
		d->at[k].w = box_width(&d->g->nodes[k]);
		widest = fmax(widest, d->at[k].w);
		n += d->g->nodes[k].used && k != any;
	}
	rx = fmax(330, (double)n * 42 + widest / 2);
	ry = fmax(230, (double)n * 32);
	d->w = 2 * (rx + widest / 2 + MARGIN);
	d->h = 2 * (ry + BOX_H + MARGIN) + 30;
	for (size_t k = 0; k < d->g->n_nodes; k++) {
		/* Half a step off the top, so that edges of the middle seldom run along the axes. */
		double a = n ? 2 * M_PI * ((double)i + 0.5) / (double)n - M_PI / 2 : 0;

		d->at[k].x = d->w / 2;
		d->at[k].y = d->h / 2 - 10;
		if (!d->g->nodes[k].used || k == any)
			continue;
		d->at[k].x += rx * cos(a);
		d->at[k].y += ry * sin(a);
		i++;
	}
}

/* Where the line from the middle of box p towards (x, y) leaves the box. */
static void border(const struct place *p, double x, double y, double *ret_x, double *ret_y)
{
	double dx = x - p->x, dy = y - p->y, hw = p->w / 2 + 3, hh = BOX_H / 2 + 3;
	double fx = fabs(dx) > 0.01 ? hw / fabs(dx) : 1e9, fy = fabs(dy) > 0.01 ? hh / fabs(dy) : 1e9, f = fmin(fx, fy);

	*ret_x = p->x + dx * f;
	*ret_y = p->y + dy * f;
}

/* Number of this edge among those that join the same two nodes. */
static size_t sibling(const struct graph *g, size_t i, size_t *ret_n)
{
	size_t mine = 0, n = 0;

	for (size_t k = 0; k < g->n_edges; k++) {
		bool same = (g->edges[k].from == g->edges[i].from && g->edges[k].to == g->edges[i].to) ||
			    (g->edges[k].from == g->edges[i].to && g->edges[k].to == g->edges[i].from);

		if (!same)
			continue;
		mine = k == i ? n : mine;
		n++;
	}
	*ret_n = n;
	return mine;
}

/* Size of an edge's label. */
static void label_size(const struct edge *e, double *ret_w, double *ret_h)
{
	size_t n = MIN(e->n, (size_t)LABEL_SERVICES), longest = 0;

	for (size_t i = 0; i < n; i++)
		longest = MAX(longest, strlen(e->services[i]));
	*ret_w = (double)longest * LABEL_CHAR_W + 6;
	*ret_h = (double)(n + (e->n > n)) * LINE_H + 2;
}

/* The label in the box that begins at (x, y). */
static void label(const struct edge *e, const struct box *b)
{
	size_t n = MIN(e->n, (size_t)LABEL_SERVICES);
	double x = b->x + b->w / 2, top = b->y + 11;

	printf("<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"3\" fill=\"#fff\" fill-opacity=\"0.88\"/>", b->x, b->y, b->w, b->h);
	for (size_t i = 0; i < n; i++) {
		printf("<text x=\"%.1f\" y=\"%.1f\" font-size=\"%d\" fill=\"%s\">", x, top + (double)i * LINE_H, SMALL, e->ask ? ASK_COLOUR : ALLOW_COLOUR);
		put(e->services[i]);
		printf("</text>");
	}
	if (e->n > n)
		printf("<text x=\"%.1f\" y=\"%.1f\" font-size=\"%d\" fill=\"#555\">and %zu more</text>", x, top + (double)n * LINE_H, SMALL, e->n - n);
}

static void title(const struct drawing *d, const struct edge *e)
{
	printf("<title>");
	put(d->g->nodes[e->from].text);
	printf(" → ");
	put(d->g->nodes[e->to].text);
	printf(" (%s): ", e->ask ? "ask" : "allow");
	for (size_t i = 0; i < e->n; i++) {
		printf("%s", i ? ", " : "");
		put(e->services[i]);
	}
	printf("</title>");
}

static void path(const struct edge *e, const char *shape)
{
	printf("<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.6\"%s marker-end=\"url(#%s)\"/>", shape, e->ask ? ASK_COLOUR : ALLOW_COLOUR,
	       e->ask ? " stroke-dasharray=\"6 4\"" : "", e->ask ? "ask" : "allow");
}

static void curve(const struct drawing *d, size_t i, struct shape *ret)
{
	const struct edge *e = &d->g->edges[i];
	const struct place *a = &d->at[e->from], *b = &d->at[e->to];
	size_t n, k = sibling(d->g, i, &n), any = d->g->n_nodes - 2;
	double mx = (a->x + b->x) / 2, my = (a->y + b->y) / 2;
	double len = fmax(hypot(b->x - a->x, b->y - a->y), 1);
	/* Opposite directions see opposite normals, so the sign follows the order of the nodes, not the direction. */
	double side = e->from < e->to ? 1 : -1, bend = n > 1 ? ((double)k - (double)(n - 1) / 2) * 90 : 0;
	struct shape s = { .loop = e->from == e->to };

	if (s.loop) {
		/* Loops go below the box, one within the other. */
		double r = 34 + 40 * (double)k;

		*ret = (struct shape){ true, a->x - 20, a->y + BOX_H / 2 + 2, a->x + 30 + r, a->y + BOX_H / 2 + r * 1.5, a->x + 20, a->y + BOX_H / 2 + 4 };
		return;
	}
	s.cx = mx - side * (b->y - a->y) / len * bend;
	s.cy = my + side * (b->x - a->x) / len * bend;
	if (e->from != any && e->to != any) {
		s.cx += (d->w / 2 - mx) * 0.35;
		s.cy += (d->h / 2 - my) * 0.35;
	}
	border(a, s.cx, s.cy, &s.x0, &s.y0);
	border(b, s.cx, s.cy, &s.x1, &s.y1);
	*ret = s;
}

/* The point of a curve at t of its way. */
static void point(const struct shape *s, double t, double *ret_x, double *ret_y)
{
	if (s->loop) {
		*ret_x = (s->x0 + s->x1) / 2;
		*ret_y = s->y0 + (s->cy - s->y0) * (0.6 + 0.5 * t);
		return;
	}
	*ret_x = (1 - t) * (1 - t) * s->x0 + 2 * t * (1 - t) * s->cx + t * t * s->x1;
	*ret_y = (1 - t) * (1 - t) * s->y0 + 2 * t * (1 - t) * s->cy + t * t * s->y1;
}

static double overlap(const struct box *a, const struct box *b)
{
	double w = fmin(a->x + a->w, b->x + b->w) - fmax(a->x, b->x), h = fmin(a->y + a->h, b->y + b->h) - fmax(a->y, b->y);

	return w > 0 && h > 0 ? w * h : 0;
}

/* How much a box hides of the labels placed before and of the nodes. */
static double hidden(const struct drawing *d, const struct box *b, size_t n_labels)
{
	double sum = 0;

	for (size_t i = 0; i < n_labels; i++)
		sum += overlap(b, &d->labels[i]);
	for (size_t i = 0; i < d->g->n_nodes; i++) {
		const struct box node = { d->at[i].x - d->at[i].w / 2, d->at[i].y - BOX_H / 2, d->at[i].w, BOX_H };

		if (d->g->nodes[i].used)
			sum += 3 * overlap(b, &node);
	}
	return sum;
}

/* Each label where it hides least, tried along its edge from the middle outwards. */
static void place_labels(struct drawing *d)
{
	static const double tries[] = { 0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.2, 0.8 };
	struct shape s;

	for (size_t i = 0; i < d->g->n_edges; i++) {
		double least = INFINITY;

		curve(d, i, &s);
		for (size_t k = 0; k < ARRAY_SIZE(tries) && least > 0; k++) {
			struct box b;
			double x, y, cost;

			label_size(&d->g->edges[i], &b.w, &b.h);
			point(&s, tries[k], &x, &y);
			b.x = x - b.w / 2;
			b.y = y - b.h / 2;
			cost = hidden(d, &b, i);
			if (cost >= least)
				continue;
			least = cost;
			d->labels[i] = b;
		}
	}
}

static void edges(const struct drawing *d)
{
	char text[200];
	struct shape s;

	for (size_t i = 0; i < d->g->n_edges; i++) {
		curve(d, i, &s);
		if (s.loop)
			(void)!str_printf(text, sizeof text, "M%.1f %.1f C%.1f %.1f %.1f %.1f %.1f %.1f", s.x0, s.y0, s.x0 + s.x1 - s.cx, s.cy, s.cx, s.cy, s.x1,
					  s.y1);
		else
			(void)!str_printf(text, sizeof text, "M%.1f %.1f Q%.1f %.1f %.1f %.1f", s.x0, s.y0, s.cx, s.cy, s.x1, s.y1);
		printf("<g>");
		title(d, &d->g->edges[i]);
		path(&d->g->edges[i], text);
		printf("</g>\n");
	}
	for (size_t i = 0; i < d->g->n_edges; i++) {
		printf("<g text-anchor=\"middle\">");
		title(d, &d->g->edges[i]);
		label(&d->g->edges[i], &d->labels[i]);
		printf("</g>\n");
	}
}

static void nodes(const struct drawing *d)
{
	for (size_t i = 0; i < d->g->n_nodes; i++) {
		const struct node *n = &d->g->nodes[i];
		const struct place *p = &d->at[i];
		unsigned light = (n->rgb >> 16 & 0xff) * 3 + (n->rgb >> 8 & 0xff) * 6 + (n->rgb & 0xff);

		if (!n->used)
			continue;
		printf("<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\" rx=\"7\" fill=\"#%06x\" stroke=\"#333\"%s/>"
		       "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" font-size=\"%d\" fill=\"%s\">",
		       p->x - p->w / 2, p->y - BOX_H / 2, p->w, BOX_H, n->rgb, n->kind == NODE_QUBE ? "" : " stroke-dasharray=\"4 3\"", p->x, p->y + 4.5, FONT,
		       light < 1300 ? "#fff" : "#000");
		put(n->text);
		printf("</text>\n");
	}
}

void graph_svg(const struct graph *g)
{
	struct drawing d = { .g = g, .at = xcalloc(g->n_nodes, sizeof(*d.at)),
			     .labels = xcalloc(g->n_edges + 1, sizeof(*d.labels)) };
	double y;

	layout(&d);
	place_labels(&d);
	y = d.h - 14;
	printf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\">\n", d.w, d.h,
	       d.w, d.h);
	printf("<defs><marker id=\"allow\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">"
	       "<path d=\"M0 0L10 5L0 10z\" fill=\"" ALLOW_COLOUR "\"/></marker><marker id=\"ask\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" "
	       "markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L10 5L0 10z\" fill=\"" ASK_COLOUR "\"/></marker></defs>\n");
	printf("<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n");
	edges(&d);
	nodes(&d);
	printf("<g font-size=\"%d\"><path d=\"M16 %.0fh36\" stroke=\"" ALLOW_COLOUR "\" stroke-width=\"1.6\"/><text x=\"58\" y=\"%.0f\">allowed</text>"
	       "<path d=\"M126 %.0fh36\" stroke=\"" ASK_COLOUR "\" stroke-width=\"1.6\" stroke-dasharray=\"6 4\"/><text x=\"168\" y=\"%.0f\">"
	       "asked each time</text><text x=\"290\" y=\"%.0f\">",
	       SMALL, y - 4, y, y - 4, y, y);
	put(g->service ? g->service : "all services; qubes without a line of their own are \"any qube\"");
	printf("</text></g>\n</svg>\n");
	free(d.labels);
	free(d.at);
}
