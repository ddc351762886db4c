/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * State of one qubesdb-daemon, dom0's or the qube's: the store, the local clients and the one peer over the vchan. Single-threaded,
 * one poll loop (main.c), no call blocks. local.c serves clients, peer.c the vchan, conn.c the bytes of both.
 */
#ifndef QUBESDB_DB_H
#define QUBESDB_DB_H

#include <poll.h>

#include "chan/chan.h"
#include "daemon/qubesdb-daemon/store.h"

#define CONN_IN_MAX (16u << 10)
#define CONN_OUT_PAUSE (64u << 10) /* above this nothing more is read from the connection */
#define CONN_OUT_MAX (3 * STORE_BYTES_MAX)
#define WATCHES_MAX 1024

struct conn {
	int fd; /* -1 = free slot */
	enum qdb_side side;
	struct wr in, out;
	char (*watches)[QDB_KEY_CAP];
	size_t n_watches;
	bool eof;  /* the other end closed; ends after what it sent was served */
	bool dead; /* to be closed by the loop */
};

enum peer_state { PEER_AWAY, PEER_ASKING, PEER_UP };

struct peer {
	enum peer_state state;
	struct conn conn;
	bool synced; /* dom0: the qube took its dump; qube: the dump is complete */
	struct chan_req *req;
	int link_fd; /* dom0 in our mode: LC channel; else -1 */
	uint32_t serial, pending;
	uint64_t retry_at_us;
	uint32_t gen;
	char (*tombs)[QDB_KEY_CAP]; /* removed here while the peer was away */
	size_t n_tombs;
};

struct db {
	bool guest; /* role */
	uint32_t qid; /* of the other side as chan knows it: dom0's view: the qube; in a qube: 0 */
	struct store store;
	struct conn clients[QDB_CLIENTS_MAX];
	struct peer peer;
	int listen_rw, listen_ro;
	void (*on_synced)(struct db *d); /* first complete dump in a qube */
};

/* conn.c */
void conn_init(struct conn *c, int fd, enum qdb_side side);
void conn_fini(struct conn *c);
/* conn_send queues one message; marks the connection dead when the other end does not read. */
void conn_send(struct conn *c, uint8_t type, const char *path, const void *data, size_t len);
/* conn_io moves bytes for poll's revents; dead on end of file or error. */
void conn_io(struct conn *c, short revents);
/* conn_next gives 1 and the next whole message (data points into the connection until conn_drop), 0 when there is none, -EBADMSG. */
int conn_next(struct conn *c, struct qdb_hdr *ret, const uint8_t **ret_data);
void conn_drop(struct conn *c, const struct qdb_hdr *h);
short conn_events(const struct conn *c);

/* local.c */
void local_accept(struct db *d, int listen_fd, enum qdb_side side);
/* local_turn moves bytes for poll's revents and serves what is complete. */
void local_turn(struct db *d, struct conn *c, short revents);
/* db_fire tells every watcher of key. */
void db_fire(struct db *d, const char *key);
/* db_write and db_rm change the store and fire watches. db_rm gives the number of removed entries. */
struct entry *db_write(struct db *d, const char *key, const void *value, size_t len);
size_t db_rm(struct db *d, const char *path);

/* peer.c */
int peer_init(struct db *d, int link_fd);
void peer_fini(struct db *d);
/* peer_tick starts a request for the vchan when it is due; gives the time of the next need in us, 0 = none. */
uint64_t peer_tick(struct db *d);
/* Descriptors for the loop: at most 2. peer_ready handles what poll found; <0 ends the daemon (linkd is gone). */
size_t peer_poll(struct db *d, struct pollfd *ret);
int peer_ready(struct db *d, const struct pollfd *p, size_t n);
void peer_forward_write(struct db *d, struct entry *x);
void peer_forward_rm(struct db *d, const char *path);

#endif
