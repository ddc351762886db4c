/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Manifests and indexes of templates, versions, dates, ends of life. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "proto/eol.h"
#include "proto/osfacts.h"
#include "proto/tpl.h"

#define SHA "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define MANIFEST                                                                                                           \
	"manifest 1\nname debian-12\nepoch 0\nversion 12\nrelease 202611221200\narch x86_64\nbuilt 1795377600\nsummary A test\n"  \
	"distribution debian\nos-version 12\neol 2028-06-30\nfeature qrexec 1\nfeature supported-rpc.qubes.Filecopy 1\n"          \
	"property memory 400\nsize 8192\npart 0 4096 100 " SHA "\npart 4096 4096 50 " SHA "\nend\n"
#define ENTRY                                                                                                              \
	"template debian-12\nepoch 0\nversion 12\nrelease 1\narch x86_64\nbuilt 1\nsummary A test\nfile a.template\nbytes 1000\nsize 8192\n" \
	"manifest " SHA "\n"
#define INDEX "index 1\nrepository test\nnumber 7\ncreated 1000\nexpires 2000\n" ENTRY "end\n"

static int manifest(const char *text)
{
	struct tpl_manifest m;
	struct err e = { 0 };
	int r = tpl_manifest_get(rd_mem(text, strlen(text)), &m, &e);

	if (r < 0)
		assert_true(e.msg[0]);
	tpl_manifest_fini(&m);
	return r;
}

static int index_of(const char *text)
{
	struct tpl_index x;
	struct err e = { 0 };
	int r = tpl_index_get(rd_mem(text, strlen(text)), &x, &e);

	tpl_index_fini(&x);
	return r;
}

/* The text with the first a replaced by b. */
static char *with(const char *text, const char *a, const char *b)
{
	const char *at = strstr(text, a);

	assert_non_null(at);
	return xasprintf("%.*s%s%s", (int)(at - text), text, b, at + strlen(a));
}

static void round_trip(void **state)
{
	struct tpl_manifest m;
	struct tpl_index x;
	struct wr w = wr_grow(1 << 16);
	(void)state;

	assert_int_equal(tpl_manifest_get(rd_mem(MANIFEST, strlen(MANIFEST)), &m, NULL), 0);
	assert_string_equal(m.info.name, "debian-12");
	assert_int_equal(m.n_parts, 2);
	assert_int_equal(m.n_features, 2);
	assert_string_equal(m.properties[0].value, "400");
	assert_int_equal(tpl_manifest_packed(&m), 150);
	tpl_manifest_put(&w, &m);
	assert_true(wr_ok(&w));
	assert_int_equal(w.len, strlen(MANIFEST));
	assert_memory_equal(w.buf, MANIFEST, w.len);
	tpl_manifest_fini(&m);
	wr_reset(&w);
	assert_int_equal(tpl_index_get(rd_mem(INDEX, strlen(INDEX)), &x, NULL), 0);
	assert_int_equal(x.n, 1);
	assert_int_equal(x.number, 7);
	assert_string_equal(x.v[0].file, "a.template");
	tpl_index_put(&w, &x);
	assert_int_equal(w.len, strlen(INDEX));
	assert_memory_equal(w.buf, INDEX, w.len);
	tpl_index_fini(&x);
	wr_free(&w);
}

/* Each of these is refused; the manifest without the change is taken. */
static void strict_manifest(void **state)
{
	static const struct {
		const char *a, *b;
	} bad[] = {
		{ "manifest 1", "manifest 2" },
		{ "end\n", "" },
		{ "end\n", "end\nx" },
		{ "name debian-12\n", "" },
		{ "name debian-12", "name 12" },
		{ "name debian-12", "name dom0" },
		{ "name debian-12\n", "name debian-12\nname debian-12\n" },
		{ "version 12\n", "version ../x\n" },
		{ "epoch 0", "epoch -1" },
		{ "eol 2028-06-30", "eol 2028-06-31" },
		{ "summary A test", "summary A\ttest" },
		{ "summary A test", "summary A \xc3\xa4" },
		{ "summary A test", "surprise A test" },
		{ "feature qrexec 1", "feature service.cups 1" },
		{ "feature qrexec 1", "feature qrexec" },
		{ "feature qrexec 1\n", "feature qrexec 1\nfeature qrexec 1\n" },
		{ "property memory 400", "property kernelopts x" },
		{ "property memory 400", "property netvm sys-net" },
		{ "size 8192", "size 8191" },
		{ "size 8192", "size 4096" },
		{ "size 8192\n", "" },
		{ "size 8192\n", "size 8192\nsize 8192\n" },
		{ "part 0 4096 100", "part 0 4097 100" },
		{ "part 0 4096 100", "part 0 0 100" },
		{ "part 0 4096 100", "part 0 4096 0" },
		{ "part 0 4096 100", "part 00 4096 100" },
		{ "part 0 4096 100", "part 0 4096 99999999" },
		{ "part 4096 4096 50", "part 4095 4096 50" },
		{ "part 4096 4096 50", "part 8192 4096 50" },
		{ "part 4096 4096 50", "part 18446744073709551615 4096 50" },
		{ "part 0 4096 100 " SHA, "part 0 4096 100 " SHA "0" },
		{ "part 0 4096 100 0", "part 0 4096 100 G" },
	};
	(void)state;

	assert_int_equal(manifest(MANIFEST), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *text = with(MANIFEST, bad[i].a, bad[i].b);

		if (manifest(text) == 0)
			fail_msg("taken: %s", bad[i].b);
		free(text);
	}
	/* Cut anywhere it is no manifest. */
	for (size_t n = 0; n < strlen(MANIFEST) - 1; n++) {
		char *text = xstrndup(MANIFEST, n);

		assert_true(manifest(text) < 0);
		free(text);
	}
}

static void strict_index(void **state)
{
	static const struct {
		const char *a, *b;
	} bad[] = {
		{ "number 7", "number 0" },	     { "number 7\n", "" },
		{ "expires 2000", "expires 1000" },  { "repository test", "repository ../x" },
		{ "file a.template", "file ../a" },  { "file a.template", "file .a" },
		{ "file a.template\n", "" },	     { "bytes 1000", "bytes 0" },
		{ "manifest " SHA, "manifest 0" },   { "arch x86_64\n", "" },
		{ "template debian-12", "template " }, { "end\n", ENTRY },
		{ "number 7\n", "number 7\nnumber 8\n" },
	};
	(void)state;

	assert_int_equal(index_of(INDEX), 0);
	assert_int_equal(index_of("index 1\nrepository test\nnumber 7\ncreated 1000\nexpires 2000\nend\n"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char *text = with(INDEX, bad[i].a, bad[i].b);

		if (index_of(text) == 0)
			fail_msg("taken: %s", bad[i].b);
		free(text);
	}
}

static void versions(void **state)
{
	/* Ascending. */
	static const char *const v[] = { "1.0~rc1", "1.0", "1.0.1", "1.1", "1.9", "1.10", "1.10a", "2", "12.20261122", "12.20261123" };
	struct tpl_info a = { .epoch = "1", .version = "1", .release = "1" }, b = { .epoch = "0", .version = "9", .release = "9" };
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		for (size_t k = 0; k < ARRAY_SIZE(v); k++) {
			int want = i < k ? -1 : i > k;

			if (tpl_version_cmp(v[i], v[k]) != want)
				fail_msg("%s and %s", v[i], v[k]);
		}
	assert_int_equal(tpl_version_cmp("1.007", "1.7"), 0);
	assert_int_equal(tpl_evr_cmp(&a, &b), 1);
	a.epoch[0] = '0';
	assert_int_equal(tpl_evr_cmp(&a, &b), -1);
}

static void heads(void **state)
{
	struct tpl_head h = { .kind = TPL_INDEX, .len = 5, .key = { 1 }, .sig = { 2 } }, got;
	uint8_t raw[TPL_HEAD_LEN];
	struct wr w = wr_mem(raw, sizeof raw);
	struct rd r = rd_mem(raw, sizeof raw);
	(void)state;

	tpl_head_put(&w, &h);
	assert_true(wr_ok(&w) && w.len == TPL_HEAD_LEN);
	assert_int_equal(tpl_head_get(&r, TPL_INDEX, &got, NULL), 0);
	assert_int_equal(got.len, 5);
	r = rd_mem(raw, sizeof raw);
	assert_int_equal(tpl_head_get(&r, TPL_TEMPLATE, &got, NULL), -EBADMSG);
	r = rd_mem(raw, sizeof raw - 1);
	assert_int_equal(tpl_head_get(&r, TPL_INDEX, &got, NULL), -EBADMSG);
	memset(raw + TPL_MAGIC_LEN, 0xff, 4);
	r = rd_mem(raw, sizeof raw);
	assert_int_equal(tpl_head_get(&r, TPL_INDEX, &got, NULL), -EBADMSG);
}

static void ends(void **state)
{
	static const struct {
		int64_t before; /* days before the end */
		enum eol_level level;
		const char *text;
	} rows[] = {
		{ 200, EOL_FAR, "" },
		{ 91, EOL_FAR, "" },
		{ 30, EOL_SOON, "support ends in 30 days, on 2028-06-30" },
		{ 7, EOL_NOW, "support ends in 7 days, on 2028-06-30" },
		{ 1, EOL_NOW, "support ends in 1 day, on 2028-06-30" },
		{ 0, EOL_NOW, "support ends today" },
		{ -1, EOL_PAST, "gets no security updates any more: support ended 1 day ago, on 2028-06-30" },
		{ -400, EOL_PAST, "gets no security updates any more: support ended 400 days ago, on 2028-06-30" },
	};
	char text[EOL_TEXT_MAX];
	struct eol x;
	int64_t end, day;
	(void)state;

	assert_true(tpl_date_ok("1970-01-01", &day) && day == 0);
	assert_true(tpl_date_ok("2000-02-29", &day) && day == 11016);
	assert_false(tpl_date_ok("2100-02-29", NULL) || tpl_date_ok("2028-6-30", NULL) || tpl_date_ok("2028-00-10", NULL) || tpl_date_ok("2028-01-00", NULL));
	assert_true(tpl_date_ok("2028-06-30", &end));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		x = eol_judge("whatever", "1", "2028-06-30", end - rows[i].before);
		assert_int_equal(x.level, rows[i].level);
		assert_string_equal(eol_text(text, &x), rows[i].text);
	}
	assert_int_equal(eol_judge("nobody", "1", NULL, end).level, EOL_UNKNOWN);
	/* The table: between the ends of the two kinds of support it says so. */
	assert_true(tpl_date_ok("2026-11-22", &day));
	x = eol_judge("debian", "12.7", "", day);
	assert_true(x.level == EOL_SOON && x.lts);
	assert_string_equal(eol_text(text, &x), "has only long-term support, until 2028-06-30");
	assert_int_equal(eol_judge("debian", "13", NULL, day).level, EOL_FAR);
	assert_int_equal(eol_judge("debian", "1", NULL, day).level, EOL_UNKNOWN);
	x = eol_judge("debian", "11", NULL, day);
	assert_int_equal(x.level, EOL_PAST);
	assert_non_null(strstr(eol_text(text, &x), "long-term support ended"));
	assert_true(eol_judge("bulkhead", BULKHEAD_VERSION, NULL, day).level == EOL_FAR);
}

static bool installed(const char *status, const char *package)
{
	return osfacts_installed(rd_mem(status, strlen(status)), package);
}

static void facts(void **state)
{
	static const char release[] = "NAME=x\nPRETTY=\"a\nID=debian\nVERSION_ID=\"13\"\nQ='q'\nEMPTY=\nLAST=l";
	static const char status[] = "Package: a\nStatus: install ok installed\nVersion: 1\n\nPackage: libx1t64\nStatus: hold ok installed\n\n"
				     "Package: gone\nStatus: deinstall ok config-files\n\nPackage: half\n\nStatus: install ok installed\n";
	static const struct {
		const char *key, *value;
	} rows[] = { { "ID", "debian" }, { "VERSION_ID", "13" }, { "Q", "q" }, { "EMPTY", "" }, { "LAST", "l" }, { "PRETTY", "\"a" } };
	char out[8];
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_true(osfacts_value(rd_mem(release, strlen(release)), rows[i].key, out, sizeof out));
		assert_string_equal(out, rows[i].value);
	}
	assert_false(osfacts_value(rd_mem(release, strlen(release)), "NOT", out, sizeof out));
	assert_false(osfacts_value(rd_mem(release, strlen(release)), "VERSION", out, sizeof out));
	assert_false(osfacts_value(rd_mem("ID=12345678", 11), "ID", out, sizeof out));
	assert_true(installed(status, "a") && installed(status, "libx1"));
	assert_false(installed(status, "libx") || installed(status, "gone") || installed(status, "half") || installed(status, "") || installed("", "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip), cmocka_unit_test(strict_manifest), cmocka_unit_test(strict_index),
		cmocka_unit_test(versions),   cmocka_unit_test(heads),		 cmocka_unit_test(ends),
		cmocka_unit_test(facts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
