/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-net: what the daemon and the qubes say of the network. A qube's own words are checked: names, numbers, nothing else is shown. */
#include "base/io.h"
#include "base/paths.h"
#include "tool/net.h"

#define PORTS_MAX 32 /* a NetVM has 24 */
#define COUNT_MS 3000 /* a qube that does not count by then has no numbers */

static const char columns[] = "netvm\nprovides_network\nqid\nip\nip6\nfeature.uplink\nfeature.service.qubes-firewall";

bool net_runs(const struct net_qube *q)
{
	return streq(q->state, "Running");
}

struct net_qube *net_find(const struct net *net, const char *name)
{
	for (size_t i = 0; i < net->n; i++)
		if (streq(net->v[i].name, name))
			return &net->v[i];
	return NULL;
}

void net_fini(struct net *net)
{
	free(net->v);
	net->v = NULL;
	net->n = 0;
}

/* --- the daemon ------------------------------------------------------------------------------------------------------- */

static void copy(char *to, size_t cap, const char *s)
{
	if (str_copy(to, cap, s) < 0)
		to[0] = '\0';
}

/* A cell: "=VALUE", "-", or nothing at all. */
static const char *cell(char **line, const char *otherwise)
{
	const char *s = adm_field(line);

	return s && s[0] == '=' ? s + 1 : otherwise;
}

static void take_row(struct net *net, const struct adm_qubes *all, char *line)
{
	const char *name = adm_field(&line);
	const struct adm_qube *a = name ? adm_qubes_find(all, name) : NULL;
	struct net_qube *q = &net->v[net->n];
	const char *uplink, *service;
	uint64_t qid = 0;

	if (!a || streq(name, "dom0"))
		return;
	copy(q->name, sizeof q->name, name);
	copy(q->state, sizeof q->state, a->state);
	copy(q->netvm, sizeof q->netvm, cell(&line, ""));
	q->provides = streq(cell(&line, ""), "True");
	if (str_u64(cell(&line, ""), UINT32_MAX, &qid) == 0)
		q->qid = (uint32_t)qid;
	copy(q->ip, sizeof q->ip, cell(&line, ""));
	copy(q->ip6, sizeof q->ip6, cell(&line, ""));
	uplink = cell(&line, "");
	service = cell(&line, "1");
	q->outside = q->provides && !q->netvm[0] && streq(uplink, "passt");
	q->filters = q->provides && service[0];
	if (q->provides || q->netvm[0])
		net->n++;
	else
		memset(q, 0, sizeof *q);
}

/* NetVMs before their clients, clients in the daemon's order. */
static void tree(struct net *net)
{
	struct net_qube *out = xcalloc(net->n + 1, sizeof *out);
	size_t done = 0;

	for (size_t i = 0; i < net->n; i++)
		if (!net_find(net, net->v[i].netvm))
			out[done++] = net->v[i];
	for (size_t at = 0; at < done; at++) {
		size_t kids = 0;

		for (size_t i = 0; i < net->n; i++) {
			if (!streq(net->v[i].netvm, out[at].name) || done == net->n)
				continue;
			memmove(&out[at + 2 + kids], &out[at + 1 + kids], (done - at - 1 - kids) * sizeof *out);
			out[at + 1 + kids] = net->v[i];
			out[at + 1 + kids++].depth = out[at].depth + 1;
			done++;
		}
	}
	free(net->v);
	net->v = out;
	net->n = done;
	for (size_t i = 0; i < done; i++)
		out[i].up = out[i].netvm[0] ? net_find(net, out[i].netvm) : NULL;
}

/* --- the qubes -------------------------------------------------------------------------------------------------------- */

/* What a running qube has behind one of its root ports. */
struct port {
	struct netport p;
	char slot[8];
	bool ready;
	struct net_count count;
};

struct ports {
	struct port v[PORTS_MAX];
	size_t n;
	bool known;
};

static struct port *by_slot(struct ports *ps, const char *slot)
{
	for (size_t i = 0; i < ps->n; i++)
		if (streq(ps->v[i].slot, slot))
			return &ps->v[i];
	return NULL;
}

static int on_port(void *arg, const char *key, const char *value)
{
	struct ports *ps = arg;
	struct port *p = &ps->v[ps->n];

	if (!str_starts(key, NETPORT_KEY) || ps->n == PORTS_MAX || netport_parse(&p->p, value, NULL) < 0 ||
	    str_copy(p->slot, sizeof p->slot, key + strlen(NETPORT_KEY)) < 0)
		return 0;
	ps->n++;
	return 0;
}

static int on_ready(void *arg, const char *key, const char *value)
{
	struct port *p = str_starts(key, NETPORT_READY_KEY) ? by_slot(arg, key + strlen(NETPORT_READY_KEY)) : NULL;

	(void)value;
	if (p)
		p->ready = true;
	return 0;
}

static int on_counters(void *arg, const char *key, const char *value)
{
	struct port *p = str_starts(key, NETPORT_COUNTERS_KEY) ? by_slot(arg, key + strlen(NETPORT_COUNTERS_KEY)) : NULL;
	char text[128], *save = NULL;
	uint64_t v[4] = { 0 };
	size_t n = 0;

	if (!p || str_copy(text, sizeof text, value) < 0)
		return 0;
	for (char *s = strtok_r(text, " ", &save); s; s = strtok_r(NULL, " ", &save))
		if (n == ARRAY_SIZE(v) || str_u64(s, UINT64_MAX, &v[n++]) < 0)
			return 0;
	/* A NetVM receives what its client sends; towards the outside it is the sender. */
	if (p->p.role == NETPORT_CLIENT)
		p->count = (struct net_count){ n == 4, v[0], v[1], v[2], v[3] };
	else
		p->count = (struct net_count){ n == 4, v[2], v[3], v[0], v[1] };
	return 0;
}

int net_db(struct qdbc *ret, const char *qube)
{
	char path[PATH_MAX];

	return qdbc_open(ret, path_fmt(path, PATH_RUN, "/qubesdb.%s.sock", qube), NULL);
}

/* Asks for fresh numbers and waits until they are there; false: there are none. */
static bool count(struct qdbc *db)
{
	char nonce[24], key[QDB_KEY_CAP], said[QDB_VALUE_MAX + 1];
	uint64_t end = now_us() / 1000 + COUNT_MS, now;

	if (str_printf(nonce, sizeof nonce, "%llu", (unsigned long long)now_us()) < 0 || qdbc_watch(db, NETPORT_COUNTED_KEY, true, NULL) < 0 ||
	    qdbc_write(db, NETPORT_COUNT_KEY, nonce, strlen(nonce), NULL) < 0)
		return false;
	while ((now = now_us() / 1000) < end && qdbc_wait_event(db, key, (int)(end - now), NULL) == 0)
		if (qdbc_read(db, NETPORT_COUNTED_KEY, said, sizeof said, NULL) == 0 && streq(said, nonce))
			return true;
	return false;
}

static void load_ports(struct ports *ps, const struct net_qube *q, bool counters)
{
	_cleanup_(qdbc_finip) struct qdbc *end = NULL;
	struct qdbc db = { .fd = -1 };

	if (net_db(&db, q->name) < 0)
		return;
	end = &db;
	/* Without an answer there are only old numbers. */
	counters = counters && q->provides && count(&db);
	ps->known = qdbc_each(&db, NETPORT_KEY, true, on_port, ps, NULL) == 0 && qdbc_each(&db, NETPORT_READY_KEY, true, on_ready, ps, NULL) == 0;
	if (counters)
		(void)qdbc_each(&db, NETPORT_COUNTERS_KEY, true, on_counters, ps, NULL);
}

static const struct port *of_role(const struct ports *ps, enum netport_role role, uint32_t qid)
{
	for (size_t i = 0; i < ps->n; i++)
		if (ps->v[i].p.role == role && (role != NETPORT_CLIENT || ps->v[i].p.qid == qid))
			return &ps->v[i];
	return NULL;
}

static void judge_link(struct net_qube *q, const struct ports *own, const struct ports *theirs)
{
	const struct port *here = of_role(own, q->up ? NETPORT_UPLINK : NETPORT_EXTERNAL, 0);
	const struct port *there = q->up ? of_role(theirs, NETPORT_CLIENT, q->qid) : here;

	if (!net_runs(q) || (q->up ? !net_runs(q->up) : !q->outside))
		return;
	if (!own->known || (q->up && !theirs->known))
		q->link = NET_LINK_UNKNOWN;
	else if (!here || !there)
		q->link = NET_LINK_CUT;
	else
		q->link = here->ready && there->ready ? NET_LINK_UP : NET_LINK_WAITS;
	if (there)
		q->count = there->count;
}

int net_load(struct net *net, struct tool *t, bool counters)
{
	struct err e = { 0 };
	int r = net_get(net, t, counters, &e);

	return r < 0 ? tool_api(t, r, &e) : 0;
}

int net_get(struct net *net, struct tool *t, bool counters, struct err *e)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct adm_qubes all = { 0 };
	struct ports *ports;
	char *text, *line;
	int r = adm_qubes_get(&all, "dom0", e);

	*net = (struct net){ .t = t };
	if (r >= 0)
		r = adm_internal(&rep, "dom0", "internal.vm.Table", NULL, columns, e);
	if (r < 0) {
		adm_qubes_fini(&all);
		return r;
	}
	net->v = xcalloc(all.n + 1, sizeof *net->v);
	text = rep.data;
	while ((line = adm_line(&text)) && net->n < all.n)
		take_row(net, &all, line);
	adm_qubes_fini(&all);
	tree(net);
	ports = xcalloc(net->n + 1, sizeof *ports);
	for (size_t i = 0; i < net->n; i++)
		if (net_runs(&net->v[i]))
			load_ports(&ports[i], &net->v[i], counters);
	for (size_t i = 0; i < net->n; i++)
		judge_link(&net->v[i], &ports[i], net->v[i].up ? &ports[net->v[i].up - net->v] : &ports[i]);
	free(ports);
	return 0;
}
