/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Notes, system information, and what qubes tell about themselves. */
#include <time.h>

#include "base/str.h"
#include "core/api/api.h"

#define NOTES_MAX 256000

int api_system_info(struct call *c)
{
	const struct wr *t = sysinfo_text(c->core);

	wr_bytes(&c->out, t->buf, t->len);
	return 0;
}

int api_notes_get(struct call *c)
{
	if (c->dest->notes)
		wr_str(&c->out, c->dest->notes);
	return 0;
}

/* Length of the well-formed UTF-8 sequence at s and its code point; 0 = not well-formed. */
static size_t decode(const uint8_t *s, size_t n, uint32_t *ret)
{
	size_t len = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : (s[0] & 0xf8) == 0xf0 ? 4 : 0;
	uint32_t cp = len == 1 ? s[0] : len == 2 ? s[0] & 0x1fu : len == 3 ? s[0] & 0x0fu : s[0] & 0x07u;
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	if (!len || len > n)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (s[i] & 0x3fu);
	}
	if (cp < least[len] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	*ret = cp;
	return len;
}

/* May a terminal and a window show it? No controls, invisible and direction-changing characters, private use, non-characters. */
static bool safe(uint32_t cp)
{
	if (cp == '\n' || cp == '\t')
		return true;
	return !(cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0xad || (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e) ||
		 (cp >= 0x2060 && cp <= 0x206f) || cp == 0xfeff || (cp >= 0xe000 && cp <= 0xf8ff) || (cp >= 0xfff0 && cp <= 0xfffb) ||
		 (cp & 0xfffe) == 0xfffe || cp >= 0xe0000);
}

int api_notes_set(struct call *c)
{
	_cleanup_wr_ struct wr w = wr_grow(NOTES_MAX + 1);
	const uint8_t *s = (const uint8_t *)c->body;
	size_t n = c->body_len;

	while (n) {
		uint32_t cp = 0;
		size_t k = decode(s, n, &cp);

		if (k && safe(cp))
			wr_bytes(&w, s, k);
		else
			wr_u8(&w, '_');
		k = k ? k : 1;
		s += k;
		n -= k;
	}
	wr_u8(&w, 0);
	if (!wr_ok(&w))
		return err_set(&c->err, AE_VALUE, "the notes are longer than %d bytes", NOTES_MAX);
	txn_notes(c->core, c->dest, w.len > 1 ? (const char *)w.buf : NULL);
	return 0;
}

static void set_feature(struct core *core, struct qube *q, const char *key, const char *value)
{
	const char *old = kv_get(&q->features, key);

	if (!old || !streq(old, value))
		feature_change(core, q, key, value);
}

int api_notify_updates(struct call *c)
{
	struct qube *q = c->src;
	time_t now = time(NULL);
	struct tm tm;
	char stamp[32];

	if (gmtime_r(&now, &tm) == NULL || strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		return err_set(&c->err, AE_GENERIC, "the time is not known");
	if (q->klass == K_ADMIN || !prop_find(q, "updateable"))
		return 0;
	if (prop_bool(c->core, q, P_updateable)) {
		if (qube_feature(q, "updates-available") && c->u64 == 0)
			set_feature(c->core, q, "last-update", stamp);
		set_feature(c->core, q, "updates-available", c->u64 ? "1" : "");
		set_feature(c->core, q, "last-updates-check", stamp);
		return 0;
	}
	/* A template-based qube sees what its template lacks, provided that it does not lag behind itself. */
	for (q = qube_template(c->core, q); q && !prop_bool(c->core, q, P_updateable); q = qube_template(c->core, q))
		;
	if (q && c->u64 && qube_halted(q))
		set_feature(c->core, q, "updates-available", "1");
	return 0;
}
