/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-undo: takes back what a tool changed, out of the journal of tool/journal.h, and changes of policy files, out of theirs. */
#include <limits.h>
#include <sys/stat.h>
#include <time.h>

#include "base/paths.h"
#include "client/appmenus.h"
#include "policyfile/undo.h"
#include "tool/inverse.h"
#include "tool/journal.h"
#include "tool/util.h"

enum { KEY_FORGET = 520 };

static const struct tool_opt opts[] = {
	{ 'l', "list", NULL, "list the changes, the last one first", 0, W_ANY },
	OPT_JSON,
	{ 'y', "yes", NULL, "do not ask", 0, W_ANY },
	{ 'f', "force", NULL, "also remove a created qube that was started since", 0, W_ANY },
	{ KEY_FORGET, "forget", NULL, "change nothing, only drop the record", 0, W_ANY },
	{ 0 },
};

/* One change: an entry of the journal, or the last change of the policy. */
struct item {
	uint64_t time;
	const struct journal_entry *ent; /* NULL = the policy file */
};

struct undo {
	struct tool *t;
	struct journal_entry *ents;
	size_t n_ents;
	char *policy; /* name of the policy file that was changed last; NULL = none */
	struct item *items; /* the last one first */
	size_t n;
};

static void find_policy(struct undo *u, uint64_t *ret_time)
{
	_cleanup_free_ char *record = NULL, *text = NULL;
	_cleanup_store_ struct pf_store s = { 0 };
	struct pf_dirs dirs = { 0 };
	char path[PATH_MAX];
	struct stat sb;
	size_t len = 0;

	pf_dirs_default(&dirs);
	if (pf_store_open(&s, &dirs, false, NULL) == 0 && pf_undo_last(&s, NULL, &record, &u->policy, &text, &len, NULL) == 0 &&
	    str_printf(path, sizeof path, "%s.undo/%s", s.path, record) == 0 && stat(path, &sb) == 0)
		*ret_time = journal_time(&sb);
	pf_dirs_fini(&dirs);
}

/* The last one first; entries of the journal by their numbers. */
static int cmp_items(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	uint64_t nx = x->ent ? x->ent->no : 0, ny = y->ent ? y->ent->no : 0;

	if (x->time != y->time && (!x->ent || !y->ent))
		return x->time < y->time ? 1 : -1;
	return (nx < ny) - (nx > ny);
}

static int load(struct undo *u)
{
	struct err e = { 0 };
	uint64_t when = 0;
	int r = journal_load(&u->ents, &u->n_ents, &e);

	if (r < 0)
		return tool_fail(u->t, "%s", err_text(&e, r));
	find_policy(u, &when);
	u->items = xcalloc(u->n_ents + 1, sizeof *u->items);
	for (size_t i = 0; i < u->n_ents; i++)
		u->items[u->n++] = (struct item){ .time = u->ents[i].time, .ent = &u->ents[i] };
	if (u->policy)
		u->items[u->n++] = (struct item){ .time = when };
	qsort(u->items, u->n, sizeof *u->items, cmp_items);
	return 0;
}

static size_t possible(const struct item *it)
{
	size_t n = 0;

	for (size_t i = 0; it->ent && i < it->ent->n; i++)
		n += it->ent->ops[i].method[0] != '\0';
	return it->ent ? n : 1;
}

static void id_of(char out[24], const struct item *it)
{
	if (!it->ent || str_printf(out, 24, "%llu", (unsigned long long)it->ent->no) < 0)
		memcpy(out, "policy", sizeof "policy");
}

static char *command_of(const struct undo *u, const struct item *it)
{
	return it->ent ? xstrdup(it->ent->command) : xasprintf("policy file %s", u->policy);
}

static void list_json(const struct undo *u)
{
	struct json j = { 0 };

	json_open(&j, NULL, '[');
	for (size_t i = 0; i < u->n; i++) {
		const struct item *it = &u->items[i];
		_cleanup_free_ char *command = command_of(u, it);
		char id[24];

		id_of(id, it);
		json_open(&j, NULL, '{');
		json_str(&j, "id", id);
		json_int(&j, "time", (int64_t)(it->time / 1000000));
		json_str(&j, "command", command);
		for (int can = 1; can >= 0; can--) {
			json_open(&j, can ? "undo" : "cannot", '[');
			for (size_t k = 0; it->ent && k < it->ent->n; k++)
				if ((it->ent->ops[k].method[0] != '\0') == can)
					json_str(&j, NULL, it->ent->ops[k].text);
			if (!it->ent && can)
				json_str(&j, NULL, "the file as it was");
			json_close(&j, ']');
		}
		json_close(&j, '}');
	}
	json_close(&j, ']');
}

static void time_text(char out[32], uint64_t us)
{
	time_t when = (time_t)(us / 1000000);
	struct tm tm;

	if (!localtime_r(&when, &tm) || strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		memcpy(out, "-", 2);
}

static void list(const struct undo *u)
{
	_cleanup_(table_freep) struct table *tb = table_new(4);

	table_add(tb, "NO");
	table_add(tb, "TIME");
	table_add(tb, "CHANGE");
	table_add(tb, "UNDO");
	for (size_t i = 0; i < u->n; i++) {
		const struct item *it = &u->items[i];
		_cleanup_free_ char *command = command_of(u, it);
		char id[24], when[32];
		size_t n = it->ent ? it->ent->n : 1;

		id_of(id, it);
		time_text(when, it->time);
		for (size_t k = n; k-- > 0;) {
			bool first = k + 1 == n, can = !it->ent || it->ent->ops[k].method[0];

			table_add(tb, first ? id : "");
			table_add(tb, first ? when : "");
			table_addf(tb, "%.60s", first ? command : "");
			table_addf(tb, "%s%s", can ? "" : "cannot: ", it->ent ? it->ent->ops[k].text : "the file as it was");
		}
	}
	table_print(tb, u->t, true);
}

static const struct item *pick(const struct undo *u, const char *id)
{
	for (size_t i = 0; i < u->n; i++) {
		char own[24];

		id_of(own, &u->items[i]);
		if (!id || streq(own, id))
			return &u->items[i];
	}
	return NULL;
}

/* Why a created qube is not removed any more; NULL = it may be. */
static const char *keep_reason(const struct undo *u, const struct journal_op *op, uint64_t created)
{
	struct adm_qubes q;
	const char *why = NULL;
	char path[PATH_MAX];
	struct stat sb;

	if (adm_qubes_get(&q, op->dest, NULL) < 0)
		return NULL; /* the call says what is wrong */
	if (q.n != 1 || !streq(q.v[0].uuid, op->payload))
		why = "another qube has this name now";
	else if (!streq(q.v[0].state, "Halted"))
		why = "it is running";
	else if (!opt_has(u->t, 'f') && stat(path_fmt(path, PATH_LOG, "/guest.%s.log", op->dest), &sb) == 0 &&
		 journal_time(&sb) >= created)
		why = "it was started since; --force removes it with its data";
	adm_qubes_fini(&q);
	return why;
}

static int undo_op(const struct undo *u, const struct journal_op *op, uint64_t created)
{
	bool removal = streq(op->method, "admin.vm.Remove");
	const char *why = removal ? keep_reason(u, op, created) : NULL;
	struct err e = { 0 };
	int r;

	if (!inverse_allowed(op->method))
		return tool_fail(u->t, "the record is damaged: '%s' is no inverse; --forget drops it", op->method);
	if (why)
		return tool_fail(u->t, "'%s' is kept: %s", op->dest, why);
	r = adm_void(op->dest, op->method, op->arg[0] ? op->arg : NULL, removal ? NULL : op->payload, &e);
	if (r < 0 && r != -ADM_EXC_NO_TAG && r != -ADM_EXC_NO_FEATURE)
		return tool_fail(u->t, "%s: %s; nothing else was undone, --forget drops the record", op->text, err_text(&e, r));
	if (removal)
		(void)appmenus_remove(op->dest, NULL);
	tool_note(u->t, "undone: %s", op->text);
	return 0;
}

static int undo_policy(const struct undo *u)
{
	_cleanup_free_ char *done = NULL;
	_cleanup_store_ struct pf_store s = { 0 };
	struct pf_dirs dirs = { 0 };
	struct err e = { 0 };
	int r;

	pf_dirs_default(&dirs);
	r = pf_store_open(&s, &dirs, true, &e);
	if (r == 0)
		r = pf_store_undo(&s, u->policy, &done, &e);
	pf_dirs_fini(&dirs);
	if (r < 0)
		return tool_fail(u->t, "%s", err_text(&e, r));
	tool_note(u->t, "undone: policy file %s is as it was", done);
	return 0;
}

static int undo(const struct undo *u, const struct item *it)
{
	struct err e = { 0 };
	int r = 0;

	if (!it->ent)
		return undo_policy(u);
	for (size_t k = it->ent->n; k-- > 0 && r == 0;) {
		const struct journal_op *op = &it->ent->ops[k];

		if (op->method[0])
			r = undo_op(u, op, it->ent->time);
		else
			tool_note(u->t, "cannot be undone: %s: %s", op->dest, op->text);
	}
	if (r == 0 && journal_drop(it->ent->no, &e) < 0)
		return tool_fail(u->t, "%s", e.msg);
	return r;
}

static bool agreed(const struct undo *u, const struct item *it)
{
	_cleanup_free_ char *command = command_of(u, it);
	char when[32];

	if (opt_has(u->t, 'y'))
		return true;
	time_text(when, it->time);
	(void)fprintf(stderr, "%s (%s)\n", command, when);
	for (size_t k = it->ent ? it->ent->n : 0; k-- > 0;)
		(void)fprintf(stderr, "  %s%s\n", it->ent->ops[k].method[0] ? "" : "cannot be undone: ", it->ent->ops[k].text);
	return tool_ask(u->t, "Undo this?");
}

static int act(const struct undo *u, const char *id)
{
	const struct item *it = pick(u, id);
	_cleanup_free_ char *command = it ? command_of(u, it) : NULL;
	struct err e = { 0 };
	char own[24];

	if (!it)
		return id ? tool_usage(u->t, "there is no change '%s'; 'qvm-undo --list' lists them", id) :
			    tool_fail(u->t, "there is nothing to undo");
	id_of(own, it);
	if (opt_has(u->t, KEY_FORGET)) {
		if (!it->ent)
			return tool_usage(u->t, "earlier policy files are kept; 'qvm-policy undo' brings the last one back");
		return journal_drop(it->ent->no, &e) < 0 ? tool_fail(u->t, "%s", e.msg) : 0;
	}
	if (possible(it) == 0)
		return tool_fail(u->t, "'%s' cannot be undone: %s; 'qvm-undo --forget %s' makes way for the change before it", command,
				 it->ent->ops[0].text, own);
	if (!agreed(u, it))
		return tool_fail(u->t, "nothing was undone; --yes undoes without a question");
	return undo(u, it);
}

static int run(struct tool *t, int argc, char **argv)
{
	struct undo u = { .t = t };
	int r = load(&u);

	if (r == 0 && opt_has(t, KEY_JSON))
		list_json(&u);
	else if (r == 0 && opt_has(t, 'l'))
		list(&u);
	else if (r == 0)
		r = act(&u, argc ? argv[0] : NULL);
	journal_free(u.ents, u.n_ents);
	free(u.items);
	free(u.policy);
	return r;
}

const struct verb verb_qvm_undo = {
	.name = "qvm-undo",
	.summary = "undo the last change that a tool made",
	.args = "[NO|policy]",
	.desc = "Without a number: the last change. What each run of a tool changed is one step;\n"
		"starting and stopping qubes is none. The last 100 are kept.",
	.opts = opts,
	.max_args = 1,
	.flags = VERB_NO_JOURNAL,
	.run = run,
};
