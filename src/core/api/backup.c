/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * admin.backup.*: profiles are read and their summary is told. Making the archive is not part of this version: Execute checks the profile and then says so,
 * so that no caller takes silence for a backup.
 */
#include <fcntl.h>

#include "base/fsx.h"
#include "base/paths.h"
#include "base/str.h"
#include "core/api/api.h"
#include "proto/backupconf.h"

/* Names of files: no '/', nothing hidden. */
static bool profile_ok(const char *s)
{
	return s[0] && s[0] != '.' && strlen(s) <= 64 && str_chars(s, "-_.");
}

static int load(struct call *c, struct backup_conf *ret)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	struct err e = { 0 };
	size_t n = 0;
	int r;

	if (!profile_ok(c->arg))
		return err_set(&c->err, AE_PROTOCOL, "a profile has letters, digits, '-', '_' and '.' in its name");
	r = fs_read(AT_FDCWD, path_fmt(path, PATH_BACKUP_PROFILES, "/%s.conf", c->arg), BACKUP_CONF_MAX, &text, &n, &e);
	if (r == -ENOENT)
		return err_set(&c->err, AE_BACKUP_NO_PROFILE, "there is no backup profile '%s' (%s)", c->arg, path);
	if (r < 0)
		return err_set(&c->err, AE_GENERIC, "backup profile '%s': %s", c->arg, err_text(&e, r));
	r = backup_conf_parse(ret, rd_mem(text, n), &e);
	if (r < 0)
		return err_set(&c->err, AE_GENERIC, "backup profile '%s': %s", c->arg, err_text(&e, r));
	if (!ret->destination_vm[0] || !ret->destination_path[0])
		return err_set(&c->err, AE_GENERIC, "backup profile '%s' names no %s", c->arg, ret->destination_vm[0] ? "destination_path" : "destination_vm");
	if (!ret->passphrase_text && !ret->passphrase_vm[0])
		return err_set(&c->err, AE_GENERIC, "backup profile '%s' has neither passphrase_text nor passphrase_vm", c->arg);
	return 0;
}

/* An item is a qube or $type:CLASS. */
static bool matches(const struct qube *q, const struct backup_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const char *item = l->items[i];

		if (str_starts(item, "$type:") ? streq(item + 6, klass_name(q->klass)) : streq(item, q->name.s))
			return true;
	}
	return false;
}

static bool selected(const struct call *c, const struct backup_conf *conf, const struct qube *q)
{
	bool in = conf->include.given ? matches(q, &conf->include) : prop_bool(c->core, q, P_include_in_backups);

	return in && !matches(q, &conf->exclude) && q->klass != K_REMOTE;
}

static int check_names(struct call *c, const struct backup_conf *conf)
{
	struct qube *q;

	for (size_t i = 0; i < conf->include.n; i++)
		if (!str_starts(conf->include.items[i], "$type:") && qube_lookup(c->core, conf->include.items[i], &q, &c->err) < 0)
			return -c->err.code;
	return qube_lookup(c->core, conf->destination_vm, &q, &c->err);
}

static void summary(struct call *c, const struct backup_conf *conf)
{
	struct wr *w = &c->out;
	unsigned n = 0;

	wr_printf(w, "%-32s %-14s %s\n", "NAME", "CLASS", "STATE");
	for (size_t i = 0; i < c->core->n_sorted; i++) {
		const struct qube *q = c->core->sorted[i];

		if (!selected(c, conf, q))
			continue;
		wr_printf(w, "%-32s %-14s %s\n", q->name.s, klass_name(q->klass), life_name(q->state));
		n++;
	}
	wr_printf(w, "\nqubes: %u\ndestination: %s:%s\ncompression: %s\npassphrase: %s%s\n", n, conf->destination_vm, conf->destination_path,
		  conf->compression[0] ? conf->compression : "default", conf->passphrase_vm[0] ? "asked from " : "in the profile", conf->passphrase_vm);
}

int api_backup_info(struct call *c)
{
	struct backup_conf conf = { 0 };
	int r = load(c, &conf);

	if (r == 0)
		r = check_names(c, &conf);
	if (r == 0)
		summary(c, &conf);
	backup_conf_fini(&conf);
	return r;
}

int api_backup_execute(struct call *c)
{
	struct backup_conf conf = { 0 };
	int r = load(c, &conf);

	if (r == 0)
		r = check_names(c, &conf);
	backup_conf_fini(&conf);
	return r < 0 ? r : err_set(&c->err, AE_NOT_IMPLEMENTED, "this version cannot make backups: nothing was saved");
}

int api_backup_cancel(struct call *c)
{
	struct backup_conf conf = { 0 };
	int r = load(c, &conf);

	backup_conf_fini(&conf);
	return r < 0 ? r : err_set(&c->err, AE_GENERIC, "no backup with the profile '%s' is under way", c->arg);
}
