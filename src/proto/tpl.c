/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Signed heads, fields of templates, versions, dates: what manifest and index share. */
#include "proto/tpl.h"

#include "base/str.h"
#include "proto/names.h"

enum value_kind { V_NAME, V_NUMBER, V_EVR, V_WORD, V_DATE, V_TEXT };

static const struct {
	const char *word, *feature;
	size_t off, max;
	enum value_kind kind;
	bool must;
} fields[] = {
#define FIELD(member_, word_, max_, kind_, must_, feature_)                                                                \
	{ .word = word_, .feature = feature_, .off = offsetof(struct tpl_info, member_), .max = max_, .kind = V_##kind_, .must = must_ },
#include "proto/tplfield.def"
#undef FIELD
};

static const char magics[TPL_KIND_N][TPL_MAGIC_LEN + 1] = { [TPL_TEMPLATE] = "bulkhead-tmpl-1\n", [TPL_INDEX] = "bulkhead-tidx-1\n" };

const char *tpl_magic(enum tpl_kind kind)
{
	return magics[kind];
}

int tpl_head_get(struct rd *r, enum tpl_kind want, struct tpl_head *ret, struct err *e)
{
	const uint8_t *magic = rd_view(r, TPL_MAGIC_LEN);
	struct tpl_head h = { .kind = want };

	h.len = rd_u32le(r);
	rd_bytes(r, h.key, sizeof h.key);
	rd_bytes(r, h.sig, sizeof h.sig);
	if (!magic || !rd_ok(r) || memcmp(magic, magics[want], TPL_MAGIC_LEN) != 0)
		return err_set(e, EBADMSG, "this is no %s", want == TPL_INDEX ? "index of a template repository" : "template file");
	if (h.len == 0 || h.len > TPL_TEXT_MAX)
		return err_set(e, EBADMSG, "its text would have %u bytes", h.len);
	*ret = h;
	return 0;
}

void tpl_head_put(struct wr *w, const struct tpl_head *h)
{
	wr_bytes(w, magics[h->kind], TPL_MAGIC_LEN);
	wr_u32le(w, h->len);
	wr_bytes(w, h->key, sizeof h->key);
	wr_bytes(w, h->sig, sizeof h->sig);
}

static bool leap(unsigned y)
{
	return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

bool tpl_date_ok(const char *s, int64_t *ret)
{
	static const unsigned char lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	unsigned v[3] = { 0 };
	int64_t days = 0;

	if (strlen(s) != 10)
		return false;
	for (size_t i = 0, k = 0; i < 10; i++) {
		if (i == 4 || i == 7) {
			k++;
			if (s[i] != '-')
				return false;
		} else if (!ch_digit(s[i])) {
			return false;
		} else {
			v[k] = v[k] * 10 + (unsigned)(s[i] - '0');
		}
	}
	if (v[0] < 1970 || v[1] < 1 || v[1] > 12 || v[2] < 1 || v[2] > (unsigned)lengths[v[1] - 1] + (v[1] == 2 && leap(v[0])))
		return false;
	for (unsigned y = 1970; y < v[0]; y++)
		days += leap(y) ? 366 : 365;
	for (unsigned m = 1; m < v[1]; m++)
		days += lengths[m - 1] + (m == 2 && leap(v[0]));
	if (ret)
		*ret = days + v[2] - 1;
	return true;
}

static bool printable(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e)
			return false;
	return true;
}

static bool value_ok(enum value_kind kind, const char *s)
{
	struct qname name;
	uint64_t n;

	switch (kind) {
	case V_NAME:
		return qname_parse(&name, s, NULL) == 0 && !streq(s, "dom0");
	case V_NUMBER:
		return str_u64(s, UINT64_C(1) << 40, &n) == 0;
	case V_EVR:
		return ch_alnum(s[0]) && str_chars(s, ".+~_");
	case V_WORD:
		return ch_alnum(s[0]) && str_chars(s, "._-");
	case V_DATE:
		return tpl_date_ok(s, NULL);
	case V_TEXT:
		return printable(s) && s[0] != ' ' && s[strlen(s) - 1] != ' ';
	}
	return false;
}

const char *tpl_field(const struct tpl_info *t, size_t i, const char **ret_word, const char **ret_feature)
{
	if (i >= ARRAY_SIZE(fields))
		return NULL;
	if (ret_word)
		*ret_word = fields[i].word;
	if (ret_feature)
		*ret_feature = fields[i].feature;
	return (const char *)t + fields[i].off;
}

int tpl_field_set(struct tpl_info *t, const char *word, const char *value, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		char *at = (char *)t + fields[i].off;

		if (!streq(fields[i].word, word))
			continue;
		if (!value[0] || strlen(value) > fields[i].max || !value_ok(fields[i].kind, value))
			return err_set(e, EINVAL, "the value of '%s' is not acceptable", word);
		return str_copy(at, fields[i].max + 1, value);
	}
	return err_set(e, ENOENT, "there is no field '%.40s'", word);
}

int tpl_info_check(const struct tpl_info *t, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].must && ((const char *)t)[fields[i].off] == '\0')
			return err_set(e, EINVAL, "'%s' is missing", fields[i].word);
	return 0;
}

const char *tpl_evr(char out[TPL_EVR_MAX], const struct tpl_info *t)
{
	if (str_printf(out, TPL_EVR_MAX, "%s:%s-%s", t->epoch, t->version, t->release) < 0)
		abort(); /* the fields are shorter */
	return out;
}

/* One run of digits at *p, without leading zeros. */
static size_t digits(const char **p)
{
	size_t n = 0;

	while (**p == '0' && ch_digit((*p)[1]))
		(*p)++;
	while (ch_digit((*p)[n]))
		n++;
	return n;
}

/* How a byte orders outside of numbers: '~' before the end, the end before letters, letters before signs. */
static int weight(char c)
{
	if (c == '~')
		return -1;
	if (c == '\0' || ch_digit(c))
		return 0;
	return ch_alpha(c) ? c : c + 256;
}

int tpl_version_cmp(const char *a, const char *b)
{
	while (*a || *b) {
		while ((*a && !ch_digit(*a)) || (*b && !ch_digit(*b))) {
			int wa = weight(*a), wb = weight(*b);

			if (wa != wb)
				return wa < wb ? -1 : 1;
			/* Equal weights that are not zero are equal bytes; zero on one side is a number or the end on both. */
			if (wa == 0)
				break;
			a++;
			b++;
		}
		if (!*a && !*b)
			return 0;

		size_t na = digits(&a), nb = digits(&b);
		int c = na != nb ? (na < nb ? -1 : 1) : strncmp(a, b, na);

		if (c)
			return c < 0 ? -1 : 1;
		a += na;
		b += nb;
		if (!na && !nb)
			return 0;
	}
	return 0;
}

int tpl_evr_cmp(const struct tpl_info *a, const struct tpl_info *b)
{
	int c = tpl_version_cmp(a->epoch, b->epoch);

	if (c == 0)
		c = tpl_version_cmp(a->version, b->version);
	return c ? c : tpl_version_cmp(a->release, b->release);
}

bool tpl_file_ok(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= TPL_FILE_MAX && ch_alnum(s[0]) && str_chars(s, "._-+~");
}

bool tpl_repo_ok(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= 64 && ch_alnum(s[0]) && str_chars(s, "._-");
}

void hex_put(char *out, const uint8_t *p, size_t n)
{
	static const char d[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = d[p[i] >> 4];
		out[2 * i + 1] = d[p[i] & 15];
	}
	out[2 * n] = '\0';
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_get(const char *s, uint8_t *out, size_t n)
{
	if (strlen(s) != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int hi = digit(s[2 * i]), lo = digit(s[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}
