/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * audiod --name NAME [--icon ICON]: the sound of one qube. Descriptors 3 (what it plays), 4 (what it records, and its words), 5 (bulkhead-desktop: volume,
 * mute, microphone). Connects to the sound server first; then the sandbox; then the first byte of the qube.
 */
#include <getopt.h>
#include <signal.h>

#include "base/io.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "gui/audiod/audiod.h"
#include "gui/audiod/pulse.h"
#include "proto/names.h"

static const char usage_text[] =
	"usage: audiod --name NAME [--icon ICON]\n"
	"The sound of one qube. bulkhead-desktop starts it with descriptors 3 (playback), 4 (microphone) and 5 (its control).\n";

static struct {
	struct qname name;
	const char *icon;
} opt = { .icon = "" };

/* Gives -1 to go on, or the exit code. */
static int parse(int argc, char **argv)
{
	static const struct option longs[] = { { "name", 1, NULL, 'n' }, { "icon", 1, NULL, 'i' }, { "help", 0, NULL, 'h' }, { "version", 0, NULL, 'V' }, { 0 } };
	struct err e = { 0 };
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0)
		switch (c) {
		case 'n':
			if (qname_parse(&opt.name, optarg, &e) < 0) {
				fprintf(stderr, "audiod: %s\n", e.msg);
				return 2;
			}
			break;
		case 'i': opt.icon = optarg; break;
		case 'V': puts("audiod " BULKHEAD_VERSION); return 0;
		case 'h': fputs(usage_text, stdout); return 0;
		default: fputs(usage_text, stderr); return 2;
		}
	if (optind < argc || !opt.name.s[0]) {
		fputs(usage_text, stderr);
		return 2;
	}
	if (!str_chars(opt.icon, "_-.")) {
		fprintf(stderr, "audiod: --icon: letters, digits and _ - . only\n");
		return 2;
	}
	return -1;
}

static int set_up(struct pulse **p, struct err *e)
{
	int control = AUDIOD_FD_CONTROL, r;

	for (int fd = AUDIOD_FD_PLAY; fd <= AUDIOD_FD_RECORD; fd++) {
		r = fd_nonblock(fd, true);
		if (r < 0)
			return err_errno(e, -r, "descriptor %d", fd);
	}
	if (fd_nonblock(control, true) < 0)
		control = -1; /* nobody to set anything: it plays, and the microphone stays off */
	r = pulse_open(p, opt.name.s, opt.icon, AUDIOD_FD_PLAY, AUDIOD_FD_RECORD, control, e);
	if (r < 0)
		return r;
	/* The log's first line opens what the library needs for times. */
	log_info("sound of %s", opt.name.s);
	return sandbox_enter(SB_AUDIOD, NULL, 0, e);
}

int main(int argc, char **argv)
{
	struct pulse *p = NULL;
	struct err e = { 0 };
	int r = parse(argc, argv);

	if (r >= 0)
		return r;
	log_init("audiod", opt.name.s, -1);
	signal(SIGPIPE, SIG_IGN);
	r = set_up(&p, &e);
	if (r < 0)
		log_error("%s", err_text(&e, r));
	r = r == 0 ? pulse_run(p) : r == -ENOTCONN ? SOUND_END_SERVER : 1;
	if (r == SOUND_END_BROKEN)
		log_warn("the qube sent a word that there is not");
	pulse_free(p);
	return r;
}
