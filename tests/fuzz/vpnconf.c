/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VPN configurations: what is accepted has a normal form that is its own normal form. The bundle and the
   answers of name servers, and the lines of qvm-net test, begin with a word of their own. */
#include <stdlib.h>

#include "base/str.h"
#include "proto/dnsmsg.h"
#include "proto/nettest.h"
#include "proto/vpnconf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void bundle(struct rd r)
{
	char name[VPN_NAME_CAP];
	struct rd part;

	while (vpn_bundle_next(&r, name, &part) > 0)
		;
}

static void dns(struct rd r)
{
	struct dns_addrs a = { .n = 0 };

	(void)dns_answer(&a, r, 0x4242, "vpn.example.org", false);
	(void)dns_answer(&a, r, 0x4242, "vpn.example.org", true);
	if (a.n > DNS_ADDRS_MAX)
		abort();
}

static void nettest(struct rd text)
{
	struct nettest_result res[4];
	struct rd lines = text, line;

	(void)nettest_answers(res, ARRAY_SIZE(res), text);
	while (rd_line(&lines, &line)) {
		struct nettest_probe p, q;
		uint8_t buf[256];
		struct wr w = wr_mem(buf, sizeof buf);

		if (nettest_get(&p, line, NULL) < 0)
			continue;
		nettest_put(&w, &p);
		if (!wr_ok(&w) || nettest_get(&q, rd_mem(buf, w.len - 1), NULL) < 0 || memcmp(&p, &q, sizeof p) != 0)
			abort();
	}
}

static void conf(struct rd text)
{
	struct vpn_conf *a = xcalloc(1, sizeof *a), *b = xcalloc(1, sizeof *b);
	_cleanup_wr_ struct wr once = wr_grow(4u << 20), twice = wr_grow(4u << 20);
	struct vpn_refs *refs = xcalloc(1, sizeof *refs);

	(void)vpn_refs(refs, text, NULL);
	if (vpn_parse(a, text, NULL) == 0) {
		vpn_write(&once, a);
		if (!wr_ok(&once))
			abort();
		/* The normal form can be longer than a file may be: every word is quoted. */
		if (once.len <= VPN_FILE_MAX) {
			if (vpn_parse(b, rd_mem(once.buf, once.len), NULL) < 0)
				abort();
			vpn_write(&twice, b);
			if (once.len != twice.len || memcmp(once.buf, twice.buf, once.len) != 0)
				abort();
		}
	}
	vpn_conf_fini(a);
	vpn_conf_fini(b);
	free(a);
	free(b);
	free(refs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_mem(data, size);

	if (size > 4 && memcmp(data, "BUN:", 4) == 0) {
		rd_skip(&r, 4);
		bundle(r);
	} else if (size > 4 && memcmp(data, "DNS:", 4) == 0) {
		rd_skip(&r, 4);
		dns(r);
	} else if (size > 4 && memcmp(data, "NET:", 4) == 0) {
		rd_skip(&r, 4);
		nettest(r);
	} else {
		conf(r);
	}
	return 0;
}
