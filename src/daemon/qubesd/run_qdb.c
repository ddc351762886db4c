/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The QubesDB of a qube as dom0 writes it at start (specs/guest-network.md §1.3). */
#include <sys/random.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/paths.h"
#include "base/str.h"
#include "core/statekey.h"
#include "daemon/qubesd/run.h"
#include "proto/states.h"

static void put(struct run *r, const char *key, const char *value)
{
	size_t n = strlen(value);

	if (!qdb_key_ok(key) || !qdb_value_ok(value, n) || n > QDB_VALUE_MAX) {
		log_warn("%s: QubesDB key '%s' is left out", r->q->name.s, log_escs(key));
		return;
	}
	if (qdbc_queue(&r->qdb, QDB_CMD_WRITE, key, value, n) == 0)
		r->qdb_open++;
}

static void put_prop(struct run *r, const char *key, enum prop_id id)
{
	struct pval v;
	const char *s = prop_text(r->d->core, r->q, id, &v);

	if (s[0])
		put(r, key, s);
}

static const char *vm_type(const struct run *r)
{
	struct pval v;

	if (r->q->klass == K_TEMPLATE)
		return "TemplateVM";
	if (!prop_bool(r->d->core, r->q, P_provides_network))
		return "AppVM";
	return prop_text(r->d->core, r->q, P_netvm, &v)[0] ? "ProxyVM" : "NetVM";
}

static const char *persistence(const struct run *r)
{
	if (r->q->klass == K_TEMPLATE || r->q->klass == K_STANDALONE)
		return "full";
	return r->q->klass == K_DISP ? "none" : "rw-only";
}

static void put_seed(struct run *r)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t b[66] = { 0 };
	char text[96];
	size_t o = 0;

	if (getrandom(b, 64, 0) != 64)
		return;
	/* base64 of 64 bytes: 21 whole groups, and one byte more */
	for (size_t i = 0; i < 66; i += 3) {
		uint32_t v = (uint32_t)b[i] << 16 | (uint32_t)b[i + 1] << 8 | b[i + 2];

		text[o++] = set[v >> 18];
		text[o++] = set[v >> 12 & 63];
		text[o++] = i == 63 ? '=' : set[v >> 6 & 63];
		text[o++] = i == 63 ? '=' : set[v & 63];
	}
	text[o] = '\0';
	put(r, "/qubes-random-seed", text);
	explicit_bzero(b, sizeof b);
	explicit_bzero(text, sizeof text);
}

static void put_network(struct run *r)
{
	const struct core *c = r->d->core;
	struct pval v;

	if (prop_text(c, r->q, P_netvm, &v)[0]) {
		put_prop(r, "/qubes-mac", P_mac);
		put_prop(r, "/qubes-ip", P_visible_ip);
		put_prop(r, "/qubes-netmask", P_visible_netmask);
		put_prop(r, "/qubes-gateway", P_visible_gateway);
		put_prop(r, "/qubes-ip6", P_visible_ip6);
		put_prop(r, "/qubes-gateway6", P_visible_gateway6);
		put(r, "/qubes-primary-dns", "10.139.1.1");
		put(r, "/qubes-secondary-dns", "10.139.1.2");
	}
	if (prop_bool(c, r->q, P_provides_network)) {
		put_prop(r, "/qubes-netvm-network", P_gateway);
		put_prop(r, "/qubes-netvm-gateway", P_gateway);
		put_prop(r, "/qubes-netvm-gateway6", P_gateway6);
		put(r, "/qubes-netvm-netmask", "255.255.255.255");
		put(r, "/qubes-netvm-primary-dns", "10.139.1.1");
		put(r, "/qubes-netvm-secondary-dns", "10.139.1.2");
	}
}

/* Features that a guest reads: services, configuration, persistent paths. */
static void put_features(struct run *r)
{
	const char *value;
	char key[200];

	for (size_t i = 0; i < r->q->features.n; i++)
		if (run_live_key(r->q->features.v[i].key, r->q->features.v[i].value, key, &value))
			put(r, key, value);
	/* Memory is not balanced: the reporter has nothing to do. */
	put(r, "/qubes-service/meminfo-writer", "0");
}

static void put_all(struct run *r)
{
	const struct core *c = r->d->core;
	const struct qube *t = qube_template(c, r->q), *gui = prop_vm(c, r->q, P_guivm), *audio = prop_vm(c, r->q, P_audiovm);
	char number[16];

	put(r, "/name", r->q->name.s);
	put(r, STATE_UUID_KEY, r->q->uuid.s);
	put(r, STATE_ASLR_KEY, state_random_addresses(c, r->q) ? "1" : "0");
	put(r, "/type", klass_name(r->q->klass));
	put_prop(r, "/default-user", P_default_user);
	put(r, "/qubes-vm-type", vm_type(r));
	put(r, "/qubes-vm-updateable", prop_bool(c, r->q, P_updateable) ? "True" : "False");
	put(r, "/qubes-vm-persistence", persistence(r));
	put(r, "/qubes-debug-mode", prop_bool(c, r->q, P_debug) ? "1" : "0");
	put(r, "/qubes-base-template", t ? t->name.s : "");
	put_seed(r);
	if (r->d->runs->timezone[0] && !qube_feature(r->q, "anon-timezone"))
		put(r, "/qubes-timezone", r->d->runs->timezone);
	put(r, "/qubes-block-devices", "");
	put(r, "/qubes-usb-devices", "");
	put(r, "/qubes-iptables-error", "");
	put_network(r);
	put_features(r);
	put_prop(r, "/keyboard-layout", P_keyboard_layout);
	put(r, "/qubes-gui-enabled", gui && qube_gui_mib(c, r->q) ? "True" : "False");
	if (gui && str_printf(number, sizeof number, "%u", gui->qid) == 0)
		put(r, "/qubes-gui-domain-xid", number);
	if (audio && str_printf(number, sizeof number, "%u", audio->qid) == 0)
		put(r, "/qubes-audio-domain-xid", number);
}

static void failed(struct run *r, int k)
{
	struct err e = { 0 };

	err_set(&e, AE_GENERIC, "QubesDB of '%s': %s", r->q->name.s, strerror(-k));
	run_qdb_close(r);
	if (r->phase == PH_FILL)
		run_fail(r, -AE_GENERIC, &e);
	else
		log_warn("%s", e.msg);
}

static void on_qdb(struct ev_io *io, int fd, int events, void *arg)
{
	struct run *r = arg;
	struct qdb_msg *m = xcalloc(1, sizeof *m);
	_cleanup_free_ struct qdb_msg *own = m;
	int k = qdbc_io(&r->qdb), n = 0;

	while (k >= 0 && (n = qdbc_next(&r->qdb, m)) > 0) {
		/* Keys are also removed where there may be none. */
		if ((m->h.type == QDB_RESP_OK || m->h.type == QDB_RESP_ERROR_NOENT) && r->qdb_open) {
			r->qdb_open--;
		} else if (m->h.type != QDB_RESP_WATCH) {
			log_warn("%s: QubesDB refused a key", r->q->name.s);
			r->qdb_open -= r->qdb_open ? 1 : 0;
		}
	}
	if (k < 0 || n < 0) {
		failed(r, k < 0 ? k : n);
		return;
	}
	if (r->qdb_open == 0) {
		run_qdb_close(r);
		run_qdb_filled(r);
		return;
	}
	ev_io_set(r->qdb_io, qdbc_wants(&r->qdb) ? EV_READ | EV_WRITE : EV_READ);
}

static int open_qdb(struct run *r, struct err *e)
{
	char path[PATH_MAX];
	int k = qdbc_open(&r->qdb, path_fmt(path, PATH_RUN, "/qubesdb.%s.sock", r->q->name.s), e);

	if (k < 0) {
		r->qdb.fd = -1;
		return k;
	}
	(void)fd_nonblock(r->qdb.fd, true);
	r->qdb_open = 0;
	r->qdb_io = ev_io_new(r->d->loop, r->qdb.fd, EV_READ | EV_WRITE, on_qdb, r);
	return r->qdb_io ? 0 : err_set(e, EBADF, "cannot watch QubesDB");
}

int run_qdb_fill(struct run *r, struct err *e)
{
	int k;

	run_qdb_close(r);
	k = open_qdb(r, e);
	if (k >= 0)
		put_all(r);
	return k;
}

void run_qdb_change(struct run *r, const char *key, const char *value)
{
	struct err e = { 0 };

	if (r->qdb.fd < 0 && open_qdb(r, &e) < 0) {
		log_warn("%s: %s", r->q->name.s, e.msg);
		return;
	}
	if (value)
		put(r, key, value);
	else if (key[0] && qdb_prefix_ok(key) && qdbc_queue(&r->qdb, QDB_CMD_RM, key, NULL, 0) == 0)
		r->qdb_open++;
	ev_io_set(r->qdb_io, EV_READ | EV_WRITE);
}

void run_qdb_close(struct run *r)
{
	ev_io_free(STEAL_PTR(r->qdb_io));
	if (r->qdb.fd >= 0)
		qdbc_fini(&r->qdb);
	r->qdb.fd = -1;
	r->qdb_open = 0;
}
