/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an allowed call of the direct flow needs before it can be carried: a disposable is made, a target that does not run is started, both by
 * qubesd. Nothing waits: the answers come through the loop. A disposable is killed when its call has ended, however it ended.
 */
#include "route.h"

#include <sys/socket.h>

#include "base/io.h"
#include "base/paths.h"
#include "base/str.h"

#define ANSWER_MAX 65535
#define DISPVM "@dispvm:"

/* One call of the Admin API. done is called once, with 0 and the answer, or -EREMOTEIO and the exception's class, or another code. */
struct admin {
	struct chan_stream *stream;
	struct wr text;
	void (*done)(void *arg, int r, const char *answer);
	void *arg;
};

void admin_free(struct admin *a)
{
	if (!a)
		return;
	chan_stream_free(a->stream);
	wr_free(&a->text);
	free(a);
}

DEFINE_CLEANUP(admin_free, struct admin *)

static ssize_t admin_data(struct chan_stream *s, const uint8_t *p, size_t n, void *arg)
{
	struct admin *a = arg;

	wr_bytes(&a->text, p, n);
	return wr_ok(&a->text) ? (ssize_t)n : -EMSGSIZE;
}

static void admin_closed(struct chan_stream *s, int code, void *arg)
{
	struct admin *a = arg;
	struct rd r = rd_mem(a->text.buf, a->text.len);
	const char *text;
	uint8_t kind, nul;

	chan_stream_free(STEAL_PTR(a->stream));
	kind = rd_u8(&r);
	nul = rd_u8(&r);
	/* what follows is text for us; the terminator belongs to our buffer */
	wr_u8(&a->text, 0);
	text = (const char *)a->text.buf + 2;
	if (code || !rd_ok(&r) || nul || !wr_ok(&a->text) || (kind != '0' && kind != '2'))
		a->done(a->arg, code ? code : -EPROTO, "");
	else
		a->done(a->arg, kind == '0' ? 0 : -EREMOTEIO, text);
}

static const struct chan_stream_ops admin_ops = { .data = admin_data, .closed = admin_closed };

static struct admin *admin_call(struct qd *qd, const char *method, const char *dest, const char *payload,
				void (*done)(void *arg, int r, const char *answer), void *arg)
{
	_cleanup_wr_ struct wr w = wr_grow(512);
	_cleanup_fd_ int fd = -1;
	struct err e = { 0 };
	struct admin *a;

	if (!qd->have_paths)
		return NULL;
	fd = unix_connect(path_get(PATH_QUBESD_SOCK), SOCK_STREAM, &e);
	if (fd < 0) {
		log_warn("%s: %s", method, e.msg);
		return NULL;
	}
	a = xcalloc(1, sizeof *a);
	a->text = wr_grow(ANSWER_MAX);
	a->done = done;
	a->arg = arg;
	a->stream = chan_stream_new(qd->loop, fd, ANSWER_MAX, 4096, &admin_ops, a);
	if (!a->stream) {
		admin_free(a);
		return NULL;
	}
	(void)STEAL_FD(fd);
	wr_printf(&w, "%s dom0 name %s", method, dest);
	wr_u8(&w, 0);
	wr_str(&w, payload);
	if (!wr_ok(&w) || chan_stream_send(a->stream, w.buf, w.len) < 0) {
		admin_free(a);
		return NULL;
	}
	chan_stream_end(a->stream);
	return a;
}

/* --- the end of a disposable: nobody waits for the answer --- */

struct kill {
	struct admin *admin;
	char name[QX_NAME_LEN];
};

static void killed(void *arg, int r, const char *answer)
{
	struct kill *k = arg;

	if (r < 0)
		log_warn("killing '%s': %s", k->name, r == -EREMOTEIO ? log_escs(answer) : strerror(-r));
	admin_free(k->admin);
	free(k);
}

void prepare_undo(struct route *r)
{
	struct kill *k;

	admin_free(STEAL_PTR(r->admin));
	if (!r->disposable[0])
		return;
	k = xcalloc(1, sizeof *k);
	memcpy(k->name, r->disposable, sizeof k->name);
	k->admin = admin_call(r->qd, "admin.vm.Kill", k->name, "", killed, k);
	if (!k->admin) {
		log_warn("the disposable '%s' could not be killed", k->name);
		free(k);
	}
}

/* --- before the call --- */

static bool name_ok(const char *s)
{
	return *s && strlen(s) < QX_NAME_LEN && *s != '.' && *s != '@' && str_chars(s, "_.-:");
}

static void started(void *arg, int rc, const char *answer)
{
	struct route *r = arg;
	_cleanup_(admin_freep) struct admin *own = STEAL_PTR(r->admin);

	/* somebody else was faster: just as well */
	if (rc == -EREMOTEIO && streq(answer, "QubesVMNotHaltedError"))
		rc = 0;
	if (rc < 0)
		log_warn("starting '%s': %s", r->reply.target, rc == -EREMOTEIO ? log_escs(answer) : strerror(-rc));
	if (rc < 0 || !requests_pending(r->qd, r->request))
		route_end(r);
	else
		route_ready(r);
}

static bool runs(const struct route *r)
{
	_cleanup_free_ char *path = xasprintf("%s/qrexec.%s", r->o->socket_dir, r->reply.target);

	return access(path, F_OK) == 0;
}

static int start_target(struct route *r)
{
	if (!r->reply.autostart || runs(r)) {
		route_ready(r);
		return 0;
	}
	r->admin = admin_call(r->qd, "admin.vm.Start", r->reply.target, "", started, r);
	return r->admin ? 0 : -ENOENT;
}

static void disposable_made(void *arg, int rc, const char *answer)
{
	struct route *r = arg;
	_cleanup_(admin_freep) struct admin *own = STEAL_PTR(r->admin);

	if (rc == 0 && !name_ok(answer))
		rc = -EPROTO;
	if (rc < 0) {
		log_warn("making a disposable: %s", rc == -EREMOTEIO ? log_escs(answer) : strerror(-rc));
		route_end(r);
		return;
	}
	(void)!str_copy(r->disposable, sizeof r->disposable, answer);
	(void)!str_copy(r->reply.target, sizeof r->reply.target, answer);
	if (!requests_pending(r->qd, r->request) || start_target(r) < 0)
		route_end(r);
}

static int make_disposable(struct route *r)
{
	bool by_uuid = str_starts(r->reply.target_uuid, DISPVM);
	const char *dest = (by_uuid ? r->reply.target_uuid : r->reply.target) + strlen(DISPVM);

	if (!r->reply.autostart || !name_ok(dest)) {
		log_warn("a disposable can only be the target of a call that may start it");
		return -EINVAL;
	}
	r->admin = admin_call(r->qd, "admin.vm.CreateDisposable", dest, by_uuid ? "uuid" : "", disposable_made, r);
	return r->admin ? 0 : -ENOENT;
}

/* By whatever name: a comparison of two texts would let a name pass for the qube with that uuid. */
static bool ourselves(const struct route *r)
{
	const char *names[] = { r->reply.target, r->reply.target_uuid };
	uint64_t id;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *s = names[i];

		if (streq(s, r->qd->name) || (str_u64(s, UINT32_MAX, &id) == 0 && id == r->qd->id))
			return true;
		if (str_starts(s, "uuid:") && streq(s + strlen("uuid:"), r->qd->uuid))
			return true;
	}
	return false;
}

int prepare(struct route *r)
{
	if (ourselves(r)) {
		log_warn("a qube cannot call itself");
		return -ELOOP;
	}
	if (str_starts(r->reply.target, DISPVM))
		return make_disposable(r);
	if (!name_ok(r->reply.target))
		return -ENOTSUP;
	return start_target(r);
}
