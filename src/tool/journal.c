/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing and reading the journal of changes. */
#include "tool/journal.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/paths.h"
#include "client/answers.h"
#include "tool/inverse.h"

static struct {
	const struct tool *t;
	char *command;
	int fd; /* of this run's file; -1 before its first change */
	uint64_t no;
	size_t live; /* ops that count */
	char **made; /* qubes that this run made */
	size_t n_made;
} st = { .fd = -1 };

static void put_field(struct wr *w, const char *s, char end)
{
	for (; *s; s++) {
		if (*s == '\n')
			wr_str(w, "\\n");
		else if (*s == '\t')
			wr_str(w, "\\t");
		else if (*s == '\\')
			wr_str(w, "\\\\");
		else
			wr_u8(w, (uint8_t)*s);
	}
	wr_u8(w, (uint8_t)end);
}

/* Numbers of the entries that there are, in no order. */
static size_t numbers(uint64_t **ret)
{
	DIR *d = opendir(path_get(PATH_UNDO));
	size_t n = 0, cap = 0;
	struct dirent *de;

	*ret = NULL;
	while (d && (de = readdir(d))) {
		uint64_t no;

		if (de->d_name[0] == '.' || str_u64(de->d_name, 99999999, &no) < 0)
			continue;
		if (n == cap) {
			cap = cap ? cap * 2 : 128;
			*ret = xreallocarray(*ret, cap, sizeof **ret);
		}
		(*ret)[n++] = no;
	}
	if (d)
		closedir(d);
	return n;
}

static int cmp_numbers(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Makes the next file. Runs at the same time take different numbers. */
static int open_entry(void)
{
	_cleanup_free_ uint64_t *v = NULL;
	char path[PATH_MAX];
	size_t n;

	if (!paths_system_mode() && fs_mkdir_p(path_get(PATH_UNDO), 0700, NULL) < 0)
		return -EACCES;
	n = numbers(&v);
	if (n)
		qsort(v, n, sizeof *v, cmp_numbers);
	for (size_t i = 0; i + JOURNAL_KEPT <= n; i++)
		(void)unlink(path_fmt(path, PATH_UNDO, "/%llu", (unsigned long long)v[i]));
	st.no = n ? v[n - 1] + 1 : 1;
	for (int tries = 0; tries < 100; tries++, st.no++) {
		path_fmt(path, PATH_UNDO, "/%llu", (unsigned long long)st.no);
		st.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0660);
		if (st.fd >= 0 || errno != EEXIST)
			break;
	}
	return st.fd < 0 ? -errno : 0;
}

static void append(const struct wr *w)
{
	int r = 0;

	if (st.fd < 0) {
		_cleanup_wr_ struct wr head = wr_grow(4096);

		r = open_entry();
		wr_str(&head, "command\t");
		put_field(&head, st.command, '\n');
		if (r == 0)
			r = write_full(st.fd, head.buf, head.len);
	}
	if (r == 0)
		r = wr_ok(w) ? write_full(st.fd, w->buf, w->len) : -E2BIG;
	if (r < 0)
		tool_info(st.t, "the change was not recorded for qvm-undo: %s", strerror(-r));
}

static bool made_here(const char *qube)
{
	for (size_t i = 0; i < st.n_made; i++)
		if (streq(st.made[i], qube))
			return true;
	return false;
}

static void *watch_begin(const char *dest, const char *method, const char *arg, const void *payload, size_t len)
{
	_cleanup_free_ char *text = payload && !memchr(payload, 0, len) ? xstrndup(payload, len) : xstrdup("");
	struct change c = { .dest = dest, .method = method, .arg = arg ? arg : "", .payload = text };
	bool gone = streq(method, "admin.vm.Remove");

	/* What happens to a qube that this run made is undone with the qube. */
	return made_here(dest) && !gone ? NULL : inverse_of(&c);
}

static void record(struct inverse *inv)
{
	_cleanup_wr_ struct wr w = wr_grow(1u << 20);

	inverse_finish(inv);
	if (!inv->method[0] && made_here(inv->dest)) {
		wr_str(&w, "gone\t");
		put_field(&w, inv->dest, '\n');
		st.live--;
	} else {
		wr_str(&w, "op\t");
		put_field(&w, inv->text, '\t');
		put_field(&w, inv->dest, '\t');
		put_field(&w, inv->method, '\t');
		put_field(&w, inv->arg, '\t');
		put_field(&w, inv->payload, '\n');
		st.live++;
	}
	append(&w);
	if (streq(inv->method, "admin.vm.Remove")) {
		st.made = xreallocarray(st.made, st.n_made + 1, sizeof *st.made);
		st.made[st.n_made++] = xstrdup(inv->dest);
	}
}

static void watch_end(void *what, int r)
{
	if (r >= 0)
		record(what);
	inverse_free(what);
}

static char *join(const char *name, int argc, char **argv)
{
	_cleanup_wr_ struct wr w = wr_grow(2048);
	char *text;

	wr_str(&w, name);
	for (int i = 1; i < argc && w.len < 300; i++) {
		bool plain = str_chars(argv[i], "_.-:=@,/+");

		wr_printf(&w, plain && argv[i][0] ? " %.200s" : " '%.200s'", argv[i]);
	}
	text = wr_take(&w, NULL);
	return text ? text : xstrdup(name);
}

void journal_start(const struct tool *t, int argc, char **argv)
{
	static const struct adm_watch watch = { watch_begin, watch_end };

	st.t = t;
	st.command = join(t->verb->name, argc, argv);
	adm_watch(&watch);
}

void journal_stop(void)
{
	char path[PATH_MAX];

	adm_watch(NULL);
	if (st.fd >= 0 && st.live == 0)
		(void)unlink(path_fmt(path, PATH_UNDO, "/%llu", (unsigned long long)st.no));
	if (st.fd >= 0)
		close(st.fd);
	st.fd = -1;
	for (size_t i = 0; i < st.n_made; i++)
		free(st.made[i]);
	free(st.made);
	free(st.command);
	st.made = NULL;
	st.command = NULL;
	st.n_made = st.live = 0;
}

static void parse_line(struct journal_entry *ent, char *line)
{
	const char *kind = adm_field(&line);
	struct journal_op op = { .text = adm_field(&line) };

	if (!kind || !op.text)
		return;
	if (streq(kind, "command"))
		ent->command = op.text;
	for (size_t i = 0; i < ent->n && streq(kind, "gone"); i++)
		if (streq(ent->ops[i].method, "admin.vm.Remove") && streq(ent->ops[i].dest, op.text))
			ent->ops[i].gone = true;
	if (!streq(kind, "op"))
		return;
	op.dest = adm_field(&line);
	op.method = adm_field(&line);
	op.arg = adm_field(&line);
	op.payload = adm_field(&line);
	if (op.payload && !line)
		ent->ops[ent->n++] = op;
}

void journal_parse(struct journal_entry *ent, char *text)
{
	size_t lines = 1, live = 0;
	char *nl;

	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	ent->ops = xcalloc(lines, sizeof *ent->ops);
	ent->n = 0;
	ent->command = NULL;
	/* A last line without its end is of a run that was killed. */
	for (; (nl = strchr(text, '\n')); text = nl + 1) {
		*nl = '\0';
		parse_line(ent, text);
	}
	for (size_t i = 0; i < ent->n; i++)
		if (!ent->ops[i].gone)
			ent->ops[live++] = ent->ops[i];
	ent->n = live;
}

uint64_t journal_time(const struct stat *sb)
{
	return (uint64_t)sb->st_mtim.tv_sec * 1000000 + (uint64_t)sb->st_mtim.tv_nsec / 1000;
}

static bool load_one(struct journal_entry *ent, uint64_t no)
{
	char path[PATH_MAX];
	struct stat sb;
	size_t len = 0;

	path_fmt(path, PATH_UNDO, "/%llu", (unsigned long long)no);
	*ent = (struct journal_entry){ .no = no };
	if (lstat(path, &sb) < 0 || !S_ISREG(sb.st_mode) || fs_read(AT_FDCWD, path, JOURNAL_FILE_MAX, &ent->data, &len, NULL) < 0)
		return false;
	ent->time = journal_time(&sb);
	if (strlen(ent->data) == len)
		journal_parse(ent, ent->data);
	if (ent->n && ent->command)
		return true;
	free(ent->ops);
	free(ent->data);
	return false;
}

int journal_load(struct journal_entry **ret, size_t *ret_n, struct err *e)
{
	_cleanup_free_ uint64_t *v = NULL;
	size_t n, out = 0;

	if (access(path_get(PATH_UNDO), R_OK) < 0 && errno != ENOENT)
		return err_errno(e, errno, "'%s'", path_get(PATH_UNDO));
	n = numbers(&v);
	if (n)
		qsort(v, n, sizeof *v, cmp_numbers);
	*ret = xcalloc(n + 1, sizeof **ret);
	for (size_t i = 0; i < n; i++)
		out += load_one(&(*ret)[out], v[i]);
	*ret_n = out;
	return 0;
}

void journal_free(struct journal_entry *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(v[i].ops);
		free(v[i].data);
	}
	free(v);
}

int journal_drop(uint64_t no, struct err *e)
{
	char path[PATH_MAX];

	path_fmt(path, PATH_UNDO, "/%llu", (unsigned long long)no);
	return unlink(path) < 0 && errno != ENOENT ? err_errno(e, errno, "'%s'", path) : 0;
}
