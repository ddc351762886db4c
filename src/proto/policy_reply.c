/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parser of policy replies: anything odd is a failure, and a failure is a denial. */
#include "proto/policy_reply.h"

#include "base/str.h"

enum { K_RESULT, K_USER, K_TARGET, K_TARGET_UUID, K_AUTOSTART, K_REQUESTED, K_SERVICE, K_SOURCE, K_N };
static const char *const keys[K_N] = {
	[K_RESULT] = "result",		 [K_USER] = "user",		   [K_TARGET] = "target",   [K_TARGET_UUID] = "target_uuid",
	[K_AUTOSTART] = "autostart",	 [K_REQUESTED] = "requested_target", [K_SERVICE] = "service", [K_SOURCE] = "policy_source",
};

static bool value_of(struct policy_reply *p, unsigned k, struct rd v)
{
	char word[16];

	switch (k) {
	case K_RESULT:
		rd_text(&v, word, sizeof word);
		p->allow = streq(word, "allow");
		return rd_ok(&v) && (p->allow || streq(word, "deny"));
	case K_AUTOSTART:
		rd_text(&v, word, sizeof word);
		p->autostart = streq(word, "True");
		return rd_ok(&v) && (p->autostart || streq(word, "False"));
	case K_USER:
		rd_text(&v, p->user, sizeof p->user);
		break;
	case K_TARGET:
		rd_text(&v, p->target, sizeof p->target);
		break;
	case K_TARGET_UUID:
		rd_text(&v, p->target_uuid, sizeof p->target_uuid);
		break;
	case K_REQUESTED:
		rd_text(&v, p->requested_target, sizeof p->requested_target);
		break;
	case K_SERVICE:
		rd_text(&v, p->service, sizeof p->service);
		break;
	default:
		rd_text(&v, p->policy_source, sizeof p->policy_source);
		break;
	}
	return rd_ok(&v);
}

static int parse_line(struct policy_reply *p, bool have[K_N], struct rd line, struct err *e)
{
	struct rd key = rd_until(&line, '=');
	unsigned k = 0;

	if (!rd_ok(&line))
		return err_set(e, EBADMSG, "policy reply: a line without '='");
	while (k < K_N && !rd_eq(&key, keys[k]))
		k++;
	if (k == K_N) {
		p->unknown++;
		return 0;
	}
	if (have[k])
		return err_set(e, EBADMSG, "policy reply: '%s' twice", keys[k]);
	have[k] = true;
	return value_of(p, k, line) ? 0 : err_set(e, EBADMSG, "policy reply: bad value of '%s'", keys[k]);
}

int policy_reply_parse(struct policy_reply *ret, struct rd r, struct err *e)
{
	struct policy_reply p = { 0 };
	bool have[K_N] = { false };
	size_t n = rd_left(&r);
	struct rd line;

	if (n == 0 || n > POLICY_REPLY_MAX || memchr(r.p, 0, n))
		return err_set(e, EBADMSG, "policy reply: empty, too long, or with a NUL byte");
	while (rd_line(&r, &line)) {
		int rc = parse_line(&p, have, line, e);

		if (rc < 0)
			return rc;
	}
	if (!have[K_RESULT])
		return err_set(e, EBADMSG, "policy reply: no result");
	for (unsigned k = K_USER; k < K_N; k++) {
		bool needed = p.allow && (k == K_USER || k == K_TARGET || k == K_REQUESTED || k == K_AUTOSTART);
		bool forbidden = !p.allow && (k == K_USER || k == K_TARGET || k == K_REQUESTED || k == K_AUTOSTART);

		if ((needed && !have[k]) || (forbidden && have[k]))
			return err_set(e, EBADMSG, "policy reply: '%s' is missing or too much", keys[k]);
	}
	if (p.allow && (!p.user[0] || !p.target[0]))
		return err_set(e, EBADMSG, "policy reply: empty user or target");
	*ret = p;
	return 0;
}
