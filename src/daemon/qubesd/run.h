/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Running qubes: one struct run from the request to start until the volumes are committed. Everything is asynchronous: a step ends in
 * a reply, an event of linkd or qrexec-daemon, or a timer. Private to src/daemon/qubesd/run*.c.
 */
#ifndef QUBESD_RUN_H
#define QUBESD_RUN_H

#include "base/hostload.h"
#include "daemon/qubesd/netstate.h"
#include "daemon/qubesd/qubesd.h"
#include "qdb/client.h"
#include "vmm/spec.h"

#define BOOT_CPU_MS 25000    /* CPU time of QEMU without a byte of console or link: a hung boot */
#define BOOT_WALL_MS 180000
#define WATCH_MS 2000
#define CLONE_WALL_MS 60000
#define EMULATED_FACTOR 5    /* an emulated qube gets this many times its timeouts */
#define KILL_AFTER_MS 1000   /* after LD_QUIT */
#define OFF_MS 10000	     /* after the guest has powered off */
#define GONE_POLL_MS 30
#define GONE_POLLS 100
#define GONE_SLOW_MS 1000
#define ROLE_RESTARTS_MAX 20 /* of one role of one qube */
#define RECONNECTS_MAX 100

enum phase {
	PH_NETVM,   /* waits for the netvm to start */
	PH_STORAGE, /* volumes are being started */
	PH_SPAWN,   /* SP_START_QUBE is under way */
	PH_FILL,    /* QubesDB is being filled */
	PH_BOOT,    /* runs, the agent is awaited */
	PH_UP,
	PH_ENDING,  /* told to end, or dead: its processes are awaited */
	PH_CLEANUP, /* volumes are being stopped */
};

struct run {
	struct run *next;
	struct qd *d;
	struct qube *q;
	enum phase phase;
	struct vm_spec spec;
	unsigned volume; /* the one being started or stopped */
	bool storage_started[VOL_N];
	int drive; /* a disk for this start only, as it was given: its access says whether the qube may write; -1 = none */
	unsigned attempt;
	bool retry;	     /* after cleanup start again */
	bool failed;	     /* the start failed: waiters get start_err */
	bool killed;	     /* while a step was under way that cannot be taken back */
	struct err start_err;
	uint32_t linkd_pid, qemu_pid;
	uint64_t linkd_start, qemu_start, boot_us, watch_us; /* watch_us: when the time limit of this boot began */
	uint8_t accel;
	bool console_seen, link_up, agent_up;
	bool off; /* the machine is off: what ends now ends rightly */
	struct peer *linkd, *qrexec;
	struct qdbc qdb;
	struct ev_io *qdb_io;
	unsigned qdb_open; /* requests without an answer */
	struct run_net net;
	struct ev_timer *watch, *limit, *kill, *gone;
	bool gone_waits; /* the timer of the next look runs */
	unsigned gone_polls, restarts, reconnects;
	struct call *starters, *enders; /* calls that wait for Running, for Halted */
	struct call *again;		/* calls that start it once it is halted */
	struct call *waiters;		/* shutdown with wait: as enders, but limited in time */
	struct ev_timer *shutdown_limit;
	char full_pool[64]; /* without room when it was paused for that; "" = none */
	uint64_t notice_us; /* no further notice about it before this time */
	uint64_t stat_cpu_ms, stat_us;	/* of the last vm-stats */
	/* saved states: */
	char key[VM_STATE_KEY_LEN + 1];		/* of its kind; "" = it always boots */
	bool cold_only;				/* a clone did not come up */
	bool filled, loaded, load_failed;	/* QubesDB; the state of a clone */
	bool stale;				/* its template has ended since: not given out when preloaded */
	struct warm *warm;
	bool dispose;			/* a disposable of one call: */
	uint32_t dispose_peer, dispose_port;
	bool held_saved;		/* run_save has written that it is held */
};

/* Our own listener of the core's events. */
struct live {
	struct qd *d;
	struct subscriber sub;
};

/* dom0's own statistics: what the machine uses, less what its qubes do. */
struct host_stats {
	struct hostload load;
	uint64_t busy_ms, own_ms, us;	/* at the last round; own_ms is dom0's alone */
	uint64_t qubes_ms, qubes_kib;	/* of this round */
	unsigned waiting;		/* answers of this round, and one for who asks */
};

struct runs {
	struct live live;
	struct qd *d;
	struct run *list;
	struct live net_live;
	unsigned net_cuts; /* ends of links that were told to go and have not answered */
	struct call *net_waiting; /* calls that end when there is none */
	char timezone[64]; /* "" = unknown */
	uint64_t n_starts, n_retries;
	struct ev_timer *stats; /* runs while there are listeners */
	struct host_stats host;
	struct states *states;
	struct ev_timer *pools;
	/* policyd */
	struct peer *policyd;
	struct ev_timer *policyd_again;
	uint64_t policyd_delay_ms;
	uint32_t sync_token;
	struct sync_wait *syncs;
	struct eval_wait *evals;
	uint32_t eval_token;
	struct sent *sent;
	uint32_t next_port;
};

/* run.c. runs_new is called before the sandbox closes, runs_start when the state is loaded. */
struct runs *runs_new(struct qd *d);
int runs_start(struct qd *d, struct err *e);
void runs_on_exit(struct qd *d, struct msg *m);
struct run *run_find(struct qd *d, uint32_t qid);
struct run *run_new(struct qd *d, struct qube *q);
void run_free(struct run *r);
/* run_state moves the life cycle on (a refused step is logged) and tells policy. */
void run_state(struct run *r, enum life_event ev);
void run_commit(struct qd *d);
/* calls_end ends all calls of a list with this result. */
void calls_end(struct call **list, int r, const struct err *e);
void call_push(struct call **list, struct call *c);
/* internal_call makes a call of our own; done gets it and must call_free it. */
void internal_call(struct qd *d, const char *method, const char *arg, const char *src, const char *dest, void (*done)(struct call *c),
		   void *arg2);

/* internal_call_with is internal_call with a payload and no argument. */
void internal_call_with(struct qd *d, const char *method, const char *src, const char *dest, const char *body, void (*done)(struct call *c), void *arg2);
/* internal_call_fresh is internal_call for a disposable that is made now, for nobody yet, whatever is preloaded. */
void internal_call_fresh(struct qd *d, const char *method, const char *dest, void (*done)(struct call *c), void *arg2);

/* run_start.c */
/* run_start_id makes the random name of a run. */
int run_start_id(char out[40]);
/* run_describe_kind describes the machine of a qube like q, whose root was just asked for, with an empty private disk. */
int run_describe_kind(struct qd *d, struct qube *q, const struct st_reply *root, struct vm_spec *ret, struct err *e);
/* run_missing_netvm gives the netvm that has to be started before q may use it, or NULL. */
struct qube *run_missing_netvm(struct qd *d, struct qube *q);
int run_op_start(void *ctx, struct qube *q, struct call *c);
void run_begin(struct run *r);
/* run_fail ends a start: cleans up, then answers. */
void run_fail(struct run *r, int code, const struct err *e);

/* run_boot.c */
void run_spawned(struct run *r);
void run_ready(struct run *r);
void run_boot_event(struct run *r);
void run_boot_watch(struct run *r);
void run_save(struct run *r);
/* run_write_file replaces a file of this run in one step, unsynced. */
void run_write_file(const char *path, const void *p, size_t n);
void run_count(struct runs *rs); /* writes the counters of starts */
uint64_t run_timeout_ms(const struct run *r, enum prop_id id);

/* run_stop.c */
int run_op_shutdown(void *ctx, struct qube *q, bool wait, struct call *c);
int run_op_kill(void *ctx, struct qube *q, struct call *c);
int run_op_current_state(void *ctx, struct qube *q, struct call *c);
/* run_end makes the machine end by force; run_gone: it has ended; run_cleanup stops the volumes. */
void run_end(struct run *r);
void run_off(struct run *r); /* the guest has powered off: its processes should end by themselves */
void run_gone(struct run *r);
/* run_machine_ended: the spawner saw the end of the machine's processes, for which run_gone would look again only later. */
void run_machine_ended(struct run *r);
void run_cleanup(struct run *r);

/* run_pause.c */
int run_op_pause(void *ctx, struct qube *q, enum life_event ev, struct call *c);

/* run_disp.c */
/* run_disp_end ends a disposable, in whatever state it is, and with that removes it. */
void run_disp_end(struct qd *d, struct qube *q, const char *why);
bool run_is_disposable(const struct run *r); /* unnamed: nothing of it is kept */
/* The agent says that a call of target has ended; a data channel of r was closed at r's side; a qube that may have called others is gone. */
void run_disp_call_ended(struct run *target, uint32_t peer, uint32_t port);
void run_disp_channel_ended(struct run *r, uint32_t peer, uint32_t port);
void run_disp_caller_gone(struct run *caller);
void run_op_hold(void *ctx);
/* run_start_flags gives what the spawner has to know beside the machine (enum sp_start_flag). */
uint8_t run_start_flags(const struct run *r);
uint64_t run_volatile_size(const struct core *c, const struct qube *q); /* of the volatile disk, bytes */
/* run_disp_check: can its disks be kept in memory, when they have to be? */
int run_disp_check(const struct run *r, struct err *e);
/* run_disp_forget removes the logs of an unnamed disposable that has gone. */
void run_disp_forget(struct qd *d, const char *name);
/* run_disp_start begins the time in which holders come back after a restart. */
void run_disp_start(struct qd *d);

/* run_links.c */
int run_connect_linkd(struct run *r, struct err *e);
int run_connect_qrexec(struct run *r, struct err *e);
int run_cmd(struct run *r, enum ld_cmd cmd, peer_reply_fn fn, void *arg, struct err *e);
void run_disconnect(struct run *r);

/* run_qdb.c: run_qdb_fill connects and writes all keys; then run_qdb_filled or run_fail follows. */
int run_qdb_fill(struct run *r, struct err *e);
void run_qdb_close(struct run *r);
void run_qdb_filled(struct run *r);
/* run_qdb_change writes or (NULL) removes one key of a running qube. */
void run_qdb_change(struct run *r, const char *key, const char *value);

/* run_live.c */
void run_live_start(struct qd *d);
int run_op_report(void *ctx, struct qube *q, const char *prefix, struct call *c, report_fn fn);
/* run_live_key gives the key and value by which a guest sees a feature (value NULL = absent); false when it does not see it. */
bool run_live_key(const char *feature, const char *value, char key[200], const char **ret_value);

/* run_guest.c: run_guest_service calls a service of the qube as dom0. input: at most 200 bytes. fn is called once, perhaps before this returns 0: r 0
   when its exit code was 0; text: one line, escaped, why not. */
typedef void (*guest_fn)(void *arg, int r, const char *text);
int run_guest_service(struct run *r, const char *service, const char *user, const char *input, guest_fn fn, void *arg, struct err *e);

/* run_disk.c. run_serials: the name by which a guest finds each volume's disk. */
extern const char *const run_serials[VOL_N];
/* run_notice tells the user's session and the log; source: the qube that it is about, or "". */
void run_notice(struct runs *rs, const char *source, const char *text);
/* run_disk_error: linkd tells that a disk failed (enum ld_disk_error). */
void run_disk_error(struct run *r, uint32_t bits, const char *text);
/* run_pause_over_limit pauses a qube that writes to a pool which holds more than it may. */
void run_pause_over_limit(struct run *r, const char *pool);
/* run_disk_check asks whether what a qube was paused for is over, then calls fn with 0 or -AE_STORAGE and the reason. 0 and fn is never called: there
   is nothing to ask. 1: fn follows. Negative: it is not over. */
int run_disk_check(struct run *r, void (*fn)(void *arg, int k, struct err *e), void *arg, struct err *e);
int run_op_grow(void *ctx, struct qube *q, unsigned vol, uint64_t size, struct call *c, void (*fn)(struct call *c, int r));
int run_op_guest(void *ctx, struct qube *q, const char *service, const char *user, const char *input, struct call *c,
		 void (*fn)(struct call *c, int r));

/* run_pools.c: room in pools, watched while the daemon serves */
void run_pools_start(struct qd *d);
/* run_pools_look has a pool looked at soon; run_pools_changed that of a driver and place, after a storage operation. little: only if it has a
   limit of its own. */
void run_pools_look(void *ctx, struct pool *p);
void run_pools_changed(struct qd *d, const char *driver, const char *place, bool little);

/* run_stats.c: vm-stats for admin.vm.Stats, as long as somebody listens */
void run_op_stats(void *ctx);

/* run_policy.c */
int policy_start(struct runs *rs, struct err *e);
bool policy_sync(void *ctx, struct call *c);
int policy_ask(void *ctx, const char *src, const char *service, const char *targets, policy_fn fn, void *arg, struct err *e);
/* policy_push sends what has changed without waiting. */
void policy_push(struct runs *rs);
void policy_attach(struct run *r);
void policy_detach(struct run *r);

/* run_call.c: a PD_CALL of policyd */
void run_gui_call(struct qd *d, struct msg *m);

/* run_ticket.c */
void ticket_new(struct runs *rs, struct msg *m);

/* run_trace.c: when the phases of an allowed call ended; 0 = not known */
struct trace {
	uint64_t asked_us, policy_us, started_us, connected_us;
};
/* trace_open asks the spawner for the files. Until they come, and when they do not, there is no trace. */
void trace_open(struct qd *d);
void trace_asked(uint32_t qid, uint32_t request, uint32_t stamp);
/* trace_when_asked gives the time of a request once, or 0. */
uint64_t trace_when_asked(uint32_t qid, uint32_t request);
/* trace_running keeps the trace until trace_ended for the same channel; target "" = dom0. */
void trace_running(const struct trace *t, const struct ipc_pd_ticket *k, const char *target, uint32_t peer, uint32_t port);
void trace_failed(const struct trace *t, const struct ipc_pd_ticket *k, const char *target, const char *why);
void trace_ended(uint32_t source_qid, uint32_t peer, uint32_t port, uint64_t first_us);

/* run_host.c: what happens to all qubes at once */
int run_op_suspend_host(void *ctx, bool pre, struct call *c);
/* run_autostart starts the qubes with autostart that do not run, once a boot of the host; netvms first, since each start waits for its own. */
void run_autostart(struct qd *d);

/* run_adopt.c */
int run_adopt_all(struct qd *d, struct err *e);
/* run_none_alive fails when a qube of this instance runs: --no-vms would not know of it and touch its images. */
int run_none_alive(struct err *e);
void run_remove_files(struct qube *q);
/* run_sweep_disposables removes unnamed disposables that do not run: at the start of the core only. */
void run_sweep_disposables(struct qd *d);

#endif
