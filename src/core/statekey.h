/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which saved state fits a qube (docs/states.md §1), and whether it may start from one at all (§5). The key is the hash of a text that names
 * everything a state depends on, one fact a line; two qubes with the same text share a state. Pure: facts of the host come from the caller.
 */
#ifndef CORE_STATEKEY_H
#define CORE_STATEKEY_H

#include "core/core.h"

#define STATE_CONTRACT 2 /* raise it whenever what a source does or what a clone expects changes */
#define STATE_KEY_LEN 32
#define STATE_SERVICES_MAX 400
#define STATE_TEXT_MAX 4096

/* state_allowed: may q start from a saved state? When not, *ret_why (static text) says why. */
bool state_allowed(const struct core *c, const struct qube *q, const char **ret_why);
/* state_random_addresses: do programs of q get random addresses where it is emulated? Feature emulated-aslr says so (1) or not (empty); by itself a
   template-based qube without network does not, unless it is a vault or anonymous: the emulator translates a program's code anew for every address. */
bool state_random_addresses(const struct core *c, const struct qube *q);
/* state_services writes the names of the services that are on, joined by commas, in the order of the feature list. -E2BIG: too many for the
   command line of a kernel; -EINVAL: a name that could not stand there. */
int state_services(const struct qube *q, char out[STATE_SERVICES_MAX]);

struct state_facts {
	const char *root_head;	  /* identity of the committed root that the qube shows */
	const char *program;	  /* the machine's program: name, size, time */
	const char *accel;
	uint64_t volatile_size;
};

/* state_text appends the text of the key of q, lines of "NAME VALUE". -AE_NO_TEMPLATE: q shows no other qube's root; others as state_services. */
int state_text(const struct core *c, const struct qube *q, const struct state_facts *f, struct wr *w, struct err *e);
/* state_key gives the key of such a text. */
void state_key(const struct wr *text, char key[STATE_KEY_LEN + 1]);

/* state_disposable gives what a disposable of template t would be as far as keys go: never linked, no identity of its own (name and uuid are t's).
   The caller's, for qube_free. */
struct qube *state_disposable(const struct qube *t);

/* kernel_stamp appends name, size and time of each file of a kernel (core/kernel.c). */
void kernel_stamp(const char *name, struct wr *w);

#endif
