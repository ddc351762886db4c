/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bulkhead-updates-proxy: one connection of qubes.UpdatesProxy on standard input and output. In dom0 it is that service itself, in session mode
 * only; in a network qube it is started with --guest (qubes-updates-proxy.socket).
 */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "updates/updates.h"

#define LOG_MAX (4 << 20)
#define CACHE_DEFAULT (UINT64_C(4) << 30)
/* Of a network qube: the throw-away part of its disk. */
#define CACHE_GUEST (UINT64_C(1) << 30)
#define GUEST_CACHE "/var/cache/bulkhead-updates"
#define TOR_ROLE "/etc/bulkhead/roles/tor-gateway"

struct options {
	const char *conf, *cache, *log;
	bool any_host, guest, tor, alone; /* alone: not as a service of dom0 */
};

static int parse(struct options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' }, { "cache", required_argument, NULL, 'd' }, { "any-host", no_argument, NULL, 'a' },
		{ "log", required_argument, NULL, 'l' },    { "guest", no_argument, NULL, 'g' },      { "tor", no_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },	       { 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'c')
			o->conf = optarg;
		else if (c == 'd')
			o->cache = optarg;
		else if (c == 'l')
			o->log = optarg;
		else if (c == 'a')
			o->any_host = true;
		else if (c == 'g')
			o->guest = true;
		else if (c == 't')
			o->tor = true;
		else
			return c == 'h' ? 1 : -1;
		o->alone = true;
	}
	return argc == optind ? 0 : -1;
}

/* In a network qube. What its own apt fetches from, templates may fetch from too; the qube's owner adds servers. With custom-persist nothing of /rw
   counts: it may come from a compromised session. */
static void guest_options(struct options *o)
{
	static const char own[] = "/rw/config/updates-proxy.conf", shipped[] = "/etc/qubes/updates-proxy.conf";

	if (!o->conf)
		o->conf = access(own, F_OK) == 0 && access("/run/qubes-service/custom-persist", F_OK) != 0 ? own : shipped;
	if (!o->cache)
		o->cache = GUEST_CACHE;
	o->tor = o->tor || access(TOR_ROLE, F_OK) == 0;
}

/* In dom0 policy has decided that this instance itself fetches packages. Where there are network qubes dom0 has no network: it is never right. */
static int dom0_options(struct options *o, struct err *e)
{
	static char conf[PATH_MAX], cache[PATH_MAX], log[PATH_MAX];
	int r = paths_init(NULL, e);

	if (r < 0)
		return r;
	if (paths_system_mode())
		return err_set(e, EPERM, "dom0 has no network; let qubes.UpdatesProxy go to a network qube (policy: target=sys-net)");
	if (str_copy(conf, sizeof conf, path_get(PATH_UPDATES_CONF)) < 0 || str_copy(cache, sizeof cache, path_get(PATH_UPDATES_CACHE)) < 0 ||
	    str_copy(log, sizeof log, path_get(PATH_UPDATES_LOG)) < 0)
		return -ENAMETOOLONG;
	o->conf = conf;
	o->cache = cache;
	o->log = log;
	return 0;
}

/* What was fetched for whom. The service's standard error is the caller's, so nothing is written there. */
static int open_log(const struct options *o)
{
	char old[PATH_MAX];
	struct stat st;

	if (!o->log)
		return STDERR_FILENO;
	if (stat(o->log, &st) == 0 && st.st_size > LOG_MAX && str_printf(old, sizeof old, "%s.old", o->log) == 0)
		(void)rename(o->log, o->alone ? old : path_get(PATH_UPDATES_LOG_OLD));
	return open(o->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
}

static int confine(struct proxy *p, const struct options *o, struct err *e)
{
	struct sandbox_path paths[] = { { .path = o->cache, .write = true } };
	int r = o->cache ? fs_mkdir_p(o->cache, 0750, e) : 0;

	if (r == 0)
		r = sandbox_enter(SB_UPDATES_PROXY, paths, o->cache ? 1 : 0, e);
	if (r < 0 || !o->cache || !p->conf.cache_max)
		return r;
	p->cache.dir = open(o->cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return p->cache.dir < 0 ? err_errno(e, errno, "'%s'", o->cache) : 0;
}

static int prepare(struct proxy *p, struct options *o, struct err *e)
{
	int r = o->alone ? 0 : dom0_options(o, e), log;

	if (r < 0)
		return r;
	if (o->guest)
		guest_options(o);
	log = open_log(o);
	if (log < 0)
		return err_errno(e, errno, "'%s'", o->log);
	log_init("updates-proxy", NULL, log);
	p->conf.any_host = o->any_host;
	p->conf.tor = o->tor;
	p->conf.cache_max = o->guest ? CACHE_GUEST : CACHE_DEFAULT;
	r = conf_load(o->conf, &p->conf, e);
	if (r < 0)
		return r;
	p->cache.max = p->conf.cache_max;
	p->resolver = resolver_start(e);
	if (p->resolver < 0)
		return p->resolver;
	(void)fd_nonblock(p->in, true);
	(void)fd_nonblock(p->out, true);
	return confine(p, o, e);
}

int main(int argc, char **argv)
{
	static struct proxy p = { .in = STDIN_FILENO, .out = STDOUT_FILENO, .resolver = -1, .cache = { .dir = -1 } };
	const char *caller = getenv("QREXEC_REMOTE_DOMAIN");
	struct options o = { 0 };
	struct err e = { 0 };
	int r;

	if (argc == 2 && streq(argv[1], RESOLVER_OPTION))
		resolver_serve(STDIN_FILENO);
	r = parse(&o, argc, argv);
	if (r != 0) {
		fprintf(r > 0 ? stdout : stderr, "usage: bulkhead-updates-proxy [--config FILE] [--cache DIR] [--log FILE] [--any-host] [--guest] [--tor]\n"
			"An HTTP proxy for package managers, one connection on standard input and output.\n");
		return r > 0 ? 0 : 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	p.caller = caller ? caller : "-";
	r = prepare(&p, &o, &e);
	if (r < 0) {
		log_error("%s", err_text(&e, r));
		/* a package manager shows its user the line of status */
		(void)client_refuse(&p, NULL, 502, "the updates proxy cannot work; its log says why");
		return 1;
	}
	return proxy_serve(&p) < 0 ? 1 : 0;
}
