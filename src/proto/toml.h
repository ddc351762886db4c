/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The subset of TOML 1.0 in which configuration as code is written: tables, arrays of tables, dotted and quoted keys, the four kinds
 * of strings, decimal integers, booleans, arrays, inline tables. Floats and dates are refused: nothing here needs them. Pure functions.
 */
#ifndef PROTO_TOML_H
#define PROTO_TOML_H

#include "base/err.h"
#include "base/rd.h"
#include "base/wr.h"

#define TOML_MAX (4u << 20)  /* bytes of a file */
#define TOML_DEPTH_MAX 16    /* values inside values */
#define TOML_NODES_MAX 200000

enum toml_type { TOML_TABLE, TOML_ARRAY, TOML_STRING, TOML_INT, TOML_BOOL };

struct toml {
	enum toml_type type;
	char *key;     /* NULL inside an array */
	unsigned line; /* where it begins, from 1 */
	unsigned flags; /* of the parser */
	bool b;
	int64_t i;
	char *s;	     /* UTF-8 without NUL */
	struct toml *child;  /* first member of a table or an array, in the order of the file */
	struct toml *last;
	struct toml *next;
};

/* toml_parse reads a whole file. ret is the caller's (toml_free); -EINVAL with "line N: …", -E2BIG over the limits. */
int toml_parse(struct toml **ret, struct rd r, struct err *e) _must_check_;
void toml_free(struct toml *t);
DEFINE_CLEANUP(toml_free, struct toml *)
/* toml_get finds a member of a table; NULL when absent or t is no table. */
const struct toml *toml_get(const struct toml *t, const char *key);
/* toml_type_name gives the word for messages: "a table", "a string", … */
const char *toml_type_name(enum toml_type type);

/* toml_put_key writes a key, quoted when it must be; toml_put_string a basic string, in one line; toml_put_text one of several lines
   when s holds newlines. s must be UTF-8; control bytes are escaped. */
void toml_put_key(struct wr *w, const char *key);
void toml_put_string(struct wr *w, const char *s);
void toml_put_text(struct wr *w, const char *s);

#endif
