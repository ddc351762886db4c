/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qubes-audio [--no-server]: the loop, the two streams to dom0, start and end. */
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "agent/audio/agent.h"
#include "base/io.h"
#include "base/log.h"
#include "base/str.h"

#define PACTL "/usr/bin/pactl"
#define OFF "/run/qubes-service/no-audio"
#define RETRIES_SLOWER 8u /* to 50 ms times 2 to the power of this */

static volatile sig_atomic_t ended;

static void on_signal(int signum)
{
	ended = 1;
}

static uint64_t now_ms(void)
{
	return now_us() / 1000;
}

/* --- dom0 ------------------------------------------------------------------------------------------------------------------- */

static void drop(struct agent *a)
{
	for (int i = 0; i < N_WAYS; i++) {
		chan_req_free(STEAL_PTR(a->req[i]));
		fd_closep(&a->stream[i]);
	}
}

void link_lost(struct agent *a)
{
	drop(a);
	a->link_at_ms = now_ms() + (50ull << a->link_tries);
	a->link_tries += a->link_tries < RETRIES_SLOWER;
}

static void link_step(struct agent *a, uint64_t now)
{
	static const uint32_t ports[N_WAYS] = { CHAN_PORT_PLAY, CHAN_PORT_RECORD };
	struct err e = { 0 };
	bool here = true;

	for (int i = 0; i < N_WAYS; i++) {
		int r = -EAGAIN;

		if (a->stream[i] >= 0)
			continue;
		here = false;
		if (now < a->link_at_ms)
			return;
		if (!a->req[i])
			a->req[i] = chan_listen_start(NULL, 0, ports[i], &e);
		if (a->req[i])
			r = chan_req_finish(a->req[i], &e);
		if (r == -EAGAIN && a->req[i])
			continue;
		chan_req_free(STEAL_PTR(a->req[i]));
		if (r < 0) {
			if (a->link_tries == 0)
				log_warn("port %u: %s", ports[i], e.msg);
			link_lost(a);
			return;
		}
		a->stream[i] = r;
	}
	if (here || a->stream[PLAY] < 0 || a->stream[RECORD] < 0)
		return;
	log_info("dom0 listens");
	a->link_tries = 0;
	pipes_link(a);
}

/* One of two that has come alone may go again. */
static void half_link(struct agent *a, int i)
{
	uint8_t b;

	if (recv(a->stream[i], &b, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		link_lost(a);
}

/* --- loop -------------------------------------------------------------------------------------------------------------------- */

static int sooner(int a, int b)
{
	return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

static int link_wait_ms(const struct agent *a, uint64_t now)
{
	bool waits = (a->stream[PLAY] < 0 && !a->req[PLAY]) || (a->stream[RECORD] < 0 && !a->req[RECORD]);

	return !waits ? -1 : a->link_at_ms > now ? (int)(a->link_at_ms - now) : 0;
}

static void loop(struct agent *a, const sigset_t *unblocked)
{
	while (!ended) {
		uint64_t now = now_ms();
		struct pollfd p[5] = { { .fd = a->watch.pidfd, .events = POLLIN } };
		int wait = server_step(a, now);
		struct timespec t;
		bool both;

		link_step(a, now);
		both = a->stream[PLAY] >= 0 && a->stream[RECORD] >= 0;
		for (int i = 0; i < N_WAYS && !both; i++)
			if (a->stream[i] >= 0)
				half_link(a, i);
		play_step(a, now);
		record_step(a, now);
		both = a->stream[PLAY] >= 0 && a->stream[RECORD] >= 0;
		wait = sooner(wait, sooner(link_wait_ms(a, now), sooner(play_wait_ms(a, now), record_wait_ms(a, now))));
		p[0].fd = a->watch.pidfd;
		p[1] = (struct pollfd){ .fd = a->pipe[PLAY], .events = play_pipe_events(a, now) };
		p[2] = (struct pollfd){ .fd = a->pipe[RECORD], .events = record_pipe_events(a) };
		for (int i = 0; i < N_WAYS; i++) {
			p[3 + i].fd = a->stream[i] >= 0 ? a->stream[i] : a->req[i] ? chan_req_fd(a->req[i]) : -1;
			p[3 + i].events = both && i == PLAY ? play_stream_events(a, now) : POLLIN;
		}
		/* A pipe of which nothing is wanted is not watched for its end either: the watch tells that. */
		for (int i = 1; i <= 2; i++)
			if (!p[i].events)
				p[i].fd = -1;
		t = (struct timespec){ .tv_sec = wait / 1000, .tv_nsec = wait % 1000 * 1000000L };
		if (ppoll(p, ARRAY_SIZE(p), wait < 0 ? NULL : &t, unblocked) < 0 && errno != EINTR)
			return;
	}
}

/* --- start and end -------------------------------------------------------------------------------------------------------------- */

static int set_up(struct agent *a, struct err *e)
{
	static const char *const names[N_WAYS] = { "play", "record" };
	const char *run = getenv("XDG_RUNTIME_DIR");
	char lock[128];
	int fd;

	if (!run || run[0] != '/' || str_printf(a->dir, sizeof a->dir, "%s/bulkhead-audio", run) < 0)
		return err_set(e, EINVAL, "$XDG_RUNTIME_DIR is not set, or too long");
	if (mkdir(a->dir, 0700) < 0 && errno != EEXIST)
		return err_errno(e, errno, "'%s'", a->dir);
	for (int i = 0; i < N_WAYS; i++)
		if (str_printf(a->path[i], sizeof a->path[i], "%s/%s", a->dir, names[i]) < 0)
			return err_set(e, ENAMETOOLONG, "$XDG_RUNTIME_DIR is too long");
	if (str_printf(lock, sizeof lock, "%s/lock", a->dir) < 0)
		return err_set(e, ENAMETOOLONG, "$XDG_RUNTIME_DIR is too long");
	fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_errno(e, errno == EWOULDBLOCK ? EEXIST : errno, "'%s'", lock);
	return 0;
}

static int usage(FILE *f, int code)
{
	fputs("usage: qubes-audio [--no-server]\n"
	      "The sound of this qube: gives its sound server (PulseAudio, or PipeWire with pipewire-pulse) a loudspeaker and a microphone that are dom0's.\n"
	      "  --no-server   start no sound server where none runs\n",
	      f);
	return code;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = { { "no-server", 0, NULL, 'n' }, { "help", 0, NULL, 'h' }, { "version", 0, NULL, 'V' }, { 0 } };
	static struct agent a = { .pipe = { -1, -1 }, .stream = { -1, -1 }, .watch = { .pidfd = -1 } };
	struct sigaction act = { .sa_handler = on_signal };
	struct err e = { 0 };
	sigset_t block, old;
	int c, r;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1)
		switch (c) {
		case 'n': a.no_server = true; break;
		case 'V': puts("qubes-audio " BULKHEAD_VERSION); return 0;
		case 'h': return usage(stdout, 0);
		default: return usage(stderr, 2);
		}
	if (optind < argc)
		return usage(stderr, 2);
	log_init("qubes-audio", NULL, -1);
	/* Most templates have no sound: that is no failure. */
	if (access(PACTL, X_OK) < 0 || access(OFF, F_OK) == 0)
		return 0;
	for (size_t i = 0; i < SERVERS_MAX; i++)
		a.servers[i] = PROC_INIT;
	r = set_up(&a, &e);
	if (r < 0) {
		log_error("%s", r == -EEXIST ? "it runs already" : err_text(&e, r));
		return r == -EEXIST ? 0 : 1;
	}
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	sigemptyset(&block);
	sigaddset(&block, SIGTERM);
	sigaddset(&block, SIGINT);
	sigprocmask(SIG_BLOCK, &block, &old);
	loop(&a, &old);
	drop(&a);
	server_end(&a);
	return 0;
}
