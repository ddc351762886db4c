/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The reply of policy.sock. */
#include "base/str.h"
#include "core/policy/eval.h"

static void add(struct pol_reply *r, const char *key, const char *value)
{
	/* A value with a newline would forge a line. */
	if (r->n < POL_REPLY_PAIRS && !strchr(value, '\n'))
		r->v[r->n++] = (struct pol_pair){ key, xstrdup(value) };
}

void pol_reply_make(struct pol_reply *ret, const struct pol_decision *d)
{
	const struct pol_qube *q = d->relay ? d->relay : d->target_qube;
	_cleanup_free_ char *uuid = NULL;

	*ret = (struct pol_reply){ 0 };
	if (d->outcome != POL_O_ALLOW) {
		add(ret, "result", "deny");
		return;
	}
	add(ret, "user", d->user && d->user[0] ? d->user : "DEFAULT");
	add(ret, "result", "allow");
	add(ret, "target", d->relay ? d->relay->name : d->target);
	if (q && q->uuid && !q->dom0) {
		uuid = xasprintf("%s%s", d->target_dispvm ? "@dispvm:" : "", q->uuid);
		add(ret, "target_uuid", uuid);
	}
	add(ret, "autostart", d->autostart ? "True" : "False");
	add(ret, "requested_target", d->requested_target);
	if (d->service)
		add(ret, "service", d->service);
	if (d->policy_source)
		add(ret, "policy_source", d->policy_source);
}

void pol_reply_fini(struct pol_reply *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->v[i].value);
	r->n = 0;
}

void pol_reply_text(struct wr *w, const struct pol_reply *r)
{
	for (size_t i = 0; i < r->n; i++) {
		wr_str(w, r->v[i].key);
		wr_u8(w, '=');
		wr_str(w, r->v[i].value);
		wr_u8(w, '\n');
	}
}
