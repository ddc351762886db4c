/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The qube without QEMU. */
#include "fakevm.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fsx.h"
#include "base/io.h"
#include "base/str.h"
#include "proto/fds.h"

const char *vm_kind;
int vm_state_fd = -1, vm_gui_fd = -1;
const char *linkd_path, *agentd_path;

void wait_readable(int fd, const char *what)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, WAIT_MS) != 1)
		fail_msg("waited in vain for %s", what);
}

void expect_bytes(int fd, const char *text)
{
	size_t n = strlen(text), have = 0;
	char buf[256];

	assert_true(n < sizeof buf);
	while (have < n) {
		ssize_t r;

		wait_readable(fd, text);
		r = read(fd, buf + have, n - have);
		if (r <= 0)
			fail_msg("end of stream before '%s'", text);
		have += (size_t)r;
	}
	assert_memory_equal(buf, text, n);
}

size_t expect_end(int fd, void *buf, size_t cap)
{
	size_t have = 0;
	char one;

	for (;;) {
		ssize_t r;

		wait_readable(fd, "the end of a stream");
		r = have < cap ? read(fd, (char *)buf + have, cap - have) : read(fd, &one, 1);
		if (r < 0 && errno == EAGAIN)
			continue;
		if (r < 0 && errno != ECONNRESET)
			fail_msg("read: %s", strerror(errno));
		if (r <= 0)
			return have;
		if (have == cap)
			fail_msg("more than %zu bytes", cap);
		have += (size_t)r;
	}
}

void send_all(int fd, const void *p, size_t n)
{
	assert_int_equal(write_full(fd, p, n), 0);
}

void wait_exit(struct proc *p, int *ret_status)
{
	int status, r = proc_wait(p, WAIT_MS, &status);

	if (r < 0)
		fail_msg("a process did not end");
	if (ret_status)
		*ret_status = status;
}

/* --- QEMU's side --------------------------------------------------------------------------------------------------- */

static void qmp_line(struct fakevm *v, char *out, size_t cap)
{
	for (;;) {
		char *nl = memchr(v->qmp_buf, '\n', v->qmp_len);
		ssize_t r;

		if (nl) {
			size_t n = (size_t)(nl - v->qmp_buf);

			assert_true(n < cap);
			memcpy(out, v->qmp_buf, n);
			out[n] = '\0';
			v->qmp_len -= n + 1;
			memmove(v->qmp_buf, nl + 1, v->qmp_len);
			return;
		}
		wait_readable(v->qmp, "a QMP command");
		r = read(v->qmp, v->qmp_buf + v->qmp_len, sizeof v->qmp_buf - v->qmp_len);
		assert_true(r > 0);
		v->qmp_len += (size_t)r;
	}
}

void vm_qmp_send(struct fakevm *v, const char *line)
{
	send_all(v->qmp, line, strlen(line));
	send_all(v->qmp, "\r\n", 2);
}

/* The next command: its id, and its line for those who want to see its arguments. */
static unsigned long qmp_command(struct fakevm *v, const char *command, char *line, size_t cap)
{
	_cleanup_free_ char *want = xasprintf("\"execute\":\"%s\"", command);
	char *id;

	qmp_line(v, line, cap);
	if (!strstr(line, want))
		fail_msg("QMP: '%s' instead of %s", line, command);
	id = strstr(line, "\"id\":");
	assert_non_null(id);
	return strtoul(id + 5, NULL, 10);
}

void vm_qmp_answer(struct fakevm *v, const char *command, const char *error)
{
	_cleanup_free_ char *reply = NULL;
	char line[1024];
	unsigned long id = qmp_command(v, command, line, sizeof line);

	if (error)
		reply = xasprintf("{\"id\": %lu, \"error\": {\"class\": \"GenericError\", \"desc\": \"%s\"}}", id, error);
	else
		reply = xasprintf("{\"return\": {}, \"id\": %lu}", id);
	vm_qmp_send(v, reply);
}

void vm_qmp_give(struct fakevm *v, const char *command, const char *argument, const char *result)
{
	_cleanup_free_ char *reply = NULL;
	char line[1024];
	unsigned long id = qmp_command(v, command, line, sizeof line);

	if (!strstr(line, argument))
		fail_msg("QMP: '%s' lacks %s", line, argument);
	reply = xasprintf("{\"return\": %s, \"id\": %lu}", result, id);
	vm_qmp_send(v, reply);
}

/* --- the core's side -------------------------------------------------------------------------------------------------- */

static void core_message(struct fakevm *v, struct msg *m)
{
	int r;

	wait_readable(v->ctl, "a message of linkd");
	r = msg_recv(v->ctl, m);
	if (r != 1)
		fail_msg("linkd.ctl ended");
	if (m->type == IPC_LD_EVENT) {
		struct ipc_ld_event ev;
		struct rd rd = msg_rd(m);

		assert_int_equal(ipc_get_ld_event(&rd, &ev), 0);
		assert_true(rd_done(&rd) && ev.event < LD_EV_N);
		v->events[ev.event]++;
		if (ev.event == LD_EV_CALL)
			v->call = ev;
	}
}

void vm_event(struct fakevm *v, enum ld_event ev, unsigned n)
{
	while (v->events[ev] <= n) {
		struct msg m = { 0 };

		core_message(v, &m);
		msg_fini(&m);
	}
}

uint32_t vm_send(struct fakevm *v, uint32_t type, const struct wr *w, int fd)
{
	assert_int_equal(msg_send(v->ctl, type, ++v->serial, 0, w, &fd, fd >= 0 ? 1 : 0), 0);
	return v->serial;
}

int vm_reply(struct fakevm *v, uint32_t serial)
{
	for (;;) {
		struct msg m = { 0 };
		bool mine;
		int r;

		core_message(v, &m);
		mine = m.flags & MSG_F_REPLY && m.serial == serial;
		r = mine ? ipc_reply_err(&m, NULL) : 0;
		msg_fini(&m);
		if (mine)
			return r;
	}
}

int vm_cmd_async(struct fakevm *v, enum ld_cmd cmd, uint32_t *ret_serial)
{
	struct ipc_ld_cmd c = { .cmd = (uint8_t)cmd };
	uint8_t buf[8];
	struct wr w = wr_mem(buf, sizeof buf);

	ipc_put_ld_cmd(&w, &c);
	*ret_serial = vm_send(v, IPC_LD_CMD, &w, -1);
	return 0;
}

int vm_ticket(struct fakevm *v, uint32_t peer, uint32_t port, bool guest_listens, int fd)
{
	struct ipc_ld_ticket t = { .peer = peer, .port = port, .guest_listens = guest_listens };
	uint8_t buf[16];
	struct wr w = wr_mem(buf, sizeof buf);
	int r;

	ipc_put_ld_ticket(&w, &t);
	r = vm_reply(v, vm_send(v, IPC_LD_TICKET, &w, fd));
	close(fd);
	return r;
}

/* --- roles and programs ------------------------------------------------------------------------------------------------- */

void role_send(int chan, uint32_t type, uint32_t port)
{
	struct ipc_lc_listen l = { .port = port };
	struct ipc_lc_grant g = { .port = port };
	uint8_t buf[16];
	struct wr w = wr_mem(buf, sizeof buf);

	if (type == IPC_LC_GRANT)
		ipc_put_lc_grant(&w, &g);
	else
		ipc_put_lc_listen(&w, &l);
	assert_int_equal(msg_send(chan, type, 77, 0, &w, NULL, 0), 0);
}

int role_recv(int chan)
{
	_cleanup_msg_ struct msg m = { 0 };
	int r;

	wait_readable(chan, "an answer of linkd");
	if (msg_recv(chan, &m) != 1)
		return -ECONNRESET;
	assert_int_equal(m.serial, 77);
	r = ipc_reply_err(&m, NULL);
	return r < 0 ? r : m.n_fds ? STEAL_FD(m.fds[0]) : 0;
}

struct chan_req *guest_listen(struct fakevm *v, uint32_t peer, uint32_t port)
{
	setenv("BULKHEAD_LINK_SOCKET", v->link_sock, 1);
	return chan_listen_start(NULL, peer, port, NULL);
}

struct chan_req *guest_connect(struct fakevm *v, uint32_t peer, uint32_t port)
{
	setenv("BULKHEAD_LINK_SOCKET", v->link_sock, 1);
	return chan_connect_start(NULL, peer, port, NULL);
}

int req_wait(struct chan_req *q, int timeout_ms)
{
	_cleanup_(chan_req_freep) struct chan_req *own = q;
	struct pollfd p;

	assert_non_null(q);
	p = (struct pollfd){ .fd = chan_req_fd(q), .events = POLLIN };
	for (;;) {
		int r = chan_req_finish(q, NULL);

		if (r != -EAGAIN)
			return r;
		if (poll(&p, 1, timeout_ms) == 0)
			return -ETIMEDOUT;
	}
}

/* --- start and end --------------------------------------------------------------------------------------------------------- */

void vm_agent_line(struct fakevm *v, const char *prefix, char *out, size_t cap)
{
	for (;;) {
		char line[512];
		size_t n = 0;

		for (;;) {
			wait_readable(v->agent_out, prefix);
			if (read(v->agent_out, line + n, 1) != 1)
				fail_msg("agentd ended before '%s'", prefix);
			if (line[n] == '\n')
				break;
			assert_true(++n < sizeof line);
		}
		line[n] = '\0';
		if (str_starts(line, prefix)) {
			assert_int_equal(str_copy(out, cap, line + strlen(prefix)), 0);
			return;
		}
	}
}

void vm_agent_start(struct fakevm *v)
{
	const char *argv[] = { "agentd", "--port-fd", "3", "--socket", v->link_sock, NULL };
	struct proc_spec s = { .path = agentd_path, .argv = argv, .keep_stderr = true };
	struct err e = { 0 };
	int out[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	s.fds[s.n_fds].fd = v->port;
	s.fds[s.n_fds++].as = 3;
	s.fds[s.n_fds].fd = out[1];
	s.fds[s.n_fds++].as = 1;
	fd_closep(&v->agent_out);
	if (proc_spawn(&v->agentd, &s, &e) < 0)
		fail_msg("%s", e.msg);
	close(out[1]);
	v->agent_out = out[0];
}

static void spawn_linkd(struct fakevm *v, const int fds[LINKD_FD_N])
{
	_cleanup_free_ char *qid = xasprintf("%u", v->qid), *name = xasprintf("vm%u", v->qid);
	const char *argv[24] = { "linkd", "--qid", qid, "--name", name, "--start-id", "run-1", "--vmm", "qemu", "--accel", "tcg",
				 "--qemu-pid", "4711", "--qemu-start", "99" };
	size_t n = 15;
	const char *env[] = { "PATH=/usr/bin:/bin", NULL, NULL };
	struct proc_spec s = { .path = linkd_path, .argv = argv, .keep_stderr = true, .envp = env };
	_cleanup_free_ char *off = NULL;
	struct err e = { 0 };

	/* Builds with sanitizers may need it; others ignore it. */
	if (getenv("BULKHEAD_SANDBOX"))
		env[1] = off = xasprintf("BULKHEAD_SANDBOX=%s", getenv("BULKHEAD_SANDBOX"));
	for (int i = 3; i < LINKD_FD_N; i++) {
		s.fds[s.n_fds].fd = fds[i];
		s.fds[s.n_fds++].as = i;
	}
	if (vm_state_fd >= 0) {
		s.fds[s.n_fds].fd = vm_state_fd;
		s.fds[s.n_fds++].as = LINKD_FD_STATE;
	}
	if (vm_kind) {
		argv[n++] = "--start";
		argv[n++] = vm_kind;
		argv[n++] = "--state-fd";
		argv[n++] = "13";
	}
	if (vm_gui_fd >= 0) {
		s.fds[s.n_fds].fd = vm_gui_fd;
		s.fds[s.n_fds++].as = LINKD_FD_GUI;
		argv[n++] = "--gui-mib";
		argv[n++] = "16";
		argv[n++] = "--gui-machine-fd";
		argv[n++] = "21";
	}
	if (proc_spawn(&v->linkd, &s, &e) < 0)
		fail_msg("%s", e.msg);
}

static int pair(int type, int *ret_theirs)
{
	int p[2];

	assert_int_equal(unix_pair(type, p), 0);
	*ret_theirs = p[1];
	return p[0];
}

static void core_connect(struct fakevm *v, const char *path)
{
	struct msg m = { 0 };
	struct rd r;

	v->ctl = unix_connect(path, SOCK_SEQPACKET, NULL);
	assert_true(v->ctl >= 0);
	core_message(v, &m);
	r = msg_rd(&m);
	assert_int_equal(m.type, IPC_LD_HELLO);
	assert_int_equal(ipc_get_ld_hello(&r, &v->hello), 0);
	assert_true(rd_done(&r));
	msg_fini(&m);
}

void vm_core_again(struct fakevm *v)
{
	_cleanup_free_ char *ctl = xasprintf("%s/ctl", v->dir);

	fd_closep(&v->ctl);
	core_connect(v, ctl);
}

struct fakevm *vm_start_without_agent(uint32_t qid)
{
	struct fakevm *v = xcalloc(1, sizeof *v);
	_cleanup_free_ char *ctl = NULL;
	int fds[LINKD_FD_N];

	v->qid = qid;
	v->linkd = v->agentd = PROC_INIT;
	v->agent_out = -1;
	assert_int_equal(str_printf(v->dir, sizeof v->dir, "/tmp/bhlink.%d.%u", getpid(), qid), 0);
	assert_int_equal(fs_mkdir_p(v->dir, 0700, NULL), 0);
	assert_int_equal(str_printf(v->link_sock, sizeof v->link_sock, "%s/guest.sock", v->dir), 0);
	assert_int_equal(str_printf(v->chan_sock, sizeof v->chan_sock, "%s/chan.sock", v->dir), 0);
	assert_int_equal(str_printf(v->console_sock, sizeof v->console_sock, "%s/console.sock", v->dir), 0);
	assert_int_equal(str_printf(v->log, sizeof v->log, "%s/console.log", v->dir), 0);
	ctl = xasprintf("%s/ctl", v->dir);
	v->qmp = pair(SOCK_STREAM, &fds[LINKD_FD_QMP]);
	v->port = pair(SOCK_STREAM, &fds[LINKD_FD_LINK]);
	v->console = pair(SOCK_STREAM, &fds[LINKD_FD_CONSOLE]);
	v->qrexec = pair(SOCK_SEQPACKET, &fds[LINKD_FD_QREXEC]);
	v->qubesdb = pair(SOCK_SEQPACKET, &fds[LINKD_FD_QUBESDB]);
	v->lifeline = pair(SOCK_STREAM, &fds[LINKD_FD_LIFELINE]);
	fds[LINKD_FD_CTL] = unix_listen(ctl, SOCK_SEQPACKET, 0600, NULL);
	fds[LINKD_FD_CHAN] = unix_listen(v->chan_sock, SOCK_SEQPACKET, 0600, NULL);
	fds[LINKD_FD_CONSOLE_LISTEN] = unix_listen(v->console_sock, SOCK_STREAM, 0600, NULL);
	fds[LINKD_FD_LOG] = open(v->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	spawn_linkd(v, fds);
	for (int i = 3; i < LINKD_FD_N; i++)
		close(fds[i]);
	vm_qmp_send(v, "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}}, \"capabilities\": []}}");
	vm_qmp_answer(v, "qmp_capabilities", NULL);
	core_connect(v, ctl);
	return v;
}

struct fakevm *vm_start(uint32_t qid)
{
	struct fakevm *v = vm_start_without_agent(qid);

	vm_agent_start(v);
	vm_event(v, LD_EV_LINK_UP, 0);
	return v;
}

void vm_stop(struct fakevm *v)
{
	proc_fini(&v->agentd);
	proc_fini(&v->linkd);
	fd_closep(&v->qmp);
	fd_closep(&v->port);
	fd_closep(&v->console);
	fd_closep(&v->lifeline);
	fd_closep(&v->ctl);
	fd_closep(&v->qrexec);
	fd_closep(&v->qubesdb);
	fd_closep(&v->agent_out);
	(void)fs_rm_rf(AT_FDCWD, v->dir, NULL);
	free(v);
}
