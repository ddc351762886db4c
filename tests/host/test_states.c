/* SPDX-License-Identifier: GPL-3.0-or-later */
/* linkd and saved states (docs/states.md §3): a source is made still and saved, a clone loaded and woken, a paused machine seeded anew. See fakevm.h. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/str.h"
#include "fakevm.h"
#include "proto/link.h"

static int cmd(struct fakevm *v, enum ld_cmd c)
{
	uint32_t serial;

	vm_cmd_async(v, c, &serial);
	return vm_reply(v, serial);
}

static void test_source(void **state)
{
	struct fakevm *v;
	uint32_t serial;
	char text[64];

	vm_kind = "source";
	vm_state_fd = memfd_create("device", MFD_CLOEXEC);
	v = vm_start(21);
	/* Nobody calls a source, and nothing is loaded into one. */
	assert_int_equal(v->hello.qrexec_chan + v->hello.qubesdb_chan, 0);
	assert_int_equal(cmd(v, LD_LOAD), -EINVAL);
	assert_int_equal(cmd(v, LD_SAVE), -EINVAL); /* not still yet */
	vm_cmd_async(v, LD_FREEZE, &serial);
	vm_agent_line(v, "still", text, sizeof text);
	assert_int_equal(vm_reply(v, serial), 0);
	assert_int_equal(cmd(v, LD_FREEZE), -ENOTCONN);
	vm_cmd_async(v, LD_SAVE, &serial);
	vm_qmp_give(v, "migrate-set-capabilities", "x-ignore-shared", "{}");
	vm_qmp_give(v, "getfd", "\"fdname\":\"state\"", "{}");
	vm_qmp_give(v, "migrate", "\"uri\":\"fd:state\"", "{}");
	vm_qmp_send(v, "{\"event\": \"MIGRATION\", \"data\": {\"status\": \"active\"}}");
	vm_qmp_send(v, "{\"event\": \"MIGRATION\", \"data\": {\"status\": \"completed\"}}");
	assert_int_equal(vm_reply(v, serial), 0);
	assert_int_equal(v->events[LD_EV_LINK_DOWN], 0);
	vm_stop(v);
	fd_closep(&vm_state_fd);
	vm_kind = NULL;
}

static void test_source_that_cannot_be_saved(void **state)
{
	struct fakevm *v;
	uint32_t serial;

	vm_kind = "source";
	vm_state_fd = memfd_create("device", MFD_CLOEXEC);
	v = vm_start(22);
	assert_int_equal(cmd(v, LD_FREEZE), 0);
	vm_cmd_async(v, LD_SAVE, &serial);
	vm_qmp_give(v, "migrate-set-capabilities", "x-ignore-shared", "{}");
	vm_qmp_give(v, "getfd", "state", "{}");
	vm_qmp_answer(v, "migrate", "no");
	vm_qmp_send(v, "{\"event\": \"MIGRATION\", \"data\": {\"status\": \"failed\"}}");
	assert_int_equal(vm_reply(v, serial), -EIO);
	vm_stop(v);
	fd_closep(&vm_state_fd);
	vm_kind = NULL;
}

/* What the guest's port has got, up to n bytes. */
static void port_read(struct fakevm *v, uint8_t *out, size_t n)
{
	for (size_t have = 0; have < n;) {
		ssize_t k;

		wait_readable(v->port, "bytes for the guest");
		k = read(v->port, out + have, n - have);
		assert_true(k > 0);
		have += (size_t)k;
	}
}

static void expect_frame(struct fakevm *v, uint8_t type, uint8_t *payload)
{
	uint8_t hdr[LINK_HDR_LEN];
	struct link_hdr h;

	port_read(v, hdr, sizeof hdr);
	assert_int_equal(link_get_hdr(hdr, LINK_FROM_HOST, &h), 0);
	assert_int_equal(h.type, type);
	port_read(v, payload, h.len);
}

static void test_clone(void **state)
{
	uint8_t wake[LINK_CTL_MAX], seed[LINK_CTL_MAX], frame[LINK_HDR_LEN + LINK_CTL_MAX];
	struct wr w = wr_mem(frame, sizeof frame);
	struct link_seeded seeded;
	uint32_t load, cont;
	struct fakevm *v;
	char none;

	vm_kind = "clone";
	v = vm_start_without_agent(23);
	assert_int_equal(cmd(v, LD_CONT), -EINVAL); /* there is nothing to go on */
	assert_int_equal(cmd(v, LD_SAVE), -EINVAL);
	assert_int_equal(cmd(v, LD_WAKE), -ENOTCONN);
	vm_cmd_async(v, LD_LOAD, &load);
	vm_cmd_async(v, LD_CONT, &cont); /* waits for the end of the load */
	vm_qmp_give(v, "migrate-set-capabilities", "x-ignore-shared", "{}");
	vm_qmp_give(v, "query-named-block-nodes", "flat",
		    "[{\"node-name\": \"root\", \"image\": {\"virtual-size\": 1}}, {\"node-name\": \"private\", \"image\": {\"virtual-size\": 3221225472}}]");
	vm_qmp_give(v, "migrate-incoming", "\"uri\":\"fd:13\"", "{}");
	assert_int_equal(recv(v->port, &none, 1, MSG_DONTWAIT), -1);
	vm_qmp_send(v, "{\"event\": \"MIGRATION\", \"data\": {\"status\": \"completed\"}}");
	vm_qmp_give(v, "block_resize", "3221225472", "{}");
	assert_int_equal(vm_reply(v, load), 0);
	vm_qmp_answer(v, "cont", NULL);
	vm_qmp_send(v, "{\"event\": \"RESUME\"}");
	assert_int_equal(vm_reply(v, cont), 0);
	/* The first thing that the guest gets. */
	expect_frame(v, LINK_WAKE, wake);
	expect_frame(v, LINK_SEED, seed);
	assert_int_equal(v->events[LD_EV_LINK_UP], 0);
	memcpy(seeded.host_nonce, wake + LINK_MAGIC_LEN + 4, LINK_NONCE_LEN);
	link_put_seeded(&w, 0, &seeded);
	send_all(v->port, frame, w.len);
	vm_event(v, LD_EV_LINK_UP, 0);
	vm_stop(v);
	vm_kind = NULL;
}

static void test_clone_that_does_not_load(void **state)
{
	uint32_t load, cont;
	struct fakevm *v;

	vm_kind = "clone";
	v = vm_start_without_agent(24);
	vm_cmd_async(v, LD_LOAD, &load);
	vm_cmd_async(v, LD_CONT, &cont);
	vm_qmp_give(v, "migrate-set-capabilities", "x-ignore-shared", "{}");
	vm_qmp_give(v, "query-named-block-nodes", "flat", "[]");
	vm_qmp_give(v, "migrate-incoming", "fd:13", "{}");
	vm_qmp_send(v, "{\"event\": \"MIGRATION\", \"data\": {\"status\": \"failed\"}}");
	assert_int_equal(vm_reply(v, load), -EIO);
	assert_int_equal(vm_reply(v, cont), -EIO);
	assert_int_equal(cmd(v, LD_CONT), -EINVAL);
	vm_stop(v);
	vm_kind = NULL;
}

/* A paused machine that is wanted now: the call that came in the pause waits for the seed. */
static void test_wake(void **state)
{
	struct fakevm *v = vm_start(25);
	struct chan_req *q = guest_listen(v, 0, 512);
	char seed[200], again[200];
	uint32_t serial;
	int host, guest;

	vm_agent_line(v, "seed ", seed, sizeof seed);
	role_send(v->qrexec, IPC_LC_CONNECT, 512);
	host = role_recv(v->qrexec);
	guest = req_wait(q, WAIT_MS);
	assert_true(host >= 0 && guest >= 0);
	vm_cmd_async(v, LD_STOP, &serial);
	vm_qmp_answer(v, "stop", NULL);
	assert_int_equal(vm_reply(v, serial), 0);
	send_all(host, "call", 4);
	/* agentd runs on here, unlike a real guest: what it does not get was held back. */
	assert_int_equal(cmd(v, LD_QUIT + 100), -EINVAL); /* a turn of linkd's loop */
	assert_int_equal(recv(guest, again, sizeof again, MSG_DONTWAIT), -1);
	vm_cmd_async(v, LD_WAKE, &serial);
	vm_qmp_answer(v, "cont", NULL);
	vm_agent_line(v, "seed ", again, sizeof again);
	assert_string_not_equal(seed, again);
	assert_int_equal(vm_reply(v, serial), 0);
	expect_bytes(guest, "call");
	assert_int_equal(v->events[LD_EV_LINK_DOWN], 0);
	close(host);
	close(guest);
	vm_stop(v);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_source), cmocka_unit_test(test_source_that_cannot_be_saved), cmocka_unit_test(test_clone),
		cmocka_unit_test(test_clone_that_does_not_load), cmocka_unit_test(test_wake),
	};

	if (argc < 3) {
		fputs("usage: test_states LINKD AGENTD\n", stderr);
		return 2;
	}
	linkd_path = argv[1];
	agentd_path = argv[2];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
