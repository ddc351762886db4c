/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Facts about the host that a test can know by another way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "base/str.h"
#include "vmm/hostfacts.h"

static void flags(void **state)
{
	/* Every x86-64 CPU has these; parts of a name and unknown names do not count. */
	assert_true(host_cpu_flag("fpu") && host_cpu_flag("sse2") && host_cpu_flag("lm"));
	assert_false(host_cpu_flag("fp") || host_cpu_flag("pu") || host_cpu_flag("sse2 ") || host_cpu_flag("nosuchflag"));
}

static void facts(void **state)
{
	struct host_facts f;
	struct sysinfo si;
	struct utsname u;

	host_facts(&f);
	assert_int_equal(sysinfo(&si), 0);
	assert_int_equal(uname(&u), 0);
	assert_int_equal(f.cpus, sysconf(_SC_NPROCESSORS_ONLN));
	assert_int_equal(f.memory_kib, (uint64_t)si.totalram * si.mem_unit / 1024);
	assert_string_equal(f.kernel, u.release);
	assert_true(f.cpu[0]);
	assert_int_equal(f.vmx_svm == HOST_YES, host_cpu_flag("vmx") || host_cpu_flag("svm"));
	assert_int_equal(f.iommu == HOST_YES, f.iommu_groups > 0);
	assert_int_equal(f.tpm == HOST_YES, access("/sys/class/tpm/tpm0", F_OK) == 0);
}

static void printable(void **state)
{
	struct host_facts f;

	host_facts(&f);
	const char *const texts[] = { f.cpu, f.microcode, f.kernel, f.distribution, f.machine, f.bios, f.tpm_version, f.vulnerable };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		for (const char *c = texts[i]; *c; c++)
			assert_true(*c >= 0x20 && *c < 0x7f);
	assert_string_equal(host_verdict_word(HOST_YES), "yes");
	assert_string_equal(host_verdict_word(HOST_UNKNOWN), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(flags), cmocka_unit_test(facts), cmocka_unit_test(printable) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
