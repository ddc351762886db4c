/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Programs of qubes as dom0 keeps them. The names of qubes that come here are valid ones. */
#include "client/appmenus.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/paths.h"
#include "base/str.h"
#include "proto/appmenu.h"
#include "proto/names.h"

#define ENTRY_MAX 4096

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

/* Flushed once for all, at the end: an entry that is lost with the power is written again at the next look. */
static int write_entry(int dir, const char *qube, const struct appmenu *a, struct err *e)
{
	uint8_t text[ENTRY_MAX];
	struct wr w = wr_mem(text, sizeof text);
	char name[APPMENU_ID_CAP + 64];
	_cleanup_fd_ int fd = -1;

	appmenu_entry(&w, qube, a, NULL);
	if (!wr_ok(&w) || str_printf(name, sizeof name, "bulkhead.%s.%s.desktop", qube, a->id) < 0)
		return err_set(e, ENAMETOOLONG, "the entry of '%s' is too long", a->id);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0 || write(fd, w.buf, w.len) != (ssize_t)w.len)
		return err_errno(e, errno, "writing '%s'", name);
	return 0;
}

static int write_entries(int fd, const char *qube, const char *from, const char *only, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_fd_ int dir = -1;
	struct appmenu a;
	unsigned skipped;
	size_t len = 0;
	struct rd list;
	int r = appmenus_list(from, &text, &len, e), n = 0;

	if (r < 0 && r != -ENOENT)
		return r;
	err_clear(e);
	dir = openat(fd, "apps.new", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return err_errno(e, errno, "apps.new");
	list = rd_mem(text ? text : "", len);
	while (appmenu_next(&list, &a, &skipped) > 0) {
		if (!chosen(only, a.id))
			continue;
		r = write_entry(dir, qube, &a, e);
		if (r < 0)
			return r;
		n++;
	}
	return n;
}

/* The new folder takes the place of the old one in one step. */
static int put_in_place(int fd, struct err *e)
{
	if (renameat2(fd, "apps.new", fd, "apps", RENAME_EXCHANGE) == 0)
		return fs_rm_rf(fd, "apps.new", e);
	if (errno == ENOENT && renameat(fd, "apps.new", fd, "apps") == 0)
		return 0;
	return err_errno(e, errno, "replacing the entries");
}

int appmenus_generate(const char *qube, const char *from, const char *only, struct err *e)
{
	_cleanup_fd_ int fd = open_folder(qube, e);
	int r, n;

	if (fd < 0)
		return fd;
	r = fs_rm_rf(fd, "apps.new", e); /* of a writer that died */
	if (r == 0 && mkdirat(fd, "apps.new", 0755) < 0)
		r = err_errno(e, errno, "apps.new");
	if (r < 0)
		return r;
	n = write_entries(fd, qube, from, only, e);
	r = n < 0 ? n : put_in_place(fd, e);
	if (r < 0)
		(void)fs_rm_rf(fd, "apps.new", NULL);
	return r < 0 ? r : n;
}

int appmenus_remove(const char *qube, struct err *e)
{
	char path[PATH_MAX];
	struct qname name;
	int r = qname_parse(&name, qube, e);

	return r < 0 ? r : fs_rm_rf(AT_FDCWD, path_fmt(path, PATH_APPMENUS, "/%s", name.s), e);
}
