/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Headers of tar archives. */
#include "proto/tar.h"

#include "base/str.h"

static int bad(struct err *e, const char *what)
{
	return err_set(e, EBADMSG, "the archive is damaged: %s", what);
}

/* Octal digits with blanks before and a blank or NUL after, or base 256 when the first bit is set. */
static bool number(struct rd f, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (rd_left(&f) && *f.p & 0x80) {
		v = rd_u8(&f) & 0x7f;
		while (rd_left(&f)) {
			if (v > max >> 8)
				return false;
			v = v << 8 | rd_u8(&f);
		}
		*ret = v;
		return v <= max;
	}
	while (rd_left(&f) && *f.p == ' ')
		rd_skip(&f, 1);
	while (rd_left(&f) && *f.p >= '0' && *f.p <= '7') {
		if (v > max >> 3)
			return false;
		v = v << 3 | (uint64_t)(rd_u8(&f) - '0');
	}
	while (rd_left(&f) && (*f.p == ' ' || *f.p == '\0'))
		rd_skip(&f, 1);
	*ret = v;
	return rd_left(&f) == 0 && v <= max;
}

/* A text that ends at its first NUL, or fills its field. */
static size_t text(struct rd f, char *out)
{
	const uint8_t *nul = memchr(f.p, 0, rd_left(&f));
	size_t n = nul ? (size_t)(nul - f.p) : rd_left(&f);

	rd_bytes(&f, out, n);
	out[n] = '\0';
	return n;
}

/* The sum of all bytes with the field of the sum as blanks; 0 for a block of zeros. */
static uint64_t sum_of(const struct rd *block)
{
	uint64_t sum = 0, all = 0;

	for (size_t i = 0; i < TAR_BLOCK; i++) {
		all |= block->p[i];
		sum += i >= 148 && i < 156 ? ' ' : block->p[i];
	}
	return all ? sum : 0;
}

static void names(struct tar *t, struct rd name, struct rd link, struct rd prefix, bool ustar)
{
	struct tar_entry *x = &t->e;
	size_t n = 0;

	if (!t->has_name) {
		if (ustar && rd_left(&prefix) && *prefix.p) {
			n = text(prefix, x->name);
			x->name[n++] = '/';
		}
		text(name, x->name + n);
	}
	if (!t->has_link)
		text(link, x->link);
	n = 0;
	while (x->name[n] == '.' && x->name[n + 1] == '/')
		n += 2 + strspn(x->name + n + 2, "/");
	memmove(x->name, x->name + n, strlen(x->name + n) + 1);
}

int tar_header(struct tar *t, struct rd b, struct err *e)
{
	struct rd name, mode, size, mtime, chk, link, magic, prefix, whole = b;
	uint64_t v, sum;
	char type;

	if (rd_left(&b) != TAR_BLOCK)
		return bad(e, "a short header");
	sum = sum_of(&whole);
	if (sum == 0)
		return TAR_END;
	name = rd_sub(&b, 100);
	mode = rd_sub(&b, 8);
	rd_skip(&b, 16);
	size = rd_sub(&b, 12);
	mtime = rd_sub(&b, 12);
	chk = rd_sub(&b, 8);
	type = (char)rd_u8(&b);
	link = rd_sub(&b, 100);
	magic = rd_sub(&b, 8);
	rd_skip(&b, 80);
	prefix = rd_sub(&b, 155);
	if (!number(chk, UINT32_MAX, &v) || v != sum)
		return bad(e, "a wrong checksum");
	if (!number(size, INT64_MAX, &t->e.size) || !number(mtime, INT64_MAX, &t->e.mtime) || !number(mode, UINT32_MAX, &v))
		return bad(e, "a number");
	t->e.mode = (uint32_t)v & 07777;
	t->e.type = type == '\0' || type == '7' ? '0' : type;
	if (strchr("LKxg", t->e.type)) {
		if (t->e.size > TAR_META_MAX)
			return bad(e, "a description that is too long");
		t->meta = t->e.type;
		return TAR_META;
	}
	names(t, name, link, prefix, memcmp(magic.p, "ustar\0", 6) == 0);
	if (t->has_size)
		t->e.size = t->pax_size;
	if (t->e.type == '2' || t->e.type == '5')
		t->e.size = 0;
	t->has_name = t->has_link = t->has_size = false;
	return TAR_ENTRY;
}

/* One record "LEN KEY=VALUE\n" of a pax header. */
static int pax_record(struct tar *t, struct rd *r)
{
	struct rd all = *r, digits = rd_until(r, ' '), key, rec;
	uint64_t n = 0;

	for (const uint8_t *p = digits.p; rd_ok(r) && p < digits.end; p++) {
		if (*p < '0' || *p > '9' || n > TAR_META_MAX)
			return -EBADMSG;
		n = n * 10 + (uint64_t)(*p - '0');
	}
	if (!rd_ok(r) || n < rd_left(&digits) + 2 || n > rd_left(&all))
		return -EBADMSG;
	rec = rd_sub(&all, (size_t)n);
	*r = all;
	rd_skip(&rec, rd_left(&digits) + 1);
	if (rd_left(&rec) == 0 || rec.end[-1] != '\n')
		return -EBADMSG;
	rec = rd_sub(&rec, rd_left(&rec) - 1);
	key = rd_until(&rec, '=');
	if (!rd_ok(&rec) || t->meta == 'g')
		return rd_ok(&rec) ? 0 : -EBADMSG;
	if (rd_eq(&key, "path")) {
		t->has_name = true;
		rd_text(&rec, t->e.name, sizeof t->e.name);
	} else if (rd_eq(&key, "linkpath")) {
		t->has_link = true;
		rd_text(&rec, t->e.link, sizeof t->e.link);
	} else if (rd_eq(&key, "size")) {
		char num[24];

		rd_text(&rec, num, sizeof num);
		if (!rd_ok(&rec) || str_u64(num, INT64_MAX, &t->pax_size) < 0)
			return -EBADMSG;
		t->has_size = true;
	}
	return rd_ok(&rec) ? 0 : -EBADMSG;
}

int tar_meta(struct tar *t, struct rd content, struct err *e)
{
	char *out = t->meta == 'L' ? t->e.name : t->e.link;

	if (t->meta == 'L' || t->meta == 'K') {
		const uint8_t *nul = rd_left(&content) ? memchr(content.p, 0, rd_left(&content)) : NULL;
		size_t n = nul ? (size_t)(nul - content.p) : rd_left(&content);

		if (n > TAR_NAME_MAX)
			return bad(e, "a name that is too long");
		rd_bytes(&content, out, n);
		out[n] = '\0';
		if (t->meta == 'L')
			t->has_name = true;
		else
			t->has_link = true;
	} else {
		while (rd_left(&content))
			if (pax_record(t, &content) < 0)
				return bad(e, "a pax record");
	}
	t->meta = 0;
	return 0;
}
