/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-features: features of a qube. */
#include "proto/names.h"
#include "tool/feature_list.h"

static const struct tool_opt opts[] = {
	{ 'D', "unset", NULL, "remove the feature", 0, W_ANY },
	{ 'D', "default", NULL, NULL, OPT_ALIAS | OPT_HIDDEN, W_ANY },
	{ 'D', "delete", NULL, NULL, OPT_ALIAS | OPT_HIDDEN, W_ANY },
	OPT_JSON,
	{ 0 },
};

static int list(struct tool *t, const char *qube)
{
	struct features f;
	struct json j = { 0 };
	struct err e = { 0 };
	int width = 0, r = features_get(&f, qube, "", &e);

	if (r < 0)
		return tool_api(t, r, &e);
	for (size_t i = 0; i < f.n; i++)
		width = MAX(width, (int)strlen(f.v[i].name));
	if (opt_has(t, KEY_JSON))
		json_open(&j, NULL, '{');
	for (size_t i = 0; i < f.n; i++) {
		if (!f.v[i].value)
			continue;
		if (opt_has(t, KEY_JSON)) {
			json_str(&j, f.v[i].name, f.v[i].value);
			continue;
		}
		printf("%-*s  ", width, f.v[i].name);
		out_text(t, f.v[i].value);
		(void)putchar('\n');
	}
	if (opt_has(t, KEY_JSON))
		json_close(&j, '}');
	features_fini(&f);
	return 0;
}

static int run(struct tool *t, int argc, char **argv)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct err e = { 0 };
	int r;

	if (argc >= 2 && !feature_ok(argv[1]))
		return tool_usage(t, "'%s' is no feature: letters, digits, '_', '.' and '-' are allowed", argv[1]);
	if (opt_has(t, 'D')) {
		if (argc != 2)
			return tool_usage(t, "--unset needs exactly one feature");
		r = adm_void(argv[0], "admin.vm.feature.Remove", argv[1], NULL, &e);
		return r < 0 && r != -ADM_EXC_NO_FEATURE ? tool_api(t, r, &e) : 0;
	}
	if (argc == 1)
		return list(t, argv[0]);
	if (argc == 3) {
		if (!feature_value_ok(argv[2]))
			return tool_usage(t, "the value of a feature may only have printable ASCII characters");
		r = adm_void(argv[0], "admin.vm.feature.Set", argv[1], argv[2], &e);
		return r < 0 ? tool_api(t, r, &e) : 0;
	}
	r = adm_text(&rep, argv[0], "admin.vm.feature.Get", argv[1], NULL, &e);
	if (r == -ADM_EXC_NO_FEATURE)
		return EXIT_FAIL;
	if (r < 0)
		return tool_api(t, r, &e);
	out_text(t, rep.data);
	(void)putchar('\n');
	return 0;
}

static const struct tool_exit exits[] = {
	{ 1, "failure (one line on standard error), or the feature asked for is not set (no output)" },
	{ 0, NULL },
};

const struct verb verb_qvm_features = {
	.name = "qvm-features",
	.summary = "show or change the features of a qube",
	.args = "QUBE [FEATURE [VALUE]]",
	.desc = "An empty VALUE means off, any other one on. A feature that is not set has its default.",
	.opts = opts,
	.exits = exits,
	.words = { W_QUBE, W_FEATURE, W_ANY },
	.min_args = 1,
	.max_args = 3,
	.run = run,
};
