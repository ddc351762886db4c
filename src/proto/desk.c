/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Encoders and decoders of desk.def. */
#include "proto/desk.h"

#define U32(f) wr_u32le(w, m->f);
#define DESK(symbol, number, name, who, fields)                          \
	void desk_put_##name(struct wr *w, const struct desk_##name *m)  \
	{                                                                \
		fields                                                   \
	}
#define DESKV(symbol, number, name, who, fields)
#include "proto/desk.def"
#undef U32
#undef DESK

#define U32(f) ret->f = rd_u32le(&payload);
#define DESK(symbol, number, name, who, fields)                               \
	int desk_get_##name(struct rd payload, struct desk_##name *ret)       \
	{                                                                     \
		memset(ret, 0, sizeof *ret);                                  \
		fields                                                        \
		return rd_done(&payload) ? 0 : -EBADMSG;                      \
	}
#include "proto/desk.def"
#undef DESKV
#undef DESK
#undef U32

static const struct row {
	uint32_t type;
	size_t min, max;
	unsigned who;
	const char *name;
} rows[] = {
#define U32(f) +4
#define DESK(symbol, number, name, who, fields) { number, 0 fields, 0 fields, who, #symbol },
#define DESKV(symbol, number, name, who, fields) { number, 0 fields + 1, 0 fields + DESK_DATA_MAX, who, #symbol },
#include "proto/desk.def"
};

static const struct row *find(uint32_t type)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].type == type)
			return &rows[i];
	return NULL;
}

bool desk_may(uint32_t type, size_t len, unsigned from)
{
	const struct row *row = find(type);

	return row && (row->who & from) && len >= row->min && len <= row->max;
}

const char *desk_name(uint32_t type)
{
	const struct row *row = find(type);

	return row ? row->name : "unknown";
}
