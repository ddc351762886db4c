/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bytes of repositories. */
#include "tool/tpl_fetch.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/paths.h"
#include "base/str.h"
#include "client/answers.h"

#define SAID_MAX (1u << 20)
#define CHUNK (256u << 10)

/* The i-th blank separated word of the addresses, $releasever replaced. */
static bool address(const char *urls, size_t i, const char *releasever, char ret[TPL_URL_MAX], bool *ret_fits)
{
	struct wr w = wr_mem(ret, TPL_URL_MAX - 1);

	urls += strspn(urls, " \t");
	for (; i && *urls; i--) {
		urls += strcspn(urls, " \t");
		urls += strspn(urls, " \t");
	}
	if (!*urls)
		return false;
	for (size_t n = strcspn(urls, " \t"); n;) {
		static const char var[] = "$releasever";

		if (n >= sizeof var - 1 && strncmp(urls, var, sizeof var - 1) == 0) {
			wr_str(&w, releasever);
			urls += sizeof var - 1;
			n -= sizeof var - 1;
		} else {
			wr_u8(&w, (uint8_t)*urls++);
			n--;
		}
	}
	*ret_fits = wr_ok(&w);
	ret[wr_ok(&w) ? w.len : 0] = '\0';
	return true;
}

static const char *releasever(const struct tpl_repos *all)
{
	return all && all->releasever ? all->releasever : BULKHEAD_VERSION;
}

int tpl_local_path(const struct tpl_repo *p, const char *file, char ret[PATH_MAX], struct err *e)
{
	char dir[TPL_URL_MAX];
	bool fits;

	for (size_t i = 0; address(p->url, i, BULKHEAD_VERSION, dir, &fits); i++) {
		const char *at = str_starts(dir, "file://") ? dir + 7 : dir;

		if (!fits || at[0] != '/' || str_printf(ret, PATH_MAX, "%s/%s", at, file) < 0)
			return err_set(e, EINVAL, "'%s' is no whole path", dir);
		if (access(ret, F_OK) == 0)
			return 0;
	}
	return err_set(e, ENOENT, "'%s' is not in %s", file, p->url);
}

void tpl_request(struct wr *w, const struct tpl_repos *all, const struct tpl_repo *p, const char *file, uint64_t off, uint64_t len)
{
	char url[TPL_URL_MAX];
	bool fits;

	wr_printf(w, "--repoid=%s\n--releasever=%s\n", p->id, releasever(all));
	if (file)
		wr_printf(w, "--file=%s\n--offset=%llu\n--length=%llu\n", file, (unsigned long long)off, (unsigned long long)len);
	wr_printf(w, "---\n[%s]\nname = %s\nbaseurl =", p->id, p->name[0] ? p->name : p->id);
	for (size_t i = 0; address(p->url, i, releasever(all), url, &fits); i++) {
		if (!fits)
			wr_fail(w);
		wr_printf(w, " %s", url);
	}
	wr_str(w, "\nenabled = 1\n");
}

/* The qube that fetches. */
static int update_qube(const struct tpl_repos *all, const struct tpl_repo *p, char ret[64], struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct adm_prop prop;
	int r;

	if (all->updatevm || p->qube[0])
		return str_copy(ret, 64, all->updatevm ? all->updatevm : p->qube);
	r = adm_text(&rep, "dom0", "admin.property.Get", "updatevm", NULL, e);
	if (r == 0)
		r = adm_prop_parse(&prop, rep.data, e);
	if (r == 0 && !prop.value[0])
		return err_set(e, ENOENT, "no qube fetches updates: set one with 'qubes-prefs updatevm QUBE', or give --updatevm");
	return r < 0 ? r : str_copy(ret, 64, prop.value);
}

struct call {
	struct tpl_proc p;
	int out; /* what the qube sends */
};

/* Starts the service in the update qube by qvm-run, which also starts the qube. A test of session mode may name a program of its own instead. */
static int call_begin(struct call *c, const char *qube, const char *service, const struct wr *request, struct err *e)
{
	const char *hook = paths_system_mode() ? NULL : getenv("BULKHEAD_TEMPLATE_FETCH");
	/* What a qube says about its failure goes to memory of a bounded size: nobody reads it before the end. */
	_cleanup_fd_ int in = tpl_memory(request->buf, request->len, e), said = tpl_memory("", 0, e), rfd = -1, wfd = -1;
	const char *const call[] = { "/proc/self/exe", "qvm-run", "-q", "-p", "--service", "--no-gui", "--", qube, service, NULL };
	const char *const own[] = { hook, qube, service, NULL };
	const char *env[4];
	_cleanup_free_ char *root = xasprintf("QUBES_ROOT=%s", paths_root()), *home = xasprintf("HOME=%s", getenv("HOME") ? getenv("HOME") : "/");
	char program[PATH_MAX];
	int pair[2], r;

	if (in < 0 || said < 0)
		return in < 0 ? in : said;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	rfd = pair[0];
	wfd = pair[1];
	env[0] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	env[1] = home;
	env[2] = paths_system_mode() ? NULL : root;
	env[3] = NULL;

	struct proc_spec s = { .path = hook ? hook : path_program(program, "bulkhead-tools"), .argv = hook ? own : call, .envp = env,
			       .death_signal = SIGTERM, .fds = { { in, 0 }, { wfd, 1 }, { said, 2 } }, .n_fds = 3,
			       .rlimits = { { RLIMIT_FSIZE, SAID_MAX, SAID_MAX } }, .n_rlimits = 1 };

	*c = (struct call){ .p = { .p = PROC_INIT, .name = service, .err_fd = -1 }, .out = -1 };
	r = proc_spawn(&c->p.p, &s, e);
	if (r == 0) {
		c->p.err_fd = STEAL_FD(said);
		c->out = STEAL_FD(rfd);
	}
	return r;
}

static void call_fini(struct call *c)
{
	tpl_stop(&c->p);
	fd_closep(&c->out);
}

static int call_end(struct call *c, const char *qube, struct err *e)
{
	int r;

	fd_closep(&c->out);
	r = tpl_end(&c->p, -1, e);
	return r < 0 ? err_add(e, r, "qube '%s'", qube) : 0;
}

int tpl_fetch_index(const struct tpl_repos *all, const struct tpl_repo *p, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_(call_fini) struct call c = { .p = TPL_PROC_INIT, .out = -1 };
	_cleanup_wr_ struct wr w = wr_grow(8192);
	_cleanup_free_ char *buf = xmalloc(max + 1);
	char qube[64];
	ssize_t n;
	int r = update_qube(all, p, qube, e);

	tpl_request(&w, all, p, NULL, 0, 0);
	if (r == 0 && !wr_ok(&w))
		r = err_set(e, E2BIG, "the addresses are too long");
	if (r == 0)
		r = call_begin(&c, qube, "qubes.TemplateSearch", &w, e);
	if (r < 0)
		return r;
	n = read_full(c.out, buf, max + 1);
	if (n > 0 && (size_t)n > max)
		return err_set(e, EFBIG, "qube '%s' sends more than an index can have", qube);
	r = call_end(&c, qube, e);
	if (r < 0)
		return r;
	if (n <= 0)
		return err_set(e, ENODATA, "qube '%s' sent nothing", qube);
	*ret = STEAL_PTR(buf);
	*ret_len = (size_t)n;
	return 0;
}

/* Appends at most want bytes of the call to fd. */
static int append(struct call *c, int fd, uint64_t have, uint64_t total, const struct tpl_repos *all, struct err *e)
{
	_cleanup_free_ uint8_t *buf = xmalloc(CHUNK);

	for (;;) {
		ssize_t n = read(c->out, buf, CHUNK);
		int r;

		if (tpl_interrupted())
			return err_set(e, EINTR, "interrupted; what was fetched is kept");
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, errno, "reading");
		if (n == 0)
			return 0;
		if ((uint64_t)n > total - have)
			return err_set(e, EFBIG, "the qube sends more than the %llu bytes that were announced", (unsigned long long)total);
		r = write_full(fd, buf, (size_t)n);
		if (r < 0)
			return err_errno(e, -r, "keeping the file");
		have += (uint64_t)n;
		if (all->progress)
			all->progress(have, total, all->arg);
	}
}

static int fetch_rest(struct tpl_repos *all, const struct tpl_repo *p, const struct tpl_entry *t, int fd, struct err *e)
{
	_cleanup_(call_fini) struct call c = { .p = TPL_PROC_INIT, .out = -1 };
	_cleanup_wr_ struct wr w = wr_grow(8192);
	off_t have = lseek(fd, 0, SEEK_END);
	struct err ended = { 0 };
	char qube[64];
	int r = have < 0 ? err_errno(e, errno, "seeking") : update_qube(all, p, qube, e), r2;

	if (r == 0 && (uint64_t)have > t->bytes) {
		have = 0;
		if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
			r = err_errno(e, errno, "emptying a part");
	}
	if (r < 0 || (uint64_t)have == t->bytes)
		return r;
	tpl_request(&w, all, p, t->file, (uint64_t)have, t->bytes - (uint64_t)have);
	r = wr_ok(&w) ? call_begin(&c, qube, "qubes.TemplateDownload", &w, e) : err_set(e, E2BIG, "the addresses are too long");
	if (r == 0)
		r = append(&c, fd, (uint64_t)have, t->bytes, all, e);
	if (r < 0)
		return r;
	r2 = call_end(&c, qube, &ended);
	have = lseek(fd, 0, SEEK_END);
	if ((uint64_t)have == t->bytes)
		return fsync(fd) < 0 ? err_errno(e, errno, "keeping the file") : 0;
	return r2 < 0 ? err_set(e, -r2, "%s", ended.msg) :
			err_set(e, ENODATA, "qube '%s' sent %llu of %llu bytes; what came is kept, and the next try goes on from there", qube,
				(unsigned long long)have, (unsigned long long)t->bytes);
}

int tpl_repo_file(struct tpl_repos *all, const struct tpl_repo *p, const struct tpl_entry *t, char **ret_path, struct err *e)
{
	_cleanup_free_ char *part = NULL, *path = NULL;
	_cleanup_fd_ int fd = -1;
	char dir[PATH_MAX];
	struct stat st;
	int r;

	if (tpl_repo_local(p)) {
		r = tpl_local_path(p, t->file, dir, e);
		if (r == 0)
			*ret_path = xstrdup(dir);
		return r;
	}
	r = tpl_cache_dir(all, dir, e);
	if (r < 0)
		return r;
	path = xasprintf("%s/%s,%s", dir, p->id, t->file);
	part = xasprintf("%s.part", path);
	if (stat(path, &st) < 0 || (uint64_t)st.st_size != t->bytes) {
		fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
		if (fd < 0)
			return err_errno(e, errno, "%s", part);
		r = fetch_rest(all, p, t, fd, e);
		if (r == 0 && rename(part, path) < 0)
			r = err_errno(e, errno, "%s", path);
		if (r < 0)
			return err_add(e, r, "fetching %s", t->file);
	}
	*ret_path = STEAL_PTR(path);
	return 0;
}
