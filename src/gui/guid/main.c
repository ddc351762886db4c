/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * guid --qid N --name NAME --label-index N --colour 0xRRGGBB --icon NAME [--bar-mib N] [--option KEY=VALUE …]: descriptors 3 (stream to the qube's
 * agent), 4 (memory for pixels, with --bar-mib), 5 (clipd). Everything that needs more than the sandbox's few system calls happens before the first byte of the qube.
 */
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/msg.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "gui/guid/x.h"
#include "proto/names.h"

#define FD_STREAM 3
#define FD_BAR 4
#define FD_DESK 5
#define READ_CHUNK (64u * 1024)
#define MESSAGES_MAX 256 /* of the qube, before the screen gets its turn */
#define BAR_MIB_MAX 2048u

struct input {
	uint8_t *buf;
	size_t len, cap;
	bool full; /* whole messages are left in it */
};

static uint32_t random32(void)
{
	uint32_t v = 0;

	(void)!getrandom(&v, sizeof v, 0);
	return v;
}

static int number(const char *s, uint64_t max, uint32_t *ret, const char *what, struct err *e)
{
	uint64_t n;

	if (str_u64(s, max, &n) < 0)
		return err_set(e, EINVAL, "--%s: '%s' is not a number up to %llu", what, s, (unsigned long long)max);
	*ret = (uint32_t)n;
	return 0;
}

static int check_args(struct guid *g, uint32_t bar_mib, struct err *e)
{
	if (!g->name[0] || !str_chars(g->name, "_-.") || g->label == 0)
		return err_set(e, EINVAL, "--name and --label-index are needed");
	if (bar_mib & (bar_mib - 1))
		return err_set(e, EINVAL, "--bar-mib: a power of two is needed");
	g->bar_size = (uint64_t)bar_mib << 20;
	return 0;
}

static int arguments(struct guid *g, int argc, char **argv, struct err *e)
{
	static const struct option longs[] = {
		{ "qid", 1, NULL, 'q' },    { "name", 1, NULL, 'n' },	 { "label-index", 1, NULL, 'l' }, { "colour", 1, NULL, 'c' },
		{ "icon", 1, NULL, 'i' },   { "bar-mib", 1, NULL, 'b' }, { "option", 1, NULL, 'o' },	  { "help", 0, NULL, 'h' },
		   { "version", 0, NULL, 'V' }, { 0 },
	};
	uint32_t bar_mib = 0;
	int c, r = 0;

	while (r >= 0 && (c = getopt_long(argc, argv, "", longs, NULL)) >= 0)
		switch (c) {
		case 'q': r = number(optarg, INT32_MAX, &g->qid, "qid", e); break;
		case 'n': r = str_copy(g->name, sizeof g->name, optarg) < 0 ? err_set(e, EINVAL, "--name: too long") : 0; break;
		case 'l': r = number(optarg, 255, &g->label, "label-index", e); break;
		case 'c': r = colour_parse(&g->colour, optarg, e); break;
		case 'i': r = str_copy(g->icon, sizeof g->icon, optarg) < 0 ? err_set(e, EINVAL, "--icon: too long") : 0; break;
		case 'b': r = number(optarg, BAR_MIB_MAX, &bar_mib, "bar-mib", e); break;
		case 'o': r = opts_set(&g->o, optarg, e); break;
		case 'V': puts("guid " BULKHEAD_VERSION); exit(0);
		case 'h':
			puts("guid --qid N --name NAME --label-index N --colour 0xRRGGBB [--icon NAME] [--bar-mib N] [--option KEY=VALUE ...]\n"
			     "The windows of one qube. bulkhead-desktop starts it with descriptors 3 (agent), 4 (memory for pixels) and 5 (clipd).");
			exit(0);
		default: return err_set(e, EINVAL, "see guid --help");
		}
	if (r < 0)
		return r;
	return optind < argc ? err_set(e, EINVAL, "'%s' is not an option", argv[optind]) : check_args(g, bar_mib, e);
}

/* A memory that could shrink would end the X server's connection to it, or the server; one that we could write would be a way back. */
static int check_bar(const struct guid *g, struct err *e)
{
	struct stat st;
	int seals, mode;

	if (g->bar_size == 0)
		return 0;
	seals = fcntl(FD_BAR, F_GET_SEALS);
	mode = fcntl(FD_BAR, F_GETFL);
	if (fstat(FD_BAR, &st) < 0 || mode < 0)
		return err_errno(e, errno, "descriptor %d (memory for pixels)", FD_BAR);
	if ((uint64_t)st.st_size < g->bar_size)
		return err_set(e, EINVAL, "the memory for pixels is smaller than --bar-mib says");
	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return err_set(e, EINVAL, "the memory for pixels is not sealed against shrinking");
	if ((mode & O_ACCMODE) != O_RDONLY)
		return err_set(e, EINVAL, "the memory for pixels is not read-only");
	return 0;
}

static int set_up(struct guid *g, struct err *e)
{
	int r = check_bar(g, e);
	bool bar = g->bar_size;

	for (int fd = FD_STREAM; r == 0 && fd <= FD_DESK; fd++) {
		if (fd == FD_BAR)
			continue;
		r = fd_nonblock(fd, true);
		if (r < 0 && fd == FD_DESK)
			r = 0; /* no clipd: windows all the same */
		else if (r == 0 && fd == FD_DESK)
			g->desk_fd = fd;
		if (r < 0)
			r = err_errno(e, -r, "descriptor %d", fd);
	}
	signal(SIGPIPE, SIG_IGN);
	if (r == 0)
		r = x_open(g, bar ? FD_BAR : -1, e);
	if (r < 0)
		return r;
	/* The X server has it; nobody else here needs it. */
	if (bar)
		close(FD_BAR);
	/* The log's first line opens what the library needs for times. */
	log_info("windows of %s, label %u, %s", g->name, g->label, g->bar_size ? "pixels in shared memory" : "pixels in the stream");
	return sandbox_enter(SB_GUID, NULL, 0, e);
}

static void take(struct guid *g, struct input *in)
{
	ssize_t used = agent_feed(g, in->buf, in->len, MESSAGES_MAX);

	if (used <= 0) {
		in->full = false;
		return;
	}
	in->full = (size_t)used < in->len;
	memmove(in->buf, in->buf + used, in->len - (size_t)used);
	in->len -= (size_t)used;
}

static void read_stream(struct guid *g, struct input *in)
{
	ssize_t n;

	/* gui_frame refuses what is longer than this, so the buffer is bounded. */
	if (in->cap - in->len < READ_CHUNK && in->cap < GUI_BODY_MAX + GUI_HDR_LEN + READ_CHUNK) {
		size_t twice = MIN(2 * in->cap, (size_t)(GUI_BODY_MAX + GUI_HDR_LEN + READ_CHUNK));

		in->cap = MAX(in->len + READ_CHUNK, twice);
		in->buf = xreallocarray(in->buf, in->cap, 1);
	}
	n = recv(FD_STREAM, in->buf + in->len, MIN(in->cap - in->len, (size_t)1 << 20), 0);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		guid_end(g, GUID_END_STREAM, "the agent has closed the connection");
	if (n > 0) {
		in->len += (size_t)n;
		in->full = true;
	}
}

static void write_stream(struct guid *g)
{
	ssize_t n = write(FD_STREAM, g->out.buf, g->out.len);

	if (n >= 0)
		wr_consume(&g->out, (size_t)n);
	else if (errno != EAGAIN && errno != EINTR)
		guid_end(g, GUID_END_STREAM, "the agent has closed the connection");
}

static void read_desk(struct guid *g)
{
	_cleanup_msg_ struct msg m = { .n_fds = 0 };
	int r = msg_recv(g->desk_fd, &m);

	if (r == -EAGAIN)
		return;
	if (r == 1 && clip_message(g, m.type, msg_rd(&m)) == 0)
		return;
	if (r != 0)
		log_warn("clipd sent what is no message of it");
	g->desk_fd = -1;
}

static void loop(struct guid *g)
{
	struct input in = { .cap = 0 };

	while (g->ended < 0) {
		struct pollfd p[3] = { { .fd = FD_STREAM }, { .fd = xcb_get_file_descriptor(g->xs->c), .events = POLLIN }, { .fd = g->desk_fd, .events = POLLIN } };

		g->now_ms = now_us() / 1000;
		guid_tick(g);
		x_events(g);
		if (in.full)
			take(g, &in);
		/* Requests with answers may have brought events along. */
		x_events(g);
		xcb_flush(g->xs->c);
		if (!x_alive(g->xs))
			guid_end(g, GUID_END_X, "the X server is gone");
		if (g->ended >= 0)
			break;
		p[0].events = (short)((in.full ? 0 : POLLIN) | (g->out.len ? POLLOUT : 0));
		p[2].events |= (short)(g->clip.out.len ? POLLOUT : 0);
		if (poll(p, 3, in.full ? 0 : guid_wait_ms(g)) < 0 && errno != EINTR)
			break;
		if (p[0].revents & POLLOUT)
			write_stream(g);
		if (!in.full && p[0].revents & (POLLIN | POLLHUP | POLLERR))
			read_stream(g, &in);
		if (p[2].revents & POLLOUT)
			(void)clip_flush(g);
		if (p[2].revents & (POLLIN | POLLHUP | POLLERR))
			read_desk(g);
	}
	free(in.buf);
}

int main(int argc, char **argv)
{
	struct guid g;
	struct err e = { 0 };
	int r;

	guid_init(&g);
	g.random = random32;
	r = arguments(&g, argc, argv, &e);
	log_init("guid", g.name[0] ? g.name : NULL, -1);
	if (r == 0)
		r = set_up(&g, &e);
	if (r < 0) {
		log_error("%s", err_text(&e, r));
		return g.xs && !x_alive(g.xs) ? GUID_END_X : 1;
	}
	loop(&g);
	/* The X server takes all windows away with the connection. */
	if (g.out.len && g.ended != GUID_END_STREAM)
		write_stream(&g);
	return g.ended < 0 ? 1 : g.ended;
}
