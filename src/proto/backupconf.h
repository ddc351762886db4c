/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Backup profiles (etc/backup/NAME.conf): the part of YAML that the reference writes into them. `key: value`, `key:` with `- item` lines below or a
 * [list, in, brackets], quotes around values, comments. Anything else is refused with its line. Pure.
 */
#ifndef PROTO_BACKUPCONF_H
#define PROTO_BACKUPCONF_H

#include "base/err.h"
#include "base/rd.h"

#define BACKUP_CONF_MAX 65536
#define BACKUP_ITEMS_MAX 1024
#define BACKUP_VALUE_MAX 256

struct backup_list {
	bool given; /* the key is there, if with nothing below it */
	char **items;
	size_t n;
};

struct backup_conf {
	struct backup_list include, exclude;
	char destination_vm[BACKUP_VALUE_MAX], destination_path[BACKUP_VALUE_MAX], compression[BACKUP_VALUE_MAX];
	char passphrase_vm[BACKUP_VALUE_MAX];
	bool passphrase_text; /* the profile holds one; nobody here needs to know it */
};

/* backup_conf_parse fills *ret, which the caller ends with backup_conf_fini in every case. -EINVAL with the number of the line. */
int backup_conf_parse(struct backup_conf *ret, struct rd text, struct err *e) _must_check_;
void backup_conf_fini(struct backup_conf *c);

#endif
