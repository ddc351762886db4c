/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checks of property values, and what follows from a change (specs/admin-api.md §5). */
#include <arpa/inet.h>

#include "base/str.h"
#include "core/anon.h"
#include "core/device.h"
#include "core/net.h"
#include "core/prop_rules.h"

static int refuse(struct err *e, const char *what)
{
	return err_set(e, AE_PROPERTY_VALUE, "%s", what);
}

static int64_t num(const char *s)
{
	int64_t n;

	return str_i64(s, -INT64_MAX, INT64_MAX, &n) < 0 ? -1 : n;
}

C(c_pos)
{
	return num(value) > 0 ? 0 : refuse(e, "the value must be greater than zero");
}

C(c_nonneg)
{
	return num(value) >= 0 ? 0 : refuse(e, "the value must not be negative");
}

C(c_vcpus)
{
	int64_t n = num(value);

	if (n <= 0)
		return refuse(e, "the value must be greater than zero");
	return n <= 1024 ? 0 : refuse(e, "there cannot be that many processors");
}

C(c_user)
{
	if (!value[0] || strlen(value) > 63 || !str_chars(value, "_-+,."))
		return refuse(e, "a user name may have letters, digits and '_-+,.' only");
	return 0;
}

C(c_len512)
{
	return strlen(value) <= 512 ? 0 : refuse(e, "the value is longer than 512 characters");
}

C(c_bootmode)
{
	return value[0] && str_chars(value, "_-.") ? 0 : refuse(e, "not the name of a boot mode");
}

static bool code_ok(const char *s)
{
	if (!strchr("bump*", s[0]))
		return false;
	for (size_t i = 1; i < 7; i++)
		if (!ch_digit(s[i]) && !(s[i] >= 'a' && s[i] <= 'f') && s[i] != '*')
			return false;
	return true;
}

static int cmp_code(const void *a, const void *b)
{
	return memcmp(a, b, 7);
}

C(c_denied)
{
	size_t n = strlen(value), o = 0;
	char tmp[PV_BUF];

	if (n % 7)
		return refuse(e, "interface codes have seven characters");
	for (size_t i = 0; i < n; i += 7)
		if (!code_ok(value + i))
			return refuse(e, "an interface code is one of b u m p * and six hex digits or *");
	memcpy(tmp, value, n);
	qsort(tmp, n / 7, 7, cmp_code);
	for (size_t i = 0; i < n; i += 7) {
		if (o && memcmp(out + o - 7, tmp + i, 7) == 0)
			continue;
		memcpy(out + o, tmp + i, 7);
		o += 7;
	}
	out[o] = '\0';
	return 0;
}

C(c_ip4)
{
	struct in_addr a;

	return inet_pton(AF_INET, value, &a) == 1 ? 0 : refuse(e, "not an IPv4 address");
}

C(c_ip6)
{
	struct in6_addr a;

	return inet_pton(AF_INET6, value, &a) == 1 ? 0 : refuse(e, "not an IPv6 address");
}

C(c_mac)
{
	size_t n = strlen(value);

	if (n != 17)
		return refuse(e, "not a MAC address");
	for (size_t i = 0; i < n; i++) {
		char ch = value[i];

		ch = ch >= 'A' && ch <= 'F' ? (char)(ch - 'A' + 'a') : ch;
		if (i % 3 == 2 ? ch != ':' : !(ch_digit(ch) || (ch >= 'a' && ch <= 'f')))
			return refuse(e, "not a MAC address");
		out[i] = ch;
	}
	out[n] = '\0';
	return 0;
}

C(c_keyboard)
{
	unsigned plus = 0;

	for (const char *s = value; *s; s++)
		plus += *s == '+';
	if (!value[0] || plus > 2 || strlen(value) > 100 || !str_chars(value, "+_-,:().") || value[0] == '+')
		return refuse(e, "a keyboard layout is LAYOUT+VARIANT+OPTIONS");
	if (plus < 2)
		return str_printf(out, PV_BUF, "%s%s", value, plus == 1 ? "+" : "++");
	return 0;
}

C(c_disposable)
{
	const struct qube *t = value ? qube_find(c, value) : NULL;

	if (!value || (t && (t->klass == K_APP || t->klass == K_STANDALONE) && prop_bool(c, t, P_template_for_dispvms)))
		return 0;
	return refuse(e, "that qube is not a disposable template: its template_for_dispvms is False");
}

C(c_default_dispvm)
{
	int r = c_disposable(c, q, value, out, e);

	return r < 0 ? r : anon_check_dispvm(c, q, value ? qube_find(c, value) : NULL, e);
}

/* Does any qube use q as its netvm? Names it. */
static const struct qube *client_of(const struct core *c, const struct qube *q)
{
	for (size_t i = 0; i < c->n_sorted; i++) {
		const struct qube *x = c->sorted[i];

		if (x != q && prop_find(x, "netvm") && prop_vm(c, x, P_netvm) == q)
			return x;
	}
	return NULL;
}

C(c_provides)
{
	const struct qube *x;

	if (streq(value, "True") || !q)
		return 0;
	if (c->globals[P_g_default_netvm] && streq(c->globals[P_g_default_netvm], q->name.s))
		return err_set(e, AE_VM_IN_USE, "'%s' is the default netvm", q->name.s);
	x = client_of(c, q);
	if (x)
		return err_set(e, AE_VM_IN_USE, "'%s' provides the network of '%s'", q->name.s, x->name.s);
	return 0;
}

C(c_tfd)
{
	if (streq(value, "True"))
		return 0;
	for (size_t i = 0; i < c->n_sorted; i++)
		if (c->sorted[i]->klass == K_DISP && qube_template(c, c->sorted[i]) == q)
			return err_set(e, AE_VM_IN_USE, "disposable '%s' is based on '%s'", c->sorted[i]->name.s, q->name.s);
	return 0;
}

C(c_virt_mode)
{
	static const char *const modes[] = { "pvh", "hvm", "pv" };

	if (strcasecmp(value, "pvh") == 0 && device_has_pci(q))
		return err_set(e, AE_PROPERTY_VALUE, "'%s' has a PCI device, which needs hvm or pv; unassign it first", q->name.s);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		if (strcasecmp(value, modes[i]) == 0)
			return str_copy(out, PV_BUF, modes[i]);
	return refuse(e, "virt_mode is pvh, hvm or pv");
}

C(c_kernel)
{
	if (!value[0])
		return 0;
	if (strchr(value, '/') || strlen(value) >= 64)
		return refuse(e, "not the name of a kernel");
	if (streq(value, kernel_newest()) || kernel_exists(value))
		return 0;
	return err_set(e, AE_PROPERTY_VALUE, "kernel '%s' is not installed", value);
}

C(c_netvm)
{
	const struct qube *n = value ? qube_find(c, value) : NULL;

	if (!n)
		return 0;
	if (!prop_find(n, "provides_network") || !prop_bool(c, n, P_provides_network))
		return err_set(e, AE_VALUE, "'%s' does not provide a network", n->name.s);
	if (anon_check_netvm(c, q, n, e) < 0)
		return -AE_PROPERTY_VALUE;
	if (net_loops(c, q, n))
		return err_set(e, AE_VALUE, "a loop of netvms: '%s' would be its own provider", q->name.s);
	if (!qube_halted(q) && qube_halted(n))
		return err_set(e, AE_VM_NOT_STARTED, "'%s' is not running, '%s' is", n->name.s, q->name.s);
	return 0;
}

C(c_default_netvm)
{
	const struct qube *n = value ? qube_find(c, value) : NULL;

	if (!n)
		return 0;
	if (!prop_find(n, "provides_network") || !prop_bool(c, n, P_provides_network))
		return err_set(e, AE_VALUE, "'%s' does not provide a network", n->name.s);
	/* The chain of n must end before it meets a qube that follows the default. */
	for (const struct qube *x = n; x; x = prop_vm(c, x, P_netvm))
		if (!x->props[P_netvm] && x->klass != K_TEMPLATE)
			return err_set(e, AE_VALUE, "a loop of netvms: '%s' itself uses the default netvm", x->name.s);
	return 0;
}

C(c_default_template)
{
	const struct qube *t = value ? qube_find(c, value) : NULL;

	return !t || t->klass == K_TEMPLATE ? 0 : refuse(e, "default_template must be a TemplateVM");
}

C(c_template)
{
	const struct qube *t = value ? qube_find(c, value) : NULL;

	if (!t)
		return refuse(e, "a template is needed");
	if (q->klass == K_APP)
		return t->klass == K_TEMPLATE ? 0 : refuse(e, "the template of an AppVM must be a TemplateVM");
	return c_disposable(c, q, value, out, e);
}

C(c_pool)
{
	return pool_find(c, value) ? 0 : err_set(e, AE_POOL_NOT_FOUND, "there is no such pool");
}

/* Tags guivm-NAME and audiovm-NAME follow the property. */
static void follow_tag(struct core *c, struct qube *q, enum prop_id id, const char *prefix)
{
	size_t n = strlen(prefix);
	char want[64] = "";
	struct pval v;
	const char *s = prop_text(c, q, id, &v);

	if (s[0] && str_printf(want, sizeof want, "%s%s", prefix, s) < 0)
		return;
	for (size_t i = q->tags.n; i-- > 0;) {
		char tag[256];

		if (strncmp(q->tags.v[i].key, prefix, n) != 0 || streq(q->tags.v[i].key, want) ||
		    str_copy(tag, sizeof tag, q->tags.v[i].key) < 0)
			continue;
		txn_tag(c, q, tag, false);
		eventf(c, q, "domain-tag-delete:", tag, "tag", tag, NULL);
	}
	if (want[0] && tag_ok(want) && !kv_get(&q->tags, want)) {
		txn_tag(c, q, want, true);
		eventf(c, q, "domain-tag-add:", want, "tag", want, NULL);
	}
}

A(a_audiovm)
{
	follow_tag(c, q, P_audiovm, "audiovm-");
}

A(a_guivm)
{
	follow_tag(c, q, P_guivm, "guivm-");
}

static void follow_all(struct core *c, enum prop_id id, const char *prefix)
{
	for (size_t i = 0; i < c->n_sorted; i++)
		if (prop_find(c->sorted[i], props[id].name) && !c->sorted[i]->props[id])
			follow_tag(c, c->sorted[i], id, prefix);
}

A(a_all_audiovm)
{
	follow_all(c, P_audiovm, "audiovm-");
}

A(a_all_guivm)
{
	follow_all(c, P_guivm, "guivm-");
}

A(a_icon)
{
	event(c, q, "property-reset:icon", "name", "icon", NULL);
}

A(a_provides)
{
	bool on = prop_bool(c, q, P_provides_network);
	const char *was = kv_get(&q->features, "servicevm");
	_cleanup_free_ char *old = was ? xstrdup(was) : NULL; /* the change frees it */

	if (on == qube_feature(q, "servicevm"))
		return;
	if (on) {
		event(c, q, "domain-feature-pre-set:servicevm", "feature", "servicevm", "value", "1", old ? "oldvalue" : NULL, old, NULL);
		txn_feature(c, q, "servicevm", "1");
		event(c, q, "domain-feature-set:servicevm", "feature", "servicevm", "value", "1", old ? "oldvalue" : NULL, old, NULL);
	} else {
		event(c, q, "domain-feature-pre-delete:servicevm", "feature", "servicevm", NULL);
		txn_feature(c, q, "servicevm", NULL);
		event(c, q, "domain-feature-delete:servicevm", "feature", "servicevm", NULL);
	}
	a_icon(c, q, p);
}
