/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What both kinds of VPN configuration share: lines, addresses, notes, the normal form, the bundle. */
#include "proto/vpnconf.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"

int vpn_bad(struct vpn_parser *p, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return err_set(p->e, EINVAL, "line %u: %s", p->line, text);
}

void vpn_note(struct vpn_parser *p, const char *fmt, ...)
{
	struct vpn_conf *c = p->c;
	va_list ap;

	if (c->n_notes == VPN_NOTES_MAX)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(c->note[c->n_notes], sizeof c->note[0], fmt, ap);
	va_end(ap);
	/* The same word on ten lines is one note. */
	for (size_t i = 0; i < c->n_notes; i++)
		if (streq(c->note[i], c->note[c->n_notes]))
			return;
	c->n_notes++;
}

int vpn_line(struct vpn_parser *p, char out[VPN_LINE_CAP])
{
	struct rd line;
	char *s = out;
	size_t n;

	if (!rd_line(&p->text, &line))
		return 0;
	p->line++;
	rd_text(&line, out, VPN_LINE_CAP);
	if (!rd_ok(&line))
		return vpn_bad(p, "too long, or not text");
	while (*s == ' ' || *s == '\t')
		s++;
	n = strlen(s);
	while (n > 0 && strchr(" \t\r", s[n - 1]))
		n--;
	memmove(out, s, n);
	out[n] = '\0';
	for (s = out; *s; s++)
		if ((unsigned char)*s < 0x20 && *s != '\t')
			return vpn_bad(p, "a control character");
	return 1;
}

bool vpn_addr(const char *s, char out[VPN_ADDR_CAP], bool *v6)
{
	uint8_t bin[16];

	*v6 = strchr(s, ':') != NULL;
	return inet_pton(*v6 ? AF_INET6 : AF_INET, s, bin) == 1 && inet_ntop(*v6 ? AF_INET6 : AF_INET, bin, out, VPN_ADDR_CAP);
}

bool vpn_host_ok(const char *s)
{
	size_t label = 0;

	if (!s[0] || strlen(s) >= VPN_HOST_CAP || !ch_alnum(s[0]))
		return false;
	for (; *s; s++) {
		label = *s == '.' ? 0 : label + 1;
		if (label > 63 || (*s == '.' && (s[1] == '.' || !s[1])) || (!ch_alnum(*s) && !strchr("._-", *s)))
			return false;
	}
	return true;
}

int vpn_dns_add(struct vpn_parser *p, const char *addr)
{
	struct vpn_conf *c = p->c;
	bool v6;

	if (c->n_dns == VPN_DNS_MAX) {
		vpn_note(p, "more than %d name servers: the others are left out", VPN_DNS_MAX);
		return 0;
	}
	if (!vpn_addr(addr, c->dns[c->n_dns], &v6))
		return vpn_bad(p, "a name server is an address");
	c->n_dns++;
	return 0;
}

/* A section in brackets comes first in a file of WireGuard, and never in one of OpenVPN. */
static int kind_of(struct rd text, enum vpn_kind *ret, struct err *e)
{
	struct vpn_parser p = { .text = text, .e = e };
	char line[VPN_LINE_CAP];
	int r;

	while ((r = vpn_line(&p, line)) > 0) {
		if (!line[0] || line[0] == '#' || line[0] == ';')
			continue;
		*ret = line[0] == '[' ? VPN_WIREGUARD : VPN_OPENVPN;
		return 0;
	}
	return r < 0 ? r : err_set(e, EINVAL, "the file is empty");
}

int vpn_parse(struct vpn_conf *ret, struct rd text, struct err *e)
{
	struct vpn_parser p = { .c = ret, .text = text, .e = e };
	int r;

	memset(ret, 0, sizeof *ret);
	ret->lines = wr_grow(VPN_FILE_MAX);
	if (rd_left(&text) > VPN_FILE_MAX)
		return err_set(e, EFBIG, "a configuration has at most %u KiB", VPN_FILE_MAX / 1024);
	r = kind_of(text, &ret->kind, e);
	if (r < 0)
		return r;
	return ret->kind == VPN_WIREGUARD ? vpn_parse_wg(&p) : vpn_parse_ovpn(&p);
}

int vpn_refs(struct vpn_refs *ret, struct rd text, struct err *e)
{
	struct vpn_parser p = { .text = text, .e = e };
	int r;

	memset(ret, 0, sizeof *ret);
	if (rd_left(&text) > VPN_FILE_MAX)
		return err_set(e, EFBIG, "a configuration has at most %u KiB", VPN_FILE_MAX / 1024);
	r = kind_of(text, &ret->kind, e);
	return r < 0 || ret->kind == VPN_WIREGUARD ? r : vpn_refs_ovpn(&p, ret);
}

void vpn_conf_fini(struct vpn_conf *c)
{
	for (size_t i = 0; i < c->n_files; i++) {
		if (c->file[i].data)
			explicit_bzero(c->file[i].data, c->file[i].len);
		free(c->file[i].data);
	}
	wr_free(&c->lines);
	explicit_bzero(c, sizeof *c);
}

/* A line that ends the block would let the rest of the file be read as directives. */
static bool ends_block(const char *s)
{
	for (; s; s = strchr(s, '\n')) {
		s += strspn(s, " \t\r\n");
		if (str_starts(s, "</"))
			return true;
	}
	return false;
}

int vpn_attach(struct vpn_conf *c, const char *name, struct rd data, struct err *e)
{
	size_t found = 0;

	if (rd_left(&data) > VPN_FILE_MAX)
		return err_set(e, EFBIG, "'%s' has more than %u KiB", name, VPN_FILE_MAX / 1024);
	for (size_t i = 0; i < c->n_files; i++) {
		struct vpn_file *f = &c->file[i];
		struct rd copy = data;

		if (f->data || !(f->name[0] ? streq(f->name, name) : streq(f->what, name)))
			continue;
		f->len = rd_left(&copy);
		f->data = rd_dup(&copy, VPN_FILE_MAX);
		if (!f->data || ends_block(f->data))
			return err_set(e, EINVAL, "'%s' is not text as it should be", name);
		found++;
	}
	return found ? 0 : err_set(e, ENOENT, "the configuration names no file '%s'", name);
}

const char *vpn_missing(const struct vpn_conf *c)
{
	for (size_t i = 0; i < c->n_files; i++)
		if (!c->file[i].data)
			return c->file[i].name[0] ? c->file[i].name : c->file[i].what;
	return NULL;
}

/* --- the normal form ---------------------------------------------------------------------------------------------------- */

static void end_wg(struct wr *w, const struct vpn_end *x)
{
	wr_printf(w, strchr(x->host, ':') ? "Endpoint = [%s]:%u\n" : "Endpoint = %s:%u\n", x->host, x->port);
}

static void write_wg(struct wr *w, const struct vpn_conf *c)
{
	wr_printf(w, "[Interface]\nPrivateKey = %s\n", c->private_key);
	if (c->listen_port)
		wr_printf(w, "ListenPort = %u\n", c->listen_port);
	for (size_t i = 0; i < c->n_address; i++)
		wr_printf(w, "Address = %s/%u\n", c->address[i].addr, c->address[i].bits);
	for (size_t i = 0; i < c->n_dns; i++)
		wr_printf(w, "DNS = %s\n", c->dns[i]);
	if (c->mtu)
		wr_printf(w, "MTU = %u\n", c->mtu);
	for (size_t i = 0; i < c->n_peers; i++) {
		const struct vpn_peer *p = &c->peer[i];

		wr_printf(w, "\n[Peer]\nPublicKey = %s\n", p->public_key);
		if (p->preshared_key[0])
			wr_printf(w, "PresharedKey = %s\n", p->preshared_key);
		for (size_t k = 0; k < p->n_nets; k++)
			wr_printf(w, "AllowedIPs = %s/%u\n", c->allowed[p->first_net + k].addr, c->allowed[p->first_net + k].bits);
		if (p->end.host[0])
			end_wg(w, &p->end);
		if (p->keepalive)
			wr_printf(w, "PersistentKeepalive = %u\n", p->keepalive);
	}
}

static void write_ovpn(struct wr *w, const struct vpn_conf *c)
{
	for (size_t i = 0; i < c->n_remotes; i++)
		wr_printf(w, "remote %s %u %s\n", c->remote[i].host, c->remote[i].port, c->remote[i].tcp ? "tcp" : "udp");
	for (size_t i = 0; i < c->n_dns; i++)
		wr_printf(w, "dhcp-option DNS %s\n", c->dns[i]);
	if (c->mtu)
		wr_printf(w, "tun-mtu %u\n", c->mtu);
	wr_bytes(w, c->lines.buf, c->lines.len);
	for (size_t i = 0; i < c->n_files; i++) {
		const struct vpn_file *f = &c->file[i];

		if (!f->data) {
			/* Only before vpn_missing is satisfied; quoted as it was read. */
			wr_printf(w, "%s", f->what);
			if (f->name[0]) {
				wr_str(w, " \"");
				for (const char *s = f->name; *s; s++)
					wr_printf(w, strchr("\\\"", *s) ? "\\%c" : "%c", *s);
				wr_str(w, "\"");
			}
			wr_str(w, "\n");
			continue;
		}
		wr_printf(w, "<%s>\n", f->what);
		wr_bytes(w, f->data, f->len);
		if (f->len && f->data[f->len - 1] != '\n')
			wr_u8(w, '\n');
		wr_printf(w, "</%s>\n", f->what);
	}
}

void vpn_write(struct wr *w, const struct vpn_conf *c)
{
	if (c->kind == VPN_WIREGUARD)
		write_wg(w, c);
	else
		write_ovpn(w, c);
}

/* --- the bundle --------------------------------------------------------------------------------------------------------- */

void vpn_bundle_put(struct wr *w, const char *name, const void *data, size_t len)
{
	/* The length comes first: a name may have blanks, and ends with the line. */
	if (strchr(name, '\n') || !name[0] || strlen(name) >= VPN_NAME_CAP)
		wr_fail(w);
	wr_printf(w, "%zu %s\n", len, name);
	wr_bytes(w, data, len);
}

int vpn_bundle_next(struct rd *r, char name[VPN_NAME_CAP], struct rd *ret)
{
	char number[16];
	struct rd line;
	uint64_t n;

	if (rd_left(r) == 0)
		return rd_ok(r) ? 0 : -EBADMSG;
	line = rd_until(r, ' ');
	rd_text(&line, number, sizeof number);
	if (!rd_ok(&line) || str_u64(number, VPN_FILE_MAX, &n) < 0)
		return -EBADMSG;
	line = rd_until(r, '\n');
	rd_text(&line, name, VPN_NAME_CAP);
	*ret = rd_sub(r, (size_t)n);
	return rd_ok(&line) && name[0] && rd_ok(r) ? 1 : -EBADMSG;
}
