/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-template remove and purge. */
#include "tool/tpl_verb.h"

/* A template of no content that qubes can name until they get a real one. */
static int dummy_make(char ret[32], struct err *e)
{
	for (unsigned i = 0; i < 100; i++) {
		_cleanup_free_ char *payload = NULL;
		int r = i ? str_printf(ret, 32, "dummy%u", i) : str_copy(ret, 32, "dummy");

		if (r < 0)
			return r;
		payload = xasprintf("name=%s label=red", ret);
		r = adm_void("dom0", "admin.vm.Create.TemplateVM", NULL, payload, e);
		if (r == 0)
			r = adm_void(ret, "admin.vm.feature.Set", "template-dummy", "1", e);
		if (r == 0)
			r = adm_void(ret, "admin.vm.feature.Set", "prohibit-start", "it stands for a template that was purged", e);
		if (r == 0)
			return 0;
		err_clear(e);
	}
	return err_set(e, EEXIST, "no name is left for a dummy template");
}

/* The global properties that name the template lose it. */
static int forget_defaults(const char *name, struct err *e)
{
	struct adm_props props;
	int r = adm_props_get(&props, "dom0", true, e);

	for (size_t i = 0; r == 0 && i < props.n; i++)
		if (streq(props.v[i].name, "default_template") && streq(props.v[i].value, name))
			r = adm_void("dom0", "admin.property.Set", "default_template", "", e);
	if (r == 0)
		adm_props_fini(&props);
	return r;
}

static int disassociate(struct tool *t, const char *name, struct err *e)
{
	char dummy[32] = "", value[64];
	struct adm_qubes q;
	int r = adm_qubes_get(&q, "dom0", e);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < q.n; i++) {
		if (!streq(q.v[i].cls, "AppVM") || prop_get(q.v[i].name, "template", value, sizeof value, NULL) < 0 || !streq(value, name))
			continue;
		if (!dummy[0])
			r = dummy_make(dummy, e);
		if (r == 0)
			r = adm_void(q.v[i].name, "admin.vm.property.Set", "template", dummy, e);
		if (r == 0)
			tool_note(t, "qube '%s' has the empty template '%s' now; give it another one with 'qvm-prefs %s template TEMPLATE'", q.v[i].name, dummy,
				  q.v[i].name);
	}
	adm_qubes_fini(&q);
	return r < 0 ? r : forget_defaults(name, e);
}

static int check(struct tool *t, const char *name)
{
	struct adm_qubes q;
	struct err e = { 0 };
	int r = adm_qubes_get(&q, name, &e);

	if (r < 0)
		return tool_api(t, r, &e);
	r = streq(q.v[0].cls, "TemplateVM") ? 0 : tool_usage(t, "'%s' is not a template; qvm-remove removes other qubes", name);
	adm_qubes_fini(&q);
	return r;
}

int tpl_remove(struct tool *t, bool purge, int argc, char **argv)
{
	struct json j = { 0 }, *json = opt_has(t, KEY_JSON) ? &j : NULL;
	int r = 0, status = 0;

	if (!argc)
		return tool_usage(t, "name templates to remove");
	for (int i = 0; r == 0 && i < argc; i++)
		r = check(t, argv[i]);
	if (r)
		return r;
	if (!opt_has(t, 'y')) {
		for (int i = 0; i < argc && !json; i++)
			printf("%s %s\n", purge ? "purge " : "remove", argv[i]);
		(void)fflush(stdout);
		if (!tool_ask(t, purge ? "Remove them, and leave their qubes with an empty template?" : "Remove them with all their data?"))
			return tool_fail(t, "nothing was changed; --yes answers the question");
	}
	if (json)
		json_open(json, NULL, '[');
	for (int i = 0; i < argc; i++) {
		struct err e = { 0 };

		r = purge ? disassociate(t, argv[i], &e) : 0;
		if (r == 0)
			r = adm_void(argv[i], "admin.vm.Remove", NULL, NULL, &e);
		if (json)
			tpl_json_row(json, argv[i], NULL, r < 0 ? "failed" : "removed", r < 0 ? err_text(&e, r) : NULL);
		if (r < 0) {
			r = tool_api(t, r, &e);
			status = status ? status : r;
		}
	}
	if (json)
		json_close(json, ']');
	return status;
}
