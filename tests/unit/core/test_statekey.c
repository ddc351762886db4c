/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys of saved states: the hash, the lists of services, who may start from one; and the queue of preloaded disposables as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/sha256.h"
#include "base/str.h"
#include "core/api/preload.h"
#include "core/statekey.h"

static void is_digest(const void *p, size_t n, const char *want)
{
	char hex[SHA256_HEX + 1];

	sha256_hex(p, n, hex);
	assert_string_equal(hex, want);
}

/* The examples of FIPS 180-4, and every length around the ends of blocks against the sum of their digests. */
static void test_sha256(void **state)
{
	char big[300], all[301 * SHA256_HEX + 1];

	is_digest("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	is_digest("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	is_digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	memset(big, 'a', sizeof big);
	for (size_t n = 0; n <= sizeof big; n++)
		sha256_hex(big, n, all + n * SHA256_HEX);
	is_digest(all, 301 * SHA256_HEX, "1d2ef37f10edc523a59e4fa147289061bd7b8b98a208a636c2b3334c56a5838d");
}

static struct qube *qube(enum klass k, const char *name)
{
	struct uuid u = { "12345678-1234-1234-1234-123456789abc" };

	return qube_alloc(name, &u, 7, k);
}

static void test_services(void **state)
{
	struct qube *q = qube(K_APP, "work");
	char out[STATE_SERVICES_MAX], key[64];

	assert_int_equal(state_services(q, out), 0);
	assert_string_equal(out, "");
	kv_set(&q->features, "service.cups", "1");
	kv_set(&q->features, "service.off", "");
	kv_set(&q->features, "service.a-b_c.d", "1");
	kv_set(&q->features, "service.meminfo-writer", "1");
	kv_set(&q->features, "service.", "1");
	kv_set(&q->features, "other", "1");
	assert_int_equal(state_services(q, out), 0);
	assert_string_equal(out, "a-b_c.d,cups");
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(str_printf(key, sizeof key, "service.a-rather-long-name-%u", i), 0);
		kv_set(&q->features, key, "1");
	}
	assert_int_equal(state_services(q, out), -E2BIG);
	qube_free(q);
}

static void test_key_is_its_text(void **state)
{
	struct wr w = wr_grow(100);
	char one[STATE_KEY_LEN + 1], two[STATE_KEY_LEN + 1];

	wr_str(&w, "memory 400\n");
	state_key(&w, one);
	wr_str(&w, "vcpus 1\n");
	state_key(&w, two);
	assert_int_equal(strlen(one), STATE_KEY_LEN);
	assert_int_equal(strspn(one, "0123456789abcdef"), STATE_KEY_LEN);
	assert_string_not_equal(one, two);
	wr_free(&w);
}

static void test_disposable_of(void **state)
{
	struct qube *t = qube(K_APP, "dvm"), *q;

	t->props[P_memory] = xstrdup("432");
	t->props[P_netvm] = xstrdup("");
	kv_set(&t->features, "service.cups", "1");
	q = state_disposable(t);
	assert_int_equal(q->klass, K_DISP);
	assert_int_equal(q->qid, 0);
	assert_string_equal(q->props[P_memory], "432");
	assert_string_equal(q->props[P_template], "dvm");
	assert_null(q->props[P_netvm]);
	assert_string_equal(kv_get(&q->features, "service.cups"), "1");
	qube_free(q);
	qube_free(t);
}

static void test_queue(void **state)
{
	struct qube *t = qube(K_APP, "dvm");
	char name[QNAME_MAX + 1];
	size_t at = 0;

	assert_false(preload_next(t, &at, name));
	assert_int_equal(preload_count(t), 0);
	kv_set(&t->features, "preload-dispvm", "  disp1 disp22  disp333");
	assert_int_equal(preload_count(t), 3);
	assert_true(preload_next(t, &at, name));
	assert_string_equal(name, "disp1");
	assert_true(preload_next(t, &at, name));
	assert_true(preload_next(t, &at, name));
	assert_string_equal(name, "disp333");
	assert_false(preload_next(t, &at, name));
	/* what no name can be ends it */
	kv_set(&t->features, "preload-dispvm", "disp1 a-name-that-is-much-longer-than-any-qube-may-have disp2");
	assert_int_equal(preload_count(t), 1);
	qube_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha256), cmocka_unit_test(test_services), cmocka_unit_test(test_key_is_its_text),
		cmocka_unit_test(test_disposable_of), cmocka_unit_test(test_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
