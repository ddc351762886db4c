/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Facts about this host: see hostfacts.h. Every reader is bounded and treats a missing file as "unknown". */
#include "vmm/hostfacts.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "base/fsx.h"
#include "base/rd.h"
#include "base/str.h"
#include "base/wr.h"

#define FILE_MAX (1u << 20)

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* First line of a file, blanks at both ends removed, control bytes escaped; "" when it cannot be read. */
static bool first_line(const char *path, char *out, size_t cap)
{
	_cleanup_free_ char *text = NULL;
	size_t len, n;
	const char *p;

	out[0] = '\0';
	if (fs_read(AT_FDCWD, path, FILE_MAX, &text, &len, NULL) < 0)
		return false;
	p = text + strspn(text, " \t");
	n = strcspn(p, "\n");
	while (n && (p[n - 1] == ' ' || p[n - 1] == '\t'))
		n--;
	(void)str_escape(out, cap, p, n);
	return true;
}

/* Value of "key : value" or "key=value" in a text file. */
static bool keyed(const char *path, const char *key, const char *separators, char *out, size_t cap)
{
	_cleanup_free_ char *text = NULL;
	struct rd r, line;
	size_t len;

	out[0] = '\0';
	if (fs_read(AT_FDCWD, path, FILE_MAX, &text, &len, NULL) < 0)
		return false;
	r = rd_mem(text, len);
	while (rd_line(&r, &line)) {
		const char *p = (const char *)line.p;
		size_t n = rd_left(&line), k = strlen(key);

		if (n <= k || memcmp(p, key, k) != 0 || !strchr(separators, p[k]))
			continue;
		while (k < n && strchr(separators, p[k]))
			k++;
		if (n > k + 1 && p[k] == '"' && p[n - 1] == '"') {
			k++;
			n--;
		}
		(void)str_escape(out, cap, p + k, n - k);
		return true;
	}
	return false;
}

static bool flag_in(const char *key, const char *flag)
{
	static char flags[8192];
	size_t n = strlen(flag);

	if (!keyed("/proc/cpuinfo", key, " \t:", flags, sizeof flags))
		return false;
	for (const char *p = flags; (p = strstr(p, flag)); p += n)
		if ((p == flags || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
			return true;
	return false;
}

bool host_cpu_flag(const char *flag)
{
	return flag_in("flags", flag);
}

static unsigned count_entries(const char *path)
{
	_cleanup_(closedirp) DIR *d = opendir(path);
	struct dirent *ent;
	unsigned n = 0;

	while (d && (ent = readdir(d)))
		n += ent->d_name[0] != '.';
	return n;
}

static void cpu(struct host_facts *f)
{
	if (!keyed("/proc/cpuinfo", "model name", " \t:", f->cpu, sizeof f->cpu))
		f->cpu[0] = '\0';
	(void)keyed("/proc/cpuinfo", "microcode", " \t:", f->microcode, sizeof f->microcode);
	f->vmx_svm = host_cpu_flag("vmx") || host_cpu_flag("svm") ? HOST_YES : HOST_NO;
	f->slat = host_cpu_flag("ept") || flag_in("vmx flags", "ept") || host_cpu_flag("npt") ? HOST_YES : HOST_NO;
	f->nested_guest = host_cpu_flag("hypervisor") ? HOST_YES : HOST_NO;
}

static void memory(struct host_facts *f)
{
	char text[40], *end;

	if (keyed("/proc/meminfo", "MemTotal", " \t:", text, sizeof text)) {
		end = strchr(text, ' ');
		if (end)
			*end = '\0';
		if (str_u64(text, UINT64_MAX, &f->memory_kib) < 0)
			f->memory_kib = 0;
	}
}

/* An IOMMU is in use when there are groups; interrupt remapping shows in the capability registers of each DMAR unit, bit 3. */
static void iommu(struct host_facts *f)
{
	_cleanup_(closedirp) DIR *d = opendir("/sys/class/iommu");
	struct dirent *ent;

	f->iommu_groups = count_entries("/sys/kernel/iommu_groups");
	f->iommu = f->iommu_groups ? HOST_YES : HOST_NO;
	f->intremap = f->iommu == HOST_YES ? HOST_UNKNOWN : HOST_NO;
	while (d && (ent = readdir(d))) {
		char path[300], ecap[40];
		unsigned long long v;

		if (!str_starts(ent->d_name, "dmar") ||
		    str_printf(path, sizeof path, "/sys/class/iommu/%s/intel-iommu/ecap", ent->d_name) < 0 ||
		    !first_line(path, ecap, sizeof ecap))
			continue;
		v = strtoull(ecap, NULL, 16);
		if (!(v & 8))
			f->intremap = HOST_NO;
		else if (f->intremap == HOST_UNKNOWN)
			f->intremap = HOST_YES;
	}
}

static void tpm(struct host_facts *f)
{
	char major[8];

	f->tpm = access("/sys/class/tpm/tpm0", F_OK) == 0 ? HOST_YES : HOST_NO;
	if (f->tpm != HOST_YES || !first_line("/sys/class/tpm/tpm0/tpm_version_major", major, sizeof major))
		return;
	if (str_copy(f->tpm_version, sizeof f->tpm_version, streq(major, "2") ? "2.0" : "1.2") < 0)
		f->tpm_version[0] = '\0';
}

static void smt(struct host_facts *f)
{
	char text[16];

	if (!first_line("/sys/devices/system/cpu/smt/active", text, sizeof text))
		f->smt_off = HOST_UNKNOWN;
	else
		f->smt_off = streq(text, "0") ? HOST_YES : HOST_NO;
}

static void swap(struct host_facts *f)
{
	_cleanup_free_ char *text = NULL;
	struct rd r, line;
	size_t len;

	f->swap_plain = HOST_UNKNOWN;
	if (fs_read(AT_FDCWD, "/proc/swaps", FILE_MAX, &text, &len, NULL) < 0)
		return;
	f->swap_plain = HOST_NO;
	r = rd_mem(text, len);
	if (!rd_line(&r, &line)) /* heading */
		return;
	while (rd_line(&r, &line)) {
		char path[80];

		(void)str_escape(path, sizeof path, line.p, rd_left(&line));
		if (!str_starts(path, "/dev/dm-") && !str_starts(path, "/dev/mapper/") && !str_starts(path, "/dev/zram"))
			f->swap_plain = HOST_YES;
	}
}

static void kernel(struct host_facts *f)
{
	struct utsname u;
	char text[16];

	if (uname(&u) == 0 && str_copy(f->kernel, sizeof f->kernel, u.release) < 0)
		f->kernel[0] = '\0';
	(void)keyed("/etc/os-release", "PRETTY_NAME", "=", f->distribution, sizeof f->distribution);
	f->landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, 1u) >= 1 ? HOST_YES : HOST_NO;
	f->userns = HOST_YES;
	if (first_line("/proc/sys/user/max_user_namespaces", text, sizeof text) && streq(text, "0"))
		f->userns = HOST_NO;
	if (first_line("/proc/sys/kernel/unprivileged_userns_clone", text, sizeof text) && streq(text, "0"))
		f->userns = HOST_NO;
	if (first_line("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", text, sizeof text) && streq(text, "1"))
		f->userns = HOST_UNKNOWN;
	f->ksm_off = HOST_YES;
	if (first_line("/sys/kernel/mm/ksm/run", text, sizeof text) && streq(text, "1"))
		f->ksm_off = HOST_NO;
}

static void secure_boot(struct host_facts *f)
{
	_cleanup_free_ char *v = NULL;
	size_t len;

	f->secure_boot = access("/sys/firmware/efi", F_OK) == 0 ? HOST_UNKNOWN : HOST_NO;
	if (fs_read(AT_FDCWD, "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", 64, &v, &len, NULL) == 0 &&
	    len == 5)
		f->secure_boot = v[4] == 1 ? HOST_YES : HOST_NO;
}

static void machine(struct host_facts *f)
{
	char vendor[60], product[56];

	if (first_line("/sys/class/dmi/id/sys_vendor", vendor, sizeof vendor) &&
	    first_line("/sys/class/dmi/id/product_name", product, sizeof product) &&
	    str_printf(f->machine, sizeof f->machine, "%s %s", vendor, product) < 0)
		f->machine[0] = '\0';
	(void)first_line("/sys/class/dmi/id/bios_version", f->bios, sizeof f->bios);
}

static void vulnerabilities(struct host_facts *f)
{
	static const char dir[] = "/sys/devices/system/cpu/vulnerabilities";
	_cleanup_(closedirp) DIR *d = opendir(dir);
	struct wr w = wr_mem(f->vulnerable, sizeof f->vulnerable - 1);
	struct dirent *ent;

	while (d && (ent = readdir(d))) {
		char path[400], text[200];

		if (ent->d_name[0] == '.' || str_printf(path, sizeof path, "%s/%s", dir, ent->d_name) < 0 ||
		    !first_line(path, text, sizeof text) || !str_starts(text, "Vulnerable"))
			continue;
		wr_printf(&w, "%s%s", w.len ? " " : "", ent->d_name);
	}
	f->vulnerable[w.len] = '\0';
}

void host_facts(struct host_facts *ret)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	memset(ret, 0, sizeof *ret);
	ret->cpus = n > 0 ? (unsigned)n : 1;
	cpu(ret);
	memory(ret);
	iommu(ret);
	tpm(ret);
	smt(ret);
	swap(ret);
	kernel(ret);
	secure_boot(ret);
	machine(ret);
	vulnerabilities(ret);
}

const char *host_verdict_word(enum host_verdict v)
{
	return v == HOST_YES ? "yes" : v == HOST_NO ? "no" : "unknown";
}
