/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Validators of names: what one accepts must hold its rule when looked at in another way. */
#include "proto/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink;

static void only(const char *s, const char *extra, bool accepted)
{
	if (!accepted)
		return;
	sink++;
	if (strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != strlen(s)) {
		for (; *s; s++)
			if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", *s) && !strchr(extra, *s))
				abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *s = xmalloc(size + 1);
	struct qname name, again;
	struct uuid uuid;
	struct err e = { 0 };
	int r;

	memcpy(s, data, size);
	s[size] = '\0';
	r = qname_parse_rd(&name, rd_mem(data, size), &e);
	if (r < 0 && !e.code)
		abort();
	if (r == 0) {
		if (strlen(name.s) != size || size == 0 || size > QNAME_MAX || qname_parse(&again, name.s, NULL) < 0 ||
		    !qname_eq(&again, name.s))
			abort();
		only(name.s, "_.-", true);
	}
	if (uuid_parse(&uuid, s) == 0)
		only(uuid.s, "-", true);
	only(s, "_-", tag_ok(s));
	only(s, "_.-", feature_ok(s));
	only(s, "_.-", label_ok(s));
	only(s, "_.-", pool_ok(s));
	only(s, "_.-", service_name_ok(s));
	only(s, "_-+.", qrexec_arg_ok(s));
	only(s, "_-", volume_ok(s));
	if (feature_value_ok(s))
		for (const char *p = s; *p; p++)
			if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
				abort();
	return 0;
}
