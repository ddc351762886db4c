/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames in, frames out, and who may hear whom. */
#include "gui/audiod/sound.h"

#include <sys/socket.h>

#define WORDS_CHUNK 256u /* a qube that floods us with words costs one read and one change in SOUND_CALM_MS */

static void end(struct sound *s, enum sound_end code)
{
	if (s->ended < 0)
		s->ended = code;
}

static void tell(struct sound *s)
{
	uint32_t flags = (s->running ? AUDIO_S_PLAYING : 0) | (s->wants ? AUDIO_S_WANTS_MIC : 0) | (s->recording ? AUDIO_S_RECORDING : 0);

	if (flags == s->told)
		return;
	s->told = flags;
	s->ops->state(flags, s->arg);
}

void sound_init(struct sound *s, int play_fd, int record_fd, const struct sound_ops *ops, void *arg)
{
	memset(s, 0, sizeof *s);
	s->ops = ops;
	s->arg = arg;
	s->play_fd = play_fd;
	s->record_fd = record_fd;
	s->ended = -1;
	s->dry = true;
}

/* --- playback ---------------------------------------------------------------------------------------------------------- */

/* What is not taken at once is told later, with a greater count; a count that was begun is ended first. */
static void send_count(struct sound *s)
{
	struct wr w = wr_mem(s->count, sizeof s->count);
	ssize_t k;

	if (!s->n_count) {
		audio_count_put(&w, s->taken);
		s->n_count = sizeof s->count;
	}
	k = send(s->play_fd, s->count + sizeof s->count - s->n_count, s->n_count, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (k > 0)
		s->n_count -= (unsigned)k;
	else if (s->n_count == sizeof s->count)
		s->n_count = 0;
}

static void wake(struct sound *s, uint64_t now_ms)
{
	s->dry = s->flushed = false;
	s->data_ms = now_ms;
	if (s->running)
		return;
	s->running = true;
	s->run_ms = now_ms;
	s->ops->run(true, s->arg);
}

bool sound_play(struct sound *s, uint64_t now_ms)
{
	size_t room = s->ops->room(s->arg), whole;
	ssize_t k;

	room -= room % AUDIO_FRAME;
	if (room == 0 || s->ended >= 0)
		return s->ended >= 0;
	k = recv(s->play_fd, s->chunk + s->n_chunk, MIN(room, sizeof s->chunk) - s->n_chunk, MSG_DONTWAIT);
	if (k < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (k <= 0) {
		end(s, SOUND_END_STREAM);
		return true;
	}
	s->taken += (size_t)k;
	whole = s->n_chunk + (size_t)k;
	s->n_chunk = (unsigned)(whole % AUDIO_FRAME);
	whole -= s->n_chunk;
	if (whole) {
		s->ops->play(s->chunk, whole, s->arg);
		memmove(s->chunk, s->chunk + whole, s->n_chunk);
		wake(s, now_ms);
	}
	send_count(s);
	tell(s);
	return true;
}

void sound_dry(struct sound *s, uint64_t now_ms)
{
	if (s->dry)
		return;
	s->dry = true;
	s->dry_ms = now_ms;
}

/* When the stream may sleep; 0 = not as things are. */
static uint64_t sleep_at(const struct sound *s)
{
	if (!s->running || !s->dry)
		return 0;
	return s->cork ? s->run_ms + SOUND_CALM_MS : s->dry_ms + SOUND_IDLE_MS;
}

static uint64_t flush_at(const struct sound *s)
{
	return s->running && !s->dry && !s->flushed ? s->data_ms + SOUND_FLUSH_MS : 0;
}

/* --- the microphone ---------------------------------------------------------------------------------------------------- */

static uint64_t record_at(const struct sound *s)
{
	if (s->recording == (s->mic && s->wants))
		return 0;
	/* Off is at once. */
	return s->recording || !s->record_ms ? 1 : s->record_ms + SOUND_CALM_MS;
}

static void record(struct sound *s, bool on, uint64_t now_ms)
{
	s->recording = on;
	s->record_ms = now_ms;
	s->ops->record(on, s->arg);
}

void sound_words(struct sound *s, uint64_t now_ms)
{
	uint8_t buf[WORDS_CHUNK];
	ssize_t k = recv(s->record_fd, buf, sizeof buf, MSG_DONTWAIT);
	enum audio_word v;
	size_t at = 0;
	int r;

	if (k < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (k <= 0) {
		end(s, SOUND_END_STREAM);
		return;
	}
	while ((r = audio_words_next(&s->words, buf, (size_t)k, &at, &v)) == 1) {
		switch (v) {
		case AUDIO_INPUT_OFF: s->wants = false; break;
		case AUDIO_INPUT_ON: s->wants = true; break;
		case AUDIO_CORK: s->cork = true; break;
		case AUDIO_UNCORK: s->cork = false; break;
		}
	}
	if (r < 0)
		end(s, SOUND_END_BROKEN);
	sound_tick(s, now_ms);
}

static ssize_t give(struct sound *s, const void *p, size_t n)
{
	ssize_t k = send(s->record_fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (k < 0 && errno != EAGAIN && errno != EINTR)
		end(s, SOUND_END_STREAM);
	return k < 0 ? 0 : k;
}

void sound_captured(struct sound *s, const void *p, size_t n)
{
	const uint8_t *b = p;
	size_t k;

	if (!s->recording || s->ended >= 0)
		return;
	n -= n % AUDIO_FRAME;
	if (s->n_tail)
		s->n_tail -= (unsigned)give(s, s->tail + sizeof s->tail - s->n_tail, s->n_tail);
	k = s->n_tail || !n ? 0 : (size_t)give(s, b, n);
	if (k % AUDIO_FRAME) {
		/* Only whole frames are left out, or left and right would change places. */
		s->n_tail = AUDIO_FRAME - (unsigned)(k % AUDIO_FRAME);
		memcpy(s->tail + sizeof s->tail - s->n_tail, b + k, s->n_tail);
		k += s->n_tail;
	}
	s->dropped += n - k;
}

/* --- both -------------------------------------------------------------------------------------------------------------- */

void sound_set(struct sound *s, const struct audio_set *m, uint64_t now_ms)
{
	s->mic = m->flags & AUDIO_F_MIC;
	s->ops->level(m->volume == AUDIO_KEEP ? AUDIO_KEEP : MIN(m->volume, AUDIO_VOLUME_MAX), m->flags & AUDIO_F_MUTE ? SOUND_MUTE : m->flags & AUDIO_F_LOUD ? SOUND_LOUD : SOUND_KEEP,
		      s->arg);
	sound_tick(s, now_ms);
}

void sound_tick(struct sound *s, uint64_t now_ms)
{
	uint64_t at = sleep_at(s);

	if (s->ended >= 0)
		return;
	if (at && now_ms >= at) {
		s->running = false;
		s->ops->run(false, s->arg);
	}
	at = flush_at(s);
	if (at && now_ms >= at) {
		s->flushed = true;
		s->ops->flush(s->arg);
	}
	at = record_at(s);
	if (at && now_ms >= at)
		record(s, !s->recording, now_ms);
	tell(s);
}

int sound_wait_ms(const struct sound *s, uint64_t now_ms)
{
	const uint64_t at[] = { sleep_at(s), flush_at(s), record_at(s) };
	uint64_t first = UINT64_MAX;

	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		if (at[i])
			first = MIN(first, at[i]);
	if (first == UINT64_MAX)
		return -1;
	return first <= now_ms ? 0 : (int)MIN(first - now_ms, (uint64_t)60000);
}

