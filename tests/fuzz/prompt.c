/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A connection of policyd to a prompt: descriptor, JSON of a question or a notice, the words shown, the rule made of it. */
#include "base/paths.h"
#include "base/str.h"
#include "prompt/prompt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink;

static void question(struct rd json)
{
	struct pr_question q;
	char a[2 * PR_SHOW_MAX], rule[1024];

	if (pr_question_parse(&q, json) < 0)
		return;
	if (q.n_targets == 0 || q.preselected > q.n_targets || q.argument[0] != '+')
		abort();
	for (size_t i = 0; i < q.n_targets; i++) {
		sink += strlen(pr_target_words(a, q.targets[i].name));
		/* A rule is one line of our own words whatever came. */
		if (pr_always_rule(rule, sizeof rule, &q, q.targets[i].name) == 0 && (strchr(rule, '\n') || !strstr(rule, " allow target=")))
			abort();
	}
	sink += strlen(pr_verb(a, q.service));
	for (const char *p = a; *p; p++)
		if (*p < 0x20 || *p > 0x7e)
			abort();
	pr_question_fini(&q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	struct pr_conn c = { .fd = -1, .in = wr_grow(PR_JSON_MAX) };
	struct pr_notice n;
	enum pr_kind kind;
	char text[1024];
	struct rd json;

	if (!ready && paths_init("/nonexistent", NULL) < 0)
		abort();
	ready = true;
	wr_bytes(&c.in, data, size);
	if (wr_ok(&c.in) && pr_request(&json, &kind, &c) == 0) {
		if (kind == PR_ASK) {
			question(json);
		} else if (pr_notice_parse(&n, json) == 0) {
			pr_notice_words(text, sizeof text, &n);
			sink += strlen(text);
			pr_notice_fini(&n);
		}
	}
	pr_close(&c);
	return 0;
}
