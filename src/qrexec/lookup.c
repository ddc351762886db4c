/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Search for services and their configuration. */
#include "qrexec/lookup.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/str.h"

/* A visit gives 1 = found, -ENOENT = go on searching, other negative = stop. */
typedef int (*visit_fn)(const char *path, void *arg, struct err *e);

/* next_dir copies the next directory of a colon list; false at the end. Empty and overlong entries are skipped. */
static bool next_dir(const char **list, char out[PATH_MAX])
{
	while (**list) {
		size_t n = strcspn(*list, ":");
		const char *p = *list;

		*list += n + (p[n] == ':');
		if (n == 0 || n >= PATH_MAX)
			continue;
		memcpy(out, p, n);
		out[n] = 0;
		return true;
	}
	return false;
}

/* A name that is no single directory entry is not looked for. */
static bool entry_ok(const char *name)
{
	return *name && strlen(name) <= NAME_MAX && !strchr(name, '/') && name[0] != '.';
}

static int search_name(const char *list, const char *name, visit_fn visit, void *arg, struct err *e)
{
	char dir[PATH_MAX], path[PATH_MAX];

	if (!entry_ok(name))
		return -ENOENT;
	while (next_dir(&list, dir)) {
		int r;

		if (str_printf(path, sizeof path, "%s/%s", dir, name) < 0)
			continue;
		r = visit(path, arg, e);
		if (r != -ENOENT)
			return r;
	}
	return -ENOENT;
}

static int search(const char *list, const struct qx_command *c, visit_fn visit, void *arg, struct err *e)
{
	char full[NAME_MAX + 2];
	int r = -ENOENT;

	/* without an argument the first name is "service+" */
	if (str_printf(full, sizeof full, "%s+%s", c->name, c->arg ? c->arg : "") == 0)
		r = search_name(list, full, visit, arg, e);
	if (r == -ENOENT)
		r = search_name(list, c->name, visit, arg, e);
	return r;
}

static int set_port(struct svc *ret, const char *s, struct err *e)
{
	uint64_t port;

	if (str_u64(s, 65535, &port) < 0 || port == 0)
		return err_set(e, EINVAL, "malformed TCP port of a service");
	ret->port = (uint16_t)port;
	return 0;
}

static int set_host(struct svc *ret, const char *s, size_t n, struct err *e)
{
	unsigned char addr[16];

	if (n >= sizeof ret->host)
		return err_set(e, EINVAL, "malformed TCP host of a service");
	memcpy(ret->host, s, n);
	ret->host[n] = 0;
	if (inet_pton(AF_INET, ret->host, addr) != 1 && inet_pton(AF_INET6, ret->host, addr) != 1)
		return err_set(e, EINVAL, "the TCP host of a service must be a numeric address");
	return 0;
}

/* Argument HOST+PORT; a '+' inside the host stands for ':'. */
static int host_from_arg(struct svc *ret, const char *arg, struct err *e)
{
	const char *last = strrchr(arg, '+');
	char host[sizeof ret->host];
	int r;

	if (!last || last == arg || strchr(arg, '_') || (size_t)(last - arg) >= sizeof host)
		return err_set(e, EINVAL, "the argument must be HOST+PORT");
	memcpy(host, arg, (size_t)(last - arg));
	host[last - arg] = 0;
	for (char *p = host; *p; p++)
		if (*p == '+')
			*p = ':';
	r = set_host(ret, host, strlen(host), e);
	return r < 0 ? r : set_port(ret, last + 1, e);
}

int svc_tcp_parse(struct svc *ret, const char *text, const char *arg, struct err *e)
{
	const char *host = text + strlen("/dev/tcp"), *slash;
	bool have_arg = arg && *arg;
	int r;

	ret->kind = SVC_TCP;
	if (!*host || streq(host, "/"))
		return have_arg ? host_from_arg(ret, arg, e) : err_set(e, EINVAL, "the service needs HOST+PORT as argument");
	if (*host++ != '/')
		return err_set(e, EINVAL, "malformed /dev/tcp link");
	slash = strchr(host, '/');
	r = set_host(ret, host, slash ? (size_t)(slash - host) : strlen(host), e);
	if (r < 0)
		return r;
	if (slash && have_arg)
		return err_set(e, EINVAL, "this service takes no argument");
	if (!slash && !have_arg)
		return err_set(e, EINVAL, "the service needs a port as argument");
	return set_port(ret, slash ? slash + 1 : arg, e);
}

struct lookup {
	struct svc *ret;
	const struct qx_command *c;
};

static int visit_service(const char *path, void *arg, struct err *e)
{
	struct lookup *l = arg;
	struct stat st;
	char text[128];

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? -ENOENT : err_errno(e, errno, "service '%s'", path);
	if (S_ISLNK(st.st_mode)) {
		ssize_t n = readlink(path, text, sizeof text - 1);

		if (n < 0)
			return err_errno(e, errno, "service '%s'", path);
		text[n] = 0;
		if (str_starts(text, "/dev/tcp")) {
			int r = svc_tcp_parse(l->ret, text, l->c->arg, e);

			return r < 0 ? r : 1;
		}
		if (stat(path, &st) < 0)
			return errno == ENOENT ? -ENOENT : err_errno(e, errno, "service '%s'", path);
	}
	l->ret->kind = S_ISSOCK(st.st_mode) ? SVC_SOCKET : SVC_EXEC;
	if (!S_ISSOCK(st.st_mode) && (!S_ISREG(st.st_mode) || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0))
		return err_set(e, EACCES, "service '%s' is not executable", path);
	return str_copy(l->ret->path, sizeof l->ret->path, path) < 0 ? -ENAMETOOLONG : 1;
}

int svc_lookup(struct svc *ret, const char *list, const struct qx_command *c, struct err *e)
{
	struct lookup l = { ret, c };
	int r = search(list, c, visit_service, &l, e);

	if (r == -ENOENT)
		return err_set(e, ENOENT, "there is no service '%s'", c->name);
	return r < 0 ? r : 0;
}

static int visit_config(const char *path, void *arg, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	struct rpc_config *ret = arg;
	size_t n;
	int r = fs_read(AT_FDCWD, path, RPC_CONFIG_MAX, &text, &n, e);

	if (r < 0)
		return r;
	r = rpc_config_parse(ret, rd_mem(text, n), e);
	return r < 0 ? err_add(e, r, "'%s'", path) : 1;
}

int svc_config(struct rpc_config *ret, const char *list, const struct qx_command *c, struct err *e)
{
	struct rpc_config out = { 0 };
	int r = search(list, c, visit_config, &out, e);

	if (r < 0 && r != -ENOENT)
		return r;
	err_clear(e);
	*ret = out;
	return 0;
}
