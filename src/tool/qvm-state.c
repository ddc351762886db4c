/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-state: saved states of machines, and disposables that wait to be used. */
#include <time.h>

#include "tool/kvlist.h"

#define KEY_LEN 32
#define TEXTS_MAX 24 /* facts of one state */

enum { KEY_ALL_STATES = 560 };

static const struct tool_opt opts[] = {
	{ KEY_ALL_STATES, "all", NULL, "list: kinds without a state too; drop: every state", 0, W_ANY },
	OPT_JSON,
	{ 0 },
};

static const struct tool_sub subs[] = {
	{ "list", "", "list the saved states" },
	{ "info", "KEY", "show what a state depends on; the first digits of the key are enough" },
	{ "build", "QUBE...", "build the state that the qube (or a disposable of it) starts from, and wait for it" },
	{ "drop", "KEY...", "forget states, or with --all every state; they are built again when they are wanted" },
	{ "pool", "", "list the disposables that wait to be used" },
	{ "preload", "QUBE NUMBER", "keep so many disposables of a disposable template ready; 0 ends it" },
	{ 0 },
};

/* One record of admin.state.List; the texts point into the answer. */
struct state {
	const char *key, *status, *qubes;
	uint64_t bytes, last_use, clones;
	bool memory, disk;
	const char *depends[TEXTS_MAX];
	size_t n_depends;
};

struct states {
	struct adm_reply rep;
	const char *total;
	struct state *v;
	size_t n;
};

static void states_fini(struct states *s)
{
	free(s->v);
	adm_reply_fini(&s->rep);
}

static void number(const char *text, uint64_t *ret)
{
	if (str_u64(text, UINT64_MAX, ret) < 0)
		*ret = 0;
}

static void take(struct state *s, const char *key, const char *value)
{
	if (streq(key, "status"))
		s->status = value;
	else if (streq(key, "qubes"))
		s->qubes = value;
	else if (streq(key, "bytes"))
		number(value, &s->bytes);
	else if (streq(key, "last_use"))
		number(value, &s->last_use);
	else if (streq(key, "clones"))
		number(value, &s->clones);
	else if (streq(key, "memory"))
		s->memory = streq(value, "1");
	else if (streq(key, "disk"))
		s->disk = streq(value, "1");
	else if (streq(key, "depends") && s->n_depends < TEXTS_MAX)
		s->depends[s->n_depends++] = value;
}

static int load(const struct tool *t, struct states *ret)
{
	struct err e = { 0 };
	char *text, *line;
	int r = adm_text(&ret->rep, "dom0", "admin.state.List", NULL, NULL, &e);

	if (r < 0)
		return tool_api(t, r, &e);
	text = ret->rep.data;
	while ((line = adm_line(&text))) {
		char *eq = strchr(line, '=');

		if (str_starts(line, "total ")) {
			ret->total = line + strlen("total ");
		} else if (str_starts(line, "state ")) {
			ret->v = xreallocarray(ret->v, ret->n + 1, sizeof *ret->v);
			ret->v[ret->n++] = (struct state){ .key = line + strlen("state "), .status = "", .qubes = "" };
		} else if (eq && ret->n) {
			*eq = '\0';
			take(&ret->v[ret->n - 1], line, eq + 1);
		}
	}
	return 0;
}

static void put_json(struct json *j, const struct state *s)
{
	json_open(j, NULL, '{');
	json_str(j, "key", s->key);
	json_str(j, "status", s->status);
	json_int(j, "bytes", (int64_t)s->bytes);
	json_bool(j, "memory", s->memory);
	json_bool(j, "disk", s->disk);
	json_int(j, "last_use", (int64_t)s->last_use);
	json_int(j, "clones", (int64_t)s->clones);
	json_str(j, "qubes", s->qubes);
	json_open(j, "depends", '[');
	for (size_t i = 0; i < s->n_depends; i++)
		json_str(j, NULL, s->depends[i]);
	json_close(j, ']');
	json_close(j, '}');
}

static const char *when(uint64_t seconds, char out[32])
{
	time_t at = (time_t)seconds;
	struct tm tm;

	if (!seconds || !localtime_r(&at, &tm) || !strftime(out, 32, "%Y-%m-%d %H:%M", &tm))
		return "";
	return out;
}

static bool shown(const struct tool *t, const struct state *s)
{
	return opt_has(t, KEY_ALL_STATES) || !streq(s->status, "absent");
}

static int list(struct tool *t)
{
	_cleanup_(table_freep) struct table *tb = table_new(6);
	_cleanup_(states_fini) struct states all = { 0 };
	struct json j = { 0 };
	int r = load(t, &all);

	if (r)
		return r;
	if (opt_has(t, KEY_JSON)) {
		json_open(&j, NULL, '[');
		for (size_t i = 0; i < all.n; i++)
			if (shown(t, &all.v[i]))
				put_json(&j, &all.v[i]);
		json_close(&j, ']');
		return 0;
	}
	table_add(tb, "KEY");
	table_add(tb, "STATUS");
	table_add(tb, "MIB");
	table_add(tb, "KEPT");
	table_add(tb, "CLONES");
	table_add(tb, "QUBES");
	for (size_t i = 0; i < all.n; i++) {
		const struct state *s = &all.v[i];
		char key[16], mib[24], clones[24];

		if (!shown(t, s))
			continue;
		if (str_printf(key, sizeof key, "%.8s", s->key) < 0 || str_printf(mib, sizeof mib, "%llu", (unsigned long long)(s->bytes >> 20)) < 0 ||
		    str_printf(clones, sizeof clones, "%llu", (unsigned long long)s->clones) < 0)
			return tool_fail(t, "malformed answer of qubesd");
		table_add(tb, key);
		table_add(tb, s->status);
		table_add(tb, s->bytes ? mib : "");
		table_add(tb, s->memory && s->disk ? "memory, disk" : s->memory ? "memory" : s->disk ? "disk" : "");
		table_add(tb, clones);
		table_add(tb, s->qubes);
	}
	table_print(tb, t, true);
	if (all.total)
		tool_info(t, "%s", all.total);
	return 0;
}

/* The one state whose key begins so. */
static int find(const struct tool *t, const struct states *all, const char *prefix, const struct state **ret)
{
	const struct state *found = NULL;

	for (size_t i = 0; i < all->n; i++)
		if (prefix[0] && str_starts(all->v[i].key, prefix)) {
			if (found)
				return tool_usage(t, "more than one key begins with '%s'", prefix);
			found = &all->v[i];
		}
	*ret = found;
	return found ? 0 : tool_fail(t, "no state has the key '%s'; 'qvm-state list --all' shows them", prefix);
}

static int info(struct tool *t, const char *prefix)
{
	_cleanup_(states_fini) struct states all = { 0 };
	const struct state *s;
	struct json j = { 0 };
	char text[32];
	int r = load(t, &all);

	if (r == 0)
		r = find(t, &all, prefix, &s);
	if (r)
		return r;
	if (opt_has(t, KEY_JSON)) {
		put_json(&j, s);
		return 0;
	}
	printf("key       %s\nstatus    %s\n", s->key, s->status);
	if (s->bytes)
		printf("size      %llu MiB\nkept      %s%s%s\nlast use  %s\n", (unsigned long long)(s->bytes >> 20), s->memory ? "in memory" : "",
		       s->memory && s->disk ? ", " : "", s->disk ? "on disk" : "", when(s->last_use, text));
	printf("clones    %llu\nqubes     %s\n", (unsigned long long)s->clones, s->qubes);
	for (size_t i = 0; i < s->n_depends; i++)
		printf("%s%s\n", i ? "          " : "depends   ", s->depends[i]);
	return 0;
}

static int build(struct tool *t, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		_cleanup_reply_ struct adm_reply rep = { 0 };
		struct err e = { 0 };
		int r;

		tool_info(t, "building the state of '%s'", argv[i]);
		r = adm_text(&rep, argv[i], "admin.vm.state.Build", NULL, NULL, &e);
		if (r < 0)
			return tool_api(t, r, &e);
		printf("%s\n", rep.data);
	}
	return 0;
}

static int drop(struct tool *t, int argc, char **argv)
{
	_cleanup_(states_fini) struct states all = { 0 };
	struct err e = { 0 };
	int r;

	if (opt_has(t, KEY_ALL_STATES)) {
		r = adm_void("dom0", "admin.state.Drop", NULL, NULL, &e);
		return r < 0 ? tool_api(t, r, &e) : 0;
	}
	r = load(t, &all);
	for (int i = 0; r == 0 && i < argc; i++) {
		const struct state *s;

		r = find(t, &all, argv[i], &s);
		if (r == 0 && adm_void("dom0", "admin.state.Drop", s->key, NULL, &e) < 0)
			r = tool_fail(t, "%s", e.msg);
	}
	return r;
}

/* --- disposables that wait ------------------------------------------------------------------------------------------- */

#define WORD_CAP 128

/* The value of KEY=VALUE in a line of such words, cut out of a copy. */
static const char *word(const char *line, const char *key, char out[WORD_CAP])
{
	size_t n = strlen(key);

	for (const char *p = strchr(line, ' '); p; p = strchr(p, ' ')) {
		p++;
		if (strncmp(p, key, n) == 0 && p[n] == '=')
			return str_printf(out, WORD_CAP, "%.*s", (int)strcspn(p + n + 1, " "), p + n + 1) < 0 ? "" : out;
	}
	return "";
}

static int64_t whole(const char *text)
{
	int64_t n;

	return str_i64(text, INT64_MIN, INT64_MAX, &n) < 0 ? 0 : n;
}

/* A line "pool NAME …" begins what belongs to one template, "preload NAME …" is one of its disposables. */
struct pool_line {
	bool head;
	char name[64];
	const char *words;
};

static bool pool_line(struct pool_line *ret, const char *line)
{
	ret->head = str_starts(line, "pool ");
	ret->words = line + (ret->head ? strlen("pool ") : strlen("preload "));
	return (ret->head || str_starts(line, "preload ")) &&
	       str_printf(ret->name, sizeof ret->name, "%.*s", (int)strcspn(ret->words, " "), ret->words) == 0;
}

static void pool_json(char *text)
{
	struct json j = { 0 };
	struct pool_line p;
	bool open = false;
	char *line, v[WORD_CAP];

	json_open(&j, NULL, '[');
	while ((line = adm_line(&text))) {
		if (!pool_line(&p, line))
			continue;
		if (p.head && open) {
			json_close(&j, ']');
			json_close(&j, '}');
		}
		json_open(&j, NULL, '{');
		json_str(&j, p.head ? "template" : "name", p.name);
		if (p.head) {
			json_int(&j, "max", whole(word(p.words, "max", v)));
			json_int(&j, "delay", whole(word(p.words, "delay", v)));
			json_open(&j, "preloaded", '[');
			open = true;
		} else {
			json_str(&j, "state", word(p.words, "state", v));
			json_bool(&j, "completed", streq(word(p.words, "completed", v), "1"));
			json_str(&j, "start", word(p.words, "start", v));
			json_str(&j, "open", word(p.words, "open", v));
			json_close(&j, '}');
		}
	}
	if (open) {
		json_close(&j, ']');
		json_close(&j, '}');
	}
	json_close(&j, ']');
}

static int pool(struct tool *t)
{
	_cleanup_(table_freep) struct table *tb = table_new(6);
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct pool_line p;
	struct err e = { 0 };
	char *text, *line, v[WORD_CAP], v2[WORD_CAP], v3[WORD_CAP];
	int r = adm_text(&rep, "dom0", "admin.state.Pool", NULL, NULL, &e);

	if (r < 0)
		return tool_api(t, r, &e);
	if (opt_has(t, KEY_JSON)) {
		pool_json(rep.data);
		return 0;
	}
	table_add(tb, "TEMPLATE");
	table_add(tb, "WANTED");
	table_add(tb, "DISPOSABLE");
	table_add(tb, "STATE");
	table_add(tb, "START");
	table_add(tb, "OPEN");
	text = rep.data;
	while ((line = adm_line(&text))) {
		if (!pool_line(&p, line))
			continue;
		table_add(tb, p.head ? p.name : "");
		table_add(tb, p.head ? word(p.words, "max", v) : "");
		table_add(tb, p.head ? "" : p.name);
		table_add(tb, p.head ? "" : streq(word(p.words, "completed", v), "1") ? "ready" : "on its way");
		table_add(tb, p.head ? "" : word(p.words, "start", v2));
		table_add(tb, p.head ? "" : word(p.words, "open", v3));
	}
	table_print(tb, t, true);
	return 0;
}

static int preload(struct tool *t, const char *qube, const char *count)
{
	struct err e = { 0 };
	uint64_t n;
	int r;

	if (str_u64(count, 1000, &n) < 0)
		return tool_usage(t, "'%s' is no number of disposables", count);
	r = adm_void(qube, "admin.vm.feature.Set", "preload-dispvm-max", count, &e);
	return r < 0 ? tool_api(t, r, &e) : 0;
}

static int run(struct tool *t, int argc, char **argv)
{
	const char *cmd = argc ? argv[0] : "list";

	if ((streq(cmd, "list") || streq(cmd, "ls")) && argc <= 1)
		return list(t);
	if (streq(cmd, "info") && argc == 2)
		return info(t, argv[1]);
	if (streq(cmd, "build") && argc >= 2)
		return build(t, argc - 1, argv + 1);
	if (streq(cmd, "drop") && (argc >= 2) != opt_has(t, KEY_ALL_STATES))
		return drop(t, argc - 1, argv + 1);
	if (streq(cmd, "pool") && argc == 1)
		return pool(t);
	if (streq(cmd, "preload") && argc == 3)
		return preload(t, argv[1], argv[2]);
	return sub_usage(t, cmd);
}

const struct verb verb_qvm_state = {
	.name = "qvm-state",
	.summary = "see and steer saved states and preloaded disposables",
	.args = "[list|info|build|drop|pool|preload] [ARGUMENT...]",
	.desc = "Template-based qubes start from a saved state of a machine of their kind.\n"
		"States are built in the background when they are wanted, and dropped when no\n"
		"qube is of their kind any more: nothing has to be done.",
	.opts = opts,
	.subs = subs,
	.words = { W_SUB, W_QUBE },
	.run = run,
};
