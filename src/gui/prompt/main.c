/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qrexec-policy-agent: options, a toolkit without plug-ins, sandbox, main loop. */
#include "gui/prompt/gui.h"

#include <dirent.h>
#include <getopt.h>
#include <glib-unix.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "base/fsx.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/sandbox.h"

static struct {
	const char *socket, *root;
	uint64_t delay_ms;
} opt = { .delay_ms = PR_GUARD_MS };

static int usage(FILE *f, int code)
{
	fputs("usage: qrexec-policy-agent [-s PATH] [--root DIR] [--delay MS]\n"
	      "Shows the policy's questions in windows, until it is ended.\n"
	      "  -s, --socket-path  listen here instead of the instance's prompt socket\n"
	      "  --root             the instance\n"
	      "  --delay            focus that a window needs before it takes an answer, in ms; 1000 or more\n",
	      f);
	return code;
}

static int parse(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "socket-path", required_argument, NULL, 's' }, { "root", required_argument, NULL, 'r' }, { "delay", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },		 { 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "s:h", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			opt.socket = optarg;
			break;
		case 'r':
			opt.root = optarg;
			break;
		case 'd':
			if (str_u64(optarg, 60000, &opt.delay_ms) < 0 || opt.delay_ms < PR_GUARD_MS)
				return usage(stderr, 2);
			break;
		case 'h':
			return usage(stdout, 0);
		default:
			return usage(stderr, 2);
		}
	}
	return optind < argc ? usage(stderr, 2) : -1;
}

/* No plug-in, no bus, no settings service: nothing that runs code of others in this process or starts threads. */
static void bare_toolkit(void)
{
	static const char *const unset[] = { "GTK_MODULES", "GTK3_MODULES", "GTK_PATH", "GIO_EXTRA_MODULES", "GDK_CORE_DEVICE_EVENTS", "GTK_DEBUG", "GDK_DEBUG",
					     "DBUS_SESSION_BUS_ADDRESS", "GTK_RC_FILES", "GTK_EXE_PREFIX", "GTK_DATA_PREFIX", "GDK_PIXBUF_MODULE_FILE" };
	static const char *const set[][2] = { { "NO_AT_BRIDGE", "1" }, { "GIO_USE_VFS", "local" }, { "GSETTINGS_BACKEND", "memory" }, { "GDK_BACKEND", "x11" },
					      { "GTK_IM_MODULE", "gtk-im-context-none" }, { "GIO_USE_VOLUME_MONITOR", "unix" } };

	for (size_t i = 0; i < ARRAY_SIZE(unset); i++)
		unsetenv(unset[i]);
	for (size_t i = 0; i < ARRAY_SIZE(set); i++)
		setenv(set[i][0], set[i][1], 1);
}

static size_t threads(void)
{
	DIR *d = opendir("/proc/self/task");
	size_t n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n > 2 ? n - 2 : 1; /* without . and .. */
}

static int confine(struct err *e)
{
	const struct sandbox_path paths[] = {
		{ "/usr", false }, { "/lib", false }, { "/lib64", false }, { "/etc", false }, { "/var/cache/fontconfig", false }, { "/dev/shm", true },
		{ "/dev/urandom", false }, { "/proc/self", false },
		{ path_get(PATH_POLICY_ETC), true }, { pr_undo_path(), true }, { path_get(PATH_POLICY_RUN), false }, { path_get(PATH_POLICY_LEGACY), false }, { path_get(PATH_PROMPT), true },
	};
	size_t n = threads();

	/* Looking for fonts takes a thread that ends by itself: long on a busy machine that has no cache of them yet. */
	for (int i = 0; i < 6000 && n > 1; i++) {
		g_usleep(10000);
		n = threads();
	}
	if (n > 1)
		return err_set(e, EINVAL, "the toolkit started %zu threads, which a sandbox would not cover", n - 1);
	return sandbox_enter(SB_PROMPT, paths, ARRAY_SIZE(paths), e);
}

static gboolean on_signal(gint fd, GIOCondition cond, gpointer arg)
{
	gtk_main_quit();
	return G_SOURCE_REMOVE;
}

static int signals(struct err *e)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd >= 0 && g_unix_fd_add(fd, G_IO_IN, on_signal, NULL) ? 0 : err_errno(e, errno, "signals");
}

static int start(struct err *e)
{
	int fd, r = opt.socket ? 0 : fs_mkdir_p(path_get(PATH_PROMPT), 0700, e);

	if (r < 0)
		return r;
	guard_init();
	window_warm();
	r = signals(e);
	if (r < 0)
		return r;
	/* The socket is there before the sandbox, its first byte is read after it. */
	fd = pr_listen(opt.socket ? opt.socket : path_get(PATH_PROMPT_SOCK), e);
	if (fd < 0)
		return fd;
	r = confine(e);
	return r < 0 ? r : server_start(fd, (unsigned)opt.delay_ms, e);
}

int main(int argc, char **argv)
{
	struct err e = { 0 };
	int r = parse(argc, argv);

	if (r >= 0)
		return r;
	log_init("qrexec-policy-agent", NULL, -1);
	if (paths_init(opt.root, &e) < 0) {
		log_error("%s", e.msg);
		return 1;
	}
	bare_toolkit();
	if (!gtk_init_check(NULL, NULL)) {
		log_error("no display ($DISPLAY): without one, answer questions with qvm-policy-ask in a terminal");
		return 1;
	}
	r = start(&e);
	if (r < 0) {
		log_error("%s", err_text(&e, r));
		return 1;
	}
	log_info("ready");
	gtk_main();
	return 0;
}
