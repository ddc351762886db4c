/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The link from end to end: real linkd, real agentd, real sockets; see fakevm.h. With --bench: prints the rates of a stream. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/str.h"
#include "fakevm.h"
#include "proto/link.h"

static void test_start_and_state(void **state)
{
	struct fakevm *v = vm_start_without_agent(7);
	uint32_t serial;
	char text[200];

	assert_int_equal(v->hello.version, IPC_VERSION);
	assert_int_equal(v->hello.qid, 7);
	assert_string_equal(v->hello.name, "vm7");
	assert_string_equal(v->hello.start_id, "run-1");
	assert_int_equal(v->hello.pid, v->linkd.pid);
	assert_int_equal(v->hello.qemu_pid, 4711);
	assert_int_equal(v->hello.state, LD_ST_PRELAUNCH);
	assert_int_equal(v->hello.link_up, 0);
	assert_int_equal(v->hello.qrexec_chan, 1);
	vm_cmd_async(v, LD_CONT, &serial);
	vm_qmp_answer(v, "cont", NULL);
	assert_int_equal(vm_reply(v, serial), 0);
	vm_qmp_send(v, "{\"event\": \"RESUME\", \"timestamp\": {\"seconds\": 1, \"microseconds\": 2}}");
	vm_event(v, LD_EV_RUNNING, 0);
	vm_agent_start(v);
	vm_agent_line(v, "seed ", text, sizeof text);
	assert_int_equal(strlen(text), 2 * LINK_SEED_LEN);
	vm_agent_line(v, "time ", text, sizeof text);
	vm_event(v, LD_EV_LINK_UP, 0);
	/* the clock is set again after a pause */
	vm_qmp_send(v, "{\"event\": \"STOP\"}");
	vm_event(v, LD_EV_PAUSED, 0);
	vm_qmp_send(v, "{\"event\": \"RESUME\"}");
	vm_event(v, LD_EV_RUNNING, 1);
	vm_agent_line(v, "time ", text, sizeof text);
	vm_cmd_async(v, LD_STOP, &serial);
	vm_qmp_answer(v, "stop", "not now");
	assert_int_equal(vm_reply(v, serial), -EIO);
	vm_cmd_async(v, LD_POWERDOWN, &serial);
	assert_int_equal(vm_reply(v, serial), 0);
	vm_agent_line(v, "poweroff", text, sizeof text);
	vm_stop(v);
}

/* Why the host's read of an image failed stands in linkd's log, for the first failures only. */
static void test_disk_errors(void **state)
{
	_cleanup_fd_ int log = memfd_create("log", MFD_CLOEXEC), old = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	struct fakevm *v;
	char text[8192] = "";
	unsigned n = 0;

	assert_true(log >= 0 && old >= 0 && dup2(log, STDERR_FILENO) >= 0);
	v = vm_start_without_agent(7);
	assert_true(dup2(old, STDERR_FILENO) >= 0);
	vm_qmp_send(v, "{\"event\": \"BLOCK_IO_ERROR\"}");
	vm_qmp_send(v, "{\"event\": \"BLOCK_IMAGE_CORRUPTED\", \"data\": {\"node-name\": \"root\", \"msg\": \"bad table\", \"fatal\": true}}");
	for (int i = 0; i < 20; i++)
		vm_qmp_send(v, "{\"event\": \"BLOCK_IO_ERROR\", \"data\": {\"device\": \"\", \"nospace\": false, \"node-name\": \"root\", "
			       "\"reason\": \"Input/output error\", \"operation\": \"read\", \"action\": \"report\"}}");
	vm_qmp_send(v, "{\"event\": \"RESUME\"}");
	vm_event(v, LD_EV_RUNNING, 0);
	assert_true(pread(log, text, sizeof text - 1, 0) > 0);
	assert_non_null(strstr(text, "disk error: disk=root operation= reason=bad table"));
	assert_non_null(strstr(text, "disk error: disk=root operation=read reason=Input/output error"));
	for (const char *s = text; (s = strstr(s, "disk error:")); s++)
		n++;
	assert_int_equal(n, 8);
	vm_stop(v);
}

static int resize(struct fakevm *v, const char *disk, uint64_t size, const char *answer, const char *error)
{
	struct ipc_ld_resize m = { .size = size };
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);
	uint32_t serial;

	(void)snprintf(m.disk, sizeof m.disk, "%s", disk);
	ipc_put_ld_resize(&w, &m);
	serial = vm_send(v, IPC_LD_RESIZE, &w, -1);
	if (answer)
		vm_qmp_answer(v, answer, error);
	return vm_reply(v, serial);
}

/* A disk without room stops the machine: the core is told once, and again after it came back, until the machine goes on. */
static void test_disk_full(void **state)
{
	static const char full[] = "{\"event\": \"BLOCK_IO_ERROR\", \"data\": {\"device\": \"\", \"nospace\": true, \"node-name\": \"private\", "
				   "\"reason\": \"No space left on device\", \"operation\": \"write\", \"action\": \"stop\"}}";
	struct fakevm *v = vm_start_without_agent(7);

	vm_qmp_send(v, "{\"event\": \"RESUME\"}");
	vm_event(v, LD_EV_RUNNING, 0);
	for (int i = 0; i < 20; i++)
		vm_qmp_send(v, full);
	vm_qmp_send(v, "{\"event\": \"STOP\"}");
	vm_event(v, LD_EV_PAUSED, 0);
	assert_int_equal(v->events[LD_EV_DISK_ERROR], 1);
	vm_core_again(v);
	vm_event(v, LD_EV_DISK_ERROR, 1);
	vm_qmp_send(v, "{\"event\": \"RESUME\"}");
	vm_event(v, LD_EV_RUNNING, 1);
	vm_qmp_send(v, full);
	vm_event(v, LD_EV_DISK_ERROR, 2);
	vm_stop(v);
}

static void test_resize(void **state)
{
	struct fakevm *v = vm_start_without_agent(7);

	assert_int_equal(resize(v, "private", 1 << 30, "block_resize", NULL), 0);
	assert_int_equal(resize(v, "private", 1 << 30, "block_resize", "no such node"), -EIO);
	assert_int_equal(resize(v, "private", 513, NULL, NULL), -EINVAL);
	assert_int_equal(resize(v, "pri\"vate", 1 << 30, NULL, NULL), -EINVAL);
	assert_int_equal(resize(v, "", 1 << 30, NULL, NULL), -EINVAL);
	vm_stop(v);
}

static void test_powerdown_without_agent(void **state)
{
	struct fakevm *v = vm_start_without_agent(7);
	uint32_t serial;

	vm_cmd_async(v, LD_POWERDOWN, &serial);
	vm_qmp_answer(v, "system_powerdown", NULL);
	assert_int_equal(vm_reply(v, serial), 0);
	vm_stop(v);
}

static void test_machine_end(void **state)
{
	struct fakevm *v = vm_start(7);
	int status;

	vm_qmp_send(v, "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-shutdown\"}, "
		       "\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}}");
	vm_event(v, LD_EV_SHUTDOWN, 0);
	fd_closep(&v->qmp);
	wait_exit(&v->linkd, &status);
	assert_int_equal(status, 0);
	vm_stop(v);
}

static void test_machine_crash(void **state)
{
	struct fakevm *v = vm_start(7);

	fd_closep(&v->qmp);
	vm_event(v, LD_EV_CRASHED, 0);
	wait_exit(&v->linkd, NULL);
	vm_stop(v);
}

static void test_bad_qmp(void **state)
{
	static const char *const lines[] = {
		"{\"event\": \"A\", \"event\": \"B\"}", "[1]", "nonsense", "{\"return\": {}, \"id\": 999}",
		"{\"event\": \"X\", \"data\": [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct fakevm *v = vm_start_without_agent(7);

		vm_qmp_send(v, lines[i]);
		vm_event(v, LD_EV_CRASHED, 0);
		wait_exit(&v->linkd, NULL);
		vm_stop(v);
	}
}

static void echo_both(int a, int b)
{
	send_all(a, "from a", 6);
	expect_bytes(b, "from a");
	send_all(b, "from b", 6);
	expect_bytes(a, "from b");
}

static void test_qrexec_control(void **state)
{
	struct fakevm *v = vm_start(7);
	struct chan_req *q;
	int host, guest;
	char tail[64];

	role_send(v->qrexec, IPC_LC_CONNECT, 512); /* before the agent listens */
	q = guest_listen(v, 0, 512);
	guest = req_wait(q, WAIT_MS);
	host = role_recv(v->qrexec);
	assert_true(host > 0 && guest >= 0);
	echo_both(host, guest);
	/* the tail after a close is delivered */
	send_all(guest, "last words", 10);
	close(guest);
	assert_int_equal(expect_end(host, tail, sizeof tail), 10);
	close(host);
	vm_stop(v);
}

static void test_qubesdb_control(void **state)
{
	struct fakevm *v = vm_start(7);
	struct chan_req *q = guest_connect(v, 0, 111); /* before the daemon listens */
	int host, guest;

	role_send(v->qubesdb, IPC_LC_LISTEN, 111);
	host = role_recv(v->qubesdb);
	guest = req_wait(q, WAIT_MS);
	assert_true(host > 0 && guest >= 0);
	echo_both(host, guest);
	close(host);
	assert_int_equal(expect_end(guest, NULL, 0), 0);
	close(guest);
	vm_stop(v);
}

static void test_role_rules(void **state)
{
	struct fakevm *v = vm_start(7);

	role_send(v->qrexec, IPC_LC_CONNECT, 513);
	assert_int_equal(role_recv(v->qrexec), -EACCES);
	role_send(v->qrexec, IPC_LC_LISTEN, 111);
	assert_int_equal(role_recv(v->qrexec), -EACCES);
	role_send(v->qubesdb, IPC_LC_CONNECT, 512);
	assert_int_equal(role_recv(v->qubesdb), -EACCES);
	role_send(v->qubesdb, IPC_LC_GRANT, 513);
	assert_int_equal(role_recv(v->qubesdb), -EACCES);
	role_send(v->qrexec, IPC_LC_GRANT, 512);
	assert_int_equal(role_recv(v->qrexec), -EACCES);
	/* the guest's side */
	assert_int_equal(req_wait(guest_connect(v, 0, 512), WAIT_MS), -EACCES);
	assert_int_equal(req_wait(guest_listen(v, 0, 111), WAIT_MS), -EACCES);
	assert_int_equal(req_wait(guest_listen(v, 3, 769), WAIT_MS), -EACCES);
	vm_stop(v);
}

static void test_grant(void **state)
{
	struct fakevm *v = vm_start(7);
	struct chan_req *q, *dom0;
	int host, guest;

	assert_int_equal(chan_listen(v->chan_sock, 7, 513, WAIT_MS, NULL), -EACCES);
	role_send(v->qrexec, IPC_LC_GRANT, 513);
	assert_int_equal(role_recv(v->qrexec), 0);
	dom0 = chan_listen_start(v->chan_sock, 7, 513, NULL);
	q = guest_connect(v, 0, 513);
	guest = req_wait(q, WAIT_MS);
	host = req_wait(dom0, WAIT_MS);
	assert_true(host >= 0 && guest >= 0);
	echo_both(host, guest);
	assert_int_equal(chan_listen(v->chan_sock, 7, 513, WAIT_MS, NULL), -EACCES); /* once */
	close(host);
	close(guest);
	vm_stop(v);
}

/* --- the GUI (docs/gui.md §3) -------------------------------------------------------------------------------------------------- */

#define PIXELS (16 << 20)

/* As the spawner makes it. *ret_reading: what linkd gets. */
static int pixels_new(int *ret_reading)
{
	int fd = memfd_create("pixels", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char path[40];

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, PIXELS), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW), 0);
	assert_int_equal(str_printf(path, sizeof path, "/proc/self/fd/%d", fd), 0);
	*ret_reading = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(*ret_reading >= 0);
	return fd;
}

/* Gives the stream or a negative code. */
static int gui_wait(struct chan_req *q, int *ret_memory)
{
	_cleanup_(chan_req_freep) struct chan_req *own = q;
	struct pollfd p;

	assert_non_null(q);
	p = (struct pollfd){ .fd = chan_req_fd(q), .events = POLLIN };
	for (;;) {
		int r = chan_gui_finish(q, ret_memory, NULL);

		if (r != -EAGAIN)
			return r;
		if (poll(&p, 1, WAIT_MS) == 0)
			return -ETIMEDOUT;
	}
}

/* As bulkhead-desktop does: linkd may not have heard yet that the last client has gone. */
static int gui_again(struct fakevm *v, int *ret_memory)
{
	uint64_t end = now_us() + WAIT_MS * 1000;
	int r;

	do {
		r = gui_wait(chan_gui_start(v->chan_sock, NULL), ret_memory);
	} while (r == -EBUSY && now_us() < end);
	return r;
}

static void check_memory(int fd, int writer)
{
	char *p = mmap(NULL, PIXELS, PROT_READ, MAP_SHARED, fd, 0);

	assert_true(p != MAP_FAILED);
	assert_int_equal(pwrite(writer, "pixel", 5, PIXELS - 5), 5);
	assert_memory_equal(p + PIXELS - 5, "pixel", 5);
	assert_int_equal(munmap(p, PIXELS), 0);
	assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES);
	assert_true(pwrite(fd, "x", 1, 0) == -1 && errno == EBADF);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 2 * PIXELS), -1);
	assert_true(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == -1 && errno == EBADF);
	assert_true(ftruncate(writer, PIXELS - 4096) == -1 && errno == EPERM);
	assert_true(ftruncate(writer, PIXELS + 4096) == -1 && errno == EPERM);
}

static void test_gui(void **state)
{
	_cleanup_fd_ int writer = pixels_new(&vm_gui_fd);
	struct fakevm *v = vm_start(7);
	struct chan_req *q;
	int host, guest, memory = -1;

	/* A client that gives up before anything came makes room. Twice: its connection is taken in one turn of linkd, its end seen in the next. */
	chan_req_free(chan_gui_start(v->chan_sock, NULL));
	for (int i = 0; i < 2; i++) {
		role_send(v->qrexec, IPC_LC_CONNECT, 513);
		assert_int_equal(role_recv(v->qrexec), -EACCES);
	}
	q = chan_gui_start(v->chan_sock, NULL);
	assert_int_equal(gui_wait(chan_gui_start(v->chan_sock, NULL), &memory), -EBUSY);
	/* Not before the machine runs. */
	vm_qmp_send(v, "{\"event\": \"RESUME\"}");
	vm_qmp_give(v, "object-add", "\"mem-path\":\"/proc/self/fd/21\"", "{}");
	assert_int_equal(gui_wait(chan_gui_start(v->chan_sock, NULL), &memory), -EBUSY);
	vm_qmp_give(v, "device_add", "\"bus\":\"rp1\"", "{}");
	guest = req_wait(guest_listen(v, 0, CHAN_PORT_GUI), WAIT_MS);
	host = gui_wait(q, &memory);
	assert_true(guest >= 0 && host >= 0 && memory >= 0);
	echo_both(host, guest);
	check_memory(memory, writer);
	close(memory);
	assert_int_equal(gui_wait(chan_gui_start(v->chan_sock, NULL), &memory), -EBUSY);
	close(host);
	assert_int_equal(expect_end(guest, NULL, 0), 0);
	close(guest);
	/* The next one finds the memory there: no further command to the machine. The agent may be there first. */
	q = guest_listen(v, 0, CHAN_PORT_GUI);
	host = gui_again(v, &memory);
	guest = req_wait(q, WAIT_MS);
	assert_true(guest >= 0 && host >= 0 && memory >= 0);
	echo_both(host, guest);
	close(memory);
	/* The guest hangs up first. */
	close(guest);
	assert_int_equal(expect_end(host, NULL, 0), 0);
	close(host);
	vm_stop(v);
	fd_closep(&vm_gui_fd);
}

/* Memory that cannot be plugged in is no reason to show nothing; the next client tries again. */
static void test_gui_without_memory(void **state)
{
	_cleanup_fd_ int writer = pixels_new(&vm_gui_fd);
	struct fakevm *v = vm_start(7);
	struct chan_req *q, *g = guest_listen(v, 0, CHAN_PORT_GUI);
	int host, guest, memory = -2;

	q = chan_gui_start(v->chan_sock, NULL);
	vm_qmp_send(v, "{\"event\": \"RESUME\"}");
	vm_qmp_answer(v, "object-add", "no memory");
	host = gui_wait(q, &memory);
	guest = req_wait(g, WAIT_MS);
	assert_true(guest >= 0 && host >= 0 && memory == -1);
	echo_both(host, guest);
	close(guest);
	assert_int_equal(expect_end(host, NULL, 0), 0);
	close(host);
	/* The end of the first one is known when the agent's next turn is. */
	g = guest_listen(v, 0, CHAN_PORT_GUI);
	for (int i = 0; i < 2; i++) {
		role_send(v->qrexec, IPC_LC_CONNECT, 513);
		assert_int_equal(role_recv(v->qrexec), -EACCES);
	}
	q = chan_gui_start(v->chan_sock, NULL);
	vm_qmp_answer(v, "object-add", NULL);
	vm_qmp_answer(v, "device_add", NULL);
	host = gui_wait(q, &memory);
	guest = req_wait(g, WAIT_MS);
	assert_true(guest >= 0 && host >= 0 && memory >= 0);
	close(memory);
	close(host);
	close(guest);
	vm_stop(v);
	fd_closep(&vm_gui_fd);
	/* A qube that has none. */
	v = vm_start(7);
	g = guest_listen(v, 0, CHAN_PORT_GUI);
	host = gui_wait(chan_gui_start(v->chan_sock, NULL), &memory);
	guest = req_wait(g, WAIT_MS);
	assert_true(guest >= 0 && host >= 0 && memory == -1);
	close(host);
	close(guest);
	vm_stop(v);
}

static int gui_raw(struct fakevm *v, uint32_t peer, uint32_t port)
{
	struct ipc_lc_gui m = { .peer = peer, .port = port };
	_cleanup_fd_ int fd = unix_connect(v->chan_sock, SOCK_SEQPACKET, NULL);
	uint8_t buf[16];
	struct wr w = wr_mem(buf, sizeof buf);

	ipc_put_lc_gui(&w, &m);
	assert_int_equal(msg_send(fd, IPC_LC_GUI, 77, 0, &w, NULL, 0), 0);
	return role_recv(fd);
}

static void test_gui_rules(void **state)
{
	struct fakevm *v = vm_start(7);

	/* one port, one peer, by the one request */
	assert_int_equal(gui_raw(v, 0, CHAN_PORT_QREXEC), -EACCES);
	assert_int_equal(gui_raw(v, 0, 513), -EACCES);
	assert_int_equal(gui_raw(v, 1, CHAN_PORT_GUI), -EACCES);
	assert_int_equal(chan_connect(v->chan_sock, 7, CHAN_PORT_GUI, WAIT_MS, NULL), -EACCES);
	assert_int_equal(chan_listen(v->chan_sock, 7, CHAN_PORT_GUI, WAIT_MS, NULL), -EACCES);
	/* roles have no business with it */
	role_send(v->qrexec, IPC_LC_GUI, CHAN_PORT_GUI);
	assert_int_equal(role_recv(v->qrexec), -EACCES);
	role_send(v->qubesdb, IPC_LC_GUI, CHAN_PORT_GUI);
	assert_int_equal(role_recv(v->qubesdb), -EACCES);
	/* nor has the guest, but for its own end */
	assert_int_equal(req_wait(guest_connect(v, 0, CHAN_PORT_GUI), WAIT_MS), -EACCES);
	assert_int_equal(req_wait(guest_listen(v, 3, CHAN_PORT_GUI), WAIT_MS), -EACCES);
	assert_int_equal(gui_wait(chan_gui_start(v->link_sock, NULL), &(int){ -1 }), -EACCES);
	vm_stop(v);
}

/* --- sound (docs/audio.md) ----------------------------------------------------------------------------------------------------- */

/* As bulkhead-desktop does: linkd may not have heard yet that the last client has gone. */
static int sound_again(struct fakevm *v, uint32_t port)
{
	uint64_t end = now_us() + WAIT_MS * 1000;
	int r;

	do {
		r = chan_connect(v->chan_sock, 7, port, WAIT_MS, NULL);
	} while (r == -EBUSY && now_us() < end);
	return r;
}

static void test_sound(void **state)
{
	static const uint32_t ports[] = { CHAN_PORT_PLAY, CHAN_PORT_RECORD };
	struct fakevm *v = vm_start(7);
	struct chan_req *q, *g;
	int host, guest;

	for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
		/* The host may wait for the agent: for ever, and one of its programs at a time. */
		q = chan_connect_start(v->chan_sock, 7, ports[i], NULL);
		assert_non_null(q);
		assert_int_equal(chan_connect(v->chan_sock, 7, ports[i], WAIT_MS, NULL), -EBUSY);
		guest = req_wait(guest_listen(v, 0, ports[i]), WAIT_MS);
		host = req_wait(q, WAIT_MS);
		assert_true(guest >= 0 && host >= 0);
		echo_both(host, guest);
		assert_int_equal(chan_connect(v->chan_sock, 7, ports[i], WAIT_MS, NULL), -EBUSY);
		close(host);
		assert_int_equal(expect_end(guest, NULL, 0), 0);
		close(guest);
		/* The agent first. */
		g = guest_listen(v, 0, ports[i]);
		host = sound_again(v, ports[i]);
		guest = req_wait(g, WAIT_MS);
		assert_true(guest >= 0 && host >= 0);
		echo_both(host, guest);
		close(guest);
		assert_int_equal(expect_end(host, NULL, 0), 0);
		close(host);
		/* Each side has its one role, and no daemon of the qube has any. */
		assert_int_equal(chan_listen(v->chan_sock, 7, ports[i], WAIT_MS, NULL), -EACCES);
		assert_int_equal(req_wait(guest_connect(v, 0, ports[i]), WAIT_MS), -EACCES);
		assert_int_equal(req_wait(guest_listen(v, 3, ports[i]), WAIT_MS), -EACCES);
		role_send(v->qrexec, IPC_LC_CONNECT, ports[i]);
		assert_int_equal(role_recv(v->qrexec), -EACCES);
	}
	vm_stop(v);
}

/* Qube 7 calls qube 8: 7 listens on (8, 600), 8 connects to (7, 600). */
static void join_vms(struct fakevm *a, struct fakevm *b, uint32_t port, int *ret_a, int *ret_b)
{
	struct chan_req *qa = guest_listen(a, b->qid, port), *qb = guest_connect(b, a->qid, port);
	int pair[2];

	assert_int_equal(unix_pair(SOCK_STREAM, pair), 0);
	assert_int_equal(vm_ticket(a, b->qid, port, true, pair[0]), 0);
	assert_int_equal(vm_ticket(b, a->qid, port, false, pair[1]), 0);
	*ret_a = req_wait(qa, WAIT_MS);
	*ret_b = req_wait(qb, WAIT_MS);
	assert_true(*ret_a >= 0 && *ret_b >= 0);
}

/* Both ends are told to the core, with the time of what came behind the first 12 bytes. */
static void check_call_event(struct fakevm *v, unsigned n, uint32_t peer, uint32_t port, uint64_t since)
{
	unsigned told_peer = 0;
	unsigned long long first = 0;

	vm_event(v, LD_EV_CALL, n);
	assert_int_equal(v->call.detail, port);
	assert_int_equal(sscanf(v->call.text, "%u %llu", &told_peer, &first), 2);
	assert_int_equal(told_peer, peer);
	assert_true(first >= since && first <= now_us());
}

static void test_ticket(void **state)
{
	struct fakevm *a = vm_start(7), *b = vm_start(8);
	int fa, fb;
	char buf[64];

	for (uint32_t port = 513; port < 520; port++) {
		uint64_t since = now_us();

		join_vms(a, b, port, &fa, &fb);
		echo_both(fa, fb);
		shutdown(fa, SHUT_WR); /* half close crosses both links */
		assert_int_equal(expect_end(fb, buf, sizeof buf), 0);
		send_all(fb, "answers", 7);
		close(fb);
		assert_int_equal(expect_end(fa, buf, sizeof buf), 7);
		close(fa);
		check_call_event(a, port - 513, b->qid, port, since);
	}
	vm_stop(a);
	vm_stop(b);
}

/* Without a ticket for exactly this (peer, port, direction) nothing is joined. */
static void test_no_ticket(void **state)
{
	struct fakevm *v = vm_start(7);
	int pair[2];

	assert_int_equal(unix_pair(SOCK_STREAM, pair), 0);
	assert_int_equal(vm_ticket(v, 9, 600, false, pair[0]), 0); /* guest may connect to (9, 600) */
	assert_int_equal(req_wait(guest_connect(v, 9, 601), 300), -ETIMEDOUT);
	assert_int_equal(req_wait(guest_connect(v, 8, 600), 300), -ETIMEDOUT);
	assert_int_equal(req_wait(guest_listen(v, 9, 600), 300), -ETIMEDOUT);
	close(pair[1]);
	vm_stop(v);
}

/* Fills the stream of fd from the guest until nothing more goes: data is under way everywhere. */
static void fill(int fd)
{
	static const char zeros[65536];
	unsigned idle = 0;

	while (idle < 2) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		if (poll(&p, 1, 200) == 1 && send(fd, zeros, sizeof zeros, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
			idle = 0;
		else
			idle++;
	}
}

static void agent_killed(struct fakevm *a, struct fakevm *b, bool event, unsigned n)
{
	int fa, fb, host, guest;
	_cleanup_free_ char *buf = xmalloc(4 << 20);

	join_vms(a, b, 600 + n, &fa, &fb);
	fill(fa);
	fill(fb);
	proc_kill(&a->agentd, SIGKILL);
	wait_exit(&a->agentd, NULL);
	if (event)
		vm_qmp_send(a, "{\"event\": \"VSERPORT_CHANGE\", \"data\": {\"open\": false, \"id\": \"link0\"}}");
	vm_agent_start(a);
	vm_event(a, LD_EV_LINK_DOWN, n);
	vm_event(a, LD_EV_LINK_UP, n + 1);
	/* everything of the old session ends; what B had got is delivered first */
	expect_end(fb, buf, 4 << 20);
	close(fa);
	close(fb);
	/* the new one works, the waiting role included */
	host = req_wait(guest_listen(a, 0, 512), WAIT_MS);
	guest = role_recv(a->qrexec);
	assert_true(host >= 0 && guest > 0);
	echo_both(host, guest);
	close(host);
	close(guest);
}

static void test_agent_killed(void **state)
{
	struct fakevm *a = vm_start(7), *b = vm_start(8);

	role_send(a->qrexec, IPC_LC_CONNECT, 512);
	agent_killed(a, b, true, 0);
	role_send(a->qrexec, IPC_LC_CONNECT, 512);
	agent_killed(a, b, false, 1);
	assert_int_equal(b->events[LD_EV_LINK_DOWN], 0);
	vm_stop(a);
	vm_stop(b);
}

static void test_linkd_killed(void **state)
{
	struct fakevm *a = vm_start(7), *b = vm_start(8);
	_cleanup_free_ char *buf = xmalloc(4 << 20);
	int fa, fb;

	join_vms(a, b, 600, &fa, &fb);
	fill(fa);
	proc_kill(&a->linkd, SIGKILL);
	wait_exit(&a->linkd, NULL);
	/* the shim, the roles and the other qube all see the end */
	assert_int_equal(expect_end(a->lifeline, NULL, 0), 0);
	assert_int_equal(role_recv(a->qrexec), -ECONNRESET);
	assert_int_equal(role_recv(a->qubesdb), -ECONNRESET);
	expect_end(fb, buf, 4 << 20);
	assert_int_equal(b->events[LD_EV_LINK_DOWN], 0);
	close(fa);
	close(fb);
	vm_stop(a);
	vm_stop(b);
}

static void test_role_restart(void **state)
{
	struct fakevm *v = vm_start(7);
	struct ipc_ld_role_chan c = { .role = ROLE_QREXEC_DAEMON };
	uint8_t buf[8];
	struct wr w = wr_mem(buf, sizeof buf);
	int pair[2], guest, host;

	fd_closep(&v->qrexec);
	vm_event(v, LD_EV_ROLE_GONE, 0);
	assert_int_equal(unix_pair(SOCK_SEQPACKET, pair), 0);
	ipc_put_ld_role_chan(&w, &c);
	assert_int_equal(vm_reply(v, vm_send(v, IPC_LD_ROLE_CHAN, &w, pair[1])), 0);
	close(pair[1]);
	v->qrexec = pair[0];
	role_send(v->qrexec, IPC_LC_CONNECT, 512);
	guest = req_wait(guest_listen(v, 0, 512), WAIT_MS);
	host = role_recv(v->qrexec);
	assert_true(guest >= 0 && host > 0);
	close(guest);
	close(host);
	vm_stop(v);
}

/* Each session of each qube gets its own seed. */
static void test_seeds_differ(void **state)
{
	struct fakevm *a = vm_start(7), *b = vm_start(8);
	char s1[200], s2[200], s3[200];

	vm_agent_line(a, "seed ", s1, sizeof s1);
	vm_agent_line(b, "seed ", s2, sizeof s2);
	proc_kill(&a->agentd, SIGKILL);
	wait_exit(&a->agentd, NULL);
	vm_agent_start(a);
	vm_agent_line(a, "seed ", s3, sizeof s3);
	assert_string_not_equal(s1, s2);
	assert_string_not_equal(s1, s3);
	assert_string_not_equal(s2, s3);
	vm_stop(a);
	vm_stop(b);
}

/* Sessions without end: the answers become slow instead of filling logs. */
static void test_hello_flood(void **state)
{
	struct fakevm *v = vm_start_without_agent(7);
	struct link_hello h = { .version = 1 };
	uint8_t frame[64], buf[8192];
	uint64_t t0 = now_us();
	size_t answers = 0;

	memcpy(h.magic, link_magic, sizeof h.magic);
	for (unsigned i = 0; i < 200; i++) {
		struct wr w = wr_mem(frame, sizeof frame);
		struct pollfd p = { .fd = v->port, .events = POLLIN };

		h.guest_nonce[0] = (uint8_t)i;
		link_put_hello(&w, 0, &h);
		send_all(v->port, frame, w.len);
		if (poll(&p, 1, 10) == 1)
			answers += recv(v->port, buf, sizeof buf, MSG_DONTWAIT) > 0;
	}
	assert_in_range(answers, 1, 10 + (now_us() - t0) / 500000);
	assert_int_equal(v->events[LD_EV_LINK_UP], 0);
	vm_agent_start(v);
	vm_event(v, LD_EV_LINK_UP, 0);
	vm_stop(v);
}

/* A guest that sends garbage instead of frames: the link stays down, and an honest agent afterwards gets it up. */
static void test_hostile_port(void **state)
{
	struct fakevm *v = vm_start_without_agent(7);
	uint8_t junk[4096];
	unsigned seed = 5;

	for (int round = 0; round < 200; round++) {
		struct pollfd p = { .fd = v->port, .events = POLLIN };

		for (size_t i = 0; i < sizeof junk; i++)
			junk[i] = (uint8_t)(rand_r(&seed) >> 3);
		if (round % 4 == 1) { /* a real HELLO, then junk */
			struct link_hello h = { .version = 1 };
			struct wr w = wr_mem(junk, 64);

			memcpy(h.magic, link_magic, sizeof h.magic);
			link_put_hello(&w, 0, &h);
		}
		send_all(v->port, junk, sizeof junk);
		while (poll(&p, 1, 0) == 1 && recv(v->port, junk, sizeof junk, MSG_DONTWAIT) > 0)
			;
	}
	assert_int_equal(v->events[LD_EV_LINK_UP], 0);
	vm_agent_start(v);
	vm_event(v, LD_EV_LINK_UP, 0);
	vm_stop(v);
}

static void test_console(void **state)
{
	struct fakevm *v = vm_start(7);
	_cleanup_free_ char *log = NULL;
	int viewer, second;
	size_t n;

	send_all(v->console, "boot\r\n\x1b[31mred\n", 15);
	vm_event(v, LD_EV_CONSOLE, 0);
	viewer = unix_connect(v->console_sock, SOCK_STREAM, NULL);
	assert_true(viewer >= 0);
	expect_bytes(viewer, "boot\r\n\x1b[31mred\n"); /* what was before */
	second = unix_connect(v->console_sock, SOCK_STREAM, NULL);
	expect_bytes(second, "another program uses this console\n");
	assert_int_equal(expect_end(second, NULL, 0), 0);
	send_all(viewer, "root\n", 5);
	expect_bytes(v->console, "root\n");
	send_all(v->console, "more", 4);
	expect_bytes(viewer, "more");
	close(viewer);
	close(second);
	assert_int_equal(fs_read(AT_FDCWD, v->log, 4096, &log, &n, NULL), 0);
	assert_string_equal(log, "boot\n\\x1b[31mred\nmore");
	vm_stop(v);
}

static void test_console_log_bound(void **state)
{
	struct fakevm *v = vm_start(7);
	_cleanup_free_ char *block = xmalloc(1 << 20), *log = NULL;
	int viewer;
	size_t n;

	memset(block, 'x', 1 << 20);
	for (int i = 0; i < 3; i++)
		send_all(v->console, block, 1 << 20);
	send_all(v->console, "END", 3);
	do { /* the end of the replay tells that all has been read */
		char last[65536];

		viewer = unix_connect(v->console_sock, SOCK_STREAM, NULL);
		wait_readable(viewer, "the replay");
		n = (size_t)recv(viewer, last, sizeof last, MSG_WAITALL);
		close(viewer);
		n = n == sizeof last && memcmp(last + sizeof last - 3, "END", 3) == 0;
	} while (!n);
	assert_int_equal(fs_read(AT_FDCWD, v->log, 4 << 20, &log, &n, NULL), 0);
	assert_true(n > 1 << 20 && n < (1 << 20) + 100);
	assert_true(str_ends(log, "[the console log is full]\n"));
	vm_stop(v);
}

static void test_core_returns(void **state)
{
	struct fakevm *v = vm_start(7);
	_cleanup_free_ char *path = xasprintf("%s/ctl", v->dir);
	struct msg m = { 0 };
	struct rd r;
	int again = unix_connect(path, SOCK_SEQPACKET, NULL);

	wait_readable(again, "HELLO");
	assert_int_equal(msg_recv(again, &m), 1);
	r = msg_rd(&m);
	assert_int_equal(ipc_get_ld_hello(&r, &v->hello), 0);
	assert_int_equal(v->hello.link_up, 1);
	msg_fini(&m);
	wait_readable(v->ctl, "the end of the old connection");
	assert_int_equal(msg_recv(v->ctl, &m), 0);
	close(again);
	vm_stop(v);
}

/* Many bulk streams and one small exchange: the small one is answered while the bulk flows. */
static void test_fairness(void **state)
{
	struct fakevm *a = vm_start(7), *b = vm_start(8);
	int fa[8], fb[8], sa, sb;

	for (uint32_t i = 0; i < 8; i++) {
		join_vms(a, b, 520 + i, &fa[i], &fb[i]);
		fill(fa[i]); /* nobody reads at B: every queue on the way is full */
	}
	join_vms(a, b, 600, &sa, &sb);
	for (int i = 0; i < 100; i++)
		echo_both(sa, sb);
	for (int i = 0; i < 8; i++) {
		close(fa[i]);
		close(fb[i]);
	}
	close(sa);
	close(sb);
	vm_stop(a);
	vm_stop(b);
}

/* --- rates -------------------------------------------------------------------------------------------------------------- */

static void stream(int from, int to, uint64_t total)
{
	static char out[262144], in[262144];
	uint64_t sent = 0, got = 0;

	while (got < total) {
		struct pollfd p[2] = { { .fd = sent < total ? from : -1, .events = POLLOUT }, { .fd = to, .events = POLLIN } };
		ssize_t n;

		if (poll(p, 2, WAIT_MS) <= 0)
			fail_msg("the stream stands still");
		if (p[0].revents) {
			n = send(from, out, sizeof out, MSG_DONTWAIT | MSG_NOSIGNAL);
			sent += n > 0 ? (uint64_t)n : 0;
		}
		if (p[1].revents) {
			n = recv(to, in, sizeof in, MSG_DONTWAIT);
			got += n > 0 ? (uint64_t)n : 0;
		}
	}
}

#define STREAMS 4
#define STREAM_BYTES (256ull << 20)

static int by_value(const void *a, const void *b)
{
	double x, y;

	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return x < y ? -1 : x > y;
}

static void figure(const char *name, const char *unit, double *v, size_t n)
{
	qsort(v, n, sizeof *v, by_value);
	printf("%s %.4g %s n=%zu p50=%.4g p95=%.4g\n", name, v[n / 2], unit, n, v[n / 2], v[n * 95 / 100]);
}

static void rate(const char *name, struct fakevm *v, int from, int to)
{
	_cleanup_free_ char *cpu_name = xasprintf("%s-cpu", name);
	double mib[STREAMS], cpu[STREAMS];

	for (size_t i = 0; i < STREAMS; i++) {
		uint64_t l0, l1, a0, a1, t0 = now_us();

		proc_cpu_ms(v->linkd.pid, &l0);
		proc_cpu_ms(v->agentd.pid, &a0);
		stream(from, to, STREAM_BYTES);
		mib[i] = (double)(STREAM_BYTES >> 20) * 1e6 / (double)(now_us() - t0);
		proc_cpu_ms(v->linkd.pid, &l1);
		proc_cpu_ms(v->agentd.pid, &a1);
		cpu[i] = (double)(l1 - l0 + a1 - a0) / 1000 * 4; /* both ends, for 1 GiB */
	}
	figure(name, "MiB/s", mib, STREAMS);
	figure(cpu_name, "s/GiB", cpu, STREAMS);
}

static void bench(void **state)
{
	struct fakevm *v = vm_start(7);
	struct chan_req *q;
	int pair[2], guest;
	double rtt[1000];
	char c;

	assert_int_equal(unix_pair(SOCK_STREAM, pair), 0);
	q = guest_connect(v, 9, 600);
	assert_int_equal(vm_ticket(v, 9, 600, false, pair[0]), 0);
	guest = req_wait(q, WAIT_MS);
	assert_true(guest >= 0);
	fd_nonblock(pair[1], true);
	for (size_t i = 0; i < ARRAY_SIZE(rtt); i++) {
		uint64_t t0 = now_us();

		send_all(guest, "x", 1);
		assert_int_equal(read_full(pair[1], &c, 1), 1);
		send_all(pair[1], "y", 1);
		assert_int_equal(read_full(guest, &c, 1), 1);
		rtt[i] = (double)(now_us() - t0);
	}
	figure("link-rtt", "us", rtt, ARRAY_SIZE(rtt));
	rate("link-to-host", v, guest, pair[1]);
	rate("link-to-guest", v, pair[1], guest);
	vm_stop(v);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start_and_state), cmocka_unit_test(test_powerdown_without_agent),
		cmocka_unit_test(test_machine_end),	cmocka_unit_test(test_machine_crash),
		cmocka_unit_test(test_bad_qmp),		cmocka_unit_test(test_qrexec_control),
		cmocka_unit_test(test_qubesdb_control), cmocka_unit_test(test_role_rules),
		cmocka_unit_test(test_gui), cmocka_unit_test(test_gui_without_memory), cmocka_unit_test(test_gui_rules),
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_grant),		cmocka_unit_test(test_ticket),
		cmocka_unit_test(test_no_ticket),	cmocka_unit_test(test_agent_killed),
		cmocka_unit_test(test_linkd_killed),	cmocka_unit_test(test_role_restart),
		cmocka_unit_test(test_hostile_port),	cmocka_unit_test(test_console),
		cmocka_unit_test(test_console_log_bound), cmocka_unit_test(test_core_returns),
		cmocka_unit_test(test_fairness),	cmocka_unit_test(test_seeds_differ),
		cmocka_unit_test(test_hello_flood),	cmocka_unit_test(test_disk_errors),
		cmocka_unit_test(test_disk_full),	cmocka_unit_test(test_resize),
	};
	const struct CMUnitTest benches[] = { cmocka_unit_test(bench) };
	bool want_bench = argc == 4 && streq(argv[3], "--bench");

	if (argc < 3) {
		fprintf(stderr, "usage: %s LINKD AGENTD [--bench]\n", argv[0]);
		return 2;
	}
	linkd_path = argv[1];
	agentd_path = argv[2];
	signal(SIGPIPE, SIG_IGN);
	unsetenv("VCHAN_SOCKET_DIR");
	return want_bench ? cmocka_run_group_tests(benches, NULL, NULL) : cmocka_run_group_tests(tests, NULL, NULL);
}
