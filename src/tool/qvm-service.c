/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-service: services of a qube; a service is a feature named service.NAME. */
#include "proto/names.h"
#include "tool/feature_list.h"

static const struct tool_opt opts[] = {
	{ 'e', "enable", "SERVICE", "switch a service on", 0, W_SERVICE },
	{ 'd', "disable", "SERVICE", "switch a service off", 0, W_SERVICE },
	{ 'D', "default", "SERVICE", "leave a service to its default", 0, W_SERVICE },
	{ 'D', "unset", "SERVICE", NULL, OPT_ALIAS | OPT_HIDDEN, W_SERVICE },
	{ 'D', "delete", "SERVICE", NULL, OPT_ALIAS | OPT_HIDDEN, W_SERVICE },
	{ 'l', "list", NULL, "list the services (the default)", 0, W_ANY },
	OPT_JSON,
	{ 0 },
};

#define PREFIX "service."

static int list(struct tool *t, const char *qube)
{
	struct features f;
	struct json j = { 0 };
	struct err e = { 0 };
	int width = 0, r = features_get(&f, qube, PREFIX, &e);

	if (r < 0)
		return tool_api(t, r, &e);
	for (size_t i = 0; i < f.n; i++)
		width = MAX(width, (int)strlen(f.v[i].name) - (int)strlen(PREFIX));
	if (opt_has(t, KEY_JSON))
		json_open(&j, NULL, '{');
	for (size_t i = 0; i < f.n; i++) {
		const char *name = f.v[i].name + strlen(PREFIX);
		bool on = f.v[i].value && *f.v[i].value;

		if (!f.v[i].value)
			continue;
		if (opt_has(t, KEY_JSON))
			json_bool(&j, name, on);
		else
			printf("%-*s  %s\n", width, name, on ? "on" : "off");
	}
	if (opt_has(t, KEY_JSON))
		json_close(&j, '}');
	features_fini(&f);
	return 0;
}

/* Service names become file names in the qube. */
static bool service_ok(const char *s)
{
	bool dispvm = str_starts(s, "app-dispvm.");

	return feature_ok(s) && !streq(s, ".") && !streq(s, "..") && (dispvm || strlen(s) <= 48);
}

static int change(struct tool *t, const char *qube, const char *name, const char *value)
{
	struct err e = { 0 };
	char feature[300];
	int r;

	if (!service_ok(name) || str_printf(feature, sizeof feature, PREFIX "%s", name) < 0)
		return tool_usage(t, "'%s' is no service: 1 to 48 letters, digits, '_', '.' and '-' are allowed", name);
	r = adm_void(qube, value ? "admin.vm.feature.Set" : "admin.vm.feature.Remove", feature, value, &e);
	if (r == -ADM_EXC_NO_FEATURE && !value)
		return 0;
	return r < 0 ? tool_api(t, r, &e) : 0;
}

static int show(struct tool *t, const char *qube, const char *name)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct err e = { 0 };
	char feature[300];
	int r;

	if (!service_ok(name) || str_printf(feature, sizeof feature, PREFIX "%s", name) < 0)
		return tool_usage(t, "'%s' is no service: 1 to 48 letters, digits, '_', '.' and '-' are allowed", name);
	r = adm_text(&rep, qube, "admin.vm.feature.Get", feature, NULL, &e);
	if (r == -ADM_EXC_NO_FEATURE)
		return EXIT_FAIL;
	if (r < 0)
		return tool_api(t, r, &e);
	printf("%s\n", rep.len ? "on" : "off");
	return 0;
}

static int run(struct tool *t, int argc, char **argv)
{
	const char *on = opt_str(t, 'e'), *off = opt_str(t, 'd'), *unset = opt_str(t, 'D');
	int n = (on != NULL) + (off != NULL) + (unset != NULL);

	if (n > 1 || (n == 1 && argc > 1))
		return tool_usage(t, "one change at a time: --enable, --disable or --default");
	if (n == 1)
		return change(t, argv[0], on ? on : off ? off : unset, on ? "1" : off ? "" : NULL);
	if (argc == 1)
		return list(t, argv[0]);
	if (argc == 2)
		return show(t, argv[0], argv[1]);
	if (streq(argv[2], "on") || streq(argv[2], "off"))
		return change(t, argv[0], argv[1], streq(argv[2], "on") ? "1" : "");
	return tool_usage(t, "a service is 'on' or 'off', not '%s'", argv[2]);
}

static const struct tool_exit exits[] = {
	{ 1, "failure (one line on standard error), or the service asked for is not set (no output)" },
	{ 0, NULL },
};

const struct verb verb_qvm_service = {
	.name = "qvm-service",
	.summary = "show or change the services of a qube",
	.args = "QUBE [SERVICE [on|off]]",
	.opts = opts,
	.exits = exits,
	.words = { W_QUBE, W_SERVICE, W_ANY },
	.min_args = 1,
	.max_args = 3,
	.run = run,
};
