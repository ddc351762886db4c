/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qubes-appmenus: serves qubes.GetAppmenus: the programs that the menus of this qube would show, one group of lines a desktop file. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>

#include "agent/services/common.h"
#include "base/fsx.h"
#include "base/io.h"
#include "base/str.h"
#include "proto/appmenu.h"

#define FILE_MAX (256u * 1024)

/* A file of the same name in an earlier folder hides the later ones, even when it shows nothing. */
struct seen {
	char **v;
	size_t n;
};

static bool note(struct seen *s, const char *id)
{
	for (size_t i = 0; i < s->n; i++)
		if (streq(s->v[i], id))
			return false;
	s->v = xreallocarray(s->v, s->n + 1, sizeof(*s->v));
	s->v[s->n++] = xstrdup(id);
	return true;
}

static void add(struct wr *w, struct seen *s, int dir, const char *folder, const char *file)
{
	_cleanup_free_ char *id = xstrndup(file, strlen(file) - strlen(".desktop")), *text = NULL;
	char path[PATH_MAX];
	size_t n = 0;

	if (!appmenu_id_ok(id) || s->n >= APPMENU_APPS_MAX || !note(s, id) || str_printf(path, sizeof path, "%s/%s", folder, file) < 0 ||
	    fs_read(dir, file, FILE_MAX, &text, &n, NULL) < 0)
		return;
	if (appmenu_put(w, id, path, rd_mem(text, n)))
		wr_u8(w, '\n');
}

static void scan(struct wr *w, struct seen *s, const char *folder)
{
	struct dirent **list = NULL;
	int n = scandir(folder, &list, NULL, alphasort);
	_cleanup_fd_ int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; i < n; i++) {
		if (dir >= 0 && str_ends(list[i]->d_name, ".desktop") && strlen(list[i]->d_name) > strlen(".desktop"))
			add(w, s, dir, folder, list[i]->d_name);
		free(list[i]);
	}
	free(list);
}

int main(int argc, char **argv)
{
	static const char *const system_folders[] = { "/usr/local/share/applications", "/usr/share/applications",
						      "/var/lib/flatpak/exports/share/applications", "/var/lib/snapd/desktop/applications" };
	_cleanup_wr_ struct wr w = wr_grow(APPMENU_STREAM_MAX);
	const char *home = getenv("HOME"), *dirs = argc > 1 ? argv[1] : NULL;
	struct seen seen = { 0 };
	char folder[PATH_MAX];
	struct err e = { 0 };
	int r = 0;

	if (argc > 2 || (dirs && dirs[0] != '/')) {
		fputs("usage: qubes-appmenus [FOLDER]\nPrints the list of programs for qubes.GetAppmenus.\n", stderr);
		return 2;
	}
	if (dirs) {
		scan(&w, &seen, dirs);
	} else {
		if (home && str_printf(folder, sizeof folder, "%s/.local/share/applications", home) == 0)
			scan(&w, &seen, folder);
		for (size_t i = 0; i < ARRAY_SIZE(system_folders); i++)
			scan(&w, &seen, system_folders[i]);
	}
	if (!wr_ok(&w))
		r = err_set(&e, EFBIG, "the list would be longer than %u bytes", APPMENU_STREAM_MAX);
	else
		r = write_full(STDOUT_FILENO, w.buf, w.len);
	for (size_t i = 0; i < seen.n; i++)
		free(seen.v[i]);
	free(seen.v);
	return finish("qubes.GetAppmenus", r, &e);
}
