/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of qubes and classes. */
#include "base/str.h"
#include "core/api/api.h"

int api_vmclass_list(struct call *c)
{
	for (unsigned k = 0; k < K_N; k++)
		wr_printf(&c->out, "%s\n", klass_name((enum klass)k));
	return 0;
}

int api_deviceclass_list(struct call *c)
{
	wr_str(&c->out, "block\nmic\npci\nusb\n");
	return 0;
}

static void put_vm(struct call *c, const struct qube *q)
{
	struct wr *w = &c->out;

	wr_str(w, q->name.s);
	wr_str(w, " class=");
	wr_str(w, klass_name(q->klass));
	wr_str(w, " state=");
	wr_str(w, life_name(q->state));
	wr_str(w, " uuid=");
	wr_str(w, q->uuid.s);
	wr_u8(w, '\n');
}

#define CHUNK 15000 /* bytes of names in one question */

/* A list for a caller other than dom0: it sees what single calls about each qube would be allowed for. */
struct listing {
	char last[QNAME_MAX + 1]; /* of the chunk that is asked about */
	char names[CHUNK + 64];
};

static int next_chunk(struct call *c);

static void answered(void *arg, const char *answers)
{
	struct call *c = arg;
	struct listing *l = c->state;
	const char *name = l->names;
	int r;

	for (; answers && *answers && *name; answers++) {
		size_t n = strcspn(name, " ");
		char one[QNAME_MAX + 1] = "";
		const struct qube *q;

		if (n < sizeof one)
			memcpy(one, name, n);
		q = *answers == '1' ? qube_find(c->core, one) : NULL;
		if (q)
			put_vm(c, q);
		name += n + (name[n] == ' ');
	}
	r = next_chunk(c);
	if (r != CALL_PENDING)
		call_finish(c, r);
}

static int next_chunk(struct call *c)
{
	struct listing *l = c->state;
	struct wr w = wr_mem(l->names, CHUNK);
	struct err e;

	for (size_t i = 0; i < c->core->n_sorted && w.len + QNAME_MAX + 1 < CHUNK; i++) {
		const struct qube *q = c->core->sorted[i];

		/* dom0 comes first, then the order of names: whatever changed meanwhile, none is asked about twice. */
		if (l->last[0] && (q == c->core->dom0 || (!streq(l->last, "dom0") && strcmp(q->name.s, l->last) <= 0)))
			continue;
		if (w.len)
			wr_u8(&w, ' ');
		wr_str(&w, q->name.s);
	}
	l->names[w.len] = '\0';
	if (!w.len)
		return 0;
	memcpy(l->last, strrchr(l->names, ' ') ? strrchr(l->names, ' ') + 1 : l->names, sizeof l->last);
	if (!c->core->ops->policy_ask ||
	    c->core->ops->policy_ask(c->core->ops_ctx, c->src_name, "admin.vm.List+", l->names, answered, c, &e) < 0)
		return 0; /* nobody decides: nothing more is shown */
	return CALL_PENDING;
}

int api_vm_list(struct call *c)
{
	if (c->dest != c->core->dom0) {
		put_vm(c, c->dest); /* allowed by policy as it is */
		return 0;
	}
	if (!streq(c->src_name, "dom0")) {
		c->state = xcalloc(1, sizeof(struct listing));
		return next_chunk(c);
	}
	for (size_t i = 0; i < c->core->n_sorted; i++)
		put_vm(c, c->core->sorted[i]);
	return 0;
}
