/* SPDX-License-Identifier: GPL-3.0-or-later */
/* After updates: which qubes still run on the state before, and their restart. */
#include "tool/colour.h"
#include "tool/update.h"

struct late {
	char *name;
	bool service, kept; /* kept: it goes on running as it is */
};

/* The template at the end of the chain. */
static bool based_on(const char *qube, const struct target *v, size_t n)
{
	char name[64], next[64];

	if (str_copy(name, sizeof name, qube) < 0)
		return false;
	for (unsigned depth = 0; depth < 4 && prop_get(name, "template", next, sizeof next, NULL) >= 0 && next[0]; depth++) {
		for (size_t i = 0; i < n; i++)
			if (streq(v[i].name, next))
				return v[i].code == UPDATE_OK;
		memcpy(name, next, sizeof name);
	}
	return false;
}

static bool outdated(const char *qube)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	char value[16];

	return adm_text(&rep, qube, "admin.vm.volume.Info", "root", NULL, NULL) >= 0 && adm_kv(rep.data, "is_outdated", value, sizeof value) == 0 &&
	       streq(value, "True");
}

/* Running qubes of the updated templates that have the state before; freed by the caller. */
static size_t find_late(const struct target *v, size_t n, struct late **ret)
{
	struct adm_qubes q;
	size_t found = 0;
	struct err e = { 0 };

	*ret = NULL;
	if (adm_qubes_get(&q, "dom0", &e) < 0)
		return 0;
	*ret = xcalloc(q.n + 1, sizeof **ret);
	for (size_t i = 0; i < q.n; i++) {
		char service[16];

		if (!streq(q.v[i].state, "Running") || !based_on(q.v[i].name, v, n) || !outdated(q.v[i].name))
			continue;
		(*ret)[found++] = (struct late){ .name = xstrdup(q.v[i].name), .kept = true,
						 .service = update_feature(q.v[i].name, "servicevm", service, sizeof service) && service[0] };
	}
	adm_qubes_fini(&q);
	return found;
}

static void names(const struct late *l, size_t n, bool service, struct wr *w)
{
	for (size_t i = 0; i < n; i++)
		if (l[i].service == service)
			wr_printf(w, "%s%s", w->len ? ", " : "", l[i].name);
	wr_u8(w, '\0');
}

/* A question only where somebody sits, and only about what was not said already. */
static bool may(struct tool *t, const struct late *l, size_t n, bool service)
{
	bool all = opt_has(t, 'R'), sys = all || opt_has(t, 'r');
	_cleanup_wr_ struct wr w = wr_grow(4096);

	names(l, n, service, &w);
	if (!wr_ok(&w) || w.len <= 1)
		return false;
	if (opt_has(t, 'y') || (service && sys))
		return service ? sys : all;
	if (service)
		return !opt_has(t, KEY_NO_APPLY) && !opt_has(t, KEY_JSON) && t->verbose >= 0 && isatty(STDIN_FILENO) &&
		       tool_ask(t, "Restart %s to use the update?", (const char *)w.buf);
	return all && (!isatty(STDIN_FILENO) || tool_ask(t, "Shut down %s? What is not saved in them is lost.", (const char *)w.buf));
}

static int apply(struct tool *t, struct late *l)
{
	struct err e = { 0 };
	int r = adm_void(l->name, "admin.vm.Shutdown", l->service ? "force+wait" : "wait", NULL, &e);

	if (r >= 0 && l->service)
		r = adm_void(l->name, "admin.vm.Start", NULL, NULL, &e);
	if (r < 0) {
		(void)tool_fail(t, "%s: %s", l->name, err_text(&e, r));
		return 1;
	}
	l->kept = false;
	tool_note(t, l->service ? "'%s' was restarted" : "'%s' was shut down", l->name);
	return 0;
}

int update_advise(struct tool *t, const struct target *v, size_t n, struct json *j)
{
	_cleanup_free_ struct late *l = NULL;
	size_t k = find_late(v, n, &l);
	bool go[2] = { may(t, l, k, false), may(t, l, k, true) }, any = false;
	int failed = 0;

	for (size_t i = 0; i < k; i++)
		if (go[l[i].service])
			failed += apply(t, &l[i]);
	if (j)
		json_open(j, "restart", '[');
	for (size_t i = 0; i < k; i++) {
		if (j && l[i].kept)
			json_str(j, NULL, l[i].name);
		else if (l[i].kept && t->verbose >= 0)
			printf("%s%s", any ? ", " : "Restart to use the update: ", l[i].name);
		any = any || l[i].kept;
		free(l[i].name);
	}
	if (j)
		json_close(j, ']');
	else if (any && t->verbose >= 0)
		(void)putchar('\n');
	return failed;
}
