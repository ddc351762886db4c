/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Settings of the updates proxy, apt's answer about its proxy, and heads of kept files, by the first byte. */
#include "base/str.h"
#include "updates/updates.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct up_conf c;
	static struct cache_head h;
	static uint8_t buf[CACHE_HEAD];
	struct rd r;

	if (!size)
		return 0;
	memset(&c, 0, sizeof c);
	r = rd_mem(data + 1, size - 1);
	if (data[0] == 'a')
		conf_parse_apt(r, &c);
	else if (data[0] == 'h' && cache_head_get(r, &h) == 0 && cache_head_put(buf, &h) < 0)
		abort();
	else if (data[0] == 'c')
		(void)conf_parse(r, &c, NULL);
	for (size_t i = 0; i < c.n_hosts; i++)
		if (!http_host_ok(c.host[i].name) && !strchr(c.host[i].name, ':'))
			abort();
	if (c.has_uplink && (c.uplink.tls || !c.uplink.port))
		abort();
	return 0;
}
