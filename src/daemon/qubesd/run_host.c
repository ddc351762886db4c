/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What happens to all qubes at once: autostart when the instance starts, sleep and waking of the host. Each step is a call like anybody's. */
#include <fcntl.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "daemon/qubesd/run.h"

#define AUTOSTART_PARALLEL 2
#define LIST_MAX (QNAME_MAX * QID_MAX)

/* --- autostart ---------------------------------------------------------------------------------------------------- */

struct autostart {
	struct qd *d;
	struct qname *names;
	size_t n, next;
	unsigned open;
};

static void autostart_next(struct autostart *a);

static void autostarted(struct call *c)
{
	struct autostart *a = c->conn;

	if (c->result < 0)
		log_warn("autostart of %s: %s", c->dest_name, err_text(&c->err, c->result));
	call_free(c);
	a->open--;
	autostart_next(a);
}

static void autostart_next(struct autostart *a)
{
	while (a->open < AUTOSTART_PARALLEL && a->next < a->n) {
		struct qube *q = qube_find(a->d->core, a->names[a->next].s);

		a->next++;
		if (!q || !qube_halted(q))
			continue;
		log_info("autostart of %s", q->name.s);
		a->open++;
		internal_call(a->d, "admin.vm.Start", NULL, "dom0", q->name.s, autostarted, a);
	}
	if (a->open || a->next < a->n || !a->names)
		return;
	/* an answer that comes at once goes through here inside the loop above: the last one out ends it */
	free(STEAL_PTR(a->names));
	log_info("autostart is done");
}

void run_autostart(struct qd *d)
{
	struct autostart *a = xcalloc(1, sizeof *a); /* kept: one for the life of the process */

	a->d = d;
	a->names = xcalloc(d->core->n_sorted + 1, sizeof *a->names);
	for (size_t i = 0; i < d->core->n_sorted; i++) {
		struct qube *q = d->core->sorted[i];

		if (q->klass != K_ADMIN && q->klass != K_REMOTE && qube_halted(q) && prop_bool(d->core, q, P_autostart))
			a->names[a->n++] = q->name;
	}
	if (a->n)
		autostart_next(a);
}

/* --- sleep of the host -------------------------------------------------------------------------------------------- */

struct sleeping {
	struct call *c;
	unsigned open;
};

static const char *list_path(char path[PATH_MAX])
{
	return path_fmt(path, PATH_RUN, "/previously-paused.list");
}

static void one_done(struct sleeping *s)
{
	struct call *c = s->c;

	if (--s->open)
		return;
	free(s);
	call_finish(c, 0);
}

/* A qube that cannot is no reason to keep the host awake. */
static void called(struct call *c)
{
	struct sleeping *s = c->conn;

	if (c->result < 0)
		log_warn("%s of %s: %s", c->req.method, c->dest_name, err_text(&c->err, c->result));
	call_free(c);
	one_done(s);
}

/* The ones that somebody paused stay as they are when the host wakes. */
static int remember(struct qd *d, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(LIST_MAX);
	_cleanup_fd_ int fd = -1;
	char path[PATH_MAX];
	int r;

	for (size_t i = 0; i < d->core->n_sorted; i++)
		if (d->core->sorted[i]->state == LIFE_PAUSED)
			wr_printf(&w, "%s\n", d->core->sorted[i]->name.s);
	fd = open(list_path(path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	r = fd < 0 ? -errno : write_full(fd, w.buf, w.len);
	return r < 0 ? err_set(e, AE_GENERIC, "%s: %s", path, strerror(-r)) : 0;
}

static bool listed(const char *text, const char *name)
{
	size_t n = strlen(name);

	while (*text) {
		size_t k = strcspn(text, "\n");

		if (k == n && memcmp(text, name, n) == 0)
			return true;
		text += k + (text[k] == '\n');
	}
	return false;
}

int run_op_suspend_host(void *ctx, bool pre, struct call *c)
{
	struct qd *d = ctx;
	_cleanup_free_ char *paused = NULL;
	_cleanup_free_ struct qname *names = xcalloc(d->core->n_sorted + 1, sizeof *names);
	struct sleeping *s;
	char path[PATH_MAX];
	size_t n = 0, len;
	int r = pre ? remember(d, &c->err) : 0;

	if (r < 0)
		return r;
	/* without the list nobody said that the host would sleep: what is paused was paused by somebody */
	if (!pre && fs_read(AT_FDCWD, list_path(path), LIST_MAX, &paused, &len, NULL) == 0)
		(void)unlink(path);
	for (size_t i = 0; i < d->core->n_sorted; i++) {
		const struct qube *q = d->core->sorted[i];

		if (q->klass == K_ADMIN || q->klass == K_REMOTE)
			continue;
		if (pre ? q->state == LIFE_RUNNING : q->state == LIFE_SUSPENDED || (q->state == LIFE_PAUSED && paused && !listed(paused, q->name.s)))
			names[n++] = q->name;
	}
	s = xcalloc(1, sizeof *s);
	*s = (struct sleeping){ c, (unsigned)n + 1 };
	for (size_t i = 0; i < n; i++)
		internal_call(d, pre ? "admin.vm.Suspend" : "admin.vm.Resume", NULL, "dom0", names[i].s, called, s);
	one_done(s);
	return CALL_PENDING;
}
