/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bulkhead-desktop, also called qvm-start-daemon: options, wiring, end. */
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "gui/desktop/desktop.h"
#include "proto/names.h"

enum { OPT_ROOT = 256, OPT_MENUS, OPT_GUID, OPT_CLIPD, OPT_AUDIOD, OPT_NOTIFY, OPT_IGNORED, OPT_IGNORED_ARG, OPT_VERSION };

static const char usage_text[] =
	"usage: bulkhead-desktop [--all] [--watch] [--menus[=DIR]] [--notify-monitor-layout] [QUBE…]\n"
	"Shows the windows of qubes on this display ($DISPLAY) and has them heard: a guid and an audiod for each that runs, a clipd for all.\n"
	"  --all                    all qubes whose GUI domain is dom0\n"
	"  --watch                  stay, and follow which qubes start and stop; without it, end with the last of them\n"
	"  --menus[=DIR]            keep entries for the programs of qubes in DIR (default: where this user's desktop\n"
	"                           looks for programs, ~/.local/share/applications)\n"
	"  --notify-monitor-layout  only have the one that serves this display tell its qubes of the monitors again\n"
	"  --root DIR               the instance\n"
	"  --guid FILE, --clipd FILE, --audiod FILE  other programs in their place, for tests\n"
	"  --force, --force-stubdomain, --kde, --set-keyboard-layout, --pidfile FILE  are taken and change nothing\n"
	"  -h, --help, --version\n";

static struct {
	const char *root, *menus;
	bool notify;
} opt;

const char *const *desk_env(void)
{
	static const char *const names[] = { "DISPLAY", "XAUTHORITY", "HOME", "PATH", "LANG", "LC_ALL", "LC_MESSAGES", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS",
					     "PULSE_SERVER", "PULSE_COOKIE", "PULSE_RUNTIME_PATH", "BULKHEAD_LOG", "BULKHEAD_SANDBOX", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS" };
	static char *env[ARRAY_SIZE(names) + 2];
	size_t n = 0;

	if (env[0])
		return (const char *const *)env;
	/* The first always exists, so this is done once. */
	env[n++] = xasprintf("QUBES_ROOT=%s", paths_root());
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *v = getenv(names[i]);

		if (v)
			env[n++] = xasprintf("%s=%s", names[i], v);
	}
	return (const char *const *)env;
}

void desk_idle(struct desk *d)
{
	const struct dqube *q;

	if (d->watch || !d->display)
		return;
	TAILQ_FOREACH(q, &d->qubes, all)
		if (q->running || q->life != Q_IDLE || q->audio.life != Q_IDLE)
			return;
	ev_stop(d->loop, 0);
}

static int usage(FILE *f, int code)
{
	fputs(usage_text, f);
	return code;
}

/* Gives -1 to go on, or the exit code. */
static int parse(struct desk *d, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "all", 0, NULL, 'a' }, { "watch", 0, NULL, 'w' }, { "notify-monitor-layout", 0, NULL, OPT_NOTIFY }, { "root", 1, NULL, OPT_ROOT },
		{ "menus", 2, NULL, OPT_MENUS },
		{ "guid", 1, NULL, OPT_GUID }, { "clipd", 1, NULL, OPT_CLIPD }, { "audiod", 1, NULL, OPT_AUDIOD }, { "force", 0, NULL, OPT_IGNORED }, { "force-stubdomain", 0, NULL, OPT_IGNORED },
		{ "kde", 0, NULL, OPT_IGNORED }, { "set-keyboard-layout", 0, NULL, OPT_IGNORED }, { "pidfile", 1, NULL, OPT_IGNORED_ARG },
		{ "verbose", 0, NULL, 'v' }, { "quiet", 0, NULL, 'q' }, { "version", 0, NULL, OPT_VERSION }, { "help", 0, NULL, 'h' }, { 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "hvq", longs, NULL)) != -1) {
		switch (c) {
		case 'a': d->all = true; break;
		case 'w': d->watch = true; break;
		case 'v': log_set_level(LOG_L_DEBUG); break;
		case 'q': log_set_level(LOG_L_ERROR); break;
		case OPT_NOTIFY: opt.notify = true; break;
		case OPT_ROOT: opt.root = optarg; break;
		case OPT_MENUS: opt.menus = optarg ? optarg : ""; break;
		case OPT_GUID: d->guid = optarg; break;
		case OPT_CLIPD: d->clipd = optarg; break;
		case OPT_AUDIOD: d->audiod = optarg; break;
		case OPT_IGNORED:
		case OPT_IGNORED_ARG: break;
		case OPT_VERSION: puts("bulkhead-desktop " BULKHEAD_VERSION); return 0;
		case 'h': return usage(stdout, 0);
		default: return usage(stderr, 2);
		}
	}
	d->names = (const char *const *)argv + optind;
	for (int i = optind; i < argc; i++) {
		struct qname name;

		if (qname_parse(&name, argv[i], NULL) < 0) {
			fprintf(stderr, "bulkhead-desktop: '%s' is no name of a qube\n", argv[i]);
			return 2;
		}
	}
	/* As the reference's: nothing named means all that there are from now on. */
	d->all |= d->watch && optind == argc;
	return opt.notify || d->all || optind < argc ? -1 : usage(stderr, 2);
}

static void on_signal(struct ev_signal *s, int signum, void *arg)
{
	struct desk *d = arg;

	if (signum == SIGHUP)
		layout_changed(d);
	else
		ev_stop(d->loop, 0);
}

static int run(struct desk *d, struct err *e)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	struct ev_signal *s[ARRAY_SIZE(signals)];
	char path[PATH_MAX];
	int r;

	d->loop = ev_new();
	if (!d->loop)
		return err_set(e, ENOMEM, "no event loop");
	TAILQ_INIT(&d->qubes);
	LIST_INIT(&d->calls);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		s[i] = ev_signal_new(d->loop, signals[i], on_signal, d);
	d->no_audio = access(d->audiod ? d->audiod : path_program(path, "audiod"), X_OK) < 0;
	if (d->no_audio)
		log_info("there is no audiod: nothing of qubes is heard");
	r = display_open(d, e);
	if (r == 0 && opt.menus)
		r = menus_start(d, opt.menus, e);
	if (r == 0) {
		clip_start(d);
		r = watch_start(d, e);
	}
	if (r == 0) {
		log_info("ready");
		desk_idle(d);
		r = ev_run(d->loop);
	}
	watch_fini(d);
	layout_fini(d);
	menus_fini(d);
	clip_fini(d);
	display_close(d);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		ev_signal_free(s[i]);
	ev_free(d->loop);
	return r;
}

int main(int argc, char **argv)
{
	static struct desk d = { .clipd_ctl = -1, .events = { .fd = -1 }, .clipd_proc = { .pidfd = -1 } };
	struct err e = { 0 };
	int r;

	log_init("bulkhead-desktop", NULL, -1);
	signal(SIGPIPE, SIG_IGN);
	r = parse(&d, argc, argv);
	if (r >= 0)
		return r;
	if (paths_init(opt.root, &e) < 0) {
		log_error("%s", e.msg);
		return 1;
	}
	r = opt.notify ? display_tell(&e) : run(&d, &e);
	/* To be started twice is no failure: the other one does the work. */
	if (r == -EEXIST) {
		log_info("%s", e.msg);
		return 0;
	}
	if (r < 0)
		log_error("%s", err_text(&e, r));
	return r ? 1 : 0;
}
