/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lines of qrexec-policy-eval: {"systems": …, "request": …}. The answer must be an object that can be printed. */
#include "daemon/policyd/evalops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *root = json_loadb((const char *)data, size, 0, NULL), *answer;
	char *text;

	if (json_is_object(root)) {
		answer = evalop_run(json_object_get(root, "request"), json_object_get(root, "systems"));
		text = json_dumps(answer, JSON_COMPACT);
		if (!json_is_object(answer) || !text)
			abort();
		sink += strlen(text);
		free(text);
		json_decref(answer);
		evalops_fini();
	}
	json_decref(root);
	return 0;
}
