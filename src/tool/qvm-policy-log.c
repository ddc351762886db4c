/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-policy log: decisions that were made, from the decision log and what was moved aside before it. */
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>

#include "base/paths.h"
#include "base/rd.h"
#include "policyfile/declog.h"
#include "tool/qvm-policy.h"

struct rule_use {
	char *rule, *decision;
	uint64_t n, first, last;
};

struct show {
	struct pq *p;
	const char *source, *target, *service;
	bool denied, follow, by_rule;
	uint64_t since;	 /* microseconds since 1970 */
	size_t last;	 /* -n: 0 = all */
	char **kept;	 /* -n: the last lines, a ring */
	size_t n_kept;
	struct rule_use *uses;
	size_t n_uses;
	struct json j;
	size_t bad;
};

/* Text of a time in the user's zone. */
static void stamp(char *out, size_t cap, uint64_t us)
{
	time_t t = (time_t)(us / 1000000);
	struct tm tm;

	if (!localtime_r(&t, &tm) || strftime(out, cap, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		out[0] = '\0';
}

static bool ago(const char *s, uint64_t *ret)
{
	static const struct {
		char unit;
		uint64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 7 * 86400 } };
	size_t n = strspn(s, "0123456789");
	uint64_t v, now = (uint64_t)time(NULL);
	char number[12];

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (n == 0 || s[n] != units[i].unit || s[n + 1])
			continue;
		if (str_printf(number, sizeof number, "%.*s", (int)MIN(n, (size_t)10), s) < 0 || str_u64(number, 1000000000, &v) < 0)
			return false;
		v *= units[i].seconds;
		*ret = v < now ? (now - v) * 1000000 : 0;
		return true;
	}
	return false;
}

/* A date of the user's zone, or a time of the log (UTC, ends in Z). */
static bool since_when(const char *s, uint64_t *ret)
{
	static const char *const forms[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d" };
	time_t now = time(NULL);
	struct tm tm;

	if (ago(s, ret) || declog_time(s, ret) == 0)
		return true;
	if (streq(s, "today") && localtime_r(&now, &tm)) {
		tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
		*ret = (uint64_t)mktime(&tm) * 1000000;
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		const char *end;
		time_t t;

		tm = (struct tm){ .tm_isdst = -1 };
		end = strptime(s, forms[i], &tm);
		if (!end || *end)
			continue;
		t = mktime(&tm);
		*ret = t < 0 ? 0 : (uint64_t)t * 1000000;
		return true;
	}
	return false;
}

static bool wanted(const struct show *x, const struct declog_entry *e)
{
	size_t n = x->service ? strcspn(x->service, "+") : 0;

	if (e->time_us < x->since || (x->denied && streq(e->field[DL_DECISION], "allow")))
		return false;
	if (x->source && !streq(e->field[DL_SOURCE], x->source) && !streq(e->field[DL_REQUESTED_SOURCE], x->source))
		return false;
	if (x->target && !streq(e->field[DL_TARGET], x->target) && !streq(e->field[DL_EFFECTIVE_TARGET], x->target))
		return false;
	if (x->service && (strlen(e->field[DL_SERVICE]) != n || strncmp(e->field[DL_SERVICE], x->service, n) != 0))
		return false;
	return !x->service || !x->service[n] || streq(e->field[DL_ARGUMENT], x->service + n);
}

static void count_rule(struct show *x, const struct declog_entry *e)
{
	const char *rule = e->field[DL_RULE][0] ? e->field[DL_RULE] : e->field[DL_REASON];
	size_t i = 0;

	while (i < x->n_uses && !(streq(x->uses[i].rule, rule) && streq(x->uses[i].decision, e->field[DL_DECISION])))
		i++;
	if (i == x->n_uses) {
		x->uses = xreallocarray(x->uses, x->n_uses + 1, sizeof(*x->uses));
		x->uses[x->n_uses++] = (struct rule_use){ xstrdup(rule), xstrdup(e->field[DL_DECISION]), 0, e->time_us, 0 };
	}
	x->uses[i].n += 1 + e->not_logged;
	x->uses[i].last = e->time_us;
}

static void print_entry(const struct show *x, const struct declog_entry *e)
{
	const struct pq *p = x->p;
	char when[32];

	stamp(when, sizeof when, e->time_us);
	printf("%s  ", when);
	pq_word(p, e->field[DL_DECISION]);
	printf("%*s ", (int)(5 - MIN(strlen(e->field[DL_DECISION]), (size_t)5)), "");
	pq_name(p, e->field[DL_SOURCE]);
	printf(" → ");
	pq_name(p, e->field[DL_TARGET][0] ? e->field[DL_TARGET] : "@default");
	if (e->field[DL_EFFECTIVE_TARGET][0] && !streq(e->field[DL_EFFECTIVE_TARGET], e->field[DL_TARGET])) {
		printf(" (");
		pq_name(p, e->field[DL_EFFECTIVE_TARGET]);
		printf(")");
	}
	printf("  ");
	out_text(p->t, e->field[DL_SERVICE]);
	out_text(p->t, streq(e->field[DL_ARGUMENT], "+") ? "" : e->field[DL_ARGUMENT]);
	printf("  ");
	if (e->field[DL_RULE][0])
		out_text(p->t, pq_short(p, e->field[DL_RULE]));
	if (streq(e->field[DL_ACTION], "ask") && streq(e->field[DL_DECISION], "allow"))
		printf(" (the user agreed)");
	if (e->field[DL_REASON][0] && !streq(e->field[DL_REASON], "denied by the rule")) {
		printf("%s", e->field[DL_RULE][0] ? ": " : "");
		out_text(p->t, e->field[DL_REASON]);
	}
	if (e->not_logged)
		printf("  (and %llu refusals before it)", (unsigned long long)e->not_logged);
	(void)putchar('\n');
}

static void json_entry(struct show *x, const struct declog_entry *e)
{
	json_open(&x->j, NULL, '{');
	for (size_t i = 0; i < DL_N; i++)
		json_str(&x->j, declog_name((enum declog_field)i), e->field[i]);
	json_int(&x->j, "not_logged", (int64_t)e->not_logged);
	json_close(&x->j, '}');
}

static void emit(struct show *x, const char *line, size_t n)
{
	struct declog_entry e;

	if (declog_parse(&e, line, n, NULL) < 0)
		return;
	if (!x->p->json)
		print_entry(x, &e);
	else if (x->follow)
		printf("%.*s\n", (int)n, line);
	else
		json_entry(x, &e);
	declog_fini(&e);
}

static void on_line(struct show *x, const char *line, size_t n)
{
	struct declog_entry e;

	if (n == 0)
		return;
	if (declog_parse(&e, line, n, NULL) < 0) {
		x->bad++;
		return;
	}
	if (wanted(x, &e)) {
		if (x->by_rule) {
			count_rule(x, &e);
		} else if (x->last) {
			free(x->kept[x->n_kept % x->last]);
			x->kept[x->n_kept++ % x->last] = xstrndup(line, n);
		} else {
			emit(x, line, n);
		}
	}
	declog_fini(&e);
}

/* Feeds the whole lines of f from *at on; what is behind the last newline waits. */
static int feed(struct show *x, int fd, off_t *at)
{
	_cleanup_wr_ struct wr w = wr_grow(2 * DECLOG_LINE_MAX);
	uint8_t buf[65536];
	ssize_t n;

	while ((n = pread(fd, buf, sizeof buf, *at + (off_t)w.len)) > 0) {
		const uint8_t *start, *end;

		wr_bytes(&w, buf, (size_t)n);
		/* A line beyond any limit is no line of the log. */
		if (!wr_ok(&w)) {
			*at += (off_t)w.len + n;
			wr_reset(&w);
			x->bad++;
			continue;
		}
		start = w.buf;
		while ((end = memchr(start, '\n', (size_t)(w.buf + w.len - start)))) {
			on_line(x, (const char *)start, (size_t)(end - start));
			start = end + 1;
		}
		*at += start - w.buf;
		wr_consume(&w, (size_t)(start - w.buf));
	}
	return n < 0 ? -errno : 0;
}

static void flush_kept(struct show *x)
{
	size_t n = MIN(x->n_kept, x->last);

	for (size_t i = x->n_kept - n; i < x->n_kept; i++) {
		char *line = x->kept[i % x->last];

		emit(x, line, strlen(line));
	}
	for (size_t i = 0; x->kept && i < x->last; i++)
		free(x->kept[i]);
	free(x->kept);
	x->kept = NULL;
	x->last = 0;
}

static int use_cmp(const void *a, const void *b)
{
	const struct rule_use *x = a, *y = b;

	return x->n != y->n ? (x->n < y->n ? 1 : -1) : strcmp(x->rule, y->rule);
}

static void print_uses(struct show *x)
{
	_cleanup_(table_freep) struct table *tb = table_new(5);
	static const char *const heads[] = { "COUNT", "DECISION", "SINCE", "LAST", "RULE" };

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
		table_add(tb, heads[i]);
	table_right(tb, 0);
	if (x->n_uses)
		qsort(x->uses, x->n_uses, sizeof(*x->uses), use_cmp);
	for (size_t i = 0; i < x->n_uses; i++) {
		struct rule_use *u = &x->uses[i];
		char first[32], last[32];

		stamp(first, sizeof first, u->first);
		stamp(last, sizeof last, u->last);
		if (x->p->json) {
			json_open(&x->j, NULL, '{');
			json_str(&x->j, "rule", u->rule);
			json_str(&x->j, "decision", u->decision);
			json_int(&x->j, "count", (int64_t)u->n);
			json_int(&x->j, "since", (int64_t)(u->first / 1000000));
			json_int(&x->j, "last", (int64_t)(u->last / 1000000));
			json_close(&x->j, '}');
		}
		table_addf(tb, "%llu", (unsigned long long)u->n);
		table_add(tb, u->decision);
		table_add(tb, first);
		table_add(tb, last);
		table_add(tb, pq_short(x->p, u->rule));
		free(u->rule);
		free(u->decision);
	}
	free(x->uses);
	if (!x->p->json)
		table_print(tb, x->p->t, true);
}

/* Goes on until interrupted. A log that became shorter was moved aside: it is read from its start. */
static int follow(struct show *x, const char *path, int fd, off_t at)
{
	_cleanup_fd_ int in = inotify_init1(IN_CLOEXEC);
	int r = 0;

	if (in < 0 || inotify_add_watch(in, path, IN_MODIFY) < 0)
		return tool_fail(x->p->t, "watching '%s': %s", path, strerror(errno));
	while (r == 0) {
		char buf[4096];
		struct stat st;

		if (fstat(fd, &st) == 0 && st.st_size < at)
			at = 0;
		r = feed(x, fd, &at);
		if (fflush(stdout) != 0)
			return EXIT_FAIL;
		if (r == 0 && read(in, buf, sizeof buf) < 0 && errno != EINTR)
			r = -errno;
	}
	return tool_fail(x->p->t, "reading '%s': %s", path, strerror(-r));
}

static int options(struct show *x)
{
	const struct tool *t = x->p->t;
	const char *since = opt_str(t, KEY_SINCE), *lines = opt_str(t, 'n');
	uint64_t n = 0;

	if (since && !since_when(since, &x->since))
		return tool_usage(t, "'%s' is no time: 30m, 2h, 3d, today, 2026-01-31 and 2026-01-31T08:00 are", since);
	if (lines && (str_u64(lines, 1000000, &n) < 0 || n == 0))
		return tool_usage(t, "--lines wants a number from 1 to 1000000");
	if (x->by_rule && (x->follow || n))
		return tool_usage(t, "--by-rule is about the whole log: it takes neither --follow nor --lines");
	x->last = (size_t)n;
	x->kept = n ? xcalloc((size_t)n, sizeof(*x->kept)) : NULL;
	return 0;
}

/* Colours are worth no error: without a daemon there are none. */
static void colours(struct pq *p)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };

	if (!p->t->colour)
		return;
	if (opt_str(p->t, KEY_SYSTEM_INFO) || adm_internal(&rep, "dom0", "internal.GetSystemInfo", NULL, NULL, &(struct err){ 0 }) >= 0)
		(void)pq_table(p);
}

int pq_log(struct pq *p, int argc, char **argv)
{
	const struct tool *t = p->t;
	const char *file = opt_str(t, KEY_LOG_FILE), *path = file ? file : path_get(PATH_POLICY_LOG);
	struct show x = { .p = p, .source = opt_str(t, KEY_SOURCE), .target = opt_str(t, KEY_TARGET), .service = opt_str(t, KEY_PSERVICE),
			  .denied = opt_has(t, KEY_DENIED), .follow = opt_has(t, KEY_FOLLOW), .by_rule = opt_has(t, KEY_BY_RULE) };
	_cleanup_fd_ int old = file ? -1 : open(path_get(PATH_POLICY_LOG_OLD), O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool array = p->json && !x.follow;
	off_t at = 0;
	int r = options(&x);

	(void)argc;
	(void)argv;
	if (r == 0 && fd < 0)
		r = tool_fail(t, "'%s': %s", path, errno == ENOENT ? "no decision was made yet, or policyd never ran here" : strerror(errno));
	if (r != 0) {
		free(x.kept);
		return r;
	}
	colours(p);
	if (array)
		json_open(&x.j, NULL, '[');
	if (old >= 0)
		r = feed(&x, old, &at);
	at = 0;
	if (r == 0)
		r = feed(&x, fd, &at);
	flush_kept(&x);
	if (x.by_rule)
		print_uses(&x);
	if (array)
		json_close(&x.j, ']');
	if (x.bad)
		tool_note(t, "%zu lines were not understood and left out", x.bad);
	if (r < 0)
		return tool_fail(t, "reading '%s': %s", path, strerror(-r));
	return x.follow ? follow(&x, path, fd, at) : 0;
}
