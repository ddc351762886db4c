/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Reading of the account files. */
#include "qrexec/user.h"

#include <fcntl.h>
#include <limits.h>

#include "base/fsx.h"
#include "base/rd.h"
#include "base/str.h"

#define ACCOUNTS_MAX (4 << 20)

/* field copies the next ':'-separated text of a line; the last one may be followed by nothing. */
static void field(struct rd *line, char *out, size_t cap)
{
	size_t n = 0;

	while (n < rd_left(line) && line->p[n] != ':')
		n++;
	struct rd f = rd_sub(line, n);
	if (rd_left(line))
		rd_u8(line);
	rd_text(&f, out, cap);
	if (!rd_ok(&f))
		rd_fail(line);
}

static bool id(const char *s, uint32_t *ret)
{
	uint64_t v;

	/* the greatest value means "unchanged" to the kernel */
	if (str_u64(s, UINT32_MAX - 1, &v) < 0)
		return false;
	*ret = (uint32_t)v;
	return true;
}

static bool passwd_line(struct rd line, struct user *u)
{
	char password[256], uid[16], gid[16], gecos[512];

	field(&line, u->name, sizeof u->name);
	field(&line, password, sizeof password);
	field(&line, uid, sizeof uid);
	field(&line, gid, sizeof gid);
	field(&line, gecos, sizeof gecos);
	field(&line, u->home, sizeof u->home);
	field(&line, u->shell, sizeof u->shell);
	if (!rd_ok(&line) || !u->name[0] || !id(uid, &u->uid) || !id(gid, &u->gid))
		return false;
	if (u->home[0] != '/')
		(void)!str_copy(u->home, sizeof u->home, "/");
	if (u->shell[0] != '/')
		(void)!str_copy(u->shell, sizeof u->shell, "/bin/sh");
	return true;
}

static void add_group(struct user *u, gid_t gid)
{
	if (gid != u->gid && u->n_groups < USER_GROUPS_MAX)
		u->groups[u->n_groups++] = gid;
}

static bool member(const char *list, const char *name)
{
	size_t n = strlen(name);

	while (*list) {
		size_t m = strcspn(list, ",");

		if (m == n && memcmp(list, name, n) == 0)
			return true;
		list += m + (list[m] == ',');
	}
	return false;
}

/* A file of accounts below dir: its text is the caller's, r reads it. */
static int read_accounts(const char *dir, const char *file, char **text, struct rd *r, struct err *e)
{
	char path[PATH_MAX];
	size_t n;
	int rc;

	if (str_printf(path, sizeof path, "%s/%s", dir, file) < 0)
		return -ENAMETOOLONG;
	rc = fs_read(AT_FDCWD, path, ACCOUNTS_MAX, text, &n, e);
	if (rc == 0)
		*r = rd_mem(*text, n);
	return rc < 0 ? rc : 0;
}

struct group {
	char name[256];
	uint32_t gid;
	char *members; /* separated by commas */
};

static void group_fini(struct group *g)
{
	free(STEAL_PTR(g->members));
}

/* The next line of the group file that is one; false at the end. */
static bool next_group(struct rd *r, struct group *g)
{
	char password[256], gid[16];
	struct rd line;

	while (rd_line(r, &line)) {
		field(&line, g->name, sizeof g->name);
		field(&line, password, sizeof password);
		field(&line, gid, sizeof gid);
		group_fini(g);
		g->members = rd_dup(&line, ACCOUNTS_MAX);
		if (g->members && id(gid, &g->gid))
			return true;
	}
	return false;
}

static int read_groups(struct user *u, const char *dir, struct err *e)
{
	_cleanup_(group_fini) struct group g = { 0 };
	_cleanup_free_ char *text = NULL;
	struct rd r;
	int rc = read_accounts(dir, "group", &text, &r, e);

	if (rc < 0)
		return rc;
	while (next_group(&r, &g))
		if (member(g.members, u->name))
			add_group(u, (gid_t)g.gid);
	return 0;
}

static int find(struct user *ret, const char *dir, const char *name, uid_t uid, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	struct rd r, line;
	int rc;

	rc = read_accounts(dir, "passwd", &text, &r, e);
	if (rc < 0)
		return rc;
	while (rd_line(&r, &line)) {
		struct user u = { 0 };

		if (!passwd_line(line, &u) || (name ? !streq(u.name, name) : u.uid != uid))
			continue;
		rc = read_groups(&u, dir, e);
		if (rc < 0 && rc != -ENOENT)
			return rc;
		*ret = u;
		return 0;
	}
	return name ? err_set(e, ENOENT, "there is no user '%s'", name) : err_set(e, ENOENT, "there is no user with id %u", uid);
}

int user_by_name(struct user *ret, const char *dir, const char *name, struct err *e)
{
	return find(ret, dir, name, 0, e);
}

int user_by_uid(struct user *ret, const char *dir, uid_t uid, struct err *e)
{
	return find(ret, dir, NULL, uid, e);
}

/* The first member of a group's line that has an account. */
static bool first_account(struct user *ret, const char *dir, char *members)
{
	while (*members) {
		char *end = strchrnul(members, ','), *next = *end ? end + 1 : end;

		*end = '\0';
		if (*members && find(ret, dir, members, 0, NULL) == 0)
			return true;
		members = next;
	}
	return false;
}

int user_of_dom0(struct user *ret, const char *dir, struct err *e)
{
	_cleanup_(group_fini) struct group g = { 0 };
	_cleanup_free_ char *text = NULL;
	struct rd r;
	int rc = read_accounts(dir, "group", &text, &r, e);

	if (rc < 0)
		return rc;
	while (next_group(&r, &g)) {
		if (!streq(g.name, "qubes"))
			continue;
		if (first_account(ret, dir, g.members))
			return 0;
		break;
	}
	return err_set(e, ENOENT, "no account to run services as: the group qubes has no member");
}
