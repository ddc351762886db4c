/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The database: what is committed comes back after any death of the process; schemas of the future and damage are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/paths.h"
#include "base/str.h"
#include "store/store.h"

#define CRASHES 25

static char dir[] = "/tmp/test-store-XXXXXX", path[64];
static const struct core_ops no_ops;

static struct core *load(struct store **s)
{
	struct err e = { 0 };
	struct core *c;

	if (store_open(s, path, &e) < 0)
		fail_msg("%s", e.msg);
	c = core_new(&no_ops, NULL, &store_ops, *s);
	if (store_fresh(*s)) {
		assert_int_equal(core_init_fresh(c, "file-qcow2", &e), 0);
	} else if (store_load(*s, c, &e) < 0) {
		fail_msg("%s", e.msg);
	}
	return c;
}

static void unload(struct store *s, struct core *c)
{
	core_free(c);
	store_close(s);
}

static int setup(void **state)
{
	(void)fs_rm_rf(AT_FDCWD, dir, NULL);
	assert_int_equal(mkdir(dir, 0700), 0);
	return 0;
}

static struct qube *add(struct core *c, unsigned n, enum klass k)
{
	struct uuid u;
	char name[32];
	struct qube *q;

	assert_int_equal(str_printf(u.s, sizeof u.s, "00000000-0000-4000-8000-%012u", n), 0);
	assert_int_equal(str_printf(name, sizeof name, "q%u", n), 0);
	q = qube_alloc(name, &u, qid_free(c), k);
	for (size_t i = 0; i < q->n_vols; i++)
		assert_int_equal(str_copy(q->vols[i].pool, sizeof q->vols[i].pool, "default"), 0);
	txn_qube_add(c, q);
	txn_prop(c, q, P_label, "red");
	return q;
}

static void test_round_trip(void **state)
{
	struct store *s;
	struct core *c = load(&s);
	struct err e;
	struct qube *q = add(c, 1, K_STANDALONE);
	struct volume v;
	struct label *l = xcalloc(1, sizeof *l);

	txn_prop(c, q, P_kernelopts, "a='b' \"c\" %");
	txn_feature(c, q, "f", "");
	txn_feature(c, q, "g", "1");
	txn_feature(c, q, "g", NULL);
	txn_tag(c, q, "t", true);
	txn_notes(c, q, "line\nline \xc3\xa9");
	txn_firewall(c, q, "action=drop\n");
	txn_global(c, P_g_clockvm, "q1");
	v = q->vols[VOL_PRIVATE];
	v.size = 12345;
	v.keep_set = true;
	v.revisions_to_keep = -1;
	v.ephemeral = 0;
	txn_volume(c, q, &q->vols[VOL_PRIVATE], &v);
	assert_int_equal(str_copy(l->name, sizeof l->name, "mint"), 0);
	assert_int_equal(str_copy(l->value, sizeof l->value, "0x00ff00"), 0);
	l->index = 9;
	txn_label_add(c, l);
	txn_pool_set(c, pool_find(c, "default"), "revisions_to_keep", "5");
	assert_int_equal(txn_commit(c, &e), 0);
	/* This one is taken back. */
	txn_prop(c, q, P_kernelopts, "gone");
	txn_tag(c, q, "gone", true);
	txn_rollback(c);
	assert_string_equal(q->props[P_kernelopts], "a='b' \"c\" %");
	unload(s, c);

	c = load(&s);
	q = qube_find(c, "q1");
	assert_non_null(q);
	assert_int_equal(q->klass, K_STANDALONE);
	assert_string_equal(q->props[P_kernelopts], "a='b' \"c\" %");
	assert_string_equal(kv_get(&q->features, "f"), "");
	assert_null(kv_get(&q->features, "g"));
	assert_non_null(kv_get(&q->tags, "t"));
	assert_null(kv_get(&q->tags, "gone"));
	assert_string_equal(q->notes, "line\nline \xc3\xa9");
	assert_string_equal(q->firewall, "action=drop\n");
	assert_string_equal(c->globals[P_g_clockvm], "q1");
	assert_int_equal(q->vols[VOL_PRIVATE].size, 12345);
	assert_int_equal(volume_keep(c, &q->vols[VOL_PRIVATE]), -1);
	assert_int_equal(q->vols[VOL_PRIVATE].ephemeral, 0);
	assert_int_equal(volume_keep(c, &q->vols[VOL_ROOT]), 5);
	assert_int_equal(label_find(c, "mint")->index, 9);
	assert_non_null(c->dom0);
	txn_qube_del(c, q);
	txn_global(c, P_g_clockvm, NULL);
	assert_int_equal(txn_commit(c, &e), 0);
	unload(s, c);

	c = load(&s);
	assert_null(qube_find_any(c, "q1"));
	unload(s, c);
}

static void test_rows_in_between(void **state)
{
	struct store *s;
	struct core *c = load(&s);
	struct err e;

	txn_qube_row(c, add(c, 1, K_APP), ROW_CREATING);
	txn_qube_row(c, add(c, 2, K_APP), ROW_REMOVING);
	assert_int_equal(txn_commit(c, &e), 0);
	unload(s, c);
	c = load(&s);
	assert_int_equal(c->n_sorted, 1);
	assert_int_equal(qube_find_any(c, "q1")->row, ROW_CREATING);
	assert_int_equal(qube_find_any(c, "q2")->row, ROW_REMOVING);
	unload(s, c);
}

static void sql(const char *text)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", text, sqlite3_errmsg(db));
	sqlite3_close(db);
}

static void test_refused(void **state)
{
	struct store *s = NULL, *second = NULL;
	struct core *c = load(&s);
	struct err e;

	assert_true(store_open(&second, path, &e) < 0); /* one process at a time */
	unload(s, c);
	sql("PRAGMA user_version = 99");
	assert_true(store_open(&s, path, &e) < 0);
	assert_non_null(strstr(e.msg, "version 99"));
	sql("PRAGMA user_version = 3");
	sql("PRAGMA foreign_keys = OFF; INSERT INTO tags VALUES ('nobody', 'x', '')");
	assert_true(store_open(&s, path, &e) < 0);
	assert_non_null(strstr(e.msg, "damaged"));
	sql("DELETE FROM tags");
	sql("INSERT INTO qubes VALUES ('not-a-uuid', 7, 'x', 'AppVM', 'ready')");
	assert_int_equal(store_open(&s, path, &e), 0);
	c = core_new(&no_ops, NULL, &store_ops, s);
	assert_true(store_load(s, c, &e) < 0);
	unload(s, c);
}

/* A property or table row that this version does not know is left alone, not lost. */
static void test_unknown_rows(void **state)
{
	struct store *s;
	struct core *c = load(&s);
	struct err e;

	add(c, 1, K_APP);
	assert_int_equal(txn_commit(c, &e), 0);
	unload(s, c);
	sql("INSERT INTO props SELECT uuid, 'of_the_future', 'x' FROM qubes WHERE name = 'q1'");
	c = load(&s);
	txn_prop(c, qube_find(c, "q1"), P_memory, "500");
	assert_int_equal(txn_commit(c, &e), 0);
	unload(s, c);
	sql("CREATE TABLE probe AS SELECT 1 / (SELECT count(*) FROM props WHERE key = 'of_the_future') AS x;"
	    "CREATE TABLE must (x NOT NULL); INSERT INTO must SELECT x FROM probe");
}

/* The child commits numbers, tells each after its commit, and is killed at a random moment. */
static _noreturn_ void child(int out)
{
	struct store *s;
	struct core *c = load(&s);
	struct qube *q = qube_find(c, "q1");
	struct err e;

	for (uint32_t n = (uint32_t)prop_int(c, q, P_memory, 0) + 1;; n++) {
		char text[16];

		if (str_printf(text, sizeof text, "%u", n) < 0)
			_exit(2);
		txn_prop(c, q, P_memory, text);
		txn_feature(c, q, "same", text);
		if (txn_commit(c, &e) < 0 || write(out, &n, sizeof n) != sizeof n)
			_exit(3);
	}
}

static void test_kill9(void **state)
{
	struct store *s;
	struct core *c = load(&s);
	struct err e;
	uint32_t last = 0;

	add(c, 1, K_APP);
	assert_int_equal(txn_commit(c, &e), 0);
	unload(s, c);
	for (int i = 0; i < CRASHES; i++) {
		uint32_t told = last, n;
		uint8_t moment;
		int fds[2];
		pid_t pid;

		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		pid = fork();
		if (pid == 0)
			child(fds[1]);
		close(fds[1]);
		assert_int_equal(getrandom(&moment, 1, 0), 1);
		/* The first commit shows that it works; the rest of the wait is the random moment itself. */
		assert_int_equal(read_full(fds[0], &n, sizeof n), sizeof n);
		told = n;
		usleep(moment * 150u);
		kill(pid, SIGKILL);
		while (read_full(fds[0], &n, sizeof n) == sizeof n)
			told = n;
		close(fds[0]);
		waitpid(pid, NULL, 0);
		c = load(&s);
		last = (uint32_t)prop_int(c, qube_find(c, "q1"), P_memory, -1);
		assert_true(last == told || last == told + 1); /* the last may be committed and not yet told */
		if (last)
			assert_string_equal(kv_get(&qube_find(c, "q1")->features, "same"), qube_find(c, "q1")->props[P_memory]);
		unload(s, c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_round_trip, setup), cmocka_unit_test_setup(test_rows_in_between, setup),
		cmocka_unit_test_setup(test_refused, setup),	cmocka_unit_test_setup(test_unknown_rows, setup),
		cmocka_unit_test_setup(test_kill9, setup),
	};
	int r;

	if (!mkdtemp(dir) || str_printf(path, sizeof path, "%s/qubes.db", dir) < 0 || paths_init(dir, NULL) < 0)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	(void)fs_rm_rf(AT_FDCWD, dir, NULL);
	return r;
}
