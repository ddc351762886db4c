/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The table of qubes that the policy is evaluated against (specs/qrexec.md §7). Looked up by name and by "uuid:U". Holds copies only;
 * whoever owns the truth sends changes. No sockets, no JSON.
 */
#ifndef CORE_POLICY_SYSINFO_H
#define CORE_POLICY_SYSINFO_H

#include "base/err.h"

struct pol_qube {
	char *name;
	char *uuid; /* "uuid:…", or NULL */
	char *klass, *power_state, *icon, *label;
	char *default_dispvm, *guivm, *relayvm, *transport_rpc; /* NULL = none */
	bool template_for_dispvms, internal;
	bool unlogged; /* arguments of calls to it stay out of logs */
	bool dom0;
	char **tags; /* sorted */
	uint32_t *tag_hashes; /* pol_hash of each tag, same order */
	size_t n_tags;
	size_t index; /* in pol_sysinfo.v */
	uint32_t name_hash, uuid_hash;
};

struct pol_sysinfo {
	struct pol_qube **v;
	size_t n, cap;
	struct pol_qube **slots; /* open addressing, by name and by uuid */
	size_t n_slots;		 /* a power of two, or 0 */
};

/* pol_sysinfo_set inserts q or replaces the qube of that name; takes over q (from pol_qube_new). */
void pol_sysinfo_set(struct pol_sysinfo *si, struct pol_qube *q);
void pol_sysinfo_del(struct pol_sysinfo *si, const char *name);
void pol_sysinfo_clear(struct pol_sysinfo *si);
/* pol_sysinfo_find looks for a name or "uuid:U"; hash is pol_hash(text). NULL when unknown. */
struct pol_qube *pol_sysinfo_find_h(const struct pol_sysinfo *si, const char *text, uint32_t hash);
struct pol_qube *pol_sysinfo_find(const struct pol_sysinfo *si, const char *text);

/* pol_qube_new makes a qube with a name; fill the other fields by pol_set (empty text = NULL), tags by pol_qube_add_tag. */
struct pol_qube *pol_qube_new(const char *name);
/* pol_qube_dup copies a qube; the copy is in no table. */
struct pol_qube *pol_qube_dup(const struct pol_qube *q);
void pol_qube_free(struct pol_qube *q);
void pol_set(char **field, const char *value);
/* pol_qube_set_uuid takes the bare uuid. */
void pol_qube_set_uuid(struct pol_qube *q, const char *uuid);
void pol_qube_add_tag(struct pol_qube *q, const char *tag);
bool pol_qube_has_tag(const struct pol_qube *q, const char *tag);
/* pol_qube_has_tag_h is the same with hash = pol_hash(tag): the form for matching rules. */
bool pol_qube_has_tag_h(const struct pol_qube *q, const char *tag, uint32_t hash);

DEFINE_CLEANUP(pol_qube_free, struct pol_qube *)

#endif
