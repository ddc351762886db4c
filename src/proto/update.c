/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lines of an update. */
#include "proto/update.h"

#include "base/str.h"

#define KIND_TEXT 0
#define COUNT_MAX 1000000

static const struct {
	const char *word;
	enum update_kind kind;
	uint64_t max; /* of the number; KIND_TEXT: text follows */
} kinds[] = {
	{ "phase", UPDATE_L_PHASE, KIND_TEXT }, { "progress", UPDATE_L_PROGRESS, 1000 },  { "count", UPDATE_L_COUNT, COUNT_MAX },
	{ "change", UPDATE_L_CHANGE, KIND_TEXT }, { "log", UPDATE_L_LOG, KIND_TEXT }, { "end", UPDATE_L_END, 255 },
};

static bool number(struct rd r, uint64_t max, uint64_t *ret)
{
	char text[24];

	rd_text(&r, text, sizeof text);
	return rd_ok(&r) && text[0] && str_u64(text, max, ret) == 0;
}

static void printable(struct rd r, char *out, size_t cap)
{
	size_t n = MIN(rd_left(&r), cap - 1);

	for (size_t i = 0; i < n; i++)
		out[i] = r.p[i] >= 0x20 && r.p[i] < 0x7f ? (char)r.p[i] : r.p[i] == '\t' ? ' ' : '?';
	out[n] = '\0';
}

/* Three words of what package names and versions are made of. */
static bool change_ok(const char *s)
{
	unsigned words = 1;

	for (const char *p = s; *p; p++)
		if (*p == ' ')
			words++;
	return words == 3 && str_chars(s, " .+-~:_^") && s[0] != ' ' && s[strlen(s) - 1] != ' ' && !strstr(s, "  ");
}

int update_line_parse(struct rd line, struct update_line *ret)
{
	struct rd word = rd_until(&line, ' ');

	if (!rd_ok(&word))
		return -EBADMSG;
	ret->n = 0;
	ret->text[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!rd_eq(&word, kinds[i].word))
			continue;
		ret->kind = kinds[i].kind;
		if (kinds[i].max != KIND_TEXT)
			return number(line, kinds[i].max, &ret->n) ? 0 : -EBADMSG;
		if (rd_left(&line) >= sizeof ret->text)
			return -EBADMSG;
		printable(line, ret->text, sizeof ret->text);
		if (ret->kind == UPDATE_L_PHASE)
			return ret->text[0] && strlen(ret->text) < 32 && str_chars(ret->text, "-") ? 0 : -EBADMSG;
		return ret->kind != UPDATE_L_CHANGE || change_ok(ret->text) ? 0 : -EBADMSG;
	}
	return -EBADMSG;
}

/* "12.3456" as thousandths of a hundred */
static bool percent(struct rd r, unsigned *ret)
{
	struct rd rest = r, whole = rd_until(&rest, '.');
	uint64_t n;

	if (!rd_ok(&whole)) {
		whole = r;
		rest = rd_mem("", 0);
	}
	if (!number(whole, 100, &n))
		return false;
	*ret = (unsigned)n * 10 + (rd_left(&rest) && ch_digit((char)*rest.p) ? (unsigned)(*rest.p - '0') : 0);
	if (*ret > 1000)
		*ret = 1000;
	return true;
}

bool update_apt_status(struct rd line, bool *ret_download, unsigned *ret_permille)
{
	struct rd kind = rd_until(&line, ':'), what = rd_until(&line, ':'), part = rd_until(&line, ':');

	if (!rd_ok(&kind) || !rd_ok(&what) || !rd_ok(&part) || (!rd_eq(&kind, "dlstatus") && !rd_eq(&kind, "pmstatus")))
		return false;
	*ret_download = rd_eq(&kind, "dlstatus");
	return percent(part, ret_permille);
}

bool update_apt_inst(struct rd line, char *out, size_t cap)
{
	struct rd word = rd_until(&line, ' '), name = rd_until(&line, ' '), old = rd_mem("-", 1), new;

	if (!rd_ok(&word) || !rd_eq(&word, "Inst") || !rd_ok(&name))
		return false;
	if (rd_left(&line) && *line.p == '[') {
		rd_skip(&line, 1);
		old = rd_until(&line, ']');
		rd_skip(&line, 1);
	}
	if (rd_u8(&line) != '(')
		return false;
	new = rd_until(&line, ' ');
	if (!rd_ok(&old) || !rd_ok(&new) || str_printf(out, cap, "%.*s %.*s %.*s", (int)rd_left(&name), (const char *)name.p, (int)rd_left(&old),
							  (const char *)old.p, (int)rd_left(&new), (const char *)new.p) < 0)
		return false;
	return change_ok(out);
}

/* The next word; the line goes behind it. False at the end. */
static bool next_word(struct rd *line, struct rd *ret)
{
	const uint8_t *p;
	size_t n = 0;

	while (rd_left(line) && (*line->p == ' ' || *line->p == '\t'))
		rd_skip(line, 1);
	p = line->p;
	while (rd_left(line) && *line->p != ' ' && *line->p != '\t') {
		rd_skip(line, 1);
		n++;
	}
	*ret = rd_mem(p, n);
	return n > 0;
}

static bool package_word(struct rd word, char *out, size_t cap)
{
	rd_text(&word, out, cap);
	return rd_ok(&word) && out[0] && str_chars(out, ".+-~:_^");
}

bool update_dnf_row(struct update_dnf_row *r, struct rd line)
{
	struct rd all = line, word;

	if (r->words == 3)
		r->words = 0;
	if (next_word(&all, &word) && r->words == 0 && (rd_eq(&word, "Obsoleting") || rd_eq(&word, "Obsoletes")))
		r->over = true;
	if (r->over || (rd_left(&word) && word.p[rd_left(&word) - 1] == ':'))
		return false;
	while (next_word(&line, &word)) {
		bool good = r->words == 0 ? package_word(word, r->name, sizeof r->name) && strrchr(r->name, '.') :
			    r->words == 1 ? package_word(word, r->version, sizeof r->version) && ch_digit(r->version[0]) : r->words == 2;

		if (!good) {
			r->words = 0;
			return false;
		}
		r->words++;
	}
	return r->words == 3;
}

/* "3/17" */
static bool fraction(struct rd r, unsigned *ret)
{
	struct rd part = rd_until(&r, '/');
	uint64_t i, n;

	if (!rd_ok(&part) || !number(part, COUNT_MAX, &i) || !number(r, COUNT_MAX, &n) || !n || i > n)
		return false;
	*ret = (unsigned)(i * 1000 / n);
	return true;
}

bool update_dnf_step(struct rd line, unsigned *ret_permille)
{
	struct rd word = rd_mem("", 0), next;
	char end;

	if (rd_left(&line) && (*line.p == '(' || *line.p == '[')) {
		end = *line.p == '(' ? ')' : ']';
		rd_skip(&line, 1);
		while (rd_left(&line) && *line.p == ' ')
			rd_skip(&line, 1);
		next = rd_until(&line, (uint8_t)end);
		return rd_ok(&next) && fraction(next, ret_permille);
	}
	while (next_word(&line, &next))
		word = next;
	return fraction(word, ret_permille);
}
