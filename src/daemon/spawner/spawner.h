/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * spawner: the one process that starts processes. It obeys a fixed table of typed requests from the qubesd core on descriptor 3, checks
 * every value again, opens all images and sockets itself, and reads no byte that a guest or a qube's process wrote. When the core's
 * end closes it ends; what it started for qubes stays (docs/design.md §2).
 */
#ifndef SPAWNER_SPAWNER_H
#define SPAWNER_SPAWNER_H

#include <limits.h>

#include "daemon/spawner/admit.h"
#include "base/ev.h"
#include "base/ids.h"
#include "base/proc.h"
#include "proto/ipc.h"
#include "storage/storage.h"
#include "vmm/vmm.h"

#define SPAWNER_FD_CORE 3
#define SPAWNER_WORKERS_MAX 4 /* image-workers at a time; further requests wait */

struct child;
struct holder;
struct source;
struct job;
struct ready_runner;

struct spawner {
	struct ev_loop *loop;
	struct ev_io *core;
	struct child *children;
	struct job *jobs; /* storage requests, oldest first */
	unsigned n_jobs;
	struct ready_runner *runner; /* NULL before the first call of a service of dom0 */
	struct holder *holder;	 /* connection to the state-holder; NULL = none now */
	struct source *sources;	 /* machines that were started to be saved, and what is kept of them */
	struct ev_timer *sweep;	 /* of sources that nobody wants to keep */
	int cgroups; /* the tree that was delegated to us; -1 = none */
	struct admit admit;
	int cgroup_watch; /* inotify: a group got its last process or lost it */
};

/* --- children.c: processes that this spawner started -------------------------------------------------------------------------- */

/* child_add takes p over and watches it: its end is told to the core as SP_EXIT. told: the pid that the core knows it by. */
void child_add(struct spawner *s, struct proc *p, uint32_t told, uint32_t qid, uint8_t role);
/* child_known: this very process (number and start time) was started by this spawner or, for roles of qubes, by one before it. */
bool child_known(const struct spawner *s, pid_t pid, uint64_t start);
/* The file run/q/QID/pids remembers the roles of a qube for later spawners. */
int pids_append(uint32_t qid, uint8_t role, pid_t pid, uint64_t start, struct err *e);
int on_kill(struct spawner *s, struct msg *m, struct err *e);
int on_usage(struct spawner *s, struct msg *m, struct err *e);

/* --- disks.c ------------------------------------------------------------------------------------------------------------------ */

struct disk_fds {
	bool in_memory; /* what the qube writes has no file: set before disks_open */
	int layers[VM_DISKS_MAX][VM_LAYERS_MAX], ephemeral[VM_DISKS_MAX], kernel, initrd;
	int ram, state; /* of a source or clone */
	int gui, gui_reading; /* memory for pixels, for QEMU and for linkd */
};

void disks_init(struct disk_fds *d);
void disks_fini(struct disk_fds *d);
/* disks_given takes *fd (then -1) as the disk of s that is given. -EINVAL, -EACCES when it is not what s says, or s says none. */
int disks_given(struct disk_fds *ret, const struct vm_spec *s, int *fd, struct err *e);
/* disks_open opens everything that the machine reads or writes, except what is in ret already. accel decides which form of the kernel is
   taken. */
int disks_open(struct disk_fds *ret, const struct vm_spec *s, uint8_t accel, struct err *e);
/* gui_prepare makes the memory for pixels, if the machine is to have any (gui.c). */
int gui_prepare(struct disk_fds *d, const struct vm_spec *spec, struct err *e);
/* pool_allowed: the directory is one of this instance's pools. */
bool pool_allowed(const char *dir);
/* pool_ready makes, in system mode, the directory of a pool below the default one and gives it to the image-worker. */
int pool_ready(const char *dir, struct err *e);

/* --- roles.c ------------------------------------------------------------------------------------------------------------------ */

/* Sockets and start of the roles of one qube. */
/* The first RS_OF_SOURCE are linkd's. */
enum role_sock { RS_LINKD_CTL, RS_CHAN, RS_CONSOLE, RS_OF_SOURCE, RS_QREXEC_CTL = RS_OF_SOURCE, RS_QREXEC, RS_QDB, RS_QDB_RO, RS_N };

/* sock_path gives the path of one of a qube's sockets. */
const char *sock_path(char out[PATH_MAX], enum role_sock w, uint32_t qid, const char *name);
/* sock_bind binds it (with its symbolic link, for qrexec) and gives the listening descriptor. */
int sock_bind(enum role_sock w, uint32_t qid, const char *name, struct err *e);
void sock_unbind(enum role_sock w, uint32_t qid, const char *name);
/* log_open opens LOG/ROLE.NAME.log for appending. */
int log_open(const char *role, const char *name, struct err *e);

struct fd_place {
	int fd, as;
};
/* set_identity gives the program user and group id uid in system mode (base/ids.h): nothing else of the host has it. In session mode it
   does nothing. */
void set_identity(struct proc_spec *s, uid_t uid);
/* role_spawn starts one of our own programs with these descriptors, and log as its stderr (closed here). */
int role_spawn(struct proc *ret, const char *program, const char *const *argv, uid_t uid, const struct fd_place *fds, size_t n,
	       int log, struct err *e);
/* socks: by enum role_sock; channel: to linkd. Both stay the caller's. */
int start_qrexec_daemon(struct proc *ret, const struct ipc_sp_start_role *q, const int *socks, int channel, struct err *e);
int start_qubesdb_daemon(struct proc *ret, const struct ipc_sp_start_role *q, const int *socks, int channel, struct err *e);
int on_start_role(struct spawner *s, struct msg *m, struct err *e);
int on_start_policyd(struct spawner *s, struct msg *m, struct err *e);
int on_trace_log(struct spawner *s, struct msg *m, struct err *e);
/* on_forget removes the logs of a disposable; roles_quiet says, by a file of this run, that the roles of a qube write none at all. */
int on_forget(struct spawner *s, struct msg *m, struct err *e);
int roles_quiet(const char *name, struct err *e);
/* spawner_env gives the environment of our own roles: static. */
const char *const *spawner_env(void);

/* --- machine.c: a machine in its shim ------------------------------------------------------------------------------------------- */

struct machine_fds {
	int monitor, console, link, lifeline; /* the machine's and the shim's ends; stay the caller's */
};
struct machine_facts {
	uint32_t pid; /* of the machine's program itself */
	uint64_t start;
	int state_fd; /* vmm_plan.state */
	int gui_fd;   /* vmm_plan.gui */
};
/* machine_start starts the shim and the machine's program, stopped. *ret is the shim. */
int machine_start(struct proc *ret, const struct vm_spec *s, const struct vmm_ops *vmm, uint8_t accel, const struct disk_fds *d,
		  const struct machine_fds *f, struct machine_facts *ret_facts, struct err *e);

/* --- limits.c: control groups --------------------------------------------------------------------------------------------------- */

/* limits_init finds the tree; without one (session mode, or nothing delegated) it logs that and the calls below do nothing. */
void limits_init(struct spawner *s);
/* limits_set makes the group of a qube. memory_mib: of the guest; overhead_mib: what else its programs may take. */
int limits_set(const struct spawner *s, uint32_t qid, uint32_t memory_mib, uint64_t overhead_mib, struct err *e);
int limits_enter(const struct spawner *s, uint32_t qid, pid_t pid, struct err *e);

/* --- runner.c: services of dom0 -------------------------------------------------------------------------------------------------- */

int on_dom0_service(struct spawner *s, struct msg *m, struct err *e);
/* uplink.c */
int on_uplink(struct spawner *s, struct msg *m, struct err *e);
/* on_call starts the process that reads what a qube answers to a call of dom0, with that qube's own identity. */
int on_call(struct spawner *s, struct msg *m, struct err *e);
/* runner_refill makes the runner that waits for the next call, if calls have come and none waits. A failure is only logged: calls start one then. */
void runner_refill(struct spawner *s);
/* runner_fini ends the one that waits; those with a call go on. Idempotent. */
void runner_fini(struct spawner *s);

/* --- states.c: saved states (docs/states.md) --------------------------------------------------------------------------------------- */

enum { STATE_RAM, STATE_DEVICE, STATE_VOLATILE, STATE_FDS };

int on_state_keep(struct spawner *s, struct msg *m, struct err *e);
int on_state_drop(struct spawner *s, struct msg *m, struct err *e);
int on_state_list(struct spawner *s, struct msg *m, struct err *e);
/* source_prepare makes the memory files of a source: RAM, state of the devices, volatile disk. */
int source_prepare(struct disk_fds *d, const struct vm_spec *spec, struct err *e);
/* source_started remembers them (own descriptors); source_ended is the end of the machine with this qid, whatever it was. */
int source_started(struct spawner *s, const struct vm_spec *spec, const struct disk_fds *d, struct err *e);
void source_ended(struct spawner *s, uint32_t qid);
/* clone_prepare puts the descriptors of a state where the machine of a clone wants them, opened anew for reading; fds stay the caller's. spec gets the
   state's volatile disk as the base of its own. */
int clone_prepare(struct disk_fds *d, struct vm_spec *spec, const int fds[STATE_FDS], struct err *e);
void states_fini(struct spawner *s);

/* --- holder.c: requests to the state-holder ---------------------------------------------------------------------------------------- */

/* The answer: m is NULL when there is none, e then tells why. */
typedef void (*holder_fn)(struct spawner *s, struct msg *m, const struct err *e, void *arg);
/* holder_request sends one, starting the holder when none runs. 0: fn is called later, once; negative: it is not. */
int holder_request(struct spawner *s, uint32_t type, const struct wr *w, const int *fds, size_t n_fds, holder_fn fn, void *arg, struct err *e);
void holder_fini(struct spawner *s);

/* --- start.c, jobs.c ------------------------------------------------------------------------------------------------------------ */

int on_start_qube(struct spawner *s, struct msg *m, struct err *e);
int on_storage(struct spawner *s, struct msg *m, struct err *e);

/* refuse answers a request with an error. */
void refuse(struct spawner *s, uint32_t type, uint32_t serial, int code, const struct err *e);
/* reply sends to the core; a failure ends the spawner's loop, since the core is gone then. */
void reply(struct spawner *s, const struct msg *m, const struct wr *w, const int *fds, size_t n_fds);

#endif
