/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The far end of qubes.UpdatesProxy: an HTTP proxy for package managers. One process a connection, confined before it reads a byte of its client:
 * it reaches the cache directory and servers of the list, nothing else. It trusts neither side; what it hands on the package manager verifies.
 * In dom0 it exists in session mode only (docs/trust.md); inside a network qube it is that qube's service.
 */
#ifndef UPDATES_UPDATES_H
#define UPDATES_UPDATES_H

#include <netinet/in.h>
#include <poll.h>

#include "base/err.h"
#include "base/rd.h"
#include "proto/http.h"

/* --- conf.c ------------------------------------------------------------------------------------------------------------------- */

#define UP_HOSTS_MAX 64

struct up_host {
	char name[HTTP_HOST_MAX];
	uint16_t port;	  /* 0 = 80, and 443 for tunnels */
	bool private;	  /* may have an address that is not of the public network */
};

struct up_conf {
	struct up_host host[UP_HOSTS_MAX];
	size_t n_hosts;
	bool any_host;	  /* a network qube: every public server, ports 80 and 443 */
	bool no_apt;	  /* the sources of this machine's apt do not count */
	bool direct;	  /* its proxy does not count either */
	bool has_uplink;
	struct http_url uplink; /* the proxy of this machine */
	uint64_t cache_max; /* bytes; 0 = nothing is kept. conf_load: what it is before the call holds unless the file says something else */
	bool tor;	    /* a Tor gateway: refusals say so, as those of the reference do (templates look for it) */
};

/* conf_parse adds the settings of a file updates-proxy.conf; a line that is not understood is an error with its number. */
int conf_parse(struct rd r, struct up_conf *c, struct err *e);
/* conf_parse_apt takes the proxy out of the answer of `apt-config dump`. */
void conf_parse_apt(struct rd r, struct up_conf *c);
/* conf_load reads the file (NULL, or one that does not exist, says nothing), and, unless it forbids that, this machine's apt configuration. */
int conf_load(const char *path, struct up_conf *ret, struct err *e);
/* conf_find gives the row that allows this server, or NULL. */
const struct up_host *conf_find(const struct up_conf *c, const struct http_url *u);

/* --- addr.c ------------------------------------------------------------------------------------------------------------------- */

#define UP_ADDRS_MAX 8

struct up_addr {
	uint8_t family; /* 4 or 6 */
	uint8_t b[16];
};

/* addr_public: an address of the public network, that is not this machine, its neighbours, or another name for one of them. */
bool addr_public(const struct up_addr *a);

/* --- resolve.c ---------------------------------------------------------------------------------------------------------------- */

/* resolver_start starts the process that asks for addresses (this program once more), confined on its own. Gives the descriptor to it; it ends
   when that closes. resolver_serve is that process. */
#define RESOLVER_OPTION "--resolver"
int resolver_start(struct err *e);
_noreturn_ void resolver_serve(int fd);
/* resolver_ask gives the addresses of a name; -ENOENT when there are none. */
int resolver_ask(int fd, const char *host, struct up_addr ret[UP_ADDRS_MAX], size_t *ret_n, struct err *e);

/* --- server.c ----------------------------------------------------------------------------------------------------------------- */

struct server {
	int fd; /* -1 = none */
	uint8_t buf[HTTP_HEAD_MAX];
	size_t pos, len;
};

struct proxy;
/* server_open connects to the server of q (or to the uplink), sends the request, and reads the head of the answer. -EACCES when only private
   addresses were found. */
int server_open(struct proxy *p, const struct http_request *q, struct server *s, struct http_response *ret, struct err *e);
void server_close(struct server *s);
/* server_read gives up to n bytes, those that came with the head first; 0 at the end. */
ssize_t server_read(struct server *s, void *buf, size_t n);
/* server_left: bytes that are here already. */
static inline size_t server_left(const struct server *s)
{
	return s->len - s->pos;
}

/* --- cache.c ------------------------------------------------------------------------------------------------------------------ */

#define CACHE_HEAD 8192 /* bytes before the content of a kept file */

struct cache_head {
	char host[HTTP_HOST_MAX], path[HTTP_PATH_MAX], type[128], modified[64], etag[128];
	uint16_t port;
	uint64_t total;
};

struct cache {
	int dir;	/* -1 = nothing is kept */
	uint64_t max;
};

enum cache_state { CACHE_WHOLE, CACHE_OURS, CACHE_THEIRS };

/* A kept file, or one that is being fetched: by us (locked) or by another connection. */
struct cache_file {
	int fd;
	char name[40];
	enum cache_state state;
	bool has_head; /* head is filled; else (OURS) nothing was fetched yet */
	uint64_t have; /* bytes of content */
	struct cache_head head;
};

/* cache_wants: a file that never changes under its name (packages, indexes by their hash). */
bool cache_wants(const struct http_request *q);
/* cache_open finds or begins the file of q. again: what is kept is thrown away first. -ENOENT: nothing is kept here. */
int cache_open(const struct cache *c, const struct http_request *q, bool again, struct cache_file *ret, struct err *e);
/* cache_begin reserves room (older files give way) and writes the head; the content is empty then. */
int cache_begin(const struct cache *c, struct cache_file *f, const struct cache_head *h, struct err *e);
int cache_append(struct cache_file *f, const void *p, size_t n, struct err *e);
/* cache_finish makes a whole file final. */
int cache_finish(const struct cache *c, struct cache_file *f, struct err *e);
/* cache_drop removes what was begun. */
void cache_drop(const struct cache *c, struct cache_file *f);
/* cache_look sees how far a file of another connection has come; gives 1 when its owner has gone: open it again. */
int cache_look(struct cache_file *f, struct err *e);
void cache_close(struct cache_file *f);
/* cache_head_get, cache_head_put: the first CACHE_HEAD bytes. */
int cache_head_get(struct rd r, struct cache_head *ret);
int cache_head_put(uint8_t out[CACHE_HEAD], const struct cache_head *h);

/* --- client.c, relay.c, fetch.c, main.c ------------------------------------------------------------------------------------------ */

struct proxy {
	struct up_conf conf;
	struct cache cache;
	int resolver;
	int in, out; /* of the client */
	uint8_t buf[HTTP_HEAD_MAX];
	size_t len; /* bytes of the client that are not used yet */
	const char *caller;
};

#define UP_IDLE_SERVER_MS 60000
#define UP_IDLE_CLIENT_MS 300000
#define UP_CONNECT_MS 15000

/* proxy_serve serves the client until it ends: 0 or a negative code. */
int proxy_serve(struct proxy *p);
/* client_send sends everything; -ETIMEDOUT, -EPIPE. */
int client_send(struct proxy *p, const void *buf, size_t n);
int client_head(struct proxy *p, const struct http_response *r, bool keep);
/* client_refuse answers with a status and one line of text. */
int client_refuse(struct proxy *p, const struct http_request *q, unsigned status, const char *text);
/* relay_answer passes one answer on as it comes. keep says whether the connection can go on. */
int relay_answer(struct proxy *p, const struct http_request *q, struct server *s, struct http_response *r, bool *keep, struct err *e);
int relay_tunnel(struct proxy *p, struct server *s, struct err *e);
/* fetch_cached serves a file by way of the cache. *ret_hit: nothing of it crossed the network for us. -ENOENT: not by way of the cache. */
int fetch_cached(struct proxy *p, const struct http_request *q, bool *keep, const char **ret_how, struct err *e);
/* wait_fd waits for events of poll(); -ETIMEDOUT. */
int wait_fd(int fd, short events, int ms);

#endif
