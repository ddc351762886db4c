/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-net: the tree as a table and as JSON. */
#include "tool/net.h"

const char *net_link_text(const struct net_qube *q)
{
	static const char *const text[] = { [NET_LINK_NONE] = NULL, [NET_LINK_CUT] = "cut", [NET_LINK_WAITS] = "waits", [NET_LINK_UP] = "up",
					    [NET_LINK_UNKNOWN] = "?" };

	return text[q->link];
}

void net_bytes(struct table *tb, bool known, uint64_t n)
{
	static const char units[] = " KMGTPE";
	size_t u = 0;
	uint64_t whole = n, rest = 0;

	for (; whole >= 1024 && u < sizeof units - 2; u++) {
		rest = whole % 1024;
		whole /= 1024;
	}
	if (!known)
		table_add(tb, NULL);
	else if (u == 0)
		table_addf(tb, "%llu", (unsigned long long)whole);
	else
		table_addf(tb, "%llu.%llu%c", (unsigned long long)whole, (unsigned long long)(rest * 10 / 1024), units[u]);
}

void net_print(const struct net *net)
{
	static const char *const head[] = { "NAME", "STATE", "IP", "LINK", "SENT", "RECEIVED", "TO" };
	_cleanup_(table_freep) struct table *tb = table_new(ARRAY_SIZE(head));

	for (size_t i = 0; i < ARRAY_SIZE(head); i++)
		table_add(tb, head[i]);
	table_right(tb, 4);
	table_right(tb, 5);
	for (size_t i = 0; i < net->n; i++) {
		const struct net_qube *q = &net->v[i];

		table_addf(tb, "%*s%s", (int)(2 * q->depth), "", q->name);
		table_add(tb, q->state);
		table_addf(tb, "%s%s%s", q->ip[0] ? q->ip : "-", q->ip6[0] ? " " : "", q->ip6);
		table_add(tb, net_link_text(q));
		net_bytes(tb, q->count.known, q->count.sent_bytes);
		net_bytes(tb, q->count.known, q->count.got_bytes);
		table_add(tb, q->netvm[0] ? q->netvm : q->outside ? "outside (passt)" : NULL);
	}
	table_print(tb, net->t, true);
}

void net_json(const struct net *net)
{
	struct json j = { 0 };

	json_open(&j, NULL, '[');
	for (size_t i = 0; i < net->n; i++) {
		const struct net_qube *q = &net->v[i];

		json_open(&j, NULL, '{');
		json_str(&j, "name", q->name);
		json_str(&j, "state", q->state);
		json_str(&j, "netvm", q->netvm[0] ? q->netvm : NULL);
		json_str(&j, "uplink", q->outside ? "passt" : NULL);
		json_int(&j, "depth", q->depth);
		json_bool(&j, "provides_network", q->provides);
		json_str(&j, "ip", q->ip[0] ? q->ip : NULL);
		json_str(&j, "ip6", q->ip6[0] ? q->ip6 : NULL);
		json_str(&j, "link", net_link_text(q));
		if (q->count.known) {
			json_int(&j, "sent_packets", (int64_t)(q->count.sent_packets & INT64_MAX));
			json_int(&j, "sent_bytes", (int64_t)(q->count.sent_bytes & INT64_MAX));
			json_int(&j, "received_packets", (int64_t)(q->count.got_packets & INT64_MAX));
			json_int(&j, "received_bytes", (int64_t)(q->count.got_bytes & INT64_MAX));
		}
		json_close(&j, '}');
	}
	json_close(&j, ']');
}
