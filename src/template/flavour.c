/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of templates that can be built. */
#include "template/flavour.h"

#include "base/str.h"

#define COMMON                                                                                                             \
	"systemd-sysv dbus udev kmod e2fsprogs iproute2 procps sudo less ca-certificates nftables conntrack passwd login "  \
	"debian-archive-keyring ncurses-base "

static const struct flavour flavours[] = {
#define FLAVOUR(name_, suite_, sudo_, x11_, feature_, packages_, summary_)                                                 \
	{ .name = name_, .suite = suite_, .sudo = sudo_, .x11 = x11_, .feature = feature_, .packages = packages_, .summary = summary_ },
#include "template/flavour.def"
#undef FLAVOUR
};

const struct flavour *flavour_at(size_t i)
{
	return i < ARRAY_SIZE(flavours) ? &flavours[i] : NULL;
}

const struct flavour *flavour_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(flavours); i++)
		if (streq(flavours[i].name, name))
			return &flavours[i];
	return NULL;
}

const char *flavour_common(void)
{
	return COMMON;
}
