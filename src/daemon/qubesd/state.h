/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Saved states and preloaded disposables (docs/states.md §5): which kinds of machines there are, one background build at a time, clones in the
 * ordinary start path, and the queues of paused clones. Private to src/daemon/qubesd/run*.c and state*.c.
 */
#ifndef QUBESD_STATE_H
#define QUBESD_STATE_H

#include "core/api/preload.h"
#include "core/statekey.h"
#include "daemon/qubesd/run.h"

#define STATE_QID (QID_MAX + 1) /* of the source that is being built */
#define STATE_RETRY_MS 600000	/* after a build that failed twice */

/* What a key stands for. Kept as long as the process lives, or until no qube has the key any more. */
struct state_kind {
	struct state_kind *next;
	char key[STATE_KEY_LEN + 1];
	char *text;
	char of[QNAME_MAX + 1]; /* the qube that had it last */
	char *qubes;		/* all that have it, as of the last sweep; NULL = not known */
	struct vm_spec spec;	/* of the source; n_disks 0 = not known yet */
	bool has_spec, memory_only;
	bool wanted;		/* to be built when there is time */
	bool there;		/* the holder had it when it was last asked */
	bool used;		/* during a sweep: some qube has this key */
	bool failed;
	uint64_t not_before_us; /* no build earlier than this */
	unsigned clones, bad;	/* starts from it, and how many of the last ones in a row did not come up */
	struct call *builders;	/* calls that wait for it */
};

struct build;
struct fill;
struct sweep;

struct states {
	struct qd *d;
	int program_dir, meminfo;
	const char *program; /* name below program_dir; NULL = this host has no hypervisor: nothing is saved */
	uint8_t accel;
	struct state_kind *kinds;
	struct build *build;
	struct fill *fill;
	struct sweep *sweep;
	struct subscriber sub; /* our own listener of the core's events */
	struct ev_timer *kick, *sweep_timer;
	uint64_t kick_us; /* when kick fires, 0 = not armed */
	bool unsupported; /* the spawner does not know saved states */
	bool asleep;	  /* the host is about to sleep: nothing is preloaded */
	uint64_t n_clones, n_clone_retries, n_builds, n_build_retries, n_build_failures;
};

/* --- state.c ---------------------------------------------------------------------------------------------------------------- */

/* states_new is called before the sandbox closes; states_start when the model is loaded and running qubes are adopted; states_stop when the core
   ends in order: a source under way is ended. */
struct states *states_new(struct qd *d);
void states_start(struct qd *d);
void states_stop(struct qd *d);
/* state_plan decides, when all volumes of r are started, whether it starts as a clone. */
void state_plan(struct run *r);
/* state_refused: the spawner did not start the clone. True: r->spec is a cold start now and is to be sent again. */
bool state_refused(struct run *r, int k, const struct err *e);
/* state_fall_back: a clone did not come up. True: the run is to begin anew, cold. bad: it was the state itself that could not be loaded. */
bool state_fall_back(struct run *r, bool bad, const char *why);
/* state_up: the start of r is over. */
void state_up(struct run *r);
/* state_compute appends the text of q's key and gives its key. head: of the root that q shows. */
int state_compute(struct states *ss, const struct qube *q, const char *head, struct wr *text, char key[STATE_KEY_LEN + 1], struct err *e);
struct state_kind *state_kind_find(struct states *ss, const char *key);
/* state_kind_get finds or makes the kind; spec (of a cold start of such a qube) may be NULL. */
struct state_kind *state_kind_get(struct states *ss, const char *key, const struct wr *text, const struct qube *q, const struct vm_spec *spec);
void state_kind_drop(struct states *ss, struct state_kind *k);
/* state_drop tells the holder to forget a key ("" = all). fn NULL: nobody waits. */
int state_drop(struct states *ss, const char *key, peer_reply_fn fn, void *arg, struct err *e);
/* state_room: is there so much memory free on the host? True when nobody can tell. */
bool state_room(struct states *ss, uint64_t mib);
/* state_busy: is some qube starting now? */
bool state_busy(struct qd *d);
/* state_kick looks for work soon: builds, then preloading. state_later does so after ms at the latest. */
void state_kick(struct qd *d);
void state_later(struct states *ss, uint64_t ms);
void state_count(struct states *ss); /* writes the counters */

/* state_build.c */
struct build *build_new(struct states *ss);
bool build_runs(const struct build *b, const char **ret_key);
/* build_next begins the build of a wanted kind when none is under way. */
void build_next(struct states *ss);
/* build_leftover ends a source of an earlier core. */
void build_leftover(struct qd *d);
void build_abandon(struct build *b);

/* state_sweep.c: drops the states that no qube could use any more, some time after something changed, and preloaded disposables whose volumes are
   not those of their template any more */
void sweep_soon(struct qd *d);

/* state_watch.c: what happens to qubes, and what of it matters here */
void watch_start(struct qd *d);

/* state_op.c */
int state_op(void *ctx, struct call *c);
typedef void (*state_list_fn)(void *arg, int k, const struct ipc_sp_state *v, size_t n, struct err *e);
int state_list(struct states *ss, state_list_fn fn, void *arg, struct err *e);

/* state_fill.c */
struct fill *fill_new(struct states *ss);
void fill_next(struct states *ss);
/* fill_discard ends a preloaded disposable that is of no use any more. */
void fill_discard(struct qd *d, struct qube *q, const char *why);
/* fill_used: q was handed out or woken; its place is filled again after the delay. */
void fill_used(struct qd *d, struct qube *t);
/* fill_drop_all ends all preloaded ones. */
void fill_drop_all(struct qd *d, const char *why);
/* fill_pauses: is q the one that is being paused at this moment, or in which a program is being opened? It is given to nobody. */
bool fill_pauses(const struct fill *f, const struct qube *q);

/* state_take.c */
int state_op_take(void *ctx, struct qube *t, struct call *c);
void state_op_refresh(void *ctx);
/* Nothing is preloaded while the host sleeps; the rest is run_op_suspend_host's. */
int state_op_suspend_host(void *ctx, bool pre, struct call *c);
/* state_unpaused: somebody wakes q; a preloaded one is used from now on. Gives the command that wakes it. */
enum ld_cmd state_unpaused(struct qd *d, struct qube *q);

/* state_warm.c: one program in a running qube whose output nobody reads. fn is called once. */
typedef void (*warm_fn)(void *arg, int k);
int warm_run(struct run *r, const char *command, warm_fn fn, void *arg, struct err *e);
/* warm_run_for: as warm_run, with a limit of its own. */
int warm_run_for(struct run *r, const char *command, uint64_t ms, warm_fn fn, void *arg, struct err *e);
bool warm_call_done(struct run *r, uint32_t peer, uint32_t port);
void warm_free(struct run *r);

#endif
