/* SPDX-License-Identifier: GPL-3.0-or-later */
/* admin.state.*: what is saved, what is preloaded, dropping, and building ahead. */
#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesd/state.h"

#define STATES_MAX 512

/* --- the holder's list --------------------------------------------------------------------------------------------- */

struct listing {
	state_list_fn fn;
	void *arg;
};

static void on_list(void *arg, int r, struct msg *m, struct err *e)
{
	struct listing l = *(struct listing *)arg;
	_cleanup_free_ struct ipc_sp_state *v = NULL;
	struct ipc_sp_states head = { 0 };
	struct rd rd;

	free(arg);
	if (r == 0) {
		rd = msg_rd(m);
		if (ipc_get_sp_states(&rd, &head) < 0 || head.n > STATES_MAX)
			r = err_set(e, EBADMSG, "malformed list of saved states");
	}
	if (r == 0) {
		v = xcalloc(head.n + 1, sizeof *v);
		for (uint32_t i = 0; r == 0 && i < head.n; i++)
			if (ipc_get_sp_state(&rd, &v[i]) < 0 || !vm_key_ok(v[i].key))
				r = err_set(e, EBADMSG, "malformed list of saved states");
		if (r == 0 && !rd_done(&rd))
			r = err_set(e, EBADMSG, "malformed list of saved states");
	}
	l.fn(l.arg, r, v, r < 0 ? 0 : head.n, e);
}

int state_list(struct states *ss, state_list_fn fn, void *arg, struct err *e)
{
	struct ipc_sp_state_list q = { 0 };
	uint8_t buf[8];
	struct wr w = wr_mem(buf, sizeof buf);
	struct listing *l = xcalloc(1, sizeof *l);
	int r;

	*l = (struct listing){ fn, arg };
	ipc_put_sp_state_list(&w, &q);
	r = peer_request(ss->d->spawner, IPC_SP_STATE_LIST, &w, NULL, 0, on_list, l, e);
	if (r < 0)
		free(l);
	return r;
}

/* --- List ------------------------------------------------------------------------------------------------------------- */

static struct states *of_call(const struct call *c)
{
	return ((struct qd *)c->core->ops_ctx)->runs->states;
}

static void put_depends(struct wr *w, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		wr_printf(w, "depends=%.*s\n", (int)n, text);
		text += n + (text[n] == '\n');
	}
}

static void put_state(struct states *ss, struct wr *w, const struct state_kind *k, const struct ipc_sp_state *s)
{
	const char *building, *status = !k ? "unused" : s ? "ready" : k->failed ? "failed" : k->wanted ? "wanted" : "absent";

	if (k && build_runs(ss->build, &building) && streq(building, k->key))
		status = "building";
	wr_printf(w, "state %s\nstatus=%s\n", k ? k->key : s->key, status);
	if (s)
		wr_printf(w, "bytes=%llu\nmemory=%u\ndisk=%u\nlast_use=%llu\n", (unsigned long long)s->bytes, s->in_memory, s->on_disk,
			  (unsigned long long)s->last_use);
	if (k) {
		wr_printf(w, "clones=%u\nqubes=%s\n", k->clones, k->qubes ? k->qubes : k->of);
		put_depends(w, k->text);
	}
}

static void show_list(void *arg, int r, const struct ipc_sp_state *v, size_t n, struct err *e)
{
	struct call *c = arg;
	struct states *ss = of_call(c);

	if (r < 0) {
		c->err = *e;
		call_finish(c, r == -ENOTSUP ? err_set(&c->err, AE_GENERIC, "saved states are not supported here") : r);
		return;
	}
	wr_printf(&c->out, "total clones=%llu clone_retries=%llu builds=%llu build_retries=%llu build_failures=%llu\n",
		  (unsigned long long)ss->n_clones, (unsigned long long)ss->n_clone_retries, (unsigned long long)ss->n_builds,
		  (unsigned long long)ss->n_build_retries, (unsigned long long)ss->n_build_failures);
	for (const struct state_kind *k = ss->kinds; k; k = k->next) {
		const struct ipc_sp_state *s = NULL;

		for (size_t i = 0; i < n; i++)
			if (streq(v[i].key, k->key))
				s = &v[i];
		put_state(ss, &c->out, k, s);
	}
	for (size_t i = 0; i < n; i++)
		if (!state_kind_find(ss, v[i].key))
			put_state(ss, &c->out, NULL, &v[i]);
	call_finish(c, 0);
}

/* --- Pool ------------------------------------------------------------------------------------------------------------- */

static void show_pool(struct call *c)
{
	const struct core *core = c->core;
	char name[QNAME_MAX + 1];

	for (size_t i = 0; i < core->n_sorted; i++) {
		const struct qube *t = core->sorted[i];
		unsigned max = preload_max(core, t), n = preload_count(t);

		if (!max && !n)
			continue;
		wr_printf(&c->out, "pool %s max=%u delay=%d\n", t->name.s, max, preload_delay(core, t));
		for (size_t at = 0; preload_next(t, &at, name);) {
			const struct qube *q = qube_find(core, name);
			const struct run *r = q ? run_find(core->ops_ctx, q->qid) : NULL;

			if (q)
				wr_printf(&c->out, "preload %s state=%s completed=%d start=%s%s%s\n", name, life_name(q->state), preload_completed(q),
					  r && r->spec.start == VM_START_CLONE ? "clone" : "cold", preload_opened(q) ? " open=" : "",
					  preload_opened(q) ? preload_opened(q) : "");
		}
	}
}

/* --- Drop, Build -------------------------------------------------------------------------------------------------------- */

static void dropped(void *arg, int r, struct msg *m, struct err *e)
{
	struct call *c = arg;

	if (r < 0)
		c->err = *e;
	call_finish(c, r == -ENOTSUP ? err_set(&c->err, AE_GENERIC, "saved states are not supported here") : r);
}

static int drop(struct call *c)
{
	int r;

	if (c->arg[0] && !vm_key_ok(c->arg))
		return err_set(&c->err, AE_VALUE, "the key of a state has %d hex digits", STATE_KEY_LEN);
	r = state_drop(of_call(c), c->arg, dropped, c, &c->err);
	return r < 0 ? r : CALL_PENDING;
}

static void build_listed(void *arg, int r, const struct ipc_sp_state *v, size_t n, struct err *e)
{
	struct call *c = arg;
	struct states *ss = of_call(c);
	char key[STATE_KEY_LEN + 1] = "";
	struct state_kind *k;

	memcpy(key, c->out.buf, MIN(c->out.len, (size_t)STATE_KEY_LEN));
	k = state_kind_find(ss, key);
	if (r == -ENOTSUP || !k) {
		ss->unsupported |= r == -ENOTSUP;
		c->err = *e;
		call_finish(c, err_set(&c->err, AE_GENERIC, "%s", r < 0 ? err_text(e, r) : "the qube was changed meanwhile"));
		return;
	}
	/* A holder that died just now has nothing in memory any more; the build asks the next one. */
	if (r < 0)
		log_warn("list of saved states: %s", err_text(e, r));
	for (size_t i = 0; i < n; i++)
		k->there |= streq(v[i].key, key);
	if (k->there) {
		call_finish(c, 0);
		return;
	}
	k->wanted = true;
	k->not_before_us = 0;
	call_push(&k->builders, c);
	state_kick(ss->d);
}

/* What is asked for by a disposable template is the kind of its disposables. */
static struct qube *model_of(struct call *c)
{
	struct qube *q = qube_find(c->core, c->dest_name);

	if (!q || !(props[P_template_for_dispvms].classes & (1u << (unsigned)q->klass)) || !prop_bool(c->core, q, P_template_for_dispvms))
		return q;
	return state_disposable(q);
}

static void model_free(struct qube *q)
{
	if (q && !q->qid)
		qube_free(q);
}

static void root_known(struct call *c, int r, const struct st_reply *reply)
{
	struct states *ss = of_call(c);
	struct qube *q = model_of(c);
	_cleanup_wr_ struct wr text = wr_grow(STATE_TEXT_MAX);
	_cleanup_free_ struct vm_spec *spec = xcalloc(1, sizeof *spec);
	struct state_kind *k = NULL;
	char key[STATE_KEY_LEN + 1];

	if (r >= 0 && !q)
		r = err_set(&c->err, AE_VM_NOT_FOUND, "'%s' was removed meanwhile", c->dest_name);
	if (r >= 0)
		r = state_compute(ss, q, reply->head, &text, key, &c->err);
	if (r >= 0)
		r = run_describe_kind(ss->d, q, reply, spec, &c->err);
	if (r >= 0) {
		k = state_kind_get(ss, key, &text, q, spec);
		if (!k->has_spec)
			r = err_set(&c->err, AE_VALUE, "kernel arguments and services of '%s' are too long together", q->name.s);
	}
	if (r >= 0) {
		wr_str(&c->out, key);
		r = state_list(ss, build_listed, c, &c->err);
	}
	model_free(q);
	if (r < 0)
		call_finish(c, r);
}

static int build(struct call *c)
{
	struct states *ss = of_call(c);
	struct qube *q = model_of(c);
	struct st_request rq;
	const char *why;
	bool allowed = state_allowed(c->core, q, &why);
	int r;

	model_free(q);
	if (!ss->program || ss->unsupported)
		return err_set(&c->err, AE_GENERIC, "saved states are not supported here");
	if (!allowed)
		return err_set(&c->err, AE_VALUE, "'%s' does not start from a saved state: %s", c->dest->name.s, why);
	r = volume_request(c->core, c->dest, &c->dest->vols[VOL_ROOT], ST_START, &rq, &c->err);
	if (r == 0 && !rq.source[0])
		r = err_set(&c->err, AE_NO_TEMPLATE, "the template of '%s' is missing", c->dest->name.s);
	return r < 0 ? r : call_storage(c, &rq, root_known);
}

int state_op(void *ctx, struct call *c)
{
	int r;

	switch (c->m->param) {
	case STATE_POOL:
		show_pool(c);
		return 0;
	case STATE_DROP:
		return drop(c);
	case STATE_BUILD:
		return build(c);
	case STATE_LIST:
	default:
		r = state_list(of_call(c), show_list, c, &c->err);
		return r < 0 ? r : CALL_PENDING;
	}
}
