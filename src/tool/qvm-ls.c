/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-ls: list qubes. */
#include <strings.h>

#include "tool/colour.h"
#include "tool/ls.h"

#define COLS_MAX 64

static const struct tool_opt opts[] = {
	{ 'o', "format", "FORMAT", "simple, network, full, kernel, prefs or disk", 0, W_FORMAT },
	{ 'O', "fields", "COLUMN,...", "these columns; any property is a column", 0, W_COLUMN },
	{ 'n', "network", NULL, "the same as --format=network", 0, W_ANY },
	{ 'd', "disk", NULL, "the same as --format=disk", 0, W_ANY },
	{ 'k', "kernel", NULL, "the same as --format=kernel", 0, W_ANY },
	{ 't', "tree", NULL, "show qubes below their NetVM", 0, W_ANY },
	{ KEY_RAW_DATA, "raw-data", NULL, "values joined by '|', no header", 0, W_ANY },
	{ KEY_RAW_LIST, "raw-list", NULL, "names only", 0, W_ANY },
	OPT_JSON,
	{ KEY_CLASS, "class", "CLASS,...", "only qubes of these classes", 0, W_CLASS },
	{ KEY_LABEL, "label", "LABEL,...", "only qubes with one of these labels", 0, W_LABEL },
	{ KEY_TAGS, "tags", "TAG,...", "only qubes with one of these tags", 0, W_TAG },
	{ KEY_EXCLUDE_TAGS, "exclude-tags", "TAG,...", "only qubes without these tags", 0, W_TAG },
	{ KEY_RUNNING, "running", NULL, "only running qubes", 0, W_ANY },
	{ KEY_PAUSED, "paused", NULL, "only paused qubes", 0, W_ANY },
	{ KEY_HALTED, "halted", NULL, "only halted qubes", 0, W_ANY },
	{ KEY_TEMPLATE_SOURCE, "template-source", "QUBE,...", "only qubes based on one of these", 0, W_QUBE },
	{ KEY_NETVM_IS, "netvm-is", "QUBE,...", "only qubes with one of these as NetVM; 'none' for those without", 0, W_QUBE },
	{ KEY_INTERNAL, "internal", "y|n", "only qubes that are (not) internal", 0, W_ANY },
	{ KEY_SERVICEVM, "servicevm", "y|n", "only qubes that are (not) service qubes", 0, W_ANY },
	{ KEY_PENDING, "pending-update", NULL, "only qubes with updates waiting", 0, W_ANY },
	{ KEY_FEATURES, "features", "NAME=VALUE", "only qubes with this feature (repeatable)", 0, W_FEATURE },
	{ KEY_PREFS, "prefs", "NAME=VALUE", "only qubes with this property (repeatable)", 0, W_PROPERTY },
	{ KEY_SORT, "sort", "COLUMN", "sort by a column instead of the name", 0, W_COLUMN },
	{ KEY_REVERSE, "reverse", NULL, "reverse the order", 0, W_ANY },
	{ KEY_IGNORE_CASE, "ignore-case", NULL, "sort without regard to case", 0, W_ANY },
	{ KEY_WATCH, "watch", NULL, "show it anew whenever something changes, until Ctrl-C", 0, W_ANY },
	{ KEY_SPINNER, "spinner", NULL, "accepted, without effect", OPT_HIDDEN, W_ANY },
	{ KEY_NO_SPINNER, "no-spinner", NULL, "accepted, without effect", OPT_HIDDEN, W_ANY },
	{ KEY_ALL, "all", NULL, "all qubes (the default)", 0, W_ANY },
	{ KEY_EXCLUDE, "exclude", "NAME", "leave this one out (repeatable)", 0, W_QUBE },
	{ KEY_HELP_COLUMNS, "help-columns", NULL, "explain the columns, then end", 0, W_ANY },
	{ KEY_HELP_FORMATS, "help-formats", NULL, "list the formats, then end", 0, W_ANY },
	{ 0 },
};

/* Splits "A,B,…" into upper-case column names. */
static int set_columns(struct ls *ls, const char *list)
{
	ls->cols = xcalloc(COLS_MAX, sizeof *ls->cols);
	while (*list) {
		size_t n = strcspn(list, ",");
		char *out = ls->cols[ls->n_cols];

		if (n == 0 || n >= sizeof *ls->cols || ls->n_cols == COLS_MAX)
			return tool_usage(ls->t, "'%s' is no list of at most %d columns", list, COLS_MAX);
		for (size_t i = 0; i < n; i++)
			out[i] = (char)(list[i] >= 'a' && list[i] <= 'z' ? list[i] - 'a' + 'A' : list[i]);
		if (!str_chars(out, "-_"))
			return tool_usage(ls->t, "no such column: '%s'; see 'qvm-ls --help-columns'", out);
		ls->n_cols++;
		list += n + (list[n] == ',');
	}
	return ls->n_cols ? 0 : tool_usage(ls->t, "no columns; see 'qvm-ls --help-columns'");
}

static int choose_columns(struct ls *ls)
{
	const struct tool *t = ls->t;
	const char *format = opt_str(t, 'o'), *fields = opt_str(t, 'O');
	const char *name = format ? format : opt_has(t, 'n') ? "network" : opt_has(t, 'd') ? "disk" : opt_has(t, 'k') ? "kernel" : "simple";
	const char *cols = fields ? fields : ls_format(name);

	if (format && fields)
		return tool_usage(t, "give a format or columns, not both");
	if (opt_has(t, KEY_RAW_LIST))
		cols = "NAME";
	if (!cols)
		return tool_usage(t, "no such format: '%s'; see 'qvm-ls --help-formats'", name);
	return set_columns(ls, cols);
}

static int choose_rows(struct ls *ls, int argc, char **argv)
{
	const struct tool *t = ls->t;
	bool paused = false;
	const char *x;
	int r = ls_load(ls, argc == 0);

	if (r)
		return r;
	for (int i = 0; i < argc; i++) {
		const struct adm_qube *q = adm_qubes_find(&ls->all, argv[i]);

		if (!q)
			return tool_usage(t, "no such qube: '%s'", argv[i]);
		ls->rows[q - ls->all.v].shown = true;
	}
	for (size_t i = 0; (x = opt_nth(t, KEY_EXCLUDE, i)); i++) {
		const struct adm_qube *q = adm_qubes_find(&ls->all, x);

		if (!q)
			return tool_usage(t, "no such qube to exclude: '%s'", x);
		ls->rows[q - ls->all.v].shown = false;
	}
	for (size_t i = 0; i < ls->n; i++)
		paused |= ls->rows[i].shown && streq(ls->rows[i].q->state, "Paused");
	/* For a few qubes the separate calls are cheaper, and tell the same, but why one is paused. */
	if ((ls_needs_props(ls) && (argc == 0 || argc > 3)) || paused)
		(void)ls_table(ls);
	return ls_filter(ls);
}

struct sort {
	const struct ls *ls;
	const char *col;
	bool fold;
	int sign;
};

static int cmp_rows(const void *a, const void *b, void *arg)
{
	const struct ls_row *const *x = a, *const *y = b;
	const struct sort *s = arg;
	char bx[64], by[64];
	const char *vx = ls_cell(s->ls, *x, s->col, bx, sizeof bx), *vy = ls_cell(s->ls, *y, s->col, by, sizeof by);
	int64_t nx, ny;
	int r;

	if (!vx || !vy)
		r = (vx != NULL) - (vy != NULL);
	else if (str_i64(vx, INT64_MIN, INT64_MAX, &nx) == 0 && str_i64(vy, INT64_MIN, INT64_MAX, &ny) == 0)
		r = (nx > ny) - (nx < ny);
	else
		r = s->fold ? strcasecmp(vx, vy) : strcmp(vx, vy);
	/* Equal ones stay in the order of the list. */
	return r ? r * s->sign : ((*x)->q > (*y)->q) - ((*x)->q < (*y)->q);
}

/* Sort column in upper case; it must be known or a property of some qube. */
static int sort_rows(struct ls *ls, struct ls_row **order, size_t n)
{
	const char *col = opt_str(ls->t, KEY_SORT);
	struct sort s = { .ls = ls, .fold = opt_has(ls->t, KEY_IGNORE_CASE), .sign = opt_has(ls->t, KEY_REVERSE) ? -1 : 1 };
	char upper[64];

	/* Without a wish: dom0 first, then by name, as the daemon lists them. */
	if (!col && s.sign > 0 && !s.fold)
		return 0;
	if (str_copy(upper, sizeof upper, col ? col : "NAME") < 0)
		return tool_usage(ls->t, "no such column: '%s'", col);
	for (char *p = upper; *p; p++)
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 'a' + 'A');
	s.col = upper;
	qsort_r(order, n, sizeof *order, cmp_rows, &s);
	return 0;
}

static void print_raw(const struct ls *ls, struct ls_row **order, size_t n)
{
	char buf[64];

	for (size_t i = 0; i < n; i++)
		for (size_t c = 0; c < ls->n_cols; c++) {
			const char *v = ls_cell(ls, order[i], ls->cols[c], buf, sizeof buf);

			out_text(ls->t, v ? v : "-");
			(void)putchar(c + 1 == ls->n_cols ? '\n' : '|');
		}
}

static void print_json(const struct ls *ls, struct ls_row **order, size_t n)
{
	struct json j = { 0 };
	char buf[64], key[64];

	json_open(&j, NULL, '[');
	for (size_t i = 0; i < n; i++) {
		json_open(&j, NULL, '{');
		for (size_t c = 0; c < ls->n_cols; c++) {
			memcpy(key, ls->cols[c], sizeof key);
			for (char *p = key; *p; p++)
				if (*p >= 'A' && *p <= 'Z')
					*p = (char)(*p - 'A' + 'a');
			json_str(&j, key, ls_cell(ls, order[i], ls->cols[c], buf, sizeof buf));
		}
		json_close(&j, '}');
	}
	json_close(&j, ']');
}

static bool names_qube(const char *col)
{
	static const char *const cols[] = { "TEMPLATE", "NETVM", "DEFAULT_DISPVM", "MANAGEMENT_DISPVM", "GUIVM", "AUDIOVM", "RELAYVM" };

	for (size_t i = 0; i < ARRAY_SIZE(cols); i++)
		if (streq(cols[i], col))
			return true;
	return false;
}

static void add_cell(const struct ls *ls, struct table *tb, const struct ls_row *row, const char *col)
{
	const struct adm_prop *label = adm_props_find(&row->props, "label");
	char buf[64];
	const char *v = ls_cell(ls, row, col, buf, sizeof buf);
	uint32_t rgb;

	if (streq(col, "NAME") && row->depth)
		table_addf(tb, "%*s└─%s", (int)(row->depth - 1) * 2, "", v);
	else
		table_add(tb, v);
	if (v && ls->t->colour && names_qube(col) && qube_rgb(v, &rgb))
		table_colour(tb, rgb);
	if ((streq(col, "NAME") || streq(col, "LABEL")) && ls->t->colour && label && *label->value && label_rgb(label->value, &rgb) == 0)
		table_colour(tb, rgb);
}

/* Below the table, and beside it for who reads the table by a program. */
static void note_outdated(const struct ls *ls, struct ls_row **order, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ls_outdated(order[i]))
			tool_note(ls->t, "%s is outdated: its template has changed since it started; restart it to use the new state",
				  order[i]->q->name);
}

/* One that nobody asked to stand still. */
static void note_paused(const struct ls *ls, struct ls_row **order, size_t n)
{
	char why[256];

	for (size_t i = 0; i < n; i++) {
		const char *reason = ls_cell(ls, order[i], "PAUSE_REASON", why, sizeof why);

		if (reason && *reason)
			tool_note(ls->t, "%s is paused: %s; when that is over, 'qvm-unpause %s'", order[i]->q->name, reason, order[i]->q->name);
	}
}

static void print_table(const struct ls *ls, struct ls_row **order, size_t n)
{
	_cleanup_(table_freep) struct table *tb = table_new(ls->n_cols);

	for (size_t c = 0; c < ls->n_cols; c++) {
		const char *col = ls->cols[c];

		table_add(tb, col);
		if (streq(col, "DISK") || str_starts(col, "PRIV-") || str_starts(col, "ROOT-"))
			table_right(tb, c);
	}
	for (size_t i = 0; i < n; i++)
		for (size_t c = 0; c < ls->n_cols; c++)
			add_cell(ls, tb, order[i], ls->cols[c]);
	table_print(tb, ls->t, true);
	if (ls->t->tty && ls->t->verbose >= 0 && emulated_here())
		printf("\nThis host has no usable hardware virtualization: its qubes are %s.\n", EMULATED_TEXT);
	note_outdated(ls, order, n);
	note_paused(ls, order, n);
}

/* A column that no qube has a value for, and that is not one of ours, is a slip of the pen when no qube knows such a property. */
static int check_columns(const struct ls *ls, struct ls_row **order, size_t n)
{
	for (size_t c = 0; c < ls->n_cols; c++) {
		bool found = ls_known_column(ls->cols[c]) || streq(ls->cols[c], "KLASS");
		char name[64];

		memcpy(name, ls->cols[c], sizeof name);
		for (char *p = name; *p; p++)
			*p = *p == '-' ? '_' : (char)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
		for (size_t i = 0; i < n && !found; i++)
			found = adm_props_find(&order[i]->props, name) != NULL;
		/* With a few rows only, the property may belong to another class. */
		if (!found && n > 0 && n == ls->n)
			return tool_usage(ls->t, "no such column: '%s'; see 'qvm-ls --help-columns'", ls->cols[c]);
	}
	return 0;
}

static int show(struct ls *ls)
{
	_cleanup_free_ struct ls_row **order = xcalloc(ls->n + 1, sizeof *order);
	size_t n = 0;
	int r;

	ls->marks = ls->t->verbose >= 0 && !opt_has(ls->t, KEY_JSON) && !opt_has(ls->t, KEY_RAW_DATA) && !opt_has(ls->t, KEY_RAW_LIST);
	ls_fetch(ls);
	for (size_t i = 0; i < ls->n; i++)
		if (ls->rows[i].shown)
			order[n++] = &ls->rows[i];
	r = check_columns(ls, order, n);
	r = r ? r : sort_rows(ls, order, n);
	if (r != 0)
		return r;
	if (opt_has(ls->t, 't'))
		ls_tree(ls, order, n);
	if (opt_has(ls->t, KEY_JSON))
		print_json(ls, order, n);
	else if (opt_has(ls->t, KEY_RAW_DATA) || opt_has(ls->t, KEY_RAW_LIST))
		print_raw(ls, order, n);
	else
		print_table(ls, order, n);
	return 0;
}

static int once(struct tool *t, int argc, char **argv)
{
	struct ls ls = { .t = t };
	int r = choose_columns(&ls);

	r = r ? r : choose_rows(&ls, argc, argv);
	r = r ? r : show(&ls);
	ls_fini(&ls);
	return r;
}

/* What a qube itself writes into its database, again and again, is shown in no column. */
static bool shows(const struct adm_event *ev)
{
	return !str_starts(ev->name, "domain-qdb-") && !str_starts(ev->name, "property-pre-") && !str_starts(ev->name, "domain-feature-pre-") &&
	       !str_starts(ev->name, "property-del:");
}

/* Events come in bundles: one drawing for what is there at once. */
#define BUNDLE_MS 20

/* Gives 1 when something may look different now, 0 at the end of the stream, or an error. */
static int next_change(struct adm_events *s, struct err *e)
{
	struct adm_event ev;
	bool changed = false;
	int r;

	do {
		r = adm_events_next(s, changed ? BUNDLE_MS : -1, &ev, e);
		changed = changed || (r == 1 && shows(&ev));
	} while (r == 1);
	return changed && r == -ETIMEDOUT ? 1 : r;
}

/* The stream is open before the first look: no change is missed in between. */
static int watch(struct tool *t, int argc, char **argv)
{
	struct adm_events s;
	struct err e = { 0 };
	int r = adm_events_open(&s, "dom0", "admin.Events", &e), status;

	if (r < 0)
		return tool_api(t, r, &e);
	do {
		if (t->tty)
			(void)fputs("\033[H\033[2J", stdout);
		status = once(t, argc, argv);
		if (!t->tty && !opt_has(t, KEY_JSON))
			(void)putchar('\n');
		if (fflush(stdout) != 0)
			break;
	} while (status == 0 && (r = next_change(&s, &e)) == 1);
	adm_events_close(&s);
	if (status == 0 && r == 0)
		return tool_fail(t, "qubesd has ended");
	return status == 0 && r < 0 ? tool_api(t, r, &e) : status;
}

static int run(struct tool *t, int argc, char **argv)
{

	if (opt_has(t, KEY_HELP_COLUMNS) || opt_has(t, KEY_HELP_FORMATS)) {
		if (opt_has(t, KEY_HELP_COLUMNS))
			ls_print_columns(t);
		else
			ls_print_formats(t);
		return 0;
	}
	return opt_has(t, KEY_WATCH) ? watch(t, argc, argv) : once(t, argc, argv);
}

const struct verb verb_qvm_ls = {
	.name = "qvm-ls",
	.summary = "list qubes",
	.args = "[QUBE...]",
	.desc = "On a terminal, names have the colour of their label.",
	.opts = opts,
	.words = { W_QUBE },
	.run = run,
};
