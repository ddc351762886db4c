/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The actions of qvm-device and its aliases. */
#include "tool/devices.h"

const struct tool_opt devices_opts[] = {
	{ 's', "assignments", NULL, "list: also show assignments, with a * before the qube", 0, W_ANY },
	{ KEY_SBDF, "with-sbdf", NULL, "list: show the address of PCI devices", 0, W_ANY },
	{ 'r', "required", NULL, "assign: the qube does not start without the device", 0, W_ANY },
	{ KEY_ASK, "ask", NULL, "assign: ask each time that the device appears", 0, W_ANY },
	{ KEY_ASK, "ask-to-attach", NULL, NULL, OPT_ALIAS, W_ANY },
	{ KEY_PORT, "port", NULL, "assign: whatever is in that port, not just this device", 0, W_ANY },
	{ KEY_DEVICE, "device", NULL, "assign: this device in whatever port", 0, W_ANY },
	{ 'o', "option", "KEY=VALUE", "attach, assign: an option (repeatable)", 0, W_ANY },
	{ KEY_RO, "ro", NULL, "attach, assign: the same as -o read-only=yes", 0, W_ANY },
	{ 'p', "persistent", NULL, "attach: the same as assign --required", 0, W_ANY },
	{ KEY_ALL, "all", NULL, "allow: every interface", 0, W_ANY },
	OPT_JSON,
	{ 0 },
};

const struct tool_sub devices_subs[] = { DEVICES_SUBS, { 0 } };

const char devices_desc[] = DEVICES_DESC;

static void method_of(char out[64], enum dev_class cls, const char *what)
{
	if (str_printf(out, 64, "admin.vm.device.%s.%s", dev_class_name(cls), what) < 0)
		abort(); /* both are from tables */
}

static int call(struct tool *t, enum dev_class cls, const char *what, const char *qube, const struct dev_name *d, const char *payload)
{
	char method[64], arg[400] = "";
	struct wr w = wr_mem(arg, sizeof arg - 1);
	struct err e = { 0 };
	int r;

	method_of(method, cls, what);
	dev_name_put_arg(&w, d);
	r = adm_void(qube, method, arg, payload, &e);
	return r < 0 ? tool_api(t, r, &e) : 0;
}

static int parse_name(struct tool *t, struct dev_name *ret, const char *s)
{
	struct err e = { 0 };

	return dev_name_parse(ret, s, &e) < 0 ? tool_usage(t, "%s", e.msg) : 0;
}

static int read_options(struct tool *t, struct dev_options *o)
{
	const char *s;

	for (size_t i = 0; (s = opt_nth(t, 'o', i)); i++) {
		const char *eq = strchr(s, '=');
		_cleanup_free_ char *key = eq ? xasprintf("%.*s", (int)(eq - s), s) : NULL;

		if (!eq || dev_option_set(o, key, eq + 1) < 0)
			return tool_usage(t, "'%s' is not KEY=VALUE", s);
	}
	if (opt_has(t, KEY_RO) && dev_option_set(o, "read-only", "yes") < 0)
		return tool_usage(t, "too many options");
	return 0;
}

static bool same_options(const struct dev_options *a, const struct dev_options *b)
{
	for (size_t i = 0; i < a->n && a->n == b->n; i++)
		if (!streq(a->v[i].key, b->v[i].key) || !streq(a->v[i].value, b->v[i].value))
			return false;
	return a->n == b->n;
}

static bool same_name(const struct dev_name *a, const struct dev_name *b)
{
	return streq(a->backend, b->backend) && streq(a->port, b->port) && streq(a->id, b->id);
}

/* Assigned already: nothing to do, or only the mode differs. 1 = it is not assigned yet. */
static int change_assigned(struct tool *t, const char *qube, const struct dev_assignment *a)
{
	_cleanup_free_ struct dev_assignment *have = NULL;
	struct err e = { 0 };
	size_t n = 0;
	int r = devices_assigned(qube, a->cls, &have, &n, &e);

	if (r < 0)
		return tool_api(t, r, &e);
	for (size_t i = 0; i < n; i++) {
		if (!same_name(&have[i].dev, &a->dev))
			continue;
		if (!same_options(&have[i].opts, &a->opts))
			return tool_fail(t, "%s:%s is assigned to '%s' with other options; unassign it first", a->dev.backend, a->dev.port, qube);
		if (have[i].mode == a->mode) {
			tool_note(t, "%s:%s is assigned to '%s' already", a->dev.backend, a->dev.port, qube);
			return 0;
		}
		return call(t, a->cls, "Set.assignment", qube, &a->dev, dev_mode_name(a->mode));
	}
	return -1;
}

/* By default an assignment means this device in this port. */
static int narrow(struct tool *t, struct dev_assignment *a)
{
	struct dev_info d;
	struct err e = { 0 };
	int r = 0;

	if (opt_has(t, KEY_PORT)) {
		a->dev.id[0] = '*';
		a->dev.id[1] = '\0';
		return 0;
	}
	if (streq(a->dev.id, "*") && !streq(a->dev.port, "*") && !streq(a->dev.backend, "*")) {
		r = devices_lookup(a->cls, &a->dev, &d, &e);
		if (r < 0)
			return tool_api(t, r, &e);
		if (r > 0)
			a->dev = d.dev;
		else if (!opt_has(t, KEY_DEVICE))
			tool_note(t, "%s:%s is not there now: whatever will be in that port is assigned", a->dev.backend, a->dev.port);
	}
	if (!opt_has(t, KEY_DEVICE))
		return 0;
	if (streq(a->dev.id, "*"))
		return tool_fail(t, "%s:%s is not there now; name the device's id: BACKEND:PORT:DEVICE-ID", a->dev.backend, a->dev.port);
	a->dev.port[0] = '*';
	a->dev.port[1] = '\0';
	return 0;
}

static int assign(struct tool *t, enum dev_class cls, const char *qube, const char *device, bool required)
{
	_cleanup_wr_ struct wr w = wr_grow(16384);
	struct dev_assignment a = { .cls = cls, .mode = DEV_AUTO };
	int r = parse_name(t, &a.dev, device);

	if (r == 0)
		r = read_options(t, &a.opts);
	if (r == 0 && opt_has(t, KEY_ASK) && (required || cls == DEV_PCI))
		r = tool_usage(t, cls == DEV_PCI ? "a PCI device can only be required" : "give --required or --ask, not both");
	if (r == 0 && opt_has(t, KEY_PORT) && opt_has(t, KEY_DEVICE))
		r = tool_usage(t, "give --port or --device, not both");
	if (r == 0)
		r = narrow(t, &a);
	if (r != 0)
		return r;
	a.mode = required || cls == DEV_PCI ? DEV_REQUIRED : opt_has(t, KEY_ASK) ? DEV_ASK : DEV_AUTO;
	r = change_assigned(t, qube, &a);
	if (r >= 0)
		return r;
	if (str_copy(a.frontend, sizeof a.frontend, qube) < 0)
		return tool_usage(t, "no such qube: '%s'", qube);
	dev_assignment_put(&w, &a);
	wr_u8(&w, '\0');
	return call(t, cls, "Assign", qube, &a.dev, wr_ok(&w) ? (const char *)w.buf : "");
}

static int unassign(struct tool *t, enum dev_class cls, const char *qube, int argc, char **argv)
{
	_cleanup_free_ struct dev_assignment *have = NULL;
	_cleanup_free_ bool *hit = xcalloc((size_t)argc + 1, sizeof *hit);
	struct err e = { 0 };
	size_t n = 0;
	int r = devices_assigned(qube, cls, &have, &n, &e);

	if (r < 0)
		return tool_api(t, r, &e);
	for (size_t i = 0; i < n; i++) {
		bool wanted = argc == 0;

		for (int k = 0; k < argc; k++) {
			struct dev_name d;

			r = parse_name(t, &d, argv[k]);
			if (r != 0)
				return r;
			/* BACKEND:PORT means every assignment of that port, BACKEND:PORT:ID just that one. */
			if (streq(d.id, "*") && strchr(argv[k], ':') == strrchr(argv[k], ':') ?
				    !streq(d.backend, have[i].dev.backend) || !streq(d.port, have[i].dev.port) :
				    !same_name(&d, &have[i].dev))
				continue;
			wanted = hit[k] = true;
		}
		r = wanted ? call(t, cls, "Unassign", qube, &have[i].dev, NULL) : 0;
		if (r != 0)
			return r;
	}
	for (int k = 0; k < argc; k++)
		if (!hit[k])
			r = tool_fail(t, "%s device %s is not assigned to '%s'", dev_class_name(cls), argv[k], qube);
	return r;
}

static int attach(struct tool *t, enum dev_class cls, const char *qube, const char *device)
{
	_cleanup_wr_ struct wr w = wr_grow(16384);
	struct dev_assignment a = { .cls = cls };
	int r = parse_name(t, &a.dev, device);

	if (opt_has(t, 'p'))
		return assign(t, cls, qube, device, true);
	if (r == 0)
		r = read_options(t, &a.opts);
	if (r != 0)
		return r;
	dev_state_put(&w, &a);
	wr_u8(&w, '\0');
	return call(t, cls, "Attach", qube, &a.dev, wr_ok(&w) ? (const char *)w.buf : "");
}

static int detach(struct tool *t, enum dev_class cls, const char *qube, int argc, char **argv)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	char method[64], *text, *line;
	struct err e = { 0 };
	struct dev_name d;
	int r = 0;

	for (int i = 0; i < argc && r == 0; i++) {
		r = parse_name(t, &d, argv[i]);
		if (r == 0)
			r = call(t, cls, "Detach", qube, &d, NULL);
	}
	if (argc > 0)
		return r;
	method_of(method, cls, "Attached");
	r = adm_text(&rep, qube, method, NULL, NULL, &e);
	if (r < 0)
		return tool_api(t, r, &e);
	text = rep.data;
	while (r == 0 && (line = adm_line(&text))) {
		char *plus = strchr(line, '+');

		line[strcspn(line, " ")] = '\0';
		if (plus)
			*plus = ':';
		r = parse_name(t, &d, line);
		if (r == 0)
			r = call(t, cls, "Detach", qube, &d, NULL);
	}
	return r;
}

static int denied(struct tool *t, const char *qube, bool add, int argc, char **argv)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	_cleanup_wr_ struct wr codes = wr_grow(16384);
	struct err e = { 0 };
	struct json j = { 0 };
	char *text, *line;
	int r;

	for (int i = 0; i < argc; i++) {
		if (strlen(argv[i]) != DEV_IFACE_LEN || !dev_iface_ok(argv[i]) || argv[i][0] == '?')
			return tool_usage(t, "'%s' is no interface: one of b u m p * and six hex digits or *, such as u03****", argv[i]);
		wr_str(&codes, argv[i]);
	}
	if (!add && opt_has(t, KEY_ALL))
		wr_str(&codes, "all");
	wr_u8(&codes, '\0');
	if (argc > 0 || !add) {
		r = adm_void(qube, add ? "admin.vm.device.denied.Add" : "admin.vm.device.denied.Remove", NULL, (const char *)codes.buf, &e);
		return r < 0 ? tool_api(t, r, &e) : 0;
	}
	r = adm_text(&rep, qube, "admin.vm.device.denied.List", NULL, NULL, &e);
	if (r < 0)
		return tool_api(t, r, &e);
	if (opt_has(t, KEY_JSON))
		json_open(&j, NULL, '[');
	text = rep.data;
	while ((line = adm_line(&text))) {
		if (opt_has(t, KEY_JSON))
			json_str(&j, NULL, line);
		else
			printf("%s  %s\n", line, strlen(line) == DEV_IFACE_LEN ? dev_iface_text(line) : "");
	}
	if (opt_has(t, KEY_JSON))
		json_close(&j, ']');
	return 0;
}

int devices_run(struct tool *t, enum dev_class cls, int argc, char **argv)
{
	const char *act = argc > 0 ? argv[0] : "list";
	int n = argc > 0 ? argc - 1 : 0;
	char **args = argv + (argc > 0);

	if (streq(act, "list") || streq(act, "ls") || streq(act, "l"))
		return devices_list(t, cls, n, args);
	if (streq(act, "info") || streq(act, "i"))
		return n > 0 ? devices_info(t, cls, n, args) : tool_usage(t, "info needs a device: BACKEND:PORT");
	if (streq(act, "assign") || streq(act, "s"))
		return n == 2 ? assign(t, cls, args[0], args[1], opt_has(t, 'r')) : tool_usage(t, "assign needs a qube and a device: QUBE BACKEND:PORT");
	if (streq(act, "attach") || streq(act, "a"))
		return n == 2 ? attach(t, cls, args[0], args[1]) : tool_usage(t, "attach needs a qube and a device: QUBE BACKEND:PORT");
	if (streq(act, "unassign") || streq(act, "u"))
		return n > 0 ? unassign(t, cls, args[0], n - 1, args + 1) : tool_usage(t, "unassign needs a qube");
	if (streq(act, "detach") || streq(act, "d"))
		return n > 0 ? detach(t, cls, args[0], n - 1, args + 1) : tool_usage(t, "detach needs a qube");
	if (streq(act, "deny"))
		return n > 0 ? denied(t, args[0], true, n - 1, args + 1) : tool_usage(t, "deny needs a qube");
	if (streq(act, "allow"))
		return n > 1 || (n == 1 && opt_has(t, KEY_ALL)) ? denied(t, args[0], false, n - 1, args + 1) :
								 tool_usage(t, "allow needs a qube and interfaces, or --all");
	return tool_usage(t, "no such action: '%s'; there are list, info, assign, unassign, attach, detach, deny, allow", act);
}
