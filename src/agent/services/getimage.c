/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qubes-get-image: serves qubes.GetImageRGBA. The line says which image: a path, "xdgicon:NAME", or "-" (also "png:-") for one that follows the line.
 * PNG is decoded here, in a process that can do nothing but read and write; other formats are first turned into PNG by a converter of this
 * qube, if one is installed (rsvg-convert for SVG, ImageMagick's convert for the rest).
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "agent/services/common.h"
#include "agent/services/pngrgba.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/proc.h"
#include "base/str.h"

#define IMAGE_MAX (32u << 20)
#define ARENA_BYTES ((size_t)PNG_PIXELS_MAX * 4 + (8u << 20))
#define PNG_MAGIC "\x89PNG\r\n\x1a\n"

extern char **environ;

struct image {
	char *data;
	size_t len;
};

static bool is_png(const struct image *im)
{
	return im->len > 8 && memcmp(im->data, PNG_MAGIC, 8) == 0;
}

static bool is_svg(const struct image *im, const char *format)
{
	return streq(format, "svg") || (im->len > 5 && (memcmp(im->data, "<?xml", 5) == 0 || memcmp(im->data, "<svg", 4) == 0));
}

/* Another format, by a program that reads it from a file of ours and writes PNG to its output. */
static int convert(struct image *im, const char *format, struct err *e)
{
	const char *svg[] = { "rsvg-convert", "--format=png", "/proc/self/fd/0", NULL };
	char input[32];
	const char *other[] = { "convert", input, "png:-", NULL };
	bool is = is_svg(im, format);
	struct proc_spec s = { .path = is ? "/usr/bin/rsvg-convert" : "/usr/bin/convert", .argv = is ? svg : other, .n_fds = 1 };
	_cleanup_fd_ int fd = memfd_create("image", MFD_CLOEXEC);
	char *png = NULL;
	size_t n = 0;
	int r;

	if (access(s.path, X_OK) < 0)
		return err_set(e, EOPNOTSUPP, "this qube can only show PNG images: %s is not installed", s.path + strlen("/usr/bin/"));
	if (str_printf(input, sizeof input, "%s%s-", format, *format ? ":" : "") < 0)
		return err_set(e, EINVAL, "that is no image format");
	if (fd < 0 || write_full(fd, im->data, im->len) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(e, errno, "memory for the image");
	s.fds[0].fd = fd;
	s.fds[0].as = 0;
	r = proc_capture(&s, IMAGE_MAX, &png, &n, e);
	if (r < 0)
		return r;
	free(im->data);
	*im = (struct image){ png, n };
	return 0;
}

static bool icon_file(const char *theme, const char *size, const char *name, char out[PATH_MAX])
{
	return str_printf(out, PATH_MAX, "/usr/share/icons/%s/%s/apps/%s.png", theme, size, name) == 0 && access(out, R_OK) == 0;
}

/* The largest picture of the name, in the common theme first. */
static int find_icon(const char *name, char out[PATH_MAX], struct err *e)
{
	static const char *const themes[] = { "hicolor", "Adwaita", "gnome", "oxygen" };
	static const char *const sizes[] = { "256x256", "128x128", "96x96", "64x64", "48x48", "32x32", "24x24", "22x22", "16x16" };
	static const char *const flat[] = { "/usr/share/pixmaps/%s.png", "/usr/share/pixmaps/%s" };

	if (!name[0] || name[0] == '.' || !str_chars(name, "._-+"))
		return err_set(e, EINVAL, "that cannot be the name of an icon");
	for (size_t t = 0; t < ARRAY_SIZE(themes); t++)
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
			if (icon_file(themes[t], sizes[i], name, out))
				return 0;
	for (size_t i = 0; i < ARRAY_SIZE(flat); i++) {
		int r = i == 0 ? str_printf(out, PATH_MAX, "/usr/share/pixmaps/%s.png", name) : str_printf(out, PATH_MAX, "/usr/share/pixmaps/%s", name);

		if (r == 0 && access(out, R_OK) == 0)
			return 0;
	}
	if (str_printf(out, PATH_MAX, "/usr/share/icons/hicolor/scalable/apps/%s.svg", name) == 0 && access(out, R_OK) == 0)
		return 0;
	return err_set(e, ENOENT, "there is no icon '%s' here", name);
}

static int load_path(const char *path, struct image *im, struct err *e)
{
	struct stat st;
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, errno, "'%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "'%s' is not a file", path);
	return read_some(fd, IMAGE_MAX, &im->data, &im->len, e);
}

/* What the line asks for. */
static int load(const char *line, char format[16], struct image *im, struct err *e)
{
	size_t n = strlen(line);
	char path[PATH_MAX];
	int r;

	format[0] = '\0';
	if (streq(line, "-") || (n > 2 && n < 16 && streq(line + n - 2, ":-"))) {
		if (n > 2) {
			memcpy(format, line, n - 2);
			format[n - 2] = '\0';
		}
		if (!str_chars(format, ""))
			return err_set(e, EINVAL, "that is no image format");
		return read_some(STDIN_FILENO, IMAGE_MAX, &im->data, &im->len, e);
	}
	if (str_starts(line, "xdgicon:")) {
		r = find_icon(line + strlen("xdgicon:"), path, e);
		return r < 0 ? r : load_path(path, im, e);
	}
	return load_path(line, im, e);
}

/* Everything is there before the door closes: from then on only read, write and exit are possible. */
static _noreturn_ void confined(const struct image *im, struct arena *a)
{
	uint32_t w = 0, h = 0;
	uint8_t *pixels = NULL;
	char head[32];
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) < 0)
		_exit(3);
	r = png_rgba(a, rd_mem(im->data, im->len), &w, &h, &pixels);
	if (r == 0)
		r = str_printf(head, sizeof head, "%u %u\n", w, h);
	if (r == 0)
		r = write_full(STDOUT_FILENO, head, strlen(head));
	if (r == 0)
		r = write_full(STDOUT_FILENO, pixels, (size_t)w * h * 4);
	syscall(SYS_exit, r == 0 ? 0 : r == -EFBIG ? 2 : 1);
	__builtin_unreachable();
}

int main(void)
{
	struct arena a = { .cap = ARENA_BYTES };
	char line[PATH_MAX + 16], format[16];
	struct image im = { 0 };
	struct err e = { 0 };
	int r = read_line(STDIN_FILENO, line, sizeof line, &e);

	if (r == 0)
		r = load(line, format, &im, &e);
	if (r == 0 && !is_png(&im))
		r = convert(&im, format, &e);
	if (r == 0 && !is_png(&im))
		r = err_set(&e, EBADMSG, "that is not an image");
	if (r == 0) {
		a.p = mmap(NULL, a.cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (a.p != MAP_FAILED)
			confined(&im, &a);
		r = err_errno(&e, errno, "memory for the image");
	}
	return finish("qubes.GetImageRGBA", r, &e);
}
