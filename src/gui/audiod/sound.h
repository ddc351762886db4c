/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The sound of one qube without any sound server: moves frames between the qube's two streams and whatever the ops are, never looks at a sample, keeps at
 * most one chunk in memory, and decides when the playback stream runs and whether the microphone is open. No clock and no loop of its own.
 */
#ifndef GUI_AUDIOD_SOUND_H
#define GUI_AUDIOD_SOUND_H

#include "proto/audio.h"

#define SOUND_CHUNK 8192u     /* bytes that are moved at once, whole frames */
#define SOUND_CALM_MS 250u    /* the qube's wishes are followed at most so often: each costs a stream of the sound server */
#define SOUND_FLUSH_MS 100u
#define SOUND_IDLE_MS 3000u   /* a stream that has played all and gets nothing more sleeps after this, also when the qube does not say so */

/* Exit codes of audiod. */
enum sound_end { SOUND_END_STREAM = 0, SOUND_END_BROKEN = 3, SOUND_END_SERVER = 4 };

enum sound_mute { SOUND_LOUD, SOUND_MUTE, SOUND_KEEP };

struct sound_ops {
	size_t (*room)(void *arg);				 /* bytes that the playback stream takes now; 0 = it will call sound_play again */
	void (*play)(const void *p, size_t n, void *arg);	 /* n: whole frames, at most what room said */
	void (*flush)(void *arg);				 /* nothing followed for a while: what was played is to be heard, however little it is */
	void (*run)(bool on, void *arg);			 /* wakes the playback stream, or has it sleep */
	void (*record)(bool on, void *arg);			 /* opens or closes the microphone; sound_captured follows */
	/* percent: AUDIO_KEEP = as it is; mute: SOUND_KEEP = as the mixer has it */
	void (*level)(uint32_t percent, enum sound_mute mute, void *arg);
	void (*state)(uint32_t flags, void *arg);		 /* AUDIO_S_*, whenever they change */
};

struct sound {
	const struct sound_ops *ops;
	void *arg;
	int play_fd, record_fd; /* non-blocking; borrowed */
	int ended;		/* -1 = lives, else enum sound_end */

	uint8_t chunk[SOUND_CHUNK];
	unsigned n_chunk;	 /* bytes of a frame that has not come whole, at its beginning */
	uint64_t taken;		 /* bytes of the playback stream so far */
	uint8_t count[AUDIO_COUNT_LEN];
	unsigned n_count;	 /* bytes of a count that are still to be sent, at its end */
	bool running;		 /* the playback stream */
	bool dry;		 /* it has played all that there was */
	bool cork;		 /* the qube said that nothing follows */
	bool flushed;
	uint64_t dry_ms, run_ms, data_ms;

	struct audio_words words;
	uint8_t tail[AUDIO_FRAME];
	unsigned n_tail;	 /* the rest of a captured frame that the qube has not taken, at its end */
	bool mic, wants;	 /* the owner allows it, the qube asks for it */
	bool recording;
	uint64_t record_ms;	 /* when recording changed last */
	uint32_t told;		 /* last flags given to state() */
	uint64_t dropped;	 /* captured bytes that the qube did not take in time */
};

/* sound_init: both descriptors are the caller's. Nothing runs, the microphone is off. */
void sound_init(struct sound *s, int play_fd, int record_fd, const struct sound_ops *ops, void *arg);
/* sound_play moves what the stream has and the server takes; when the stream is readable, or there is room again. Gives false while there is no room: the
   stream need not be watched then. */
bool sound_play(struct sound *s, uint64_t now_ms);
/* sound_dry: everything that was played has been heard. */
void sound_dry(struct sound *s, uint64_t now_ms);
/* sound_words reads the qube's words; when the record stream is readable. */
void sound_words(struct sound *s, uint64_t now_ms);
/* sound_captured gives bytes of the microphone (whole frames) to the qube if it may hear them; what it does not take at once is dropped. */
void sound_captured(struct sound *s, const void *p, size_t n);
/* sound_set is what the owner wants; values out of range are brought into it. */
void sound_set(struct sound *s, const struct audio_set *m, uint64_t now_ms);
/* sound_tick does what is due; sound_wait_ms gives when to call it next, -1 = not because of time. */
void sound_tick(struct sound *s, uint64_t now_ms);
int sound_wait_ms(const struct sound *s, uint64_t now_ms);

#endif
