/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One build: cache directory, lock, log, steps in order, removal of what is temporary. */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/paths.h"
#include "base/str.h"
#include "template/run.h"

#define N_STEPS 4 /* one more with the full kernel */

static int choose_cache(const struct template_req *req, char ret[PATH_MAX], struct err *e)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	int r;

	if (req->cache)
		r = str_copy(ret, PATH_MAX, req->cache);
	else if (xdg && xdg[0] == '/')
		r = str_printf(ret, PATH_MAX, "%s/bulkhead", xdg);
	else if (home && home[0] == '/')
		r = str_printf(ret, PATH_MAX, "%s/.cache/bulkhead", home);
	else
		return err_set(e, EINVAL, "neither HOME nor a cache directory is set");
	/* Room for the longest name below it. */
	if (r < 0 || ret[0] != '/' || strlen(ret) > PATH_MAX / 2)
		return err_set(e, EINVAL, "the cache directory is not an absolute path of reasonable length");
	return 0;
}

static int choose_file(const char *given, const char *name, char ret[PATH_MAX], struct err *e)
{
	if (given) {
		if (!realpath(given, ret))
			return err_errno(e, errno, "%s", given);
		return 0;
	}
	path_data(ret, name);
	return access(ret, R_OK) < 0 ? err_errno(e, errno, "%s (made by `make`)", ret) : 0;
}

static int make_dirs(const struct build *b, struct err *e)
{
	static const char *const dirs[] = { "base", "templates", "kernels", "debs", "log" };
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(dirs); i++) {
		char path[PATH_MAX];

		r = build_path(b, path, e, "%s", dirs[i]);
		if (r >= 0)
			r = fs_mkdir_p(path, 0755, e);
	}
	return r;
}

/* take_lock lets one build use the cache at a time; the lock ends with the descriptor. */
static int take_lock(const struct build *b, struct err *e)
{
	char path[PATH_MAX];
	int fd, r = build_path(b, path, e, "lock");

	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_errno(e, errno, "opening %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	if (b->req->progress)
		b->req->progress(b->req->arg, "waiting for another build", 0, b->n_steps, 0);
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR || build_cancelled) {
			r = errno == EINTR ? err_set(e, EINTR, "interrupted while another build uses %s", b->cache) :
					     err_errno(e, errno, "locking %s", path);
			close(fd);
			return r;
		}
	return fd;
}

/* tmp_reset empties the temporary directory, also of what an earlier build left when it was
   killed. */
static int tmp_reset(struct build *b, bool make, struct err *e)
{
	char path[PATH_MAX];
	int r = build_path(b, path, e, "tmp");

	if (r >= 0)
		r = build_remove(path, e);
	if (r >= 0 && make)
		r = fs_mkdir_p(path, 0755, e);
	return r;
}

static int open_log(struct build *b, const char *name, struct err *e)
{
	int r = build_path(b, b->log_path, e, "log/%s.log", name);

	if (r < 0)
		return r;
	b->log_fd = open(b->log_path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
	return b->log_fd < 0 ? err_errno(e, errno, "opening %s", b->log_path) : 0;
}

static int steps(struct build *b, struct template_result *res, struct err *e)
{
	char base_tar[PATH_MAX], key[65];
	int r = base_build(b, base_tar, key, e);

	/* The kernel first: its version is one of the facts that the image's directory records. */
	if (r >= 0)
		r = kernel_build(b, false, res->kernel_dir, e);
	if (r >= 0 && b->req->full_kernel)
		r = kernel_build(b, true, res->full_kernel_dir, e);
	return r < 0 ? r : root_build(b, base_tar, key, res, e);
}

int template_build(const struct template_req *req, struct template_result *ret, struct err *e)
{
	struct build b = { .req = req, .log_fd = -1, .n_steps = N_STEPS + req->full_kernel };
	struct template_result res = { .suite = req->flavour->suite };
	_cleanup_fd_ int lock = -1;
	const char *name = req->name ? req->name : req->flavour->name;
	int r;

	build_cancelled = 0;
	if (str_copy(res.name, sizeof res.name, name) < 0 || !ch_alpha(name[0]) || !str_chars(name, "-_.") || strlen(name) > 31)
		return err_set(e, EINVAL, "'%s' is not a name for a template", name);
	r = choose_cache(req, b.cache, e);
	if (r >= 0)
		r = choose_file(req->deb, "bulkhead-guest.deb", b.deb, e);
	if (r >= 0)
		r = choose_file(req->init, "bulkhead-init", b.init, e);
	if (r >= 0)
		r = make_dirs(&b, e);
	if (r < 0)
		return r;
	lock = take_lock(&b, e);
	if (lock < 0)
		return lock;
	r = open_log(&b, name, e);
	if (r >= 0)
		r = tmp_reset(&b, true, e);
	if (r >= 0)
		r = steps(&b, &res, e);
	if (b.log_fd >= 0)
		close(b.log_fd);
	if (r < 0) {
		tmp_reset(&b, false, NULL);
		return build_cancelled ? err_set(e, EINTR, "interrupted; finished steps are kept") : r;
	}
	r = tmp_reset(&b, false, e);
	if (r < 0)
		return r;
	if (req->progress)
		req->progress(req->arg, "done", b.n_steps, b.n_steps, 1000);
	*ret = res;
	return 0;
}
