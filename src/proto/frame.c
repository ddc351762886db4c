/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "proto/frame.h"

#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#define ETHER_ARP 0x0806u
#define ETHER_IPV4 0x0800u

static uint32_t u16be(struct rd *r)
{
	uint32_t high = rd_u8(r);

	return high << 8 | rd_u8(r);
}

static bool address_leaves(uint32_t a, const struct frame_own *own)
{
	uint32_t first = a >> 24;

	/* This machine under any name, its neighbours without a router (which is where clouds answer questions about a machine), groups and everybody. */
	if (first == 0 || first == 127 || a >> 16 == 0xa9fe || first >= 224 || own->full)
		return false;
	for (size_t i = 0; i < own->n; i++)
		if (own->addr[i] == a)
			return false;
	return true;
}

bool frame_leaves(struct rd f, const struct frame_own *own)
{
	uint32_t kind, to;

	rd_skip(&f, 12);
	kind = u16be(&f);
	if (kind == ETHER_ARP)
		return rd_ok(&f);
	if (kind != ETHER_IPV4 || rd_u8(&f) >> 4 != 4)
		return false;
	rd_skip(&f, 15);
	to = rd_u32be(&f);
	return rd_ok(&f) && address_leaves(to, own);
}

static void add_address(struct frame_own *own, uint32_t a)
{
	for (size_t i = 0; i < own->n; i++)
		if (own->addr[i] == a)
			return;
	if (own->n == FRAME_OWN_MAX)
		own->full = true;
	else
		own->addr[own->n++] = a;
}

/* The attributes of one address; IFA_LOCAL is this end where both are given. */
static void one_address(struct frame_own *own, struct rd m)
{
	uint8_t family = rd_u8(&m);

	rd_skip(&m, sizeof(struct ifaddrmsg) - 1);
	while (rd_left(&m) >= sizeof(struct rtattr)) {
		uint16_t len = rd_u16le(&m), type = rd_u16le(&m);
		struct rd value = rd_sub(&m, len < sizeof(struct rtattr) ? SIZE_MAX : len - sizeof(struct rtattr));

		if (rd_left(&m) >= RTA_ALIGN(len) - len)
			rd_skip(&m, RTA_ALIGN(len) - len);
		if (family == AF_INET && (type == IFA_LOCAL || type == IFA_ADDRESS) && rd_left(&value) == 4)
			add_address(own, rd_u32be(&value));
	}
}

bool frame_own_read(struct frame_own *own, struct rd d, bool *ret_end)
{
	while (rd_left(&d)) {
		uint32_t len = rd_u32le(&d);
		uint16_t type = rd_u16le(&d);
		struct rd body;

		rd_skip(&d, sizeof(struct nlmsghdr) - 6);
		body = rd_sub(&d, len < sizeof(struct nlmsghdr) ? SIZE_MAX : len - sizeof(struct nlmsghdr));
		if (!rd_ok(&body) || type == NLMSG_ERROR)
			return false;
		if (rd_left(&d) >= NLMSG_ALIGN(len) - len)
			rd_skip(&d, NLMSG_ALIGN(len) - len);
		if (type == NLMSG_DONE)
			*ret_end = true;
		else if (type == RTM_NEWADDR)
			one_address(own, body);
	}
	return true;
}
