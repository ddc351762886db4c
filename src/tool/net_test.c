/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * qvm-net test: a running qube tries, by its service bulkhead.NetTest, what net_test.def lists; what the settings say of each row is known here, and an answer
 * where there should be none is a leak. The qube's answer is foreign: words of a table and numbers of rows.
 */
#include <arpa/inet.h>
#include <time.h>

#include "proto/fwjudge.h"
#include "proto/nettest.h"
#include "tool/net.h"
#include "tool/service.h"
#include "tool/vpn.h"

#define EXIT_LEAK 3
#define TITLE_CAP 64
#define ANSWER_MAX 65536
#define BESIDE_MAX 8
#define HOPS_MAX 64

/* RULES: as the settings say. NEVER: whatever they say. WATCH: cannot be answered; only whether it left is told. */
enum scope { SCOPE_RULES, SCOPE_NEVER, SCOPE_WATCH };
enum should { SHOULD_STOP, SHOULD_PASS, SHOULD_EITHER };

struct row {
	char title[TITLE_CAP];
	struct nettest_probe p;
	enum scope scope;
	enum should should;
	struct nettest_result r;
	const char *verdict;
	bool leak;
};

static const struct {
	const char *title;
	enum nettest_kind kind;
	const char *addr; /* NULL: the address outside; "gateway": the NetVM's */
	uint16_t number;
	enum scope scope;
	const char *src;
} table[] = {
#define ROW(title_, kind_, addr_, number_, scope_, src_) { title_, NETTEST_##kind_, addr_, number_, SCOPE_##scope_, src_ },
#include "tool/net_test.def"
#undef ROW
};

struct test {
	struct net net;
	const struct net_qube *q; /* NULL: it is not in the network */
	bool vpn;
	struct row row[NETTEST_ROWS_MAX];
	size_t n;
	struct fw_rule *rules;
};

/* --- what is tried ------------------------------------------------------------------------------------------------------ */

static void add(struct test *x, const char *title, enum nettest_kind kind, const char *addr, uint16_t number, enum scope scope, const char *src)
{
	struct row *row = &x->row[x->n];

	if (x->n == NETTEST_ROWS_MAX || !addr[0] || (src && strchr(addr, ':')))
		return;
	*row = (struct row){ .scope = scope, .p = { .kind = kind, .number = number, .v6 = strchr(addr, ':') != NULL } };
	if (str_copy(row->title, sizeof row->title, title) == 0 && str_copy(row->p.addr, sizeof row->p.addr, addr) == 0 && str_copy(row->p.src, sizeof row->p.src, src ? src : "") == 0)
		x->n++;
}

static void fill(struct test *x, const char *to)
{
	size_t beside = 0;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const char *addr = table[i].addr ? table[i].addr : to;

		if (streq(addr, "gateway"))
			addr = x->q && x->q->up ? x->q->up->ip : "";
		add(x, table[i].title, table[i].kind, addr, table[i].number, table[i].scope, table[i].src);
	}
	for (size_t i = 0; i < x->net.n && beside < BESIDE_MAX; i++) {
		const struct net_qube *o = &x->net.v[i];
		char title[TITLE_CAP];

		/* Its own clients it may reach, and its NetVM was tried above. */
		if (o == x->q || !net_runs(o) || !o->ip[0] || (x->q && (o->up == x->q || x->q->up == o)))
			continue;
		beside++;
		if (str_printf(title, sizeof title, "qube %.40s: echo", o->name) == 0)
			add(x, title, NETTEST_ICMP, o->ip, 0, SCOPE_NEVER, NULL);
		if (str_printf(title, sizeof title, "qube %.40s: SSH", o->name) == 0)
			add(x, title, NETTEST_TCP, o->ip, 22, SCOPE_NEVER, NULL);
	}
}

/* --- what the settings say ---------------------------------------------------------------------------------------------- */

static bool is_vpn(const char *qube)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };

	return adm_text(&rep, qube, "admin.vm.feature.Get", VPN_FEATURE, NULL, NULL) >= 0 && rep.len > 0;
}

static int packet(const struct row *row, struct fw_packet *p)
{
	static const enum fw_proto protos[NETTEST_KIND_N] = { [NETTEST_TCP] = FW_PROTO_TCP, [NETTEST_DNS_TCP] = FW_PROTO_TCP, [NETTEST_UDP] = FW_PROTO_UDP,
							       [NETTEST_DNS] = FW_PROTO_UDP, [NETTEST_NTP] = FW_PROTO_UDP, [NETTEST_ICMP] = FW_PROTO_ICMP };

	memset(p, 0, sizeof *p);
	p->proto = protos[row->p.kind];
	p->port = row->p.number;
	if (!fw_destination(p, row->p.addr) || p->proto == FW_PROTO_ANY)
		return -EINVAL;
	p->icmp = p->v6 ? 128 : 8;
	return 0;
}

/* From NetVM to NetVM; behind a VPN qube it is a packet of the tunnel, of which the rules further on know nothing. */
static int by_rules(struct tool *t, struct test *x, const struct row *row, enum should *ret)
{
	const struct net_qube *q = x->q;
	struct fw_packet p;

	*ret = SHOULD_PASS;
	if (!q || packet(row, &p) < 0) {
		*ret = q ? SHOULD_EITHER : SHOULD_STOP;
		return 0;
	}
	for (size_t hop = 0; q->up && hop < HOPS_MAX; hop++, q = q->up) {
		struct fw_verdict v = { .accept = true, .maybe = -1 };
		size_t n = 0;
		int r = q->up->filters ? net_rules(t, q->name, x->rules, &n) : 0;

		if (r)
			return r;
		if (q->up->filters)
			fw_judge(x->rules, n, &p, (uint64_t)time(NULL), &v);
		if ((p.v6 && (!q->ip6[0] || !q->up->ip6[0])) || (!v.accept && v.maybe < 0)) {
			*ret = SHOULD_STOP;
			return 0;
		}
		if (v.maybe >= 0)
			*ret = SHOULD_EITHER;
		if (is_vpn(q->up->name))
			return 0;
	}
	/* What a NetVM with a network card of its own, or made ready by hand, has behind it is not known here. */
	if (!q->outside)
		*ret = *ret == SHOULD_PASS ? SHOULD_EITHER : *ret;
	else if (p.v6)
		*ret = SHOULD_STOP;
	return 0;
}

static void judge(const struct test *x, struct row *row)
{
	const struct nettest_result *r = &row->r;
	bool answered = r->outcome == NETTEST_ANSWERED;

	if (!x->q || x->vpn)
		row->leak = r->left || (!x->q && answered);
	else
		row->leak = answered && row->should == SHOULD_STOP;
	row->verdict = !r->known ? "not tried" : row->leak ? "LEAK" : answered ? "passes" : row->should == SHOULD_STOP || x->vpn ? "stopped" : "no answer";
}

/* --- words --------------------------------------------------------------------------------------------------------------- */

static void to_text(const struct row *row, char *out, size_t cap)
{
	const char *form = row->p.kind == NETTEST_ICMP || row->p.kind == NETTEST_PROTO ? "%s" : row->p.v6 ? "[%s]:%u" : "%s:%u";

	if ((streq(form, "%s") ? str_printf(out, cap, "%s", row->p.addr) :
	     row->p.v6	       ? str_printf(out, cap, "[%s]:%u", row->p.addr, row->p.number) :
				 str_printf(out, cap, "%s:%u", row->p.addr, row->p.number)) < 0)
		out[0] = '\0';
}

static void print_rows(const struct tool *t, const struct test *x)
{
	static const char *const head[] = { "TRIED", "KIND", "TO", "LEFT THE QUBE", "ANSWER", "VERDICT" };
	_cleanup_(table_freep) struct table *tb = table_new(ARRAY_SIZE(head));

	for (size_t i = 0; i < ARRAY_SIZE(head); i++)
		table_add(tb, head[i]);
	for (size_t i = 0; i < x->n; i++) {
		const struct row *row = &x->row[i];
		char to[80];

		to_text(row, to, sizeof to);
		table_add(tb, row->title);
		table_add(tb, nettest_kind_word(row->p.kind));
		table_add(tb, to);
		table_add(tb, row->r.known ? row->r.left ? "yes" : "no" : NULL);
		table_add(tb, row->r.known ? nettest_outcome_word(row->r.outcome) : NULL);
		table_add(tb, row->verdict);
	}
	table_print(tb, t, true);
}

static void json_rows(const struct test *x)
{
	static const char *const shoulds[] = { "stop", "pass", "either" };
	struct json j = { 0 };

	json_open(&j, NULL, '[');
	for (size_t i = 0; i < x->n; i++) {
		const struct row *row = &x->row[i];

		json_open(&j, NULL, '{');
		json_str(&j, "tried", row->title);
		json_str(&j, "kind", nettest_kind_word(row->p.kind));
		json_str(&j, "address", row->p.addr);
		json_int(&j, "number", row->p.number);
		json_str(&j, "source", row->p.src[0] ? row->p.src : NULL);
		json_str(&j, "should", shoulds[row->should]);
		json_bool(&j, "left", row->r.left);
		json_str(&j, "answer", row->r.known ? nettest_outcome_word(row->r.outcome) : NULL);
		json_str(&j, "verdict", row->verdict);
		json_bool(&j, "leak", row->leak);
		json_close(&j, '}');
	}
	json_close(&j, ']');
}

static int report(struct tool *t, struct test *x, const char *name)
{
	size_t leaks = 0, unknown = 0;

	for (size_t i = 0; i < x->n; i++) {
		judge(x, &x->row[i]);
		leaks += x->row[i].leak;
		unknown += !x->row[i].r.known;
	}
	if (opt_has(t, KEY_JSON))
		json_rows(x);
	else
		print_rows(t, x);
	if (unknown)
		return tool_fail(t, "'%s' did not try %zu of %zu rows", name, unknown, x->n);
	if (leaks)
		tool_note(t, "%zu of %zu rows leak", leaks, x->n);
	else
		tool_note(t, !x->q || x->vpn ? "nothing left '%s'" : "nobody answered '%s' who should not", name);
	if (!leaks && x->q && x->q->up && is_vpn(x->q->up->name))
		tool_note(t, "'%s' is a VPN qube: 'qvm-net test %s' shows what leaves it", x->q->up->name, x->q->up->name);
	return leaks ? EXIT_LEAK : 0;
}

static int run_rows(struct tool *t, struct test *x, const char *name)
{
	_cleanup_wr_ struct wr w = wr_grow(1 << 16);
	_cleanup_free_ struct nettest_result *res = xcalloc(NETTEST_ROWS_MAX, sizeof *res);
	_cleanup_free_ char *answer = NULL;
	struct err e = { 0 };
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < x->n && r == 0; i++) {
		struct row *row = &x->row[i];

		nettest_put(&w, &row->p);
		row->should = row->scope == SCOPE_NEVER ? SHOULD_STOP : SHOULD_EITHER;
		if (row->scope == SCOPE_RULES)
			r = by_rules(t, x, row, &row->should);
	}
	if (r)
		return r;
	r = service_send(name, NETTEST_SERVICE, w.buf, w.len, ANSWER_MAX, &answer, &n, &e);
	if (r < 0)
		return tool_fail(t, "%s: %s", name, err_text(&e, r));
	if (r || nettest_answers(res, x->n, rd_mem(answer, n)) < 0)
		return tool_fail(t, "'%s' does not answer as it should (status %d); has its template the package bulkhead-guest of this version?", name, r);
	for (size_t i = 0; i < x->n; i++)
		x->row[i].r = res[i];
	return report(t, x, name);
}

int net_test(struct tool *t, const char *name, const char *to)
{
	struct test *x;
	struct adm_qubes q;
	struct err e = { 0 };
	struct fw_packet p;
	bool runs;
	int r = adm_qubes_get(&q, name, &e);

	if (r == -ADM_EXC_NOT_FOUND)
		return tool_usage(t, "no such qube: '%s'", name);
	if (r < 0)
		return tool_api(t, r, &e);
	runs = q.n == 1 && streq(q.v[0].state, "Running") && !streq(name, "dom0");
	adm_qubes_fini(&q);
	if (to && (!fw_destination(&p, to) || p.named))
		return tool_usage(t, "--to is an address, not '%s'", to);
	if (!runs)
		return tool_fail(t, "'%s' does not run: the test happens inside it", name);
	x = xcalloc(1, sizeof *x);
	r = net_load(&x->net, t, false);
	if (r == 0) {
		x->q = net_find(&x->net, name);
		x->vpn = is_vpn(name);
		x->rules = xcalloc(FW_RULES_MAX, sizeof *x->rules);
		fill(x, to ? to : "1.1.1.1");
		r = run_rows(t, x, name);
		free(x->rules);
		net_fini(&x->net);
	}
	free(x);
	return r;
}
