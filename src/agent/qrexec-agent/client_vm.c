/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qrexec-client-vm: a program of this qube calls a service of another one. */
#include <getopt.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/str.h"
#include "chan/chan.h"
#include "proto/qrexec.h"
#include "qrexec/caller.h"
#include "qrexec/defaults.h"

#define CONNECT_TIMEOUT_MS 120000

struct options {
	const char *socket, *source, *target, *service;
	struct caller caller;
	int buffer; /* 0 = as the system has it */
};

static void usage(FILE *f, const char *name)
{
	fprintf(f,
		"usage: %s [options] TARGET SERVICE[+ARGUMENT] [PROGRAM [ARGUMENTS]]\n"
		"  -t, --filter-escape-chars-stdout     replace control and other bytes in what is printed\n"
		"  -T, --filter-escape-chars-stderr     the same for error output (both: default on a terminal)\n"
		"      --no-filter-escape-chars-stdout, --no-filter-escape-chars-stderr\n"
		"  -a, --agent-socket=PATH              socket of the agent (%s)\n"
		"  -p, --prefix-data=TEXT               send TEXT before the input\n"
		"      --use-stdin-socket               standard input is a socket for both directions\n"
		"  -s, --source-qube=NAME               call in the name of a remote qube that this qube relays\n"
		"      --buffer-size=BYTES              of the data channel in each direction\n"
		"  -h, --help                           this text\n",
		name, QREXEC_AGENT_SOCKET);
}

enum { OPT_NO_OUT = 256, OPT_NO_ERR, OPT_STDIN_SOCKET, OPT_BUFFER };

static const struct option long_options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ "buffer-size", required_argument, NULL, OPT_BUFFER },
	{ "filter-escape-chars-stdout", no_argument, NULL, 't' },
	{ "filter-escape-chars-stderr", no_argument, NULL, 'T' },
	{ "no-filter-escape-chars-stdout", no_argument, NULL, OPT_NO_OUT },
	{ "no-filter-escape-chars-stderr", no_argument, NULL, OPT_NO_ERR },
	{ "agent-socket", required_argument, NULL, 'a' },
	{ "prefix-data", required_argument, NULL, 'p' },
	{ "use-stdin-socket", no_argument, NULL, OPT_STDIN_SOCKET },
	{ "source-qube", required_argument, NULL, 's' },
	{ NULL, 0, NULL, 0 },
};

static bool set_option(struct options *o, int c)
{
	uint64_t n;

	switch (c) {
	case 't':
	case OPT_NO_OUT:
		o->caller.filter_out = c == 't';
		return true;
	case 'T':
	case OPT_NO_ERR:
		o->caller.filter_err = c == 'T';
		return true;
	case 'a':
		o->socket = optarg;
		return true;
	case 's':
		o->source = optarg;
		return true;
	case OPT_STDIN_SOCKET:
		o->caller.stdin_socket = true;
		return true;
	case OPT_BUFFER:
		if (str_u64(optarg, 1 << 30, &n) < 0 || n == 0)
			return false;
		o->buffer = (int)n;
		return true;
	case 'p':
		if (o->caller.prefix)
			return false;
		o->caller.prefix = optarg;
		return true;
	default:
		return false;
	}
}

/* Gives 1 to go on, 0 to end well, -1 for a wrong use. */
static int parse(struct options *o, int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "+htTa:p:s:", long_options, NULL)) != -1) {
		if (c == 'h') {
			usage(stdout, argv[0]);
			return 0;
		}
		if (!set_option(o, c))
			return -1;
	}
	if (argc - optind < 2)
		return -1;
	o->target = argv[optind];
	o->service = argv[optind + 1];
	if (argc - optind > 2)
		o->caller.argv = (const char *const *)argv + optind + 2;
	return o->caller.argv && o->caller.stdin_socket ? -1 : 1;
}

/* A name field of the request; "$word" is the old spelling of "@word". */
static void name_field(char out[QX_NAME_LEN], const char *s)
{
	size_t n = strnlen(s, QX_NAME_LEN - 1);

	memset(out, 0, QX_NAME_LEN);
	memcpy(out, s, n);
	if (out[0] == '$')
		out[0] = '@';
	for (size_t i = 1; i < n; i++)
		if (out[i] == '$')
			out[i] = '@';
}

static int request(const struct options *o, struct qx_connect *ret, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(QX_HDR_LEN + QX_CONTROL_MSG_MAX);
	_cleanup_fd_ int fd = unix_connect(o->socket, SOCK_STREAM, e);
	char source[QX_NAME_LEN], target[QX_NAME_LEN];
	uint8_t answer[QX_PARAMS_LEN];
	struct rd r;
	ssize_t n;

	if (fd < 0)
		return fd;
	name_field(source, o->source ? o->source : "");
	name_field(target, o->target);
	qx_put_trigger4(&w, source, target, "SOCKET", o->service);
	if (!wr_ok(&w))
		return err_set(e, EINVAL, "service name too long");
	n = write_full(fd, w.buf, w.len);
	if (n < 0)
		return err_errno(e, (int)-n, "asking the agent");
	n = read_full(fd, answer, sizeof answer);
	if (n == 0 || n == -ECONNRESET)
		return 0;
	if (n != (ssize_t)sizeof answer)
		return err_set(e, EIO, "short answer of the agent");
	r = rd_mem(answer, sizeof answer);
	return qx_get_params(r, &ret->domain, &ret->port) < 0 ? -EIO : 1;
}

static int open_channel(const struct options *o, const struct qx_connect *place, struct err *e)
{
	int chan = chan_listen(NULL, place->domain, place->port, CONNECT_TIMEOUT_MS, e);

	/* a wish: the system has bounds of its own, and a channel works with any size */
	if (chan >= 0 && o->buffer) {
		(void)setsockopt(chan, SOL_SOCKET, SO_SNDBUF, &o->buffer, sizeof o->buffer);
		(void)setsockopt(chan, SOL_SOCKET, SO_RCVBUF, &o->buffer, sizeof o->buffer);
	}
	return chan;
}

int main(int argc, char **argv)
{
	struct options o = { .socket = QREXEC_AGENT_SOCKET, .caller = { .in = 0, .out = 1, .err = 2, .saved_fds = true } };
	struct qx_connect place;
	struct err e = { 0 };
	int r, chan;

	o.caller.filter_out = isatty(STDOUT_FILENO);
	o.caller.filter_err = isatty(STDERR_FILENO);
	r = parse(&o, argc, argv);
	if (r < 0)
		usage(stderr, argv[0]);
	if (r <= 0)
		return r < 0 ? 2 : 0;
	signal(SIGPIPE, SIG_IGN);
	r = request(&o, &place, &e);
	if (r == 0) {
		fprintf(stderr, "Request refused\n");
		return QX_EXIT_REFUSED;
	}
	chan = r < 0 ? r : open_channel(&o, &place, &e);
	r = chan < 0 ? chan : caller_run(chan, &o.caller, &e);
	if (e.code)
		fprintf(stderr, "%s: %s\n", argv[0], e.msg);
	return r < 0 ? QX_EXIT_PROBLEM : r;
}
