/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * template-signer: makes keys, and signs texts that this system's owner has written. The secret key is read from a descriptor, used once and
 * wiped. Confined before it reads: it has these descriptors and nothing else.
 *
 *   template-signer keygen              1  out: "SECRET PUBLIC" in hexadecimal digits, a line
 *   template-signer public              4  in: the secret key (64 digits); 1  out: its public key
 *   template-signer index               3  in: the text; 4  in: the secret key; 1  out: head and text
 *   template-signer template            0  the parts; 3  in: the manifest, sums zero; 4  in: the secret key; 1  out: head and manifest with sums
 *   template-signer sum                 0  anything; 1  out: its SHA-256
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/io.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "proto/tpl.h"

#define FD_TEXT 3
#define FD_KEY 4
#define SECRET_LEN 32

struct signer {
	EVP_PKEY *key;
	uint8_t public[TPL_KEY_LEN];
};

static int read_secret(struct signer *s, struct err *e)
{
	char text[2 * SECRET_LEN + 2] = "";
	uint8_t secret[SECRET_LEN];
	ssize_t n = read_full(FD_KEY, text, sizeof text);
	size_t len = TPL_KEY_LEN;
	bool ok;

	if (n == 2 * SECRET_LEN + 1 && text[2 * SECRET_LEN] == '\n')
		text[2 * SECRET_LEN] = '\0';
	else if (n != 2 * SECRET_LEN)
		text[0] = '\0';
	text[2 * SECRET_LEN + 1] = '\0';
	ok = hex_get(text, secret, sizeof secret);
	if (ok)
		s->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, sizeof secret);
	OPENSSL_cleanse(text, sizeof text);
	OPENSSL_cleanse(secret, sizeof secret);
	if (!ok || !s->key || EVP_PKEY_get_raw_public_key(s->key, s->public, &len) != 1 || len != TPL_KEY_LEN)
		return err_set(e, EINVAL, "this is no secret key of 'qvm-template keygen'");
	return 0;
}

static int put_signed(struct signer *s, enum tpl_kind kind, const void *text, size_t n, struct err *e)
{
	struct tpl_head h = { .kind = kind, .len = (uint32_t)n };
	_cleanup_free_ uint8_t *message = xmalloc(TPL_MAGIC_LEN + n);
	_cleanup_wr_ struct wr w = wr_grow(TPL_HEAD_LEN);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = TPL_SIG_LEN;
	int ok, r;

	memcpy(message, tpl_magic(kind), TPL_MAGIC_LEN);
	memcpy(message + TPL_MAGIC_LEN, text, n);
	memcpy(h.key, s->public, TPL_KEY_LEN);
	ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, s->key) == 1 && EVP_DigestSign(ctx, h.sig, &len, message, TPL_MAGIC_LEN + n) == 1 &&
	     len == TPL_SIG_LEN;
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return err_set(e, EIO, "signing failed");
	tpl_head_put(&w, &h);
	r = write_full(STDOUT_FILENO, w.buf, w.len);
	if (r == 0)
		r = write_full(STDOUT_FILENO, text, n);
	return r < 0 ? err_errno(e, -r, "writing") : 0;
}

static int read_text(uint8_t **ret, size_t *ret_len, struct err *e)
{
	_cleanup_free_ uint8_t *buf = xmalloc(TPL_TEXT_MAX + 1);
	ssize_t n = read_full(FD_TEXT, buf, TPL_TEXT_MAX + 1);

	if (n < 0)
		return err_errno(e, (int)-n, "reading the text");
	if (n == 0 || (size_t)n > TPL_TEXT_MAX)
		return err_set(e, EFBIG, "the text is empty or longer than %u bytes", TPL_TEXT_MAX);
	*ret = STEAL_PTR(buf);
	*ret_len = (size_t)n;
	return 0;
}

/* SHA-256 of the next n bytes of standard input, of all for UINT64_MAX. */
static int sum_of(uint64_t n, uint8_t ret[TPL_SHA_LEN], struct err *e)
{
	_cleanup_free_ uint8_t *buf = xmalloc(1u << 20);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
	uint64_t left = n;
	int r = ok ? 0 : err_set(e, EIO, "SHA-256 is not available");

	while (r == 0 && left) {
		size_t want = (size_t)MIN(left, (uint64_t)1 << 20);
		ssize_t k = read_full(STDIN_FILENO, buf, want);

		if (k < 0)
			r = err_errno(e, (int)-k, "reading");
		else if (EVP_DigestUpdate(ctx, buf, (size_t)k) != 1)
			r = err_set(e, EIO, "SHA-256 failed");
		else if ((size_t)k < want && n == UINT64_MAX)
			break;
		else if ((size_t)k < want)
			r = err_set(e, EBADMSG, "the parts are shorter than they should be");
		left -= want;
	}
	if (r == 0 && EVP_DigestFinal_ex(ctx, ret, NULL) != 1)
		r = err_set(e, EIO, "SHA-256 failed");
	EVP_MD_CTX_free(ctx);
	return r;
}

static int sign_index(struct signer *s, struct err *e)
{
	_cleanup_index_ struct tpl_index x = { .n = 0 };
	_cleanup_free_ uint8_t *text = NULL;
	size_t n = 0;
	int r = read_text(&text, &n, e);

	/* What is signed is what every reader will take. */
	if (r == 0)
		r = tpl_index_get(rd_mem(text, n), &x, e);
	return r < 0 ? r : put_signed(s, TPL_INDEX, text, n, e);
}

static int sign_template(struct signer *s, struct err *e)
{
	_cleanup_manifest_ struct tpl_manifest m = { .n_parts = 0 };
	_cleanup_wr_ struct wr w = wr_grow(TPL_TEXT_MAX);
	_cleanup_free_ uint8_t *text = NULL;
	size_t n = 0;
	int r = read_text(&text, &n, e);

	if (r == 0)
		r = tpl_manifest_get(rd_mem(text, n), &m, e);
	for (size_t i = 0; r == 0 && i < m.n_parts; i++)
		r = sum_of(m.parts[i].packed, m.parts[i].sha, e);
	if (r < 0)
		return r;
	tpl_manifest_put(&w, &m);
	return wr_ok(&w) ? put_signed(s, TPL_TEMPLATE, w.buf, w.len, e) : err_set(e, EFBIG, "the image has too many parts");
}

static int keygen(struct err *e)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	uint8_t secret[SECRET_LEN], public[TPL_KEY_LEN];
	char a[2 * SECRET_LEN + 1], b[2 * TPL_KEY_LEN + 1];
	size_t n = sizeof secret, k = sizeof public;
	bool ok = key && EVP_PKEY_get_raw_private_key(key, secret, &n) == 1 && EVP_PKEY_get_raw_public_key(key, public, &k) == 1 && n == SECRET_LEN &&
		  k == TPL_KEY_LEN;

	EVP_PKEY_free(key);
	if (!ok)
		return err_set(e, EIO, "no key could be made");
	hex_put(a, secret, sizeof secret);
	hex_put(b, public, sizeof public);
	dprintf(STDOUT_FILENO, "%s %s\n", a, b);
	OPENSSL_cleanse(secret, sizeof secret);
	OPENSSL_cleanse(a, sizeof a);
	return 0;
}

static int act(const char *mode, struct signer *s, struct err *e)
{
	uint8_t sum[TPL_SHA_LEN];
	char hex[2 * TPL_KEY_LEN + 1];
	int r = 0;

	if (streq(mode, "keygen"))
		return keygen(e);
	if (streq(mode, "sum")) {
		r = sum_of(UINT64_MAX, sum, e);
		hex_put(hex, sum, sizeof sum);
		return r < 0 ? r : (dprintf(STDOUT_FILENO, "%s\n", hex) < 0 ? -EIO : 0);
	}
	r = read_secret(s, e);
	if (r < 0)
		return r;
	if (streq(mode, "index"))
		return sign_index(s, e);
	if (streq(mode, "template"))
		return sign_template(s, e);
	if (!streq(mode, "public"))
		return err_set(e, EINVAL, "this program is started by qvm-template");
	hex_put(hex, s->public, sizeof s->public);
	return dprintf(STDOUT_FILENO, "%s\n", hex) < 0 ? -EIO : 0;
}

int main(int argc, char **argv)
{
	struct signer s = { .key = NULL };
	struct err e = { 0 };
	uint8_t warm[64];
	unsigned n;
	int r = 0;

	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1 || EVP_Digest("", 0, warm, &n, EVP_sha256(), NULL) != 1)
		r = err_set(&e, EIO, "libcrypto is not available");
	if (r == 0)
		r = sandbox_enter(SB_PARSER, NULL, 0, &e);
	if (r == 0)
		r = act(argc == 2 ? argv[1] : "", &s, &e);
	EVP_PKEY_free(s.key);
	if (r < 0)
		dprintf(STDERR_FILENO, "%s\n", err_text(&e, r));
	return r < 0 ? 1 : 0;
}
