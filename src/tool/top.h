/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-top: the running qubes with what they use (top.c), and the terminal that shows them (top_screen.c). */
#ifndef TOOL_TOP_H
#define TOOL_TOP_H

#include "tool/ls.h"

enum top_sort { TOP_CPU, TOP_MEM, TOP_DISK, TOP_NET, TOP_TIME, TOP_START, TOP_NAME, TOP_SORTS };

/* What the daemon said of a qube last. */
struct top_stat {
	char name[64];
	unsigned samples;
	uint64_t cpu, vcpus, cpu_ms, mem_kib, assigned_kib;
};

/* What passed a qube's link by the word of its NetVM, and how fast between the last two looks. */
struct top_net {
	char name[64];
	uint64_t sent, got, at_us;
	uint64_t sent_rate, got_rate; /* bytes a second */
	bool rate;		      /* there were two looks */
};

struct top {
	struct tool *t;
	struct ls ls; /* the running qubes; fetched anew for each drawing */
	struct top_stat *stats;
	size_t n_stats, cap_stats;
	struct top_net *nets; /* those whose NetVM counts */
	size_t n_nets;
	uint64_t net_gap_us, net_next_us; /* between two questions to NetVMs; not before */
	bool net_off;			  /* one took too long to answer: not asked again */
	enum top_sort sort;
	bool reverse;
};

/* top_take notes a vm-stats event. */
void top_take(struct top *top, const struct adm_event *ev);
/* top_refresh asks which qubes run and for what is not in the statistics; 0 or an exit status (printed). */
int top_refresh(struct top *top);
/* top_complete: every running qube has sent n samples. */
bool top_complete(const struct top *top, unsigned n);
/* top_print prints the table, at most rows lines of qubes (0 = all); top_json the same as JSON. */
void top_print(struct top *top, size_t rows);
void top_json(struct top *top);
void top_fini(struct top *top);
/* top_sort_named gives the column of a name ("cpu"), or TOP_SORTS. */
enum top_sort top_sort_named(const char *name);
/* top_live shows the table on the terminal until q, Ctrl-C or a signal; the terminal is then as before. */
int top_live(struct top *top, struct adm_events *stats, struct adm_events *events);

#endif
