/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qvm-vpn: qubes whose clients reach nothing but through a tunnel. */
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "base/io.h"
#include "tool/clone.h"
#include "tool/menus.h"
#include "tool/net.h"
#include "tool/prefs.h"
#include "tool/service.h"
#include "tool/vpn.h"

enum { KEY_VPN_NAME = 760, KEY_VPN_NETVM, KEY_VPN_AUTH, KEY_VPN_REPLACE, KEY_VPN_WAIT, KEY_VPN_FORCE };

#define NAME_DEFAULT "sys-vpn"
#define LABEL_DEFAULT "orange"
#define WAIT_DEFAULT_S 60u
#define EXIT_NOT_UP 3

static const struct tool_opt opts[] = {
	{ KEY_VPN_NAME, "name", "QUBE", "import: name of the VPN qube (default " NAME_DEFAULT ")", 0, W_ANY },
	{ 't', "template", "QUBE", "import: template of a new VPN qube", 0, W_QUBE },
	{ 'l', "label", "LABEL", "import: label of a new VPN qube (default " LABEL_DEFAULT ")", 0, W_LABEL },
	{ KEY_VPN_NETVM, "netvm", "QUBE", "import: what the tunnel itself goes through", 0, W_QUBE },
	{ KEY_VPN_AUTH, "auth", "FILE", "import: user name and password, each on a line", 0, W_FILE },
	{ KEY_VPN_REPLACE, "replace", NULL, "import: the VPN qube exists and gets another configuration", 0, W_ANY },
	{ KEY_VPN_WAIT, "wait", "SECONDS", "import, restart: wait so long for the tunnel (default 60)", 0, W_ANY },
	{ KEY_VPN_FORCE, "force", NULL, "remove: do not ask; export: overwrite", 0, W_ANY },
	{ 'f', "force", NULL, NULL, OPT_ALIAS | OPT_HIDDEN, W_ANY },
	OPT_JSON,
	{ 0 },
};

static const struct tool_sub subs[] = {
	{ "list", "", "list VPN qubes (the default)" },
	{ "import", "FILE", "make a VPN qube of a WireGuard or OpenVPN configuration" },
	{ "status", "QUBE", "show the tunnel of a VPN qube" },
	{ "restart", "QUBE", "take the tunnel down and up again" },
	{ "export", "QUBE [FILE]", "write the configuration, with its keys, to FILE or out" },
	{ "remove", "QUBE", "remove the VPN qube, with its configuration and keys" },
	{ 0 },
};

static const struct tool_exit exits[] = {
	{ EXIT_NOT_UP, "import, restart, status: the tunnel is not up (its clients reach nothing meanwhile)" },
	{ 0, NULL },
};

/* --- what a VPN qube says of itself ----------------------------------------------------------------------------------------- */

static const char *const words[] = { "no-configuration", "failed", "no-uplink", "asking-names", "connecting", "up" };

/* The word of its tunnel, "?" when it runs and says nothing that we know. */
static const char *tunnel(struct qdbc *db)
{
	char value[QDB_VALUE_MAX + 1];

	if (qdbc_read(db, VPN_STATE_KEY, value, sizeof value, NULL) == 0)
		for (size_t i = 0; i < ARRAY_SIZE(words); i++)
			if (streq(value, words[i]))
				return words[i];
	return "?";
}

static const char *tunnel_of(const char *qube)
{
	struct qdbc db = { .fd = -1 };
	const char *word;

	if (net_db(&db, qube) < 0)
		return "?";
	word = tunnel(&db);
	qdbc_fini(&db);
	return word;
}

/* Waits for the tunnel of a running qube; true when it is up. */
static bool wait_up(const char *qube, unsigned seconds, const char **ret)
{
	uint64_t end = now_us() / 1000 + seconds * 1000ull, now;
	struct qdbc db = { .fd = -1 };
	char key[QDB_KEY_CAP];

	*ret = "?";
	if (net_db(&db, qube) < 0 || qdbc_watch(&db, VPN_STATE_KEY, true, NULL) < 0)
		return false;
	for (;;) {
		*ret = tunnel(&db);
		now = now_us() / 1000;
		if (streq(*ret, "up") || now >= end || qdbc_wait_event(&db, key, (int)(end - now), NULL) < 0)
			break;
	}
	qdbc_fini(&db);
	return streq(*ret, "up");
}

/* One call; lines "note …" and "error …" of the answer are shown, since it is the qube that understands the files. */
static int ask(struct tool *t, const char *qube, const char *what, const struct wr *data)
{
	_cleanup_free_ char *service = xasprintf(VPN_SERVICE "+%s", what), *answer = NULL;
	struct err e = { 0 };
	struct rd text, line;
	size_t n = 0;
	int r = service_send(qube, service, data ? (const void *)data->buf : "", data ? data->len : 0, VPN_ANSWER_MAX, &answer, &n, &e);
	bool told = false;

	if (r < 0)
		return tool_fail(t, "%s: %s", qube, err_text(&e, r));
	text = rd_mem(answer, n);
	while (rd_line(&text, &line)) {
		char shown[300];

		str_escape(shown, sizeof shown, line.p, rd_left(&line));
		if (str_starts(shown, "note "))
			tool_note(t, "%s", shown + 5);
		else if (r && str_starts(shown, "error ") && !told)
			told = tool_fail(t, "%s", shown + 6) != 0;
	}
	if (r && !told)
		return tool_fail(t, "'%s' does not do it (status %d); has its template the package bulkhead-guest of this version?", qube, r);
	return r ? EXIT_FAIL : 0;
}

static int is_vpn(struct tool *t, const char *name)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	struct err e = { 0 };
	int r = tool_qube(t, name);

	if (r)
		return r;
	r = adm_text(&rep, name, "admin.vm.feature.Get", VPN_FEATURE, NULL, &e);
	if (r == -ADM_EXC_NO_FEATURE || (r >= 0 && rep.len == 0))
		return tool_usage(t, "'%s' is no VPN qube; 'qvm-vpn list' shows them", name);
	return r < 0 ? tool_api(t, r, &e) : 0;
}

static int running(struct tool *t, const char *name)
{
	struct adm_qubes q;
	struct err e = { 0 };
	int r = adm_qubes_get(&q, name, &e);
	bool runs;

	if (r < 0)
		return tool_api(t, r, &e);
	runs = q.n == 1 && streq(q.v[0].state, "Running");
	adm_qubes_fini(&q);
	return runs ? 0 : tool_fail(t, "'%s' does not run; start it with 'qvm-start %s'", name, name);
}

/* --- import ------------------------------------------------------------------------------------------------------------------- */

/* Before its first start it has the wall: no client of it ever saw it without. */
static int make(struct tool *t, const char *name, struct err *e)
{
	const char *label = opt_str(t, 'l'), *netvm = opt_str(t, KEY_VPN_NETVM);
	int r;

	if (create_qube(t, "AppVM", opt_str(t, 't'), name, label ? label : LABEL_DEFAULT))
		return -ECANCELED;
	r = adm_void(name, "admin.vm.feature.Set", VPN_FEATURE, "1", e);
	if (r >= 0)
		r = prop_set(name, "provides_network", "True", e);
	if (r >= 0 && netvm)
		r = prop_set(name, "netvm", netvm, e);
	return r;
}

static void unmake(struct tool *t, const char *name)
{
	struct err e = { 0 };

	(void)adm_void(name, "admin.vm.Kill", NULL, NULL, &e);
	err_clear(&e);
	if (adm_void(name, "admin.vm.Remove", NULL, NULL, &e) < 0)
		(void)tool_fail(t, "removing the unfinished '%s' failed too: %s", name, e.msg);
}

static int seconds(struct tool *t, unsigned *ret)
{
	const char *text = opt_str(t, KEY_VPN_WAIT);
	uint64_t n = WAIT_DEFAULT_S;

	if (text && str_u64(text, 3600, &n) < 0)
		return tool_usage(t, "--wait is a number of seconds up to 3600, not '%s'", text);
	*ret = (unsigned)n;
	return 0;
}

static int say_state(struct tool *t, const char *name, unsigned wait)
{
	const char *word;

	if (wait_up(name, wait, &word)) {
		tool_note(t, "the tunnel of '%s' is up", name);
		return 0;
	}
	tool_note(t, "the tunnel of '%s' is not up yet: %s; 'qvm-vpn status %s' says more. Until then its clients reach nothing", name, word, name);
	return EXIT_NOT_UP;
}

static int start(struct tool *t, const char *name, struct err *e)
{
	int r;

	if (isatty(STDERR_FILENO))
		tool_note(t, "starting '%s'%s", name, emulated_here() ? " (" EMULATED_TEXT ")" : "");
	r = adm_void(name, "admin.vm.Start", NULL, NULL, e);
	return r == -ADM_EXC_NOT_HALTED ? 0 : r;
}

static int give(struct tool *t, const char *name, bool exists, struct wr *bundle)
{
	struct err e = { 0 };
	unsigned wait = 0;
	int r, status = seconds(t, &wait);

	if (status)
		return status;
	r = exists ? 0 : make(t, name, &e);
	if (r == -ECANCELED)
		return EXIT_FAIL;
	if (r >= 0)
		r = start(t, name, &e);
	status = r < 0 ? tool_api(t, r, &e) : ask(t, name, "import", bundle);
	if (status) {
		if (!exists)
			unmake(t, name);
		return status;
	}
	if (!exists)
		menus_new(t, name);
	status = say_state(t, name, wait);
	if (!exists)
		tool_note(t, "send a qube through it with 'qvm-prefs QUBE netvm %s'", name);
	return status;
}

static int import(struct tool *t, const char *file)
{
	const char *name = opt_str(t, KEY_VPN_NAME);
	_cleanup_wr_ struct wr bundle = wr_grow(VPN_FILE_MAX * (VPN_FILES_MAX + 2u));
	bool replace = opt_has(t, KEY_VPN_REPLACE);
	struct adm_qubes all;
	struct err e = { 0 };
	bool exists;
	int r = adm_qubes_get(&all, "dom0", &e);

	if (r < 0)
		return tool_api(t, r, &e);
	name = name ? name : NAME_DEFAULT;
	exists = adm_qubes_find(&all, name) != NULL;
	adm_qubes_fini(&all);
	if (exists && !replace)
		return tool_usage(t, "'%s' exists; choose another --name, or give it this configuration with --replace", name);
	if (exists && (opt_has(t, 't') || opt_has(t, 'l') || opt_has(t, KEY_VPN_NETVM)))
		return tool_usage(t, "--replace changes the configuration only; the rest is qvm-prefs");
	if (!exists && replace)
		return tool_usage(t, "there is no qube '%s' whose configuration could be replaced", name);
	r = exists ? is_vpn(t, name) : 0;
	if (r == 0)
		r = vpn_pack(t, file, opt_str(t, KEY_VPN_AUTH), &bundle);
	if (r == 0)
		r = give(t, name, exists, &bundle);
	if (bundle.buf)
		explicit_bzero(bundle.buf, bundle.len);
	return r;
}

/* --- list and status ---------------------------------------------------------------------------------------------------------- */

struct row {
	const char *name, *netvm, *state, *tunnel;
	size_t clients;
	bool vpn;
};

static void print_rows(const struct row *v, size_t n)
{
	_cleanup_(table_freep) struct table *tb = table_new(5);
	static const char *const head[] = { "NAME", "STATE", "TUNNEL", "NETVM", "CLIENTS" };

	for (size_t i = 0; i < ARRAY_SIZE(head); i++)
		table_add(tb, head[i]);
	for (size_t i = 0; i < n; i++) {
		if (!v[i].vpn)
			continue;
		table_add(tb, v[i].name);
		table_add(tb, v[i].state);
		table_add(tb, v[i].tunnel);
		table_add(tb, v[i].netvm[0] ? v[i].netvm : NULL);
		table_addf(tb, "%zu", v[i].clients);
	}
	table_print(tb, NULL, true);
}

static void json_rows(const struct row *v, size_t n)
{
	struct json j = { 0 };

	json_open(&j, NULL, '[');
	for (size_t i = 0; i < n; i++) {
		if (!v[i].vpn)
			continue;
		json_open(&j, NULL, '{');
		json_str(&j, "name", v[i].name);
		json_str(&j, "state", v[i].state);
		json_str(&j, "tunnel", v[i].tunnel);
		json_str(&j, "netvm", v[i].netvm[0] ? v[i].netvm : NULL);
		json_int(&j, "clients", (int64_t)v[i].clients);
		json_close(&j, '}');
	}
	json_close(&j, ']');
}

static int list(struct tool *t)
{
	_cleanup_reply_ struct adm_reply rep = { 0 };
	_cleanup_(adm_qubes_fini) struct adm_qubes all = { 0 };
	_cleanup_free_ struct row *v = NULL;
	struct err e = { 0 };
	char *text, *line;
	size_t n = 0;
	int r = adm_qubes_get(&all, "dom0", &e);

	if (r >= 0)
		r = adm_internal(&rep, "dom0", "internal.vm.Table", NULL, "netvm\nfeature." VPN_FEATURE, &e);
	if (r < 0)
		return tool_api(t, r, &e);
	v = xcalloc(all.n + 1, sizeof *v);
	text = rep.data;
	while ((line = adm_line(&text)) && n < all.n) {
		const char *name = adm_field(&line), *netvm = adm_field(&line), *on = adm_field(&line);
		const struct adm_qube *q = name ? adm_qubes_find(&all, name) : NULL;

		if (!q || !netvm || !on)
			continue;
		v[n].name = q->name;
		v[n].state = q->state;
		v[n].netvm = netvm[0] == '=' ? netvm + 1 : "";
		v[n].vpn = on[0] == '=' && on[1];
		v[n].tunnel = v[n].vpn && streq(q->state, "Running") ? tunnel_of(q->name) : NULL;
		n++;
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++)
			v[i].clients += streq(v[k].netvm, v[i].name);
	if (opt_has(t, KEY_JSON))
		json_rows(v, n);
	else
		print_rows(v, n);
	return 0;
}

/* What may stand in an answer; everything else of it is passed over. The qube's words are shown with their control bytes escaped. */
static const struct {
	const char *word, *title;
	bool many;
} facts[] = {
	{ "state", "tunnel", false }, { "why", "because", false },     { "kind", "kind", false },	   { "end", "server", true },
	{ "address", "address", true }, { "dns", "name server", true }, { "handshake", "handshake", false }, { "received", "received", false },
	{ "sent", "sent", false },
};

static void fact(struct rd text, size_t i, struct json *j)
{
	size_t n = strlen(facts[i].word);
	char shown[300];
	struct rd line;
	unsigned count = 0;

	if (j && facts[i].many)
		json_open(j, facts[i].word, '[');
	while (rd_line(&text, &line) && count < 64) {
		str_escape(shown, sizeof shown, line.p, rd_left(&line));
		if (!str_starts(shown, facts[i].word) || shown[n] != ' ' || (count && !facts[i].many))
			continue;
		count++;
		if (j)
			json_str(j, facts[i].many ? NULL : facts[i].word, shown + n + 1);
		else
			printf("%-12s %s\n", facts[i].title, shown + n + 1);
	}
	if (j && facts[i].many)
		json_close(j, ']');
}

static int status(struct tool *t, const char *name)
{
	_cleanup_free_ char *answer = NULL;
	bool js = opt_has(t, KEY_JSON);
	struct json j = { 0 };
	struct err e = { 0 };
	size_t n = 0;
	int r = is_vpn(t, name);

	if (r == 0)
		r = running(t, name);
	if (r)
		return r;
	r = service_call(name, VPN_SERVICE "+status", "", VPN_ANSWER_MAX, &answer, &n, &e);
	if (r)
		return tool_fail(t, "%s: %s", name, r < 0 ? err_text(&e, r) : "it says nothing of its tunnel yet");
	if (js)
		json_open(&j, NULL, '{');
	for (size_t i = 0; i < ARRAY_SIZE(facts); i++)
		fact(rd_mem(answer, n), i, js ? &j : NULL);
	if (js)
		json_close(&j, '}');
	return streq(tunnel_of(name), "up") ? 0 : EXIT_NOT_UP;
}

/* --- the rest ----------------------------------------------------------------------------------------------------------------- */

static int restart(struct tool *t, const char *name)
{
	unsigned wait = 0;
	int r = is_vpn(t, name);

	if (r == 0)
		r = running(t, name);
	if (r == 0)
		r = seconds(t, &wait);
	if (r == 0)
		r = ask(t, name, "restart", NULL);
	return r ? r : say_state(t, name, wait);
}

static int export(struct tool *t, const char *name, const char *file)
{
	_cleanup_free_ char *answer = NULL;
	_cleanup_fd_ int fd = -1;
	struct err e = { 0 };
	size_t n = 0;
	int r = is_vpn(t, name);

	if (r == 0)
		r = running(t, name);
	if (r)
		return r;
	if (!file && isatty(STDOUT_FILENO) && !opt_has(t, KEY_VPN_FORCE))
		return tool_usage(t, "this would print private keys: name a file, or add --force");
	r = service_call(name, VPN_SERVICE "+export", "", VPN_ANSWER_MAX, &answer, &n, &e);
	if (r)
		return tool_fail(t, "%s: %s", name, r < 0 ? err_text(&e, r) : "it has no configuration");
	fd = file ? open(file, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (opt_has(t, KEY_VPN_FORCE) ? O_TRUNC : O_EXCL), 0600) : dup(STDOUT_FILENO);
	r = fd < 0 ? -errno : write_full(fd, answer, n);
	explicit_bzero(answer, n);
	return r < 0 ? tool_fail(t, "'%s': %s", file ? file : "standard output", strerror(-r)) : 0;
}

static int remove_qube(struct tool *t, const char *name)
{
	struct err e = { 0 };
	int r = is_vpn(t, name);

	if (r)
		return r;
	if (!opt_has(t, KEY_VPN_FORCE) && !opt_has(t, 'f') && !tool_ask(t, "Remove '%s' with its configuration and keys?", name))
		return tool_fail(t, "'%s' was not removed; --force does not ask", name);
	r = adm_void(name, "admin.vm.Shutdown", "wait", NULL, &e);
	if (r < 0 && !adm_is_not_started(r))
		return tool_api(t, r, &e);
	err_clear(&e);
	r = adm_void(name, "admin.vm.Remove", NULL, NULL, &e);
	return r < 0 ? tool_api(t, r, &e) : 0;
}

static int run(struct tool *t, int argc, char **argv)
{
	const char *cmd = argc ? argv[0] : "list";
	static const int of_import[] = { KEY_VPN_NAME, 't', 'l', KEY_VPN_NETVM, KEY_VPN_AUTH, KEY_VPN_REPLACE };

	for (size_t i = 0; i < ARRAY_SIZE(of_import) && !streq(cmd, "import"); i++)
		if (opt_has(t, of_import[i]))
			return tool_usage(t, "one of these options belongs to import only");
	if (streq(cmd, "list"))
		return argc > 1 ? tool_usage(t, "list takes no name") : list(t);
	if (argc < 2 || (argc > 2 && !streq(cmd, "export")))
		return tool_usage(t, streq(cmd, "import") ? "name one file: qvm-vpn import FILE" : "name one VPN qube: qvm-vpn %s QUBE", cmd);
	if (opt_has(t, KEY_JSON) && !streq(cmd, "status"))
		return tool_usage(t, "--json belongs to list and status");
	if (streq(cmd, "import"))
		return import(t, argv[1]);
	if (streq(cmd, "status"))
		return status(t, argv[1]);
	if (streq(cmd, "restart"))
		return restart(t, argv[1]);
	if (streq(cmd, "export"))
		return export(t, argv[1], argc > 2 ? argv[2] : NULL);
	if (streq(cmd, "remove"))
		return remove_qube(t, argv[1]);
	return tool_usage(t, "no such command: '%s'; there are list, import, status, restart, export and remove", cmd);
}

const struct verb verb_qvm_vpn = {
	.name = "qvm-vpn",
	.summary = "make and look after qubes that are the way into a VPN",
	.args = "[list | import FILE | status QUBE | restart QUBE | export QUBE [FILE] | remove QUBE]",
	.desc = "What has a VPN qube for its NetVM reaches the outside through the tunnel or not at\n"
		"all: before the tunnel is up, when it breaks, for names and for IPv6 too.",
	.opts = opts,
	.subs = subs,
	.exits = exits,
	.words = { W_SUB, W_FILE, W_FILE },
	.max_args = 3,
	.run = run,
};
