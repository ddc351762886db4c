/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Properties of qubes (parameter 0) and of the system (parameter 1): one family of handlers. */
#include "core/api/api.h"

static struct qube *owner(const struct call *c)
{
	return c->m->param ? NULL : c->dest;
}

static void put_type(struct wr *w, const struct prop *p)
{
	wr_str(w, "type=");
	wr_str(w, prop_type_name(p->type));
	wr_u8(w, ' ');
}

static void put_value(struct call *c, struct wr *w, const struct prop *p)
{
	struct pval v;
	bool dflt = prop_get(c->core, owner(c), prop_id(p), &v);

	wr_str(w, dflt ? "default=True " : "default=False ");
	put_type(w, p);
	if (v.has && !v.null)
		wr_str(w, v.s);
}

int api_property_list(struct call *c)
{
	unsigned bit = c->m->param ? PC_GLOBAL : 1u << (unsigned)c->dest->klass;

	for (size_t i = 0; i < P_N; i++)
		if (props[i].classes & bit)
			wr_printf(&c->out, "%s\n", props[i].name);
	return 0;
}

int api_property_get(struct call *c)
{
	put_value(c, &c->out, c->prop);
	return 0;
}

int api_property_get_all(struct call *c)
{
	unsigned bit = c->m->param ? PC_GLOBAL : 1u << (unsigned)c->dest->klass;
	char buf[2 * PV_BUF];

	for (size_t i = 0; i < P_N; i++) {
		struct wr line = wr_mem(buf, sizeof buf);

		if (!(props[i].classes & bit))
			continue;
		wr_str(&c->out, props[i].name);
		wr_u8(&c->out, ' ');
		put_value(c, &line, &props[i]);
		for (size_t k = 0; k < line.len; k++) {
			if (buf[k] == '\\' || buf[k] == '\n')
				wr_u8(&c->out, '\\');
			wr_u8(&c->out, buf[k] == '\n' ? 'n' : (uint8_t)buf[k]);
		}
		wr_u8(&c->out, '\n');
	}
	return 0;
}

int api_property_get_default(struct call *c)
{
	struct pval v;

	prop_default(c->core, owner(c), prop_id(c->prop), &v);
	if (!v.has || c->prop->flags & PF_ONCE)
		return 0;
	put_type(&c->out, c->prop);
	wr_str(&c->out, v.null ? "" : v.s);
	return 0;
}

int api_property_set(struct call *c)
{
	return prop_set(c->core, owner(c), c->prop, c->body, &c->err);
}

int api_property_reset(struct call *c)
{
	return prop_reset(c->core, owner(c), c->prop, &c->err);
}

int api_property_help(struct call *c)
{
	wr_str(&c->out, c->prop->help);
	return 0;
}
