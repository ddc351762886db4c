/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How much passed each device, written down when dom0 asks by the key /net-count. */
#include <fcntl.h>

#include "agent/net/netd.h"
#include "base/fsx.h"
#include "base/log.h"
#include "base/str.h"

bool netd_dev_line(struct rd line, const char *name, uint64_t ret[NETD_COUNTS])
{
	/* Columns of /proc/net/dev behind the name: bytes, packets and six more received, the same sent. */
	static const size_t wanted[NETD_COUNTS] = { 1, 0, 9, 8 };
	char text[512], *save = NULL, *colon, *s;
	uint64_t v[16];
	size_t n = 0;

	rd_text(&line, text, sizeof text);
	colon = rd_ok(&line) ? strchr(text, ':') : NULL;
	if (!colon)
		return false;
	*colon = '\0';
	for (s = text; *s == ' '; s++)
		;
	if (!streq(s, name))
		return false;
	for (s = strtok_r(colon + 1, " ", &save); s && n < ARRAY_SIZE(v); s = strtok_r(NULL, " ", &save))
		if (str_u64(s, UINT64_MAX, &v[n++]) < 0)
			return false;
	for (size_t i = 0; i < NETD_COUNTS && n == ARRAY_SIZE(v); i++)
		ret[i] = v[wanted[i]];
	return n == ARRAY_SIZE(v);
}

static void count_port(struct netd *d, const struct netd_port *t, struct rd table)
{
	char key[QDB_KEY_CAP], value[96];
	uint64_t v[NETD_COUNTS];
	struct rd line;

	while (rd_line(&table, &line)) {
		if (!netd_dev_line(line, t->ifname, v))
			continue;
		if (str_printf(key, sizeof key, NETPORT_COUNTERS_KEY "%s", t->slot) == 0 &&
		    str_printf(value, sizeof value, "%llu %llu %llu %llu", (unsigned long long)v[0], (unsigned long long)v[1],
			       (unsigned long long)v[2], (unsigned long long)v[3]) == 0)
			(void)qdbc_write(&d->db, key, value, strlen(value), NULL);
		return;
	}
}

void netd_count(struct netd *d)
{
	_cleanup_free_ char *text = NULL;
	char asked[QDB_VALUE_MAX + 1];
	size_t n = 0;

	if (qdbc_read(&d->db, NETPORT_COUNT_KEY, asked, sizeof asked, NULL) < 0)
		return; /* the question was taken back */
	if (fs_read(AT_FDCWD, "/proc/net/dev", 1 << 20, &text, &n, NULL) < 0)
		log_warn("/proc/net/dev cannot be read");
	for (size_t i = 0; i < d->n_ports; i++)
		count_port(d, &d->port[i], rd_mem(text, n));
	/* Last: who waits for it finds the numbers there. */
	(void)qdbc_write(&d->db, NETPORT_COUNTED_KEY, asked, strlen(asked), NULL);
}
