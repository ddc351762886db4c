/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qubesd-query: one raw call of the Admin API; the answer is printed with its header. */
#include <sys/socket.h>

#include "base/io.h"
#include "base/paths.h"
#include "tool/util.h"

enum { KEY_FAIL = 370, KEY_MAX, KEY_SINGLE, KEY_NULL };

#define PAYLOAD_MAX 65536
#define LINE_MAX_DEFAULT 1024

static const struct tool_opt opts[] = {
	{ 'c', "connect", "SOCKET", "socket of the daemon", 0, W_FILE },
	{ 'e', "empty", NULL, "send no payload; do not read standard input", 0, W_ANY },
	{ KEY_FAIL, "fail", NULL, "make the exit status the digit of the answer: 0 or 2", 0, W_ANY },
	{ KEY_MAX, "max-bytes", "N", "longest payload (default and limit 65536)", 0, W_ANY },
	{ KEY_SINGLE, "single-line", NULL, "the payload is one line of printable ASCII, at most 1024 characters or N", 0, W_ANY },
	{ KEY_NULL, "null", NULL, "print a NUL after the answer", 0, W_ANY },
	{ 0 },
};

static int read_payload(struct tool *t, char **ret, size_t *ret_len)
{
	bool single = opt_has(t, KEY_SINGLE);
	uint64_t max = single ? LINE_MAX_DEFAULT : PAYLOAD_MAX;
	int r;

	if (opt_str(t, KEY_MAX) && str_u64(opt_str(t, KEY_MAX), PAYLOAD_MAX, &max) < 0)
		return tool_usage(t, "--max-bytes takes a number up to %d, not '%s'", PAYLOAD_MAX, opt_str(t, KEY_MAX));
	r = read_all(STDIN_FILENO, (size_t)max + single, ret, ret_len);
	if (r == -EFBIG)
		return tool_fail(t, "the payload is longer than %llu bytes", (unsigned long long)max);
	if (r < 0)
		return tool_fail(t, "reading the payload: %s", strerror(-r));
	if (!single)
		return 0;
	if (*ret_len && (*ret)[*ret_len - 1] == '\n')
		(*ret_len)--;
	for (size_t i = 0; i < *ret_len; i++)
		if ((*ret)[i] < ' ' || (*ret)[i] > '~')
			return tool_fail(t, "the payload is not one line of printable ASCII");
	return *ret_len > max ? tool_fail(t, "the payload is longer than %llu bytes", (unsigned long long)max) : 0;
}

/* Passes the answer on as it comes (event streams never end). Gives the first byte, or -1 when there was none. */
static int copy_answer(int fd)
{
	uint8_t buf[16384];
	int first = -1;

	for (;;) {
		ssize_t n = read(fd, buf, sizeof buf);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return first;
		if (first < 0)
			first = buf[0];
		if (fwrite(buf, 1, (size_t)n, stdout) != (size_t)n || fflush(stdout) != 0)
			return first;
	}
}

static int run(struct tool *t, int argc, char **argv)
{
	const char *path = opt_str(t, 'c') ? opt_str(t, 'c') : path_get(PATH_QUBESD_SOCK);
	_cleanup_wr_ struct wr w = wr_grow(ADM_REQUEST_MAX * 2);
	_cleanup_free_ char *payload = NULL;
	_cleanup_fd_ int fd = -1;
	struct err e = { 0 };
	char *plus = strchr(argv[1], '+');
	size_t len = 0;
	int r, first;

	if (plus && argc > 3)
		return tool_usage(t, "the argument is given twice, behind '+' and as a word");
	if (!opt_has(t, 'e') && (r = read_payload(t, &payload, &len)) != 0)
		return r;
	if (plus)
		*plus = '\0';
	r = adm_frame(&w, argv[0], argv[2], argv[1], plus ? plus + 1 : argc > 3 ? argv[3] : NULL, payload, len);
	if (r == -EINVAL)
		return tool_usage(t, "source, method, destination and argument may not have blanks");
	/* -EMSGSIZE: a request that is too long is sent as it is; the daemon decides. */
	fd = adm_connect(path, &e);
	if (fd < 0)
		return tool_fail(t, "%s", err_text(&e, fd));
	r = write_full(fd, w.buf, w.len);
	if (r < 0 && r != -EPIPE && r != -ECONNRESET)
		return tool_fail(t, "sending the request: %s", strerror(-r));
	(void)shutdown(fd, SHUT_WR);
	first = copy_answer(fd);
	if (opt_has(t, KEY_NULL))
		(void)putchar('\0');
	if (!opt_has(t, KEY_FAIL))
		return 0;
	return first >= '0' && first <= '9' ? first - '0' : EXIT_FAIL;
}

static const struct tool_exit exits[] = {
	{ 0, "a request was sent; with --fail: the answer is a success" },
	{ 1, "failure; with --fail also: no answer" },
	{ 2, "wrong usage; with --fail also: the answer is an exception" },
	{ 0, NULL },
};

const struct verb verb_qubesd_query = {
	.name = "qubesd-query",
	.summary = "make one raw call of the Admin API",
	.args = "SOURCE METHOD DESTINATION [ARGUMENT]",
	.desc = "The payload is standard input (see --empty). The answer goes to standard output with its header.",
	.opts = opts,
	.exits = exits,
	.words = { W_QUBE, W_ANY, W_QUBE, W_ANY },
	.min_args = 3,
	.max_args = 4,
	.run = run,
};
