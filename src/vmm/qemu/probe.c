/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Choice of the accelerator. A /dev/kvm that opens proves nothing: on a machine without VT-x or AMD-V an ordinary kernel hangs on it for
 * ever. So three things must agree: the CPU's flag, the device, and a trial VM.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "base/fsx.h"
#include "base/rd.h"
#include "base/str.h"
#include "vmm/hostfacts.h"
#include "vmm/qemu/qemu.h"

static void probe(struct accel_facts *f)
{
	_cleanup_fd_ int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm;

	f->cpu_flag = host_cpu_flag("vmx") || host_cpu_flag("svm");
	f->dev_kvm = kvm >= 0;
	if (!f->cpu_flag || kvm < 0 || ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return;
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	f->create_vm = vm >= 0;
	if (vm >= 0)
		close(vm);
}

static const char *explain(const struct accel_facts *f)
{
	if (!f->cpu_flag)
		return "the CPU shows neither VT-x nor AMD-V (or the firmware has it switched off)";
	if (!f->dev_kvm)
		return "/dev/kvm cannot be opened (is the kvm module loaded, and are you in group kvm?)";
	return f->create_vm ? "hardware virtualization works" : "/dev/kvm opens but a virtual machine cannot be created";
}

int qemu_accel(uint8_t wanted, uint8_t *ret, struct accel_facts *f, struct err *e)
{
	if (wanted == ACCEL_TCG) {
		*ret = ACCEL_TCG;
		return str_copy(f->reason, sizeof f->reason, "emulation was asked for");
	}
	if (wanted != ACCEL_KVM && wanted != ACCEL_AUTO)
		return err_set(e, ENOTSUP, "QEMU has no accelerator '%s'", vmm_accel_name(wanted));
	probe(f);
	if (str_copy(f->reason, sizeof f->reason, explain(f)) < 0)
		f->reason[0] = '\0';
	if (!f->create_vm && wanted == ACCEL_KVM)
		return err_set(e, ENOTSUP, "KVM was asked for, but %s", f->reason);
	*ret = f->create_vm ? ACCEL_KVM : ACCEL_TCG;
	return 0;
}
