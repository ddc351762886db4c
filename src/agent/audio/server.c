/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The qube's sound server, asked by its own tool: it works with PulseAudio and with PipeWire's server for it, and needs no library here. Where none runs in
 * the session, and none would be started by anybody else, it is started.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "agent/audio/agent.h"
#include "base/io.h"
#include "base/log.h"
#include "base/str.h"

#define PACTL "/usr/bin/pactl"
#define ANSWER_MAX 65536
#define RETRY_MAX_MS 30000

extern char **environ;

/* The first row of which the first program is there is started whole. */
static const char *const servers[][SERVERS_MAX][4] = {
	{ { "/usr/bin/pipewire-pulse" }, { "/usr/bin/pipewire" }, { "/usr/bin/wireplumber" } },
	{ { "/usr/bin/pulseaudio", "--daemonize=no", "--exit-idle-time=-1" } },
};

/* Runs pactl with these words; the answer (may be NULL) is the caller's. */
static int pactl(char **ret, const char *const *words)
{
	const char *argv[16] = { "pactl" };
	struct proc_spec s = { .path = PACTL, .argv = argv, .envp = (const char *const *)environ };
	_cleanup_free_ char *text = NULL;
	struct err e = { 0 };
	size_t n, i = 1;
	int r;

	for (; words[i - 1] && i + 1 < ARRAY_SIZE(argv); i++)
		argv[i] = words[i - 1];
	r = proc_capture(&s, ANSWER_MAX, &text, &n, &e);
	if (r == 0 && ret)
		*ret = STEAL_PTR(text);
	return r;
}

#define PACTL_RUN(ret, ...) pactl(ret, (const char *const[]){ __VA_ARGS__, NULL })

static void start(struct agent *a)
{
	for (size_t k = 0; k < ARRAY_SIZE(servers); k++) {
		if (access(servers[k][0][0], X_OK) < 0)
			continue;
		for (size_t i = 0; i < SERVERS_MAX && servers[k][i][0]; i++) {
			struct proc_spec s = { .path = servers[k][i][0], .argv = servers[k][i], .envp = (const char *const *)environ, .death_signal = SIGTERM };
			struct err e = { 0 };

			proc_fini(&a->servers[i]);
			if (proc_spawn(&a->servers[i], &s, &e) < 0)
				log_warn("%s", e.msg);
		}
		return;
	}
}

/* An agent that was killed has left its modules behind. */
static void unload_old(const struct agent *a)
{
	_cleanup_free_ char *text = NULL;
	char *rest, *line;

	if (PACTL_RUN(&text, "list", "short", "modules") < 0)
		return;
	for (rest = text; (line = strsep(&rest, "\n"));) {
		char number[16];

		if (strstr(line, a->dir) && str_printf(number, sizeof number, "%.*s", (int)strcspn(line, "\t "), line) == 0)
			(void)PACTL_RUN(NULL, "unload-module", number);
	}
}

static int load(struct agent *a)
{
	_cleanup_free_ char *sink = xasprintf("file=%s", a->path[PLAY]), *source = xasprintf("file=%s", a->path[RECORD]);
	static const int modes[N_WAYS] = { O_RDONLY, O_WRONLY };
	int r;

	(void)unlink(a->path[PLAY]);
	(void)unlink(a->path[RECORD]);
	r = PACTL_RUN(NULL, "load-module", "module-pipe-sink", "sink_name=bulkhead", sink, "format=s16le", "rate=44100", "channels=2",
		      "sink_properties=device.description=Bulkhead");
	if (r == 0)
		r = PACTL_RUN(NULL, "load-module", "module-pipe-source", "source_name=bulkhead-microphone", source, "format=s16le", "rate=44100", "channels=2",
			      "source_properties=device.description=Bulkhead");
	for (int i = 0; i < N_WAYS && r == 0; i++) {
		a->pipe[i] = open(a->path[i], modes[i] | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
		/* Short, since what lies in it is heard late. */
		if (a->pipe[i] < 0 || fcntl(a->pipe[i], F_SETPIPE_SZ, 8192) < 0)
			r = -errno;
	}
	/* Theirs is the choice; these are only what they begin with. */
	if (r == 0 && PACTL_RUN(NULL, "set-default-sink", "bulkhead") == 0)
		(void)PACTL_RUN(NULL, "set-default-source", "bulkhead-microphone");
	return r;
}

static int up(struct agent *a)
{
	static const char *const argv[] = { "pactl", "subscribe", NULL };
	struct proc_spec s = { .path = PACTL, .argv = argv, .envp = (const char *const *)environ, .death_signal = SIGTERM };
	struct err e = { 0 };
	int r = PACTL_RUN(NULL, "info");

	if (r < 0)
		return r;
	unload_old(a);
	r = load(a);
	if (r == 0)
		r = proc_spawn(&a->watch, &s, &e);
	if (r < 0)
		log_warn("the sound server has no loudspeaker for us: %s", r == -ECHILD ? "it has no pipes" : strerror(-r));
	return r;
}

static void down(struct agent *a)
{
	proc_fini(&a->watch);
	for (int i = 0; i < N_WAYS; i++)
		fd_closep(&a->pipe[i]);
}

void server_lost(struct agent *a)
{
	for (int i = 0; i < N_WAYS; i++)
		fd_closep(&a->pipe[i]);
	/* Its end has everything made anew. */
	(void)proc_kill(&a->watch, SIGKILL);
}

int server_step(struct agent *a, uint64_t now_ms)
{
	if (a->watch.pidfd >= 0) {
		if (proc_wait(&a->watch, 0, NULL) == -ETIMEDOUT)
			return -1;
		log_info("the sound server has ended");
		down(a);
		a->server_at_ms = now_ms;
	}
	if (now_ms < a->server_at_ms)
		return (int)(a->server_at_ms - now_ms);
	if (up(a) == 0) {
		log_info("the sound server has a loudspeaker and a microphone of dom0");
		a->server_tries = 0;
		pipes_new(a);
		return -1;
	}
	down(a);
	/* The session may be about to start one by itself. */
	if (a->server_tries++ % 4 == 2 && !a->no_server)
		start(a);
	a->server_at_ms = now_ms + (a->server_tries < 6 ? 500ull << a->server_tries : RETRY_MAX_MS);
	return (int)(a->server_at_ms - now_ms);
}

void server_end(struct agent *a)
{
	/* Without a reader players of the qube would stand still. */
	if (a->watch.pidfd >= 0)
		unload_old(a);
	down(a);
	for (size_t i = 0; i < SERVERS_MAX; i++)
		proc_fini(&a->servers[i]);
}
