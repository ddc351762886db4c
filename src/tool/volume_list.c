/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-volume list: every volume once, with the qubes that use it. */
#include "tool/volume.h"

#include "tool/colour.h"
#include "tool/util.h"

struct vol {
	char pool_vid[300];
	const char *qube;
	char name[64];
	bool revisions;
};

struct vols {
	struct vol *v;
	size_t n, cap;
};

static int add_volume(const struct tool *t, struct vols *vs, const char *qube, const char *name, struct err *e)
{
	_cleanup_reply_ struct adm_reply info = { 0 }, snaps = { 0 };
	const char *want = opt_str(t, 'p');
	char pool[100], vid[200];
	struct vol *v;
	int r = adm_text(&info, qube, "admin.vm.volume.Info", name, NULL, e);

	if (r >= 0)
		r = adm_text(&snaps, qube, "admin.vm.volume.ListSnapshots", name, NULL, e);
	if (r < 0)
		return r;
	if (adm_kv(info.data, "pool", pool, sizeof pool) < 0 || adm_kv(info.data, "vid", vid, sizeof vid) < 0)
		return err_set(e, ADM_BAD_ANSWER, "the answer of qubesd to volume.Info is malformed");
	if (want && !streq(want, pool))
		return 0;
	if (vs->n == vs->cap) {
		vs->cap = vs->cap ? vs->cap * 2 : 64;
		vs->v = xreallocarray(vs->v, vs->cap, sizeof *vs->v);
	}
	v = &vs->v[vs->n];
	*v = (struct vol){ .qube = qube, .revisions = snaps.len > 0 };
	if (str_printf(v->pool_vid, sizeof v->pool_vid, "%s:%s", pool, vid) < 0 || str_copy(v->name, sizeof v->name, name) < 0)
		return err_set(e, ADM_BAD_ANSWER, "a volume of '%s' has too long a name", qube);
	vs->n++;
	return 0;
}

static int collect(const struct tool *t, struct vols *vs, const struct adm_qubes *all, const bool *picked, struct err *e)
{
	for (size_t i = 0; i < all->n; i++) {
		_cleanup_reply_ struct adm_reply rep = { 0 };
		char *text, *line;
		int r;

		if (picked && !picked[i])
			continue;
		r = adm_text(&rep, all->v[i].name, "admin.vm.volume.List", NULL, NULL, e);
		if (r < 0)
			return r;
		text = rep.data;
		while ((line = adm_line(&text))) {
			r = add_volume(t, vs, all->v[i].name, line, e);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int cmp_vols(const void *a, const void *b)
{
	const struct vol *x = a, *y = b;
	int r = strcmp(x->pool_vid, y->pool_vid);

	return r ? r : strcmp(x->qube, y->qube);
}

/* One object a line of the list: "qubes" are all that use the volume. */
static void print_json(const struct vols *vs, bool full)
{
	struct json j = { 0 };

	json_open(&j, NULL, '[');
	for (size_t i = 0, same; i < vs->n; i += same) {
		const struct vol *v = &vs->v[i];

		json_open(&j, NULL, '{');
		json_str(&j, "volume", v->pool_vid);
		json_str(&j, "name", v->name);
		json_open(&j, "qubes", '[');
		for (same = 0; i + same < vs->n && streq(v->pool_vid, vs->v[i + same].pool_vid) && !(full && same); same++)
			json_str(&j, NULL, vs->v[i + same].qube);
		json_close(&j, ']');
		json_bool(&j, "revert_possible", v->revisions);
		json_close(&j, '}');
	}
	json_close(&j, ']');
}

static void print(const struct tool *t, struct vols *vs)
{
	_cleanup_(table_freep) struct table *tb = table_new(4);
	bool full = opt_has(t, KEY_FULL);

	if (vs->n)
		qsort(vs->v, vs->n, sizeof *vs->v, cmp_vols);
	if (opt_has(t, KEY_JSON)) {
		print_json(vs, full);
		return;
	}
	table_add(tb, "POOL:VOLUME");
	table_add(tb, "VMNAME");
	table_add(tb, "VOLUME_NAME");
	table_add(tb, "REVERT_POSSIBLE");
	for (size_t i = 0; i < vs->n;) {
		size_t same = 1;

		while (!full && i + same < vs->n && streq(vs->v[i].pool_vid, vs->v[i + same].pool_vid))
			same++;
		table_add(tb, vs->v[i].pool_vid);
		if (same > 1)
			table_addf(tb, "%zu qubes", same);
		else
			table_qube(tb, t, vs->v[i].qube);
		table_add(tb, vs->v[i].name);
		table_add(tb, vs->v[i].revisions ? "Yes" : "No");
		i += same;
	}
	table_print(tb, t, true);
}

int volume_list(struct tool *t, int argc, char **argv)
{
	_cleanup_free_ bool *picked = NULL;
	struct vols vs = { 0 };
	struct adm_qubes all;
	struct err e = { 0 };
	int r;

	if (argc > 0) {
		r = tool_qubes(t, argc, argv, &all, &picked);
		if (r != 0)
			return r;
	} else {
		r = adm_qubes_get(&all, "dom0", &e);
		if (r < 0)
			return tool_api(t, r, &e);
	}
	r = collect(t, &vs, &all, picked, &e);
	if (r >= 0)
		print(t, &vs);
	free(vs.v);
	adm_qubes_fini(&all);
	return r < 0 ? tool_api(t, r, &e) : 0;
}
