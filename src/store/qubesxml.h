/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The reference's qubes.xml and firewall.xml as JSON. Pure: bytes in, text out; it knows the form of these files, not what they mean. Document
 * types, entities, deep nesting and floods of elements are refused. The file is foreign: call it in a process that is confined.
 */
#ifndef STORE_QUBESXML_H
#define STORE_QUBESXML_H

#include "base/err.h"
#include "base/rd.h"
#include "base/wr.h"

#define QUBESXML_MAX (16u << 20) /* bytes of a file */
#define QUBESXML_ELEMENTS 400000
#define QUBESXML_DEPTH 16
#define QUBESXML_VALUE (64u << 10)

/* qubesxml_json appends {"kind": "qubes", "labels": [{"name", …}], "pools": [{…}], "properties": {…}, "domains": [{"id", "class", "properties": {…},
   "features": {…}, "tags": [name], "devices": [{"class", …, "options": {…}}], "volumes": [{…}]}]} or {"kind": "firewall", "version", "rules": [{…}]};
   all values are texts. -EINVAL with "line N: …", -EFBIG over a limit. */
int qubesxml_json(struct wr *w, struct rd r, struct err *e);

#endif
