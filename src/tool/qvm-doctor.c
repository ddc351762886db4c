/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-doctor: what this computer offers for isolating qubes, in words and as a hardware report, and what gets no updates any more. Needs no
 * privilege; without a daemon it knows nothing about templates.
 */
#include <stdarg.h>

#include "tool/eol_notes.h"
#include "vmm/hostfacts.h"
#include "vmm/vmm.h"

enum { KEY_YAML = 330 };
#define EXIT_LACKS 3

static const struct tool_opt opts[] = {
	{ KEY_YAML, "yaml", NULL, "print a hardware report in the format of the compatibility list", 0, W_ANY },
	OPT_JSON,
	{ 0 },
};

static const struct tool_exit exits[] = {
	{ EXIT_LACKS, "something that isolation needs is missing" },
	{ 0, NULL },
};

enum level { GOOD, NOTE, BAD, LEVEL_N };

struct report {
	const struct tool *t;
	struct table *table;
	struct json json; /* depth 0 = not asked for */
	size_t n[LEVEL_N];
};

static _printf_(4, 5) void row(struct report *p, enum level level, const char *what, const char *fmt, ...)
{
	static const char *const words[LEVEL_N] = { "ok", "note", "MISSING" };
	static const uint32_t colours[LEVEL_N] = { 0x2e9e4f, 0xb58900, 0xdc322f };
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof text, fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	p->n[level]++;
	if (p->json.depth) {
		json_open(&p->json, NULL, '{');
		json_str(&p->json, "verdict", words[level]);
		json_str(&p->json, "what", what);
		json_str(&p->json, "found", text);
		json_close(&p->json, '}');
		return;
	}
	table_add(p->table, words[level]);
	table_colour(p->table, colours[level]);
	table_add(p->table, what);
	table_add(p->table, text);
}

/* A fact that should be YES. */
static void should(struct report *p, enum host_verdict v, enum level otherwise, const char *what, const char *yes, const char *no)
{
	if (v == HOST_UNKNOWN)
		row(p, NOTE, what, "unknown: this system does not tell");
	else
		row(p, v == HOST_YES ? GOOD : otherwise, what, "%s", v == HOST_YES ? yes : no);
}

static void virtualization(struct report *p, const struct host_facts *f)
{
	const struct vmm_ops *vmm = NULL;
	struct accel_facts a = { 0 };
	struct err e = { 0 };
	uint8_t accel = ACCEL_TCG;

	should(p, f->vmx_svm, BAD, "virtualization", "the CPU has VT-x or AMD-V", "no VT-x or AMD-V: look for it in the firmware's set-up");
	if (vmm_choose(ACCEL_AUTO, &vmm, &accel, &a, &e) < 0)
		row(p, BAD, "accelerator", "%s", e.msg);
	else if (accel == ACCEL_KVM)
		row(p, GOOD, "accelerator", "KVM: %s", a.reason);
	else
		row(p, BAD, "accelerator", "TCG, qubes are emulated and NOT ISOLATED: %s", a.reason);
	if (!vmm)
		vmm = vmm_at(0); /* what would be needed */
	if (access(vmm->program, X_OK) == 0)
		row(p, GOOD, vmm->name, "%s", vmm->program);
	else
		row(p, BAD, vmm->name, "%s is not there: install %s", vmm->program, vmm->package);
	should(p, f->slat, BAD, "slat", "EPT or NPT", "no EPT or NPT: memory of qubes is slow to switch");
}

static void devices(struct report *p, const struct host_facts *f)
{
	if (f->iommu == HOST_YES)
		row(p, GOOD, "iommu", "%u groups: network and USB cards can be given to qubes", f->iommu_groups);
	else
		row(p, NOTE, "iommu", "not in use: cards cannot be given to qubes safely (firmware: VT-d or AMD-Vi; kernel: intel_iommu=on)");
	should(p, f->intremap, NOTE, "interrupt remapping", "in use", "not in use: a card in a qube could forge interrupts");
	if (f->tpm == HOST_YES)
		row(p, GOOD, "tpm", "version %s", f->tpm_version[0] ? f->tpm_version : "unknown");
	else
		row(p, NOTE, "tpm", "none: no measured boot");
	should(p, f->secure_boot, NOTE, "secure boot", "on", "off");
}

static void host(struct report *p, const struct host_facts *f)
{
	should(p, f->userns, BAD, "user namespaces", "available", "switched off: QEMU cannot be confined (sysctl user.max_user_namespaces)");
	should(p, f->landlock, NOTE, "landlock", "available", "not in this kernel: one layer of confinement less");
	should(p, f->smt_off, NOTE, "smt", "off", "on: sibling threads share caches between qubes (kernel: nosmt)");
	should(p, f->ksm_off, NOTE, "page merging", "off", "on: qubes can find out each other's pages (echo 0 to /sys/kernel/mm/ksm/run)");
	if (f->swap_plain == HOST_YES)
		row(p, NOTE, "swap", "not encrypted: memory of disposables can reach the disk");
	else
		should(p, f->swap_plain == HOST_NO ? HOST_YES : HOST_UNKNOWN, NOTE, "swap", "none, or encrypted", "");
	row(p, f->microcode[0] ? GOOD : NOTE, "microcode", "%s", f->microcode[0] ? f->microcode : "unknown");
	if (f->vulnerable[0])
		row(p, NOTE, "cpu weaknesses", "not mitigated: %s", f->vulnerable);
	else
		row(p, GOOD, "cpu weaknesses", "none that the kernel reports as open");
	row(p, f->memory_kib >= 4u << 20 ? GOOD : NOTE, "memory", "%llu MiB", (unsigned long long)(f->memory_kib >> 10));
	if (f->nested_guest == HOST_YES)
		row(p, NOTE, "this host", "is itself a virtual machine: whoever runs it can see everything");
}

static void on_eol(const char *name, const char *release, const struct eol *x, void *arg)
{
	char text[EOL_TEXT_MAX], what[80];
	struct report *p = arg;

	if (str_printf(what, sizeof what, "end of life, %s", name) < 0)
		return;
	if (x->level == EOL_UNKNOWN)
		row(p, NOTE, what, "%s: no date is known", release[0] > ' ' ? release : "release unknown");
	else if (x->level == EOL_FAR)
		row(p, GOOD, what, "%s: %s", release, x->date);
	else
		row(p, x->level == EOL_PAST ? BAD : NOTE, what, "%s %s", release, eol_text(text, x));
}

/* Only where an instance runs: this page is about the computer. */
static void saved_states(struct report *p)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	size_t ready = 0, failed = 0;
	char *text, *line;

	if (adm_text(&rep, "dom0", "admin.state.List", NULL, NULL, NULL) < 0)
		return;
	text = rep.data;
	while ((line = adm_line(&text))) {
		ready += streq(line, "status=ready");
		failed += streq(line, "status=failed");
	}
	if (failed)
		row(p, NOTE, "saved states", "%zu ready, %zu could not be built: 'qvm-state' and the log name them", ready, failed);
	else
		row(p, GOOD, "saved states", "%zu ready", ready);
}

static int words(const struct tool *t, const struct host_facts *f)
{
	_cleanup_(table_freep) struct table *table = table_new(3);
	struct report p = { .t = t, .table = table };

	table_add(table, "");
	table_add(table, "WHAT");
	table_add(table, "FOUND");
	if (opt_has(t, KEY_JSON))
		json_open(&p.json, NULL, '[');
	virtualization(&p, f);
	devices(&p, f);
	host(&p, f);
	saved_states(&p);
	eol_host(on_eol, &p);
	eol_templates(on_eol, &p);
	if (opt_has(t, KEY_JSON)) {
		json_close(&p.json, ']');
		return p.n[BAD] ? EXIT_LACKS : 0;
	}
	table_print(table, t, false);
	printf("\n%zu ok, %zu notes, %zu missing\n", p.n[GOOD], p.n[NOTE], p.n[BAD]);
	return p.n[BAD] ? EXIT_LACKS : 0;
}

/* A YAML text in single quotes. Facts hold printable ASCII only. */
static void yaml(const char *indent, const char *key, const char *v)
{
	printf("%s%s: '", indent, key);
	for (; *v; v++)
		printf(*v == '\'' ? "''" : "%c", *v);
	printf("'\n");
}

static int hcl(const struct host_facts *f)
{
	const struct vmm_ops *vmm;
	struct accel_facts a = { 0 };
	uint8_t accel = ACCEL_TCG;
	char memory[24];

	if (vmm_choose(ACCEL_AUTO, &vmm, &accel, &a, NULL) < 0 ||
	    str_printf(memory, sizeof memory, "%llu", (unsigned long long)(f->memory_kib >> 10)) < 0)
		return EXIT_FAIL;
	printf("---\n");
	yaml("", "layout", "hcl");
	yaml("", "type", f->nested_guest == HOST_YES ? "virtual machine" : "computer");
	yaml("", "hvm", host_verdict_word(f->vmx_svm));
	yaml("", "iommu", host_verdict_word(f->iommu));
	yaml("", "slat", host_verdict_word(f->slat));
	yaml("", "tpm", f->tpm == HOST_YES ? (f->tpm_version[0] ? f->tpm_version : "unknown") : "no");
	yaml("", "remap", host_verdict_word(f->intremap));
	yaml("", "model", f->machine);
	yaml("", "bios", f->bios);
	yaml("", "cpu", f->cpu);
	yaml("", "microcode", f->microcode);
	yaml("", "memory", memory);
	yaml("", "smt", f->smt_off == HOST_UNKNOWN ? "unknown" : f->smt_off == HOST_YES ? "off" : "on");
	yaml("", "secure-boot", host_verdict_word(f->secure_boot));
	yaml("", "vulnerable", f->vulnerable);
	printf("versions:\n");
	printf("- works: '%s'\n", accel == ACCEL_KVM ? "yes" : "emulated");
	yaml("  ", "bulkhead", BULKHEAD_VERSION);
	yaml("  ", "accelerator", accel == ACCEL_KVM ? "kvm" : "tcg");
	yaml("  ", "reason", a.reason);
	yaml("  ", "kernel", f->kernel);
	yaml("  ", "distribution", f->distribution);
	yaml("  ", "remark", "");
	return 0;
}

static int run(struct tool *t, int argc, char **argv)
{
	struct host_facts f;

	host_facts(&f);
	return opt_has(t, KEY_YAML) ? hcl(&f) : words(t, &f);
}

const struct verb verb_qvm_doctor = {
	.name = "qvm-doctor",
	.summary = "tell what this computer offers for isolating qubes",
	.args = "",
	.desc = "Each line is ok, a note (works, but weaker) or MISSING (isolation needs it).\n"
		"The report of --yaml holds no serial number and no name of a qube.",
	.opts = opts,
	.exits = exits,
	.max_args = ARGS_NONE,
	.run = run,
};
