/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-ls: rows, columns and filters. */
#ifndef TOOL_LS_H
#define TOOL_LS_H

#include "tool/util.h"

enum {
	KEY_RAW_DATA = 420, KEY_RAW_LIST, KEY_CLASS, KEY_LABEL, KEY_TAGS, KEY_EXCLUDE_TAGS, KEY_RUNNING, KEY_PAUSED, KEY_HALTED,
	KEY_TEMPLATE_SOURCE, KEY_NETVM_IS, KEY_INTERNAL, KEY_SERVICEVM, KEY_PENDING, KEY_FEATURES, KEY_PREFS, KEY_SORT, KEY_REVERSE,
	KEY_IGNORE_CASE, KEY_WATCH, KEY_SPINNER, KEY_NO_SPINNER, KEY_HELP_COLUMNS, KEY_HELP_FORMATS,
};

struct ls_row {
	const struct adm_qube *q;
	bool shown;
	struct adm_props props; /* n == 0 when not asked for */
	struct adm_reply root, priv; /* volume.Info; data NULL when not asked for or not there */
	struct adm_reply internal;   /* feature internal */
	bool have_internal;	     /* internal.data is the answer, NULL = not set */
	unsigned depth;		     /* --tree */
};

struct ls {
	const struct tool *t;
	struct adm_qubes all;
	struct ls_row *rows; /* one a qube, in the order of all */
	size_t n;
	char (*cols)[64]; /* names in upper case */
	size_t n_cols;
	bool marks; /* a table for people: it also says which qubes are outdated */
	struct adm_reply table; /* what ls_table got; the rows' values point into it */
};

/* ls_load asks for the list of qubes and makes a row of each; ls_fini frees everything. 0 or an exit status (printed). */
int ls_load(struct ls *ls, bool shown);
void ls_fini(struct ls *ls);
/* ls_table asks for properties and features ("feature.X") of all qubes by one call and fills props (and internal) of all rows.
   -ADM_… when the daemon has no such call: then ls_fetch and ls_filter ask qube by qube. */
int ls_table(struct ls *ls);
/* ls_fetch asks the daemon what the columns and filters need beyond the list. */
void ls_fetch(struct ls *ls);
/* ls_filter clears shown of the rows that the options leave out. 0 or an exit status (printed). */
int ls_filter(struct ls *ls);
/* ls_cell gives the text of a column in buf; NULL when the qube has no such value. */
const char *ls_cell(const struct ls *ls, const struct ls_row *row, const char *col, char *buf, size_t cap);
/* ls_outdated: the qube runs on an older state of its template. False before ls_fetch got volume.Info. */
bool ls_outdated(const struct ls_row *row);
/* ls_columns of a format's name; NULL when unknown. ls_known_column: computed here (others are properties). */
const char *ls_format(const char *name);
bool ls_known_column(const char *col);
/* ls_format_at, ls_column_at give the names one by one; NULL at the end. */
const char *ls_format_at(size_t i);
const char *ls_column_at(size_t i);
void ls_print_columns(const struct tool *t);
void ls_print_formats(const struct tool *t);
bool ls_needs_props(const struct ls *ls);
/* ls_tree puts the rows into the order of the network tree and sets depth. */
void ls_tree(struct ls *ls, struct ls_row **order, size_t n);

#endif
