/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Devices, as far as they go without any driver for them: there is none to offer, none is assigned and none attached, so the lists are empty;
 * the interfaces that may not be attached are kept. Rows that change assignments come with the drivers.
 */
#include "base/str.h"
#include "core/api/api.h"

#define CODE_LEN 7

int api_device_none(struct call *c)
{
	return 0;
}

int api_denied_list(struct call *c)
{
	struct pval v;
	const char *s = prop_text(c->core, c->dest, P_devices_denied, &v);

	for (size_t i = 0; s[i]; i += CODE_LEN)
		wr_printf(&c->out, "%s%.*s", i ? "\n" : "", CODE_LEN, s + i);
	return 0;
}

/* The payload is codes one after the other, the form of the property. */
static int check_codes(struct call *c, const char *codes)
{
	char out[PV_BUF];
	bool null;
	size_t n = strlen(codes);
	int r = n < PV_BUF ? prop_parse(c->core, c->dest, &props[P_devices_denied], codes, out, &null, &c->err) : -AE_VALUE;

	if (r < 0)
		return err_set(&c->err, AE_VALUE, "not a list of interface codes");
	if (strlen(out) != n)
		return err_set(&c->err, AE_VALUE, "an interface code is given twice");
	return 0;
}

static int store(struct call *c, const char *codes)
{
	return prop_set(c->core, c->dest, &props[P_devices_denied], codes, &c->err);
}

int api_denied_add(struct call *c)
{
	char all[2 * PV_BUF];
	struct pval v;
	int r = check_codes(c, c->body);

	if (r < 0 || !c->body_len)
		return r;
	if (str_printf(all, sizeof all, "%s%s", prop_text(c->core, c->dest, P_devices_denied, &v), c->body) < 0)
		return err_set(&c->err, AE_VALUE, "too many interface codes");
	return store(c, all);
}

int api_denied_remove(struct call *c)
{
	char rest[PV_BUF] = "";
	struct pval v;
	const char *s = prop_text(c->core, c->dest, P_devices_denied, &v);
	size_t o = 0;
	int r;

	if (streq(c->body, "all"))
		return store(c, "");
	r = check_codes(c, c->body);
	if (r < 0 || !c->body_len)
		return r;
	for (size_t i = 0; s[i]; i += CODE_LEN) {
		bool gone = false;

		for (size_t k = 0; c->body[k]; k += CODE_LEN)
			gone |= memcmp(s + i, c->body + k, CODE_LEN) == 0;
		if (!gone) {
			memcpy(rest + o, s + i, CODE_LEN);
			o += CODE_LEN;
		}
	}
	rest[o] = '\0';
	return store(c, rest);
}
