/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Type, persistence and services of this qube, read once and turned into flag files that units
   and scripts test. */
#include <cpuid.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "agent/early/early.h"
#include "base/fsx.h"
#include "base/str.h"

#define SERVICE_PREFIX "/qubes-service/"

static const char *const type_names[TYPE_N] = {
	[TYPE_APPVM] = "AppVM",
	[TYPE_NETVM] = "NetVM",
	[TYPE_PROXYVM] = "ProxyVM",
	[TYPE_TEMPLATEVM] = "TemplateVM",
};
static const char *const type_flags[TYPE_N] = {
	[TYPE_APPVM] = "appvm",
	[TYPE_NETVM] = "netvm",
	[TYPE_PROXYVM] = "proxyvm",
	[TYPE_TEMPLATEVM] = "templatevm",
};
static const char *const persistence_names[PERSIST_N] = {
	[PERSIST_FULL] = "full",
	[PERSIST_RW_ONLY] = "rw-only",
	[PERSIST_NONE] = "none",
};

#define T(type) (1u << TYPE_##type)
/* Services that are on unless QubesDB says otherwise. */
static const struct {
	const char *name;
	unsigned types;
} defaults[] = {
	{ "network-manager", T(NETVM) },
	{ "qubes-network", T(NETVM) | T(PROXYVM) },
	{ "qubes-update-check", T(NETVM) | T(PROXYVM) | T(APPVM) | T(TEMPLATEVM) },
	{ "qubes-updates-proxy", T(NETVM) },
	{ "meminfo-writer", T(NETVM) | T(PROXYVM) | T(APPVM) | T(TEMPLATEVM) },
	{ "qubes-firewall", T(NETVM) | T(PROXYVM) },
	{ "tracker", T(APPVM) | T(TEMPLATEVM) },
	{ "evolution-data-server", T(APPVM) | T(TEMPLATEVM) },
	{ "updates-proxy-setup", T(TEMPLATEVM) },
	{ "software-rendering", T(NETVM) | T(PROXYVM) | T(APPVM) | T(TEMPLATEVM) },
};

bool service_name_ok(const char *name)
{
	return (ch_alnum(name[0]) || name[0] == '_') && str_chars(name, "_.-");
}

bool early_service(const char *name)
{
	char path[96];

	return str_printf(path, sizeof path, FLAG_DIR "/%s", name) == 0 && access(path, F_OK) == 0;
}

static int lookup(const char *const *names, size_t n, const char *value)
{
	for (size_t i = 0; i < n; i++)
		if (streq(names[i], value))
			return (int)i;
	return -EINVAL;
}

int service_set(const char *name, bool on, struct err *e)
{
	char path[96];

	if (str_printf(path, sizeof path, FLAG_DIR "/%s", name) < 0)
		return err_set(e, ENAMETOOLONG, "service name");
	if (on)
		return touch(path, e);
	return unlink(path) < 0 && errno != ENOENT ? err_errno(e, errno, "removing %s", path) : 0;
}

static int service_entry(const char *key, const char *value, struct err *e)
{
	const char *name = key + strlen(SERVICE_PREFIX);

	if (!str_starts(key, SERVICE_PREFIX) || !service_name_ok(name) || (!streq(value, "0") && !streq(value, "1")))
		return 0;
	return service_set(name, value[0] == '1', e);
}

int services_default(struct early *q, struct err *e)
{
	int r = fs_mkdir_p(FLAG_DIR, 0755, e);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(defaults); i++)
		r = service_set(defaults[i].name, defaults[i].types & (1u << q->type), e);
	return r;
}

static int services_set(struct early *q, struct err *e)
{
	int r = services_default(q, e);
	char ip[64];

	/* A qube that keeps what is installed in it and has no network of its own fetches packages through another one. */
	if (r >= 0 && q->type == TYPE_APPVM && q->persistence == PERSIST_FULL && early_read(q, "/qubes-ip", ip, sizeof ip, NULL) == -ENOENT)
		r = service_set("updates-proxy-setup", true, e);
	for (size_t i = 0; r >= 0 && i < q->n_entries; i++)
		r = service_entry(q->entries[i].key, q->entries[i].value, e);
	return r;
}

/* want_udev: only qubes that drive hardware pay for udevd. */
int udev_flag(const struct early *q, struct err *e)
{
	static const char *const reasons[] = { "udev", "network-manager", "minimal-netvm", "minimal-usbvm", "bluetooth" };

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		if (early_service(reasons[i]))
			return touch("/run/bulkhead/want-udev", e);
	return q->type == TYPE_NETVM ? touch("/run/bulkhead/want-udev", e) : 0;
}

static int write_flags(struct early *q, struct err *e)
{
	char path[64], debug[8] = "";
	int r;

	if (str_printf(path, sizeof path, "/run/qubes/this-is-%s", type_flags[q->type]) < 0)
		return err_set(e, ENAMETOOLONG, "type");
	r = touch(path, e);
	if (r >= 0 && str_printf(path, sizeof path, "/run/qubes/persistent-%s", persistence_names[q->persistence]) < 0)
		r = err_set(e, ENAMETOOLONG, "persistence");
	if (r >= 0)
		r = touch(path, e);
	if (r < 0)
		return r;
	r = early_read(q, "/qubes-debug-mode", debug, sizeof debug, e);
	if (r < 0 && r != -ENOENT)
		return r;
	return text_write("/run/qubes-service-environment", streq(debug, "1") ? "GUI_OPTS=-vv\n" : "\n", 0644, e);
}

static bool emulated(void)
{
	unsigned max, sign[3];

	__cpuid(0x40000000, max, sign[0], sign[1], sign[2]);
	return memcmp(sign, "TCGTCGTCGTCG", sizeof sign) == 0;
}

int early_addresses(struct early *q, struct err *e)
{
	char value[8];
	int r;

	if (early_read(q, STATE_ASLR_KEY, value, sizeof value, NULL) < 0 || !streq(value, "0") || !emulated())
		return 0;
	r = touch(STATE_ASLR_MARK, e);
	return r < 0 ? r : text_write("/proc/sys/kernel/randomize_va_space", "0\n", 0644, e);
}

int early_forget(struct err *e)
{
	char path[64];
	int r = fs_rm_rf(AT_FDCWD, FLAG_DIR, e);

	for (size_t i = 0; r >= 0 && i < TYPE_N; i++)
		if (str_printf(path, sizeof path, "/run/qubes/this-is-%s", type_flags[i]) == 0 && unlink(path) < 0 && errno != ENOENT)
			r = err_errno(e, errno, "removing %s", path);
	for (size_t i = 0; r >= 0 && i < PERSIST_N; i++)
		if (str_printf(path, sizeof path, "/run/qubes/persistent-%s", persistence_names[i]) == 0 && unlink(path) < 0 &&
		    errno != ENOENT)
			r = err_errno(e, errno, "removing %s", path);
	return r;
}

int early_sysinit(struct early *q, struct err *e)
{
	char value[128];
	int r;

	r = early_wait(q, "/qubes-vm-type", value, sizeof value, e);
	if (r < 0)
		return r;
	r = lookup(type_names, TYPE_N, value);
	if (r < 0)
		return err_set(e, EINVAL, "/qubes-vm-type is not a known type");
	q->type = (enum vm_type)r;
	r = early_wait(q, "/qubes-vm-persistence", value, sizeof value, e);
	if (r < 0)
		return r;
	r = lookup(persistence_names, PERSIST_N, value);
	if (r < 0)
		return err_set(e, EINVAL, "/qubes-vm-persistence is not a known class");
	q->persistence = (enum persistence)r;
	r = early_read(q, "/type", value, sizeof value, e);
	if (r < 0 && r != -ENOENT)
		return r;
	q->disposable = r == 0 && streq(value, "DispVM");
	r = services_set(q, e);
	if (r >= 0)
		r = udev_flag(q, e);
	if (r >= 0)
		r = write_flags(q, e);
	q->custom_persist = early_service("custom-persist");
	return r;
}
