/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of qubes. */
#include "core/policy/sysinfo.h"

#include "base/str.h"
#include "proto/policy.h"

struct pol_qube *pol_qube_new(const char *name)
{
	struct pol_qube *q = xcalloc(1, sizeof *q);

	q->name = xstrdup(name);
	q->name_hash = pol_hash(name);
	q->dom0 = streq(name, "dom0");
	return q;
}

struct pol_qube *pol_qube_dup(const struct pol_qube *q)
{
	struct pol_qube *n = pol_qube_new(q->name);

	n->uuid = q->uuid ? xstrdup(q->uuid) : NULL;
	n->uuid_hash = q->uuid_hash;
	pol_set(&n->klass, q->klass);
	pol_set(&n->power_state, q->power_state);
	pol_set(&n->icon, q->icon);
	pol_set(&n->label, q->label);
	pol_set(&n->default_dispvm, q->default_dispvm);
	pol_set(&n->guivm, q->guivm);
	pol_set(&n->relayvm, q->relayvm);
	pol_set(&n->transport_rpc, q->transport_rpc);
	n->template_for_dispvms = q->template_for_dispvms;
	n->internal = q->internal;
	n->unlogged = q->unlogged;
	for (size_t i = 0; i < q->n_tags; i++)
		pol_qube_add_tag(n, q->tags[i]);
	return n;
}

void pol_qube_free(struct pol_qube *q)
{
	free(q->name);
	free(q->uuid);
	free(q->klass);
	free(q->power_state);
	free(q->icon);
	free(q->label);
	free(q->default_dispvm);
	free(q->guivm);
	free(q->relayvm);
	free(q->transport_rpc);
	for (size_t i = 0; i < q->n_tags; i++)
		free(q->tags[i]);
	free(q->tags);
	free(q->tag_hashes);
	free(q);
}

void pol_set(char **field, const char *value)
{
	free(*field);
	*field = value && value[0] ? xstrdup(value) : NULL;
}

void pol_qube_set_uuid(struct pol_qube *q, const char *uuid)
{
	free(q->uuid);
	q->uuid = uuid && uuid[0] ? xasprintf("uuid:%s", uuid) : NULL;
	q->uuid_hash = q->uuid ? pol_hash(q->uuid) : 0;
}

/* Place of tag among the sorted ones. */
static size_t tag_place(const struct pol_qube *q, const char *tag, bool *ret_there)
{
	size_t lo = 0, hi = q->n_tags;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(q->tags[mid], tag);

		if (c == 0) {
			*ret_there = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret_there = false;
	return lo;
}

void pol_qube_add_tag(struct pol_qube *q, const char *tag)
{
	bool there;
	size_t i = tag_place(q, tag, &there);

	if (there)
		return;
	q->tags = xreallocarray(q->tags, q->n_tags + 1, sizeof(*q->tags));
	q->tag_hashes = xreallocarray(q->tag_hashes, q->n_tags + 1, sizeof(*q->tag_hashes));
	memmove(&q->tags[i + 1], &q->tags[i], (q->n_tags - i) * sizeof(*q->tags));
	memmove(&q->tag_hashes[i + 1], &q->tag_hashes[i], (q->n_tags - i) * sizeof(*q->tag_hashes));
	q->tags[i] = xstrdup(tag);
	q->tag_hashes[i] = pol_hash(tag);
	q->n_tags++;
}

bool pol_qube_has_tag(const struct pol_qube *q, const char *tag)
{
	bool there;

	(void)tag_place(q, tag, &there);
	return there;
}

bool pol_qube_has_tag_h(const struct pol_qube *q, const char *tag, uint32_t hash)
{
	for (size_t i = 0; i < q->n_tags; i++)
		if (q->tag_hashes[i] == hash && streq(q->tags[i], tag))
			return true;
	return false;
}

static void slot_put(struct pol_sysinfo *si, struct pol_qube *q, uint32_t hash)
{
	size_t i = hash & (si->n_slots - 1);

	while (si->slots[i])
		i = (i + 1) & (si->n_slots - 1);
	si->slots[i] = q;
}

/* Tables are small and change rarely: built anew, so that removal needs no tombstones. */
static void rebuild(struct pol_sysinfo *si)
{
	size_t want = 16;

	while (want < si->n * 4 + 1)
		want *= 2;
	free(si->slots);
	si->slots = xcalloc(want, sizeof(*si->slots));
	si->n_slots = want;
	for (size_t i = 0; i < si->n; i++) {
		si->v[i]->index = i;
		slot_put(si, si->v[i], si->v[i]->name_hash);
		if (si->v[i]->uuid)
			slot_put(si, si->v[i], si->v[i]->uuid_hash);
	}
}

struct pol_qube *pol_sysinfo_find_h(const struct pol_sysinfo *si, const char *text, uint32_t hash)
{
	size_t i;

	if (!si->n_slots)
		return NULL;
	for (i = hash & (si->n_slots - 1); si->slots[i]; i = (i + 1) & (si->n_slots - 1)) {
		struct pol_qube *q = si->slots[i];

		if ((q->name_hash == hash && streq(q->name, text)) || (q->uuid && q->uuid_hash == hash && streq(q->uuid, text)))
			return q;
	}
	return NULL;
}

struct pol_qube *pol_sysinfo_find(const struct pol_sysinfo *si, const char *text)
{
	return pol_sysinfo_find_h(si, text, pol_hash(text));
}

void pol_sysinfo_set(struct pol_sysinfo *si, struct pol_qube *q)
{
	for (size_t i = 0; i < si->n; i++)
		if (streq(si->v[i]->name, q->name)) {
			pol_qube_free(si->v[i]);
			si->v[i] = q;
			rebuild(si);
			return;
		}
	if (si->n == si->cap) {
		si->cap = si->cap ? si->cap * 2 : 32;
		si->v = xreallocarray(si->v, si->cap, sizeof(*si->v));
	}
	si->v[si->n++] = q;
	rebuild(si);
}

void pol_sysinfo_del(struct pol_sysinfo *si, const char *name)
{
	for (size_t i = 0; i < si->n; i++)
		if (streq(si->v[i]->name, name)) {
			pol_qube_free(si->v[i]);
			memmove(&si->v[i], &si->v[i + 1], (si->n - i - 1) * sizeof(*si->v));
			si->n--;
			rebuild(si);
			return;
		}
}

void pol_sysinfo_clear(struct pol_sysinfo *si)
{
	for (size_t i = 0; i < si->n; i++)
		pol_qube_free(si->v[i]);
	free(si->v);
	free(si->slots);
	*si = (struct pol_sysinfo){ 0 };
}
