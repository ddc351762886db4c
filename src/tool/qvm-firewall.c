/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-firewall: the rules by which a qube's NetVM lets its packets through (text: proto/firewall.h). */
#include <fcntl.h>
#include <time.h>

#include "client/answers.h"
#include "proto/firewall.h"
#include "tool/util.h"

enum { KEY_RAW = 540, KEY_RELOAD, KEY_BEFORE, KEY_RULE_NO, KEY_THEN_NOTHING };

static const struct tool_opt opts[] = {
	{ KEY_RAW, "raw", NULL, "list: print the rules as the daemon keeps them", 0, W_ANY },
	OPT_JSON,
	{ KEY_RELOAD, "reload", NULL, "apply the rules anew, which also asks for the addresses of names again", 0, W_ANY },
	{ 'r', "reload", NULL, NULL, OPT_ALIAS | OPT_HIDDEN, W_ANY },
	{ KEY_BEFORE, "before", "NO", "add: in front of this rule instead of at the end", 0, W_ANY },
	{ KEY_RULE_NO, "rule-no", "NO", "del: this rule", 0, W_ANY },
	{ KEY_THEN_NOTHING, "then-nothing", NULL, "open: remove all other rules, so that nothing passes afterwards", 0, W_ANY },
	{ 0 },
};

static const struct tool_sub subs[] = {
	{ "list", "", "list the rules (the default)" },
	{ "add", "[--before NO] RULE", "add a rule" },
	{ "del", "--rule-no NO | RULE", "remove a rule" },
	{ "open", "DURATION [RULE]", "let everything, or what RULE says, through for so long: 90s, 10m, 2h, 1d" },
	{ "import", "FILE", "replace all rules by those in FILE (- is standard input), as 'list --raw' prints them" },
	{ "reset", "", "let everything through, as for a new qube" },
	{ 0 },
};

struct rules {
	struct fw_rule *v;
	size_t n;
};

static int rules_get(struct tool *t, const char *qube, struct rules *ret, struct adm_reply *rep)
{
	struct err e = { 0 };
	struct rd text, line;
	int r = adm_text(rep, qube, "admin.vm.firewall.Get", NULL, NULL, &e);

	if (r < 0)
		return tool_api(t, r, &e);
	ret->v = xcalloc(FW_RULES_MAX + 1, sizeof *ret->v);
	text = rd_mem(rep->data, rep->len);
	while (rd_line(&text, &line))
		if (ret->n == FW_RULES_MAX || fw_parse(&ret->v[ret->n++], line, &e) < 0)
			return tool_fail(t, "the answer of qubesd has a rule that is none");
	return 0;
}

static int rules_set(struct tool *t, const char *qube, const struct rules *rs)
{
	_cleanup_wr_ struct wr w = wr_grow(ADM_REQUEST_MAX);
	struct err e = { 0 };
	int r;

	for (size_t i = 0; i < rs->n; i++) {
		fw_format(&w, &rs->v[i]);
		wr_u8(&w, '\n');
	}
	wr_u8(&w, 0);
	if (!wr_ok(&w))
		return tool_fail(t, "these are too many rules for one qube");
	r = adm_void(qube, "admin.vm.firewall.Set", NULL, (const char *)w.buf, &e);
	return r < 0 ? tool_api(t, r, &e) : 0;
}

static const char *const proto_names[] = { [FW_PROTO_ANY] = NULL, [FW_PROTO_TCP] = "tcp", [FW_PROTO_UDP] = "udp", [FW_PROTO_ICMP] = "icmp" };

static void ports_text(char out[24], const struct fw_rule *f)
{
	if (str_printf(out, 24, f->port_from == f->port_to ? "%u" : "%u-%u", f->port_from, f->port_to) < 0)
		out[0] = '\0';
}

static void add_row(struct table *tb, const struct fw_rule *f, size_t no)
{
	char ports[24], when[32] = "-";
	time_t expire = (time_t)f->expire;
	struct tm tm;

	ports_text(ports, f);
	if (f->has_expire && (!localtime_r(&expire, &tm) || strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm) == 0))
		when[0] = '\0';
	table_addf(tb, "%zu", no);
	table_add(tb, f->accept ? "accept" : "drop");
	table_add(tb, f->dst == FW_DST_NONE ? NULL : f->addr);
	table_add(tb, proto_names[f->proto]);
	table_add(tb, f->has_ports ? ports : NULL);
	table_add(tb, f->dns ? "dns" : NULL);
	if (f->has_icmp)
		table_addf(tb, "%u", f->icmp);
	else
		table_add(tb, NULL);
	table_add(tb, when);
	table_add(tb, f->comment[0] ? f->comment : NULL);
}

static void list_table(struct tool *t, const struct rules *rs)
{
	static const char *const head[] = { "NO", "ACTION", "HOST", "PROTOCOL", "PORT(S)", "SPECIAL TARGET", "ICMP TYPE", "EXPIRE", "COMMENT" };
	_cleanup_(table_freep) struct table *tb = table_new(ARRAY_SIZE(head));

	for (size_t i = 0; i < ARRAY_SIZE(head); i++)
		table_add(tb, head[i]);
	for (size_t i = 0; i < rs->n; i++)
		add_row(tb, &rs->v[i], i);
	table_print(tb, t, true);
}

static void list_json(const struct rules *rs)
{
	static const char *const keys[] = { [FW_DST_4] = "dst4", [FW_DST_6] = "dst6", [FW_DST_NAME] = "dsthost" };
	struct json j = { 0 };
	char ports[24];

	json_open(&j, NULL, '[');
	for (size_t i = 0; i < rs->n; i++) {
		const struct fw_rule *f = &rs->v[i];

		json_open(&j, NULL, '{');
		json_int(&j, "no", (int64_t)i);
		json_str(&j, "action", f->accept ? "accept" : "drop");
		if (f->dst != FW_DST_NONE)
			json_str(&j, keys[f->dst], f->addr);
		if (f->proto != FW_PROTO_ANY)
			json_str(&j, "proto", proto_names[f->proto]);
		ports_text(ports, f);
		if (f->has_ports)
			json_str(&j, "dstports", ports);
		if (f->dns)
			json_str(&j, "specialtarget", "dns");
		if (f->has_icmp)
			json_int(&j, "icmptype", f->icmp);
		if (f->has_expire)
			json_int(&j, "expire", (int64_t)f->expire);
		if (f->comment[0])
			json_str(&j, "comment", f->comment);
		json_close(&j, '}');
	}
	json_close(&j, ']');
}

static bool known_key(const char *word)
{
	static const char *const keys[] = { "action=", "dsthost=", "dst4=", "dst6=", "dstname=", "proto=", "dstports=", "specialtarget=",
					    "icmptype=", "expire=", "comment=" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (str_starts(word, keys[i]))
			return true;
	return false;
}

/* expire=+SECONDS counts from now. Gives false when it is no number. */
static bool put_expire(struct wr *w, const char *value)
{
	uint64_t n, now = (uint64_t)time(NULL);

	if (value[0] != '+') {
		wr_printf(w, "expire=%s", value);
		return true;
	}
	if (str_u64(value + 1, INT64_MAX - now, &n) < 0)
		return false;
	wr_printf(w, "expire=%llu", (unsigned long long)(now + n));
	return true;
}

/* ACTION HOST PROTOCOL PORTS in this order, "-" for any; KEY=VALUE anywhere; behind comment= everything. */
static int parse_rule(struct tool *t, int argc, char **argv, struct fw_rule *ret)
{
	static const char *const places[] = { "action", "dsthost", "proto", "dstports" };
	_cleanup_wr_ struct wr w = wr_grow(8192);
	struct err e = { 0 };
	size_t place = 0;
	bool icmp = false;
	int r;

	for (int i = 0; i < argc; i++) {
		const char *word = argv[i];

		if (i)
			wr_u8(&w, ' ');
		if (str_starts(word, "expire=")) {
			if (!put_expire(&w, word + strlen("expire=")))
				return tool_usage(t, "'%s': give seconds from now as expire=+SECONDS, or seconds since 1970", word);
		} else if (known_key(word)) {
			wr_str(&w, word);
		} else if (i && str_starts(argv[i - 1], "comment=")) {
			wr_str(&w, word);
			argv[i] = argv[i - 1];
		} else if (place == ARRAY_SIZE(places)) {
			return tool_usage(t, "'%s' is too much; a rule is ACTION [HOST [PROTOCOL [PORTS]]] and KEY=VALUE", word);
		} else {
			icmp = icmp || (place == 2 && streq(word, "icmp"));
			if (!streq(word, "-"))
				wr_printf(&w, "%s=%s", place == 3 && icmp ? "icmptype" : places[place], word);
			else if (w.len)
				w.len--;
			place++;
		}
	}
	if (!wr_ok(&w))
		return tool_usage(t, "the rule is too long");
	r = fw_parse(ret, rd_mem(w.buf, w.len), &e);
	return r < 0 ? tool_usage(t, "this is no rule: %s; see 'qvm-firewall --help'", err_text(&e, r)) : 0;
}

static int rule_number(struct tool *t, int key, size_t max, size_t *ret)
{
	uint64_t n;

	if (str_u64(opt_str(t, key), FW_RULES_MAX, &n) < 0 || n >= max)
		return tool_usage(t, "there is no rule '%s'; the rules have the numbers 0 to %zu", opt_str(t, key), max ? max - 1 : 0);
	*ret = (size_t)n;
	return 0;
}

static bool takes_everything(const struct fw_rule *f)
{
	return f->dst == FW_DST_NONE && f->proto == FW_PROTO_ANY && !f->dns && !f->has_expire;
}

static int add(struct tool *t, const char *qube, struct rules *rs, int argc, char **argv)
{
	size_t at = rs->n;
	struct fw_rule f;
	int r = 0;

	if (opt_has(t, KEY_BEFORE) && rs->n)
		r = rule_number(t, KEY_BEFORE, rs->n, &at);
	if (r == 0)
		r = parse_rule(t, argc, argv, &f);
	if (r)
		return r;
	if (rs->n == FW_RULES_MAX)
		return tool_fail(t, "a qube has %d rules at most", FW_RULES_MAX);
	memmove(&rs->v[at + 1], &rs->v[at], (rs->n - at) * sizeof *rs->v);
	rs->v[at] = f;
	rs->n++;
	r = rules_set(t, qube, rs);
	for (size_t i = 0; i < at && r == 0; i++)
		if (takes_everything(&rs->v[i])) {
			tool_note(t, "rule %zu takes all packets before rule %zu sees one; 'qvm-firewall %s del --rule-no %zu' removes it", i, at,
				  qube, i);
			break;
		}
	return r;
}

/* Comment and expiry count only when they are named. */
static bool same(const struct fw_rule *a, const struct fw_rule *want)
{
	uint8_t ba[2048], bb[2048];
	struct fw_rule x = *a, y = *want;
	struct wr wa = wr_mem(ba, sizeof ba), wb = wr_mem(bb, sizeof bb);

	if (!y.comment[0])
		x.comment[0] = '\0';
	if (!y.has_expire)
		x.has_expire = false;
	fw_format(&wa, &x);
	fw_format(&wb, &y);
	return wr_ok(&wa) && wr_ok(&wb) && wa.len == wb.len && memcmp(ba, bb, wa.len) == 0;
}

static int del(struct tool *t, const char *qube, struct rules *rs, int argc, char **argv)
{
	size_t at = rs->n;
	struct fw_rule f;
	int r;

	if (opt_has(t, KEY_RULE_NO) == (argc > 0))
		return tool_usage(t, "name one rule: del --rule-no NO, or del RULE");
	r = argc ? parse_rule(t, argc, argv, &f) : rule_number(t, KEY_RULE_NO, rs->n, &at);
	if (r)
		return r;
	for (size_t i = 0; argc && i < rs->n && at == rs->n; i++)
		if (same(&rs->v[i], &f))
			at = i;
	if (at == rs->n)
		return tool_usage(t, "'%s' has no such rule; 'qvm-firewall %s' lists them", qube, qube);
	memmove(&rs->v[at], &rs->v[at + 1], (rs->n - at - 1) * sizeof *rs->v);
	rs->n--;
	return rules_set(t, qube, rs);
}

/* Seconds; 0 = no duration. */
static uint64_t duration(const char *s)
{
	static const struct {
		char unit;
		uint64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	char number[16];
	size_t n = strlen(s);
	uint64_t v;

	if (n < 2 || n > sizeof number)
		return 0;
	memcpy(number, s, n - 1);
	number[n - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (s[n - 1] == units[i].unit && str_u64(number, 366 * 86400 / units[i].seconds, &v) == 0)
			return v * units[i].seconds;
	return 0;
}

/* What passes when the rule has ended, and what keeps it from working now. */
static void say_open(const struct tool *t, const char *qube, const struct rules *rs)
{
	char netvm[64], when[32];
	time_t end = (time_t)rs->v[0].expire;
	struct err e = { 0 };
	struct tm tm;

	if (localtime_r(&end, &tm) && strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm))
		tool_note(t, "'%s' is open until %s", qube, when);
	if (prop_get(qube, "netvm", netvm, sizeof netvm, &e) >= 0 && !netvm[0])
		tool_note(t, "'%s' has no NetVM, so it reaches nothing all the same; 'qvm-prefs %s netvm NETVM' gives it one", qube, qube);
	for (size_t i = 1; i < rs->n; i++)
		if (rs->v[i].accept && !rs->v[i].has_expire) {
			tool_note(t, "afterwards rule %zu still lets packets through; --then-nothing removes all other rules", i - 1);
			return;
		}
}

/* In front of all others, and in place of an earlier one that only ended at another time. */
static int open_for(struct tool *t, const char *qube, struct rules *rs, int argc, char **argv)
{
	char *everything[] = { (char[]){ "accept" } };
	uint64_t seconds = argc ? duration(argv[0]) : 0;
	struct fw_rule f, now;
	size_t n = 0;
	int r;

	if (!seconds)
		return tool_usage(t, "say for how long: 90s, 10m, 2h or 1d, as in: qvm-firewall %s open 10m", qube);
	r = argc > 1 ? parse_rule(t, argc - 1, argv + 1, &f) : parse_rule(t, 1, everything, &f);
	if (r)
		return r;
	if (!f.accept || f.has_expire)
		return tool_usage(t, "open takes a rule that accepts, without a time of its own");
	for (size_t i = 0; i < rs->n; i++) {
		now = rs->v[i];
		now.has_expire = false;
		if (!opt_has(t, KEY_THEN_NOTHING) && !(rs->v[i].has_expire && same(&now, &f)))
			rs->v[n++] = rs->v[i];
	}
	if (n == FW_RULES_MAX)
		return tool_fail(t, "a qube has %d rules at most", FW_RULES_MAX);
	memmove(&rs->v[1], &rs->v[0], n * sizeof *rs->v);
	f.has_expire = true;
	f.expire = (uint64_t)time(NULL) + seconds;
	rs->v[0] = f;
	rs->n = n + 1;
	r = rules_set(t, qube, rs);
	if (r == 0)
		say_open(t, qube, rs);
	return r;
}

static int import(struct tool *t, const char *qube, struct rules *rs, const char *path)
{
	_cleanup_fd_ int fd = streq(path, "-") ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	struct err e = { 0 };
	struct rd all, line;
	size_t len, no = 0;
	int r = fd < 0 ? -errno : read_all(fd, ADM_REQUEST_MAX, &text, &len);

	if (r < 0)
		return tool_usage(t, "'%s': %s", path, strerror(-r));
	all = rd_mem(text, len);
	for (rs->n = 0; rd_line(&all, &line);) {
		no++;
		if (rd_left(&line) == 0)
			continue;
		if (rs->n == FW_RULES_MAX)
			return tool_fail(t, "a qube has %d rules at most", FW_RULES_MAX);
		r = fw_parse(&rs->v[rs->n++], line, &e);
		if (r < 0)
			return tool_usage(t, "'%s', line %zu: %s", path, no, err_text(&e, r));
	}
	return rules_set(t, qube, rs);
}

static int act(struct tool *t, const char *qube, const char *cmd, int argc, char **argv)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct rules rs = { 0 };
	int r = rules_get(t, qube, &rs, &rep);

	if (r == 0 && streq(cmd, "list")) {
		if (opt_has(t, KEY_JSON))
			list_json(&rs);
		else if (opt_has(t, KEY_RAW))
			out_text(t, rep.data);
		else
			list_table(t, &rs);
	} else if (r == 0 && streq(cmd, "add")) {
		r = add(t, qube, &rs, argc, argv);
	} else if (r == 0 && streq(cmd, "del")) {
		r = del(t, qube, &rs, argc, argv);
	} else if (r == 0 && streq(cmd, "open")) {
		r = open_for(t, qube, &rs, argc, argv);
	} else if (r == 0 && streq(cmd, "import")) {
		r = import(t, qube, &rs, argv[0]);
	} else if (r == 0) {
		rs.v[0] = (struct fw_rule){ .accept = true };
		rs.n = 1;
		r = rules_set(t, qube, &rs);
	}
	free(rs.v);
	return r;
}

static int run(struct tool *t, int argc, char **argv)
{
	bool reload = opt_has(t, KEY_RELOAD) || opt_has(t, 'r');
	const char *cmd = argc > 1 ? argv[1] : reload ? NULL : "list";
	struct err e = { 0 };
	int r = 0;

	for (size_t i = 0; cmd && (!subs[i].name || !streq(subs[i].name, cmd)); i++)
		if (!subs[i].name)
			return tool_usage(t, "no such command: '%s'; there are list, add, del, open, import, reset", cmd);
	if (cmd && (streq(cmd, "list") || streq(cmd, "reset")) && argc > 2)
		return tool_usage(t, "%s takes no rule", cmd);
	if (cmd && streq(cmd, "add") && argc < 3)
		return tool_usage(t, "add needs a rule, such as: qvm-firewall %s add accept example.org tcp 443", argv[0]);
	if (cmd && streq(cmd, "import") && argc != 3)
		return tool_usage(t, "import takes one file, - for standard input: qvm-firewall %s import FILE", argv[0]);
	if (opt_has(t, KEY_THEN_NOTHING) && !(cmd && streq(cmd, "open")))
		return tool_usage(t, "--then-nothing belongs to open");
	if (cmd)
		r = act(t, argv[0], cmd, argc - 2, argv + 2);
	if (r == 0 && reload) {
		r = adm_void(argv[0], "admin.vm.firewall.Reload", NULL, NULL, &e);
		r = r < 0 ? tool_api(t, r, &e) : 0;
	}
	return r;
}

const struct verb verb_qvm_firewall = {
	.name = "qvm-firewall",
	.summary = "show or change the firewall rules of a qube",
	.args = "QUBE [list|add|del|open|import|reset] [RULE]",
	.desc = "A rule is ACTION [HOST [PROTOCOL [PORTS]]] and any KEY=VALUE. ACTION is accept\n"
		"or drop, HOST an address, a network or a name, PROTOCOL tcp, udp or icmp, PORTS\n"
		"a number or FROM-TO (the type with icmp); - stands for any. Keys: action,\n"
		"dsthost, dst4, dst6, proto, dstports, icmptype, specialtarget=dns,\n"
		"expire=+SECONDS, comment (last). The first rule that fits decides; what no rule\n"
		"fits is dropped.",
	.opts = opts,
	.subs = subs,
	.words = { W_QUBE, W_SUB, W_RULE },
	.min_args = 1,
	.run = run,
};
