/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * QEMU's command line. Rules: no default device, no configuration file, every block node named with an explicit format and an explicit
 * backing node (so no name inside an image header is ever followed), no network device, no USB, no display.
 */
#include <stdarg.h>

#include "base/str.h"
#include "vmm/qemu/qemu.h"

/* n counts on past the limit; the end of qemu_argv_build decides. */
static void take(struct vmm_args *a, char *s)
{
	if (a->n < VMM_ARGS_MAX)
		a->v[a->n] = s;
	else
		free(s);
	a->n++;
}

static void arg(struct vmm_args *a, const char *s)
{
	take(a, xstrdup(s));
}

/* An option and its value. */
static _printf_(3, 4) void opt(struct vmm_args *a, const char *name, const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;

	arg(a, name);
	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		abort();
	va_end(ap);
	take(a, s);
}

unsigned qemu_vcpus(uint8_t accel, uint32_t wanted, unsigned host_cpus)
{
	/* An emulated CPU is a busy thread of the host, and a guest boots no faster with a second one (measured: slower). */
	unsigned max = MAX(accel == ACCEL_TCG ? host_cpus / 2 : host_cpus, 1u);

	return wanted < 1 ? 1 : MIN(wanted, max);
}

static void machine(struct vmm_args *a, const struct vm_spec *s, const struct vmm_plan *p)
{
	opt(a, "-name", "guest=%s,debug-threads=off", s->name);
	opt(a, "-uuid", "%s", s->uuid);
	arg(a, "-nodefaults");
	arg(a, "-no-user-config");
	arg(a, "-S");
	arg(a, "-no-reboot");
	opt(a, "-display", "none");
	opt(a, "-vga", "none");
	opt(a, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	opt(a, "-machine", "q35,usb=off,smbus=off,sata=off,vmport=off,mem-merge=off,dump-guest-core=off%s",
	    s->start == VM_START_COLD ? "" : ",memory-backend=ram");
	if (p->accel == ACCEL_KVM) {
		opt(a, "-accel", "kvm");
		opt(a, "-cpu", "host");
	} else {
		/* Without fast string moves the guest's copies use vector code, which the translator makes up to 3.5 times faster. */
		opt(a, "-accel", "tcg,tb-size=%d", QEMU_TCG_TB_MIB);
		opt(a, "-cpu", "max,erms=off,fsrm=off");
	}
	opt(a, "-smp", "%u", qemu_vcpus(p->accel, s->vcpus, p->host_cpus));
	opt(a, "-m", "%uM", s->memory_mib);
	/* QEMU opens its own descriptor once more, for writing. What keeps clones from changing the state is the seal of the file. */
	if (s->start != VM_START_COLD)
		opt(a, "-object", "memory-backend-file,id=ram,size=%uM,mem-path=/proc/self/fd/%d,share=%s", s->memory_mib, p->ram,
		    s->start == VM_START_SOURCE ? "on" : "off");
	if (s->start == VM_START_CLONE)
		opt(a, "-incoming", "defer");
	opt(a, "-rtc", "base=utc");
}

static void kernel(struct vmm_args *a, const struct vm_spec *s, const struct vmm_plan *p)
{
	char id[33];
	size_t n = 0;

	/* The kernel of a clone is in its RAM. */
	if (p->kernel < 0 || s->start == VM_START_CLONE)
		return;
	for (const char *c = s->uuid; *c && n < 32; c++)
		if (*c != '-')
			id[n++] = *c;
	id[n] = '\0';
	/* QEMU's loader knows no descriptor sets: it opens its own descriptor once more. */
	opt(a, "-kernel", "/proc/self/fd/%d", p->kernel);
	if (p->initrd >= 0)
		opt(a, "-initrd", "/proc/self/fd/%d", p->initrd);
	/* panic=1: a kernel that gave up restarts, which with -no-reboot ends the machine instead of burning a processor. */
	opt(a, "-append", "root=/dev/mapper/dmroot console=ttyS0 quiet panic=1 systemd.machine_id=%s%s%s%s%s%s", id,
	    p->accel == ACCEL_TCG ? " cryptomgr.notests noreplace-smp" : "", s->debug ? " bulkhead.debug" : "",
	    s->start == VM_START_SOURCE ? " bulkhead.state noautogroup" : "",
	    s->kernelopts[0] ? " " : "", s->kernelopts);
}

static void channels(struct vmm_args *a, const struct vmm_plan *p)
{
	opt(a, "-chardev", "socket,id=qmp,fd=%d", p->monitor);
	opt(a, "-mon", "chardev=qmp,mode=control");
	opt(a, "-chardev", "socket,id=console,fd=%d", p->console);
	opt(a, "-serial", "chardev:console");
	opt(a, "-device", "virtio-serial-pci,id=vser,bus=pcie.0,addr=0x%02x,disable-legacy=on,max_ports=4", QEMU_SLOT_LINK);
	opt(a, "-chardev", "socket,id=link,fd=%d", p->link);
	opt(a, "-device", "virtserialport,bus=vser.0,nr=1,chardev=link,id=" LINKD_PORT_ID ",name=" LINKD_PORT_NAME);
}

static void root_ports(struct vmm_args *a, const struct vm_spec *s)
{
	for (unsigned i = 0; i < (s->ports ? s->ports : VMM_PORTS); i++) {
		char room[40] = "";

		/* The firmware gives an empty port 2 MiB: what comes later with more needs its addresses from the start. Twice as many, because the
		   firmware places them anywhere, and the memory must lie at a multiple of its size. */
		if (i == VMM_GUI_PORT && s->gui_mib && str_printf(room, sizeof room, ",pref64-reserve=%uM", 2 * s->gui_mib) < 0)
			abort(); /* a number has at most 10 digits */
		opt(a, "-device", "pcie-root-port,id=rp%u,bus=pcie.0,addr=0x%02x.%u,chassis=%u,slot=%u%s%s", i, QEMU_SLOT_PORTS + i / 8, i % 8,
		    i + 1, i + 1, i % 8 == 0 ? ",multifunction=on" : "", room);
	}
}

struct node {
	const char *serial;
	uint32_t index;
	int fd;
	uint8_t format;
	bool writable, shared, throw_away;
};

/* One layer: its descriptor, the node of its bytes, the node of its format over the layer below. */
static void block_node(struct vmm_args *a, const struct node *n, unsigned *set, bool top)
{
	const char *ro = n->writable ? "off" : "on";
	/* What is thrown away at the end need not reach the disk; for the rest the guest's flushes count. */
	const char *cache = n->throw_away ? ",cache.direct=off,cache.no-flush=on" : ",cache.direct=off,cache.no-flush=off";
	const char *discard = n->writable ? ",discard=unmap" : "";
	char name[40];

	(*set)++;
	opt(a, "-add-fd", "fd=%d,set=%u", n->fd, *set);
	opt(a, "-blockdev", "driver=%s,node-name=%s-f%u,filename=/dev/fdset/%u,read-only=%s,auto-read-only=off,locking=%s%s%s",
	    n->format == VM_FMT_DEVICE || n->format == VM_FMT_GIVEN_DEVICE ? "host_device" : "file", n->serial, n->index, *set, ro, n->shared ? "off" : "auto", discard, cache);
	if (top ? str_copy(name, sizeof name, n->serial) < 0 :
		  str_printf(name, sizeof name, "%s-l%u", n->serial, n->index) < 0)
		abort(); /* serial is at most 19 bytes */
	if (n->format != VM_FMT_QCOW2)
		opt(a, "-blockdev", "driver=raw,node-name=%s,file=%s-f%u,read-only=%s,auto-read-only=off%s%s", name, n->serial,
		    n->index, ro, discard, cache);
	else
		opt(a, "-blockdev", "driver=qcow2,node-name=%s,file=%s-f%u,backing=%s-l%u,read-only=%s,auto-read-only=off%s%s",
		    name, n->serial, n->index, n->serial, n->index - 1, ro, discard, cache);
}

static unsigned disk_slot(const struct vm_spec *s, uint32_t i)
{
	static const char *const fixed[] = { "root", "private", "volatile", "modules" };
	unsigned other = 0;

	for (unsigned k = 0; k < ARRAY_SIZE(fixed); k++)
		if (streq(s->disks[i].serial, fixed[k]))
			return QEMU_SLOT_DISK + k;
	for (uint32_t j = 0; j < i; j++) {
		bool is_fixed = false;

		for (unsigned k = 0; k < ARRAY_SIZE(fixed); k++)
			is_fixed |= streq(s->disks[j].serial, fixed[k]);
		other += !is_fixed;
	}
	return QEMU_SLOT_DISK + (unsigned)ARRAY_SIZE(fixed) + other;
}

static int disk(struct vmm_args *a, const struct vm_spec *s, const struct vmm_plan *p, uint32_t i, unsigned *set,
		struct err *e)
{
	const struct vm_disk *d = &s->disks[i];
	bool over = d->ephemeral_size > 0;

	if (over && p->ephemeral[i] < 0)
		return err_set(e, EINVAL, "disk %s: no descriptor", d->serial);
	for (uint32_t k = 0; k < d->n_layers; k++) {
		bool top = k + 1 == d->n_layers && !over;
		struct node n = { .serial = d->serial, .index = k, .fd = p->layers[i][k], .format = d->layers[k].format,
				  .writable = top && !d->readonly };

		n.shared = !n.writable;
		if (n.fd < 0)
			return err_set(e, EINVAL, "disk %s: no descriptor for layer %u", d->serial, k);
		block_node(a, &n, set, top);
	}
	if (over) {
		struct node n = { .serial = d->serial, .index = d->n_layers, .fd = p->ephemeral[i],
				  .format = d->n_layers ? VM_FMT_QCOW2 : VM_FMT_RAW, .writable = true, .throw_away = true };

		block_node(a, &n, set, true);
	}
	/* A disk that has no room, or fails, stops the machine instead of telling the guest, whose file system would be damaged or shut
	   itself down; when it goes on the same request is tried again. */
	/* Without a kernel of dom0's the firmware starts what it finds: a drive that is given for this start is meant for that. */
	opt(a, "-device", "virtio-blk-pci,id=%s,drive=%s,serial=%s,bus=pcie.0,addr=0x%02x,disable-legacy=on,num-queues=1,werror=stop,rerror=stop%s",
	    d->serial, d->serial, d->serial, disk_slot(s, i), !s->kernel[0] && vm_spec_given(s) == (int)i ? ",bootindex=0" : "");
	return 0;
}

int qemu_argv_build(const struct vm_spec *s, const struct vmm_plan *p, struct vmm_args *ret, struct err *e)
{
	unsigned set = 0;
	int r = 0;

	memset(ret, 0, sizeof *ret);
	if (p->monitor < 0 || p->console < 0 || p->link < 0)
		return err_set(e, EINVAL, "QEMU needs its monitor, console and link");
	if ((s->start != VM_START_COLD && p->ram < 0) || (s->start == VM_START_CLONE && p->state < 0))
		return err_set(e, EINVAL, "QEMU needs the files of the saved state");
	arg(ret, p->program ? p->program : QEMU_PROGRAM);
	machine(ret, s, p);
	kernel(ret, s, p);
	channels(ret, p);
	for (uint32_t i = 0; r >= 0 && i < s->n_disks; i++)
		r = disk(ret, s, p, i, &set, e);
	root_ports(ret, s);
	if (r >= 0 && ret->n > VMM_ARGS_MAX)
		r = err_set(e, E2BIG, "the machine has too many parts for one command line");
	return r;
}
