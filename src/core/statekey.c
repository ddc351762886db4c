/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys of saved states and the rule of who may use one. */
#include "core/statekey.h"

#include "base/sha256.h"
#include "base/str.h"
#include "core/anon.h"
#include "core/device.h"

#define SERVICE "service."

/* Qubes that hold secrets or hide who somebody is start alone, unless their owner says otherwise: what is the same in all clones of a state
   (addresses of the kernel, ages of its caches) is a thing that two of them would have in common. */
static bool apart(const struct qube *q)
{
	static const char *const marks[] = { "vault", "anon", "anon-vm", "anon-gateway" };

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (kv_get(&q->tags, marks[i]) || qube_feature(q, marks[i]))
			return true;
	return qube_feature(q, "anon-timezone");
}

static bool has_devices(const struct qube *q)
{
	struct dev_assignment a;
	size_t i = 0;

	while (device_next(q, DEV_N, &i, &a))
		if (a.mode == DEV_AUTO || a.mode == DEV_REQUIRED)
			return true;
	return false;
}

bool state_allowed(const struct core *c, const struct qube *q, const char **ret_why)
{
	const char *all = kv_get(&c->dom0->features, "fast-start"), *own = qube_feature_inherited(c, q, "fast-start");
	struct pval v;

	*ret_why = NULL;
	if (q->klass != K_APP && q->klass != K_DISP)
		*ret_why = "its root file system is its own";
	else if (all && !all[0])
		*ret_why = "feature fast-start of dom0 is off";
	else if (own && !own[0])
		*ret_why = "its feature fast-start is off";
	else if (!prop_text(c, q, P_kernel, &v)[0])
		*ret_why = "it brings its own kernel";
	else if (prop_bool(c, q, P_debug))
		*ret_why = "it is in debug mode";
	else if (prop_bool(c, q, P_provides_network))
		*ret_why = "it provides network";
	else if (has_devices(q))
		*ret_why = "devices are attached when it boots";
	/* A clone also gets the time of dom0, exactly: disposables of a Tor pair boot, and move their clocks (docs/tor.md). */
	else if ((q->klass == K_APP || anon_kind(c, q) != ANON_NONE) && !own && apart(q))
		*ret_why = "it is a vault or anonymous (set feature fast-start to 1 to do it all the same)";
	return !*ret_why;
}

bool state_random_addresses(const struct core *c, const struct qube *q)
{
	const char *own = qube_feature_inherited(c, q, "emulated-aslr");
	struct pval v;

	if (own)
		return own[0];
	return (q->klass != K_APP && q->klass != K_DISP) || prop_text(c, q, P_netvm, &v)[0] || prop_bool(c, q, P_provides_network) || apart(q);
}

int state_services(const struct qube *q, char out[STATE_SERVICES_MAX])
{
	struct wr w = wr_mem(out, STATE_SERVICES_MAX - 1);

	for (size_t i = 0; i < q->features.n; i++) {
		const char *key = q->features.v[i].key, *name = key + strlen(SERVICE);

		/* As run_live_key does it: the guest knows no others. */
		if (!str_starts(key, SERVICE) || !name[0] || strlen(name) > 48 || !q->features.v[i].value[0] || streq(name, "meminfo-writer"))
			continue;
		if (!str_chars(name, "_.-"))
			return -EINVAL;
		if (w.len)
			wr_u8(&w, ',');
		wr_str(&w, name);
	}
	if (!wr_ok(&w))
		return -E2BIG;
	out[w.len] = '\0';
	return 0;
}

int state_text(const struct core *c, const struct qube *q, const struct state_facts *f, struct wr *w, struct err *e)
{
	char services[STATE_SERVICES_MAX];
	const struct volume *root = q->n_vols ? volume_source(c, q, &q->vols[VOL_ROOT], NULL) : NULL;
	struct pval v;
	int r;

	if (!root || !f->root_head[0])
		return err_set(e, AE_NO_TEMPLATE, "'%s' does not show the root of a template", q->name.s);
	r = state_services(q, services);
	if (r < 0)
		return err_errno(e, -r, "services of '%s'", q->name.s);
	wr_printf(w, "contract %d\nroot %s %s %s\nkernel %s", STATE_CONTRACT, root->pool, root->vid, f->root_head, prop_text(c, q, P_kernel, &v));
	kernel_stamp(v.has ? v.s : "", w);
	wr_printf(w, "\narguments %s\n", prop_text(c, q, P_kernelopts, &v));
	wr_printf(w, "memory %lld\nvcpus %lld\nvolatile %llu\n", (long long)prop_int(c, q, P_memory, 0), (long long)prop_int(c, q, P_vcpus, 1),
		  (unsigned long long)f->volatile_size);
	wr_printf(w, "gui %u\n", qube_gui_mib(c, q));
	wr_printf(w, "user %s\nservices %s\nprogram %s\naccelerator %s\n", prop_text(c, q, P_default_user, &v), services, f->program, f->accel);
	return wr_ok(w) ? 0 : err_set(e, E2BIG, "the text of the key is too long");
}

void state_key(const struct wr *text, char key[STATE_KEY_LEN + 1])
{
	char hex[SHA256_HEX + 1];

	sha256_hex(text->buf, text->len, hex);
	memcpy(key, hex, STATE_KEY_LEN);
	key[STATE_KEY_LEN] = '\0';
}

struct qube *state_disposable(const struct qube *t)
{
	static const enum prop_id copied[] = { P_memory, P_vcpus, P_kernel, P_kernelopts, P_default_user, P_debug, P_provides_network };
	struct qube *q = qube_alloc(t->name.s, &t->uuid, 0, K_DISP);

	q->props[P_template] = xstrdup(t->name.s);
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
		if (t->props[copied[i]])
			q->props[copied[i]] = xstrdup(t->props[copied[i]]);
	for (size_t i = 0; i < t->features.n; i++)
		kv_set(&q->features, t->features.v[i].key, t->features.v[i].value);
	for (size_t i = 0; i < q->n_vols; i++) {
		memcpy(q->vols[i].pool, t->vols[i].pool, sizeof q->vols[i].pool);
		q->vols[i].ephemeral = t->vols[i].ephemeral;
	}
	return q;
}
