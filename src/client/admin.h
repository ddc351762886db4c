/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Client of the Admin API (specs/admin-api.md §1): one connection a call, request framing, parsing of answers, exceptions
 * and event streams. Source of every call is dom0. The socket is that of paths_init. Nothing here prints.
 *
 * Codes: 0 success; -errno; -ADM_*: no daemon, no answer, or an exception of the daemon (text in struct err).
 */
#ifndef CLIENT_ADMIN_H
#define CLIENT_ADMIN_H

#include "base/err.h"
#include "base/rd.h"
#include "base/wr.h"

enum adm_code {
	ADM_NO_DAEMON = ERR_DOMAIN_BASE, /* nobody listens; the text says how to start it */
	ADM_NO_ANSWER,			 /* closed without a byte: refused framing, or an internal error of the daemon */
	ADM_BAD_ANSWER,			 /* the answer is not of the protocol */
	ADM_EXC_BASE,
#define EXC(symbol, name) ADM_EXC_##symbol,
#include "client/exceptions.def"
#undef EXC
	ADM_EXC_END
};

#define ADM_REQUEST_MAX 65536		 /* header and payload together */
#define ADM_ANSWER_MAX (16u * 1024 * 1024) /* more is refused */

struct adm_reply {
	char *data; /* answer bytes, NUL added behind; caller frees (adm_reply_fini) */
	size_t len;
	char cls[64]; /* class name of an exception; "" otherwise */
};

void adm_reply_fini(struct adm_reply *r);
#define _cleanup_reply_ _cleanup_(adm_reply_fini)

/* adm_call makes one call and waits for its answer. arg may be NULL (no '+'), payload NULL when len is 0; dest "dom0" or a qube name.
   A name that cannot be a qube's gives -ADM_EXC_NOT_FOUND without a call. */
int adm_call(struct adm_reply *ret, const char *dest, const char *method, const char *arg, const void *payload, size_t len,
	     struct err *e);
/* adm_text is adm_call with a text payload (NULL = none). */
int adm_text(struct adm_reply *ret, const char *dest, const char *method, const char *arg, const char *payload, struct err *e);
/* adm_void is adm_text whose answer is dropped. */
int adm_void(const char *dest, const char *method, const char *arg, const char *payload, struct err *e);

/* adm_internal is adm_text on the internal socket (internal.* methods). */
int adm_internal(struct adm_reply *ret, const char *dest, const char *method, const char *arg, const char *payload, struct err *e);
/* adm_internal_fd is adm_internal without a payload and answer, with a descriptor beside the request, which stays the caller's. */
int adm_internal_fd(const char *dest, const char *method, const char *arg, int given, struct err *e);
/* adm_import replaces the content of a volume by size bytes of fd; with_size also makes that the volume's size (rounded up to 512, the
   rest zero). Otherwise exactly the volume's size must come. More or fewer bytes are an error, and the volume is as it was. */
int adm_import(const char *dest, const char *volume, int fd, uint64_t size, bool with_size, struct err *e);

/* adm_import_copy is the step between ImportBegin and ImportEnd: exactly size bytes of fd `in` become the file's content. */
int adm_import_copy(const char *path, int in, uint64_t size, struct err *e);

/* A call in two halves, so that many can be under way: adm_begin sends the request and gives a descriptor; adm_finish waits for the
   answer and closes it in every case. */
int adm_begin(const char *dest, const char *method, const char *arg, const void *payload, size_t len, struct err *e);
int adm_finish(int fd, struct adm_reply *ret, struct err *e);
/* adm_begin_internal is adm_begin on the internal socket, without argument and payload. */
int adm_begin_internal(const char *dest, const char *method, struct err *e);

/*
 * A watcher sees every call of adm_call, adm_text and adm_void, and adm_import as admin.vm.volume.Import. begin comes before the call, may make
 * calls itself (it does not see those) and gives what end gets together with the call's result. NULL ends the watching.
 */
struct adm_watch {
	void *(*begin)(const char *dest, const char *method, const char *arg, const void *payload, size_t len);
	void (*end)(void *what, int r);
};
void adm_watch(const struct adm_watch *w);
/* adm_watch_begin and adm_watch_end are for what makes such calls inside this folder. */
void *adm_watch_begin(const char *dest, const char *method, const char *arg, const void *payload, size_t len);
int adm_watch_end(void *what, int r); /* gives r */

/* adm_connect gives a connected socket at path, or -ADM_NO_DAEMON with the hint. */
int adm_connect(const char *path, struct err *e);
/* adm_frame writes the request header and payload; -EMSGSIZE over ADM_REQUEST_MAX, -EINVAL when a field holds a separator. */
int adm_frame(struct wr *w, const char *src, const char *dest, const char *method, const char *arg, const void *payload, size_t len);
/* adm_parse decodes a whole response (pure). */
int adm_parse(struct adm_reply *ret, const void *p, size_t n, struct err *e);
/* adm_format applies the client's rule for exception texts: FORMAT % FIELDS, digits-only fields usable as %d. Cuts to cap. */
void adm_format(char *out, size_t cap, const char *format, struct rd fields);
/* adm_exc_code maps a class name to its ADM_EXC_ code; is_not_started etc. follow the class hierarchy. */
int adm_exc_code(const char *cls);
bool adm_is_not_started(int r); /* NotStarted, NotRunning, NotPaused */

/* Event streams. */
#define ADM_EVENT_ARGS 16
struct adm_event {
	const char *subject, *name; /* borrowed from the stream's buffer, valid until the next call; subject "" = the system */
	size_t n_args;
	struct {
		const char *key, *value;
	} args[ADM_EVENT_ARGS];
};
struct adm_events {
	int fd;
	uint8_t *buf;
	size_t len, used, cap;
};
/* adm_events_open starts a stream of METHOD (admin.Events or admin.vm.Stats) for dest; when it returns, connection-established
   has arrived. */
int adm_events_open(struct adm_events *s, const char *dest, const char *method, struct err *e);
/* adm_hold holds a disposable (internal.vm.Hold): it is removed when its last holder closed the stream or died. The stream says nothing
   more; its end means that the daemon ended, and that one should hold again. */
int adm_hold(struct adm_events *s, const char *qube, struct err *e);
/* adm_events_next gives 1 and an event, 0 at the end of the stream, -ETIMEDOUT after timeout_ms (-1 = for ever). */
int adm_events_next(struct adm_events *s, int timeout_ms, struct adm_event *ret, struct err *e);
void adm_events_close(struct adm_events *s);
const char *adm_event_arg(const struct adm_event *ev, const char *key); /* NULL when absent */
/* adm_event_parse decodes one event at p (pure): gives its length, 0 when more bytes are needed, -EBADMSG. */
ssize_t adm_event_parse(struct adm_event *ret, const uint8_t *p, size_t n);

#endif
