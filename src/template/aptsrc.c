/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Package sources of the host. */
#include "template/aptsrc.h"

#include <dirent.h>
#include <fcntl.h>

#include "base/fsx.h"
#include "base/str.h"

#define FILE_MAX (256u << 10)

static const char *const releases[] = { "bookworm", "trixie", "forky", "bullseye" };
static const char *const suffixes[] = { "", "-updates", "-security" };

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* next_word splits off the next blank separated word; false at the end. */
static bool next_word(struct rd *r, struct rd *ret)
{
	size_t n = 0;

	while (rd_left(r) > 0 && is_blank(*r->p))
		rd_skip(r, 1);
	while (n < rd_left(r) && !is_blank(r->p[n]))
		n++;
	*ret = rd_sub(r, n);
	return n > 0;
}

static bool has_word(struct rd list, const char *word)
{
	struct rd w;

	while (next_word(&list, &w))
		if (rd_eq(&w, word))
			return true;
	return false;
}

/* take copies a word when it is made of harmless characters: the text goes into a configuration
   file and a command line. */
static bool take(struct rd w, const char *extra, char *ret, size_t cap)
{
	rd_text(&w, ret, cap);
	if (rd_ok(&w) && ret[0] && str_chars(ret, extra))
		return true;
	ret[0] = '\0';
	return false;
}

static int add(struct apt_sources *s, struct rd uri, struct rd suite, struct rd signed_by, struct err *e)
{
	struct apt_source row = { 0 };

	if (!take(uri, ":/.-_~+@[]", row.uri, sizeof row.uri) || !take(suite, ".-_", row.suite, sizeof row.suite))
		return 0;
	if (!str_starts(row.uri, "http://") && !str_starts(row.uri, "https://") && !str_starts(row.uri, "file:/"))
		return 0;
	if (rd_left(&signed_by) > 0 && (!take(signed_by, "/.-_+", row.signed_by, sizeof row.signed_by) || row.signed_by[0] != '/'))
		return 0;
	if (s->n == APT_SOURCES_MAX)
		return err_set(e, E2BIG, "more than %d package sources", APT_SOURCES_MAX);
	s->row[s->n++] = row;
	return 0;
}

struct stanza {
	struct rd types, uris, suites, components, signed_by;
	bool disabled;
};

static int stanza_end(const struct stanza *z, struct apt_sources *s, struct err *e)
{
	struct rd uris = z->uris, uri, suite, key = z->signed_by, first;

	if (z->disabled || !has_word(z->types, "deb") || !has_word(z->components, "main"))
		return 0;
	if (!next_word(&key, &first))
		first = rd_mem("", 0);
	while (next_word(&uris, &uri)) {
		struct rd suites = z->suites;

		while (next_word(&suites, &suite)) {
			int r = add(s, uri, suite, first, e);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

static void stanza_reset(struct stanza *z)
{
	struct rd none = rd_mem("", 0);

	*z = (struct stanza){ none, none, none, none, none, false };
}

static int parse_deb822(struct rd r, struct apt_sources *s, struct err *e)
{
	struct stanza z;
	struct rd line;

	stanza_reset(&z);
	while (rd_line(&r, &line)) {
		struct rd probe = line, word, value = line, key;

		if (!next_word(&probe, &word)) {
			int err = stanza_end(&z, s, e);

			if (err < 0)
				return err;
			stanza_reset(&z);
			continue;
		}
		if (*word.p == '#' || is_blank(*line.p))
			continue;
		key = rd_until(&value, ':');
		if (!rd_ok(&key))
			continue;
		if (rd_eq(&key, "Types"))
			z.types = value;
		else if (rd_eq(&key, "URIs"))
			z.uris = value;
		else if (rd_eq(&key, "Suites"))
			z.suites = value;
		else if (rd_eq(&key, "Components"))
			z.components = value;
		else if (rd_eq(&key, "Signed-By"))
			z.signed_by = value;
		else if (rd_eq(&key, "Enabled"))
			z.disabled = has_word(value, "no") || has_word(value, "false");
	}
	return stanza_end(&z, s, e);
}

/* options_key finds signed-by=FILE in the bracket part of a one-line entry. */
static struct rd options_key(struct rd options)
{
	struct rd w;

	while (next_word(&options, &w)) {
		struct rd key = rd_until(&w, '=');

		if (rd_ok(&key) && rd_eq(&key, "signed-by"))
			return w;
	}
	return rd_mem("", 0);
}

static int parse_lines(struct rd r, struct apt_sources *s, struct err *e)
{
	struct rd line;

	while (rd_line(&r, &line)) {
		struct rd word, uri, suite, options = rd_mem("", 0);
		int err;

		if (!next_word(&line, &word) || !rd_eq(&word, "deb"))
			continue;
		while (rd_left(&line) > 0 && is_blank(*line.p))
			rd_skip(&line, 1);
		if (rd_left(&line) > 0 && *line.p == '[') {
			rd_skip(&line, 1);
			options = rd_until(&line, ']');
			if (!rd_ok(&options))
				continue;
		}
		if (!next_word(&line, &uri) || !next_word(&line, &suite) || !has_word(line, "main"))
			continue;
		err = add(s, uri, suite, options_key(options), e);
		if (err < 0)
			return err;
	}
	return 0;
}

int aptsrc_parse(const char *name, struct rd r, struct apt_sources *s, struct err *e)
{
	return str_ends(name, ".sources") ? parse_deb822(r, s, e) : parse_lines(r, s, e);
}

/* suite_suffix gives the index in suffixes when suite is codename plus one of them, else -1. */
static int suite_suffix(const char *suite, const char *codename)
{
	size_t n = strlen(codename);

	if (!str_starts(suite, codename))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
		if (streq(suite + n, suffixes[i]))
			return (int)i;
	return -1;
}

static int write_release(const struct apt_sources *s, const char *from, const char *to, struct wr *w)
{
	int n = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct apt_source *row = &s->row[i];
		int suffix = suite_suffix(row->suite, from);

		if (suffix < 0)
			continue;
		wr_str(w, "deb ");
		if (row->signed_by[0])
			wr_printf(w, "[signed-by=%s] ", row->signed_by);
		wr_printf(w, "%s %s%s main\n", row->uri, to, suffixes[suffix]);
		n++;
	}
	return n;
}

int aptsrc_write(const struct apt_sources *s, const char *codename, struct wr *w, struct err *e)
{
	int n = write_release(s, codename, codename, w);

	for (size_t i = 0; n == 0 && i < ARRAY_SIZE(releases); i++)
		n = write_release(s, releases[i], codename, w);
	if (!wr_ok(w))
		return err_set(e, ENOMEM, "package sources");
	return n > 0 ? n : err_set(e, ENOENT, "the apt configuration of this machine names no archive for Debian %s", codename);
}

static int read_file(int dirfd, const char *name, struct apt_sources *s, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = fs_read(dirfd, name, FILE_MAX, &text, &len, e);

	if (r == -ENOENT) {
		err_clear(e);
		return 0;
	}
	return r < 0 ? r : aptsrc_parse(name, rd_mem(text, len), s, e);
}

int aptsrc_host(const char *etc, struct apt_sources *ret, struct err *e)
{
	_cleanup_fd_ int top = open(etc, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *ent;
	DIR *dir;
	int fd, r;

	ret->n = 0;
	if (top < 0)
		return err_errno(e, errno, "opening %s", etc);
	r = read_file(top, "sources.list", ret, e);
	if (r < 0)
		return r;
	fd = openat(top, "sources.list.d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return 0;
	while (r >= 0 && (ent = readdir(dir)))
		if (str_ends(ent->d_name, ".list") || str_ends(ent->d_name, ".sources"))
			r = read_file(dirfd(dir), ent->d_name, ret, e);
	closedir(dir);
	return r;
}
