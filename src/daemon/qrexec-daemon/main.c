/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qrexec-daemon: options, and the choice between the two ways of wiring. */
#include <getopt.h>
#include <signal.h>

#include "background.h"
#include "base/paths.h"
#include "base/str.h"
#include "daemon.h"
#include "proto/names.h"

#define SOCKET_DIR "/var/run/qubes"
#define POLICY_PROGRAM "/usr/bin/qrexec-policy-exec"
#define POLICY_SOCKET "/run/qubes/policy.sock"

struct options {
	bool link, direct, quiet;
	const char *id, *name, *uuid, *user;
	struct direct_options d;
};

static void usage(FILE *f, const char *name)
{
	fprintf(f,
		"usage: %s [options] -u UUID DOMID NAME [DEFAULT-USER]\n"
		"       %s --link --qid N --name NAME --uuid UUID --default-user USER   (started by the spawner)\n"
		"  -u, --uuid=UUID              of the qube\n"
		"  -D, --direct                 stay in the foreground, log to stderr; else wait for the agent and go to the background\n"
		"  -q, --quiet                  no dots while waiting for the agent\n"
		"      --socket-dir=DIR         where sockets of clients are (%s)\n"
		"      --policy-socket=PATH     of the policy daemon (%s)\n"
		"  -p, --policy-program=PATH    asked when there is no policy daemon (%s)\n"
		"  -h, --help                   this text\n",
		name, name, SOCKET_DIR, POLICY_SOCKET, POLICY_PROGRAM);
}

enum { OPT_LINK = 256, OPT_QID, OPT_NAME, OPT_USER, OPT_SOCKET_DIR, OPT_POLICY_SOCKET, OPT_READY };

static const struct option long_options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "direct", no_argument, NULL, 'D' },
	{ "uuid", required_argument, NULL, 'u' },
	{ "policy-program", required_argument, NULL, 'p' },
	{ "policy-socket", required_argument, NULL, OPT_POLICY_SOCKET },
	{ "socket-dir", required_argument, NULL, OPT_SOCKET_DIR },
	{ "tell-ready", no_argument, NULL, OPT_READY },
	{ "link", no_argument, NULL, OPT_LINK },
	{ "qid", required_argument, NULL, OPT_QID },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "default-user", required_argument, NULL, OPT_USER },
	{ NULL, 0, NULL, 0 },
};

static bool set_option(struct options *o, int c)
{
	switch (c) {
	case 'q':
		o->quiet = true;
		return true;
	case 'D':
		o->direct = true;
		return true;
	case 'u':
		o->uuid = optarg;
		return true;
	case 'p':
		o->d.policy_program = optarg;
		return true;
	case OPT_POLICY_SOCKET:
		o->d.policy_socket = optarg;
		return true;
	case OPT_READY:
		o->d.tell_ready = true;
		return true;
	case OPT_SOCKET_DIR:
		o->d.socket_dir = optarg;
		return true;
	case OPT_LINK:
		o->link = true;
		return true;
	case OPT_QID:
		o->id = optarg;
		return true;
	case OPT_NAME:
		o->name = optarg;
		return true;
	case OPT_USER:
		o->user = optarg;
		return true;
	default:
		return false;
	}
}

/* Gives 1 to go on, 0 to end well, -1 for a wrong use. */
static int parse(struct options *o, int argc, char **argv)
{
	int c, n;

	while ((c = getopt_long(argc, argv, "hqDu:p:", long_options, NULL)) != -1) {
		if (c == 'h') {
			usage(stdout, argv[0]);
			return 0;
		}
		if (!set_option(o, c))
			return -1;
	}
	n = argc - optind;
	if (o->link)
		return n == 0 && o->id && o->name && o->user ? 1 : -1;
	if (n < 2 || n > 3 || !o->uuid || o->id || o->name)
		return -1;
	o->id = argv[optind];
	o->name = argv[optind + 1];
	if (n == 3)
		o->user = argv[optind + 2];
	return 1;
}

static int init(struct qd *qd, const struct options *o, struct err *e)
{
	uint64_t id;

	if (str_u64(o->id, UINT32_MAX, &id) < 0 || id == 0)
		return err_set(e, EINVAL, "'%s' is no domain id", o->id);
	if (!o->name[0] || strlen(o->name) >= QX_NAME_LEN || !str_chars(o->name, "_.-"))
		return err_set(e, EINVAL, "'%s' is no name of a qube", o->name);
	if (o->uuid && !str_chars(o->uuid, "-"))
		return err_set(e, EINVAL, "'%s' is no uuid", o->uuid);
	if (!o->user[0] || strlen(o->user) >= QX_USER_CAP || strchr(o->user, ':'))
		return err_set(e, EINVAL, "'%s' is no user name", o->user);
	qd->id = (uint32_t)id;
	qd->name = o->name;
	qd->uuid = o->uuid ? o->uuid : "";
	qd->default_user = o->user;
	qd->ports.own = qd->id;
	TAILQ_INIT(&qd->clients);
	TAILQ_INIT(&qd->requests);
	return 0;
}

static void on_stop(struct ev_signal *s, int signum, void *arg)
{
	struct qd *qd = arg;

	ev_stop(qd->loop, 0);
}

int main(int argc, char **argv)
{
	struct options o = { .user = "user", .d = { .socket_dir = SOCKET_DIR, .policy_program = POLICY_PROGRAM, .policy_socket = POLICY_SOCKET } };
	static struct qd qd = { .listen_fd = -1 };
	struct err e = { 0 };
	int r = parse(&o, argc, argv), code;

	if (r < 0)
		usage(stderr, argv[0]);
	if (r <= 0)
		return r < 0 ? 2 : 0;
	log_init("qrexec-daemon", o.name, -1);
	signal(SIGPIPE, SIG_IGN);
	r = init(&qd, &o, &e);
	if (r == 0 && !o.link && !o.direct) {
		r = paths_init(NULL, &e);
		if (r == 0)
			return background_start(argc, argv, o.name, o.quiet);
	}
	if (r == 0) {
		qd.loop = ev_new();
		ev_signal_new(qd.loop, SIGTERM, on_stop, &qd);
		ev_signal_new(qd.loop, SIGINT, on_stop, &qd);
		r = o.link ? link_start(&qd, &e) : direct_start(&qd, &o.d, &e);
	}
	if (r < 0) {
		log_error("%s", err_text(&e, r));
		return 1;
	}
	code = ev_run(qd.loop);
	if (!o.link)
		direct_stop(&qd);
	return code;
}
