/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What this machine has that decides about the first qubes: network cards, USB controllers, keyboards. From /sys and /proc only. */
#include <dirent.h>
#include <fcntl.h>

#include "base/fsx.h"
#include "tool/setup.h"

#define FILE_MAX (256u << 10)
#define CLASS_NETWORK 0x02
#define CLASS_USB 0x0c03
#define USB_DEVICE_SIDE 0xfe /* a controller that makes this machine a device of another */
#define EV_KEY 1
#define EV_REP 20 /* keys repeat: a keyboard, not a power button */
#define BUS_USB 3

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static bool hex_file(int dir, const char *name, const char *file, unsigned *ret)
{
	_cleanup_free_ char *text = NULL;
	char path[300], *end;
	unsigned long v;
	size_t len;

	if (str_printf(path, sizeof path, "%s/%s", name, file) < 0 || fs_read(dir, path, 64, &text, &len, NULL) < 0)
		return false;
	v = strtoul(text, &end, 16);
	if (end == text || v > UINT32_MAX)
		return false;
	*ret = (unsigned)v;
	return true;
}

/* 0000:00:14.0 as 00_14.0; other segments keep theirs, as 0001_00_14.0. */
static bool port_name(char *out, size_t cap, const char *bdf)
{
	const char *from = str_starts(bdf, "0000:") ? bdf + 5 : bdf;

	if (str_copy(out, cap, from) < 0)
		return false;
	for (char *p = out; *p; p++)
		if (*p == ':')
			*p = '_';
	return true;
}

/* rd.qubes.dom0_usb=00:14.0,0000:00:1a.0 keeps controllers for dom0. */
static bool kept(const char *cmdline, const char *bdf)
{
	const char *key = "rd.qubes.dom0_usb=", *p = cmdline ? strstr(cmdline, key) : NULL;

	if (!p || (p != cmdline && p[-1] != ' '))
		return false;
	for (p += strlen(key); *p && !strchr(" \n", *p); p += *p == ',') {
		size_t n = strcspn(p, ", \n");
		const char *shown = n < strlen(bdf) && str_starts(bdf, "0000:") ? bdf + 5 : bdf;

		if (n == strlen(shown) && memcmp(p, shown, n) == 0)
			return true;
		p += n;
	}
	return false;
}

static void add_pci(struct setup_host *h, int dir, const char *bdf, const char *cmdline)
{
	struct setup_pci *d = &h->pci[h->n_pci];
	unsigned class, vendor, device;

	if (!hex_file(dir, bdf, "class", &class) || !hex_file(dir, bdf, "vendor", &vendor) || !hex_file(dir, bdf, "device", &device))
		return;
	*d = (struct setup_pci){ .usb = class >> 8 == CLASS_USB && (class & 0xff) != USB_DEVICE_SIDE };
	if (!d->usb && class >> 16 != CLASS_NETWORK)
		return;
	if (!port_name(d->port, sizeof d->port, bdf) ||
	    str_printf(d->id, sizeof d->id, "%04x:%04x::p%06x", vendor & 0xffff, device & 0xffff, class & 0xffffff) < 0)
		return;
	d->dom0 = d->usb && kept(cmdline, bdf);
	h->usb += d->usb && !d->dom0;
	h->nics += !d->usb;
	h->n_pci++;
}

static int by_port(const void *a, const void *b)
{
	const struct setup_pci *x = a, *y = b;

	return strcmp(x->port, y->port);
}

static void read_pci(struct setup_host *h, const char *root)
{
	_cleanup_free_ char *path = xasprintf("%s/sys/bus/pci/devices", root), *cmd = xasprintf("%s/proc/cmdline", root), *cmdline = NULL;
	_cleanup_(closedirp) DIR *d = opendir(path);
	struct dirent *ent;
	size_t len;

	if (fs_read(AT_FDCWD, cmd, FILE_MAX, &cmdline, &len, NULL) < 0)
		cmdline = NULL;
	while (d && (ent = readdir(d)) && h->n_pci < SETUP_PCI_MAX)
		if (ent->d_name[0] != '.')
			add_pci(h, dirfd(d), ent->d_name, cmdline);
	qsort(h->pci, h->n_pci, sizeof h->pci[0], by_port);
}

/* One device's block of /proc/bus/input/devices. */
struct input {
	unsigned long bus, ev;
	bool kbd;
};

static void end_of_block(struct setup_host *h, struct input *in, unsigned *usb, unsigned *other)
{
	if (in->kbd && in->ev & (1ul << EV_KEY) && in->ev & (1ul << EV_REP)) {
		h->keyboards_known = true;
		*(in->bus == BUS_USB ? usb : other) += 1;
	}
	*in = (struct input){ .kbd = false };
}

static void read_keyboards(struct setup_host *h, const char *root)
{
	_cleanup_free_ char *path = xasprintf("%s/proc/bus/input/devices", root), *text = NULL;
	struct input in = { .kbd = false };
	unsigned usb = 0, other = 0;
	char *rest, *line;
	size_t len;

	if (fs_read(AT_FDCWD, path, FILE_MAX, &text, &len, NULL) < 0)
		return;
	rest = text;
	while ((line = adm_line(&rest))) {
		if (!*line)
			end_of_block(h, &in, &usb, &other);
		else if (str_starts(line, "I: Bus="))
			in.bus = strtoul(line + 7, NULL, 16);
		else if (str_starts(line, "B: EV="))
			in.ev = strtoul(line + 6, NULL, 16);
		else if (str_starts(line, "H: Handlers="))
			in.kbd = strstr(line, "kbd") != NULL;
	}
	end_of_block(h, &in, &usb, &other);
	h->usb_keyboard_only = usb && !other;
}

void setup_host_read(struct setup_host *ret, const char *root)
{
	memset(ret, 0, sizeof *ret);
	read_pci(ret, root);
	read_keyboards(ret, root);
}
