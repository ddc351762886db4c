/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Answers of the Admin API as structures: lists of qubes, properties, key=value texts. The structures borrow from the reply's text,
 * which the decoders cut into pieces in place.
 */
#ifndef CLIENT_ANSWERS_H
#define CLIENT_ANSWERS_H

#include "client/admin.h"

struct adm_qube {
	char *name, *cls, *state, *uuid;
};
struct adm_qubes {
	struct adm_reply rep;
	struct adm_qube *v;
	size_t n;
};

/* adm_qubes_get asks admin.vm.List of dest ("dom0" = all). */
int adm_qubes_get(struct adm_qubes *ret, const char *dest, struct err *e);
int adm_qubes_parse(struct adm_qubes *ret, struct err *e); /* decodes ret->rep.data */
void adm_qubes_fini(struct adm_qubes *q);
const struct adm_qube *adm_qubes_find(const struct adm_qubes *q, const char *name);

struct adm_prop {
	char *name;
	bool is_default;
	char *type, *value; /* value "" when unset */
};
struct adm_props {
	struct adm_reply rep;
	struct adm_prop *v;
	size_t n;
};
/* adm_props_get asks GetAll of a qube, or of the system when global. */
int adm_props_get(struct adm_props *ret, const char *dest, bool global, struct err *e);
int adm_props_parse(struct adm_props *ret, struct err *e);
void adm_props_fini(struct adm_props *p);
const struct adm_prop *adm_props_find(const struct adm_props *p, const char *name);
/* adm_prop_parse decodes the answer of property.Get in place: "default=True type=str VALUE". */
int adm_prop_parse(struct adm_prop *ret, char *text, struct err *e);

/* adm_line cuts the next line off *text (NUL instead of newline) and gives it; NULL at the end. */
char *adm_line(char **text);
/* adm_unescape undoes "\\\\" and "\\n" in place. */
void adm_unescape(char *s);
/* adm_field cuts the next tab-separated field off *text and gives it, \\n, \\t and \\\\ undone; NULL when there is none. */
char *adm_field(char **text);
/* adm_kv looks KEY up in "key=value" lines and copies the value to out. -ENOENT, -ENAMETOOLONG. */
int adm_kv(const char *text, const char *key, char *out, size_t cap) _must_check_;

#endif
