/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Texts of the standard services: dates, names of files, addresses, lists of programs, types, archives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "base/str.h"
#include "proto/appmenu.h"
#include "proto/desktop.h"
#include "proto/isotime.h"
#include "proto/opening.h"
#include "proto/tar.h"

static struct rd text(const char *s)
{
	return rd_mem(s, strlen(s));
}

static void test_dates(void **state)
{
	static const char *const bad[] = { "", "2026-01-31", "2026-01-31T23:59:59", "2026-01-31T23:59:59Z", "2026-02-29T00:00:00+00:00",
					   "2026-04-31T00:00:00+00:00", "2026-13-01T00:00:00+00:00", "2026-00-01T00:00:00+00:00", "2026-01-31T24:00:00+00:00",
					   "2026-01-31T23:60:00+00:00", "2026-01-31T23:59:60+00:00", "2026-01-31T23:59:59+01:00", "2026-01-31T23:59:59-00:00",
					   "2026-01-31T23:59:59,12345678+00:00", "2026-01-31T23:59:59,1234567890+00:00", "2026-01-31 23:59:59+00:00",
					   "1969-12-31T23:59:59+00:00", " 2026-01-31T23:59:59+00:00", "2026-01-31T23:59:59+00:00 ", "2026-01-31T23:59:59+00:00\n\n",
					   "+026-01-31T23:59:59+00:00", "2026-1 -31T23:59:59+00:00" };
	char out[ISOTIME_CAP];
	struct isotime t;

	assert_int_equal(isotime_put(out, (struct isotime){ 0, 0 }, false), 0);
	assert_string_equal(out, "1970-01-01T00:00:00+00:00");
	assert_int_equal(isotime_put(out, (struct isotime){ 951782399, 7 }, true), 0);
	assert_string_equal(out, "2000-02-28T23:59:59,000000007+00:00");
	assert_int_equal(strlen(out), ISOTIME_NS_LEN);
	assert_int_equal(isotime_put(out, (struct isotime){ -1, 0 }, false), -ERANGE);
	assert_int_equal(isotime_put(out, (struct isotime){ 253402300800, 0 }, false), -ERANGE);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(isotime_get(text(bad[i]), &t), -EINVAL);
	assert_int_equal(isotime_get(text("2028-02-29T12:34:56,987654321+00:00\n"), &t), 0);
	assert_int_equal(t.nsec, 987654321);
	/* against the C library, over all days */
	for (int64_t day = 0; day < 2932896; day += 97) {
		time_t sec = day * 86400 + 45296;
		struct tm tm;
		char want[40];

		assert_non_null(gmtime_r(&sec, &tm));
		assert_int_equal(strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S+00:00", &tm), ISOTIME_LEN);
		assert_int_equal(isotime_put(out, (struct isotime){ sec, 0 }, false), 0);
		assert_string_equal(out, want);
		assert_int_equal(isotime_get(text(out), &t), 0);
		assert_int_equal(t.sec, sec);
	}
}

static int name(struct open_name *n, const char *s, size_t len)
{
	char field[OPEN_NAME_LEN] = "";

	memcpy(field, s, len);
	return open_name_get(n, rd_mem(field, sizeof field), NULL);
}

static void test_names(void **state)
{
	uint8_t buf[OPEN_NAME_LEN];
	struct wr w = wr_mem(buf, sizeof buf);
	struct open_name n;
	char longest[400];

	assert_int_equal(name(&n, "a b\xc3\xa4(1).txt", 12), 0);
	assert_string_equal(n.name, "a_b___1_.txt");
	assert_false(n.view_only);
	assert_int_equal(name(&n, "view-only-x.pdf", 15), 0);
	assert_true(n.view_only);
	assert_string_equal(n.name, "x.pdf");
	assert_int_equal(name(&n, ".bashrc", 7), 0);
	assert_string_equal(n.name, "_bashrc");
	assert_int_equal(name(&n, "..", 2), 0);
	assert_string_equal(n.name, "_.");
	assert_int_equal(name(&n, "view-only---x", 13), 0);
	assert_string_equal(n.name, "_-x");
	assert_int_equal(name(&n, "a/b", 3), -EINVAL);
	assert_int_equal(name(&n, "/", 1), -EINVAL);
	assert_int_equal(name(&n, "", 0), -EINVAL);
	assert_int_equal(name(&n, "view-only-", 10), -EINVAL);
	assert_int_equal(name(&n, "a\0b", 3), -EINVAL);
	memset(longest, 'x', sizeof longest);
	assert_int_equal(open_name_get(&n, rd_mem(longest, OPEN_NAME_LEN), NULL), -EINVAL); /* no NUL */
	assert_int_equal(open_name_get(&n, rd_mem("short", 5), NULL), -EINVAL);

	memcpy(longest + 390, "tail.txt\0", 9);
	open_name_put(&w, longest, true);
	assert_true(wr_ok(&w) && w.len == OPEN_NAME_LEN);
	assert_int_equal(open_name_get(&n, rd_mem(buf, sizeof buf), NULL), 0);
	assert_true(n.view_only);
	assert_int_equal(strlen(n.name), OPEN_NAME_LEN - 1 - 10);
	assert_true(str_ends(n.name, "tail.txt"));
	wr_reset(&w);
	open_name_put(&w, "/home/user/dir/report.odt", false);
	assert_int_equal(open_name_get(&n, rd_mem(buf, sizeof buf), NULL), 0);
	assert_string_equal(n.name, "report.odt");
}

static void test_urls(void **state)
{
	static const char *const good[] = { "http://example.org", "https://example.org/a?b=c&d=%20#x\n", "ftp://[::1]/x" };
	static const char *const bad[] = { "", "\n", "example.org", "file:///etc/passwd", "javascript:alert(1)", "-https://x", " https://x", "HTTP://x",
					   "https:/x", "https://", "https:///x", "https://-x", "https://x y", "https://x\ty", "https://x\r\n", "https://x\n\n",
					   "https://x\nhttps://y", "https://x\"y", "https://x<y", "https://x\\y", "https://x`id`", "https://x|y", "https://x{y}",
					   "https://\xc3\xa4.org", "https://x\x7f", "data:text/html,x" };
	char out[OPEN_URL_MAX];
	_cleanup_free_ char *longest = xasprintf("https://%08190d", 1);

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(open_url_get(out, text(good[i]), NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(open_url_get(out, text(bad[i]), NULL), -EINVAL);
	assert_int_equal(open_url_get(out, rd_mem("https://x\0y", 11), NULL), -EINVAL);
	assert_int_equal(open_url_get(out, text(longest), NULL), -EINVAL);
}

static void test_appmenu_list(void **state)
{
	struct rd r = text("xterm.desktop:Name=XTerm\nxterm.desktop:Exec=rm -rf /\nxterm.desktop:Icon=../../etc/x\nxterm.desktop:Categories=System;Utility;\n"
			   "xterm.desktop:Comment=Terminal\n\n"
			   "bad\xe2\x80\xae.desktop:Name=x\n\n"
			   "../x.desktop:Name=x\n\n-x.desktop:Name=x\n\n.x.desktop:Name=x\n\nnoname.desktop:Icon=i\n\nx:Name=y\n\n"
			   "rtl.desktop:Name=a\xe2\x80\xae" "b\n\nesc.desktop:Name=a\\nExec=x\n\nblank.desktop:Name= x\n\n"
			   "last.desktop:Name=Caf\xc3\xa9 a/b\nlast.desktop:Icon=last-icon\nnext.desktop:Name=Next");
	struct appmenu a;
	unsigned skipped = 0;

	assert_int_equal(appmenu_next(&r, &a, &skipped), 1);
	assert_string_equal(a.id, "xterm");
	assert_string_equal(a.name, "XTerm");
	assert_string_equal(a.comment, "Terminal");
	assert_string_equal(a.icon, "");
	assert_string_equal(a.categories, "System;Utility;");
	assert_int_equal(appmenu_next(&r, &a, &skipped), 1);
	assert_int_equal(skipped, 9);
	assert_string_equal(a.id, "last");
	assert_string_equal(a.name, "Caf\xc3\xa9 a/b");
	assert_string_equal(a.icon, "last-icon");
	assert_int_equal(appmenu_next(&r, &a, &skipped), 1);
	assert_string_equal(a.id, "next");
	assert_int_equal(appmenu_next(&r, &a, &skipped), 0);
	assert_int_equal(skipped, 9);
	r = text("no colon here\n");
	assert_int_equal(appmenu_next(&r, &a, &skipped), -EBADMSG);
	r = rd_mem("a.desktop:Name=x\0y\n", 19);
	assert_int_equal(appmenu_next(&r, &a, &skipped), -EBADMSG);
}

static void test_appmenu_entry(void **state)
{
	struct appmenu a = { .id = "xterm", .name = "XTerm", .icon = "term", .categories = "System" };
	_cleanup_wr_ struct wr w = wr_grow(4096);
	_cleanup_free_ char *s = NULL;

	appmenu_entry(&w, "work", &a, NULL);
	s = wr_take(&w, NULL);
	assert_non_null(strstr(s, "\nName=work: XTerm\n"));
	assert_non_null(strstr(s, "\nExec=qvm-run -q -a --service -- work qubes.StartApp+xterm\n"));
	assert_non_null(strstr(s, "\nIcon=term\n"));
	assert_non_null(strstr(s, "\nCategories=System;X-Qubes-VM;\n"));
}

static void test_appmenu_put(void **state)
{
	static const char file[] = "# c\n[Desktop Entry]\nType=Application\nName = Editor \nName[de]=E\nExec=edit %f\nExec=again\nIcon=e\nTryExec=x\n[Desktop Action a]\nName=no\nExec=no\n";
	static const char *const none[] = { "", "[Desktop Entry]\nName=x\nExec=x\n", "[Desktop Entry]\nType=Link\nName=x\nExec=x\n", "Type=Application\nName=x\nExec=x\n",
					    "[Desktop Entry]\nType=Application\nName=x\nExec=x\nNoDisplay=true\n", "[Desktop Entry]\nType=Application\nName=x\nExec=x\nHidden=1\n",
					    "[Desktop Entry]\nType=Application\nExec=x\n", "[Desktop Entry]\nType=Application\nName=x\n" };
	_cleanup_wr_ struct wr w = wr_grow(4096);

	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_false(appmenu_put(&w, "x", "/x", text(none[i])));
	assert_int_equal(w.len, 0);
	assert_true(appmenu_put(&w, "ed", "/usr/ed.desktop", text(file)));
	wr_u8(&w, 0);
	assert_string_equal((char *)w.buf, "ed.desktop:Type=Application\ned.desktop:Name=Editor\ned.desktop:Exec=qubes-desktop-run /usr/ed.desktop\ned.desktop:Icon=e\n");
}

static void test_mime(void **state)
{
	static const char globs[] = "# c\n50:text/plain:*.txt\n50:application/x-tar:*.tar\n50:application/x-compressed-tar:*.tar.gz\n50:application/gzip:*.gz\n"
				    "60:text/x-makefile:Makefile\n10:text/weak:*.pdf\n80:application/pdf:*.pdf\n50:text/x-c++src:*.C:cs\nbad line\n50:a:[a]*\n";
	static const char list[] = "[Added Associations]\ntext/plain=x.desktop;\n[Default Applications]\ntext/plain=../e.desktop;vim.desktop;emacs.desktop\n"
				   "text/html=b.desktop\n";
	char out[MIME_CAP];

	assert_true(mime_of_name(text(globs), "A.TXT", out));
	assert_string_equal(out, "text/plain");
	assert_true(mime_of_name(text(globs), "x.tar.gz", out));
	assert_string_equal(out, "application/x-compressed-tar");
	assert_true(mime_of_name(text(globs), "Makefile", out));
	assert_string_equal(out, "text/x-makefile");
	assert_true(mime_of_name(text(globs), "a.pdf", out));
	assert_string_equal(out, "application/pdf");
	assert_false(mime_of_name(text(globs), ".txt", out));
	assert_false(mime_of_name(text(globs), "a", out));
	assert_false(mime_app(text(list), "Default Applications", "text/plain", 0, out)); /* no id */
	assert_true(mime_app(text(list), "Default Applications", "text/plain", 1, out));
	assert_string_equal(out, "vim.desktop");
	assert_true(mime_app(text(list), "Default Applications", "text/plain", 2, out));
	assert_false(mime_app(text(list), "Default Applications", "text/plain", 3, out));
	assert_false(mime_app(text(list), "Default Applications", "image/png", 0, out));
	assert_false(mime_app(text(list), "MIME Cache", "text/plain", 0, out));
}

static void test_exec_with(void **state)
{
	char buf[200], *v[16];
	static const char *const lines[] = { "[Desktop Entry]\nExec=edit -n %f --\n", "[Desktop Entry]\nExec=edit --file=%U\n", "[Desktop Entry]\nExec=edit %i %c\n",
					     "[Desktop Entry]\nExec=edit 50%%\n" };

	assert_int_equal(desktop_exec_with(text(lines[0]), "/a b;$(c)", buf, sizeof buf, v, 16, NULL), 4);
	assert_string_equal(v[2], "/a b;$(c)");
	assert_int_equal(desktop_exec_with(text(lines[1]), "u", buf, sizeof buf, v, 16, NULL), 2);
	assert_string_equal(v[1], "--file=u");
	assert_int_equal(desktop_exec_with(text(lines[2]), "u", buf, sizeof buf, v, 16, NULL), 2);
	assert_string_equal(v[1], "u");
	assert_int_equal(desktop_exec_with(text(lines[3]), "u", buf, sizeof buf, v, 16, NULL), 3);
	assert_string_equal(v[1], "50%");
	assert_int_equal(desktop_exec_with(text(lines[0]), "/a b;$(c)", buf, 12, v, 16, NULL), -E2BIG);
	/* opening nothing leaves the codes out */
	assert_int_equal(desktop_exec(text(lines[0]), buf, sizeof buf, v, 16, NULL), 3);
}

static void tar_block(uint8_t b[TAR_BLOCK], const char *file, const char *size, char type, const char *prefix)
{
	unsigned sum = 0;
	struct wr w = wr_mem(b, TAR_BLOCK);

	memset(b, 0, TAR_BLOCK);
	wr_bytes(&w, file, strlen(file));
	wr_zero(&w, 100 - strlen(file));
	wr_str(&w, "0000644");
	wr_zero(&w, 17);
	wr_str(&w, size);
	wr_zero(&w, 12 - strlen(size));
	wr_str(&w, "00000000001");
	wr_zero(&w, 1);
	wr_str(&w, "        ");
	wr_u8(&w, (uint8_t)type);
	wr_str(&w, "target");
	wr_zero(&w, 94);
	wr_str(&w, "ustar");
	wr_zero(&w, 1);
	wr_str(&w, "00");
	wr_zero(&w, 80);
	wr_str(&w, prefix);
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += b[i];
	assert_true(wr_ok(&w));
	assert_int_equal(str_printf((char *)b + 148, 8, "%06o", sum), 0);
	b[155] = ' ';
}

static void test_tar(void **state)
{
	static struct tar t;
	uint8_t b[TAR_BLOCK] = { 0 };

	assert_int_equal(tar_header(&t, rd_mem(b, TAR_BLOCK), NULL), TAR_END);
	assert_int_equal(tar_header(&t, rd_mem(b, 100), NULL), -EBADMSG);
	tar_block(b, "./a.txt", "00000000012", '0', "dir/sub");
	assert_int_equal(tar_header(&t, rd_mem(b, TAR_BLOCK), NULL), TAR_ENTRY);
	assert_string_equal(t.e.name, "dir/sub/./a.txt");
	assert_int_equal(t.e.size, 10);
	assert_int_equal(t.e.mode, 0644);
	b[0] ^= 1;
	assert_int_equal(tar_header(&t, rd_mem(b, TAR_BLOCK), NULL), -EBADMSG);
	tar_block(b, "./link", "00000000005", '2', "");
	assert_int_equal(tar_header(&t, rd_mem(b, TAR_BLOCK), NULL), TAR_ENTRY);
	assert_string_equal(t.e.name, "link");
	assert_string_equal(t.e.link, "target");
	assert_int_equal(t.e.size, 0);
	tar_block(b, "x", "9", '0', "");
	assert_int_equal(tar_header(&t, rd_mem(b, TAR_BLOCK), NULL), -EBADMSG);
	tar_block(b, "x", "\x80\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01", '0', "");
	assert_int_equal(tar_header(&t, rd_mem(b, TAR_BLOCK), NULL), -EBADMSG); /* more than 2^63 */
	/* a long name, then a pax path and size */
	tar_block(b, "././@LongLink", "00000000011", 'L', "");
	assert_int_equal(tar_header(&t, rd_mem(b, TAR_BLOCK), NULL), TAR_META);
	assert_int_equal(tar_meta(&t, rd_mem("long/name\0", 10), NULL), 0);
	tar_block(b, "short", "00000000001", '0', "");
	assert_int_equal(tar_header(&t, rd_mem(b, TAR_BLOCK), NULL), TAR_ENTRY);
	assert_string_equal(t.e.name, "long/name");
	tar_block(b, "pax", "00000000034", 'x', "");
	assert_int_equal(tar_header(&t, rd_mem(b, TAR_BLOCK), NULL), TAR_META);
	assert_int_equal(tar_meta(&t, text("12 path=p/q\n15 size=8589934\n10 foo=b\n"), NULL), -EBADMSG); /* a length that is wrong */
	memset(&t, 0, sizeof t);
	t.meta = 'x';
	assert_int_equal(tar_meta(&t, text("12 path=p/q\n16 size=8589934\n9 foo=ba\n"), NULL), 0);
	tar_block(b, "short", "00000000001", '0', "");
	assert_int_equal(tar_header(&t, rd_mem(b, TAR_BLOCK), NULL), TAR_ENTRY);
	assert_string_equal(t.e.name, "p/q");
	assert_int_equal(t.e.size, 8589934);
	tar_block(b, "next", "00000000001", '0', "");
	assert_int_equal(tar_header(&t, rd_mem(b, TAR_BLOCK), NULL), TAR_ENTRY);
	assert_string_equal(t.e.name, "next");
	assert_int_equal(t.e.size, 1);
	/* base 256, a blank before the number, a field of other digits, records that are none, names for links */
	tar_block(b, "x", "\x80\x01\x01\x01", '0', "");
	memset(b + 124, 0, 12);
	b[124] = 0x80;
	b[135] = 7;
	b[134] = 1;
	{
		unsigned sum = 0;

		memset(b + 148, ' ', 8);
		for (size_t i = 0; i < TAR_BLOCK; i++)
			sum += b[i];
		assert_int_equal(str_printf((char *)b + 148, 8, "%06o", sum), 0);
	}
	assert_int_equal(tar_header(&t, rd_mem(b, TAR_BLOCK), NULL), TAR_ENTRY);
	assert_int_equal(t.e.size, 263);
	tar_block(b, "x", "       0012", '0', "");
	assert_int_equal(tar_header(&t, rd_mem(b, TAR_BLOCK), NULL), TAR_ENTRY);
	assert_int_equal(t.e.size, 10);
	static const char *const records[] = { "x path=a\n", "999999999 path=a\n", "11 path=abcd", "9 size=x\n", "4 a\n", "2 a" };

	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		t.meta = 'x';
		assert_int_equal(tar_meta(&t, text(records[i]), NULL), -EBADMSG);
	}
	t.meta = 'g';
	assert_int_equal(tar_meta(&t, text("10 path=g\n"), NULL), 0); /* of all entries: passed over */
	t.meta = 'x';
	assert_int_equal(tar_meta(&t, text("17 linkpath=away\n"), NULL), 0);
	tar_block(b, "l", "00000000000", '2', "");
	assert_int_equal(tar_header(&t, rd_mem(b, TAR_BLOCK), NULL), TAR_ENTRY);
	assert_string_equal(t.e.name, "l");
	assert_string_equal(t.e.link, "away");
	t.meta = 'K';
	assert_int_equal(tar_meta(&t, text("far"), NULL), 0);
	assert_int_equal(tar_header(&t, rd_mem(b, TAR_BLOCK), NULL), TAR_ENTRY);
	assert_string_equal(t.e.link, "far");
	{
		_cleanup_free_ char *longest = xasprintf("%05000d", 1);

		t.meta = 'L';
		assert_int_equal(tar_meta(&t, text(longest), NULL), -EBADMSG);
	}
	tar_block(b, "pax", "00040000000", 'x', "");
	assert_int_equal(tar_header(&t, rd_mem(b, TAR_BLOCK), NULL), -EBADMSG); /* a description of 8 MiB */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dates),	      cmocka_unit_test(test_names),	   cmocka_unit_test(test_urls),
		cmocka_unit_test(test_appmenu_list),  cmocka_unit_test(test_appmenu_entry), cmocka_unit_test(test_appmenu_put),
		cmocka_unit_test(test_mime),	      cmocka_unit_test(test_exec_with),	   cmocka_unit_test(test_tar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
