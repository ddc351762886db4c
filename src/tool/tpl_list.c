/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-template list, info, search, repolist, clean: what is there and what could be. */
#include <strings.h>

#include "tool/eol_notes.h"
#include "tool/tpl_verb.h"

enum status { ST_INSTALLED, ST_AVAILABLE, ST_EXTRA, ST_UPGRADABLE, ST_STATUS_N };

static const struct {
	const char *word, *title;
	int key;
} statuses[ST_STATUS_N] = {
	[ST_INSTALLED] = { "installed", "Installed Templates", KEY_INSTALLED },
	[ST_AVAILABLE] = { "available", "Available Templates", KEY_AVAILABLE },
	[ST_EXTRA] = { "extra", "Extra Templates", KEY_EXTRAS },
	[ST_UPGRADABLE] = { "upgradable", "Available Upgrades", KEY_UPGRADES },
};

struct row {
	enum status status;
	const struct tpl_info *info;
	const char *repository, *buildtime, *installtime;
	char built[TPL_STAMP_MAX];
	uint64_t size;
};
struct rows {
	struct row *v;
	size_t n;
};

static void add(struct rows *rows, struct row row)
{
	rows->v = xreallocarray(rows->v, rows->n + 1, sizeof row);
	rows->v[rows->n++] = row;
}

static void add_inst(struct rows *rows, enum status status, const struct tpl_inst *x)
{
	add(rows, (struct row){ .status = status, .info = &x->info, .repository = x->repository, .buildtime = x->buildtime, .installtime = x->installtime,
				.size = x->size });
}

static void add_entry(struct rows *rows, enum status status, const struct tpl_repo *p, const struct tpl_entry *t)
{
	struct row row = { .status = status, .info = &t->info, .repository = p->id, .installtime = "", .size = t->bytes };
	uint64_t built = 0;

	if (str_u64(t->info.built, UINT64_C(1) << 37, &built) == 0)
		tpl_stamp(row.built, built);
	add(rows, row);
}

static bool offered(const struct tpl_repos *all, const char *name)
{
	for (size_t i = 0; i < all->n; i++)
		for (size_t k = 0; all->v[i].enabled && k < all->v[i].index.n; k++)
			if (streq(all->v[i].index.v[k].info.name, name))
				return true;
	return false;
}

static void collect(struct rows *rows, const struct tool *t, const struct tpl_insts *insts, const struct tpl_repos *all, int argc, char **argv)
{
	bool any = opt_has(t, KEY_INSTALLED) || opt_has(t, KEY_AVAILABLE) || opt_has(t, KEY_EXTRAS) || opt_has(t, KEY_UPGRADES);
	bool everything = opt_has(t, KEY_ALL_T) || !any;

	for (size_t i = 0; i < insts->n; i++) {
		const struct tpl_inst *x = &insts->v[i];

		if (!tpl_spec_match(&x->info, argv, argc))
			continue;
		if ((everything || opt_has(t, KEY_INSTALLED)) && x->managed)
			add_inst(rows, ST_INSTALLED, x);
		if ((everything || opt_has(t, KEY_EXTRAS)) && x->managed && !offered(all, x->info.name))
			add_inst(rows, ST_EXTRA, x);
	}
	for (size_t i = 0; i < all->n; i++) {
		for (size_t k = 0; all->v[i].enabled && k < all->v[i].index.n; k++) {
			const struct tpl_entry *ent = &all->v[i].index.v[k];
			const struct tpl_inst *x = tpl_insts_find(insts, ent->info.name);

			if (!tpl_spec_match(&ent->info, argv, argc))
				continue;
			if (everything || opt_has(t, KEY_AVAILABLE))
				add_entry(rows, ST_AVAILABLE, &all->v[i], ent);
			if (opt_has(t, KEY_UPGRADES) && x && x->managed && tpl_evr_cmp(&ent->info, &x->info) > 0)
				add_entry(rows, ST_UPGRADABLE, &all->v[i], ent);
		}
	}
}

/* Sections, then names, then the newest first. */
static int cmp_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int c = (int)x->status - (int)y->status;

	if (c == 0)
		c = strcmp(x->info->name, y->info->name);
	return c ? c : tpl_evr_cmp(y->info, x->info);
}

static const char *buildtime(const struct row *r)
{
	return r->buildtime ? r->buildtime : r->built;
}

static void print_table(const struct tool *t, const struct rows *rows)
{
	_cleanup_(table_freep) struct table *tb = NULL;
	char evr[TPL_EVR_MAX];

	for (size_t i = 0; i < rows->n; i++) {
		const struct row *r = &rows->v[i];

		if (i == 0 || rows->v[i - 1].status != r->status) {
			if (tb) {
				table_print(tb, t, false);
				table_freep(&tb);
				printf("\n");
			}
			printf("%s\n", statuses[r->status].title);
			tb = table_new(3);
			for (size_t k = 0; k < 3; k++)
				table_add(tb, ""); /* the header, which is not shown */
		}
		table_add(tb, r->info->name);
		table_add(tb, r->info->version[0] ? tpl_evr(evr, r->info) : "-");
		table_add(tb, r->repository);
	}
	if (tb)
		table_print(tb, t, false);
}

static void print_info(const struct tool *t, const struct rows *rows)
{
	const int64_t today = tool_today();

	for (size_t i = 0; i < rows->n; i++) {
		const struct row *r = &rows->v[i];
		struct eol x = eol_judge(r->info->distribution, r->info->os_version, r->info->eol, today);
		char text[EOL_TEXT_MAX];
		const struct {
			const char *what, *value;
		} lines[] = { { "Name", r->info->name }, { "Epoch", r->info->epoch }, { "Version", r->info->version }, { "Release", r->info->release },
			      { "Repository", r->repository }, { "Build time", buildtime(r) }, { "Install time", r->installtime },
			      { "Distribution", r->info->distribution }, { "Dist. version", r->info->os_version }, { "End of life", x.date },
			      { "License", r->info->license }, { "URL", r->info->url }, { "Summary", r->info->summary }, { "Description", r->info->description } };

		if (i == 0 || rows->v[i - 1].status != r->status)
			printf("%s%s\n", i ? "\n" : "", statuses[r->status].title);
		else
			printf("\n");
		for (size_t k = 0; k < ARRAY_SIZE(lines); k++)
			if (lines[k].value && lines[k].value[0])
				printf("%-13s : %s\n", lines[k].what, lines[k].value);
		printf("%-13s : %.1f MiB\n", "Size", (double)r->size / 1048576);
		if (x.level > EOL_FAR)
			printf("%-13s : %s\n", "Note", eol_text(text, &x));
	}
	(void)t;
}

/* The reference's two forms for programs. */
static void print_machine(const struct rows *rows, bool info)
{
	char evr[TPL_EVR_MAX];

	for (size_t i = 0; i < rows->n; i++) {
		const struct row *r = &rows->v[i];
		const struct tpl_info *t = r->info;

		if (!info)
			printf("%s|%s|%s|%s\n", statuses[r->status].word, t->name, tpl_evr(evr, t), r->repository);
		else
			printf("%s|%s|%s|%s|%s|%s|%llu|%s|%s|%s|%s|%s|%s\n", statuses[r->status].word, t->name, t->epoch, t->version, t->release, r->repository,
			       (unsigned long long)r->size, buildtime(r), r->installtime, t->license, t->url, t->summary, t->description);
	}
}

static void json_row(struct json *j, const struct row *r, bool info)
{
	const struct tpl_info *t = r->info;
	char evr[TPL_EVR_MAX];

	json_open(j, NULL, '{');
	json_str(j, "name", t->name);
	if (!info) {
		json_str(j, "evr", tpl_evr(evr, t));
		json_str(j, "reponame", r->repository);
	} else {
		json_str(j, "epoch", t->epoch);
		json_str(j, "version", t->version);
		json_str(j, "release", t->release);
		json_str(j, "reponame", r->repository);
		json_int(j, "size", (int64_t)r->size);
		json_str(j, "buildtime", buildtime(r));
		json_str(j, "installtime", r->installtime);
		json_str(j, "distribution", t->distribution);
		json_str(j, "os-version", t->os_version);
		json_str(j, "eol", eol_judge(t->distribution, t->os_version, t->eol, tool_today()).date);
		json_str(j, "license", t->license);
		json_str(j, "url", t->url);
		json_str(j, "summary", t->summary);
		json_str(j, "description", t->description);
	}
	json_close(j, '}');
}

static void print_json(const struct rows *rows, bool info)
{
	struct json j = { 0 };

	json_open(&j, NULL, '{');
	for (size_t i = 0; i < rows->n; i++) {
		if (i == 0 || rows->v[i - 1].status != rows->v[i].status) {
			if (i)
				json_close(&j, ']');
			json_open(&j, statuses[rows->v[i].status].word, '[');
		}
		json_row(&j, &rows->v[i], info);
	}
	if (rows->n)
		json_close(&j, ']');
	json_close(&j, '}');
}

/* Installed templates whose days are counted, on standard error: a script's input stays as it is. */
static void warn_eol(const struct tool *t, const struct tpl_insts *insts)
{
	const int64_t today = tool_today();

	for (size_t i = 0; i < insts->n; i++) {
		const struct tpl_info *x = &insts->v[i].info;
		struct eol eol = eol_judge(x->distribution, x->os_version, x->eol, today);
		char text[EOL_TEXT_MAX];

		if (eol.level > EOL_FAR)
			tool_note(t, "%s: template '%s' (%s %s) %s", eol.level == EOL_SOON ? "note" : "warning", x->name, x->distribution, x->os_version,
				  eol_text(text, &eol));
	}
}

static void show(const struct tool *t, struct rows *rows, bool info)
{
	if (rows->n)
		qsort(rows->v, rows->n, sizeof *rows->v, cmp_rows);
	if (opt_has(t, KEY_JSON))
		print_json(rows, info);
	else if (opt_has(t, KEY_MACHINE))
		print_machine(rows, info);
	else if (info)
		print_info(t, rows);
	else
		print_table(t, rows);
}

int tpl_list(struct tool *t, bool info, int argc, char **argv)
{
	struct tpl_insts insts;
	struct tpl_repos all;
	struct rows rows = { .n = 0 };
	struct tpl_face f;
	struct err e = { 0 };
	int r, failed = 0;

	tpl_face_init(&f, t);
	r = tpl_repos_open(t, &all, &f);
	if (r)
		return r;
	r = tpl_insts_get(&insts, &e);
	if (r < 0)
		return tool_api(t, r, &e);
	failed = tpl_repos_load(t, &all);
	collect(&rows, t, &insts, &all, argc, argv);
	show(t, &rows, info);
	warn_eol(t, &insts);
	if (!rows.n && argc)
		failed += tool_fail(t, "no template fits");
	free(rows.v);
	tpl_insts_fini(&insts);
	tpl_repos_fini(&all);
	return failed ? EXIT_FAIL : 0;
}

static bool holds(const char *text, const char *word)
{
	size_t n = strlen(word);

	for (; *text; text++)
		if (strncasecmp(text, word, n) == 0)
			return true;
	return n == 0;
}

static bool found(const struct tpl_info *i, bool everywhere, int argc, char **argv)
{
	for (int k = 0; k < argc; k++)
		if (!holds(i->name, argv[k]) && !holds(i->summary, argv[k]) &&
		    !(everywhere && (holds(i->description, argv[k]) || holds(i->url, argv[k]))))
			return false;
	return true;
}

int tpl_search(struct tool *t, int argc, char **argv)
{
	struct rows rows = { .n = 0 };
	struct tpl_insts insts;
	struct tpl_repos all;
	struct tpl_face f;
	struct err e = { 0 };
	int r, failed;

	if (!argc)
		return tool_usage(t, "search for what?");
	tpl_face_init(&f, t);
	r = tpl_repos_open(t, &all, &f);
	if (r)
		return r;
	r = tpl_insts_get(&insts, &e);
	if (r < 0)
		return tool_api(t, r, &e);
	failed = tpl_repos_load(t, &all);
	for (size_t i = 0; i < insts.n; i++)
		if (insts.v[i].managed && found(&insts.v[i].info, opt_has(t, KEY_ALL_T), argc, argv))
			add_inst(&rows, ST_INSTALLED, &insts.v[i]);
	for (size_t i = 0; i < all.n; i++)
		for (size_t k = 0; all.v[i].enabled && k < all.v[i].index.n; k++)
			if (found(&all.v[i].index.v[k].info, opt_has(t, KEY_ALL_T), argc, argv))
				add_entry(&rows, ST_AVAILABLE, &all.v[i], &all.v[i].index.v[k]);
	if (opt_has(t, KEY_JSON) || opt_has(t, KEY_MACHINE)) {
		show(t, &rows, false);
	} else {
		const char *last = "";

		if (rows.n)
			qsort(rows.v, rows.n, sizeof *rows.v, cmp_rows);
		for (size_t i = 0; i < rows.n; i++) {
			if (!streq(last, rows.v[i].info->name))
				printf("%s : %s\n", rows.v[i].info->name, rows.v[i].info->summary);
			last = rows.v[i].info->name;
		}
	}
	if (!rows.n)
		failed += tool_fail(t, "nothing found");
	free(rows.v);
	tpl_insts_fini(&insts);
	tpl_repos_fini(&all);
	return failed ? EXIT_FAIL : 0;
}

int tpl_repolist(struct tool *t)
{
	struct tpl_repos all;
	struct tpl_face f;
	struct json j = { 0 };
	_cleanup_(table_freep) struct table *tb = table_new(5);
	bool only_enabled = !opt_has(t, KEY_ALL_T);
	int r;

	tpl_face_init(&f, t);
	r = tpl_repos_open(t, &all, &f);
	if (r)
		return r;
	for (size_t i = 0; i < 5; i++)
		table_add(tb, (const char *const[]){ "REPOSITORY", "STATE", "KEY", "NAME", "ADDRESS" }[i]);
	if (opt_has(t, KEY_JSON))
		json_open(&j, NULL, '[');
	for (size_t i = 0; i < all.n; i++) {
		const struct tpl_repo *p = &all.v[i];

		if (only_enabled && !p->enabled)
			continue;
		if (opt_has(t, KEY_JSON)) {
			json_open(&j, NULL, '{');
			json_str(&j, "id", p->id);
			json_str(&j, "name", p->name);
			json_bool(&j, "enabled", p->enabled);
			json_str(&j, "key", p->key);
			json_str(&j, "baseurl", p->url);
			json_close(&j, '}');
			continue;
		}
		table_add(tb, p->id);
		table_add(tb, p->enabled ? "enabled" : "disabled");
		table_add(tb, p->key);
		table_add(tb, p->name[0] ? p->name : NULL);
		table_add(tb, p->url);
	}
	if (opt_has(t, KEY_JSON))
		json_close(&j, ']');
	else
		table_print(tb, t, true);
	tpl_repos_fini(&all);
	return 0;
}

int tpl_clean(struct tool *t)
{
	struct tpl_repos all = { .cachedir = opt_str(t, KEY_CACHE) };
	struct json j = { 0 };
	struct err e = { 0 };
	uint64_t bytes;
	int r = tpl_cache_clean(&all, &bytes, &e);

	if (r < 0)
		return tool_fail(t, "%s", err_text(&e, r));
	if (opt_has(t, KEY_JSON)) {
		json_open(&j, NULL, '{');
		json_int(&j, "removed-bytes", (int64_t)bytes);
		json_close(&j, '}');
	}
	tool_note(t, "%.1f MiB of fetched files removed", (double)bytes / 1048576);
	return 0;
}
