/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Texts about devices: what is accepted has one form that reads back as the same. Bytes that begin with U or B are what a guest says of its
 * devices, KEY=VALUE lines: whatever is taken from them is a well-formed device.
 */
#include "base/str.h"
#include "core/device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void name(const char *s, int (*parse)(struct dev_name *ret, const char *s, struct err *e),
		 void (*put)(struct wr *w, const struct dev_name *d))
{
	struct dev_name a, b;
	char buf[512] = "";
	struct wr w = wr_mem(buf, sizeof buf - 1);

	if (parse(&a, s, NULL) < 0)
		return;
	put(&w, &a);
	check(wr_ok(&w) && parse(&b, buf, NULL) == 0 && streq(a.backend, b.backend) && streq(a.port, b.port) && streq(a.id, b.id));
	check(dev_name_matches(&a, &a));
}

static void serialised(struct rd r)
{
	_cleanup_wr_ struct wr one = wr_grow(1u << 16), two = wr_grow(1u << 16), three = wr_grow(1u << 16), four = wr_grow(1u << 16);
	struct dev_assignment a;
	struct dev_info d;

	if (dev_assignment_parse(&a, r, NULL) == 0 && a.cls != DEV_N && a.dev.port[0] && a.dev.id[0] && a.dev.backend[0]) {
		dev_assignment_put(&one, &a);
		check(dev_assignment_parse(&a, rd_mem(one.buf, one.len), NULL) == 0);
		dev_assignment_put(&two, &a);
		check(one.len == two.len && memcmp(one.buf, two.buf, one.len) == 0);
	}
	if (dev_info_parse(&d, r, NULL) == 0 && d.cls != DEV_N && d.dev.port[0] && d.dev.id[0] && d.dev.backend[0]) {
		char text[400];

		dev_info_put(&three, &d);
		check(dev_info_parse(&d, rd_mem(three.buf, three.len), NULL) == 0);
		dev_info_put(&four, &d);
		check(three.len == four.len && memcmp(three.buf, four.buf, three.len) == 0);
		dev_info_text(&d, text, sizeof text);
		check(text[0]);
	}
}

static void guest(enum dev_class cls, struct rd r)
{
	_cleanup_devices_ struct dev_list usb = { 0 }, l = { 0 };
	struct kvmap m = { 0 };
	struct rd line;

	while (rd_line(&r, &line) && m.n < 300) {
		char text[400], *eq;
		struct rd copy = line;

		rd_text(&copy, text, sizeof text);
		eq = rd_ok(&copy) ? strchr(text, '=') : NULL;
		if (!eq)
			continue;
		*eq = '\0';
		kv_set(&m, text, eq + 1);
	}
	if (cls == DEV_BLOCK)
		device_guest_list(DEV_USB, "sys-usb", &m, NULL, &usb);
	device_guest_list(cls, "sys-usb", &m, &usb, &l);
	check(l.n <= DEVICES_MAX);
	for (size_t i = 0; i < l.n; i++) {
		_cleanup_wr_ struct wr w = wr_grow(1u << 16);
		struct dev_info again;

		check(dev_port_ok(l.v[i].dev.port) && dev_id_ok(l.v[i].dev.id) && l.v[i].cls == cls);
		dev_info_put(&w, &l.v[i]);
		check(dev_info_parse(&again, rd_mem(w.buf, w.len), NULL) == 0);
	}
	kv_clear(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_mem(data, size), all = r;
	char *s = rd_dup(&all, 4096);

	if (s) {
		name(s, dev_name_parse, dev_name_put);
		name(s, dev_name_parse_arg, dev_name_put_arg);
	}
	free(s);
	serialised(r);
	if (size && (data[0] == 'U' || data[0] == 'B'))
		guest(data[0] == 'U' ? DEV_USB : DEV_BLOCK, rd_mem(data + 1, size - 1));
	return 0;
}
