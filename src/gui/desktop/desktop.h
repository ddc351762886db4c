/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bulkhead-desktop: for each running qube with a GUI one guid and one audiod, and one clipd for all (docs/gui.md §5). It reads events of the Admin API and of the X server
 * only; what qubes say goes to guid. main.c options and end; watch.c which qubes there are; facts.c what is asked of the Admin API about one; daemon.c
 * the life of a guid; audio.c that of an audiod; clip.c clipd; display.c the X server; layout.c the services that qubes get called for it; menus.c
 * menu entries.
 */
#ifndef GUI_DESKTOP_DESKTOP_H
#define GUI_DESKTOP_DESKTOP_H

#include <sys/queue.h>

#include "base/ev.h"
#include "base/proc.h"
#include "client/answers.h"
#include "gui/desktop/args.h"
#include "proto/audio.h"

#define GUID_FD_STREAM 3
#define GUID_FD_MEMORY 4
#define GUID_FD_CLIP 5

struct desk;
struct chan_req;

enum life { Q_IDLE, Q_ASKING, Q_UP, Q_ENDING, Q_WAITING };

/* Its sound: audiod, as guid below. A descriptor of 0 is none. */
struct daudio {
	bool wanted;
	enum life life;
	uint32_t qid, state; /* state: AUDIO_S_*, what it said last */
	char icon[64];
	struct audio_set set;
	struct chan_req *req[2]; /* of the ports 4713 and 4714 */
	struct ev_io *req_ev[2];
	int stream[2], control;
	struct proc proc;
	struct ev_io *proc_ev, *control_ev;
	struct ev_timer *timer;
	uint64_t since_us;
	unsigned failures;
	int last_code; /* of its last end */
};

/* A qube that was seen; it stays in the list while it runs. */
struct dqube {
	struct desk *d;
	char name[32];
	bool running, wanted, usable; /* usable: services can be called in it */
	enum life life;
	struct guid_facts facts;
	struct guid_args args;	 /* of the guid that runs or comes next */
	struct chan_req *req;	 /* Q_ASKING */
	struct ev_io *req_ev;
	struct proc guid;	 /* Q_UP, Q_ENDING */
	struct ev_io *guid_ev;
	struct ev_timer *timer;	 /* Q_WAITING: the next try; Q_ENDING: SIGKILL */
	uint64_t since_us;	 /* start of the guid */
	unsigned failures;
	int clip;		 /* clipd's end of the socket; -1 */
	struct ev_io *clip_ev;	 /* without a clipd: what comes is logged */
	struct daudio audio;
	TAILQ_ENTRY(dqube) all;
};

struct service_call; /* layout.c */
struct menus;	     /* menus.c */

struct desk {
	struct ev_loop *loop;
	/* options */
	bool all, watch;
	const char *const *names; /* NULL-terminated; of qubes, when not all */
	const char *guid, *clipd, *audiod; /* programs; NULL = ours */
	bool no_audio; /* there is no such program */

	TAILQ_HEAD(, dqube) qubes;
	struct adm_events events; /* fd -1: no connection to the daemon */
	struct ev_io *events_ev;
	struct ev_timer *again;
	bool said_gone;

	struct menus *menus; /* NULL: not wanted */
	struct display *display;
	char layout[1200]; /* input of qubes.SetMonitorLayout as it is now */
	LIST_HEAD(, service_call) calls;

	struct proc clipd_proc;
	int clipd_ctl; /* -1 = no clipd */
	struct ev_io *clipd_ev;
	struct ev_timer *clipd_again;
	unsigned clipd_failures;
};

/* --- watch.c --- */

/* watch_start connects to the daemon and looks at all qubes. Without --watch a daemon that is not there is an error. */
int watch_start(struct desk *d, struct err *e);
void watch_fini(struct desk *d);
struct dqube *watch_find(struct desk *d, const char *name);

/* --- facts.c --- */

/* facts_get asks about a running qube: 1 and facts and args of q are filled (args ended by the caller), 0: it has no GUI here; negative: not to be had. */
int facts_get(struct dqube *q, struct guid_facts *ret, struct guid_args *args, struct err *e);
/* facts_audio is the same about its sound: 1 and ret is filled, 0: it has none here. */
struct audio_facts {
	uint32_t qid;
	char icon[64];
	struct audio_set set;
};
int facts_audio(const struct dqube *q, struct audio_facts *ret, struct err *e);
/* facts_layout: q wants to be told of monitors. */
bool facts_layout(const struct dqube *q);

/* --- daemon.c --- */

void daemon_start(struct dqube *q);   /* in Q_IDLE */
void daemon_restart(struct dqube *q); /* with q->args, whatever the life was */
void daemon_stop(struct dqube *q);    /* NULL-safe; the end may come later */
/* daemon_free ends at once what still runs. */
void daemon_free(struct dqube *q);

/* --- audio.c --- */

/* audio_look asks what of a running qube's sound may have changed: starts, stops or tells its audiod, or leaves it alone. */
void audio_look(struct dqube *q);
void audio_stop(struct dqube *q); /* NULL-safe; the end may come later */
void audio_free(struct dqube *q); /* ends at once what still runs */
/* audio_about: is it an event after which to look again? */
bool audio_about(const char *event);

/* --- clip.c --- */

void clip_start(struct desk *d);
void clip_fini(struct desk *d);
/* clip_attach takes fd, the other end of a guid's socket; clip_detach closes it. */
void clip_attach(struct dqube *q, int fd);
void clip_detach(struct dqube *q);

/* --- display.c --- */

/* display_open connects to $DISPLAY and becomes its one bulkhead-desktop. -EEXIST: there is one already; -ENOTCONN: no display. */
int display_open(struct desk *d, struct err *e);
void display_close(struct desk *d);
/* display_tell has the bulkhead-desktop of this display look at its monitors again. -ENOENT: there is none. */
int display_tell(struct err *e);

/* --- layout.c --- */

/* layout_changed tells all qubes; layout_send one. */
void layout_changed(struct desk *d);
void layout_send(struct dqube *q);
void layout_fini(struct desk *d);
/* keyboard_changed makes layout (LAYOUT+VARIANT+OPTIONS) dom0's. */
void keyboard_changed(struct desk *d, const char *layout);

/* --- menus.c --- */

/* menus_start keeps the menu entries of all qubes in a folder ("": where the user's desktop looks). menus_label: a qube has another label. */
int menus_start(struct desk *d, const char *folder, struct err *e);
void menus_label(struct desk *d, const char *qube);
void menus_fini(struct desk *d);

/* desk_env fills what our programs need of the environment; static. */
const char *const *desk_env(void);
/* desk_idle ends the program when nothing is left to do (no --watch). */
void desk_idle(struct desk *d);

#endif
