/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Services that become another program: when that one is started at once, and when not. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/str.h"
#include "qrexec/direct.h"

#define OWN "/usr/lib/qubes"

static char dir[] = "/tmp/bulkhead-direct-XXXXXX";

static int setup(void **state)
{
	char path[PATH_MAX];
	int fd;

	if (!mkdtemp(dir) || str_printf(path, sizeof path, "%s/prog", dir) < 0)
		return -1;
	fd = open(path, O_WRONLY | O_CREAT, 0755);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	char path[PATH_MAX];

	(void)!str_printf(path, sizeof path, "%s/prog", dir);
	unlink(path);
	(void)!str_printf(path, sizeof path, "%s/svc", dir);
	unlink(path);
	rmdir(dir);
	return 0;
}

static struct svc link_to(const char *target)
{
	struct svc s = { .kind = SVC_EXEC };

	(void)!str_printf(s.path, sizeof s.path, "%s/svc", dir);
	unlink(s.path);
	if (symlink(target, s.path) < 0)
		fail();
	return s;
}

static bool find(struct direct *d, const char *target, const char *arg, const char *path, const char *shell)
{
	char p[200], sh[200];
	const char *env[] = { "A=b", p, sh, NULL };
	struct svc s = link_to(target);

	(void)!str_printf(p, sizeof p, "PATH=%s", path);
	(void)!str_printf(sh, sizeof sh, "SHELL=%s", shell);
	return direct_find(d, OWN, &s, arg, env);
}

static void test_vmexec(void **state)
{
	_cleanup_free_ struct direct *d = xcalloc(1, sizeof *d);
	char path[200], whole[200];

	(void)!str_printf(path, sizeof path, "/nowhere:%s:/bin", dir);
	(void)!str_printf(whole, sizeof whole, "%s/prog", dir);
	assert_true(find(d, OWN "/qubes-vmexec", "prog+--x+a-20b", path, ""));
	assert_string_equal(d->path, whole);
	assert_string_equal(d->argv[0], "prog");
	assert_string_equal(d->argv[1], "-x");
	assert_string_equal(d->argv[2], "a b");
	assert_null(d->argv[3]);
	direct_fini(d);
	assert_true(find(d, OWN "/qubes-vmexec", "-2Fbin-2Fanything", path, ""));
	assert_string_equal(d->path, "/bin/anything");
	direct_fini(d);
	/* All of this is for the program: it knows the error, or the place. */
	assert_false(find(d, OWN "/qubes-vmexec", "no--such--program", path, ""));
	direct_fini(d);
	assert_false(find(d, OWN "/qubes-vmexec", "prog", "relative:/bin", ""));
	direct_fini(d);
	assert_false(find(d, OWN "/qubes-vmexec", "-2E-2Fprog", path, ""));
	direct_fini(d);
	assert_false(find(d, OWN "/qubes-vmexec", "pr-og", path, ""));
	direct_fini(d);
	assert_false(find(d, OWN "/qubes-vmexec", NULL, path, ""));
	direct_fini(d);
}

static void test_vmshell(void **state)
{
	_cleanup_free_ struct direct *d = xcalloc(1, sizeof *d);

	assert_true(find(d, OWN "/qubes-vmshell", "x", "/bin", "/bin/zsh"));
	assert_string_equal(d->path, "/bin/zsh");
	assert_string_equal(d->argv[0], "/bin/zsh");
	assert_null(d->argv[1]);
	direct_fini(d);
	assert_false(find(d, OWN "/qubes-vmshell", NULL, "/bin", "zsh"));
	direct_fini(d);
}

/* What the qube's owner put in the place of a service, by whatever name, is started as it is. */
static void test_others(void **state)
{
	_cleanup_free_ struct direct *d = xcalloc(1, sizeof *d);
	static const char *const targets[] = { "/usr/local/bin/qubes-vmexec", "/usr/lib/qubesx/qubes-vmexec", OWN "qubes-vmexec", OWN "/qubes-vmexec2",
					       OWN "/x/qubes-vmexec", "qubes-vmexec", OWN };
	struct svc file = { .kind = SVC_EXEC };
	static const char *const env[] = { "PATH=/bin", "SHELL=/bin/sh", NULL };

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		assert_false(find(d, targets[i], "prog", dir, "/bin/sh"));
		direct_fini(d);
	}
	(void)!str_printf(file.path, sizeof file.path, "%s/prog", dir);
	assert_false(direct_find(d, OWN, &file, "prog", env));
	direct_fini(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_vmexec), cmocka_unit_test(test_vmshell), cmocka_unit_test(test_others) };

	return cmocka_run_group_tests(tests, setup, teardown);
}
