/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between the two halves of the TOML reader: toml.c reads statements, toml_value.c characters and values. Nobody else includes this. */
#ifndef PROTO_TOML_VALUE_H
#define PROTO_TOML_VALUE_H

#include "proto/toml.h"

/* struct toml.flags */
#define TOML_IMPLIED 1u	  /* a table that only a header below it named */
#define TOML_DOTTED 2u	  /* made by a dotted key */
#define TOML_CLOSED 4u	  /* an inline table: nothing may be added */
#define TOML_OF_TABLES 8u /* an array made by [[…]] */

struct toml_parser {
	struct rd r;
	unsigned line, failed_line, nodes;
	bool failed;
	char text[200];
};

/* toml_error notes the first error; everything stops at it. */
void toml_error(struct toml_parser *p, const char *fmt, ...) _printf_(2, 3);
/* Characters: -1 at the end of the file. */
int toml_peek(const struct toml_parser *p);
int toml_peek_at(const struct toml_parser *p, size_t n);
int toml_next(struct toml_parser *p);
/* toml_blanks skips blanks and tabs; toml_space lines and comments too: false at the end of the file. */
void toml_blanks(struct toml_parser *p);
bool toml_space(struct toml_parser *p);
/* toml_end_of_line demands that nothing but a comment follows in the line. */
void toml_end_of_line(struct toml_parser *p);
/* toml_key reads one bare or quoted key; the caller's, NULL after an error. */
char *toml_key(struct toml_parser *p);
/* toml_value reads a value and adds it to `to` under key, which it takes over. */
bool toml_value(struct toml_parser *p, struct toml *to, char *key, unsigned depth);
/* toml_pair reads key = value into table. toml_add appends an empty node; it takes key over; NULL over the limit. */
bool toml_pair(struct toml_parser *p, struct toml *table, unsigned depth);
struct toml *toml_add(struct toml_parser *p, struct toml *to, enum toml_type type, char *key);

#endif
