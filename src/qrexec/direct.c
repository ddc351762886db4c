/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What qubes-vmexec and qubes-vmshell would become. */
#include "qrexec/direct.h"

#include "base/str.h"

static const char *env_get(const char *const *env, const char *name)
{
	size_t n = strlen(name);

	for (; *env; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

/* As execvp searches, but only among whole paths of executable files: for the rest there is the program itself. */
static bool in_path(const char *name, const char *list, char out[PATH_MAX])
{
	size_t n;

	if (!list || strchr(name, '/'))
		return name[0] == '/' && str_copy(out, PATH_MAX, name) == 0;
	for (; *list; list += n + (list[n] == ':')) {
		n = strcspn(list, ":");
		if (list[0] != '/')
			return false;
		if (str_printf(out, PATH_MAX, "%.*s/%s", (int)n, list, name) == 0 && access(out, X_OK) == 0)
			return true;
	}
	return false;
}

static bool vmexec(struct direct *d, const char *arg, const char *const *env)
{
	if (!arg)
		return false;
	d->text = xstrdup(arg);
	return vmexec_get(d->text, (char **)(void *)d->argv, ARRAY_SIZE(d->argv), NULL) > 0 && in_path(d->argv[0], env_get(env, "PATH"), d->path);
}

static bool vmshell(struct direct *d, const char *const *env)
{
	const char *shell = env_get(env, "SHELL");

	if (!shell || shell[0] != '/' || str_copy(d->path, sizeof d->path, shell) < 0)
		return false;
	d->argv[0] = shell;
	return true;
}

/* The name of our program, or NULL. */
static const char *ours(const char *own_dir, const struct svc *svc, char target[PATH_MAX])
{
	size_t len = strlen(own_dir);
	ssize_t n = readlink(svc->path, target, PATH_MAX - 1);

	if (n < 0 || (size_t)n < len + 1)
		return NULL;
	target[n] = '\0';
	return strncmp(target, own_dir, len) == 0 && target[len] == '/' ? target + len + 1 : NULL;
}

bool direct_ours(const char *own_dir, const struct svc *svc)
{
	char target[PATH_MAX];

	return ours(own_dir, svc, target) != NULL;
}

bool direct_find(struct direct *ret, const char *own_dir, const struct svc *svc, const char *arg, const char *const *env)
{
	char target[PATH_MAX];
	const char *name = ours(own_dir, svc, target);

	ret->text = NULL;
	if (name && streq(name, "qubes-vmexec"))
		return vmexec(ret, arg, env);
	return name && streq(name, "qubes-vmshell") && vmshell(ret, env);
}

void direct_fini(struct direct *d)
{
	free(STEAL_PTR(d->text));
}
