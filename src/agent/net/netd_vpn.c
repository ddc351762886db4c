/* SPDX-License-Identifier: GPL-3.0-or-later */
/* netd in a VPN qube: the wall stands before the first device is up, and the name servers of the way outside are nobody's but bulkhead-vpn's. */
#include <fcntl.h>

#include "agent/net/netd.h"
#include "agent/net/vpntext.h"
#include "base/fsx.h"
#include "base/log.h"
#include "base/str.h"

bool netd_is_vpn(const struct netd *d)
{
	char path[256];

	/* In doubt it is one. */
	return str_printf(path, sizeof path, "%s/" VPN_SERVICE, d->vpn_services) < 0 || access(path, F_OK) == 0;
}

void netd_vpn_wall(struct wr *w)
{
	static const char virt[2][NFT_ADDR_CAP] = NETD_VIRTUAL_DNS;

	vpn_nft_wall(w);
	nft_dns(w, virt, ARRAY_SIZE(virt), NULL, 0);
}

bool netd_vpn_resolv(const struct netd *d, const char dns[][NETPORT_ADDR_CAP], size_t n)
{
	_cleanup_wr_ struct wr file = wr_grow(1024);
	struct err e = { 0 };
	int r;

	if (!d->vpn)
		return false;
	for (size_t i = 0; i < n; i++)
		wr_printf(&file, "nameserver %s\n", dns[i]);
	r = fs_write_atomic(AT_FDCWD, d->vpn_resolv, file.buf ? (const char *)file.buf : "", file.len, 0644, &e);
	if (r < 0)
		log_warn("%s: %s", d->vpn_resolv, err_text(&e, r));
	/* It may not run yet, and reads the file when it starts. */
	(void)vpn_tell(d->vpn_run, "uplink\n", 7);
	return true;
}
