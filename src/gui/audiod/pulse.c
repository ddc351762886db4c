/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One playback stream for the life of the process, one record stream while the microphone is open. Both have buffers of a fixed length in the server; the
 * server's loop of callbacks is driven by hand, so that the clock of sound.c is in one place.
 */
#include "gui/audiod/pulse.h"

#include <pulse/pulseaudio.h>

#include "base/io.h"
#include "base/log.h"
#include "base/msg.h"
#include "base/str.h"

#define CONNECT_MS 10000u
#define PLAY_MS 100u	/* what the server keeps of the qube's sound */
#define START_MS 40u	/* and how much of it before it begins */
#define RECORD_MS 25u	/* pieces that the microphone's sound comes in */

struct pulse {
	struct sound s;
	pa_mainloop *loop;
	pa_mainloop_api *api;
	pa_context *ctx;
	pa_stream *play, *record;
	pa_io_event *play_io, *record_io, *control_io;
	int control_fd;
	bool have_level; /* of the playback stream: to be set when it is there, or wanted otherwise */
	uint32_t percent;
	enum sound_mute mute;
};

static uint64_t now_ms(void)
{
	return now_us() / 1000;
}

static void lost(struct pulse *p, const char *what)
{
	/* Before there is a stream the start says it. */
	if (p->s.ended < 0 && p->play_io)
		log_warn("%s: %s", what, pa_strerror(pa_context_errno(p->ctx)));
	p->s.ended = p->s.ended < 0 ? SOUND_END_SERVER : p->s.ended;
}

static void forget(pa_operation *o)
{
	if (o)
		pa_operation_unref(o);
}

/* --- what sound.c asks for --------------------------------------------------------------------------------------------------- */

static size_t op_room(void *arg)
{
	struct pulse *p = arg;
	size_t n = pa_stream_writable_size(p->play);

	return n == (size_t)-1 ? 0 : n;
}

static void op_play(const void *b, size_t n, void *arg)
{
	struct pulse *p = arg;

	if (pa_stream_write(p->play, b, n, NULL, 0, PA_SEEK_RELATIVE) < 0)
		lost(p, "playback");
}

static void op_flush(void *arg)
{
	forget(pa_stream_trigger(((struct pulse *)arg)->play, NULL, NULL));
}

static void op_run(bool on, void *arg)
{
	forget(pa_stream_cork(((struct pulse *)arg)->play, !on, NULL, NULL));
}

static void op_level(uint32_t percent, enum sound_mute mute, void *arg)
{
	struct pulse *p = arg;
	uint32_t index = pa_stream_get_index(p->play);
	pa_cvolume v;

	/* Nothing was ever asked for: the sound server's own memory of this qube's stream counts. */
	if (percent != AUDIO_KEEP && (!p->have_level || percent != p->percent)) {
		pa_cvolume_set(&v, AUDIO_CHANNELS, (pa_volume_t)((uint64_t)PA_VOLUME_NORM * percent / 100));
		forget(pa_context_set_sink_input_volume(p->ctx, index, &v, NULL, NULL));
	}
	/* What we have muted is heard again when nobody wants it mute any more. */
	if (mute == SOUND_KEEP && p->mute == SOUND_MUTE)
		mute = SOUND_LOUD;
	if (mute != p->mute && mute != SOUND_KEEP)
		forget(pa_context_set_sink_input_mute(p->ctx, index, mute == SOUND_MUTE, NULL, NULL));
	p->have_level = percent != AUDIO_KEEP;
	p->percent = percent;
	p->mute = mute;
}

static void op_state(uint32_t flags, void *arg)
{
	struct pulse *p = arg;
	struct audio_state m = { .flags = flags };
	uint8_t buf[32];
	struct wr w = wr_mem(buf, sizeof buf);

	audio_put_state(&w, &m);
	if (p->control_fd >= 0)
		(void)msg_send(p->control_fd, AUDIO_MSG_STATE, 0, 0, &w, NULL, 0);
}

/* --- the microphone ------------------------------------------------------------------------------------------------------------ */

static void on_captured(pa_stream *st, size_t n, void *arg)
{
	struct pulse *p = arg;
	const void *b;

	while (pa_stream_readable_size(st) > 0) {
		if (pa_stream_peek(st, &b, &n) < 0 || n == 0)
			return;
		/* A hole in the buffer has no bytes. */
		if (b)
			sound_captured(&p->s, b, n);
		(void)pa_stream_drop(st);
	}
}

static void on_record_state(pa_stream *st, void *arg)
{
	if (pa_stream_get_state(st) == PA_STREAM_FAILED)
		log_warn("there is no microphone: %s", pa_strerror(pa_context_errno(((struct pulse *)arg)->ctx)));
}

static const pa_sample_spec spec = { .format = PA_SAMPLE_S16LE, .rate = AUDIO_RATE, .channels = AUDIO_CHANNELS };

static void close_record(struct pulse *p)
{
	if (!p->record)
		return;
	pa_stream_set_read_callback(p->record, NULL, NULL);
	pa_stream_set_state_callback(p->record, NULL, NULL);
	(void)pa_stream_disconnect(p->record);
	pa_stream_unref(p->record);
	p->record = NULL;
}

static void op_record(bool on, void *arg)
{
	struct pulse *p = arg;
	const pa_buffer_attr attr = { .maxlength = (uint32_t)AUDIO_BYTES_MS(4 * RECORD_MS), .tlength = UINT32_MAX, .prebuf = UINT32_MAX, .minreq = UINT32_MAX,
				      .fragsize = (uint32_t)AUDIO_BYTES_MS(RECORD_MS) };

	log_info("the microphone is %s", on ? "open" : "closed");
	close_record(p);
	if (!on)
		return;
	p->record = pa_stream_new(p->ctx, "microphone", &spec, NULL);
	if (!p->record) {
		lost(p, "microphone");
		return;
	}
	pa_stream_set_read_callback(p->record, on_captured, p);
	pa_stream_set_state_callback(p->record, on_record_state, p);
	if (pa_stream_connect_record(p->record, NULL, &attr, PA_STREAM_ADJUST_LATENCY) < 0)
		log_warn("there is no microphone: %s", pa_strerror(pa_context_errno(p->ctx)));
}

static const struct sound_ops ops = { op_room, op_play, op_flush, op_run, op_record, op_level, op_state };

/* --- what comes ---------------------------------------------------------------------------------------------------------------- */

static void play_some(struct pulse *p)
{
	bool more = sound_play(&p->s, now_ms());

	p->api->io_enable(p->play_io, more ? PA_IO_EVENT_INPUT : PA_IO_EVENT_NULL);
}

static void on_play_io(pa_mainloop_api *api, pa_io_event *io, int fd, pa_io_event_flags_t f, void *arg)
{
	play_some(arg);
}

static void on_room(pa_stream *st, size_t n, void *arg)
{
	struct pulse *p = arg;

	if (p->play_io)
		play_some(p);
}

static void on_underflow(pa_stream *st, void *arg)
{
	sound_dry(&((struct pulse *)arg)->s, now_ms());
}

static void on_record_io(pa_mainloop_api *api, pa_io_event *io, int fd, pa_io_event_flags_t f, void *arg)
{
	sound_words(&((struct pulse *)arg)->s, now_ms());
}

static void on_control(pa_mainloop_api *api, pa_io_event *io, int fd, pa_io_event_flags_t f, void *arg)
{
	struct pulse *p = arg;
	_cleanup_msg_ struct msg m = { 0 };
	struct audio_set set;
	int r = msg_recv(fd, &m);

	if (r == -EAGAIN)
		return;
	if (r == 1 && m.type == AUDIO_MSG_SET && audio_get_set(msg_rd(&m), &set) == 0) {
		sound_set(&p->s, &set, now_ms());
		return;
	}
	if (r != 0)
		log_error("a message of bulkhead-desktop is not understood");
	/* The session is over; without it nobody could close the microphone. */
	p->s.ended = p->s.ended < 0 ? SOUND_END_STREAM : p->s.ended;
}

static void on_context(pa_context *c, void *arg)
{
	pa_context_state_t st = pa_context_get_state(c);

	if (st == PA_CONTEXT_FAILED || st == PA_CONTEXT_TERMINATED)
		lost(arg, "sound server");
}

static void on_play_state(pa_stream *st, void *arg)
{
	pa_stream_state_t s = pa_stream_get_state(st);

	if (s == PA_STREAM_FAILED || s == PA_STREAM_TERMINATED)
		lost(arg, "playback");
}

/* One turn: what is due, then at most wait_ms of waiting. */
static void turn(struct pulse *p, int wait_ms)
{
	if (pa_mainloop_prepare(p->loop, wait_ms < 0 ? -1 : wait_ms * 1000) < 0 || pa_mainloop_poll(p->loop) < 0 || pa_mainloop_dispatch(p->loop) < 0)
		lost(p, "event loop");
}

/* --- start and end --------------------------------------------------------------------------------------------------------------- */

static int wait_for(struct pulse *p, bool (*ready)(struct pulse *p), uint64_t until, const char *what, struct err *e)
{
	while (!ready(p)) {
		uint64_t now = now_ms();

		if (p->s.ended >= 0)
			return err_set(e, ENOTCONN, "no %s: %s", what, pa_strerror(pa_context_errno(p->ctx)));
		if (now >= until)
			return err_set(e, ENOTCONN, "no %s within %u s", what, CONNECT_MS / 1000);
		turn(p, (int)(until - now));
	}
	return 0;
}

static bool context_ready(struct pulse *p)
{
	return pa_context_get_state(p->ctx) == PA_CONTEXT_READY;
}

static bool play_ready(struct pulse *p)
{
	return pa_stream_get_state(p->play) == PA_STREAM_READY;
}

static int connect_context(struct pulse *p, const char *name, const char *icon, uint64_t until, struct err *e)
{
	_cleanup_free_ char *id = xasprintf("bulkhead.%s", name);
	pa_proplist *props = pa_proplist_new();
	int r = 0;

	if (!props)
		return err_set(e, ENOMEM, "no memory");
	/* The mixer shows the qube's name, and remembers its volume by this id. */
	pa_proplist_sets(props, PA_PROP_APPLICATION_NAME, name);
	pa_proplist_sets(props, PA_PROP_APPLICATION_ID, id);
	if (icon[0])
		pa_proplist_sets(props, PA_PROP_APPLICATION_ICON_NAME, icon);
	p->ctx = pa_context_new_with_proplist(p->api, name, props);
	pa_proplist_free(props);
	if (!p->ctx)
		return err_set(e, ENOMEM, "no memory");
	pa_context_set_state_callback(p->ctx, on_context, p);
	if (pa_context_connect(p->ctx, NULL, PA_CONTEXT_NOAUTOSPAWN, NULL) < 0)
		r = err_set(e, ENOTCONN, "no sound server: %s", pa_strerror(pa_context_errno(p->ctx)));
	return r < 0 ? r : wait_for(p, context_ready, until, "sound server", e);
}

static int connect_play(struct pulse *p, const char *name, uint64_t until, struct err *e)
{
	const pa_buffer_attr attr = { .maxlength = (uint32_t)AUDIO_BYTES_MS(2 * PLAY_MS), .tlength = (uint32_t)AUDIO_BYTES_MS(PLAY_MS),
				      .prebuf = (uint32_t)AUDIO_BYTES_MS(START_MS), .minreq = UINT32_MAX, .fragsize = UINT32_MAX };

	p->play = pa_stream_new(p->ctx, name, &spec, NULL);
	if (!p->play)
		return err_set(e, ENOMEM, "no stream: %s", pa_strerror(pa_context_errno(p->ctx)));
	pa_stream_set_state_callback(p->play, on_play_state, p);
	pa_stream_set_write_callback(p->play, on_room, p);
	pa_stream_set_underflow_callback(p->play, on_underflow, p);
	if (pa_stream_connect_playback(p->play, NULL, &attr, PA_STREAM_START_CORKED | PA_STREAM_ADJUST_LATENCY, NULL, NULL) < 0)
		return err_set(e, ENOTCONN, "no stream: %s", pa_strerror(pa_context_errno(p->ctx)));
	return wait_for(p, play_ready, until, "stream for playback", e);
}

int pulse_open(struct pulse **ret, const char *name, const char *icon, int play_fd, int record_fd, int control_fd, struct err *e)
{
	struct pulse *p = xcalloc(1, sizeof *p);
	uint64_t until = now_ms() + CONNECT_MS;
	int r = 0;

	*ret = p;
	p->control_fd = control_fd;
	p->mute = SOUND_KEEP;
	sound_init(&p->s, play_fd, record_fd, &ops, p);
	p->loop = pa_mainloop_new();
	if (!p->loop)
		return err_set(e, ENOMEM, "no memory");
	p->api = pa_mainloop_get_api(p->loop);
	r = connect_context(p, name, icon, until, e);
	if (r == 0)
		r = connect_play(p, name, until, e);
	if (r < 0)
		return r;
	p->play_io = p->api->io_new(p->api, play_fd, PA_IO_EVENT_INPUT, on_play_io, p);
	p->record_io = p->api->io_new(p->api, record_fd, PA_IO_EVENT_INPUT, on_record_io, p);
	if (control_fd >= 0)
		p->control_io = p->api->io_new(p->api, control_fd, PA_IO_EVENT_INPUT, on_control, p);
	return p->play_io && p->record_io ? 0 : err_set(e, EINVAL, "the streams of the qube cannot be watched");
}

int pulse_run(struct pulse *p)
{
	while (p->s.ended < 0) {
		sound_tick(&p->s, now_ms());
		turn(p, sound_wait_ms(&p->s, now_ms()));
	}
	return p->s.ended;
}

void pulse_free(struct pulse *p)
{
	pa_io_event *io[3];

	if (!p)
		return;
	io[0] = p->play_io;
	io[1] = p->record_io;
	io[2] = p->control_io;
	for (size_t i = 0; i < ARRAY_SIZE(io); i++)
		if (io[i])
			p->api->io_free(io[i]);
	close_record(p);
	if (p->play) {
		pa_stream_set_state_callback(p->play, NULL, NULL);
		pa_stream_set_write_callback(p->play, NULL, NULL);
		pa_stream_set_underflow_callback(p->play, NULL, NULL);
		(void)pa_stream_disconnect(p->play);
		pa_stream_unref(p->play);
	}
	if (p->ctx) {
		pa_context_set_state_callback(p->ctx, NULL, NULL);
		pa_context_disconnect(p->ctx);
		pa_context_unref(p->ctx);
	}
	if (p->loop)
		pa_mainloop_free(p->loop);
	free(p);
}
