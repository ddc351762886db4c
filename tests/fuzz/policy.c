/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A policy made of one text that may include itself under any name, and the formatter: what was accepted must survive format and parse.
 * The text is cut at NUL bytes into files "main.policy", "1", "2" …
 */
#include "base/rd.h"
#include "base/str.h"
#include "proto/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink;

struct input {
	const uint8_t *p;
	size_t n;
};

static int text(void *arg, int dir, const char *path, char **ret, size_t *ret_len, struct err *e)
{
	const struct input *in = arg;
	struct rd r = rd_mem(in->p, in->n);
	uint64_t want = 0;

	if (!streq(path, "main.policy") && str_u64(path, 100, &want) < 0)
		return err_set(e, ENOENT, "none");
	for (; want; want--)
		(void)rd_until(&r, 0);
	if (!rd_ok(&r))
		return err_set(e, ENOENT, "none");
	if (memchr(r.p, 0, rd_left(&r)))
		r = rd_until(&r, 0);
	*ret_len = rd_left(&r);
	*ret = xmalloc(*ret_len + 1);
	memcpy(*ret, r.p, *ret_len);
	(*ret)[*ret_len] = '\0';
	return 0;
}

static int list(void *arg, int dir, const char *path, char ***ret, size_t *ret_n, struct err *e)
{
	static const char *const names[] = { "a+b", "a", "1", "x.swp" };

	*ret = xcalloc(ARRAY_SIZE(names), sizeof(**ret));
	for (*ret_n = 0; *ret_n < ARRAY_SIZE(names); ++*ret_n)
		(*ret)[*ret_n] = xstrdup(names[*ret_n]);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	const struct pol_loader l = { .arg = &in, .text = text, .list = list };
	struct policy *p = NULL;
	struct err e = { 0 };

	if (policy_load_file(&p, &l, "main.policy", &e) < 0) {
		if (!e.msg[0])
			abort();
		return 0;
	}
	for (size_t i = 0; i < p->n_rules && i < 1000; i++) {
		_cleanup_wr_ struct wr w = wr_grow(4u << 20);
		struct pol_rule back = { 0 };

		pol_rule_format(&w, &p->rules[i]);
		wr_u8(&w, 0);
		if (!wr_ok(&w) || pol_rule_parse(&back, (char *)w.buf, NULL) < 0 || back.action != p->rules[i].action ||
		    !streq(back.source.text, p->rules[i].source.text) || !streq(back.target.text, p->rules[i].target.text))
			abort();
		pol_rule_fini(&back);
	}
	sink += p->n_rules;
	policy_free(p);
	return 0;
}
