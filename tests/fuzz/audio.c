/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A qube against audiod: the first byte of each piece says what it is, the second its length. Left and right never change places, no microphone without leave. */
#include <sys/socket.h>

#include "base/io.h"
#include "gui/audiod/sound.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t room;
static uint64_t sent, played;
static bool mic, open_mic;

static size_t op_room(void *arg)
{
	return room;
}

static void op_play(const void *p, size_t n, void *arg)
{
	if (n % AUDIO_FRAME || n > room || n == 0)
		abort();
	played += n;
	room -= n;
	if (played > sent)
		abort();
}

static void op_none(void *arg)
{
}

static void op_bool(bool on, void *arg)
{
}

static void op_record(bool on, void *arg)
{
	if (on == open_mic || (on && !mic))
		abort();
	open_mic = on;
}

static void op_level(uint32_t percent, enum sound_mute mute, void *arg)
{
	if (percent != AUDIO_KEEP && percent > AUDIO_VOLUME_MAX)
		abort();
}

static void op_state(uint32_t flags, void *arg)
{
	if (!(flags & AUDIO_S_RECORDING) != !open_mic)
		abort();
}

static const struct sound_ops ops = { op_room, op_play, op_none, op_bool, op_record, op_level, op_state };

static void one(struct sound *s, int play, int record, uint8_t what, const uint8_t *p, size_t n, uint64_t now)
{
	struct audio_set set;
	uint8_t sink[512];

	switch (what % 7) {
	case 0:
		if (send(play, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n)
			sent += n;
		(void)sound_play(s, now);
		break;
	case 1:
		(void)!send(record, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		sound_words(s, now);
		break;
	case 2:
		sound_captured(s, p, n);
		break;
	case 3:
		if (audio_get_set(rd_mem(p, n), &set) < 0)
			break;
		mic = set.flags & AUDIO_F_MIC;
		sound_set(s, &set, now);
		if (open_mic && !mic)
			abort();
		break;
	case 4:
		room = n * 16;
		(void)sound_play(s, now);
		break;
	case 5:
		sound_dry(s, now);
		sound_tick(s, now + n * 64);
		break;
	case 6:
		(void)!recv(record, sink, sizeof sink, MSG_DONTWAIT);
		(void)!recv(play, sink, sizeof sink, MSG_DONTWAIT);
		break;
	default:
		break;
	}
	if (s->n_chunk >= AUDIO_FRAME || s->n_tail >= AUDIO_FRAME || sound_wait_ms(s, now) < -1)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct audio_counts counts = { 0 };
	int play[2], record[2];
	struct sound s;
	uint64_t now = 1, v, before = 0;
	size_t at = 0;

	while (audio_count_next(&counts, data, size, &at, &v) == 1) {
		if (v < before)
			abort();
		before = v;
	}
	if (unix_pair(SOCK_STREAM, play) < 0 || unix_pair(SOCK_STREAM, record) < 0)
		abort();
	room = 4096;
	sent = played = 0;
	mic = open_mic = false;
	sound_init(&s, play[1], record[1], &ops, NULL);
	while (size >= 2 && s.ended < 0) {
		size_t n = MIN((size_t)data[1], size - 2);

		one(&s, play[0], record[0], data[0], data + 2, n, now += 40);
		data += 2 + n;
		size -= 2 + n;
	}
	for (int i = 0; i < 2; i++) {
		close(play[i]);
		close(record[i]);
	}
	return 0;
}
