/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reader of modules.dep. */
#include "template/moddep.h"

#include "base/rd.h"
#include "base/str.h"

#define PATH_LEN 256
#define LIST_MAX 256

void moddep_free(struct moddep_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->path[i]);
	free(l->path);
	*l = (struct moddep_list){ 0 };
}

/* is_module is true when the file name of path is that of the module, whatever it is compressed
   with. */
static bool is_module(const char *path, const char *name)
{
	const char *base = strrchr(path, '/');

	base = base ? base + 1 : path;
	for (; *base && *name; base++, name++)
		if (*base != *name && !(strchr("-_", *base) && strchr("-_", *name)))
			return false;
	return !*name && (streq(base, ".ko") || str_starts(base, ".ko."));
}

static bool path_ok(const char *path)
{
	return path[0] && path[0] != '/' && !strstr(path, "..") && str_chars(path, "/._-+");
}

static int append(struct moddep_list *l, const char *path, struct err *e)
{
	if (!path_ok(path))
		return err_set(e, EINVAL, "modules.dep has a bad path");
	for (size_t i = 0; i < l->n; i++)
		if (streq(l->path[i], path))
			return 0;
	if (l->n == LIST_MAX)
		return err_set(e, E2BIG, "too many modules");
	l->path = xreallocarray(l->path, l->n + 1, sizeof *l->path);
	l->path[l->n++] = xstrdup(path);
	return 0;
}

/* add_needed appends the words of the list in reverse: modules.dep names the deepest dependency
   last. */
static int add_needed(struct rd list, struct moddep_list *l, struct err *e)
{
	char words[64][PATH_LEN];
	size_t n = 0;
	int r = 0;

	while (rd_left(&list) > 0) {
		struct rd rest = list, w = rd_until(&rest, ' ');

		if (!rd_ok(&w)) {
			w = list;
			rest = rd_mem("", 0);
		}
		list = rest;
		if (rd_left(&w) == 0)
			continue;
		if (n == ARRAY_SIZE(words))
			return err_set(e, E2BIG, "a module needs too many others");
		rd_text(&w, words[n], PATH_LEN);
		if (!rd_ok(&w))
			return err_set(e, EINVAL, "modules.dep has a bad path");
		n++;
	}
	while (r == 0 && n > 0)
		r = append(l, words[--n], e);
	return r;
}

int moddep_resolve(const char *text, size_t len, const char *name, struct moddep_list *l, struct err *e)
{
	struct rd r = rd_mem(text, len), line;

	while (rd_line(&r, &line)) {
		struct rd file = rd_until(&line, ':');
		char path[PATH_LEN];
		int err;

		rd_text(&file, path, sizeof path);
		if (!rd_ok(&file) || !is_module(path, name))
			continue;
		err = add_needed(line, l, e);
		return err < 0 ? err : append(l, path, e);
	}
	return err_set(e, ENOENT, "the kernel has no module %s", name);
}
