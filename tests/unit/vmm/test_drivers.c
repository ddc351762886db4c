/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of drivers: every row is whole, both halves have the same rows, and the choice asks them in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>


#include "base/io.h"
#include "base/str.h"
#include "proto/fds.h"
#include "vmm/monitor.h"
#include "vmm/vmm.h"

static void rows_are_whole(void **state)
{
	size_t n = 0;

	for (const struct vmm_ops *v; (v = vmm_at(n)); n++) {
		const struct vmm_monitor_ops *m;

		assert_true(v->name && v->name[0] && v->program[0] == '/' && v->package[0]);
		assert_true(v->accel && v->launch && v->overhead_mib > 0);
		for (size_t i = 0; i < n; i++)
			assert_string_not_equal(vmm_at(i)->name, v->name);
		m = vmm_monitor_of(v->name);
		assert_non_null(m);
		assert_string_equal(m->name, v->name);
		assert_true(m->open && m->free && m->command && m->memory && m->poll);
	}
	assert_true(n >= 1);
	assert_null(vmm_at(n));
	assert_null(vmm_monitor_of("no-such"));
}

static void choice(void **state)
{
	const struct vmm_ops *v = NULL;
	struct accel_facts f;
	struct err e = { 0 };
	uint8_t a = ACCEL_AUTO;

	unsetenv("BULKHEAD_ACCEL");
	assert_int_equal(vmm_choose(ACCEL_AUTO, &v, &a, &f, &e), 0);
	assert_non_null(v);
	assert_true(a != ACCEL_AUTO && f.reason[0]);
	setenv("BULKHEAD_ACCEL", "tcg", 1);
	assert_int_equal(vmm_choose(ACCEL_AUTO, &v, &a, NULL, &e), 0);
	assert_int_equal(a, ACCEL_TCG);
	assert_string_equal(v->name, "qemu");
	setenv("BULKHEAD_ACCEL", "abacus", 1);
	assert_int_equal(vmm_choose(ACCEL_AUTO, &v, &a, NULL, &e), -EINVAL);
	/* The environment decides nothing for a qube that names its accelerator. */
	assert_int_equal(vmm_choose(ACCEL_TCG, &v, &a, NULL, &e), 0);
	unsetenv("BULKHEAD_ACCEL");
	v = NULL;
	assert_int_equal(vmm_choose(200, &v, &a, NULL, &e), -ENOTSUP);
	assert_null(v);
}

static void accel_names(void **state)
{
	uint8_t a = ACCEL_AUTO;

	for (uint8_t i = ACCEL_AUTO + 1; i <= ACCEL_TCG; i++) {
		assert_int_equal(vmm_accel_parse(vmm_accel_name(i), &a), 0);
		assert_int_equal(a, i);
	}
	assert_int_equal(vmm_accel_parse("auto", &a), -EINVAL);
	assert_int_equal(vmm_accel_parse("", &a), -EINVAL);
	assert_string_equal(vmm_accel_name(200), "?");
}

/* What every driver's program is given: itself first, nothing writable but devices, and room for it. */
static void launches(void **state)
{
	struct vm_spec s = { .qid = 7, .memory_mib = 400, .vcpus = 1 };
	const struct vmm_ops *v;

	assert_int_equal(str_copy(s.name, sizeof s.name, "work"), 0);
	assert_int_equal(str_copy(s.uuid, sizeof s.uuid, "0f0e0d0c-0b0a-4908-8706-050403020100"), 0);
	for (size_t i = 0; (v = vmm_at(i)); i++) {
		for (uint8_t accel = ACCEL_KVM; accel <= ACCEL_TCG; accel++) {
			_cleanup_(vmm_launch_fini) struct vmm_launch l = { .n_files = 0 };
			struct vmm_plan p;

			vmm_plan_init(&p);
			p.accel = accel;
			p.monitor = 5;
			p.console = 6;
			p.link = 7;
			assert_int_equal(v->launch(&s, &p, &l, NULL), 0);
			assert_string_equal(l.args.v[0], v->program);
			assert_true(l.room_mib > 0 && l.n_files > 0 && l.n_files < VMM_FILES_MAX);
			for (size_t k = 0; k < l.n_files; k++) {
				assert_true(l.files[k].dev || !l.files[k].rw);
				/* Emulation needs no device, so it gets none. */
				assert_true(accel != ACCEL_TCG || !streq(l.files[k].path, "/dev/kvm"));
			}
			assert_int_equal(accel == ACCEL_TCG, l.device == NULL);
			for (const char *const *x = l.env; x && *x; x++)
				assert_true(strchr(*x, '=') > *x);
		}
	}
}

/* --- a machine played by the test ------------------------------------------------------------------------------------------------ */

struct seen {
	unsigned running, stopped, ended, closed, ports, errors, stops, done, failed;
	int nic_gone;
	bool crashed, open;
	uint64_t memory;
};

static void on_running(void *arg)
{
	((struct seen *)arg)->running++;
}

static void on_stopped(void *arg)
{
	((struct seen *)arg)->stopped++;
}

static void on_ended(bool crashed, const char *reason, void *arg)
{
	struct seen *s = arg;

	s->ended++;
	s->crashed = crashed;
}

static void on_port(bool open, void *arg)
{
	struct seen *s = arg;

	s->ports++;
	s->open = open;
}

static void on_disk_error(const char *disk, const char *operation, const char *reason, bool stops, bool full, void *arg)
{
	assert_string_equal(disk, "root");
	assert_string_equal(operation, "read");
	assert_string_equal(reason, "Input/output error");
	assert_true(stops == full);
	((struct seen *)arg)->stops += stops;
	((struct seen *)arg)->errors++;
}

static void on_closed(const char *why, void *arg)
{
	((struct seen *)arg)->closed++;
}

static void on_nic_gone(uint32_t port, void *arg)
{
	((struct seen *)arg)->nic_gone = (int)port;
}

static const struct vmm_events events = {
	.nic_gone = on_nic_gone,
	.running = on_running, .stopped = on_stopped, .ended = on_ended, .port = on_port, .disk_error = on_disk_error, .closed = on_closed,
};

static void on_done(const char *error, void *arg)
{
	struct seen *s = arg;

	s->done++;
	s->failed += error != NULL;
}

static void on_memory(uint64_t kib, void *arg)
{
	((struct seen *)arg)->memory = kib;
}

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* Reads what the monitor sent until it holds word. */
static void hear(int fd, const char *word)
{
	static char buf[4096];
	size_t n = 0;

	for (;;) {
		ssize_t k = read(fd, buf + n, sizeof buf - 1 - n);

		assert_true(k > 0);
		n += (size_t)k;
		buf[n] = '\0';
		if (strstr(buf, word))
			return;
	}
}

static void qemu_monitor(void **state)
{
	const struct vmm_monitor_ops *ops = vmm_monitor_of("qemu");
	struct ev_loop *l = ev_new();
	struct seen s = { 0 };
	struct vmm_monitor *m;
	int fds[2];

	assert_int_equal(unix_pair(SOCK_STREAM, fds), 0);
	m = ops->open(l, fds[0], &events, &s);
	assert_non_null(m);
	assert_int_equal(ops->command(m, LD_CMD_N, on_done, &s), -EINVAL);
	assert_int_equal(ops->command(m, LD_CONT, on_done, &s), 0);
	say(fds[1], "{\"QMP\": {}}\n");
	ops->poll(m);
	hear(fds[1], "qmp_capabilities");
	say(fds[1], "{\"return\": {}, \"id\": 2}\n");
	ops->poll(m);
	hear(fds[1], "\"cont\"");
	say(fds[1], "{\"event\": \"RESUME\"}\n{\"return\": {}, \"id\": 1}\n"
		    "{\"event\": \"VSERPORT_CHANGE\", \"data\": {\"open\": true, \"id\": \"" LINKD_PORT_ID "\"}}\n"
		    "{\"event\": \"VSERPORT_CHANGE\", \"data\": {\"open\": false, \"id\": \"another\"}}\n"
		    "{\"event\": \"BLOCK_IO_ERROR\", \"data\": {\"node-name\": \"root\", \"operation\": \"read\", \"reason\": \"Input/output error\"}}\n"
		    "{\"event\": \"BLOCK_IO_ERROR\", \"data\": {\"node-name\": \"root\", \"operation\": \"read\", \"reason\": \"Input/output error\", "
		    "\"action\": \"stop\", \"nospace\": true}}\n");
	ops->poll(m);
	assert_true(s.running == 1 && s.done == 1 && s.failed == 0 && s.ports == 1 && s.open && s.errors == 2 && s.stops == 1);
	/* A machine without a balloon tells the size that it has. */
	assert_int_equal(ops->memory(m, on_memory, &s), 0);
	hear(fds[1], "query-balloon");
	say(fds[1], "{\"error\": {\"class\": \"x\", \"desc\": \"no balloon\"}, \"id\": 3}\n");
	ops->poll(m);
	hear(fds[1], "query-memory-size-summary");
	say(fds[1], "{\"return\": {\"base-memory\": 419430400}, \"id\": 4}\n");
	ops->poll(m);
	assert_int_equal(s.memory, 409600);
	assert_int_equal(ops->resize(m, "private", 3ull << 40, on_done, &s), 0);
	hear(fds[1], "\"block_resize\",\"id\":5,\"arguments\":{\"node-name\":\"private\",\"size\":3298534883328}");
	say(fds[1], "{\"error\": {\"class\": \"x\", \"desc\": \"no space\"}, \"id\": 5}\n");
	ops->poll(m);
	assert_true(s.done == 2 && s.failed == 1);
	s.done = 1;
	s.failed = 0;
	assert_int_equal(ops->command(m, LD_QUIT, on_done, &s), 0);
	hear(fds[1], "\"quit\"");
	say(fds[1], "{\"event\": \"STOP\"}\n{\"event\": \"SHUTDOWN\", \"data\": {\"reason\": \"guest-panic\"}}\n");
	ops->poll(m);
	assert_true(s.stopped == 1 && s.ended == 1 && s.crashed);
	close(fds[1]);
	ops->poll(m);
	assert_true(s.closed == 1 && s.done == 2 && s.failed == 1); /* the open command fails first */
	ops->free(m);
	ops->free(NULL);
	ev_free(l);
}

/* Reads a line with the descriptor that came with it. */
static int hear_fd(int fd, const char *word)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ctl;
	char buf[1024];
	struct iovec v = { buf, sizeof buf - 1 };
	struct msghdr h = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl.buf, .msg_controllen = sizeof ctl.buf };
	ssize_t n = recvmsg(fd, &h, 0);
	int got;

	assert_true(n > 0);
	buf[n] = '\0';
	assert_non_null(strstr(buf, word));
	assert_non_null(CMSG_FIRSTHDR(&h));
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&h)), sizeof got);
	return got;
}

static void network_devices(void **state)
{
	const struct vmm_monitor_ops *ops = vmm_monitor_of("qemu");
	struct ev_loop *l = ev_new();
	struct seen s = { .nic_gone = -1 };
	struct vmm_monitor *m;
	int fds[2], link[2], got;

	assert_int_equal(unix_pair(SOCK_STREAM, fds), 0);
	assert_int_equal(unix_pair(SOCK_STREAM, link), 0);
	m = ops->open(l, fds[0], &events, &s);
	/* Before the greeting nothing can carry a descriptor. */
	assert_int_equal(ops->nic_add(m, 2, "00:16:3e:5e:6c:00", link[0], on_done, &s), -EAGAIN);
	say(fds[1], "{\"QMP\": {}}\n{\"return\": {}, \"id\": 2}\n");
	ops->poll(m);
	hear(fds[1], "qmp_capabilities");
	assert_int_equal(ops->nic_add(m, 2, "00:16:3e:5e:6c:00:00:00", link[0], on_done, &s), -ENAMETOOLONG);
	assert_int_equal(ops->nic_add(m, 2, "00:16:3e:5e:6c:00", link[0], on_done, &s), 0);
	got = hear_fd(fds[1], "{\"execute\":\"getfd\",\"id\":3,\"arguments\":{\"fdname\":\"fd2\"}}\n");
	assert_int_equal(write(got, "x", 1), 1);
	close(got);
	say(fds[1], "{\"return\": {}, \"id\": 3}\n");
	ops->poll(m);
	hear(fds[1], "{\"type\":\"socket\",\"id\":\"net2\",\"fd\":\"fd2\"}");
	say(fds[1], "{\"return\": {}, \"id\": 4}\n");
	ops->poll(m);
	hear(fds[1], "\"netdev\":\"net2\",\"bus\":\"rp2\",\"mac\":\"00:16:3e:5e:6c:00\",\"romfile\":\"\"");
	assert_int_equal(s.done, 0);
	say(fds[1], "{\"return\": {}, \"id\": 5}\n");
	ops->poll(m);
	assert_true(s.done == 1 && s.failed == 0);
	/* The stream goes first and at once; the device when the guest lets go of it. */
	assert_int_equal(ops->nic_cut(m, 2, on_done, &s), 0);
	hear(fds[1], "\"netdev_del\",\"id\":6,\"arguments\":{\"id\":\"net2\"}");
	say(fds[1], "{\"return\": {}, \"id\": 6}\n");
	ops->poll(m);
	assert_true(s.done == 2 && s.failed == 0 && s.nic_gone == -1);
	hear(fds[1], "\"device_del\",\"id\":7,\"arguments\":{\"id\":\"nic2\"}");
	say(fds[1], "{\"return\": {}, \"id\": 7}\n"
		    "{\"event\": \"DEVICE_DELETED\", \"data\": {\"path\": \"/x\"}}\n"
		    "{\"event\": \"DEVICE_DELETED\", \"data\": {\"device\": \"nic99\"}}\n"
		    "{\"event\": \"DEVICE_DELETED\", \"data\": {\"device\": \"root\"}}\n");
	ops->poll(m);
	assert_int_equal(s.nic_gone, -1);
	say(fds[1], "{\"event\": \"DEVICE_DELETED\", \"data\": {\"device\": \"nic2\"}}\n");
	ops->poll(m);
	assert_int_equal(s.nic_gone, 2);
	/* A device that is refused leaves no stream behind. */
	assert_int_equal(ops->nic_add(m, 3, "00:16:3e:5e:6c:00", link[0], on_done, &s), 0);
	close(hear_fd(fds[1], "getfd"));
	say(fds[1], "{\"return\": {}, \"id\": 8}\n{\"return\": {}, \"id\": 9}\n{\"error\": {\"class\": \"x\", \"desc\": \"no such bus\"}, \"id\": 10}\n");
	ops->poll(m);
	ops->poll(m);
	ops->poll(m);
	hear(fds[1], "netdev_del");
	assert_true(s.done == 3 && s.failed == 1);
	ops->free(m);
	ev_free(l);
	close(fds[1]);
	close(link[0]);
	close(link[1]);
}

/* Memory first, then the device over it; a device that is refused leaves no memory behind, so it can be tried again. */
static void memory_for_pixels(void **state)
{
	const struct vmm_monitor_ops *ops = vmm_monitor_of("qemu");
	struct ev_loop *l = ev_new();
	struct seen s = { .nic_gone = -1 };
	struct vmm_monitor *m;
	int fds[2];

	assert_int_equal(unix_pair(SOCK_STREAM, fds), 0);
	m = ops->open(l, fds[0], &events, &s);
	say(fds[1], "{\"QMP\": {}}\n{\"return\": {}, \"id\": 1}\n");
	ops->poll(m);
	hear(fds[1], "qmp_capabilities");
	assert_int_equal(ops->bar_add(m, 1, 256, 17, on_done, &s), 0);
	hear(fds[1], "\"object-add\",\"id\":2,\"arguments\":{\"qom-type\":\"memory-backend-file\",\"id\":\"pixels0\",\"size\":268435456,"
		     "\"mem-path\":\"/proc/self/fd/17\",\"share\":true}");
	say(fds[1], "{\"return\": {}, \"id\": 2}\n");
	ops->poll(m);
	hear(fds[1], "\"device_add\",\"id\":3,\"arguments\":{\"driver\":\"ivshmem-plain\",\"id\":\"pixels\",\"memdev\":\"pixels0\",\"bus\":\"rp1\"}");
	assert_int_equal(s.done, 0);
	say(fds[1], "{\"error\": {\"class\": \"x\", \"desc\": \"no bus\"}, \"id\": 3}\n");
	ops->poll(m);
	assert_true(s.done == 1 && s.failed == 1);
	hear(fds[1], "\"object-del\",\"id\":4,\"arguments\":{\"id\":\"pixels0\"}");
	say(fds[1], "{\"return\": {}, \"id\": 4}\n");
	ops->poll(m);
	assert_int_equal(ops->bar_add(m, 1, 256, 17, on_done, &s), 0);
	hear(fds[1], "\"object-add\",\"id\":5");
	say(fds[1], "{\"return\": {}, \"id\": 5}\n");
	ops->poll(m);
	hear(fds[1], "\"device_add\",\"id\":6");
	say(fds[1], "{\"return\": {}, \"id\": 6}\n");
	ops->poll(m);
	assert_true(s.done == 2 && s.failed == 1);
	ops->free(m);
	close(fds[1]);
	ev_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_for_pixels), cmocka_unit_test(rows_are_whole), cmocka_unit_test(choice),	  cmocka_unit_test(accel_names),
		cmocka_unit_test(launches),	  cmocka_unit_test(qemu_monitor), cmocka_unit_test(network_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
