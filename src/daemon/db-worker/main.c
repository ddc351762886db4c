/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * db-worker: the work of qvm-db, one command a process: check, export, import, snapshots, snapshot, restore. It takes the database's lock, so it
 * never works beside a daemon. Arguments were checked by qvm-db's option table; they are checked again where they name files.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/proc.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "proto/isotime.h"
#include "store/files.h"
#include "store/qubesxml.h"
#include "store/xmlimport.h"

#define XML_JSON_MAX (64u << 20)

struct job {
	const char *command, *arg;
	bool json, dry_run, xml;
	unsigned said;
};

static void say(void *arg, bool wrong, const char *text)
{
	struct job *j = arg;
	char shown[1024];

	(void)fprintf(stderr, "qvm-db: %s%s\n", wrong ? "" : "note: ", str_escape(shown, sizeof shown, text, strlen(text)));
	j->said++;
}

static int check_snapshot(const char *path, const char *name, struct err *e)
{
	char file[PATH_MAX];
	int r = store_snapshot_path(file, path, name, e);

	return r < 0 ? r : store_file_check(file, e);
}

/* Works on a copy: a check must not change what it checks, not even by a migration. */
static int do_check(struct job *j, struct store_place *p, struct err *e)
{
	int r = store_copy(p, e);

	if (r >= 0)
		r = store_validate(p->fresh, say, j, e);
	if (r < 0)
		return r;
	if (r > 0)
		return err_set(e, EUCLEAN, "%d value%s in the database make%s no sense", r, r == 1 ? "" : "s", r == 1 ? "s" : "");
	printf("the database is whole\n");
	return 0;
}

static int do_export(struct job *j, struct store_place *p, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(STORE_JSON_MAX);
	int r = store_copy(p, e);

	if (r >= 0)
		r = store_export(&w, p->fresh, e);
	if (r < 0)
		return r;
	if (j->arg && !streq(j->arg, "-"))
		return fs_write_atomic(AT_FDCWD, j->arg, w.buf, w.len, 0600, e);
	r = write_full(STDOUT_FILENO, w.buf, w.len);
	return r < 0 ? err_errno(e, -r, "standard output") : 0;
}

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* "ROLE PID START" a line, written by the spawner: does one of them live? */
static bool lives(const char *text)
{
	for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n') {
		unsigned long long start;
		int pid, fd;

		if (sscanf(p, "%*31s %d %llu", &pid, &start) != 2)
			continue;
		fd = proc_open_checked(pid, start);
		if (fd >= 0) {
			close(fd);
			return true;
		}
	}
	return false;
}

/* Qubes go on running while the daemon is stopped. Another state would not know them, or take them for others. */
static int none_running(struct err *e)
{
	_cleanup_(closedirp) DIR *d = opendir(path_get(PATH_QUBE_RUN));
	struct dirent *ent;

	while (d && (ent = readdir(d))) {
		_cleanup_free_ char *path = xasprintf("%s/pids", ent->d_name), *text = NULL;
		size_t len;

		if (ent->d_name[0] != '.' && fs_read(dirfd(d), path, 1u << 16, &text, &len, NULL) >= 0 && lives(text))
			return err_set(e, EBUSY, "qube number %.20s is running; start qubesd, shut all qubes down (`qvm-shutdown --all --wait`) and stop it again", ent->d_name);
	}
	return 0;
}

static int commit(struct job *j, struct store_place *p, const char *why, struct err *e)
{
	char was[PATH_MAX];
	int r = j->dry_run ? 0 : none_running(e);

	if (r >= 0 && !j->dry_run)
		r = store_commit(p, why, was, e);
	if (r < 0)
		return r;
	if (j->dry_run)
		printf("it can be taken; nothing was changed\n");
	else if (was[0])
		printf("done; the former state is %s\n", was);
	else
		printf("done\n");
	return 0;
}

static int validated(struct job *j, struct store_place *p, struct err *e)
{
	int r = store_validate(p->fresh, say, j, e);

	return r > 0 ? err_set(e, EINVAL, "%d value%s cannot be taken; nothing was changed", r, r == 1 ? "" : "s") : r;
}

struct xml_job {
	unsigned counts[XML_VERDICTS];
	int dir; /* of the file */
};

static void on_xml(void *arg, enum xml_verdict v, const char *text)
{
	static const char *const words[XML_VERDICTS] = { "taken   ", "changed ", "left out" };
	struct xml_job *x = arg;

	x->counts[v]++;
	printf("%s  %s\n", words[v], text);
}

/* Another process reads the foreign file: it has the open file, a pipe, and nothing else. */
static char *read_xml(int fd, struct err *e)
{
	char program[PATH_MAX], *text = NULL;
	const char *argv[] = { "db-worker", "--parse-xml", NULL };
	struct proc_spec s = { .path = path_program(program, "db-worker"), .argv = argv, .keep_stderr = true, .fds = { { fd, 0 } }, .n_fds = 1 };
	size_t len;

	return proc_capture(&s, XML_JSON_MAX, &text, &len, e) < 0 ? NULL : text;
}

/* firewall.xml lies in the qube's folder beside qubes.xml. */
static char *on_firewall(void *arg, const char *qube, const char *cls, struct err *e)
{
	static const char *const folders[] = { "appvms", "vm-templates", "servicevms" };
	const struct xml_job *x = arg;

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s/firewall.xml", folders[i], qube);
		_cleanup_fd_ int fd = fs_open_beneath(x->dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0, NULL);

		if (fd >= 0)
			return read_xml(fd, e);
	}
	return NULL;
}

static int add_xml(struct xml_import *im, struct store_place *p, const char *json, struct err *e)
{
	static const struct core_ops no_ops;
	struct store *s = NULL;
	int r = store_open(&s, p->fresh, e);

	if (r < 0)
		return r;
	im->c = core_new(&no_ops, NULL, &store_ops, s);
	r = store_load(s, im->c, e);
	if (r >= 0)
		r = xml_import(im, json, strlen(json));
	core_free(im->c);
	store_close(s);
	return r;
}

static int do_import_xml(struct job *j, struct store_place *p, struct err *e)
{
	struct xml_job ctx = { .dir = -1 };
	struct xml_import im = { .report = on_xml, .firewall = on_firewall, .arg = &ctx, .e = e };
	_cleanup_fd_ int fd = open(j->arg, O_RDONLY | O_CLOEXEC | O_NONBLOCK), dir = -1;
	_cleanup_free_ char *json = NULL, *folder = xstrdup(j->arg);
	char *slash = strrchr(folder, '/');
	int r;

	if (slash)
		slash[slash == folder] = '\0';
	dir = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || dir < 0)
		return err_errno(e, errno, "%s", j->arg);
	ctx.dir = dir;
	json = read_xml(fd, e);
	if (!json)
		return err_set(e, EINVAL, "%s cannot be read", j->arg);
	r = store_copy(p, e);
	if (r >= 0)
		r = add_xml(&im, p, json, e);
	if (r >= 0)
		r = validated(j, p, e);
	if (r < 0)
		return r;
	printf("%u taken, %u changed, %u left out\n", ctx.counts[XML_TAKEN], ctx.counts[XML_CHANGED], ctx.counts[XML_LEFT]);
	return commit(j, p, "import", e);
}

static int do_import(struct job *j, struct store_place *p, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	if (j->xml)
		return do_import_xml(j, p, e);
	r = fs_read(AT_FDCWD, j->arg, STORE_JSON_MAX, &text, &len, e);
	if (r >= 0)
		r = err_add(e, store_import(p, text, len, e), "%s", j->arg);
	if (r >= 0)
		r = validated(j, p, e);
	return r < 0 ? r : commit(j, p, "import", e);
}

/* The confined half: standard input to standard output. */
static int parse_xml(struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(XML_JSON_MAX), in = wr_grow(QUBESXML_MAX + 1);
	static uint8_t buf[65536];
	ssize_t n;
	int r;

	json_object_seed(0); /* asks for random numbers while it still can */
	r = sandbox_enter(SB_PARSER, NULL, 0, e);
	if (r < 0)
		return r;
	while ((n = read(STDIN_FILENO, buf, sizeof buf)) > 0)
		wr_bytes(&in, buf, (size_t)n);
	if (n < 0)
		return err_errno(e, errno, "reading");
	if (!wr_ok(&in))
		return err_set(e, EFBIG, "the file is too large");
	r = qubesxml_json(&w, rd_mem(in.buf, in.len), e);
	if (r >= 0)
		r = write_full(STDOUT_FILENO, w.buf, w.len);
	return r;
}

static int do_restore(struct job *j, struct store_place *p, struct err *e)
{
	char name[STORE_SNAPSHOT_NAME];
	int r;

	if (streq(j->arg, "latest")) {
		if (!store_snapshot_good(p->path, name))
			return err_set(e, ENOENT, "there is no good snapshot");
	} else if (str_copy(name, sizeof name, j->arg) < 0) {
		return err_set(e, EINVAL, "'%.80s' is no name of a snapshot; `qvm-db snapshots` lists them", j->arg);
	}
	r = store_take(p, name, e);
	if (r >= 0)
		r = validated(j, p, e);
	return r < 0 ? r : commit(j, p, "restore", e);
}

static int do_snapshot(struct job *j, struct store_place *p, struct err *e)
{
	struct store *s = NULL;
	char name[STORE_SNAPSHOT_NAME];
	int r;

	/* The store takes the lock itself. */
	store_place_close(p);
	if (access(p->path, F_OK) < 0)
		return err_set(e, ENOENT, "there is no database %s; start qubesd once", p->path);
	r = store_open(&s, p->path, e);
	if (r < 0)
		return r;
	r = store_snapshot_now(s, "manual", name, e);
	store_close(s);
	if (r >= 0)
		printf("%s\n", name);
	return r;
}

static int do_snapshots(struct job *j, const char *path, struct err *e)
{
	struct store_snapshots s;
	int r = store_snapshots_get(&s, path, e);

	if (r < 0)
		return r;
	if (j->json)
		printf("[");
	for (size_t i = 0; i < s.n; i++) {
		char when[ISOTIME_CAP];
		bool good = check_snapshot(path, s.v[i].name, NULL) == 0;

		if (isotime_put(when, (struct isotime){ .sec = s.v[i].time }, false) < 0)
			when[0] = '\0';
		if (j->json)
			printf("%s{\"name\": \"%s\", \"time\": \"%s\", \"version\": %u, \"bytes\": %" PRId64 ", \"good\": %s}", i ? ", " : "", s.v[i].name, when,
			       s.v[i].version, s.v[i].size, good ? "true" : "false");
		else
			printf("%s  version %u  %" PRId64 " KiB%s\n", s.v[i].name, s.v[i].version, (s.v[i].size + 1023) / 1024, good ? "" : "  DAMAGED");
	}
	if (j->json)
		printf("]\n");
	store_snapshots_fini(&s);
	return 0;
}

static const struct {
	const char *name;
	int (*fn)(struct job *j, struct store_place *p, struct err *e);
} commands[] = {
	{ "check", do_check }, { "export", do_export }, { "import", do_import }, { "restore", do_restore }, { "snapshot", do_snapshot },
};

static int run(struct job *j, struct err *e)
{
	const char *path = path_get(PATH_DB);
	struct store_place p = { .lock = -1 };
	int r;

	if (streq(j->command, "snapshots"))
		return do_snapshots(j, path, e);
	if (streq(j->command, "check") && j->arg) {
		r = check_snapshot(path, j->arg, e);
		if (r == 0)
			printf("the snapshot is whole\n");
		return r;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!streq(commands[i].name, j->command))
			continue;
		r = store_place_open(&p, path, e);
		if (r >= 0)
			r = commands[i].fn(j, &p, e);
		store_place_close(&p);
		return r;
	}
	return err_set(e, EINVAL, "there is no command '%s'", j->command);
}

int main(int argc, char **argv)
{
	struct job j = { .command = argc > 1 ? argv[1] : "" };
	struct err e = { 0 };
	int r;

	for (int i = 2; i < argc; i++) {
		if (streq(argv[i], "--json"))
			j.json = true;
		else if (streq(argv[i], "--dry-run"))
			j.dry_run = true;
		else if (streq(argv[i], "--qubes-xml"))
			j.xml = true;
		else if (!streq(argv[i], "--"))
			j.arg = argv[i];
	}
	log_init("qvm-db", NULL, -1);
	log_set_level(LOG_L_WARN);
	if (streq(j.command, "--parse-xml")) {
		r = parse_xml(&e);
	} else {
		r = paths_init(NULL, &e);
		if (r >= 0)
			r = run(&j, &e);
	}
	if (r >= 0 && fflush(stdout) != 0)
		r = err_errno(&e, errno, "standard output");
	if (r < 0)
		(void)fprintf(stderr, "qvm-db: error: %s\n", err_text(&e, r));
	return r < 0 ? 1 : 0;
}
