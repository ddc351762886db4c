/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Assigned devices in a configuration. In struct conf_qube the key is "CLASS BACKEND:PORT:DEVICE-ID" and the value the mode and the options in
 * ascending order, "required read-only=yes": what people read in a plan, and what is compared.
 */
#include "proto/toml.h"
#include "tool/conf.h"
#include "tool/devices.h"

char *conf_device_key(enum dev_class cls, const struct dev_name *d)
{
	return xasprintf("%s %s:%s:%s", dev_class_name(cls), d->backend, d->port, d->id);
}

char *conf_device_value(const struct dev_assignment *a)
{
	_cleanup_wr_ struct wr w = wr_grow(8192);

	wr_str(&w, dev_mode_name(a->mode));
	for (size_t i = 0; i < a->opts.n; i++)
		wr_printf(&w, " %s=%s", a->opts.v[i].key, a->opts.v[i].value);
	return wr_take(&w, NULL);
}

int conf_device_parse(struct dev_assignment *ret, const char *key, const char *value)
{
	struct dev_assignment a = { .cls = DEV_N };
	const char *blank = strchr(key, ' ');
	char word[200];
	size_t n;

	if (!blank || str_printf(word, sizeof word, "%.*s", (int)MIN(blank - key, 32), key) < 0 || dev_name_parse(&a.dev, blank + 1, NULL) < 0)
		return -EINVAL;
	a.cls = dev_class_parse(word);
	if (a.cls == DEV_N)
		return -EINVAL;
	for (bool first = true; value && *value; first = false, value += n + (value[n] == ' ')) {
		char *eq;

		n = strcspn(value, " ");
		if (str_printf(word, sizeof word, "%.*s", (int)n, value) < 0)
			return -EINVAL;
		eq = strchr(word, '=');
		if (first) {
			a.mode = dev_mode_parse(word);
			if (a.mode == DEV_MODE_N)
				return -EINVAL;
			continue;
		}
		if (!eq)
			return -EINVAL;
		*eq = '\0';
		if (dev_option_set(&a.opts, word, eq + 1) < 0)
			return -EINVAL;
	}
	*ret = a;
	return 0;
}

int conf_now_devices(struct conf_qube *q, struct err *e)
{
	for (unsigned cls = 0; cls < DEV_N; cls++) {
		_cleanup_free_ struct dev_assignment *v = NULL;
		size_t n = 0;
		int r = devices_assigned(q->name, (enum dev_class)cls, &v, &n, e);

		if (r < 0)
			return r;
		for (size_t i = 0; i < n; i++) {
			_cleanup_free_ char *key = conf_device_key(v[i].cls, &v[i].dev), *value = conf_device_value(&v[i]);

			conf_add(&q->devices, key, value);
		}
	}
	return 0;
}

void conf_write_devices(struct wr *w, const struct conf_qube *q)
{
	for (size_t i = 0; i < q->devices.n; i++) {
		const char *key = q->devices.v[i].key, *name = strchr(key, ' ') + 1;
		_cleanup_free_ char *device = xstrdup(name);
		struct dev_assignment a;

		if (conf_device_parse(&a, key, q->devices.v[i].value) < 0)
			continue; /* made by conf_device_key and conf_device_value */
		if (str_ends(device, ":*") && !streq(a.dev.port, "*"))
			device[strlen(device) - 2] = '\0';
		wr_str(w, "[[qubes.");
		toml_put_key(w, q->name);
		wr_printf(w, ".devices]]\nclass = \"%s\"\ndevice = ", dev_class_name(a.cls));
		toml_put_string(w, device);
		wr_printf(w, "\nmode = \"%s\"\n", dev_mode_name(a.mode));
		if (!a.opts.n)
			continue;
		wr_str(w, "options = { ");
		for (size_t k = 0; k < a.opts.n; k++) {
			wr_str(w, k ? ", " : "");
			toml_put_key(w, a.opts.v[k].key);
			wr_str(w, " = ");
			toml_put_string(w, a.opts.v[k].value);
		}
		wr_str(w, " }\n");
	}
}

static int call(const struct conf_step *s, const struct dev_assignment *a, const char *what, const char *payload, struct err *e)
{
	char method[64], arg[400] = "";
	struct wr w = wr_mem(arg, sizeof arg - 1);

	dev_name_put_arg(&w, &a->dev);
	if (!wr_ok(&w) || str_printf(method, sizeof method, "admin.vm.device.%s.%s", dev_class_name(a->cls), what) < 0)
		return err_set(e, ENAMETOOLONG, "the name of the device is too long");
	return adm_void(s->dest, method, arg, payload, e);
}

static int assign(const struct conf_step *s, const struct dev_assignment *a, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(16384);

	dev_assignment_put(&w, a);
	wr_u8(&w, '\0');
	return wr_ok(&w) ? call(s, a, "Assign", (const char *)w.buf, e) : err_set(e, ENAMETOOLONG, "the device has too many options");
}

int conf_device_do(const struct conf_step *s, struct err *e)
{
	struct dev_assignment old, new;
	const char *old_opts = s->old ? strchrnul(s->old, ' ') : NULL;
	int r;

	if (conf_device_parse(&old, s->name, s->old) < 0 || conf_device_parse(&new, s->name, s->new) < 0)
		return err_set(e, EINVAL, "'%s' is no device", s->name);
	if (!s->new)
		return call(s, &old, "Unassign", NULL, e);
	if (!s->old) {
		r = assign(s, &new, e);
		/* A clone has what it was cloned from had. */
		if (r != -ADM_EXC_DEV_ASSIGNED)
			return r;
		r = call(s, &new, "Unassign", NULL, e);
		return r < 0 ? r : assign(s, &new, e);
	}
	if (streq(old_opts, strchrnul(s->new, ' ')))
		return call(s, &new, "Set.assignment", dev_mode_name(new.mode), e);
	r = call(s, &old, "Unassign", NULL, e);
	if (r >= 0)
		r = assign(s, &new, e);
	else
		return r;
	if (r < 0)
		(void)!assign(s, &old, NULL); /* as it was; the first failure is what counts */
	return r;
}
