/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * linkd: everything of one running qube that reads bytes of QEMU or of the guest's link, and nothing else. main.c wires; vm.c the machine's monitor and state;
 * state.c saving, loading and waking; link.c the mux and who may use which port; gui.c the way of the GUI's daemon; ctl.c the core's messages; console.c the console.
 */
#ifndef DAEMON_LINKD_H
#define DAEMON_LINKD_H

#include "base/ev.h"
#include "chan/meet.h"
#include "chan/stream.h"
#include "proto/ipc.h"
#include "vmm/monitor.h"
#include "vmm/spec.h"

#define GRANTS_MAX 256

enum link_tag { TAG_CLIENT, TAG_QREXEC, TAG_QUBESDB };

enum bar_state { BAR_NONE, BAR_PLUGGING, BAR_THERE, BAR_FAILED };

struct console;

struct linkd {
	struct ev_loop *loop;
	struct ipc_ld_hello id; /* who this is; the changing fields are filled in when it is sent */

	const struct vmm_monitor_ops *vmm;
	struct vmm_monitor *monitor;
	enum ld_state state;
	unsigned block_errors;	 /* reported by QEMU; the first are logged */
	uint32_t disk_error;	 /* enum ld_disk_error of what the machine stands still for; 0 = nothing */
	char disk_error_text[160];
	bool end_told;		 /* SHUTDOWN or CRASHED was sent */
	struct ev_timer *ending; /* QEMU has gone: time to deliver what is on its way */
	unsigned ending_ticks;

	uint8_t start;	/* enum vm_start */
	int state_fd;	/* source: where its state goes; clone: number of its machine's descriptor of the state; -1 */
	bool ready_told, frozen, loading, loaded, wake_due; /* wake_due: the next CONT wakes a clone for the first time */
	struct pending *freeze, *cont, *wake; /* commands that wait: for FROZEN, for the end of the load, for SEEDED */

	uint32_t gui_mib;	/* memory for pixels; 0 = none */
	int gui_fd, gui_machine_fd; /* ours, for reading only, and the number of its machine's; -1 = none */
	enum bar_state bar;
	struct lcs_req *gui_req; /* the GUI client that waits for the machine or the memory; NULL */

	struct muxio *x;
	struct meet *meet;
	struct lcs *lcs;
	bool link_up;
	struct ev_timer *hello_timer; /* of an answer that is held back */
	uint64_t hello_window_us;
	unsigned n_hellos;
	struct {
		uint32_t port; /* 0 = free */
		uint64_t deadline_us;
	} grants[GRANTS_MAX];

	int ctl_listen, ctl; /* ctl: connection to the core, -1 */
	struct ev_io *ctl_listen_ev, *ctl_ev;

	struct console *console;
};

/* vm.c */
int vm_init(struct linkd *d, int fd);
/* vm_command starts an LD_CMD and answers it later; vm_query the same for LD_QUERY. */
int vm_command(struct linkd *d, uint8_t cmd, uint32_t serial);
int vm_query(struct linkd *d, uint32_t serial);

/* A command of the core that is answered later (vm.c). pending_done answers it, error NULL = done, and frees it; a NULL p is nothing. */
struct pending {
	struct linkd *d;
	uint32_t serial, type; /* type: IPC_LD_CMD or another */
};
struct pending *pending_new(struct linkd *d, uint32_t serial);
void pending_done(struct pending *p, const char *error);

/* state.c: each as vm_command. */
int state_freeze(struct linkd *d, uint32_t serial);
int state_save(struct linkd *d, uint32_t serial);
int state_load(struct linkd *d, uint32_t serial);
int state_wake(struct linkd *d, uint32_t serial);
int state_stop(struct linkd *d, uint32_t serial);
int state_cont(struct linkd *d, uint32_t serial);
/* What the mux reports. */
void state_on_ready(struct linkd *d);
void state_on_frozen(struct linkd *d);
void state_on_woken(struct linkd *d);
void state_on_down(struct linkd *d);
void state_free(struct linkd *d);
int vm_resize(struct linkd *d, const char *disk, uint64_t size, uint32_t serial);

/* nic.c: as vm_command, for LD_NIC_ADD and LD_NIC_CUT. fd stays the caller's. */
int nic_add(struct linkd *d, uint32_t port, const char *mac, int fd, uint32_t serial);
int nic_cut(struct linkd *d, uint32_t port, uint32_t serial);
void nic_on_gone(uint32_t port, void *arg);

/* gui.c: gui_request answers an LC_GUI later, or negative; gui_step goes on after something has changed that it may wait for; gui_cancelled is true when r
   waited here, and is forgotten. */
int gui_request(struct linkd *d, struct lcs_req *r, struct err *e);
void gui_step(struct linkd *d);
bool gui_cancelled(struct linkd *d, const struct lcs_req *r);

/* link.c */
int link_init(struct linkd *d, int port_fd, int clients_fd, int qrexec_fd, int qubesdb_fd);
/* link_role takes the new channel of a role. -EEXIST while the old one is there. */
int link_role(struct linkd *d, uint8_t role, int fd);
/* link_wake gives the guest a new seed, as the next thing that it gets. -EIO without random bytes, else as mux_wake. */
int link_wake(struct linkd *d);
/* link_send_time: the guest's clock stood still while it was paused. */
void link_send_time(struct linkd *d);
/* link_port_event: the guest opened or closed the port (told by the monitor). */
void link_port_event(struct linkd *d, bool open);

/* ctl.c */
int ctl_init(struct linkd *d, int listen_fd);
void ctl_free(struct linkd *d);
void ctl_event(struct linkd *d, enum ld_event ev, uint32_t detail, const char *text);
void ctl_answer(struct linkd *d, uint32_t type, uint32_t serial, int code, const char *text);
void ctl_send(struct linkd *d, uint32_t type, uint32_t serial, uint32_t flags, const struct wr *w);

/* console.c */
int console_init(struct linkd *d, int fd, int listen_fd, int log_fd);
void console_free(struct console *c);
bool console_seen(const struct linkd *d);

#endif
