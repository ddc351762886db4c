/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Default rules of properties (specs/admin-api.md §5). */
#include <sys/sysinfo.h>

#include "base/str.h"
#include "core/anon.h"
#include "core/device.h"
#include "core/net.h"
#include "core/prop_rules.h"

static void give(struct pval *ret, const char *s)
{
	ret->has = true;
	ret->s = s;
}

static void give_int(struct pval *ret, int64_t n)
{
	if (str_printf(ret->buf, sizeof ret->buf, "%lld", (long long)n) == 0)
		give(ret, ret->buf);
}

static void give_bool(struct pval *ret, bool b)
{
	give(ret, b ? "True" : "False");
}

D(d_none)
{
}

D(d_const)
{
	give(ret, p->darg);
}

D(d_template)
{
	const struct qube *t = qube_template(c, q);

	if (t && prop_find(t, p->name))
		prop_get(c, t, prop_id(p), ret);
	else
		give(ret, p->darg);
}

D(d_global)
{
	const struct prop *g = prop_find(NULL, p->darg);

	if (g)
		prop_get(c, NULL, prop_id(g), ret);
}

D(d_template_global)
{
	const struct qube *t = qube_template(c, q);

	if (t)
		prop_get(c, t, prop_id(p), ret);
	else
		d_global(c, q, p, ret);
}

D(d_name)
{
	give(ret, q->name.s);
}

D(d_uuid)
{
	give(ret, q->uuid.s);
}

D(d_qid)
{
	give_int(ret, q->qid);
}

D(d_klass)
{
	give(ret, klass_name(q->klass));
}

D(d_label)
{
	if (q->klass == K_ADMIN)
		give(ret, "black");
}

D(d_icon)
{
	static const char *const prefix[K_N] = {
		[K_APP] = "appvm",	[K_DISP] = "dispvm",	      [K_REMOTE] = "remotevm",
		[K_STANDALONE] = "standalonevm", [K_TEMPLATE] = "templatevm",
	};
	const char *kind = prefix[q->klass];
	struct pval label;

	if (q->klass == K_ADMIN) {
		give(ret, "adminvm-black");
		return;
	}
	if ((q->klass == K_APP || q->klass == K_STANDALONE) && prop_bool(c, q, P_template_for_dispvms))
		kind = "templatevm";
	else if (q->klass != K_TEMPLATE && qube_feature(q, "servicevm"))
		kind = "servicevm";
	if (str_printf(ret->buf, sizeof ret->buf, "%s-%s", kind, prop_text(c, q, P_label, &label)) == 0)
		give(ret, ret->buf);
}

D(d_include)
{
	if (q->klass == K_DISP)
		give_bool(ret, !prop_bool(c, q, P_auto_cleanup));
	else
		give_bool(ret, q->klass != K_REMOTE);
}

D(d_updateable)
{
	give_bool(ret, q->klass != K_APP && q->klass != K_DISP);
}

D(d_xid)
{
	give_int(ret, qube_halted(q) ? -1 : (int64_t)q->qid);
}

D(d_start_time)
{
	if (qube_halted(q) || !q->start_time)
		give(ret, "");
	else
		give_int(ret, (int64_t)q->start_time);
}

D(d_preload)
{
	const struct qube *t = qube_template(c, q);
	const char *list = t ? kv_get(&t->features, "preload-dispvm") : NULL;
	size_t n = strlen(q->name.s);
	bool in = false;

	for (const char *s = list; s && *s; s = strchr(s, ' ') ? strchr(s, ' ') + 1 : NULL)
		if (strncmp(s, q->name.s, n) == 0 && (s[n] == ' ' || s[n] == '\0'))
			in = true;
	give_bool(ret, in);
}

D(d_keyboard)
{
	const struct qube *g = q->klass == K_ADMIN ? NULL : prop_vm(c, q, P_guivm);

	if (g && g != q && g->klass == K_ADMIN)
		prop_get(c, g, P_keyboard_layout, ret);
	else
		give(ret, "us++");
}

static void give_net(struct pval *ret, bool ok)
{
	if (ok)
		give(ret, ret->buf);
}

D(d_dns)
{
	give(ret, net_networked(c, q) ? "10.139.1.1 10.139.1.2" : "");
}

D(d_ip)
{
	give_net(ret, net_ip(c, q, ret->buf, sizeof ret->buf));
}

D(d_ip6)
{
	give_net(ret, net_ip6(c, q, ret->buf, sizeof ret->buf));
}

/* A feature of the qube or its template wins over the computed value. */
static bool fake(const struct core *c, const struct qube *q, const char *feature, struct pval *ret)
{
	const char *s = qube_feature_inherited(c, q, feature);

	if (!s || !s[0])
		return false;
	give(ret, s);
	return true;
}

D(d_visible_ip)
{
	if (!fake(c, q, "net.fake-ip", ret))
		prop_get(c, q, P_ip, ret);
}

D(d_visible_ip6)
{
	prop_get(c, q, P_ip6, ret);
}

D(d_gateway)
{
	if (prop_bool(c, q, P_provides_network))
		d_visible_ip(c, q, p, ret);
}

D(d_gateway6)
{
	if (prop_bool(c, q, P_provides_network))
		d_visible_ip6(c, q, p, ret);
}

D(d_visible_gateway)
{
	const struct qube *n = prop_vm(c, q, P_netvm);

	if (!fake(c, q, "net.fake-gateway", ret) && n)
		d_gateway(c, n, p, ret);
}

D(d_visible_gateway6)
{
	const struct qube *n = prop_vm(c, q, P_netvm);

	if (n)
		d_gateway6(c, n, p, ret);
}

D(d_visible_netmask)
{
	if (!fake(c, q, "net.fake-netmask", ret) && net_networked(c, q))
		give(ret, "255.255.255.255");
}

D(d_netvm)
{
	if (q->klass == K_TEMPLATE)
		give(ret, "");
	else if (anon_kind(c, q) == ANON_WORKSTATION)
		give(ret, anon_gateway(c, q));
	else
		d_global(c, q, p, ret);
}

/* The template of disposables for qubes without a network: named by a feature of dom0, and only if it is what its name says. */
static const struct qube *offline_dispvm(const struct core *c)
{
	const char *name = kv_get(&c->dom0->features, OFFLINE_DISPVM_FEATURE);
	const struct qube *t = name && name[0] ? qube_find(c, name) : NULL;

	if (!t || (t->klass != K_APP && t->klass != K_STANDALONE) || !prop_bool(c, t, P_template_for_dispvms) || net_networked(c, t))
		return NULL;
	return t;
}

/* A qube that has no way to the network must not get one by asking for a disposable: what would be its default by the general rule
   holds only if that has none either. What the user sets explicitly is not touched. dom0 runs nothing that could ask by itself. */
D(d_default_dispvm)
{
	const struct qube *t;

	if (anon_kind(c, q) == ANON_WORKSTATION) {
		give(ret, anon_dispvm(c, q));
		return;
	}
	t = q->klass == K_DISP ? qube_template(c, q) : prop_vm(c, NULL, P_g_default_dispvm);

	if (t && q->klass != K_ADMIN && prop_find(q, "netvm") && !net_networked(c, q) && net_networked(c, t))
		t = offline_dispvm(c);
	give(ret, t ? t->name.s : "");
}

D(d_app_bootmode)
{
	const char *s = kv_get(&q->features, "boot-mode.appvm-default");

	give(ret, s && s[0] ? s : "default");
}

D(d_bootmode)
{
	const char *s = kv_get(&q->features, "boot-mode.active");
	const struct qube *t = qube_template(c, q);

	while (t && t->klass != K_TEMPLATE)
		t = qube_template(c, t);
	if (s && s[0])
		give(ret, s);
	else if (t)
		prop_get(c, t, P_appvm_default_bootmode, ret);
	else
		give(ret, "default");
}

D(d_kernelopts)
{
	const struct qube *t = qube_template(c, q);
	struct pval kernel;

	if (!prop_text(c, q, P_kernel, &kernel)[0])
		give(ret, "");
	else if (t)
		prop_get(c, t, P_kernelopts, ret);
	else
		give(ret, "swiotlb=2048");
}

static int64_t host_memory_mib(void)
{
	struct sysinfo si;

	return sysinfo(&si) < 0 ? 0 : (int64_t)((uint64_t)si.totalram * si.mem_unit >> 20);
}

D(d_host_memory)
{
	give_int(ret, host_memory_mib());
}

D(d_host_cpus)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	give_int(ret, n > 0 ? n : 1);
}

D(d_maxmem)
{
	const struct qube *t = q->klass == K_ADMIN ? NULL : qube_template(c, q);
	const char *os = q->klass == K_ADMIN ? NULL : qube_feature_inherited(c, q, "os");
	int64_t limit;

	if (q->klass == K_ADMIN) {
		give_int(ret, 4096);
		return;
	}
	if (device_has_pci(q)) {
		give_int(ret, 0); /* a device reaches any page at any time: nothing can be taken back */
		return;
	}
	if (t) {
		prop_get(c, t, P_maxmem, ret);
		return;
	}
	limit = os && streq(os, "Linux") ? 10 * prop_int(c, q, P_memory, 400) : 4000;
	give_int(ret, MIN(limit, host_memory_mib() / 2));
}

D(d_virt_mode)
{
	if (device_has_pci(q))
		give(ret, "hvm");
	else
		d_template(c, q, p, ret);
}

D(d_newest_kernel)
{
	give(ret, kernel_newest());
}
