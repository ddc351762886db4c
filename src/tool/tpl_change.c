/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-template install, reinstall, upgrade, downgrade, download, remove, purge: what is to be done is found first, shown, and then done. */
#include <fcntl.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/paths.h"
#include "tool/tpl_verb.h"

struct item {
	char *path; /* of a file; NULL = from a repository */
	const struct tpl_repo *repo;
	const struct tpl_entry *entry;
	struct tpl_info info;
	uint64_t bytes;
	char name[32]; /* of the template in this system */
};
struct plan {
	struct item *v;
	size_t n;
	struct tpl_repos repos;
	struct tpl_insts insts;
	struct tpl_face face;
	enum tpl_change what;
	bool loaded;
	int failed;
};

static const struct {
	const char *verb, *done;
} words[] = {
	[TPL_INSTALL] = { "install", "installed" },
	[TPL_REINSTALL] = { "reinstall", "reinstalled" },
	[TPL_UPGRADE] = { "upgrade", "upgraded" },
	[TPL_DOWNGRADE] = { "downgrade", "downgraded" },
};

static void plan_fini(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->v[i].path);
	free(p->v);
	tpl_insts_fini(&p->insts);
	tpl_repos_fini(&p->repos);
}

static bool is_file(const char *s)
{
	return strchr(s, '/') || str_ends(s, ".template");
}

static struct item *add(struct plan *p, const struct tpl_info *info, const char *name)
{
	p->v = xreallocarray(p->v, p->n + 1, sizeof *p->v);
	p->v[p->n] = (struct item){ .info = *info };
	if (str_copy(p->v[p->n].name, sizeof p->v[0].name, name) < 0)
		abort(); /* names are bounded where they come from */
	return &p->v[p->n++];
}

/* Does this version fit what is to be done? have: the installed one, or NULL. */
static bool fits(enum tpl_change what, const struct tpl_info *info, const struct tpl_inst *have)
{
	int c = have ? tpl_evr_cmp(info, &have->info) : 0;

	switch (what) {
	case TPL_INSTALL:
		return true;
	case TPL_REINSTALL:
		return have && c == 0;
	case TPL_UPGRADE:
		return have && c > 0;
	case TPL_DOWNGRADE:
		return have && c < 0;
	}
	return false;
}

/* Why a version does not fit, for a file or a name that was asked for. */
static void explain(struct tool *t, struct plan *p, const char *name, const struct tpl_info *info, const struct tpl_inst *have)
{
	char evr[TPL_EVR_MAX], mine[TPL_EVR_MAX];

	p->failed++;
	if (!have)
		(void)tool_fail(t, "template '%s' is not installed by qvm-template; 'qvm-template install' does that", name);
	else if (info)
		(void)tool_fail(t, "'%s' is version %s; %s of the installed %s wants %s", name, tpl_evr(evr, info), words[p->what].verb, tpl_evr(mine, &have->info),
				p->what == TPL_REINSTALL ? "the same one" : p->what == TPL_UPGRADE ? "a newer one" : "an older one");
	else
		(void)tool_fail(t, "no enabled repository has a version of '%s' to %s to (installed: %s)", name, words[p->what].verb, tpl_evr(mine, &have->info));
}

static void plan_file(struct tool *t, struct plan *p, const char *path)
{
	_cleanup_tpl_file_ struct tpl_file f = TPL_FILE_INIT;
	const char *name = opt_str(t, KEY_NAME);
	const struct tpl_inst *have;
	struct err e = { 0 };
	struct item *it;
	int r = tpl_file_open(&f, path, NULL, &e);

	if (r < 0) {
		p->failed++;
		(void)tool_fail(t, "%s", err_text(&e, r));
		return;
	}
	name = name ? name : f.m.info.name;
	have = tpl_insts_find(&p->insts, name);
	if (!fits(p->what, &f.m.info, have)) {
		explain(t, p, name, &f.m.info, have);
		return;
	}
	it = add(p, &f.m.info, name);
	it->path = xstrdup(path);
	it->bytes = f.bytes;
}

static void need_repos(struct tool *t, struct plan *p)
{
	if (p->loaded)
		return;
	p->loaded = true;
	p->failed += tpl_repos_load(t, &p->repos);
}

static bool better(enum tpl_change what, const struct tpl_entry *a, const struct item *b)
{
	(void)what;
	return tpl_evr_cmp(&a->info, &b->info) > 0;
}

/* The newest fitting version of each template that the word means. */
static size_t plan_spec(struct tool *t, struct plan *p, char *spec)
{
	size_t first = p->n;

	need_repos(t, p);
	for (size_t i = 0; i < p->repos.n; i++) {
		struct tpl_repo *repo = &p->repos.v[i];

		for (size_t k = 0; repo->enabled && k < repo->index.n; k++) {
			const struct tpl_entry *ent = &repo->index.v[k];
			const struct tpl_inst *have = tpl_insts_find(&p->insts, ent->info.name);
			struct item *it = NULL;

			if ((spec && !tpl_spec_match(&ent->info, &spec, 1)) || !fits(p->what, &ent->info, have && have->managed ? have : NULL))
				continue;
			for (size_t m = first; m < p->n && !it; m++)
				if (streq(p->v[m].info.name, ent->info.name))
					it = &p->v[m];
			if (it && !better(p->what, ent, it))
				continue;
			if (!it)
				it = add(p, &ent->info, ent->info.name);
			it->info = ent->info;
			it->repo = repo;
			it->entry = ent;
			it->bytes = ent->bytes;
		}
	}
	return p->n - first;
}

static void plan_word(struct tool *t, struct plan *p, char *word)
{
	const struct tpl_inst *have;
	size_t n;

	if (is_file(word)) {
		plan_file(t, p, word);
		return;
	}
	have = tpl_insts_find(&p->insts, word);
	if (p->what != TPL_INSTALL && !strpbrk(word, "*?[") && have && !have->managed)
		have = NULL;
	n = plan_spec(t, p, word);
	if (n == 0 && p->what == TPL_INSTALL) {
		p->failed++;
		(void)tool_fail(t, "no enabled repository has a template '%s'; see 'qvm-template list --available'", word);
	} else if (n == 0 && (p->what != TPL_UPGRADE || !have)) {
		explain(t, p, word, NULL, have);
	} else if (n == 0) {
		tool_note(t, "template '%s' is the newest one already", word);
	}
}

/* Installing what is there is done already. */
static void drop_installed(struct tool *t, struct plan *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++) {
		struct item *it = &p->v[i];
		const char *name = opt_str(t, KEY_NAME);

		if (name && str_copy(it->name, sizeof it->name, name) < 0)
			continue;
		if (p->what == TPL_INSTALL && tpl_insts_find(&p->insts, it->name)) {
			tool_note(t, "template '%s' is installed already; 'reinstall', 'upgrade' and 'downgrade' change it, --name gives another name", it->name);
			free(it->path);
			continue;
		}
		p->v[n++] = *it;
	}
	p->n = n;
}

static bool agreed(struct tool *t, const struct plan *p)
{
	_cleanup_(table_freep) struct table *tb = table_new(5);
	char evr[TPL_EVR_MAX];

	if (opt_has(t, 'y'))
		return true;
	/* The answer of --json is the only thing on standard output then. */
	if (opt_has(t, KEY_JSON))
		return tool_ask(t, "%s %zu template%s?", words[p->what].verb, p->n, p->n == 1 ? "" : "s");
	for (size_t i = 0; i < 5; i++)
		table_add(tb, (const char *const[]){ "ACTION", "TEMPLATE", "VERSION", "FROM", "SIZE" }[i]);
	for (size_t i = 0; i < p->n; i++) {
		table_add(tb, words[p->what].verb);
		table_add(tb, p->v[i].name);
		table_add(tb, tpl_evr(evr, &p->v[i].info));
		table_add(tb, p->v[i].repo ? p->v[i].repo->id : p->v[i].path);
		table_addf(tb, "%.1f MiB", (double)p->v[i].bytes / 1048576);
	}
	table_print(tb, t, true);
	(void)fflush(stdout);
	return tool_ask(t, "Do it?");
}

static bool foreign(const struct item *it)
{
	return it->repo && !tpl_repo_local(it->repo);
}

static int carry_out(struct tool *t, struct plan *p, struct item *it, struct json *j)
{
	struct tpl_job job = {
		.name = it->name, .repository = it->repo ? it->repo->id : "@commandline", .only_key = it->repo ? it->repo->key : NULL,
		.pool = opt_str(t, KEY_POOL), .sum = it->entry ? it->entry->sha : NULL, .replace = p->what != TPL_INSTALL, .progress = tpl_face_bytes,
		.arg = &p->face,
	};
	struct err e = { 0 };
	int r = 0;

	p->face.text = "fetching";
	if (!it->path)
		r = tpl_repo_file(&p->repos, it->repo, it->entry, &it->path, &e);
	job.path = it->path;
	p->face.text = "unpacking";
	if (r == 0)
		r = tpl_install(&job, &e);
	/* Fetched bytes that are wrong would be wrong the next time too. */
	if (foreign(it) && it->path && (r == -EBADMSG || (r == 0 && !opt_has(t, KEY_KEEP_CACHE))))
		(void)unlink(it->path);
	if (r == 0)
		tpl_face_show(&p->face, 1000, words[p->what].done);
	tpl_face_end(&p->face);
	if (j)
		tpl_json_row(j, it->name, &it->info, r < 0 ? "failed" : words[p->what].done, r < 0 ? err_text(&e, r) : NULL);
	if (r < 0)
		return tool_api(t, r, &e);
	tool_info(t, "%s %s", it->name, words[p->what].done);
	return 0;
}

/* All of the plan, as far as nobody interrupts it. */
static int carry_out_all(struct tool *t, struct plan *p)
{
	struct json j = { 0 }, *json = opt_has(t, KEY_JSON) ? &j : NULL;
	int status = 0;

	if (json)
		json_open(json, NULL, '[');
	for (size_t i = 0; i < p->n; i++) {
		int r = 0;

		if (!tpl_interrupted())
			r = carry_out(t, p, &p->v[i], json);
		else if (json)
			tpl_json_row(json, p->v[i].name, &p->v[i].info, "interrupted", NULL);
		status = status ? status : r;
	}
	if (json)
		json_close(json, ']');
	return tpl_interrupted() ? 130 : status;
}

static int begin(struct tool *t, struct plan *p, enum tpl_change what)
{
	struct err e = { 0 };
	int r;

	*p = (struct plan){ .what = what };
	tpl_face_init(&p->face, t);
	r = tpl_repos_open(t, &p->repos, &p->face);
	if (r == 0) {
		r = tpl_insts_get(&p->insts, &e);
		r = r < 0 ? tool_api(t, r, &e) : 0;
	}
	return r;
}

int tpl_change(struct tool *t, enum tpl_change what, int argc, char **argv)
{
	_cleanup_(plan_fini) struct plan p;
	struct json none = { 0 };
	int r = begin(t, &p, what);

	if (r)
		return r;
	if (!argc && what != TPL_UPGRADE)
		return tool_usage(t, "%s what? Name templates of a repository, or files", words[what].verb);
	if (opt_str(t, KEY_NAME) && (argc != 1 || what != TPL_INSTALL))
		return tool_usage(t, "--name goes with the installation of one template");
	for (int i = 0; i < argc; i++)
		plan_word(t, &p, argv[i]);
	if (!argc)
		(void)plan_spec(t, &p, NULL);
	drop_installed(t, &p);
	if (!p.n) {
		if (!argc && !p.failed)
			tool_note(t, "all templates are the newest ones");
		if (!p.failed && opt_has(t, KEY_JSON)) {
			json_open(&none, NULL, '[');
			json_close(&none, ']');
		}
		return p.failed ? EXIT_FAIL : 0;
	}
	/* What cannot be done is said before anything is done. */
	if (p.failed)
		return EXIT_FAIL;
	if (!agreed(t, &p))
		return tool_fail(t, "nothing was changed; --yes answers the question");
	return carry_out_all(t, &p);
}

/* Copies a file of a repository to where the user wants it, whole or not at all. */
static int copy_out(const char *from, const char *to, struct err *e)
{
	_cleanup_free_ char *tmp = xasprintf("%s.part", to);
	_cleanup_free_ uint8_t *buf = xmalloc(1u << 20);
	_cleanup_fd_ int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
	ssize_t n = 0;
	int r = 0;

	if (in < 0)
		return err_errno(e, errno, "%s", from);
	out = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (out < 0)
		return err_errno(e, errno, "%s", tmp);
	while (r == 0 && !tpl_interrupted() && (n = read_full(in, buf, 1u << 20)) > 0)
		r = write_full(out, buf, (size_t)n);
	if (tpl_interrupted())
		r = -EINTR;
	if (r == 0 && (n < 0 || fsync(out) < 0 || rename(tmp, to) < 0))
		r = n < 0 ? (int)n : -errno;
	if (r < 0)
		(void)unlink(tmp);
	return r < 0 ? err_errno(e, -r, "%s", to) : 0;
}

static int download_one(struct tool *t, struct plan *p, struct item *it, struct json *j)
{
	_cleanup_tpl_file_ struct tpl_file f = TPL_FILE_INIT;
	const char *dir = opt_str(t, KEY_DOWNLOADDIR);
	_cleanup_free_ char *to = xasprintf("%s/%s", dir ? dir : ".", it->entry->file);
	struct err e = { 0 };
	int r;

	p->face.text = "fetching";
	r = tpl_repo_file(&p->repos, it->repo, it->entry, &it->path, &e);
	if (r == 0)
		r = tpl_file_open(&f, it->path, it->repo->key, &e);
	if (r == 0 && memcmp(f.sum, it->entry->sha, TPL_SHA_LEN) != 0)
		r = err_set(&e, EBADMSG, "%s is not the file that the repository's index names", it->path);
	p->face.text = "checking";
	if (r == 0)
		r = tpl_file_unpack(&f, it->repo->key, -1, tpl_face_bytes, &p->face, &e);
	if (r == 0)
		r = copy_out(it->path, to, &e);
	if (foreign(it) && it->path && (r == -EBADMSG || (r == 0 && !opt_has(t, KEY_KEEP_CACHE))))
		(void)unlink(it->path);
	if (r == 0)
		tpl_face_show(&p->face, 1000, "fetched");
	tpl_face_end(&p->face);
	if (r < 0)
		return tool_fail(t, "%s", err_text(&e, r));
	if (!j) {
		printf("%s\n", to);
		return 0;
	}
	json_open(j, NULL, '{');
	json_str(j, "name", it->info.name);
	json_str(j, "file", to);
	json_int(j, "bytes", (int64_t)it->bytes);
	json_close(j, '}');
	return 0;
}

int tpl_download(struct tool *t, int argc, char **argv)
{
	_cleanup_(plan_fini) struct plan p;
	struct json j = { 0 }, *json = opt_has(t, KEY_JSON) ? &j : NULL;
	int r = begin(t, &p, TPL_INSTALL), status = 0;

	if (r)
		return r;
	if (!argc)
		return tool_usage(t, "download what?");
	for (int i = 0; i < argc; i++) {
		if (is_file(argv[i]))
			return tool_usage(t, "'%s' is a file", argv[i]);
		plan_word(t, &p, argv[i]);
	}
	if (json)
		json_open(json, NULL, '[');
	for (size_t i = 0; i < p.n && !tpl_interrupted(); i++) {
		r = download_one(t, &p, &p.v[i], json);
		status = status ? status : r;
	}
	if (json)
		json_close(json, ']');
	return tpl_interrupted() ? 130 : p.failed ? EXIT_FAIL : status;
}
