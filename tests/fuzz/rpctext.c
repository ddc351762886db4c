/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text formats around a call: first byte chooses the parser. */
#include "proto/desktop.h"
#include "proto/policy_reply.h"
#include "proto/rpcconfig.h"
#include "proto/vmexec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t sink;

static void vmexec(const uint8_t *data, size_t size)
{
	char *argv[64], *text = xstrndup((const char *)data, size), *again;
	int n = vmexec_get(text, argv, 64, NULL);

	if (n >= 0) {
		struct wr w = wr_grow(1 << 22);

		vmexec_put(&w, (const char *const *)argv);
		again = wr_take(&w, NULL);
		/* what was accepted and is written again is accepted again, with as many arguments */
		if (!again || vmexec_get(again, argv, 64, NULL) != n)
			abort();
		free(again);
	}
	free(text);
}

static void desktop(const uint8_t *data, size_t size)
{
	char *argv[64], *text = xmalloc(size + 2);
	int n = desktop_exec(rd_mem(data, size), text, size + 2, argv, 64, NULL);

	for (int i = 0; i < n; i++)
		sink += strlen(argv[i]);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_reply p;
	struct rpc_config c;

	if (size == 0)
		return 0;
	if (data[0] == 'c' && rpc_config_parse(&c, rd_mem(data + 1, size - 1), NULL) == 0)
		sink += c.unknown;
	if (data[0] == 'p' && policy_reply_parse(&p, rd_mem(data + 1, size - 1), NULL) == 0)
		sink += p.unknown;
	if (data[0] == 'd')
		desktop(data + 1, size - 1);
	if (data[0] == 'v')
		vmexec(data + 1, size - 1);
	return 0;
}
