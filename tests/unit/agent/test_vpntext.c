/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a VPN qube tells nft, ip, wg and openvpn. That it holds packets back is tests/host/run_vpn's to show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/net/vpntext.h"
#include "base/str.h"

#define KEY "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="

static char text[1 << 16];
static struct wr w;

static const char *done(void)
{
	wr_u8(&w, 0);
	assert_true(wr_ok(&w));
	return text;
}

static void begin(void)
{
	w = wr_mem(text, sizeof text);
}

static void sets(void **state)
{
	static const struct vpn_target good[] = { { .addr = "192.0.2.1", .port = 51820 }, { .addr = "2001:db8::1", .v6 = true, .tcp = true, .port = 443 } };
	static const struct vpn_target bad = { .addr = "192.0.2.1; accept", .port = 1 };
	static const char ask[][VPN_ADDR_CAP] = { "10.139.1.1" };

	begin();
	vpn_nft_sets(&w, good, 2, ask, 1);
	assert_string_equal(done(), "flush set inet bulkhead-vpn ends4\nflush set inet bulkhead-vpn ends6\nflush set inet bulkhead-vpn ask4\nflush set inet bulkhead-vpn ask6\n"
				    "add element inet bulkhead-vpn ends4 { 192.0.2.1 . 17 . 51820 }\nadd element inet bulkhead-vpn ends6 { 2001:db8::1 . 6 . 443 }\n"
				    "add element inet bulkhead-vpn ask4 { 10.139.1.1 }\n");
	begin();
	vpn_nft_sets(&w, &bad, 1, NULL, 0);
	assert_false(wr_ok(&w));
}

static void wall(void **state)
{
	begin();
	vpn_nft_wall(&w);
	assert_non_null(strstr(done(), "hook forward priority -10; policy drop;"));
	assert_non_null(strstr(text, "hook output priority -10; policy drop;"));
	assert_null(strstr(text, "flush set"));
}

static void device(void **state)
{
	struct vpn_given g = { .mtu = 1400 };
	static const struct vpn_net nets[] = { { "0.0.0.0", 0, false }, { "::", 0, true } };

	vpn_given_line(&g, "address 10.0.0.2");
	vpn_given_line(&g, "address 10.0.0.2; reboot");
	vpn_given_line(&g, "dns 10.0.0.1");
	vpn_given_line(&g, "dns name");
	vpn_given_line(&g, "mtu 100");
	vpn_given_line(&g, "route 1.2.3.4");
	assert_int_equal(g.n_addr, 1);
	assert_int_equal(g.n_dns, 1);
	begin();
	vpn_ip_device(&w, &g, nets, 2);
	assert_string_equal(done(), "link set dev vpn0 mtu 1400\naddress replace 10.0.0.2/32 dev vpn0\nlink set dev vpn0 up\nroute replace 0.0.0.0/0 dev vpn0 table 4248\n");
	vpn_given_line(&g, "address fd00::2");
	begin();
	vpn_ip_device(&w, &g, NULL, 0);
	assert_non_null(strstr(done(), "route replace ::/0 dev vpn0 table 4248\n"));
}

static void programs(void **state)
{
	static const char wg[] = "[Interface]\nPrivateKey = " KEY "\nAddress = 10.0.0.2/32\nPostUp = evil\n[Peer]\nPublicKey = " KEY "\nAllowedIPs = 0.0.0.0/0\nEndpoint = a.example:9\n";
	static const char ovpn[] = "client\nremote a.example 1194\ncipher AES-256-GCM\nup evil\n<ca>\nCA\n</ca>\n";
	static const struct vpn_target t[] = { { .addr = "192.0.2.1", .port = 9 } };
	static struct vpn_conf c;

	assert_int_equal(vpn_parse(&c, rd_mem(wg, strlen(wg)), NULL), 0);
	begin();
	vpn_wg_text(&w, &c, t, 1);
	assert_string_equal(done(), "[Interface]\nPrivateKey = " KEY "\nFwMark = 16968\n[Peer]\nPublicKey = " KEY "\nAllowedIPs = 0.0.0.0/0\nEndpoint = 192.0.2.1:9\n");
	vpn_conf_fini(&c);
	assert_int_equal(vpn_parse(&c, rd_mem(ovpn, strlen(ovpn)), NULL), 0);
	begin();
	vpn_ovpn_text(&w, &c, t, 1, "/self up /run/x", NULL);
	assert_non_null(strstr(done(), "remote 192.0.2.1 9 udp4\n"));
	assert_non_null(strstr(text, "up \"/self up /run/x\"\n"));
	assert_non_null(strstr(text, "mark 16968\nroute-noexec\nifconfig-noexec\n"));
	assert_null(strstr(text, "evil"));
	assert_null(strstr(text, "a.example"));
	vpn_conf_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(sets), cmocka_unit_test(wall), cmocka_unit_test(device), cmocka_unit_test(programs) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
