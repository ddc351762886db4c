/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Configurations of VPN clients: WireGuard (the form of wg-quick) and OpenVPN. What is understood is taken by tables; what would run programs or
 * change routes is left out, and what is not known is refused. Pure: no file is opened, no name is asked for. The values are secrets: nothing
 * here writes them into an error text.
 */
#ifndef PROTO_VPNCONF_H
#define PROTO_VPNCONF_H

#include "base/err.h"
#include "base/rd.h"
#include "base/wr.h"

#define VPN_FILE_MAX (256u * 1024) /* of a configuration, and of a file that it names */
#define VPN_ADDR_CAP 46
#define VPN_HOST_CAP 254
#define VPN_NAME_CAP 256
#define VPN_KEY_CAP 45
#define VPN_FILES_MAX 12
#define VPN_ENDS_MAX 64
#define VPN_PEERS_MAX 16
#define VPN_NETS_MAX 128
#define VPN_DNS_MAX 4
#define VPN_NOTES_MAX 16
#define VPN_AUTH "auth-user-pass" /* the file of user name and password, each on a line */

enum vpn_kind { VPN_WIREGUARD, VPN_OPENVPN };

struct vpn_net {
	char addr[VPN_ADDR_CAP]; /* normal form */
	uint8_t bits;
	bool v6;
};

/* Where the tunnel's packets go: a name or an address. */
struct vpn_end {
	char host[VPN_HOST_CAP];
	uint16_t port;
	bool tcp;
};

struct vpn_peer {
	char public_key[VPN_KEY_CAP], preshared_key[VPN_KEY_CAP]; /* "" = none */
	struct vpn_end end;					  /* host "" = none */
	uint16_t keepalive;
	size_t first_net, n_nets; /* of conf.allowed */
};

/* A file of OpenVPN: named in the configuration, or written into it. */
struct vpn_file {
	const char *what; /* the directive: "ca" */
	char name[VPN_NAME_CAP]; /* as the configuration names it; "" = it stood inside */
	char *data;		 /* NULL = not given yet */
	size_t len;
};

struct vpn_conf {
	enum vpn_kind kind;
	char dns[VPN_DNS_MAX][VPN_ADDR_CAP];
	size_t n_dns;
	unsigned mtu; /* 0 = not said */
	/* WireGuard */
	char private_key[VPN_KEY_CAP];
	uint16_t listen_port;
	struct vpn_net address[8], allowed[VPN_NETS_MAX];
	size_t n_address, n_allowed;
	struct vpn_peer peer[VPN_PEERS_MAX];
	size_t n_peers;
	/* OpenVPN */
	struct vpn_end remote[VPN_ENDS_MAX];
	size_t n_remotes;
	struct wr lines; /* what else is taken, one directive a line, in normal form */
	struct vpn_file file[VPN_FILES_MAX];
	size_t n_files;
	bool asks; /* a user name and password are needed */
	/* What was left out, for people. */
	char note[VPN_NOTES_MAX][120];
	size_t n_notes;
};

/* vpn_parse decodes a configuration; the caller frees it by vpn_conf_fini, after a failure too. -EINVAL with the number of the line. */
int vpn_parse(struct vpn_conf *ret, struct rd text, struct err *e);
void vpn_conf_fini(struct vpn_conf *c);
/* vpn_attach gives the content of a file that the configuration names, or VPN_AUTH; -ENOENT when it names none so. */
int vpn_attach(struct vpn_conf *c, const char *name, struct rd data, struct err *e);
/* vpn_missing gives the name of a file whose content is still missing, or NULL. */
const char *vpn_missing(const struct vpn_conf *c);
/* vpn_write writes the normal form: one self-contained file, which vpn_parse reads as the same. */
void vpn_write(struct wr *w, const struct vpn_conf *c);

/* What dom0 reads of a configuration, and nothing more: its kind, and which files it names. */
struct vpn_refs {
	enum vpn_kind kind;
	bool asks; /* auth-user-pass without a file */
	char name[VPN_FILES_MAX][VPN_NAME_CAP];
	size_t n;
};
int vpn_refs(struct vpn_refs *ret, struct rd text, struct err *e);

/* The bundle in which a configuration and its files travel to the qube: "LENGTH NAME\n" and the bytes, one after another; the first is the configuration,
   whose name is VPN_MAIN. vpn_bundle_put appends one; vpn_bundle_next gives the next: 1, 0 at the end, -EBADMSG. */
#define VPN_MAIN "configuration"
void vpn_bundle_put(struct wr *w, const char *name, const void *data, size_t len);
int vpn_bundle_next(struct rd *r, char name[VPN_NAME_CAP], struct rd *ret);

DEFINE_CLEANUP(vpn_conf_fini, struct vpn_conf *)

/* --- between vpnconf*.c ------------------------------------------------------------------------------------------------ */

struct vpn_parser {
	struct vpn_conf *c;
	struct rd text;
	unsigned line;
	struct err *e;
};
int vpn_bad(struct vpn_parser *p, const char *fmt, ...) _printf_(2, 3);
void vpn_note(struct vpn_parser *p, const char *fmt, ...) _printf_(2, 3);
/* vpn_line gives the next line as text without blanks at its ends: 1, 0 at the end, -EINVAL. */
#define VPN_LINE_CAP 4096
int vpn_line(struct vpn_parser *p, char out[VPN_LINE_CAP]);
bool vpn_addr(const char *s, char out[VPN_ADDR_CAP], bool *v6);
bool vpn_host_ok(const char *s);
int vpn_dns_add(struct vpn_parser *p, const char *addr);
int vpn_parse_wg(struct vpn_parser *p);
int vpn_parse_ovpn(struct vpn_parser *p);
int vpn_refs_ovpn(struct vpn_parser *p, struct vpn_refs *ret);

#endif
