/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What qvm-template's sub-commands share. */
#include <fnmatch.h>
#include <time.h>

#include "tool/tpl_verb.h"

static time_t clock_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

void tpl_face_init(struct tpl_face *f, const struct tool *t)
{
	*f = (struct tpl_face){ .t = t, .fd = -1, .bar = isatty(STDERR_FILENO) == 1 };
}

void tpl_face_show(struct tpl_face *f, unsigned permille, const char *text)
{
	bool again = f->text && streq(f->text, text) && f->last == permille;
	unsigned seconds;

	if (!again && (!f->text || !streq(f->text, text)))
		f->since = clock_s();
	seconds = (unsigned)(clock_s() - f->since);
	/* A step that goes on: a script has been told already. */
	if (again && !f->bar)
		return;
	if (f->fd >= 0 && !again)
		dprintf(f->fd, "%u %s\n", permille, text);
	if (f->t->verbose < 0)
		return;
	if (f->bar) {
		char bar[26];
		size_t full = permille * (sizeof bar - 1) / 1000;

		for (size_t i = 0; i < sizeof bar - 1; i++)
			bar[i] = i < full ? '#' : '.';
		bar[sizeof bar - 1] = '\0';
		fprintf(stderr, "\r\033[K[%s] %3u%% %s", bar, permille / 10, text);
		/* Some steps take minutes: they are seen to go on. */
		if (seconds >= 2)
			fprintf(stderr, " (%u s)", seconds);
		fputs(permille == 1000 ? "\n" : "", stderr);
		fflush(stderr);
	} else if (!f->text || !streq(f->text, text)) {
		fprintf(stderr, "%3u%% %s\n", permille / 10, text);
	}
	f->text = text;
	f->last = permille;
}

void tpl_face_end(struct tpl_face *f)
{
	if (f->bar && f->text && f->last < 1000 && f->t->verbose >= 0)
		fputc('\n', stderr);
	f->text = NULL;
	f->last = 0;
}

void tpl_face_bytes(uint64_t done, uint64_t total, void *arg)
{
	struct tpl_face *f = arg;

	tpl_face_show(f, total ? MIN((unsigned)(done * 1000 / total), 999u) : 0, f->text ? f->text : "working");
}

static const char *const wanted[] = { "template-name",	   "template-epoch",	   "template-version", "template-release", "template-summary",
				      "template-license",  "template-url",	   "template-description", "os-distribution", "os-version",
				      "os-eol",		   "template-reponame",	   "template-buildtime", "template-installtime" };

static void take(struct tpl_inst *x, const char *feature, const char *value)
{
	const char *word, *name;

	if (streq(feature, "template-name"))
		x->managed = streq(value, x->info.name); /* a copy under another name is not what was installed */
	else if (streq(feature, "template-reponame"))
		(void)!str_copy(x->repository, sizeof x->repository, value);
	else if (streq(feature, "template-buildtime"))
		(void)!str_copy(x->buildtime, sizeof x->buildtime, value);
	else if (streq(feature, "template-installtime"))
		(void)!str_copy(x->installtime, sizeof x->installtime, value);
	else
		for (size_t i = 0; tpl_field(&x->info, i, &word, &name); i++)
			if (name && streq(name, feature))
				/* Anybody could have set a feature to what is no version. */
				(void)!tpl_field_set(&x->info, word, value, NULL);
}

static int cmp_inst(const void *a, const void *b)
{
	const struct tpl_inst *x = a, *y = b;

	return strcmp(x->info.name, y->info.name);
}

int tpl_insts_get(struct tpl_insts *ret, struct err *e)
{
	_cleanup_free_ struct bulk_call *calls = NULL;
	struct adm_qubes q;
	size_t n = 0;
	int r = adm_qubes_get(&q, "dom0", e);

	*ret = (struct tpl_insts){ .n = 0 };
	if (r < 0)
		return r;
	ret->v = xcalloc(q.n + 1, sizeof *ret->v);
	calls = xcalloc(q.n * (ARRAY_SIZE(wanted) + 1) + 1, sizeof *calls);
	for (size_t i = 0; i < q.n; i++) {
		if (!streq(q.v[i].cls, "TemplateVM") || str_copy(ret->v[ret->n].info.name, sizeof ret->v[0].info.name, q.v[i].name) < 0)
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(wanted); k++)
			calls[n++] = (struct bulk_call){ .dest = q.v[i].name, .method = "admin.vm.feature.Get", .arg = wanted[k], .user = &ret->v[ret->n] };
		calls[n++] = (struct bulk_call){ .dest = q.v[i].name, .method = "admin.vm.volume.Info", .arg = "root", .user = &ret->v[ret->n] };
		ret->n++;
	}
	calls_run(calls, n, NULL, NULL);
	for (size_t i = 0; i < n; i++) {
		struct tpl_inst *x = calls[i].user;
		char size[24];

		if (calls[i].r == 0 && !streq(calls[i].arg, "root"))
			take(x, calls[i].arg, calls[i].rep.data);
		else if (calls[i].r == 0 && adm_kv(calls[i].rep.data, "size", size, sizeof size) == 0 && str_u64(size, UINT64_MAX, &x->size) < 0)
			x->size = 0;
	}
	calls_fini(calls, n);
	adm_qubes_fini(&q);
	qsort(ret->v, ret->n, sizeof *ret->v, cmp_inst);
	for (size_t i = 0; i < ret->n; i++)
		if (!ret->v[i].info.version[0])
			ret->v[i].managed = false;
	return 0;
}

void tpl_insts_fini(struct tpl_insts *x)
{
	free(x->v);
	*x = (struct tpl_insts){ .n = 0 };
}

const struct tpl_inst *tpl_insts_find(const struct tpl_insts *x, const char *name)
{
	for (size_t i = 0; i < x->n; i++)
		if (streq(x->v[i].info.name, name))
			return &x->v[i];
	return NULL;
}

static void on_note(const char *text, void *arg)
{
	const struct tpl_face *f = arg;

	tool_note(f->t, "%s", text);
}

/* Does a word of --enablerepo and the like mean this one? Words may have blanks or commas between them, and *. */
static bool named(const struct tool *t, int key, const char *id)
{
	const char *arg;

	for (size_t i = 0; (arg = opt_nth(t, key, i)); i++) {
		_cleanup_free_ char *copy = xstrdup(arg);
		char *save = NULL;

		for (char *w = strtok_r(copy, " ,", &save); w; w = strtok_r(NULL, " ,", &save))
			if (fnmatch(w, id, 0) == 0)
				return true;
	}
	return false;
}

int tpl_repos_open(struct tool *t, struct tpl_repos *all, struct tpl_face *f)
{
	struct err e = { 0 };
	const char *file;
	int r = 0;

	*all = (struct tpl_repos){ .updatevm = opt_str(t, KEY_UPDATEVM), .releasever = opt_str(t, KEY_RELEASEVER), .cachedir = opt_str(t, KEY_CACHE),
				   .refresh = opt_has(t, KEY_REFRESH), .note = on_note, .progress = tpl_face_bytes, .arg = f };
	for (size_t i = 0; r == 0 && (file = opt_nth(t, KEY_REPO_FILES, i)); i++)
		r = tpl_repos_read(all, file, &e);
	if (r == 0 && !opt_has(t, KEY_REPO_FILES))
		r = tpl_repos_read(all, NULL, &e);
	if (r < 0)
		return tool_fail(t, "%s", err_text(&e, r));
	for (size_t i = 0; i < all->n; i++) {
		struct tpl_repo *p = &all->v[i];

		if (named(t, KEY_ENABLE, p->id) || named(t, KEY_REPOID, p->id))
			p->enabled = true;
		else if (opt_has(t, KEY_REPOID) || named(t, KEY_DISABLE, p->id))
			p->enabled = false;
	}
	return 0;
}

int tpl_repos_load(struct tool *t, struct tpl_repos *all)
{
	int failed = 0;

	for (size_t i = 0; i < all->n; i++) {
		struct err e = { 0 };
		int r;

		if (!all->v[i].enabled)
			continue;
		r = tpl_repo_load(all, &all->v[i], &e);
		if (r < 0) {
			(void)tool_fail(t, "%s", err_text(&e, r));
			failed++;
		}
	}
	return failed;
}

bool tpl_spec_match(const struct tpl_info *i, char **specs, int n)
{
	char forms[4][TPL_EVR_MAX + 40], evr[TPL_EVR_MAX];

	if (n == 0)
		return true;
	if (str_printf(forms[0], sizeof forms[0], "%s", i->name) < 0 || str_printf(forms[1], sizeof forms[1], "%s-%s", i->name, i->version) < 0 ||
	    str_printf(forms[2], sizeof forms[2], "%s-%s-%s", i->name, i->version, i->release) < 0 ||
	    str_printf(forms[3], sizeof forms[3], "%s-%s", i->name, tpl_evr(evr, i)) < 0)
		return false;
	for (int k = 0; k < n; k++)
		for (size_t f = 0; f < ARRAY_SIZE(forms); f++)
			if (fnmatch(specs[k], forms[f], 0) == 0)
				return true;
	return false;
}

void tpl_json_row(struct json *j, const char *name, const struct tpl_info *info, const char *outcome, const char *error)
{
	char evr[TPL_EVR_MAX];

	json_open(j, NULL, '{');
	json_str(j, "name", name);
	if (info)
		json_str(j, "evr", tpl_evr(evr, info));
	json_str(j, "outcome", outcome);
	json_str(j, "error", error);
	json_close(j, '}');
}
