/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Decoders of policy.Ask and policy.Notify. */
#include "prompt/prompt.h"

#include <jansson.h>

#include "base/str.h"

void pr_question_fini(struct pr_question *q)
{
	for (size_t i = 0; i < q->n_targets; i++)
		free(q->targets[i].name);
	free(q->targets);
	free(q->source);
	free(q->service);
	free(q->argument);
	free(q->requested_target);
	free(q->user);
	free(q->rule);
	*q = (struct pr_question){ 0 };
}

void pr_notice_fini(struct pr_notice *n)
{
	free(n->source);
	free(n->target);
	free(n->service);
	free(n->argument);
	free(n->text);
	*n = (struct pr_notice){ 0 };
}

/* A text member as new memory; NULL when it is missing, too long, or holds a NUL. */
static char *text(const json_t *o, const char *key, size_t max)
{
	const json_t *v = json_object_get(o, key);
	const char *s = json_string_value(v);

	if (!s || json_string_length(v) > max || strlen(s) != json_string_length(v))
		return NULL;
	return xstrdup(s);
}

/* "0xcc0000", or the name of a stock label. */
static uint32_t colour_of(const char *s)
{
	static const struct {
		const char *name;
		uint32_t rgb;
	} stock[] = {
		{ "red", 0xcc0000 },  { "orange", 0xf57900 }, { "yellow", 0xedd400 }, { "green", 0x73d216 },
		{ "gray", 0x555555 }, { "blue", 0x3465a4 },   { "purple", 0x75507b }, { "black", 0x000000 },
	};

	if (strlen(s) == 8 && str_starts(s, "0x") && strspn(s + 2, "0123456789abcdefABCDEF") == 6)
		return (uint32_t)strtoul(s + 2, NULL, 16);
	for (size_t i = 0; i < ARRAY_SIZE(stock); i++)
		if (streq(s, stock[i].name))
			return stock[i].rgb;
	return PR_NO_COLOUR;
}

/* By the label when our policyd tells it, else by the last word of the icon's name, "appvm-red". */
static uint32_t colour(const json_t *root, const char *name)
{
	const char *label = json_string_value(json_object_get(json_object_get(root, "labels"), name));
	const char *icon = json_string_value(json_object_get(json_object_get(root, "icons"), name));
	const char *dash = icon ? strrchr(icon, '-') : NULL;

	if (label)
		return colour_of(label);
	return dash ? colour_of(dash + 1) : PR_NO_COLOUR;
}

static int targets(struct pr_question *q, const json_t *root)
{
	const json_t *list = json_object_get(root, "targets"), *v;
	const char *wanted = json_string_value(json_object_get(root, "default_target"));
	size_t n = json_array_size(list), i;

	if (!json_is_array(list) || n == 0 || n > PR_TARGETS_MAX)
		return -EBADMSG;
	q->targets = xcalloc(n, sizeof(*q->targets));
	q->preselected = n;
	json_array_foreach (list, i, v) {
		const char *s = json_string_value(v);

		if (!s || !s[0] || json_string_length(v) > PR_NAME_MAX || strlen(s) != json_string_length(v))
			return -EBADMSG;
		q->targets[i] = (struct pr_target){ xstrdup(s), colour(root, s) };
		q->n_targets = i + 1;
		if (wanted && streq(wanted, s))
			q->preselected = i;
	}
	return 0;
}

static void exact(struct pr_question *q, const json_t *root)
{
	const json_t *autostart = json_object_get(root, "autostart"), *notify = json_object_get(root, "notify");

	q->requested_target = text(root, "requested_target", PR_NAME_MAX);
	q->user = text(root, "user", PR_NAME_MAX);
	q->rule = text(root, "rule", PR_TEXT_MAX);
	q->autostart = json_is_true(autostart);
	q->notify = json_is_true(notify);
	q->exact = q->requested_target && q->user && json_is_boolean(autostart) && json_is_boolean(notify);
}

/* An object, or NULL. Text is UTF-8 and free of duplicates by the decoder; its depth is limited there too. */
static json_t *object(struct rd r)
{
	size_t n = rd_left(&r);
	const uint8_t *p = n <= PR_JSON_MAX ? rd_view(&r, n) : NULL;
	json_t *root = p ? json_loadb((const char *)p, n, JSON_REJECT_DUPLICATES, NULL) : NULL;

	if (root && !json_is_object(root)) {
		json_decref(root);
		return NULL;
	}
	return root;
}

int pr_question_parse(struct pr_question *ret, struct rd r)
{
	json_t *root = object(r);
	struct pr_question q = { 0 };
	int k = -EBADMSG;

	if (root) {
		q.source = text(root, "source", PR_NAME_MAX);
		q.service = text(root, "service", PR_TEXT_MAX);
		q.argument = text(root, "argument", PR_TEXT_MAX);
		if (q.source && q.source[0] && q.service && q.service[0] && q.argument && q.argument[0] == '+')
			k = targets(&q, root);
		if (k == 0) {
			q.colour = colour(root, q.source);
			exact(&q, root);
		}
		json_decref(root);
	}
	if (k < 0)
		pr_question_fini(&q);
	else
		*ret = q;
	return k;
}

int pr_notice_parse(struct pr_notice *ret, struct rd r)
{
	static const char *const words[] = { [PR_ALLOW] = "allow", [PR_DENY] = "deny", [PR_FAIL] = "fail", [PR_FIXED] = "fixed",
					       [PR_INFO] = "info" };
	json_t *root = object(r);
	const char *res = json_string_value(json_object_get(root, "resolution"));
	struct pr_notice n = { 0 };
	int k = -EBADMSG;

	for (size_t i = 0; res && i < ARRAY_SIZE(words); i++)
		if (streq(res, words[i])) {
			n.resolution = (enum pr_resolution)i;
			k = 0;
		}
	if (k == 0) {
		n.source = text(root, "source", PR_NAME_MAX);
		n.target = text(root, "target", PR_NAME_MAX);
		n.service = text(root, "service", PR_TEXT_MAX);
		n.argument = text(root, "argument", PR_TEXT_MAX);
		n.text = text(root, "text", PR_TEXT_MAX);
		if (!n.source || !n.target || !n.service || !n.argument)
			k = -EBADMSG;
	}
	json_decref(root);
	if (k < 0)
		pr_notice_fini(&n);
	else
		*ret = n;
	return k;
}
