/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Decisions and the decision log: one JSON object a line. */
#include <limits.h>
#include <time.h>

#include "base/str.h"
#include "daemon/policyd/prompt.h"

void pd_decide(struct pd *pd, struct pol_decision *ret, const struct pol_sysinfo *si, const struct pol_query *q)
{
	const struct policy *p = pd_files_current(&pd->files);

	if (!p || !si) {
		*ret = (struct pol_decision){ 0 };
		pol_decision_deny(ret, si ? "the policy has an error" : "no table of qubes yet");
		return;
	}
	pol_evaluate(ret, p, si, q);
}

void pd_assume_yes(struct pd *pd, struct pol_decision *d, const struct pol_sysinfo *si, const struct pol_query *q)
{
	char answer[POL_TEXT_MAX] = "";
	const struct pol_qube *source;

	if (d->outcome != POL_O_ASK)
		return;
	source = pol_sysinfo_find(si, d->policy_source ? d->policy_source : q->source);
	if (d->rule->redirect.text)
		(void)!str_copy(answer, sizeof answer, d->choices[0]);
	else if (streq(d->requested_target, "@adminvm"))
		(void)!str_copy(answer, sizeof answer, "dom0");
	else if (streq(d->requested_target, "@default"))
		(void)!str_copy(answer, sizeof answer, d->default_target);
	else if (streq(d->requested_target, "@dispvm") && source && source->default_dispvm)
		(void)!str_printf(answer, sizeof answer, "@dispvm:%s", source->default_dispvm);
	else
		(void)!str_copy(answer, sizeof answer, d->requested_target);
	pol_decision_fini(d);
	pol_evaluate_answer(d, pd->files.policy, si, q, answer);
}

void pd_rule_text(char *out, size_t cap, const struct pol_decision *d)
{
	out[0] = '\0';
	if (!d->rule || !d->rule->file)
		return;
	if (str_printf(out, cap, "%s:%u", d->rule->file, d->rule->line) < 0) {
		const char *base = strrchr(d->rule->file, '/');

		(void)!str_printf(out, cap, "%s:%u", base ? base + 1 : "?", d->rule->line);
	}
}

void pd_json_value(struct wr *w, const char *value)
{
	wr_u8(w, '"');
	while (*value) {
		size_t n = 0;

		/* mostly all of it */
		while (value[n] >= 0x20 && value[n] < 0x7f && value[n] != '"' && value[n] != '\\')
			n++;
		wr_bytes(w, value, n);
		value += n;
		if (!*value)
			break;
		if (*value == '"' || *value == '\\')
			wr_printf(w, "\\%c", *value);
		else
			wr_printf(w, "\\u%04x", (unsigned char)*value);
		value++;
	}
	wr_u8(w, '"');
}

void pd_json_str(struct wr *w, const char *key, const char *value)
{
	wr_str(w, w->len > 1 ? ",\"" : "\"");
	wr_str(w, key);
	wr_str(w, "\":");
	pd_json_value(w, value);
}

/* The date is made once a second: it costs more than the rest of the line. */
static void time_stamp(char out[40])
{
	static char seconds[32];
	static time_t last = -1;
	struct timespec ts;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (ts.tv_sec != last && gmtime_r(&ts.tv_sec, &tm) && strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &tm))
		last = ts.tv_sec;
	(void)!str_printf(out, 40, "%s.%06ldZ", seconds, ts.tv_nsec / 1000);
}

void pd_log(struct pd *pd, const struct pol_query *q, const struct pol_decision *d, unsigned suppressed)
{
	_cleanup_wr_ struct wr w = wr_grow(1u << 17);
	char stamp[40], rule[PATH_MAX];

	time_stamp(stamp);
	pd_rule_text(rule, sizeof rule, d);
	wr_str(&w, "{");
	pd_json_str(&w, "time", stamp);
	pd_json_str(&w, "source", q->source);
	if (d->policy_source)
		pd_json_str(&w, "requested_source", d->policy_source);
	pd_json_str(&w, "target", q->target);
	pd_json_str(&w, "service", q->service);
	pd_json_str(&w, "argument", d->target_qube && d->target_qube->unlogged ? "+" : q->argument);
	pd_json_str(&w, "decision", d->outcome == POL_O_ALLOW ? "allow" : "deny");
	pd_json_str(&w, "rule", rule);
	if (d->rule)
		pd_json_str(&w, "action", pol_action_name(d->rule->action));
	pd_json_str(&w, "effective_target", d->outcome == POL_O_ALLOW ? d->target : "");
	pd_json_str(&w, "user", d->outcome != POL_O_ALLOW ? "" : d->user && d->user[0] ? d->user : "DEFAULT");
	if (d->outcome != POL_O_ALLOW)
		pd_json_str(&w, "reason", streq(d->reason, "the policy has an error") ? pd->files.error : d->reason);
	if (suppressed)
		wr_printf(&w, ",\"not_logged\":%u", suppressed);
	wr_str(&w, "}\n");
	if (wr_ok(&w))
		pd_log_write(pd, w.buf, w.len);
}
