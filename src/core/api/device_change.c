/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Changes of assignments, and attaching by hand. Checks are in the reference's order: the argument, the payload, the state of the qube,
 * what is there already, the rules of the class. Only the microphone can be attached so far; attaching another device passes every check and
 * then says that it is not supported yet.
 */
#include "base/str.h"
#include "core/api/api.h"
#include "core/api/device.h"

static enum dev_class cls_of(const struct call *c)
{
	return (enum dev_class)c->m->param;
}

/* The device of the argument, whose backend must exist. */
static int parse_device(struct call *c, struct dev_name *ret)
{
	struct qube *q;

	if (dev_name_parse_arg(ret, c->arg, &c->err) < 0)
		return err_set(&c->err, AE_PROTOCOL, "the argument is not BACKEND+PORT+DEVICE-ID");
	return streq(ret->backend, "*") ? 0 : qube_lookup(c->core, ret->backend, &q, &c->err);
}

static bool differs(const char *said, const char *meant)
{
	return said[0] && !streq(said, meant);
}

/* What the payload says, which may not be anything else than what argument and destination say. */
static int parse_payload(struct call *c, const struct dev_name *dev, struct dev_assignment *ret)
{
	struct dev_assignment a;

	if (dev_assignment_parse(&a, rd_mem(c->body, c->body_len), &c->err) < 0) {
		c->err.code = AE_PROTOCOL;
		return -AE_PROTOCOL;
	}
	if (a.cls != DEV_N && a.cls != cls_of(c))
		return err_set(&c->err, AE_DEVICE_UNRECOGNIZED, "the payload is about class %s, the method about %s", dev_class_name(a.cls),
			       dev_class_name(cls_of(c)));
	if (differs(a.dev.backend, dev->backend) || differs(a.dev.port, dev->port) || differs(a.dev.id, dev->id))
		return err_set(&c->err, AE_DEVICE_UNEXPECTED, "the payload is about another device than the argument");
	if (differs(a.frontend, c->dest_name))
		return err_set(&c->err, AE_DEVICE_UNEXPECTED, "the payload is about another qube than the destination");
	a.dev = *dev;
	a.cls = cls_of(c);
	memcpy(a.frontend, c->dest_name, sizeof a.frontend);
	*ret = a;
	return 0;
}

/* BACKEND:PORT:DEVICE-ID, as events show it. */
static char *shown(const struct dev_name *d)
{
	return xasprintf("%s:%s:%s", d->backend, d->port, d->id);
}

/* Options as events show them: the text of a dictionary. Checked options have neither quotes nor backslashes. */
static char *shown_options(const struct dev_options *o)
{
	_cleanup_wr_ struct wr w = wr_grow(4096);

	wr_u8(&w, '{');
	for (size_t i = 0; i < o->n; i++)
		wr_printf(&w, "%s'%s': '%s'", i ? ", " : "", o->v[i].key, o->v[i].value);
	wr_u8(&w, '}');
	return wr_take(&w, NULL);
}

int api_device_assign(struct call *c)
{
	_cleanup_free_ char *dev = NULL, *opts = NULL;
	struct dev_assignment a, old;
	struct dev_name name;
	int r = parse_device(c, &name);

	if (r == 0)
		r = parse_payload(c, &name, &a);
	if (r < 0)
		return r;
	if (a.mode == DEV_MANUAL)
		return err_set(&c->err, AE_VALUE, "only assignments of mode required, auto-attach or ask-to-attach are kept");
	if (device_find(c->dest, a.cls, &a.dev, &old))
		return err_set(&c->err, AE_DEVICE_ASSIGNED, "%s device %s:%s:%s is assigned to '%s' already", dev_class_name(a.cls),
			       a.dev.backend, a.dev.port, a.dev.id, c->dest_name);
	r = device_check_assign(c->core, c->dest, &a, &c->err);
	if (r < 0)
		return r;
	dev = shown(&a.dev);
	opts = shown_options(&a.opts);
	eventf(c->core, c->dest, "device-pre-assign:", dev_class_name(a.cls), "device", dev, "options", opts, NULL);
	device_store(c->core, c->dest, &a);
	eventf(c->core, c->dest, "device-assign:", dev_class_name(a.cls), "device", dev, "options", opts, NULL);
	return 0;
}

static int find_assigned(struct call *c, struct dev_assignment *ret)
{
	struct dev_name name;
	int r = parse_device(c, &name);

	if (r < 0)
		return r;
	if (!device_find(c->dest, cls_of(c), &name, ret))
		return err_set(&c->err, AE_DEVICE_NOT_ASSIGNED, "%s device %s:%s:%s is not assigned to '%s'", dev_class_name(cls_of(c)),
			       name.backend, name.port, name.id, c->dest_name);
	return 0;
}

int api_device_unassign(struct call *c)
{
	_cleanup_free_ char *dev = NULL;
	struct dev_assignment a;
	int r = find_assigned(c, &a);

	if (r < 0)
		return r;
	if (a.mode == DEV_REQUIRED && c->dest->klass != K_ADMIN && !qube_halted(c->dest))
		return err_set(&c->err, AE_VM_NOT_HALTED, "'%s' runs and requires the device: shut it down first", c->dest_name);
	dev = shown(&a.dev);
	device_drop(c->core, c->dest, &a);
	eventf(c->core, c->dest, "device-unassign:", dev_class_name(a.cls), "device", dev, NULL);
	return 0;
}

int api_device_set_assignment(struct call *c)
{
	_cleanup_free_ char *dev = NULL;
	enum dev_mode mode = dev_mode_parse(c->body);
	struct dev_assignment a;
	int r;

	if (mode == DEV_MODE_N || mode == DEV_MANUAL)
		return err_set(&c->err, AE_DEVICE_MODE, "the payload is none of required, ask-to-attach, auto-attach");
	r = find_assigned(c, &a);
	if (r < 0 || a.mode == mode)
		return r;
	a.mode = mode;
	r = device_check_assign(c->core, c->dest, &a, &c->err);
	if (r < 0)
		return r;
	dev = shown(&a.dev);
	device_store(c->core, c->dest, &a);
	eventf(c->core, c->dest, "device-assignment-changed:", dev_class_name(a.cls), "device", dev, NULL);
	return 0;
}

/* All is known: the devices that the backend offers, and what is wanted. */
static int attach_known(struct call *c, const struct dev_list *l)
{
	const struct dev_info *d = NULL;
	struct dev_assignment a;
	struct dev_name name;
	int r = parse_device(c, &name);

	if (r == 0)
		r = parse_payload(c, &name, &a);
	for (size_t i = 0; r == 0 && i < l->n; i++) {
		if (!dev_name_matches(&name, &l->v[i].dev))
			continue;
		if (d)
			return err_set(&c->err, AE_PROTOCOL, "more than one %s device is meant; name one port", dev_class_name(a.cls));
		d = &l->v[i];
	}
	if (r == 0 && !d)
		r = err_set(&c->err, AE_PROTOCOL, "there is no %s device %s:%s", dev_class_name(a.cls), name.backend, name.port);
	if (r == 0)
		r = device_check_options(&a, &c->err);
	if (r == 0 && a.cls == DEV_PCI)
		r = err_set(&c->err, AE_VALUE, "a PCI device cannot be attached to a running qube; assign it as required");
	if (r == 0)
		r = device_check_denied(c->core, c->dest, d, &c->err);
	if (r == 0 && a.cls == DEV_MIC) {
		r = device_mic_check(c->core, c->dest, &c->err);
		if (r == 0)
			device_mic_attach(c->core, c->dest);
		return r;
	}
	if (r == 0)
		r = err_set(&c->err, AE_GENERIC, "attaching %s devices is not supported yet", dev_class_name(a.cls));
	return r;
}

int api_device_attach(struct call *c)
{
	struct dev_assignment a;
	struct dev_name name;
	int r = parse_device(c, &name);

	if (r == 0)
		r = parse_payload(c, &name, &a);
	if (r < 0)
		return r;
	if (qube_halted(c->dest) || c->dest->klass == K_REMOTE)
		return err_set(&c->err, AE_VM_NOT_RUNNING, "'%s' is not running: nothing can be attached to it; assigning is possible", c->dest_name);
	if (streq(name.backend, "*"))
		return err_set(&c->err, AE_PROTOCOL, "one device is attached at a time: name its backend");
	if (streq(name.backend, c->dest_name))
		return err_set(&c->err, AE_VALUE, "'%s' itself offers that device", c->dest_name);
	return devices_of(c, qube_find(c->core, name.backend), a.cls, attach_known);
}

static const struct dev_name mic = { "dom0", "mic", DEV_MIC_ID };

static int detach_mic(struct call *c)
{
	struct dev_assignment a;

	for (size_t i = 0; device_next(c->dest, DEV_MIC, &i, &a);)
		if (a.mode == DEV_REQUIRED && dev_name_matches(&a.dev, &mic))
			return err_set(&c->err, AE_VM_NOT_HALTED, "'%s' requires the microphone: set the assignment to auto-attach first, or shut it down",
				       c->dest_name);
	device_mic_detach(c->core, c->dest);
	return 0;
}

int api_device_detach(struct call *c)
{
	struct dev_name name;
	int r = parse_device(c, &name);

	if (r < 0)
		return r;
	if (cls_of(c) == DEV_MIC && device_mic_attached(c->dest) && dev_name_matches(&name, &mic))
		return detach_mic(c);
	return err_set(&c->err, AE_DEVICE_NOT_ASSIGNED, "%s device %s:%s is not attached to '%s'", dev_class_name(cls_of(c)), name.backend,
		       name.port, c->dest_name);
}
