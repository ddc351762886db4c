/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-pool: storage pools. */
#include "proto/names.h"
#include "storage/drivers.h"
#include "tool/kvlist.h"

static const struct tool_opt opts[] = {
	{ 'o', "option", "KEY=VALUE", "add, set: an option of the pool (repeatable, or several joined by commas)", 0, W_POOL_OPTION },
	OPT_JSON,
	{ 'l', "list", NULL, "the same as the command list", OPT_HIDDEN, W_ANY },
	{ 'i', "info", "POOL", "the same as the command info", OPT_HIDDEN, W_POOL },
	{ 'a', "add", "NAME", "the same as the command add", OPT_HIDDEN, W_ANY },
	{ 'r', "remove", "POOL", "the same as the command remove", OPT_HIDDEN, W_POOL },
	{ 's', "set", "POOL", "the same as the command set", OPT_HIDDEN, W_POOL },
	{ 0 },
};

static const struct tool_sub subs[] = {
	{ "list", "", "list the pools" },
	{ "info", "POOL", "show a pool's options and usage" },
	{ "usage", "[POOL...]", "show how full the pools are" },
	{ "add", "NAME DRIVER -o KEY=VALUE...", "add a pool" },
	{ "remove", "POOL...", "remove pools; their volumes must be gone" },
	{ "set", "POOL -o KEY=VALUE...", "change options of a pool" },
	{ "drivers", "[DRIVER]", "list the drivers and their options, or tell what the options of one mean" },
	{ 0 },
};

static int list(struct tool *t)
{
	_cleanup_(table_freep) struct table *tb = table_new(2);
	_cleanup_reply_ struct adm_reply rep = { 0 };
	bool json = opt_has(t, KEY_JSON);
	struct json j = { 0 };
	struct err e = { 0 };
	char *text, *name, driver[64];
	int r = adm_text(&rep, "dom0", "admin.pool.List", NULL, NULL, &e);

	if (r < 0)
		return tool_api(t, r, &e);
	table_add(tb, "NAME");
	table_add(tb, "DRIVER");
	if (json)
		json_open(&j, NULL, '[');
	text = rep.data;
	while ((name = adm_line(&text))) {
		_cleanup_reply_ struct adm_reply info = { 0 };
		const char *shown;

		/* One that is removed at this moment is passed over. */
		if (adm_text(&info, "dom0", "admin.pool.Info", name, NULL, &e) < 0)
			continue;
		shown = adm_kv(info.data, "driver", driver, sizeof driver) < 0 ? NULL : driver;
		table_add(tb, name);
		table_add(tb, shown);
		if (json) {
			json_open(&j, NULL, '{');
			json_str(&j, "name", name);
			json_str(&j, "driver", shown);
			json_close(&j, '}');
		}
	}
	if (json)
		json_close(&j, ']');
	else
		table_print(tb, t, true);
	return 0;
}

/* "DRIVER OPTION OPTION…" */
static void driver_json(struct json *j, char *line)
{
	char *sp = strchr(line, ' ');

	if (sp)
		*sp++ = '\0';
	json_open(j, NULL, '{');
	json_str(j, "driver", line);
	json_open(j, "options", '[');
	while (sp && *sp) {
		char *next = strchr(sp, ' ');

		if (next)
			*next++ = '\0';
		json_str(j, NULL, sp);
		sp = next;
	}
	json_close(j, ']');
	json_close(j, '}');
}

static void driver_row(struct table *tb, char *line)
{
	_cleanup_wr_ struct wr w = wr_grow(4096);
	char *sp = strchr(line, ' ');

	if (sp)
		*sp++ = '\0';
	for (const char *p = sp ? sp : ""; *p; p++) {
		if (*p == ' ')
			wr_str(&w, ", ");
		else
			wr_u8(&w, (uint8_t)*p);
	}
	wr_u8(&w, 0);
	table_add(tb, line);
	table_add(tb, wr_ok(&w) ? (const char *)w.buf : "");
}

static int drivers(struct tool *t)
{
	_cleanup_(table_freep) struct table *tb = table_new(2);
	_cleanup_reply_ struct adm_reply rep = { 0 };
	bool json = opt_has(t, KEY_JSON);
	struct json j = { 0 };
	struct err e = { 0 };
	char *text, *line;
	int r = adm_text(&rep, "dom0", "admin.pool.ListDrivers", NULL, NULL, &e);

	if (r < 0)
		return tool_api(t, r, &e);
	table_add(tb, "DRIVER");
	table_add(tb, "OPTIONS");
	if (json)
		json_open(&j, NULL, '[');
	text = rep.data;
	while ((line = adm_line(&text))) {
		if (json)
			driver_json(&j, line);
		else
			driver_row(tb, line);
	}
	if (json)
		json_close(&j, ']');
	else
		table_print(tb, t, true);
	return 0;
}

/* What the options of one driver mean: from the table that the daemon is built from. */
static int driver_options(struct tool *t, const char *name)
{
	_cleanup_(table_freep) struct table *tb = table_new(3);
	const struct pool_driver *d = pool_driver_find(name);
	bool json = opt_has(t, KEY_JSON);
	struct json j = { 0 };

	if (!d)
		return tool_usage(t, "there is no driver '%s': see qvm-pool drivers", name);
	table_add(tb, "OPTION");
	table_add(tb, "NEEDED");
	table_add(tb, "MEANING");
	if (json)
		json_open(&j, NULL, '[');
	for (size_t i = 0; i < POOL_OPTIONS_N; i++) {
		const struct pool_option *o = &pool_options[i];

		if (!(d->options & 1u << i))
			continue;
		table_add(tb, o->name);
		table_add(tb, pool_option_needed(d, o) ? "yes" : "no");
		table_add(tb, o->help);
		if (json) {
			json_open(&j, NULL, '{');
			json_str(&j, "option", o->name);
			json_str(&j, "needed", pool_option_needed(d, o) ? "yes" : "no");
			json_str(&j, "meaning", o->help);
			json_close(&j, '}');
		}
	}
	if (json) {
		json_close(&j, ']');
		return 0;
	}
	printf("%s: %s\n\n", d->name, d->summary);
	table_print(tb, t, true);
	return 0;
}

static int info(struct tool *t, const char *pool)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct json j = { 0 };
	struct err e = { 0 };
	int r = adm_text(&rep, "dom0", "admin.pool.Info", pool, NULL, &e);

	if (r < 0)
		return tool_api(t, r, &e);
	if (!opt_has(t, KEY_JSON)) {
		kv_print(t, rep.data);
		return 0;
	}
	json_open(&j, NULL, '{');
	kv_json(&j, rep.data);
	json_close(&j, '}');
	return 0;
}

static uint64_t number(const char *info, const char *key)
{
	char text[32];
	uint64_t n;

	return adm_kv(info, key, text, sizeof text) == 0 && str_u64(text, UINT64_MAX, &n) == 0 ? n : 0;
}

static void usage_row(struct tool *t, struct table *tb, struct json *j, const char *name, const char *info)
{
	uint64_t size = number(info, "size"), used = number(info, "usage"), at = number(info, "warn_at"), percent = size ? used / (size / 100 + 1) : 0;
	const char *note = !size ? "" : percent >= 99 ? "full" : percent >= (at ? at : 90) ? "little room" : "";

	if (j) {
		json_open(j, NULL, '{');
		json_str(j, "name", name);
		json_int(j, "size", (int64_t)size);
		json_int(j, "usage", (int64_t)used);
		json_int(j, "percent", (int64_t)percent);
		json_bool(j, "low", *note != '\0');
		json_close(j, '}');
		return;
	}
	table_add(tb, name);
	table_addf(tb, "%llu", (unsigned long long)(used >> 20));
	table_addf(tb, "%llu", (unsigned long long)(size >> 20));
	table_addf(tb, "%llu%%", (unsigned long long)percent);
	table_add(tb, note);
}

/* One pool after the other; a pool of kernels has no room of its own. */
static int usage(struct tool *t, int argc, char **argv)
{
	_cleanup_(table_freep) struct table *tb = table_new(5);
	_cleanup_reply_ struct adm_reply rep = { 0 };
	bool json = opt_has(t, KEY_JSON);
	struct json j = { 0 };
	struct err e = { 0 };
	char *text, *name;
	int r = adm_text(&rep, "dom0", "admin.pool.List", NULL, NULL, &e);

	for (int i = 0; r >= 0 && i < argc; i++) {
		_cleanup_reply_ struct adm_reply one = { 0 };

		r = adm_text(&one, "dom0", "admin.pool.Info", argv[i], NULL, &e);
	}
	if (r < 0)
		return tool_api(t, r, &e);
	for (size_t i = 0; i < 5; i++)
		table_add(tb, (const char *const[]){ "NAME", "USED-MIB", "SIZE-MIB", "USED", "NOTE" }[i]);
	for (size_t i = 1; i < 4; i++)
		table_right(tb, i);
	if (json)
		json_open(&j, NULL, '[');
	text = rep.data;
	while ((name = adm_line(&text))) {
		_cleanup_reply_ struct adm_reply info = { 0 };
		bool wanted = argc == 0;

		for (int i = 0; i < argc; i++)
			wanted |= streq(argv[i], name);
		if (wanted && adm_text(&info, "dom0", "admin.pool.Info", name, NULL, &e) >= 0 && (argc || number(info.data, "size")))
			usage_row(t, tb, json ? &j : NULL, name, info.data);
	}
	if (json)
		json_close(&j, ']');
	else
		table_print(tb, t, true);
	return 0;
}

/* All -o options as lines "key=value" behind lead. */
static int option_lines(struct tool *t, struct wr *w)
{
	const char *o;

	for (size_t i = 0; (o = opt_nth(t, 'o', i)); i++) {
		const char *eq = strchr(o, '=');

		if (!eq || eq == o)
			return tool_usage(t, "an option is KEY=VALUE, not '%s'", o);
		for (; *o; o++) {
			const char *next = *o == ',' ? strpbrk(o + 1, ",=") : NULL;

			/* A comma ends an option only when another KEY= follows. */
			wr_u8(w, next && *next == '=' ? '\n' : (uint8_t)*o);
		}
		wr_u8(w, '\n');
	}
	return 0;
}

static int add(struct tool *t, const char *name, const char *driver)
{
	_cleanup_wr_ struct wr w = wr_grow(32768);
	struct err e = { 0 };
	int r;

	if (!*name || !pool_ok(name))
		return tool_usage(t, "'%s' is no pool name: letters, digits, '-', '_' and '.' are allowed", name);
	wr_printf(&w, "name=%s\n", name);
	r = option_lines(t, &w);
	if (r != 0)
		return r;
	wr_u8(&w, 0);
	if (!wr_ok(&w))
		return tool_usage(t, "the options are too long");
	r = adm_void("dom0", "admin.pool.Add", driver, (const char *)w.buf, &e);
	return r < 0 ? tool_api(t, r, &e) : 0;
}

static int set(struct tool *t, const char *pool)
{
	_cleanup_wr_ struct wr w = wr_grow(32768);
	struct err e = { 0 };
	static const char *const keys[] = { "revisions_to_keep", "ephemeral_volatile", "size_limit", "volume_limit", "warn_at", NULL };
	char *text, *line;
	int r;

	if (!opt_has(t, 'o'))
		return tool_usage(t, "name what to change: -o KEY=VALUE");
	r = option_lines(t, &w);
	if (r != 0)
		return r;
	wr_u8(&w, 0);
	if (!wr_ok(&w))
		return tool_usage(t, "the options are too long");
	text = (char *)w.buf;
	while ((line = adm_line(&text))) {
		char *eq = strchr(line, '=');

		*eq = '\0';
		r = kv_set("dom0", "admin.pool.Set", keys, line, pool, eq + 1, &e);
		if (r == -EINVAL)
			return tool_usage(t, "revisions_to_keep, ephemeral_volatile, size_limit, volume_limit and warn_at can be changed, not '%s'", line);
		if (r < 0)
			return tool_api(t, r, &e);
	}
	return 0;
}

static int remove_pools(struct tool *t, int argc, char **argv)
{
	struct err e = { 0 };

	for (int i = 0; i < argc; i++) {
		int r = adm_void("dom0", "admin.pool.Remove", argv[i], NULL, &e);

		if (r < 0)
			return tool_api(t, r, &e);
	}
	return 0;
}

static int run(struct tool *t, int argc, char **argv)
{
	const char *cmd = argc ? argv[0] : "list";

	if (opt_has(t, 'i'))
		return info(t, opt_str(t, 'i'));
	if (opt_has(t, 'a'))
		return argc == 1 ? add(t, opt_str(t, 'a'), argv[0]) : tool_usage(t, "--add NAME needs the driver");
	if (opt_has(t, 's'))
		return set(t, opt_str(t, 's'));
	if (opt_has(t, 'r')) {
		char *one = xstrdup(opt_str(t, 'r'));
		int r = remove_pools(t, 1, &one);

		free(one);
		return r;
	}
	if (opt_has(t, 'l') || streq(cmd, "list") || streq(cmd, "ls"))
		return list(t);
	if (streq(cmd, "drivers") && argc <= 2)
		return argc == 2 ? driver_options(t, argv[1]) : drivers(t);
	if (streq(cmd, "usage"))
		return usage(t, argc - 1, argv + 1);
	if (streq(cmd, "info") && argc == 2)
		return info(t, argv[1]);
	if (streq(cmd, "add") && argc == 3)
		return add(t, argv[1], argv[2]);
	if (streq(cmd, "set") && argc == 2)
		return set(t, argv[1]);
	if ((streq(cmd, "remove") || streq(cmd, "rm")) && argc >= 2)
		return remove_pools(t, argc - 1, argv + 1);
	return sub_usage(t, cmd);
}

const struct verb verb_qvm_pool = {
	.name = "qvm-pool",
	.summary = "manage storage pools",
	.args = "[list|info|usage|add|remove|set|drivers] [ARGUMENT...]",
	.opts = opts,
	.subs = subs,
	.words = { W_SUB, W_POOL },
	.run = run,
};
