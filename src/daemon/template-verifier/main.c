/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * template-verifier: the only program that looks at a template file or an index before it is known who made it. Confined before the first foreign
 * byte: no files, no network, no memory beyond a limit; it has the descriptors below and nothing else.
 *
 *   template-verifier index|head|template
 *   0  the file           1  template: parts whose sum was right, each behind "u64le offset, u32le raw, u32le packed"; last a part of zero bytes
 *   2  one line when it refuses
 *   3  out: "key NAME", "sha256 HEX" of the text, an empty line, the text. Closed before the first part is read.
 *   4  in: the keys that are trusted, "64 HEX DIGITS NAME" a line
 *
 * Order: head (fixed size, compared bytes), signature over the whole text by a trusted key, only then the text itself, then each part: read whole,
 * summed, compared, and only then handed on. Whoever unpacks never sees a byte that was not signed. Ends with 0 when all of it was right.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/io.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "proto/tpl.h"

#define FD_TEXT 3
#define FD_KEYS 4
#define KEYS_MAX (64u << 10)
#define KEY_NAME_MAX 64

struct verifier {
	struct tpl_head head;
	char key_name[KEY_NAME_MAX + 1];
	uint8_t *text; /* of head.len bytes */
	uint8_t sum[TPL_SHA_LEN];
};

static int sha256(const void *p, size_t n, uint8_t ret[TPL_SHA_LEN], struct err *e)
{
	unsigned len = 0;
	uint8_t md[EVP_MAX_MD_SIZE];

	if (EVP_Digest(p, n, md, &len, EVP_sha256(), NULL) != 1 || len != TPL_SHA_LEN)
		return err_set(e, EIO, "SHA-256 is not available");
	memcpy(ret, md, TPL_SHA_LEN);
	return 0;
}

static int exactly(int fd, void *buf, size_t n, const char *what, struct err *e)
{
	ssize_t k = read_full(fd, buf, n);

	if (k < 0)
		return err_errno(e, (int)-k, "reading %s", what);
	return (size_t)k == n ? 0 : err_set(e, EBADMSG, "the file ends inside %s: it is cut off", what);
}

/* The name of the trusted key with these bytes. */
static int find_key(struct rd keys, const uint8_t key[TPL_KEY_LEN], char ret[KEY_NAME_MAX + 1], struct err *e)
{
	struct rd line;

	while (rd_line(&keys, &line)) {
		char text[2 * TPL_KEY_LEN + KEY_NAME_MAX + 2];
		uint8_t have[TPL_KEY_LEN];

		rd_text(&line, text, sizeof text);
		if (!rd_ok(&line) || strlen(text) < 2 * TPL_KEY_LEN + 2 || text[2 * TPL_KEY_LEN] != ' ')
			return err_set(e, EINVAL, "a key of this system is malformed");
		text[2 * TPL_KEY_LEN] = '\0';
		if (!hex_get(text, have, sizeof have))
			return err_set(e, EINVAL, "a key of this system is malformed");
		if (CRYPTO_memcmp(have, key, TPL_KEY_LEN) == 0)
			return str_copy(ret, KEY_NAME_MAX + 1, text + 2 * TPL_KEY_LEN + 1);
	}
	return err_set(e, EACCES, "it is signed by a key that this system does not trust");
}

static int check_signature(const struct verifier *v, struct err *e)
{
	size_t n = TPL_MAGIC_LEN + v->head.len;
	_cleanup_free_ uint8_t *message = xmalloc(n);
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, v->head.key, TPL_KEY_LEN);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = 0;

	memcpy(message, tpl_magic(v->head.kind), TPL_MAGIC_LEN);
	memcpy(message + TPL_MAGIC_LEN, v->text, v->head.len);
	if (pkey && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1)
		ok = EVP_DigestVerify(ctx, v->head.sig, TPL_SIG_LEN, message, n) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	return ok ? 0 : err_set(e, EBADMSG, "its signature is wrong: the file was changed, or damaged on the way");
}

static int read_keys(char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_free_ char *buf = xmalloc(KEYS_MAX);
	ssize_t n = read_full(FD_KEYS, buf, KEYS_MAX);

	if (n < 0 || (size_t)n == KEYS_MAX)
		return err_set(e, EINVAL, "the list of trusted keys cannot be read");
	*ret = STEAL_PTR(buf);
	*ret_len = (size_t)n;
	return 0;
}

/* Head, key, text, signature, in this order. */
static int authenticate(struct verifier *v, enum tpl_kind kind, struct err *e)
{
	_cleanup_free_ char *keys = NULL;
	uint8_t raw[TPL_HEAD_LEN];
	size_t n_keys = 0;
	struct rd rd;
	int r = read_keys(&keys, &n_keys, e);

	if (r == 0)
		r = exactly(STDIN_FILENO, raw, sizeof raw, "its head", e);
	if (r < 0)
		return r;
	rd = rd_mem(raw, sizeof raw);
	r = tpl_head_get(&rd, kind, &v->head, e);
	if (r == 0)
		r = find_key(rd_mem(keys, n_keys), v->head.key, v->key_name, e);
	if (r < 0)
		return r;
	v->text = xmalloc(v->head.len);
	r = exactly(STDIN_FILENO, v->text, v->head.len, "its description", e);
	if (r == 0)
		r = check_signature(v, e);
	return r < 0 ? r : sha256(v->text, v->head.len, v->sum, e);
}

static int tell(const struct verifier *v, struct err *e)
{
	char hex[TPL_SHA_HEX], head[TPL_SHA_HEX + KEY_NAME_MAX + 32];
	int r;

	hex_put(hex, v->sum, TPL_SHA_LEN);
	r = str_printf(head, sizeof head, "key %s\nsha256 %s\n\n", v->key_name, hex);
	if (r == 0)
		r = write_full(FD_TEXT, head, strlen(head));
	if (r == 0)
		r = write_full(FD_TEXT, v->text, v->head.len);
	close(FD_TEXT);
	return r < 0 ? err_errno(e, -r, "handing on the description") : 0;
}

static int put_part(uint64_t off, uint32_t raw, uint32_t packed, const uint8_t *p, struct err *e)
{
	uint8_t head[16];
	struct wr w = wr_mem(head, sizeof head);
	int r;

	wr_u64le(&w, off);
	wr_u32le(&w, raw);
	wr_u32le(&w, packed);
	r = write_full(STDOUT_FILENO, head, sizeof head);
	if (r == 0 && packed)
		r = write_full(STDOUT_FILENO, p, packed);
	return r < 0 ? err_errno(e, -r, "handing on a part of the image") : 0;
}

static int parts(const struct tpl_manifest *m, struct err *e)
{
	_cleanup_free_ uint8_t *buf = xmalloc(TPL_PACKED_MAX);
	uint8_t sum[TPL_SHA_LEN];
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n_parts; i++) {
		const struct tpl_part *p = &m->parts[i];
		char what[48];

		r = str_printf(what, sizeof what, "part %zu of %zu", i + 1, m->n_parts);
		if (r == 0)
			r = exactly(STDIN_FILENO, buf, p->packed, what, e);
		if (r == 0)
			r = sha256(buf, p->packed, sum, e);
		if (r == 0 && memcmp(sum, p->sha, sizeof sum) != 0)
			r = err_set(e, EBADMSG, "%s has not the sum that was signed: the file was changed, or damaged on the way", what);
		if (r == 0)
			r = put_part(p->off, p->raw, p->packed, buf, e);
	}
	if (r == 0 && read_full(STDIN_FILENO, buf, 1) != 0)
		r = err_set(e, EBADMSG, "something stands behind the last part");
	return r < 0 ? r : put_part(m->size, 0, 0, NULL, e);
}

static int verify_index(struct verifier *v, struct err *e)
{
	_cleanup_index_ struct tpl_index x = { .n = 0 };
	int r = authenticate(v, TPL_INDEX, e);
	char more;

	if (r == 0 && read_full(STDIN_FILENO, &more, 1) != 0)
		r = err_set(e, EBADMSG, "something stands behind the index");
	if (r == 0)
		r = tpl_index_get(rd_mem(v->text, v->head.len), &x, e);
	return r < 0 ? r : tell(v, e);
}

static int verify_template(struct verifier *v, bool with_parts, struct err *e)
{
	_cleanup_manifest_ struct tpl_manifest m = { .n_parts = 0 };
	int r = authenticate(v, TPL_TEMPLATE, e);

	if (r == 0)
		r = tpl_manifest_get(rd_mem(v->text, v->head.len), &m, e);
	if (r == 0)
		r = tell(v, e);
	return r == 0 && with_parts ? parts(&m, e) : r;
}

int main(int argc, char **argv)
{
	const char *mode = argc == 2 ? argv[1] : "";
	struct verifier v = { .text = NULL };
	struct err e = { 0 };
	uint8_t warm[TPL_SHA_LEN];
	int r;

	/* The library looks for its configuration and its methods before the files are gone. */
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		r = err_set(&e, EIO, "libcrypto is not available");
	else
		r = sha256("", 0, warm, &e);
	if (r == 0)
		r = sandbox_enter(SB_PARSER, NULL, 0, &e);
	if (r == 0 && streq(mode, "index"))
		r = verify_index(&v, &e);
	else if (r == 0 && (streq(mode, "head") || streq(mode, "template")))
		r = verify_template(&v, streq(mode, "template"), &e);
	else if (r == 0)
		r = err_set(&e, EINVAL, "this program is started by qvm-template");
	free(v.text);
	if (r < 0)
		dprintf(STDERR_FILENO, "%s\n", err_text(&e, r));
	return r < 0 ? 1 : 0;
}
