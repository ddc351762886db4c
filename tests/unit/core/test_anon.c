/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The rules of anonymous qubes: tags that follow the template, netvm and disposables that cannot lead past Tor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/paths.h"
#include "base/str.h"
#include "core/anon.h"
#include "core/core.h"
#include "core/statekey.h"

static int op_plain(void *ctx, struct err *e)
{
	return 0;
}

static void op_rollback(void *ctx)
{
}

static int op_qube(void *ctx, const struct qube *q, struct err *e)
{
	return 0;
}

static int op_kv(void *ctx, enum kv_table t, const char *owner, const char *key, const char *value, struct err *e)
{
	return 0;
}

static int op_volume(void *ctx, const struct qube *q, const struct volume *v, struct err *e)
{
	return 0;
}

static int op_label(void *ctx, const struct label *l, struct err *e)
{
	return 0;
}

static int op_pool(void *ctx, const struct pool *p, struct err *e)
{
	return 0;
}

static const struct db_ops db = { op_plain, op_plain, op_rollback, op_qube, op_qube, op_kv, op_volume, op_label, op_label, op_pool, op_pool };
static const struct core_ops ops = { .storage = NULL };
static char events[4096];

static void on_event(struct subscriber *s, const void *frame, size_t n)
{
	const char *p = (const char *)frame + 2, *name = p + strlen(p) + 1;
	size_t at = strlen(events);

	assert_int_equal(str_printf(events + at, sizeof events - at, "%s=%s;", p, name), 0);
}

static struct subscriber sub = { .src = "dom0", .send = on_event };

static void commit(struct core *c)
{
	struct err e = { 0 };

	events[0] = '\0';
	assert_int_equal(txn_commit(c, &e), 0);
}

static struct qube *add(struct core *c, const char *name, enum klass k, const char *template)
{
	struct uuid u;
	uint8_t b[16] = { 0 };
	struct qube *q;

	assert_true(strlen(name) < sizeof b);
	memcpy(b, name, strlen(name));
	uuid_from_bytes(&u, b);
	q = qube_alloc(name, &u, qid_free(c), k);
	q->row = ROW_READY;
	if (template)
		q->props[P_template] = xstrdup(template);
	txn_qube_add(c, q);
	return q;
}

static const char *text(struct core *c, struct qube *q, enum prop_id id)
{
	static struct pval v[4];
	static unsigned at;

	return prop_text(c, q, id, &v[at++ % 4]);
}

static int set_prop(struct core *c, struct qube *q, const char *name, const char *value)
{
	struct err e = { 0 };
	int r = prop_set(c, q, prop_find(q, name), value, &e);

	if (r < 0)
		txn_rollback(c);
	else
		commit(c);
	return r;
}

/* The reference's names; templates with features, a firewall qube that is the system's default. */
static int setup(void **state)
{
	struct core *c = core_new(&ops, NULL, &db, NULL);
	struct err e = { 0 };
	struct qube *q;

	assert_int_equal(core_init_fresh(c, "file-qcow2", &e), 0);
	c->subs = &sub;
	sub.next = NULL;
	add(c, "deb", K_TEMPLATE, NULL);
	q = add(c, "gw-t", K_TEMPLATE, NULL);
	txn_feature(c, q, ANON_GW_FEATURE, "1");
	q = add(c, "ws-t", K_TEMPLATE, NULL);
	txn_feature(c, q, ANON_WS_FEATURE, "1");
	add(c, "net-t", K_TEMPLATE, NULL);
	q = add(c, "sys-firewall", K_APP, "net-t");
	txn_prop(c, q, P_provides_network, "True");
	txn_prop(c, q, P_netvm, "");
	txn_global(c, P_g_default_netvm, "sys-firewall");
	q = add(c, "default-dvm", K_APP, "deb");
	txn_prop(c, q, P_template_for_dispvms, "True");
	txn_global(c, P_g_default_dispvm, "default-dvm");
	commit(c);
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	core_free(*state);
	return 0;
}

static struct qube *gateway(struct core *c, const char *name)
{
	struct qube *q = add(c, name, K_APP, "gw-t");

	txn_prop(c, q, P_provides_network, "True");
	commit(c);
	return q;
}

static void test_tags_follow_the_template(void **state)
{
	struct core *c = *state;
	struct qube *gw = gateway(c, "sys-whonix"), *ws = add(c, "anon-whonix", K_APP, "ws-t"), *other = add(c, "work", K_APP, "deb");
	struct qube *disp;
	const char *why;

	commit(c);
	assert_non_null(strstr(events, "anon-whonix=domain-tag-add:anon-vm;"));
	assert_non_null(kv_get(&gw->tags, "anon-gateway"));
	assert_non_null(kv_get(&gw->tags, "sdwdate-gui-server"));
	assert_null(kv_get(&gw->tags, "anon-vm"));
	assert_non_null(kv_get(&ws->tags, "anon-vm"));
	assert_non_null(kv_get(&ws->tags, "sdwdate-gui-client"));
	assert_string_equal(kv_get(&ws->features, "gui-events-max-delay"), "100");
	assert_int_equal(other->tags.n, 0);
	assert_non_null(kv_get(&qube_find(c, "gw-t")->tags, "whonix-updatevm"));
	assert_non_null(kv_get(&qube_find(c, "ws-t")->tags, "whonix-updatevm"));
	assert_null(kv_get(&qube_find(c, "deb")->tags, "whonix-updatevm"));
	assert_int_equal(qube_find(c, "ws-t")->tags.n, 1);
	assert_true(anon_keeps_tag(c, ws, "anon-vm") && anon_keeps_tag(c, gw, "anon-gateway"));
	assert_true(anon_keeps_tag(c, qube_find(c, "ws-t"), "whonix-updatevm"));
	assert_false(anon_keeps_tag(c, other, "anon-vm") || anon_keeps_tag(c, ws, "anon-gateway") || anon_keeps_tag(c, ws, "mine"));

	/* A disposable of a disposable template of an anonymous template. */
	add(c, "ws-dvm", K_APP, "ws-t");
	txn_prop(c, qube_find_any(c, "ws-dvm"), P_template_for_dispvms, "True");
	disp = add(c, "disp1", K_DISP, "ws-dvm");
	commit(c);
	assert_non_null(kv_get(&disp->tags, "anon-vm"));
	assert_string_equal(text(c, disp, P_netvm), "sys-whonix");
	assert_string_equal(text(c, disp, P_default_dispvm), "ws-dvm");
	assert_false(state_allowed(c, disp, &why));
	assert_non_null(strstr(why, "anonymous"));

	/* The template becomes one: what rests on it follows at once. */
	txn_feature(c, qube_find(c, "deb"), ANON_WS_FEATURE, "1");
	commit(c);
	assert_non_null(kv_get(&other->tags, "anon-vm"));
	assert_non_null(strstr(events, "work=property-reset:netvm;"));
	assert_string_equal(text(c, other, P_netvm), "sys-whonix");
}

static void test_netvm_is_a_gateway_or_none(void **state)
{
	struct core *c = *state;
	struct qube *ws = add(c, "anon-whonix", K_APP, "ws-t");

	/* Fail closed: no gateway, no network, whatever the system's default. */
	commit(c);
	assert_string_equal(text(c, ws, P_netvm), "");
	assert_int_equal(set_prop(c, ws, "netvm", "sys-firewall"), -AE_PROPERTY_VALUE);
	gateway(c, "sys-whonix");
	gateway(c, "other-gw");
	assert_string_equal(text(c, ws, P_netvm), "sys-whonix");
	assert_int_equal(set_prop(c, ws, "netvm", "sys-firewall"), -AE_PROPERTY_VALUE);
	assert_int_equal(set_prop(c, ws, "netvm", "other-gw"), 0);
	assert_int_equal(set_prop(c, ws, "netvm", "None"), 0);
	assert_string_equal(text(c, ws, P_netvm), "");
	/* None stays None. */
	txn_tag(c, ws, "mine", true);
	commit(c);
	assert_string_equal(ws->props[P_netvm], "");

	/* The default that was chosen, if it is a gateway. */
	txn_prop(c, ws, P_netvm, NULL);
	txn_feature(c, c->dom0, ANON_GW_CHOICE, "other-gw");
	commit(c);
	assert_string_equal(text(c, ws, P_netvm), "other-gw");
	txn_feature(c, qube_find(c, "ws-t"), ANON_GW_CHOICE, "sys-whonix");
	commit(c);
	assert_string_equal(text(c, ws, P_netvm), "sys-whonix");
	txn_feature(c, qube_find(c, "ws-t"), ANON_GW_CHOICE, "sys-firewall");
	commit(c);
	assert_string_equal(text(c, ws, P_netvm), "other-gw");
}

static void test_what_was_set_before_is_taken_back(void **state)
{
	struct core *c = *state;
	struct qube *gw = gateway(c, "sys-whonix"), *q = add(c, "work", K_APP, "deb"), *running = add(c, "busy", K_APP, "deb");

	txn_prop(c, q, P_netvm, "sys-firewall");
	txn_prop(c, q, P_default_dispvm, "default-dvm");
	txn_prop(c, running, P_netvm, "sys-firewall");
	commit(c);
	running->state = LIFE_RUNNING;
	txn_tag(c, q, "anon-vm", true);
	txn_tag(c, running, "anon-vm", true);
	commit(c);
	assert_null(q->props[P_netvm]);
	assert_string_equal(text(c, q, P_netvm), "sys-whonix");
	assert_null(q->props[P_default_dispvm]);
	assert_string_equal(text(c, q, P_default_dispvm), "");
	assert_non_null(strstr(events, "work=property-reset:netvm;"));
	/* A running one loses its cable: a gateway that does not run would be no netvm for it. */
	assert_string_equal(running->props[P_netvm], "");
	assert_non_null(strstr(events, "busy=property-set:netvm;"));

	/* A gateway that is none any more takes nobody past Tor. */
	txn_prop(c, q, P_netvm, "sys-whonix");
	commit(c);
	txn_prop(c, gw, P_template, "deb");
	txn_tag(c, gw, "anon-gateway", false);
	commit(c);
	assert_null(q->props[P_netvm]);
	assert_string_equal(text(c, q, P_netvm), "");
	running->state = LIFE_HALTED;
}

static void test_disposables_are_anonymous(void **state)
{
	struct core *c = *state;
	struct qube *ws = add(c, "anon-whonix", K_APP, "ws-t"), *dvm;

	commit(c);
	assert_string_equal(text(c, ws, P_default_dispvm), "");
	dvm = add(c, "ws-t-dvm", K_APP, "ws-t");
	txn_prop(c, dvm, P_template_for_dispvms, "True");
	commit(c);
	assert_string_equal(text(c, ws, P_default_dispvm), "ws-t-dvm");
	assert_string_equal(text(c, dvm, P_default_dispvm), "ws-t-dvm");
	assert_int_equal(set_prop(c, ws, "default_dispvm", "default-dvm"), -AE_PROPERTY_VALUE);
	assert_int_equal(set_prop(c, dvm, "default_dispvm", "default-dvm"), -AE_PROPERTY_VALUE);
	assert_int_equal(set_prop(c, dvm, "default_dispvm", "ws-t-dvm"), 0);
	assert_int_equal(set_prop(c, ws, "default_dispvm", "ws-t-dvm"), 0);
	assert_int_equal(set_prop(c, ws, "default_dispvm", "None"), 0);
	/* Others may use it, and nothing else changes for them. */
	assert_int_equal(set_prop(c, qube_find(c, "sys-firewall"), "default_dispvm", "ws-t-dvm"), 0);
}

static void test_no_loop_by_a_tag(void **state)
{
	struct core *c = *state;
	struct qube *gw = gateway(c, "sys-whonix"), *fw = qube_find(c, "sys-firewall");

	txn_prop(c, gw, P_netvm, "sys-firewall");
	commit(c);
	txn_prop(c, fw, P_netvm, NULL);
	txn_tag(c, fw, "anon-vm", true);
	commit(c);
	assert_string_equal(text(c, fw, P_netvm), "");
	assert_string_equal(text(c, gw, P_netvm), "sys-firewall");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tags_follow_the_template, setup, teardown),
		cmocka_unit_test_setup_teardown(test_netvm_is_a_gateway_or_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_was_set_before_is_taken_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_disposables_are_anonymous, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_loop_by_a_tag, setup, teardown),
	};
	struct err e = { 0 };

	if (paths_init("/nonexistent", &e) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
