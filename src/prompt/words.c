/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Foreign text made harmless, and services in words. */
#include "prompt/prompt.h"

#include "base/str.h"

const char *pr_show(char out[PR_SHOW_MAX], const char *text)
{
	return str_escape(out, PR_SHOW_MAX, text, strlen(text));
}

const char *pr_verb(char out[2 * PR_SHOW_MAX], const char *service)
{
	static const struct {
		const char *service, *words;
	} table[] = {
#define WORDS(service, words) { service, words },
#include "prompt/words.def"
#undef WORDS
	};
	char shown[PR_SHOW_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (str_ends(table[i].service, ".") ? str_starts(service, table[i].service) : streq(service, table[i].service))
			return table[i].words;
	(void)!str_printf(out, 2 * PR_SHOW_MAX, "use the service %s of", pr_show(shown, service));
	return out;
}

const char *pr_target_words(char out[2 * PR_SHOW_MAX], const char *target)
{
	char shown[PR_SHOW_MAX];

	if (str_starts(target, "@dispvm:"))
		(void)!str_printf(out, 2 * PR_SHOW_MAX, "a new disposable of %s", pr_show(shown, target + strlen("@dispvm:")));
	else
		(void)!str_printf(out, 2 * PR_SHOW_MAX, "%s", pr_show(shown, target));
	return out;
}

void pr_notice_words(char *out, size_t cap, const struct pr_notice *n)
{
	char source[PR_SHOW_MAX], target[PR_SHOW_MAX], verb[2 * PR_SHOW_MAX], text[PR_SHOW_MAX * 4] = "";
	const char *to = n->target[0] ? pr_show(target, n->target) : "another qube";

	if (n->text)
		(void)str_escape(text, sizeof text, n->text, strlen(n->text));
	if (n->resolution == PR_INFO)
		(void)!str_printf(out, cap, "%s", text);
	else if (n->resolution == PR_FIXED)
		(void)!str_printf(out, cap, "The policy is whole again.");
	else if (n->resolution == PR_FAIL)
		(void)!str_printf(out, cap, "The policy has an error: every call is refused.%s%s", text[0] ? "\n" : "", text);
	else
		(void)!str_printf(out, cap, "%s: %s wanted to %s %s%s%s%s", n->resolution == PR_ALLOW ? "Allowed" : "Refused",
				  pr_show(source, n->source), pr_verb(verb, n->service), to, text[0] ? " (" : "", text, text[0] ? ")" : "");
}
