/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Start, socket and requests of the holder. One spawner is served at a time, the last that came. */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "daemon/state-holder/holder.h"

#define IDLE_MS 60000
#define MEMORY_MIN (UINT64_C(512) << 20)

/* --- answers ------------------------------------------------------------------------------------------------------------------- */

static void answer_err(struct holder *h, uint32_t type, uint32_t serial, int code, const char *text)
{
	struct err e = { 0 };

	err_set(&e, code, "%s", text);
	if (h->conn >= 0 && ipc_send_err(h->conn, type, serial, -code, &e) < 0)
		shutdown(h->conn, SHUT_RDWR);
}

static void answer_ok(struct holder *h, uint32_t type, uint32_t serial, const struct wr *w, const int *fds, size_t n)
{
	if (h->conn >= 0 && msg_send(h->conn, type, serial, MSG_F_REPLY, w, fds, n) < 0)
		shutdown(h->conn, SHUT_RDWR);
}

void answer_get(struct holder *h, uint32_t serial, const struct state *s, int code, const char *text)
{
	if (code)
		answer_err(h, IPC_HO_GET, serial, code, text);
	else
		answer_ok(h, IPC_HO_GET, serial, NULL, s->fd, PART_N);
}

void waiters_done(struct holder *h, struct state *s, int code, const char *text)
{
	while (s->waiters.tqh_first) {
		struct waiter *w = s->waiters.tqh_first;

		TAILQ_REMOVE(&s->waiters, w, link);
		answer_get(h, w->serial, s, code, text);
		free(w);
	}
}

/* --- requests ------------------------------------------------------------------------------------------------------------------ */

static int on_keep(struct holder *h, struct msg *m, struct err *e)
{
	uint64_t size[PART_N], used;
	struct ipc_ho_keep q;
	struct rd r = msg_rd(m);
	struct state *s;

	if (ipc_get_ho_keep(&r, &q) < 0 || !rd_done(&r))
		return -EBADMSG;
	if (parts_check(m->fds, size, &used) < 0)
		return err_set(e, EPERM, "the parts of a state must be sealed memory");
	s = table_add(h, q.key);
	if (!s)
		return err_set(e, EINVAL, "no key, or too many states");
	for (size_t i = 0; i < PART_N; i++) {
		s->fd[i] = STEAL_FD(m->fds[i]);
		s->size[i] = size[i];
	}
	s->used = used;
	s->in_memory = true;
	s->memory_only = q.memory_only;
	table_used(h, s);
	/* A disk that is full costs only the copy. */
	if (!s->memory_only && copy_save(h, s, e) < 0) {
		log_warn("state stays in memory only: key=%s error=%s", s->key, e->msg);
		err_clear(e);
		s->memory_only = true;
	}
	table_trim(h, s);
	log_info("state kept: key=%s bytes=%llu", s->key, (unsigned long long)used);
	answer_ok(h, m->type, m->serial, NULL, NULL, 0);
	return 0;
}

static int on_get(struct holder *h, struct msg *m, struct err *e)
{
	struct ipc_ho_get q;
	struct rd r = msg_rd(m);
	struct waiter *w;
	struct state *s;
	int k = 0;

	if (ipc_get_ho_get(&r, &q) < 0 || !rd_done(&r))
		return -EBADMSG;
	s = table_find(h, q.key);
	if (!s)
		return err_set(e, ENOENT, "there is no such state");
	table_used(h, s);
	if (s->in_memory) {
		answer_get(h, m->serial, s, 0, "");
		return 0;
	}
	if (!s->loading)
		k = copy_load(h, s, e);
	if (k < 0) {
		log_error("state on disk is not used, it is removed: key=%s error=%s", s->key, err_text(e, k));
		table_drop(h, s);
		return k;
	}
	w = xcalloc(1, sizeof *w);
	w->serial = m->serial;
	TAILQ_INSERT_TAIL(&s->waiters, w, link);
	return 0;
}

static int on_drop(struct holder *h, struct msg *m, struct err *e)
{
	struct ipc_ho_drop q;
	struct rd r = msg_rd(m);
	struct state *s, *next;

	if (ipc_get_ho_drop(&r, &q) < 0 || !rd_done(&r))
		return -EBADMSG;
	for (s = h->states.tqh_first; s; s = next) {
		next = TAILQ_NEXT(s, link);
		if (!q.key[0] || streq(q.key, s->key))
			table_drop(h, s);
	}
	answer_ok(h, m->type, m->serial, NULL, NULL, 0);
	return 0;
}

static int on_list(struct holder *h, struct msg *m, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(MSG_PAYLOAD_MAX);
	struct ipc_sp_states head = { .n = h->n_states };
	struct rd r = msg_rd(m);
	struct ipc_ho_list q;
	const struct state *s;

	if (ipc_get_ho_list(&r, &q) < 0 || !rd_done(&r))
		return -EBADMSG;
	ipc_put_sp_states(&w, &head);
	TAILQ_FOREACH(s, &h->states, link) {
		struct ipc_sp_state x = { .bytes = s->size[PART_RAM], .in_memory = s->in_memory, .on_disk = s->on_disk, .last_use = s->last_use };

		memcpy(x.key, s->key, sizeof x.key);
		ipc_put_sp_state(&w, &x);
	}
	answer_ok(h, m->type, m->serial, &w, NULL, 0);
	return 0;
}

static const struct rule {
	uint32_t type;
	size_t n_fds;
	int (*fn)(struct holder *h, struct msg *m, struct err *e);
} rules[] = {
	{ IPC_HO_KEEP, PART_N, on_keep },
	{ IPC_HO_GET, 0, on_get },
	{ IPC_HO_DROP, 0, on_drop },
	{ IPC_HO_LIST, 0, on_list },
};

/* False when the message breaks the rules. */
static bool dispatch(struct holder *h, struct msg *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		struct err e = { 0 };
		int r;

		if (rules[i].type != m->type || rules[i].n_fds != m->n_fds || m->flags)
			continue;
		r = rules[i].fn(h, m, &e);
		if (r < 0 && r != -EBADMSG)
			answer_err(h, m->type, m->serial, -r, err_text(&e, r));
		return r != -EBADMSG;
	}
	return false;
}

/* --- connection ------------------------------------------------------------------------------------------------------------------ */

static void drop_conn(struct holder *h)
{
	struct state *s;

	ev_io_free(STEAL_PTR(h->conn_ev));
	fd_closep(&h->conn);
	/* Their answers have nowhere to go. */
	TAILQ_FOREACH(s, &h->states, link)
		waiters_done(h, s, ECONNRESET, "");
	ev_timer_start(h->idle, h->idle_ms);
}

static void on_conn(struct ev_io *io, int fd, int events, void *arg)
{
	struct holder *h = arg;
	_cleanup_msg_ struct msg m = { 0 };
	int r = msg_recv(fd, &m);

	if (r == -EAGAIN || r == -EINTR)
		return;
	if (r > 0 && dispatch(h, &m))
		return;
	if (r != 0)
		log_error("the spawner sent a bad message");
	drop_conn(h);
}

static void on_listen(struct ev_io *io, int fd, int events, void *arg)
{
	struct holder *h = arg;
	int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (conn < 0)
		return;
	drop_conn(h);
	h->conn = conn;
	h->conn_ev = ev_io_new(h->loop, conn, EV_READ, on_conn, h);
	if (h->conn_ev)
		ev_timer_stop(h->idle);
	else
		drop_conn(h);
}

/* --- work and end ---------------------------------------------------------------------------------------------------------------- */

static void on_work(struct ev_timer *t, void *arg)
{
	struct holder *h = arg;

	if (copy_work(h))
		ev_timer_start(t, 0);
}

void work_start(struct holder *h)
{
	ev_timer_start(h->work, 0);
}

static void on_idle(struct ev_timer *t, void *arg)
{
	struct holder *h = arg;

	/* What is being written is worth waiting for. */
	while (copy_work(h))
		;
	ev_stop(h->loop, 0);
}

static uint64_t memory_default(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	return MAX(pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size / 4 : 0, MEMORY_MIN);
}

static int options(int argc, char **argv, struct holder *h, const char **dir)
{
	uint64_t v;

	h->memory_max = memory_default();
	h->idle_ms = IDLE_MS;
	for (int i = 1; i + 1 < argc; i += 2) {
		if (streq(argv[i], "--dir"))
			*dir = argv[i + 1];
		else if (streq(argv[i], "--memory-mib") && str_u64(argv[i + 1], 1 << 24, &v) == 0)
			h->memory_max = v << 20;
		else if (streq(argv[i], "--idle-ms") && str_u64(argv[i + 1], 1 << 30, &v) == 0)
			h->idle_ms = v;
		else
			return -EINVAL;
	}
	return argc % 2 == 1 && *dir ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	struct holder h = { .conn = -1, .dir = -1 };
	struct sandbox_path path = { .write = true };
	struct err e = { 0 };
	int r;

	if (options(argc, argv, &h, &path.path) < 0) {
		fputs("usage: state-holder --dir DIR [--memory-mib N] [--idle-ms N]  (started by the spawner, descriptor 3 is its socket)\n", stderr);
		return 2;
	}
	log_init("state-holder", NULL, -1);
	signal(SIGPIPE, SIG_IGN);
	fd_cloexec(HOLDER_FD_LISTEN, true);
	(void)fd_nonblock(HOLDER_FD_LISTEN, true);
	h.loop = ev_new();
	r = h.loop ? sandbox_enter(SB_STATE_HOLDER, &path, 1, &e) : err_set(&e, ENOMEM, "no event loop");
	if (r >= 0)
		r = table_open(&h, path.path, &e);
	if (r < 0) {
		log_error("%s", err_text(&e, r));
		return 1;
	}
	h.work = ev_timer_new(h.loop, on_work, &h);
	h.idle = ev_timer_new(h.loop, on_idle, &h);
	h.listen_ev = ev_io_new(h.loop, HOLDER_FD_LISTEN, EV_READ, on_listen, &h);
	if (!h.listen_ev) {
		log_error("descriptor %d is not a socket", HOLDER_FD_LISTEN);
		return 1;
	}
	ev_timer_start(h.idle, h.idle_ms);
	log_info("ready: states=%u", h.n_states);
	r = ev_run(h.loop);
	ev_io_free(h.conn_ev);
	ev_io_free(h.listen_ev);
	fd_closep(&h.conn);
	table_free(&h);
	ev_timer_free(h.work);
	ev_timer_free(h.idle);
	ev_free(h.loop);
	return r;
}
