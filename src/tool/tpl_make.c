/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-template export, publish, verify, keygen, key: making template files and repositories, and saying whose count. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/paths.h"
#include "proto/isotime.h"
#include "tool/tpl_keys.h"
#include "tool/tpl_verb.h"

#define EXPIRES_DEFAULT_DAYS 30u

static uint64_t clock_now(void)
{
	struct timespec now;

	return clock_gettime(CLOCK_REALTIME, &now) == 0 ? (uint64_t)now.tv_sec : 0;
}

static int secret_fd(struct tool *t, struct err *e)
{
	const char *path = opt_str(t, KEY_SIGN);
	int fd;

	if (!path)
		return tpl_key_own(e);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_errno(e, errno, "key '%s'", path) : fd;
}

static int field(struct tpl_info *i, const char *word, const char *value, struct err *e)
{
	return value && value[0] ? tpl_field_set(i, word, value, e) : 0;
}

/* What a new version is called when nobody says: the distribution's version, and the time of the export. */
static int default_version(struct tpl_info *i, struct err *e)
{
	char iso[ISOTIME_CAP], release[16];
	struct utsname u;
	int r = 0;

	if (isotime_put(iso, (struct isotime){ (int64_t)clock_now(), 0 }, false) < 0 || uname(&u) < 0)
		return err_set(e, EINVAL, "the clock is not set");
	if (str_printf(release, sizeof release, "%.4s%.2s%.2s%.2s%.2s", iso, iso + 5, iso + 8, iso + 11, iso + 14) < 0)
		return -EINVAL;
	if (!i->epoch[0])
		r = tpl_field_set(i, "epoch", "0", e);
	if (r == 0 && !i->version[0])
		r = tpl_field_set(i, "version", i->os_version[0] ? i->os_version : "1", e);
	if (r == 0)
		r = tpl_field_set(i, "release", release, e);
	if (r == 0)
		r = tpl_field_set(i, "arch", u.machine, e);
	if (r == 0 && !i->summary[0])
		r = tpl_field_set(i, "summary", i->name, e);
	return r;
}

static int chosen_fields(struct tool *t, struct tpl_info *i, struct err *e)
{
	static const struct {
		int key;
		const char *word;
	} rows[] = { { KEY_NAME, "name" },	 { KEY_EPOCH, "epoch" },     { KEY_VERSION_, "version" }, { KEY_RELEASE, "release" },
		     { KEY_SUMMARY, "summary" }, { KEY_LICENSE, "license" }, { KEY_URL, "url" },	      { KEY_DESCRIPTION, "description" },
		     { KEY_EOL, "eol" } };
	int r = 0;

	for (size_t k = 0; r == 0 && k < ARRAY_SIZE(rows); k++)
		r = field(i, rows[k].word, opt_str(t, rows[k].key), e);
	return r;
}

/* What the qube says about itself goes with it, as far as a template file may say it. */
static int take_facts(struct tool *t, const char *qube, struct tpl_manifest *m, struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct tpl_insts insts;
	const struct tpl_inst *have;
	struct adm_props props;
	char built[24], *text, *line;
	int r = tpl_insts_get(&insts, e);

	if (r < 0)
		return r;
	have = tpl_insts_find(&insts, qube);
	if (have)
		m->info = have->info;
	tpl_insts_fini(&insts);
	if (r == 0)
		r = field(&m->info, "name", qube, e);
	if (r == 0)
		r = adm_text(&rep, qube, "admin.vm.feature.List", NULL, NULL, e);
	text = rep.data;
	while (r == 0 && (line = adm_line(&text))) {
		_cleanup_reply_ struct adm_reply value = { 0 };

		if (tpl_feature_allowed(line) && adm_text(&value, qube, "admin.vm.feature.Get", line, NULL, NULL) == 0 && value.data[0])
			r = tpl_manifest_add(m, false, line, value.data, e);
	}
	if (r == 0)
		r = adm_props_get(&props, qube, false, e);
	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < props.n; i++)
		if (!props.v[i].is_default && props.v[i].value[0] && tpl_property_allowed(props.v[i].name))
			r = tpl_manifest_add(m, true, props.v[i].name, props.v[i].value, e);
	adm_props_fini(&props);
	if (r == 0 && str_printf(built, sizeof built, "%llu", (unsigned long long)clock_now()) == 0)
		r = tpl_field_set(&m->info, "built", built, e);
	if (r == 0)
		r = default_version(&m->info, e);
	return r < 0 ? r : chosen_fields(t, &m->info, e);
}

/* The lines of template-worker pack. */
static int take_parts(struct tpl_manifest *m, char *text, struct err *e)
{
	size_t cap = 0;
	char *line;

	while ((line = adm_line(&text))) {
		unsigned long long off;
		unsigned raw, packed;

		if (sscanf(line, "%llu %u %u", &off, &raw, &packed) != 3)
			return err_set(e, EPROTO, "template-worker said something else");
		if (m->n_parts == cap)
			m->parts = xreallocarray(m->parts, cap = cap ? cap * 2 : 64, sizeof *m->parts);
		m->parts[m->n_parts++] = (struct tpl_part){ .off = off, .raw = raw, .packed = packed };
	}
	return 0;
}

static int pack(struct tpl_face *f, int image, uint64_t size, int payload, struct tpl_manifest *m, struct err *e)
{
	_cleanup_tpl_proc_ struct tpl_proc p = TPL_PROC_INIT;
	_cleanup_fd_ int list = tpl_memory("", 0, e);
	_cleanup_free_ char *text = NULL;
	char number[24];
	const char *const argv[] = { "pack", number, NULL };
	const struct tpl_fd fds[] = { { image, 0 }, { payload, 1 }, { list, 3 } };
	off_t n;
	int r;

	if (list < 0 || str_printf(number, sizeof number, "%llu", (unsigned long long)size) < 0)
		return list < 0 ? list : -EINVAL;
	r = tpl_start(&p, "template-worker", argv, fds, ARRAY_SIZE(fds), e);
	while (r == 0) {
		off_t at = lseek(image, 0, SEEK_CUR); /* shared with the worker */

		r = tpl_end(&p, 500, e);
		if (r != -ETIMEDOUT)
			break;
		f->text = "packing";
		tpl_face_bytes(at > 0 ? (uint64_t)at : 0, size, f);
		r = 0;
	}
	if (r < 0)
		return r;
	n = lseek(list, 0, SEEK_END);
	text = xcalloc(1, (size_t)n + 1);
	if (lseek(list, 0, SEEK_SET) < 0 || read_full(list, text, (size_t)n) != (ssize_t)n)
		return err_set(e, EIO, "the list of parts cannot be read");
	m->size = size;
	return take_parts(m, text, e);
}

/* Head and manifest with sums, signed. */
static int sign(int payload, int key, const struct tpl_manifest *m, char **ret, size_t *ret_len, struct err *e)
{
	static const char *const argv[] = { "template", NULL };
	_cleanup_wr_ struct wr w = wr_grow(TPL_TEXT_MAX);
	_cleanup_fd_ int text = -1;

	tpl_manifest_put(&w, m);
	if (!wr_ok(&w))
		return err_set(e, EFBIG, "the image has too many parts");
	text = tpl_memory(w.buf, w.len, e);
	if (text < 0 || lseek(payload, 0, SEEK_SET) < 0)
		return text < 0 ? text : err_errno(e, errno, "reading the parts");

	const struct tpl_fd fds[] = { { payload, 0 }, { text, 3 }, { key, 4 } };

	return tpl_capture("template-signer", argv, fds, ARRAY_SIZE(fds), TPL_HEAD_LEN + TPL_TEXT_MAX, ret, ret_len, e);
}

/* Head, manifest, parts: a new file that appears whole. */
static int assemble(const char *path, const char *head, size_t n_head, int payload, struct err *e)
{
	_cleanup_free_ char *tmp = xasprintf("%s.part", path);
	_cleanup_free_ uint8_t *buf = xmalloc(1u << 20);
	_cleanup_fd_ int out = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ssize_t n = 0;
	int r;

	if (out < 0)
		return err_errno(e, errno, "%s", tmp);
	r = write_full(out, head, n_head);
	if (lseek(payload, 0, SEEK_SET) < 0)
		r = -errno;
	while (r == 0 && (n = read_full(payload, buf, 1u << 20)) > 0)
		r = write_full(out, buf, (size_t)n);
	if (r == 0 && (n < 0 || fsync(out) < 0 || rename(tmp, path) < 0))
		r = n < 0 ? (int)n : -errno;
	if (r < 0)
		(void)unlink(tmp);
	return r < 0 ? err_errno(e, -r, "%s", path) : 0;
}

static int export_image(struct tool *t, struct tpl_face *f, const char *qube, const char *path, int image, uint64_t size, struct err *e)
{
	_cleanup_manifest_ struct tpl_manifest m = { .n_parts = 0 };
	_cleanup_free_ char *head = NULL, *dir = xstrdup(path);
	_cleanup_fd_ int payload = -1, key = -1;
	char *slash = strrchr(dir, '/');
	size_t n = 0;
	int r = take_facts(t, qube, &m, e);

	if (r == 0)
		key = r = secret_fd(t, e);
	if (r < 0)
		return r;
	if (slash)
		slash[slash == dir] = '\0';
	payload = open(slash ? dir : ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (payload < 0)
		return err_errno(e, errno, "a temporary file in %s", slash ? dir : "this directory");
	r = pack(f, image, size, payload, &m, e);
	if (r == 0)
		r = sign(payload, key, &m, &head, &n, e);
	return r < 0 ? r : assemble(path, head, n, payload, e);
}

/* An object of two values */
static void json_pairs(const char *key, const char *value, const char *key2, const char *value2)
{
	struct json j = { 0 };

	json_open(&j, NULL, '{');
	json_str(&j, key, value);
	json_str(&j, key2, value2);
	json_close(&j, '}');
}

int tpl_export(struct tool *t, const char *qube, const char *path)
{
	_cleanup_reply_ struct adm_reply begin = { 0 }, end = { 0 };
	_cleanup_fd_ int image = -1;
	struct tpl_face f;
	struct err e = { 0 };
	struct stat st = { 0 };
	char *at, id[32];
	int r = str_printf(id, sizeof id, "template%d", (int)getpid());

	if (r < 0)
		return EXIT_FAIL;
	tpl_face_init(&f, t);
	if (access(path, F_OK) == 0 && !opt_has(t, KEY_FORCE))
		return tool_fail(t, "'%s' is there already; --force writes over it", path);
	r = adm_internal(&begin, qube, "internal.vm.volume.ExportBegin", "root", id, &e);
	if (r < 0)
		return tool_api(t, r, &e);
	at = strchr(begin.data, '/');
	if (at) {
		at[strcspn(at, "\n")] = '\0';
		image = open(at, O_RDONLY | O_CLOEXEC);
	}
	if (image < 0 || fstat(image, &st) < 0)
		r = err_errno(&e, at ? errno : EPROTO, "the root image of '%s'", qube);
	else
		r = export_image(t, &f, qube, path, image, (uint64_t)st.st_size, &e);
	(void)!adm_internal(&end, qube, "internal.vm.volume.ExportEnd", "root", id, NULL);
	if (r == 0)
		tpl_face_show(&f, 1000, "exported");
	tpl_face_end(&f);
	if (r == 0 && opt_has(t, KEY_JSON))
		json_pairs("name", qube, "file", path);
	return r < 0 ? (r == -EINTR ? 130 : tool_api(t, r, &e)) : 0;
}

static int cmp_entries(const void *a, const void *b)
{
	const struct tpl_entry *x = a, *y = b;
	int c = strcmp(x->info.name, y->info.name);

	return c ? c : tpl_evr_cmp(&y->info, &x->info);
}

static int template_files(const struct dirent *d)
{
	return str_ends(d->d_name, ".template");
}

static int gather(const char *dir, struct tpl_index *x, struct err *e)
{
	struct dirent **v = NULL;
	int n = scandir(dir, &v, template_files, alphasort), r = 0;

	if (n < 0)
		return err_errno(e, errno, "%s", dir);
	x->v = xcalloc((size_t)n + 1, sizeof *x->v);
	for (int i = 0; i < n; i++) {
		_cleanup_tpl_file_ struct tpl_file f = TPL_FILE_INIT;
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, v[i]->d_name);
		struct tpl_entry *ent = &x->v[x->n];

		if (r == 0 && !tpl_file_ok(v[i]->d_name))
			r = err_set(e, EINVAL, "'%s' is no name for a file of a repository", v[i]->d_name);
		if (r == 0)
			r = tpl_file_open(&f, path, NULL, e);
		if (r == 0) {
			*ent = (struct tpl_entry){ .info = f.m.info, .bytes = f.bytes, .size = f.m.size };
			memcpy(ent->sha, f.sum, TPL_SHA_LEN);
			r = str_copy(ent->file, sizeof ent->file, v[i]->d_name);
			x->n++;
		}
		free(v[i]);
	}
	free(v);
	qsort(x->v, x->n, sizeof *x->v, cmp_entries);
	return r;
}

static int write_index(struct tool *t, const char *path, const struct tpl_index *x, struct err *e)
{
	static const char *const argv[] = { "index", NULL };
	_cleanup_wr_ struct wr w = wr_grow(TPL_TEXT_MAX);
	_cleanup_fd_ int key = secret_fd(t, e), text = -1;
	_cleanup_free_ char *out = NULL;
	size_t n = 0;
	int r;

	if (key < 0)
		return key;
	tpl_index_put(&w, x);
	if (!wr_ok(&w))
		return err_set(e, EFBIG, "too many templates");
	text = tpl_memory(w.buf, w.len, e);
	if (text < 0)
		return text;

	const struct tpl_fd fds[] = { { text, 3 }, { key, 4 } };

	r = tpl_capture("template-signer", argv, fds, ARRAY_SIZE(fds), TPL_HEAD_LEN + TPL_TEXT_MAX, &out, &n, e);
	return r < 0 ? r : fs_write_atomic(AT_FDCWD, path, out, n, 0644, e);
}

/* The number of the index that is there: the next one is greater. */
static uint64_t last_number(const char *path)
{
	_cleanup_index_ struct tpl_index old = { .n = 0 };
	_cleanup_free_ char *bytes = NULL;
	size_t n = 0;

	if (fs_read(AT_FDCWD, path, TPL_HEAD_LEN + (size_t)TPL_TEXT_MAX, &bytes, &n, NULL) < 0 || tpl_index_open(&old, bytes, n, NULL, NULL) < 0)
		return 0;
	return old.number;
}

int tpl_publish(struct tool *t, const char *dir)
{
	_cleanup_index_ struct tpl_index x = { .n = 0 };
	_cleanup_free_ char *path = xasprintf("%s/templates.index", dir);
	const char *name = opt_str(t, KEY_REPO_NAME), *days = opt_str(t, KEY_EXPIRES);
	uint64_t n_days = EXPIRES_DEFAULT_DAYS;
	struct json j = { 0 };
	struct err e = { 0 };
	int r;

	if (!name || !tpl_repo_ok(name))
		return tool_usage(t, "give the repository's name with --repository NAME: letters, digits and . _ -");
	if (days && (str_u64(days, 3650, &n_days) < 0 || !n_days))
		return tool_usage(t, "--expires takes a number of days");
	x.created = clock_now();
	x.expires = x.created + n_days * 86400;
	/* The clock counts too: a lost index does not make the next one look old. */
	x.number = MAX(last_number(path) + 1, x.created);
	r = str_copy(x.repository, sizeof x.repository, name);
	if (r == 0)
		r = gather(dir, &x, &e);
	if (r == 0)
		r = write_index(t, path, &x, &e);
	if (r < 0)
		return tool_fail(t, "%s", err_text(&e, r));
	if (opt_has(t, KEY_JSON)) {
		json_open(&j, NULL, '{');
		json_str(&j, "repository", name);
		json_int(&j, "templates", (int64_t)x.n);
		json_int(&j, "number", (int64_t)x.number);
		json_int(&j, "expires", (int64_t)x.expires);
		json_close(&j, '}');
	}
	tool_note(t, "%zu template%s in repository '%s', number %llu, good for %llu days", x.n, x.n == 1 ? "" : "s", name, (unsigned long long)x.number,
		  (unsigned long long)n_days);
	return 0;
}

static void verify_json(struct json *j, const char *path, const struct tpl_file *f, const char *error)
{
	char evr[TPL_EVR_MAX];

	json_open(j, NULL, '{');
	json_str(j, "file", path);
	json_bool(j, "good", !error);
	json_str(j, "name", error ? NULL : f->m.info.name);
	json_str(j, "evr", error ? NULL : tpl_evr(evr, &f->m.info));
	json_str(j, "key", error ? NULL : f->key);
	json_str(j, "error", error);
	json_close(j, '}');
}

int tpl_verify(struct tool *t, int argc, char **argv)
{
	struct json j = { 0 }, *json = opt_has(t, KEY_JSON) ? &j : NULL;
	int failed = 0;

	if (!argc)
		return tool_usage(t, "name template files");
	if (json)
		json_open(json, NULL, '[');
	for (int i = 0; i < argc && !tpl_interrupted(); i++) {
		_cleanup_tpl_file_ struct tpl_file f = TPL_FILE_INIT;
		char evr[TPL_EVR_MAX];
		struct tpl_face face;
		struct err e = { 0 };
		int r = tpl_file_open(&f, argv[i], NULL, &e);

		tpl_face_init(&face, t);
		face.text = "checking";
		if (r == 0)
			r = tpl_file_unpack(&f, NULL, -1, face.bar ? tpl_face_bytes : NULL, &face, &e);
		tpl_face_end(&face);
		if (json)
			verify_json(json, argv[i], &f, r < 0 ? err_text(&e, r) : NULL);
		if (r < 0) {
			(void)tool_fail(t, "%s: %s", argv[i], err_text(&e, r));
			failed++;
		} else if (!json) {
			printf("%s: %s %s, signed by %s\n", argv[i], f.m.info.name, tpl_evr(evr, &f.m.info), f.key);
		}
	}
	if (json)
		json_close(json, ']');
	return tpl_interrupted() ? 130 : failed ? EXIT_FAIL : 0;
}

int tpl_keygen(struct tool *t, const char *path)
{
	char hex[2 * TPL_KEY_LEN + 1];
	struct err e = { 0 };
	int r = tpl_key_generate(path, hex, &e);

	if (r < 0)
		return tool_fail(t, "%s", err_text(&e, r));
	if (opt_has(t, KEY_JSON))
		json_pairs("file", path, "key", hex);
	else
		printf("%s\n", hex);
	tool_note(t, "'%s' signs and stays secret; '%s.pub' goes to whoever shall trust it ('qvm-template key trust NAME FILE')", path, path);
	return 0;
}

static void list_key(const char *name, const char *hex, void *arg)
{
	struct table *tb = arg;

	table_add(tb, name);
	table_add(tb, hex);
}

static void list_key_json(const char *name, const char *hex, void *arg)
{
	struct json *j = arg;

	json_open(j, NULL, '{');
	json_str(j, "name", name);
	json_str(j, "key", hex);
	json_close(j, '}');
}

static int key_list(struct tool *t)
{
	_cleanup_(table_freep) struct table *tb = table_new(2);
	struct json j = { 0 };
	struct err e = { 0 };
	int r;

	if (opt_has(t, KEY_JSON))
		json_open(&j, NULL, '[');
	table_add(tb, "NAME");
	table_add(tb, "KEY");
	r = opt_has(t, KEY_JSON) ? tpl_keys_each(list_key_json, &j, &e) : tpl_keys_each(list_key, tb, &e);
	if (opt_has(t, KEY_JSON))
		json_close(&j, ']');
	else
		table_print(tb, t, true);
	return r < 0 ? tool_fail(t, "%s", err_text(&e, r)) : 0;
}

int tpl_key(struct tool *t, int argc, char **argv)
{
	char hex[2 * TPL_KEY_LEN + 1];
	struct err e = { 0 };
	int r;

	if (argc == 1 && streq(argv[0], "list"))
		return key_list(t);
	if (argc == 3 && streq(argv[0], "trust")) {
		r = tpl_key_read(argv[2], hex, &e);
		if (r == 0)
			r = tpl_key_trust(argv[1], hex, &e);
		if (r == 0 && opt_has(t, KEY_JSON))
			json_pairs("name", argv[1], "key", hex);
		return r < 0 ? tool_fail(t, "%s", err_text(&e, r)) : 0;
	}
	if (argc == 2 && streq(argv[0], "remove")) {
		r = tpl_key_remove(argv[1], &e);
		if (r == 0 && opt_has(t, KEY_JSON))
			json_pairs("name", argv[1], "key", NULL);
		return r < 0 ? tool_fail(t, "%s", err_text(&e, r)) : 0;
	}
	return tool_usage(t, "key takes 'list', 'trust NAME FILE' or 'remove NAME'");
}
