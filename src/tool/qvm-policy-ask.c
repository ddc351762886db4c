/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-policy-ask: the prompt for machines without a display. Serves the same socket as the window does, shows one question at a time, and
 * takes an answer only from keys that were pressed after the question was on the screen for a second.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <termios.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/paths.h"
#include "base/sandbox.h"
#include "prompt/prompt.h"
#include "tool/tool.h"

#define LINE_MAX_IN 64
#define NOTICES_KEPT 20
#define READ_SECONDS 10 /* for policyd to finish a request */

enum { KEY_ONCE = 300 };

static const struct tool_opt opts[] = {
	{ 's', "socket", "PATH", "listen here instead of the instance's prompt socket", 0, W_FILE },
	{ KEY_ONCE, "once", NULL, "end after one question", 0, W_ANY },
	{ 0 },
};

/* A connection of policyd: being read, or a question that waits. */
struct item {
	struct item *next;
	struct pr_conn conn;
	struct pr_question q;
	bool whole;
	uint64_t since_us;
};

enum step { STEP_GUARD, STEP_NUMBER, STEP_YES };

static struct {
	struct tool *t;
	int listener, signals;
	struct item *items; /* in the order of arrival */
	size_t n_items;
	struct item *shown;
	enum step step;
	uint64_t guard_until_us;
	size_t choice;
	char line[LINE_MAX_IN];
	size_t line_len;
	bool line_bad, done;
	char *notices[NOTICES_KEPT];
	size_t n_notices;
} st;

static void say(const char *text)
{
	/* A terminal that is gone ends the program at its next read. */
	(void)!write_full(STDOUT_FILENO, text, strlen(text));
}

static void item_drop(struct item *x)
{
	struct item **p = &st.items;

	while (*p != x)
		p = &(*p)->next;
	*p = x->next;
	st.n_items--;
	if (st.shown == x)
		st.shown = NULL;
	pr_close(&x->conn);
	pr_question_fini(&x->q);
	free(x);
}

static void answer(const char *target)
{
	struct item *x = st.shown;

	pr_answer(&x->conn, target);
	item_drop(x);
	if (opt_has(st.t, KEY_ONCE))
		st.done = true;
}

static void flush_notices(void)
{
	for (size_t i = 0; i < st.n_notices; i++) {
		say(st.notices[i]);
		free(st.notices[i]);
	}
	st.n_notices = 0;
}

static void put_swatch(struct wr *w, uint32_t c)
{
	if (st.t->colour && c != PR_NO_COLOUR)
		wr_printf(w, "\033[48;2;%u;%u;%um  \033[0m ", c >> 16 & 0xff, c >> 8 & 0xff, c & 0xff);
}

static void show_question(struct item *x)
{
	const struct pr_question *q = &x->q;
	_cleanup_wr_ struct wr w = wr_grow(4u << 20);
	char a[2 * PR_SHOW_MAX], b[PR_SHOW_MAX];
	_cleanup_free_ char *text = NULL;
	size_t n;

	wr_str(&w, "\a\n");
	put_swatch(&w, q->colour);
	wr_printf(&w, "Qube %s wants to %s another qube.\n", pr_show(b, q->source), pr_verb(a, q->service));
	wr_printf(&w, "  service   %s\n", pr_show(b, q->service));
	if (q->argument[1])
		wr_printf(&w, "  argument  %s\n", pr_show(b, q->argument + 1));
	for (size_t i = 0; i < q->n_targets; i++) {
		wr_printf(&w, "  %3zu  ", i + 1);
		put_swatch(&w, q->targets[i].colour);
		wr_printf(&w, "%s%s\n", pr_target_words(a, q->targets[i].name), i == q->preselected ? "  (suggested)" : "");
	}
	text = wr_take(&w, &n);
	if (!text) {
		answer(NULL); /* not everything could be shown, so nothing is answered */
		return;
	}
	st.shown = x;
	st.step = STEP_GUARD;
	st.line_len = 0;
	st.line_bad = false;
	say(text);
	/* What was typed before this moment was not an answer to it. */
	tcflush(STDIN_FILENO, TCIFLUSH);
	st.guard_until_us = now_us() + PR_GUARD_MS * 1000ull;
}

static void guard_over(void)
{
	tcflush(STDIN_FILENO, TCIFLUSH);
	st.step = STEP_NUMBER;
	say("Number of the qube, or n to refuse: ");
}

static bool can_always(void)
{
	char rule[1024];

	return pr_always_rule(rule, sizeof rule, &st.shown->q, st.shown->q.targets[st.choice].name) == 0;
}

static void on_number(const char *line)
{
	const struct pr_question *q = &st.shown->q;
	char a[2 * PR_SHOW_MAX], v[2 * PR_SHOW_MAX], b[PR_SHOW_MAX];
	_cleanup_free_ char *text = NULL;
	uint64_t n = 0;

	if (streq(line, "n") || streq(line, "no")) {
		say("Refused.\n");
		answer(NULL);
		return;
	}
	if (str_u64(line, q->n_targets, &n) < 0 || n == 0) {
		say("That is not one of the numbers. Number of the qube, or n to refuse: ");
		return;
	}
	st.choice = (size_t)n - 1;
	st.step = STEP_YES;
	text = xasprintf("Let %s %s %s? Type yes%s; anything else refuses: ", pr_show(b, q->source), pr_verb(v, q->service),
			 pr_target_words(a, q->targets[st.choice].name), can_always() ? ", or always for a rule" : "");
	say(text);
}

static void on_yes(const char *line)
{
	const struct pr_question *q = &st.shown->q;
	const char *target = q->targets[st.choice].name;
	struct err e = { 0 };

	if (streq(line, "always") && can_always()) {
		_cleanup_free_ char *text = NULL;

		if (pr_always_add(q, target, &e) < 0)
			text = xasprintf("Allowed once: the rule could not be written: %s\n", e.msg);
		else
			text = xasprintf("Allowed from now on, by a rule in %s.\n", pr_always_path());
		say(text);
		answer(target);
	} else if (streq(line, "yes")) {
		say("Allowed.\n");
		answer(target);
	} else {
		say("Refused.\n");
		answer(NULL);
	}
}

static void on_line(void)
{
	const char *line = st.line_bad ? "?" : st.line;

	st.line[st.line_len] = '\0';
	st.line_len = 0;
	st.line_bad = false;
	if (st.shown && st.step == STEP_NUMBER)
		on_number(line);
	else if (st.shown && st.step == STEP_YES)
		on_yes(line);
}

static void on_terminal(void)
{
	char buf[256];
	ssize_t n = read(STDIN_FILENO, buf, sizeof buf);
	const struct item *before = st.shown;

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		st.done = true;
	/* Bytes behind the line that answers a question are no answer to the next one. */
	for (ssize_t i = 0; i < n && st.shown == before; i++) {
		if (!st.shown || st.step == STEP_GUARD)
			continue;
		if (buf[i] == '\n')
			on_line();
		else if (st.line_len + 1 < sizeof st.line && buf[i])
			st.line[st.line_len++] = buf[i];
		else
			st.line_bad = true;
	}
}

static void on_notice(struct rd json)
{
	struct pr_notice n;
	char text[1024];

	if (pr_notice_parse(&n, json) < 0)
		return;
	pr_notice_words(text, sizeof text, &n);
	pr_notice_fini(&n);
	if (st.n_notices < NOTICES_KEPT)
		st.notices[st.n_notices++] = xasprintf("\n%s\n", text);
}

static size_t waiting_of(const char *source)
{
	size_t n = 0;

	for (const struct item *x = st.items; x; x = x->next)
		n += x->whole && streq(x->q.source, source);
	return n;
}

static void on_conn(struct item *x)
{
	enum pr_kind kind;
	struct rd json;
	int r = pr_read(&x->conn);

	if (r == 0)
		return;
	if (r < 0 || pr_request(&json, &kind, &x->conn) < 0) {
		item_drop(x);
	} else if (kind == PR_NOTIFY) {
		on_notice(json);
		item_drop(x);
	} else if (pr_question_parse(&x->q, json) < 0 || waiting_of(x->q.source) >= PR_SOURCE_MAX) {
		pr_answer(&x->conn, NULL);
		item_drop(x);
	} else {
		x->whole = true;
	}
}

static void on_new(void)
{
	for (;;) {
		struct pr_conn c;
		struct item *x, **p = &st.items;

		if (pr_accept(&c, st.listener) < 0)
			return;
		if (st.n_items == PR_CONNS_MAX) {
			pr_close(&c);
			continue;
		}
		x = xcalloc(1, sizeof *x);
		x->conn = c;
		x->since_us = now_us();
		while (*p)
			p = &(*p)->next;
		*p = x;
		st.n_items++;
	}
}

/* Withdrawn questions and half-sent requests go. */
static void sweep(const struct pollfd *pfd, struct item *const *who, size_t n)
{
	uint64_t now = now_us();

	for (size_t i = 0; i < n; i++) {
		struct item *x = who[i];

		if (!x->whole && pfd[i].revents)
			on_conn(x);
		else if (x->whole && pfd[i].revents & (POLLHUP | POLLERR)) {
			if (x == st.shown)
				say("\nThe question was taken back.\n");
			item_drop(x);
		} else if (!x->whole && now - x->since_us > READ_SECONDS * 1000000ull) {
			item_drop(x);
		}
	}
}

static void show_next(void)
{
	struct item *x = st.items;

	while (x && !x->whole)
		x = x->next;
	if (st.shown)
		return;
	flush_notices();
	if (x && !st.done)
		show_question(x);
}

static int wait_ms(void)
{
	uint64_t now = now_us();

	if (st.shown && st.step == STEP_GUARD)
		return now >= st.guard_until_us ? 0 : (int)((st.guard_until_us - now) / 1000 + 1);
	return st.n_items ? 1000 : -1;
}

static int serve(void)
{
	while (!st.done) {
		struct pollfd pfd[3 + PR_CONNS_MAX] = { { .fd = st.signals, .events = POLLIN }, { .fd = st.listener, .events = POLLIN },
							{ .fd = STDIN_FILENO, .events = POLLIN } };
		struct item *who[PR_CONNS_MAX];
		size_t n = 0;

		for (struct item *x = st.items; x; x = x->next) {
			who[n] = x;
			pfd[3 + n++] = (struct pollfd){ .fd = x->conn.fd, .events = x->whole ? 0 : POLLIN };
		}
		if (poll(pfd, 3 + n, wait_ms()) < 0 && errno != EINTR)
			return -errno;
		if (st.shown && st.step == STEP_GUARD && now_us() >= st.guard_until_us)
			guard_over();
		else if (pfd[2].revents)
			on_terminal();
		/* Answers took one item away: a next round looks at the rest. */
		if (n == st.n_items)
			sweep(pfd + 3, who, n);
		if (pfd[1].revents)
			on_new();
		if (pfd[0].revents)
			st.done = true;
		show_next();
	}
	return 0;
}

static int confine(struct err *e)
{
	const struct sandbox_path paths[] = { { path_get(PATH_POLICY_ETC), true }, { pr_undo_path(), true }, { path_get(PATH_POLICY_RUN), false },
					      { path_get(PATH_POLICY_LEGACY), false }, { path_get(PATH_PROMPT), true } };

	return sandbox_enter(SB_PROMPT, paths, ARRAY_SIZE(paths), e);
}

static int signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int run(struct tool *t, int argc, char **argv)
{
	const char *path = opt_str(t, 's');
	struct err e = { 0 };
	int r = 0;

	st.t = t;
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return tool_fail(t, "this is a dialogue: start it in a terminal");
	if (!path)
		r = fs_mkdir_p(path_get(PATH_PROMPT), 0700, &e);
	st.signals = signals();
	if (st.signals < 0)
		return tool_fail(t, "signals: %s", strerror(errno));
	st.listener = r < 0 ? r : pr_listen(path ? path : path_get(PATH_PROMPT_SOCK), &e);
	if (st.listener < 0)
		return tool_fail(t, "%s", err_text(&e, st.listener));
	r = confine(&e);
	if (r < 0)
		return tool_fail(t, "%s", err_text(&e, r));
	say("Questions of the policy appear here. Ctrl-C ends; without a prompt every question is a refusal.\n");
	r = serve();
	say("\n");
	return r < 0 ? tool_fail(t, "%s", strerror(-r)) : 0;
}

const struct verb verb_qvm_policy_ask = {
	.name = "qvm-policy-ask",
	.summary = "answer the policy's questions in a terminal",
	.args = "",
	.desc = "Shows each call for which a rule says ask, and lets you choose the qube it\n"
		"goes to, or refuse. Type the number, then yes. Keys pressed before a question\n"
		"was on the screen for a second are dropped.",
	.opts = opts,
	.max_args = ARGS_NONE,
	.run = run,
};
