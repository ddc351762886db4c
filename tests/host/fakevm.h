/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One qube without QEMU: the real linkd, the real agentd, and a test that plays QEMU's monitor, the core, the roles and the programs.
 * Every wait has a deadline; a helper that fails ends the test by cmocka's fail_msg.
 */
#ifndef TESTS_HOST_FAKEVM_H
#define TESTS_HOST_FAKEVM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/proc.h"
#include "chan/chan.h"
#include "proto/ipc.h"

#define WAIT_MS 10000

struct fakevm {
	uint32_t qid;
	char dir[64], link_sock[96], chan_sock[96], console_sock[96], log[96];
	struct proc linkd, agentd;
	int qmp;	/* we are QEMU */
	int port;	/* the guest's end of the port, kept open as QEMU keeps it */
	int port_other; /* what agentd gets is a copy of this */
	int console, lifeline, ctl, qrexec, qubesdb, agent_out;
	struct ipc_ld_hello hello;
	unsigned events[LD_EV_N]; /* seen so far */
	struct ipc_ld_event call; /* the last LD_EV_CALL */
	char qmp_buf[8192];
	size_t qmp_len;
	uint32_t serial;
};

/* Paths of the programs, from the command line. */
extern const char *linkd_path, *agentd_path;

/* How the machines that follow are started: NULL or --start of linkd, and what is its LINKD_FD_STATE then. */
extern const char *vm_kind;
extern int vm_state_fd;
/* Their memory for pixels of 16 MiB, for reading only, as descriptor 21 of their machine; -1 = none. */
extern int vm_gui_fd;

/* vm_start starts linkd, answers its monitor, connects as the core, starts agentd and waits for the link. */
struct fakevm *vm_start(uint32_t qid);
struct fakevm *vm_start_without_agent(uint32_t qid);
void vm_stop(struct fakevm *v);
void vm_agent_start(struct fakevm *v);
/* vm_agent_line reads agentd's lines until one begins with prefix, and gives the rest of it. */
void vm_agent_line(struct fakevm *v, const char *prefix, char *out, size_t cap);

/* vm_qmp_answer waits for the command and answers with {} (or error text). vm_qmp_send sends a line. */
void vm_qmp_answer(struct fakevm *v, const char *command, const char *error);
void vm_qmp_send(struct fakevm *v, const char *line);
/* vm_qmp_give waits for the command, whose line must hold argument, and answers with result (JSON). */
void vm_qmp_give(struct fakevm *v, const char *command, const char *argument, const char *result);

/* vm_event waits until the event was seen more often than n times. */
void vm_event(struct fakevm *v, enum ld_event ev, unsigned n);
/* vm_core_again is a core that was started anew: its connection takes the place of the old one. */
void vm_core_again(struct fakevm *v);
/* vm_send sends a request as the core, vm_reply waits for its reply: 0 or negative code. vm_call is both. */
uint32_t vm_send(struct fakevm *v, uint32_t type, const struct wr *w, int fd);
int vm_reply(struct fakevm *v, uint32_t serial);
int vm_cmd_async(struct fakevm *v, enum ld_cmd cmd, uint32_t *ret_serial);
int vm_ticket(struct fakevm *v, uint32_t peer, uint32_t port, bool guest_listens, int fd);

/* role_send asks on a role's channel; role_recv waits for the answer: a descriptor, 0 for an empty one, or a negative code. */
void role_send(int chan, uint32_t type, uint32_t port);
int role_recv(int chan);

/* guest_* are programs of the qube: start a request, wait for its end. */
struct chan_req *guest_listen(struct fakevm *v, uint32_t peer, uint32_t port);
struct chan_req *guest_connect(struct fakevm *v, uint32_t peer, uint32_t port);
/* req_wait finishes and frees the request: a descriptor or a negative code. */
int req_wait(struct chan_req *q, int timeout_ms);

/* wait_readable fails the test when fd does not become readable in time. */
void wait_readable(int fd, const char *what);
/* expect_bytes reads exactly the text; expect_end reads to the end of file, at most cap bytes, and gives their number. */
void expect_bytes(int fd, const char *text);
size_t expect_end(int fd, void *buf, size_t cap);
void send_all(int fd, const void *p, size_t n);
void wait_exit(struct proc *p, int *ret_status);

#endif
