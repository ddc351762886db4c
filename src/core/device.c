/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Assignments of devices and the rules for them (specs/admin-api.md §7). */
#include "core/device.h"

#include "base/str.h"

static bool read_row(const char *key, const char *value, struct dev_assignment *ret)
{
	const char *blank = strchr(key, ' ');
	struct dev_assignment a;
	char cls[16];

	if (!blank || str_printf(cls, sizeof cls, "%.*s", (int)MIN(blank - key, 15), key) < 0 ||
	    dev_assignment_parse(&a, rd_mem(value, strlen(value)), NULL) < 0)
		return false;
	a.cls = dev_class_parse(cls);
	if (a.cls == DEV_N || a.mode == DEV_MANUAL || dev_name_parse(&a.dev, blank + 1, NULL) < 0)
		return false;
	*ret = a;
	return true;
}

bool device_row_ok(const char *key, const char *value)
{
	struct dev_assignment a;

	return read_row(key, value, &a);
}

bool device_next(const struct qube *q, enum dev_class cls, size_t *i, struct dev_assignment *ret)
{
	while (*i < q->devices.n) {
		const struct kv *v = &q->devices.v[(*i)++];

		if (!read_row(v->key, v->value, ret) || (cls != DEV_N && ret->cls != cls))
			continue;
		memcpy(ret->frontend, q->name.s, sizeof ret->frontend);
		return true;
	}
	return false;
}

bool device_find(const struct qube *q, enum dev_class cls, const struct dev_name *name, struct dev_assignment *ret)
{
	for (size_t i = 0; device_next(q, cls, &i, ret);)
		if (streq(ret->dev.backend, name->backend) && streq(ret->dev.port, name->port) && streq(ret->dev.id, name->id))
			return true;
	return false;
}

bool device_has_pci(const struct qube *q)
{
	struct dev_assignment a;
	size_t i = 0;

	return device_next(q, DEV_PCI, &i, &a);
}

const struct qube *device_user(const struct core *c, const struct qube *backend, struct dev_assignment *ret)
{
	for (size_t k = 0; k < c->n_sorted; k++) {
		const struct qube *q = c->sorted[k];

		for (size_t i = 0; q != backend && device_next(q, DEV_N, &i, ret);)
			if (streq(ret->dev.backend, backend->name.s))
				return q;
	}
	return NULL;
}

static char *key_of(const struct dev_assignment *a)
{
	return xasprintf("%s %s:%s:%s", dev_class_name(a->cls), a->dev.backend, a->dev.port, a->dev.id);
}

void device_store(struct core *c, struct qube *q, const struct dev_assignment *a)
{
	_cleanup_free_ char *key = key_of(a);
	_cleanup_wr_ struct wr w = wr_grow(8192);

	dev_state_put(&w, a);
	wr_u8(&w, '\0');
	if (!wr_ok(&w))
		abort(); /* options are bounded */
	txn_device(c, q, key, (const char *)w.buf);
}

void device_drop(struct core *c, struct qube *q, const struct dev_assignment *a)
{
	_cleanup_free_ char *key = key_of(a);

	txn_device(c, q, key, NULL);
}

static bool frontend_dev_ok(const char *s)
{
	size_t lead = str_starts(s, "xvd") ? 3 : str_starts(s, "sd") ? 2 : 0;

	/* xvda to xvdd are the qube's own disks. */
	if (!lead || !(s[lead] >= 'a' && s[lead] <= 'z') || s[lead + 1] || (lead == 3 && s[3] < 'e'))
		return false;
	return true;
}

static int check_block_option(const struct dev_option *o, struct err *e)
{
	if (streq(o->key, "read-only"))
		return streq(o->value, "yes") || streq(o->value, "no") ? 0 : err_set(e, AE_VALUE, "option read-only is yes or no");
	if (streq(o->key, "devtype"))
		return streq(o->value, "disk") || streq(o->value, "cdrom") ? 0 : err_set(e, AE_VALUE, "option devtype is disk or cdrom");
	if (streq(o->key, "frontend-dev"))
		return frontend_dev_ok(o->value) ? 0 : err_set(e, AE_VALUE, "option frontend-dev is xvde to xvdz or sda to sdz");
	return err_set(e, AE_VALUE, "block devices have no option '%s'; read-only, frontend-dev and devtype are there", o->key);
}

static int check_pci_option(const struct dev_option *o, struct err *e)
{
	bool b;

	if (!streq(o->key, "permissive") && !streq(o->key, "no-strict-reset"))
		return err_set(e, AE_VALUE, "PCI devices have no option '%s'; permissive and no-strict-reset are there", o->key);
	return str_bool(o->value, &b) == 0 ? 0 : err_set(e, AE_VALUE, "option %s is True or False", o->key);
}

int device_check_options(const struct dev_assignment *a, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < a->opts.n && r == 0; i++) {
		if (a->cls == DEV_BLOCK)
			r = check_block_option(&a->opts.v[i], e);
		else if (a->cls == DEV_PCI)
			r = check_pci_option(&a->opts.v[i], e);
		else
			r = err_set(e, AE_VALUE, "devices of class %s have no options", dev_class_name(a->cls));
	}
	return r;
}

static bool hex_at(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!ch_digit(s[i]) && !(s[i] >= 'a' && s[i] <= 'f'))
			return false;
	return true;
}

/* [SSSS_]BB_DD.F, then any number of -DD_DD.F: a bridge and what is behind it. */
static bool pci_port_ok(const char *s)
{
	if (strlen(s) > 5 && hex_at(s, 4) && s[4] == '_')
		s += 5;
	for (;;) {
		if (!hex_at(s, 2) || s[2] != '_' || !hex_at(s + 3, 2) || s[5] != '.' || !(s[6] >= '0' && s[6] <= '7'))
			return false;
		if (!s[7])
			return true;
		if (s[7] != '-')
			return false;
		s += 8;
	}
}

static int check_pci(const struct core *c, const struct qube *q, const struct dev_assignment *a, struct err *e)
{
	struct pval v;

	if (!streq(a->dev.backend, "dom0"))
		return err_set(e, AE_VALUE, "PCI devices come from dom0 only");
	if (streq(a->dev.port, "*") ? streq(a->dev.id, "*") : !pci_port_ok(a->dev.port))
		return err_set(e, AE_VALUE, "'%s' is not the port of a PCI device, such as 00_1f.2", a->dev.port);
	if (a->mode != DEV_REQUIRED)
		return err_set(e, AE_VALUE, "a PCI device can only be assigned as required: it is there when the qube starts, or the qube does not start");
	if (q->klass == K_ADMIN)
		return err_set(e, AE_VALUE, "dom0 has its PCI devices already");
	if (q->props[P_virt_mode] && streq(prop_text(c, q, P_virt_mode, &v), "pvh"))
		return err_set(e, AE_VALUE, "the virt_mode of '%s' is pvh, which has no PCI devices; set it to hvm first", q->name.s);
	return 0;
}

int device_check_assign(const struct core *c, const struct qube *q, const struct dev_assignment *a, struct err *e)
{
	if (q->klass == K_REMOTE)
		return err_set(e, AE_VALUE, "'%s' runs on another system: devices cannot be assigned to it", q->name.s);
	if (streq(a->dev.backend, q->name.s))
		return err_set(e, AE_VALUE, "'%s' itself offers that device", q->name.s);
	if (a->cls == DEV_MIC && (!streq(a->dev.backend, "dom0") || (!streq(a->dev.port, "mic") && !streq(a->dev.port, "*"))))
		return err_set(e, AE_VALUE, "the only microphone is dom0:mic");
	if (a->cls == DEV_PCI) {
		int r = check_pci(c, q, a, e);

		if (r < 0)
			return r;
	}
	return device_check_options(a, e);
}

int device_check_denied(const struct core *c, const struct qube *q, const struct dev_info *d, struct err *e)
{
	struct pval v;
	const char *rules = prop_text(c, q, P_devices_denied, &v);

	for (size_t i = 0; rules[i]; i += DEV_IFACE_LEN)
		for (size_t k = 0; d->ifaces[k]; k += DEV_IFACE_LEN)
			if (dev_iface_matches(rules + i, d->ifaces + k))
				return err_set(e, AE_PERMISSION, "'%s' denies devices with interface %.7s (%s)", q->name.s, d->ifaces + k,
					       dev_iface_text(d->ifaces + k));
	return 0;
}

/* Is a device that the assignment means there, as far as this can be told without asking a guest? */
static bool present(const struct core *c, const struct dev_assignment *a)
{
	_cleanup_devices_ struct dev_list l = { 0 };
	const struct qube *b;

	if (a->cls == DEV_MIC || a->cls == DEV_PCI) {
		device_host_list(c, a->cls, &l);
		for (size_t i = 0; i < l.n; i++)
			if (dev_name_matches(&a->dev, &l.v[i].dev))
				return true;
		return false;
	}
	if (streq(a->dev.backend, "*"))
		return true;
	b = qube_find(c, a->dev.backend);
	return b && b->klass != K_ADMIN && !qube_halted(b);
}

int device_check_start(const struct core *c, const struct qube *q, struct err *e)
{
	struct dev_assignment a;

	for (size_t i = 0; device_next(q, DEV_N, &i, &a);) {
		if (a.mode != DEV_REQUIRED)
			continue;
		if (a.cls == DEV_MIC && present(c, &a))
			continue; /* attached when it is up */
		if (!present(c, &a))
			return err_set(e, AE_GENERIC, "'%s' does not start: its required %s device %s:%s:%s is not there", q->name.s,
				       dev_class_name(a.cls), a.dev.backend, a.dev.port, a.dev.id);
		return err_set(e, AE_GENERIC, "'%s' does not start: attaching its required %s device %s:%s:%s is not supported yet", q->name.s,
			       dev_class_name(a.cls), a.dev.backend, a.dev.port, a.dev.id);
	}
	return 0;
}
