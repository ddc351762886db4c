/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Kernels that are installed in dom0. The newest is looked up again only when the directory has changed. */
#include <dirent.h>
#include <sys/stat.h>

#include "base/paths.h"
#include "base/str.h"
#include "core/core.h"
#include "core/statekey.h"

/* Shown as default_kernel while none is installed, so that qubes can be made before; starting one says what is missing. */
#define PLACEHOLDER "not-installed"

bool kernel_exists(const char *name)
{
	char path[PATH_MAX];
	struct stat sb;

	return name[0] && name[0] != '.' && !strchr(name, '/') &&
	       stat(path_fmt(path, PATH_KERNELS, "/%s/vmlinuz", name), &sb) == 0 && S_ISREG(sb.st_mode);
}

static void scan(char out[64])
{
	DIR *d = opendir(path_get(PATH_KERNELS));
	struct timespec best = { 0 };
	struct dirent *de;

	if (str_copy(out, 64, PLACEHOLDER) < 0 || !d)
		return;
	while ((de = readdir(d))) {
		char path[PATH_MAX];
		struct stat sb;

		if (strlen(de->d_name) >= 64 || !kernel_exists(de->d_name) ||
		    stat(path_fmt(path, PATH_KERNELS, "/%s/vmlinuz", de->d_name), &sb) < 0)
			continue;
		if (sb.st_mtim.tv_sec < best.tv_sec || (sb.st_mtim.tv_sec == best.tv_sec && sb.st_mtim.tv_nsec < best.tv_nsec))
			continue;
		best = sb.st_mtim;
		memcpy(out, de->d_name, strlen(de->d_name) + 1);
	}
	closedir(d);
}

const char *kernel_newest(void)
{
	static char name[64];
	static struct timespec seen;
	struct stat sb;

	/* A kernel is installed by renaming its complete directory into place, which touches the parent. */
	if (stat(path_get(PATH_KERNELS), &sb) < 0)
		return PLACEHOLDER;
	if (!name[0] || sb.st_mtim.tv_sec != seen.tv_sec || sb.st_mtim.tv_nsec != seen.tv_nsec) {
		scan(name);
		/* Not trusted while the placeholder is shown: files may still be on their way into a new directory. */
		if (streq(name, PLACEHOLDER)) {
			seen = (struct timespec){ 0 };
		} else {
			seen = sb.st_mtim;
		}
	}
	return name;
}

void kernel_stamp(const char *name, struct wr *w)
{
	static const char *const files[] = { "vmlinuz", "vmlinux", "initramfs", "modules.img" };
	char path[PATH_MAX];
	struct stat sb;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (name[0] && stat(path_fmt(path, PATH_KERNELS, "/%s/%s", name, files[i]), &sb) == 0)
			wr_printf(w, " %s=%lld@%lld.%09ld", files[i], (long long)sb.st_size, (long long)sb.st_mtim.tv_sec, sb.st_mtim.tv_nsec);
}
