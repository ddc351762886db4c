/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys whose signatures count for templates. */
#include "tool/tpl_keys.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/paths.h"
#include "base/str.h"
#include "tool/tpl_proc.h"

#define MARK "bulkhead-template-key-1 "
#define HEX_LEN (2 * TPL_KEY_LEN)

bool tpl_key_name_ok(const char *s)
{
	return ch_alnum(s[0]) && strlen(s) <= TPL_KEY_NAME_MAX && str_chars(s, "._-");
}

/* "bulkhead-template-key-1 HEX", with a newline; more lines may follow as a remark. */
static int parse(const char *text, char ret[HEX_LEN + 1])
{
	uint8_t key[TPL_KEY_LEN];

	if (!str_starts(text, MARK) || strlen(text) < strlen(MARK) + HEX_LEN)
		return -EINVAL;
	if (str_printf(ret, HEX_LEN + 1, "%.*s", HEX_LEN, text + strlen(MARK)) < 0 || !hex_get(ret, key, sizeof key))
		return -EINVAL;
	return text[strlen(MARK) + HEX_LEN] == '\n' || text[strlen(MARK) + HEX_LEN] == '\0' ? 0 : -EINVAL;
}

static int only_keys(const struct dirent *d)
{
	return d->d_name[0] != '.' && str_ends(d->d_name, ".pub");
}

int tpl_keys_each(void (*fn)(const char *name, const char *hex, void *arg), void *arg, struct err *e)
{
	const char *dir = path_get(PATH_TEMPLATE_KEYS);
	struct dirent **v = NULL;
	int n = scandir(dir, &v, only_keys, alphasort), r = 0;

	if (n < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "%s", dir);
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, v[i]->d_name), *text = NULL;
		char hex[HEX_LEN + 1], name[TPL_KEY_NAME_MAX + 1];

		if (r == 0)
			r = fs_read(AT_FDCWD, path, 4096, &text, NULL, e);
		if (r == 0 && (str_printf(name, sizeof name, "%.*s", (int)(strlen(v[i]->d_name) - 4), v[i]->d_name) < 0 || !tpl_key_name_ok(name) ||
			       parse(text, hex) < 0))
			r = err_set(e, EINVAL, "%s is no key of a template signer; remove it or make it again with 'qvm-template key trust'", path);
		if (r == 0)
			fn(name, hex, arg);
		free(v[i]);
	}
	free(v);
	return r;
}

struct put {
	struct wr *w;
	const char *only;
	size_t n;
};

static void put_one(const char *name, const char *hex, void *arg)
{
	struct put *p = arg;

	if (p->only && !streq(p->only, name))
		return;
	wr_printf(p->w, "%s %s\n", hex, name);
	p->n++;
}

int tpl_keys_put(struct wr *w, const char *only, struct err *e)
{
	struct put p = { w, only, 0 };
	int r = tpl_keys_each(put_one, &p, e);

	if (r == 0 && p.n == 0 && only)
		r = err_set(e, ENOENT, "key '%s' is not trusted here; add it with 'qvm-template key trust %s FILE'", only, only);
	else if (r == 0 && p.n == 0)
		r = err_set(e, ENOENT, "no key is trusted yet; add the one of whoever made the template with 'qvm-template key trust NAME FILE'");
	return r;
}

int tpl_key_read(const char *what, char ret[HEX_LEN + 1], struct err *e)
{
	_cleanup_free_ char *text = NULL;
	uint8_t key[TPL_KEY_LEN];
	int r;

	if (hex_get(what, key, sizeof key))
		return str_copy(ret, HEX_LEN + 1, what);
	r = fs_read(AT_FDCWD, what, 4096, &text, NULL, e);
	if (r == 0 && parse(text, ret) < 0)
		r = err_set(e, EINVAL, "'%s' holds no public key of a template signer (NAME.pub of 'qvm-template keygen')", what);
	return r;
}

int tpl_key_trust(const char *name, const char *hex, struct err *e)
{
	_cleanup_free_ char *text = xasprintf(MARK "%s\n", hex), *old = NULL;
	char path[PATH_MAX], was[HEX_LEN + 1];
	int r;

	if (!tpl_key_name_ok(name))
		return err_set(e, EINVAL, "'%s' is no name for a key", name);
	r = fs_mkdir_p(path_get(PATH_TEMPLATE_KEYS), 0755, e);
	if (r < 0)
		return r;
	path_fmt(path, PATH_TEMPLATE_KEYS, "/%s.pub", name);
	if (fs_read(AT_FDCWD, path, 4096, &old, NULL, NULL) == 0) {
		if (parse(old, was) == 0 && streq(was, hex))
			return 0;
		return err_set(e, EEXIST, "another key has the name '%s'; remove it first with 'qvm-template key remove %s'", name, name);
	}
	return fs_write_atomic(AT_FDCWD, path, text, strlen(text), 0644, e);
}

int tpl_key_remove(const char *name, struct err *e)
{
	char path[PATH_MAX];

	if (!tpl_key_name_ok(name))
		return err_set(e, EINVAL, "'%s' is no name of a key", name);
	if (unlink(path_fmt(path, PATH_TEMPLATE_KEYS, "/%s.pub", name)) < 0)
		return errno == ENOENT ? err_set(e, ENOENT, "no key has the name '%s'; see 'qvm-template key list'", name) : err_errno(e, errno, "%s", path);
	return 0;
}

/* Written whole or not at all, and never over something. */
static int write_new(const char *path, const char *text, mode_t mode, struct err *e)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	int r;

	if (fd < 0)
		return err_errno(e, errno, "making '%s'", path);
	r = write_full(fd, text, strlen(text));
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(path);
	return r < 0 ? err_errno(e, -r, "writing '%s'", path) : 0;
}

int tpl_key_generate(const char *path, char ret[HEX_LEN + 1], struct err *e)
{
	static const char *const argv[] = { "keygen", NULL };
	_cleanup_free_ char *out = NULL, *pub = xasprintf("%s.pub", path), *pub_text = NULL;
	uint8_t raw[TPL_KEY_LEN];
	size_t n = 0;
	char *secret;
	int r = tpl_capture("template-signer", argv, NULL, 0, 4096, &out, &n, e);

	if (r < 0)
		return r;
	if (n != 2 * HEX_LEN + 2 || out[HEX_LEN] != ' ' || out[n - 1] != '\n')
		return err_set(e, EPROTO, "template-signer gave no key");
	out[n - 1] = '\0';
	secret = out;
	secret[HEX_LEN] = '\0';
	if (!hex_get(secret, raw, sizeof raw) || !hex_get(out + HEX_LEN + 1, raw, sizeof raw))
		return err_set(e, EPROTO, "template-signer gave no key");
	r = str_copy(ret, HEX_LEN + 1, out + HEX_LEN + 1);
	pub_text = xasprintf(MARK "%s\n", ret);
	if (r == 0)
		r = write_new(path, secret, 0600, e);
	if (r == 0)
		r = write_new(pub, pub_text, 0644, e);
	explicit_bzero(out, HEX_LEN);
	return r;
}

int tpl_key_own(struct err *e)
{
	char path[PATH_MAX], hex[HEX_LEN + 1];
	int fd, r = fs_mkdir_p(path_get(PATH_TEMPLATES), 0755, e);

	if (r < 0)
		return r;
	path_fmt(path, PATH_TEMPLATES, "/own.key");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? err_errno(e, errno, "%s", path) : fd;
	r = tpl_key_generate(path, hex, e);
	if (r == 0)
		r = tpl_key_trust(TPL_OWN_KEY, hex, e);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_errno(e, errno, "%s", path) : fd;
}
