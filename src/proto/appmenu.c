/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists of programs. */
#include "proto/appmenu.h"

#include "base/str.h"
#include "proto/qfile.h"

#define SUFFIX ".desktop"

bool appmenu_id_ok(const char *id)
{
	return id[0] && id[0] != '.' && id[0] != '-' && strlen(id) < APPMENU_ID_CAP && str_chars(id, "._-");
}

/* Text for people: well-formed UTF-8 of characters that mislead nobody, no escapes of the file format. */
static bool text_ok(const char *s)
{
	size_t n = strlen(s), end;

	if (n == 0 || s[0] == ' ' || s[n - 1] == ' ' || strchr(s, '\\'))
		return false;
	/* the rules for names of files know about '/', which is an ordinary character here */
	for (; *s; s += end + (s[end] == '/')) {
		end = strcspn(s, "/");
		if (end && !(end == 1 && s[0] == '.') && !(end == 2 && s[0] == '.' && s[1] == '.') && qfile_name_check(s, end, 0) != 0)
			return false;
	}
	return true;
}

static void take_text(char *out, size_t cap, struct rd value)
{
	rd_text(&value, out, cap);
	if (!rd_ok(&value) || !text_ok(out))
		out[0] = '\0';
}

static void take_chars(char *out, size_t cap, struct rd value, const char *extra)
{
	rd_text(&value, out, cap);
	if (!rd_ok(&value) || !str_chars(out, extra) || out[0] == '.' || out[0] == '-')
		out[0] = '\0';
}

static void take(struct appmenu *a, const struct rd *key, struct rd value)
{
	if (rd_eq(key, "Name"))
		take_text(a->name, sizeof a->name, value);
	else if (rd_eq(key, "Comment") || (rd_eq(key, "GenericName") && !a->comment[0]))
		take_text(a->comment, sizeof a->comment, value);
	else if (rd_eq(key, "Icon"))
		take_chars(a->icon, sizeof a->icon, value, "._-");
	else if (rd_eq(key, "Categories"))
		take_chars(a->categories, sizeof a->categories, value, ";-");
}

/* "FILE.desktop" as an id; "" when it cannot be one. */
static void take_id(char out[APPMENU_ID_CAP], struct rd file)
{
	char name[APPMENU_ID_CAP + sizeof SUFFIX];
	size_t n;

	out[0] = '\0';
	rd_text(&file, name, sizeof name);
	if (!rd_ok(&file) || !str_ends(name, SUFFIX))
		return;
	n = strlen(name) - strlen(SUFFIX);
	name[n] = '\0';
	if (!appmenu_id_ok(name) || str_copy(out, APPMENU_ID_CAP, name) < 0)
		out[0] = '\0';
}

static bool same(const struct rd *a, const struct rd *b)
{
	return rd_left(a) == rd_left(b) && (rd_left(a) == 0 || memcmp(a->p, b->p, rd_left(a)) == 0);
}

/* One group of lines of the same file. */
static int group(struct rd *r, struct appmenu *ret)
{
	struct rd line, file = { 0 }, rest = *r;
	bool any = false;

	memset(ret, 0, sizeof *ret);
	while (rd_line(&rest, &line)) {
		struct rd name, key, whole = line;

		if (rd_left(&line) == 0) {
			*r = rest;
			if (any)
				return 1;
			continue;
		}
		name = rd_until(&line, ':');
		key = rd_until(&line, '=');
		if (!rd_ok(&line) || memchr(whole.p, 0, rd_left(&whole)))
			return -EBADMSG;
		if (any && !same(&file, &name))
			return 1; /* the next file, without a blank line between */
		if (!any)
			take_id(ret->id, name);
		file = name;
		any = true;
		take(ret, &key, line);
		*r = rest;
	}
	*r = rest;
	return any;
}

int appmenu_next(struct rd *r, struct appmenu *ret, unsigned *skipped)
{
	for (;;) {
		int k = group(r, ret);

		if (k <= 0)
			return k;
		if (ret->id[0] && ret->name[0])
			return 1;
		++*skipped;
	}
}

static bool true_value(const struct rd *v)
{
	return rd_eq(v, "true") || rd_eq(v, "1");
}

/* Values of the group [Desktop Entry] that the list has, in the order of the file. */
static bool wanted(const struct rd *key)
{
	static const char *const keys[] = { "Type", "Name", "GenericName", "Comment", "Icon", "Categories", "Terminal", "StartupNotify" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (rd_eq(key, keys[i]))
			return true;
	return false;
}

static void trim(struct rd *r)
{
	while (rd_left(r) && (*r->p == ' ' || *r->p == '\t'))
		rd_skip(r, 1);
	while (rd_left(r) && strchr(" \t\r", r->end[-1]) && r->end[-1])
		*r = rd_sub(r, rd_left(r) - 1);
}

static void put_line(struct wr *w, const char *id, const char *key, size_t key_len, const void *value, size_t n)
{
	wr_printf(w, "%s" SUFFIX ":", id);
	wr_bytes(w, key, key_len);
	wr_u8(w, '=');
	wr_bytes(w, value, n);
	wr_u8(w, '\n');
}

bool appmenu_put(struct wr *w, const char *id, const char *path, struct rd file)
{
	bool in_group = false, exec = false, name = false, application = false, hidden = false;
	size_t start = w->len;
	struct rd line;

	while (rd_line(&file, &line)) {
		struct rd key;

		if (rd_left(&line) && *line.p == '[') {
			in_group = rd_eq(&line, "[Desktop Entry]");
			continue;
		}
		if (!in_group || (rd_left(&line) && memchr(line.p, 0, rd_left(&line))))
			continue;
		key = rd_until(&line, '=');
		if (!rd_ok(&line))
			continue;
		trim(&key);
		trim(&line);
		name |= rd_eq(&key, "Name");
		application |= rd_eq(&key, "Type") && rd_eq(&line, "Application");
		hidden |= (rd_eq(&key, "NoDisplay") || rd_eq(&key, "Hidden")) && true_value(&line);
		if (rd_eq(&key, "Exec") && !exec) {
			exec = true;
			wr_printf(w, "%s" SUFFIX ":Exec=qubes-desktop-run %s\n", id, path);
		} else if (wanted(&key)) {
			put_line(w, id, (const char *)key.p, rd_left(&key), line.p, rd_left(&line));
		}
	}
	if (exec && name && application && !hidden)
		return true;
	if (wr_ok(w))
		w->len = start;
	return false;
}

void appmenu_entry(struct wr *w, const char *qube, const struct appmenu *a, const char *icon)
{
	wr_printf(w, "[Desktop Entry]\nVersion=1.0\nType=Application\nTerminal=false\nX-Qubes-VmName=%s\n", qube);
	wr_printf(w, "Name=%s: %s\n", qube, a->name);
	if (a->comment[0])
		wr_printf(w, "Comment=%s\n", a->comment);
	if (icon || a->icon[0])
		wr_printf(w, "Icon=%s\n", icon ? icon : a->icon);
	wr_printf(w, "Exec=qvm-run -q -a --service -- %s qubes.StartApp+%s\n", qube, a->id);
	wr_printf(w, "Categories=%s%sX-Qubes-VM;\n", a->categories, a->categories[0] && !str_ends(a->categories, ";") ? ";" : "");
}
