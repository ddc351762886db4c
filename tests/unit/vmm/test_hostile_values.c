/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line of QEMU when the texts of a machine's description are chosen to break out: refused, or inside one word and nowhere else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "vmm/qemu/qemu.h"

static const char *const values[] = {
	"]]>", "'", "\"", "a\nb", "a b", ",", ",,", "x,id=y", "-daemonize", "--help", "$(reboot)", "`reboot`", ";reboot", "%s%n", "../../etc/passwd", "/etc/passwd", "..", ".",
	"\x1b[2J", "\x7f", "\xff\xfe", "\xc3\xa9", "{\"a\":1}", "</name>", "a=b", "a\tb", "init=/bin/sh root=/dev/vdb", "a\\b", "a:b", "@x",
};

static struct vm_spec sample(void)
{
	struct vm_spec s = { .qid = 7, .name = "work", .uuid = "0f0e0d0c-0b0a-4908-8706-050403020100", .start_id = "abc-1", .default_user = "user", .kernel = "6.1",
			     .kernelopts = "KERNELOPTS", .memory_mib = 400, .vcpus = 2, .n_disks = 1 };

	s.disks[0] = (struct vm_disk){ .serial = "root", .pool_dir = "/var/lib/pool", .readonly = true, .n_layers = 1, .layers = { { "r.img", VM_FMT_RAW } } };
	return s;
}

static void build(const struct vm_spec *s, struct vmm_args *a)
{
	struct vmm_plan p;

	vmm_plan_init(&p);
	p.accel = ACCEL_TCG;
	p.host_cpus = 4;
	p.program = "qemu";
	p.monitor = 5;
	p.console = 6;
	p.link = 7;
	p.kernel = 8;
	p.initrd = 9;
	p.layers[0][0] = 10;
	assert_int_equal(qemu_argv_build(s, &p, a, NULL), 0);
}

/* As the spawner gets it: through the wire, where every field is checked. */
static bool passes(const struct vm_spec *s, struct vm_spec *ret)
{
	_cleanup_wr_ struct wr w = wr_grow(1u << 16);
	struct rd r;

	vm_spec_put(&w, s);
	if (!wr_ok(&w))
		return false;
	r = rd_mem(w.buf, w.len);
	return vm_spec_get(&r, ret, NULL) == 0;
}

enum { KERNELOPTS, NAME, UUID, USER, KERNEL, START_ID, SERIAL, PATH, FIELDS };

static void set(struct vm_spec *s, int field, const char *v)
{
	char *to[FIELDS] = { s->kernelopts, s->name, s->uuid, s->default_user, s->kernel, s->start_id, s->disks[0].serial, s->disks[0].layers[0].path };
	size_t cap[FIELDS] = { sizeof s->kernelopts, sizeof s->name, sizeof s->uuid, sizeof s->default_user, sizeof s->kernel, sizeof s->start_id, sizeof s->disks[0].serial,
			       sizeof s->disks[0].layers[0].path };

	(void)!str_copy(to[field], cap[field], v);
}

static void test_words(void **state)
{
	_cleanup_(vmm_args_fini) struct vmm_args base = { .n = 0 };
	struct vm_spec s = sample(), got;
	unsigned accepted = 0, refused = 0;

	assert_true(passes(&s, &got));
	build(&got, &base);
	for (int field = 0; field < FIELDS; field++)
		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			_cleanup_(vmm_args_fini) struct vmm_args a = { .n = 0 };
			unsigned different = 0;

			s = sample();
			set(&s, field, values[i]);
			if (!passes(&s, &got)) {
				refused++;
				continue;
			}
			accepted++;
			build(&got, &a);
			assert_int_equal(a.n, base.n);
			for (size_t k = 0; k < a.n; k++) {
				if (streq(a.v[k], base.v[k]))
					continue;
				different++;
				/* the word before it is the option that it belongs to, as before */
				assert_string_equal(a.v[k - 1], base.v[k - 1]);
				/* only the kernel's own line may hold what its owner likes; elsewhere a comma would begin another setting */
				if (!streq(a.v[k - 1], "-append")) {
					size_t commas = 0, commas0 = 0;

					for (const char *c = a.v[k]; *c; c++)
						commas += *c == ',';
					for (const char *c = base.v[k]; *c; c++)
						commas0 += *c == ',';
					assert_int_equal(commas, commas0);
				}
			}
			assert_in_range(different, 0, field == SERIAL || field == UUID ? 8 : 1);
		}
	assert_true(accepted > 20 && refused > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_words) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
