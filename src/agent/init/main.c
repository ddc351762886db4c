/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Order of the boot steps and the one way to fail: a clear line on the console, then power off.
   There is no rescue shell. */
#include <fcntl.h>
#include <sys/reboot.h>

#include "agent/init/init.h"
#include "base/fsx.h"

/* The emulator on a busy host is slow, not broken: the host's own watchdog is the one that
   decides. */
#define DISK_TIMEOUT_MS 120000

static int step_args(struct boot *b, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = fs_read(AT_FDCWD, "/proc/cmdline", 8192, &text, &len, e);

	return r < 0 ? r : cmdline_parse(rd_mem(text, len), &b->args, e);
}

static int step_drivers(struct boot *b, struct err *e)
{
	b->uevents = uevent_open(e);
	return b->uevents < 0 ? b->uevents : modules_load("boot", e);
}

static int step_disks(struct boot *b, struct err *e)
{
	return disks_wait(b, DISK_TIMEOUT_MS, e);
}

static int step_links(struct boot *b, struct err *e)
{
	return disks_link(b, e);
}

static int step_early(struct boot *b, struct err *e)
{
	return mounts_early(e);
}

static int step_modules(struct boot *b, struct err *e)
{
	return mounts_modules(b, e);
}

static int step_facts(struct boot *b, struct err *e)
{
	return mounts_facts(b, e);
}

static int step_switch(struct boot *b, struct err *e)
{
	close(b->uevents);
	return mounts_switch(b, e);
}

static const struct {
	const char *name;
	int (*fn)(struct boot *b, struct err *e);
} steps[] = {
	{ "mounts", step_early },	{ "arguments", step_args },	 { "drivers", step_drivers },
	{ "disks", step_disks },	{ "volatile", volatile_prepare }, { "links", step_links },
	{ "root", mounts_root },	{ "modules", step_modules },	 { "facts", step_facts },
	{ "switch", step_switch },
};

int main(void)
{
	struct boot b = { .uevents = -1 };
	struct err e = { 0 };

	/* The first byte on the console tells the host that this boot is alive. */
	dprintf(STDERR_FILENO, "bulkhead-init: started\n");
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		int r = steps[i].fn(&b, &e);

		if (r < 0) {
			dprintf(STDERR_FILENO, "bulkhead-init: %s: %s\n", steps[i].name, err_text(&e, r));
			break;
		}
		if (b.args.debug)
			dprintf(STDERR_FILENO, "bulkhead-init: %s done\n", steps[i].name);
	}
	sync();
	reboot(RB_POWER_OFF);
	return 1;
}
