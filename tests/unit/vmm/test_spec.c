/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Machine descriptions: round trip, and that no bad value passes the decoder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "vmm/spec.h"

#define KEY_REST "0123456789abcdef0123456789abcde"
#define KEY "f" KEY_REST

static struct vm_spec sample(void)
{
	struct vm_spec s = { .qid = 7, .name = "work", .uuid = "0f0e0d0c-0b0a-4908-8706-050403020100", .start_id = "abc-1",
			     .default_user = "user", .kernel = "6.1.0-cloud", .kernelopts = "a=b c", .accel = ACCEL_TCG,
			     .template_based = true, .memory_mib = 400, .vcpus = 2, .gui_mib = 256, .n_disks = 3 };

	s.disks[0] = (struct vm_disk){ .serial = "root", .pool_dir = "/var/lib/qubes", .readonly = true, .n_layers = 2,
				       .layers = { { "vm-templates/deb/root.img", VM_FMT_RAW },
						   { "vm-templates/deb/root.l1.qcow2", VM_FMT_QCOW2 } } };
	s.disks[1] = (struct vm_disk){ .serial = "private", .pool_dir = "/var/lib/qubes", .n_layers = 1,
				       .layers = { { "appvms/mail/private-dirty.img", VM_FMT_RAW } } };
	s.disks[2] = (struct vm_disk){ .serial = "volatile", .pool_dir = "/var/lib/qubes", .ephemeral_size = 10ull << 30 };
	return s;
}

static int decode(const struct vm_spec *s, struct vm_spec *out, struct err *e)
{
	_cleanup_wr_ struct wr w = wr_grow(65536);
	struct rd r;

	vm_spec_put(&w, s);
	assert_true(wr_ok(&w));
	r = rd_mem(w.buf, w.len);
	return vm_spec_get(&r, out, e);
}

static void round_trip(void **state)
{
	struct vm_spec s = sample(), out;
	struct err e = { 0 };

	assert_int_equal(decode(&s, &out, &e), 0);
	assert_memory_equal(&s, &out, sizeof s);
}

static void truncated(void **state)
{
	_cleanup_wr_ struct wr w = wr_grow(65536);
	struct vm_spec s = sample(), out;

	vm_spec_put(&w, &s);
	for (size_t n = 0; n < w.len; n++) {
		struct rd r = rd_mem(w.buf, n);

		assert_int_equal(vm_spec_get(&r, &out, NULL), -EBADMSG);
	}
	wr_u8(&w, 0);
	struct rd r = rd_mem(w.buf, w.len);

	assert_int_equal(vm_spec_get(&r, &out, NULL), -EBADMSG);
}

static void states(void **state)
{
	static const uint8_t starts[] = { VM_START_SOURCE, VM_START_CLONE };

	for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
		struct vm_spec s = sample(), out;

		s.start = starts[i];
		assert_int_equal(str_copy(s.state, sizeof s.state, KEY), 0);
		assert_int_equal(decode(&s, &out, NULL), 0);
		assert_memory_equal(&s, &out, sizeof s);
	}
}

/* One disk may be given. */
static void given(void **state)
{
	static const uint8_t formats[] = { VM_FMT_GIVEN, VM_FMT_GIVEN_DEVICE };

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct vm_spec s = sample(), out;

		assert_int_equal(vm_spec_given(&s), -1);
		s.disks[1].layers[0].format = formats[i];
		assert_int_equal(decode(&s, &out, NULL), 0);
		assert_memory_equal(&s, &out, sizeof s);
		assert_int_equal(vm_spec_given(&out), 1);
	}
}

/* Each row spoils one field. */
#define BAD(name, code, ...)                                                                       \
	static void bad_##name(struct vm_spec *s)                                                  \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
	}
#define TEXT(f, v) assert_int_equal(str_copy(s->f, sizeof s->f, v), 0)
#define ROWS                                                                                       \
	BAD(qid0, EINVAL, s->qid = 0)                                                              \
	BAD(qid_big, EINVAL, s->qid = 0x10000)                                                     \
	BAD(dom0, EINVAL, TEXT(name, "dom0"))                                                      \
	BAD(name_slash, EINVAL, TEXT(name, "a/b"))                                                 \
	BAD(name_comma, EINVAL, TEXT(name, "a,b"))                                                 \
	BAD(uuid, EINVAL, TEXT(uuid, "0F0E0D0C-0B0A-4908-8706-050403020100"))                      \
	BAD(start_id, EINVAL, TEXT(start_id, "--x y"))                                             \
	BAD(start_id_empty, EINVAL, TEXT(start_id, ""))                                            \
	BAD(user_dash, EINVAL, TEXT(default_user, "-u"))                                           \
	BAD(user_colon, EINVAL, TEXT(default_user, "a:b"))                                         \
	BAD(kernel_up, EINVAL, TEXT(kernel, ".."))                                                 \
	BAD(kernel_slash, EINVAL, TEXT(kernel, "a/b"))                                             \
	BAD(opts_newline, EINVAL, TEXT(kernelopts, "a\nb"))                                        \
	BAD(accel, EINVAL, s->accel = 3)                                                           \
	BAD(start, EINVAL, s->start = VM_START_N)                                                  \
	BAD(cold_with_key, EINVAL, TEXT(state, KEY))                                               \
	BAD(clone_without_key, EINVAL, s->start = VM_START_CLONE)                                  \
	BAD(source_without_key, EINVAL, s->start = VM_START_SOURCE)                                \
	BAD(key_capital, EINVAL, s->start = VM_START_CLONE; TEXT(state, "A" KEY_REST))             \
	BAD(key_slash, EINVAL, s->start = VM_START_CLONE; TEXT(state, "/" KEY_REST))               \
	BAD(key_short, EINVAL, s->start = VM_START_CLONE; TEXT(state, KEY_REST))                   \
	BAD(memory_small, EINVAL, s->memory_mib = 15)                                              \
	BAD(memory_big, EINVAL, s->memory_mib = UINT32_MAX)                                        \
	BAD(vcpus, EINVAL, s->vcpus = 0)                                                           \
	BAD(vcpus_big, EINVAL, s->vcpus = 241)                                                     \
	BAD(gui_small, EINVAL, s->gui_mib = 8)                                                     \
	BAD(gui_odd, EINVAL, s->gui_mib = 48)                                                      \
	BAD(gui_big, EINVAL, s->gui_mib = 2048)                                                    \
	BAD(serial_comma, EINVAL, TEXT(disks[0].serial, "root,x"))                                 \
	BAD(serial_twice, EINVAL, TEXT(disks[1].serial, "root"))                                   \
	BAD(pool_relative, EINVAL, TEXT(disks[0].pool_dir, "var/lib"))                             \
	BAD(pool_up, EINVAL, TEXT(disks[0].pool_dir, "/var/../etc"))                               \
	BAD(pool_up_end, EINVAL, TEXT(disks[0].pool_dir, "/var/.."))                               \
	BAD(layer_up, EINVAL, TEXT(disks[0].layers[0].path, "a/../b"))                             \
	BAD(layer_abs, EINVAL, TEXT(disks[0].layers[0].path, "/a"))                                \
	BAD(layer_dot, EINVAL, TEXT(disks[0].layers[0].path, "./a"))                               \
	BAD(layer_empty_part, EINVAL, TEXT(disks[0].layers[0].path, "a//b"))                       \
	BAD(layer_slash_end, EINVAL, TEXT(disks[0].layers[0].path, "a/"))                          \
	BAD(layer_blank, EINVAL, TEXT(disks[0].layers[0].path, "a b"))                             \
	BAD(raw_overlay, EINVAL, s->disks[0].layers[1].format = VM_FMT_RAW)                        \
	BAD(format, EINVAL, s->disks[0].layers[0].format = VM_FMT_N)                               \
	BAD(given_over, EINVAL, s->disks[0].layers[0].format = VM_FMT_GIVEN)                      \
	BAD(given_upper, EINVAL, s->disks[0].layers[1].format = VM_FMT_GIVEN)                     \
	BAD(given_size, EINVAL, s->disks[1].layers[0].format = VM_FMT_GIVEN_DEVICE; s->disks[1].ephemeral_size = 512) \
	BAD(given_twice, EINVAL, s->disks[0].n_layers = 1; s->disks[0].layers[0].format = VM_FMT_GIVEN; s->disks[1].layers[0].format = VM_FMT_GIVEN_DEVICE) \
	BAD(given_clone, EINVAL, s->disks[1].layers[0].format = VM_FMT_GIVEN; s->start = VM_START_CLONE; TEXT(state, KEY)) \
	BAD(no_layer, EINVAL, s->disks[0].n_layers = 0)                                            \
	BAD(ephemeral_ro, EINVAL, s->disks[2].readonly = true)                                     \
	BAD(ephemeral_odd, EINVAL, s->disks[2].ephemeral_size = 511)                               \
	BAD(ephemeral_big, EINVAL, s->disks[2].ephemeral_size = 65ull << 40)
ROWS
#undef BAD

static void bad_values(void **state)
{
#define BAD(name, code, ...) { bad_##name, code, #name },
	static const struct {
		void (*spoil)(struct vm_spec *s);
		int code;
		const char *name;
	} rows[] = { ROWS };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct vm_spec s = sample(), out = { .qid = 99 };
		struct err e = { 0 };
		int r;

		rows[i].spoil(&s);
		r = decode(&s, &out, &e);
		if (r != -rows[i].code)
			fail_msg("%s: got %d", rows[i].name, r);
		assert_true(e.msg[0]);
		assert_int_equal(out.qid, 99);
	}
}

static void too_many(void **state)
{
	_cleanup_wr_ struct wr w = wr_grow(65536);
	struct vm_spec s = sample();

	s.n_disks = VM_DISKS_MAX + 1;
	vm_spec_put(&w, &s);
	assert_false(wr_ok(&w));
	wr_reset(&w);
	s = sample();
	s.disks[0].n_layers = VM_LAYERS_MAX + 1;
	vm_spec_put(&w, &s);
	assert_false(wr_ok(&w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip), cmocka_unit_test(states), cmocka_unit_test(given),
		cmocka_unit_test(truncated),
		cmocka_unit_test(bad_values),
		cmocka_unit_test(too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
