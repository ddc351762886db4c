/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of logical volumes, and the tables that lvs prints: see lvm.h. */
#include "base/str.h"
#include "storage/lvm.h"

/* Parts of names that LVM keeps for volumes of its own. */
static const char *const reserved[] = {
	"_cdata", "_cmeta", "_corig", "_cpool", "_cvol", "_iorig", "_mimage", "_mlog", "_pmspare", "_rimage", "_rmeta", "_tdata",
	"_tmeta", "_vdata", "_vorigin", "_wcorig",
};

int lvm_group_of(const char *place, struct lvm_group *ret, struct err *e)
{
	const struct pool_driver *d = pool_driver_find("lvm_thin");

	if (!d || pool_place_part(d, place, "volume_group", ret->vg, sizeof ret->vg) < 0 ||
	    pool_place_part(d, place, "thin_pool", ret->pool, sizeof ret->pool) < 0)
		return err_set(e, EINVAL, "'%s' is not the place of a thin pool", place);
	return 0;
}

int lvm_dm_name(const char *vg, const char *lv, char out[LVM_DM_NAME_MAX + 1])
{
	const char *parts[] = { vg, lv };
	size_t n = 0;

	for (size_t i = 0; i < 2; i++) {
		if (i)
			out[n++] = '-';
		for (const char *p = parts[i]; *p; p++) {
			if (n + 3 > LVM_DM_NAME_MAX)
				return -ENAMETOOLONG;
			out[n++] = *p;
			if (*p == '-')
				out[n++] = '-';
		}
	}
	out[n] = '\0';
	return 0;
}

static bool lv_name_ok(const char *s)
{
	if (!s[0] || s[0] == '-' || !str_chars(s, "_.+-"))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (strstr(s, reserved[i]))
			return false;
	return true;
}

static int checked(const struct lvm_group *g, const struct lvm_name *n, struct err *e)
{
	char dm[LVM_DM_NAME_MAX + 1];

	if (!lv_name_ok(n->s))
		return err_set(e, EINVAL, "LVM takes no volume with the name '%s'", n->s);
	if (lvm_dm_name(g->vg, n->s, dm) < 0)
		return err_set(e, ENAMETOOLONG, "the name '%s' is too long for volume group '%s'", n->s, g->vg);
	return 0;
}

int lvm_base(const struct lvm_group *g, const char *vid_dir, const char *volume, struct lvm_name *ret, struct err *e)
{
	const char *slash = strrchr(vid_dir, '/'), *qube = slash ? slash + 1 : vid_dir;

	/* Without a hyphen in the volume's name no two volumes can have the same base, nor one the name of another's snapshot. */
	if (!str_chars(volume, "_") || !volume[0] || !qube[0])
		return err_set(e, EINVAL, "'%s/%s' is not a volume that LVM can hold", vid_dir, volume);
	if (str_printf(ret->s, sizeof ret->s, "vm-%s-%s", qube, volume) < 0)
		return err_set(e, ENAMETOOLONG, "the name of the volume is too long");
	return checked(g, ret, e);
}

int lvm_join(const struct lvm_group *g, const struct lvm_name *base, const char *suffix, struct lvm_name *ret, struct err *e)
{
	struct lvm_name n;

	if (str_printf(n.s, sizeof n.s, "%s-%s", base->s, suffix) < 0)
		return err_set(e, ENAMETOOLONG, "the name '%s-%s' is too long", base->s, suffix);
	*ret = n;
	return checked(g, ret, e);
}

/* "-WORD-END" with a word of letters and digits, copied out. */
static bool between(const char *s, const char *end, char word[48])
{
	size_t n = *s == '-' ? strcspn(s + 1, "-") : 0;

	if (n == 0 || n >= 48 || !streq(s + 1 + n, end))
		return false;
	memcpy(word, s + 1, n);
	word[n] = '\0';
	return str_chars(word, "");
}

enum lvm_part lvm_classify(const struct lvm_name *base, const char *name, uint64_t *ret_when)
{
	char word[48];

	if (!str_starts(name, base->s))
		return LVM_NONE;
	name += strlen(base->s);
	if (!*name)
		return LVM_HEAD;
	if (streq(name, "-snap"))
		return LVM_SNAP;
	if (streq(name, "-import"))
		return LVM_IMPORT;
	if (between(name, "-back", word))
		return str_u64(word, INT64_MAX, ret_when) == 0 ? LVM_BACK : LVM_NONE;
	return between(name, "-export", word) ? LVM_EXPORT : LVM_NONE;
}

bool lvm_for_a_run(const char *name)
{
	return str_starts(name, "vm-") && lv_name_ok(name) && (str_ends(name, "-snap") || str_ends(name, "-volatile"));
}

/* The next column, without the blanks that lvs puts around it. */
static void column(struct rd *line, bool last, char *out, size_t cap)
{
	struct rd field = last ? rd_sub(line, rd_left(line)) : rd_until(line, (uint8_t)LVM_SEPARATOR[0]);
	char text[512];
	char *from = text, *end;

	out[0] = '\0';
	rd_text(&field, text, sizeof text);
	if (!rd_done(&field)) {
		rd_fail(line);
		return;
	}
	from += strspn(from, " ");
	end = from + strlen(from);
	while (end > from && end[-1] == ' ')
		*--end = '\0';
	if (str_copy(out, cap, from) < 0)
		rd_fail(line);
}

static uint64_t number(struct rd *line, bool may_be_empty)
{
	char text[32];
	uint64_t n = 0;

	column(line, false, text, sizeof text);
	if (!text[0] && may_be_empty)
		return 0;
	if (str_u64(text, INT64_MAX, &n) < 0)
		rd_fail(line);
	return n;
}

/* A share of `whole` from "12.34"; nothing is none. */
static uint64_t percent(struct rd *line, bool last, uint64_t whole)
{
	char text[32], *dot;
	uint64_t n = 0, part = 0;

	column(line, last, text, sizeof text);
	dot = strchr(text, '.');
	if (dot)
		*dot++ = '\0';
	if (!text[0])
		return 0;
	if (str_u64(text, 100, &n) < 0 || !dot || !ch_digit(dot[0]) || !ch_digit(dot[1]) || dot[2])
		rd_fail(line);
	else
		part = (uint64_t)(dot[0] - '0') * 10 + (uint64_t)(dot[1] - '0');
	if (n * 100 + part > 10000)
		rd_fail(line);
	return whole / 10000 * (n * 100 + part) + whole % 10000 * (n * 100 + part) / 10000;
}

/* Tags are joined by commas. */
static bool has_tag(char *tags, const char *want)
{
	for (char *s = tags, *end; s; s = end ? end + 1 : NULL) {
		end = strchr(s, ',');
		if (end)
			*end = '\0';
		if (streq(s, want))
			return true;
	}
	return false;
}

int lvm_lv_parse(struct rd *line, struct lvm_lv *ret)
{
	struct lvm_lv v = { .there = true };
	char attr[16], tags[500];

	column(line, false, v.name, sizeof v.name);
	column(line, false, v.uuid, sizeof v.uuid);
	v.size = number(line, false);
	column(line, false, attr, sizeof attr);
	column(line, false, v.pool, sizeof v.pool);
	column(line, false, tags, sizeof tags);
	v.extent = number(line, false);
	v.used = percent(line, true, v.size);
	/* lv_attr: 5th state, 6th open */
	if (!rd_done(line) || !v.name[0] || !v.uuid[0] || strlen(attr) < 10 || !v.extent || !str_chars(v.uuid, "-"))
		return -EBADMSG;
	v.active = attr[4] == 'a';
	v.open = attr[5] == 'o';
	v.ours = has_tag(tags, LVM_TAG);
	*ret = v;
	return 0;
}

int lvm_pool_parse(struct rd *line, struct lvm_pool *ret)
{
	struct lvm_pool p = { 0 };
	char attr[16];

	p.size = number(line, false);
	column(line, false, attr, sizeof attr);
	p.used = percent(line, false, p.size);
	p.meta_size = number(line, true); /* what is no pool has none */
	p.meta_used = percent(line, true, p.meta_size);
	/* lv_attr: 1st type, 8th zeroing, 9th health */
	if (!rd_done(line) || strlen(attr) < 10)
		return -EBADMSG;
	p.thin_pool = attr[0] == 't';
	p.zeroes = attr[7] == 'z';
	p.out_of_data = attr[8] == 'D';
	p.failed = attr[8] == 'F' || attr[8] == 'M';
	*ret = p;
	return 0;
}
