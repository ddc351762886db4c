/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Virtual policy directories. */
#include "daemon/policyd/evalfiles.h"

#include "base/str.h"
#include "policyfile/dirs.h"

static const char *const roots[] = { "/run/qubes/policy.d", "/etc/qubes/policy.d", "/etc/qubes-rpc/policy" };

static const char *dir_name(void *arg, int dir)
{
	(void)arg;
	return dir == POL_DIR_LEGACY ? roots[2] : roots[dir];
}

/* The object that holds path and the name inside it; NULL when it is in none of them. */
static const json_t *locate(struct evalfiles *f, int dir, const char *path, char **ret)
{
	_cleanup_free_ char *joined = path[0] == '/' ? xstrdup(path) : xasprintf("%s/%s", dir_name(f, dir), path);
	_cleanup_free_ char *abs = pf_clean(joined);
	const json_t *objects[] = { f->dirs[0], f->dirs[1], f->legacy };

	for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
		size_t n = strlen(roots[i]);

		if (!objects[i] || strncmp(abs, roots[i], n) != 0 || (abs[n] != '/' && abs[n] != '\0'))
			continue;
		*ret = xstrdup(abs[n] ? abs + n + 1 : "");
		return objects[i];
	}
	return NULL;
}

static int text(void *arg, int dir, const char *path, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_free_ char *name = NULL;
	const json_t *o = locate(arg, dir, path, &name), *v = o ? json_object_get(o, name) : NULL;

	if (!json_is_string(v))
		return err_set(e, ENOENT, "no such file");
	*ret_len = json_string_length(v);
	*ret = xmalloc(*ret_len + 1);
	memcpy(*ret, json_string_value(v), *ret_len + 1);
	return 0;
}

static int list(void *arg, int dir, const char *path, char ***ret, size_t *ret_n, struct err *e)
{
	_cleanup_free_ char *name = NULL, *prefix = NULL;
	json_t *o = NULL, *v;
	const json_t *found = locate(arg, dir, path, &name);
	const char *key;
	char **names = NULL;
	size_t n = 0;
	bool exists;

	if (!found)
		return err_set(e, ENOENT, "no such directory");
	prefix = name[0] ? xasprintf("%s/", name) : xstrdup("");
	exists = name[0] == '\0';
	o = json_copy((json_t *)(uintptr_t)found);
	json_object_foreach (o, key, v) {
		if (!str_starts(key, prefix) || !json_is_string(v))
			continue;
		exists = true;
		if (strchr(key + strlen(prefix), '/'))
			continue;
		names = xreallocarray(names, n + 1, sizeof(*names));
		names[n++] = xstrdup(key + strlen(prefix));
	}
	json_decref(o);
	if (!exists)
		return err_set(e, ENOENT, "no such directory");
	*ret = names;
	*ret_n = n;
	return 0;
}

void evalfiles_init(struct evalfiles *f, const json_t *run, const json_t *etc, const json_t *legacy)
{
	*f = (struct evalfiles){ .dirs = { json_is_object(run) ? run : NULL, json_is_object(etc) ? etc : NULL },
				 .legacy = json_is_object(legacy) ? legacy : NULL };
	f->loader = (struct pol_loader){ .arg = f, .text = text, .list = list, .dir_name = dir_name };
}
