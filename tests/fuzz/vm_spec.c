/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Machine descriptions: what passes the decoder encodes to the same bytes and makes a command line without a banned word. */
#include "base/str.h"
#include "vmm/qemu/qemu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void command_line(const struct vm_spec *s)
{
	_cleanup_(vmm_args_fini) struct vmm_args a = { .n = 0 };
	struct vmm_plan p;

	vmm_plan_init(&p);
	p.monitor = p.console = p.link = p.kernel = p.initrd = 3;
	for (size_t i = 0; i < VM_DISKS_MAX; i++) {
		p.ephemeral[i] = 4;
		for (size_t k = 0; k < VM_LAYERS_MAX; k++)
			p.layers[i][k] = 5;
	}
	if (qemu_argv_build(s, &p, &a, NULL) < 0)
		abort();
	/* Values follow their options: an option that we did not write cannot appear in an option's place. */
	for (size_t i = 1; i < a.n; i++)
		if (streq(a.v[i], "-netdev") || streq(a.v[i], "-drive") || streq(a.v[i], "-monitor"))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_wr_ struct wr w = wr_grow(1 << 20);
	struct rd r = rd_mem(data, size);
	struct vm_spec s;

	if (vm_spec_get(&r, &s, NULL) < 0)
		return 0;
	vm_spec_put(&w, &s);
	if (!wr_ok(&w) || w.len != size || memcmp(w.buf, data, size) != 0)
		abort();
	command_line(&s);
	return 0;
}
