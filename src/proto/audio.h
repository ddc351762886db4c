/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The wire formats of sound: raw frames, the control words of a qube's agent, the running count that the host answers with, and the messages between
 * bulkhead-desktop and audiod (audio.def). Pure functions. Nothing here looks at samples.
 */
#ifndef PROTO_AUDIO_H
#define PROTO_AUDIO_H

#include "base/rd.h"
#include "base/wr.h"

/* Signed 16 bit, little-endian, left and right in turn; no header, no framing. */
#define AUDIO_RATE 44100u
#define AUDIO_CHANNELS 2u
#define AUDIO_FRAME 4u
#define AUDIO_BYTES_MS(ms) ((size_t)(ms) * AUDIO_RATE / 1000u * AUDIO_FRAME)

#define AUDIO_VOLUME_MAX 150u
#define AUDIO_KEEP UINT32_MAX
#define AUDIO_F_MUTE 1u
#define AUDIO_F_LOUD 4u	     /* it is not to be mute, whatever the mixer remembers */
#define AUDIO_F_MIC 2u	     /* the microphone is attached to the qube */
#define AUDIO_S_PLAYING 1u   /* its stream runs */
#define AUDIO_S_WANTS_MIC 2u /* a program of it records, whatever it gets */
#define AUDIO_S_RECORDING 4u /* it is given what the microphone hears */

#define AUDIO_FROM_DESKTOP 1u
#define AUDIO_FROM_AUDIOD 2u

enum audio_word {
#define AUDIO_WORD(symbol, number) AUDIO_##symbol = (number),
#include "proto/audio.def"
};

/*
 * Words come in pieces of any length. audio_words_next takes bytes of [p, p + n) from *at on and gives 1 with a word, 0 when all were taken, -EBADMSG for
 * one that there is not (the peer is then cut off). Start with a zeroed struct.
 */
struct audio_words {
	uint8_t part[4];
	unsigned n;
};
int audio_words_next(struct audio_words *s, const void *p, size_t n, size_t *at, enum audio_word *ret) _must_check_;
void audio_word_put(struct wr *w, enum audio_word v);

/*
 * Credit, our own: on port 4713 the host sends the number of bytes that it has taken since the stream began, 8 bytes each, so that our agent keeps little
 * under way. A foreign agent never reads them, and a foreign host never sends them. audio_count_next is audio_words_next for such counts; one that is
 * smaller than the one before is -EBADMSG.
 */
#define AUDIO_COUNT_LEN 8u
struct audio_counts {
	uint8_t part[AUDIO_COUNT_LEN];
	unsigned n;
	uint64_t last;
};
int audio_count_next(struct audio_counts *s, const void *p, size_t n, size_t *at, uint64_t *ret) _must_check_;
void audio_count_put(struct wr *w, uint64_t taken);

enum audio_msg {
#define AUDIO_MSG(symbol, number, name, who, fields) AUDIO_MSG_##symbol = (number),
#include "proto/audio.def"
};

#define U32(f) uint32_t f;
#define AUDIO_MSG(symbol, number, name, who, fields) \
	struct audio_##name { fields };
#include "proto/audio.def"
#undef U32

/* audio_put_NAME appends the payload; audio_get_NAME decodes exactly one: 0 or -EBADMSG. Values are the reader's to check. */
#define AUDIO_MSG(symbol, number, name, who, fields)                           \
	void audio_put_##name(struct wr *w, const struct audio_##name *m);     \
	int audio_get_##name(struct rd payload, struct audio_##name *ret) _must_check_;
#include "proto/audio.def"

#endif
