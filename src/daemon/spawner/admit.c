/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reads what the kernel says of memory and swap. Parses nothing of a qube. */
#include "daemon/spawner/admit.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/fsx.h"
#include "base/proc.h"
#include "base/rd.h"
#include "base/str.h"

#define DEVICES_DEEP 8

static int read_text(const char *root, const char *path, char **ret)
{
	char full[PATH_MAX];
	int r = str_printf(full, sizeof full, "%s%s", root, path);

	return r < 0 ? r : fs_read(AT_FDCWD, full, 1u << 20, ret, NULL, NULL);
}

/* --- memory ------------------------------------------------------------------------------------------------------------- */

static uint64_t number_at(const char *p)
{
	char digits[24];
	uint64_t v;

	p += strspn(p, " \t");
	return str_printf(digits, sizeof digits, "%.*s", (int)strspn(p, "0123456789"), p) < 0 || str_u64(digits, UINT64_MAX, &v) < 0 ? 0 : v;
}

/* "MemAvailable: N kB", or UINT64_MAX where the kernel does not say. */
static uint64_t available_mib(const char *root)
{
	static const char key[] = "\nMemAvailable:";
	_cleanup_free_ char *text = NULL;
	const char *at;

	if (read_text(root, "/proc/meminfo", &text) < 0)
		return UINT64_MAX;
	at = strstr(text, key);
	return at ? number_at(at + sizeof key - 1) / 1024 : UINT64_MAX;
}

/* The second number of statm: pages in memory. 0 when the process has ended. */
static uint64_t resident_mib(const struct admit_start *s)
{
	_cleanup_free_ char *text = NULL;
	uint64_t start = 0;
	char path[48];
	const char *blank;

	if (proc_start_time((pid_t)s->pid, &start) < 0 || start != s->start || str_printf(path, sizeof path, "/proc/%u/statm", s->pid) < 0 ||
	    read_text("", path, &text) < 0)
		return s->need_mib;
	blank = strchr(text, ' ');
	return blank ? number_at(blank) * (uint64_t)sysconf(_SC_PAGESIZE) >> 20 : 0;
}

static uint64_t kept_apart(const struct admit *a, uint64_t now_us)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_SIZE(a->starts); i++) {
		const struct admit_start *s = &a->starts[i];

		if (s->pid && now_us < s->until_us)
			sum += s->need_mib - MIN(s->need_mib, resident_mib(s));
	}
	return sum;
}

int admit_memory(const struct admit *a, const char *root, uint64_t now_us, uint64_t need_mib, const char *name, struct err *e)
{
	uint64_t there = available_mib(root), kept = kept_apart(a, now_us) + ADMIT_RESERVE_MIB, usable = there > kept ? there - kept : 0;

	if (need_mib <= usable)
		return 0;
	return err_set(e, ENOMEM, "not enough memory: '%s' needs %llu MiB and %llu MiB can be used; shut a qube down, or give it less (qvm-prefs %s memory)",
		       name, (unsigned long long)need_mib, (unsigned long long)usable, name);
}

void admit_started(struct admit *a, uint32_t pid, uint64_t start, uint64_t need_mib, uint64_t now_us)
{
	a->starts[a->next++ % ARRAY_SIZE(a->starts)] = (struct admit_start){ pid, start, need_mib, now_us + ADMIT_WARM_UP_US };
}

/* --- swap --------------------------------------------------------------------------------------------------------------- */

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static bool file_begins(const char *root, const char *dir, const char *name, const char *want)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];

	return str_printf(path, sizeof path, "%s/%s", dir, name) == 0 && read_text(root, path, &text) == 0 && str_starts(text, want);
}

/* dir: the device in sysfs. What is written to it is written by dm-crypt, here or in each layer below. */
static bool encrypted(const char *root, const char *dir, unsigned deep)
{
	_cleanup_(closedirp) DIR *d = NULL;
	char path[PATH_MAX];
	struct dirent *ent;
	unsigned n = 0;

	if (file_begins(root, dir, "dm/uuid", "CRYPT-"))
		return true;
	/* compressed in memory, unless it has a place to write to */
	if (str_starts(strrchr(dir, '/') + 1, "zram"))
		return file_begins(root, dir, "backing_dev", "none") || !file_begins(root, dir, "backing_dev", "");
	if (deep == DEVICES_DEEP || str_printf(path, sizeof path, "%s%s/slaves", root, dir) < 0)
		return false;
	d = opendir(path);
	while (d && (ent = readdir(d))) {
		if (ent->d_name[0] == '.')
			continue;
		n++;
		if (str_printf(path, sizeof path, "/sys/class/block/%s", ent->d_name) < 0 || !encrypted(root, path, deep + 1))
			return false;
	}
	return n > 0;
}

/* A device, or a file on a file system on one. */
static bool swap_encrypted(const char *root, const char *name)
{
	char path[PATH_MAX], link[PATH_MAX], dir[PATH_MAX];
	struct stat st;
	dev_t dev;
	ssize_t n;

	if (str_printf(path, sizeof path, "%s%s", root, name) < 0 || stat(path, &st) < 0)
		return false;
	dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	/* tests cannot make devices: there an ordinary file in /dev stands for the one of its name */
	if (*root && str_starts(name, "/dev/"))
		return str_printf(dir, sizeof dir, "/sys/class/block/%s", strrchr(name, '/') + 1) == 0 && encrypted(root, dir, 0);
	if (str_printf(path, sizeof path, "%s/sys/dev/block/%u:%u", root, major(dev), minor(dev)) < 0)
		return false;
	n = readlink(path, link, sizeof link - 1);
	if (n <= 0)
		return false;
	link[n] = '\0';
	return strrchr(link, '/') && str_printf(dir, sizeof dir, "/sys/class/block/%s", strrchr(link, '/') + 1) == 0 && encrypted(root, dir, 0);
}

int admit_secret(const char *root, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	struct rd r, line;
	char name[512], shown[300];
	bool first = true;

	if (read_text(root, "/proc/swaps", &text) < 0)
		return err_set(e, EPERM, "whether the host swaps to a disk cannot be seen");
	r = rd_mem(text, strlen(text));
	while (rd_line(&r, &line)) {
		/* a heading, then the path first in each line */
		if (first || rd_left(&line) == 0) {
			first = false;
			continue;
		}
		rd_text(&line, name, sizeof name);
		name[strcspn(name, " \t")] = '\0';
		if (!rd_done(&line) || !swap_encrypted(root, name))
			return err_set(e, EPERM, "RAM-only: the host's swap '%s' is not encrypted, so memory could reach a disk; turn it off (swapoff -a), or encrypt it, "
						 "or set the feature ram-only-unencrypted-swap", str_escape(shown, sizeof shown, name, strlen(name)));
	}
	return 0;
}
