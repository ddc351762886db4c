/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which devices there are: the microphone, the PCI devices of the host, and what guests say in their QubesDB about their USB and block
 * devices. What a guest says is text of an attacker: every field has a form, and what has another one is dropped.
 */
#include <dirent.h>
#include <fcntl.h>

#include "base/io.h"
#include "base/str.h"
#include "core/device.h"

#define LABEL_CAP sizeof(((struct dev_info *)0)->product)
#define PARENTS_MAX 4 /* a partition of a loop of a disk of a reader … */

void dev_list_fini(struct dev_list *l)
{
	free(l->v);
	*l = (struct dev_list){ 0 };
}

static struct dev_info *append(struct dev_list *l)
{
	l->v = xreallocarray(l->v, l->n + 1, sizeof *l->v);
	memset(&l->v[l->n], 0, sizeof *l->v);
	return &l->v[l->n++];
}

/* A text of a guest for people: cut to cap, everything unusual is _. */
static void label(char *out, size_t cap, const char *s)
{
	size_t n = 0;

	for (; s[n] && n + 1 < cap; n++)
		out[n] = ch_alnum(s[n]) || strchr(" ._-/()+,:@#&", s[n]) ? s[n] : '_';
	out[n] = '\0';
}

void device_host_list(const struct core *c, enum dev_class cls, struct dev_list *ret)
{
	struct dev_info *d;

	if (cls == DEV_MIC) {
		d = append(ret);
		*d = (struct dev_info){ .dev = { "dom0", "mic", DEV_MIC_ID }, .cls = DEV_MIC, .product = "microphone",
					.manufacturer = "build-in", .ifaces = "m000000" };
	}
	for (size_t i = 0; cls == DEV_PCI && i < c->n_pci; i++)
		*append(ret) = c->pci[i];
}

static const char *entry(const struct kvmap *m, const char *port, const char *key)
{
	char path[128];

	return str_printf(path, sizeof path, "%s/%s", port, key) < 0 ? NULL : kv_get(m, path);
}

static bool is_hex(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!ch_digit(s[i]) && !(s[i] >= 'a' && s[i] <= 'f'))
			return false;
	return true;
}

/* BUS-PORT[.PORT]… */
static bool usb_port_ok(const char *s)
{
	bool digit = false, dash = false;

	for (; *s; s++) {
		if (ch_digit(*s)) {
			digit = true;
			continue;
		}
		if (!digit || (*s == '-' ? dash : *s != '.' || !dash))
			return false;
		dash = true;
		digit = false;
	}
	return digit && dash;
}

/* ":CCSSPP:CCSSPP:" as udev writes it. */
static void usb_interfaces(struct dev_info *d, const char *s)
{
	size_t n = 0;

	while (s && s[0] == ':' && s[1] && n + DEV_IFACE_LEN < sizeof d->ifaces) {
		if (strlen(s) < 7 || !is_hex(s + 1, 6))
			break;
		d->ifaces[n++] = 'u';
		memcpy(d->ifaces + n, s + 1, 6);
		n += 6;
		s += 7;
	}
	d->ifaces[n] = '\0';
	if (!n)
		memcpy(d->ifaces, "?******", sizeof "?******");
}

/* desc is "VVVV:PPPP TEXT"; keys of QubesDB have no dot, so the port's are underscores there. */
static bool usb_device(const char *backend, const char *key_port, const struct kvmap *m, struct dev_info *d)
{
	const char *desc = entry(m, key_port, "desc"), *serial = entry(m, key_port, "serial");

	if (!desc || strlen(desc) < 9 || !is_hex(desc, 4) || desc[4] != ':' || !is_hex(desc + 5, 4) || (desc[9] && desc[9] != ' ') ||
	    str_copy(d->dev.port, sizeof d->dev.port, key_port) < 0)
		return false;
	for (char *s = d->dev.port; *s; s++)
		if (*s == '_')
			*s = '.';
	if (!usb_port_ok(d->dev.port) || str_copy(d->dev.backend, sizeof d->dev.backend, backend) < 0)
		return false;
	d->cls = DEV_USB;
	if (serial && strlen(serial) < 64 && str_chars(serial, "_.-"))
		(void)!str_copy(d->serial, sizeof d->serial, serial);
	usb_interfaces(d, entry(m, key_port, "interfaces"));
	if (desc[9])
		label(d->product, LABEL_CAP, desc + 10);
	for (char *s = d->product; *s; s++)
		if (*s == '_')
			*s = ' ';
	/* Many interfaces: as many as an id has room for. */
	return str_printf(d->dev.id, sizeof d->dev.id, "%.9s:%s:%.*s", desc, d->serial, 15 * DEV_IFACE_LEN, d->ifaces) == 0;
}

static const struct dev_info *by_port(const struct dev_list *l, const char *port)
{
	for (size_t i = 0; l && i < l->n; i++)
		if (streq(l->v[i].dev.port, port))
			return &l->v[i];
	return NULL;
}

/* The parent is a USB interface ("1-1.2:1.0") or another block device ("sda"). */
static void block_parent(struct dev_info *d, const char *parent)
{
	char port[DEV_PORT_CAP];

	if (!parent || str_printf(port, sizeof port, "%.*s", (int)MIN(strcspn(parent, ":"), sizeof port), parent) < 0 || !dev_port_ok(port))
		return;
	memcpy(d->parent_port, port, sizeof port);
	(void)!str_copy(d->parent_class, sizeof d->parent_class, dev_class_name(usb_port_ok(port) ? DEV_USB : DEV_BLOCK));
}

static bool block_device(const char *backend, const char *port, const struct kvmap *m, struct dev_info *d)
{
	const char *desc = entry(m, port, "desc"), *size = entry(m, port, "size"), *mode = entry(m, port, "mode");
	uint64_t bytes;

	if (!mode || (!streq(mode, "r") && !streq(mode, "w")) || !dev_port_ok(port) || str_copy(d->dev.port, sizeof d->dev.port, port) < 0 ||
	    str_copy(d->dev.backend, sizeof d->dev.backend, backend) < 0)
		return false;
	d->cls = DEV_BLOCK;
	memcpy(d->ifaces, "b******", sizeof "b******");
	if (desc)
		label(d->name, LABEL_CAP, desc);
	block_parent(d, entry(m, port, "parent"));
	(void)!dev_option_set(&d->extra, "mode", mode);
	if (size && str_u64(size, INT64_MAX, &bytes) == 0)
		(void)!dev_option_set(&d->extra, "size", size);
	return true;
}

/* The id of a block device is made of its parent's and of which part of that it is. */
static void block_id(const struct dev_list *l, size_t from, const struct dev_list *usb, const struct kvmap *m, struct dev_info *d, unsigned depth)
{
	const struct dev_list own = { l->v + from, l->n - from };
	const struct dev_info *p = by_port(streq(d->parent_class, "usb") ? usb : &own, d->parent_port);
	const char *iface = entry(m, d->dev.port, "parent"), *digits = d->dev.port + strlen(d->dev.port);
	char parent_id[DEV_ID_CAP] = DEV_UNKNOWN, part[DEV_PORT_CAP];

	while (digits > d->dev.port && ch_digit(digits[-1]))
		digits--;
	iface = iface ? strchr(iface, ':') : NULL;
	if (str_copy(part, sizeof part, iface && iface[1] ? iface + 1 : *digits ? digits : "None") < 0 || !str_chars(part, ".-_"))
		memcpy(part, "None", sizeof "None");
	if (p && p != d && p->cls == DEV_BLOCK && depth) {
		struct dev_info up = *p;

		block_id(l, from, usb, m, &up, depth - 1);
		memcpy(parent_id, up.dev.id, sizeof parent_id);
	} else if (p && p->cls == DEV_USB) {
		memcpy(parent_id, p->dev.id, sizeof parent_id);
	}
	if (str_printf(d->dev.id, sizeof d->dev.id, "%s:%s", parent_id, part) < 0)
		memcpy(d->dev.id, DEV_UNKNOWN, sizeof DEV_UNKNOWN);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct dev_info *)a)->dev.port, ((const struct dev_info *)b)->dev.port);
}

void device_guest_list(enum dev_class cls, const char *backend, const struct kvmap *entries, const struct dev_list *usb, struct dev_list *ret)
{
	char port[DEV_PORT_CAP], last[DEV_PORT_CAP] = "";
	size_t from = ret->n;

	for (size_t i = 0; i < entries->n && ret->n - from < DEVICES_MAX; i++) {
		const char *key = entries->v[i].key, *slash = strchr(key, '/');
		struct dev_info d = { 0 };

		if (!slash || str_printf(port, sizeof port, "%.*s", (int)MIN((size_t)(slash - key), sizeof port), key) < 0 || streq(port, last))
			continue;
		memcpy(last, port, sizeof last);
		if (cls == DEV_USB ? usb_device(backend, port, entries, &d) : block_device(backend, port, entries, &d))
			*append(ret) = d;
	}
	for (size_t i = from; cls == DEV_BLOCK && i < ret->n; i++)
		block_id(ret, from, usb, entries, &ret->v[i], PARENTS_MAX);
	if (ret->n > from)
		qsort(ret->v + from, ret->n - from, sizeof *ret->v, by_name);
}

static bool read_attr(int dir, const char *name, char *out, size_t cap)
{
	_cleanup_fd_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n = fd < 0 ? -1 : read(fd, out, cap - 1);

	if (n <= 0)
		return false;
	out[n] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return true;
}

/* An attribute "0x8086" or "0x0c0330" without its 0x, of exactly n digits. */
static bool read_hex(int dir, const char *name, size_t n, char out[16])
{
	char s[16];

	if (!read_attr(dir, name, s, sizeof s) || strlen(s) != n + 2 || s[0] != '0' || s[1] != 'x' || !is_hex(s + 2, n))
		return false;
	memcpy(out, s + 2, n + 1);
	return true;
}

/* SSSS:BB:DD.F; the segment is shown only when it is not the first. */
static bool pci_device(int at, const char *sbdf, struct dev_info *d)
{
	_cleanup_fd_ int dir = openat(at, sbdf, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char vendor[16], device[16], cls[16];
	size_t skip = str_starts(sbdf, "0000:") ? 5 : 0;

	if (dir < 0 || strlen(sbdf) != 12 || !read_hex(dir, "vendor", 4, vendor) || !read_hex(dir, "device", 4, device) ||
	    !read_hex(dir, "class", 6, cls) || str_copy(d->dev.port, sizeof d->dev.port, sbdf + skip) < 0)
		return false;
	for (char *s = d->dev.port; *s; s++)
		if (*s == ':')
			*s = '_';
	d->cls = DEV_PCI;
	memcpy(d->dev.backend, "dom0", sizeof "dom0");
	return dev_port_ok(d->dev.port) && str_printf(d->dev.id, sizeof d->dev.id, "%s:%s::p%s", vendor, device, cls) == 0 &&
	       str_printf(d->ifaces, sizeof d->ifaces, "p%s", cls) == 0 &&
	       str_printf(d->name, sizeof d->name, "%s:%s", vendor, device) == 0 && dev_option_set(&d->extra, "sbdf", sbdf) == 0;
}

void device_pci_scan(struct core *c, int dir)
{
	struct dev_list l = { c->pci, 0 };
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *de;

	if (fd >= 0 && !d)
		close(fd);
	while (d && (de = readdir(d))) {
		struct dev_info x = { 0 };

		if (de->d_name[0] != '.' && pci_device(dir, de->d_name, &x))
			*append(&l) = x;
	}
	if (d)
		closedir(d);
	if (l.n)
		qsort(l.v, l.n, sizeof *l.v, by_name);
	c->pci = l.v;
	c->n_pci = l.n;
}
