/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The Admin API on the wire (specs/admin-api.md §1): requests, answers, events, exceptions, for both ends. Pure functions.
 * Exceptions are domain codes of struct err (AE_*, from ERR_DOMAIN_BASE up) with a class name each.
 */
#ifndef PROTO_ADMIN_H
#define PROTO_ADMIN_H

#include "base/err.h"
#include "base/rd.h"
#include "base/wr.h"

#define ADMIN_REQUEST_MAX 65536 /* header and payload together */
#define ADMIN_ARG_MAX 1024

enum admin_err {
#define ADMIN_ERR(symbol, offset, wire) AE_##symbol = ERR_DOMAIN_BASE + (offset),
#include "proto/admin_err.def"
#undef ADMIN_ERR
	AE_END
};

/* admin_err_class gives the wire class of a code (positive or negative); plain errno values are QubesException. Never NULL. */
const char *admin_err_class(int code);
/* admin_err_code gives the positive code of a wire class; AE_GENERIC when unknown. For clients. */
int admin_err_code(const char *wire_class);

struct admin_req {
	char method[96]; /* "" when it was too long to be one of ours */
	char arg[ADMIN_ARG_MAX];
	bool arg_bad; /* too long, or has a NUL: no method takes it */
	char src[80], dest[80]; /* qube name or uuid:…; "" when too long. dest of keyword adminvm is "dom0" */
	struct rd payload;	/* borrowed from the request's bytes */
};

/* admin_get_request decodes one complete request. -EBADMSG: framing is broken and the connection is closed without an answer. */
int admin_get_request(struct rd r, struct admin_req *ret) _must_check_;
/* admin_put_request writes a request; the caller half-closes after it. arg may be NULL. */
void admin_put_request(struct wr *w, const char *method, const char *arg, const char *src, const char *dest,
		       const void *payload, size_t n);

void admin_put_ok(struct wr *w);
/* admin_put_error writes an exception; each % of text is doubled because clients format it. */
void admin_put_error(struct wr *w, const char *wire_class, const char *text);
/* An event: head, any number of arguments, end. subject "" is the system. */
void admin_put_event(struct wr *w, const char *subject, const char *name);
void admin_put_event_arg(struct wr *w, const char *key, const char *value);
void admin_put_event_end(struct wr *w);

enum admin_answer { ADMIN_OK, ADMIN_EVENT, ADMIN_EXCEPTION };
/* admin_get_answer reads the two byte header. -EBADMSG; -ENODATA when r is empty (the daemon refused without an answer). */
int admin_get_answer(struct rd *r, enum admin_answer *ret) _must_check_;
/* admin_get_error reads what follows an exception header, fills %s and %d with the fields, and returns the negative code; the text goes into e. */
int admin_get_error(struct rd *r, struct err *e);

struct admin_event {
	char subject[40], name[200];
	struct rd args; /* (key NUL value NUL)*, without the final NUL; read it with admin_event_arg */
};
/* admin_get_event reads one event, header included. -EAGAIN when the bytes end inside it (r unchanged), -EBADMSG. */
int admin_get_event(struct rd *r, struct admin_event *ret) _must_check_;
/* admin_event_arg gives the next key and value (pointers into the bytes), false at the end. */
bool admin_event_arg(struct rd *args, const char **ret_key, const char **ret_value);

#endif
