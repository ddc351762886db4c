/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Encoders and decoders of audio.def. */
#include "proto/audio.h"

/* Fills part up to cap from [p + *at, p + n): true when it is full. */
static bool gather(uint8_t *part, unsigned *have, unsigned cap, const void *p, size_t n, size_t *at)
{
	const uint8_t *b = p;

	while (*have < cap && *at < n)
		part[(*have)++] = b[(*at)++];
	if (*have < cap)
		return false;
	*have = 0;
	return true;
}

int audio_words_next(struct audio_words *s, const void *p, size_t n, size_t *at, enum audio_word *ret)
{
	struct rd r;
	uint32_t v;

	if (!gather(s->part, &s->n, sizeof s->part, p, n, at))
		return 0;
	r = rd_mem(s->part, sizeof s->part);
	v = rd_u32le(&r);
	switch (v) {
#define AUDIO_WORD(symbol, number) case number:
#include "proto/audio.def"
		*ret = (enum audio_word)v;
		return 1;
	default:
		return -EBADMSG;
	}
}

void audio_word_put(struct wr *w, enum audio_word v)
{
	wr_u32le(w, (uint32_t)v);
}

int audio_count_next(struct audio_counts *s, const void *p, size_t n, size_t *at, uint64_t *ret)
{
	struct rd r;
	uint64_t v;

	if (!gather(s->part, &s->n, sizeof s->part, p, n, at))
		return 0;
	r = rd_mem(s->part, sizeof s->part);
	v = rd_u64le(&r);
	if (v < s->last)
		return -EBADMSG;
	*ret = s->last = v;
	return 1;
}

void audio_count_put(struct wr *w, uint64_t taken)
{
	wr_u64le(w, taken);
}

#define U32(f) wr_u32le(w, m->f);
#define AUDIO_MSG(symbol, number, name, who, fields)                       \
	void audio_put_##name(struct wr *w, const struct audio_##name *m)  \
	{                                                                  \
		fields                                                     \
	}
#include "proto/audio.def"
#undef U32

#define U32(f) ret->f = rd_u32le(&payload);
#define AUDIO_MSG(symbol, number, name, who, fields)                          \
	int audio_get_##name(struct rd payload, struct audio_##name *ret)     \
	{                                                                     \
		memset(ret, 0, sizeof *ret);                                  \
		fields                                                        \
		return rd_done(&payload) ? 0 : -EBADMSG;                      \
	}
#include "proto/audio.def"
#undef U32
