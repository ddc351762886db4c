/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the bytes of a request to its handler, and from the handler's result to the answer. */
#include "base/log.h"
#include "base/str.h"
#include "core/anon.h"
#include "core/api/api.h"

const struct method methods[] = {
#define M(name_, fn_, arg_, body_, max_, dest_, scope_, access_, socket_, flags_, param_)          \
	{ name_, fn_, arg_, body_, max_, dest_, scope_, access_, socket_, flags_, param_ },
#include "core/api/methods.def"
#undef M
};
const size_t n_methods = ARRAY_SIZE(methods);

/* Calls that may run again because the qube they waited for is free. */
static struct call *ready, **ready_tail = &ready;
static bool draining;

static int cmp_method(const void *key, const void *row)
{
	return strcmp(key, ((const struct method *)row)->name);
}

const struct method *method_find(const char *name)
{
	return bsearch(name, methods, n_methods, sizeof methods[0], cmp_method);
}

struct call *call_new(struct core *core, uint8_t *bytes, size_t len, unsigned socket)
{
	struct call *c = xcalloc(1, sizeof *c);

	c->core = core;
	c->bytes = bytes;
	c->len = len;
	c->socket = socket;
	c->given = -1;
	c->out = wr_grow(64u << 20);
	return c;
}

void call_free(struct call *c)
{
	if (!c)
		return;
	free(c->bytes);
	free(c->body);
	free(c->state);
	fd_closep(&c->given);
	wr_free(&c->out);
	free(c);
}

static int check_presence(struct call *c)
{
	const struct method *m = c->m;
	size_t n = rd_left(&c->req.payload);
	bool arg = c->req.arg[0] || c->req.arg_bad;

	if (m->body == B_NONE && n)
		return err_set(&c->err, AE_PROTOCOL, "%s takes no payload", m->name);
	if (m->body > B_OPT && !n)
		return err_set(&c->err, AE_PROTOCOL, "%s needs a payload", m->name);
	if (n > m->body_max)
		return err_set(&c->err, AE_PROTOCOL, "the payload of %s is too long", m->name);
	if (m->arg == A_NONE && arg)
		return err_set(&c->err, AE_PROTOCOL, "%s takes no argument", m->name);
	if (m->arg != A_NONE && m->arg != A_OPT && m->arg != A_TEMPLATE && !arg)
		return err_set(&c->err, AE_PROTOCOL, "%s needs an argument", m->name);
	if (c->req.arg_bad)
		return err_set(&c->err, AE_PROTOCOL, "the argument of %s is malformed", m->name);
	for (const char *s = c->req.arg; *s; s++)
		if (*s < 0x20 || *s > 0x7e)
			return err_set(&c->err, AE_PROTOCOL, "the argument of %s is not printable ASCII", m->name);
	if (m->flags & MF_FD && c->given < 0)
		return err_set(&c->err, AE_PROTOCOL, "%s needs a descriptor beside the request", m->name);
	if (m->dest == D_ADMIN && c->dest != c->core->dom0)
		return err_set(&c->err, AE_PROTOCOL, "%s is for dom0 only", m->name);
	if (m->dest == D_QUBE && c->dest == c->core->dom0)
		return err_set(&c->err, AE_PROTOCOL, "%s is not for dom0", m->name);
	return 0;
}

static int parse_body(struct call *c)
{
	struct rd r = c->req.payload;

	c->body_len = rd_left(&r);
	c->body = rd_dup(&r, ADMIN_REQUEST_MAX);
	if (!c->body)
		return err_set(&c->err, c->m->arg == A_VMPROP || c->m->arg == A_GPROP ? AE_VALUE : AE_PROTOCOL,
			       "the payload has a NUL byte");
	c->to_default = c->m->flags & MF_DEFAULT && streq(c->body, "default");
	if (c->to_default)
		return 0;
	switch (c->m->body) {
	case B_U64:
		if (c->body_len > 19 || str_u64(c->body, INT64_MAX, &c->u64) < 0)
			return err_set(&c->err, AE_PROTOCOL, "the payload is not a number");
		return 0;
	case B_I64:
		if (c->body_len > 19 || str_i64(c->body, -INT64_MAX, INT64_MAX, &c->i64) < 0)
			return err_set(&c->err, AE_PROTOCOL, "the payload is not a number");
		return 0;
	case B_BOOL:
		if (str_bool(c->body, &c->flag) < 0)
			return err_set(&c->err, AE_VALUE, "the payload is neither True nor False");
		return 0;
	case B_NONE:
	case B_OPT:
	case B_REQ:
	default:
		return 0;
	}
}

static int parse_prop(struct call *c, const struct qube *q)
{
	c->prop = prop_find(q, c->arg);
	if (!c->prop)
		return err_set(&c->err, AE_NO_SUCH_PROPERTY, "%s%s%s has no property '%s'", q ? "'" : "", q ? q->name.s : "the system",
			       q ? "'" : "", c->arg);
	return 0;
}

static int parse_arg(struct call *c)
{
	c->arg = c->req.arg;
	switch (c->m->arg) {
	case A_VMPROP:
		return parse_prop(c, c->dest);
	case A_GPROP:
		return parse_prop(c, NULL);
	case A_TAG:
		return tag_ok(c->arg) ? 0 : err_set(&c->err, AE_TAG_INVALID, "a tag may have letters, digits, '_' and '-' only");
	case A_FEATURE:
		return feature_ok(c->arg) ? 0 : err_set(&c->err, AE_PROTOCOL, "not the name of a feature");
	case A_LABEL:
		c->label = label_find(c->core, c->arg);
		return c->label ? 0 : err_set(&c->err, AE_LABEL_NOT_FOUND, "there is no label '%s'", c->arg);
	case A_VOLUME:
		c->vol = volume_find(c->dest, c->arg);
		return c->vol ? 0 : err_set(&c->err, AE_PERMISSION, "'%s' has no volume '%s'", c->dest->name.s, c->arg);
	case A_POOL:
		c->pool = pool_find(c->core, c->arg);
		return c->pool ? 0 : err_set(&c->err, AE_POOL_NOT_FOUND, "there is no pool '%s'", c->arg);
	case A_TEMPLATE: /* looked up by the handler: other errors come first */
	case A_NONE:
	case A_OPT:
	case A_TEXT:
	default:
		return 0;
	}
}

/* Everything before the handler, in the reference's order. */
static int prepare(struct call *c)
{
	int r = qube_lookup(c->core, c->req.src, &c->src, &c->err);

	if (r == 0)
		r = qube_lookup(c->core, c->req.dest, &c->dest, &c->err);
	if (r < 0)
		return r;
	memcpy(c->src_name, c->src->name.s, sizeof c->src_name);
	memcpy(c->dest_name, c->dest->name.s, sizeof c->dest_name);
	c->m = method_find(c->req.method);
	if (!c->m || !(c->m->socket & c->socket))
		return err_set(&c->err, AE_PROTOCOL, "there is no such method here");
	r = check_presence(c);
	if (r == 0)
		r = parse_body(c);
	if (r == 0)
		r = parse_arg(c);
	return r;
}

int call_start(struct call *c)
{
	int r = admin_get_request(rd_mem(c->bytes, c->len), &c->req);
	struct core *core = c->core;
	struct err e = { 0 };

	if (r < 0)
		return r;
	free(c->body);
	c->body = NULL;
	err_clear(&c->err);
	r = prepare(c);
	if (r == 0 && c->m->flags & (MF_LOCK | MF_IDLE) && c->dest->busy) {
		struct call **p = &c->dest->waiting;

		while (*p)
			p = &(*p)->next;
		*p = c;
		return 0;
	}
	if (r == 0 && c->m->flags & MF_LOCK) {
		c->locked = c->dest;
		c->locked->busy = true;
	}
	if (r == 0)
		r = c->m->fn(c);
	/* A pending call may have ended already: it is not touched any more. */
	if (r != CALL_PENDING)
		call_finish(c, r);
	else if (txn_commit(core, &e) < 0)
		log_warn("a step of a call could not be saved: %s", e.msg);
	return 0;
}

static void drain(void)
{
	if (draining)
		return;
	draining = true;
	while (ready) {
		struct call *c = ready;

		ready = c->next;
		if (!ready)
			ready_tail = &ready;
		c->next = NULL;
		(void)call_start(c); /* its framing was good before */
	}
	draining = false;
}

void qube_release(struct core *core, struct qube *q)
{
	q->busy = false;
	if (!q->waiting)
		return;
	*ready_tail = q->waiting;
	while (*ready_tail)
		ready_tail = &(*ready_tail)->next;
	q->waiting = NULL;
	drain();
}

void call_synced(struct call *c)
{
	struct qube *q = c->locked;
	struct core *core = c->core;

	c->locked = NULL;
	c->done(c);
	if (q)
		qube_release(core, q);
}

void call_finish(struct call *c, int r)
{
	bool sysinfo;

	if (r < 0) {
		txn_rollback(c->core);
	} else {
		r = 0;
		anon_settle(c->core);
		sysinfo = c->core->txn.sysinfo;
		r = txn_commit(c->core, &c->err);
		c->core->txn.sysinfo = false;
		c->result = r;
		if (r == 0 && sysinfo && c->core->ops->policy_sync && c->core->ops->policy_sync(c->core->ops_ctx, c)) {
			c->syncing = true;
			return;
		}
		if (r == 0 && c->core->ops->net_sync && c->core->ops->net_sync(c->core->ops_ctx, c)) {
			c->syncing = true;
			return;
		}
	}
	c->result = r;
	call_synced(c);
}

void call_answer(struct call *c, struct wr *w)
{
	if (c->result == 0 && !wr_ok(&c->out))
		c->result = err_set(&c->err, AE_GENERIC, "the answer is too long");
	if (c->result < 0) {
		if (-c->result < ERR_DOMAIN_BASE)
			log_debug("%s failed: %s", c->req.method, err_text(&c->err, c->result));
		admin_put_error(w, admin_err_class(c->result), err_text(&c->err, c->result));
		return;
	}
	if (!c->keep_open)
		admin_put_ok(w);
	wr_bytes(w, c->out.buf, c->out.len);
}

/* A storage request outlives everything but the call, which waits for it. */
struct storage_wait {
	struct call *c;
	call_storage_fn next;
};

static void storage_done(void *arg, int r, const struct st_reply *reply, struct err *e)
{
	struct storage_wait w = *(struct storage_wait *)arg;
	struct core *core = w.c->core; /* the call may be gone after next() */

	free(arg);
	if (r < 0) {
		w.c->err = *e;
		/* A plain errno of a worker is a storage failure for clients. */
		if (-r < ERR_DOMAIN_BASE)
			r = err_set(&w.c->err, AE_STORAGE, "%s", err_text(e, r));
	}
	w.next(w.c, r, reply);
	if (txn_commit(core, NULL) < 0)
		log_warn("a step of a storage operation could not be saved");
}

int call_storage(struct call *c, const struct st_request *q, call_storage_fn next)
{
	struct storage_wait *w = xcalloc(1, sizeof *w);
	int r;

	w->c = c;
	w->next = next;
	r = c->core->ops->storage(c->core->ops_ctx, q, storage_done, w, &c->err);
	if (r < 0) {
		free(w);
		return -r < ERR_DOMAIN_BASE ? err_set(&c->err, AE_STORAGE, "%s", err_text(&c->err, r)) : r;
	}
	return CALL_PENDING;
}
