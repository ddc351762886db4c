/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Transactions of the object model over a database that can be told to fail: nothing may change then, and no event be sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/paths.h"
#include "base/str.h"
#include "core/api/api.h"
#include "core/net.h"
#include "core/netplug.h"

static int fail_after = -1, writes, events_seen;
static char last_event[200];

static int tick(struct err *e)
{
	writes++;
	if (fail_after >= 0 && writes > fail_after)
		return err_set(e, EIO, "told to fail");
	return 0;
}

static int op_plain(void *ctx, struct err *e)
{
	return tick(e);
}

static void op_rollback(void *ctx)
{
}

static int op_qube(void *ctx, const struct qube *q, struct err *e)
{
	return tick(e);
}

static int op_kv(void *ctx, enum kv_table t, const char *owner, const char *key, const char *value, struct err *e)
{
	return tick(e);
}

static int op_volume(void *ctx, const struct qube *q, const struct volume *v, struct err *e)
{
	return tick(e);
}

static int op_label(void *ctx, const struct label *l, struct err *e)
{
	return tick(e);
}

static int op_pool(void *ctx, const struct pool *p, struct err *e)
{
	return tick(e);
}

static const struct db_ops db = { op_plain, op_plain, op_rollback, op_qube, op_qube, op_kv, op_volume, op_label, op_label, op_pool, op_pool };

/* Storage that answers at the next step, as a worker does. */
static struct {
	storage_fn fn;
	void *arg;
	struct st_request q;
	bool waiting;
} worker;
static int storage_result;

static int op_storage(void *ctx, const struct st_request *q, storage_fn fn, void *arg, struct err *e)
{
	assert_false(worker.waiting);
	worker.fn = fn;
	worker.arg = arg;
	worker.q = *q;
	worker.waiting = true;
	return 0;
}

static void storage_step(void)
{
	struct st_reply reply = { .size = worker.q.size };
	struct err e = { 0 };

	assert_true(worker.waiting);
	worker.waiting = false;
	if (storage_result < 0)
		err_set(&e, -storage_result, "disk full");
	worker.fn(worker.arg, storage_result, &reply, &e);
}

/* Policy that answers at the next step: yes for "deb" and for nothing else. */
static struct {
	policy_fn fn;
	void *arg;
	char service[64], targets[256];
	bool waiting;
} policy;

static int op_policy(void *ctx, const char *src, const char *service, const char *targets, policy_fn fn, void *arg, struct err *e)
{
	assert_false(policy.waiting);
	assert_string_equal(src, "work");
	policy.fn = fn;
	policy.arg = arg;
	policy.waiting = true;
	assert_int_equal(str_copy(policy.service, sizeof policy.service, service), 0);
	return str_copy(policy.targets, sizeof policy.targets, targets);
}

static void policy_step(bool gone)
{
	char answers[64];
	size_t n = 0;

	assert_true(policy.waiting);
	policy.waiting = false;
	for (const char *s = policy.targets; *s; n++) {
		size_t len = strcspn(s, " ");

		answers[n] = len == 3 && memcmp(s, "deb", 3) == 0 ? '1' : '0';
		s += len + (s[len] == ' ');
	}
	answers[n] = '\0';
	policy.fn(policy.arg, gone ? NULL : answers);
}

static const struct core_ops ops = { .storage = op_storage, .policy_ask = op_policy };

static void on_event(struct subscriber *s, const void *frame, size_t n)
{
	const char *p = (const char *)frame + 2;

	events_seen++;
	assert_int_equal(str_printf(last_event, sizeof last_event, "%s %s", p, p + strlen(p) + 1), 0);
}

static struct subscriber sub = { .src = "dom0", .send = on_event };
static char answer[4096];
static int result;
static bool answered;

static void on_done(struct call *c)
{
	struct wr w = wr_mem(answer, sizeof answer - 1);

	memset(answer, 0, sizeof answer);
	call_answer(c, &w);
	result = c->result;
	answered = true;
	call_free(c);
}

static const char *caller = "dom0";

static void request(struct core *c, const char *method, const char *arg, const char *dest, const char *payload)
{
	struct wr w = wr_grow(ADMIN_REQUEST_MAX);
	struct call *call;
	size_t n;
	uint8_t *bytes;

	admin_put_request(&w, method, arg, caller, dest, payload, strlen(payload));
	bytes = (uint8_t *)wr_take(&w, &n);
	call = call_new(c, bytes, n, SOCK_ADMIN);
	call->done = on_done;
	answered = false;
	assert_int_equal(call_start(call), 0);
}

static int setup(void **state)
{
	struct core *c = core_new(&ops, NULL, &db, NULL);
	struct err e;

	fail_after = -1;
	storage_result = 0;
	worker.waiting = false;
	assert_int_equal(core_init_fresh(c, "file-qcow2", &e), 0);
	c->subs = &sub;
	sub.next = NULL;
	events_seen = 0;
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	core_free(*state);
	return 0;
}

static void make_template(struct core *c)
{
	request(c, "admin.vm.Create.TemplateVM", NULL, "dom0", "name=deb label=black");
	storage_step();
	storage_step();
	assert_true(answered && result == 0);
}

static void test_create_steps(void **state)
{
	struct core *c = *state;

	request(c, "admin.vm.Create.TemplateVM", NULL, "dom0", "name=deb label=black");
	assert_false(answered);
	assert_null(qube_find(c, "deb")); /* hidden until its volumes are there */
	assert_non_null(qube_find_any(c, "deb"));
	assert_int_equal(events_seen, 0);
	assert_int_equal(worker.q.op, ST_CREATE);
	assert_string_equal(worker.q.vid, "vm-templates/deb/root");
	storage_step();
	assert_string_equal(worker.q.vid, "vm-templates/deb/private");
	storage_step();
	assert_true(answered && result == 0);
	assert_non_null(qube_find(c, "deb"));
	assert_true(events_seen > 0);
	assert_string_equal(last_event, "deb domain-create-on-disk");
}

static void test_create_fails(void **state)
{
	struct core *c = *state;

	storage_result = -ENOSPC;
	request(c, "admin.vm.Create.TemplateVM", NULL, "dom0", "name=deb label=black");
	storage_step();
	assert_true(answered);
	assert_int_equal(result, -AE_STORAGE);
	storage_result = 0;
	/* What was made is taken back. */
	assert_int_equal(worker.q.op, ST_REMOVE);
	storage_step();
	storage_step();
	assert_null(qube_find_any(c, "deb"));
	assert_int_equal(events_seen, 0);
	make_template(c);
}

static void test_database_fails(void **state)
{
	struct core *c = *state;
	struct qube *q;
	struct pval v;

	make_template(c);
	q = qube_find(c, "deb");
	for (int n = 0; n < 4; n++) {
		events_seen = 0;
		writes = 0;
		fail_after = n;
		request(c, "admin.vm.property.Set", "provides_network", "deb", "True");
		fail_after = -1;
		assert_true(answered);
		if (result == 0)
			break;
		assert_non_null(strstr(answer + 2, "QubesException"));
		assert_int_equal(events_seen, 0);
		assert_false(prop_bool(c, q, P_provides_network));
		assert_null(kv_get(&q->features, "servicevm"));
		assert_string_equal(prop_text(c, q, P_icon, &v), "templatevm-black");
	}
	fail_after = -1;
	request(c, "admin.vm.property.Set", "provides_network", "deb", "True");
	assert_int_equal(result, 0);
	assert_string_equal(kv_get(&q->features, "servicevm"), "1");
	/* Creation and removal, failing at each write in turn. */
	for (int n = 0; n < 30; n++) {
		writes = 0;
		fail_after = n;
		request(c, "admin.vm.Create.RemoteVM", NULL, "dom0", "name=far label=red");
		fail_after = -1;
		if (result == 0)
			break;
		assert_null(qube_find_any(c, "far"));
		assert_int_equal(qid_free(c), 2);
	}
	assert_non_null(qube_find(c, "far"));
}

static void test_waiting(void **state)
{
	struct core *c = *state;

	make_template(c);
	request(c, "admin.vm.volume.Resize", "private", "deb", "4294967296");
	assert_false(answered);
	assert_int_equal(worker.q.op, ST_RESIZE);
	/* A second change of the same qube waits for the first, a look does not. */
	request(c, "admin.vm.property.Set", "memory", "deb", "500");
	assert_false(answered);
	request(c, "admin.vm.property.Get", "memory", "deb", "");
	assert_true(answered);
	assert_string_equal(answer + 2, "default=True type=int 400");
	storage_step();
	request(c, "admin.vm.property.Get", "memory", "deb", "");
	assert_string_equal(answer + 2, "default=False type=int 500");
	assert_int_equal(volume_find(qube_find(c, "deb"), "private")->size, 4294967296u);
}

static void test_removed_while_waiting(void **state)
{
	struct core *c = *state;

	make_template(c);
	request(c, "admin.vm.Remove", NULL, "deb", "");
	assert_false(answered);
	assert_null(qube_find(c, "deb"));
	request(c, "admin.vm.property.Get", "memory", "deb", "");
	assert_int_equal(result, -AE_VM_NOT_FOUND);
	storage_step();
	storage_step();
	assert_true(answered && result == 0);
	assert_null(qube_find_any(c, "deb"));
	assert_string_equal(last_event, " domain-delete");
}

static struct subscriber other = { .src = "work", .send = on_event, .id = 77 };

/* A qube's lists and events show what policy would allow it one by one, and nothing when nobody decides. */
static void test_policy_filter(void **state)
{
	struct core *c = *state;

	make_template(c);
	request(c, "admin.vm.Create.AppVM", "deb", "dom0", "name=work label=red");
	storage_step();
	assert_int_equal(result, 0);
	caller = "work";
	request(c, "admin.vm.List", NULL, "dom0", "");
	assert_false(answered);
	assert_string_equal(policy.service, "admin.vm.List+");
	assert_string_equal(policy.targets, "dom0 deb work");
	policy_step(false);
	assert_true(answered);
	assert_non_null(strstr(answer + 2, "deb class=TemplateVM"));
	assert_null(strstr(answer + 2, "work class"));
	request(c, "admin.vm.List", NULL, "dom0", "");
	policy_step(true);
	assert_true(answered && result == 0);
	assert_string_equal(answer + 2, "");
	request(c, "admin.vm.List", NULL, "work", "");
	assert_true(answered);
	assert_non_null(strstr(answer + 2, "work class"));
	caller = "dom0";
	/* Events wait for policy, and go nowhere when the listener has left. */
	c->subs = &other;
	events_seen = 0;
	request(c, "admin.vm.tag.Set", "x", "deb", "");
	assert_string_equal(policy.service, "admin.Events+domain-tag-add_x");
	assert_int_equal(events_seen, 0);
	policy_step(false);
	assert_int_equal(events_seen, 1);
	request(c, "admin.vm.tag.Set", "x", "work", "");
	policy_step(false);
	assert_int_equal(events_seen, 1);
	request(c, "admin.vm.tag.Set", "y", "deb", "");
	c->subs = NULL;
	policy_step(false);
	assert_int_equal(events_seen, 1);
}

static void test_addresses(void **state)
{
	static const struct {
		uint32_t qid;
		const char *ip;
	} want[] = { { 1, "10.137.0.1" }, { 254, "10.137.0.254" }, { 255, "10.137.1.1" }, { 508, "10.137.1.254" }, { 509, "10.137.2.1" } };
	static const struct uuid u = { "00000000-0000-0000-0000-000000000001" };
	struct core *c = *state;

	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		struct qube *q = qube_alloc("n", &u, want[i].qid, K_APP);
		char ip[32];

		q->props[P_provides_network] = xstrdup("True");
		assert_true(net_ip(c, q, ip, sizeof ip));
		assert_string_equal(ip, want[i].ip);
		qube_free(q);
	}
}

static void test_sysinfo(void **state)
{
	struct core *c = *state;
	const struct wr *w;
	uint64_t gen = c->sysinfo_gen;

	make_template(c);
	assert_true(c->sysinfo_gen > gen);
	gen = c->sysinfo_gen;
	w = sysinfo_text(c);
	assert_true(w->len > 100);
	request(c, "admin.vm.feature.Set", "x", "deb", "1");
	assert_int_equal(c->sysinfo_gen, gen); /* not policy's business: the cache stays */
	request(c, "admin.vm.tag.Set", "x", "deb", "");
	assert_true(c->sysinfo_gen > gen);
}

static struct qube *app(struct core *c, const char *name, const char *netvm, bool disposables)
{
	char row[64];
	struct qube *q;

	assert_int_equal(str_printf(row, sizeof row, "name=%s label=red", name), 0);
	request(c, "admin.vm.Create.AppVM", "deb", "dom0", row);
	while (worker.waiting)
		storage_step();
	assert_true(answered && result == 0);
	q = qube_find(c, name);
	assert_non_null(q);
	if (netvm) {
		request(c, "admin.vm.property.Set", "netvm", name, netvm);
		assert_true(answered && result == 0);
	}
	if (disposables) {
		request(c, "admin.vm.property.Set", "template_for_dispvms", name, "True");
		assert_true(answered && result == 0);
	}
	return q;
}

static const char *dispvm_of(struct core *c, const struct qube *q)
{
	static struct pval v;

	return prop_text(c, q, P_default_dispvm, &v);
}

static void good(struct core *c, const char *method, const char *arg, const char *dest, const char *payload)
{
	request(c, method, arg, dest, payload);
	while (worker.waiting)
		storage_step();
	assert_true(answered && result == 0);
}

static void refused(struct core *c, const char *method, const char *arg, const char *dest, const char *payload)
{
	request(c, method, arg, dest, payload);
	assert_true(answered && result < 0);
}

/* N47: what has no network gets no disposable that has one, unless the user says so. */
static bool sysinfo_says(struct core *c, const char *what)
{
	const struct wr *w = sysinfo_text(c);

	return memmem(w->buf, w->len, what, strlen(what)) != NULL;
}

static void test_offline_dispvm(void **state)
{
	struct core *c = *state;
	struct qube *vault, *work, *net, *disp;
	uint64_t gen;

	make_template(c);
	net = app(c, "net", "", false);
	good(c, "admin.vm.property.Set", "provides_network", "net", "True");
	good(c, "admin.property.Set", "default_netvm", "dom0", "net");
	app(c, "dvm", NULL, true);
	app(c, "offline-dvm", "", true);
	good(c, "admin.property.Set", "default_dispvm", "dom0", "dvm");
	work = app(c, "work", NULL, false);
	vault = app(c, "vault", "", false);
	assert_string_equal(dispvm_of(c, work), "dvm");
	assert_string_equal(dispvm_of(c, net), "dvm"); /* it is the network */
	assert_string_equal(dispvm_of(c, c->dom0), "dvm");
	assert_string_equal(dispvm_of(c, vault), "");
	assert_string_equal(dispvm_of(c, qube_find(c, "deb")), ""); /* templates have no netvm */
	gen = c->sysinfo_gen;
	/* one that is not there, that is no template, that is not offline */
	refused(c, "admin.vm.feature.Set", OFFLINE_DISPVM_FEATURE, "dom0", "nowhere");
	refused(c, "admin.vm.feature.Set", OFFLINE_DISPVM_FEATURE, "dom0", "vault");
	refused(c, "admin.vm.feature.Set", OFFLINE_DISPVM_FEATURE, "dom0", "dvm");
	good(c, "admin.vm.feature.Set", OFFLINE_DISPVM_FEATURE, "dom0", "offline-dvm");
	assert_true(c->sysinfo_gen > gen); /* policy hears of it */
	assert_string_equal(dispvm_of(c, vault), "offline-dvm");
	assert_string_equal(dispvm_of(c, work), "dvm");
	assert_true(sysinfo_says(c, "\"default_dispvm\": \"offline-dvm\""));
	/* the network of a template that comes later counts, and so does that of the qube */
	gen = c->sysinfo_gen;
	good(c, "admin.vm.property.Set", "netvm", "offline-dvm", "net");
	assert_true(c->sysinfo_gen > gen);
	assert_string_equal(dispvm_of(c, vault), "");
	good(c, "admin.vm.property.Set", "netvm", "offline-dvm", "");
	good(c, "admin.vm.property.Set", "netvm", "work", "");
	assert_string_equal(dispvm_of(c, work), "offline-dvm");
	/* the user's own choice stays */
	good(c, "admin.vm.property.Set", "default_dispvm", "vault", "dvm");
	assert_string_equal(dispvm_of(c, vault), "dvm");
	good(c, "admin.vm.property.Reset", "default_dispvm", "vault", "");

	/* nested: a disposable of the offline template stays offline, and one whose network was cut falls back to it */
	good(c, "admin.vm.CreateDisposable", NULL, "offline-dvm", "");
	disp = qube_find(c, answer + 2);
	assert_non_null(disp);
	assert_string_equal(dispvm_of(c, disp), "offline-dvm");
	assert_null(prop_vm(c, disp, P_netvm));
	good(c, "admin.vm.CreateDisposable", NULL, "dvm", "");
	disp = qube_find(c, answer + 2);
	assert_non_null(disp);
	assert_string_equal(dispvm_of(c, disp), "dvm");
	good(c, "admin.vm.property.Set", "netvm", disp->name.s, "");
	assert_string_equal(dispvm_of(c, disp), "offline-dvm");
	good(c, "admin.vm.feature.Remove", OFFLINE_DISPVM_FEATURE, "dom0", "");
	assert_string_equal(dispvm_of(c, disp), "");
}

/* What a NetVM is told of a client with net.fake-*. */
static void test_hidden_address(void **state)
{
	static const char *const bad[] = { "192.168.1", "192.168.1.5 x", "fd09::5", "x,y" };
	struct core *c = *state;
	struct qube *q;
	struct netport p;
	char ip[64], gateway[64];
	struct err e = { 0 };

	make_template(c);
	(void)app(c, "net", NULL, false);
	good(c, "admin.vm.property.Set", "provides_network", "net", "True");
	q = app(c, "work", "net", false);
	assert_true(net_ip(c, q, ip, sizeof ip) && net_ip(c, qube_find(c, "net"), gateway, sizeof gateway));
	assert_int_equal(net_client_port(c, q, &p, &e), 0);
	assert_string_equal(p.ip, ip);
	assert_string_equal(p.seen_ip, "");
	good(c, "admin.vm.feature.Set", "net.fake-ip", "work", "192.168.1.5");
	assert_int_equal(net_client_port(c, q, &p, &e), 0);
	assert_string_equal(p.ip, ip);
	assert_string_equal(p.seen_ip, "192.168.1.5");
	assert_string_equal(p.seen_gateway, gateway);
	good(c, "admin.vm.feature.Set", "net.fake-gateway", "work", "192.168.1.1");
	assert_int_equal(net_client_port(c, q, &p, &e), 0);
	assert_string_equal(p.seen_gateway, "192.168.1.1");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		good(c, "admin.vm.feature.Set", "net.fake-ip", "work", bad[i]);
		assert_int_equal(net_client_port(c, q, &p, &e), -ENOTSUP);
	}
	good(c, "admin.vm.feature.Remove", "net.fake-ip", "work", "");
	assert_int_equal(net_client_port(c, q, &p, &e), 0);
	assert_string_equal(p.seen_ip, ip);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_create_steps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_create_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_database_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waiting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed_while_waiting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_policy_filter, setup, teardown),
		cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sysinfo, setup, teardown),
		cmocka_unit_test_setup_teardown(test_offline_dispvm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hidden_address, setup, teardown),
	};

	if (paths_init("/nonexistent", NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
