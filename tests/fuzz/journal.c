/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Records of qvm-undo: whatever a file has, each operation that comes out has all its parts, inside the text. */
#include "tool/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(const char *text, size_t size, const char *s)
{
	if (!s || s < text || s + strlen(s) > text + size)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = NULL;
	struct journal_entry ent = { .no = 1 };

	if (memchr(data, 0, size))
		return 0;
	text = xmalloc(size + 1);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	journal_parse(&ent, text);
	for (size_t i = 0; i < ent.n; i++) {
		const struct journal_op *op = &ent.ops[i];

		inside(text, size, op->text);
		inside(text, size, op->dest);
		inside(text, size, op->method);
		inside(text, size, op->arg);
		inside(text, size, op->payload);
		if (op->gone)
			abort();
	}
	if (ent.command)
		inside(text, size, ent.command);
	free(ent.ops);
	return 0;
}
