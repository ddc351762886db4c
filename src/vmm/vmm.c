/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of drivers and the choice among them. */
#include "vmm/vmm.h"

#include "base/str.h"

#define VMM(symbol, name) extern const struct vmm_ops vmm_##symbol;
#include "vmm/drivers.def"
#undef VMM

static const struct vmm_ops *const drivers[] = {
#define VMM(symbol, name) &vmm_##symbol,
#include "vmm/drivers.def"
#undef VMM
};

static const char *const accels[] = { [ACCEL_AUTO] = "auto", [ACCEL_KVM] = "kvm", [ACCEL_TCG] = "tcg" };

const struct vmm_ops *vmm_at(size_t i)
{
	return i < ARRAY_SIZE(drivers) ? drivers[i] : NULL;
}

const char *vmm_accel_name(uint8_t accel)
{
	return accel < ARRAY_SIZE(accels) ? accels[accel] : "?";
}

int vmm_accel_parse(const char *name, uint8_t *ret)
{
	for (size_t i = ACCEL_AUTO + 1; i < ARRAY_SIZE(accels); i++) {
		if (!streq(name, accels[i]))
			continue;
		*ret = (uint8_t)i;
		return 0;
	}
	return -EINVAL;
}

int vmm_choose(uint8_t wanted, const struct vmm_ops **ret, uint8_t *ret_accel, struct accel_facts *facts, struct err *e)
{
	const char *env = getenv("BULKHEAD_ACCEL");
	struct accel_facts own = { 0 };
	int r = -ENOTSUP;

	if (wanted == ACCEL_AUTO && env && env[0] && vmm_accel_parse(env, &wanted) < 0)
		return err_set(e, EINVAL, "BULKHEAD_ACCEL must be kvm or tcg");
	for (size_t i = 0; i < ARRAY_SIZE(drivers) && r == -ENOTSUP; i++) {
		own = (struct accel_facts){ 0 };
		r = drivers[i]->accel(wanted, ret_accel, &own, e);
		if (r >= 0)
			*ret = drivers[i];
	}
	if (facts)
		*facts = own;
	return r;
}

void vmm_plan_init(struct vmm_plan *p)
{
	*p = (struct vmm_plan){ .accel = ACCEL_TCG, .host_cpus = 1, .monitor = -1, .console = -1, .link = -1, .kernel = -1, .initrd = -1,
				.ram = -1, .state = -1, .gui = -1 };
	for (size_t i = 0; i < VM_DISKS_MAX; i++) {
		p->ephemeral[i] = -1;
		for (size_t k = 0; k < VM_LAYERS_MAX; k++)
			p->layers[i][k] = -1;
	}
}

void vmm_args_fini(struct vmm_args *a)
{
	for (size_t i = 0; i < a->n && i < VMM_ARGS_MAX; i++)
		free(a->v[i]);
	memset(a, 0, sizeof *a);
}

void vmm_launch_fini(struct vmm_launch *l)
{
	vmm_args_fini(&l->args);
}
