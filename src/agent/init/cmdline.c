/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Decoder of the kernel command line. */
#include "agent/init/cmdline.h"

#include "base/str.h"

/* next_word copies the next word (quotes removed) to out. Gives its length, 0 at the end, -E2BIG
   when it does not fit; such a word is skipped whole, because a long word of somebody else is no
   reason to fail. */
static int next_word(struct rd *r, char *out, size_t cap)
{
	bool quoted = false, any = false, cut = false;
	size_t n = 0;

	while (rd_left(r) > 0) {
		char c = (char)rd_u8(r);

		if (c == '"') {
			quoted = !quoted;
			any = true;
			continue;
		}
		if (!quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\0')) {
			if (any)
				break;
			continue;
		}
		any = true;
		if (n + 1 < cap)
			out[n++] = c;
		else
			cut = true;
	}
	out[n] = '\0';
	if (cut)
		return -E2BIG;
	return any ? (int)n + 1 : 0;
}

static int set_root_mode(const char *value, enum root_mode *ret, struct err *e)
{
	static const char *const names[] = { [ROOT_AUTO] = "auto", [ROOT_RO] = "ro", [ROOT_RW] = "rw" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (streq(value, names[i])) {
			*ret = (enum root_mode)i;
			return 0;
		}
	}
	return err_set(e, EINVAL, "bulkhead.root is neither auto, ro nor rw");
}

static int take_word(const char *word, struct cmdline *c, struct err *e)
{
	if (str_starts(word, "bulkhead.root="))
		return set_root_mode(word + strlen("bulkhead.root="), &c->root_mode, e);
	if (streq(word, "bulkhead.debug"))
		c->debug = true;
	if (str_starts(word, "root=") && str_copy(c->root, sizeof c->root, word + strlen("root=")) < 0)
		return err_set(e, EINVAL, "root= is too long");
	if (str_starts(word, "init=")) {
		const char *path = word + strlen("init=");

		if (path[0] != '/' || str_copy(c->init, sizeof c->init, path) < 0)
			return err_set(e, EINVAL, "init= is not an absolute path of at most %zu bytes", sizeof c->init - 1);
	}
	return 0;
}

int cmdline_parse(struct rd r, struct cmdline *ret, struct err *e)
{
	struct cmdline c = { .root_mode = ROOT_AUTO };
	char word[1024]; /* bulkhead.services= is the longest of ours */
	int n;

	while ((n = next_word(&r, word, sizeof word)) != 0) {
		int err = 0;

		if (n < 0) {
			/* Only a word of ours may not be cut. */
			if (str_starts(word, "bulkhead.") || str_starts(word, "root=") || str_starts(word, "init="))
				return err_set(e, EINVAL, "a word of the command line is too long");
			continue;
		}
		/* What follows "--" belongs to the next init. */
		if (streq(word, "--"))
			break;
		err = take_word(word, &c, e);
		if (err < 0)
			return err;
	}
	*ret = c;
	return 0;
}
