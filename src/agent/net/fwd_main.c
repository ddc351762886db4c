/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qubes-firewall: start, user scripts, events of QubesDB. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/net/fwd.h"
#include "base/log.h"
#include "base/str.h"

#define QDB_SOCKET "/run/qubes/qubesdb.sock"
#define USER_SCRIPT "qubes-firewall-user-script"
#define DROP_INS "qubes-firewall.d"

static void run_script(const char *path)
{
	const char *const argv[] = { path, NULL };
	struct proc_spec s = { .path = path, .argv = argv, .keep_stderr = true };
	struct err e = { 0 };
	int r;

	if (access(path, X_OK) < 0)
		return;
	r = proc_run(&s, &e);
	if (r < 0)
		log_error("%s: %s", path, err_text(&e, r));
}

static int visible(const struct dirent *d)
{
	return d->d_name[0] != '.' && !str_ends(d->d_name, "~");
}

static void drop_ins(const char *dir)
{
	struct dirent **list = NULL;
	char path[512];
	int n = str_printf(path, sizeof path, "%s/" DROP_INS, dir) < 0 ? 0 : scandir(path, &list, visible, alphasort);

	for (int k = 0; k < n; k++) {
		if (str_printf(path, sizeof path, "%s/" DROP_INS "/%s", dir, list[k]->d_name) == 0)
			run_script(path);
		free(list[k]);
	}
	free(list);
}

/* The user's own rules come before ours are loaded. With custom-persist nothing of /rw runs: it may come from a compromised session. */
static void user_scripts(const struct fwd *f)
{
	char path[512];

	drop_ins("/etc/qubes");
	if (access("/run/qubes-service/custom-persist", F_OK) == 0)
		return;
	drop_ins(f->user_dir);
	if (str_printf(path, sizeof path, "%s/" USER_SCRIPT, f->user_dir) == 0)
		run_script(path);
}

static void say_ready(void)
{
	static const char text[] = "READY=1";
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t n = path ? strlen(path) : 0;
	_cleanup_fd_ int fd = -1;

	if (n == 0 || n >= sizeof a.sun_path)
		return;
	memcpy(a.sun_path, path, n);
	if (a.sun_path[0] == '@')
		a.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, text, sizeof text - 1, MSG_NOSIGNAL, (struct sockaddr *)&a,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		log_warn("telling the service manager failed: %s", strerror(errno));
}

/* --- sources --------------------------------------------------------------------------------------------------------- */

static struct fwd_source *source_of(struct fwd *f, const char *addr, bool create)
{
	bool v6 = strchr(addr, ':') != NULL;
	struct fwd_source *s;

	for (size_t i = 0; i < f->n_src; i++)
		if (streq(f->src[i].addr, addr))
			return &f->src[i];
	if (!create || !nft_addr_ok(addr, v6) || f->n_src == FWD_SOURCES_MAX)
		return NULL;
	s = &f->src[f->n_src++];
	memset(s, 0, sizeof *s);
	s->v6 = v6;
	s->closed = true;
	if (str_copy(s->addr, sizeof s->addr, addr) < 0)
		abort(); /* nft_addr_ok has looked */
	return s;
}

/* Whoever changed the rules may wait for this counter. */
static void say_handled(struct fwd *f, struct fwd_source *s)
{
	char key[QDB_KEY_CAP], value[16];

	s->handled++;
	if (str_printf(key, sizeof key, "/qubes-firewall-handled/%s", s->addr) == 0 && str_printf(value, sizeof value, "%u", s->handled) == 0)
		(void)qdbc_write(&f->db, key, value, strlen(value), NULL);
}

static void drop_source(struct fwd *f, struct fwd_source *s)
{
	struct fwd_source gone = *s;

	free(s->rules);
	*s = f->src[--f->n_src];
	(void)fwd_load_jumps(f);
	fwd_cut(f, &gone);
}

static void load_source(struct fwd *f, const char *addr)
{
	struct fwd_source *s = source_of(f, addr, true);

	if (!s) {
		log_error("not a source: address=%s", log_escs(addr));
		return;
	}
	if (!fwd_read(f, s)) {
		drop_source(f, s);
		return;
	}
	fwd_names_of(f, s);
	if (fwd_load_source(f, s) < 0)
		return;
	fwd_cut(f, s);
	if (!s->stale)
		say_handled(f, s);
	fwd_names_ask(f);
}

void fwd_names_done(struct fwd *f)
{
	for (size_t i = 0; i < f->n_src; i++) {
		struct fwd_source *s = &f->src[i];

		if (!s->stale)
			continue;
		s->stale = false;
		if (fwd_load_source(f, s) < 0)
			return;
		fwd_cut(f, s);
		say_handled(f, s);
	}
}

/* --- events ------------------------------------------------------------------------------------------------------------ */

/* The bare key /qubes-firewall/ADDRESS is written last and means: read again. */
static void on_key(struct fwd *f, const char *key)
{
	if (streq(key, "/connected-ips") || streq(key, "/connected-ips6"))
		(void)fwd_load_connected(f);
	else if (str_starts(key, FWD_KEY) && !strchr(key + strlen(FWD_KEY), '/') && key[strlen(FWD_KEY)])
		load_source(f, key + strlen(FWD_KEY));
}

static void on_watch(struct ev_io *io, int fd, int events, void *arg)
{
	struct fwd *f = arg;
	struct qdb_msg m;
	int r = qdbc_io(&f->watch), k = 0;

	while ((k = qdbc_next(&f->watch, &m)) > 0)
		if (m.h.type == QDB_RESP_WATCH)
			on_key(f, m.h.path);
	if (r < 0 || k < 0) {
		log_error("QubesDB is gone");
		ev_stop(f->loop, 1);
		return;
	}
	ev_io_set(io, EV_READ | (qdbc_wants(&f->watch) ? EV_WRITE : 0));
}

struct names {
	char (*list)[NFT_ADDR_CAP];
	size_t n;
};

static int on_existing(void *arg, const char *key, const char *value)
{
	struct names *n = arg;
	const char *addr = key + strlen(FWD_KEY);

	if (str_starts(key, FWD_KEY) && addr[0] && !strchr(addr, '/') && n->n < FWD_SOURCES_MAX &&
	    str_copy(n->list[n->n], NFT_ADDR_CAP, addr) == 0)
		n->n++;
	return 0;
}

static int load_existing(struct fwd *f, struct err *e)
{
	struct names n = { .list = xcalloc(FWD_SOURCES_MAX, NFT_ADDR_CAP) };
	int r = qdbc_each(&f->db, FWD_KEY, false, on_existing, &n, e);

	for (size_t i = 0; r == 0 && i < n.n; i++)
		load_source(f, n.list[i]);
	free(n.list);
	return r;
}

static int watch_all(struct fwd *f, struct err *e)
{
	static const char *const keys[] = { FWD_KEY, "/connected-ips", "/connected-ips6" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (qdbc_queue(&f->watch, QDB_CMD_WATCH, keys[i], NULL, 0) < 0)
			return err_set(e, EIO, "watching %s", keys[i]);
	f->watch_io = ev_io_new(f->loop, f->watch.fd, EV_READ | EV_WRITE, on_watch, f);
	return f->watch_io ? 0 : err_set(e, EIO, "watching QubesDB");
}

static int start(struct fwd *f, const char *socket, struct err *e)
{
	int r = fwd_load_base(f, e);

	if (r < 0)
		return err_add(e, r, "the empty tables");
	user_scripts(f);
	r = qdbc_open_wait(&f->db, socket, 30000, e);
	if (r >= 0)
		r = qdbc_open(&f->watch, socket, e);
	/* Watches first: a change while the existing rules are read comes as an event then. */
	if (r >= 0)
		r = watch_all(f, e);
	if (r >= 0)
		r = fwd_load_connected(f);
	if (r >= 0)
		r = load_existing(f, e);
	if (r >= 0)
		say_ready();
	return r;
}

static void on_term(struct ev_signal *s, int signum, void *arg)
{
	ev_stop(((struct fwd *)arg)->loop, 0);
}

int main(int argc, char **argv)
{
	static struct fwd f = { .nft = "/usr/sbin/nft", .conntrack = "/usr/sbin/conntrack", .getent = "/usr/bin/getent",
				.resolv_conf = "/etc/resolv.conf", .answer_fd = -1, .user_dir = "/rw/config" };
	const char *socket = QDB_SOCKET;
	struct err e = { 0 };
	int r;

	log_init("qubes-firewall", NULL, -1);
	for (int i = 1; i < argc; i += 2) {
		const char **o = streq(argv[i], "--socket") ? &socket : streq(argv[i], "--getent") ? &f.getent :
				 streq(argv[i], "--resolv-conf") ? &f.resolv_conf :
				 streq(argv[i], "--user-dir") ? &f.user_dir : NULL;

		if (!o || i + 1 == argc) {
			fputs("usage: qubes-firewall [--socket QUBESDB] [--getent PROGRAM] [--resolv-conf FILE] [--user-dir DIR]\n", stderr);
			return 2;
		}
		*o = argv[i + 1];
	}
	f.asking = PROC_INIT;
	f.db.fd = f.watch.fd = -1;
	signal(SIGPIPE, SIG_IGN);
	f.loop = ev_new();
	if (!f.loop)
		return 1;
	(void)ev_signal_new(f.loop, SIGTERM, on_term, &f);
	r = start(&f, socket, &e);
	if (r < 0)
		log_error("%s", err_text(&e, r));
	r = r < 0 ? 1 : ev_run(f.loop);
	/* The tables stay: without this service nothing new passes, and what they allow is what was allowed. */
	for (size_t i = 0; i < f.n_src; i++)
		free(f.src[i].rules);
	fwd_names_fini(&f);
	ev_io_free(f.watch_io);
	qdbc_fini(&f.watch);
	qdbc_fini(&f.db);
	ev_free(f.loop);
	return r;
}
