/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests of policy.sock (first byte even) and of the EvalX services (odd). */
#include "daemon/policyd/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile int sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_mem(data, size);
	struct pd_request q = { 0 };
	char caller[64];
	uint8_t kind = rd_u8(&r);
	int k;

	if (!rd_ok(&r))
		return 0;
	k = kind & 1 ? pd_eval_parse(&q, caller, sizeof caller, r) == 0 : pd_request_parse(&q, r);
	if (k > 0 && (!q.service[0] || q.argument[0] != '+' || !q.source[0]))
		abort();
	sink += k;
	pd_request_fini(&q);
	return 0;
}
