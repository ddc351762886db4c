/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Validated names (specs/admin-api.md §2). A struct qname can only be produced by qname_parse, so a function that takes one
 * needs no check. All checks are ASCII and length-bounded.
 */
#ifndef PROTO_NAMES_H
#define PROTO_NAMES_H

#include "base/err.h"
#include "base/rd.h"

#define QNAME_MAX 31
#define UUID_LEN 36
#define SERVICE_MAX 255

struct qname {
	char s[QNAME_MAX + 1];
};
struct uuid {
	char s[UUID_LEN + 1]; /* lower case, 8-4-4-4-12 */
};

/* qname_parse: 1..31 bytes, a letter first, then letters digits _ . -; not Domain-0, none, default, nor ending in -dm. "dom0" is accepted
   (it names the AdminVM; creation refuses it). -EINVAL with a text that says the rule broken. */
int qname_parse(struct qname *ret, const char *s, struct err *e);
int qname_parse_rd(struct qname *ret, struct rd r, struct err *e);
static inline bool qname_eq(const struct qname *a, const char *b)
{
	return strcmp(a->s, b) == 0;
}
/* uuid_parse accepts the 36 character lower-case form only. */
int uuid_parse(struct uuid *ret, const char *s);
/* uuid_random makes a version 4 uuid from 16 random bytes given by the caller. */
void uuid_from_bytes(struct uuid *ret, const uint8_t bytes[16]);
bool tag_ok(const char *s);	/* non-empty, letters digits _ - */
bool feature_ok(const char *s); /* non-empty, letters digits _ . - */
bool feature_value_ok(const char *s); /* bytes 0x20..0x7e */
bool label_ok(const char *s);	/* letters digits - _ . , not all digits */
bool pool_ok(const char *s);	/* letters digits - _ . */
bool service_name_ok(const char *s); /* 1..255 of letters digits . _ - , no leading '.' or '-' trouble is left to callers */
bool qrexec_arg_ok(const char *s);	/* letters digits _ - + . ; may be empty */
bool volume_ok(const char *s);
#endif
