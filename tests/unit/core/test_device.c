/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Devices of running qubes: what a guest says of its devices, attaching by hand, and the scan of the host's PCI devices. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/paths.h"
#include "base/str.h"
#include "core/api/api.h"
#include "core/device.h"

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

/* The guest's QubesDB: answers at the next step. */
static struct {
	struct call *c;
	report_fn fn;
	char prefix[64];
	bool waiting;
} guest;

static int op_report(void *ctx, struct qube *q, const char *prefix, struct call *c, report_fn fn)
{
	assert_false(guest.waiting);
	assert_string_equal(q->name.s, "sys-usb");
	assert_int_equal(str_copy(guest.prefix, sizeof guest.prefix, prefix), 0);
	guest.c = c;
	guest.fn = fn;
	guest.waiting = true;
	return CALL_PENDING;
}

static void fill(struct kvmap *m, const char *const *entries)
{
	for (; entries && *entries; entries++) {
		const char *eq = strchr(*entries, '=');
		_cleanup_free_ char *key = xasprintf("%.*s", (int)(eq - *entries), *entries);

		kv_set(m, key, eq + 1);
	}
}

static void guest_says(const char *prefix, int k, const char *const *entries)
{
	struct kvmap m = { 0 };

	assert_true(guest.waiting);
	assert_string_equal(guest.prefix, prefix);
	guest.waiting = false;
	fill(&m, entries);
	if (k < 0)
		k = err_set(&guest.c->err, AE_GENERIC, "QubesDB is silent");
	guest.fn(guest.c, k, &m);
	kv_clear(&m);
}

static const struct core_ops ops = { .report = op_report };
static char answer[8192];
static bool answered;

static void on_done(struct call *c)
{
	struct wr w = wr_mem(answer, sizeof answer - 1);

	memset(answer, 0, sizeof answer);
	call_answer(c, &w);
	answered = true;
	call_free(c);
}

static void request(struct core *c, const char *method, const char *arg, const char *dest, const char *payload)
{
	struct wr w = wr_grow(ADMIN_REQUEST_MAX);
	struct call *call;
	uint8_t *bytes;
	size_t n;

	admin_put_request(&w, method, arg, "dom0", dest, payload, strlen(payload));
	bytes = (uint8_t *)wr_take(&w, &n);
	call = call_new(c, bytes, n, SOCK_ADMIN);
	call->done = on_done;
	answered = false;
	assert_int_equal(call_start(call), 0);
}

static void expect_ok(const char *text)
{
	assert_true(answered);
	assert_memory_equal(answer, "0\0", 2);
	assert_string_equal(answer + 2, text);
}

static void expect_error(const char *cls, const char *text)
{
	assert_true(answered);
	assert_memory_equal(answer, "2\0", 2);
	assert_string_equal(answer + 2, cls);
	if (!strstr(answer + 2 + strlen(cls) + 2, text))
		fail_msg("'%s' is not in '%s'", text, answer + 2 + strlen(cls) + 2);
}

static struct qube *add(struct core *c, const char *name, uint32_t qid, enum life_state state)
{
	struct uuid u;
	uint8_t b[16] = { (uint8_t)qid };
	struct qube *q;

	uuid_from_bytes(&u, b);
	q = qube_alloc(name, &u, qid, K_STANDALONE);
	q->state = state;
	txn_qube_add(c, q);
	return q;
}

static int setup(void **state)
{
	struct core *c = core_new(&ops, NULL, &db, NULL);
	struct err e;

	assert_int_equal(core_init_fresh(c, "file-qcow2", &e), 0);
	add(c, "sys-usb", 1, LIFE_RUNNING);
	add(c, "work", 2, LIFE_RUNNING);
	assert_int_equal(txn_commit(c, &e), 0);
	guest.waiting = false;
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	core_free(*state);
	return 0;
}

#define USB "/qubes-usb-devices/"
#define BLOCK "/qubes-block-devices/"
#define STICK_ID "0951:1666:A1:u080650"
#define STICK "1-1.2:" STICK_ID " device_id='" STICK_ID "' port_id='1-1.2' devclass='usb' backend_domain='sys-usb' " \
	      "product='Kingston DataTraveler' serial='A1' interfaces='u080650'\n"
static const char *const sticks[] = { "1-1_2/desc=0951:1666 Kingston_DataTraveler", "1-1_2/interfaces=:080650:", "1-1_2/serial=A1",
				      "1-4/desc=046d:c31c", NULL };

static void test_usb(void **state)
{
	struct core *c = *state;

	request(c, "admin.vm.device.usb.Available", NULL, "sys-usb", "");
	assert_false(answered);
	guest_says(USB, 0, sticks);
	expect_ok(STICK "1-4:046d:c31c::?****** device_id='046d:c31c::?******' port_id='1-4' devclass='usb' backend_domain='sys-usb' "
			"interfaces='?******'\n");
	request(c, "admin.vm.device.usb.Available", "1-1.2", "sys-usb", "");
	guest_says(USB, 0, sticks);
	expect_ok(STICK);
	request(c, "admin.vm.device.usb.Available", NULL, "sys-usb", "");
	guest_says(USB, -1, NULL);
	expect_error("QubesException", "QubesDB is silent");
}

static void test_block(void **state)
{
	static const char *const disks[] = { "sda/desc=Stick (it's \x1b[31mred\\)", "sda/mode=w", "sda/size=4096", "sda/parent=1-1.2:1.0",
					     "sda1/mode=r", "sda1/parent=sda", "sda1/size=04096", "loop0/mode=w", "loop0/desc=", NULL };
	struct core *c = *state;

	request(c, "admin.vm.device.block.Available", NULL, "sys-usb", "");
	guest_says(USB, 0, sticks);
	assert_false(answered);
	guest_says(BLOCK, 0, disks);
	expect_ok("loop0:0000:0000::?******:0 device_id='0000:0000::?******:0' port_id='loop0' devclass='block' backend_domain='sys-usb' "
		  "interfaces='b******' _mode='w'\n"
		  "sda1:" STICK_ID ":1.0:1 device_id='" STICK_ID ":1.0:1' port_id='sda1' devclass='block' backend_domain='sys-usb' "
		  "interfaces='b******' parent_port_id='sda' parent_devclass='block' _mode='r'\n"
		  "sda:" STICK_ID ":1.0 device_id='" STICK_ID ":1.0' port_id='sda' devclass='block' backend_domain='sys-usb' "
		  "name='Stick (it_s __31mred_)' interfaces='b******' parent_port_id='1-1.2' parent_devclass='usb' _mode='w' _size='4096'\n");
}

/* What is not well-formed is left out, whatever it is. */
static void test_hostile(void **state)
{
	static const char *const bad[] = { "/desc=0951:1666 x", "x/desc=0951:1666 x", "1-/desc=0951:1666 x", "1-1-1/desc=0951:1666 x",
					   "1-1/desc=0951", "1-2/desc=0951:16G6 x", "1-3/desc=0951:1666x", "1-4/serial=A", "1_1/desc=0951:1666 x",
					   ".-1/desc=0951:1666 x", "1-5=0951:1666", NULL };
	static const char *const odd[] = { "1-1/desc=0951:1666 x", "1-1/serial=A'B", "1-1/interfaces=:0806", NULL };
	static const char *const loop[] = { "a/mode=w", "a/parent=b", "b/mode=w", "b/parent=a", "c/mode=w", "c/parent=c", "d/mode=x",
					    "e/mode=w", "e/parent=zz:../..", NULL };
	_cleanup_devices_ struct dev_list l = { 0 };
	struct kvmap m = { 0 };

	fill(&m, bad);
	device_guest_list(DEV_USB, "sys-usb", &m, NULL, &l);
	assert_int_equal(l.n, 0);
	kv_clear(&m);
	fill(&m, odd);
	device_guest_list(DEV_USB, "sys-usb", &m, NULL, &l);
	assert_int_equal(l.n, 1);
	assert_string_equal(l.v[0].dev.id, "0951:1666::?******");
	dev_list_fini(&l);
	kv_clear(&m);
	fill(&m, loop);
	device_guest_list(DEV_BLOCK, "sys-usb", &m, NULL, &l);
	assert_int_equal(l.n, 4);
	assert_string_equal(l.v[3].dev.id, "0000:0000::?******:None");
	dev_list_fini(&l);
	kv_clear(&m);
	for (int i = 0; i < 2 * DEVICES_MAX; i++) {
		_cleanup_free_ char *key = xasprintf("d%d/mode", i);

		kv_set(&m, key, "w");
	}
	device_guest_list(DEV_BLOCK, "sys-usb", &m, NULL, &l);
	assert_int_equal(l.n, DEVICES_MAX);
	kv_clear(&m);
}

static void attach(struct core *c, const char *arg, const char *payload)
{
	request(c, "admin.vm.device.usb.Attach", arg, "work", payload);
	guest_says(USB, 0, sticks);
}

static void test_attach(void **state)
{
	struct core *c = *state;

	attach(c, "sys-usb+1-9+_", "");
	expect_error("ProtocolError", "there is no usb device");
	attach(c, "sys-usb+1-1.2+046d:c31c::_______", "");
	expect_error("ProtocolError", "there is no usb device");
	attach(c, "sys-usb+_+_", "");
	expect_error("ProtocolError", "more than one");
	attach(c, "sys-usb+1-1.2+_", "_read-only='yes'");
	expect_error("QubesValueError", "no options");
	attach(c, "sys-usb+1-1.2+" STICK_ID, "mode='manual'");
	expect_error("QubesException", "not supported yet");
	request(c, "admin.vm.device.denied.Add", NULL, "work", "u08****");
	expect_ok("");
	attach(c, "sys-usb+1-1.2+_", "");
	expect_error("PermissionDenied", "denies devices with interface u080650");
	attach(c, "sys-usb+1-4+_", "");
	expect_error("QubesException", "not supported yet");
}

#define MIC_LINE "dom0+mic:dom0:mic::m000000 device_id='dom0:mic::m000000' port_id='mic' devclass='mic' backend_domain='dom0' mode='manual' frontend_domain='work'\n"

static void test_mic(void **state)
{
	struct core *c = *state;
	struct qube *q = qube_find(c, "work");

	request(c, "admin.vm.device.mic.Attached", NULL, "work", "");
	expect_ok("");
	request(c, "admin.vm.device.mic.Detach", "dom0+mic+_", "work", "");
	expect_error("DeviceNotAssigned", "not attached");
	request(c, "admin.vm.device.denied.Add", NULL, "work", "m******");
	expect_ok("");
	request(c, "admin.vm.device.mic.Attach", "dom0+mic+_", "work", "");
	expect_error("PermissionDenied", "m000000");
	request(c, "admin.vm.device.denied.Remove", NULL, "work", "all");
	expect_ok("");
	request(c, "admin.vm.device.mic.Attach", "dom0+mic+_", "work", "_x='y'");
	expect_error("QubesValueError", "no options");
	request(c, "admin.vm.device.mic.Attach", "dom0+mic+_", "work", "");
	expect_ok("");
	request(c, "admin.vm.device.mic.Attach", "dom0+mic+_", "work", "");
	expect_error("DeviceAlreadyAttached", "already");
	request(c, "admin.vm.device.mic.Attached", NULL, "work", "");
	expect_ok(MIC_LINE);
	request(c, "admin.vm.device.mic.Attached", "dom0+mic", "work", "");
	expect_ok(MIC_LINE);
	request(c, "admin.vm.device.mic.Attached", "dom0+other", "work", "");
	expect_ok("");
	request(c, "admin.vm.device.usb.Attached", NULL, "work", "");
	expect_ok("");
	request(c, "admin.vm.device.mic.Attached", NULL, "sys-usb", "");
	expect_ok("");
	request(c, "admin.vm.device.mic.Detach", "dom0+other+_", "work", "");
	expect_error("DeviceNotAssigned", "not attached");
	request(c, "admin.vm.device.mic.Detach", "dom0+mic+_", "work", "");
	expect_ok("");
	request(c, "admin.vm.device.mic.Attached", NULL, "work", "");
	expect_ok("");
	/* It belongs to one run of the qube. */
	device_mic_attach(c, q);
	memcpy(q->start_id, "another", sizeof "another");
	assert_false(device_mic_attached(q));
	device_mic_attach(c, q);
	assert_true(device_mic_attached(q));
	q->state = LIFE_HALTED;
	assert_false(device_mic_attached(q));
}

/* Whose sound goes elsewhere gets no microphone of ours; what is assigned comes by itself, and what is required stays. */
static void test_mic_rules(void **state)
{
	struct core *c = *state;
	struct qube *q = qube_find(c, "work");
	struct err e = { 0 };

	request(c, "admin.vm.property.Set", "audiovm", "work", "");
	expect_ok("");
	request(c, "admin.vm.device.mic.Attach", "dom0+mic+_", "work", "");
	expect_error("QubesValueError", "nowhere");
	device_mic_start(c, q);
	assert_false(device_mic_attached(q));
	request(c, "admin.vm.property.Reset", "audiovm", "work", "");
	expect_ok("");
	device_mic_start(c, q);
	assert_false(device_mic_attached(q));
	request(c, "admin.vm.device.mic.Assign", "dom0+mic+_", "work", "mode='ask-to-attach'");
	expect_ok("");
	device_mic_start(c, q);
	assert_false(device_mic_attached(q));
	request(c, "admin.vm.device.mic.Set.assignment", "dom0+mic+_", "work", "required");
	expect_ok("");
	assert_int_equal(device_check_start(c, q, &e), 0);
	device_mic_start(c, q);
	assert_true(device_mic_attached(q));
	request(c, "admin.vm.device.mic.Detach", "dom0+mic+_", "work", "");
	expect_error("QubesVMNotHaltedError", "requires");
	request(c, "admin.vm.device.mic.Set.assignment", "dom0+mic+_", "work", "auto-attach");
	expect_ok("");
	request(c, "admin.vm.device.mic.Detach", "dom0+mic+_", "work", "");
	expect_ok("");
	assert_false(device_mic_attached(q));
}

/* The qube goes between two readings of its QubesDB. */
static void test_gone_meanwhile(void **state)
{
	struct core *c = *state;

	request(c, "admin.vm.device.block.Available", NULL, "sys-usb", "");
	qube_find(c, "sys-usb")->state = LIFE_HALTED;
	guest_says(USB, 0, sticks);
	expect_error("QubesVMNotRunningError", "not running any more");
}

/* A qube that is starting may have no QubesDB yet: it is not asked. */
static void test_not_up(void **state)
{
	struct core *c = *state;

	qube_find(c, "sys-usb")->state = LIFE_TRANSIENT;
	request(c, "admin.vm.device.usb.Available", NULL, "sys-usb", "");
	assert_false(guest.waiting);
	expect_ok("");
	qube_find(c, "sys-usb")->state = LIFE_PAUSED;
	request(c, "admin.vm.device.usb.Available", NULL, "sys-usb", "");
	guest_says(USB, 0, NULL);
	expect_ok("");
}

static void test_required(void **state)
{
	struct core *c = *state;
	struct qube *q = qube_find(c, "work");
	struct err e = { 0 };

	request(c, "admin.vm.device.usb.Assign", "sys-usb+1-1.2+_", "work", "mode='required'");
	expect_ok("");
	request(c, "admin.vm.device.usb.Unassign", "sys-usb+1-1.2+_", "work", "");
	expect_error("QubesVMNotHaltedError", "requires the device");
	assert_true(device_check_start(c, q, &e) < 0);
	assert_non_null(strstr(e.msg, "not supported yet"));
	qube_find(c, "sys-usb")->state = LIFE_HALTED;
	assert_true(device_check_start(c, q, &e) < 0);
	assert_non_null(strstr(e.msg, "is not there"));
	q->state = LIFE_HALTED;
	request(c, "admin.vm.device.usb.Unassign", "sys-usb+1-1.2+_", "work", "");
	expect_ok("");
	assert_int_equal(device_check_start(c, q, &e), 0);
}

static void put(int dir, const char *sbdf, const char *name, const char *text)
{
	_cleanup_fd_ int d = -1, fd = -1;

	(void)mkdirat(dir, sbdf, 0700);
	d = openat(dir, sbdf, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = openat(d, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_int_equal(write_full(fd, text, strlen(text)), 0);
}

static void test_pci(void **state)
{
	struct core *c = *state;
	char path[] = "/tmp/bh-pci-XXXXXX";
	_cleanup_fd_ int dir = open(mkdtemp(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(dir >= 0);
	put(dir, "0000:00:1f.2", "vendor", "0x8086\n");
	put(dir, "0000:00:1f.2", "device", "0x2922\n");
	put(dir, "0000:00:1f.2", "class", "0x010601\n");
	put(dir, "0001:02:00.0", "vendor", "0x10ec\n");
	put(dir, "0001:02:00.0", "device", "0x8168\n");
	put(dir, "0001:02:00.0", "class", "0x020000\n");
	put(dir, "0000:00:02.0", "vendor", "0x8086\n"); /* no more is known */
	put(dir, "odd", "vendor", "0x8086\n");
	device_pci_scan(c, dir);
	assert_int_equal(c->n_pci, 2);
	request(c, "admin.vm.device.pci.Available", NULL, "dom0", "");
	expect_ok("0001_02_00.0:10ec:8168::p020000 device_id='10ec:8168::p020000' port_id='0001_02_00.0' devclass='pci' backend_domain='dom0' "
		  "name='10ec:8168' interfaces='p020000' _sbdf='0001:02:00.0'\n"
		  "00_1f.2:8086:2922::p010601 device_id='8086:2922::p010601' port_id='00_1f.2' devclass='pci' backend_domain='dom0' "
		  "name='8086:2922' interfaces='p010601' _sbdf='0000:00:1f.2'\n");
	request(c, "admin.vm.device.pci.Attach", "dom0+00_1f.2+_", "work", "");
	expect_error("QubesValueError", "cannot be attached to a running qube");
	(void)fs_rm_rf(AT_FDCWD, path, NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_usb), T(test_block), T(test_hostile), T(test_attach), T(test_mic), T(test_mic_rules), T(test_gone_meanwhile), T(test_not_up), T(test_required), T(test_pci),
	};

	assert_int_equal(paths_init("/nonexistent", NULL), 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
