/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Inside of QEMU's monitor: monitor.c (events and commands), migrate.c (saved states), nic.c (network devices) and bar.c (memory for pixels). */
#ifndef VMM_QEMU_MONITOR_H
#define VMM_QEMU_MONITOR_H

#include "vmm/monitor.h"
#include "vmm/qemu/qmp.h"

/* A save or load that is under way; done is NULL otherwise. */
struct migration {
	vmm_done_fn done;
	void *arg;
	bool incoming;
	char disk[20]; /* of a load: the disk whose size the guest is told, "" = none */
	json_int_t size;
};

struct vmm_monitor {
	struct qmp *qmp;
	const struct vmm_events *events;
	void *arg;
	struct migration migration;
};

/* nic.c: as nic_add and nic_cut of vmm_monitor_ops; QEMU's event DEVICE_DELETED. */
int qemu_nic_add(struct vmm_monitor *m, uint32_t port, const char *mac, int fd, vmm_done_fn fn, void *fn_arg);
int qemu_nic_cut(struct vmm_monitor *m, uint32_t port, vmm_done_fn fn, void *fn_arg);
void qemu_on_device_deleted(struct vmm_monitor *m, json_t *data);
/* bar.c: as bar_add of vmm_monitor_ops. */
int qemu_bar_add(struct vmm_monitor *m, uint32_t port, uint32_t mib, int fd, vmm_done_fn fn, void *fn_arg);
/* As save and load of vmm_monitor_ops. */
int qemu_save(struct vmm_monitor *m, int fd, vmm_done_fn fn, void *fn_arg);
int qemu_load(struct vmm_monitor *m, int fd, const char *disk, vmm_done_fn fn, void *fn_arg);
/* qemu_on_migration takes QEMU's event MIGRATION; qemu_migration_end fails what is under way. */
void qemu_on_migration(struct vmm_monitor *m, json_t *data);
void qemu_migration_end(struct vmm_monitor *m, const char *why);

#endif
