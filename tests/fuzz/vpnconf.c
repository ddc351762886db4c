/* SPDX-License-Identifier: GPL-3.0-or-later */
/* VPN configurations: what is accepted has a normal form that is its own normal form. The bundle and the
   answers of name servers begin with a word of their own. */
#include <stdlib.h>

#include "base/str.h"
#include "proto/dnsmsg.h"
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
	} else {
		conf(r);
	}
	return 0;
}
