/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line of a call: "user:[nogui:]QUBESRPC service+argument source [type target]" or "user:[nogui:]text". */
#include <limits.h>

#include "base/str.h"
#include "proto/qrexec.h"

#define RPC_PREFIX "QUBESRPC "

/* next_word cuts the text at the next blank and gives the rest, NULL at the end. */
static char *next_word(char *s)
{
	char *blank = strchr(s, ' ');

	if (!blank)
		return NULL;
	*blank = 0;
	return blank + 1;
}

static int parse_rpc(struct qx_command *c, char *words, struct err *e)
{
	char *w[5] = { words };
	size_t n = 0;
	char *plus;

	while (n < ARRAY_SIZE(w) && w[n]) {
		char *next = next_word(w[n]);

		if (++n < ARRAY_SIZE(w))
			w[n] = next;
		else if (next)
			return err_set(e, EINVAL, "too many words in a service descriptor");
	}
	if (n != 2 && n != 4)
		return err_set(e, EINVAL, "a service descriptor has %zu words instead of 2 or 4", n);
	for (size_t i = 0; i < n; i++)
		if (!*w[i])
			return err_set(e, EINVAL, "empty word in a service descriptor");
	if (n == 4 && !streq(w[2], "name") && !streq(w[2], "keyword"))
		return err_set(e, EINVAL, "unknown kind of target in a service descriptor");
	c->source = w[1];
	c->target_type = n == 4 ? w[2] : "";
	c->target = n == 4 ? w[3] : "";
	plus = strchr(w[0], '+');
	if (plus == w[0])
		return err_set(e, EINVAL, "empty service name");
	/* no directory can hold it; an argument of any length is fine: it is left out of the search then */
	if ((plus ? (size_t)(plus - w[0]) : strlen(w[0])) > NAME_MAX)
		return err_set(e, EINVAL, "service name too long");
	c->full = w[0];
	c->arg = plus ? plus + 1 : NULL;
	return 0;
}

/* Layout of mem: the whole line, the words of the descriptor, the service name; each NUL-terminated. */
int qx_command_parse(struct qx_command *ret, const char *s, size_t n, struct err *e)
{
	struct qx_command c = { 0 };
	char *line, *words, *name, *rest;
	size_t name_len;
	int r;

	if (n >= QX_COMMAND_MAX || memchr(s, 0, n))
		return err_set(e, EINVAL, "command line too long or with a NUL byte");
	c.mem = malloc(3 * (n + 1));
	if (!c.mem)
		return err_set(e, ENOMEM, "no memory for a command line");
	line = c.mem;
	words = line + n + 1;
	name = words + n + 1;
	memcpy(line, s, n);
	line[n] = 0;
	rest = strchr(line, ':');
	if (!rest || rest == line || rest - line >= QX_USER_CAP) {
		r = err_set(e, EINVAL, "command line without a user name");
		goto out;
	}
	*rest++ = 0;
	c.user = line;
	if (str_starts(rest, "nogui:")) {
		c.nogui = true;
		rest += strlen("nogui:");
	}
	c.text = rest;
	c.rpc = str_starts(rest, RPC_PREFIX);
	if (c.rpc) {
		c.text += strlen(RPC_PREFIX);
		memcpy(words, c.text, strlen(c.text) + 1);
		r = parse_rpc(&c, words, e);
		if (r < 0)
			goto out;
		name_len = strcspn(c.full, "+");
		memcpy(name, c.full, name_len);
		name[name_len] = 0;
		c.name = name;
	}
	*ret = c;
	return 0;
out:
	free(c.mem);
	return r;
}

void qx_command_fini(struct qx_command *c)
{
	free(c->mem);
	*c = (struct qx_command){ 0 };
}

void qx_put_command(struct wr *w, const char *user, const char *service, const char *source)
{
	wr_str(w, user);
	wr_str(w, ":" RPC_PREFIX);
	wr_str(w, service);
	if (!strchr(service, '+'))
		wr_u8(w, '+');
	wr_u8(w, ' ');
	wr_str(w, source);
	wr_u8(w, 0);
}
