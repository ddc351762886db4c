/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-setup: the qubes of a first installation, for what this machine has; and the way back. */
#include "tool/setup.h"

#define EXIT_MISSING 3

enum { KEY_PLAN = 820, KEY_CHECK, KEY_ONLY, KEY_TEMPLATE, KEY_WITH_USB, KEY_WITHOUT_USB, KEY_DISPOSABLE, KEY_REPAIR, KEY_UNDO, KEY_HOST, KEY_TOR };

static const struct tool_opt opts[] = {
	{ 'n', "plan", NULL, "show what would change, and change nothing", 0, W_ANY },
	{ 'n', "dry-run", NULL, NULL, OPT_ALIAS, W_ANY },
	{ KEY_CHECK, "check", NULL, "like --plan, with exit status 3 when something is missing", 0, W_ANY },
	{ 'y', "yes", NULL, "do not ask", 0, W_ANY },
	{ KEY_ONLY, "only", "NAME", "only this qube and what it rests on (repeatable)", 0, W_QUBE },
	{ KEY_TOR, "tor", NULL, "only the qubes of Tor (sys-whonix, anon-whonix, its disposables) and what they rest on", 0, W_ANY },
	{ KEY_TEMPLATE, "template", "NAME", "template of the qubes; default is the best one installed", 0, W_QUBE },
	{ KEY_WITH_USB, "with-usb", NULL, "make sys-usb in any case", 0, W_ANY },
	{ KEY_WITHOUT_USB, "without-usb", NULL, "do not make sys-usb", 0, W_ANY },
	{ KEY_DISPOSABLE, "disposable-sys", NULL, "sys-net, sys-firewall and sys-usb are disposables of default-dvm", 0, W_ANY },
	{ KEY_REPAIR, "repair", NULL, "also set qubes that exist as the set has them", 0, W_ANY },
	{ KEY_UNDO, "undo", NULL, "remove what qvm-setup made and nobody used or changed; restore settings", 0, W_ANY },
	{ KEY_HOST, "host-root", "DIR", "read /sys and /proc below DIR", OPT_HIDDEN, W_FILE },
	OPT_JSON,
	{ 0 },
};

static const struct tool_exit exits[] = {
	{ EXIT_MISSING, "with --check: something is missing" },
	{ 0 },
};

struct setup {
	struct tool *t;
	struct setup_host host;
	struct setup_want want;
	struct setup_record rec;
	struct adm_qubes all;
	struct conf conf;
	struct conf_plan plan;
	struct conf_list notes;	  /* key: a line for the user */
	struct conf_list devices; /* qube; PORT ID */
	char names[3][QNAME_MAX + 1];
	const char **only;
};

static void note(struct setup *s, const char *text)
{
	conf_add(&s->notes, text, NULL);
}

/* sys-usb takes the keyboard away from dom0: that must be wanted. */
static void choose_usb(struct setup *s)
{
	const struct setup_host *h = &s->host;

	s->want.usb = h->usb > 0;
	if (opt_has(s->t, KEY_WITHOUT_USB)) {
		s->want.usb = false;
	} else if (opt_has(s->t, KEY_WITH_USB)) {
		s->want.usb = true;
		if (h->usb_keyboard_only)
			note(s, "warning: the only keyboard is on USB; once sys-usb has the controllers it works only through sys-usb, and a "
				"passphrase at boot cannot be typed on it");
		if (!h->usb)
			note(s, "this machine has no USB controller that a qube may have; sys-usb is made all the same");
	} else if (h->usb && h->usb_keyboard_only) {
		s->want.usb = false;
		note(s, "sys-usb is left out: the only keyboard of this machine is on USB; --with-usb makes it nevertheless");
	} else if (!h->usb) {
		note(s, "sys-usb is left out: this machine has no USB controller that a qube may have");
	}
	if (!h->nics)
		note(s, "this machine shows no network card on PCI; sys-net gets none");
}

/* What --tor stands for; the disposable template of anon-whonix comes with it. */
static const char *const tor_qubes[] = { "sys-whonix", "anon-whonix" };

static int choose(struct setup *s)
{
	struct tool *t = s->t;
	size_t n = opt_count(t, KEY_ONLY), tor = opt_has(t, KEY_TOR) ? ARRAY_SIZE(tor_qubes) : 0;

	if (opt_has(t, KEY_WITH_USB) && opt_has(t, KEY_WITHOUT_USB))
		return tool_usage(t, "--with-usb and --without-usb contradict each other");
	if (n + tor) {
		s->only = xcalloc(n + tor, sizeof *s->only);
		for (size_t i = 0; i < n; i++)
			s->only[i] = opt_nth(t, KEY_ONLY, i);
		for (size_t i = 0; i < tor; i++)
			s->only[n + i] = tor_qubes[i];
		s->want.only = s->only;
		s->want.n_only = n + tor;
	}
	s->want.template = opt_str(t, KEY_TEMPLATE);
	s->want.disposable = opt_has(t, KEY_DISPOSABLE);
	if (s->want.template) {
		const struct adm_qube *q = adm_qubes_find(&s->all, s->want.template);

		if (!q || !streq(q->cls, "TemplateVM"))
			return tool_fail(t, "'%s' is no template; `qvm-ls --class TemplateVM` lists them", s->want.template);
	}
	setup_templates(&s->want, &s->all, s->names);
	if (!s->want.template)
		return tool_fail(t, "no template is installed; `qvm-template build debian-12` makes one");
	if (!s->want.gateway || !s->want.workstation) {
		if (tor)
			return tool_fail(t, "no template of a Tor %s is installed; `qvm-template build debian-12-tor-%s` makes one",
					 s->want.gateway ? "workstation" : "gateway", s->want.gateway ? "workstation" : "gateway");
		note(s, "the qubes for Tor are left out: their templates (debian-12-tor-gateway, debian-12-tor-workstation, or whonix-*) are not installed");
	}
	choose_usb(s);
	return 0;
}

/* Is the qube one whose making was interrupted? */
static bool half_made(const struct setup *s, const char *name)
{
	return s->rec.unfinished && conf_find(&s->rec.qubes, name);
}

/* What the user has is the user's: qubes and settings that exist stay as they are, unless a run was interrupted or --repair says so. */
static int leave_existing(struct setup *s, struct err *e)
{
	struct conf_list global = { .n = 0 };
	struct adm_props now;
	size_t n = 0;
	int r;

	if (opt_has(s->t, KEY_REPAIR))
		return 0;
	for (size_t i = 0; i < s->conf.n; i++) {
		struct conf_qube *q = &s->conf.q[i];
		bool dom0 = streq(q->name, "dom0");
		bool set = dom0 && !s->rec.unfinished && adm_void("dom0", "admin.vm.feature.Get", q->features.v[0].key, NULL, NULL) == 0;

		if (dom0 ? set : adm_qubes_find(&s->all, q->name) && !half_made(s, q->name))
			conf_qube_fini(q);
		else
			s->conf.q[n++] = *q;
	}
	s->conf.n = n;
	r = adm_props_get(&now, "dom0", true, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < s->conf.global.n; i++) {
		struct conf_kv *kv = &s->conf.global.v[i];
		const struct adm_prop *has = adm_props_find(&now, kv->key);

		if (!has || has->is_default || (s->rec.unfinished && conf_find(&s->rec.globals, kv->key))) {
			struct conf_kv *put = conf_add(&global, kv->key, kv->value);

			put->file = kv->file;
			put->line = kv->line;
		}
	}
	adm_props_fini(&now);
	conf_list_fini(&s->conf.global);
	s->conf.global = global;
	return 0;
}

/* The PCI devices of sys-net and sys-usb that are not assigned to them yet. */
static void choose_devices(struct setup *s)
{
	for (size_t i = 0; i < s->host.n_pci; i++) {
		const struct setup_pci *d = &s->host.pci[i];
		const char *qube = d->usb ? "sys-usb" : "sys-net";
		_cleanup_free_ char *value = xasprintf("%s %s", d->port, d->id), *mark = xasprintf("dom0+%s:", d->port);
		_cleanup_reply_ struct adm_reply rep = { 0 };

		if (d->dom0 || !(conf_qube_find(&s->conf, qube) || adm_qubes_find(&s->all, qube)))
			continue;
		if (s->want.only && !conf_qube_find(&s->conf, qube))
			continue;
		if (adm_qubes_find(&s->all, qube) && adm_text(&rep, qube, "admin.vm.device.pci.Assigned", NULL, NULL, NULL) >= 0 && strstr(rep.data, mark))
			continue;
		conf_add(&s->devices, qube, value);
	}
}

static void show(const struct setup *s)
{
	if (opt_has(s->t, KEY_JSON)) {
		struct json j = { 0 };

		json_open(&j, NULL, '{');
		conf_show_json(&j, "changes", &s->plan);
		json_open(&j, "devices", '[');
		for (size_t i = 0; i < s->devices.n; i++) {
			json_open(&j, NULL, '{');
			json_str(&j, "qube", s->devices.v[i].key);
			json_str(&j, "device", s->devices.v[i].value);
			json_close(&j, '}');
		}
		json_close(&j, ']');
		json_open(&j, "notes", '[');
		for (size_t i = 0; i < s->notes.n; i++)
			json_str(&j, NULL, s->notes.v[i].key);
		json_close(&j, ']');
		json_close(&j, '}');
	} else {
		conf_show(s->t, &s->plan, false);
		for (size_t i = 0; i < s->devices.n; i++)
			printf("%s\n  + PCI device %s, required\n", s->devices.v[i].key, s->devices.v[i].value);
	}
	for (size_t i = 0; i < s->notes.n; i++)
		tool_note(s->t, "%s", s->notes.v[i].key);
}

/* Before anything changes: what will be made, and what was before. A record from an interrupted run keeps the older values. */
static int record_intent(struct setup *s, struct err *e)
{
	int r = setup_record_put("state", "unfinished", e);

	for (size_t i = 0; r >= 0 && i < s->plan.n; i++) {
		const struct conf_step *st = &s->plan.v[i];
		bool feature = st->act == ACT_FEATURE && streq(st->dest, "dom0");
		_cleanup_free_ char *key = NULL, *value = NULL;

		if (st->act == ACT_CREATE) {
			key = xasprintf("qube.%s", st->dest);
			value = xstrdup("- -");
		} else if (st->act == ACT_GLOBAL || feature) {
			key = xasprintf("global.%s%s", feature ? "feature." : "", st->name);
			value = st->old && !st->old_default ? xasprintf("%s =%s", st->new, st->old) : xasprintf("%s *", st->new);
			if (conf_find(&s->rec.globals, key + strlen("global.")))
				continue;
		}
		if (key)
			r = setup_record_put(key, value, e);
	}
	return r;
}

static int record_uuid(void *arg, const struct conf_step *st, struct err *e)
{
	char uuid[64];
	_cleanup_free_ char *key = xasprintf("qube.%s", st->dest), *value = NULL;
	int r;

	if (st->act != ACT_CREATE)
		return 0;
	r = prop_get(st->dest, "uuid", uuid, sizeof uuid, e);
	if (r < 0)
		return r;
	value = xasprintf("%s -", uuid);
	return setup_record_put(key, value, e);
}

/* The state in which the qubes were left, to see later whether somebody changed them. */
static int record_done(struct setup *s, struct err *e)
{
	struct adm_qubes all;
	struct setup_record rec = { .unfinished = false };
	int r = adm_qubes_get(&all, "dom0", e);

	if (r < 0)
		return r;
	r = setup_record_get(&rec, e);
	for (size_t i = 0; r >= 0 && i < rec.qubes.n; i++) {
		const struct adm_qube *q = adm_qubes_find(&all, rec.qubes.v[i].key);
		_cleanup_free_ char *key = xasprintf("qube.%s", rec.qubes.v[i].key), *value = NULL;
		char token[PF_TOKEN_MAX];

		if (!q || !str_ends(rec.qubes.v[i].value, " -"))
			continue;
		r = setup_token(token, q, e);
		if (r < 0)
			break;
		value = xasprintf("%s %s", q->uuid, token);
		r = setup_record_put(key, value, e);
	}
	if (r >= 0)
		r = setup_record_put("state", "done", e);
	setup_record_fini(&rec);
	adm_qubes_fini(&all);
	return r;
}

/* A device that cannot be assigned is no reason to undo the rest: it is named, and the command works later. */
static int assign(struct setup *s)
{
	int status = 0;

	for (size_t i = 0; i < s->devices.n; i++) {
		const struct conf_kv *d = &s->devices.v[i];
		const char *blank = strchr(d->value, ' ');
		_cleanup_free_ char *port = xstrndup(d->value, (size_t)(blank - d->value)), *arg = xasprintf("dom0+%s+%s", port, blank + 1), *payload = NULL;
		bool usb = streq(d->key, "sys-usb");
		struct err e = { 0 };
		int r;

		/* Most USB controllers cannot be reset by themselves. */
		payload = xasprintf("device_id='%s' port_id='%s' devclass='pci' backend_domain='dom0' mode='required' frontend_domain='%s'%s", blank + 1, port,
				    d->key, usb ? " _no-strict-reset='True'" : "");
		r = adm_void(d->key, "admin.vm.device.pci.Assign", arg, payload, &e);
		if (r < 0) {
			tool_note(s->t, "PCI device %s could not be assigned to %s: %s; assign it by hand: qvm-pci assign --required %s dom0:%s", d->value,
				  d->key, err_text(&e, r), d->key, port);
			status = EXIT_FAIL;
		}
	}
	return status;
}

static int carry_out(struct setup *s)
{
	struct err e = { 0 };
	int r = record_intent(s, &e), status;

	if (r < 0)
		return tool_api(s->t, r, &e);
	status = conf_plan_do(s->t, &s->plan, NULL, record_uuid, NULL);
	if (status)
		return status;
	status = assign(s);
	r = record_done(s, &e);
	if (r < 0)
		return tool_api(s->t, r, &e);
	tool_note(s->t, "%zu change%s made; `qvm-setup --undo` takes them back", s->plan.n, s->plan.n == 1 ? "" : "s");
	return status;
}

static bool agreed(struct setup *s, const char *question)
{
	return fflush(stdout) == 0 && (opt_has(s->t, 'y') || tool_ask(s->t, "%s", question));
}

static int make(struct setup *s)
{
	struct err e = { 0 };
	int r = choose(s);

	if (r)
		return r;
	r = setup_set(&s->conf, &s->want, &s->all, &e);
	if (r < 0)
		return tool_fail(s->t, "%s", err_text(&e, r));
	r = leave_existing(s, &e);
	if (r >= 0)
		r = conf_plan_make(&s->plan, &s->conf, NULL, &e);
	if (r < 0)
		return tool_api(s->t, r, &e);
	choose_devices(s);
	show(s);
	if (!s->plan.n && !s->devices.n) {
		tool_note(s->t, "everything is there");
		return 0;
	}
	if (opt_has(s->t, 'n') || opt_has(s->t, KEY_CHECK))
		return opt_has(s->t, KEY_CHECK) ? EXIT_MISSING : 0;
	if (!agreed(s, "Make these qubes?"))
		return tool_fail(s->t, "nothing was changed; --yes does not ask");
	return carry_out(s);
}

/* The record goes key by key; what stays of it after a crash names qubes that are not there, which is harmless. */
static int forget(const struct setup *s, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < s->rec.qubes.n + s->rec.globals.n; i++) {
		bool qube = i < s->rec.qubes.n;
		const struct conf_kv *kv = qube ? &s->rec.qubes.v[i] : &s->rec.globals.v[i - s->rec.qubes.n];
		_cleanup_free_ char *key = xasprintf("%s.%s", qube ? "qube" : "global", kv->key);

		/* A qube that stays belongs to the user from now on. */
		r = setup_record_put(key, NULL, e);
	}
	return r < 0 ? r : setup_record_put("state", NULL, e);
}

static int undo(struct setup *s)
{
	struct conf_list kept = { .n = 0 };
	struct err e = { 0 };
	int r, status;

	if (!s->rec.qubes.n && !s->rec.globals.n) {
		tool_note(s->t, "there is nothing to undo");
		return 0;
	}
	r = setup_undo_conf(&s->conf, &s->rec, &s->all, &kept, &e);
	for (size_t i = 0; i < kept.n; i++) {
		_cleanup_free_ char *text = xasprintf("'%s' stays: %s", kept.v[i].key, kept.v[i].value);

		note(s, text);
	}
	conf_list_fini(&kept);
	if (r >= 0)
		r = conf_plan_make(&s->plan, &s->conf, NULL, &e);
	if (r < 0)
		return tool_api(s->t, r, &e);
	show(s);
	if (opt_has(s->t, 'n') || opt_has(s->t, KEY_CHECK))
		return opt_has(s->t, KEY_CHECK) && s->plan.n ? EXIT_MISSING : 0;
	if (!agreed(s, "Take this back?"))
		return tool_fail(s->t, "nothing was changed; --yes does not ask");
	status = conf_plan_do(s->t, &s->plan, NULL, NULL, NULL);
	if (status)
		return status;
	r = forget(s, &e);
	return r < 0 ? tool_api(s->t, r, &e) : 0;
}

static int run(struct tool *t, int argc, char **argv)
{
	struct setup s = { .t = t };
	struct err e = { 0 };
	int r = adm_qubes_get(&s.all, "dom0", &e);

	if (r >= 0)
		r = setup_record_get(&s.rec, &e);
	if (r < 0) {
		adm_qubes_fini(&s.all);
		return tool_api(t, r, &e);
	}
	setup_host_read(&s.host, opt_str(t, KEY_HOST) ? opt_str(t, KEY_HOST) : "");
	r = opt_has(t, KEY_UNDO) ? undo(&s) : make(&s);
	conf_plan_fini(&s.plan);
	conf_fini(&s.conf);
	conf_list_fini(&s.notes);
	conf_list_fini(&s.devices);
	setup_record_fini(&s.rec);
	adm_qubes_fini(&s.all);
	free(s.only);
	return r;
}

const struct verb verb_qvm_setup = {
	.name = "qvm-setup",
	.summary = "Make the qubes of a first installation",
	.args = "",
	.desc = "Shows the qubes that this machine needs and does not have yet, asks, and makes\n"
		"them. Qubes and settings that exist stay as they are. Running it again is safe.",
	.opts = opts,
	.exits = exits,
	.max_args = ARGS_NONE,
	.run = run,
};
