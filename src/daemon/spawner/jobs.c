/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Storage requests: one confined worker of the driver each, a few at a time, answered in whatever order they end. */
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "daemon/spawner/spawner.h"
#include "storage/drivers.h"

#define JOBS_MAX 1024

/* By enum pool_worker. LVM's programs work for root only; in session mode that is who has it. */
static const struct {
	const char *program;
	uid_t uid;
} workers[] = {
	[WORKER_IMAGE] = { "image-worker", ID_IMAGES },
	[WORKER_LVM] = { "lvm-worker", 0 },
};

struct job {
	struct job *next;
	struct spawner *s;
	uint32_t serial;
	struct wr payload; /* of the request */
	enum pool_worker worker;
	int fd;		   /* our end of the worker's channel; -1 = waiting for its turn */
	struct ev_io *io;
};

static void start_waiting(struct spawner *s);

static void job_free(struct job *j)
{
	for (struct job **p = &j->s->jobs; *p; p = &(*p)->next) {
		if (*p != j)
			continue;
		*p = j->next;
		break;
	}
	j->s->n_jobs--;
	ev_io_free(j->io);
	fd_closep(&j->fd);
	wr_free(&j->payload);
	free(j);
}

static void send_reply(struct job *j, uint32_t flags, const struct wr *w)
{
	if (msg_send(SPAWNER_FD_CORE, IPC_SP_STORAGE, j->serial, flags, w, NULL, 0) < 0)
		ev_stop(j->s->loop, 1);
}

static void fail(struct job *j, int code, const struct err *e)
{
	if (ipc_send_err(SPAWNER_FD_CORE, IPC_SP_STORAGE, j->serial, code, e) < 0)
		ev_stop(j->s->loop, 1);
}

static void on_worker(struct ev_io *io, int fd, int events, void *arg)
{
	struct job *j = arg;
	struct spawner *s = j->s;
	_cleanup_msg_ struct msg m = { 0 };
	struct err e = { 0 };
	int r = msg_recv(fd, &m);

	if (r == -EAGAIN || r == -EINTR)
		return;
	if (r <= 0) {
		fail(j, err_set(&e, EIO, "the %s ended without an answer", workers[j->worker].program), &e);
	} else if (!(m.flags & MSG_F_REPLY) || m.serial != j->serial || m.n_fds) {
		fail(j, err_set(&e, EPROTO, "the %s gave a wrong answer", workers[j->worker].program), &e);
	} else {
		struct wr w = { .buf = m.data, .len = m.len, .cap = m.len };

		send_reply(j, m.flags & (MSG_F_REPLY | MSG_F_ERROR), &w);
	}
	job_free(j);
	start_waiting(s);
}

static int start_worker(struct job *j, struct err *e)
{
	const char *program = workers[j->worker].program;
	const char *argv[] = { program, NULL };
	_cleanup_proc_ struct proc p = PROC_INIT;
	_cleanup_fd_ int theirs = -1;
	struct fd_place place;
	int pair[2], r;

	if (unix_pair(SOCK_SEQPACKET, pair) < 0)
		return err_errno(e, errno, "socketpair");
	j->fd = pair[0];
	theirs = pair[1];
	place = (struct fd_place){ theirs, 3 };
	r = role_spawn(&p, program, argv, workers[j->worker].uid, &place, 1, log_open(program, NULL, e), e);
	if (r < 0)
		return r;
	r = msg_send(j->fd, IPC_SP_STORAGE, j->serial, 0, &j->payload, NULL, 0);
	if (r < 0)
		return err_errno(e, -r, "%s", program);
	j->io = ev_io_new(j->s->loop, j->fd, EV_READ, on_worker, j);
	if (!j->io)
		return err_set(e, EBADF, "cannot watch the %s", program);
	child_add(j->s, &p, (uint32_t)p.pid, 0, ROLE_IMAGE_WORKER);
	return 0;
}

static void start_waiting(struct spawner *s)
{
	unsigned running = 0;

	for (struct job *j = s->jobs, *next; j; j = next) {
		struct err e = { 0 };
		int r;

		next = j->next;
		if (j->fd >= 0) {
			running++;
			continue;
		}
		if (running >= SPAWNER_WORKERS_MAX)
			return;
		r = start_worker(j, &e);
		if (r < 0) {
			fail(j, r, &e);
			job_free(j);
			continue;
		}
		running++;
	}
}

int on_storage(struct spawner *s, struct msg *m, struct err *e)
{
	struct ipc_sp_storage head;
	struct st_request q;
	struct rd rd = msg_rd(m);
	struct job *j, **tail = &s->jobs;
	const struct pool_driver *d;

	if (ipc_get_sp_storage(&rd, &head) < 0)
		return err_set(e, EBADMSG, "malformed request");
	if (st_request_get(&rd, &q) < 0 || head.op != q.op)
		return err_set(e, EINVAL, "storage request is not valid");
	/* No driver: which one of files fits? */
	d = pool_driver_find(q.driver);
	if ((!d || d->kind == POOL_FILES) && !pool_allowed(q.pool_dir))
		return err_set(e, EACCES, "'%s' is not a pool of this instance", q.pool_dir);
	if ((!d || d->kind == POOL_FILES) && pool_ready(q.pool_dir, e) < 0)
		return -EACCES;
	if (s->n_jobs >= JOBS_MAX)
		return err_set(e, EAGAIN, "too many storage requests at a time");
	j = xcalloc(1, sizeof *j);
	*j = (struct job){ .s = s, .serial = m->serial, .fd = -1, .worker = d ? d->worker : WORKER_IMAGE, .payload = wr_grow(MSG_PAYLOAD_MAX) };
	wr_bytes(&j->payload, m->data, m->len);
	while (*tail)
		tail = &(*tail)->next;
	*tail = j;
	s->n_jobs++;
	start_waiting(s);
	return 0;
}
