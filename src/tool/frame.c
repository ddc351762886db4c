/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Option parsing and messages of the tools. getopt_long and argp print their own texts and stop at "-1"; the tools promise one line
 * that says what to do, and negative numbers are values, so the parser is our own. Options may stand anywhere before "--", long ones
 * may be shortened as long as they stay unambiguous.
 */
#include "tool/tool.h"

#include <signal.h>
#include <stdarg.h>

#include "base/paths.h"
#include "tool/frame.h"
#include "tool/journal.h"

const struct tool_opt common_opts[] = {
	{ 'v', "verbose", NULL, "say more", 0, W_ANY },
	{ 'q', "quiet", NULL, "say less", 0, W_ANY },
	{ 'h', "help", NULL, "show this help", 0, W_ANY },
	{ KEY_VERSION, "version", NULL, "show the version", 0, W_ANY },
	{ 0 },
};

static void message(const struct tool *t, const char *kind, const char *fmt, va_list ap)
{
	char text[ERR_MSG_MAX + 200];

	(void)vsnprintf(text, sizeof text, fmt, ap);
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	(void)fflush(stdout);
	(void)fprintf(stderr, "%s: %s%s\n", t->verb->name, kind, text);
}

int tool_fail(const struct tool *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message(t, "error: ", fmt, ap);
	va_end(ap);
	return EXIT_FAIL;
}

int tool_usage(const struct tool *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message(t, "error: ", fmt, ap);
	va_end(ap);
	return EXIT_USAGE;
}

int tool_api(const struct tool *t, int r, const struct err *e)
{
	const char *hint = r == -ADM_EXC_NOT_FOUND ? "; 'qvm-ls' lists the qubes there are" :
			   r == -ADM_EXC_NO_LABEL ? "; there are " LABELS : "";

	(void)tool_fail(t, "%s%s", err_text(e, r), hint);
	return r == -ADM_EXC_NOT_FOUND || r == -ADM_EXC_INVALID_UUID ? EXIT_USAGE : EXIT_FAIL;
}

void tool_note(const struct tool *t, const char *fmt, ...)
{
	va_list ap;

	if (t->verbose < 0)
		return;
	va_start(ap, fmt);
	message(t, "", fmt, ap);
	va_end(ap);
}

void tool_info(const struct tool *t, const char *fmt, ...)
{
	va_list ap;

	if (t->verbose <= 0)
		return;
	va_start(ap, fmt);
	message(t, "", fmt, ap);
	va_end(ap);
}

bool tool_ask(const struct tool *t, const char *fmt, ...)
{
	char line[16];
	va_list ap;

	if (!isatty(STDIN_FILENO))
		return false;
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputs(" [y/N] ", stderr);
	if (!fgets(line, sizeof line, stdin))
		return false;
	return line[0] == 'y' || line[0] == 'Y';
}

int tool_flush(const struct tool *t, int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	if (errno != EPIPE)
		(void)tool_fail(t, "writing the output: %s", strerror(errno));
	return status ? status : EXIT_FAIL;
}

bool opt_has(const struct tool *t, int key)
{
	return opt_count(t, key) > 0;
}

size_t opt_count(const struct tool *t, int key)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_optv; i++)
		n += t->optv[i].key == key;
	return n;
}

const char *opt_nth(const struct tool *t, int key, size_t n)
{
	for (size_t i = 0; i < t->n_optv; i++)
		if (t->optv[i].key == key && n-- == 0)
			return t->optv[i].arg;
	return NULL;
}

const char *opt_str(const struct tool *t, int key)
{
	size_t n = opt_count(t, key);

	return n ? opt_nth(t, key, n - 1) : NULL;
}

/* Walks the verb's rows and then the common ones. i counts from 0; NULL at the end. A verb's own row hides a common one. */
const struct tool_opt *opt_row(const struct verb *v, size_t i)
{
	size_t own = 0, n;

	while (v->opts && v->opts[own].key) {
		if (own == i)
			return &v->opts[own];
		own++;
	}
	n = own;
	for (size_t c = 0; common_opts[c].key; c++) {
		bool hidden = false;

		for (size_t k = 0; k < own; k++)
			hidden = hidden || v->opts[k].key == common_opts[c].key ||
				 (v->opts[k].name && streq(v->opts[k].name, common_opts[c].name));
		if (!hidden && n++ == i)
			return &common_opts[c];
	}
	return NULL;
}

static const struct tool_opt *find_short(const struct verb *v, char c)
{
	const struct tool_opt *o;

	for (size_t i = 0; (o = opt_row(v, i)); i++)
		if (o->key == c && !(o->flags & OPT_ALIAS))
			return o;
	return NULL;
}

/* Exact match, else the only option that begins so. *ambiguous is set when several different ones do. */
static const struct tool_opt *find_long(const struct verb *v, const char *s, size_t n, bool *ambiguous)
{
	const struct tool_opt *o, *found = NULL;

	for (size_t i = 0; (o = opt_row(v, i)); i++) {
		if (!o->name || strncmp(o->name, s, n) != 0)
			continue;
		if (!o->name[n]) {
			*ambiguous = false;
			return o;
		}
		if (found && found->key != o->key)
			*ambiguous = true;
		found = o;
	}
	return *ambiguous ? NULL : found;
}

static void add_opt(struct tool *t, const struct tool_opt *o, const char *arg)
{
	if (o->key == 'v' && o->name == common_opts[0].name)
		t->verbose++;
	else if (o->key == 'q' && o->name == common_opts[1].name)
		t->verbose--;
	t->optv[t->n_optv++] = (struct tool_optval){ .key = o->key, .arg = arg };
}

/* One word "--name[=arg]". Gives the number of words used, or -1 (already reported). */
static int parse_long(struct tool *t, char **argv, int left)
{
	const char *s = argv[0] + 2, *eq = strchr(s, '=');
	size_t n = eq ? (size_t)(eq - s) : strlen(s);
	bool ambiguous = false;
	const struct tool_opt *o = find_long(t->verb, s, n, &ambiguous);
	char shown[64];

	(void)str_escape(shown, sizeof shown, s, n);
	if (!o) {
		(void)tool_usage(t, "%s option '--%s'; see '%s --help'", ambiguous ? "ambiguous" : "unknown", shown, t->verb->name);
		return -1;
	}
	if (eq && !o->arg) {
		(void)tool_usage(t, "option '--%s' takes no argument", o->name);
		return -1;
	}
	if (eq || !o->arg || (o->flags & OPT_OPTIONAL)) {
		add_opt(t, o, eq ? eq + 1 : NULL);
		return 1;
	}
	if (left < 2) {
		(void)tool_usage(t, "option '--%s' needs an argument: %s", o->name, o->arg);
		return -1;
	}
	add_opt(t, o, argv[1]);
	return 2;
}

/* One word of short options "-abc[arg]". */
static int parse_short(struct tool *t, char **argv, int left)
{
	for (const char *p = argv[0] + 1; *p; p++) {
		const struct tool_opt *o = find_short(t->verb, *p);
		char shown[8];

		if (!o) {
			(void)tool_usage(t, "unknown option '-%s'; see '%s --help'", str_escape(shown, sizeof shown, p, 1), t->verb->name);
			return -1;
		}
		if (!o->arg || ((o->flags & OPT_OPTIONAL) && !p[1])) {
			add_opt(t, o, NULL);
			continue;
		}
		if (p[1]) {
			add_opt(t, o, p + 1);
			return 1;
		}
		if (left < 2) {
			(void)tool_usage(t, "option '-%c' needs an argument: %s", *p, o->arg);
			return -1;
		}
		add_opt(t, o, argv[1]);
		return 2;
	}
	return 1;
}

static int check_count(const struct tool *t, int n)
{
	const struct verb *v = t->verb;

	if ((unsigned)n < v->min_args)
		return tool_usage(t, "too few arguments; usage: %s [OPTION...] %s", v->name, v->args);
	if (v->max_args == ARGS_NONE ? n > 0 : v->max_args && (unsigned)n > v->max_args)
		return tool_usage(t, "too many arguments; usage: %s [OPTION...] %s", v->name, v->args);
	return 0;
}

static bool is_option(const char *s)
{
	return s[0] == '-' && s[1] && !ch_digit(s[1]);
}

/* Number of positional arguments after which no options are looked for; 0 = never. */
static unsigned stop_after(const struct tool *t)
{
	unsigned n = t->verb->flags & VERB_STOP_MASK;
	const struct tool_opt *o;

	if (!(t->verb->flags & VERB_STOP_ALL))
		return n;
	for (size_t i = 0; (o = opt_row(t->verb, i)); i++)
		if (o->name && (streq(o->name, "all") || streq(o->name, "dispvm")) && opt_has(t, o->key))
			return n - 1;
	return n;
}

int tool_parse(struct tool *t, int argc, char **argv, char ***ret_argv, int *ret_status)
{
	_cleanup_free_ char **pos = xcalloc((size_t)argc + 1, sizeof *pos);
	size_t room = 0;
	int n = 0, i = 1;

	for (int k = 1; k < argc; k++)
		room += strlen(argv[k]) + 1;
	t->optv = xcalloc(room + 1, sizeof *t->optv);
	*ret_status = EXIT_USAGE;
	while (i < argc) {
		unsigned stop = stop_after(t);
		int used;

		if ((stop && (unsigned)n >= stop) || streq(argv[i], "--")) {
			i += streq(argv[i], "--");
			break;
		}
		if (!is_option(argv[i])) {
			pos[n++] = argv[i++];
			continue;
		}
		used = argv[i][1] == '-' ? parse_long(t, argv + i, argc - i) : parse_short(t, argv + i, argc - i);
		if (used < 0)
			return -1;
		i += used;
	}
	while (i < argc)
		pos[n++] = argv[i++];
	if (opt_has(t, 'h') && find_short(t->verb, 'h') == &common_opts[2]) {
		tool_print_help(t->verb, stdout);
		*ret_status = 0;
		return -1;
	}
	if (opt_has(t, KEY_VERSION)) {
		printf("%s (Bulkhead) %s\n", t->verb->name, BULKHEAD_VERSION);
		*ret_status = 0;
		return -1;
	}
	if (check_count(t, n) != 0)
		return -1;
	*ret_argv = STEAL_PTR(pos);
	return n;
}

static void find_terminal(struct tool *t)
{
	t->tty = isatty(STDOUT_FILENO) == 1;
	t->colour = colour_of(stdout);
}

int tool_run_verb(const struct verb *v, int argc, char **argv)
{
	struct tool t = { .verb = v };
	_cleanup_free_ char **pos = NULL;
	struct err e = { 0 };
	int n, status = 0, r;

	(void)signal(SIGPIPE, SIG_IGN);
	find_terminal(&t);
	n = tool_parse(&t, argc, argv, &pos, &status);
	if (n >= 0) {
		r = paths_init(NULL, &e);
		if (r >= 0 && !(v->flags & VERB_NO_JOURNAL))
			journal_start(&t, argc, argv);
		status = r < 0 ? tool_fail(&t, "%s", err_text(&e, r)) : v->run(&t, n, pos);
		journal_stop();
	}
	free(t.optv);
	return tool_flush(&t, status);
}
