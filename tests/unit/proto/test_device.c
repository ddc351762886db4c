/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of devices in both forms, the serialised form, patterns, interfaces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "proto/device.h"

static const char *text(void (*put)(struct wr *w, const struct dev_name *d), const struct dev_name *d)
{
	static char buf[400];
	struct wr w = wr_mem(buf, sizeof buf - 1);

	memset(buf, 0, sizeof buf);
	put(&w, d);
	assert_true(wr_ok(&w));
	return buf;
}

static void test_names(void **state)
{
	static const struct {
		const char *arg, *plain;
	} good[] = {
		{ "sys-usb+1-1.2+0951:1666::u080650", "sys-usb:1-1.2:0951:1666::u080650" },
		{ "sys-usb+sda+_", "sys-usb:sda:*" },
		{ "_+_+0951:1666::u080650", "*:*:0951:1666::u080650" },
		{ "sys-usb+1-1+0000:0000::_______", "sys-usb:1-1:0000:0000::?******" },
		{ "dom0+00_1f.2+_", "dom0:00_1f.2:*" },
		{ "a+b+c+d", "a:b:c+d" },
	};
	struct dev_name d, e;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(dev_name_parse_arg(&d, good[i].arg, NULL), 0);
		assert_string_equal(text(dev_name_put, &d), good[i].plain);
		assert_int_equal(dev_name_parse(&e, good[i].plain, NULL), 0);
		assert_string_equal(text(dev_name_put_arg, &e), good[i].arg);
	}
	assert_int_equal(dev_name_parse(&d, "sys-usb:sda", NULL), 0);
	assert_string_equal(d.id, "*");
	/* In the plain form an underscore is one. */
	assert_int_equal(dev_name_parse(&d, "sys-usb:_:_", NULL), 0);
	assert_string_equal(d.port, "_");
	assert_true(dev_name_parse(&d, "sys-usb", NULL) < 0);
	assert_true(dev_name_parse(&d, "sys-usb:", NULL) < 0);
	assert_true(dev_name_parse(&d, ":sda", NULL) < 0);
	assert_true(dev_name_parse(&d, "1usb:sda", NULL) < 0);
	assert_true(dev_name_parse(&d, "sys-usb:s/a", NULL) < 0);
	assert_true(dev_name_parse(&d, "sys-usb:sda:a'b", NULL) < 0);
	assert_true(dev_name_parse(&d, "sys-usb:sda:a b", NULL) < 0);
	assert_true(dev_name_parse(&d, "sys-usb:sda:a\\b", NULL) < 0);
}

static struct dev_name named(const char *s)
{
	struct dev_name d;

	assert_int_equal(dev_name_parse(&d, s, NULL), 0);
	return d;
}

static void test_patterns(void **state)
{
	/* The most specific first. */
	static const char *const order[] = { "b:1-1:x:y", "b:1-1:*", "b:*:x:y", "b:*:*" };
	struct dev_name d = named("b:1-1:x:y"), other = named("b:1-2:x:z"), far = named("c:1-1:x:y");

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		struct dev_name p = named(order[i]);

		assert_int_equal(dev_name_rank(&p), 3 - i);
		assert_true(dev_name_matches(&p, &d));
		assert_int_equal(dev_name_matches(&p, &other), i == 3);
		assert_false(dev_name_matches(&p, &far));
		assert_int_equal(dev_name_exact(&p), i == 0);
	}
	d = named("*:1-1:x:y");
	assert_true(dev_name_matches(&d, &far));
	assert_false(dev_name_exact(&d));
}

static void test_fields(void **state)
{
	static const char *const bad[] = { "a", "a=", "a='", "a='b", "a='b''", "a='b'  c='d'", "a='b' ", " a='b'", "='b'", "a b='c'", "a='b\\'",
					   "a='b\\c'", "a='\x01'", "a='\x80'", "\"='b'" };
	static const char in[] = "a='it\\'s' b='' c='= \"x\"'";
	char out[200] = "";
	struct wr w = wr_mem(out, sizeof out - 1);
	struct rd r = rd_mem(in, strlen(in));
	struct dev_field f;

	assert_int_equal(dev_field_next(&r, &f, NULL), 1);
	assert_string_equal(f.value, "it's");
	dev_field_put(&w, f.key, f.value);
	assert_int_equal(dev_field_next(&r, &f, NULL), 1);
	assert_string_equal(f.value, "");
	dev_field_put(&w, f.key, f.value);
	assert_int_equal(dev_field_next(&r, &f, NULL), 1);
	dev_field_put(&w, f.key, f.value);
	assert_int_equal(dev_field_next(&r, &f, NULL), 0);
	assert_string_equal(out, in);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = { 0 };
		int k;

		r = rd_mem(bad[i], strlen(bad[i]));
		while ((k = dev_field_next(&r, &f, &e)) > 0)
			;
		if (k != -EBADMSG || !e.msg[0])
			fail_msg("'%s' gave %d", bad[i], k);
	}
	/* What the form cannot carry becomes _, so that it can always be read back. */
	w = wr_mem(out, sizeof out - 1);
	memset(out, 0, sizeof out);
	dev_field_put(&w, "k", "a\\b\nc\xff");
	assert_string_equal(out, "k='a_b_c_'");
}

static void test_assignment(void **state)
{
	static const char in[] = "device_id='*' port_id='sda' devclass='block' backend_domain='sys-usb' mode='required' frontend_domain='work' "
				 "_a='1' _read-only='yes'";
	char out[400] = "";
	struct wr w = wr_mem(out, sizeof out - 1);
	struct dev_assignment a;
	struct err e = { 0 };

	assert_int_equal(dev_assignment_parse(&a, rd_mem(in, strlen(in)), &e), 0);
	assert_int_equal(a.cls, DEV_BLOCK);
	assert_int_equal(a.mode, DEV_REQUIRED);
	assert_string_equal(dev_option_get(&a.opts, "read-only"), "yes");
	assert_null(dev_option_get(&a.opts, "none"));
	dev_assignment_put(&w, &a);
	assert_string_equal(out, in);
	assert_int_equal(dev_assignment_parse(&a, rd_mem("", 0), &e), 0);
	assert_int_equal(a.mode, DEV_MANUAL);
	assert_int_equal(a.cls, DEV_N);
	assert_true(dev_assignment_parse(&a, rd_mem("vendor='x'", 10), &e) < 0);
	for (unsigned i = 0; i < DEV_OPTS_MAX; i++) {
		char key[8];

		assert_int_equal(str_printf(key, sizeof key, "k%u", i), 0);
		assert_int_equal(dev_option_set(&a.opts, key, "v"), 0);
		assert_int_equal(dev_option_set(&a.opts, key, "w"), 0);
	}
	assert_int_equal(dev_option_set(&a.opts, "one-more", "v"), -E2BIG);
	assert_int_equal(dev_option_set(&a.opts, "k=", "v"), -EINVAL);
	assert_int_equal(dev_option_set(&a.opts, "k", "v\\"), -EINVAL);
	assert_string_equal(dev_option_get(&a.opts, "k3"), "w");
}

static void test_info(void **state)
{
	static const char in[] = "device_id='0951:1666:A1:u080650u030101' port_id='1-1.2' devclass='usb' backend_domain='sys-usb' vendor='V' "
				 "product='it\\'s a stick' manufacturer='M' name='N' serial='A1' attachment='work' interfaces='u080650u030101' "
				 "parent_port_id='1-1' parent_devclass='usb' _sbdf='x'";
	char out[600] = "", line[400];
	struct wr w = wr_mem(out, sizeof out - 1);
	struct dev_info d;
	struct err e = { 0 };

	assert_int_equal(dev_info_parse(&d, rd_mem(in, strlen(in)), &e), 0);
	dev_info_put(&w, &d);
	assert_string_equal(out, in);
	dev_info_text(&d, line, sizeof line);
	assert_string_equal(line, "USB Storage: M it's a stick");
	d.ifaces[0] = d.product[0] = d.name[0] = d.manufacturer[0] = d.vendor[0] = '\0';
	dev_info_text(&d, line, sizeof line);
	assert_string_equal(line, "Unknown device");
	assert_true(dev_info_parse(&d, rd_mem("interfaces='u08065'", 19), &e) < 0);
	assert_true(dev_info_parse(&d, rd_mem("interfaces='u08065x'", 20), &e) < 0);
	assert_true(dev_info_parse(&d, rd_mem("mode='required'", 15), &e) < 0);
}

static void test_interfaces(void **state)
{
	assert_true(dev_iface_ok("u03****") && dev_iface_ok("?******") && dev_iface_ok("p0c0330"));
	assert_false(dev_iface_ok("x000000") || dev_iface_ok("u00000") || dev_iface_ok("u0000G0") || dev_iface_ok(""));
	assert_true(dev_iface_matches("u03****", "u030101"));
	assert_true(dev_iface_matches("*******", "?******"));
	assert_false(dev_iface_matches("u03****", "u080650"));
	/* A rule about keyboards does not cover a device of which nothing is known. */
	assert_false(dev_iface_matches("u03****", "?******"));
	assert_string_equal(dev_iface_text("p0c0330"), "PCI USB controller");
	assert_string_equal(dev_iface_text("u030101"), "USB HID Keyboard or mouse");
	assert_string_equal(dev_mode_name(DEV_ASK), "ask-to-attach");
	assert_int_equal(dev_mode_parse("required"), DEV_REQUIRED);
	assert_int_equal(dev_mode_parse(""), DEV_MODE_N);
	assert_int_equal(dev_class_parse("usb"), DEV_USB);
	assert_int_equal(dev_class_parse("USB"), DEV_N);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	   cmocka_unit_test(test_patterns), cmocka_unit_test(test_fields),
		cmocka_unit_test(test_assignment), cmocka_unit_test(test_info),	    cmocka_unit_test(test_interfaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
