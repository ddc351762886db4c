/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --help texts and man pages (scdoc), both from the verb's tables. */
#include "tool/tool.h"

#include <ctype.h>

#include "base/wr.h"
#include "tool/frame.h"

void opt_spelling(char *out, size_t cap, const struct tool_opt *o, bool man)
{
	const char *b = man ? "*" : "", *u = man ? "_" : "";
	struct wr w = wr_mem(out, cap - 1);
	bool letter = o->key < 256 && !(o->flags & OPT_ALIAS);

	if (letter)
		wr_printf(&w, "%s-%c%s", b, o->key, b);
	if (letter && o->arg && !o->name)
		wr_printf(&w, " %s%s%s", u, o->arg, u);
	if (o->name) {
		wr_printf(&w, "%s%s--%s%s", letter ? ", " : man ? "" : "    ", b, o->name, b);
		if (o->arg && (o->flags & OPT_OPTIONAL))
			wr_printf(&w, "[=%s%s%s]", u, o->arg, u);
		else if (o->arg)
			wr_printf(&w, "%s%s%s%s", man ? " " : "=", u, o->arg, u);
	}
	out[MIN(w.len, cap - 1)] = '\0';
}

static const char *const common_exits[] = { "done", "failure; one line on standard error says why",
					    "wrong usage, or a named qube does not exist" };

static const char *exit_text(const struct verb *v, int status)
{
	for (size_t i = 0; v->exits && v->exits[i].when; i++)
		if (v->exits[i].status == status)
			return v->exits[i].when;
	return NULL;
}

void tool_print_help(const struct verb *v, FILE *f)
{
	const struct tool_opt *o;
	char left[100];

	(void)fprintf(f, "usage: %s [OPTION...] %s\n%c%s.\n", v->name, v->args, toupper(v->summary[0]), v->summary + 1);
	if (v->desc)
		(void)fprintf(f, "\n%s\n", v->desc);
	for (size_t i = 0; v->subs && v->subs[i].name; i++) {
		if (i == 0)
			(void)fprintf(f, "\ncommands:\n");
		(void)snprintf(left, sizeof left, "%s %s", v->subs[i].name, v->subs[i].args);
		(void)fprintf(f, "  %-30s  %s\n", left, v->subs[i].summary);
	}
	(void)fprintf(f, "\noptions:\n");
	for (size_t i = 0; (o = opt_row(v, i)); i++) {
		if (o->flags & OPT_HIDDEN)
			continue;
		opt_spelling(left, sizeof left, o, false);
		(void)fprintf(f, "  %-30s  %s\n", left, o->flags & OPT_ALIAS ? "the same" : o->help);
	}
	(void)fprintf(f, "\nexit status:\n");
	for (int s = 0; s < 3; s++)
		(void)fprintf(f, "  %3d  %s\n", s, exit_text(v, s) ? exit_text(v, s) : common_exits[s]);
	for (size_t i = 0; v->exits && v->exits[i].when; i++)
		if (v->exits[i].status > 2)
			(void)fprintf(f, "  %3d  %s\n", v->exits[i].status, v->exits[i].when);
}

/* scdoc takes _ and * as marks, and \ as the way out. */
static void man_text(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (strchr("_*\\<>#[]~", *s))
			(void)fputc('\\', f);
		(void)fputc(*s, f);
	}
}

static void man_options(const struct verb *v, FILE *f)
{
	const struct tool_opt *o;
	char left[140];

	(void)fprintf(f, "\n# OPTIONS\n");
	for (size_t i = 0; (o = opt_row(v, i)); i++) {
		if (o->flags & OPT_HIDDEN)
			continue;
		opt_spelling(left, sizeof left, o, true);
		(void)fprintf(f, "\n%s\n\t", left);
		man_text(f, o->flags & OPT_ALIAS ? "The same as the option before" : o->help);
		(void)fputs(".\n", f);
	}
	(void)fprintf(f, "\nLong options may be shortened while they stay unambiguous; \"--\" ends the options.\n");
}

static void man_tail(const struct verb *v, FILE *f)
{
	(void)fprintf(f, "\n# EXIT STATUS\n");
	for (int s = 0; s < 3; s++) {
		(void)fprintf(f, "\n*%d*\n\t", s);
		man_text(f, exit_text(v, s) ? exit_text(v, s) : common_exits[s]);
		(void)fputs("\n", f);
	}
	for (size_t i = 0; v->exits && v->exits[i].when; i++)
		if (v->exits[i].status > 2) {
			(void)fprintf(f, "\n*%d*\n\t", v->exits[i].status);
			man_text(f, v->exits[i].when);
			(void)fputs("\n", f);
		}
	(void)fprintf(f, "\n# ENVIRONMENT\n\n*QUBES_ROOT*\n\tDirectory of the instance to talk to. Without it: the system's "
			 "instance for root when there is one, else ~/.local/share/bulkhead.\n"
			 "\n*NO_COLOR*\n\tNo colours, also on a terminal.\n");
}

/* The prose of the page (description, examples, see also) is a file of docs/man; tables come from the verb. */
static int copy_prose(const char *path, FILE *f)
{
	_cleanup_file_ FILE *in = fopen(path, "re");
	char line[2048];

	if (!in)
		return -errno;
	while (fgets(line, sizeof line, in))
		if (!str_starts(line, ";"))
			(void)fputs(line, f);
	return 0;
}

int tool_dump_man(const struct verb *v, const char *prose_path, FILE *f)
{
	int r;

	(void)fprintf(f, "%s(1) \"\" \"Bulkhead\"\n\n# NAME\n\n%s - ", v->name, v->name);
	man_text(f, v->summary);
	(void)fprintf(f, "\n\n# SYNOPSIS\n\n*%s* \\[OPTION...\\] ", v->name);
	man_text(f, v->args);
	(void)fputs("\n", f);
	for (size_t i = 0; v->subs && v->subs[i].name; i++) {
		(void)fprintf(f, "%s*%s %s*%s", i ? "++\n" : "\n", v->name, v->subs[i].name, v->subs[i].args[0] ? " " : "");
		man_text(f, v->subs[i].args);
	}
	(void)fputs(v->subs ? "\n\n" : "\n", f);
	r = copy_prose(prose_path, f);
	if (r < 0)
		return r;
	if (v->subs) {
		(void)fprintf(f, "\n# COMMANDS\n");
		for (size_t i = 0; v->subs[i].name; i++) {
			(void)fprintf(f, "\n*%s*%s", v->subs[i].name, v->subs[i].args[0] ? " " : "");
			man_text(f, v->subs[i].args);
			(void)fputs("\n\t", f);
			man_text(f, v->subs[i].summary);
			(void)fputs(".\n", f);
		}
	}
	man_options(v, f);
	man_tail(v, f);
	return ferror(f) ? -EIO : 0;
}
