/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The content of a new installation. */
#include "base/paths.h"
#include "base/str.h"
#include "core/core.h"

static const struct {
	const char *name, *value;
} first_labels[] = {
	{ "red", "0xcc0000" },	{ "orange", "0xf57900" }, { "yellow", "0xedd400" }, { "green", "0x73d216" },
	{ "gray", "0x555555" }, { "blue", "0x3465a4" },	  { "purple", "0x75507b" }, { "black", "0x000000" },
};

static void add_pool(struct core *c, const char *name, const char *driver, const char *dir)
{
	struct pool *p = xcalloc(1, sizeof *p);

	if (str_copy(p->name, sizeof p->name, name) < 0 || str_copy(p->driver, sizeof p->driver, driver) < 0)
		abort(); /* constants, and a driver name that the caller checked */
	kv_set(&p->config, "dir_path", dir);
	txn_pool_add(c, p);
}

int core_init_fresh(struct core *c, const char *driver, struct err *e)
{
	static const struct uuid zero = { "00000000-0000-0000-0000-000000000000" };

	if (strlen(driver) >= sizeof ((struct pool *)0)->driver)
		return err_set(e, EINVAL, "storage driver name is too long");
	for (size_t i = 0; i < ARRAY_SIZE(first_labels); i++) {
		struct label *l = xcalloc(1, sizeof *l);

		if (str_copy(l->name, sizeof l->name, first_labels[i].name) < 0 ||
		    str_copy(l->value, sizeof l->value, first_labels[i].value) < 0)
			abort();
		l->index = (uint32_t)i + 1;
		txn_label_add(c, l);
	}
	add_pool(c, "default", driver, path_get(PATH_POOL_DEFAULT));
	add_pool(c, "linux-kernel", "linux-kernel", path_get(PATH_KERNELS));
	txn_qube_add(c, qube_alloc("dom0", &zero, 0, K_ADMIN));
	return txn_commit(c, e);
}
