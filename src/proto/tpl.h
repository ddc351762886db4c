/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Template files and indexes of template repositories (docs/template-format.md): the signed head, the manifest, the index. Pure functions.
 * A text is decoded only after its signature was checked; the decoders are strict all the same: one form for each content, every value in
 * its range, nothing unknown.
 */
#ifndef PROTO_TPL_H
#define PROTO_TPL_H

#include "base/err.h"
#include "base/rd.h"
#include "base/wr.h"

#define TPL_HEAD_LEN 116
#define TPL_MAGIC_LEN 16
#define TPL_KEY_LEN 32
#define TPL_SIG_LEN 64
#define TPL_SHA_LEN 32
#define TPL_SHA_HEX (2 * TPL_SHA_LEN + 1)
#define TPL_TEXT_MAX (4u << 20)	   /* of a manifest or an index */
#define TPL_RAW_MAX (4u << 20)	   /* bytes of the image in one part */
#define TPL_PACKED_MAX (TPL_RAW_MAX + (64u << 10))
#define TPL_PARTS_MAX 32768u
#define TPL_IMAGE_MAX (UINT64_C(128) << 30)
#define TPL_ENTRIES_MAX 4096u
#define TPL_KV_MAX 64u
#define TPL_FILE_MAX 100 /* name of a file in a repository */

enum tpl_kind { TPL_TEMPLATE, TPL_INDEX, TPL_KIND_N };

/* The signed head: 16 bytes magic, u32le length of the text, 32 bytes public key, 64 bytes signature over magic and text. */
struct tpl_head {
	enum tpl_kind kind;
	uint32_t len;
	uint8_t key[TPL_KEY_LEN], sig[TPL_SIG_LEN];
};
const char *tpl_magic(enum tpl_kind kind);
/* tpl_head_get reads TPL_HEAD_LEN bytes; -EBADMSG with a text when they are no head of the wanted kind. */
int tpl_head_get(struct rd *r, enum tpl_kind want, struct tpl_head *ret, struct err *e);
void tpl_head_put(struct wr *w, const struct tpl_head *h);

/* Texts of one template; "" = not said. */
struct tpl_info {
#define FIELD(member, word, max, kind, must, feature) char member[(max) + 1];
#include "proto/tplfield.def"
#undef FIELD
};
/* The rows of tplfield.def, for whoever goes over all of them: tpl_field gives the value of row i, and NULL at the end. */
const char *tpl_field(const struct tpl_info *t, size_t i, const char **ret_word, const char **ret_feature);
/* tpl_field_set gives a row a value by its word; -EINVAL with a text, -ENOENT when there is no such row. */
int tpl_field_set(struct tpl_info *t, const char *word, const char *value, struct err *e);
/* tpl_info_check says whether everything that must be there is there. */
int tpl_info_check(const struct tpl_info *t, struct err *e);
/* tpl_evr writes EPOCH:VERSION-RELEASE. */
#define TPL_EVR_MAX 120
const char *tpl_evr(char out[TPL_EVR_MAX], const struct tpl_info *t);
/* tpl_evr_cmp orders epoch, version, release: runs of digits by their number, other runs by their letters, '~' before everything. */
int tpl_evr_cmp(const struct tpl_info *a, const struct tpl_info *b);
int tpl_version_cmp(const char *a, const char *b);

struct tpl_kv {
	char *key, *value;
};
struct tpl_part {
	uint64_t off;	      /* in the image */
	uint32_t raw, packed; /* bytes in the image, bytes in the file */
	uint8_t sha[TPL_SHA_LEN];
};
struct tpl_manifest {
	struct tpl_info info;
	struct tpl_kv features[TPL_KV_MAX], properties[TPL_KV_MAX];
	size_t n_features, n_properties;
	uint64_t size; /* of the image */
	struct tpl_part *parts; /* ascending, not overlapping */
	size_t n_parts;
};
/* tpl_manifest_get decodes a whole manifest; release with tpl_manifest_fini in every case. */
int tpl_manifest_get(struct rd r, struct tpl_manifest *ret, struct err *e);
void tpl_manifest_put(struct wr *w, const struct tpl_manifest *m);
void tpl_manifest_fini(struct tpl_manifest *m);
/* tpl_manifest_add adds a feature or a property that a manifest may hold; -EINVAL, -E2BIG, -EPERM for one that it may not. */
int tpl_manifest_add(struct tpl_manifest *m, bool property, const char *key, const char *value, struct err *e);
/* tpl_feature_allowed, tpl_property_allowed: what a template file may set on the qube that is made of it. */
bool tpl_feature_allowed(const char *name);
bool tpl_property_allowed(const char *name);
/* tpl_manifest_packed gives the bytes of all parts. */
uint64_t tpl_manifest_packed(const struct tpl_manifest *m);

struct tpl_entry {
	struct tpl_info info;
	char file[TPL_FILE_MAX + 1];
	uint64_t bytes, size;	  /* of the file; of the image */
	uint8_t sha[TPL_SHA_LEN]; /* of the manifest's text */
};
struct tpl_index {
	char repository[65];
	uint64_t number;	    /* grows with every publication */
	uint64_t created, expires; /* seconds since 1970 */
	struct tpl_entry *v;
	size_t n;
};
int tpl_index_get(struct rd r, struct tpl_index *ret, struct err *e);
void tpl_index_put(struct wr *w, const struct tpl_index *x);
void tpl_index_fini(struct tpl_index *x);
/* tpl_file_ok: a plain file name of a repository. tpl_repo_ok: the name of a repository. */
bool tpl_file_ok(const char *s);
bool tpl_repo_ok(const char *s);
/* tpl_date_ok: YYYY-MM-DD, a day that exists; gives days since 1970 through ret (may be NULL). */
bool tpl_date_ok(const char *s, int64_t *ret);

void hex_put(char *out, const uint8_t *p, size_t n); /* 2n digits and NUL */
bool hex_get(const char *s, uint8_t *out, size_t n); /* exactly 2n lower-case digits */

#define _cleanup_manifest_ _cleanup_(tpl_manifest_fini)
#define _cleanup_index_ _cleanup_(tpl_index_fini)

#endif
