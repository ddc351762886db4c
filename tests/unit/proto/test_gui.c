/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The GUI protocol's bytes (gui.def), golden for some messages, both ways for all; and the messages between guid and clipd (desk.def). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/desk.h"
#include "proto/gui.h"

static void test_golden(void **state)
{
	static const uint8_t configure[] = { 134, 0, 0, 0, 0x78, 0x56, 0x34, 0x12, 20, 0, 0, 0, 1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0 };
	static const uint8_t xconf[] = { 8, 0, 1, 0, 0, 5, 0, 0, 0x20, 3, 0, 0, 24, 0, 0, 0, 0xa1, 0xf, 0, 0 };
	static const uint8_t ack[] = { 2, 0, 0x48, 0x42, 9, 0, 0, 0, 0, 0, 0, 0 };
	struct wr w = wr_grow(4096);

	gui_put_configure(&w, 0x12345678, &(struct gui_configure){ 1, -2, 3, 4, 5, 0 });
	assert_true(wr_ok(&w));
	assert_int_equal(w.len, sizeof configure);
	assert_memory_equal(w.buf, configure, sizeof configure);
	wr_reset(&w);
	gui_put_version(&w, GUI_VERSION);
	gui_put_xconf(&w, &(struct gui_xconf){ 1280, 800, 24, 4001 });
	assert_memory_equal(w.buf, xconf, sizeof xconf);
	wr_reset(&w);
	gui_put_frame_ack(&w, 9, &(struct gui_frame_ack){ 0 });
	assert_int_equal(w.len, sizeof ack);
	assert_memory_equal(w.buf, ack, sizeof ack);
	wr_free(&w);
}

/* Numbers and lengths of the reference. */
static void test_lengths(void **state)
{
	static const struct {
		uint32_t type, len;
		unsigned who;
	} rows[] = {
		{ 124, 20, GUI_FROM_HOST },  { 125, 20, GUI_FROM_HOST }, { 126, 16, GUI_FROM_HOST },  { 127, 28, GUI_FROM_HOST },   { 128, 12, GUI_FROM_HOST },
		{ 130, 24, GUI_FROM_GUEST }, { 131, 0, GUI_FROM_BOTH },	 { 132, 8, GUI_FROM_BOTH },   { 133, 0, GUI_FROM_GUEST },   { 134, 20, GUI_FROM_BOTH },
		{ 136, 16, GUI_FROM_GUEST }, { 137, 0, GUI_FROM_HOST },	 { 139, 0, GUI_FROM_HOST },   { 141, 128, GUI_FROM_GUEST }, { 142, 32, GUI_FROM_HOST },
		{ 143, 0, GUI_FROM_GUEST },  { 144, 36, GUI_FROM_GUEST }, { 145, 8, GUI_FROM_BOTH },  { 146, 128, GUI_FROM_GUEST }, { 148, 4, GUI_FROM_GUEST },
		{ 149, 0, GUI_FROM_HOST },
	};
	uint8_t buf[256] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (int d = -1; d <= 1; d++) {
			struct wr w = wr_mem(buf, sizeof buf);
			unsigned other = GUI_FROM_BOTH & ~rows[i].who;
			struct gui_frame f;

			if (rows[i].len == 0 && d < 0)
				continue;
			wr_u32le(&w, rows[i].type);
			wr_u32le(&w, 7);
			wr_u32le(&w, (uint32_t)((int)rows[i].len + d));
			assert_int_equal(gui_who(rows[i].type), rows[i].who);
			assert_string_not_equal(gui_name(rows[i].type), "unknown");
			assert_int_equal(gui_frame(&f, buf, sizeof buf, rows[i].who), d ? -EBADMSG : 1);
			if (other)
				assert_int_equal(gui_frame(&f, buf, sizeof buf, other), -EBADMSG);
			if (d)
				continue;
			assert_int_equal(gui_frame(&f, buf, sizeof buf, rows[i].who), 1);
			assert_int_equal(f.size, GUI_HDR_LEN + rows[i].len);
			assert_int_equal(rd_left(&f.body), rows[i].len);
			for (size_t n = 0; n < f.size; n++)
				assert_int_equal(gui_frame(&f, buf, n, rows[i].who), 0);
		}
	assert_string_equal(gui_name(129), "unknown");
	assert_int_equal(gui_who(129), 0);
}

/* Everything that is written is read as it was, and no other length is. */
#define ROUND(name, max)                                                                                    \
	do {                                                                                                \
		struct gui_##name a, b;                                                                     \
		struct wr w = wr_mem(buf, sizeof buf);                                                      \
                                                                                                            \
		memset(&a, 0, sizeof a);                                                                    \
		for (size_t i_ = 0; i_ + 4 < sizeof a; i_++)                                                \
			((uint8_t *)&a)[i_] = (uint8_t)(i_ * 37 + 1);                                       \
		PUT(name, &w, &a);                                                                          \
		assert_true(wr_ok(&w));                                                                     \
		struct rd r = rd_mem(buf + GUI_HDR_LEN, w.len - GUI_HDR_LEN);                               \
		assert_int_equal(GET(name, r, &b), 0);                                                      \
		w = wr_mem(buf + 512, 512);                                                                 \
		PUT(name, &w, &b);                                                                          \
		assert_memory_equal(buf, buf + 512, w.len);                                                 \
		if (w.len > GUI_HDR_LEN) {                                                                  \
			r = rd_mem(buf + GUI_HDR_LEN, w.len - GUI_HDR_LEN - 1);                             \
			assert_int_equal(GET(name, r, &b), -EBADMSG);                                       \
		}                                                                                           \
	} while (0);

static void test_round(void **state)
{
	uint8_t buf[1024];

#define PUT(name, w, m) gui_put_##name(w, 5, m)
#define GET(name, r, m) gui_get_##name(r, m)
#define GUI(symbol, number, name, who, fields) ROUND(name, 0)
#define GUIV(symbol, number, name, who, min, max, fields)
#include "proto/gui.def"
#undef PUT
#undef GET
#undef GUI
#undef GUIV
#define PUT(name, w, m) gui_put_##name(w, 5, m, 0)
#define GET(name, r, m) gui_get_##name(&(r), m)
#define GUI(symbol, number, name, who, fields)
#define GUIV(symbol, number, name, who, min, max, fields) ROUND(name, max)
#include "proto/gui.def"
#undef GUI
#undef GUIV
}

static void test_agent_reader(void **state)
{
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);
	struct gui_frame f;

	wr_u32le(&w, 0x42480fff);
	wr_u32le(&w, 1);
	wr_u32le(&w, 5);
	wr_zero(&w, 5);
	assert_int_equal(gui_frame(&f, buf, w.len, GUI_FROM_HOST), -EBADMSG);
	assert_int_equal(gui_frame_agent(&f, buf, w.len), 1);
	assert_int_equal(f.size, GUI_HDR_LEN + 5);
	w = wr_mem(buf, sizeof buf);
	wr_u32le(&w, 0x42480fff);
	wr_u32le(&w, 1);
	wr_u32le(&w, GUI_BODY_MAX + 1);
	assert_int_equal(gui_frame_agent(&f, buf, w.len), -EBADMSG);
}

static void test_greeting(void **state)
{
	static const uint8_t raw[] = { 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5 };
	struct gui_xconf x;
	uint32_t v = 0;

	assert_int_equal(gui_version_pick(0x10008, &v), 0);
	assert_int_equal(v, 0x10008);
	assert_int_equal(gui_version_pick(0x10004, &v), 0);
	assert_int_equal(v, 0x10004);
	assert_int_equal(gui_version_pick(0x1ffff, &v), 0);
	assert_int_equal(v, 0x10008);
	assert_int_equal(gui_version_pick(0x10003, &v), -EPROTO);
	assert_int_equal(gui_version_pick(0x20008, &v), -EPROTO);
	assert_int_equal(gui_version_pick(0, &v), -EPROTO);
	assert_int_equal(gui_get_xconf(rd_mem(raw, 16), &x), 0);
	assert_true(x.w == 1 && x.h == 2 && x.depth == 3 && x.mem == 4);
	assert_int_equal(gui_get_xconf(rd_mem(raw, 15), &x), -EBADMSG);
	assert_int_equal(gui_get_xconf(rd_mem(raw, 17), &x), -EBADMSG);
}

static void test_bar(void **state)
{
	const uint64_t size = 16 << 20;

	assert_true(gui_bar_ok(1, 1, 0, size));
	assert_true(gui_bar_ok(2048, 2048, 0, size));
	assert_false(gui_bar_ok(2048, 2049, 0, size));
	assert_false(gui_bar_ok(2048, 2048, 4096, size));
	assert_true(gui_bar_ok(1024, 1, size - 4096, size));
	assert_false(gui_bar_ok(1025, 1, size - 4096, size));
	assert_false(gui_bar_ok(1, 1, size, size));
	assert_false(gui_bar_ok(1, 1, size - 1, size));
	assert_false(gui_bar_ok(1, 1, 1, size));
	assert_false(gui_bar_ok(0, 1, 0, size));
	assert_false(gui_bar_ok(1, 0, 0, size));
	assert_false(gui_bar_ok(GUI_WIDTH_MAX + 1, 1, 0, UINT64_MAX));
	assert_false(gui_bar_ok(1, GUI_HEIGHT_MAX + 1, 0, UINT64_MAX));
	assert_false(gui_bar_ok(0xffffffff, 0xffffffff, 0, size));
	assert_false(gui_bar_ok(16, 16, UINT64_MAX - 4095, size));
	assert_true(gui_bar_ok(GUI_WIDTH_MAX, GUI_HEIGHT_MAX, 0, (uint64_t)GUI_WIDTH_MAX * GUI_HEIGHT_MAX * 4));
}

static void test_desk(void **state)
{
	uint8_t buf[64];
	struct wr w = wr_mem(buf, sizeof buf);
	struct desk_copy c;
	struct desk_notice n;

	desk_put_copy(&w, &(struct desk_copy){ 1, 2, DESK_COPY_TOO_LONG, 0 });
	assert_int_equal(w.len, 12);
	assert_int_equal(desk_get_copy(rd_mem(buf, w.len), &c), 0);
	assert_true(c.time == 1 && c.length == 2 && c.flags == DESK_COPY_TOO_LONG);
	assert_int_equal(desk_get_copy(rd_mem(buf, 11), &c), -EBADMSG);
	assert_int_equal(desk_get_notice(rd_mem(buf, 12), &n), -EBADMSG);
	assert_true(desk_may(DESK_COPY, 12, DESK_FROM_GUID));
	assert_false(desk_may(DESK_COPY, 12, DESK_FROM_CLIPD));
	assert_false(desk_may(DESK_COPY, 11, DESK_FROM_GUID));
	assert_true(desk_may(DESK_GIVE, 4, DESK_FROM_CLIPD));
	assert_false(desk_may(DESK_GIVE, 4, DESK_FROM_GUID));
	assert_true(desk_may(DESK_DATA, 1, DESK_FROM_GUID) && desk_may(DESK_DATA, DESK_DATA_MAX, DESK_FROM_CLIPD));
	assert_false(desk_may(DESK_DATA, 0, DESK_FROM_GUID) || desk_may(DESK_DATA, DESK_DATA_MAX + 1, DESK_FROM_GUID) || desk_may(99, 4, DESK_FROM_GUID));
	assert_string_equal(desk_name(DESK_PASTE), "PASTE");
	assert_string_equal(desk_name(99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),	     cmocka_unit_test(test_lengths),  cmocka_unit_test(test_round),
		cmocka_unit_test(test_agent_reader), cmocka_unit_test(test_greeting), cmocka_unit_test(test_bar),
		cmocka_unit_test(test_desk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
