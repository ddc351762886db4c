/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Early configuration of a qube: what must be true before the first call is answered. It runs
 * before systemd, so it may use only the kernel, QubesDB and, on a first boot, mkfs. Each part can
 * fail without stopping the others: a qube with a broken /rw must still be reachable for repair.
 */
#ifndef AGENT_EARLY_EARLY_H
#define AGENT_EARLY_EARLY_H

#include <poll.h>
#include <sys/types.h>

#include "base/proc.h"
#include "base/rd.h"
#include "proto/states.h"
#include "qdb/client.h"

#define QDB_SOCKET "/run/qubes/qubesdb.sock"
#define FLAG_DIR "/run/qubes-service"
#define RW "/rw"

enum persistence { PERSIST_FULL, PERSIST_RW_ONLY, PERSIST_NONE, PERSIST_N };
enum vm_type { TYPE_APPVM, TYPE_NETVM, TYPE_PROXYVM, TYPE_TEMPLATEVM, TYPE_N };

struct early {
	struct qdbc db;
	struct early_entry *entries; /* what the database held when early_load was called */
	size_t n_entries;
	enum vm_type type;
	enum persistence persistence;
	bool disposable;	/* /type is DispVM */
	bool custom_persist;	/* service custom-persist: only /persist/ entries are kept */
	bool again;		/* a clone takes its identity */
	bool rw_mounted, rw_fresh; /* fresh: mounted by this run, so nothing is bound from it yet */
};

/* db.c: the database as it was at one moment, by one request: each more would cost as much as all of them, and what is read before the first
   call can be answered is waited for. early_load replaces what was loaded before, early_unload frees it. */
struct early_entry {
	char key[QDB_KEY_CAP];
	char *value;
};
int early_load(struct early *q, struct err *e);
void early_unload(struct early *q);
/* early_read is qdbc_read from there; early_wait asks the daemon when it is not there, for up to 60 s. */
int early_read(const struct early *q, const char *key, char *ret, size_t cap, struct err *e);
int early_wait(struct early *q, const char *key, char *ret, size_t cap, struct err *e);

/* sysinit.c: identity and flag files from QubesDB. -EINVAL for a type or persistence that is not
   known: the caller must stop then, because guessing could keep what should be thrown away. */
int early_sysinit(struct early *q, struct err *e);
/* early_forget removes the flag files of an earlier identity. */
int early_forget(struct err *e);
/* early_addresses: an emulated qube that may gives its programs the same addresses every time from here on. */
int early_addresses(struct early *q, struct err *e);
/* early_service is true when /run/qubes-service/NAME exists. */
bool early_service(const char *name);
/* service_name_ok accepts a letter, digit or _ followed by those and . - */
bool service_name_ok(const char *name);

/* services_default sets the flags of services that are on by themselves for q->type, service_set one flag, udev_flag what follows from them. */
int services_default(struct early *q, struct err *e);
int service_set(const char *name, bool on, struct err *e);
int udev_flag(const struct early *q, struct err *e);

/* source.c: saved states (docs/states.md §4) */
struct source_args {
	bool on; /* bulkhead.state: this machine is booted only to be saved */
	char services[SOURCE_SERVICES_MAX];
};
/* source_parse reads a kernel command line; source_args that of this machine, and gives ret->on. */
void source_parse(struct rd line, struct source_args *ret);
bool source_args(struct source_args *ret);
/* source_flags makes the flag files, of which a clone's early_forget and early_sysinit make its own. */
int source_flags(const struct source_args *a, struct err *e);
/* clone_private waits until the disk is not the placeholder of the source any more, and forgets what was read from that. */
int clone_private(const char *dev, struct err *e);
/* prepared.c: prepared_make makes, in a source, the file system that a clone's prepared_put copies to an empty private volume of a disposable:
   1 = done, 0 = there is none that fits. */
void prepared_make(void);
int prepared_put(const char *dev, struct err *e);
/* clone_machine_id binds an id of its own over the source's: the qube's uuid, or a random one. */
int clone_machine_id(struct early *q, struct err *e);

/* basics.c: needs no QubesDB. */
int early_basics(struct err *e);

/* config.c */
int early_hostname(struct early *q, struct err *e);
/* names_put writes the files that hold the qube's name. */
int names_put(const char *name, struct err *e);
int early_timezone(struct early *q, struct err *e);
int early_random_seed(struct early *q, struct err *e);
int early_rc_local(struct early *q, struct err *e);
/* hosts_update gives new text of /etc/hosts (caller frees) in which 127.0.1.1 is name; NULL when
   old already says so. */
char *hosts_update(const char *old, const char *name);
/* timezone_ok refuses everything that could leave the zone directory. */
bool timezone_ok(const char *tz);
/* base64_decode gives the number of bytes written, or -EINVAL. Blanks are not accepted; padding
   is. */
ssize_t base64_decode(const char *text, uint8_t *ret, size_t cap);

/* private.c: the private volume on /rw */
int early_private(struct early *q, struct err *e);

/* bind.c */
int early_bind_dirs(struct early *q, struct err *e);
/* bind_source gives the place below /rw that keeps path: /rw/home, /rw/usrlocal, or
   /rw/bind-dirs + path. */
int bind_source(const char *path, char *ret, size_t cap);
/* bind_mount binds the kept copy over path; it is made from the original on first use. A path
   that exists nowhere is passed over. */
int bind_mount(const char *path, struct err *e);

/* super.c: starts and keeps the daemons; returns the exit code. go_fd gets one byte when pid 1
   may go on. */
int supervise(int go_fd);

/* early_configure does everything that depends on QubesDB. again: this machine had another
   identity before (it was cloned from a saved state); the old flags are removed first and what
   is mounted stays. Gives the exit code: 1 when a part failed, 2 when it is not known what this qube is. */
int early_configure(bool again);

/* wait_for_file sleeps until DIR/NAME exists (0), stop_fd becomes readable (-ECHILD; -1 = none)
   or the time is up (-ETIMEDOUT). */
int wait_for_file(const char *dir, const char *name, int stop_fd, int timeout_ms, struct err *e);

/* post.c: what is left for the time when systemd runs. */
int early_post(void);
/* early_post_wanted is false when early_post would run nothing. */
bool early_post_wanted(void);
/* script_is_empty: comments and blank lines only. */
bool script_is_empty(struct rd r);

/* fsops.c */
/* run_program runs an absolute path with arguments, waits; output goes to our stderr. */
int run_program(const char *const *argv, struct err *e);
/* copy_tree copies what is below src into dst (made when missing) with modes; owner (uid, gid)
   when uid is not (uid_t)-1, else as in src. Existing files stay. Depth at most 32. */
int copy_tree(const char *src, const char *dst, uid_t uid, gid_t gid, struct err *e);
/* copy_any copies one file, link or tree. */
int copy_any(const char *src, const char *dst, struct err *e);
/* copy_data copies what is no hole of one open file to the same places of another, which has size bytes and is all zero. */
int copy_data(int from, int to, uint64_t size, struct err *e);
/* mem_zero is true when all n bytes are zero. */
bool mem_zero(const uint8_t *p, size_t n);
/* touch makes an empty file; text_write replaces a small file that need not survive a power cut. text_put does so within the blocks that the file has:
   ext4 finds new ones at once for a file that is emptied and written, which costs a clone more than all else about its name. */
int touch(const char *path, struct err *e);
int text_write(const char *path, const char *text, mode_t mode, struct err *e);
int text_put(const char *path, const char *text, mode_t mode, struct err *e);
/* id_lookup finds a name in /etc/passwd or /etc/group without libc's name services. For passwd
   *ret_gid is the primary group. */
int id_lookup(const char *file, const char *name, unsigned *ret_id, unsigned *ret_gid);
/* early_protected is true when path is named in a protected-files.d file: then it is not
   overwritten. */
bool early_protected(const char *path);

/* Login on the serial console (console.c): poll what console_pollfd says, call console_event
   when it is readable. */
struct console {
	int fd; /* the port, watched while nobody is logged in; -1 = there is no console or no getty */
	struct proc proc;
};
int console_open(struct console *c);
void console_pollfd(const struct console *c, struct pollfd *ret);
void console_event(struct console *c);

#endif
