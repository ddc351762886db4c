/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From sysfs to rows. What a device says about itself becomes printable text here; dom0 trusts none of it anyway. */
#include "scan.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>

#include "base/str.h"

#define SECTOR 512

static const char *const own_disks[] = { "root", "private", "volatile", "modules" }; /* by their serial number */

static void add(struct scan *s, const char *dir, const char *name, const char *what, const char *value)
{
	struct scan_row row = { 0 };

	if (s->n == SCAN_ROWS_MAX || str_printf(row.key, sizeof row.key, "%s/%s/%s", dir, name, what) < 0)
		return;
	for (size_t i = 0; value[i] && i + 1 < sizeof row.value; i++)
		row.value[i] = value[i] >= 0x20 && value[i] < 0x7f ? value[i] : '_';
	s->v = xreallocarray(s->v, s->n + 1, sizeof *s->v);
	s->v[s->n++] = row;
}

/* The first line of a file, without the blanks around it; "" when there is none. */
static const char *attr(int dir, const char *name, char *out, size_t cap)
{
	_cleanup_fd_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, out, cap - 1);
	char *from = out;

	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	n = (ssize_t)strlen(out);
	while (n && out[n - 1] == ' ')
		out[--n] = '\0';
	while (*from == ' ')
		from++;
	memmove(out, from, strlen(from) + 1);
	return out;
}

static int open_dir(int at, const char *name)
{
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool empty_dir(int at, const char *name)
{
	int fd = open_dir(at, name);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	bool empty = true;

	if (!d && fd >= 0)
		close(fd);
	while (d && (e = readdir(d)))
		empty = empty && e->d_name[0] == '.';
	if (d)
		closedir(d);
	return empty;
}

static bool mounted(const char *mounts, const char *dev)
{
	size_t n = strlen(dev);

	/* ID PARENT MAJOR:MINOR … */
	for (const char *line = mounts; *line && n; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *p = line + strcspn(line, " \n");

		p += *p == ' ';
		p += strcspn(p, " \n");
		p += *p == ' ';
		if (strncmp(p, dev, n) == 0 && p[n] == ' ')
			return true;
	}
	return false;
}

/* --- block ---------------------------------------------------------------------------------------------------------- */

struct block {
	char name[32], disk[32], iface[32]; /* disk: of a partition, else ""; iface: of USB, else "" */
	char desc[100], parent[32];
	uint64_t bytes;
	bool writable, part, skip, used;
};

/* "1-1.2:1.0" */
static bool is_usb_iface(const char *s)
{
	const char *dash = strchr(s, '-'), *colon = strchr(s, ':');

	return ch_digit(s[0]) && dash && colon && dash < colon && strspn(s, "0123456789-.:") == strlen(s);
}

/* Where the link of /sys/class/block leads says what the device is a part of. */
static void place(struct block *b, const char *link)
{
	char path[PATH_MAX], *save = NULL, last[32] = "", before[32] = "";

	if (str_copy(path, sizeof path, link) < 0)
		return;
	for (char *p = strtok_r(path, "/", &save); p; p = strtok_r(NULL, "/", &save)) {
		if (is_usb_iface(p))
			(void)!str_copy(b->iface, sizeof b->iface, p);
		memcpy(before, last, sizeof before);
		if (str_copy(last, sizeof last, p) < 0)
			last[0] = '\0';
	}
	memcpy(b->disk, before, sizeof b->disk);
}

static bool of_the_system(int dir, const char *name, const char *serial)
{
	static const char *const never[] = { "ram", "zram", "dm-", "md", "nbd", "fd" };

	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		if (str_starts(name, never[i]))
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(own_disks); i++)
		if (streq(serial, own_disks[i]))
			return true;
	return false;
}

static void describe(struct block *b, int dir)
{
	char vendor[64], model[64], backing[100];

	if (*attr(dir, "loop/backing_file", backing, sizeof backing)) {
		(void)!str_copy(b->desc, sizeof b->desc, backing);
		return;
	}
	attr(dir, "device/vendor", vendor, sizeof vendor);
	attr(dir, "device/model", model, sizeof model);
	/* virtio disks have a number for a vendor */
	if (str_starts(vendor, "0x"))
		vendor[0] = '\0';
	(void)!str_printf(b->desc, sizeof b->desc, "%s%s%s", vendor, *vendor && *model ? " " : "", model);
}

static void read_block(struct block *b, int class_dir, const char *name, const char *mounts)
{
	_cleanup_fd_ int dir = open_dir(class_dir, name);
	char link[PATH_MAX], text[64], dev[32], serial[64];
	ssize_t n = readlinkat(class_dir, name, link, sizeof link - 1);
	uint64_t sectors;

	*b = (struct block){ .skip = true };
	if (dir < 0 || str_copy(b->name, sizeof b->name, name) < 0 || !str_chars(name, "_.-"))
		return;
	link[n > 0 ? n : 0] = '\0';
	place(b, link);
	b->part = faccessat(dir, "partition", F_OK, 0) == 0;
	attr(dir, "serial", serial, sizeof serial);
	b->skip = of_the_system(dir, name, serial) || str_u64(attr(dir, "size", text, sizeof text), UINT64_MAX / SECTOR, &sectors) < 0 || sectors == 0 ||
		  (str_starts(name, "loop") && !b->part && !*attr(dir, "loop/backing_file", text, sizeof text));
	if (b->skip)
		return;
	b->bytes = sectors * SECTOR;
	b->writable = streq(attr(dir, "ro", text, sizeof text), "0");
	b->used = !empty_dir(dir, "holders") || mounted(mounts, attr(dir, "dev", dev, sizeof dev));
	if (b->part)
		(void)!str_copy(b->parent, sizeof b->parent, b->disk);
	else if (b->iface[0])
		(void)!str_copy(b->parent, sizeof b->parent, b->iface);
	describe(b, dir);
}

/* A partition that is used makes its disk one that is used; what belongs to a disk of the system is the system's too. */
static bool offered(const struct block *v, size_t n, const struct block *b)
{
	if (b->skip || b->used)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (v[i].part && streq(v[i].disk, b->name) && v[i].used)
			return false;
		if (b->part && streq(v[i].name, b->disk) && (v[i].skip || v[i].used))
			return false;
	}
	return true;
}

static void scan_block(struct scan *s, int sys, const char *mounts)
{
	_cleanup_fd_ int class_dir = open_dir(sys, "class/block");
	int fd = class_dir < 0 ? -1 : fcntl(class_dir, F_DUPFD_CLOEXEC, 3);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	_cleanup_free_ struct block *v = NULL;
	const struct dirent *e;
	char size[32];
	size_t n = 0;

	while (d && (e = readdir(d)) && n < SCAN_ROWS_MAX) {
		if (e->d_name[0] == '.')
			continue;
		v = xreallocarray(v, n + 1, sizeof *v);
		read_block(&v[n++], class_dir, e->d_name, mounts);
	}
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
	for (size_t i = 0; i < n; i++) {
		if (!offered(v, n, &v[i]) || str_printf(size, sizeof size, "%llu", (unsigned long long)v[i].bytes) < 0)
			continue;
		add(s, SCAN_BLOCK, v[i].name, "desc", v[i].desc);
		add(s, SCAN_BLOCK, v[i].name, "size", size);
		add(s, SCAN_BLOCK, v[i].name, "mode", v[i].writable ? "w" : "r");
		if (v[i].parent[0])
			add(s, SCAN_BLOCK, v[i].name, "parent", v[i].parent);
	}
}

/* --- USB ------------------------------------------------------------------------------------------------------------ */

/* ":CCSSPP:CCSSPP:" of the interfaces PORT:CONFIG.NUMBER, in the order of their numbers. */
static void interfaces(int devices, const char *port, char *out, size_t cap)
{
	char name[64], cls[8], sub[8], proto[8], path[96];
	size_t len = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < 32 && len + 8 < cap; i++) {
		for (unsigned config = 1; config < 4; config++) {
			if (str_printf(name, sizeof name, "%s:%u.%u", port, config, i) < 0)
				continue;
			(void)!str_printf(path, sizeof path, "%s/bInterfaceClass", name);
			attr(devices, path, cls, sizeof cls);
			(void)!str_printf(path, sizeof path, "%s/bInterfaceSubClass", name);
			attr(devices, path, sub, sizeof sub);
			(void)!str_printf(path, sizeof path, "%s/bInterfaceProtocol", name);
			attr(devices, path, proto, sizeof proto);
			if (strlen(cls) != 2 || strlen(sub) != 2 || strlen(proto) != 2)
				continue;
			(void)!str_printf(out + len, cap - len, "%s%s%s%s:", len ? "" : ":", cls, sub, proto);
			len = strlen(out);
			break;
		}
	}
}

static void usb_device(struct scan *s, int devices, const char *port)
{
	_cleanup_fd_ int dir = open_dir(devices, port);
	char vendor[8], product[8], maker[48], name[48], serial[64], cls[8], key[32], desc[128], ifaces[120];

	if (dir < 0 || streq(attr(dir, "bDeviceClass", cls, sizeof cls), "09") || str_copy(key, sizeof key, port) < 0)
		return;
	attr(dir, "idVendor", vendor, sizeof vendor);
	attr(dir, "idProduct", product, sizeof product);
	if (strlen(vendor) != 4 || strlen(product) != 4)
		return;
	attr(dir, "manufacturer", maker, sizeof maker);
	attr(dir, "product", name, sizeof name);
	/* keys of QubesDB have no dot; the text of a description has no blank of its own */
	for (char *p = key; *p; p++)
		*p = *p == '.' ? '_' : *p;
	(void)!str_printf(desc, sizeof desc, "%s%s%s", maker, *maker && *name ? "_" : "", name);
	for (char *p = desc; *p; p++)
		*p = *p == ' ' ? '_' : *p;
	_cleanup_free_ char *text = xasprintf("%s:%s%s%s", vendor, product, *desc ? " " : "", desc);

	add(s, SCAN_USB, key, "desc", text);
	if (*attr(dir, "serial", serial, sizeof serial))
		add(s, SCAN_USB, key, "serial", serial);
	interfaces(devices, port, ifaces, sizeof ifaces);
	if (*ifaces)
		add(s, SCAN_USB, key, "interfaces", ifaces);
}

static void scan_usb(struct scan *s, int sys)
{
	_cleanup_fd_ int devices = open_dir(sys, "bus/usb/devices");
	int fd = devices < 0 ? -1 : fcntl(devices, F_DUPFD_CLOEXEC, 3);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	while (d && (e = readdir(d)))
		if (ch_digit(e->d_name[0]) && strchr(e->d_name, '-') && !strchr(e->d_name, ':'))
			usb_device(s, devices, e->d_name);
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct scan_row *)a)->key, ((const struct scan_row *)b)->key);
}

int scan_devices(struct scan *ret, int sys, const char *mounts)
{
	*ret = (struct scan){ 0 };
	if (faccessat(sys, "class", F_OK, 0) < 0)
		return -errno;
	scan_block(ret, sys, mounts);
	scan_usb(ret, sys);
	if (ret->n)
		qsort(ret->v, ret->n, sizeof *ret->v, by_key);
	return 0;
}

void scan_fini(struct scan *s)
{
	free(s->v);
	*s = (struct scan){ 0 };
}

const char *scan_get(const struct scan *s, const char *key)
{
	for (size_t i = 0; i < s->n; i++)
		if (streq(s->v[i].key, key))
			return s->v[i].value;
	return NULL;
}
