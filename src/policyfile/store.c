/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Policy files under lock: names, tokens, validation, replacement. What was there before goes to undo.c. */
#include "policyfile/store.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/str.h"
#include "policyfile/undo.h"

#define INCLUDE "include/"

int pf_store_open(struct pf_store *s, struct pf_dirs *d, bool write, struct err *e)
{
	*s = (struct pf_store){ .dirs = d, .path = d->dirs[d->n_dirs - 1], .fd = -1 };
	s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->fd < 0)
		return err_errno(e, errno, "policy directory '%s'", s->path);
	while (write && flock(s->fd, LOCK_EX) < 0)
		if (errno != EINTR) {
			int r = err_errno(e, errno, "locking '%s'", s->path);

			pf_store_close(s);
			return r;
		}
	return 0;
}

void pf_store_close(struct pf_store *s)
{
	if (s->path)
		fd_closep(&s->fd);
	s->path = NULL;
}

int pf_name_check(const char *name, struct err *e)
{
	char shown[100];

	if (str_starts(name, INCLUDE)) {
		const char *s = name + strlen(INCLUDE);

		if (s[0] && s[0] != '.' && strlen(s) <= 200 && str_chars(s, "_.-"))
			return 0;
	} else if (strlen(name) <= 200 && pol_file_name_ok(name) == 1) {
		return 0;
	}
	return err_set(e, EINVAL, "'%s' is no name of a policy file (a-z 0-9 _ . - and .policy at the end, or include/NAME)",
		       str_escape(shown, sizeof shown, name, strlen(name)));
}

void pf_token(char out[PF_TOKEN_MAX], const char *text, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	char *s = out + strlen("sha256:");

	(void)!str_copy(out, PF_TOKEN_MAX, "sha256:");
	if (EVP_Digest(text, len, md, &n, EVP_sha256(), NULL) != 1)
		n = 0;
	for (unsigned i = 0; i < n && i < 32; i++) {
		*s++ = digits[md[i] >> 4];
		*s++ = digits[md[i] & 15];
	}
	*s = '\0';
}

int pf_store_get(const struct pf_store *s, const char *name, char **ret, size_t *ret_len, char token[PF_TOKEN_MAX], struct err *e)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_free_ char *text = NULL;
	struct stat st;
	ssize_t n;
	int r = pf_name_check(name, e);

	if (r < 0)
		return r;
	fd = fs_open_beneath(s->fd, name, O_RDONLY | O_NONBLOCK, 0, e);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "'%s' is not a regular file", name);
	if (st.st_size > (off_t)POL_FILE_MAX)
		return err_set(e, EFBIG, "'%s' is too long for a policy file", name);
	text = xmalloc(POL_FILE_MAX + 1);
	n = read_full(fd, text, POL_FILE_MAX);
	if (n < 0)
		return err_errno(e, (int)-n, "reading '%s'", name);
	text[n] = '\0';
	pf_token(token, text, (size_t)n);
	*ret = xreallocarray(STEAL_PTR(text), (size_t)n + 1, 1);
	*ret_len = (size_t)n;
	return 0;
}

static int name_cmp(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

int pf_store_list(const struct pf_store *s, bool include, char ***ret, size_t *ret_n, struct err *e)
{
	_cleanup_free_ char *path = xasprintf("%s%s", s->path, include ? "/include" : "");
	char **v = NULL;
	size_t n = 0, out = 0;
	int r = pf_list(s->dirs, path, &v, &n, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *full = xasprintf("%s%s", include ? INCLUDE : "", v[i]);

		if (pf_name_check(full, NULL) == 0)
			v[out++] = v[i];
		else
			free(v[i]);
	}
	if (out)
		qsort(v, out, sizeof(*v), name_cmp);
	*ret = v;
	*ret_n = out;
	return 0;
}

int pf_store_files(const struct pf_store *s, const char *service, char ***ret, size_t *ret_n, struct err *e)
{
	struct policy *p = NULL;
	const char *last = NULL;
	char **v = NULL;
	size_t n = 0;
	int r = pf_load(&p, s->dirs, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < p->n_rules; i++) {
		const char *file = p->rules[i].file;
		bool there = false;

		if (file == last || !file || !p->rules[i].service || !streq(p->rules[i].service, service))
			continue;
		last = file;
		for (int d = 0; d < s->dirs->n_dirs; d++) {
			size_t k = strlen(s->dirs->dirs[d]);

			if (str_starts(file, s->dirs->dirs[d]) && file[k] == '/')
				file += k + 1;
		}
		for (size_t k = 0; k < n; k++)
			there = there || streq(v[k], file);
		if (there)
			continue;
		v = xreallocarray(v, n + 1, sizeof(*v));
		v[n++] = xstrdup(file);
	}
	policy_free(p);
	*ret = v;
	*ret_n = n;
	return 0;
}

int pf_store_check(const struct pf_store *s, const char *name, const char *text, size_t len, struct err *e)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", s->path, name);
	struct policy *p = NULL;
	int r;

	if (len > POL_FILE_MAX)
		return err_set(e, EFBIG, "a policy file has at most %u bytes", POL_FILE_MAX);
	pf_overlay(s->dirs, path, text, len);
	r = pf_load(&p, s->dirs, e);
	pf_overlay_drop(s->dirs, path);
	if (p)
		policy_free(p);
	return r;
}

/* The file as it is, if the token allows to change it. *ret NULL = it does not exist. */
static int expect(const struct pf_store *s, const char *name, const char *token, char **ret, size_t *ret_len, struct err *e)
{
	char now[PF_TOKEN_MAX];
	struct err inner = { 0 };
	int r;

	*ret = NULL;
	*ret_len = 0;
	if (!streq(token, "any") && !streq(token, "new") && !(str_starts(token, "sha256:") && strlen(token) == PF_TOKEN_MAX - 1))
		return err_set(e, EINVAL, "the token must be any, new or sha256:DIGITS");
	r = pf_store_get(s, name, ret, ret_len, now, &inner);
	if (r == -ENOENT && str_starts(token, "sha256:"))
		return err_set(e, ENOENT, "'%s' was removed meanwhile", name);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_set(e, -r, "%s", err_text(&inner, r));
	if (streq(token, "new"))
		r = err_set(e, EEXIST, "'%s' exists already", name);
	else if (!streq(token, "any") && !streq(token, now))
		r = err_set(e, ESTALE, "'%s' was changed meanwhile: read it again", name);
	if (r < 0) {
		free(*ret);
		*ret = NULL;
	}
	return r;
}

/* The directory that holds name, and the name inside it. include/ is made when it is missing. */
static int parent(const struct pf_store *s, const char *name, bool make, const char **ret_base, struct err *e)
{
	bool include = str_starts(name, INCLUDE);

	*ret_base = include ? name + strlen(INCLUDE) : name;
	if (include && make && mkdirat(s->fd, "include", 0755) < 0 && errno != EEXIST)
		return err_errno(e, errno, "creating '%s/include'", s->path);
	return fs_open_beneath(s->fd, include ? "include" : ".", O_RDONLY | O_DIRECTORY, 0, e);
}

static int write_file(const struct pf_store *s, const char *name, const char *text, size_t len, struct err *e)
{
	const char *base;
	_cleanup_fd_ int dir = parent(s, name, true, &base, e);
	mode_t mode = 0644;
	struct stat st;

	if (dir < 0)
		return dir;
	if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISREG(st.st_mode))
			return err_set(e, EINVAL, "'%s' is not a regular file", name);
		mode = st.st_mode & 0775;
	}
	return fs_write_atomic(dir, base, text, len, mode, e);
}

static int unlink_file(const struct pf_store *s, const char *name, struct err *e)
{
	const char *base;
	_cleanup_fd_ int dir = parent(s, name, false, &base, e);

	if (dir < 0)
		return dir;
	if (unlinkat(dir, base, 0) < 0)
		return err_errno(e, errno, "removing '%s'", name);
	return fs_sync_dir(dir);
}

/* text NULL = remove. */
static int change(const struct pf_store *s, const char *name, const char *token, const char *text, size_t len, struct err *e)
{
	_cleanup_free_ char *old = NULL;
	size_t old_len;
	int r = pf_name_check(name, e);

	if (r == 0)
		r = expect(s, name, token, &old, &old_len, e);
	if (r < 0)
		return r;
	if (!text && !old)
		return err_set(e, ENOENT, "there is no policy file '%s'", name);
	if (text && old && len == old_len && memcmp(text, old, len) == 0)
		return 0;
	r = pf_store_check(s, name, text, len, e);
	if (r == 0)
		r = pf_undo_keep(s, name, old, old_len, e);
	if (r < 0)
		return r;
	return text ? write_file(s, name, text, len, e) : unlink_file(s, name, e);
}

int pf_store_replace(const struct pf_store *s, const char *name, const char *token, const char *text, size_t len, struct err *e)
{
	return change(s, name, token, text, len, e);
}

int pf_store_remove(const struct pf_store *s, const char *name, const char *token, struct err *e)
{
	return change(s, name, token, NULL, 0, e);
}

int pf_store_undo(const struct pf_store *s, const char *name, char **ret_name, struct err *e)
{
	_cleanup_free_ char *record = NULL, *text = NULL, *file = NULL;
	size_t len = 0;
	int r = pf_undo_last(s, name, &record, &file, &text, &len, e);

	if (r == 0)
		r = pf_store_check(s, file, text, len, e);
	if (r < 0)
		return r;
	r = text ? write_file(s, file, text, len, e) : unlink_file(s, file, e);
	/* A file that is gone already is as it was before. */
	if (r == -ENOENT && !text)
		r = 0;
	if (r == 0)
		r = pf_undo_drop(s, record, e);
	if (r == 0)
		*ret_name = STEAL_PTR(file);
	return r;
}
