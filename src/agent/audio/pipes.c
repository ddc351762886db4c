/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Frames between the sound server's pipes and dom0. The loudspeaker's clock is that of dom0: as much is read from its pipe as dom0 has taken, and when nobody
 * listens as much as time has passed. The microphone's pipe is kept full of silence while nobody records: that a piece of it is taken is how we know.
 */
#include <poll.h>
#include <sys/socket.h>

#include "agent/audio/agent.h"

#define QUIET_MS 500u	   /* nothing was played for so long: dom0 is told */
#define PIECE_MS 20u	   /* of sound that is thrown away, or of silence */
#define DEAF_MS 1000u	   /* the microphone's pipe takes nothing for so long: nobody records */
#define NO_COUNT_MS 2000u  /* a dom0 that has not counted until now never does */
#define HEARD_MS 60u	   /* nothing of dom0 for so long: silence */

static bool linked(const struct agent *a)
{
	return a->stream[PLAY] >= 0 && a->stream[RECORD] >= 0;
}

static void word(struct agent *a, enum audio_word v)
{
	uint8_t b[4];
	struct wr w = wr_mem(b, sizeof b);

	audio_word_put(&w, v);
	/* A dom0 that has not read thousands of words is none. */
	if (linked(a) && send(a->stream[RECORD], b, sizeof b, MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof b)
		link_lost(a);
}

void pipes_link(struct agent *a)
{
	a->from = a->till = 0;
	a->skip = (AUDIO_FRAME - a->phase) % AUDIO_FRAME;
	a->sent = a->taken = a->sent_ms = 0;
	a->counts = (struct audio_counts){ .n = 0 };
	a->counted = a->corked = a->told = false;
	a->rec_n = 0;
}

void pipes_new(struct agent *a)
{
	a->from = a->till = 0;
	/* What was sent of a frame is ended by the next stream only: two channels that have changed places would stay so. */
	if (a->phase && linked(a))
		link_lost(a);
	a->phase = a->skip = a->tail_n = 0;
	a->full_ms = 0;
	a->wants = a->primed = false;
}

/* --- playback --------------------------------------------------------------------------------------------------------------- */

/* How many bytes may be sent now. */
static size_t budget(const struct agent *a, uint64_t now_ms)
{
	uint64_t under_way = a->sent - a->taken;

	if (!a->counted && a->sent && now_ms - a->sent_ms > NO_COUNT_MS)
		return sizeof a->buf;
	return under_way >= LEAD ? 0 : (size_t)(LEAD - under_way);
}

static void read_counts(struct agent *a)
{
	uint8_t b[512];
	ssize_t k;

	while (linked(a) && (k = recv(a->stream[PLAY], b, sizeof b, MSG_DONTWAIT)) != -1) {
		size_t at = 0;
		int r = 0;

		while (k > 0 && (r = audio_count_next(&a->counts, b, (size_t)k, &at, &a->taken)) == 1)
			a->counted = true;
		if (k == 0 || r < 0 || a->taken > a->sent)
			link_lost(a);
	}
	if (linked(a) && errno != EAGAIN && errno != EINTR)
		link_lost(a);
}

/* Gives false when there was nothing. */
static bool read_pipe(struct agent *a, size_t most, uint64_t now_ms)
{
	ssize_t k = read(a->pipe[PLAY], a->buf, MIN(most, sizeof a->buf));

	a->from = a->till = 0;
	if (k == 0)
		server_lost(a);
	if (k <= 0)
		return false;
	a->till = (size_t)k;
	a->phase = (unsigned)((a->phase + (size_t)k) % AUDIO_FRAME);
	a->data_ms = now_ms;
	while (a->skip && a->from < a->till) {
		a->from++;
		a->skip--;
	}
	return true;
}

static void send_some(struct agent *a, uint64_t now_ms)
{
	while (linked(a)) {
		size_t most = budget(a, now_ms);
		ssize_t k;

		if (a->from == a->till && (most == 0 || !read_pipe(a, most, now_ms)))
			return;
		if (a->corked) {
			a->corked = false;
			word(a, AUDIO_UNCORK);
		}
		if (!linked(a) || a->from == a->till)
			continue;
		k = send(a->stream[PLAY], a->buf + a->from, a->till - a->from, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (k < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (k < 0) {
			link_lost(a);
			return;
		}
		if (!a->sent)
			a->sent_ms = now_ms;
		a->sent += (size_t)k;
		a->from += (size_t)k;
	}
}

void play_step(struct agent *a, uint64_t now_ms)
{
	if (linked(a))
		read_counts(a);
	if (a->pipe[PLAY] < 0)
		return;
	if (linked(a)) {
		send_some(a, now_ms);
		if (!a->corked && now_ms - a->data_ms >= QUIET_MS) {
			a->corked = true;
			word(a, AUDIO_CORK);
		}
		return;
	}
	if (now_ms < a->drain_ms)
		return;
	/* As if somebody heard it: a film runs on. */
	if (read_pipe(a, AUDIO_BYTES_MS(PIECE_MS), now_ms))
		a->drain_ms = now_ms + PIECE_MS;
	a->from = a->till;
}

short play_pipe_events(const struct agent *a, uint64_t now_ms)
{
	if (linked(a))
		return a->from == a->till && budget(a, now_ms) ? POLLIN : 0;
	return now_ms >= a->drain_ms ? POLLIN : 0;
}

short play_stream_events(const struct agent *a, uint64_t now_ms)
{
	return (short)(POLLIN | (a->from < a->till ? POLLOUT : 0));
}

static int until(uint64_t at, uint64_t now_ms)
{
	return at <= now_ms ? 0 : (int)(at - now_ms);
}

int play_wait_ms(const struct agent *a, uint64_t now_ms)
{
	if (a->pipe[PLAY] < 0)
		return -1;
	if (!linked(a))
		return now_ms < a->drain_ms ? until(a->drain_ms, now_ms) : -1;
	if (!a->counted && a->sent && budget(a, now_ms) == 0)
		return until(a->sent_ms + NO_COUNT_MS + 1, now_ms);
	return a->corked ? -1 : until(a->data_ms + QUIET_MS, now_ms);
}

/* --- recording ---------------------------------------------------------------------------------------------------------------- */

/* Whole frames to the program that records; what it does not take is dropped. Gives whether it took anything. */
static bool feed(struct agent *a, const uint8_t *p, size_t n)
{
	ssize_t k;

	if (a->tail_n) {
		k = write(a->pipe[RECORD], a->tail + sizeof a->tail - a->tail_n, a->tail_n);
		if (k <= 0)
			return false;
		a->tail_n -= (unsigned)k;
		if (a->tail_n)
			return true;
	}
	k = write(a->pipe[RECORD], p, n);
	if (k <= 0)
		return false;
	a->tail_n = (unsigned)(-(size_t)k % AUDIO_FRAME);
	memcpy(a->tail + sizeof a->tail - a->tail_n, p + k, a->tail_n);
	return true;
}

static void fed(struct agent *a, bool took, uint64_t now_ms)
{
	if (took)
		a->full_ms = 0;
	else if (!a->full_ms)
		a->full_ms = now_ms;
	else if (now_ms - a->full_ms >= DEAF_MS) {
		a->wants = false;
		a->primed = true;
	}
}

static void from_dom0(struct agent *a, uint64_t now_ms)
{
	ssize_t k = recv(a->stream[RECORD], a->rec + a->rec_n, sizeof a->rec - a->rec_n, MSG_DONTWAIT);
	size_t whole;

	if (k < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (k <= 0) {
		link_lost(a);
		return;
	}
	whole = a->rec_n + (size_t)k;
	a->rec_n = whole % AUDIO_FRAME;
	whole -= a->rec_n;
	if (whole && a->wants && a->pipe[RECORD] >= 0) {
		fed(a, feed(a, a->rec, whole), now_ms);
		a->heard_ms = now_ms;
	}
	memmove(a->rec, a->rec + whole, a->rec_n);
}

static const uint8_t silence[4096];

static void look_for_recorder(struct agent *a, uint64_t now_ms)
{
	struct pollfd p = { .fd = a->pipe[RECORD], .events = POLLOUT };

	if (!a->primed) {
		while (feed(a, silence, sizeof silence))
			;
		a->primed = true;
	} else if (poll(&p, 1, 0) == 1 && p.revents & (POLLERR | POLLHUP)) {
		server_lost(a);
	} else if (p.revents & POLLOUT) {
		a->wants = true;
		a->full_ms = 0;
		a->heard_ms = now_ms;
	}
}

void record_step(struct agent *a, uint64_t now_ms)
{
	if (linked(a))
		from_dom0(a, now_ms);
	if (a->pipe[RECORD] >= 0 && !a->wants)
		look_for_recorder(a, now_ms);
	else if (a->pipe[RECORD] >= 0 && now_ms - a->heard_ms >= HEARD_MS) {
		/* A program that records goes on in its time, also where there is no microphone. */
		fed(a, feed(a, silence, AUDIO_BYTES_MS(PIECE_MS)), now_ms);
		a->heard_ms = now_ms - (HEARD_MS - PIECE_MS);
	}
	if (a->wants != a->told && linked(a)) {
		a->told = a->wants;
		word(a, a->wants ? AUDIO_INPUT_ON : AUDIO_INPUT_OFF);
	}
}

short record_pipe_events(const struct agent *a)
{
	return a->wants ? 0 : POLLOUT;
}

int record_wait_ms(const struct agent *a, uint64_t now_ms)
{
	return a->pipe[RECORD] >= 0 && a->wants ? until(a->heard_ms + HEARD_MS, now_ms) : -1;
}
