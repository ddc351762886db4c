/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a qube reads about its network: the value of a /net-port/ key (whatever is accepted says itself again), answers about names, and resolv.conf. Whatever
 * comes out of them may stand in a text for nft.
 */
#include "agent/net/fwd.h"
#include "base/str.h"
#include "proto/netport.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void fwd_names_done(struct fwd *f)
{
	(void)f;
}

static void port(const uint8_t *data, size_t size)
{
	char text[300], again[300];
	struct wr w = wr_mem(again, sizeof again - 1);
	struct rd rd = rd_mem(data, size);
	struct netport a, b;

	rd_text(&rd, text, sizeof text);
	if (!rd_ok(&rd) || netport_parse(&a, text, NULL) < 0)
		return;
	netport_format(&w, &a);
	again[w.len] = '\0';
	if (!wr_ok(&w) || netport_parse(&b, again, NULL) < 0 || memcmp(&a, &b, sizeof a) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char servers[NFT_NAMESERVERS][NFT_ADDR_CAP];
	struct nft_host h = { .v6 = size % 2 };

	port(data, size);
	fwd_answer_parse(&h, rd_mem(data, size));
	for (size_t i = 0; i < h.n; i++)
		if (!nft_addr_ok(h.addr[i], h.v6))
			abort();
	for (size_t i = 0, n = fwd_nameservers(rd_mem(data, size), h.v6, servers); i < n; i++)
		if (!nft_addr_ok(servers[i], h.v6))
			abort();
	return 0;
}
