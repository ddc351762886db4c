/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Devices: found in /sys, known by the PCI place of their root port, configured by dom0's key for it. */
#include <dirent.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/net/netd.h"
#include "base/log.h"
#include "base/str.h"
#include "proto/states.h"

#define UPLINK_NAME "eth0"
#define EXTERNAL_NAME "ext0"

bool netd_slot_of(const char *device_path, char ret[NETD_SLOT_CAP])
{
	static const char root[] = "/pci0000:00/0000:00:";
	const char *p = strstr(device_path, root);

	if (!p)
		return false;
	p += sizeof root - 1;
	for (size_t i = 0; i < 4; i++)
		if (i == 2 ? p[i] != '.' : !ch_digit(p[i]) && !(p[i] >= 'a' && p[i] <= 'f'))
			return false;
	/* A device of the root bus itself hangs on no port. */
	if (p[4] != '/' || !str_starts(p + 5, "0000:"))
		return false;
	return str_printf(ret, NETD_SLOT_CAP, "%.4s", p) == 0;
}

static void key(struct netd *d, const char *name, char *ret, size_t cap)
{
	if (qdbc_read(&d->db, name, ret, cap, NULL) < 0)
		ret[0] = '\0';
}

void netd_own(struct netd *d, bool uplink, struct ip_own *o)
{
	memset(o, 0, sizeof *o);
	o->no_default_route = access("/run/qubes-service/disable-default-route", F_OK) == 0;
	if (!uplink) {
		key(d, "/qubes-netvm-gateway", o->gateway, sizeof o->gateway);
		key(d, "/qubes-netvm-gateway6", o->gateway6, sizeof o->gateway6);
		return;
	}
	key(d, "/qubes-mac", o->mac, sizeof o->mac);
	key(d, "/qubes-ip", o->ip, sizeof o->ip);
	key(d, "/qubes-gateway", o->gateway, sizeof o->gateway);
	key(d, "/qubes-ip6", o->ip6, sizeof o->ip6);
	key(d, "/qubes-gateway6", o->gateway6, sizeof o->gateway6);
	if (d->tor)
		o->ip6[0] = o->gateway6[0] = '\0';
	key(d, "/qubes-primary-dns", o->dns[0], sizeof o->dns[0]);
	key(d, "/qubes-secondary-dns", o->dns[1], sizeof o->dns[1]);
}

/* --- one device ------------------------------------------------------------------------------------------------------- */

static void name_servers(struct netd *d, const char dns[2][NETPORT_ADDR_CAP])
{
	char good[2][NETPORT_ADDR_CAP];
	size_t n = 0;

	for (size_t i = 0; i < 2; i++)
		if (dns[i][0] && nft_addr_ok(dns[i], false))
			memcpy(good[n++], dns[i], NETPORT_ADDR_CAP);
	netd_resolv(d, (const char(*)[NETPORT_ADDR_CAP])good, n);
}

/* The antispoof entry comes before the interface is up: what it sends earlier is dropped. */
static int admit(struct netd *d, const struct netd_port *t, bool add, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(1 << 16);

	nft_client(&w, add, t->ifname, t->p.ip, false);
	if (t->p.ip6[0] && d->ipv6)
		nft_client(&w, add, t->ifname, t->p.ip6, true);
	return netd_nft(d, &w, e);
}

/* The kernel names devices in the order in which it finds them, and one that is on its way out may still have the name. */
static int make_room(struct netd *d, const char *old_name, const char *name, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(256);
	unsigned index = streq(old_name, name) ? 0 : if_nametoindex(name);
	char aside[16];

	if (index == 0)
		return 0;
	if (str_printf(aside, sizeof aside, "aside%u", index) < 0)
		return err_set(e, ENAMETOOLONG, "no other name for %s", name);
	wr_printf(&w, "link set dev %s down\nlink set dev %s name %s\n", name, name, aside);
	for (size_t i = 0; i < d->n_ports; i++)
		if (streq(d->port[i].ifname, name))
			memcpy(d->port[i].ifname, aside, sizeof aside);
	return netd_ip(d, &w, e);
}

/* A client with a hidden address: its translation is there before the interface is up, and hangs on it by its final name. */
static int hide(struct netd *d, const struct netd_port *t, const char *old_name, const struct ip_own *own, struct err *e)
{
	_cleanup_wr_ struct wr name = wr_grow(256), w = wr_grow(1 << 14);
	const struct nft_seen s = { t->p.ip, own->gateway, t->p.seen_ip, t->p.seen_gateway };
	int r = 0;

	if (!t->p.seen_ip[0])
		return 0;
	wr_printf(&name, "link set dev %s down\n", old_name);
	if (!streq(old_name, t->ifname))
		wr_printf(&name, "link set dev %s name %s\n", old_name, t->ifname);
	nft_hidden(&w, true, t->ifname, &s);
	r = netd_ip(d, &name, e);
	return r < 0 ? r : netd_nft(d, &w, e);
}

static void unhide(struct netd *d, const struct netd_port *t)
{
	_cleanup_wr_ struct wr w = wr_grow(1 << 14);
	/* The addresses do not matter for the removal, but must be some. */
	const struct nft_seen s = { t->p.ip, t->p.ip, t->p.seen_ip, t->p.seen_gateway };
	struct err e = { 0 };

	if (!t->p.seen_ip[0])
		return;
	nft_hidden(&w, false, t->ifname, &s);
	if (netd_nft(d, &w, &e) < 0)
		log_error("the translation of %s is still there: %s", t->ifname, e.msg);
}

static int client(struct netd *d, struct netd_port *t, const char *old_name, struct wr *w, struct err *e)
{
	struct ip_own own;
	char path[80];
	int r;

	ip_client_name(t->ifname, t->p.qid);
	netd_own(d, false, &own);
	if (!d->ipv6)
		t->p.ip6[0] = '\0';
	r = make_room(d, old_name, t->ifname, e);
	if (r >= 0)
		r = admit(d, t, true, e);
	if (r >= 0)
		r = hide(d, t, old_name, &own, e);
	if (r < 0)
		return r;
	netd_forget_flows(d, &t->p);
	ip_client(w, t->p.seen_ip[0] ? t->ifname : old_name, t->ifname, &t->p, &own);
	r = netd_ip(d, w, e);
	if (r >= 0 && str_printf(path, sizeof path, "net/ipv4/conf/%s/%s", t->ifname, d->tor ? "arp_ignore" : "proxy_arp") == 0)
		netd_sysctl(d, path, "1");
	return r;
}

static int configure(struct netd *d, struct netd_port *t, const char *old_name, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(1 << 16);
	struct ip_own own;
	int r = netd_base(d, e);

	if (r < 0)
		return r;
	/* What comes by a network shall not know the addresses of what is started from here on. */
	if (unlink(STATE_ASLR_MARK) == 0)
		netd_sysctl(d, "kernel/randomize_va_space", "2");
	if (t->p.role == NETPORT_CLIENT)
		return client(d, t, old_name, &w, e);
	if (str_copy(t->ifname, sizeof t->ifname, t->p.role == NETPORT_UPLINK ? UPLINK_NAME : EXTERNAL_NAME) < 0)
		abort();
	r = make_room(d, old_name, t->ifname, e);
	if (r < 0)
		return r;
	if (t->p.role == NETPORT_UPLINK) {
		netd_own(d, true, &own);
		ip_uplink(&w, old_name, t->ifname, &own);
	} else {
		ip_external(&w, old_name, t->ifname, &t->p);
	}
	r = netd_ip(d, &w, e);
	if (r >= 0)
		name_servers(d, (const char(*)[NETPORT_ADDR_CAP])(t->p.role == NETPORT_UPLINK ? own.dns : t->p.dns));
	return r;
}

static void tell(struct netd *d, const struct netd_port *t)
{
	char k[QDB_KEY_CAP];

	if (str_printf(k, sizeof k, NETPORT_READY_KEY "%s", t->slot) == 0)
		(void)qdbc_write(&d->db, k, t->ifname, strlen(t->ifname), NULL);
}

/* Another device that does the same: a way out, or the same client plugged again before its old device was gone. */
static const struct netd_port *successor(const struct netd *d, const struct netd_port *t)
{
	for (size_t i = 0; i < d->n_ports; i++) {
		const struct netd_port *o = &d->port[i];

		if (o != t && (t->p.role == NETPORT_CLIENT) == (o->p.role == NETPORT_CLIENT) && streq(o->p.ip, t->p.ip))
			return o;
	}
	return NULL;
}

static void forget(struct netd *d, struct netd_port *t)
{
	const struct netd_port *next = successor(d, t);
	struct err e = { 0 };
	char k[QDB_KEY_CAP];

	log_info("device is gone: port=%s name=%s", t->slot, t->ifname);
	if (t->p.role == NETPORT_CLIENT) {
		if (admit(d, t, false, &e) < 0 || (next && admit(d, next, true, &e) < 0))
			log_error("%s is still in the tables: %s", t->ifname, e.msg);
		netd_forget_flows(d, &t->p);
		if (!next)
			unhide(d, t);
		netd_hooks(d, "offline", t);
	} else if (!next) {
		netd_resolv(d, NULL, 0);
	}
	if (str_printf(k, sizeof k, NETPORT_READY_KEY "%s", t->slot) == 0)
		(void)qdbc_rm(&d->db, k, NULL);
	if (str_printf(k, sizeof k, NETPORT_COUNTERS_KEY "%s", t->slot) == 0)
		(void)qdbc_rm(&d->db, k, NULL);
	*t = d->port[--d->n_ports];
}

static struct netd_port *by_slot(struct netd *d, const char *slot)
{
	for (size_t i = 0; i < d->n_ports; i++)
		if (streq(d->port[i].slot, slot))
			return &d->port[i];
	return NULL;
}

/* False when the key is not there yet. */
static bool new_device(struct netd *d, const char *slot, const char *name)
{
	struct netd_port *t = &d->port[d->n_ports];
	char k[QDB_KEY_CAP], value[QDB_VALUE_MAX + 1];
	struct err e = { 0 };
	int r;

	if (d->n_ports == NETD_PORTS_MAX || str_printf(k, sizeof k, NETPORT_KEY "%s", slot) < 0)
		return true;
	if (qdbc_read(&d->db, k, value, sizeof value, NULL) < 0)
		return false;
	memset(t, 0, sizeof *t);
	r = netport_parse(&t->p, value, &e);
	if (r >= 0 && str_copy(t->slot, sizeof t->slot, slot) == 0)
		r = configure(d, t, name, &e);
	if (r < 0) {
		log_error("a device stays without a network: port=%s name=%s error=%s", slot, name, err_text(&e, r));
		return true;
	}
	t->present = true;
	d->n_ports++;
	log_info("device is configured: port=%s name=%s", slot, t->ifname);
	if (t->p.role == NETPORT_CLIENT)
		netd_hooks(d, "online", t);
	tell(d, t);
	return true;
}

/* The device behind an interface; false for lo, tunnels and whatever else is no PCI device. */
static bool place(const struct netd *d, const char *name, char slot[NETD_SLOT_CAP])
{
	char link[300], *real;
	bool ok;

	if (str_printf(link, sizeof link, "%s/%s/device", d->sys_net, name) < 0)
		return false;
	real = realpath(link, NULL);
	ok = real && netd_slot_of(real, slot);
	free(real);
	return ok;
}

void netd_scan(struct netd *d)
{
	DIR *dir = opendir(d->sys_net);
	struct dirent *ent;
	bool waits = false;

	for (size_t i = 0; i < d->n_ports; i++)
		d->port[i].present = false;
	while (dir && (ent = readdir(dir))) {
		char slot[NETD_SLOT_CAP];
		struct netd_port *t;

		if (!nft_ifname_ok(ent->d_name) || if_nametoindex(ent->d_name) == 0 || !place(d, ent->d_name, slot))
			continue;
		t = by_slot(d, slot);
		if (t && streq(t->ifname, ent->d_name))
			t->present = true;
		else if (!t)
			waits |= !new_device(d, slot, ent->d_name);
	}
	if (dir)
		closedir(dir);
	for (size_t i = d->n_ports; i-- > 0;)
		if (!d->port[i].present)
			forget(d, &d->port[i]);
	/* Its key is on the way; the watch of /net-port/ brings us back. */
	if (waits)
		log_debug("a device has no key yet");
}
