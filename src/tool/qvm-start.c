/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-start: start qubes, all at once, and wait until they are usable; or one with a further disk for this start. */
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/str.h"
#include "tool/eol_notes.h"
#include "tool/lifecycle.h"

enum { KEY_SKIP = 340, KEY_DRIVE, KEY_HDDISK, KEY_CDROM, KEY_WINTOOLS };

/* Where the reference's package puts them. */
#define WINDOWS_TOOLS "/usr/lib/qubes/qubes-windows-tools.iso"

static const struct tool_opt opts[] = {
	{ KEY_SKIP, "skip-if-running", NULL, "pass over qubes that are running already", 0, W_ANY },
	{ KEY_DRIVE, "drive", "[hd:|cdrom:]DRIVE", "one more disk, only for this start: a file or device of dom0; cdrom: (the default) is read-only", 0, W_FILE },
	{ KEY_HDDISK, "hddisk", "DRIVE", "the same as --drive=hd:DRIVE", 0, W_FILE },
	{ KEY_CDROM, "cdrom", "DRIVE", "the same as --drive=cdrom:DRIVE", 0, W_FILE },
	{ KEY_WINTOOLS, "install-windows-tools", NULL, "the same as --cdrom=" WINDOWS_TOOLS, 0, W_ANY },
	OPTS_NAMES,
	{ 0 },
};

static bool already(int r)
{
	return r == -ADM_EXC_NOT_HALTED || r == -ADM_EXC_ALREADY_STARTED;
}

struct drive {
	bool write;
	char path[PATH_MAX];
};

/* [hd:|cdrom:][dom0:]PATH-OR-DEVICE. 1: there is one; 0: none was asked for; negative: the exit status is -r. */
static int drive_named(const struct tool *t, struct drive *ret)
{
	const char *drive = opt_str(t, KEY_DRIVE), *hd = opt_str(t, KEY_HDDISK), *cd = opt_str(t, KEY_CDROM), *s, *colon;
	bool win = opt_has(t, KEY_WINTOOLS);
	int n = !!drive + !!hd + !!cd + win, r;

	if (n == 0)
		return 0;
	if (n > 1)
		return -tool_usage(t, "one drive is given at a time: --drive, --hddisk, --cdrom or --install-windows-tools");
	s = win ? WINDOWS_TOOLS : drive ? drive : hd ? hd : cd;
	ret->write = hd != NULL;
	if (drive && str_starts(s, "hd:")) {
		ret->write = true;
		s += 3;
	} else if (drive && str_starts(s, "cdrom:")) {
		s += 6;
	}
	colon = strchr(s, ':');
	if (str_starts(s, "dom0:"))
		s += 5;
	else if (s[0] != '/' && colon)
		return -tool_usage(t, "'%.*s' is another qube: only files and devices of dom0 can be given as a drive; bring the image to dom0 first", (int)(colon - s), s);
	else if (s[0] != '/')
		return -tool_usage(t, "'%s' is not a drive: give dom0:DEVICE or the whole path of a file", s);
	r = s[0] == '/' ? str_copy(ret->path, sizeof ret->path, s) : !*s || strchr(s, '/') ? -EINVAL : str_printf(ret->path, sizeof ret->path, "/dev/%s", s);
	return r < 0 ? -tool_usage(t, "'%s' is neither a device of dom0 nor the whole path of a file", s) : 1;
}

/* Opened here, with the rights of who asks; nothing in dom0 looks at what is inside. A descriptor, or minus an exit status (printed). */
static int drive_open(const struct tool *t, const struct drive *d)
{
	int fd = open(d->path, (d->write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 && d->write && (errno == EACCES || errno == EROFS))
		return -tool_fail(t, "'%s' cannot be opened for writing: %s; --cdrom gives it read-only", d->path, strerror(errno));
	if (fd < 0)
		return -tool_fail(t, "'%s': %s", d->path, strerror(errno));
	if (fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
		return fd;
	close(fd);
	return -tool_fail(t, "'%s' is neither a file nor a block device", d->path);
}

static int start_with(const struct tool *t, const struct drive *d, const struct adm_qube *q)
{
	_cleanup_fd_ int fd = -1;
	struct err e = { 0 };
	int r;

	if (!streq(q->state, "Halted"))
		return tool_fail(t, "'%s' is %s: a drive can only be given when it starts", q->name, q->state);
	fd = drive_open(t, d);
	if (fd < 0)
		return -fd;
	r = adm_internal_fd(q->name, "internal.vm.StartDrive", d->write ? "hd" : "cdrom", fd, &e);
	if (r < 0)
		return tool_api(t, r, &e);
	tool_info(t, "%s: done", q->name);
	return 0;
}

/* Drops the ones that run already, and gives how many of these are errors. */
static int only_halted(const struct tool *t, const struct adm_qubes *all, bool *picked, bool skip, size_t *ret_n)
{
	int failed = 0;

	*ret_n = 0;
	for (size_t i = 0; i < all->n; i++) {
		const char *state = all->v[i].state;

		if (!picked[i] || streq(state, "Halted")) {
			*ret_n += picked[i];
			continue;
		}
		/* Transient is a start under way: the call waits for its end. */
		if (!skip && !streq(state, "Transient")) {
			(void)tool_fail(t, "'%s' is running already", all->v[i].name);
			failed++;
		}
		if (!streq(state, "Transient"))
			picked[i] = false;
	}
	return failed;
}

static int run(struct tool *t, int argc, char **argv)
{
	bool skip = opt_has(t, KEY_SKIP) || opt_has(t, KEY_ALL);
	_cleanup_free_ bool *picked = NULL;
	struct drive drive = { 0 };
	struct adm_qubes all;
	int r, failed = 0, with = drive_named(t, &drive);
	size_t n = 0;

	if (with < 0)
		return -with;
	if (with && (argc != 1 || opt_has(t, KEY_ALL)))
		return tool_usage(t, "a drive is given to one qube: name it");
	r = tool_qubes(t, argc, argv, &all, &picked);
	if (r != 0)
		return r;
	if (!with || skip)
		failed = only_halted(t, &all, picked, skip, &n);
	else
		n = 1;
	for (size_t i = 0; with && i < all.n; i++)
		if (picked[i] && start_with(t, &drive, &all.v[i]) != 0) {
			failed++;
			n = 0;
		}
	if (n > 0 && emulated_here())
		tool_note(t, "%s: this host has no usable hardware virtualization", EMULATED_TEXT);
	if (!with)
		failed += act_on(t, &all, picked, "admin.vm.Start", NULL, skip ? already : NULL);
	/* Whoever starts something is there to read it. */
	if (n > 0)
		eol_qubes(&all, picked, eol_warn, t);
	adm_qubes_fini(&all);
	return failed ? EXIT_FAIL : 0;
}

const struct verb verb_qvm_start = {
	.name = "qvm-start",
	.summary = "start qubes and wait until they are usable",
	.args = "[--all [--exclude NAME] | QUBE...]",
	.desc = "Several qubes start side by side. The NetVM of a qube is started with it.\n"
		"A DRIVE is /PATH or dom0:DEVICE; the qube sees a disk with the serial number\n"
		"cdrom or hddisk, gone with its next start. dom0 does not look inside.",
	.opts = opts,
	.words = { W_QUBE },
	.run = run,
};
