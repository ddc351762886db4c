/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Keys whose signatures count for templates: one file a key in PATH_TEMPLATE_KEYS, NAME.pub, "bulkhead-template-key-1 64 HEX DIGITS". This
 * machine's own key signs what is exported without --key; it is made when it is first needed.
 */
#ifndef TOOL_TPL_KEYS_H
#define TOOL_TPL_KEYS_H

#include "base/wr.h"
#include "proto/tpl.h"

#define TPL_KEY_NAME_MAX 64
#define TPL_OWN_KEY "this-machine"

/* tpl_keys_put writes the keys for template-verifier: "HEX NAME" a line; only: the one key that counts, NULL = all. -ENOENT when there is none. */
int tpl_keys_put(struct wr *w, const char *only, struct err *e);
/* tpl_keys_each calls fn for each key in the order of their names. */
int tpl_keys_each(void (*fn)(const char *name, const char *hex, void *arg), void *arg, struct err *e);
/* tpl_key_read takes the public key from a file of keygen or from 64 digits. */
int tpl_key_read(const char *what, char ret_hex[2 * TPL_KEY_LEN + 1], struct err *e);
/* tpl_key_trust adds a key; -EEXIST when the name is taken by another key. */
int tpl_key_trust(const char *name, const char *hex, struct err *e);
int tpl_key_remove(const char *name, struct err *e);
/* tpl_key_generate makes a pair: path (secret, for its owner only) and path.pub. Nothing is written over. */
int tpl_key_generate(const char *path, char ret_hex[2 * TPL_KEY_LEN + 1], struct err *e);
/* tpl_key_own gives a descriptor of this machine's secret key, which is made and trusted when it is not there. */
int tpl_key_own(struct err *e);
bool tpl_key_name_ok(const char *s);

#endif
