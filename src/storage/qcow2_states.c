/* SPDX-License-Identifier: GPL-3.0-or-later */
/* States of a file-qcow2 volume, from the names of its files alone. */
#include "storage/qcow2_states.h"

#include "base/str.h"

void state_file(const struct vol *v, uint32_t n, bool raw, char out[160])
{
	int r = n == 0 ? str_printf(out, 160, "%s.img", v->name) :
			 str_printf(out, 160, "%s.l%u.%s", v->name, n, raw ? "img" : "qcow2");

	if (r < 0)
		abort(); /* name is at most 63 bytes */
}

void layer_file(const struct vol *v, const struct state *s, bool raw, char out[160])
{
	if (!s->part)
		state_file(v, s->n, raw, out);
	else if (str_printf(out, 160, "%s.l%u.part.%s", v->name, s->n, raw ? "img" : "qcow2") < 0)
		abort(); /* name is at most 63 bytes */
}

void dirty_file(const struct vol *v, bool raw, char out[160])
{
	if (str_printf(out, 160, "%s-dirty.%s", v->name, raw ? "img" : "qcow2") < 0)
		abort();
}

void mark_file(const struct vol *v, uint32_t below, char out[160])
{
	if (str_printf(out, 160, "%s.below%u", v->name, below) < 0)
		abort();
}

static bool parse_mark(const char *name, const char *file, uint32_t *ret)
{
	size_t n = strlen(name);
	uint64_t k;

	if (strncmp(file, name, n) != 0 || !str_starts(file + n, ".below") || str_u64(file + n + 6, UINT32_MAX, &k) < 0)
		return false;
	*ret = (uint32_t)k;
	return true;
}

/* Decodes a file name of a state; false for any other file. */
static bool parse_state(const char *name, const char *file, uint32_t *ret_n, bool *ret_raw, bool *ret_part)
{
	size_t n = strlen(name);
	const char *dot;
	char num[12];
	uint64_t k;

	if (strncmp(file, name, n) != 0)
		return false;
	file += n;
	*ret_n = 0;
	*ret_raw = true;
	*ret_part = false;
	if (streq(file, ".img"))
		return true;
	dot = str_starts(file, ".l") ? strchr(file + 2, '.') : NULL;
	if (!dot || str_printf(num, sizeof num, "%.*s", (int)(dot - file - 2), file + 2) < 0 ||
	    str_u64(num, UINT32_MAX - 1, &k) < 0 || k == 0)
		return false;
	*ret_n = (uint32_t)k;
	*ret_part = str_starts(dot, ".part.");
	dot += *ret_part ? strlen(".part") : 0;
	*ret_raw = streq(dot, ".img");
	return *ret_raw || streq(dot, ".qcow2");
}

static int add_state(const char *file, void *arg)
{
	struct states *l = arg;
	uint32_t n;
	bool raw, part;

	if (parse_mark(l->v->name, file, &n)) {
		l->below = l->cut ? MIN(l->below, n) : n;
		l->cut = true;
		return 0;
	}
	if (!parse_state(l->v->name, file, &n, &raw, &part))
		return 0;
	for (size_t i = 0; i < l->n; i++) {
		if (l->s[i].n != n)
			continue;
		l->s[i].raw |= raw;
		l->s[i].cow |= !raw;
		return 0;
	}
	if (l->n == STATES_MAX)
		l->full = true;
	else
		l->s[l->n++] = (struct state){ n, raw, !raw, part };
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const struct state *x = a, *y = b;

	return (x->n > y->n) - (x->n < y->n);
}

static int list_all(const struct vol *v, struct states *l, struct err *e)
{
	int r;

	*l = (struct states){ .v = v };
	r = vol_list(v, add_state, l, e);
	if (r < 0)
		return r;
	if (l->full)
		return err_set(e, E2BIG, "has more than %d states", STATES_MAX);
	qsort(l->s, l->n, sizeof l->s[0], by_number);
	return 0;
}

int states_list(const struct vol *v, struct states *l, struct err *e)
{
	int r = list_all(v, l, e);

	while (r >= 0 && l->cut && l->n && l->s[l->n - 1].n >= l->below)
		l->n--;
	return r;
}

int states_mark(const struct vol *v, uint32_t below, struct err *e)
{
	char file[160];

	mark_file(v, below, file);
	return vol_mark(v, file, e);
}

int states_unmark(const struct vol *v, uint32_t below, struct err *e)
{
	char file[160];
	int r = vol_sync(v, e);

	mark_file(v, below, file);
	if (r >= 0)
		r = vol_unlink(v, file, e);
	return r < 0 ? r : vol_sync(v, e);
}

int states_settle(const struct vol *v, struct err *e)
{
	struct states l;
	int r = list_all(v, &l, e);

	if (r < 0 || !l.cut)
		return r;
	for (size_t i = 0; r >= 0 && i < 2 * l.n; i++) {
		const struct state *s = &l.s[i / 2];
		char file[160];

		if (s->n < l.below || !(i % 2 ? s->raw : s->cow))
			continue;
		layer_file(v, s, i % 2, file);
		r = vol_unlink(v, file, e);
	}
	return r < 0 ? r : states_unmark(v, l.below, e);
}

bool states_chain(const struct states *l, size_t i, struct chain *ret)
{
	size_t lowest = i;

	while (!l->s[lowest].raw) {
		if (lowest == 0 || l->s[lowest - 1].n + 1 != l->s[lowest].n)
			return false;
		lowest--;
	}
	ret->n = i - lowest + 1;
	memcpy(ret->s, l->s + lowest, ret->n * sizeof ret->s[0]);
	return true;
}

int states_head(const struct vol *v, struct states *l, struct chain *ret, struct err *e)
{
	int r = states_list(v, l, e);
	struct stat st;
	char file[160];

	if (r < 0)
		return r;
	if (l->n == 0) {
		dirty_file(v, true, file);
		if (vol_stat(v, file, &st))
			return err_set(e, EBUSY, "runs without snapshots (revisions_to_keep is -1): its state can be had when it has stopped");
		return err_set(e, ENOENT, "has no image '%s.img'", v->name);
	}
	if (!states_chain(l, l->n - 1, ret))
		return err_set(e, EIO, "an image file below '%s.l%u.qcow2' is missing", v->name, l->s[l->n - 1].n);
	return 0;
}

uint32_t chain_number(const struct chain *c)
{
	return c->s[c->n - 1].n;
}

void chain_file(const struct vol *v, const struct chain *c, char out[160])
{
	layer_file(v, &c->s[c->n - 1], c->s[c->n - 1].raw, out);
}

static bool wanted(const struct states *l, int32_t keep, size_t i)
{
	size_t newer = 0;
	struct chain c;

	for (size_t k = i + 1; k < l->n; k++)
		newer += !l->s[k].part && states_chain(l, k, &c);
	return !l->s[i].part && states_chain(l, i, &c) && newer <= (keep > 0 ? (size_t)keep : 0);
}

int states_prune(const struct vol *v, int32_t keep, struct err *e)
{
	bool raw[STATES_MAX] = { 0 }, cow[STATES_MAX] = { 0 };
	struct states l;
	struct chain c;
	int r = states_list(v, &l, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < l.n; i++) {
		if (!wanted(&l, keep, i) || !states_chain(&l, i, &c))
			continue;
		raw[i - (c.n - 1)] = true;
		for (size_t k = 0; k + 1 < c.n; k++)
			cow[i - k] = true;
	}
	for (size_t i = 0; r >= 0 && i < l.n; i++) {
		char file[160];

		if (l.s[i].cow && !cow[i]) {
			layer_file(v, &l.s[i], false, file);
			r = vol_unlink(v, file, e);
		}
		if (r >= 0 && l.s[i].raw && !raw[i]) {
			layer_file(v, &l.s[i], true, file);
			r = vol_unlink(v, file, e);
		}
	}
	return r;
}
