/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VPN configurations of both kinds, the bundle, and questions for names. */
#include "base/str.h"
#include "proto/dnsmsg.h"
#include "proto/vpnconf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define K1 "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
#define K2 "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
#define WG_HEAD "[Interface]\nPrivateKey = " K1 "\nAddress = 10.64.0.2/32\n"
#define WG_PEER "[Peer]\nPublicKey = " K2 "\nAllowedIPs = 0.0.0.0/0\nEndpoint = 192.0.2.1:51820\n"

static struct vpn_conf conf;
static struct err last;

static int parse(const char *text)
{
	vpn_conf_fini(&conf);
	err_clear(&last);
	return vpn_parse(&conf, rd_mem(text, strlen(text)), &last);
}

static char *written(void)
{
	struct wr w = wr_grow(1 << 20);

	vpn_write(&w, &conf);
	return wr_take(&w, NULL);
}

static bool noted(const char *part)
{
	for (size_t i = 0; i < conf.n_notes; i++)
		if (strstr(conf.note[i], part))
			return true;
	return false;
}

static void wireguard(void **state)
{
	_cleanup_free_ char *text = NULL;

	assert_int_equal(parse("# mine\n[interface]\r\nprivatekey=" K1 "\nAddress = 10.64.0.2/24, fd00::2/128\nDNS = 10.64.0.1,example.org\nMTU=1380\nPostUp = "
			       "touch /tmp/x\nTable = off\n\n[Peer]\nPublicKey = " K2 " # theirs\nPresharedKey=" K1 "\nAllowedIPs=0.0.0.0/0, ::/0\nEndpoint = "
			       "vpn.example.org:51820\nPersistentKeepalive = 25\n[Peer]\nPublicKey=" K1 "\nAllowedIPs=10.0.0.0/8\nEndpoint=[2001:DB8::1]:1\n"), 0);
	assert_int_equal(conf.kind, VPN_WIREGUARD);
	assert_int_equal(conf.n_peers, 2);
	assert_int_equal(conf.peer[1].first_net, 2);
	assert_int_equal(conf.n_notes, 3);
	assert_true(noted("PostUp runs a program") && noted("Table") && noted("search domains"));
	text = written();
	assert_string_equal(text, "[Interface]\nPrivateKey = " K1 "\nAddress = 10.64.0.2/24\nAddress = fd00::2/128\nDNS = 10.64.0.1\nMTU = 1380\n\n[Peer]\nPublicKey "
				  "= " K2 "\nPresharedKey = " K1 "\nAllowedIPs = 0.0.0.0/0\nAllowedIPs = ::/0\nEndpoint = vpn.example.org:51820\nPersistentKeepalive = "
				  "25\n\n[Peer]\nPublicKey = " K1 "\nAllowedIPs = 10.0.0.0/8\nEndpoint = [2001:db8::1]:1\n");
}

static void wireguard_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "", "empty" },
		{ "[Interface]\n", "no PrivateKey" },
		{ WG_HEAD, "no peer has an Endpoint" },
		{ WG_HEAD "[Peer]\nEndpoint = a:1\n", "no PublicKey" },
		{ WG_HEAD WG_PEER "Colour = red\n", "line 8: 'Colour' is not known" },
		{ WG_HEAD "PublicKey = " K1 "\n" WG_PEER, "does not belong here" },
		{ "PrivateKey = " K1 "\n", "no remote" }, /* taken for the other kind */
		{ "[Interface]\nPrivateKey = short=\n", "44 characters" },
		{ "[Interface]\nPrivateKey = !QEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n", "base64" },
		{ WG_HEAD "MTU = 20\n", "at least 576" },
		{ WG_HEAD "Address = 10.0.0.1/33\n", "up to 32" },
		{ WG_HEAD "DNS = a b;c\n", "DNS wants" },
		{ WG_HEAD "[Peer]\nPublicKey = " K1 "\nEndpoint = a;b:1\n", "name or the address" },
		{ WG_HEAD "[Peer]\nPublicKey = " K1 "\nEndpoint = a:0\n", "HOST:PORT" },
		{ WG_HEAD "[Peer]\nPublicKey = " K1 "\nEndpoint = [1.2.3.4]:9\n", "name or the address" },
		{ WG_HEAD "what is this\n", "neither" },
		{ WG_HEAD "Address = \x01\n", "control character" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int r = parse(bad[i].text);

		if (i == 6) /* not a section: read as OpenVPN, where it is not known */
			assert_true(r == -EINVAL && strstr(last.msg, "line 1"));
		else if (r != -EINVAL || !strstr(last.msg, bad[i].why))
			fail_msg("row %zu: %d %s", i, r, last.msg);
	}
}

static void openvpn(void **state)
{
	_cleanup_free_ char *text = NULL;

	assert_int_equal(parse("client\ndev tun0\nproto tcp\nport 443\nremote a.example\nremote 192.0.2.1 1194 udp\n--cipher AES-256-GCM\nverify-x509-name 'a \"b' name # x\n"
			       "script-security 2\nup /etc/openvpn/up.sh\nroute 10.0.0.0 255.0.0.0\ndhcp-option DNS 10.8.0.1\ndhcp-option DOMAIN x\nca ca.crt\n"
			       "tls-auth \"ta key\" 1\n<connection>\nremote c.example\nport 99\nproto udp\n</connection>\n<key>\nKEY\n</key>\n"), 0);
	assert_int_equal(conf.kind, VPN_OPENVPN);
	assert_int_equal(conf.n_remotes, 3);
	assert_true(noted("up would run a program") && noted("route is left out"));
	assert_string_equal(vpn_missing(&conf), "ca.crt");
	assert_int_equal(vpn_attach(&conf, "ca.crt", rd_mem("CA", 2), &last), 0);
	assert_int_equal(vpn_attach(&conf, "ta key", rd_mem("x\n </ca>\nup y\n", 13), &last), -EINVAL);
	vpn_conf_fini(&conf);
	assert_int_equal(parse("client\nremote a.example 443 tcp\nremote 192.0.2.1\n--cipher AES-256-GCM\nca ca.crt\ntls-auth \"ta key\" 1\n<key>\nKEY\n</key>\n"), 0);
	assert_int_equal(vpn_attach(&conf, "ca.crt", rd_mem("CA", 2), &last), 0);
	assert_int_equal(vpn_attach(&conf, "other", rd_mem("CA", 2), &last), -ENOENT);
	assert_int_equal(vpn_attach(&conf, "ta key", rd_mem("TA\n", 3), &last), 0);
	assert_null(vpn_missing(&conf));
	text = written();
	assert_string_equal(text, "remote a.example 443 tcp\nremote 192.0.2.1 1194 udp\nclient\ncipher \"AES-256-GCM\"\nkey-direction \"1\"\n<ca>\nCA\n</ca>\n<tls-auth>\nTA\n"
				  "</tls-auth>\n<key>\nKEY\n</key>\n");
	assert_int_equal(parse(text), 0);
}

static void openvpn_ends(void **state)
{
	assert_int_equal(parse("remote a\nremote b 5\nremote c 6 udp\n<connection>\nremote d\nport 7\n</connection>\nproto tcp-client\nport 8\n"), 0);
	assert_int_equal(conf.remote[0].port, 8);
	assert_true(conf.remote[0].tcp && conf.remote[1].tcp && !conf.remote[2].tcp && conf.remote[3].tcp);
	assert_int_equal(conf.remote[1].port, 5);
	assert_int_equal(conf.remote[3].port, 7);
	assert_int_equal(parse("remote a\nauth-user-pass\n"), 0);
	assert_true(conf.asks);
	assert_string_equal(vpn_missing(&conf), VPN_AUTH);
	assert_int_equal(vpn_attach(&conf, VPN_AUTH, rd_mem("me\nsecret\n", 10), &last), 0);
}

static void openvpn_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "client\n", "no remote" },
		{ "remote a\nplugin /tmp/x.so\n", "line 2: 'plugin' is not known, or cannot be allowed" },
		{ "remote a\nconfig other\n", "not known" },
		{ "remote a\nhttp-proxy b 1\n", "proxy" },
		{ "remote a\nserver 10.8.0.0 255.255.255.0\n", "a server" },
		{ "remote a\ndev tap0\n", "tap" },
		{ "remote a\naskpass\n", "nobody to answer" },
		{ "remote a\n<ca>\nX\n", "no end" },
		{ "remote a\n<ca>\nX\n</key>\n", "something else" },
		{ "remote a\n<up>\nX\n</up>\n", "not known" },
		{ "remote a\n<connection>\n<ca>\n", "inside <connection>" },
		{ "remote a;b\n", "wants a host" },
		{ "remote a 70000\n", "up to 65535" },
		{ "remote a 1 sctp\n", "udp or tcp" },
		{ "remote \"a\n", "no end" },
		{ "remote a\nca a b\n", "0 or 1" },
		{ "remote a\ntun-mtu 5\n", "MTU" },
		{ "remote a\ndhcp-option DNS x\n", "an address" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (parse(bad[i].text) != -EINVAL || !strstr(last.msg, bad[i].why))
			fail_msg("row %zu: %s", i, last.msg);
}

static void secrets_are_not_in_errors(void **state)
{
	assert_int_equal(parse("[Interface]\nPrivateKey = SECRETSECRET\n"), -EINVAL);
	assert_null(strstr(last.msg, "SECRET"));
	assert_int_equal(parse("remote a\n<key>\nSECRET\n</ca>\n"), -EINVAL);
	assert_null(strstr(last.msg, "SECRET"));
}

static void what_dom0_reads(void **state)
{
	static const char text[] = "client\nca ca.crt\n<key>\ncert inside\n</key>\ncert 'my cert.pem'\ntls-auth ta 1\nauth-user-pass\nplugin x\n";
	struct vpn_refs refs;

	assert_int_equal(vpn_refs(&refs, rd_mem(text, strlen(text)), NULL), 0);
	assert_int_equal(refs.kind, VPN_OPENVPN);
	assert_int_equal(refs.n, 3);
	assert_string_equal(refs.name[1], "my cert.pem");
	assert_true(refs.asks);
	assert_int_equal(vpn_refs(&refs, rd_mem(WG_HEAD, strlen(WG_HEAD)), NULL), 0);
	assert_int_equal(refs.kind, VPN_WIREGUARD);
}

static void bundles(void **state)
{
	_cleanup_wr_ struct wr w = wr_grow(1 << 16);
	char name[VPN_NAME_CAP];
	struct rd r, part;

	vpn_bundle_put(&w, VPN_MAIN, "abc", 3);
	vpn_bundle_put(&w, "my cert", "", 0);
	assert_true(wr_ok(&w));
	r = rd_mem(w.buf, w.len);
	assert_int_equal(vpn_bundle_next(&r, name, &part), 1);
	assert_string_equal(name, VPN_MAIN);
	assert_true(rd_eq(&part, "abc"));
	assert_int_equal(vpn_bundle_next(&r, name, &part), 1);
	assert_string_equal(name, "my cert");
	assert_int_equal(vpn_bundle_next(&r, name, &part), 0);
	r = rd_mem("9 x\nabc", 7);
	assert_int_equal(vpn_bundle_next(&r, name, &part), -EBADMSG);
	r = rd_mem("x y\n", 4);
	assert_int_equal(vpn_bundle_next(&r, name, &part), -EBADMSG);
	vpn_bundle_put(&w, "a\nb", "", 0);
	assert_false(wr_ok(&w));
}

static void names(void **state)
{
	static const uint8_t question[] = "\x12\x34\x01\0\0\x01\0\0\0\0\0\0\3vpn\7example\3org\0\0\1\0";
	static const uint8_t answer[] = "\x12\x34\x81\x80\0\1\0\2\0\0\0\0\3VPN\7example\3org\0\0\1\0\1\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\x0c"
					"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\7";
	struct dns_addrs a = { .n = 0 };
	uint8_t buf[DNS_MSG_MAX], copy[sizeof answer];
	struct wr w = wr_mem(buf, sizeof buf);

	dns_question(&w, 0x1234, "vpn.example.org", false);
	assert_int_equal(w.len, sizeof question);
	assert_memory_equal(buf, question, w.len - 1);
	assert_int_equal(dns_answer(&a, rd_mem(answer, sizeof answer - 1), 0x1234, "vpn.example.org", false), 0);
	assert_int_equal(a.n, 1);
	assert_string_equal(a.addr[0], "192.0.2.7");
	assert_int_equal(dns_answer(&a, rd_mem(answer, sizeof answer - 1), 0x1235, "vpn.example.org", false), -EAGAIN);
	assert_int_equal(dns_answer(&a, rd_mem(answer, sizeof answer - 1), 0x1234, "vpn.example.net", false), -EAGAIN);
	assert_int_equal(dns_answer(&a, rd_mem(answer, sizeof answer - 1), 0x1234, "vpn.example.org", true), -EAGAIN);
	for (size_t n = 0; n < sizeof answer - 1; n++) {
		a.n = 0;
		assert_true(dns_answer(&a, rd_mem(answer, n), 0x1234, "vpn.example.org", false) < 0);
		assert_int_equal(a.n, 0);
	}
	memcpy(copy, answer, sizeof copy);
	copy[3] = 0x83;
	assert_int_equal(dns_answer(&a, rd_mem(copy, sizeof copy - 1), 0x1234, "vpn.example.org", false), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wireguard),	   cmocka_unit_test(wireguard_refused), cmocka_unit_test(openvpn),
		cmocka_unit_test(openvpn_ends),	   cmocka_unit_test(openvpn_refused),	cmocka_unit_test(secrets_are_not_in_errors),
		cmocka_unit_test(what_dom0_reads), cmocka_unit_test(bundles),		cmocka_unit_test(names),
	};
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	vpn_conf_fini(&conf);
	return r;
}
