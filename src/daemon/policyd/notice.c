/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Notices to the prompt agent (policy.Notify). Nobody waits for them, and a flood of refusals does not become a flood of notices. */
#include <libgen.h>
#include <sys/inotify.h>

#include "base/str.h"
#include "daemon/policyd/prompt.h"
#include "proto/ipc.h"

#define NOTICES_MAX 8	/* under way */
#define NOTICE_MS 5000	/* an agent that does not take one */
#define BURST 20	/* in SECONDS, all qubes together */
#define SECONDS 10

static struct {
	unsigned n; /* under way */
	struct log_rate rate;
	char told[ERR_MSG_MAX]; /* the fault that the agent was told last; "" = the policy is whole */
	char sending[ERR_MSG_MAX];
	bool policy_busy;
	int watch_fd;
} st = { .watch_fd = -1 };

static void tell_core(struct pd *pd, const char *resolution, const struct pol_query *q, const char *text)
{
	struct ipc_pd_notify m = { 0 };
	_cleanup_wr_ struct wr w = wr_grow(MSG_PAYLOAD_MAX);

	if (pd->core_fd < 0)
		return;
	/* A text that does not fit is left out: a notification is only a notification. */
	(void)!str_copy(m.resolution, sizeof m.resolution, resolution);
	(void)!str_copy(m.source, sizeof m.source, q->source);
	(void)!str_copy(m.target, sizeof m.target, q->target);
	(void)!str_printf(m.service, sizeof m.service, "%s%s", q->service, q->argument);
	(void)!str_copy(m.text, sizeof m.text, text);
	ipc_put_pd_notify(&w, &m);
	(void)pd_core_send(pd, IPC_PD_NOTIFY, &w);
}

static struct wr notice_json(const char *resolution, const struct pol_query *q, const char *text)
{
	struct wr w = wr_grow(1u << 18);

	wr_str(&w, "{");
	pd_json_str(&w, "resolution", resolution);
	pd_json_str(&w, "service", q->service);
	pd_json_str(&w, "argument", q->argument);
	pd_json_str(&w, "source", q->source);
	pd_json_str(&w, "target", q->target);
	if (text)
		pd_json_str(&w, "text", text);
	wr_str(&w, "}");
	return w;
}

static void on_done(void *arg, int r, const char *answer)
{
	st.n--;
}

static void to_agent(struct pd *pd, const char *guivm, struct wr body)
{
	struct pd_call *c;

	if (st.n >= NOTICES_MAX)
		wr_free(&body);
	else if (pd_call_start(&c, pd, guivm, "policy.Notify", &body, NOTICE_MS, on_done, NULL) == 0)
		st.n++;
}

void pd_notice(struct pd *pd, const char *resolution, const struct pol_query *q, const struct pol_decision *d)
{
	const char *guivm, *why;

	tell_core(pd, resolution, q, d->reason);
	/* Where the qube's windows are; what cannot be told there is told in dom0. Reasons quote the policy, which is dom0's affair. */
	(void)pd_guivm(pd, pd->si, q, d->policy_source, &guivm, &why);
	if (why)
		guivm = NULL;
	if (log_rate_ok(&st.rate, BURST, SECONDS))
		to_agent(pd, guivm, notice_json(resolution, q, pd->core_fd >= 0 && !guivm && d->reason[0] ? d->reason : NULL));
}

void pd_notice_text(struct pd *pd, const char *source, const char *text)
{
	const struct pol_query about = { .service = "", .argument = "", .source = source, .target = "" };

	if (log_rate_ok(&st.rate, BURST, SECONDS))
		to_agent(pd, NULL, notice_json("info", &about, text));
}

static void on_policy_told(void *arg, int r, const char *answer)
{
	struct pd *pd = arg;

	st.policy_busy = false;
	if (r == 0)
		memcpy(st.told, st.sending, sizeof st.told);
	/* It may have changed meanwhile; what could not be told is told when an agent starts or a file changes. */
	if (r == 0)
		pd_notice_policy(pd);
}

void pd_notice_policy(struct pd *pd)
{
	static const struct pol_query none = { .service = "", .argument = "", .source = "", .target = "" };
	const char *fault = pd->files.policy ? "" : pd->files.error;
	struct pd_call *c;
	struct wr body;

	if (pd->core_fd < 0 || st.policy_busy || streq(fault, st.told))
		return;
	(void)!str_copy(st.sending, sizeof st.sending, fault);
	body = notice_json(fault[0] ? "fail" : "fixed", &none, fault[0] ? fault : "the policy is whole again");
	st.policy_busy = pd_call_start(&c, pd, NULL, "policy.Notify", &body, NOTICE_MS, on_policy_told, pd) == 0;
}

static void on_agent_dir(struct ev_io *io, int fd, int events, void *arg)
{
	char buf[4096];

	while (read(fd, buf, sizeof buf) > 0)
		;
	/* A new agent knows nothing. */
	st.told[0] = '\0';
	pd_notice_policy(arg);
}

int pd_notice_init(struct pd *pd, struct err *e)
{
	_cleanup_free_ char *path = xstrdup(pd->agent_socket);

	st.watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (st.watch_fd < 0)
		return err_errno(e, errno, "inotify");
	/* Without the directory there is no agent either. */
	if (inotify_add_watch(st.watch_fd, dirname(path), IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0)
		log_debug("no directory for the prompt's socket");
	if (!ev_io_new(pd->loop, st.watch_fd, EV_READ, on_agent_dir, pd))
		return err_set(e, EINVAL, "cannot watch for the prompt");
	pd_notice_policy(pd);
	return 0;
}
