/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The text of internal.GetSystemInfo: what a policy decision may depend on. Rebuilt when a generation has passed. */
#include "base/str.h"
#include "core/core.h"

static void put_string(struct wr *w, const char *s)
{
	wr_u8(w, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			wr_u8(w, '\\');
		if (*s >= 0x20 && *s != 0x7f)
			wr_u8(w, (uint8_t)*s);
		else
			wr_printf(w, "\\u%04x", (unsigned)(unsigned char)*s);
	}
	wr_u8(w, '"');
}

static void put_key(struct wr *w, const char *key)
{
	wr_str(w, ", \"");
	wr_str(w, key);
	wr_str(w, "\": ");
}

/* The value of a property, or null when the qube has none. */
static void put_prop(struct core *c, const struct qube *q, const char *key, enum prop_id id)
{
	struct pval v = { 0 };

	put_key(&c->sysinfo, key);
	if (props[id].classes & (1u << (unsigned)q->klass))
		prop_get(c, q, id, &v);
	if (v.has && v.s[0])
		put_string(&c->sysinfo, v.s);
	else
		wr_str(&c->sysinfo, "null");
}

static void put_qube(struct core *c, const struct qube *q)
{
	struct wr *w = &c->sysinfo;
	struct pval v;
	const struct label *l = label_find(c, prop_text(c, q, P_label, &v));
	bool tfd = (props[P_template_for_dispvms].classes & (1u << (unsigned)q->klass)) && prop_bool(c, q, P_template_for_dispvms);

	put_string(w, q->name.s);
	wr_str(w, ": {\"internal\": ");
	wr_str(w, qube_feature(q, "internal") ? "true" : "false");
	put_key(w, "tags");
	wr_u8(w, '[');
	for (size_t i = 0; i < q->tags.n; i++) {
		if (i)
			wr_str(w, ", ");
		put_string(w, q->tags.v[i].key);
	}
	wr_u8(w, ']');
	put_key(w, "type");
	put_string(w, klass_name(q->klass));
	put_key(w, "template_for_dispvms");
	wr_str(w, tfd ? "true" : "false");
	put_prop(c, q, "default_dispvm", P_default_dispvm);
	put_key(w, "icon");
	wr_str(w, "\"appvm-");
	wr_str(w, l ? l->name : "black");
	wr_u8(w, '"');
	put_key(w, "label");
	put_string(w, l ? l->value : "0x000000");
	put_prop(c, q, "guivm", P_guivm);
	put_prop(c, q, "relayvm", P_relayvm);
	put_prop(c, q, "transport_rpc", P_transport_rpc);
	put_key(w, "power_state");
	put_string(w, life_name(q->state));
	put_key(w, "uuid");
	put_string(w, q->uuid.s);
	wr_u8(w, '}');
}

const struct wr *sysinfo_text(struct core *c)
{
	if (c->sysinfo_done == c->sysinfo_gen)
		return &c->sysinfo;
	wr_reset(&c->sysinfo);
	wr_str(&c->sysinfo, "{\"domains\": {");
	for (size_t i = 0; i < c->n_sorted; i++) {
		if (i)
			wr_str(&c->sysinfo, ", ");
		put_qube(c, c->sorted[i]);
	}
	wr_str(&c->sysinfo, "}}");
	c->sysinfo_done = c->sysinfo_gen;
	return &c->sysinfo;
}
