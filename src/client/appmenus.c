/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Programs of qubes as dom0 keeps them. The names of qubes that come here are valid ones. */
#include "client/appmenus.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/paths.h"
#include "base/str.h"
#include "client/answers.h"
#include "proto/appmenu.h"
#include "proto/image.h"
#include "proto/names.h"
#include "proto/tpl.h"

#define ENTRY_MAX 4096
#define ICON_SIDE 64u
#define ICON_FILE_MAX (ICON_SIDE * ICON_SIDE * 4 + 32)
#define PNG_MAX (2 * ICON_FILE_MAX)

/* The folder of a qube, made when it is not there, and locked against other writers until it is closed. */
static int open_folder(const char *qube, struct err *e)
{
	_cleanup_fd_ int fd = -1;
	char path[PATH_MAX];
	struct qname name;
	int r = qname_parse(&name, qube, e);

	if (r == 0)
		r = fs_mkdir_p(path_fmt(path, PATH_APPMENUS, "/%s", name.s), 0755, e);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_errno(e, errno, "'%s'", path);
	if (flock(fd, LOCK_EX) < 0)
		return err_errno(e, errno, "locking '%s'", path);
	return STEAL_FD(fd);
}

static void put_app(struct wr *w, const struct appmenu *a)
{
	wr_printf(w, "%s.desktop:Name=%s\n", a->id, a->name);
	if (a->comment[0])
		wr_printf(w, "%s.desktop:Comment=%s\n", a->id, a->comment);
	if (a->icon[0])
		wr_printf(w, "%s.desktop:Icon=%s\n", a->id, a->icon);
	if (a->categories[0])
		wr_printf(w, "%s.desktop:Categories=%s\n", a->id, a->categories);
	wr_u8(w, '\n');
}

int appmenus_store(const char *qube, struct rd list, struct appmenus_count *ret, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(2 * APPMENU_STREAM_MAX);
	_cleanup_fd_ int fd = -1;
	struct appmenu a;
	int k;

	*ret = (struct appmenus_count){ 0 };
	if (rd_left(&list) > APPMENU_STREAM_MAX)
		return err_set(e, EBADMSG, "the list of programs is longer than %u bytes", APPMENU_STREAM_MAX);
	while ((k = appmenu_next(&list, &a, &ret->skipped)) > 0) {
		if (++ret->apps > APPMENU_APPS_MAX)
			return err_set(e, EBADMSG, "the list has more than %d programs", APPMENU_APPS_MAX);
		put_app(&w, &a);
	}
	if (k < 0 || !wr_ok(&w))
		return err_set(e, EBADMSG, "that is not a list of programs");
	fd = open_folder(qube, e);
	return fd < 0 ? fd : fs_write_atomic(fd, "list", w.buf, w.len, 0644, e);
}

int appmenus_list(const char *qube, char **ret, size_t *ret_len, struct err *e)
{
	char path[PATH_MAX];
	struct qname name;
	int r = qname_parse(&name, qube, e);

	if (r < 0)
		return r;
	return fs_read(AT_FDCWD, path_fmt(path, PATH_APPMENUS, "/%s/list", name.s), 2 * APPMENU_STREAM_MAX, ret, ret_len, e);
}

/* Is "ID.desktop" one of the words? */
static bool chosen(const char *only, const char *id)
{
	size_t n = strlen(id);

	for (const char *s = only; s && *s; s += strcspn(s, " "), s += strspn(s, " "))
		if (strncmp(s, id, n) == 0 && strncmp(s + n, ".desktop", 8) == 0 && (s[n + 8] == ' ' || s[n + 8] == '\0'))
			return true;
	return !only;
}

/* What the entries of one qube are made from. */
struct making {
	const char *qube, *from, *only;
	int dir; /* the new folder */
	bool coloured;
	uint32_t colour;
};

/* The colour of the qube's label; without a daemon that says it entries name the icons of the desktop's own theme. */
static bool label_colour(const char *qube, uint32_t *ret)
{
	_cleanup_reply_ struct adm_reply rep = { 0 }, colour = { 0 };
	struct adm_prop label;
	uint8_t v[3];

	if (adm_text(&rep, qube, "admin.vm.property.Get", "label", NULL, NULL) < 0 || adm_prop_parse(&label, rep.data, NULL) < 0 ||
	    adm_text(&colour, "dom0", "admin.label.Get", label.value, NULL, NULL) < 0 || !str_starts(colour.data, "0x") || !hex_get(colour.data + 2, v, sizeof v))
		return false;
	*ret = (uint32_t)v[0] << 16 | (uint32_t)v[1] << 8 | v[2];
	return true;
}

/* Flushed once for all, at the end: a file that is lost with the power is written again at the next look. */
static int write_file(int dir, const char *name, const struct wr *w, struct err *e)
{
	_cleanup_fd_ int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);

	if (fd < 0 || !wr_ok(w) || write(fd, w->buf, w->len) != (ssize_t)w->len)
		return err_errno(e, errno, "writing '%s'", name);
	return 0;
}

/* The program's picture in the label's colour, or a tile of that colour; icon is the name of a theme's icon where there is no colour. */
static int write_icon(const struct making *m, const struct appmenu *a, char icon[PATH_MAX], struct err *e)
{
	_cleanup_wr_ struct wr png = wr_grow(PNG_MAX);
	_cleanup_free_ char *raw = NULL;
	char path[PATH_MAX], name[APPMENU_ID_CAP + 64];
	struct image im;
	size_t n = 0;

	icon[0] = '\0';
	if (!m->coloured)
		return 0;
	if (fs_read(AT_FDCWD, path_fmt(path, PATH_APPMENUS, "/%s/icons/%s", m->from, a->id), ICON_FILE_MAX, &raw, &n, NULL) == 0 &&
	    image_parse(rd_mem(raw, n), &im) == 0)
		image_png(&png, &im, m->colour);
	else
		image_tile(&png, ICON_SIDE, m->colour);
	if (str_printf(name, sizeof name, "bulkhead.%s.%s.png", m->qube, a->id) < 0)
		return err_set(e, ENAMETOOLONG, "the icon of '%s' has too long a name", a->id);
	(void)path_fmt(icon, PATH_APPMENUS, "/%s/apps/%s", m->qube, name);
	return write_file(m->dir, name, &png, e);
}

static int write_entry(const struct making *m, const struct appmenu *a, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(ENTRY_MAX);
	char name[APPMENU_ID_CAP + 64], icon[PATH_MAX];
	int r = write_icon(m, a, icon, e);

	if (r < 0)
		return r;
	appmenu_entry(&w, m->qube, a, icon[0] ? icon : NULL);
	if (!wr_ok(&w) || str_printf(name, sizeof name, "bulkhead.%s.%s.desktop", m->qube, a->id) < 0)
		return err_set(e, ENAMETOOLONG, "the entry of '%s' is too long", a->id);
	return write_file(m->dir, name, &w, e);
}

static int write_entries(int fd, const struct making *m, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	struct making here = *m;
	_cleanup_fd_ int dir = -1;
	struct appmenu a;
	unsigned skipped;
	size_t len = 0;
	struct rd list;
	int r = appmenus_list(m->from, &text, &len, e), n = 0;

	if (r < 0 && r != -ENOENT)
		return r;
	err_clear(e);
	here.dir = dir = openat(fd, "apps.new", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return err_errno(e, errno, "apps.new");
	list = rd_mem(text ? text : "", len);
	while (appmenu_next(&list, &a, &skipped) > 0) {
		if (!chosen(m->only, a.id))
			continue;
		r = write_entry(&here, &a, e);
		if (r < 0)
			return r;
		n++;
	}
	return n;
}

/* The new folder takes the place of the old one in one step. */
static int put_in_place(int fd, const char *fresh, const char *name, struct err *e)
{
	if (renameat2(fd, fresh, fd, name, RENAME_EXCHANGE) == 0)
		return fs_rm_rf(fd, fresh, e);
	if (errno == ENOENT && renameat(fd, fresh, fd, name) == 0)
		return 0;
	return err_errno(e, errno, "replacing '%s'", name);
}

/* An empty folder; what a writer that died has left there goes. */
static int fresh_folder(int fd, const char *name, struct err *e)
{
	int r = fs_rm_rf(fd, name, e);

	return r == 0 && mkdirat(fd, name, 0755) < 0 ? err_errno(e, errno, "%s", name) : r;
}

int appmenus_generate(const char *qube, const char *from, const char *only, struct err *e)
{
	struct making m = { .qube = qube, .from = from, .only = only };
	_cleanup_fd_ int fd = -1;
	int r, n;

	/* Asked before the folder is locked. */
	m.coloured = label_colour(qube, &m.colour);
	fd = open_folder(qube, e);
	if (fd < 0)
		return fd;
	r = fresh_folder(fd, "apps.new", e);
	if (r < 0)
		return r;
	n = write_entries(fd, &m, e);
	r = n < 0 ? n : put_in_place(fd, "apps.new", "apps", e);
	if (r < 0)
		(void)fs_rm_rf(fd, "apps.new", NULL);
	return r < 0 ? r : n;
}

void appmenus_icon_add(struct appmenus_icons *icons, const char *id, struct rd answer)
{
	struct image im;
	struct wr w;

	if (icons->n == APPMENU_APPS_MAX || !appmenu_id_ok(id) || image_parse(answer, &im) < 0)
		return;
	w = wr_grow(ICON_FILE_MAX);
	image_put(&w, &im, ICON_SIDE);
	if (!wr_ok(&w)) {
		wr_free(&w);
		return;
	}
	icons->v = xreallocarray(icons->v, icons->n + 1, sizeof *icons->v);
	icons->v[icons->n].id = xstrdup(id);
	icons->v[icons->n++].bytes = w;
}

int appmenus_icons_store(const char *qube, const struct appmenus_icons *icons, struct err *e)
{
	_cleanup_fd_ int fd = open_folder(qube, e), dir = -1;
	int r = fd < 0 ? fd : fresh_folder(fd, "icons.new", e);

	if (r == 0)
		dir = openat(fd, "icons.new", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (r == 0 && dir < 0)
		r = err_errno(e, errno, "icons.new");
	for (size_t i = 0; r == 0 && i < icons->n; i++)
		r = write_file(dir, icons->v[i].id, &icons->v[i].bytes, e);
	if (r == 0)
		r = put_in_place(fd, "icons.new", "icons", e);
	if (r < 0 && fd >= 0)
		(void)fs_rm_rf(fd, "icons.new", NULL);
	return r;
}

void appmenus_icons_fini(struct appmenus_icons *icons)
{
	for (size_t i = 0; i < icons->n; i++) {
		free(icons->v[i].id);
		wr_free(&icons->v[i].bytes);
	}
	free(icons->v);
	*icons = (struct appmenus_icons){ 0 };
}

int appmenus_remove(const char *qube, struct err *e)
{
	char path[PATH_MAX];
	struct qname name;
	int r = qname_parse(&name, qube, e);

	return r < 0 ? r : fs_rm_rf(AT_FDCWD, path_fmt(path, PATH_APPMENUS, "/%s", name.s), e);
}
