/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * chan: obtain a vchan. In every transport a vchan is one connected, non-blocking, close-on-exec STREAM unix socket without any
 * framing; once obtained it is used with read, write, poll and close like any socket. This module only makes the meeting of the
 * two ends; it never touches the data.
 *
 * Transports:
 *   unix  when $VCHAN_SOCKET_DIR is set and the process is not setuid: $VCHAN_SOCKET_DIR/vchan.SERVER.CLIENT.PORT.sock, own
 *         domain id in $VCHAN_DOMAIN (default 0). The server unlinks, listens and accepts exactly one connection.
 *   link  otherwise: a request on a SEQPACKET socket of the mux (LC_ messages, docs/design.md §2.4).
 *
 * The end of a vchan: data written before the other end closed is always delivered; then read gives 0. A reader must take
 * ECONNRESET for the end of the stream too, and a writer EPIPE. shutdown(SHUT_WR) travels to the other end as its end of file.
 */
#ifndef CHAN_CHAN_H
#define CHAN_CHAN_H

#include "base/err.h"

#define CHAN_PORT_QREXEC 512
#define CHAN_PORT_QUBESDB 111
#define CHAN_PORT_GUI 6000
/* Sound (docs/audio.md): what the qube plays, and what it may record. */
#define CHAN_PORT_PLAY 4713
#define CHAN_PORT_RECORD 4714
#define CHAN_DATA_MIN 513
#define CHAN_DATA_MAX 768

/* Socket of agentd, the default for link_sock == NULL ($BULKHEAD_LINK_SOCKET replaces it unless the process is setuid). */
#define CHAN_GUEST_SOCK "/run/bulkhead/link.sock"

/* chan_is_unix is true when the environment chose the unix transport; chan_own_domain gives $VCHAN_DOMAIN (0 when unset). */
bool chan_is_unix(void);
uint32_t chan_own_domain(void);

/*
 * chan_listen (vchan server) and chan_connect (vchan client) wait until the other end is there, at most timeout_ms (-1 = for ever).
 * link_sock: NULL in a qube; in dom0 the path of the qube's chan.sock (run/q/QID/chan.sock). peer is the other end's domain id, in
 * dom0 always the qid. Gives the descriptor (the caller's) or a negative code: -ETIMEDOUT, -ECONNREFUSED (refused by the mux),
 * -EACCES, -ENOENT (no mux).
 */
int chan_listen(const char *link_sock, uint32_t peer, uint32_t port, int timeout_ms, struct err *e) _must_check_;
int chan_connect(const char *link_sock, uint32_t peer, uint32_t port, int timeout_ms, struct err *e) _must_check_;

/*
 * The same without waiting. *_start gives a request or NULL with a text. Poll chan_req_fd for reading (it stays the same for the life
 * of the request); when it is readable call chan_req_finish: >= 0 is the vchan's descriptor (the caller's), -EAGAIN means wait
 * further, anything else is the failure. chan_req_free at any time; it withdraws a request that was not finished. There is no
 * time limit: use a timer.
 */
struct chan_req;
struct chan_req *chan_listen_start(const char *link_sock, uint32_t peer, uint32_t port, struct err *e);
struct chan_req *chan_connect_start(const char *link_sock, uint32_t peer, uint32_t port, struct err *e);
int chan_req_fd(const struct chan_req *q);
/*
 * chan_gui_start is chan_connect_start to the GUI agent of a qube, from dom0: link_sock is its chan.sock (the unix transport has no memory for pixels).
 * chan_gui_finish is chan_req_finish; with the stream it gives through ret_memory the memory for pixels, readable only (the caller's), or -1 where the
 * qube has none. -EBUSY: the qube has another GUI client.
 */
struct chan_req *chan_gui_start(const char *link_sock, struct err *e);
int chan_gui_finish(struct chan_req *q, int *ret_memory, struct err *e) _must_check_;
int chan_req_finish(struct chan_req *q, struct err *e) _must_check_;
void chan_req_free(struct chan_req *q);
DEFINE_CLEANUP(chan_req_free, struct chan_req *)

#endif
