/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Decoders of the reference's policy sockets. */
#include "daemon/policyd/request.h"

#include "base/str.h"

enum { K_SOURCE, K_TARGET, K_SERVICE, K_REQUESTED, K_ASSUME, K_JUST, K_N };
static const char *const keys[K_N] = {
	"source", "intended_target", "service_and_arg", "requested_source", "assume_yes_for_ask", "just_evaluate",
};

void pd_request_fini(struct pd_request *q)
{
	free(q->service);
	free(q->argument);
	q->service = q->argument = NULL;
}

/* "svc" or "svc+arg"; the argument always has its '+'. The daemons clean what qubes ask for: other bytes never were a request. */
static int set_service(struct pd_request *q, const char *s)
{
	size_t n = strcspn(s, "+");

	if (n == 0 || !str_chars(s, "+_.-"))
		return -EBADMSG;
	q->service = xstrndup(s, n);
	q->argument = xstrdup(s[n] ? s + n : "+");
	return 0;
}

static int set_yes(bool *ret, const char *s)
{
	if (!streq(s, "yes") && !streq(s, "no"))
		return -EBADMSG;
	*ret = s[0] == 'y';
	return 0;
}

static int set_key(struct pd_request *q, int k, const char *value)
{
	switch (k) {
	case K_SOURCE:
		return value[0] ? str_copy(q->source, sizeof q->source, value) : -EBADMSG;
	case K_TARGET:
		return str_copy(q->target, sizeof q->target, value);
	case K_REQUESTED:
		return str_copy(q->requested_source, sizeof q->requested_source, value);
	case K_SERVICE:
		return set_service(q, value);
	case K_ASSUME:
		return set_yes(&q->assume_yes, value);
	case K_JUST:
		return set_yes(&q->just_evaluate, value);
	default:
		return -EBADMSG;
	}
}

static int parse_line(struct pd_request *q, struct rd line, unsigned *seen)
{
	_cleanup_free_ char *s = rd_dup(&line, PD_REQUEST_MAX);
	char *eq = s ? strchr(s, '=') : NULL;
	int k = 0;

	if (!eq)
		return -EBADMSG;
	*eq = '\0';
	while (k < K_N && !streq(s, keys[k]))
		k++;
	if (k == K_N || *seen & 1u << k)
		return -EBADMSG;
	*seen |= 1u << k;
	return set_key(q, k, eq + 1) < 0 ? -EBADMSG : 0;
}

int pd_request_parse(struct pd_request *ret, struct rd r)
{
	const unsigned need = 1u << K_SOURCE | 1u << K_TARGET | 1u << K_SERVICE;
	struct pd_request q = { 0 };
	unsigned seen = 0;
	int k = 0;

	while (k == 0 && rd_left(&r)) {
		struct rd line = rd_until(&r, '\n');

		if (!rd_ok(&r)) {
			pd_request_fini(&q);
			return 0; /* the line is not complete yet */
		}
		if (rd_left(&line)) {
			k = parse_line(&q, line, &seen);
		} else if ((seen & need) == need) {
			*ret = q;
			return 1;
		} else {
			k = -EBADMSG;
		}
	}
	pd_request_fini(&q);
	return k;
}

int pd_eval_parse(struct pd_request *ret, char *caller, size_t cap, struct rd r)
{
	struct rd head = rd_until(&r, 0), service, who;
	struct pd_request q = { 0 };
	_cleanup_free_ char *svc = NULL;
	char name[64];
	size_t total = rd_left(&r);

	/* policy.EvalX+SVC[+ARG] CALLER[ name|keyword TARGET] */
	(void)rd_until(&head, '+');
	service = rd_until(&head, ' ');
	who = head;
	if (!rd_ok(&head) || total > 96)
		return -EBADMSG;
	svc = rd_dup(&service, PD_REQUEST_MAX);
	if (memchr(who.p, ' ', rd_left(&who)))
		who = rd_until(&who, ' ');
	rd_text(&who, caller, cap);
	who = rd_until(&r, 0);
	rd_text(&who, q.source, 32);
	rd_text(&r, name, sizeof name);
	if (!svc || !rd_ok(&who) || !rd_done(&r) || !q.source[0] || !name[0] || !caller[0] || !str_chars(q.source, "@_.-") ||
	    !str_chars(name, "@_.-") || set_service(&q, svc) < 0)
		return -EBADMSG;
	(void)!str_copy(q.target, sizeof q.target, name);
	*ret = q;
	return 0;
}
