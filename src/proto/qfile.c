/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Headers and rules of the file copy stream. */
#include "proto/qfile.h"

#include <sys/stat.h>

/* Ranges of allowed code points above ASCII, sorted; made by tools/gen-qfile-chars from the Unicode database. */
static const struct {
	uint32_t first, last;
} ranges[] = {
#include "qfile_chars.inc"
};

void qfile_put_hdr(struct wr *w, const struct qfile_hdr *h)
{
	wr_u32le(w, h->namelen);
	wr_u32le(w, h->mode);
	wr_u64le(w, h->filelen);
	wr_u32le(w, h->atime);
	wr_u32le(w, h->atime_nsec);
	wr_u32le(w, h->mtime);
	wr_u32le(w, h->mtime_nsec);
}

int qfile_get_hdr(struct rd *r, struct qfile_hdr *ret)
{
	struct qfile_hdr h;

	h.namelen = rd_u32le(r);
	h.mode = rd_u32le(r);
	h.filelen = rd_u64le(r);
	h.atime = rd_u32le(r);
	h.atime_nsec = rd_u32le(r);
	h.mtime = rd_u32le(r);
	h.mtime_nsec = rd_u32le(r);
	if (!rd_ok(r))
		return -EBADMSG;
	*ret = h;
	return 0;
}

bool qfile_hdr_is_end(const struct qfile_hdr *h)
{
	return !h->namelen && !h->mode && !h->filelen && !h->atime && !h->atime_nsec && !h->mtime &&
	       !h->mtime_nsec;
}

int qfile_hdr_check(const struct qfile_hdr *h)
{
	if (h->namelen == 0)
		return EILSEQ;
	/* The NUL that the sender counts comes on top. */
	if (h->namelen > QFILE_PATH_MAX + 1)
		return ENAMETOOLONG;
	if (h->atime_nsec > 999999999 || h->mtime_nsec > 999999999)
		return EPERM; /* the reference ends with code 1 */
	if (S_ISREG(h->mode))
		return h->filelen > INT64_MAX ? EDQUOT : 0;
	if (S_ISLNK(h->mode))
		return h->filelen > QFILE_PATH_MAX ? ENAMETOOLONG : 0;
	return S_ISDIR(h->mode) ? 0 : EINVAL;
}

void qfile_put_result(struct wr *w, const struct qfile_result *res, const char *last_name)
{
	wr_u32le(w, res->error);
	wr_u32le(w, 0);
	wr_u64le(w, res->crc);
	if (last_name) {
		wr_u32le(w, (uint32_t)strlen(last_name));
		wr_str(w, last_name);
	}
}

int qfile_get_result(struct rd *r, struct qfile_result *ret)
{
	struct qfile_result res;

	res.error = rd_u32le(r);
	rd_skip(r, 4);
	res.crc = rd_u64le(r);
	if (!rd_ok(r))
		return -EBADMSG;
	*ret = res;
	return 0;
}

bool qfile_char_ok(uint32_t c)
{
	size_t lo = 0, hi = ARRAY_SIZE(ranges);

	if (c < 0x80)
		return c >= 0x20 && c <= 0x7e;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (c < ranges[mid].first)
			hi = mid;
		else if (c > ranges[mid].last)
			lo = mid + 1;
		else
			return true;
	}
	return false;
}

/* Length of the sequence that a lead byte announces, and the smallest code point that may use it; 0 = not a lead byte. */
static size_t sequence(uint8_t lead, uint32_t *bits, uint32_t *least)
{
	if (lead >= 0xc2 && lead <= 0xdf) {
		*bits = lead & 0x1f;
		*least = 0x80;
		return 2;
	}
	if (lead >= 0xe0 && lead <= 0xef) {
		*bits = lead & 0x0f;
		*least = 0x800;
		return 3;
	}
	if (lead >= 0xf0 && lead <= 0xf4) {
		*bits = lead & 0x07;
		*least = 0x10000;
		return 4;
	}
	return 0;
}

/* Takes one code point off the reader; false when the bytes are not the one valid encoding of a code point that is allowed. */
static bool take_char(struct rd *r)
{
	uint32_t c, least;
	uint8_t lead = rd_u8(r);
	size_t n;

	if (lead < 0x80)
		return qfile_char_ok(lead);
	n = sequence(lead, &c, &least);
	if (n == 0)
		return false;
	for (size_t i = 1; i < n; i++) {
		uint8_t b = rd_u8(r);

		if ((b & 0xc0) != 0x80)
			return false;
		c = c << 6 | (b & 0x3f);
	}
	return rd_ok(r) && c >= least && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) && qfile_char_ok(c);
}

static bool chars_ok(const char *s, size_t n)
{
	struct rd r = rd_mem(s, n);

	while (rd_left(&r))
		if (!take_char(&r))
			return false;
	return true;
}

enum component { COMP_NORMAL, COMP_EMPTY, COMP_DOT, COMP_DOTDOT };

static enum component classify(const struct rd *c)
{
	if (rd_left(c) == 0)
		return COMP_EMPTY;
	if (rd_eq(c, "."))
		return COMP_DOT;
	return rd_eq(c, "..") ? COMP_DOTDOT : COMP_NORMAL;
}

/* Gives the next component and skips its slash; false behind the last one. "a/" has the components "a" and "". */
static bool next_component(struct rd *r, bool *more, struct rd *ret)
{
	const uint8_t *slash;

	if (!*more)
		return false;
	slash = rd_left(r) ? memchr(r->p, '/', rd_left(r)) : NULL;
	if (slash) {
		*ret = rd_until(r, '/');
	} else {
		*ret = rd_sub(r, rd_left(r));
		*more = false;
	}
	return true;
}

int qfile_name_check(const char *name, size_t n, unsigned flags)
{
	struct rd r, c;
	bool more = true;

	if (n && name[n - 1] == '\0')
		n--;
	if (n > QFILE_PATH_MAX)
		return ENAMETOOLONG;
	if (n == 0 || memchr(name, 0, n))
		return EILSEQ;
	r = rd_mem(name, n);
	while (next_component(&r, &more, &c))
		if (classify(&c) != COMP_NORMAL)
			return EILSEQ;
	return flags & QFILE_ALL_NAMES || chars_ok(name, n) ? 0 : EILSEQ;
}

static size_t depth_of(const char *name)
{
	size_t d = 1;

	for (; *name; name++)
		d += *name == '/';
	return d;
}

int qfile_link_check(const char *name, const char *target, size_t n, unsigned flags)
{
	size_t depth = depth_of(name), ups = 0;
	bool more = true, went_down = false;
	struct rd r, c;

	if (n > QFILE_PATH_MAX)
		return ENAMETOOLONG;
	if (n == 0 || memchr(target, 0, n))
		return flags & QFILE_UNSAFE_LINKS ? EINVAL : ENOLINK;
	if (!(flags & QFILE_ALL_NAMES) && !chars_ok(target, n))
		return EILSEQ;
	if (flags & QFILE_UNSAFE_LINKS)
		return 0;
	if (depth < 2 || target[0] == '/')
		return ENOLINK;
	r = rd_mem(target, n);
	while (next_component(&r, &more, &c)) {
		switch (classify(&c)) {
		case COMP_EMPTY:
		case COMP_DOT:
			break;
		case COMP_DOTDOT:
			/* After a name that is itself a link, ".." would lead to somewhere else than the text says. */
			if (went_down || ++ups > depth - 2)
				return ENOLINK;
			break;
		case COMP_NORMAL:
			went_down = true;
			break;
		}
	}
	return 0;
}

