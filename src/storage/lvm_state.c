/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What LVM holds of one volume, and the order in which its states change places: see lvm.h. */
#include <stdlib.h>
#include <time.h>

#include "base/str.h"
#include "storage/lvm.h"

struct loading {
	struct lvm_state *s;
	struct err *e;
};

static int add_back(struct lvm_state *s, const struct lvm_lv *lv, uint64_t when)
{
	if (s->n_backs < LVM_BACKS_MAX)
		s->backs[s->n_backs++] = (struct lvm_back){ when, *lv };
	return 0;
}

static int look(const struct lvm_lv *lv, void *arg)
{
	struct loading *l = arg;
	struct lvm_state *s = l->s;
	uint64_t when = 0;
	enum lvm_part part = lvm_classify(&s->base, lv->name, &when);

	if (part == LVM_NONE)
		return 0;
	if (!lv->ours || !streq(lv->pool, s->g.pool))
		return err_set(l->e, EEXIST, "%s/%s is there and is not a volume of this system (it lacks the tag %s, or is in another pool)",
			       s->g.vg, lv->name, LVM_TAG);
	switch (part) {
	case LVM_HEAD:
		s->head = *lv;
		break;
	case LVM_SNAP:
		s->snap = *lv;
		break;
	case LVM_IMPORT:
		s->import = *lv;
		break;
	case LVM_BACK:
		return add_back(s, lv, when);
	case LVM_EXPORT:
		if (s->n_exports < LVM_OTHERS_MAX)
			memcpy(s->exports[s->n_exports++], lv->name, sizeof lv->name);
		break;
	case LVM_NONE:
		break;
	}
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct lvm_back *x = a, *y = b;

	return (x->when > y->when) - (x->when < y->when);
}

static int reload(struct lvm_state *s, struct err *e)
{
	struct loading l = { s, e };
	int r;

	s->n_backs = s->n_exports = 0;
	memset(&s->head, 0, sizeof s->head);
	memset(&s->snap, 0, sizeof s->snap);
	memset(&s->import, 0, sizeof s->import);
	r = lvm_list(&s->g, look, &l, e);
	qsort(s->backs, s->n_backs, sizeof s->backs[0], by_time);
	return r;
}

int lvm_load(struct lvm_state *s, const char *place, const char *vid_dir, const char *volume, struct err *e)
{
	int r = lvm_group_of(place, &s->g, e);

	if (r >= 0)
		r = lvm_base(&s->g, vid_dir, volume, &s->base, e);
	if (r >= 0)
		r = lvm_join(&s->g, &s->base, "snap", &s->snap_name, e);
	if (r >= 0)
		r = lvm_join(&s->g, &s->base, "import", &s->import_name, e);
	return r < 0 ? r : reload(s, e);
}

int lvm_recover(struct lvm_state *s, struct err *e)
{
	int r;

	if (s->head.there || !s->n_backs)
		return 0;
	r = lvm_rename(&s->g, s->backs[s->n_backs - 1].lv.name, s->base.s, e);
	return r < 0 ? r : reload(s, e);
}

int lvm_committed(const struct lvm_state *s, const struct lvm_lv **ret, struct err *e)
{
	*ret = s->head.there ? &s->head : s->n_backs ? &s->backs[s->n_backs - 1].lv : NULL;
	if (*ret)
		return 0;
	if (s->snap.there)
		return err_set(e, EBUSY, "runs without snapshots (revisions_to_keep is -1): its state can be had when it has stopped");
	return err_set(e, ENOENT, "%s/%s is not there", s->g.vg, s->base.s);
}

/* The head goes aside under a name that no revision had, also when the clock was set back. */
static int head_aside(struct lvm_state *s, struct err *e)
{
	uint64_t now = (uint64_t)MAX(time(NULL), (time_t)0);
	struct lvm_name back;
	char suffix[40];
	int r;

	if (s->n_backs)
		now = MAX(now, s->backs[s->n_backs - 1].when + 1);
	if (str_printf(suffix, sizeof suffix, "%llu-back", (unsigned long long)now) < 0)
		abort();
	r = lvm_join(&s->g, &s->base, suffix, &back, e);
	return r < 0 ? r : lvm_rename(&s->g, s->base.s, back.s, e);
}

int lvm_commit(struct lvm_state *s, const char *name, struct err *e)
{
	int r = lvm_recover(s, e);

	if (r >= 0 && s->head.there)
		r = head_aside(s, e);
	/* Killed here, the newest revision is the head: the old state. */
	if (r >= 0)
		r = lvm_rename(&s->g, name, s->base.s, e);
	return r < 0 ? r : reload(s, e);
}

int lvm_prune(struct lvm_state *s, int32_t keep, struct err *e)
{
	size_t max = keep > 0 ? (size_t)keep : 0;
	int r = 0;

	for (size_t i = 0; r >= 0 && s->n_backs > max && i < s->n_backs - max; i++)
		r = lvm_delete(&s->g, s->backs[i].lv.name, e);
	return r;
}
