/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Template builder: package sources, module order, LZ4, boot image, initramfs archive, flavour table. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fsx.h"
#include "base/str.h"
#include "template/aptlog.h"
#include "template/aptsrc.h"
#include "template/bzimage.h"
#include "template/cpio.h"
#include "template/flavour.h"
#include "template/lz4.h"
#include "template/moddep.h"
#include "template/run.h"

static struct apt_sources sources;

static int add(const char *name, const char *text)
{
	struct err e = { 0 };

	return aptsrc_parse(name, rd_mem(text, strlen(text)), &sources, &e);
}

static void check_sources(const char *codename, const char *expected)
{
	_cleanup_wr_ struct wr w = wr_grow(1 << 16);
	_cleanup_free_ char *text = NULL;
	struct err e = { 0 };
	int r = aptsrc_write(&sources, codename, &w, &e);

	if (!expected) {
		assert_int_equal(r, -ENOENT);
		return;
	}
	assert_true(r > 0);
	text = wr_take(&w, NULL);
	assert_string_equal(text, expected);
}

static const char deb822[] = "Types: deb\n# note\nURIs: http://mirror.invalid/debian\nSuites: bookworm bookworm-updates\nComponents: main contrib\n"
			     "Signed-By: /usr/share/keyrings/k.gpg\n\nTypes: deb\nURIs: http://mirror.invalid/sec\nSuites: bookworm-security\n"
			     "Components: main\n\nTypes: deb\nEnabled: no\nURIs: http://off.invalid\nSuites: bookworm\nComponents: main\n\n"
			     "Types: deb-src\nURIs: http://src.invalid\nSuites: bookworm\nComponents: main\n";

static void test_deb822(void **state)
{
	sources.n = 0;
	assert_int_equal(add("debian.sources", deb822), 0);
	assert_int_equal(sources.n, 3);
	check_sources("bookworm", "deb [signed-by=/usr/share/keyrings/k.gpg] http://mirror.invalid/debian bookworm main\n"
				  "deb [signed-by=/usr/share/keyrings/k.gpg] http://mirror.invalid/debian bookworm-updates main\n"
				  "deb http://mirror.invalid/sec bookworm-security main\n");
	/* Another release of the same archive. */
	check_sources("trixie", "deb [signed-by=/usr/share/keyrings/k.gpg] http://mirror.invalid/debian trixie main\n"
				"deb [signed-by=/usr/share/keyrings/k.gpg] http://mirror.invalid/debian trixie-updates main\n"
				"deb http://mirror.invalid/sec trixie-security main\n");
}

static void test_one_line(void **state)
{
	sources.n = 0;
	assert_int_equal(add("x.list", "deb http://tools.invalid/apt cloud-tools-bookworm main\n"
				       "deb [arch=amd64 signed-by=/k.gpg] https://m.invalid/d trixie contrib main # x\n"
				       "#deb http://off.invalid trixie main\n"
				       "deb-src http://m.invalid/d trixie main\n"
				       "deb http://m.invalid/d trixie contrib\n"
				       "deb http://m.invalid/$(id) trixie main\n"
				       "deb [signed-by=relative] http://m.invalid/d trixie main\n"
				       "deb [broken http://m.invalid/d trixie main\n"
				       "deb cdrom:[x]/ trixie main"),
			 0);
	check_sources("trixie", "deb [signed-by=/k.gpg] https://m.invalid/d trixie main\n");
	sources.n = 0;
	assert_int_equal(add("x.list", "deb http://tools.invalid/apt cloud-tools-bookworm main\n"), 0);
	check_sources("bookworm", NULL);
}

static const char dep[] = "kernel/a/virtio_ring.ko:\nkernel/a/virtio.ko: kernel/a/virtio_ring.ko\n"
			  "kernel/b/virtio-pci.ko.xz: kernel/a/virtio.ko kernel/a/virtio_ring.ko\n"
			  "kernel/b/virtio_pci_modern.ko:\nkernel/bad.ko: ../../etc/passwd\n";

static void test_moddep(void **state)
{
	struct moddep_list l = { 0 };
	struct err e = { 0 };

	assert_int_equal(moddep_resolve(dep, strlen(dep), "virtio_pci", &l, &e), 0);
	assert_int_equal(l.n, 3);
	assert_string_equal(l.path[0], "kernel/a/virtio_ring.ko");
	assert_string_equal(l.path[1], "kernel/a/virtio.ko");
	assert_string_equal(l.path[2], "kernel/b/virtio-pci.ko.xz");
	assert_int_equal(moddep_resolve(dep, strlen(dep), "virtio", &l, &e), 0);
	assert_int_equal(l.n, 3);
	assert_int_equal(moddep_resolve(dep, strlen(dep), "ext4", &l, &e), -ENOENT);
	assert_int_equal(moddep_resolve(dep, strlen(dep), "virtio_pc", &l, &e), -ENOENT);
	assert_int_equal(moddep_resolve(dep, strlen(dep), "bad", &l, &e), -EINVAL);
	moddep_free(&l);
}

/* "abcabcabcabc" + "XYZZY": literals, an overlapping match of 9, literals. */
static const uint8_t packed[] = { 0x02, 0x21, 0x4c, 0x18, 12, 0, 0, 0, 0x35, 'a', 'b', 'c', 3, 0, 0x50, 'X', 'Y', 'Z', 'Z', 'Y' };

static void test_lz4(void **state)
{
	_cleanup_free_ uint8_t *out = NULL;
	struct err e = { 0 };
	size_t n = 0;
	uint8_t bad[sizeof packed];

	assert_int_equal(lz4_legacy(rd_mem(packed, sizeof packed), 1000, &out, &n, &e), 0);
	assert_int_equal(n, 17);
	assert_memory_equal(out, "abcabcabcabcXYZZY", 17);
	free(STEAL_PTR(out));
	assert_int_equal(lz4_legacy(rd_mem(packed, sizeof packed), 16, &out, &n, &e), -EBADMSG);
	assert_int_equal(lz4_legacy(rd_mem(packed, sizeof packed - 1), 1000, &out, &n, &e), -EBADMSG);
	memcpy(bad, packed, sizeof bad);
	bad[12] = 4;	/* a match from before the beginning */
	assert_int_equal(lz4_legacy(rd_mem(bad, sizeof bad), 1000, &out, &n, &e), -EBADMSG);
	bad[12] = 0;
	assert_int_equal(lz4_legacy(rd_mem(bad, sizeof bad), 1000, &out, &n, &e), -EBADMSG);
	bad[0] = 0;
	assert_int_equal(lz4_legacy(rd_mem(bad, sizeof bad), 1000, &out, &n, &e), -ENOTSUP);
}

static void test_bzimage(void **state)
{
	static uint8_t image[4096];
	_cleanup_free_ uint8_t *out = NULL;
	struct err e = { 0 };
	size_t n;

	assert_int_equal(bzimage_vmlinux(image, sizeof image, &out, &n, &e), -EBADMSG);
	memcpy(image + 0x202, "HdrS\x0f\x02", 6);
	image[0x1f1] = 1;
	image[0x248] = 16;
	image[0x24c] = 64;
	assert_int_equal(bzimage_vmlinux(image, sizeof image, &out, &n, &e), -ENOTSUP);
	image[0x24f] = 1; /* a payload longer than the image */
	assert_int_equal(bzimage_vmlinux(image, sizeof image, &out, &n, &e), -EBADMSG);
	assert_int_equal(bzimage_vmlinux(image, 0x210, &out, &n, &e), -EBADMSG);
}

static void test_cpio(void **state)
{
	char path[] = "/tmp/bulkhead-cpio-XXXXXX";
	_cleanup_free_ char *text = NULL;
	int fd = mkstemp(path);
	struct err e = { 0 };
	struct cpio c;
	size_t n;

	assert_true(fd >= 0);
	cpio_begin(&c, fd);
	cpio_dir(&c, "d");
	cpio_file(&c, "d/f", 0644, "12345", 5);
	cpio_chardev(&c, "con", 0600, 5, 1);
	assert_int_equal(cpio_end(&c, &e), 0);
	close(fd);
	assert_int_equal(fs_read(AT_FDCWD, path, 4096, &text, &n, &e), 0);
	assert_int_equal(n % 4, 0);
	/* d: 112; d/f: 116 + 8 */
	assert_memory_equal(text, "07070100000001000041ED00000000000000000000000100000000", 54);
	assert_memory_equal(text + 112, "07070100000002000081A4", 22);
	assert_memory_equal(text + 112 + 54, "00000005", 8);
	assert_memory_equal(text + 112 + 110, "d/f", 4);
	assert_memory_equal(text + 112 + 116, "12345\0\0\0", 8);
	assert_memory_equal(text + 236, "07070100000003000021800000", 24);
	assert_memory_equal(text + n - 14, "TRAILER!!!\0\0\0\0", 14);
	unlink(path);
}

static void test_flavours(void **state)
{
	const struct flavour *f;

	for (size_t i = 0; (f = flavour_at(i)); i++) {
		assert_ptr_equal(flavour_find(f->name), f);
		assert_true(str_chars(f->name, "-"));
		assert_true(str_chars(f->packages, "-. +"));
	}
	assert_true(flavour_find("debian-12-minimal") && !flavour_find("debian-12-minimal")->sudo);
	assert_null(flavour_find(""));
	assert_true(str_chars(flavour_common(), "-. +"));
}

struct shown {
	unsigned n;
	char text[32];
};

/* The first sign that the step goes on is when the user presses Ctrl-C; the program itself gets no signal from there. */
static void first_tick(void *arg, const char *text, unsigned step, unsigned n_steps, unsigned permille)
{
	struct shown *s = arg;

	(void)step;
	(void)n_steps;
	(void)permille;
	if (s->n++ == 0)
		(void)!str_copy(s->text, sizeof s->text, text);
	template_cancel();
}

static void say(struct aptlog *a, const char *text)
{
	for (; *text; text++)
		aptlog_take(a, text, 1);
}

static void test_aptlog(void **state)
{
	struct aptlog a = { .len = 0 };
	char text[120];

	say(&a, "Get:1 http://mirror.invalid/debian bookworm InRelease [151 kB]\nGet:2 x Packages [8 MB]\n");
	assert_int_equal(aptlog_permille(&a), 0);
	say(&a, "0 upgraded, 10 newly installed, 0 to remove and 0 not upgraded.\n");
	assert_int_equal(aptlog_permille(&a), 0);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(str_printf(text, sizeof text, "Get:%u http://mirror.invalid/debian p%u [1 kB]\n", i, i), 0);
		say(&a, text);
	}
	assert_int_equal(aptlog_permille(&a), 333);
	for (unsigned i = 0; i < 10; i++)
		say(&a, "Unpacking p (1.0) ...\nSetting up p (1.0) ...\n");
	assert_int_equal(aptlog_permille(&a), 1000);
	/* A second list of packages does not set the bar back, and nothing runs over. */
	say(&a, "0 upgraded, 90 newly installed, 0 to remove and 0 not upgraded.\n");
	assert_int_equal(aptlog_permille(&a), 1000);
	for (unsigned i = 0; i < 500; i++)
		say(&a, "Setting up p (1.0) ...\n");
	assert_int_equal(aptlog_permille(&a), 1000);
	/* Nonsense instead of a number, and a line without an end. */
	a = (struct aptlog){ .len = 0 };
	say(&a, " newly installed\nx newly installed\n99999999999 newly installed\n");
	assert_int_equal(a.planned, 0);
	for (unsigned i = 0; i < 5000; i++)
		say(&a, "y");
	assert_int_equal(aptlog_permille(&a), 0);
}

static void test_cancelled_step(void **state)
{
	struct shown shown = { .n = 0 };
	struct template_req req = { .progress = first_tick, .arg = &shown };
	_cleanup_fd_ int log = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct build b = { .req = &req, .log_fd = log, .step = "a long one" };
	const char *const argv[] = { "/bin/sleep", "100000", NULL };
	struct err e = { 0 };

	build_cancelled = 0;
	assert_int_equal(build_run(&b, argv, &e), -EINTR);
	assert_string_equal(e.msg, "interrupted");
	assert_int_equal(shown.n, 1);
	assert_string_equal(shown.text, "a long one");
	build_cancelled = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deb822),	cmocka_unit_test(test_one_line), cmocka_unit_test(test_moddep), cmocka_unit_test(test_lz4),
		cmocka_unit_test(test_bzimage), cmocka_unit_test(test_cpio),	 cmocka_unit_test(test_flavours),
		cmocka_unit_test(test_cancelled_step),	cmocka_unit_test(test_aptlog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
