/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-policy graph: nodes and edges, and how they are drawn. */
#ifndef TOOL_QVM_POLICY_GRAPH_H
#define TOOL_QVM_POLICY_GRAPH_H

#include "tool/qvm-policy.h"

enum node_kind { NODE_QUBE, NODE_ANY, NODE_DISPVM };

struct node {
	enum node_kind kind;
	char *text; /* name, or the names of a class of qubes */
	uint32_t rgb;
	bool dom0, used;
};

struct edge {
	size_t from, to; /* nodes */
	bool ask;
	char **services;
	size_t n;
};

struct graph {
	struct node *nodes; /* the last two: any qube, new disposable */
	size_t n_nodes;
	struct edge *edges;
	size_t n_edges;
	const char *service; /* NULL = all */
};

/* graph_label gives the services of an edge, at most max of them, memory of the caller. */
char *graph_label(const struct edge *e, size_t max);
void graph_dot(const struct graph *g);
void graph_svg(const struct graph *g);

#endif
