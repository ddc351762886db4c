/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Migrations: a snapshot before the first, each step whole or not at all, no way back; the lock on the files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/paths.h"
#include "base/str.h"
#include "store/files.h"
#include "store/internal.h"

static char dir[] = "/tmp/test-migrate-XXXXXX", path[64];

static const struct migration steps[] = {
	{ "one", "CREATE TABLE t (a TEXT PRIMARY KEY) WITHOUT ROWID" },
	{ "two", "ALTER TABLE t ADD COLUMN b INTEGER NOT NULL DEFAULT 7" },
	{ "three", "CREATE TABLE u (x TEXT REFERENCES t(a)); INSERT INTO u SELECT a FROM t" },
};
static const struct migration broken[] = {
	{ "one", "CREATE TABLE t (a TEXT PRIMARY KEY) WITHOUT ROWID" },
	{ "two", "CREATE TABLE half (x); INSERT INTO half VALUES (1); INSERT INTO nowhere VALUES (1)" },
};
static const struct migration orphans[] = {
	{ "one", "CREATE TABLE t (a TEXT PRIMARY KEY) WITHOUT ROWID" },
	{ "two", "CREATE TABLE u (x TEXT REFERENCES t(a)); INSERT INTO u VALUES ('nobody')" },
};

static sqlite3 *fresh(unsigned version)
{
	struct err e = { 0 };
	sqlite3 *db;

	(void)fs_rm_rf(AT_FDCWD, dir, NULL);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(store_migrate(db, path, steps, version, &e), 0);
	return db;
}

static void is(sqlite3 *db, const char *sql, const char *want)
{
	struct err e = { 0 };
	char text[64];

	if (store_query(db, sql, text, sizeof text, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(text, want);
}

static size_t count(void)
{
	struct store_snapshots s;
	size_t n;

	assert_int_equal(store_snapshots_get(&s, path, NULL), 0);
	n = s.n;
	store_snapshots_fini(&s);
	return n;
}

static void test_steps(void **state)
{
	sqlite3 *db = fresh(1), *old;
	struct err e = { 0 };
	struct store_snapshots s;
	char file[PATH_MAX];

	assert_int_equal(count(), 0); /* a new file has nothing to lose */
	assert_int_equal(store_exec(db, "INSERT INTO t VALUES ('x')", &e), 0);
	assert_int_equal(store_migrate(db, path, steps, ARRAY_SIZE(steps), &e), 0);
	is(db, "PRAGMA user_version", "3");
	is(db, "SELECT b FROM t", "7");
	is(db, "SELECT x FROM u", "x");
	assert_int_equal(store_snapshots_get(&s, path, &e), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.v[0].version, 1);
	assert_true(str_ends(s.v[0].name, "-v1-migration.db"));
	assert_int_equal(store_snapshot_path(file, path, s.v[0].name, &e), 0);
	store_snapshots_fini(&s);
	assert_int_equal(sqlite3_open(file, &old), SQLITE_OK);
	is(old, "PRAGMA user_version", "1");
	is(old, "SELECT count(*) FROM sqlite_schema", "1");
	is(old, "SELECT a FROM t", "x");
	sqlite3_close(old);
	/* Nothing to do is nothing done. */
	assert_int_equal(store_migrate(db, path, steps, ARRAY_SIZE(steps), &e), 0);
	assert_int_equal(count(), 1);
	sqlite3_close(db);
}

static void test_whole_or_not(void **state)
{
	const struct migration *bad[] = { broken, orphans };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		sqlite3 *db = fresh(1);
		struct err e = { 0 };

		assert_true(store_migrate(db, path, bad[i], 2, &e) < 0);
		assert_non_null(strstr(e.msg, "version 2"));
		is(db, "PRAGMA user_version", "1");
		is(db, "SELECT count(*) FROM sqlite_schema", "1");
		assert_int_equal(count(), 1);
		/* The program that repairs the step goes on from there. */
		assert_int_equal(store_migrate(db, path, steps, 3, &e), 0);
		sqlite3_close(db);
	}
}

static void test_no_way_back(void **state)
{
	sqlite3 *db = fresh(3);
	struct err e = { 0 };

	assert_int_equal(store_migrate(db, path, steps, 2, &e), -EPROTO);
	assert_non_null(strstr(e.msg, "schema version 3"));
	is(db, "PRAGMA user_version", "3");
	sqlite3_close(db);
}

/* The real table: from every version on, with rows in it. */
static void test_own_table(void **state)
{
	for (unsigned from = 1; from <= store_version(); from++) {
		sqlite3 *db;
		struct err e = { 0 };
		struct store *s = NULL;

		(void)fs_rm_rf(AT_FDCWD, dir, NULL);
		assert_int_equal(mkdir(dir, 0700), 0);
		assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
		assert_int_equal(store_migrate_to(db, path, from, &e), 0);
		assert_int_equal(store_exec(db, "INSERT INTO qubes VALUES ('00000000-0000-0000-0000-000000000000', 0, 'dom0', 'AdminVM', 'ready')", &e), 0);
		sqlite3_close(db);
		if (store_open(&s, path, &e) < 0)
			fail_msg("from version %u: %s", from, e.msg);
		is(store_db(s), "SELECT name FROM qubes", "dom0");
		assert_int_equal(count(), from < store_version());
		store_close(s);
	}
}

static void test_lock(void **state)
{
	struct store_place p;
	struct store *s = NULL;
	struct err e = { 0 };
	int fd;

	sqlite3_close(fresh(0));
	(void)unlink(path);
	assert_int_equal(store_open(&s, path, &e), 0);
	assert_int_equal(store_place_open(&p, path, &e), -EBUSY);
	assert_non_null(strstr(e.msg, "qubesd is running"));
	store_place_close(&p);
	store_close(s);
	fd = store_lock(path, 0, &e);
	assert_true(fd >= 0);
	assert_int_equal(store_lock(path, 0, &e), -EBUSY);
	close(fd);
	assert_int_equal(store_place_open(&p, path, &e), 0);
	store_place_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),	   cmocka_unit_test(test_whole_or_not), cmocka_unit_test(test_no_way_back),
		cmocka_unit_test(test_own_table), cmocka_unit_test(test_lock),
	};
	int r;

	if (!mkdtemp(dir) || str_printf(path, sizeof path, "%s/qubes.db", dir) < 0 || paths_init(dir, NULL) < 0)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	(void)fs_rm_rf(AT_FDCWD, dir, NULL);
	return r;
}
