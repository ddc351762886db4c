/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qubesdb-daemon: the QubesDB of one qube, in dom0 and in the qube (-DBULKHEAD_GUEST) from the same sources. One poll loop without
 * libuv, because the qube's program is static. In dom0 it parses bytes of the qube: it has its sockets from the start
 * and enters its sandbox before the first one.
 */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/qubesdb-daemon/db.h"
#include "daemon/qubesdb-daemon/fds.h"
#ifndef BULKHEAD_GUEST
#include "base/sandbox.h"
#endif

#define GUEST_DIR "/run/qubes"

struct options {
	bool link, guest, sandbox;
	uint32_t qid;
	const char *name, *socket_dir;
};

static struct options opt;
static int stop_pipe[2] = { -1, -1 };

static void on_signal(int signum)
{
	char c = (char)signum;

	(void)!write(stop_pipe[1], &c, 1);
}

static int bind_sockets(struct db *d, struct err *e)
{
	const char *dir = opt.socket_dir ? opt.socket_dir : GUEST_DIR;
	_cleanup_free_ char *rw = NULL, *ro = NULL;

	if (fs_mkdir_p(dir, 0775, e) < 0)
		return -1;
	if (opt.guest && !opt.name) {
		rw = xasprintf("%s/qubesdb.sock", dir);
		ro = xasprintf("%s/qubesdb.ro.sock", dir);
	} else {
		rw = xasprintf("%s/qubesdb.%s.sock", dir, opt.name);
		ro = xasprintf("%s/qubesdb.%s.ro.sock", dir, opt.name);
	}
	d->listen_ro = unix_listen(ro, SOCK_STREAM, 0666, e);
	if (d->listen_ro < 0)
		return d->listen_ro;
	d->listen_rw = unix_listen(rw, SOCK_STREAM, 0660, e);
	return d->listen_rw < 0 ? d->listen_rw : 0;
}

static void notify_ready(void)
{
	const char *path = secure_getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	_cleanup_fd_ int fd = -1;
	socklen_t len;

	if (!path || (path[0] != '/' && path[0] != '@') || str_copy(a.sun_path, sizeof a.sun_path, path) < 0)
		return;
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (path[0] == '@')
		a.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		(void)!sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (const struct sockaddr *)&a, len);
}

/* A qube's sockets answer only once the first dump is complete, so that no reader sees half of the keys. */
static void first_dump(struct db *d)
{
	struct err e = { 0 };

	if (d->listen_rw >= 0)
		return;
	if (bind_sockets(d, &e) < 0) {
		log_error("%s", e.msg);
		exit(1);
	}
	notify_ready();
	log_debug("ready with %zu entries", d->store.n); /* each line on the console costs an emulated clone milliseconds */
}

static int timeout_of(uint64_t at_us)
{
	uint64_t now = now_us();

	if (!at_us)
		return -1;
	return at_us <= now ? 0 : (int)((at_us - now) / 1000 + 1);
}

/* One turn. Gives 1 to go on, 0 when told to stop, <0 when linkd is gone. */
static int turn(struct db *d)
{
	struct pollfd p[QDB_CLIENTS_MAX + 8];
	size_t slot[QDB_CLIENTS_MAX + 8] = { 0 }, n = 0, n_peer, first;
	int r;

	uint64_t due = peer_tick(d);

	p[n++] = (struct pollfd){ .fd = stop_pipe[0], .events = POLLIN };
	p[n++] = (struct pollfd){ .fd = d->listen_rw, .events = POLLIN };
	p[n++] = (struct pollfd){ .fd = d->listen_ro, .events = POLLIN };
	n_peer = peer_poll(d, p + n);
	n += n_peer;
	first = n;
	for (size_t i = 0; i < ARRAY_SIZE(d->clients); i++)
		if (d->clients[i].fd >= 0) {
			slot[n] = i;
			p[n++] = (struct pollfd){ .fd = d->clients[i].fd, .events = conn_events(&d->clients[i]) };
		}
	r = poll(p, n, timeout_of(due));
	if (r < 0)
		return errno == EINTR ? 1 : -errno;
	if (p[0].revents)
		return 0;
	r = peer_ready(d, p + 3, n_peer);
	if (r < 0)
		return r;
	for (size_t i = first; i < n; i++)
		local_turn(d, &d->clients[slot[i]], p[i].revents);
	for (size_t i = 0; i < ARRAY_SIZE(d->clients); i++)
		if (d->clients[i].fd >= 0 && d->clients[i].dead)
			conn_fini(&d->clients[i]);
	if (p[1].revents)
		local_accept(d, d->listen_rw, QDB_AT_RW);
	if (p[2].revents)
		local_accept(d, d->listen_ro, QDB_AT_RO);
	return 1;
}

static int usage(FILE *f, int code)
{
	fputs("usage: qubesdb-daemon --link --qid N --name NAME      (dom0; descriptors 3, 4, 5 from the spawner)\n"
	      "       qubesdb-daemon [--socket-dir DIR] DOMID [NAME] (unix-socket vchan, or 0 in a qube)\n",
	      f);
	return code;
}

static int parse(int argc, char **argv)
{
	static const struct option longs[] = { { "link", no_argument, NULL, 'l' },	    { "qid", required_argument, NULL, 'q' },
					       { "name", required_argument, NULL, 'n' },    { "socket-dir", required_argument, NULL, 's' },
					       { "help", no_argument, NULL, 'h' },	    { 0 } };
	const char *id = NULL;
	uint64_t v = 0;
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'l':
			opt.link = true;
			break;
		case 'q':
			id = optarg;
			break;
		case 'n':
			opt.name = optarg;
			break;
		case 's':
			opt.socket_dir = optarg;
			break;
		case 'h':
			return usage(stdout, 0);
		default:
			return usage(stderr, 2);
		}
	}
	if (!id && optind < argc)
		id = argv[optind++];
	if (!opt.name && optind < argc)
		opt.name = argv[optind++];
	if (!id || optind < argc || str_u64(id, UINT32_MAX, &v) < 0)
		return usage(stderr, 2);
	opt.qid = (uint32_t)v;
#ifdef BULKHEAD_GUEST
	opt.guest = true;
#endif
	if (opt.guest ? opt.link : (!opt.name || strchr(opt.name, '/')))
		return usage(stderr, 2);
	return -1;
}

static int start(struct db *d, struct err *e)
{
	struct sigaction sa = { .sa_handler = on_signal };

	signal(SIGPIPE, SIG_IGN);
	if (pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_errno(e, errno, "pipe");
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	if (opt.link) {
		d->listen_rw = QUBESDBD_FD_RW;
		d->listen_ro = QUBESDBD_FD_RO;
		(void)fd_nonblock(d->listen_rw, true);
		(void)fd_nonblock(d->listen_ro, true);
	} else if (!opt.guest && bind_sockets(d, e) < 0) {
		return -1;
	}
#ifndef BULKHEAD_GUEST
	if (opt.link && sandbox_enter(SB_QUBESDB_DAEMON, NULL, 0, e) < 0)
		return -1;
#endif
	return peer_init(d, opt.link ? QUBESDBD_FD_LINK : -1);
}

int main(int argc, char **argv)
{
	static struct db d;
	struct err e = { 0 };
	int r = parse(argc, argv);

	if (r >= 0)
		return r;
	log_init("qubesdb-daemon", opt.name, -1);
	d.guest = opt.guest;
	d.qid = opt.qid;
	d.listen_rw = d.listen_ro = -1;
	d.on_synced = opt.guest ? first_dump : NULL;
	for (size_t i = 0; i < ARRAY_SIZE(d.clients); i++)
		d.clients[i].fd = -1;
	if (start(&d, &e) < 0) {
		log_error("%s", e.msg);
		return 1;
	}
	do
		r = turn(&d);
	while (r > 0);
	for (size_t i = 0; i < ARRAY_SIZE(d.clients); i++)
		if (d.clients[i].fd >= 0)
			conn_fini(&d.clients[i]);
	peer_fini(&d);
	store_fini(&d.store);
	return 0;
}
