/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Policy directories: reading, watching, reloading. A version is loaded whole; if something changed while it was read it is read again, so that
 * a decision never sees half of a change.
 */
#include <dirent.h>
#include <sys/inotify.h>

#include "base/rd.h"
#include "base/str.h"
#include "daemon/policyd/pd.h"
#include "policyfile/dirs.h"

#define WATCH_MASK (IN_CREATE | IN_DELETE | IN_MODIFY | IN_MOVE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define WATCH_DEPTH 4
#define RELOAD_TRIES 5

/* Watches a directory and what is below it; watches that exist already are kept by the kernel. Gives the watch of path or -1. */
static int watch(struct pd_files *f, const char *path, unsigned depth)
{
	struct dirent *ent;
	DIR *d;
	int wd = inotify_add_watch(f->inotify_fd, path, WATCH_MASK);

	if (wd < 0)
		f->unwatched = true;
	if (wd < 0 || depth == 0)
		return wd;
	d = opendir(path);
	if (!d)
		return wd;
	while ((ent = readdir(d))) {
		_cleanup_free_ char *sub = NULL;

		if (ent->d_type != DT_DIR || streq(ent->d_name, ".") || streq(ent->d_name, ".."))
			continue;
		sub = xasprintf("%s/%s", path, ent->d_name);
		(void)watch(f, sub, depth - 1);
	}
	closedir(d);
	return wd;
}

/* True when events were pending; they are all taken. */
static bool drain(struct pd_files *f)
{
	char buf[4096] __attribute__((aligned(8)));
	bool any = false;
	ssize_t n;

	while ((n = read(f->inotify_fd, buf, sizeof buf)) > 0) {
		struct rd r = rd_mem(buf, (size_t)n);

		any = true;
		while (rd_left(&r)) {
			struct inotify_event ev;

			rd_bytes(&r, &ev, sizeof ev);
			rd_skip(&r, ev.len);
			for (int i = 0; i < f->n_dirs; i++)
				if (ev.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT) && ev.wd == f->wds[i])
					f->replaced = true;
		}
	}
	return any;
}

static void reload(struct pd_files *f)
{
	struct pf_dirs dirs = { .n_dirs = f->n_dirs, .legacy = f->legacy };
	struct policy *p = NULL;
	struct err e = { 0 };
	int r = 0;

	memcpy(dirs.dirs, f->dirs, sizeof dirs.dirs);
	for (int i = 0; i < RELOAD_TRIES; i++) {
		f->unwatched = false;
		for (int k = 0; k < f->n_dirs; k++)
			f->wds[k] = watch(f, f->dirs[k], WATCH_DEPTH);
		if (access(f->legacy, F_OK) == 0)
			(void)watch(f, f->legacy, 0);
		(void)drain(f);
		if (p)
			policy_free(STEAL_PTR(p));
		err_clear(&e);
		r = pf_load(&p, &dirs, &e);
		f->stale = drain(f);
		if (!f->stale)
			break;
	}
	if (f->policy)
		policy_free(f->policy);
	f->policy = p;
	f->version++;
	if (r < 0) {
		if (!streq(f->error, err_text(&e, r)))
			log_error("policy: every call is denied: %s", log_escs(err_text(&e, r)));
		(void)!str_copy(f->error, sizeof f->error, err_text(&e, r));
	} else {
		f->error[0] = '\0';
		log_info("policy: version %llu with %zu rules from %zu files", (unsigned long long)f->version, p->n_rules, p->n_files);
	}
}

void pd_files_note(struct pd_files *f)
{
	if (drain(f))
		f->stale = true;
}

int pd_files_init(struct pd_files *f, struct err *e)
{
	f->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (f->inotify_fd < 0)
		return err_errno(e, errno, "inotify");
	reload(f);
	return 0;
}

const struct policy *pd_files_current(struct pd_files *f)
{
	pd_files_note(f);
	/* What cannot be watched, a missing directory for example, is looked at again each time. */
	if (f->stale || f->unwatched)
		reload(f);
	return f->policy;
}
