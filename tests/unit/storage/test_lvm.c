/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * lvm_thin: names, what lvs prints, and what happens when the worker is killed before or after each of LVM's commands. (What every driver does is in
 * test_storage.c, the real LVM in tests/machine/run_lvm.)
 */
#include "pool.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define BLOCKS 4u
#define SIZE (BLOCKS * (uint64_t)BLOCK)
#define OTHER "appvms/copy/private"

static void names(void **state)
{
	static const struct {
		const char *dir, *volume, *want; /* NULL: refused */
	} rows[] = {
		{ "appvms/mail", "private", "vm-mail-private" },
		{ "vm-templates/debian-12.x", "root", "vm-debian-12.x-root" },
		{ "mail", "private", "vm-mail-private" },
		{ "appvms/mail", "private-snap", NULL },
		{ "appvms/mail", "1-back", NULL },
		{ "appvms/mail", "", NULL },
		{ "appvms/", "private", NULL },
		{ "appvms/a_tdata", "root", NULL },
		{ "appvms/a b", "root", NULL },
		{ "appvms/a|b", "root", NULL },
		{ "appvms/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "root", NULL },
	};
	struct lvm_group g = { .vg = "q-0", .pool = "vm-pool" };
	struct lvm_name n;
	char dm[LVM_DM_NAME_MAX + 1];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = lvm_base(&g, rows[i].dir, rows[i].volume, &n, NULL);

		assert_int_equal(r < 0, !rows[i].want);
		if (rows[i].want)
			assert_string_equal(n.s, rows[i].want);
	}
	assert_int_equal(lvm_dm_name("q-0", "vm-a-b", dm), 0);
	assert_string_equal(dm, "q--0-vm--a--b");
	/* Hyphens count twice. */
	assert_int_equal(lvm_base(&g, "------------------------------------------------", "root", &n, NULL), 0);
	assert_int_equal(lvm_join(&g, &n, "12345678901-back", &n, NULL), -ENAMETOOLONG);
}

static void parts(void **state)
{
	static const struct {
		const char *name;
		enum lvm_part part;
	} rows[] = {
		{ "vm-a-private", LVM_HEAD },		     { "vm-a-private-snap", LVM_SNAP },
		{ "vm-a-private-import", LVM_IMPORT },	     { "vm-a-private-1700000000-back", LVM_BACK },
		{ "vm-a-private-x7-export", LVM_EXPORT },    { "vm-a-private-", LVM_NONE },
		{ "vm-a-private--back", LVM_NONE },	     { "vm-a-private-x-back", LVM_NONE },
		{ "vm-a-private-1-2-back", LVM_NONE },	     { "vm-a-privat", LVM_NONE },
		{ "vm-a-private-root", LVM_NONE },	     { "vm-a-private-snap-root", LVM_NONE },
		{ "vm-a-private-import-private", LVM_NONE }, { "vm-a-private-1-back-root", LVM_NONE },
		{ "vm-a-private-99999999999999999999-back", LVM_NONE },
	};
	struct lvm_name base = { "vm-a-private" };
	uint64_t when = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(lvm_classify(&base, rows[i].name, &when), rows[i].part);
	assert_int_equal(when, 1700000000);
	assert_true(lvm_for_a_run("vm-a-private-snap"));
	assert_true(lvm_for_a_run("vm-a-volatile"));
	assert_false(lvm_for_a_run("vm-a-private"));
	assert_false(lvm_for_a_run("vm-a-private-1-back"));
	assert_false(lvm_for_a_run("vm-a/../b-snap"));
	assert_false(lvm_for_a_run("root-snap"));
}

static int parse_lv(const char *text, struct lvm_lv *ret)
{
	struct rd r = rd_mem(text, strlen(text));

	return lvm_lv_parse(&r, ret);
}

static void rows_of_lvs(void **state)
{
	static const char *const bad[] = {
		"", "a", "a|u|1|Vwi-a-tz--|pool|bulkhead|65536", "a|u|x|Vwi-a-tz--|pool|bulkhead|65536|1.00", "|u|1|Vwi-a-tz--|pool||65536|1.00",
		"a|u|1|Vwi|pool||65536|1.00", "a|u|1|Vwi-a-tz--|pool||0|1.00", "a|u|1|Vwi-a-tz--|pool||65536|1.0", "a|u|1|Vwi-a-tz--|pool||65536|101.00",
		"a|u|1|Vwi-a-tz--|pool||65536|1.00|", "a|u!|1|Vwi-a-tz--|pool||65536|1.00", "a||1|Vwi-a-tz--|pool||65536|1.00",
		"a|u|-1|Vwi-a-tz--|pool||65536|1.00", "a|u|1|Vwi-a-tz--|pool||65536|1.x0",
	};
	struct lvm_lv v;
	struct lvm_pool p;
	struct rd r;

	assert_int_equal(parse_lv("  vm-a-private|Ab-1|1048576|Vwi-aotz--|pool|x,bulkhead|65536|12.50 ", &v), 0);
	assert_string_equal(v.name, "vm-a-private");
	assert_string_equal(v.uuid, "Ab-1");
	assert_string_equal(v.pool, "pool");
	assert_int_equal(v.size, 1048576);
	assert_int_equal(v.used, 131072);
	assert_true(v.ours && v.active && v.open);
	assert_int_equal(parse_lv("root|Ab-2|4194304|-wi-------|||4194304|", &v), 0);
	assert_false(v.ours || v.active || v.open);
	assert_int_equal(parse_lv("root|Ab-2|4194304|-wi-------||notbulkhead,bulkhead2|4194304|", &v), 0);
	assert_false(v.ours);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_lv(bad[i], &v), -EBADMSG);
	r = rd_mem("10000|twi-aotzD-|50.00|400|25.00", 32);
	assert_int_equal(lvm_pool_parse(&r, &p), 0);
	assert_true(p.thin_pool && p.zeroes && p.out_of_data && !p.failed);
	assert_int_equal(p.used, 5000);
	assert_int_equal(p.meta_used, 100);
	r = rd_mem("10000|twi-aot-F-||400|", 22);
	assert_int_equal(lvm_pool_parse(&r, &p), 0);
	assert_true(p.failed && !p.zeroes);
	r = rd_mem("10000|twi", 9);
	assert_int_equal(lvm_pool_parse(&r, &p), -EBADMSG);
}

static const char *words(const void *arg, const char *word)
{
	return streq(word, "dir_path") ? "/srv/q" : streq(word, "volume_group") ? "vg" : streq(word, "thin_pool") ? "tp" : NULL;
}

static const char *no_words(const void *arg, const char *word)
{
	return NULL;
}

static void places(void **state)
{
	static const struct {
		const char *driver, *place;
		bool ok;
	} rows[] = {
		{ "lvm_thin", "/dev/vg/pool", true },	    { "lvm_thin", "/dev/vg/pool/x", false }, { "lvm_thin", "/dev/vg/", false },
		{ "lvm_thin", "/dev/../pool", false },	    { "lvm_thin", "/dev/-vg/pool", false },  { "lvm_thin", "/dev/v g/pool", false },
		{ "lvm_thin", "/srv/vg/pool", false },	    { "lvm_thin", "/dev/vg", false },	     { "file-qcow2", "/srv/q/p", true },
		{ "file-qcow2", "srv", false },		    { "file-qcow2", "/srv/../x", false },    { "lvm_thin", "/dev/vg|/pool", false },
		{ "file-reflink", "/srv/a b", true },
	};
	char out[200];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(pool_place_ok(pool_driver_find(rows[i].driver), rows[i].place), rows[i].ok);
	for (size_t i = 0; i < pool_drivers_n; i++) {
		const struct pool_driver *d = &pool_drivers[i];

		assert_ptr_equal(pool_driver_find(d->name), d);
		assert_true(d->summary[0] && d->options);
		assert_int_equal(pool_expand(d->place, words, NULL, out, sizeof out), 0);
		assert_true(pool_place_ok(d, out));
		assert_int_equal(pool_expand(d->place, no_words, NULL, out, sizeof out), -EINVAL);
		assert_int_equal(pool_expand(d->place, words, NULL, out, 4), -ENAMETOOLONG);
		/* What names the place has to be given; the rest must not. */
		for (size_t k = 0; k < POOL_OPTIONS_N; k++)
			assert_int_equal(pool_option_needed(d, &pool_options[k]), strstr(d->place, pool_options[k].name) != NULL);
	}
	assert_null(pool_driver_find("zfs"));
	assert_int_equal(pool_volume_path(pool_driver_find("lvm_thin"), words, NULL, "appvms/a-b/root", out, sizeof out), 0);
	assert_string_equal(out, "/dev/vg/vm-a-b-root");
	assert_int_equal(pool_volume_path(pool_driver_find("file-reflink"), words, NULL, "appvms/a-b/root", out, sizeof out), 0);
	assert_string_equal(out, "/srv/q/appvms/a-b/root.img");
}

/* --- operations --------------------------------------------------------------------------------------------------------------------- */

static void begin(struct pool *p)
{
	pool_make(p, "lvm_thin", "");
}

static void model_file(const struct pool *p, const char *name, const char *text)
{
	char path[400];

	assert_int_equal(str_printf(path, sizeof path, "%s/%s", p->lvm.dir, name), 0);
	if (text)
		assert_int_equal(fs_write_atomic(AT_FDCWD, path, text, strlen(text), 0600, NULL), 0);
	else
		(void)unlink(path);
}

/* Volumes of others that have names like ours are neither used nor removed. */
static void foreign_volumes(void **state)
{
	static const uint8_t ops[] = { ST_CREATE, ST_REMOVE, ST_START, ST_STOP, ST_RESIZE, ST_IMPORT_BEGIN, ST_INFO, ST_CLONE };
	struct pool pool, *p = &pool;

	begin(p);
	(void)op(p, ST_CREATE, OTHER, SIZE);
	(void)op(p, ST_CREATE, VID, SIZE);
	model_file(p, "meta/vm-mail-private", "uuid-x someone");
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		struct st_request q = request(p, ops[i], VID);
		struct st_reply r;

		q.size = SIZE;
		if (ops[i] == ST_CLONE)
			assert_int_equal(str_copy(q.source, sizeof q.source, OTHER), 0);
		assert_int_equal(run(&q, &r), -EEXIST);
	}
	assert_int_equal(files_with(p, "appvms/mail", "private"), 1);
	(void)op(p, ST_SWEEP, "", 0);
	assert_int_equal(files_with(p, "appvms/mail", "private"), 1);
	pool_remove(p);
}

/* What a run alone has: an empty disk, and its own copy of a source. Both are new at each start and gone after the stop. */
static void for_a_run(void **state)
{
	struct pool pool, *p = &pool;
	struct st_request q;
	struct st_reply r;
	unsigned char b[2];

	begin(p);
	(void)op(p, ST_CREATE, VID, SIZE);
	(void)cycle(p, VID, 1, 0, 's');
	for (int i = 0; i < 3; i++) {
		q = request(p, ST_START, "appvms/d1/volatile");
		q.save_on_stop = false;
		q.size = 10 * SIZE;
		assert_int_equal(run(&q, &r), 0);
		assert_true(r.own && r.size == 10 * SIZE && r.layers[0].format == VM_FMT_DEVICE);
		assert_true(lvm_for_a_run(r.layers[0].path));
		b[0] = 1;
		{
			_cleanup_fd_ int fd = open_file(p, r.layers[0].path, O_RDWR);

			assert_int_equal(pread(fd, b, 1, 0), 1);
			assert_int_equal(b[0], 0);
		}
		write_block(p, &r.layers[0], 0, 'v');
		q = request(p, ST_START, "appvms/d1/private");
		q.save_on_stop = false;
		q.snap_on_start = true;
		assert_int_equal(str_copy(q.source, sizeof q.source, VID), 0);
		assert_int_equal(run(&q, &r), 0);
		assert_true(r.own && !r.dirty && r.n_layers == 1);
		assert_string_equal(r.layers[0].path, "vm-d1-private-snap");
		{
			_cleanup_fd_ int fd = open_file(p, r.layers[0].path, O_RDWR);

			assert_int_equal(pread(fd, b, 1, 0), 1);
			assert_int_equal(b[0], 's');
		}
		write_block(p, &r.layers[0], 0, 'w');
	}
	/* The source goes on meanwhile, and the copy's writes are not its own. */
	(void)cycle(p, VID, 1, 1, 't');
	committed(p, VID, b, 2);
	assert_memory_equal(b, "st", 2);
	q.op = ST_STOP;
	assert_int_equal(run(&q, &r), 0);
	q = request(p, ST_STOP, "appvms/d1/volatile");
	q.save_on_stop = false;
	assert_int_equal(run(&q, &r), 0);
	assert_int_equal(run(&q, &r), 0);
	assert_int_equal(files_with(p, "appvms/d1", ""), 0);
	pool_remove(p);
}

/* revisions_to_keep -1: nothing but the one state, which is away while it is used. */
static void in_place(void **state)
{
	struct pool pool, *p = &pool;
	struct st_request q;
	struct st_reply r;
	unsigned char b[2];

	begin(p);
	(void)op(p, ST_CREATE, VID, SIZE);
	(void)cycle(p, VID, 3, 0, 'a');
	q = request(p, ST_START, VID);
	q.revisions_to_keep = -1;
	assert_int_equal(run(&q, &r), 0);
	assert_int_equal(files_with(p, "appvms/mail", "private"), 1);
	write_block(p, &r.layers[0], 1, 'b');
	assert_int_equal(run(&q, &r), 0); /* after a crash */
	q.op = ST_INFO;
	assert_int_equal(run(&q, &r), 0);
	assert_true(r.dirty && r.size == SIZE);
	q = request(p, ST_CLONE, OTHER);
	assert_int_equal(str_copy(q.source, sizeof q.source, VID), 0);
	assert_int_equal(run(&q, &r), -EBUSY);
	q = request(p, ST_STOP, VID);
	q.revisions_to_keep = -1;
	assert_int_equal(run(&q, &r), 0);
	assert_int_equal(files_with(p, "appvms/mail", "private"), 1);
	committed(p, VID, b, 2);
	assert_memory_equal(b, "ab", 2);
	pool_remove(p);
}

/* A revision from the future: the next ones are newer all the same. */
static void clock_set_back(void **state)
{
	char from[100];
	const char *argv[] = { "lvm", "lvrename", "--config", "devices/scan_lvs=0 activation/monitoring=0 backup/backup=0 backup/archive=0",
			       "tg", from, "vm-mail-private-9000000000-back", NULL };
	struct proc_spec s = { .argv = argv };
	struct pool pool, *p = &pool;
	struct st_request q;
	struct st_reply r;
	unsigned char b[1];

	begin(p);
	s.path = lvm_host.program;
	s.envp = lvm_host.env;
	(void)op(p, ST_CREATE, VID, SIZE);
	(void)cycle(p, VID, 9, 0, '1');
	r = op(p, ST_LIST_REVISIONS, VID, 0);
	assert_int_equal(str_printf(from, sizeof from, "vm-mail-private-%.*s", (int)strcspn(r.text, "\n"), r.text), 0);
	assert_int_equal(proc_run(&s, NULL), 0);
	(void)cycle(p, VID, 9, 0, '2');
	(void)cycle(p, VID, 9, 0, '3');
	r = op(p, ST_LIST_REVISIONS, VID, 0);
	assert_non_null(strstr(r.text, "9000000000-back\n9000000001-back\n"));
	q = request(p, ST_REVERT, VID);
	assert_int_equal(str_copy(q.revision, sizeof q.revision, "9000000000-back"), 0);
	q.revisions_to_keep = 9;
	assert_int_equal(run(&q, &r), 0);
	committed(p, VID, b, 1);
	assert_int_equal(b[0], 0);
	pool_remove(p);
}

static void pools(void **state)
{
	static const struct {
		const char *row;
		bool ok;
	} rows[] = {
		{ "1073741824|twi-aotz--|12.34|4194304|10.00", true },	{ "1073741824|twi-aot---|12.34|4194304|10.00", false },
		{ "1073741824|twi-aotzF-|12.34|4194304|10.00", false }, { "1073741824|-wi-a-----|||", false },
		{ "1073741824|twi-aotzM-|12.34|4194304|10.00", false },
	};
	struct pool pool, *p = &pool;
	struct st_request q;
	struct st_reply r;

	begin(p);
	q = request(p, ST_PROBE, "");
	assert_int_equal(str_copy(q.driver, sizeof q.driver, "lvm_thin"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		model_file(p, "row", rows[i].row);
		assert_int_equal(run(&q, &r), rows[i].ok ? 0 : -ENOTSUP);
	}
	model_file(p, "row", NULL);
	r = op(p, ST_USAGE, "", 0);
	assert_true(r.size == 1073741824 && r.usage == 132499741 && r.meta_size == 4194304 && r.meta_usage == 419430);
	assert_string_equal(r.text, "941242083");
	assert_int_equal(str_copy(q.pool_dir, sizeof q.pool_dir, "/dev/tg/other"), 0);
	assert_int_equal(run(&q, &r), -EIO);
	lvm_host.program = "/nonexistent/lvm";
	assert_int_equal(run(&q, &r), -ENOTSUP);
	pool_remove(p);
	/* This host's own: without device-mapper there is a plain word, not an error of LVM. */
	if (access("/dev/mapper/control", F_OK) < 0) {
		lvm_host = (struct lvm_host){ .program = "/bin/true", .dev = "/dev", .env = NULL };
		assert_int_equal(run(&q, &r), -ENOTSUP);
	}
}

static void swept(void **state)
{
	struct pool pool, *p = &pool;
	struct st_request q;
	struct st_reply r;

	begin(p);
	(void)op(p, ST_CREATE, VID, SIZE);
	(void)cycle(p, VID, 1, 0, 'a');
	(void)op(p, ST_START, VID, 0);
	(void)op(p, ST_IMPORT_BEGIN, VID, SIZE);
	q = request(p, ST_EXPORT_BEGIN, VID);
	assert_int_equal(str_copy(q.revision, sizeof q.revision, "one"), 0);
	assert_int_equal(run(&q, &r), 0);
	q = request(p, ST_START, "appvms/d1/volatile");
	q.save_on_stop = false;
	q.size = SIZE;
	assert_int_equal(run(&q, &r), 0);
	assert_int_equal(files_with(p, "appvms/mail", "private"), 5);
	(void)op(p, ST_SWEEP, "", 0);
	assert_int_equal(files_with(p, "appvms/mail", "private"), 3); /* head, revision, what a qube may still write */
	assert_int_equal(files_with(p, "appvms/d1", ""), 0);
	(void)op(p, ST_REMOVE, VID, 0);
	assert_int_equal(files_with(p, "appvms/mail", ""), 0);
	pool_remove(p);
}

/* The spawner's half believes no name. */
static void opener(void **state)
{
	static const char *const writable[] = { "vm-a-private", "vm-a-private-1-back", "root", "vm-a-root-import", "vm-a-../x-snap", "", "-snap" };
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(writable); i++)
		assert_int_equal(storage_open_device("/dev/tg/pool", writable[i], true, &e), -EACCES);
	assert_int_equal(storage_open_device("/dev/tg/pool", "root", false, &e), -EACCES);
	assert_int_equal(storage_open_device("/dev/tg", "vm-a-private-snap", true, &e), -EACCES);
	assert_int_equal(storage_open_device("/srv/pool", "vm-a-private-snap", true, &e), -EACCES);
	assert_true(storage_open_device("/dev/tg/pool", "vm-a-private-snap", true, &e) < 0); /* there is none */
}

/* --- kills ---------------------------------------------------------------------------------------------------------------------------- */

struct scenario {
	const char *name;
	uint8_t op;
	const char *vid;
	void (*prepare)(const struct pool *p, struct st_request *q);
	const char *before, *after; /* committed content of vid; NULL = the volume is not there */
};

static void none(const struct pool *p, struct st_request *q)
{
	q->size = SIZE;
}

static void made(const struct pool *p, struct st_request *q)
{
	(void)op(p, ST_CREATE, VID, SIZE);
	(void)cycle(p, VID, 1, 0, 'a');
}

static void made_alone(const struct pool *p, struct st_request *q)
{
	made(p, q);
	q->revisions_to_keep = -1;
}

static void running(const struct pool *p, struct st_request *q)
{
	struct st_reply r;

	made(p, q);
	r = op(p, ST_START, VID, 0);
	write_block(p, &r.layers[0], 1, 'b');
}

static void running_keeps_none(const struct pool *p, struct st_request *q)
{
	running(p, q);
	q->revisions_to_keep = 0;
}

static void running_alone(const struct pool *p, struct st_request *q)
{
	struct st_request s = request(p, ST_START, VID);
	struct st_reply r;

	made_alone(p, q);
	s.revisions_to_keep = -1;
	assert_int_equal(run(&s, &r), 0);
	write_block(p, &r.layers[0], 1, 'b');
}

static void source(const struct pool *p, struct st_request *q)
{
	made(p, q);
	assert_int_equal(str_copy(q->source, sizeof q->source, VID), 0);
}

static void source_over(const struct pool *p, struct st_request *q)
{
	source(p, q);
	(void)op(p, ST_CREATE, OTHER, SIZE);
	(void)cycle(p, OTHER, 1, 2, 'o');
}

static void imported(const struct pool *p, struct st_request *q)
{
	struct vm_layer y = { .format = VM_FMT_DEVICE };
	struct st_reply r;

	made(p, q);
	r = op(p, ST_IMPORT_BEGIN, VID, SIZE);
	assert_int_equal(str_copy(y.path, sizeof y.path, r.text + strlen(p->base) + 1), 0);
	write_block(p, &y, 3, 'i');
}

static void running_in_vain(const struct pool *p, struct st_request *q)
{
	running(p, q);
	q->ok = true;
}

static void grown(const struct pool *p, struct st_request *q)
{
	made(p, q);
	q->size = 2 * SIZE;
}

static void two_states(const struct pool *p, struct st_request *q)
{
	struct st_reply r;
	char *nl;

	made(p, q);
	(void)cycle(p, VID, 1, 0, 'z');
	r = op(p, ST_LIST_REVISIONS, VID, 0);
	r.text[strlen(r.text) - 1] = '\0';
	nl = strrchr(r.text, '\n');
	assert_int_equal(str_copy(q->revision, sizeof q->revision, nl ? nl + 1 : r.text), 0);
}

static const struct scenario scenarios[] = {
	{ "create", ST_CREATE, VID, none, NULL, "\0\0\0\0" },
	{ "start", ST_START, VID, made, "a\0\0\0", "a\0\0\0" },
	{ "stop", ST_STOP, VID, running, "a\0\0\0", "ab\0\0" },
	{ "stop, thrown away", ST_STOP, VID, running_in_vain, "a\0\0\0", "a\0\0\0" },
	{ "stop, no revisions", ST_STOP, VID, running_keeps_none, "a\0\0\0", "ab\0\0" },
	{ "stop, no snapshots", ST_STOP, VID, running_alone, "-", "ab\0\0" },
	{ "start, no snapshots", ST_START, VID, made_alone, "a\0\0\0", "-" },
	{ "clone", ST_CLONE, OTHER, source, NULL, "a\0\0\0" },
	{ "clone over", ST_CLONE, OTHER, source_over, "\0\0o\0", "a\0\0\0" },
	{ "import", ST_IMPORT_END, VID, imported, "a\0\0\0", "\0\0\0i" },
	{ "resize", ST_RESIZE, VID, grown, "a\0\0\0", "a\0\0\0" },
	{ "revert", ST_REVERT, VID, two_states, "z\0\0\0", "a\0\0\0" },
	{ "remove", ST_REMOVE, VID, made, "a\0\0\0", NULL },
};

/* Runs q; before or after its command number n the worker is killed. False when it ended by itself. */
static bool run_killed(const struct pool *p, const struct st_request *q, unsigned n, const char *moment)
{
	struct st_reply reply;
	char text[40];
	int status;
	pid_t pid;

	assert_int_equal(str_printf(text, sizeof text, "%u %s", n, moment), 0);
	model_file(p, "crash", text);
	model_file(p, "calls", NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(storage_run(q, &reply, NULL) < 0 ? 1 : 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* The command that killed it has become our child. */
	while (waitpid(-1, NULL, 0) > 0)
		;
	model_file(p, "crash", NULL);
	if (WIFEXITED(status))
		assert_int_equal(WEXITSTATUS(status), 0);
	return WIFSIGNALED(status);
}

/* '-': the one state is in use. */
static bool content_is(const struct pool *p, const char *vid, const char *want)
{
	struct st_request q = request(p, ST_INFO, vid);
	unsigned char b[BLOCKS];
	struct st_reply r;
	bool there = storage_run(&q, &r, NULL) == 0;

	if (!want || !there)
		return !want && !there;
	if (!r.head[0])
		return want[0] == '-';
	if (want[0] == '-')
		return false;
	committed(p, vid, b, BLOCKS);
	return memcmp(b, want, BLOCKS) == 0;
}

static void check_end(const struct pool *p, const struct scenario *s, const struct st_request *q, unsigned n, const char *moment)
{
	struct st_reply reply;
	struct err e = { 0 };
	int r;

	if (q->op != ST_REMOVE && !content_is(p, s->vid, s->before) && !content_is(p, s->vid, s->after))
		fail_msg("%s: killed %s command %u: neither old nor new", s->name, moment, n);
	r = storage_run(q, &reply, &e);
	/* What was complete before the kill cannot be repeated in these cases, and need not be. */
	if (r < 0 && !(r == -ENOENT && (q->op == ST_IMPORT_END || q->op == ST_REVERT)))
		fail_msg("%s: killed %s command %u: repeat: %s", s->name, moment, n, err_text(&e, r));
	if (!content_is(p, s->vid, s->after))
		fail_msg("%s: killed %s command %u: wrong content after the repeat", s->name, moment, n);
	(void)op(p, ST_SWEEP, "", 0);
	if (files_with(p, "appvms/mail", "import") || files_with(p, "appvms/copy", "import"))
		fail_msg("%s: killed %s command %u: a half-made volume is left", s->name, moment, n);
}

static void kills(void **state)
{
	static const char *const moments[] = { "before", "after" };

	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
		const struct scenario *s = &scenarios[i];
		unsigned total = 0;

		for (size_t k = 0; k < ARRAY_SIZE(moments); k++) {
			bool more = true;

			for (unsigned n = 1; more; n++) {
				struct pool pool, *p = &pool;
				struct st_request q;

				begin(p);
				q = request(p, s->op, s->vid);
				s->prepare(p, &q);
				more = run_killed(p, &q, n, moments[k]);
				total += more;
				check_end(p, s, &q, n, moments[k]);
				pool_remove(p);
			}
		}
		print_message("         %s: %u kills\n", s->name, total);
		assert_true(total >= 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),	   cmocka_unit_test(parts),	cmocka_unit_test(rows_of_lvs),	  cmocka_unit_test(places),
		cmocka_unit_test(foreign_volumes), cmocka_unit_test(for_a_run), cmocka_unit_test(in_place),	  cmocka_unit_test(clock_set_back),
		cmocka_unit_test(pools),	   cmocka_unit_test(swept),	cmocka_unit_test(opener),	  cmocka_unit_test(kills),
	};

	if (getenv("BULKHEAD_TEST_LVM")) {
		print_message("this test is about the model of LVM\n");
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
