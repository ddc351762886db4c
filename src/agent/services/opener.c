/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which program opens what: the files of the desktop's own conventions, read in their order. */
#include "agent/services/opener.h"

#include <fcntl.h>
#include <limits.h>

#include "base/fsx.h"
#include "base/str.h"
#include "proto/desktop.h"
#include "qrexec/find.h"

#define FILE_MAX (1u << 22)
#define TRIES 16

/* For systems without the database of types. */
static const struct {
	const char *suffix, *type;
} few[] = {
	{ ".txt", "text/plain" },	   { ".log", "text/plain" },	 { ".html", "text/html" },	{ ".htm", "text/html" },
	{ ".pdf", "application/pdf" },	   { ".png", "image/png" },	 { ".jpg", "image/jpeg" },	{ ".jpeg", "image/jpeg" },
	{ ".gif", "image/gif" },	   { ".svg", "image/svg+xml" }, { ".zip", "application/zip" }, { ".odt", "application/vnd.oasis.opendocument.text" },
	{ ".mp4", "video/mp4" },	   { ".mp3", "audio/mpeg" },	 { ".csv", "text/csv" },	{ ".md", "text/markdown" },
};

void opener_fini(struct opener *o)
{
	free(o->text);
	o->text = NULL;
}

/* The first bytes of a file without a telling name: text when they are. */
static bool is_text(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint8_t buf[1024];
	ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof buf);

	for (ssize_t i = 0; i < n; i++)
		if (buf[i] < 0x20 && !strchr("\t\n\r\f\033", buf[i]))
			return false;
	return n > 0 && !memchr(buf, 0, (size_t)n);
}

void opener_type(const char *what, char *out, size_t cap)
{
	const char *name = strrchr(what, '/'), *colon = strchr(what, ':');
	_cleanup_free_ char *globs = NULL;
	char type[MIME_CAP];
	size_t n = 0;

	(void)!str_copy(out, cap, "application/octet-stream");
	if (what[0] != '/' && colon) {
		(void)!str_printf(out, cap, "x-scheme-handler/%.*s", (int)MIN(colon - what, 32), what);
		return;
	}
	name = name ? name + 1 : what;
	if (fs_read(AT_FDCWD, "/usr/share/mime/globs2", FILE_MAX, &globs, &n, NULL) == 0 && mime_of_name(rd_mem(globs, n), name, type)) {
		(void)!str_copy(out, cap, type);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(few); i++)
		if (strlen(name) > strlen(few[i].suffix) && strcasecmp(name + strlen(name) - strlen(few[i].suffix), few[i].suffix) == 0) {
			(void)!str_copy(out, cap, few[i].type);
			return;
		}
	if (is_text(what))
		(void)!str_copy(out, cap, "text/plain");
}

/* Folders of data in their order: the user's, then the system's. */
static const char *data_dir(unsigned i, char out[PATH_MAX])
{
	static const char *const fixed[] = { "/usr/local/share", "/usr/share", "/var/lib/flatpak/exports/share" };
	const char *home = getenv("HOME"), *own = getenv("XDG_DATA_HOME");
	int r = 0;

	if (i == 0 && own && own[0] == '/')
		r = str_copy(out, PATH_MAX, own);
	else if (i == 0)
		r = str_printf(out, PATH_MAX, "%s/.local/share", home ? home : "/");
	else if (i <= ARRAY_SIZE(fixed))
		r = str_copy(out, PATH_MAX, fixed[i - 1]);
	else
		return NULL;
	return r < 0 ? "/nonexistent" : out;
}

/* The program of a desktop file, if it can be started. */
static int take_desktop(struct opener *o, const char *id, const char *what)
{
	char dir[PATH_MAX], path[PATH_MAX];
	const char *d;

	for (unsigned i = 0; (d = data_dir(i, dir)); i++) {
		_cleanup_free_ char *file = NULL;
		size_t n = 0, cap;

		if (str_printf(path, sizeof path, "%s/applications/%s", d, id) < 0 ||
		    fs_read(AT_FDCWD, path, 1u << 20, &file, &n, NULL) < 0)
			continue;
		cap = n + strlen(what) + 16;
		opener_fini(o);
		o->text = xmalloc(cap);
		if (desktop_exec_with(rd_mem(file, n), what, o->text, cap, o->argv, OPENER_ARGS, NULL) > 0 &&
		    find_program(o->argv[0], o->path, NULL) == 0)
			return 0;
	}
	return -ENOENT;
}

static int try_list(struct opener *o, const char *path, const char *group, const char *type, const char *what)
{
	_cleanup_free_ char *list = NULL;
	char id[MIME_CAP];
	size_t n = 0;

	if (fs_read(AT_FDCWD, path, FILE_MAX, &list, &n, NULL) < 0)
		return -ENOENT;
	for (unsigned i = 0; i < TRIES && mime_app(rd_mem(list, n), group, type, i, id); i++)
		if (take_desktop(o, id, what) == 0)
			return 0;
	return -ENOENT;
}

static int try_type(struct opener *o, const char *type, const char *what)
{
	static const char *const groups[] = { "Default Applications", "Added Associations" };
	const char *home = getenv("HOME"), *config = getenv("XDG_CONFIG_HOME"), *d;
	char dir[PATH_MAX], path[PATH_MAX];

	for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
		int r = config && config[0] == '/' ? str_printf(path, sizeof path, "%s/mimeapps.list", config) :
						     str_printf(path, sizeof path, "%s/.config/mimeapps.list", home ? home : "/");

		if ((r == 0 && try_list(o, path, groups[g], type, what) == 0) ||
		    try_list(o, "/etc/xdg/mimeapps.list", groups[g], type, what) == 0)
			return 0;
		for (unsigned i = 0; (d = data_dir(i, dir)); i++)
			if (str_printf(path, sizeof path, "%s/applications/mimeapps.list", d) == 0 && try_list(o, path, groups[g], type, what) == 0)
				return 0;
	}
	for (unsigned i = 0; (d = data_dir(i, dir)); i++)
		if (str_printf(path, sizeof path, "%s/applications/mimeinfo.cache", d) == 0 && try_list(o, path, "MIME Cache", type, what) == 0)
			return 0;
	return -ENOENT;
}

int opener_find(struct opener *ret, const char *what, struct err *e)
{
	char type[MIME_CAP];
	int r;

	*ret = (struct opener){ 0 };
	opener_type(what, type, sizeof type);
	r = try_type(ret, type, what);
	if (r < 0 && str_starts(type, "text/"))
		r = try_type(ret, "text/plain", what);
	if (r < 0)
		opener_fini(ret);
	return r < 0 ? err_set(e, ENOENT, "no program of this qube opens %s: install one, or choose one in ~/.config/mimeapps.list", type) : 0;
}
