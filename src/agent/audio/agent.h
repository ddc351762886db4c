/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qubes-audio: the sound of a qube, from its sound server to dom0 (docs/audio.md §4). A program of the qube's user without rights. server.c has the sound
 * server make a loudspeaker and a microphone of two pipes; pipes.c moves frames; main.c listens for dom0 and waits.
 */
#ifndef AGENT_AUDIO_AGENT_H
#define AGENT_AUDIO_AGENT_H

#include "base/proc.h"
#include "chan/chan.h"
#include "proto/audio.h"

#define LEAD AUDIO_BYTES_MS(90) /* under way to dom0 at most, where it says what it has taken */
#define SERVERS_MAX 3		/* programs that make up a sound server */

enum { PLAY, RECORD, N_WAYS };

struct agent {
	char dir[100], path[N_WAYS][128];
	bool no_server; /* none is started */

	/* sound server; pipe -1: none yet */
	int pipe[N_WAYS];
	struct proc watch; /* ends with the sound server */
	struct proc servers[SERVERS_MAX];
	uint64_t server_at_ms; /* next look */
	unsigned server_tries;

	/* dom0; stream -1: not there */
	struct chan_req *req[N_WAYS];
	int stream[N_WAYS];
	uint64_t link_at_ms;
	unsigned link_tries;

	/* playback */
	uint8_t buf[4096];
	size_t from, till;   /* read from the pipe and not sent */
	unsigned phase;	     /* bytes of a frame that the pipe has begun */
	unsigned skip;	     /* to be left out before a new stream's first frame */
	uint64_t sent, taken, sent_ms; /* bytes of this stream; sent_ms: when the first was */
	struct audio_counts counts;
	bool counted;	     /* dom0 tells what it has taken */
	bool corked;	     /* dom0 was told so */
	uint64_t data_ms;    /* when something was played last */
	uint64_t drain_ms;   /* nobody listens: the next piece is thrown away */

	/* recording */
	uint8_t rec[4096];
	size_t rec_n;	     /* bytes of a frame that dom0 has not sent whole */
	uint8_t tail[AUDIO_FRAME];
	unsigned tail_n;     /* the rest of a frame that the pipe has not taken, at its end */
	bool primed;	     /* the pipe is full of silence */
	bool wants, told;    /* a program records; dom0 knows */
	uint64_t full_ms;    /* since when the pipe takes nothing, 0 = it does */
	uint64_t heard_ms;   /* when something came from dom0, or silence in its place */
};

/* --- server.c --- */

/* server_step brings loudspeaker and microphone up, or takes notice that they have gone. Gives how long until the next look, -1 = when the watch ends. */
int server_step(struct agent *a, uint64_t now_ms);
/* server_lost: somebody has taken the pipes from the sound server. */
void server_lost(struct agent *a);
void server_end(struct agent *a);

/* --- pipes.c --- */

void play_step(struct agent *a, uint64_t now_ms);
/* play_events: what the pipe and the stream are to be watched for. play_wait_ms: when to call play_step all the same, -1 = never. */
short play_pipe_events(const struct agent *a, uint64_t now_ms);
short play_stream_events(const struct agent *a, uint64_t now_ms);
int play_wait_ms(const struct agent *a, uint64_t now_ms);
void record_step(struct agent *a, uint64_t now_ms);
short record_pipe_events(const struct agent *a);
int record_wait_ms(const struct agent *a, uint64_t now_ms);
/* pipes_link: dom0 has come (both streams) or gone; pipes_new: the sound server has come. */
void pipes_link(struct agent *a);
void pipes_new(struct agent *a);

/* --- main.c --- */

void link_lost(struct agent *a);

#endif
