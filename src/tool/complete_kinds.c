/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What can be completed: names from the daemon, from directories and from tables. */
#include <dirent.h>

#include "base/paths.h"
#include "client/answers.h"
#include "storage/drivers.h"
#include "tool/complete.h"
#include "tool/devices.h"
#include "tool/ls.h"

void offer(const struct want *w, const char *s, const char *tail)
{
	if (str_starts(s, w->prefix))
		printf("%.*s%s%s\n", (int)w->lead_len, w->lead ? w->lead : "", s, tail);
}

/* The first column (up to a blank) of each line of an answer that begins with lead; with a NAME=VALUE wanted, "=" behind it. */
static void offer_lines(const struct want *w, const char *dest, const char *method, const char *lead)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	char *text, *line;

	if (adm_text(&rep, dest, method, NULL, NULL, NULL) < 0)
		return;
	text = rep.data;
	while ((line = adm_line(&text))) {
		line[strcspn(line, " ")] = '\0';
		if (str_starts(line, lead))
			offer(w, line + strlen(lead), w->pairs ? "=" : "");
	}
}

static void offer_words(const struct want *w, const char *const *words)
{
	for (; *words; words++)
		offer(w, *words, w->pairs ? "=" : "");
}

static void offer_volumes(const struct want *w)
{
	const char *colon = strchr(w->prefix, ':');
	_cleanup_reply_ struct adm_reply rep = { 0 };
	char qube[64], *text, *line;

	if (!colon) {
		struct adm_qubes q;

		if (adm_qubes_get(&q, "dom0", NULL) < 0)
			return;
		for (size_t i = 0; i < q.n; i++)
			offer(w, q.v[i].name, ":");
		adm_qubes_fini(&q);
		return;
	}
	if (str_printf(qube, sizeof qube, "%.*s", (int)(colon - w->prefix), w->prefix) < 0 ||
	    adm_text(&rep, qube, "admin.vm.volume.List", NULL, NULL, NULL) < 0)
		return;
	text = rep.data;
	while ((line = adm_line(&text)))
		if (str_starts(line, colon + 1))
			printf("%s:%s\n", qube, line);
}

/* The part in front of '=' from a table, the part behind it by another kind: "private=POOL". */
static void offer_volume_pool(const struct verb *v, const struct want *w)
{
	static const char *const volumes[] = { "root", "private", "volatile", "kernel", NULL };
	const char *eq = strchr(w->prefix, '=');
	struct want part = *w;

	part.pairs = !eq;
	if (!eq) {
		offer_words(&part, volumes);
		return;
	}
	part.lead = w->prefix;
	part.lead_len = (size_t)(eq + 1 - w->prefix);
	part.prefix = eq + 1;
	offer_kind(v, W_POOL, &part);
}

/* The values that a property of this type can have. */
static void offer_value(const struct verb *v, const struct want *w)
{
	static const char *const bools[] = { "True", "False", NULL }, *const none[] = { "none", NULL };
	static const char *const modes[] = { "pvh", "hvm", NULL };
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct adm_prop p = { 0 };
	bool global = !w->qube;

	if (!w->property || adm_text(&rep, global ? "dom0" : w->qube, global ? "admin.property.Get" : "admin.vm.property.Get", w->property,
				     NULL, NULL) < 0 || adm_prop_parse(&p, rep.data, NULL) < 0)
		return;
	if (streq(p.type, "bool"))
		offer_words(w, bools);
	if (streq(p.type, "vm")) {
		offer_words(w, none);
		offer_kind(v, W_QUBE, w);
	}
	if (streq(p.type, "label"))
		offer_kind(v, W_LABEL, w);
	if (streq(w->property, "virt_mode"))
		offer_words(w, modes);
	if (str_starts(w->property, "default_pool"))
		offer_kind(v, W_POOL, w);
}

/* Names that nobody has set yet are known too; those that are set come from the daemon and are not said twice. */
static void offer_known(const struct want *w, const char *qube, const char *lead, const char *const *known)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	bool have = adm_text(&rep, qube, "admin.vm.feature.List", NULL, NULL, NULL) >= 0;

	offer_lines(w, qube, "admin.vm.feature.List", lead);
	for (; *known; known++) {
		_cleanup_free_ char *line = xasprintf("%s%s\n", lead, *known);
		const char *at = have ? strstr(rep.data, line) : NULL;

		if (!at || (at > rep.data && at[-1] != '\n'))
			offer(w, *known, w->pairs ? "=" : "");
	}
}

/* Devices that are there, and those that are only assigned. */
static void offer_devices(const struct verb *v, const struct want *w)
{
	enum dev_class cls = streq(v->name, "qvm-audio") ? DEV_MIC : dev_class_parse(streq(v->name, "qvm-device") ? (w->first ? w->first : "") : v->name + 4);
	struct dev_table dt;

	if (cls == DEV_N || dev_table_get(&dt, cls, NULL) < 0)
		return;
	for (size_t i = 0; i < dt.n; i++) {
		_cleanup_free_ char *s = xasprintf("%s:%s", dt.v[i].d.dev.backend, dt.v[i].d.dev.port);

		offer(w, s, "");
	}
	dev_table_fini(&dt);
}

static void offer_policy_files(const struct want *w)
{
	DIR *d = opendir(path_get(PATH_POLICY_ETC));
	struct dirent *de;

	while (d && (de = readdir(d)))
		if (str_ends(de->d_name, ".policy"))
			offer(w, de->d_name, "");
	if (d)
		closedir(d);
}

static const char *const services[] = { "cups", "crond", "clocksync", "network-manager", "qubes-network", "qubes-firewall",
					"qubes-updates-proxy", "updates-proxy-setup", "qubes-update-check", "disable-default-route",
					"disable-dns-server", "software-rendering", "guivm", "guivm-gui-agent", "guivm-vnc", "lightdm",
					"tracker", NULL };
static const char *const features[] = { "qrexec", "gui", "gui-emulated", "os", "internal", "servicevm", "updates-available", "skip-update",
					"ipv6", "anon-timezone", "menu-items", "prohibit-start", "fast-start", "emulated-aslr", "preload-dispvm-max",
					"preload-dispvm-delay", "preload-dispvm-threshold", "appmenus-dispvm", "ram-only", "ram-only-size",
					"ram-only-unencrypted-swap", "memory-check", "default-offline-dispvm", "whonix-gw", "whonix-ws", "whonix-default-gw", NULL };
static const char *const rule[] = { "accept", "drop", "dsthost=", "proto=", "dstports=", "icmptype=", "specialtarget=dns", "expire=+",
				    "comment=", NULL };

/* Kinds whose names are lines of one answer. */
static const struct {
	enum word_kind kind;
	const char *method;
	bool of_qube; /* asked of the qube of the line, not of dom0 */
} asked[] = {
	{ W_QUBE, "admin.vm.List", false },	      { W_PROPERTY, "admin.vm.property.List", true },
	{ W_GLOBAL_PROPERTY, "admin.property.List", false }, { W_LABEL, "admin.label.List", false },
	{ W_CLASS, "admin.vmclass.List", false },     { W_POOL, "admin.pool.List", false },
	{ W_TAG, "admin.vm.tag.List", true },	      { W_DRIVER, "admin.pool.ListDrivers", false },
};

/* Properties where no qube is named: those of any qube that is not dom0, best of an AppVM. */
static void offer_any_property(const struct want *w)
{
	const char *like = "dom0";
	struct adm_qubes q;

	if (adm_qubes_get(&q, "dom0", NULL) < 0)
		return;
	for (size_t i = 0; i < q.n; i++)
		if (!streq(q.v[i].cls, "AdminVM") && (streq(like, "dom0") || streq(q.v[i].cls, "AppVM")))
			like = q.v[i].name;
	offer_lines(w, like, "admin.vm.property.List", "");
	adm_qubes_fini(&q);
}

void offer_kind(const struct verb *v, enum word_kind kind, const struct want *w)
{
	const char *qube = w->qube ? w->qube : "dom0", *name;

	if (kind == W_PROPERTY && !w->qube)
		offer_any_property(w);
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++)
		if (asked[i].kind == kind && (kind != W_PROPERTY || w->qube))
			offer_lines(w, asked[i].of_qube ? qube : "dom0", asked[i].method, "");
	if (kind == W_VOLUME)
		offer_volumes(w);
	else if (kind == W_VOLUME_POOL)
		offer_volume_pool(v, w);
	else if (kind == W_VALUE)
		offer_value(v, w);
	else if (kind == W_FEATURE)
		offer_known(w, qube, "", features);
	else if (kind == W_SERVICE)
		offer_known(w, qube, "service.", services);
	else if (kind == W_RULE)
		offer_words(w, rule);
	else if (kind == W_POLICY_FILE)
		offer_policy_files(w);
	else if (kind == W_DEVICE)
		offer_devices(v, w);
	for (size_t i = 0; kind == W_POOL_OPTION && i < POOL_OPTIONS_N; i++)
		offer(w, pool_options[i].name, "=");
	for (unsigned i = 0; kind == W_DEVICE_CLASS && i < DEV_N; i++)
		offer(w, dev_class_name((enum dev_class)i), "");
	for (size_t i = 0; kind == W_FORMAT && (name = ls_format_at(i)); i++)
		offer(w, name, "");
	for (size_t i = 0; kind == W_COLUMN && (name = ls_column_at(i)); i++)
		offer(w, name, "");
	for (size_t i = 0; kind == W_SUB && v->subs && v->subs[i].name; i++)
		offer(w, v->subs[i].name, "");
}
