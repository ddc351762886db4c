/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Settings of template repositories, and their indexes: what is fresh, what is old, what was taken back. */
#include "tool/tpl_repo.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <time.h>

#include "base/fsx.h"
#include "base/paths.h"
#include "base/str.h"
#include "proto/isotime.h"
#include "tool/tpl_fetch.h"
#include "tool/tpl_keys.h"

#define INDEX_BYTES_MAX (TPL_HEAD_LEN + (size_t)TPL_TEXT_MAX)
#define EXPIRE_DEFAULT_S (6u * 3600)
#define CLOCK_SLACK_S (24u * 3600)

static void trim(char *s)
{
	size_t n = strlen(s), from = strspn(s, " \t");

	while (n > from && strchr(" \t\r", s[n - 1]))
		n--;
	memmove(s, s + from, n - from);
	s[n - from] = '\0';
}

static int set_duration(const char *s, uint64_t *ret)
{
	static const struct {
		char unit;
		uint64_t s;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	size_t n = strlen(s);
	char digits[16];
	uint64_t v, by = 1;

	for (size_t i = 0; n && i < ARRAY_SIZE(units); i++)
		if (s[n - 1] == units[i].unit) {
			by = units[i].s;
			n--;
			break;
		}
	if (str_printf(digits, sizeof digits, "%.*s", (int)n, s) < 0 || str_u64(digits, 100000000, &v) < 0)
		return -EINVAL;
	*ret = v * by;
	return 0;
}

static bool url_ok(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e || strchr("'\"\\`", *s))
			return false;
	return true;
}

static int set_value(struct tpl_repo *p, const char *key, const char *value, struct err *e)
{
	int r = 0;

	if (streq(key, "name"))
		r = str_copy(p->name, sizeof p->name, value);
	else if (streq(key, "key"))
		r = tpl_key_name_ok(value) ? str_copy(p->key, sizeof p->key, value) : -EINVAL;
	else if (streq(key, "baseurl"))
		r = url_ok(value) ? str_copy(p->url, sizeof p->url, value) : -EINVAL;
	else if (streq(key, "qube"))
		r = str_copy(p->qube, sizeof p->qube, value);
	else if (streq(key, "enabled"))
		r = str_bool(value, &p->enabled);
	else if (streq(key, "metadata_expire"))
		r = set_duration(value, &p->expire_s);
	else
		return err_set(e, EINVAL, "'%.40s' is not known; name, baseurl, key, qube, enabled and metadata_expire are", key);
	return r < 0 ? err_set(e, EINVAL, "the value of '%s' is not acceptable", key) : 0;
}

static int begin_section(struct tpl_repos *all, char *text, struct err *e)
{
	size_t n = strlen(text);

	if (n < 3 || text[n - 1] != ']')
		return err_set(e, EINVAL, "a section is [NAME]");
	text[n - 1] = '\0';
	if (!tpl_repo_ok(text + 1))
		return err_set(e, EINVAL, "'%.64s' is no name for a repository", text + 1);
	for (size_t i = 0; i < all->n; i++)
		if (streq(all->v[i].id, text + 1))
			return err_set(e, EEXIST, "repository '%s' is described twice", text + 1);
	if (all->n == TPL_REPOS_MAX)
		return err_set(e, E2BIG, "more than %u repositories", TPL_REPOS_MAX);
	all->v[all->n] = (struct tpl_repo){ .enabled = true, .expire_s = EXPIRE_DEFAULT_S };
	return str_copy(all->v[all->n++].id, sizeof all->v[0].id, text + 1);
}

int tpl_repo_parse(struct tpl_repos *all, struct rd r, struct err *e)
{
	size_t first = all->n;
	unsigned no = 0;
	struct rd line;

	while (rd_line(&r, &line)) {
		char text[TPL_URL_MAX + 100], *eq;
		int res = 0;

		no++;
		rd_text(&line, text, sizeof text);
		if (!rd_ok(&line))
			return err_set(e, EINVAL, "line %u is too long or not text", no);
		trim(text);
		if (!text[0] || text[0] == '#' || text[0] == ';')
			continue;
		eq = strchr(text, '=');
		if (text[0] == '[') {
			res = begin_section(all, text, e);
		} else if (!eq || all->n == first) {
			res = err_set(e, EINVAL, "neither [NAME] nor KEY = VALUE of a section");
		} else {
			*eq = '\0';
			trim(text);
			trim(eq + 1);
			res = set_value(&all->v[all->n - 1], text, eq + 1, e);
		}
		if (res < 0)
			return err_add(e, res, "line %u", no);
	}
	for (size_t i = first; i < all->n; i++)
		if (!all->v[i].url[0] || !all->v[i].key[0])
			return err_set(e, EINVAL, "repository '%s' has no %s", all->v[i].id, all->v[i].url[0] ? "key" : "baseurl");
	return 0;
}

static int read_one(struct tpl_repos *all, const char *path, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int r = fs_read(AT_FDCWD, path, 1u << 18, &text, &n, e);

	if (r == 0) {
		r = tpl_repo_parse(all, rd_mem(text, n), e);
		if (r < 0)
			r = err_add(e, r, "%s", path);
	}
	return r;
}

static int repo_files(const struct dirent *d)
{
	return d->d_name[0] != '.' && str_ends(d->d_name, ".repo");
}

int tpl_repos_read(struct tpl_repos *all, const char *file, struct err *e)
{
	const char *dir = path_get(PATH_TEMPLATE_REPOS);
	struct dirent **v = NULL;
	int n, r = 0;

	if (file)
		return read_one(all, file, e);
	n = scandir(dir, &v, repo_files, alphasort);
	if (n < 0 && errno != ENOENT)
		return err_errno(e, errno, "%s", dir);
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, v[i]->d_name);

		if (r == 0)
			r = read_one(all, path, e);
		free(v[i]);
	}
	free(v);
	return r;
}

void tpl_repos_fini(struct tpl_repos *all)
{
	for (size_t i = 0; i < all->n; i++)
		tpl_index_fini(&all->v[i].index);
	all->n = 0;
}

bool tpl_repo_local(const struct tpl_repo *p)
{
	return p->url[0] == '/' || str_starts(p->url, "file:///");
}

int tpl_cache_dir(const struct tpl_repos *all, char ret[PATH_MAX], struct err *e)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	int r;

	if (all->cachedir)
		r = str_copy(ret, PATH_MAX / 2, all->cachedir);
	else if (xdg && xdg[0] == '/')
		r = str_printf(ret, PATH_MAX / 2, "%s/bulkhead/fetched", xdg);
	else
		r = home && home[0] == '/' ? str_printf(ret, PATH_MAX / 2, "%s/.cache/bulkhead/fetched", home) : -ENOENT;
	if (r < 0 || ret[0] != '/')
		return err_set(e, EINVAL, "no cache directory: give --cachedir with a whole path");
	return fs_mkdir_p(ret, 0755, e);
}

int tpl_cache_clean(const struct tpl_repos *all, uint64_t *ret_bytes, struct err *e)
{
	char dir[PATH_MAX];
	struct dirent **v = NULL;
	int n, r = tpl_cache_dir(all, dir, e);

	*ret_bytes = 0;
	if (r < 0)
		return r;
	n = scandir(dir, &v, NULL, NULL);
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, v[i]->d_name);
		struct stat st;

		/* Only what fetching makes: somebody may have named a directory of his own. */
		if (r == 0 && lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
		    (str_ends(path, ".template") || str_ends(path, ".part") || str_ends(path, ".index"))) {
			*ret_bytes += (uint64_t)st.st_size;
			if (unlink(path) < 0)
				r = err_errno(e, errno, "%s", path);
		} else if (r == 0 && str_starts(v[i]->d_name, "import-")) {
			r = fs_rm_rf(AT_FDCWD, path, e); /* of an import that was killed */
		}
		free(v[i]);
	}
	free(v);
	return r;
}

static uint64_t clock_now(void)
{
	struct timespec now;

	return clock_gettime(CLOCK_REALTIME, &now) == 0 ? (uint64_t)now.tv_sec : 0;
}

static const char *day(char out[ISOTIME_CAP], uint64_t sec)
{
	if (isotime_put(out, (struct isotime){ (int64_t)sec, 0 }, false) < 0)
		out[0] = '\0';
	out[10] = '\0';
	return out;
}

/* "NUMBER CREATED": the newest index that was accepted. */
static void seen_get(const struct tpl_repo *p, uint64_t *number, uint64_t *created)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX], *blank;

	*number = *created = 0;
	if (fs_read(AT_FDCWD, path_fmt(path, PATH_TEMPLATES, "/%s.seen", p->id), 100, &text, NULL, NULL) < 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	blank = strchr(text, ' ');
	if (!blank)
		return;
	*blank = '\0';
	if (str_u64(text, INT64_MAX, number) < 0 || str_u64(blank + 1, INT64_MAX, created) < 0)
		*number = *created = 0;
}

static int seen_put(const struct tpl_repo *p, struct err *e)
{
	char path[PATH_MAX], text[64];
	int r = fs_mkdir_p(path_get(PATH_TEMPLATES), 0755, e);

	if (r == 0)
		r = str_printf(text, sizeof text, "%llu %llu\n", (unsigned long long)p->index.number, (unsigned long long)p->index.created);
	if (r == 0)
		r = fs_write_atomic(AT_FDCWD, path_fmt(path, PATH_TEMPLATES, "/%s.seen", p->id), text, strlen(text), 0644, e);
	/* Who only looks may be somebody who must not write there. What the administrator saw counts for him too. */
	return r == -EACCES || r == -EPERM || r == -EROFS ? 0 : r;
}

static int judge(const struct tpl_repo *p, struct err *e)
{
	uint64_t now = clock_now(), number, created;
	const struct tpl_index *x = &p->index;
	char a[ISOTIME_CAP];

	if (!streq(x->repository, p->id))
		return err_set(e, EBADMSG, "its index is that of repository '%s'", x->repository);
	seen_get(p, &number, &created);
	if (x->number < number || (x->number == number && x->created != created))
		return err_set(e, ESTALE, "its index is older than one that was seen before (number %llu, before %llu): somebody holds updates back",
			       (unsigned long long)x->number, (unsigned long long)number);
	if (x->created > now + CLOCK_SLACK_S)
		return err_set(e, ESTALE, "its index was made on %s, which is not yet: is the clock of this computer right?", day(a, x->created));
	if (x->expires <= now)
		return err_set(e, ESTALE, "its index was good until %s: its owner stopped publishing, or somebody holds updates back", day(a, x->expires));
	return 0;
}

static int decode(struct tpl_repo *p, const char *bytes, size_t n, struct err *e)
{
	int r = tpl_index_open(&p->index, bytes, n, p->key, e);

	if (r == 0)
		r = judge(p, e);
	if (r == 0)
		r = seen_put(p, e);
	if (r < 0)
		tpl_index_fini(&p->index);
	return r;
}

static int load_local(struct tpl_repo *p, struct err *e)
{
	_cleanup_free_ char *bytes = NULL;
	char path[PATH_MAX];
	size_t n = 0;
	int r = tpl_local_path(p, "templates.index", path, e);

	if (r == 0)
		r = fs_read(AT_FDCWD, path, INDEX_BYTES_MAX, &bytes, &n, e);
	return r < 0 ? r : decode(p, bytes, n, e);
}

static int load_cached(struct tpl_repo *p, const char *path, struct err *e)
{
	_cleanup_free_ char *bytes = NULL;
	size_t n = 0;
	int r = fs_read(AT_FDCWD, path, INDEX_BYTES_MAX, &bytes, &n, e);

	return r < 0 ? r : decode(p, bytes, n, e);
}

static int load_remote(struct tpl_repos *all, struct tpl_repo *p, struct err *e)
{
	_cleanup_free_ char *bytes = NULL, *path = NULL, *text = NULL;
	char dir[PATH_MAX];
	struct err fetched = { 0 };
	struct stat st;
	size_t n = 0;
	int r = tpl_cache_dir(all, dir, e);

	if (r < 0)
		return r;
	path = xasprintf("%s/%s.index", dir, p->id);
	if (!all->refresh && stat(path, &st) == 0 && (uint64_t)st.st_mtime + p->expire_s > clock_now() && load_cached(p, path, NULL) == 0)
		return 0;
	r = tpl_fetch_index(all, p, INDEX_BYTES_MAX, &bytes, &n, &fetched);
	if (r < 0 && load_cached(p, path, NULL) == 0) {
		text = xasprintf("repository '%s' cannot be asked (%s); what it said before is used", p->id, err_text(&fetched, r));
		if (all->note)
			all->note(text, all->arg);
		return 0;
	}
	if (r < 0)
		return err_set(e, -r, "%s", err_text(&fetched, r));
	r = decode(p, bytes, n, e);
	/* Only what was accepted is kept. */
	return r < 0 ? r : fs_write_atomic(AT_FDCWD, path, bytes, n, 0644, e);
}

int tpl_repo_load(struct tpl_repos *all, struct tpl_repo *p, struct err *e)
{
	int r;

	if (p->loaded)
		return 0;
	r = tpl_repo_local(p) ? load_local(p, e) : load_remote(all, p, e);
	p->loaded = r == 0;
	return r < 0 ? err_add(e, r, "repository '%s'", p->id) : 0;
}
