/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Frame of the command line tools. All tools are one program, bulkhead-tools, that acts by the name it was called with. A tool is
 * one file src/tool/NAME.c that defines one `const struct verb`, and one row in verbs.def; option parsing, --help, the man page's
 * option section, shell completion and the argument tests come from the tables in struct verb.
 *
 * Exit statuses: 0 done, 1 failure, 2 wrong usage or no such qube; others as the verb's table says.
 */
#ifndef TOOL_TOOL_H
#define TOOL_TOOL_H

#include "base/err.h"
#include "base/str.h"
#include "client/admin.h"

#define EXIT_FAIL 1
#define EXIT_USAGE 2

struct tool;

/* What a word is, for completion. Lists are resolved by asking the daemon at completion time. */
enum word_kind {
	W_ANY = 0,
	W_QUBE,
	W_PROPERTY, /* of the qube in the first positional */
	W_GLOBAL_PROPERTY,
	W_LABEL,
	W_CLASS,
	W_POOL,
	W_VOLUME, /* QUBE:VOLUME */
	W_FEATURE,
	W_SERVICE,
	W_TAG,
	W_FILE,
	W_SUB, /* one of the verb's sub-commands */
	W_VALUE,       /* of the property before it, of the qube in the first positional */
	W_RULE,	       /* of the firewall */
	W_POLICY_FILE,
	W_COLUMN,      /* of qvm-ls */
	W_FORMAT,      /* of qvm-ls */
	W_VOLUME_POOL, /* VOLUME=POOL */
	W_DRIVER,      /* of pools */
	W_POOL_OPTION, /* of any driver of pools */
	W_DEVICE,      /* BACKEND:PORT */
	W_DEVICE_CLASS,
};

#define OPT_OPTIONAL 1u /* the argument may be left out: --name or --name=ARG */
#define OPT_HIDDEN 2u	/* accepted, not shown */
#define OPT_ALIAS 4u	/* another spelling of the row above (same key), shown beside it */

/* One option. key is the short letter, or a number >= 256 when there is only a long name. */
struct tool_opt {
	int key;
	const char *name; /* long name; NULL = only the letter */
	const char *arg;  /* name of the argument in the help; NULL = a flag */
	const char *help;
	unsigned flags;
	enum word_kind kind; /* of the argument */
};

/* A sub-command: what is told of it, and, for tools that look it up by sub_find (kvlist.h), how many words may stand behind it. */
struct tool_sub {
	const char *name, *args, *summary;
	int min, max;	   /* max SUB_MANY: no limit */
	const char *other; /* an older spelling; may be NULL */
	unsigned flags;	   /* the tool's own */
};
#define SUB_MANY 1000

struct tool_exit {
	int status;
	const char *when;
};

struct verb {
	const char *name;    /* "qvm-ls" */
	const char *summary; /* one line, imperative, no full stop */
	const char *args;    /* synopsis of the positional arguments: "[NAME...]" */
	const char *desc;    /* more help, may be NULL; lines of at most 78 columns */
	const struct tool_opt *opts; /* ends with a row of zeros; common options are added by the frame */
	const struct tool_sub *subs;   /* ends with a row of zeros; may be NULL */
	const struct tool_exit *exits; /* statuses beyond 0, 1, 2; ends with when == NULL; may be NULL */
	enum word_kind words[6]; /* kinds of the positional arguments; the last non-zero one repeats */
	unsigned min_args, max_args; /* positional arguments; max 0 = no limit; use ARGS_NONE for none */
	unsigned flags;
	int (*run)(struct tool *t, int argc, char **argv); /* argv: positional arguments only. Gives the exit status */
};
#define ARGS_NONE UINT32_MAX
/* verb.flags: options end at the first positional argument number n (qvm-run's command). */
#define VERB_STOP_AFTER(n) (unsigned)(n)
#define VERB_STOP_MASK 0xffu
#define VERB_NO_JOURNAL 0x200u /* its changes are not recorded for qvm-undo */
#define VERB_STOP_ALL 0x100u /* one positional argument earlier when --all or --dispvm stands before */

struct tool_optval {
	int key;
	const char *arg; /* NULL for a flag or an optional argument left out */
};

struct tool {
	const struct verb *verb;
	int verbose; /* number of -v minus -q */
	bool tty;    /* stdout is a terminal */
	bool colour; /* stdout is a terminal that takes colours and NO_COLOR is not set */
	struct tool_optval *optv;
	size_t n_optv;
};

/* Options after parsing. */
bool opt_has(const struct tool *t, int key);
const char *opt_str(const struct tool *t, int key);	     /* last one's argument, or NULL */
const char *opt_nth(const struct tool *t, int key, size_t n); /* n-th one's argument; NULL when there are fewer */
size_t opt_count(const struct tool *t, int key);

/* One line on stderr, "NAME: error: TEXT"; they give the exit status, for `return tool_fail(t, "…")`. The text says what to do. */
int tool_fail(const struct tool *t, const char *fmt, ...) _printf_(2, 3);  /* 1 */
int tool_usage(const struct tool *t, const char *fmt, ...) _printf_(2, 3); /* 2 */
#define LABELS "red, orange, yellow, green, gray, blue, purple, black and your own"
/* tool_api gives the status for a failed call: 2 when a qube does not exist, else 1; prints e. */
int tool_api(const struct tool *t, int r, const struct err *e);
/* tool_note prints "NAME: TEXT" on stderr unless -q; tool_info only with -v. */
void tool_note(const struct tool *t, const char *fmt, ...) _printf_(2, 3);
void tool_info(const struct tool *t, const char *fmt, ...) _printf_(2, 3);
/* tool_ask asks a yes/no question on the terminal; no terminal or no answer = false. */
bool tool_ask(const struct tool *t, const char *fmt, ...) _printf_(2, 3);
/* tool_flush writes out stdout and turns a write error into status 1. */
int tool_flush(const struct tool *t, int status);

/* tool_parse parses argv by the verb's table (argv[0] is skipped). Gives the number of positional arguments, left in ret_argv
   (caller frees the array), or -1 with the exit status in ret_status (--help, --version, errors: already printed). */
int tool_parse(struct tool *t, int argc, char **argv, char ***ret_argv, int *ret_status);
/* tool_run_verb does everything for one verb: parse, check, run, flush. Gives the exit status. */
int tool_run_verb(const struct verb *v, int argc, char **argv);
const struct verb *verb_find(const char *name);
/* usage text, man page (scdoc), completion. */
void tool_print_help(const struct verb *v, FILE *f);
int tool_dump_man(const struct verb *v, const char *prose_path, FILE *f);
int tool_complete(int argc, char **argv);

/* A table of text: header, rows, columns padded to their widest cell, two blanks between. Control bytes of cells are shown as '_'. */
struct table;
struct table *table_new(size_t n_cols);
void table_free(struct table *tb);
/* table_add appends a cell, row by row; s is copied, NULL gives "-". */
void table_add(struct table *tb, const char *s);
void table_addf(struct table *tb, const char *fmt, ...) _printf_(2, 3);
/* table_colour sets the colour 0xRRGGBB of the cell added last. */
void table_colour(struct table *tb, uint32_t rgb);
/* colour_of says whether f is a terminal that takes colours. sgr_of writes the sequence that switches a colour on; gives out. Black is bold in
   the terminal's own colour: on a dark terminal it could not be read. */
bool colour_of(FILE *f);
#define SGR_MAX 32
const char *sgr_of(char out[SGR_MAX], uint32_t rgb);
/* table_right aligns column c to the right. */
void table_right(struct table *tb, size_t c);
/* table_print prints all rows; the first row is the header. header = false leaves it out. */
void table_print(const struct table *tb, const struct tool *t, bool header);
DEFINE_CLEANUP(table_free, struct table *)

/* out_text prints foreign text to stdout; control bytes become '_' when stdout is a terminal (newline and tab stay). */
void out_text(const struct tool *t, const char *s);
/* JSON on stdout: a comma-and-nesting aware writer; end of the outermost value prints a newline. key NULL inside arrays. */
struct json {
	unsigned depth;
	bool more; /* the next value needs a comma */
};
void json_open(struct json *j, const char *key, char bracket); /* '{' or '[' */
void json_close(struct json *j, char bracket);		       /* '}' or ']' */
void json_str(struct json *j, const char *key, const char *v); /* NULL = null */
void json_int(struct json *j, const char *key, int64_t v);
void json_bool(struct json *j, const char *key, bool v);

#endif
