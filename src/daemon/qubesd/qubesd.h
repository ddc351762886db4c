/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qubesd --core: the wiring of object model, database, Admin API sockets, and the other processes. It parses Admin API requests and typed
 * messages only, starts no process and opens no image.
 */
#ifndef QUBESD_QUBESD_H
#define QUBESD_QUBESD_H

#include "base/ev.h"
#include "core/api/api.h"
#include "daemon/qubesd/peer.h"
#include "store/store.h"

#define QUBESD_FD_SPAWNER 3 /* in core and spawner */
#define QUBESD_FD_READY 4   /* of the first core */
#define QUBESD_FD_LIFE 5    /* of the core: ends when the supervisor does */
#define QUBESD_EXIT_CONFIG 3 /* starting again would not help */

struct server;
struct runs;

struct qd {
	struct ev_loop *loop;
	struct store *store;
	struct core *core;
	struct peer *spawner;
	struct server *server;
	struct runs *runs; /* running qubes and policyd; NULL with --no-vms */
	bool no_vms, no_autostart;
	int ready_fd; /* -1 = nobody waits */
	int life_fd;  /* -1 = there is no supervisor */
};

/* core_main runs the core process: gives its exit status. life_fd -1: systemd is the supervisor. */
int core_main(const char *root, bool no_vms, bool no_autostart, int ready_fd, int life_fd);
/* supervisor_main starts and watches core and spawner. ready_fd -1 = nobody waits. */
int supervisor_main(const char *root, bool no_vms, bool no_autostart, int ready_fd);

/* notify.c: tells the service manager, if there is one, that the instance serves. */
void notify_ready(void);

/* server.c: the three Admin API sockets. server_open binds them, server_serve begins to accept. */
struct server *server_open(struct qd *d, struct err *e);
int server_serve(struct server *s, struct err *e);
void server_free(struct server *s);
/* server_adopt serves one request of a qube that policy has allowed, from the socket fd, which it takes over (closed on failure as well). The header is ours:
   service is METHOD[+ARGUMENT], src the qube, target what it asked for. What arrives is payload. */
int server_adopt(struct server *s, int fd, const char *service, const char *src, const char *target, struct err *e);

/* dom0_services.c: dom0's features service.* as files, now and at each change */
void dom0_services_start(struct qd *d);

/* storage.c */
int storage_submit(void *ctx, const struct st_request *q, storage_fn fn, void *arg, struct err *e);
/* storage_sweep removes from all pools what earlier lives left half-made, then calls done (perhaps before it returns). Before anything is served. */
void storage_sweep(struct qd *d, void (*done)(struct qd *d));

/* run.c: the daemon's part of the core's operations */
extern const struct core_ops run_ops;

#endif
