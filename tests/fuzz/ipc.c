/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every decoder of ipc.def: what it accepts must encode to the same bytes again. */
#include "proto/ipc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink;

#define IPC(symbol, number, name, fields)                                                          \
	static void try_##name(const uint8_t *data, size_t size)                                   \
	{                                                                                          \
		static struct ipc_##name m;                                                        \
		struct rd r = rd_mem(data, size);                                                  \
		struct wr w = wr_grow(1 << 20);                                                    \
                                                                                                   \
		if (ipc_get_##name(&r, &m) == 0) {                                                 \
			size_t used = size - rd_left(&r);                                          \
                                                                                                   \
			ipc_put_##name(&w, &m);                                                    \
			if (!wr_ok(&w) || w.len != used || (used && memcmp(w.buf, data, used) != 0))         \
				abort();                                                           \
			sink += (unsigned)used;                                                    \
		}                                                                                  \
		wr_free(&w);                                                                       \
	}
#include "proto/ipc.def"
#undef IPC

static void try_error_reply(const uint8_t *data, size_t size)
{
	struct msg m = { .flags = MSG_F_REPLY | MSG_F_ERROR, .len = size };
	_cleanup_free_ uint8_t *copy = xmalloc(size);
	struct err e = { 0 };

	memcpy(copy, data, size);
	m.data = copy;
	if (ipc_reply_err(&m, &e) >= 0 || !e.code)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned type;

	if (size < 2)
		return 0;
	type = (unsigned)data[0] << 8 | data[1];
	data += 2;
	size -= 2;
	switch (type) {
#define IPC(symbol, number, name, fields)                                                          \
	case number:                                                                               \
		try_##name(data, size);                                                            \
		break;
#include "proto/ipc.def"
#undef IPC
	default:
		try_error_reply(data, size);
	}
	return 0;
}
