/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the user and others learn: notices in the prompt agent's window, a history of what went where (sizes and names, never content), and the state
 * file that the reference's clipboard widget watches. All files are opened before the sandbox.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>

#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "gui/clipd/clipd.h"
#include "proto/isotime.h"

#define HISTORY_MAX (1 << 20)
#define HISTORY_KEEP (256 << 10)
#define BURST 6 /* notices in SECONDS, all qubes together */
#define SECONDS 10

static struct {
	int history, state;
	const char *agent_socket;
	struct log_rate rate;
} st = { -1, -1, NULL, { 0 } };

static int open_file(const char *path, int flags)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0600);

	if (fd < 0)
		log_warn("without %s: %s", path, strerror(errno));
	return fd;
}

void tell_init(struct ev_loop *loop, const char *agent_socket)
{
	char path[PATH_MAX];

	st.agent_socket = agent_socket;
	st.history = open_file(path_fmt(path, PATH_LOG, "/clipboard.log"), O_APPEND);
	st.state = open_file(path_fmt(path, PATH_RUN, "/qubes-clipboard.bin.metadata"), 0);
}

/* Text has only what we wrote and names of qubes, so it needs no escapes in JSON. */
static void notice(const char *text)
{
	_cleanup_wr_ struct wr w = wr_grow(2048);
	int fd;

	if (!log_rate_ok(&st.rate, BURST, SECONDS))
		return;
	log_info("%s", text);
	fd = unix_connect(st.agent_socket, SOCK_STREAM | SOCK_NONBLOCK, NULL);
	if (fd < 0)
		return;
	wr_cstr(&w, "policy.Notify dom0 name dom0");
	wr_printf(&w, "{\"resolution\": \"info\", \"service\": \"\", \"argument\": \"\", \"source\": \"\", \"target\": \"\", \"text\": \"%s\"}", text);
	if (wr_ok(&w))
		(void)!send(fd, w.buf, w.len, MSG_NOSIGNAL);
	close(fd);
}

/* Keeps the end of a history that has become long; it begins at a whole line. */
static void shorten(void)
{
	off_t size = lseek(st.history, 0, SEEK_END);
	_cleanup_free_ char *tail = NULL;
	ssize_t n;
	char *line;

	if (size <= HISTORY_MAX)
		return;
	tail = xmalloc(HISTORY_KEEP);
	n = pread(st.history, tail, HISTORY_KEEP, size - HISTORY_KEEP);
	line = n > 0 ? memchr(tail, '\n', (size_t)n) : NULL;
	if (!line || ftruncate(st.history, 0) < 0)
		return;
	line++;
	(void)write_full(st.history, line, (size_t)(tail + n - line));
}

static void history(const char *what, const struct qname *source, const struct qname *target, size_t bytes, enum clip_refusal why)
{
	_cleanup_wr_ struct wr w = wr_grow(1024);
	struct timespec now;
	char at[ISOTIME_CAP];

	if (st.history < 0)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	if (isotime_put(at, (struct isotime){ .sec = (int64_t)now.tv_sec }, false) < 0)
		return;
	/* time, action, source, target, bytes, reason: one line, tabs between; read by qvm-clipboard. */
	wr_printf(&w, "%s\t%s\t%s\t%s\t%zu\t%s\n", at, what, source ? source->s : "", target ? target->s : "", bytes, why != CLIP_OK ? clip_refusal_words(why) : "");
	if (wr_ok(&w))
		(void)write_full(st.history, w.buf, w.len);
	shorten();
}

/* The keys of the reference, one a line (specs/gui.md §1.6). */
static void state(enum tell_action what, const struct qname *source, const struct qname *target, size_t bytes, size_t limit)
{
	_cleanup_wr_ struct wr w = wr_grow(2048);
	const struct qname *who = what == TELL_PASTE || what == TELL_REFUSED ? target : source;

	if (st.state < 0)
		return;
	wr_printf(&w, "{\n\"vmname\":\"%s\",\n\"xevent_timestamp\":0,\n\"successful\":%d,\n\"copy_action\":%d,\n\"paste_action\":%d,\n", who ? who->s : "",
		  what != TELL_REFUSED && what != TELL_TOO_LONG, what == TELL_COPY || what == TELL_TOO_LONG, what == TELL_PASTE || what == TELL_REFUSED);
	wr_printf(&w, "\"malformed_request\":0,\n\"oversized_request\":%d,\n\"cleared\":%d,\n\"qrexec_clipboard\":0,\n\"sent_size\":%zu,\n\"buffer_size\":%zu,\n", what == TELL_TOO_LONG,
		  what != TELL_COPY && what != TELL_REFUSED, bytes, limit);
	wr_printf(&w, "\"protocol_version_xside\":%u,\n\"protocol_version_vmside\":%u\n}\n", GUI_VERSION, GUI_VERSION);
	if (!wr_ok(&w) || ftruncate(st.state, 0) < 0 || pwrite(st.state, w.buf, w.len, 0) != (ssize_t)w.len)
		log_warn("the clipboard's state file could not be written");
}

void tell_clip(enum tell_action what, const struct qname *source, const struct qname *target, size_t bytes, size_t limit, enum clip_refusal why)
{
	static const char *const names[] = { [TELL_COPY] = "copy", [TELL_PASTE] = "paste", [TELL_REFUSED] = "refused", [TELL_CLEARED] = "cleared", [TELL_TOO_LONG] = "too-long" };
	char text[400] = "";

	history(names[what], source, target, bytes, why);
	state(what, source, target, bytes, limit);
	switch (what) {
	case TELL_COPY:
		(void)!str_printf(text, sizeof text, "Copied %zu bytes from %s. Ctrl+Shift+V in another qube's window gives them to it.", bytes, source->s);
		break;
	case TELL_PASTE:
		(void)!str_printf(text, sizeof text, "Gave %zu bytes of %s to %s, and wiped the clipboard.", bytes, source->s, target->s);
		break;
	case TELL_REFUSED:
		(void)!str_printf(text, sizeof text, "Nothing was pasted into %s: %s.", target->s, clip_refusal_words(why));
		break;
	case TELL_CLEARED:
		(void)!str_printf(text, sizeof text, "There was nothing to copy in %s: the clipboard is empty.", source->s);
		break;
	case TELL_TOO_LONG:
		(void)!str_printf(text, sizeof text, "What %s wanted to copy is longer than %zu bytes: the clipboard is empty. qvm-copy has no limit.", source->s, limit);
		break;
	}
	notice(text);
}

void tell_notice(const struct qname *qube, enum desk_kind kind, uint32_t number)
{
	/* Follow the qube's name. */
	static const char *const words[DESK_N_END] = {
		[DESK_N_REQUEST] = "made a request that no program makes; it was ignored",
		[DESK_N_OVERRIDE] = "tried to cover the screen; the window got an ordinary frame",
		[DESK_N_WINDOWS] = "has too many windows; further ones are not shown",
		[DESK_N_ATTENTION] = "asks for attention too often; some requests are dropped",
		[DESK_N_PASTE_EARLY] = "got the focus only just now: nothing was pasted; press the keys once more",
		[DESK_N_FULLSCREEN] = "wanted the whole screen, which is not allowed to it; its window is maximized",
		[DESK_N_CLIPBOARD] = "sent clipboard data that nobody had asked for; it was dropped",
		[DESK_N_TRAY] = "has too many tray icons; further ones are not shown",
		[DESK_N_PIXELS] = "has so large windows that some are not shown",
	};
	char text[300];

	if (words[kind] && str_printf(text, sizeof text, "Qube %s %s (%u).", qube->s, words[kind], number) == 0)
		notice(text);
}
