/* SPDX-License-Identifier: GPL-3.0-or-later */
/* OpenVPN configurations: words, blocks, and the table of what is taken. openvpn never sees the user's file, only what is written from here. */
#include "base/str.h"
#include "proto/vpnconf.h"

#include <stdlib.h>

#define WORDS_MAX 24

enum how { KEEP, CONTENT, MINE, CODE, ROUTE, PROXY, SERVER, REMOTE, PROTO, PORT, DEV, DHCP, AUTH, PASSPHRASE, MTU };

static const struct directive {
	const char *name;
	enum how how;
} directives[] = {
#define OVPN(name_, how_) { name_, how_ },
#include "proto/ovpn.def"
#undef OVPN
};

static const struct directive *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(directives); i++)
		if (streq(directives[i].name, name))
			return &directives[i];
	return NULL;
}

struct words {
	char store[VPN_LINE_CAP + WORDS_MAX];
	char *v[WORDS_MAX + 1]; /* ends with NULL */
	size_t n;
};

/* One word at *s, its quotes and backslashes taken away, written to *out with its NUL. False: a quote without end. */
static bool word(const char **s, char **out)
{
	char quote = '\0', *o = *out;

	for (; **s; (*s)++) {
		char ch = **s;

		if (ch == '\\' && quote != '\'') {
			if (!(*s)[1])
				return false;
			*o++ = *++*s;
		} else if (quote ? ch == quote : ch == '"' || ch == '\'') {
			quote = quote ? '\0' : ch;
		} else if (!quote && (ch == ' ' || ch == '\t')) {
			break;
		} else {
			*o++ = ch;
		}
	}
	*o++ = '\0';
	*out = o;
	return quote == '\0';
}

static int split(struct vpn_parser *p, const char *line, struct words *w)
{
	char *out = w->store;

	w->n = 0;
	for (const char *s = line;;) {
		s += strspn(s, " \t");
		if (!*s || *s == '#' || *s == ';')
			break;
		if (w->n == WORDS_MAX)
			return vpn_bad(p, "too many words");
		w->v[w->n++] = out;
		if (!word(&s, &out))
			return vpn_bad(p, "a quotation mark has no end");
	}
	w->v[w->n] = NULL;
	/* openvpn takes them with and without the dashes of its command line */
	if (w->n && str_starts(w->v[0], "--"))
		w->v[0] += 2;
	return 0;
}

/* The directive as openvpn shall read it: every word in quotes. */
static void keep(struct vpn_conf *c, const struct words *w)
{
	wr_str(&c->lines, w->v[0]);
	for (size_t i = 1; i < w->n; i++) {
		wr_str(&c->lines, " \"");
		for (const char *s = w->v[i]; *s; s++)
			wr_printf(&c->lines, strchr("\\\"", *s) ? "\\%c" : "%c", *s);
		wr_str(&c->lines, "\"");
	}
	wr_str(&c->lines, "\n");
}

static struct vpn_file *file_new(struct vpn_parser *p, const char *what)
{
	struct vpn_conf *c = p->c;

	if (c->n_files == VPN_FILES_MAX) {
		(void)vpn_bad(p, "more than %d files", VPN_FILES_MAX);
		return NULL;
	}
	c->file[c->n_files] = (struct vpn_file){ .what = what };
	return &c->file[c->n_files++];
}

/* ca FILE, tls-auth FILE DIRECTION */
static int file_named(struct vpn_parser *p, const struct directive *d, struct words *w)
{
	struct vpn_file *f;

	if (w->n < 2 || w->n > 3)
		return vpn_bad(p, "'%s' wants a file", d->name);
	if (w->n == 3 && !(streq(w->v[2], "0") || streq(w->v[2], "1")))
		return vpn_bad(p, "the direction of '%s' is 0 or 1", d->name);
	f = file_new(p, d->name);
	if (!f)
		return -EINVAL;
	if (!w->v[1][0] || str_copy(f->name, sizeof f->name, w->v[1]) < 0)
		return vpn_bad(p, "'%s' names no file", d->name);
	if (w->n == 3)
		wr_printf(&p->c->lines, "key-direction \"%s\"\n", w->v[2]);
	return 0;
}

static int proto(struct vpn_parser *p, const char *s, bool *tcp)
{
	static const char *const udp[] = { "udp", "udp4", "udp6" }, *const tcps[] = { "tcp", "tcp4", "tcp6", "tcp-client", "tcp4-client", "tcp6-client" };

	for (size_t i = 0; i < ARRAY_SIZE(udp); i++)
		if (streq(s, udp[i])) {
			*tcp = false;
			return 0;
		}
	for (size_t i = 0; i < ARRAY_SIZE(tcps); i++)
		if (streq(s, tcps[i])) {
			*tcp = true;
			return 0;
		}
	return vpn_bad(p, "the protocol is udp or tcp");
}

static int port(struct vpn_parser *p, const char *s, uint16_t *ret)
{
	uint64_t n;

	if (str_u64(s, 65535, &n) < 0 || n == 0)
		return vpn_bad(p, "a port is a number up to 65535");
	*ret = (uint16_t)n;
	return 0;
}

/* What holds for remotes that do not say it themselves. 0 = not said. */
struct ends {
	uint16_t port;
	bool tcp, proto_said;
	bool own_proto[VPN_ENDS_MAX];
	bool in_connection;
	size_t first; /* of this <connection> */
};

static int remote(struct vpn_parser *p, struct ends *x, const struct words *w)
{
	struct vpn_conf *c = p->c;
	struct vpn_end *end = &c->remote[c->n_remotes];
	bool v6;

	if (c->n_remotes == VPN_ENDS_MAX)
		return vpn_bad(p, "more than %d remotes", VPN_ENDS_MAX);
	if (w->n < 2 || w->n > 4 || (!vpn_addr(w->v[1], end->host, &v6) && (!vpn_host_ok(w->v[1]) || str_copy(end->host, sizeof end->host, w->v[1]) < 0)))
		return vpn_bad(p, "remote wants a host");
	end->port = 0;
	x->own_proto[c->n_remotes] = w->n > 3;
	if ((w->n > 2 && port(p, w->v[2], &end->port) < 0) || (w->n > 3 && proto(p, w->v[3], &end->tcp) < 0))
		return -EINVAL;
	c->n_remotes++;
	return 0;
}

/* proto and port inside <connection> are those of its remote; outside, of all remotes that say nothing. */
static int common(struct vpn_parser *p, struct ends *x, const struct directive *d, const struct words *w)
{
	struct vpn_conf *c = p->c;
	uint16_t n = 0;
	bool tcp = false;
	int r;

	if (w->n != 2)
		return vpn_bad(p, "'%s' wants one word", d->name);
	r = d->how == PORT ? port(p, w->v[1], &n) : proto(p, w->v[1], &tcp);
	if (r < 0)
		return r;
	if (!x->in_connection) {
		x->port = d->how == PORT ? n : x->port;
		x->tcp = d->how == PROTO ? tcp : x->tcp;
		return 0;
	}
	for (size_t i = x->first; i < c->n_remotes; i++) {
		if (d->how == PORT)
			c->remote[i].port = c->remote[i].port ? c->remote[i].port : n;
		else if (!x->own_proto[i])
			c->remote[i].tcp = tcp;
		x->own_proto[i] |= d->how == PROTO;
	}
	return 0;
}

static int dev(struct vpn_parser *p, const struct words *w)
{
	if (w->n == 2 && str_starts(w->v[1], "tap"))
		return vpn_bad(p, "a tap device carries more than a qube's packets: only tun is taken");
	return 0;
}

static int dhcp(struct vpn_parser *p, const struct words *w)
{
	char addr[VPN_ADDR_CAP];
	bool v6;

	if (w->n == 3 && (streq(w->v[1], "DNS") || streq(w->v[1], "DNS6")))
		return vpn_addr(w->v[2], addr, &v6) ? vpn_dns_add(p, addr) : vpn_bad(p, "a name server is an address");
	return 0;
}

static int mtu(struct vpn_parser *p, const struct words *w)
{
	uint64_t n;

	if (w->n < 2 || str_u64(w->v[1], 65535, &n) < 0 || n < 576)
		return vpn_bad(p, "an MTU is a number from 576 to 65535");
	p->c->mtu = (unsigned)n;
	return 0;
}

static int auth(struct vpn_parser *p, const struct words *w)
{
	struct vpn_file *f = file_new(p, VPN_AUTH);

	if (!f)
		return -EINVAL;
	p->c->asks = w->n == 1;
	return w->n == 1 ? 0 : w->n > 2 || !w->v[1][0] || str_copy(f->name, sizeof f->name, w->v[1]) < 0 ? vpn_bad(p, "auth-user-pass names no file") : 0;
}

static int directive(struct vpn_parser *p, struct ends *x, struct words *w)
{
	const struct directive *d = find(w->v[0]);

	if (!d)
		return vpn_bad(p, "'%.40s' is not known, or cannot be allowed in a VPN qube", w->v[0]);
	switch (d->how) {
	case KEEP:
		keep(p->c, w);
		return 0;
	case CONTENT:
		return file_named(p, d, w);
	case MINE:
		return 0;
	case CODE:
		vpn_note(p, "%s would run a program or write a file: left out", d->name);
		return 0;
	case ROUTE:
		vpn_note(p, "%s is left out: everything goes through the tunnel", d->name);
		return 0;
	case PROXY:
		return vpn_bad(p, "a proxy on the way to the server is not supported");
	case SERVER:
		return vpn_bad(p, "'%s': this is the configuration of a server", d->name);
	case REMOTE:
		return remote(p, x, w);
	case PROTO:
	case PORT:
		return common(p, x, d, w);
	case DEV:
		return dev(p, w);
	case DHCP:
		return dhcp(p, w);
	case AUTH:
		return auth(p, w);
	case PASSPHRASE:
		return vpn_bad(p, "'%s' asks a question each time: a qube has nobody to answer it", d->name);
	case MTU:
		return mtu(p, w);
	}
	return -EINVAL;
}

/* <WHAT>: the rest of the line and whatever follows up to </WHAT>. */
static bool block(const char *line, char what[32], bool end)
{
	size_t n = strlen(line);
	int skip = end ? 2 : 1;

	return str_starts(line, end ? "</" : "<") && n > (size_t)skip + 1 && line[n - 1] == '>' &&
	       str_printf(what, 32, "%.*s", (int)n - skip - 1, line + skip) == 0;
}

static int inside(struct vpn_parser *p, const char *what)
{
	const struct directive *d = find(what);
	_cleanup_wr_ struct wr w = wr_grow(VPN_FILE_MAX);
	char line[VPN_LINE_CAP], end[32];
	struct vpn_file *f;
	int r;

	if (!d || (d->how != CONTENT && d->how != AUTH))
		return vpn_bad(p, "a block <%.30s> is not known", what);
	f = file_new(p, d->name);
	if (!f)
		return -EINVAL;
	while ((r = vpn_line(p, line)) > 0) {
		if (str_starts(line, "</")) {
			if (!block(line, end, true) || !streq(end, what))
				return vpn_bad(p, "<%s> ends with something else", what);
			explicit_bzero(line, sizeof line);
			f->data = wr_take(&w, &f->len);
			return f->data ? 0 : vpn_bad(p, "<%s> is too long", what);
		}
		wr_printf(&w, "%s\n", line);
	}
	return r < 0 ? r : vpn_bad(p, "<%s> has no end", what);
}

static int one_line(struct vpn_parser *p, struct ends *x, const char *line, struct words *w)
{
	char what[32];
	int r;

	if (block(line, what, false) && what[0] != '/') {
		if (!streq(what, "connection"))
			return x->in_connection ? vpn_bad(p, "a block inside <connection>") : inside(p, what);
		x->in_connection = true;
		x->first = p->c->n_remotes;
		return 0;
	}
	if (streq(line, "</connection>") && x->in_connection) {
		x->in_connection = false;
		return 0;
	}
	r = split(p, line, w);
	return r < 0 || w->n == 0 ? r : directive(p, x, w);
}

static int whole(struct vpn_parser *p, const struct ends *x)
{
	struct vpn_conf *c = p->c;

	if (!wr_ok(&c->lines))
		return err_set(p->e, EFBIG, "the configuration is too long");
	if (!c->n_remotes)
		return err_set(p->e, EINVAL, "there is no remote in it: this is no configuration of a client");
	for (size_t i = 0; i < c->n_remotes; i++) {
		if (!c->remote[i].port)
			c->remote[i].port = x->port ? x->port : 1194;
		if (!x->own_proto[i])
			c->remote[i].tcp = x->tcp;
	}
	return 0;
}

int vpn_parse_ovpn(struct vpn_parser *p)
{
	struct words *w = xcalloc(1, sizeof *w);
	struct ends x = { 0 };
	char line[VPN_LINE_CAP];
	int r;

	while ((r = vpn_line(p, line)) > 0) {
		r = one_line(p, &x, line, w);
		if (r < 0)
			break;
	}
	free(w);
	explicit_bzero(line, sizeof line);
	return r < 0 ? r : whole(p, &x);
}

/* Names of files only; everything else is the qube's to judge. */
int vpn_refs_ovpn(struct vpn_parser *p, struct vpn_refs *ret)
{
	struct words *w = xcalloc(1, sizeof *w);
	char line[VPN_LINE_CAP], in[32] = "", what[32];
	int r;

	while ((r = vpn_line(p, line)) > 0) {
		const struct directive *d;

		if (in[0]) {
			if (block(line, what, true) && streq(what, in))
				in[0] = '\0';
			continue;
		}
		if (block(line, what, false)) {
			d = find(what);
			if (d && (d->how == CONTENT || d->how == AUTH))
				memcpy(in, what, sizeof in);
			continue;
		}
		r = split(p, line, w);
		if (r < 0)
			break;
		d = w->n ? find(w->v[0]) : NULL;
		if (d && d->how == AUTH && w->n == 1)
			ret->asks = true;
		if (!d || w->n < 2 || (d->how != CONTENT && d->how != AUTH))
			continue;
		if (ret->n == VPN_FILES_MAX || str_copy(ret->name[ret->n++], VPN_NAME_CAP, w->v[1]) < 0) {
			r = vpn_bad(p, "too many files, or too long a name");
			break;
		}
	}
	free(w);
	explicit_bzero(line, sizeof line);
	return r;
}
