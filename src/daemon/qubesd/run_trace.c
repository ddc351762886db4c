/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The trace log: one JSON object a line for each call between qubes or to dom0 that was allowed, with the duration of its phases. Times come from
 * the monotonic clock, which all processes of the host share. Nothing waits for it: a call whose end is not seen is left out.
 */
#include <sys/stat.h>
#include <time.h>

#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesd/run.h"

#define LOG_MAX (4 << 20) /* bytes of each of the two files */
#define LIVE_MAX 1024	  /* calls that run; the oldest gives way */
#define ASKED_MAX 256	  /* requests that policy has not answered yet */

struct live_trace {
	struct live_trace *next;
	struct trace t;
	uint32_t source_qid, peer, port;
	char *head; /* the line up to the phases that are to come */
};

static struct {
	int fd, old_fd;
	struct live_trace *first, **last;
	size_t n;
	struct {
		uint32_t qid, request;
		uint64_t us;
	} asked[ASKED_MAX];
	size_t next_asked;
} tl = { .fd = -1, .old_fd = -1, .last = &tl.first };

static void on_logs(void *arg, int r, struct msg *m, struct err *e)
{
	if (r >= 0 && m->n_fds != 2)
		r = err_set(e, EBADMSG, "no files came");
	if (r < 0) {
		log_warn("no trace log: %s", err_text(e, r));
		return;
	}
	tl.fd = STEAL_FD(m->fds[0]);
	tl.old_fd = STEAL_FD(m->fds[1]);
}

void trace_open(struct qd *d)
{
	struct ipc_sp_trace_log q = { 0 };
	uint8_t buf[8];
	struct wr w = wr_mem(buf, sizeof buf);
	struct err e = { 0 };
	int r;

	ipc_put_sp_trace_log(&w, &q);
	r = peer_request(d->spawner, IPC_SP_TRACE_LOG, &w, NULL, 0, on_logs, NULL, &e);
	if (r < 0)
		log_warn("no trace log: %s", err_text(&e, r));
}

static void move_aside(void)
{
	uint8_t buf[65536];
	off_t at = 0;
	ssize_t n;

	if (ftruncate(tl.old_fd, 0) < 0)
		return;
	while ((n = pread(tl.fd, buf, sizeof buf, at)) > 0 && write_full(tl.old_fd, buf, (size_t)n) >= 0)
		at += n;
	(void)!ftruncate(tl.fd, 0);
}

static void put_line(const struct wr *w)
{
	struct stat st;

	if (!wr_ok(w) || tl.fd < 0 || tl.old_fd < 0)
		return;
	if (fstat(tl.fd, &st) == 0 && st.st_size + (off_t)w->len > LOG_MAX)
		move_aside();
	(void)write_full(tl.fd, w->buf, w->len);
}

static void put(struct wr *w, const char *key, const char *value)
{
	wr_printf(w, "%s\"%s\":\"", w->len > 1 ? "," : "", key);
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;

		if (c == '"' || c == '\\' || c < 0x20 || c >= 0x7f)
			wr_printf(w, "\\u%04x", c);
		else
			wr_u8(w, c);
	}
	wr_str(w, "\"");
}

/* Milliseconds from the end of the phase before; one that was not reached is null. */
static void put_phase(struct wr *w, const char *key, uint64_t from, uint64_t to)
{
	if (!to || !from || to < from)
		wr_printf(w, ",\"%s\":null", key);
	else
		wr_printf(w, ",\"%s\":%llu.%03llu", key, (unsigned long long)((to - from) / 1000), (unsigned long long)((to - from) % 1000));
}

static void put_head(struct wr *w, const struct trace *t, const struct ipc_pd_ticket *k, const char *target)
{
	uint64_t begin = t->asked_us ? t->asked_us : t->policy_us;
	struct timespec ts;
	char stamp[40];
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	/* the time of the request, not of the line */
	uint64_t us = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000 - (now_us() - begin);

	gmtime_r(&(time_t){ (time_t)(us / 1000000) }, &tm);
	n = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)!str_printf(stamp + n, sizeof stamp - n, ".%06uZ", (unsigned)(us % 1000000));
	wr_str(w, "{");
	put(w, "request", stamp);
	put(w, "source", k->source);
	put(w, "target", *target ? target : "dom0");
	put(w, "service", k->service);
	put(w, "rule", k->rule);
	put_phase(w, "policy", t->asked_us, t->policy_us);
	put_phase(w, "autostart", t->policy_us, t->started_us);
	put_phase(w, "connect", t->started_us, t->connected_us);
}

void trace_asked(uint32_t qid, uint32_t request, uint32_t stamp)
{
	uint64_t now = now_us();
	size_t i = tl.next_asked++ % ASKED_MAX;

	tl.asked[i].qid = qid;
	tl.asked[i].request = request;
	/* the low half of the daemon's clock */
	tl.asked[i].us = now - (uint32_t)((uint32_t)now - stamp);
}

uint64_t trace_when_asked(uint32_t qid, uint32_t request)
{
	for (size_t i = 0; i < ASKED_MAX; i++)
		if (tl.asked[i].us && tl.asked[i].qid == qid && tl.asked[i].request == request) {
			uint64_t us = tl.asked[i].us;

			tl.asked[i].us = 0;
			return us;
		}
	return 0;
}

static void drop(struct live_trace **at)
{
	struct live_trace *x = *at;

	*at = x->next;
	if (tl.last == &x->next)
		tl.last = at;
	tl.n--;
	free(x->head);
	free(x);
}

void trace_running(const struct trace *t, const struct ipc_pd_ticket *k, const char *target, uint32_t peer, uint32_t port)
{
	struct wr w = wr_grow(8192);
	struct live_trace *x;

	if (tl.fd < 0)
		return;
	put_head(&w, t, k, target);
	if (!wr_ok(&w)) {
		wr_free(&w);
		return;
	}
	if (tl.n == LIVE_MAX)
		drop(&tl.first);
	x = xcalloc(1, sizeof *x);
	*x = (struct live_trace){ .t = *t, .source_qid = k->source_qid, .peer = peer, .port = port, .head = wr_take(&w, NULL) };
	*tl.last = x;
	tl.last = &x->next;
	tl.n++;
}

void trace_failed(const struct trace *t, const struct ipc_pd_ticket *k, const char *target, const char *why)
{
	_cleanup_wr_ struct wr w = wr_grow(8192);

	if (tl.fd < 0 || !t->policy_us)
		return;
	put_head(&w, t, k, target);
	wr_str(&w, ",\"first_byte\":null,\"exit\":null");
	put_phase(&w, "total", t->asked_us ? t->asked_us : t->policy_us, now_us());
	put(&w, "failed", why);
	wr_str(&w, "}\n");
	put_line(&w);
}

void trace_ended(uint32_t source_qid, uint32_t peer, uint32_t port, uint64_t first_us)
{
	uint64_t now = now_us();

	for (struct live_trace **at = &tl.first; *at; at = &(*at)->next) {
		struct live_trace *x = *at;
		_cleanup_wr_ struct wr w = wr_grow(8192);

		if (x->source_qid != source_qid || x->peer != peer || x->port != port)
			continue;
		wr_str(&w, x->head);
		put_phase(&w, "first_byte", x->t.connected_us, first_us);
		put_phase(&w, "exit", first_us ? first_us : x->t.connected_us, now);
		put_phase(&w, "total", x->t.asked_us ? x->t.asked_us : x->t.policy_us, now);
		wr_str(&w, "}\n");
		put_line(&w);
		drop(at);
		return;
	}
}
