/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/nettest.h"

#include <arpa/inet.h>

#include "base/str.h"

static const char *const kinds[] = {
#define KIND(symbol, word) word,
#include "proto/nettest.def"
#undef KIND
};

static const char *const outcomes[] = {
#define OUTCOME(symbol, word) word,
#include "proto/nettest.def"
#undef OUTCOME
};

const char *nettest_kind_word(enum nettest_kind k)
{
	return kinds[k];
}

const char *nettest_outcome_word(enum nettest_outcome o)
{
	return outcomes[o];
}

static bool addr(const char *s, char out[NETTEST_ADDR_CAP], bool *v6)
{
	uint8_t bin[16];

	*v6 = strchr(s, ':') != NULL;
	return inet_pton(*v6 ? AF_INET6 : AF_INET, s, bin) == 1 && inet_ntop(*v6 ? AF_INET6 : AF_INET, bin, out, NETTEST_ADDR_CAP);
}

void nettest_put(struct wr *w, const struct nettest_probe *p)
{
	wr_printf(w, "%s %s %u %s\n", kinds[p->kind], p->addr, p->number, p->src[0] ? p->src : "-");
}

/* The next word of a line, which a blank or the end of the line ends. */
static void word(struct rd *r, char *out, size_t cap)
{
	const void *blank = memchr(r->p, ' ', rd_left(r));
	struct rd w;

	if (blank)
		w = rd_until(r, ' ');
	else
		w = rd_sub(r, rd_left(r));
	rd_text(&w, out, cap);
	if (!rd_ok(&w))
		rd_fail(r);
}

int nettest_get(struct nettest_probe *ret, struct rd line, struct err *e)
{
	char kind[16], a[NETTEST_ADDR_CAP], number[8], src[NETTEST_ADDR_CAP];
	uint64_t n;
	bool v6;

	memset(ret, 0, sizeof *ret);
	word(&line, kind, sizeof kind);
	word(&line, a, sizeof a);
	word(&line, number, sizeof number);
	word(&line, src, sizeof src);
	if (!rd_done(&line) || !addr(a, ret->addr, &ret->v6) || str_u64(number, 65535, &n) < 0)
		return err_set(e, EINVAL, "a line is KIND ADDRESS NUMBER SOURCE");
	ret->number = (uint16_t)n;
	if (!streq(src, "-") && (!addr(src, ret->src, &v6) || v6 != ret->v6))
		return err_set(e, EINVAL, "the source is an address of the same family, or -");
	while (ret->kind < NETTEST_KIND_N && !streq(kinds[ret->kind], kind))
		ret->kind++;
	if (ret->kind == NETTEST_KIND_N || (ret->kind == NETTEST_SPOOF) != (ret->src[0] != '\0') || (ret->kind == NETTEST_PROTO && n > 255))
		return err_set(e, EINVAL, "no such kind");
	return 0;
}

void nettest_answer_put(struct wr *w, size_t row, const struct nettest_result *r)
{
	wr_printf(w, "%zu %s %s\n", row, r->left ? "left" : "kept", outcomes[r->outcome]);
}

int nettest_answers(struct nettest_result *ret, size_t n, struct rd text)
{
	struct rd line;

	memset(ret, 0, n * sizeof *ret);
	while (rd_line(&text, &line)) {
		char row[8], left[8], outcome[16];
		enum nettest_outcome o = 0;
		uint64_t i;

		word(&line, row, sizeof row);
		word(&line, left, sizeof left);
		word(&line, outcome, sizeof outcome);
		while (o < NETTEST_OUTCOME_N && !streq(outcomes[o], outcome))
			o++;
		if (!rd_done(&line) || str_u64(row, NETTEST_ROWS_MAX, &i) < 0 || i >= n || o == NETTEST_OUTCOME_N || (!streq(left, "left") && !streq(left, "kept")))
			return -EBADMSG;
		ret[i] = (struct nettest_result){ .known = true, .left = left[0] == 'l', .outcome = o };
	}
	return 0;
}
